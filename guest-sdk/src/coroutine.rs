//! Other coroutines: making them, waiting for their end, stopping them, waking them.

use crate::address::Address;
use crate::error::{Code, Error, check};
use crate::exit::{Exit, Usage};
use crate::messaging::{decode, encode, wait_time};
use crate::time::nanoseconds;
use crate::{parts, sys};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Makes a coroutine of a function of this module: name its arguments, then [`start`](Spawn::start) it.
///
/// ```no_run
/// # fn main() -> Result<(), corovan_guest::Error> {
/// let child = corovan_guest::spawn("square").arg(&7).start()?;
/// println!("{child} squares");
/// # Ok(())
/// # }
/// ```
pub fn spawn(function: &str) -> Spawn<'_> {
    Spawn {
        function,
        arguments: Vec::new(),
        count: 0,
        failure: None,
        module: None,
        flags: 0,
        deadline: None,
        memory: 0,
    }
}

/// A coroutine to be made; see [`spawn`]. It never has more than its parent: memory, time and rights are cut to that.
#[derive(Clone, Debug)]
#[must_use = "a coroutine is made by `start`"]
pub struct Spawn<'a> {
    function: &'a str,
    /// CBOR items, one after the other.
    arguments: Vec<u8>,
    count: usize,
    failure: Option<Error>,
    module: Option<ModuleHash>,
    flags: u32,
    deadline: Option<Duration>,
    memory: u64,
}

/// The name of a module: the BLAKE3 hash of its bytes. A byte string of 32 bytes in CBOR.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ModuleHash(pub [u8; 32]);

/// What a coroutine is doing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Status {
    /// `running` (or ready to), or `waiting`.
    pub state: String,
    /// What it waits for: `receive`, `send`, `sleep`, `join` and so on.
    pub waiting: Option<String>,
    pub function: String,
    pub daemon: bool,
    /// Messages it has not read, their bytes, and coroutines that wait for room to send it more.
    pub mailbox: u64,
    pub mailbox_bytes: u64,
    pub senders: u64,
    /// Messages of its timers to others that found no room.
    pub dropped: u64,
    pub usage: Usage,
}

impl Spawn<'_> {
    /// The next argument.
    pub fn arg<T: Serialize + ?Sized>(mut self, value: &T) -> Self {
        match encode(value) {
            Ok(bytes) => self.arguments.extend(bytes),
            Err(error) => self.failure = Some(error),
        }
        self.count += 1;
        self
    }

    /// A function of another module, which this tenant has shipped.
    pub fn module(mut self, module: ModuleHash) -> Self {
        self.module = Some(module);
        self
    }

    /// It does not keep its computation open: when all others have ended, it is terminated.
    pub fn daemon(mut self) -> Self {
        self.flags |= sys::SpawnOptions::DAEMON;
        self
    }

    /// Its end comes to this coroutine as a message: [`Received::Exit`](crate::messaging::Received::Exit).
    pub fn monitor(mut self) -> Self {
        self.flags |= sys::SpawnOptions::MONITOR;
        self
    }

    /// The abnormal end of either terminates the other.
    pub fn link(mut self) -> Self {
        self.flags |= sys::SpawnOptions::LINK;
        self
    }

    /// It is ended after so long.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Bytes of linear memory.
    pub fn memory(mut self, bytes: u64) -> Self {
        self.memory = bytes;
        self
    }

    /// Makes it; returns at once, with its address.
    ///
    /// # Errors
    /// `unknown-function`, `overloaded` (the tenant's quota, or the node's), `denied`, `too-large`, `need-module`,
    /// `bad-module`, `shutting-down`, `invalid`.
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// let worker = corovan_guest::spawn("work")
    ///     .arg("input.csv")
    ///     .arg(&4)
    ///     .monitor()
    ///     .deadline(Duration::from_secs(60))
    ///     .start()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn start(self) -> Result<Address, Error> {
        if let Some(error) = self.failure {
            return Err(error);
        }
        let mut arguments = array_head(self.count);
        arguments.extend(self.arguments);
        let module = self.module.as_ref().map_or(std::ptr::null(), |hash| hash.0.as_ptr());
        let options = sys::SpawnOptions {
            size: size_of::<sys::SpawnOptions>() as u32,
            flags: self.flags,
            module,
            place: std::ptr::null(),
            place_len: 0,
            rights_len: 0,
            rights: std::ptr::null(),
            reserved: 0,
            timeout: 0,
            deadline: self.deadline.map_or(0, |deadline| nanoseconds(deadline).max(1)),
            memory: self.memory,
        };
        let mut address = [0; Address::SIZE];
        let (name, out) = (self.function, address.as_mut_ptr());
        // SAFETY: the pointers are those of slices and a struct that the node reads, and of 32 bytes that it writes.
        check(unsafe {
            sys::spawn(name.as_ptr(), name.len(), arguments.as_ptr(), arguments.len(), &raw const options, out)
        })?;
        Ok(Address::from_bytes(address))
    }
}

