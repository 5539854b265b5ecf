//! Any bytes to `template`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tminus_fuzz::tried("template", data));
