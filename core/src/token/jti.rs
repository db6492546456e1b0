//! The `jti` of the JWTs that are made here (RFC 7519 section 4.1.7): it says which session a token is of, although an
//! application may use an id again.
//!
//! ```text
//! base64url( began u48 | generation u32 | check u64 )     24 letters, all numbers big-endian
//! ```
//!
//! `began` is when the session began (Unix milliseconds), `generation` how often its refresh token was exchanged. There
//! is one JWT for each id, beginning and generation, so it can be made again but not mistaken for another.
//!
//! The check is a hash of the session's id and the rest: SipHash-2-4 under a key that everybody knows. It tells our `jti`
//! from one of the same length that another issuer chose. It is no defence against an issuer that wants to imitate ours,
//! and needs to be none: the signature covers the claims.

use std::hash::Hasher as _;

use siphasher::sip::SipHasher24;

use crate::{UnixMillis, base64url};

/// The length of the text.
const LETTERS: usize = 24;
/// Sets the check apart from other hashes.
const KEY: &[u8; 16] = b"redissession jti";

/// The `jti` of the token of this `generation` for the session `sid` that began at `began_at`.
pub(super) fn make(sid: &str, began_at: UnixMillis, generation: u32) -> String {
    let [_, _, began @ ..] = began_at.get().to_be_bytes();
    let generation = generation.to_be_bytes();
    let said = [&began[..], &generation].concat();
    base64url::encode(&[&said[..], &check(sid, &said)].concat())
}

/// When the session `sid` began, if `jti` is one that is made here for a session with this id.
pub(super) fn began_at(sid: &str, jti: &str) -> Option<UnixMillis> {
    if jti.len() != LETTERS {
        return None;
    }
    let mut bytes = [0; LETTERS / 4 * 3];
    let (said, found) = base64url::decode_into(jti.as_bytes(), &mut bytes)?.split_last_chunk()?;
    if check(sid, said) != *found {
        return None;
    }
    let [a, b, c, d, e, f] = *said.first_chunk()?;
    UnixMillis::new(u64::from_be_bytes([0, 0, a, b, c, d, e, f]))
}

fn check(sid: &str, said: &[u8]) -> [u8; 8] {
    let mut hasher = SipHasher24::new_with_key(KEY);
    hasher.write(sid.as_bytes());
    hasher.write(said);
    hasher.finish().to_be_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SID: &str = "AAECAwQFBgcICQoLDA0ODw";

    #[test]
    fn the_numbers_are_big_endian_and_the_check_is_a_hash_of_all() {
        // SipHash-2-4 of "x" and the ten bytes below, by an implementation written from its paper: ce128d5f1b8ecadb
        let jti = make("x", UnixMillis::from_secs(1_700_000_000).unwrap(), 2);
        assert_eq!(base64url::decode(jti.as_bytes()).unwrap()[..10], *b"\x01\x8b\xcf\xe5\x68\0\0\0\0\x02");
        assert_eq!(jti, "AYvP5WgAAAAAAs4SjV8bjsrb");
    }

    #[test]
    fn one_of_another_length_or_alphabet_is_foreign() {
        let good = make(SID, UnixMillis::MAX, u32::MAX);
        assert_eq!(began_at(SID, &good), Some(UnixMillis::MAX));
        for other in
            ["", "t-1", good.trim_start_matches('_'), &format!("{good}A"), &good.replace('_', "/"), &"é".repeat(12)]
        {
            assert_eq!(began_at(SID, other), None, "{other}");
        }
    }

    #[test]
    fn a_letter_changed_makes_it_foreign() {
        let good = make(SID, UnixMillis::from_secs(1_700_000_000).unwrap(), 7);
        for at in 0..good.len() {
            for letter in ('0'..='9').chain('A'..='Z').chain('a'..='z').chain(['-', '_']) {
                let mut changed = good.clone();
                changed.replace_range(at..=at, letter.encode_utf8(&mut [0; 4]));
                assert_eq!(began_at(SID, &changed).is_some(), changed == good, "{changed}");
            }
        }
    }

    proptest! {
        #[test]
        fn it_comes_back_for_its_session_and_no_other(
            sid in "[^\\p{Cc}]{1,40}", other in "[^\\p{Cc}]{1,40}", millis in 0_u64..1 << 48, generation: u32
        ) {
            let began = UnixMillis::new(millis).unwrap();
            let jti = make(&sid, began, generation);
            prop_assert_eq!(jti.len(), LETTERS);
            prop_assert_eq!(began_at(&sid, &jti), Some(began));
            prop_assert_eq!(began_at(&other, &jti).is_some(), sid == other);
        }

        #[test]
        fn letters_by_chance_are_foreign(jti in "[A-Za-z0-9_-]{24}") {
            prop_assert_eq!(began_at(SID, &jti), None);
        }
    }
}
