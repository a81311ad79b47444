//! Fuzz target: `invariants::uri`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| invariants::uri(data));
