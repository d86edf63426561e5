//! Bounds of a client's own mailbox, with their reasons.

/// Calls of a client's coroutine that are on their way: each may wait for long, and takes about a kilobyte.
pub const MAIL_CALLS: usize = 256;
/// Bytes of messages that a client is sent before it has taken them, and what each counts beside its bytes; beyond, they wait in its
/// mailbox at the node, and then their senders do.
pub const MAIL_WINDOW: u64 = 256 << 10;
pub const MAIL_MESSAGE: u64 = 128;
/// Requests to a client that it has not answered; the oldest is given up for another.
pub const MAIL_REPLIES: usize = 1_024;
