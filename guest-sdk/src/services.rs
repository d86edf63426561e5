//! Services: functions that are offered under a name, to callers on any node who ship no code.

use crate::address::Address;
use crate::cbor::to_cbor;
use crate::error::{Error, check};
use crate::ids::ModuleHash;
use crate::spawn::{array, items};
use crate::sys;
use crate::time::timeout;
use serde::Serialize;
use std::time::Duration;

/// Offers a function, of this module or of another, at this node, for as long as this coroutine lives.
///
/// # Errors
/// `taken`; `unknown-function`; `need-module`; `bad-module`; `overloaded` when a quota is used up; `invalid` for the name (1 to 128
/// bytes); with other nodes `timeout` and `interrupted`.
///
/// ```no_run
/// use corovan_guest::{Error, services, suspend};
///
/// #[corovan_guest::coroutine]
/// fn area(width: f64, height: f64) -> f64 {
///     width * height
/// }
///
/// #[corovan_guest::coroutine]
/// fn offer() -> Result<(), Error> {
///     services::serve("area", None, "area")?;
///     // Until somebody ends it.
///     suspend(None)
/// }
/// # fn main() {}
/// ```
pub fn serve(name: &str, module: Option<ModuleHash>, function: &str) -> Result<(), Error> {
    offer(name, module, function, 0)
}

/// The same, and [`Received::Called`](crate::messaging::Received::Called) comes with the address of each coroutine that is made,
/// so that it can be watched and ended. Calls are refused while the mailbox has no room for that.
///
/// # Errors
/// As [`serve`].
///
/// ```no_run
/// use corovan_guest::messaging::{Mailbox, Received};
/// use corovan_guest::services;
///
/// # fn main() -> Result<(), corovan_guest::Error> {
/// services::serve_watched("area", None, "area")?;
/// if let Received::Called { name, made } = Mailbox::<()>::new().receive()? {
///     println!("{made} works for {name}");
///     made.monitor()?;
/// }
/// # Ok(())
/// # }
/// ```
pub fn serve_watched(name: &str, module: Option<ModuleHash>, function: &str) -> Result<(), Error> {
    const TELL: u32 = 1;
    offer(name, module, function, TELL)
}

/// Waits until there is a service of this name, and has a coroutine made of it where it is offered; it counts for the caller's
/// computation. `args` is a tuple, list or array; `()` for none. With a limit of zero other nodes are not asked: `timeout`, where
/// it is not offered on this one.
///
/// # Errors
/// `not-found` when the name is a coroutine's or channel's; `timeout`; `overloaded`; `denied`; `too-large` for arguments over 16 MiB;
/// `invalid` for arguments without CBOR form; `interrupted`; with other nodes `node-lost`.
///
/// ```no_run
/// use corovan_guest::services;
/// use std::time::Duration;
///
/// # fn main() -> Result<(), corovan_guest::Error> {
/// let area = services::call("area", (3.0, 4.0), Duration::from_secs(5))?;
/// println!("{}", area.join(None)?.value::<f64>()?);
/// # Ok(())
/// # }
/// ```
pub fn call(name: &str, args: impl Serialize, limit: impl Into<Option<Duration>>) -> Result<Address, Error> {
    let (count, items) = to_cbor(&args).and_then(items)?;
    let (args, limit) = (array(count, &items), timeout(limit));
    let mut address = [0; Address::SIZE];
    // SAFETY: the node reads a string and a slice by their pointers and lengths, and writes the 32 bytes of an address.
    check(unsafe { sys::call(name.as_ptr(), name.len(), args.as_ptr(), args.len(), limit, address.as_mut_ptr()) })?;
    Ok(Address::from_bytes(address))
}

/// Ends an offer of this computation; what was made of it goes on.
///
/// # Errors
/// `not-found`; `denied` for another's.
///
/// ```no_run
/// # fn main() -> Result<(), corovan_guest::Error> {
/// corovan_guest::services::unserve("area")?;
/// # Ok(())
/// # }
/// ```
pub fn unserve(name: &str) -> Result<(), Error> {
    // SAFETY: the node reads a string by its pointer and length.
    check(unsafe { sys::unserve(name.as_ptr(), name.len()) }).map(drop)
}

fn offer(name: &str, module: Option<ModuleHash>, function: &str, flags: u32) -> Result<(), Error> {
    let module = module.as_ref().map_or(std::ptr::null(), |module| module.as_bytes().as_ptr());
    let (name, function) = (name.as_bytes(), function.as_bytes());
    // SAFETY: the node reads two strings by their pointers and lengths, and the 32 bytes of a hash.
    let offered = unsafe { sys::serve(name.as_ptr(), name.len(), module, function.as_ptr(), function.len(), flags) };
    check(offered).map(drop)
}
