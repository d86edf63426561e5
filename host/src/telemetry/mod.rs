//! Logs and the names of metrics.

use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Logs go to standard error, filtered. Call once.
pub fn init(filter: &str) -> Result<(), String> {
    let filter = EnvFilter::try_new(filter).map_err(|error| format!("{filter:?} is not a log filter: {error}"))?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    // Set already: by a test that ran before in this process.
    let _ = subscriber.try_init();
    Ok(())
}
