//! Any bytes to `discord`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tminus_fuzz::tried("discord", data));
