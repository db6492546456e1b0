//! Session ids that this crate makes.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

/// An id of 128 random bits from the operating system's CSPRNG, in the server's own format.
pub(crate) fn random() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// The id of the session that takes over a guest's data. Every try gets the same id. It reveals nothing of the guest's
/// id, and is as hard to guess.
pub(crate) fn promoted(guest: &str, guest_id: &str, user: &str) -> String {
    let mut hash = Sha256::new();
    for part in ["redis-session promotion", guest, guest_id, user] {
        // The length prefix keeps two different pairs from having the same bytes.
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    URL_SAFE_NO_PAD.encode(hash.finalize().get(..16).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_22_characters_and_differ() {
        let (one, two) = (random().unwrap(), random().unwrap());
        assert_eq!(one.len(), 22);
        assert_ne!(one, two);
    }

    #[test]
    fn each_promotion_has_an_id_of_its_own() {
        let one = promoted("guest-1", "a", "42");
        assert_eq!((one.len(), &one), (22, &promoted("guest-1", "a", "42")));
        for other in [promoted("guest-1", "a", "43"), promoted("guest-1", "b", "42"), promoted("guest-", "1a", "42")] {
            assert_ne!(one, other);
        }
    }
}
