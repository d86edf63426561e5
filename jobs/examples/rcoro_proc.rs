//! rcoro_proc: the first program of the asyncoro tutorial, sent to a node. Sleeps for `n` seconds and returns `n`.
//! Shows: an argument, a suspended coroutine, a result.

use corovan_guest::time;
use std::time::Duration;

/// Sleeps for n seconds, then returns n.
#[corovan_guest::coroutine]
fn rcoro_proc(n: f64) -> Result<f64, String> {
    let duration = Duration::try_from_secs_f64(n).map_err(|_| format!("cannot sleep for {n} seconds"))?;
    time::sleep(duration).map_err(|error| error.to_string())?;
    Ok(n)
}
