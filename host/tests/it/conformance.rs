//! The definition of the host interface, as jobs that check themselves: every function, every error and every trap that
//! `corovan.h` names for it has a case in `jobs/api`. How they are to be run is in the README there; here they run on
//! virtual time, each in a computation of its own, of which nothing may be left.

mod on_a_node;

use crate::support::{Bench, Remember};
use corovan::hostcalls;
use corovan::runtime::{Group, Launch, Tenant};
use corovan_core::code::Code;
use corovan_core::ids::{Address, ModuleHash, NodeId};
use corovan_core::limits;
use corovan_core::sync::fair_queue::Share;
use corovan_core::tenancy::quota::{Ledger, Limits, Resource};
use corovan_core::wire::{ExitRecord, Outcome};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// What cannot be met on one node, and why. A case that can be written must not be here.
const NOT_HERE: &[(&str, &str, &str)] = &[
    ("resume", "timeout", "a resume waits for a remote node alone"),
    ("resume", "interrupted", "the same"),
    ("spawn", "timeout", "the timeout is for a remote node to accept"),
    ("spawn", "interrupted", "it waits for a module that is not ready: `attack_coroutines` has that"),
    ("interrupt", "timeout", "an interrupt waits for a remote node alone"),
    ("interrupt", "interrupted", "the same"),
    ("status", "timeout", "a status waits for a remote node alone"),
    ("status", "interrupted", "the same"),
    ("reply", "node-lost", "who asked is on this node"),
    ("channel_subscribe", "retry", "another subscription can be in the way only where channels are on several nodes"),
    ("channel_subscribe", "timeout", "a subscription waits for a remote node alone"),
    ("channel_subscribe", "interrupted", "the same"),
    ("channel_unsubscribe", "timeout", "it waits for a remote node alone"),
    ("channel_unsubscribe", "interrupted", "the same"),
    ("channel_transform", "overloaded", "a function is looked for, not run: what is too much is told who sends"),
    ("channel_transform", "interrupted", "it waits for a module that is not ready, as spawn does"),
    ("register", "timeout", "a registration waits for a remote node alone"),
    ("register", "interrupted", "the same"),
    ("locate", "denied", "a name of this node is any coroutine's of the tenant's to find"),
    ("locate", "overloaded", "10,000 coroutines that wait at a time are more than a bench or a small node has"),
    ("wait", "handle", "there are no sockets and streams yet: such an entry is `unsupported`"),
];

const HEADER: &str = include_str!("../../../guest-sdk/abi/corovan.h");

/// What a case may need from outside; the words of `;;! needs`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Need {
    OtherTenant,
    EarlierNode,
    OtherNode,
    Module,
    BadModule,
    Unstartable,
    FewCoroutines,
    LittleHeld,
    OneWorker,
    Ending,
    OtherComputation,
    Alone,
}

/// One exported function of one job.
#[derive(Debug)]
struct Case {
    name: String,
    needs: Vec<Need>,
}

/// One file of `jobs/api`.
struct Job {
    /// The host function.
    name: String,
    wat: String,
    cases: Vec<Case>,
}

/// A function as the header has it.
struct Function {
    name: String,
    errors: BTreeSet<String>,
    traps: BTreeSet<String>,
}

/// What can be an argument.
#[derive(Clone, Copy)]
struct Given {
    /// An address of the node.
    own: Address,
    /// A coroutine of another tenant's.
    other: Address,
    module: ModuleHash,
    unstartable: ModuleHash,
    bad_module: ModuleHash,
    /// A coroutine of another computation of the same tenant's, which offers what `offers` of partner.wat does.
    other_computation: Address,
}

/// A bench with what cases need from outside.
struct Stage {
    bench: Bench,
    given: Given,
    /// What is there when no case runs.
    residents: usize,
    timers: usize,
}

