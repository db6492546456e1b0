//! What tests leave to chance, and what the environment decides instead.

use std::time::{SystemTime, UNIX_EPOCH};

/// Numbers that a seed decides (xorshift64*).
pub struct Random(u64);

impl Random {
    /// Of the seed `REDIS_TEST_SEED`, or of one that chance has chosen. A test that fails shows which.
    pub fn of_this_run() -> Self {
        let chance = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64 | 1;
        let seed = std::env::var("REDIS_TEST_SEED").map_or(chance, |seed| seed.parse().expect("REDIS_TEST_SEED"));
        eprintln!("REDIS_TEST_SEED={seed}");
        Self::of(seed)
    }

    pub fn of(seed: u64) -> Self {
        Self(seed.max(1))
    }

    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.number() >> 33).unwrap() % bound
    }

    /// Once in `times`.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}
