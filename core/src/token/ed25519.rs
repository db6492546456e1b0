//! Which 32 bytes are a good public key of Ed25519 (RFC 8032 section 5.1).
//!
//! The library that verifies takes any bytes for a key, and under some of them anybody can sign. So each is checked
//! once, when it is read.

use curve25519_dalek::edwards::CompressedEdwardsY;

use super::problem::KeyProblem;

/// Refuses bytes that are no point, points that are spelled in a second way (section 5.1.3: y must be less than the
/// field's size), and points of small order, under which a signature for any message can be made without a private key.
pub(crate) fn check(point: [u8; 32]) -> Result<(), KeyProblem> {
    let mut y = point;
    // The top bit is the sign of x.
    let [.., top] = &mut y;
    *top &= 0x7f;
    // The crate takes y modulo the field's size.
    if y.iter().rev().ge(FIELD.iter().rev()) {
        return Err(KeyProblem::WeakPoint);
    }
    match CompressedEdwardsY(point).decompress() {
        None => Err(KeyProblem::NotOnCurve),
        // Where x is 0, its sign would spell it in a second way: those are of small order too.
        Some(point) if point.is_small_order() => Err(KeyProblem::WeakPoint),
        Some(_) => Ok(()),
    }
}

/// p = 2^255 - 19.
const FIELD: [u8; 32] = {
    let mut bytes = [0xff; 32];
    bytes[0] = 0xed;
    bytes[31] = 0x7f;
    bytes
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base64url;

    /// The y coordinates of the points of order 1, 2, 4 and 8: 1, -1, 0, and the two of order 8.
    const SMALL_ORDER: [[u8; 32]; 5] = [
        bytes(0x01, 0x00, 0x00),
        bytes(0xec, 0xff, 0x7f),
        bytes(0x00, 0x00, 0x00),
        [
            0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf,
            0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
        ],
        [
            0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20,
            0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
        ],
    ];

    const fn bytes(first: u8, between: u8, last: u8) -> [u8; 32] {
        let mut bytes = [between; 32];
        bytes[0] = first;
        bytes[31] = last;
        bytes
    }

    fn decoded(text: &str) -> [u8; 32] {
        base64url::decode(text.as_bytes()).unwrap().try_into().unwrap()
    }

    #[test]
    fn the_keys_of_the_rfcs_are_good() {
        // RFC 8037 appendix A.2, RFC 8032 section 7.1 test 1 is the same; and test 2.
        assert_eq!(check(decoded("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")), Ok(()));
        assert_eq!(check(decoded("PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw")), Ok(()));
    }

    #[test]
    fn a_point_of_small_order_is_refused_however_it_is_spelled() {
        for y in SMALL_ORDER {
            for sign in [0, 0x80] {
                let mut point = y;
                point[31] |= sign;
                assert_eq!(check(point), Err(KeyProblem::WeakPoint), "{point:02x?}");
            }
        }
        // y + p: only those below 19 have a second spelling.
        for y in 0..19 {
            for sign in [0, 0x80] {
                assert_eq!(check(bytes(0xed + y, 0xff, 0x7f | sign)), Err(KeyProblem::WeakPoint), "{y}");
            }
        }
    }

    #[test]
    fn what_is_no_point_is_refused() {
        // y = 2, RFC 8032's own test of decoding; about every second y is one.
        assert_eq!(check(bytes(2, 0, 0)), Err(KeyProblem::NotOnCurve));
        let points = (2..=200).filter(|y| check(bytes(*y, 0, 0)).is_ok()).count();
        assert!((70..130).contains(&points), "{points}");
    }
}
