//! Which 32 bytes are a good public key of Ed25519 (RFC 8032 section 5.1).
//!
//! The library that verifies takes any bytes for a key, and under some of them anybody can sign. So each is checked
//! once, when it is read; nothing here is secret and nothing need be fast.

use super::problem::KeyProblem;

/// Refuses bytes that are no point, points that are spelled in a second way (section 5.1.3: y must be less than the
/// field's size), and points of small order, under which a signature for any message can be made without a private key.
pub(crate) fn check(point: [u8; 32]) -> Result<(), KeyProblem> {
    let mut y = number(point);
    // The top bit is the sign of x.
    let [.., top] = &mut y;
    *top &= u64::MAX >> 1;
    if y.iter().rev().ge(FIELD.iter().rev()) || SMALL_ORDER.map(number).contains(&y) {
        return Err(KeyProblem::WeakPoint);
    }
    // x^2 = (y^2 - 1) / (d y^2 + 1) has a root if and only if the product of the two does, or is 0. The latter is so at
    // x = 0, which is of small order.
    let square = times(y, y);
    let above = plus(square, MINUS_ONE);
    let below = plus(times(number(D), square), ONE);
    if has_root(times(above, below)) { Ok(()) } else { Err(KeyProblem::NotOnCurve) }
}

/// An element of the field: 64 bits each, the least significant first.
type Number = [u64; 4];

/// p = 2^255 - 19.
const FIELD: Number = [0xffff_ffff_ffff_ffed, u64::MAX, u64::MAX, u64::MAX >> 1];
const ONE: Number = [1, 0, 0, 0];
const MINUS_ONE: Number = [0xffff_ffff_ffff_ffec, u64::MAX, u64::MAX, u64::MAX >> 1];

/// -121665 / 121666.
const D: [u8; 32] = [
    0xa3, 0x78, 0x59, 0x13, 0xca, 0x4d, 0xeb, 0x75, 0xab, 0xd8, 0x41, 0x41, 0x4d, 0x0a, 0x70, 0x00, 0x98, 0xe8, 0x79,
    0x77, 0x79, 0x40, 0xc7, 0x8c, 0x73, 0xfe, 0x6f, 0x2b, 0xee, 0x6c, 0x03, 0x52,
];

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

/// Of little-endian bytes.
fn number(bytes: [u8; 32]) -> Number {
    let mut number = [0; 4];
    for (limb, bytes) in number.iter_mut().zip(bytes.chunks_exact(8)) {
        *limb = bytes.iter().rev().fold(0, |limb, byte| (limb << 8) | u64::from(*byte));
    }
    number
}

/// Both are less than p, and so is the sum.
fn plus(a: Number, b: Number) -> Number {
    // Twice 2^255 fits, so nothing is carried out of the sum.
    let (sum, _) = add(a, b, 0);
    // Less p, in two's complement: what is carried out says that it was not too much.
    let (less, enough) = add(sum, FIELD.map(|limb| !limb), 1);
    if enough == 0 { sum } else { less }
}

/// The sum, and what is carried out of it.
fn add(a: Number, b: Number, mut carry: u64) -> (Number, u64) {
    let mut sum = [0; 4];
    for ((sum, a), b) in sum.iter_mut().zip(a).zip(b) {
        let (low, over) = a.overflowing_add(b);
        let (low, over_again) = low.overflowing_add(carry);
        (*sum, carry) = (low, u64::from(over | over_again));
    }
    (sum, carry)
}

fn times(a: Number, b: Number) -> Number {
    bits(b).fold([0; 4], |product, bit| {
        let double = plus(product, product);
        if bit { plus(double, a) } else { double }
    })
}

/// Whether a number other than 0 is a square, by its Jacobi symbol over p, which is prime.
fn has_root(number: Number) -> bool {
    let (mut a, mut n, mut square) = (number, FIELD, true);
    while a != [0; 4] {
        while is_even(a) {
            a = half(a);
            // 2 is none modulo 3 and 5 modulo 8.
            square ^= matches!(low_bits(n) % 8, 3 | 5);
        }
        if a.iter().rev().lt(n.iter().rev()) {
            (a, n) = (n, a);
            // Both are odd: quadratic reciprocity.
            square ^= low_bits(a) % 4 == 3 && low_bits(n) % 4 == 3;
        }
        (a, _) = add(a, n.map(|limb| !limb), 1);
    }
    square && n == ONE
}

fn low_bits([low, ..]: Number) -> u64 {
    low
}

fn is_even(number: Number) -> bool {
    low_bits(number).is_multiple_of(2)
}

fn half([a, b, c, d]: Number) -> Number {
    [a >> 1 | b << 63, b >> 1 | c << 63, c >> 1 | d << 63, d >> 1]
}

/// The most significant first.
fn bits(number: Number) -> impl Iterator<Item = bool> {
    number.into_iter().rev().flat_map(|limb| (0..64).rev().map(move |bit| limb >> bit & 1 == 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base64url;

    fn decoded(text: &str) -> [u8; 32] {
        base64url::decode(text.as_bytes()).unwrap().try_into().unwrap()
    }

    #[test]
    fn arithmetic_is_that_of_the_field() {
        let two = plus(ONE, ONE);
        assert_eq!(plus(MINUS_ONE, ONE), [0; 4]);
        assert_eq!(times(MINUS_ONE, MINUS_ONE), ONE);
        assert_eq!(times(two, plus(two, ONE)), [6, 0, 0, 0]);
        // d times 121666 is -121665.
        assert_eq!(plus(times(number(D), [121_666, 0, 0, 0]), [121_665, 0, 0, 0]), [0; 4]);
    }

    /// p is 5 modulo 8, so -1 has a root and 2 has none; and of all numbers, half have one.
    #[test]
    fn squares_have_roots_and_half_of_all_numbers_are_squares() {
        assert!(
            has_root(ONE)
                && has_root(MINUS_ONE)
                && !has_root([2, 0, 0, 0])
                && !has_root(times([2, 0, 0, 0], MINUS_ONE))
        );
        let numbers = (1..1000).map(|n| times([n, n, n, n], number(D)));
        for number in numbers.clone() {
            let square = times(number, number);
            assert!(has_root(square) && !has_root(times(square, [2, 0, 0, 0])), "{number:?}");
        }
        let squares = numbers.filter(|number| has_root(*number)).count();
        assert!((430..570).contains(&squares), "{squares}");
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
    fn the_two_of_order_8_are_on_the_curve() {
        for y in &SMALL_ORDER[3..] {
            let square = times(number(*y), number(*y));
            let product = times(plus(square, MINUS_ONE), plus(times(number(D), square), ONE));
            assert!(has_root(product));
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
