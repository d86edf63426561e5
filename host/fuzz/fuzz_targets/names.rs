//! Any bytes as a history of calls; what must hold is asserted in `corovan_core::sync::names::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| corovan_core::sync::names::fuzz::names(data));
