//! Names of tokens and devices in memory.

use std::fmt;

use siphasher::sip128::SipHasher13;

/// Stands for a text in comparisons: its SipHash-1-3 of 128 bits under a secret of this cache. So the text itself is
/// not kept.
///
/// Two texts have the same name with a chance of 2^-128, if nobody chose them with knowledge of the secret or of a
/// name. The best known attack finds two texts with one name with a chance of 2^-167, by a difference that the rounds
/// cancel (Dobraunig, Mendel and Schläffer, "Differential Cryptanalysis of SipHash", 2014). Names never leave the
/// cache: an observer learns only whether the name of a text is remembered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Name([u64; 2]);

/// Leaves the name out: with names and the secret, texts can be guessed.
impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Name").finish_non_exhaustive()
    }
}

impl Name {
    /// For a hash table.
    pub(super) fn hash(self) -> u64 {
        self.0[0]
    }

    /// The number of its part, from 0, of `parts`, which is at least 1. Independent of its hash.
    #[allow(clippy::cast_possible_truncation)] // only some bits count
    pub(super) fn part(self, parts: usize) -> usize {
        self.0[1] as usize % parts.max(1)
    }
}

/// Makes names.
pub(super) struct Namer(SipHasher13);

/// Leaves the secret out.
impl fmt::Debug for Namer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Namer").finish_non_exhaustive()
    }
}

impl Namer {
    /// With a secret of its own. None if the operating system gives no randomness.
    pub(super) fn new() -> Option<Self> {
        let mut secret = [0; 16];
        getrandom::fill(&mut secret).ok()?;
        Some(Self(SipHasher13::new_with_key(&secret)))
    }

    pub(super) fn name(&self, text: &[u8]) -> Name {
        let hash = self.0.hash(text);
        Name([hash.h1, hash.h2])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_of_one_cache() {
        let (one, other) = (Namer::new().unwrap(), Namer::new().unwrap());
        assert!(one.name(b"token") == one.name(b"token") && one.name(b"token") != other.name(b"token"));
    }

    #[test]
    fn nothing_of_a_text_or_the_secret_is_printed() {
        let namer = Namer::new().unwrap();
        assert_eq!(format!("{namer:?} {:?}", namer.name(b"token")), "Namer { .. } Name { .. }");
    }
}
