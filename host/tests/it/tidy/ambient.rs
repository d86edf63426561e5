//! Time, tasks and randomness are arguments, so that the same code runs on virtual time from one seed. Only the files
//! named here may take them from the air.

use super::source::{Source, word_ends};
use super::{Problem, only, sample};

/// Code that takes something from the air: the last word, and what stands before it if that matters.
const AMBIENT: &[(&str, &str)] = &[
    ("Instant", "::now"),
    ("SystemTime", "::now"),
    ("tokio", "::spawn"),
    ("tokio", "::task::spawn"),
    ("thread_rng", ""),
    ("getrandom", ""),
    ("OsRng", ""),
    ("rand", "::rng"),
    ("rand", "::random"),
];

/// A file, or a folder ending in `/`, that may, and why.
const ALLOWED: &[(&str, &str)] = &[
    ("host/src/runtime/clock.rs", "the real clock, behind the trait that all others use"),
    ("host/src/node.rs", "the composition root: makes the clock, the seed and the tasks"),
    ("host/src/tasks.rs", "the one place that spawns, by kind"),
    ("host/src/main.rs", "outside the node"),
    ("host/src/cli/", "outside the node: progress, certificates' dates and keys"),
    ("host/client/src/", "runs in a user's program, in real time"),
];

/// What is taken from the air outside the list. Tests and benchmarks are free.
pub fn check(sources: &[Source]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for source in sources.iter().filter(|source| source.is_under("host/")) {
        if ALLOWED.iter().any(|(path, _)| source.is_under(path)) {
            continue;
        }
        for (number, line) in source.lines().filter(|(number, _)| !source.is_test(*number)) {
            for (word, after) in AMBIENT {
                if takes(line, word, after) {
                    let what = format!(
                        "`{word}{after}`: take it as an argument (a clock, a seed, `tasks`), or list the file in {}",
                        file!()
                    );
                    problems.push(Problem::at(&source.path, number, what));
                }
            }
        }
    }
    problems
}

fn takes(line: &str, word: &str, after: &str) -> bool {
    word_ends(line, word).into_iter().any(|end| match line[end..].strip_prefix(after) {
        Some(rest) => !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'),
        None => false,
    })
}

#[test]
fn ambient_time_tasks_and_randomness_are_found() {
    for bad in [
        "let now = Instant::now();",
        "let now = std::time::SystemTime::now();",
        "let now = started.get_or_insert_with(Instant::now);",
        "tokio::spawn(async {});",
        "getrandom::fill(&mut bytes);",
        "let id: u64 = rand::random();",
    ] {
        let problems = check(&sample("host/src/net/a.rs", &format!("//! A.\n{bad}\n")));
        assert_eq!(only(&problems).0, 2, "{bad}");
    }
}

#[test]
fn an_argument_a_test_and_a_listed_file_are_fine() {
    let good = "//! Not Instant::now().\nfn f(now: Instant) { tokio::spawner(); rand::rngs() }\n";
    assert_eq!(check(&sample("host/src/net/a.rs", good)), []);
    assert_eq!(check(&sample("host/src/net/a.rs", "#[cfg(test)]\nmod tests { fn f() { Instant::now(); } }\n")), []);
    assert_eq!(check(&sample("host/src/cli/run.rs", "let begin = Instant::now();")), []);
    assert_eq!(check(&sample("guest-sdk/src/time.rs", "Instant::now()")), []);
}