const NEEDS: &[(&str, Need)] = &[
    ("other-tenant", Need::OtherTenant),
    ("earlier-node", Need::EarlierNode),
    ("other-node", Need::OtherNode),
    ("module", Need::Module),
    ("bad-module", Need::BadModule),
    ("unstartable", Need::Unstartable),
    ("few-coroutines", Need::FewCoroutines),
    ("little-held", Need::LittleHeld),
    ("one-worker", Need::OneWorker),
    ("ending", Need::Ending),
    ("other-computation", Need::OtherComputation),
    ("alone", Need::Alone),
];

const PRELUDE: &str = ";;! prelude";
const EXACTLY: &str = ";;! exactly";
const SECOND: Duration = Duration::from_secs(1);
/// No case takes as long: what runs then is a case that waits for ever.
const PATIENCE: Duration = Duration::from_secs(600);

#[test]
fn every_host_function_does_what_the_header_says() {
    let chosen = std::env::var("COROVAN_CASE").unwrap_or_default();
    let stage = Stage::new();
    let mut failures = Vec::new();
    let mut run = 0;
    for job in jobs() {
        for case in &job.cases {
            let title = format!("{}.{}", job.name, case.name);
            if !title.contains(&chosen) {
                continue;
            }
            run += 1;
            if let Err(why) = stage.run(&job, case) {
                failures.push(format!("{title}: {why}"));
            }
        }
    }
    assert!(run > 0, "no case is called {chosen:?}");
    assert!(failures.is_empty(), "{} of {run} failed:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn every_host_function_has_a_case_for_each_of_its_errors_and_traps_and_for_no_other() {
    let jobs = jobs();
    let bench = Bench::manual();
    let imports = hostcalls::imports(&bench.runtime.engine, &bench.linker).unwrap();
    let linked: BTreeSet<String> =
        imports.into_iter().filter(|(module, ..)| module == "corovan").map(|(_, name, _)| name).collect();
    let header = header();
    let mut problems = Vec::new();
    for name in &linked {
        let job = jobs.iter().find(|job| job.name == *name);
        match (job, header.iter().find(|function| function.name == *name)) {
            (Some(job), Some(function)) => job.compare(function, &mut problems),
            (_, None) => problems.push(format!("{name}: corovan.h does not say that it is there")),
            (None, _) => problems.push(format!("{name}: there is no jobs/api/{name}.wat")),
        }
    }
    problems.extend(
        jobs.iter()
            .filter(|job| !linked.contains(&job.name))
            .map(|job| format!("jobs/api/{}.wat: there is no host function of this name", job.name)),
    );
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

impl Job {
    fn read(path: &Path, prelude: &str) -> Job {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(path).unwrap();
        assert_eq!(text.matches(PRELUDE).count(), 1, "{name}: `{PRELUDE}` stands in it once");
        let exact = "$is64 (i64.sub (call $monotonic)";
        assert!(
            !text.contains(exact),
            "{name}: for what has passed there is `$elapsed`, which a real clock may exceed"
        );
        let wat = text.replace(PRELUDE, prelude);
        let mut cases = Vec::new();
        let mut needs = Vec::new();
        for line in text.lines() {
            if let Some(words) = line.trim().strip_prefix(";;! needs ") {
                let need = |word: &str| {
                    let found = NEEDS.iter().find(|(known, _)| *known == word);
                    found.unwrap_or_else(|| panic!("{name}: nobody knows what {word:?} is")).1
                };
                needs = words.split_whitespace().map(need).collect();
            }
            if let Some(export) = line.split_once("(func (export \"").and_then(|(_, rest)| rest.split_once('"')) {
                let needs = std::mem::take(&mut needs);
                if !export.0.starts_with("helper_") {
                    cases.push(Case { name: export.0.to_owned(), needs });
                }
            }
        }
        Job { name, wat, cases }
    }

    fn compare(&self, function: &Function, problems: &mut Vec<String>) {
        let words = |kind: &str, known: &BTreeSet<String>| -> BTreeSet<String> {
            let of_kind = self.cases.iter().filter_map(|case| case.name.strip_prefix(kind));
            of_kind.map(|rest| word(rest, known).unwrap_or_else(|| rest.to_owned())).collect()
        };
        let codes: BTreeSet<String> = Code::ALL.iter().map(|code| code.name().to_owned()).collect();
        let traps = ["pointer", "text", "handle", "options"].map(str::to_owned).into_iter().collect();
        let lists =
            [("error", &function.errors, words("error_", &codes)), ("trap", &function.traps, words("trap_", &traps))];
        for (kind, expected, found) in lists {
            for word in expected {
                let excused = NOT_HERE.iter().any(|(name, excused, _)| *name == self.name && excused == word);
                if excused == found.contains(word) {
                    let what = if excused { "has a case, and NOT_HERE says that it cannot" } else { "has no case" };
                    problems.push(format!("{}: {kind} {word} {what}", self.name));
                }
            }
            for word in found.difference(expected) {
                problems.push(format!("{}: {kind} {word} has a case, and corovan.h does not name it", self.name));
            }
        }
        let first = |case: &Case, word: &str| case.name.starts_with(word);
        if !self.cases.iter().any(|case| first(case, "normal") || first(case, "fails_normal")) {
            problems.push(format!("{}: it has no case of normal use", self.name));
        }
        for case in &self.cases {
            if !["normal", "error_", "trap_", "fails_", "terminated_"].iter().any(|word| first(case, word)) {
                problems.push(format!("{}: {} has no word of the README for how it ends", self.name, case.name));
            }
        }
    }
}

/// The longest known word that a case's name goes on with.
fn word(rest: &str, known: &BTreeSet<String>) -> Option<String> {
    let begins = |word: &&String| {
        let after = rest.strip_prefix(word.replace('-', "_").as_str());
        after.is_some_and(|after| after.is_empty() || after.starts_with('_'))
    };
    known.iter().filter(begins).max_by_key(|word| word.len()).cloned()
}

impl Given {
    /// Addresses and hashes, as an array of byte strings, in the order in which they are needed.
    fn args(&self, needs: &[Need]) -> Vec<u8> {
        let own = self.own;
        let given = needs.iter().filter_map(|need| match need {
            Need::OtherTenant => Some(self.other.to_bytes()),
            Need::EarlierNode => Some(Address { incarnation: own.incarnation - 1, ..own }.to_bytes()),
            Need::OtherNode => Some(Address { node: NodeId([9; 12]), ..own }.to_bytes()),
            Need::Module => Some(self.module.0),
            Need::Unstartable => Some(self.unstartable.0),
            Need::BadModule => Some(self.bad_module.0),
            Need::OtherComputation => Some(self.other_computation.to_bytes()),
            Need::FewCoroutines | Need::LittleHeld | Need::OneWorker | Need::Ending | Need::Alone => None,
        });
        let mut args = vec![0x80];
        for bytes in given {
            args[0] += 1;
            args.extend([0x58, 32]);
            args.extend(bytes);
        }
        args
    }
}

impl Stage {
    fn new() -> Stage {
        let bench = Bench::manual();
        let partner = shared("partner.wat");
        let (module, unstartable) = (bench.ship(&partner), bench.ship(&shared("broken.wat")));
        let bad_module = ModuleHash::of(b"no module");
        bench.modules().refuse(bad_module, Code::BadModule);
        let stranger = Arc::new(Remember::default());
        let launch = bench.launch(&bench.program(&partner, "idles"), &stranger);
        let group = bench.computation(&bench.other_tenant());
        let launch = Launch { group, deadline: Duration::MAX, ..launch };
        let other = bench.runtime.launch(launch).unwrap().address;
        bench.advance(Duration::ZERO);
        let (residents, timers) = (bench.runtime.registry.len(), bench.runtime.scheduler.timers());
        // Every case is a tenant's of its own, and so is what it needs of that.
        let given = Given { own: other, other, module, unstartable, bad_module, other_computation: other };
        Stage { bench, given, residents, timers }
    }

    fn run(&self, job: &Job, case: &Case) -> Result<(), String> {
        let bench = &self.bench;
        let limits = Limits {
            coroutines: if case.needs.contains(&Need::FewCoroutines) { 4 } else { 1 << 20 },
            memory: 1 << 40,
            held: if case.needs.contains(&Need::LittleHeld) { 256 << 10 } else { 1 << 30 },
            connections: 0,
        };
        let tenant = Arc::new(Tenant::new("case", Arc::new(Ledger::new(limits)), Arc::new(Share::new(2, 100))));
        let group = bench.computation(&tenant);
        let other = case.needs.contains(&Need::OtherComputation).then(|| self.offer(&tenant));
        let given = Given { other_computation: other.as_ref().map_or(self.given.own, |(_, it)| *it), ..self.given };
        let seen = Arc::new(Remember::default());
        let program = bench.program(&job.wat, &case.name);
        let launch =
            Launch { group: Arc::clone(&group), args: given.args(&case.needs).into(), ..bench.launch(&program, &seen) };
        bench.runtime.launch(launch).unwrap();
        drop(program);
        self.pass(SECOND);
        if case.needs.contains(&Need::Ending) {
            bench.runtime.end(&group, "node", "the node stops", PATIENCE / 2);
        }
        self.pass(PATIENCE);
        let judged = judge(case, &seen);
        bench.runtime.close(&group);
        other.iter().for_each(|(other, _)| bench.runtime.close(other));
        self.pass(PATIENCE);
        judged.and_then(|()| self.is_clean(&tenant, group.population()))
    }

    /// Another computation of a tenant's, and the address of the coroutine that is in it.
    fn offer(&self, tenant: &Arc<Tenant>) -> (Arc<Group>, Address) {
        let (bench, group) = (&self.bench, self.bench.computation(tenant));
        let program = bench.program(&shared("partner.wat"), "offers");
        let launch = bench.launch(&program, &Arc::new(Remember::default()));
        let launch = Launch { group: Arc::clone(&group), daemon: true, ..launch };
        let address = bench.runtime.launch(launch).unwrap().address;
        self.pass(Duration::ZERO);
        (group, address)
    }

    /// Runs what is to be done in the time from now on.
    fn pass(&self, time: Duration) {
        self.bench.advance(Duration::from_nanos(self.bench.runtime.clock().now()) + time);
    }

    /// Nothing is left of a case when its computation is closed.
    fn is_clean(&self, tenant: &Tenant, population: (usize, usize)) -> Result<(), String> {
        let is = |what: &str, found: usize, expected: usize| match found == expected {
            true => Ok(()),
            false => Err(format!("it leaves {what}: {found} instead of {expected}")),
        };
        is("working coroutines", population.0, 0)?;
        is("daemons", population.1, 0)?;
        is("residents", self.bench.runtime.registry.len(), self.residents)?;
        is("timers", self.bench.runtime.scheduler.timers(), self.timers)?;
        is("names", tenant.names.len(), 0)?;
        is("channels", tenant.channels.len(), 0)?;
        for resource in Resource::ALL {
            is(&format!("{resource} in the ledger"), tenant.ledger.used(resource) as usize, 0)?;
        }
        Ok(())
    }
}

/// A case's name says how it has to end; its partners never trap, but for those that say so.
fn judge(case: &Case, seen: &Remember) -> Result<(), String> {
    match seen.exits.lock().as_slice() {
        [record] => has_ended_well(case, &record.outcome)?,
        other => return Err(format!("it ended {} times", other.len())),
    }
    let traps = |record: &&ExitRecord| {
        matches!(record.outcome, Outcome::Trapped { .. }) && !record.function.starts_with("helper_traps")
    };
    match seen.kin.exits.lock().iter().find(traps) {
        None => Ok(()),
        Some(record) => Err(format!("its partner {}: {:?}", record.function, record.outcome)),
    }
}

fn has_ended_well(case: &Case, outcome: &Outcome) -> Result<(), String> {
    let well = match case.name.split('_').next() {
        Some("trap") => matches!(outcome, Outcome::Trapped { kind, .. } if kind == "host-call"),
        Some("fails") => matches!(outcome, Outcome::Failed { kind, .. } if kind.is_empty() || kind == "expected"),
        Some("terminated") => matches!(outcome, Outcome::Terminated { value: Some(_), .. }),
        _ if case.needs.contains(&Need::Ending) => matches!(outcome, Outcome::Terminated { value: Some(_), .. }),
        _ => matches!(outcome, Outcome::Finished(_)),
    };
    if well { Ok(()) } else { Err(format!("{outcome:?}")) }
}

fn jobs() -> Vec<Job> {
    jobs_with(&shared("prelude.wat"))
}

fn jobs_with(prelude: &str) -> Vec<Job> {
    let files = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|end| end == "wat")).collect();
    files.sort();
    files.iter().map(|path| Job::read(path, prelude)).collect()
}

