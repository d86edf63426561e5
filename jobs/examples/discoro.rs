//! What the equivalents of discoro's clients ship: functions that compute, and one that searches until it is told to stop.

use corovan_guest::{Code, Error, time};
use std::time::Duration;

/// Takes so many seconds, and gives the number back with them.
#[corovan_guest::coroutine]
fn compute(number: u64, seconds: f64) -> Result<(u64, f64), String> {
    let duration = Duration::try_from_secs_f64(seconds).map_err(|_| format!("cannot take {seconds} seconds"))?;
    time::sleep(duration).map_err(|error| error.to_string())?;
    Ok((number, seconds))
}

/// Looks for the number below 2^32 whose steps to 1 in Collatz's sequence are the most, from one number up; tells each better one as
/// progress. Interrupted, it gives the best so far: the number and its steps.
#[corovan_guest::coroutine]
fn search(from: u64) -> Result<(u64, u64), Error> {
    let mut best = (0, 0);
    for number in from.max(1)..1 << 32 {
        let steps = steps(number);
        if steps > best.1 {
            best = (number, steps);
            corovan_guest::log::progress(number, 0, &format!("{steps} steps"));
        }
        // Now and then it looks whether somebody wants it to stop: a search that never asks is stopped all the same, without a value.
        if number.is_multiple_of(1_024) {
            match time::sleep(Duration::ZERO) {
                Err(error) if error.code == Code::Interrupted => break,
                other => other?,
            }
        }
    }
    Ok(best)
}

fn steps(mut number: u64) -> u64 {
    let mut steps = 0;
    while number != 1 {
        number = if number.is_multiple_of(2) { number / 2 } else { 3 * number + 1 };
        steps += 1;
    }
    steps
}
