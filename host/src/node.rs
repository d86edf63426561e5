//! The composition root: builds a node out of its parts.
