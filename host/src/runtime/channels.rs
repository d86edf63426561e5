//! The channels of a tenant on this node.

/// A tenant's channels.
#[derive(Debug, Default)]
pub struct Channels {}
