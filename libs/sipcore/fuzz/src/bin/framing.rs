//! Fuzz target: `invariants::framing`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| invariants::framing(data));
