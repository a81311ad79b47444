//! Fuzz target: `invariants::address`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| invariants::address(data));
