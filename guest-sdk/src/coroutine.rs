//! What one coroutine does to another: waits for its end, is told of it, interrupts, ends, wakes and watches it.

use crate::address::Address;
use crate::cbor::{from_cbor, from_node, with_cbor};
use crate::error::{Error, check};
use crate::exit::{Exit, Usage};
use crate::ids::ModuleHash;
use crate::incoming::Incoming;
use crate::sys::{self, Part};
use crate::time::timeout;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What one coroutine does to another, wherever that runs.
impl Address {
    /// Waits for its end, at once if it has ended, and tells how it was. Any number may wait for one.
    ///
    /// # Errors
    /// `timeout`; `expired` when it ended so long ago that its record is no longer kept (60 s); `denied`; `node-lost`;
    /// `interrupted`.
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// let child = corovan_guest::spawn("primes").arg(1000).start()?;
    /// let exit = child.join(Duration::from_secs(10))?;
    /// println!("{exit} after {:?}", exit.usage.wall);
    /// # Ok(())
    /// # }
    /// ```
    pub fn join(&self, limit: impl Into<Option<Duration>>) -> Result<Exit, Error> {
        let limit = timeout(limit);
        let record = part(|part, buf, cap| {
            // SAFETY: `buf` has room for `cap` bytes, `part` for the 16 of a part; the address is only read.
            unsafe { sys::join(self.as_bytes().as_ptr(), limit, part, buf, cap) }
        })?;
        from_node(record.bytes())
    }

    /// One exit message will come when it ends, at once if it has. Asking again changes nothing.
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
    /// server.monitor()?;
    /// match Mailbox::<String>::new().receive()? {
    ///     Received::Exit(exit) => println!("no server any more: {exit}"),
    ///     other => println!("{other:?}"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn monitor(&self) -> Result<(), Error> {
        // SAFETY: the node reads the 32 bytes of an address.
        check(unsafe { sys::monitor(self.as_bytes().as_ptr()) }).map(drop)
    }

    /// No exit message of it will come any more. One that is in the mailbox stays there.
    ///
    /// # Errors
    /// `not-found` when it is not watched.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// # let server = corovan_guest::self_address();
    /// server.monitor()?;
    /// server.demonitor()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn demonitor(&self) -> Result<(), Error> {
        // SAFETY: the node reads the 32 bytes of an address.
        check(unsafe { sys::demonitor(self.as_bytes().as_ptr()) }).map(drop)
    }

    /// Its current or next waiting call gives `interrupted`, once, with this reason as its detail. Interrupts do not add up:
    /// of several before it waits, the first counts.
    ///
    /// # Errors
    /// `gone`; `denied`; `too-large` for the reason; with another node `timeout`, `node-lost`, `interrupted`.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// # let worker = corovan_guest::self_address();
    /// worker.interrupt("new orders", None)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn interrupt(&self, reason: &str, limit: impl Into<Option<Duration>>) -> Result<(), Error> {
        let address = self.as_bytes().as_ptr();
        // SAFETY: the node reads the 32 bytes of an address, and a string by its pointer and length.
        check(unsafe { sys::interrupt(address, reason.as_ptr(), reason.len(), timeout(limit)) }).map(drop)
    }

    /// Interrupts it, stops it hard after a grace period of 1 s, and waits until it has ended; at once if it has.
    /// Its sockets, locks, subscriptions, timers and names go with it.
    ///
    /// # Errors
    /// `timeout` (it will end all the same); `denied`; `node-lost`; `interrupted`, also by terminating oneself.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// # let worker = corovan_guest::self_address();
    /// worker.terminate(None)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn terminate(&self, limit: impl Into<Option<Duration>>) -> Result<(), Error> {
        // SAFETY: the node reads the 32 bytes of an address.
        check(unsafe { sys::terminate(self.as_bytes().as_ptr(), timeout(limit)) }).map(drop)
    }

    /// Ends its [`suspend`], or its next one, with this value.
    ///
    /// # Errors
    /// `gone`; `denied`; `overloaded` when a resume waits there already; `too-large`; with another node `timeout`,
    /// `node-lost`, `interrupted`.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// # let sleeper = corovan_guest::self_address();
    /// sleeper.resume(&42, None)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn resume<T: Serialize + ?Sized>(&self, value: &T, limit: impl Into<Option<Duration>>) -> Result<(), Error> {
        let limit = timeout(limit);
        with_cbor(value, |bytes| resumed(self, bytes, limit))
    }

    /// [`resume`](Address::resume) with bytes of any kind.
    ///
    /// # Errors
    /// As [`resume`](Address::resume).
    ///
    /// ```no_run
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// # let sleeper = corovan_guest::self_address();
    /// sleeper.resume_bytes(b"wake up", None)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn resume_bytes(&self, bytes: &[u8], limit: impl Into<Option<Duration>>) -> Result<(), Error> {
        resumed(self, bytes, timeout(limit))
    }

    /// What a coroutine is doing.
    ///
    /// # Errors
    /// `gone`; `denied`; with another node `timeout`, `node-lost`, `interrupted`.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// # let worker = corovan_guest::self_address();
    /// let status = worker.status(None)?;
    /// println!("{} has {} messages to read", status.function, status.mailbox);
    /// # Ok(())
    /// # }
    /// ```
    pub fn status(&self, limit: impl Into<Option<Duration>>) -> Result<Status, Error> {
        let limit = timeout(limit);
        let status = part(|part, buf, cap| {
            // SAFETY: `buf` has room for `cap` bytes, `part` for the 16 of a part; the address is only read.
            unsafe { sys::status(self.as_bytes().as_ptr(), limit, part, buf, cap) }
        })?;
        from_node(status.bytes())
    }
}

/// Waits until another coroutine calls [`resume`](Address::resume), and gives its value. A resume that came before is taken at once.
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

/// What a coroutine is doing, see [`Address::status`].
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
    /// Coroutines that wait for room in its mailbox.
    #[serde(default)]
    pub senders: u64,
    /// Messages of timers that found no room.
    #[serde(default)]
    pub dropped: u64,
    #[serde(default)]
    pub usage: Usage,
    #[serde(default)]
    pub daemon: bool,
}

fn suspended(limit: u64) -> Result<Incoming, Error> {
    part(|part, buf, cap| {
        // SAFETY: `buf` has room for `cap` bytes, `part` for the 16 of a part.
        unsafe { sys::suspend(limit, part, buf, cap) }
    })
}

fn resumed(target: &Address, bytes: &[u8], limit: u64) -> Result<(), Error> {
    // SAFETY: the node reads the 32 bytes of an address, and a slice by its pointer and length.
    check(unsafe { sys::resume(target.as_bytes().as_ptr(), bytes.as_ptr(), bytes.len(), limit) }).map(drop)
}

/// A result that comes with a part.
pub(crate) fn part(call: impl FnOnce(*mut Part, *mut u8, usize) -> i32) -> Result<Incoming, Error> {
    Incoming::get(|buf, cap| {
        let mut part = Part::default();
        (call(&raw mut part, buf, cap), part.token)
    })
}
