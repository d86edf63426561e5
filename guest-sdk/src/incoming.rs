//! Results whose size only the node knows. They come into one buffer that is used again and again and never zeroed; what
//! does not fit waits at the node under a token, so nothing is lost and nothing is larger than it must be.

use crate::cbor::KEPT;
use crate::error::{Code, Error, check};
use crate::sys;
use std::cell::Cell;

/// The bytes of one result.
pub struct Incoming {
    /// Borrowed from its place for as long as this lives.
    shared: Vec<u8>,
    /// Of its own, for what is too large for a buffer that is kept.
    own: Option<Vec<u8>>,
}

impl Incoming {
    /// Runs `call` with room for a result. It gives what the import returned, and the token of what did not fit.
    pub fn get(call: impl FnOnce(*mut u8, usize) -> (i32, u64)) -> Result<Incoming, Error> {
        let mut incoming = Incoming { shared: BUFFER.take(), own: None };
        let buffer = &mut incoming.shared;
        buffer.clear();
        buffer.reserve(FIRST);
        let (result, token) = call(buffer.as_mut_ptr(), buffer.capacity());
        let size = check(result)?;
        if token != 0 {
            let token = Token(token);
            if size > KEPT {
                let mut own = Vec::with_capacity(size);
                token.take(size, &mut own)?;
                incoming.own = Some(own);
            } else {
                buffer.reserve(size);
                token.take(size, buffer)?;
            }
        } else if size <= buffer.capacity() {
            // SAFETY: the node has written `size` bytes, since they fit.
            unsafe { buffer.set_len(size) };
        } else {
            return Err(Error::new(Code::Internal, "a result that does not fit came without a token"));
        }
        Ok(incoming)
    }

    #[cfg(test)]
    pub fn of(bytes: &[u8]) -> Incoming {
        Incoming { shared: bytes.to_vec(), own: None }
    }

    pub fn bytes(&self) -> &[u8] {
        self.own.as_deref().unwrap_or(&self.shared)
    }

    /// As a vector of just their size.
    pub fn into_vec(mut self) -> Vec<u8> {
        self.own.take().unwrap_or_else(|| self.shared.as_slice().to_vec())
    }
}

/// Gives the buffer back.
impl Drop for Incoming {
    fn drop(&mut self) {
        BUFFER.set(std::mem::take(&mut self.shared));
    }
}

/// What waits at the node; given up if it is not taken.
struct Token(u64);

impl Token {
    /// Into a buffer that is empty and has room for `size` bytes.
    fn take(self, size: usize, buffer: &mut Vec<u8>) -> Result<(), Error> {
        debug_assert!(buffer.is_empty() && buffer.capacity() >= size);
        // SAFETY: the buffer has room for the `size` bytes that the token stands for.
        check(unsafe { sys::take(self.0, buffer.as_mut_ptr()) })?;
        // SAFETY: the node has written all of them.
        unsafe { buffer.set_len(size) };
        // It is given back already.
        std::mem::forget(self);
        Ok(())
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        // SAFETY: takes a number. Where it is not known any more there is nothing to give back.
        unsafe { sys::discard(self.0) };
    }
}

thread_local! {
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Messages and exit records are mostly smaller.
const FIRST: usize = 1 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_that_fits_is_in_the_buffer_which_is_used_again() {
        let mut first = std::ptr::null_mut();
        let fill = |byte: u8, buf: *mut u8, cap: usize| {
            assert!(cap >= 3);
            // SAFETY: there is room for three bytes.
            unsafe { buf.write_bytes(byte, 3) };
            (3, 0)
        };
        let incoming = Incoming::get(|buf, cap| {
            first = buf;
            fill(7, buf, cap)
        })
        .unwrap();
        assert_eq!(incoming.bytes(), [7; 3]);
        drop(incoming);
        let again = Incoming::get(|buf, cap| {
            assert_eq!(buf, first);
            fill(8, buf, cap)
        })
        .unwrap();
        // A second result while the first is in use has a buffer of its own.
        let beside = Incoming::get(|buf, cap| {
            assert_ne!(buf, first);
            fill(9, buf, cap)
        })
        .unwrap();
        assert_eq!((again.bytes(), beside.bytes()), (&[8; 3][..], &[9; 3][..]));
        assert_eq!(again.into_vec(), [8; 3]);
    }

    #[test]
    fn a_node_that_promises_more_than_fits_is_not_believed() {
        let error = Incoming::get(|_, cap| (i32::try_from(cap).unwrap() + 1, 0)).err().unwrap();
        assert_eq!(error.code, Code::Internal);
    }
}
