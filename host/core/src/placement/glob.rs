//! Globs: `*` is any text, also none, `?` any one character; all else is itself. No classes and no escapes.

/// Whether all of `text` is what `glob` says. Takes at most the product of both lengths, which are bounded where they come in.
pub(super) fn matches(glob: &str, text: &str) -> bool {
    let (mut glob_at, mut text_at) = (0, 0);
    // Where the latest star is, and what it has taken so far: only that one ever has to take more.
    let mut star: Option<(usize, usize)> = None;
    loop {
        let wanted = glob[glob_at..].chars().next();
        let here = text[text_at..].chars().next();
        match (wanted, here) {
            (None, None) => return true,
            (Some('*'), _) => {
                glob_at += 1;
                star = Some((glob_at, text_at));
                continue;
            }
            (Some(w), Some(h)) if w == '?' || w == h => {
                glob_at += w.len_utf8();
                text_at += h.len_utf8();
                continue;
            }
            _ => {}
        }
        let Some((after, taken)) = star else { return false };
        let Some(more) = text[taken..].chars().next() else { return false };
        star = Some((after, taken + more.len_utf8()));
        (glob_at, text_at) = (after, taken + more.len_utf8());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn stars_and_question_marks() {
        for (glob, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "anything", true),
            ("web-?", "web-1", true),
            ("web-?", "web-", false),
            ("web-?", "web-ü", true),
            ("web-?", "web-12", false),
            ("10.0.*", "10.0.3.4:9000", true),
            ("10.0.*:9000", "10.0.3.4:9001", false),
            ("*a*b*c", "xxaxxbxxbxxc", true),
            ("*a*b*c", "xxaxxcxxb", false),
            ("a**b", "ab", true),
        ] {
            assert_eq!(matches(glob, text), expected, "{glob:?} {text:?}");
        }
    }

    /// What the words mean, without regard to cost.
    fn model(glob: &[char], text: &[char]) -> bool {
        match (glob, text) {
            ([], rest) => rest.is_empty(),
            (['*', glob @ ..], rest) => (0..=rest.len()).any(|taken| model(glob, &rest[taken..])),
            ([wanted, glob @ ..], [here, rest @ ..]) => (*wanted == '?' || wanted == here) && model(glob, rest),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn it_is_what_trying_all_ways_gives(glob in "[ab?*ü]{0,8}", text in "[abü]{0,8}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(matches(&glob, &text), model(&chars(&glob), &chars(&text)));
        }
    }
}
