//! Messages: from mailbox to mailbox, in order for each pair, at most once, never in part. Every coroutine has a mailbox,
//! which is bounded: who sends to a full one waits.
//!
//! An [`Address`](crate::Address) sends; a [`Mailbox`] receives messages of one type and, in the same order, what the node has
//! to tell; [`receive`] gives messages as they come. Values are of any type that serde knows, and travel as CBOR; each call
//! has a twin for bytes of any kind. Calls that can wait take a limit: a `Duration`, zero to only look, `None` for ever.
//!
//! ```no_run
//! use corovan_guest::messaging::{Mailbox, Received};
//!
//! /// Adds what it is sent until its parent has ended.
//! #[corovan_guest::coroutine]
//! fn adder(parent: corovan_guest::Address) -> Result<u64, corovan_guest::Error> {
//!     parent.monitor()?;
//!     let (mailbox, mut sum) = (Mailbox::<u64>::new(), 0);
//!     loop {
//!         match mailbox.receive()? {
//!             Received::Message(message) => sum += message.value,
//!             Received::Exit(_) => return Ok(sum),
//!             other => eprintln!("not expected: {other:?}"),
//!         }
//!     }
//! }
//! # fn main() {}
//! ```

mod filter;
mod mailbox;
mod message;
mod reply;
mod send;

pub use filter::{Filter, Kind};
pub use mailbox::{Envelope, Mailbox, Received};
pub use message::{Message, mailbox_fd, receive};
pub use reply::Reply;
