//! A stage for channel tests: guests written as bodies of functions, which say numbers; on virtual time.

use crate::support::{Bench, Remember};
use corovan::runtime::channels::{Channel, Figures};
use corovan::runtime::{Control, Group, Tenant};
use corovan_core::code::Code;
use corovan_core::ids::Address;
use std::sync::Arc;
use std::time::Duration;

/// A bench and the moment that it has come to.
pub struct Stage {
    pub bench: Bench,
    now: std::cell::Cell<Duration>,
    /// Computations beside the bench's own.
    others: std::cell::RefCell<Vec<Arc<Group>>>,
}

/// A guest that was started.
pub struct Guest {
    pub control: Arc<Control>,
    pub seen: Arc<Remember>,
}

/// Seconds, as guests write them.
pub const SECOND: u64 = 1_000_000_000;
pub const FOREVER: i64 = -1;

impl Stage {
    pub fn new() -> Stage {
        Stage { bench: Bench::manual(), now: Default::default(), others: Default::default() }
    }

    /// Another computation, of this tenant or another.
    pub fn computation(&self, tenant: &Arc<Tenant>) -> Arc<Group> {
        let group = self.bench.computation(tenant);
        self.others.borrow_mut().push(Arc::clone(&group));
        group
    }

    /// Starts a guest in the bench's computation, and lets all run that can.
    pub fn play(&self, body: &str) -> Guest {
        self.play_in(&self.bench.group, body)
    }

    pub fn play_in(&self, group: &Arc<Group>, body: &str) -> Guest {
        let guest = self.start_in(group, body);
        self.pass(0);
        guest
    }

    /// Without letting anyone run.
    pub fn start_in(&self, group: &Arc<Group>, body: &str) -> Guest {
        let seen = Arc::new(Remember::default());
        let program = self.bench.program(&with_body(body, ""), "f");
        let mut launch = self.bench.launch(&program, &seen);
        launch.group = Arc::clone(group);
        Guest { control: self.bench.runtime.launch(launch).unwrap(), seen }
    }

    /// Lets so many seconds pass.
    pub fn pass(&self, seconds: u64) {
        self.now.set(self.now.get() + Duration::from_secs(seconds));
        self.bench.advance(self.now.get());
    }

    /// The channel that guests know as `n`.
    pub fn channel(&self, n: u8) -> Arc<Channel> {
        let name = char::from(b'a' + n).to_string();
        self.bench.tenant.channels.get(&name).unwrap()
    }

    pub fn figures(&self, n: u8) -> Figures {
        self.channel(n).figures()
    }

    /// Ends the computation, and sees that all has come back.
    pub fn close(&self) {
        use corovan_core::tenancy::quota::Resource;
        for group in self.others.take().iter().chain([&self.bench.group]) {
            self.bench.runtime.end(group, "test", "over", Duration::ZERO);
            self.pass(1);
        }
        self.bench.close();
        assert!(self.bench.tenant.channels.is_empty());
        assert_eq!(self.bench.runtime.registry.len(), 0);
        assert_eq!(self.bench.runtime.scheduler.timers(), 0);
        for resource in Resource::ALL {
            assert_eq!(self.bench.ledger.used(resource), 0, "{resource}");
        }
    }
}

impl Guest {
    /// What it has said.
    pub fn said(&self) -> Vec<i64> {
        self.seen.progress.lock().iter().map(|(done, ..)| *done as i64).collect()
    }

    pub fn has_ended(&self) -> bool {
        !self.seen.exits.lock().is_empty()
    }
}

/// A code as calls give it.
pub fn code(code: Code) -> i64 {
    -i64::from(code.number())
}

/// An address as the bytes of a text in WAT, for `(data)`.
pub fn literal(address: Address) -> String {
    address.to_bytes().iter().map(|byte| format!("\\{byte:02x}")).collect()
}

