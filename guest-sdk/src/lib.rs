//! Write Corovan jobs in Rust.
//!
//! A job is a WebAssembly module; its *coroutine functions* are what a client can run by name. Each run is an instance of its
//! own, with its own memory, on some node of the mesh:
//!
//! ```no_run
//! use corovan_guest::time;
//! use std::time::Duration;
//!
//! /// Sleeps for `n` seconds, then returns `n`.
//! #[corovan_guest::coroutine]
//! fn rcoro_proc(n: f64) -> Result<f64, corovan_guest::Error> {
//!     time::sleep(Duration::from_secs_f64(n))?;
//!     Ok(n)
//! }
//! # fn main() {}
//! ```
//!
//! Make it a `cdylib` and build it with `cargo build --target wasm32-wasip1 --release`; `corovan run job.wasm rcoro_proc 2`
//! then prints `2.0`.
//!
//! - Calls that wait suspend the coroutine; no thread of the node waits with it, so a job is written as plain code.
//! - `println!` and `eprintln!` reach the client as they are printed. A panic ends the coroutine with its message and place.
//! - Units are those of `std::time::Duration`; errors are [`Error`], a code for the program and a detail for the person.
//!
//! # A tour
//! - **Coroutines.** [`spawn`] makes one from a function. Its [`Address`] does the rest: [`join`](Address::join) waits for its
//!   [`Exit`], [`monitor`](Address::monitor) has that sent as a message, and there are [`interrupt`](Address::interrupt),
//!   [`terminate`](Address::terminate), [`resume`](Address::resume), [`swap`](Address::swap) and [`status`](Address::status).
//!   A [`supervisor`] keeps coroutines running.
//! - **Messages.** An address [sends](Address::send) and [requests](Address::request) values of any serde type, a
//!   [`Mailbox`](messaging::Mailbox) receives them; [`time::send_after`] sends later. [`wait`](mod@wait) waits for the first of
//!   messages, exits and times.
//! - **In common.** [`channels`] send to all who are subscribed, [`names`] find an address, [`locks`] order who comes when.
//!   Coroutines share no memory, not even with those they make: what they have in common, they send.
//! - **Other nodes.** [`services`] offer functions to callers who ship no code; [`node`] tells who is there. All of the above works
//!   the same wherever the other coroutine is.
//!
//! ```no_run
//! use corovan_guest::messaging::Mailbox;
//! use corovan_guest::{Error, spawn};
//!
//! /// Squares what it is sent, for as long as there is somebody to send.
//! #[corovan_guest::coroutine]
//! fn squares() -> Result<(), Error> {
//!     let mailbox = Mailbox::<u64, u64>::new();
//!     loop {
//!         let question = mailbox.next()?;
//!         question.answer(&(question.value * question.value))?;
//!     }
//! }
//!
//! #[corovan_guest::coroutine]
//! fn ask() -> Result<u64, Error> {
//!     let server = spawn("squares").daemon().start()?;
//!     server.request(&12, None)
//! }
//! # fn main() {}
//! ```
//!
//! What a call needs of the node is in `guest-sdk/abi/`: the same functions for C and for every other language.

pub mod channels;
pub mod locks;
pub mod log;
pub mod messaging;
pub mod names;
pub mod node;
pub mod services;
pub mod supervisor;
pub mod sys;
pub mod time;
pub mod wait;

mod address;
mod byte_string;
mod cbor;
mod coroutine;
mod error;
mod exit;
mod ids;
mod incoming;
mod lifecycle;
mod run;
mod spawn;
mod swap;
mod values;

pub use address::Address;
pub use byte_string::{Bytes, Packed};
pub use cbor::{from_cbor, to_cbor};
pub use coroutine::{Status, set_daemon, suspend, suspend_bytes};
/// Makes a function one that a client or another coroutine can run by name. Write it with its path, `#[corovan_guest::coroutine]`:
/// by its name alone the compiler takes it for an experiment of its own.
///
/// Parameters are of any type that serde can deserialise, the result of any it can serialise:
/// - wrong arguments end the coroutine as failed with kind `bad-argument` and a text for the person who gave them;
/// - a parameter of type `Option<T>` may be left out at the end; a last parameter marked `#[rest]` takes all that is left;
/// - `Result<T, E>` with any `E` that can be printed: an error ends it as failed with kind `error`;
/// - a panic ends it as failed with kind `panic`.
///
/// The name, the parameters and the doc comment go into the module's manifest, where `corovan inspect` finds them.
///
/// ```no_run
/// /// The sum of all numbers given.
/// #[corovan_guest::coroutine]
/// fn sum(#[rest] numbers: Vec<f64>) -> f64 {
///     numbers.iter().sum()
/// }
/// # fn main() {}
/// ```
pub use corovan_guest_macros::coroutine;
/// What a module says of itself beside its coroutine functions; all parts can be left out:
/// - `memory`: bytes of memory it wants;
/// - `wants`: rights it asks for when its client names none;
/// - `functions`: names that its `main` runs, as [`entry`] gives them.
///
/// ```no_run
/// corovan_guest::manifest! {
///     memory: 268_435_456,
///     functions: ["count", "sum"],
/// }
/// # fn main() {}
/// ```
pub use corovan_guest_macros::manifest;
pub use error::{Code, Error};
pub use exit::{Exit, Given, Outcome, Usage};
pub use ids::{ModuleHash, NodeId};
pub use lifecycle::{args, args_cbor, entry, fail, finish, finish_cbor, last_error, self_address, yield_now};
pub use log::progress;
pub use run::report_panics;
pub use spawn::{Spawn, spawn};
pub use swap::SwapRequest;

/// A CBOR item of any kind, for functions that take or give what they know nothing about.
pub use ciborium::Value;

/// For the `coroutine` attribute only.
#[doc(hidden)]
pub mod __private {
    pub use crate::run::{finished, finished_or_failed, returned, run};
    pub use crate::values::{Kind, Parameter, Signature};
}
