//! The locks of a computation on this node.

/// A computation's locks.
#[derive(Debug, Default)]
pub struct Locks {}
