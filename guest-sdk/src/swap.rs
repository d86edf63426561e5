//! Hot swap: a running coroutine goes on as another function, also of another module, and keeps its address, its unread
//! messages, its names, monitors, timers and handles.
//!
//! ```no_run
//! use corovan_guest::messaging::{Mailbox, Received};
//!
//! /// Counts messages; another version may take over where it stands.
//! #[corovan_guest::coroutine]
//! fn counter(mut count: u64) -> Result<u64, corovan_guest::Error> {
//!     loop {
//!         match Mailbox::<String>::new().receive()? {
//!             Received::Message(_) => count += 1,
//!             // Returns only if the other could not start: then this one goes on.
//!             Received::Swap(request) => eprintln!("not swapped: {}", request.accept(&count)),
//!             _ => {}
//!         }
//!     }
//! }
//! # fn main() {}
//! ```

use crate::address::Address;
use crate::coroutine::ModuleHash;
use crate::error::{Error, check};
use crate::messaging::{encode, wait_time};
use crate::sys;
use serde::Serialize;
use std::time::Duration;

/// Another coroutine asks this one to go on as another function.
#[derive(Debug)]
pub struct SwapRequest {
    /// Who asks.
    pub sender: Address,
    /// The new function's name.
    pub function: String,
}

impl SwapRequest {
    pub(crate) fn new(sender: Address, function: String) -> SwapRequest {
        SwapRequest { sender, function }
    }

    /// Agrees: the new function starts with `state` as its one argument, and this one is over. Returns only when the new one
    /// could not start (`swap-failed`), or whoever asked has given up (`not-found`); this one then goes on. What was printed is
    /// written out first; nothing of this instance is dropped.
    pub fn accept<T: Serialize + ?Sized>(self, state: &T) -> Error {
        // Where standard output is closed there is nobody to tell.
        let _ = std::io::Write::flush(&mut std::io::stdout());
        let bytes = match encode(state) {
            Ok(bytes) => bytes,
            Err(error) => return error,
        };
        // SAFETY: a slice, which the node only reads.
        let result = unsafe { sys::swap_point(bytes.as_ptr(), bytes.len()) };
        Error::from_result(i64::from(result))
    }

    /// Declines, with the reason for whoever asked.
    ///
    /// # Errors
    /// `not-found`: whoever asked has given up.
    ///
    /// ```no_run
    /// use corovan_guest::messaging::{Mailbox, Received};
    ///
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// if let Received::Swap(request) = Mailbox::<String>::new().receive()? {
    ///     request.refuse("not before the last client is served")?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn refuse(self, why: &str) -> Result<(), Error> {
        // SAFETY: a slice, which the node only reads.
        check(unsafe { sys::swap_refuse(why.as_ptr(), why.len()) }).map(drop)
    }
}

impl Address {
    /// Asks it to go on as this function (of another module, or its own), and waits for how that went.
    ///
    /// # Errors
    /// `swap-failed`: it declined, or the new one could not start, and the old one goes on; `unknown-function`, `need-module`, `gone`,
    /// `denied`, `timeout`, `node-lost`, `interrupted`.
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// let counter = corovan_guest::spawn("counter").arg(&0).start()?;
    /// counter.swap(None, "counter_in_steps_of_two", Some(Duration::from_secs(5)))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn swap(&self, module: Option<ModuleHash>, function: &str, timeout: Option<Duration>) -> Result<(), Error> {
        let hash = module.as_ref().map_or(std::ptr::null(), |hash| hash.0.as_ptr());
        let target = self.as_bytes().as_ptr();
        // SAFETY: an address, a hash or null, and a slice, which the node only reads.
        check(unsafe { sys::swap(target, hash, function.as_ptr(), function.len(), wait_time(timeout)) }).map(drop)
    }
}
