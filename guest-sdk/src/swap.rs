//! Hot swap: a running coroutine goes on as another function, perhaps of a newer module. Its address, mailbox with
//! unread messages, names, subscriptions, monitors, locks and timers stay; its memory does not, so it hands over a state.

use crate::address::Address;
use crate::cbor::with_cbor;
use crate::error::{Error, check};
use crate::ids::ModuleHash;
use crate::sys;
use crate::time::timeout;
use serde::Serialize;
use std::io::Write as _;
use std::time::Duration;

/// Another coroutine wants this one to go on as another function.
#[derive(PartialEq, Eq, Debug)]
#[must_use = "whoever asks waits for an answer: `accept` or `refuse`"]
pub struct SwapRequest {
    /// The new function.
    pub function: String,
    /// Who asks.
    pub sender: Address,
}

impl SwapRequest {
    /// Goes on as the new function, with `state` as its argument. Nothing else here runs, not even `Drop`.
    /// Returns only if that fails, and then goes on as before.
    ///
    /// # Errors
    /// Why it failed: `swap-failed`; `not-found` when whoever asked has given up; `too-large`, `invalid` for the state.
    ///
    /// ```no_run
    /// use corovan_guest::messaging::{Mailbox, Received};
    ///
    /// /// Counts what comes; `state` is what an earlier version had counted.
    /// #[corovan_guest::coroutine]
    /// fn server(state: Option<u64>) -> Result<(), corovan_guest::Error> {
    ///     let mut count = state.unwrap_or(0);
    ///     loop {
    ///         match Mailbox::<String>::new().receive()? {
    ///             Received::Message(_) => count += 1,
    ///             Received::Swap(request) => eprintln!("still the old one: {}", request.accept(&count)),
    ///             _ => {}
    ///         }
    ///     }
    /// }
    /// # fn main() {}
    /// ```
    pub fn accept<T: Serialize + ?Sized>(self, state: &T) -> Error {
        // What is printed and not yet written out would go with the memory.
        let _ = std::io::stdout().flush();
        let failed: Result<(), Error> = with_cbor(state, |state| {
            // SAFETY: the node reads a slice by its pointer and length.
            check(unsafe { sys::swap_point(state.as_ptr(), state.len()) }).map(drop)
        });
        match failed {
            Err(error) => error,
            Ok(()) => Error::new(crate::Code::Internal, "a swap point returned without an error"),
        }
    }

    /// Stays as it is, and tells whoever asked why.
    ///
    /// # Errors
    /// `not-found` when nobody waits for the answer any more.
    ///
    /// ```no_run
    /// use corovan_guest::messaging::{Mailbox, Received};
    ///
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// if let Received::Swap(request) = Mailbox::<()>::new().receive()? {
    ///     request.refuse("in the middle of a transaction")?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn refuse(self, why: &str) -> Result<(), Error> {
        // SAFETY: the node reads a string by its pointer and length.
        check(unsafe { sys::swap_refuse(why.as_ptr(), why.len()) }).map(drop)
    }
}

impl Address {
    /// Asks a coroutine to go on as this function, of this module or, with `None`, of the one it has. Waits for its answer.
    /// It gets a message, [`Received::Swap`](crate::messaging::Received::Swap), and goes on unchanged if it never looks.
    ///
    /// # Errors
    /// `swap-failed` when it refused or the new instance could not start; `gone`; `denied`; `unknown-function`;
    /// `need-module`; `bad-module`; `timeout`; `node-lost`; `interrupted`.
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// # let server = corovan_guest::self_address();
    /// server.swap(None, "server_2", Duration::from_secs(5))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn swap(
        &self,
        module: Option<ModuleHash>,
        function: &str,
        limit: impl Into<Option<Duration>>,
    ) -> Result<(), Error> {
        let module = module.as_ref().map_or(std::ptr::null(), |module| module.as_bytes().as_ptr());
        let target = self.as_bytes().as_ptr();
        // SAFETY: the node reads the 32 bytes of an address and of a hash, and a string by its pointer and length.
        check(unsafe { sys::swap(target, module, function.as_ptr(), function.len(), timeout(limit)) }).map(drop)
    }
}
