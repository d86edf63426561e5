//! Any bytes as what another node sends; what must hold is asserted in `corovan_core::link::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| corovan_core::link::fuzz::frames(data));
