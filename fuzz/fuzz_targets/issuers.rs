//! See `redis_session_fuzz_targets::issuers`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| redis_session_fuzz_targets::issuers(data));
