//! What a guest may call: each function once, bound to a linker.
