//! Other coroutines: waiting for their end, being told of it, interrupting, ending, waking and watching them.

use crate::address::Address;
use crate::cbor::{from_cbor, with_cbor};
use crate::error::{Error, check};
use crate::exit::{Exit, Usage};
use crate::ids::ModuleHash;
use crate::incoming::Incoming;
use crate::sys::{self, Part};
use crate::time::timeout;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Waits for the end of a coroutine; at once if it has ended. Any number may wait for one.
///
/// # Errors
/// `timeout`; `expired` when it ended so long ago that its record is no longer kept (60 s); `denied`; `node-lost`;
/// `interrupted`.
///
/// ```no_run
/// use std::time::Duration;
///
/// # fn main() -> Result<(), corovan_guest::Error> {
/// let child = corovan_guest::spawn("primes", (1000,))?;
/// let exit = corovan_guest::join(child, Duration::from_secs(10))?;
/// println!("{exit} after {} ns", exit.usage.wall);
/// # Ok(())
/// # }
/// ```
pub fn join(target: Address, limit: impl Into<Option<Duration>>) -> Result<Exit, Error> {
    let limit = timeout(limit);
    let record = part(|part, buf, cap| {
        // SAFETY: `buf` has room for `cap` bytes, `part` for the 16 of a part; the address is only read.
        unsafe { sys::join(target.as_bytes().as_ptr(), limit, part, buf, cap) }
    })?;
    from_cbor(record.bytes())
}

/// From now on one exit message will come when the target ends, at once if it has. Asking again changes nothing.
/// [`Spawn::monitor`](crate::Spawn::monitor) does the same for a new coroutine.
///
/// # Errors
/// `denied`; `overloaded` when too many are watched.
///
/// ```no_run
/// use corovan_guest::messaging::{Mailbox, Received};
///
/// # fn main() -> Result<(), corovan_guest::Error> {
/// # let server = corovan_guest::self_address();
/// corovan_guest::monitor(server)?;
/// match Mailbox::<String>::new().receive()? {
///     Received::Exit(exit) => println!("no server any more: {exit}"),
///     other => println!("{other:?}"),
/// }
/// # Ok(())
/// # }
/// ```
pub fn monitor(target: Address) -> Result<(), Error> {
    // SAFETY: the node reads the 32 bytes of an address.
    check(unsafe { sys::monitor(target.as_bytes().as_ptr()) }).map(drop)
}

/// No exit message of the target will come any more. One that is in the mailbox stays there.
///
/// # Errors
/// `not-found` when it is not watched.
///
/// ```no_run
/// # fn main() -> Result<(), corovan_guest::Error> {
/// # let server = corovan_guest::self_address();
/// corovan_guest::monitor(server)?;
/// corovan_guest::demonitor(server)?;
/// # Ok(())
/// # }
/// ```
pub fn demonitor(target: Address) -> Result<(), Error> {
    // SAFETY: the node reads the 32 bytes of an address.
    check(unsafe { sys::demonitor(target.as_bytes().as_ptr()) }).map(drop)
}

/// The target's current or next waiting call gives `interrupted`, once, with this reason as its detail. Interrupts do not
/// add up: of several before the target waits, the first counts.
///
/// # Errors
/// `gone`; `denied`; `too-large` for the reason; with another node `timeout`, `node-lost`, `interrupted`.
///
/// ```no_run
/// # fn main() -> Result<(), corovan_guest::Error> {
/// # let worker = corovan_guest::self_address();
/// corovan_guest::interrupt(worker, "new orders", None)?;
/// # Ok(())
/// # }
/// ```
pub fn interrupt(target: Address, reason: &str, limit: impl Into<Option<Duration>>) -> Result<(), Error> {
    let address = target.as_bytes().as_ptr();
    // SAFETY: the node reads the 32 bytes of an address, and a string by its pointer and length.
    check(unsafe { sys::interrupt(address, reason.as_ptr(), reason.len(), timeout(limit)) }).map(drop)
}

/// Interrupts the target, stops it hard after a grace period of 1 s, and waits until it has ended; at once if it has.
/// Its sockets, locks, subscriptions, timers and names go with it.
///
/// # Errors
/// `timeout` (it will end all the same); `denied`; `node-lost`; `interrupted`, also by terminating oneself.
///
/// ```no_run
/// # fn main() -> Result<(), corovan_guest::Error> {
/// # let worker = corovan_guest::self_address();
/// corovan_guest::terminate(worker, None)?;
/// # Ok(())
/// # }
/// ```
pub fn terminate(target: Address, limit: impl Into<Option<Duration>>) -> Result<(), Error> {
    // SAFETY: the node reads the 32 bytes of an address.
    check(unsafe { sys::terminate(target.as_bytes().as_ptr(), timeout(limit)) }).map(drop)
}

