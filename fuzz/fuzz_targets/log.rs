//! Any bytes to `log`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tminus_fuzz::tried("log", data));
