//! Fuzz target: `invariants::edit`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| invariants::edit(data));
