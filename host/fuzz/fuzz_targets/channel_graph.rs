//! Any bytes as a history of this part of a channel; what must hold is asserted in `corovan_core::sync::channel::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| corovan_core::sync::channel::fuzz::feed("channel_graph", data));