/// A module whose `f` has this body. `$open n` opens the channel of the n-th letter and keeps its address at `$ch n`;
/// `$say` tells a number; `$next` receives and gives the tag; `given` lies at 4096. Messages are five bytes.
pub fn with_body(body: &str, given: &str) -> String {
    format!(
        r#"(module
        (import "corovan" "self" (func $self (param i32) (result i32)))
        (import "corovan" "progress" (func $progress (param i64 i64 i32 i32) (result i32)))
        (import "corovan" "sleep" (func $sleep (param i64) (result i32)))
        (import "corovan" "finish" (func $finish (param i32 i32) (result i32)))
        (import "corovan" "args" (func $args (param i32 i32) (result i32)))
        (import "corovan" "receive" (func $receive (param i64 i32 i32 i32 i32) (result i32)))
        (import "corovan" "channel_open" (func $channel_open (param i32 i32 i32) (result i32)))
        (import "corovan" "channel_subscribe" (func $channel_subscribe (param i32 i32 i32 i32 i64) (result i32)))
        (import "corovan" "channel_unsubscribe" (func $channel_unsubscribe (param i32 i32 i64) (result i32)))
        (import "corovan" "channel_send" (func $channel_send (param i32 i64 i32 i32 i64) (result i32)))
        (import "corovan" "channel_deliver" (func $channel_deliver (param i32 i64 i32 i32 i32 i64) (result i32)))
        (import "corovan" "channel_transform" (func $channel_transform (param i32 i32 i32 i32) (result i32)))
        (import "corovan" "channel_close" (func $channel_close (param i32) (result i32)))
        (memory (export "memory") 64)
        (data (i32.const 0) "hello")
        (data (i32.const 16) "changedropfailtrapslowbigtext")
        (data (i32.const 100) "abcdefghijklmnopqrstuvwxyz")
        (data (i32.const 4096) "{given}")
        (global $i (mut i32) (i32.const 0))
        (func $say (param i32)
            (drop (call $progress (i64.extend_i32_s (local.get 0)) (i64.const 0) (i32.const 0) (i32.const 0))))
        (func $ch (param i32) (result i32)
            (i32.add (i32.const 1024) (i32.mul (i32.const 32) (local.get 0))))
        (func $open (param i32)
            (if (call $channel_open (i32.add (i32.const 100) (local.get 0)) (i32.const 1) (call $ch (local.get 0)))
                (then unreachable)))
        (func $me (result i32) (drop (call $self (i32.const 900))) (i32.const 900))
        (func $join (param $ch i32) (param $cap i32) (param $policy i32)
            (call $open (local.get $ch))
            (call $say (call $channel_subscribe (call $ch (local.get $ch)) (call $me) (local.get $cap) (local.get $policy)
                (i64.const 0))))
        (func $edge (param $parent i32) (param $child i32) (param $cap i32) (param $policy i32)
            (call $open (local.get $parent))
            (call $open (local.get $child))
            (call $say (call $channel_subscribe (call $ch (local.get $parent)) (call $ch (local.get $child))
                (local.get $cap) (local.get $policy) (i64.const 0))))
        (func $send (param $ch i32) (param $tag i64) (param $timeout i64)
            (call $open (local.get $ch))
            (call $say (call $channel_send (call $ch (local.get $ch)) (local.get $tag) (i32.const 0) (i32.const 5)
                (local.get $timeout))))
        (func $deliver (param $ch i32) (param $tag i64) (param $n i32) (param $timeout i64)
            (call $open (local.get $ch))
            (call $say (call $channel_deliver (call $ch (local.get $ch)) (local.get $tag) (i32.const 0) (i32.const 5)
                (local.get $n) (local.get $timeout))))
        (func $next (param $timeout i64)
            (local $size i32)
            (local.set $size (call $receive (local.get $timeout) (i32.const 0) (i32.const 800) (i32.const 5000)
                (i32.const 100000)))
            (call $say (if (result i32) (i32.lt_s (local.get $size) (i32.const 0)) (then (local.get $size))
                (else (i32.wrap_i64 (i64.load (i32.const 808)))))))
        (func $rest (loop (call $next (i64.const -1)) (br 0)))
        (func $idle (drop (call $sleep (i64.const -1))))
        ;; Transforms: their arguments are an array of the tag, here below 24, and five bytes.
        (func (export "change")
            (drop (call $args (i32.const 200) (i32.const 100)))
            (i32.store8 (i32.const 203) (i32.const 0x4a))
            (drop (call $finish (i32.const 202) (i32.const 6))))
        (func (export "drop") (i32.store8 (i32.const 200) (i32.const 0xf6))
            (drop (call $finish (i32.const 200) (i32.const 1))))
        (func (export "fail") (i32.store8 (i32.const 200) (i32.const 7))
            (drop (call $finish (i32.const 200) (i32.const 1))))
        (func (export "trap") unreachable)
        (func (export "slow") (drop (call $sleep (i64.const 3000000000))) (call $copy))
        (func $copy
            (drop (call $args (i32.const 200) (i32.const 100)))
            (drop (call $finish (i32.const 202) (i32.const 6))))
        (func (export "f") {body}))"#
    )
}
