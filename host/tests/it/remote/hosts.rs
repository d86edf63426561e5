//! Nodes that make coroutines for each other, with the modules and jobs of a whole node and without clients: a job's follower
//! remembers what a client would be told.

use super::{Node, join};
use crate::in_process;
use crate::links::authority;
use crate::support::Remember;
use corovan::dispatch::guests::Guests;
use corovan::dispatch::{Dispatch, Start};
use corovan::modules::{self, Modules};
use corovan::node::known_imports;
use corovan::runtime::{Group, Tenant};
use corovan::tenancy::ca::Authority;
use corovan_core::ids::{Address, ModuleHash};
use corovan_core::wire::records::{JobLimits, Prepare};
use std::fmt::Write;
use std::sync::Arc;
use tempfile::TempDir;

pub struct Host {
    pub node: Node,
    pub dispatch: Dispatch,
    pub group: Arc<Group>,
    _data: TempDir,
}

/// Runs a test with nodes a, b, c that know each other.
#[track_caller]
pub fn with_three<F: Future<Output = ()>>(test: impl FnOnce([Host; 3]) -> F) {
    in_process::run(async {
        let authority = authority();
        let hosts = ["a", "b", "c"].map(|name| Host::start(&authority, name));
        join(&hosts.each_ref().map(|host| &host.node)).await;
        // What a node says of itself comes a moment later, and until then nothing is placed there.
        for host in &hosts {
            let is_known = || host.node.handle.members().values().all(|member| member.about.is_some());
            until(|| is_known().then_some(())).await;
        }
        test(hosts).await;
    });
}

impl Host {
    fn start(authority: &Authority, name: &str) -> Host {
        let data = tempfile::tempdir().unwrap();
        let mut dispatch = None;
        let node = Node::that_says(authority, name, name, false, |bench| {
            let runtime = &bench.runtime;
            let known = known_imports(&runtime.engine, &bench.linker).unwrap();
            let config =
                modules::Config { dir: data.path().to_owned(), store_bytes: 1 << 30, compiles: 1, secret: [7; 32] };
            let modules = Modules::open(config, runtime.engine.clone(), known).unwrap();
            let made = Dispatch::new(Arc::clone(runtime), modules, bench.linker.clone(), (100, 100));
            dispatch = Some(made.clone());
            Arc::new(Guests::new(made))
        });
        let dispatch = dispatch.unwrap();
        let group = dispatch.group(1, &node.bench.tenant, || ());
        Host { node, dispatch, group, _data: data }
    }

    /// Has a module here.
    pub async fn ship(&self, wat: &str) -> ModuleHash {
        self.ship_as(&self.node.bench.tenant, wat).await
    }

    async fn ship_as(&self, tenant: &Tenant, wat: &str) -> ModuleHash {
        let wasm = wat::parse_str(wat).unwrap();
        let hash = ModuleHash::of(&wasm);
        self.dispatch.modules().put(tenant.name(), hash, wasm.into()).await.unwrap();
        hash
    }

    /// Runs a function of a module as a job of a computation.
    async fn run(&self, group: &Arc<Group>, module: ModuleHash, limits: JobLimits) -> Arc<Remember> {
        let follower = Arc::new(Remember::default());
        let prepare = Prepare { module, size: 0, function: Some("f".into()), limits, env: Vec::new(), terminals: 0 };
        let spec = self.dispatch.prepare(&group.tenant, prepare).await.unwrap();
        self.dispatch.submit(group, &spec, Start::default(), Arc::clone(&follower) as _);
        follower
    }

    /// Ships this program and runs its `f`; gives its address.
    pub async fn begin(&self, wat: &str) -> (Address, Arc<Remember>) {
        self.begin_with(wat, JobLimits::default()).await
    }

    pub async fn begin_with(&self, wat: &str, limits: JobLimits) -> (Address, Arc<Remember>) {
        let module = self.ship(wat).await;
        let follower = self.run(&self.group, module, limits).await;
        let address = until(|| follower.started.lock().first().copied()).await;
        (address, follower)
    }

    /// Ships this program, runs its `f`, and waits until it has ended.
    pub async fn play(&self, wat: &str) -> Arc<Remember> {
        let (_, follower) = self.begin(wat).await;
        super::over(&follower).await;
        follower
    }

    /// The same for another tenant.
    pub async fn play_as(&self, tenant: &Arc<Tenant>, wat: &str) -> Arc<Remember> {
        let module = self.ship_as(tenant, wat).await;
        let follower = self.run(&self.dispatch.group(2, tenant, || ()), module, JobLimits::default()).await;
        super::over(&follower).await;
        follower
    }
}