/// What one coroutine does to another, wherever that runs.
impl Address {
    /// Waits until it has ended, and tells how. `None` waits for ever.
    ///
    /// # Errors
    /// `timeout`; `expired`: it ended and its record is no longer kept; `denied`, `node-lost`, `interrupted`, `invalid` (oneself).
    ///
    /// ```no_run
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// let child = corovan_guest::spawn("square").arg(&7).start()?;
    /// let exit = child.join(None)?;
    /// println!("it {}", exit.outcome);
    /// # Ok(())
    /// # }
    /// ```
    pub fn join(&self, timeout: Option<Duration>) -> Result<Exit, Error> {
        let record = parts::read(|part, buf, cap| {
            // SAFETY: an address, a header and a buffer of `cap` bytes.
            unsafe { sys::join(self.as_bytes().as_ptr(), wait_time(timeout), part, buf, cap) }
        })?;
        Exit::decode(&record).map_err(|text| Error::new(Code::Invalid, text))
    }

    /// Its end will come as a message, once; at once if it has ended. Asking again changes nothing.
    ///
    /// # Errors
    /// `denied`, `overloaded`, `invalid` (oneself).
    ///
    /// ```no_run
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// # let partner = corovan_guest::self_address();
    /// partner.monitor()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn monitor(&self) -> Result<(), Error> {
        // SAFETY: an address, which the node only reads.
        check(unsafe { sys::monitor(self.as_bytes().as_ptr()) }).map(drop)
    }

    /// Its end will not come as a message any more.
    ///
    /// # Errors
    /// `not-found`: it is not monitored, or the message has come.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// # let partner = corovan_guest::self_address();
    /// partner.demonitor()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn demonitor(&self) -> Result<(), Error> {
        // SAFETY: an address, which the node only reads.
        check(unsafe { sys::demonitor(self.as_bytes().as_ptr()) }).map(drop)
    }

    /// Its current or next waiting call gives `interrupted`, once. The first reason wins.
    ///
    /// # Errors
    /// `gone`, `denied`, `node-lost`.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// # let sleeper = corovan_guest::self_address();
    /// sleeper.interrupt("wake up")?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn interrupt(&self, reason: &str) -> Result<(), Error> {
        // SAFETY: an address and a slice, which the node only reads.
        let result = unsafe { sys::interrupt(self.as_bytes().as_ptr(), reason.as_ptr(), reason.len(), u64::MAX) };
        check(result).map(drop)
    }

    /// Interrupts it, stops it hard a second later if it has not ended, and waits until it has.
    ///
    /// # Errors
    /// `denied`, `node-lost`, `timeout`, `interrupted` (also by terminating oneself).
    ///
    /// ```no_run
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// let child = corovan_guest::spawn("serve").start()?;
    /// child.terminate(None)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn terminate(&self, timeout: Option<Duration>) -> Result<(), Error> {
        // SAFETY: an address, which the node only reads.
        check(unsafe { sys::terminate(self.as_bytes().as_ptr(), wait_time(timeout)) }).map(drop)
    }

    /// Ends its [`suspend`], or its next one, with a value.
    ///
    /// # Errors
    /// `overloaded`: an earlier resume is still to be taken; `gone`, `denied`, `too-large`, `node-lost`.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// # let waiting = corovan_guest::self_address();
    /// waiting.resume(&"go on")?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn resume<T: Serialize + ?Sized>(&self, value: &T) -> Result<(), Error> {
        let bytes = encode(value)?;
        // SAFETY: an address and a slice, which the node only reads.
        let result = unsafe { sys::resume(self.as_bytes().as_ptr(), bytes.as_ptr(), bytes.len(), u64::MAX) };
        check(result).map(drop)
    }

    /// What it is doing.
    ///
    /// # Errors
    /// `gone`, `denied`, `node-lost`, `overloaded`.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// # let server = corovan_guest::self_address();
    /// println!("{} messages are waiting", server.status()?.mailbox);
    /// # Ok(())
    /// # }
    /// ```
    pub fn status(&self) -> Result<Status, Error> {
        let bytes = parts::read(|part, buf, cap| {
            // SAFETY: an address, a header and a buffer of `cap` bytes.
            unsafe { sys::status(self.as_bytes().as_ptr(), u64::MAX, part, buf, cap) }
        })?;
        decode::<RawStatus>(&bytes).map(Status::from)
    }
}

