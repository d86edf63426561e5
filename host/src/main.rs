//! The `corovan` binary.

fn main() {}
