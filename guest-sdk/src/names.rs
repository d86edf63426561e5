//! Names: each has one holder within the tenant, found from any node. A name goes with its holder.

use crate::address::Address;
use crate::error::{Error, check};
use crate::sys;
use crate::time::timeout;
use std::time::Duration;

/// Gives a coroutine or channel this name. Should another get the name while nodes could not reach each other, one of
/// the two loses it and gets [`Received::NameLost`](crate::messaging::Received::NameLost).
///
/// # Errors
/// `taken`; `denied`; `overloaded` when a quota is used up; `invalid` for the name (1 to 128 bytes); `gone`; with other nodes
/// `timeout`, `node-lost` and `interrupted`.
///
/// ```no_run
/// use corovan_guest::{names, self_address};
///
/// # fn main() -> Result<(), corovan_guest::Error> {
/// names::register("printer", self_address(), None)?;
/// # Ok(())
/// # }
/// ```
pub fn register(name: &str, holder: Address, limit: impl Into<Option<Duration>>) -> Result<(), Error> {
    let address = holder.as_bytes().as_ptr();
    // SAFETY: the node reads the 32 bytes of an address, and a string by its pointer and length.
    check(unsafe { sys::register(name.as_ptr(), name.len(), address, timeout(limit)) }).map(drop)
}

/// Gives up a name.
///
/// # Errors
/// `not-found`; `denied` for another's name.
///
/// ```no_run
/// # fn main() -> Result<(), corovan_guest::Error> {
/// corovan_guest::names::unregister("printer")?;
/// # Ok(())
/// # }
/// ```
pub fn unregister(name: &str) -> Result<(), Error> {
    // SAFETY: the node reads a string by its pointer and length.
    check(unsafe { sys::unregister(name.as_ptr(), name.len()) }).map(drop)
}

/// Waits until the name has a holder, and gives its address.
///
/// # Errors
/// `timeout`; `denied`; `overloaded` when too many wait; `interrupted`.
///
/// ```no_run
/// use corovan_guest::names;
/// use std::time::Duration;
///
/// # fn main() -> Result<(), corovan_guest::Error> {
/// let printer = names::locate("printer", Duration::from_secs(5))?;
/// # Ok(())
/// # }
/// ```
pub fn locate(name: &str, limit: impl Into<Option<Duration>>) -> Result<Address, Error> {
    let mut bytes = [0; Address::SIZE];
    // SAFETY: the node reads a string by its pointer and length, and writes the 32 bytes of an address.
    check(unsafe { sys::locate(name.as_ptr(), name.len(), timeout(limit), bytes.as_mut_ptr()) })?;
    Ok(Address::from_bytes(bytes))
}
