//! Any bytes as a module's custom section `corovan.manifest`: read or refused.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = corovan_core::job::manifest::Manifest::decode(data);
});
