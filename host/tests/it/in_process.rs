//! A node in this process and clients of it, for what is between them: the protocol as it is, without a command line.

use corovan::config::{Config, Enrolment, Mesh, Offer};
use corovan::node::{Node, SystemRandom};
use corovan::runtime::RealClock;
use corovan::tenancy::ca::Authority;
use corovan_client::{Computation, ConnectOptions, Credentials, Module, Prepare, Spec};
use corovan_core::limits;
use corovan_core::tenancy::identity::Role;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

/// A cluster of one node, and its CA.
pub struct Cluster {
    pub authority: Authority,
    pub node: Node,
    _data: TempDir,
}

/// A guard against hanging, never a measure.
const LIMIT: Duration = Duration::from_secs(90);

/// Runs a test on a runtime of its own, to an end.
#[track_caller]
pub fn run<T>(test: impl Future<Output = T>) -> T {
    // `RUST_LOG=corovan=debug` shows what nodes in this process say.
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let result = runtime.block_on(async { tokio::time::timeout(LIMIT, test).await });
    runtime.shutdown_background();
    result.expect("the test hangs")
}

impl Cluster {
    pub async fn start(slots: u32) -> Cluster {
        Cluster::with(slots, None).await
    }

    /// One whose node lets others connect.
    pub async fn in_mesh(slots: u32) -> Cluster {
        Cluster::with(slots, Some(Mesh::default())).await
    }

    async fn with(slots: u32, mesh: Option<Mesh>) -> Cluster {
        let now = SystemTime::now();
        let authority = Authority::generate("test", now).unwrap();
        let issued = authority.issue(Role::Node, "a", now, limits::CERTIFICATE_LIFE).unwrap();
        let data = tempfile::tempdir().unwrap();
        let config = Config {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            name: "a".into(),
            data: data.path().join("data"),
            credentials: authority.credentials(&issued).unwrap(),
            enrolment: Enrolment::default(),
            mesh,
            offer: Offer::default(),
            slots: Some(slots),
            workers: 2,
            http: None,
            // Time for large results to be delivered at shutdown; nothing here waits for its end.
            grace: Duration::from_secs(60),
        };
        let node = Node::start(config, Arc::new(RealClock::new()), Arc::new(SystemRandom)).await.unwrap();
        Cluster { authority, node, _data: data }
    }

    pub fn credentials(&self, role: Role, name: &str) -> Credentials {
        let issued = self.authority.issue(role, name, SystemTime::now(), limits::CERTIFICATE_LIFE).unwrap();
        self.authority.credentials(&issued).unwrap()
    }

    /// A new connection of this tenant.
    pub async fn connect(&self, tenant: &str) -> corovan_client::Node {
        let credentials = self.credentials(Role::Tenant, tenant);
        let address = self.node.address().to_string();
        corovan_client::Node::connect(&address, &credentials, ConnectOptions::default()).await.unwrap()
    }

    /// A computation on a connection of its own.
    pub async fn open(&self, tenant: &str) -> Computation {
        self.connect(tenant).await.open("test").await.unwrap()
    }

    /// Slots in use and jobs that wait for one.
    pub fn load(&self) -> (usize, usize) {
        self.node.service().dispatch.load()
    }

    /// Waits until the node has so many running and waiting jobs.
    pub async fn has_load(&self, running: usize, waiting: usize) {
        while self.load() != (running, waiting) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

pub fn module(wat: &str) -> Module {
    Module::from_bytes(wat::parse_str(wat).unwrap()).unwrap()
}

/// Gives back its arguments; `sleeps` waits for an hour first.
pub const ECHO: &str = r#"(module
    (import "corovan" "args" (func $args (param i32 i32) (result i32)))
    (import "corovan" "finish" (func $finish (param i32 i32) (result i32)))
    (import "corovan" "sleep" (func $sleep (param i64) (result i32)))
    (memory (export "memory") 1)
    (func (export "echo") (local $size i32)
        (local.set $size (call $args (i32.const 0) (i32.const 0)))
        (drop (memory.grow (i32.add (i32.const 1) (i32.shr_u (local.get $size) (i32.const 16)))))
        (drop (call $args (i32.const 0) (local.get $size)))
        (if (call $finish (i32.const 0) (local.get $size)) (then unreachable)))
    (func (export "sleeps") (drop (call $sleep (i64.const 3600000000000)))))"#;

/// Writes four kilobytes to standard output, 4096 times.
pub const FLOOD: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 2)
    (data (i32.const 0) "\00\00\01\00\00\10\00\00")
    (func (export "flood") (local $i i32)
        (loop $next
            (if (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)) (then unreachable))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $next (i32.lt_u (local.get $i) (i32.const 4096))))))"#;

/// Finishes with a CBOR byte string of 16 MiB in all and one byte more, which is over the limit, and then with 7.
pub const OVER: &str = r#"(module
    (import "corovan" "finish" (func $finish (param i32 i32) (result i32)))
    (memory (export "memory") 300)
    (data (i32.const 0) "\5a\00\ff\ff\fc")
    (data (i32.const 17000000) "\07")
    (func (export "over")
        (if (i32.ge_s (call $finish (i32.const 0) (i32.const 16777217)) (i32.const 0)) (then unreachable))
        (if (call $finish (i32.const 17000000) (i32.const 1)) (then unreachable)))
    (func (export "just")
        (i32.store8 (i32.const 4) (i32.const 251))
        (if (call $finish (i32.const 0) (i32.const 16777216)) (then unreachable))))"#;

pub async fn prepare(computation: &Computation, wat: &str, function: &str) -> Spec {
    computation.prepare(Prepare::function(module(wat), function)).await.unwrap()
}
