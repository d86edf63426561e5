//! Logs and the names of metrics.

use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Says anew what is logged.
pub struct Filter(Box<dyn Fn(EnvFilter) -> Result<(), String> + Send + Sync>);

/// Logs go to standard error, filtered. Call once.
pub fn init(filter: &str) -> Result<Filter, String> {
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(parse(filter)?)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .with_filter_reloading();
    let handle = subscriber.reload_handle();
    // Set already: by a test that ran before in this process.
    let _ = subscriber.try_init();
    Ok(Filter(Box::new(move |filter| handle.reload(filter).map_err(|error| error.to_string()))))
}

/// Whether a text is a filter.
pub fn check(filter: &str) -> Result<(), String> {
    parse(filter).map(drop)
}

impl Filter {
    pub fn set(&self, filter: &str) -> Result<(), String> {
        (self.0)(parse(filter)?)
    }
}

fn parse(filter: &str) -> Result<EnvFilter, String> {
    EnvFilter::try_new(filter).map_err(|error| format!("{filter:?} is not a log filter: {error}"))
}
