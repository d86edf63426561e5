//! Who asks, and how much is left to them.

pub mod grant;
pub mod identity;
pub mod quota;
pub mod rate;
pub mod token;
