//! Tidy tests: what CONTRIBUTING.md promises about the shape of the code, held by a scan of the text. A rule is a function
//! from files to problems, tried out below on a small bad text, so that each is known to bite. What a rule lets through is
//! one line with its reason, in the table beside the rule.

mod ambient;
mod fences;
mod files;
mod layers;
mod links;
mod source;

use std::fmt;
use std::sync::OnceLock;

use source::{Files, Source};

/// One broken rule, at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Problem {
    file: String,
    line: usize,
    what: String,
}

impl Problem {
    fn at(file: &str, line: usize, what: impl Into<String>) -> Problem {
        Problem { file: file.to_string(), line, what: what.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.what)
    }
}

#[test]
fn every_source_file_opens_with_its_promise() {
    none(files::promises(&repo().sources));
}

#[test]
fn no_source_file_is_too_long_or_unfinished() {
    none(files::too_long(&repo().sources));
    none(files::unfinished(&repo().sources));
}

#[test]
fn no_machine_path_key_or_binary_is_in_the_repository() {
    none(files::machine_paths(&repo().texts));
    none(files::secrets(&repo().texts));
    none(files::binaries(&repo().binaries));
}

#[test]
fn modules_use_only_lower_rows() {
    none(layers::check(&repo().sources));
}

#[test]
fn libraries_stay_where_they_belong() {
    none(fences::check(&repo().sources));
    none(fences::manifests(&repo().texts));
}

#[test]
fn time_tasks_and_randomness_come_from_the_composition_root() {
    none(ambient::check(&repo().sources));
}

#[test]
fn unsafe_lives_in_few_named_files() {
    none(fences::unsafe_code(&repo().sources));
}

#[test]
fn links_between_documents_lead_somewhere() {
    none(links::check(&repo().texts, &source::root()));
}

/// The files of the repository, read once.
fn repo() -> &'static Files {
    static FILES: OnceLock<Files> = OnceLock::new();
    FILES.get_or_init(Files::of_repository)
}

#[track_caller]
fn none(problems: Vec<Problem>) {
    let list: Vec<String> = problems.iter().map(Problem::to_string).collect();
    assert!(problems.is_empty(), "\n{}\n", list.join("\n"));
}

/// For the rules' own tests: a source file of this text.
fn sample(path: &str, text: &str) -> Vec<Source> {
    vec![Source::new(path, text)]
}

/// For the rules' own tests: where and what, of the only problem.
#[track_caller]
fn only(problems: &[Problem]) -> (usize, &str) {
    assert_eq!(problems.len(), 1, "{problems:?}");
    (problems[0].line, &problems[0].what)
}
