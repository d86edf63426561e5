//! The functions of the interface `channels`.
