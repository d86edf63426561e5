//! What a node is told at start.
