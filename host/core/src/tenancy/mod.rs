//! Who asks, and how much is left to them.
