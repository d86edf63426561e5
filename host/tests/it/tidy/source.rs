//! The files of the repository as the rules see them: Rust with comments and strings blanked, so that a word in a comment
//! is not taken for code, and with the test section marked.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Every file, by what it is.
pub struct Files {
    pub sources: Vec<Source>,
    /// All text files, Rust among them: path and text.
    pub texts: Vec<(String, String)>,
    /// Paths of files that are not text.
    pub binaries: Vec<String>,
}

/// A Rust file.
pub struct Source {
    /// From the top of the repository, with `/`.
    pub path: String,
    pub text: String,
    /// `text` with comments, strings and characters blanked; line for line the same.
    pub code: String,
    /// The line on which `#[cfg(test)] mod ...` begins; to the end of the file it is tests.
    tests_from: usize,
}

impl Files {
    /// What git tracks or would track; without git, everything but what cargo makes.
    pub fn of_repository() -> Files {
        let root = root();
        let mut files = Files { sources: Vec::new(), texts: Vec::new(), binaries: Vec::new() };
        for path in paths(&root) {
            let Ok(bytes) = fs::read(root.join(&path)) else { continue };
            match String::from_utf8(bytes) {
                Ok(text) if !text.contains('\0') => {
                    if path.ends_with(".rs") {
                        files.sources.push(Source::new(&path, &text));
                    }
                    files.texts.push((path, text));
                }
                _ => files.binaries.push(path),
            }
        }
        assert!(files.sources.len() > 20, "found only {} Rust files in {}", files.sources.len(), root.display());
        files
    }
}

impl Source {
    pub fn new(path: &str, text: &str) -> Source {
        let code = blank(text);
        let lines: Vec<&str> = code.lines().collect();
        let is_test_module = |index: usize| {
            let after = lines[index + 1..].iter().map(|line| line.trim()).find(|line| !line.starts_with("#["));
            lines[index].trim() == "#[cfg(test)]" && after.is_some_and(|line| line.starts_with("mod "))
        };
        let tests_from = (0..lines.len()).find(|index| is_test_module(*index)).map_or(usize::MAX, |index| index + 1);
        Source { path: path.to_string(), text: text.to_string(), code, tests_from }
    }

    /// The lines of code with their numbers.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    /// Whether this line only runs in tests.
    pub fn is_test(&self, line: usize) -> bool {
        line >= self.tests_from || self.path.split('/').any(|part| part == "tests" || part == "benches")
    }

    pub fn is_under(&self, folder: &str) -> bool {
        self.path.starts_with(folder)
    }
}

/// The top of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package is in a workspace").to_path_buf()
}

/// Where `word` stands in `line` as a whole word: the byte after it.
pub fn word_ends(line: &str, word: &str) -> Vec<usize> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let whole = |start: &usize| !line[..*start].ends_with(is_part) && !line[*start + word.len()..].starts_with(is_part);
    line.match_indices(word).map(|(start, _)| start).filter(whole).map(|start| start + word.len()).collect()
}

fn paths(root: &Path) -> Vec<String> {
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output();
    let mut paths: Vec<String> = match listed {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).split('\0').map(String::from).collect()
        }
        _ => {
            let mut found = Vec::new();
            walk(root, root, &mut found);
            found
        }
    };
    paths.retain(|path| !path.is_empty());
    paths.sort();
    paths.dedup();
    paths
}

fn walk(root: &Path, folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() && !["target", ".git", "corovan-data"].iter().any(|skipped| name == *skipped) {
            walk(root, &path, found);
        } else if path.is_file() {
            found.extend(path.strip_prefix(root).ok().map(|path| path.to_string_lossy().into_owned()));
        }
    }
}

/// The text with everything that is not code turned to blanks.
fn blank(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped = not_code(rest, code.chars().next_back());
        if skipped == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            code.extend(rest[..skipped].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
            rest = &rest[skipped..];
        }
    }
    code
}

/// How many bytes at the beginning of `text` are a comment, a string or a character.
fn not_code(text: &str, before: Option<char>) -> usize {
    let in_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with("/*") {
        return block_comment(text);
    }
    if let Some(body) = text.strip_prefix('"') {
        return 1 + until_quote(body, '"');
    }
    if !in_word {
        let prefix = ["br", "cr", "r"].iter().find(|prefix| text.starts_with(**prefix));
        let raw = prefix.map(|prefix| (prefix.len(), &text[prefix.len()..]));
        if let Some((length, after)) = raw {
            let hashes = after.len() - after.trim_start_matches('#').len();
            if after[hashes..].starts_with('"') {
                let end = format!("\"{}", "#".repeat(hashes));
                let body = &after[hashes + 1..];
                let size = body.find(&end).map_or(body.len(), |at| at + end.len());
                return length + hashes + 1 + size;
            }
        }
    }
    match text.strip_prefix('\'') {
        Some(after) if after.starts_with('\\') => 1 + until_quote(after, '\''),
        // A lifetime has no quote after its first letter.
        Some(after) => match after.chars().next() {
            Some(c) if after[c.len_utf8()..].starts_with('\'') => 2 + c.len_utf8(),
            _ => 0,
        },
        None => 0,
    }
}

fn block_comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    at
}

/// Bytes up to and with the closing quote.
fn until_quote(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[test]
fn comments_strings_and_characters_are_not_code() {
    let text = "let a = \"use crate::b\"; // crate::c\n/* crate::d /* e */\n f */ let g: &'static str = r#\"h\"i\"#;\nlet j = '\"'; let k = '\\''; l\n";
    let code = blank(text);
    assert_eq!(code.lines().count(), text.lines().count());
    for word in ["crate", "b", "c", "d", "e", "f", "h", "i"] {
        assert!(!code.lines().any(|line| !word_ends(line, word).is_empty()), "{word} in {code}");
    }
    for word in ["let", "a", "static", "str", "g", "j", "k", "l"] {
        assert!(code.lines().any(|line| !word_ends(line, word).is_empty()), "{word} not in {code}");
    }
}

#[test]
fn the_test_section_goes_to_the_end_of_the_file() {
    let source =
        Source::new("host/src/a.rs", "//! A.\n#[cfg(test)]\nuse b;\nfn c() {}\n#[cfg(test)]\nmod tests {\n}\n");
    assert!(!source.is_test(4));
    assert!(source.is_test(5) && source.is_test(7));
    assert!(Source::new("host/tests/it/a.rs", "").is_test(1));
}

#[test]
fn a_word_is_found_only_whole() {
    assert_eq!(word_ends("quinn::x quinn_proto squinn quinn", "quinn"), [5, 33]);
}
