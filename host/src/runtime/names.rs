//! The names of a tenant on this node.

/// A tenant's names.
#[derive(Debug, Default)]
pub struct Names {}
