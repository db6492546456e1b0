//! Pauses between tries when several writers compete.

use std::time::Duration;

/// The first pause is shorter than this, and each later one may be twice as long.
const FIRST: Duration = Duration::from_millis(1);
/// No pause is longer.
const LONGEST: Duration = Duration::from_secs(1);

/// Pauses of random length. Writers that collided would collide again after pauses of equal length, and writers that do
/// not pause block each other.
#[derive(Default)]
pub(crate) struct Pause {
    tries: u32,
}

impl Pause {
    /// Waits before the next try.
    pub(crate) async fn take(&mut self) {
        tokio::time::sleep(self.next()).await;
    }

    fn next(&mut self) -> Duration {
        let most = FIRST.saturating_mul(1_u32.checked_shl(self.tries).unwrap_or(u32::MAX)).min(LONGEST);
        self.tries = self.tries.saturating_add(1);
        // Without randomness, half of it: the pause protects only the time of the others.
        let chance = getrandom::u32().map_or(0.5, |number| f64::from(number) / f64::from(u32::MAX));
        most.mul_f64(chance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_differ_and_are_bounded() {
        let mut pause = Pause::default();
        let pauses: Vec<_> = (0..200).map(|_| pause.next()).collect();
        assert!(pauses[0] <= FIRST && pauses[1] <= 2 * FIRST);
        assert!(pauses.iter().all(|pause| *pause <= LONGEST));
        assert!(pauses.iter().any(|pause| *pause > LONGEST / 2));
        assert!(pauses.windows(2).any(|two| two[0] != two[1]));
    }
}
