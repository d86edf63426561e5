//! Who asks, and how much is left to them.

pub mod quota;
pub mod identity;
