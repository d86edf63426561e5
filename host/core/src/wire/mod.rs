//! What travels: frames and the records in their heads. Lengths are capped before anything is allocated or decoded.

pub mod cbor;
pub mod durable;
pub mod exit;
pub mod frame;
pub mod fuzz;
pub mod jobs;
pub mod join;
pub mod mail;
pub mod node_id;
pub mod nodes;
pub mod records;

pub use exit::{ExitRecord, Outcome, Usage};
pub use frame::{Decoder, Frame, Kind};

/// Whether a field of a record is left out where it is written: whoever reads it puts the same there.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
