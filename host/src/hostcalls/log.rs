//! Log lines and progress, to whoever follows the coroutine.

use super::Refusal;
use crate::runtime::Coroutine;
use corovan_core::code::Code;
use corovan_core::limits;
use corovan_core::text::cut;

/// `log`: one line. Errors: invalid (level is not 1 to 5).
pub fn log(coroutine: &Coroutine, level: i32, text: String) -> Result<i32, Refusal> {
    let Some(level) = u8::try_from(level).ok().filter(|level| (1..=5).contains(level)) else {
        return Err(Refusal::new(Code::Invalid, format!("a log level is 1 (error) to 5 (trace), not {level}")));
    };
    coroutine.observer.log(level, cut(text, limits::TEXT_BYTES));
    Ok(0)
}

/// `progress`: `done` of `total` (0: unknown); only the latest is kept for a follower that is slow.
pub fn progress(coroutine: &Coroutine, done: u64, total: u64, text: String) -> Result<i32, Refusal> {
    coroutine.observer.progress(done, total, cut(text, limits::TEXT_BYTES));
    Ok(0)
}