/// Waits until another coroutine calls [`resume`], and gives its value. A resume that came before is taken at once.
///
/// # Errors
/// `timeout`; `interrupted`; `invalid` when the value is not of this type, and is lost.
///
/// ```no_run
/// use std::time::Duration;
///
/// # fn main() -> Result<(), corovan_guest::Error> {
/// let next: u32 = corovan_guest::suspend(Duration::from_secs(1))?;
/// # Ok(())
/// # }
/// ```
pub fn suspend<T: DeserializeOwned>(limit: impl Into<Option<Duration>>) -> Result<T, Error> {
    from_cbor(suspended(timeout(limit))?.bytes())
}

/// [`suspend`] for bytes of any kind.
///
/// # Errors
/// `timeout`; `interrupted`.
///
/// ```no_run
/// # fn main() -> Result<(), corovan_guest::Error> {
/// let bytes: Vec<u8> = corovan_guest::suspend_bytes(None)?;
/// # Ok(())
/// # }
/// ```
pub fn suspend_bytes(limit: impl Into<Option<Duration>>) -> Result<Vec<u8>, Error> {
    suspended(timeout(limit)).map(Incoming::into_vec)
}

/// Ends the target's [`suspend`], or its next one, with this value.
///
/// # Errors
/// `gone`; `denied`; `overloaded` when a resume waits there already; `too-large`; with another node `timeout`,
/// `node-lost`, `interrupted`.
///
/// ```no_run
/// # fn main() -> Result<(), corovan_guest::Error> {
/// # let sleeper = corovan_guest::self_address();
/// corovan_guest::resume(sleeper, &42, None)?;
/// # Ok(())
/// # }
/// ```
pub fn resume<T: Serialize + ?Sized>(
    target: Address,
    value: &T,
    limit: impl Into<Option<Duration>>,
) -> Result<(), Error> {
    let limit = timeout(limit);
    with_cbor(value, |bytes| resumed(target, bytes, limit))
}

/// [`resume`] with bytes of any kind.
///
/// # Errors
/// As [`resume`].
///
/// ```no_run
/// # fn main() -> Result<(), corovan_guest::Error> {
/// # let sleeper = corovan_guest::self_address();
/// corovan_guest::resume_bytes(sleeper, b"wake up", None)?;
/// # Ok(())
/// # }
/// ```
pub fn resume_bytes(target: Address, bytes: &[u8], limit: impl Into<Option<Duration>>) -> Result<(), Error> {
    resumed(target, bytes, timeout(limit))
}

/// Whether this coroutine is a daemon: its computation then ends without it.
///
/// ```no_run
/// corovan_guest::set_daemon(true);
/// // ... serve requests for as long as there is somebody to serve ...
/// ```
pub fn set_daemon(daemon: bool) {
    // SAFETY: takes a number. It has no errors.
    let _ = unsafe { sys::set_daemon(u32::from(daemon)) };
}

/// What a coroutine is doing, see [`status`].
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[non_exhaustive]
pub struct Status {
    /// `running`, `waiting` and the like.
    pub state: String,
    /// What for, where it waits.
    #[serde(default)]
    pub waiting: Option<String>,
    /// The function that it runs.
    pub function: String,
    pub module: ModuleHash,
    /// Unread messages.
    #[serde(default)]
    pub mailbox: u64,
    #[serde(default)]
    pub mailbox_bytes: u64,
    #[serde(default)]
    pub usage: Usage,
    #[serde(default)]
    pub daemon: bool,
}

/// What a coroutine is doing.
///
/// # Errors
/// `gone`; `denied`; with another node `timeout`, `node-lost`, `interrupted`.
///
/// ```no_run
/// # fn main() -> Result<(), corovan_guest::Error> {
/// # let worker = corovan_guest::self_address();
/// let status = corovan_guest::status(worker, None)?;
/// println!("{} has {} messages to read", status.function, status.mailbox);
/// # Ok(())
/// # }
/// ```
pub fn status(target: Address, limit: impl Into<Option<Duration>>) -> Result<Status, Error> {
    let limit = timeout(limit);
    let status = part(|part, buf, cap| {
        // SAFETY: `buf` has room for `cap` bytes, `part` for the 16 of a part; the address is only read.
        unsafe { sys::status(target.as_bytes().as_ptr(), limit, part, buf, cap) }
    })?;
    from_cbor(status.bytes())
}

fn suspended(limit: u64) -> Result<Incoming, Error> {
    part(|part, buf, cap| {
        // SAFETY: `buf` has room for `cap` bytes, `part` for the 16 of a part.
        unsafe { sys::suspend(limit, part, buf, cap) }
    })
}

fn resumed(target: Address, bytes: &[u8], limit: u64) -> Result<(), Error> {
    // SAFETY: the node reads the 32 bytes of an address, and a slice by its pointer and length.
    check(unsafe { sys::resume(target.as_bytes().as_ptr(), bytes.as_ptr(), bytes.len(), limit) }).map(drop)
}

/// A result that comes with a part.
fn part(call: impl FnOnce(*mut Part, *mut u8, usize) -> i32) -> Result<Incoming, Error> {
    Incoming::get(|buf, cap| {
        let mut part = Part::default();
        (call(&raw mut part, buf, cap), part.token)
    })
}
