//! What every file must be: begun with a promise, short, finished, and free of keys, binaries and one machine's paths.

use super::source::{Source, word_ends};
use super::{Problem, only, sample};

/// Above this, a file has more than one subject.
const LONGEST: usize = 500;

/// Files and folders of binary files that belong here, and why.
const BINARIES: &[(&str, &str)] = &[];

/// Endings of files that are never committed: keys and certificates are made afresh, modules are built.
const REFUSED: &[&str] = &["pem", "key", "crt", "cer", "der", "p12", "pfx", "wasm", "cwasm", "o", "a", "so", "rlib"];

/// Files without `//!` on their first line.
pub fn promises(sources: &[Source]) -> Vec<Problem> {
    let silent = sources.iter().filter(|source| !source.text.starts_with("//!"));
    silent.map(|source| Problem::at(&source.path, 1, "opens with `//!` and what the file is for")).collect()
}

/// Files of `src` that are too long.
pub fn too_long(sources: &[Source]) -> Vec<Problem> {
    let in_src = sources.iter().filter(|source| source.path.contains("/src/"));
    let lengths = in_src.map(|source| (source, source.text.lines().count()));
    let long = lengths.filter(|(_, length)| *length > LONGEST);
    long.map(|(source, length)| Problem::at(&source.path, LONGEST, format!("{length} lines: split it"))).collect()
}

/// Code that says itself that it is not finished.
pub fn unfinished(sources: &[Source]) -> Vec<Problem> {
    let mark = ["FIX", "ME"].concat();
    let mut problems = Vec::new();
    for source in sources {
        for (number, line) in source.lines() {
            for name in ["todo", "unimplemented", "dbg"] {
                if word_ends(line, name).into_iter().any(|end| line[end..].starts_with('!')) {
                    problems.push(Problem::at(&source.path, number, format!("`{name}!`: finish it")));
                }
            }
        }
        for (index, line) in source.text.lines().enumerate() {
            if line.contains(&mark) {
                problems.push(Problem::at(&source.path, index + 1, format!("{mark}: mend it, or file an issue")));
            }
        }
    }
    problems
}

/// Paths that exist on one person's machine.
pub fn machine_paths(texts: &[(String, String)]) -> Vec<Problem> {
    // Put together here, lest the list finds itself.
    let places = ["home", "root", "Users", "work"].map(|place| format!("/{place}/"));
    let mut problems = Vec::new();
    for (path, text) in texts {
        for (index, line) in text.lines().enumerate() {
            for place in &places {
                let begins = |(at, _): (usize, &str)| {
                    let before = line[..at].chars().next_back();
                    !before.is_some_and(|c| c.is_alphanumeric() || "_-./}>)*~".contains(c))
                };
                if line.match_indices(place.as_str()).any(begins) {
                    problems.push(Problem::at(path, index + 1, format!("`{place}...` is a path of one machine")));
                }
            }
        }
    }
    problems
}

/// Private keys in text files, whatever the file is called, and names that are refused.
pub fn secrets(texts: &[(String, String)]) -> Vec<Problem> {
    let mark = ["PRIVATE", "KEY-----"].join(" ");
    let mut problems = Vec::new();
    for (path, text) in texts {
        if let Some(index) = text.lines().position(|line| line.contains(&mark)) {
            problems.push(Problem::at(path, index + 1, "a private key: never commit one, and count this one as lost"));
        }
        if is_refused(path) {
            problems.push(Problem::at(path, 1, "keys, certificates and built files are not committed"));
        }
    }
    problems
}

/// Files that are not text and not on the list.
pub fn binaries(paths: &[String]) -> Vec<Problem> {
    let listed = |path: &str| BINARIES.iter().any(|(prefix, _)| path.starts_with(prefix));
    let unlisted = paths.iter().filter(|path| is_refused(path) || !listed(path));
    unlisted.map(|path| Problem::at(path, 1, format!("a binary file: build it, or list it in {}", file!()))).collect()
}

fn is_refused(path: &str) -> bool {
    path.rsplit_once('.').is_some_and(|(_, ending)| REFUSED.contains(&ending))
}

fn text(path: &str, text: &str) -> Vec<(String, String)> {
    vec![(path.to_string(), text.to_string())]
}

#[test]
fn a_file_without_promise_is_found() {
    assert_eq!(only(&promises(&sample("xtask/src/a.rs", "use std::fs;\n"))).0, 1);
    assert_eq!(promises(&sample("xtask/src/a.rs", "//! Does a thing.\n")), []);
}

#[test]
fn a_long_file_is_found() {
    let long = "//! A.\n".to_string() + &"x\n".repeat(LONGEST);
    assert_eq!(only(&too_long(&sample("host/src/a.rs", &long))).1, "501 lines: split it");
    assert_eq!(too_long(&sample("host/tests/it/a.rs", &long)), []);
}

#[test]
fn unfinished_code_is_found() {
    for bad in ["todo!()", "dbg!(x)", "unimplemented!(\"later\")", &format!("// {}ME: x", "FIX")] {
        assert_eq!(only(&unfinished(&sample("jobs/a.rs", &format!("//! A.\n{bad}\n")))).0, 2, "{bad}");
    }
    assert_eq!(unfinished(&sample("jobs/a.rs", "//! A todo! is not code here.\nlet todo = !x;\n")), []);
}

#[test]
fn a_path_of_one_machine_is_found() {
    for place in ["home", "root", "Users", "work"] {
        for bad in
            [format!("cd /{place}/me/corovan"), format!("see `/{place}/.cargo`"), format!("path = \"/{place}/x\"")]
        {
            assert_eq!(only(&machine_paths(&text("README.md", &bad))).0, 1, "{bad}");
        }
    }
    for good in ["https://example.org/home/page", "frame/work/unit", "a /homework/ b", "$DIR/work/x, ${DIR}/work/x"] {
        assert_eq!(machine_paths(&text("README.md", good)), [], "{good}");
    }
}

#[test]
fn keys_and_binaries_are_found() {
    let key = format!("x\n-----BEGIN {} KEY-----\n", "PRIVATE");
    assert_eq!(only(&secrets(&text("docs/a.md", &key))).0, 2);
    assert_eq!(secrets(&text("certs/node.crt", "")).len(), 1);
    assert_eq!(binaries(&["jobs/hello.wasm".to_string()]).len(), 1);
}
