//! Any bytes as operations on a mailbox beside the simplest one; where they differ is asserted in
//! `corovan_core::sync::mailbox::model`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| corovan_core::sync::mailbox::model::drive(data));
