//! Fuzz target: `invariants::message`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| invariants::message(data));
