//! Typed client of Corovan nodes: ship a module, run jobs, follow their output and exits. No WebAssembly engine here, so
//! a program that uses it builds fast.
//!
//! ```no_run
//! # async fn example() -> Result<(), corovan_client::Error> {
//! use corovan_client::{Arguments, ConnectOptions, Credentials, Module, Node, Prepare, SubmitOptions};
//!
//! let credentials = Credentials::load("certs/tenant-me.crt", "certs/tenant-me.key", "certs/ca.crt")?;
//! let node = Node::connect("127.0.0.1:4433", &credentials, ConnectOptions::default()).await?;
//! let computation = node.open("example").await?;
//! let spec = computation.prepare(Prepare::function(Module::from_file("job.wasm")?, "rcoro_proc")).await?;
//! let mut job = computation.submit(&spec, Arguments::of(&(1.5,))?, SubmitOptions::default()).await?;
//! println!("{:?}", job.result().await.outcome);
//! # Ok(()) }
//! ```
//!
//! Over many inputs, of which as many are taken as there is room for:
//!
//! ```no_run
//! # async fn example(computation: corovan_client::Computation, spec: corovan_client::Spec) -> Result<(), corovan_client::Error> {
//! use corovan_client::{Arguments, MapOptions};
//!
//! let inputs = (0..1_000_000_u32).filter_map(|n| Arguments::of(&(n,)).ok());
//! let mut map = computation.map(&spec, inputs, MapOptions { at: Some(String::new()), ..MapOptions::default() });
//! while let Some(mapped) = map.next().await? {
//!     println!("{}: {:?}", mapped.number, mapped.record.outcome);
//! }
//! # Ok(()) }
//! ```
//!
//! [`tls`], [`transport`], [`join`], [`grant`] and [`framed`] are used by the node as well: both sides of a connection are set up in one place.

mod arguments;
mod asked;
mod computation;
mod connect;
mod durable;
mod error;
mod event;
pub mod framed;
pub mod grant;
mod job;
mod jobs;
pub mod join;
mod mailbox;
mod map;
mod node;
mod nodes;
mod options;
mod reader;
mod spec;
pub mod tls;
pub mod transport;
pub mod value;

pub use arguments::Arguments;
pub use computation::{Computation, SubmitOptions};
pub use connect::{check_address, resolve_address};
pub use corovan_core as core;
pub use corovan_core::ulid::Ulid;
pub use corovan_core::wire::durable::{Accepted, Attempt, DurableInfo, EventKind, Retry};
pub use corovan_core::wire::jobs::{JobInfo, JobState, JobWhy, NodeAllocation, NodeRefusal};
pub use durable::{Accepting, Durable, DurableEvent, DurableOptions, Events, Results};
pub use error::{Error, Fault, Lost};
pub use event::Event;
pub use job::{Job, StdinWriter};
pub use jobs::Jobs;
pub use mailbox::{Mailbox, Message, MessageKind, Remote};
pub use map::{Map, MapOptions, Mapped};
pub use node::{ConnectOptions, Node};
pub use nodes::{News, Nodes};
pub use options::{ComputationOptions, check_selector};
pub use spec::{Module, Prepare, Spec};
pub use tls::{Credentials, Identity, Roots};
