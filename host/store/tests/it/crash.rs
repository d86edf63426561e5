//! A process that accepts and ends jobs is killed in the middle, again and again: what it was told to be on disk is there.

use crate::support::{exit, id, job, open};
use corovan_store::{Ended, JobId, Journal, State};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

/// Where the child finds the store, and how many jobs there were before.
const CHILD: &str = "COROVAN_STORE_CRASH_CHILD";
/// How often it is killed; more in long runs.
const CRASHES: &str = "COROVAN_CRASHES";

/// What the parent was told, by number of the job.
#[derive(Default)]
struct Told {
    accepted: BTreeSet<u64>,
    /// The value that its exit has.
    ended: BTreeMap<u64, u64>,
    last: u64,
}

#[test]
fn what_was_told_to_be_on_disk_is_there_however_often_the_process_is_killed() {
    if let Ok(told) = std::env::var(CHILD) {
        let (dir, first) = told.rsplit_once('#').unwrap();
        return child(Path::new(dir), first.parse().unwrap());
    }
    let crashes = std::env::var(CRASHES).map_or(5, |text| text.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let (mut told, mut random) = (Told::default(), 7_u64);
    for _ in 0..crashes {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        life(dir.path(), &mut told, 20 + (random >> 33) % 400);
        check(dir.path(), &told);
    }
    println!("{crashes} crashes, {} jobs accepted, {} ended", told.accepted.len(), told.ended.len());
    assert!(told.ended.len() > 5);
}

/// A process that is killed after it has told so many things.
fn life(dir: &Path, told: &mut Told, lines: u64) {
    let test = "crash::what_was_told_to_be_on_disk_is_there_however_often_the_process_is_killed";
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(CHILD, format!("{}#{}", dir.display(), told.last + 1))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
    let read = |told: &mut Told, line: String| {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |at: usize| words[at].parse::<u64>().unwrap();
        match words[0] {
            "accepted" => _ = told.accepted.insert(number(1)),
            "ended" => assert_eq!(told.ended.insert(number(1), number(2)), None, "a second end of {}", number(1)),
            _ => return false,
        }
        told.last = told.last.max(number(1));
        true
    };
    let mut seen = 0;
    while seen < lines {
        let line = output.next().expect("it does not end by itself").unwrap();
        seen += u64::from(read(told, line));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // What it had told before it was killed counts as well; a last part of a line does not.
    for line in output.map_while(Result::ok).filter(|line| line.ends_with(" .")) {
        read(told, line);
    }
    // It may have begun more than it told of.
    told.last += 1_000;
}

fn check(dir: &Path, told: &Told) {
    let store = open(dir);
    for number in &told.accepted {
        let view = store.get(id(*number)).unwrap();
        let view = view.unwrap_or_else(|| panic!("job {number} was accepted and is not there"));
        let result = store.result(id(*number)).unwrap();
        assert_eq!(matches!(view.state, State::Ended(_)), result.is_some());
        if let Some(value) = told.ended.get(number) {
            let (_, kept) = result.unwrap_or_else(|| panic!("job {number} was ended and has no exit"));
            assert_eq!(&kept[..], value.to_le_bytes(), "job {number} has another's value");
        }
    }
    // Whatever is open has no exit, and the counts are those of what is there.
    let (mut open_jobs, mut after) = (0, None::<JobId>);
    loop {
        let page = store.unfinished(after, 1_000).unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        assert!(page.iter().all(|job| !matches!(job.state, State::Ended(_))));
        open_jobs += page.len() as u64;
    }
    let (mut all, mut ended, mut after) = (0, 0, None::<JobId>);
    loop {
        let page = store.list("me", after, 1_000).unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        all += page.len() as u64;
        ended += page.iter().filter(|job| matches!(job.state, State::Ended(_))).count() as u64;
    }
    assert_eq!(store.usage("me").unwrap().jobs, all);
    assert_eq!(open_jobs + ended, all);
}

/// Accepts, begins and ends jobs, many at a time, until it is killed; tells each thing when it is on disk.
fn child(dir: &Path, first: u64) {
    let store = open(dir);
    let mut out = std::io::stdout().lock();
    let mut number = first;
    loop {
        let some: Vec<u64> = (number..number + 8).collect();
        number += 8;
        let accepted: Vec<_> = some.iter().map(|number| store.accept(job(*number, "me"))).collect();
        for (number, accepted) in some.iter().zip(accepted) {
            accepted.wait().unwrap();
            writeln!(out, "accepted {number} .").unwrap();
        }
        // One of two goes on; the others wait for a later life.
        let begun: Vec<_> =
            some.iter().step_by(2).map(|number| (*number, store.begin(id(*number), "a".into(), None, 1))).collect();
        for (number, begun) in begun {
            let attempt = begun.wait().unwrap().unwrap();
            let value = number.wrapping_mul(31);
            // Two that tell the same end at once: one of them counts.
            let ends = [
                store.end(id(number), exit(attempt, &value.to_le_bytes(), 2)),
                store.end(id(number), exit(attempt, b"no", 3)),
            ];
            let ends = ends.map(|end| end.wait().unwrap());
            assert_eq!(ends, [Ended::First, Ended::Superseded]);
            writeln!(out, "ended {number} {value} .").unwrap();
        }
        out.flush().unwrap();
    }
}
