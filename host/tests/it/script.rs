//! Guests written as a list of calls, each of which tells what it gave and when: `open lock a; acquire 1 forever; sleep 2`.
//! On virtual time, in one computation unless said otherwise.

use crate::support::{Bench, Remember};
use corovan::runtime::{Control, Group, Tenant};
use corovan_core::code::Code;
use corovan_core::ids::Address;
use corovan_core::tenancy::quota::Resource;
use corovan_core::wire::Outcome;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

/// A bench and the moment that it has come to.
pub struct Stage {
    pub bench: Bench,
    now: std::cell::Cell<Duration>,
    others: std::cell::RefCell<Vec<Arc<Group>>>,
}

/// A guest that was started.
pub struct Guest {
    pub control: Arc<Control>,
    pub seen: Arc<Remember>,
}

impl Stage {
    pub fn new() -> Stage {
        Stage { bench: Bench::manual(), now: std::cell::Cell::new(Duration::ZERO), others: Default::default() }
    }

    /// Starts a guest, and lets all run that can.
    pub fn play(&self, script: &str) -> Guest {
        self.play_in(&self.bench.group, script)
    }

    pub fn play_in(&self, group: &Arc<Group>, script: &str) -> Guest {
        let guest = self.start(group, &module(script, None));
        self.pass(0);
        guest
    }

    /// The same with an address, which the script calls `given`.
    pub fn play_with(&self, script: &str, given: Address) -> Guest {
        let guest = self.start(&self.bench.group, &module(script, Some(given)));
        self.pass(0);
        guest
    }

    /// Another computation.
    pub fn computation(&self, tenant: &Arc<Tenant>) -> Arc<Group> {
        let group = self.bench.computation(tenant);
        self.others.borrow_mut().push(Arc::clone(&group));
        group
    }

    fn start(&self, group: &Arc<Group>, wat: &str) -> Guest {
        let seen = Arc::new(Remember::default());
        let program = self.bench.program(wat, "f");
        let mut launch = self.bench.launch(&program, &seen);
        launch.group = Arc::clone(group);
        Guest { control: self.bench.runtime.launch(launch).unwrap(), seen }
    }

    /// Lets so many seconds pass.
    pub fn pass(&self, seconds: u64) {
        self.now.set(self.now.get() + Duration::from_secs(seconds));
        self.bench.advance(self.now.get());
    }

    /// Stops a guest hard.
    pub fn kill(&self, guest: &Guest) {
        self.bench.runtime.terminate(&guest.control, "test", "enough", Duration::ZERO);
        self.pass(0);
        assert!(matches!(guest.outcome(), Outcome::Terminated { .. }), "{:?}", guest.outcome());
    }

    /// Ends all, and sees that nothing is left.
    pub fn close(&self) {
        for group in self.others.borrow().iter() {
            self.bench.runtime.end(group, "test", "over", Duration::ZERO);
        }
        self.bench.runtime.end(&self.bench.group, "test", "over", Duration::ZERO);
        self.pass(1);
        self.bench.close();
        let others = self.others.borrow();
        let groups = others.iter().chain([&self.bench.group]);
        groups.for_each(|group| assert_eq!((group.locks.len(), group.population()), (0, (0, 0))));
        assert_eq!(self.bench.runtime.registry.len(), 0);
        assert_eq!(self.bench.tenant.names.len(), 0);
        assert_eq!(self.bench.runtime.scheduler.timers(), 0);
        for resource in Resource::ALL {
            assert_eq!(self.bench.ledger.used(resource), 0, "{resource}");
        }
    }
}

impl Guest {
    /// What its calls gave, a number or a code's name, and in which second: `1@0 timeout@3`.
    pub fn said(&self) -> String {
        let progress = self.seen.progress.lock();
        let words: Vec<String> =
            progress.iter().map(|(given, at, _)| format!("{}@{at}", word(*given as i64))).collect();
        words.join(" ")
    }

    /// The detail of its last error.
    pub fn detail(&self) -> String {
        let progress = self.seen.progress.lock();
        progress.iter().rev().map(|(.., text)| text).find(|text| !text.is_empty()).cloned().unwrap_or_default()
    }

    pub fn outcome(&self) -> Outcome {
        self.seen.outcome()
    }

