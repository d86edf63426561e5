//! The functions of the interface `locks`.
