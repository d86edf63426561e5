//! Any bytes as operations on a timer queue beside a plain list; where they differ is asserted in
//! `corovan_core::sync::timers`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| corovan_core::sync::timers::drive(data));
