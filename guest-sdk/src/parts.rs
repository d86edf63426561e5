//! Results whose size only the node knows: one call into a buffer that is enough for most, and what does not fit is taken
//! by its token, so that nothing is lost or read twice.

use crate::error::{Error, check};
use crate::sys::{self, Part};

/// Most results are short; a larger one costs one more call.
pub(crate) const FIRST_TRY: usize = 512;

/// Makes a call that gives bytes. `call` gets the header, the buffer and its size.
pub(crate) fn read(call: impl FnOnce(*mut Part, *mut u8, usize) -> i32) -> Result<Vec<u8>, Error> {
    let (mut part, mut buffer) = (Part::default(), Vec::with_capacity(FIRST_TRY));
    let size = check(call(&raw mut part, buffer.as_mut_ptr(), buffer.capacity()))?;
    fill(buffer, size, part.token)
}

/// The bytes of a result: those in the buffer, or those that the token stands for.
pub(crate) fn fill(mut buffer: Vec<u8>, size: usize, token: u64) -> Result<Vec<u8>, Error> {
    if token != 0 {
        buffer.reserve_exact(size);
        // SAFETY: the buffer has room for `size` bytes, which is what the token stands for.
        check(unsafe { sys::take(token, buffer.as_mut_ptr()) })?;
    }
    // SAFETY: the node has written `size` bytes, here or above.
    unsafe { buffer.set_len(size) };
    Ok(buffer)
}
