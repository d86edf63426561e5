//! Guest memory: the one place where a guest's numbers become bytes. Lengths are checked before anything is copied.

use crate::runtime::{Coroutine, Ended};
use bytes::Bytes;
use corovan_core::limits;
use wasmtime::{AsContext, AsContextMut, Caller, Memory};

/// Bytes `ptr .. ptr + len` of the guest, copied. Traps: outside of memory.
pub fn read(caller: &mut Caller<'_, Coroutine>, ptr: u32, len: u32) -> wasmtime::Result<Bytes> {
    with(caller, ptr, len, Bytes::copy_from_slice)
}

/// The same as text, of which no more than a byte over [`limits::TEXT_BYTES`] is looked at. Traps: outside of memory, not
/// UTF-8.
pub fn read_text(caller: &mut Caller<'_, Coroutine>, ptr: u32, len: u32, what: &str) -> wasmtime::Result<String> {
    with(caller, ptr, len, text)?.map_err(|error| broken(format!("{what} is not UTF-8: {error}")))
}

fn text(bytes: &[u8]) -> Result<String, std::str::Utf8Error> {
    // So much that the cut, which says so in the text, is seen to be needed, and a character that began before it is whole.
    let looked_at = &bytes[..bytes.len().min(limits::TEXT_BYTES + 4)];
    match std::str::from_utf8(looked_at) {
        Ok(text) => Ok(text.to_owned()),
        Err(error) if error.error_len().is_none() && looked_at.len() < bytes.len() => {
            Ok(String::from_utf8_lossy(&looked_at[..error.valid_up_to()]).into_owned())
        }
        Err(error) => Err(error),
    }
}

/// Looks at bytes of the guest in place. Traps: outside of memory.
pub fn with<T>(
    caller: &mut Caller<'_, Coroutine>,
    ptr: u32,
    len: u32,
    look: impl FnOnce(&[u8]) -> T,
) -> wasmtime::Result<T> {
    let memory = exported(caller)?;
    Ok(look(slice(memory.data(caller.as_context()), ptr, len)?))
}

/// Copies `bytes` to `ptr`. Traps: outside of memory.
pub fn write(caller: &mut Caller<'_, Coroutine>, ptr: u32, bytes: &[u8]) -> wasmtime::Result<()> {
    let memory = exported(caller)?;
    put(memory.data_mut(caller.as_context_mut()), ptr, bytes)
}

/// Copies `bytes` to a buffer of `cap` bytes if they fit; the size either way, so that the guest can come again.
pub fn write_if_it_fits(caller: &mut Caller<'_, Coroutine>, buf: u32, cap: u32, bytes: &[u8]) -> wasmtime::Result<i32> {
    if bytes.len() <= cap as usize {
        write(caller, buf, bytes)?;
    }
    i32::try_from(bytes.len()).map_err(|_| broken("a value over 2 GiB has no size".to_owned()))
}

/// Guest memory and the coroutine at once, for what is to be copied between them without a stop in between. Traps: no
/// memory.
#[inline]
pub fn split<'a>(caller: &'a mut Caller<'_, Coroutine>) -> wasmtime::Result<(&'a mut [u8], &'a mut Coroutine)> {
    let memory = exported(caller)?;
    Ok(memory.data_and_store_mut(caller.as_context_mut()))
}

/// Bytes `ptr .. ptr + len` of that memory. Traps: outside of it.
#[inline]
pub fn slice(data: &[u8], ptr: u32, len: u32) -> wasmtime::Result<&[u8]> {
    data.get(range(ptr, len)).ok_or_else(|| outside(ptr, len, data.len()))
}

/// Copies to that memory. Traps: outside of it.
#[inline]
pub fn put(data: &mut [u8], ptr: u32, bytes: &[u8]) -> wasmtime::Result<()> {
    let (len, size) = (u32::try_from(bytes.len()).unwrap_or(u32::MAX), data.len());
    data.get_mut(range(ptr, len)).ok_or_else(|| outside(ptr, len, size))?.copy_from_slice(bytes);
    Ok(())
}

/// So many bytes of that memory, to be written in place. Traps: outside of it.
#[inline]
pub fn room<const N: usize>(data: &mut [u8], ptr: u32) -> wasmtime::Result<&mut [u8; N]> {
    let size = data.len();
    let len = u32::try_from(N).unwrap_or(u32::MAX);
    let room = data.get_mut(range(ptr, len)).and_then(|room| room.try_into().ok());
    room.ok_or_else(|| outside(ptr, len, size))
}

/// Ends the coroutine: it broke a rule of the host interface.
pub fn broken(rule: String) -> wasmtime::Error {
    wasmtime::Error::new(Ended::Broken(rule))
}

fn range(ptr: u32, len: u32) -> std::ops::Range<usize> {
    // Both are u32, so the sum cannot overflow a 64-bit usize.
    ptr as usize..ptr as usize + len as usize
}

fn outside(ptr: u32, len: u32, size: usize) -> wasmtime::Error {
    broken(format!("{len} bytes at {ptr:#x} are outside of its memory of {size} bytes"))
}

/// The guest's memory; during a start function, before the instance is known, it is looked up by name.
fn exported(caller: &mut Caller<'_, Coroutine>) -> wasmtime::Result<Memory> {
    if let Some(memory) = caller.data().memory() {
        return Ok(memory);
    }
    caller
        .get_export("memory")
        .and_then(wasmtime::Extern::into_memory)
        .ok_or_else(|| broken("it passes a pointer but exports no memory named \"memory\"".to_owned()))
}
