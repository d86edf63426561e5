//! Any bytes into the `mail` decoder; what must hold is asserted in `corovan_core::wire::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| corovan_core::wire::fuzz::feed("mail", data));