/// Waits until there is something.
pub async fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    loop {
        if let Some(found) = look() {
            return found;
        }
        tokio::task::yield_now().await;
    }
}

/// A program: what it is given, and its functions. An address is at 980, a module's hash at 940, a node's name at 64 and
/// "child" at 70; a message's header at 512, its bytes from 1024; its arguments from 1600.
pub fn program(address: Address, module: Option<ModuleHash>, functions: &str) -> String {
    let hex = |bytes: &[u8]| {
        bytes.iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "\\{byte:02x}").unwrap();
            hex
        })
    };
    let (address, hash) = (hex(&address.to_bytes()), module.map(|module| hex(&module.0)).unwrap_or_default());
    format!("{HEAD} (data (i32.const 980) \"{address}\") (data (i32.const 940) \"{hash}\") {functions})")
}

const HEAD: &str = r#"(module
    (import "corovan" "progress" (func $progress (param i64 i64 i32 i32) (result i32)))
    (import "corovan" "log" (func $log (param i32 i32 i32) (result i32)))
    (import "corovan" "send" (func $send (param i32 i64 i32 i32 i64) (result i32)))
    (import "corovan" "receive" (func $receive (param i64 i32 i32 i32 i32) (result i32)))
    (import "corovan" "spawn" (func $spawn (param i32 i32 i32 i32 i32 i32) (result i32)))
    (import "corovan" "args" (func $args (param i32 i32) (result i32)))
    (import "corovan" "self" (func $self (param i32) (result i32)))
    (import "corovan" "join" (func $join (param i32 i64 i32 i32 i32) (result i32)))
    (import "corovan" "sleep" (func $sleep (param i64) (result i32)))
    (import "corovan" "finish" (func $finish (param i32 i32) (result i32)))
    (import "corovan" "terminate" (func $terminate (param i32 i64) (result i32)))
    (import "corovan" "monitor" (func $monitor (param i32) (result i32)))
    (import "corovan" "swap" (func $swap (param i32 i32 i32 i32 i64) (result i32)))
    (import "corovan" "swap_point" (func $swap_point (param i32 i32) (result i32)))
    (import "corovan" "swap_refuse" (func $swap_refuse (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 8)
    (data (i32.const 64) "b") (data (i32.const 66) "c") (data (i32.const 70) "child")
    (data (i32.const 100) "next") (data (i32.const 110) "nosuch")
    ;; Arguments of a child: its parent's address.
    (data (i32.const 800) "\81\58\20")
    (func $tell (param i32)
        (drop (call $progress (i64.extend_i32_s (local.get 0)) (i64.const 0) (i32.const 0) (i32.const 0))))
    (func $recv (param i64) (result i32)
        (call $receive (local.get 0) (i32.const 0) (i32.const 512) (i32.const 1024) (i32.const 500)))
    (func $kind (result i32) (i32.load (i32.const 516)))
    (func $tag (result i32) (i32.load (i32.const 520)))
    ;; Makes `child` at b, or at c, with these flags; its address is at 980.
    (func $make_at (param $at i32) (param $flags i32) (result i32)
        (drop (call $self (i32.const 803)))
        (i32.store (i32.const 700) (i32.const 56))
        (i32.store (i32.const 704) (local.get $flags))
        (i32.store (i32.const 712) (local.get $at))
        (i32.store (i32.const 716) (i32.const 1))
        (call $spawn (i32.const 70) (i32.const 5) (i32.const 800) (i32.const 35) (i32.const 700) (i32.const 980)))
    (func $make (param $flags i32) (result i32) (call $make_at (i32.const 64) (local.get $flags)))
    ;; The parent's address, of a child.
    (func $parent (result i32) (drop (call $args (i32.const 1600) (i32.const 100))) (i32.const 1603))
    (func $joined (result i32) (call $join (i32.const 980) (i64.const -1) (i32.const 512) (i32.const 1024) (i32.const 500)))
    (func $sent (param $to i32) (param $tag i64) (result i32)
        (call $send (local.get $to) (local.get $tag) (i32.const 64) (i32.const 1) (i64.const -1)))
    ;; Writes so many bytes of what is at an address, all of them.
    (func $print (param $from i32) (param $len i32)
        (block $out (loop $more
            (i32.store (i32.const 40) (local.get $from)) (i32.store (i32.const 44) (local.get $len))
            (if (call $write (i32.const 1) (i32.const 40) (i32.const 1) (i32.const 48)) (then (unreachable)))
            (local.set $from (i32.add (local.get $from) (i32.load (i32.const 48))))
            (local.set $len (i32.sub (local.get $len) (i32.load (i32.const 48))))
            (br_if $more (local.get $len)))))
"#;
