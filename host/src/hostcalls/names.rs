//! The functions of the interface `names`.