fn shared(name: &str) -> String {
    std::fs::read_to_string(folder().join("shared").join(name)).unwrap()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../jobs/api")
}

/// The functions that there are, with their errors and traps.
fn header() -> Vec<Function> {
    let mut functions = Vec::new();
    let mut pieces = HEADER.split("\nCOROVAN_IMPORT(");
    let mut doc = pieces.next().unwrap();
    for piece in pieces {
        let text = doc.rsplit_once("/*").unwrap().1.replace("\n * ", " ");
        let name = piece.split_once(')').unwrap().0.to_owned();
        if text.contains("since 1") {
            let list = |head: &str| {
                let list = text.split_once(head).unwrap().1;
                let mut list = without_parentheses(list);
                list.truncate(list.find('.').unwrap());
                list.split(',').map(|word| word.trim().to_owned()).filter(|word| word != "none").collect()
            };
            functions.push(Function { name, errors: list("Errors: "), traps: list("Traps: ") });
        }
        doc = piece;
    }
    assert!(functions.len() > 30, "only {} functions", functions.len());
    functions
}

fn without_parentheses(text: &str) -> String {
    let mut depth = 0;
    let outside = |c: &char| {
        depth += i32::from(*c == '(') - i32::from(*c == ')');
        depth == 0 && *c != ')'
    };
    text.chars().filter(outside).collect()
}

