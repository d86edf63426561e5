//! Modules: validated, stored, compiled once, found by hash.
