//! Links of Markdown files to files of the repository. Links to other sites are not asked for: a test needs no network.

use std::path::{Component, Path, PathBuf};

use super::{Problem, only};

/// Links that lead nowhere.
pub fn check(texts: &[(String, String)], root: &Path) -> Vec<Problem> {
    broken(texts, |path| root.join(path).exists())
}

fn broken(texts: &[(String, String)], exists: impl Fn(&Path) -> bool) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (path, text) in texts.iter().filter(|(path, _)| path.ends_with(".md")) {
        let folder = Path::new(path).parent().unwrap_or(Path::new(""));
        let mut fenced = false;
        for (index, line) in text.lines().enumerate() {
            if line.trim_start().starts_with("```") {
                fenced = !fenced;
            }
            if fenced {
                continue;
            }
            for target in targets(line) {
                let file = target.split(['#', '?']).next().unwrap_or_default();
                let there = || resolved(folder, file).is_some_and(|place| exists(&place));
                if !file.is_empty() && !is_elsewhere(&target) && !there() {
                    problems.push(Problem::at(path, index + 1, format!("the link to `{target}` leads nowhere")));
                }
            }
        }
    }
    problems
}

/// `[text](target)`, `[text](target "title")` and `[name]: target`, outside of `code`.
fn targets(line: &str) -> Vec<String> {
    let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join("code");
    let mut found: Vec<String> = prose
        .match_indices("](")
        .filter_map(|(at, _)| prose[at + 2..].split(')').next())
        .filter_map(|target| target.split_whitespace().next())
        .map(|target| target.trim_matches(['<', '>']).to_string())
        .collect();
    let definition = prose.trim_start().strip_prefix('[').and_then(|rest| rest.split_once("]:"));
    if let Some((name, target)) = definition
        && !name.contains(']')
    {
        found.extend(target.split_whitespace().next().map(String::from));
    }
    found
}

fn is_elsewhere(target: &str) -> bool {
    target.contains("://") || target.starts_with("mailto:")
}

/// The path from the top of the repository; `None` if it leads out of it.
fn resolved(folder: &Path, target: &str) -> Option<PathBuf> {
    let mut place = PathBuf::new();
    for part in folder.join(target).components() {
        match part {
            Component::Normal(name) => place.push(name),
            Component::ParentDir if !place.pop() => return None,
            Component::RootDir | Component::Prefix(_) => return None,
            _ => {}
        }
    }
    Some(place)
}

#[test]
fn a_link_that_leads_nowhere_is_found() {
    let text = "# A\n[good](b.md#part), [site](https://example.org/x), [here](#a), `[code](no.md)`\n```\n[no](no.md)\n```\n\
                [bad](../gone.md)\n[far](../../x)\n[ref]: gone.md\n";
    let texts = [("docs/a.md".to_string(), text.to_string()), ("a.rs".to_string(), "[x](y)".to_string())];
    let problems = broken(&texts, |path| path == Path::new("docs/b.md"));
    let lines: Vec<usize> = problems.iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [6, 7, 8]);
    assert_eq!(only(&problems[..1]).1, "the link to `../gone.md` leads nowhere");
}