    /// Why it was trapped.
    pub fn broke(&self) -> String {
        match self.outcome() {
            Outcome::Trapped { kind, backtrace } if kind == "host-call" => backtrace,
            other => panic!("it was to break a rule: {other:?}, {}", self.said()),
        }
    }
}

fn word(given: i64) -> String {
    let code = u16::try_from(-given).ok().and_then(Code::from_number);
    code.map_or(given.to_string(), |code| code.name().to_owned())
}

/// The calls of `locks` and `names` by their imports without a prefix, `sleep SECONDS`, `hang`, `trap`, `end`, and `wat` with
/// anything that leaves a number. Kinds of locks are words, timeouts seconds or `forever`. A name is a word, `-` the empty
/// one, `x*200` two hundred letters, `@4:5` five bytes at address four. Addresses are `self`, `located`, `given`.
pub fn module(script: &str, given: Option<Address>) -> String {
    let (mut body, mut data, mut free) = (String::new(), String::new(), 8192);
    let mut text = |name: &str| {
        if let Some((ptr, len)) = name.strip_prefix('@').and_then(|place| place.split_once(':')) {
            return format!("(i32.const {ptr}) (i32.const {len})");
        }
        let name = match name.split_once('*') {
            _ if name == "-" => String::new(),
            Some((letter, times)) => letter.repeat(times.parse().unwrap()),
            None => name.to_owned(),
        };
        write!(data, "(data (i32.const {free}) \"{name}\")").unwrap();
        let place = format!("(i32.const {free}) (i32.const {})", name.len());
        free += name.len();
        place
    };
    for call in script.split(';').map(str::trim).filter(|call| !call.is_empty()) {
        let words: Vec<&str> = call.split_whitespace().collect();
        let number = |at: usize| format!("(i32.const {})", words[at]);
        let call = match words[0] {
            "wat" => call["wat".len()..].to_owned(),
            "sleep" => {
                write!(body, "(drop (call $sleep {}))", time(words[1])).unwrap();
                continue;
            }
            "hang" => {
                write!(body, "(drop (call $sleep (i64.const -1)))").unwrap();
                continue;
            }
            "trap" => {
                body += "(unreachable)";
                continue;
            }
            "open" => {
                let kind = ["lock", "reentrant", "event", "condition", "semaphore"].iter().position(|k| *k == words[1]);
                let kind = kind.map_or(words[1].to_owned(), |kind| (kind + 1).to_string());
                let count = words.get(3).unwrap_or(&"0");
                format!("(call $lock_open (i32.const {kind}) {} (i32.const {count}))", text(words[2]))
            }
            "acquire" | "wait" => format!("(call $lock_{} {} {})", words[0], number(1), time(words[2])),
            "notify" => format!("(call $lock_notify {} {})", number(1), number(2)),
            "register" => {
                let address = address(words[2]);
                format!("(call $register {} (i32.const {address}) (i64.const 0))", text(words[1]))
            }
            "unregister" => format!("(call $unregister {})", text(words[1])),
            "locate" => format!("(call $found (call $locate {} {} (i32.const 940)))", text(words[1]), time(words[2])),
            one => format!("(call $lock_{one} {})", number(1)),
        };
        write!(body, "(call $tell {call})").unwrap();
    }
    let given = given.unwrap_or_default().to_bytes();
    let given: String = given.iter().map(|byte| format!("\\{byte:02x}")).collect();
    format!(
        "{HEAD} (data (i32.const 980) \"{given}\") {data} (func (export \"f\") (drop (call $self (i32.const 900))) {body}))"
    )
}

fn time(word: &str) -> String {
    match word {
        "forever" => "(i64.const -1)".to_owned(),
        seconds => format!("(i64.const {})", seconds.parse::<u64>().unwrap() * 1_000_000_000),
    }
}

fn address(word: &str) -> u32 {
    match word {
        "self" => 900,
        "located" => 940,
        "given" => 980,
        elsewhere => elsewhere.parse().unwrap(),
    }
}

