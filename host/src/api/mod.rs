//! Client connections: what a client may ask for and what it is told.
