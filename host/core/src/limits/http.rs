//! Bounds of the status page, with their reasons.

use std::time::Duration;

/// Connections at a time: browsers open six each; and how long one may last, after which a browser makes another.
pub const HTTP_CONNECTIONS: usize = 64;
pub const HTTP_CONNECTION: Duration = Duration::from_secs(120);
/// A request's head: it comes from this machine, so at once, and has no body.
pub const HTTP_HEADER: Duration = Duration::from_secs(5);
pub const HTTP_BUFFER: usize = 16 << 10;
/// After a connection could not be accepted.
pub const HTTP_PAUSE: Duration = Duration::from_millis(100);
/// Jobs of each kind on the page, and events of one on a page of its log.
pub const HTTP_JOBS: usize = 500;
pub const HTTP_EVENTS: usize = 200;
