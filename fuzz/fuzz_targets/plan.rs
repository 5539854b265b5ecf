//! Any bytes to `plan`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tminus_fuzz::tried("plan", data));
