//! Strict base64url without padding (RFC 4648 section 5, RFC 7515 section 2).
//!
//! Padding, white space, letters of the other alphabet and non-zero trailing bits are refused, so that
//! every byte string has exactly one text (a token cannot be respelled past a deny list).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Encodes `bytes`.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Appends the encoding of `bytes` to `out`.
pub fn encode_into(bytes: &[u8], out: &mut String) {
    URL_SAFE_NO_PAD.encode_string(bytes, out);
}

/// Encodes `bytes` to the front of `buffer` and returns the length; 0 if it does not fit.
pub(crate) fn encode_to(bytes: &[u8], buffer: &mut [u8]) -> usize {
    URL_SAFE_NO_PAD.encode_slice(bytes, buffer).unwrap_or(0)
}

/// Decodes `text`, or `None` if it is not exactly what [`encode`] writes.
#[must_use]
pub fn decode(text: &[u8]) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Decodes `text` into the front of `buffer` and returns that part; `None` if it is invalid or does not fit.
#[must_use]
pub fn decode_into<'a>(text: &[u8], buffer: &'a mut [u8]) -> Option<&'a [u8]> {
    let length = URL_SAFE_NO_PAD.decode_slice(text, buffer).ok()?;
    buffer.get(..length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_canonical_spelling_decodes() {
        assert_eq!(decode(b"-_8").as_deref(), Some(&[0xfb, 0xff][..]));
        for bad in ["-_8=", "-_9", "+/8", " -_8", "-_8\n", "-", "-_8!"] {
            assert!(decode(bad.as_bytes()).is_none(), "{bad:?}");
        }
        let mut small = [0; 1];
        assert!(decode_into(b"-_8", &mut small).is_none());
    }
}
