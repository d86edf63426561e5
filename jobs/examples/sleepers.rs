//! sleepers: ten coroutines that sleep side by side. The tutorial's first program: all of it takes as long as the longest sleep.

use corovan_guest::{Error, spawn, time};
use std::time::Duration;

/// Makes n coroutines that sleep between least and most seconds each, and ends at once: the program goes on until they have
/// ended. Gives their number.
#[corovan_guest::coroutine]
fn sleepers(n: Option<u32>, least: Option<f64>, most: Option<f64>) -> Result<u32, Error> {
    let (n, least, most) = (n.unwrap_or(10), least.unwrap_or(0.05), most.unwrap_or(0.3));
    for i in 0..n {
        // Spread evenly, so that the longest is known.
        let share = if n > 1 { f64::from(i) / f64::from(n - 1) } else { 1.0 };
        spawn("coro_proc").arg(i).arg(least + share * (most - least)).start()?;
    }
    Ok(n)
}

/// Sleeps.
#[corovan_guest::coroutine]
fn coro_proc(n: u32, seconds: f64) -> Result<(), Error> {
    println!("{:.6}: coroutine {n} sleeping for {seconds:.6} seconds", time::now().as_secs_f64());
    time::sleep(Duration::from_secs_f64(seconds))?;
    println!("{:.6}: coroutine {n} terminating", time::now().as_secs_f64());
    Ok(())
}