/// Waits for [`Address::resume`], and gives its value. A resume that came before is taken at once.
///
/// # Errors
/// `timeout`, `interrupted`; `invalid`: the value is of another type.
///
/// ```no_run
/// use std::time::Duration;
///
/// # fn main() -> Result<(), corovan_guest::Error> {
/// let word: String = corovan_guest::suspend(Some(Duration::from_secs(60)))?;
/// # Ok(())
/// # }
/// ```
pub fn suspend<T: DeserializeOwned>(timeout: Option<Duration>) -> Result<T, Error> {
    let bytes = parts::read(|part, buf, cap| {
        // SAFETY: a header and a buffer of `cap` bytes.
        unsafe { sys::suspend(wait_time(timeout), part, buf, cap) }
    })?;
    decode(&bytes)
}

/// A daemon does not keep its computation open: when all others have ended, it is terminated.
///
/// ```no_run
/// corovan_guest::set_daemon(true);
/// ```
pub fn set_daemon(daemon: bool) {
    // SAFETY: takes a number.
    unsafe { sys::set_daemon(u32::from(daemon)) };
}

/// The map that the node writes.
#[derive(Deserialize)]
struct RawStatus {
    state: String,
    #[serde(default)]
    waiting: Option<String>,
    function: String,
    daemon: bool,
    mailbox: u64,
    mailbox_bytes: u64,
    senders: u64,
    #[serde(default)]
    dropped: u64,
    #[serde(default)]
    usage: crate::exit::RawUsage,
}

impl From<RawStatus> for Status {
    fn from(raw: RawStatus) -> Status {
        let RawStatus { state, waiting, function, daemon, mailbox, mailbox_bytes, senders, dropped, usage } = raw;
        let usage = usage.into();
        Status { state, waiting, function, daemon, mailbox, mailbox_bytes, senders, dropped, usage }
    }
}

/// The head of a CBOR array (RFC 8949, section 3).
fn array_head(count: usize) -> Vec<u8> {
    match count {
        0..=23 => vec![0x80 | count as u8],
        24..=0xff => vec![0x98, count as u8],
        _ => {
            let mut head = vec![0x9a];
            head.extend((count as u32).to_be_bytes());
            head
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_one_array_however_many_there_are() {
        for count in [0, 1, 23, 24, 255, 256, 70_000] {
            let mut bytes = array_head(count);
            bytes.extend(std::iter::repeat_n(0x07, count));
            assert_eq!(decode::<Vec<u8>>(&bytes).unwrap(), vec![7; count]);
        }
    }
}