#[test]
fn a_case_without_an_end_is_found_out() {
    let stage = Stage::new();
    let prelude = shared("prelude.wat");
    let wat = format!(
        r#"(module {prelude}
            (func (export "normal") (drop (call $sleep (global.get $FOREVER))))
            (func (export "normal_wrong") (call $is (i32.const 1) (i32.const 2)))
            (func (export "normal_partner") (call $end_of (call $child (i32.const 512) (i32.const 10))))
            (func (export "trap_pointer"))
            (func (export "helper_bad") unreachable)
            (data (i32.const 512) "helper_bad"))"#
    );
    let case = |name: &str| Case { name: name.into(), needs: Vec::new() };
    let job = Job { name: "bad".into(), wat, cases: Vec::new() };
    for name in ["normal", "normal_wrong", "normal_partner", "trap_pointer"] {
        // The first waits for longer than any case may; then its computation is closed, which it outlives.
        assert!(stage.run(&job, &case(name)).is_err(), "{name}");
        stage.pass(Duration::from_secs(2 * 3600));
    }
    assert_eq!(limits::PENDING_TOKENS, 16, "the prelude takes as many");
    assert_eq!(limits::MAILBOX_RESERVED.min(limits::COROUTINE_TIMERS), 100_000, "the same of timers");
}