/// `$many n` opens a lock or registers a name for each number below `n`, under names that begin with the letter at 64, until
/// one is refused.
const HEAD: &str = r#"(module
    (import "corovan" "self" (func $self (param i32) (result i32)))
    (import "corovan" "sleep" (func $sleep (param i64) (result i32)))
    (import "corovan" "monotonic" (func $monotonic (result i64)))
    (import "corovan" "progress" (func $progress (param i64 i64 i32 i32) (result i32)))
    (import "corovan" "last_error" (func $last_error (param i32 i32) (result i32)))
    (import "corovan" "lock_open" (func $lock_open (param i32 i32 i32 i32) (result i32)))
    (import "corovan" "lock_acquire" (func $lock_acquire (param i32 i64) (result i32)))
    (import "corovan" "lock_release" (func $lock_release (param i32) (result i32)))
    (import "corovan" "lock_wait" (func $lock_wait (param i32 i64) (result i32)))
    (import "corovan" "lock_notify" (func $lock_notify (param i32 i32) (result i32)))
    (import "corovan" "lock_set" (func $lock_set (param i32) (result i32)))
    (import "corovan" "lock_clear" (func $lock_clear (param i32) (result i32)))
    (import "corovan" "lock_is_set" (func $lock_is_set (param i32) (result i32)))
    (import "corovan" "lock_close" (func $lock_close (param i32) (result i32)))
    (import "corovan" "register" (func $register (param i32 i32 i32 i64) (result i32)))
    (import "corovan" "unregister" (func $unregister (param i32 i32) (result i32)))
    (import "corovan" "locate" (func $locate (param i32 i32 i64 i32) (result i32)))
    (import "corovan" "swap" (func $swap (param i32 i32 i32 i32 i64) (result i32)))
    (import "corovan" "swap_point" (func $swap_point (param i32 i32) (result i32)))
    (memory (export "memory") 2)
    (data (i32.const 64) "a0000")
    (data (i32.const 72) "swapped\07")
    (data (i32.const 80) "\ff\fe")
    (func $tell (param $given i32) (local $len i32)
        (if (i32.lt_s (local.get $given) (i32.const 0))
            (then (local.set $len (call $last_error (i32.const 2048) (i32.const 2048)))))
        (drop (call $progress (i64.extend_i32_s (local.get $given))
            (i64.div_u (call $monotonic) (i64.const 1000000000)) (i32.const 2048) (local.get $len))))
    ;; The counter of the address that was located.
    (func $found (param i32) (result i32)
        (if (result i32) (local.get 0) (then (local.get 0)) (else (i32.wrap_i64 (i64.load (i32.const 956))))))
    (func $many (param $n i32) (param $names i32) (result i32) (local $i i32) (local $rest i32) (local $at i32)
        (local $given i32)
        (block $out (loop $next
            (br_if $out (i32.ge_u (local.get $i) (local.get $n)))
            (local.set $rest (local.get $i))
            (local.set $at (i32.const 69))
            (loop $digit
                (local.set $at (i32.sub (local.get $at) (i32.const 1)))
                (i32.store8 (local.get $at) (i32.add (i32.const 48) (i32.rem_u (local.get $rest) (i32.const 10))))
                (local.set $rest (i32.div_u (local.get $rest) (i32.const 10)))
                (br_if $digit (i32.gt_u (local.get $at) (i32.const 65))))
            (local.set $given (if (result i32) (local.get $names)
                (then (call $register (i32.const 64) (i32.const 5) (i32.const 900) (i64.const 0)))
                (else (call $lock_open (i32.const 1) (i32.const 64) (i32.const 5) (i32.const 0)))))
            (br_if $out (i32.lt_s (local.get $given) (i32.const 0)))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br $next)))
        (if (result i32) (i32.lt_s (local.get $given) (i32.const 0)) (then (local.get $given)) (else (local.get $i))))
    ;; Asks `given` to go on as `swapped`, agrees to that, and goes on.
    (func $ask (result i32)
        (call $swap (i32.const 980) (i32.const 0) (i32.const 72) (i32.const 7) (i64.const -1)))
    (func $agree (result i32) (call $swap_point (i32.const 79) (i32.const 1)))
    (func (export "swapped")
        (drop (call $sleep (i64.const 1000000000)))
        (call $tell (call $lock_release (i32.const 1)))
        (call $tell (call $lock_release (i32.const 1)))
        (drop (call $sleep (i64.const -1))))
    (func $letter (param i32) (result i32) (i32.store8 (i32.const 64) (local.get 0)) (i32.const 0))
    ;; How often it could be acquired at once.
    (func $deep (param $lock i32) (result i32) (local $i i32)
        (loop $again
            (if (i32.eqz (call $lock_acquire (local.get $lock) (i64.const 0)))
                (then (local.set $i (i32.add (local.get $i) (i32.const 1))) (br $again))))
        (local.get $i))"#;
