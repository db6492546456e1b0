//! See `redis_session_fuzz_targets::vouch`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| redis_session_fuzz_targets::vouch(data));
