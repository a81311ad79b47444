//! Fuzz target: `invariants::auth`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| invariants::auth(data));
