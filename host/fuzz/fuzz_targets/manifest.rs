//! The `corovan.manifest` section of a module: any bytes are read or refused.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = corovan_core::job::manifest::Manifest::decode(data);
});
