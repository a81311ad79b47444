//! Fuzz target: `invariants::sdp`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| invariants::sdp(data));
