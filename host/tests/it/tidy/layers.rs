//! The layers of ARCHITECTURE.md: a module uses its own folder, `telemetry`, and only modules of lower rows. Modules of the
//! same row never see each other; tests inside a module may use their own row as well.

use super::source::{Source, word_ends};
use super::{Problem, only, sample};

/// A crate whose modules have rows.
struct Layered {
    /// The folder of its sources.
    src: &'static str,
    /// How other files name it; its own say `crate`.
    name: &'static str,
    /// Module and row.
    rows: &'static [(&'static str, u8)],
    /// A module that may use another in spite of the rows, and why.
    exceptions: &'static [(&'static str, &'static str, &'static str)],
}

const LAYERED: &[Layered] = &[
    Layered {
        src: "host/core/src/",
        name: "corovan_core",
        rows: &[
            ("ids", 0),
            ("code", 0),
            ("limits", 0),
            ("text", 0),
            ("ulid", 0),
            ("wire", 1),
            ("sync", 1),
            ("tenancy", 1),
            ("membership", 2),
            ("job", 2),
            ("link", 2),
            ("directory", 3),
            ("placement", 3),
        ],
        exceptions: &[],
    },
    Layered {
        src: "host/src/",
        name: "corovan",
        rows: &[
            ("telemetry", 0),
            ("tasks", 1),
            ("tenancy", 1),
            ("modules", 1),
            ("state", 1),
            ("net", 2),
            ("runtime", 2),
            ("hostcalls", 3),
            ("enrol", 3),
            ("cluster", 3),
            ("dispatch", 4),
            ("home", 5),
            ("api", 6),
            ("http", 6),
            ("config", 7),
            ("node", 8),
            ("cli", 9),
            ("main", 9),
        ],
        exceptions: &[("main", "cli", "the binary's entry point does nothing but call the command line")],
    },
];

/// Every use of a module that the rows forbid, and every module that has no row.
pub fn check(sources: &[Source]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for source in sources {
        let Some(layered) = LAYERED.iter().find(|layered| source.is_under(layered.src)) else { continue };
        let place = source.path[layered.src.len()..].trim_end_matches(".rs");
        let parts: Vec<&str> = place.split('/').filter(|part| *part != "mod").collect();
        // The crate's root names every module, to declare it.
        let Some(module) = parts.first().copied().filter(|module| *module != "lib") else { continue };
        let Some(row) = layered.row(module) else {
            problems.push(Problem::at(
                &source.path,
                1,
                format!("module `{module}` has no row; give it one in {}", file!()),
            ));
            continue;
        };
        for (line, used) in uses(source, layered, parts.len()) {
            if let Some(what) = layered.refusal(module, row, &used, source.is_test(line)) {
                problems.push(Problem::at(&source.path, line, what));
            }
        }
    }
    problems
}

impl Layered {
    fn row(&self, module: &str) -> Option<u8> {
        self.rows.iter().find(|(name, _)| *name == module).map(|(_, row)| *row)
    }

    fn refusal(&self, module: &str, row: u8, used: &str, test: bool) -> Option<String> {
        // What is not a module is a macro or an item of the crate's root.
        let used_row = self.row(used)?;
        let excepted = self.exceptions.iter().any(|(user, other, _)| *user == module && *other == used);
        let lower = used_row < row || (test && used_row == row);
        if used == module || used == "telemetry" || lower || excepted {
            return None;
        }
        Some(format!("`{module}` (row {row}) must not use `{used}` (row {used_row}): only lower rows"))
    }
}

/// The crate's modules that this file names, with the line: `crate::x`, `crate::{x, y::z}`, the crate's own name, and as
/// many `super` as lead to the crate's root. `depth` is how deep the file's module is.
fn uses(source: &Source, layered: &Layered, depth: usize) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut offset = 0;
    for (number, line) in source.lines() {
        for root in ["crate", layered.name] {
            for end in word_ends(line, root) {
                found.extend(first_segments(&source.code[offset + end..]).into_iter().map(|name| (number, name)));
            }
        }
        let up = "super::".repeat(depth + usize::from(source.is_test(number)));
        for (at, _) in line.match_indices(&up) {
            let longer = line[..at].ends_with("super::") || line[at + up.len()..].starts_with("super::");
            if !longer {
                // Give back the `::`, as after a crate's name.
                let names = first_segments(&source.code[offset + at + up.len() - 2..]);
                found.extend(names.into_iter().map(|name| (number, name)));
            }
        }
        offset += line.len() + 1;
    }
    found
}

/// The names right after `::`, also several in braces over several lines.
fn first_segments(after: &str) -> Vec<String> {
    let Some(path) = after.strip_prefix("::") else { return Vec::new() };
    let path = path.trim_start();
    let Some(group) = path.strip_prefix('{') else {
        return Some(identifier(path)).filter(|name| !name.is_empty()).into_iter().collect();
    };
    let mut names = Vec::new();
    let mut depth = 0;
    let mut fresh = true;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => fresh = true,
            c if fresh && depth == 0 && !c.is_whitespace() => {
                names.push(identifier(&group[at..]));
                fresh = false;
            }
            _ => {}
        }
    }
    names
}

fn identifier(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

#[test]
fn using_a_higher_row_is_found_with_file_and_line() {
    let bad = sample("host/src/net/endpoint.rs", "//! E.\nuse std::io;\nuse crate::dispatch::Handle;\n");
    let problems = check(&bad);
    assert_eq!(only(&problems), (3, "`net` (row 2) must not use `dispatch` (row 4): only lower rows"));
    assert_eq!(problems[0].file, "host/src/net/endpoint.rs");
}

#[test]
fn neighbours_do_not_see_each_other_except_in_tests() {
    let text = "//! E.\nfn f() { crate::net::g() }\n";
    assert_eq!(only(&check(&sample("host/src/runtime/engine.rs", text))).0, 2);
    let test = "//! E.\n#[cfg(test)]\nmod tests {\n    use crate::net::g;\n    use crate::api::h;\n}\n";
    assert_eq!(only(&check(&sample("host/src/runtime/engine.rs", test))).0, 5);
}

#[test]
fn groups_own_name_and_super_are_seen_through() {
    let group = "//! E.\nuse crate::{\n    telemetry,\n    net::{a, b},\n    api::c,\n};\n";
    assert_eq!(check(&sample("host/src/tasks.rs", group)).len(), 2);
    assert_eq!(check(&sample("host/src/net/a.rs", "use super::super::api::x; use super::b;")).len(), 1);
    assert_eq!(check(&sample("host/src/net/mod.rs", "use super::api::x;")).len(), 1);
    assert_eq!(check(&sample("host/core/src/wire/a.rs", "use corovan_core::job::x;")).len(), 1);
}

#[test]
fn lower_rows_telemetry_words_and_the_root_are_fine() {
    let good =
        "//! See crate::node.\nuse crate::telemetry;\nuse crate::tenancy::{self, Identity};\nlet x = \"crate::cli\";\n";
    assert_eq!(check(&sample("host/src/net/a.rs", good)), []);
    assert_eq!(check(&sample("host/src/telemetry/a.rs", "use crate::telemetry::b; use crate::VERSION;")), []);
    assert_eq!(check(&sample("host/src/lib.rs", "pub use crate::node::Node;")), []);
    assert_eq!(check(&sample("host/src/main.rs", "fn main() { corovan::cli::main() }")), []);
}

#[test]
fn a_module_without_a_row_is_named() {
    let problems = check(&sample("host/src/extras/mod.rs", "//! E.\n"));
    assert!(only(&problems).1.contains("`extras` has no row"));
}
