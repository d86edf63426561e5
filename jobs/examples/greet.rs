//! greet: prints lines with pauses between them. Shows that output reaches the client while the job runs, that standard output
//! and standard error stay apart, and that a line without an end is not lost.

use corovan_guest::{Error, time};
use std::time::Duration;

/// Greets name so many times, half a second apart: each greeting to stdout, its number to stderr.
#[corovan_guest::coroutine]
fn greet(name: String, times: u32) -> Result<u32, Error> {
    for i in 1..=times {
        if i > 1 {
            time::sleep(PAUSE)?;
        }
        println!("hello, {name}");
        eprintln!("{i} of {times}");
    }
    print!("bye");
    Ok(times)
}

const PAUSE: Duration = Duration::from_millis(500);
