//! Names that strangers chose, in messages for people: escaped, cut, and never more of them than a message holds.

use corovan_core::limits;

/// As code: what controls a terminal is shown and not obeyed, and a long name is cut.
pub fn quote(name: &str) -> String {
    format!("`{}`", escape(name, limits::LISTED_NAME))
}

/// Escaped, and cut after `max` bytes of the result.
pub fn escape(name: &str, max: usize) -> String {
    let mut out = String::new();
    for letter in name.chars() {
        let escaped: String = match letter {
            '\'' | '"' | '\\' => letter.into(),
            _ if invisible(letter) => letter.escape_unicode().collect(),
            _ => letter.escape_debug().collect(),
        };
        if out.len() + escaped.len() > max {
            out.push('…');
            break;
        }
        out.push_str(&escaped);
    }
    out
}

/// Joins as many as there is room for, and says how many more there are.
pub fn list(items: impl ExactSizeIterator<Item = String>, separator: &str) -> String {
    let total = items.len();
    let mut out = String::new();
    for (shown, item) in items.enumerate() {
        if shown > 0 && out.len() + item.len() > limits::LISTED_BYTES {
            out.push_str(&format!("{separator}and {} more", total - shown));
            break;
        }
        if shown > 0 {
            out.push_str(separator);
        }
        out.push_str(&item);
    }
    out
}

/// `1 import`, `2 imports`.
pub fn count(count: usize, one: &str, several: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { several })
}

/// The candidate that a typing mistake would explain best, if one would.
pub fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // The comparison takes time in proportion to both lengths.
    if name.len() > limits::NAME_BYTES {
        return None;
    }
    let candidates = candidates.filter(|candidate| candidate.len() <= limits::NAME_BYTES);
    let scored = candidates.map(|candidate| (strsim::jaro_winkler(&plain(name), &plain(candidate)), candidate));
    let best = scored.max_by(|(a, _), (b, _)| a.total_cmp(b));
    best.filter(|(score, _)| *score >= LIKENESS).map(|(_, candidate)| candidate)
}

/// `rcoro-proc`, `rcoroProc` and `rcoro_proc` are one name to people.
fn plain(name: &str) -> String {
    name.chars().filter(|letter| !matches!(letter, '_' | '-' | '.')).flat_map(char::to_lowercase).collect()
}

/// Marks that reorder or hide what stands beside them, which `escape_debug` lets through.
pub fn invisible(letter: char) -> bool {
    matches!(letter, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Below this, two names have little more than some letters in common.
const LIKENESS: f64 = 0.8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_and_cut() {
        assert_eq!(quote("add"), "`add`");
        assert_eq!(quote("it's \"a\\b\""), "`it's \"a\\b\"`");
        assert_eq!(quote("\x1b[31m\n\u{202e}x"), "`\\u{1b}[31m\\n\\u{202e}x`");
        assert!(quote(&"n".repeat(1_000)).len() < 100);
    }

    #[test]
    fn a_list_is_never_longer_than_a_message() {
        let names: Vec<String> = (0..10_000).map(|n| format!("name{n}")).collect();
        let text = list(names.into_iter(), ", ");
        assert!(text.len() < limits::LISTED_BYTES + 40 && text.ends_with(" more"), "{text}");
        assert_eq!(list(["a".to_owned(), "b".to_owned()].into_iter(), ", "), "a, b");
    }

    #[test]
    fn the_nearest_name_is_a_likely_mistake() {
        let names = ["rcoro_proc", "finish", "sleep"];
        assert_eq!(nearest("rcoroProc", names.into_iter()), Some("rcoro_proc"));
        assert_eq!(nearest("slep", names.into_iter()), Some("sleep"));
        assert_eq!(nearest("database", names.into_iter()), None);
        assert_eq!(nearest(&"s".repeat(1_000), names.into_iter()), None);
    }
}
