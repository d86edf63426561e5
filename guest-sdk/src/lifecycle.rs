//! This coroutine: who it is, what it was asked, how it ends.

use crate::address::Address;
use crate::error::{Error, check};
use crate::{sys, values};
use serde::{Serialize, de::DeserializeOwned};
use std::io::Write as _;

/// This coroutine's own address.
///
/// ```no_run
/// println!("I am {}", corovan_guest::self_address());
/// ```
pub fn self_address() -> Address {
    let mut bytes = [0; Address::SIZE];
    // SAFETY: the node writes exactly the 32 bytes of an address.
    unsafe { sys::own_address(bytes.as_mut_ptr()) };
    Address::from_bytes(bytes)
}

/// The name of the function this coroutine was made to run. A module with a `main` and a manifest that lists functions
/// asks for it to choose what to do; in a [`coroutine`](macro@crate::coroutine) function it is that function's name.
///
/// ```no_run
/// match corovan_guest::entry().as_str() {
///     "count" => corovan_guest::finish(&3).expect("no result was given before"),
///     other => corovan_guest::fail("unknown-function", other),
/// }
/// ```
pub fn entry() -> String {
    String::from_utf8_lossy(&read(|buf, cap| {
        // SAFETY: `buf` has room for `cap` bytes, and the node writes no more.
        unsafe { sys::entry(buf, cap) }
    }))
    .into_owned()
}

/// The arguments as one type: a tuple for several, a `Vec` for any number of one type.
/// [`coroutine`](macro@crate::coroutine) functions have theirs already; this is for modules with a `main`.
///
/// # Errors
/// A text that names the argument and what is wrong with it, made for the person who gave it.
///
/// ```no_run
/// match corovan_guest::args::<(String, u32)>() {
///     Ok((name, times)) => println!("{name}, {times} times"),
///     Err(text) => corovan_guest::fail("bad-argument", &text),
/// }
/// ```
pub fn args<T: DeserializeOwned>() -> Result<T, String> {
    values::decode_all(&args_cbor())
}

/// The arguments as they came: a CBOR array.
///
/// ```no_run
/// assert_eq!(corovan_guest::args_cbor(), [0x81, 0x02], "one argument, the number 2");
/// ```
pub fn args_cbor() -> Vec<u8> {
    read(|buf, cap| {
        // SAFETY: `buf` has room for `cap` bytes, and the node writes no more.
        unsafe { sys::args(buf, cap) }
    })
}

/// Records the result and goes on: the coroutine ends when its function returns.
/// What a [`coroutine`](macro@crate::coroutine) function returns is recorded without this.
///
/// # Errors
/// `already` when there is a result; `too-large` above the node's limit (16 MiB); `invalid` when the value has no CBOR form.
///
/// ```no_run
/// # fn main() -> Result<(), corovan_guest::Error> {
/// corovan_guest::finish(&("done", 42))?;
/// println!("the result is safe; now tidy up");
/// # Ok(())
/// # }
/// ```
pub fn finish<T: Serialize + ?Sized>(value: &T) -> Result<(), Error> {
    let bytes = values::encode(value).map_err(|text| Error::new(crate::Code::Invalid, text))?;
    finish_cbor(&bytes)
}

/// Records a result that is one CBOR item already.
///
/// # Errors
/// `already`, `too-large`, `invalid` when it is not one CBOR item.
///
/// ```no_run
/// # fn main() -> Result<(), corovan_guest::Error> {
/// corovan_guest::finish_cbor(&[0xf5])?; // true
/// # Ok(())
/// # }
/// ```
pub fn finish_cbor(item: &[u8]) -> Result<(), Error> {
    // SAFETY: the pointer and length are those of a slice, which the node only reads.
    check(unsafe { sys::finish(item.as_ptr(), item.len()) }).map(drop)
}

/// Ends this coroutine as `failed`: `kind` is a short stable word for programs, `text` is for a person (the node keeps
/// 128 bytes and 4 KiB of them). What was printed is written out first; nothing else runs, not even `Drop`.
///
/// ```no_run
/// if std::env::var("INPUT").is_err() {
///     corovan_guest::fail("no-input", "set INPUT to the name of a file under /in");
/// }
/// ```
pub fn fail(kind: &str, text: &str) -> ! {
    // Where standard output is closed there is nobody to tell, and the failure itself says more.
    let _ = std::io::stdout().flush();
    fail_now(kind, text)
}

/// Lets other coroutines run, then goes on. Needed by none: a coroutine that computes for long is interrupted and resumed by the
/// node. It helps one that wants to be a good neighbour at points of its own choice.
///
/// # Errors
/// `interrupted`, once, when another coroutine or the client interrupted this one.
///
/// ```no_run
/// # fn main() -> Result<(), corovan_guest::Error> {
/// for chunk in 0..100 {
///     // ... work on it ...
///     corovan_guest::yield_now()?;
/// }
/// # Ok(())
/// # }
/// ```
pub fn yield_now() -> Result<(), Error> {
    // SAFETY: takes nothing.
    check(unsafe { sys::yield_now() }).map(drop)
}

/// Detail of the last call that gave an error. [`Error::detail`] has it already; this is for code on the raw imports.
///
/// ```no_run
/// println!("{}", corovan_guest::last_error());
/// ```
pub fn last_error() -> String {
    let bytes = read(|buf, cap| {
        // SAFETY: `buf` has room for `cap` bytes, and the node writes no more.
        unsafe { sys::last_error(buf, cap) }
    });
    String::from_utf8_lossy(&bytes).into_owned()
}

/// [`fail`] without touching standard output: a panic may come from the middle of a `println!`, which holds it.
pub(crate) fn fail_now(kind: &str, text: &str) -> ! {
    // SAFETY: both pointers and lengths are those of slices, which the node only reads.
    unsafe { sys::fail(kind.as_ptr(), kind.len(), text.as_ptr(), text.len()) };
    // The node does not return from `fail`; should one do so, this ends the coroutine all the same.
    std::process::abort()
}

/// Reads what has a size known only to the node: once into a buffer that is enough for most, again when it was not.
pub(crate) fn try_read(call: impl Fn(*mut u8, usize) -> Result<usize, Error>) -> Result<Vec<u8>, Error> {
    let mut buffer = Vec::with_capacity(FIRST_TRY);
    loop {
        let size = call(buffer.as_mut_ptr(), buffer.capacity())?;
        if size <= buffer.capacity() {
            // SAFETY: the node has written `size` bytes, since they fit.
            unsafe { buffer.set_len(size) };
            return Ok(buffer);
        }
        buffer.reserve_exact(size);
    }
}

/// The same of what the node cannot refuse.
fn read(call: impl Fn(*mut u8, usize) -> i32) -> Vec<u8> {
    try_read(|buf, cap| Ok(usize::try_from(call(buf, cap)).unwrap_or(0))).unwrap_or_default()
}

/// Arguments and texts are mostly short; a job that takes megabytes pays one more call.
const FIRST_TRY: usize = 256;
