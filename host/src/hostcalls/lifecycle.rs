//! Lifecycle: who am I, what am I to do, this is my result, I failed.

use super::Refusal;
use crate::runtime::{Coroutine, Ended};
use bytes::Bytes;
use corovan_core::code::Code;
use corovan_core::limits;
use corovan_core::text::cut;
use std::task::Poll;

/// `finish`: records the result, one CBOR item. Errors: already, too-large, invalid, overloaded (the tenant's
/// quota is used up).
pub fn finish(coroutine: &mut Coroutine, value: Bytes) -> Result<i32, Refusal> {
    if coroutine.own.result.is_some() {
        return Err(Refusal::new(Code::Already, "finish was called before; the first result stands"));
    }
    if let Err(error) = corovan_core::wire::cbor::check(&value) {
        return Err(Refusal::new(Code::Invalid, format!("the result is not one CBOR item: {error}")));
    }
    let held = coroutine.hold(value.len() as u64);
    let held = held.map_err(|exhausted| Refusal::new(Code::Overloaded, exhausted.to_string()))?;
    coroutine.own.result = Some((value, held));
    Ok(0)
}

/// A result of `len` bytes is too large? Asked before it is copied.
pub fn check_result_size(len: u32) -> Result<(), Refusal> {
    if len as usize <= limits::RESULT_BYTES {
        return Ok(());
    }
    let text = format!("a result of {len} bytes is over the limit of {} (RESULT_BYTES)", limits::RESULT_BYTES);
    Err(Refusal::new(Code::TooLarge, text))
}

/// `fail`: ends the coroutine as `failed(kind, text)`; texts over [`limits::TEXT_BYTES`] are cut.
pub fn fail(kind: String, text: String) -> wasmtime::Error {
    wasmtime::Error::new(Ended::Fail { kind: cut(kind, limits::NAME_BYTES), text: cut(text, limits::TEXT_BYTES) })
}

/// `yield`: lets others run; ready at the next turn.
pub async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_has_a_largest_size() {
        assert!(check_result_size(limits::RESULT_BYTES as u32).is_ok());
        assert_eq!(check_result_size(u32::MAX).unwrap_err().code, Code::TooLarge);
    }
}
