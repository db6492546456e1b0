//! Session ids that this side makes.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// An id of 128 random bits from the operating system's CSPRNG, written as the server writes those that it makes.
pub(crate) fn random() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
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
}
