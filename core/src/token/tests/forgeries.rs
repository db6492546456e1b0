//! What has been done to other verifiers, done to this one: to the signature, by its own algebra.

use super::issuer::{CLAIMS, N, answer, header, input, mixed_ring, refused, signature};
use super::*;

fn bytes(text: &str) -> Vec<u8> {
    base64url::decode(text.as_bytes()).unwrap()
}

/// The order of P-256 (SEC 2 section 2.4.2), big-endian.
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7,
    0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// Big-endian numbers of one length; what is carried out is lost.
fn sum(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut carry = 0;
    let mut sum: Vec<u8> = a
        .iter()
        .zip(b)
        .rev()
        .map(|(a, b)| {
            let sum = u16::from(*a) + u16::from(*b) + carry;
            carry = sum >> 8;
            sum.to_le_bytes()[0]
        })
        .collect();
    sum.reverse();
    sum
}

/// `a - b`.
fn difference(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut one = vec![0; a.len()];
    *one.last_mut().unwrap() = 1;
    let inverse: Vec<u8> = b.iter().map(|byte| !byte).collect();
    sum(&sum(a, &inverse), &one)
}

/// RFC 7518 section 3.4: r and s, 32 bytes each, both from 1 to the order less 1 (FIPS 186-5 section 6.4.2). Java once
/// took zeros for a signature of everything (CVE-2022-21449).
#[test]
fn ecdsa_numbers_that_are_zero_or_too_large_are_refused() {
    let input = input(header(Algorithm::Es256), CLAIMS);
    let good = signature(Algorithm::Es256, input.as_bytes());
    let (r, s) = good.split_at(32);
    let (zero, most) = (&[0; 32][..], &[0xff; 32][..]);
    let mut one = [0; 32];
    one[31] = 1;
    let beyond = sum(&ORDER, &one);
    let edges = [zero, &one, &ORDER, &beyond, most];
    let pairs = edges.iter().flat_map(|a| edges.iter().map(move |b| (*a, *b)));
    let mixed = edges.iter().flat_map(|edge| [(*edge, s), (r, *edge)]);
    for (r, s) in pairs.chain(mixed).chain([(s, r)]) {
        let token = format!("{input}.{}", base64url::encode(&[r, s].concat()));
        assert_eq!(refused(token), Reason::Signature);
    }
}

/// RFC 7518 section 3.4: not the DER form, which X.509 and most libraries have.
#[test]
fn an_ecdsa_signature_in_der_is_refused() {
    let input = input(header(Algorithm::Es256), CLAIMS);
    let integer = |number: &[u8]| {
        let zeros = number.iter().take_while(|byte| **byte == 0).count();
        let sign = if number[zeros] >= 0x80 { &[0][..] } else { &[] };
        let body = [sign, &number[zeros..]].concat();
        [&[2, u8::try_from(body.len()).unwrap()], &body[..]].concat()
    };
    for _ in 0..20 {
        let raw = signature(Algorithm::Es256, input.as_bytes());
        let body = [integer(&raw[..32]), integer(&raw[32..])].concat();
        let der = [&[0x30, u8::try_from(body.len()).unwrap()], &body[..]].concat();
        assert_eq!(refused(format!("{input}.{}", base64url::encode(&der))), Reason::Signature);
        assert!(answer(mixed_ring(), format!("{input}.{}", base64url::encode(&raw))).is_ok());
    }
}

/// Of (r, s) everybody can make (r, n - s), which RFC 7518 does not forbid. So no token may be told by its signature: both
/// name the same session, also where the id is made of the token.
#[test]
fn the_other_ecdsa_signature_of_a_token_names_the_same_session() {
    let ring = mixed_ring();
    let input = input(header(Algorithm::Es256), r#"{"sub":"42","exp":1700000001}"#);
    let one = signature(Algorithm::Es256, input.as_bytes());
    let other = [&one[..32], &difference(&ORDER, &one[32..])].concat();
    let id = |signature: &[u8]| answer(ring, format!("{input}.{}", base64url::encode(signature))).unwrap().id;
    assert_ne!(one, other);
    assert_eq!(id(&one), id(&other));
}

/// RFC 8017 section 8.2.2: a signature is as long as the modulus, and less than it.
#[test]
fn an_rsa_number_that_is_not_less_than_the_modulus_or_has_another_length_is_refused() {
    let modulus = bytes(N);
    let mut one = vec![0; 256];
    one[255] = 1;
    let less = difference(&modulus, &one);
    for algorithm in [Algorithm::Rs256, Algorithm::Ps256] {
        let mut wrapped = 0;
        for n in 0..40 {
            let claims = format!(r#"{{"sub":"42","exp":1700000001,"n":{n}}}"#);
            let input = input(header(algorithm), claims);
            let token = |signature: &[u8]| format!("{input}.{}", base64url::encode(signature));
            let good = signature(algorithm, input.as_bytes());
            assert!(answer(mixed_ring(), token(&good)).is_ok());
            let more = sum(&good, &modulus);
            // The same number, were it taken modulo n; it must fit.
            if more > modulus {
                assert_eq!(refused(token(&more)), Reason::Signature);
                wrapped += 1;
            }
            for other in [&one, &less, &modulus, &vec![0; 256], &vec![0xff; 256]] {
                assert_eq!(refused(token(other)), Reason::Signature);
            }
            assert_eq!(refused(token(&[&[0], &good[..]].concat())), Reason::Signature);
            assert_eq!(refused(token(&difference(&modulus, &good))), Reason::Signature);
        }
        assert!(wrapped > 3, "{wrapped}");
    }
}

/// RFC 7518 sections 3.3 and 3.5: one hash, one mask, one length of salt. The signatures were made with OpenSSL.
#[test]
fn rsa_paddings_other_than_the_algorithms_are_refused() {
    for (name, algorithm, reason, signature) in [
        (
            "as RFC 7518 section 3.5 has it",
            Algorithm::Ps256,
            None,
            "Xtv2m1k9dK-m-zFJX4xeETqrPqw8eK3scwibIdV5twrrYBv_YjpCw_-WWqUa7jquv0xLIpXgiLH5jMjTrsNLe1BGn8Q_2qCER3vgAyEd3yrN\
            dIxfQ0eBHCraPxpByjWqDCfDqzGGA3cHTiOSp7mXzemlcQmaXzLkjgPjBBIWBDVZAc8fH7w716qADFPCdf4hJVhflX6AZxtu7a2eNybHtioD\
            5rCgzeZSayw1UneDOnkJ1QMnDBGDlZ-9XVsaiFYWsgG-\
            rPFT2HXJvxNU4LeQ0Js4aJmgRjAzoeL_5dCWwecdZH3HYQCMBr7cE68C_RQ7lrnv_1F6rR0pvs_Qii35Tw",
        ),
        (
            "no salt",
            Algorithm::Ps256,
            Some(Reason::Signature),
            "b_XMYFVYjNzOHSypSH9Snas4ByBex-Ks8n3Wda1EBybP_G30lEDklgL3Vdgxkid2DLI4QmUy5THXrIPPw9AuBmpGLCvSTgJ2v0RlU79edPEy\
            VEtLQIUXiutJIo389U287eOIt5f0kJ9tu8fNS5x9o8glkQwuy-\
            szJKIuwKjtaNDmt_lmruj5N5pHANr3zPtqsxlfU-z06ZGL70tzM3N5wMkJwwuRlanSjGq5WmMwVRgaFrSwViT-\
            oVak5LzgwjSTEVv2BmpJ7QU4YYBV5eyEVQ1V8XJkZ4N8-h6I-Z1e02z-DArDuQ7f_-Euo2BzgnA0H39v8evASoWEVtmR2KWUcQ",
        ),
        (
            "a salt of 20 bytes",
            Algorithm::Ps256,
            Some(Reason::Signature),
            "KS1l5bRju71uPo6DZawHzY2SfMfn35ZZdT_L5X4TxL0Nnn5a82sPrROHP4PZRjl8FDPtlx9AU8GzzRMNlgC0-\
            E5D7TIgzMCuzOS6h_CzV88wnDlpcW0qjdqHTHypAShfpc1WJSb1bm63boSpWK7AnvXSuPEQnTZejcR4ERMc7JNHC-l-GmjYTtZ4Xl7tV-hIE\
            60m5AdFCz8ALeTVYawcCqNY5i3sMdRnC4EOeYZfTk8iEfE_d7rH34xkp19Gvasai1S6mQsOxP8N06objNDIPHfUElEwiqZ6VOT9rH6yGtt78\
            -rhTFczwv37r3Z2_hFuQuq9M1zI5RwEeT6hlSPLEQ",
        ),
        (
            "the longest salt",
            Algorithm::Ps256,
            Some(Reason::Signature),
            "OaNtt0_TGzwo7L19WFphUAAOVrJK9HsZTyYSlCU9RucAy50vY-T4hHbsjmw1HT_G7hWQXHTba96xecOuqrxObud-\
            3skZbaO4DFF4zQDYGKJIfw0HB-vYuvBAOD0lBRLw9TU44c9FdgCHY-KeHB7cqAVpscTgp8Qal1lxAIlXcFlS_m9vwuMcTqHJWvVLq2NdcJSS\
            scr-Q1xSgh8Tk3DmGbUEMDsd4sU3y8LOq6PnuZhe_Cq7eQRT2ZlIS8HlsbvKTbsgjIBTxEHHgAz_JPjen-\
            Ute12bO6NosqJNYArG-4KYG1Q-2r132wes986rU7yfyqdbjrdRGRmp1ncyzWBEFA",
        ),
        (
            "masks made with SHA-1",
            Algorithm::Ps256,
            Some(Reason::Signature),
            "nqENDAVMiVcH_lMJSouikBp78ExLLDrOliWMvuVe_-\
            RhTHtNghp2xpqxz4p6gMizj8xgqpuVCVgwPKVLCECxgkaT5x3B1AuJ16tTskH6lN46-NnxhmnfYZVNgzdkl-tAPgAUIYOPywFg6Z3lAVUHyi\
            fBeu2LWDH_SmluQda41XWSMz0FPTwEIYsTwQmZRPkS3vxqTiNKL4Go770ZUdf2l98lH6EzHrBSKuSMlVZfpYtqVTxBZgtAxvor-\
            f8vS3yEuEhqnZ1IPVrrvv8jQu-zWwOSOdjIKIinZnvUtnalYuRhBcdBxSd1mbMry6BXgpCKN38Jt21G_eBd-ZuQDND_sw",
        ),
        (
            "SHA-512",
            Algorithm::Ps256,
            Some(Reason::Signature),
            "MtFUUiuoY9eQiK7eGGFEG1xbQfxgMuik-\
            3Ry0gVhIJEhCH5M_IP4UV26oR3jyMdYTcYb_dBimCXUsWl5WOD2pckwU65QB56rr4T61CWTSlI2C5lrfWoni2bvF0dpgQDQJez2IU3ZR58TB\
            Ry4TKy6DjsMNFeupKHNhYh4jIoz8YD-_oaCWirsvguTKD4e5X--LluW6-BOCUiKrx-\
            qaKy3vl9dgwKUTzA_RudVDX8SYfvQqBF6Q3BBeWYH6gO_b1pO4_I5HjowY_8cJUTkCDMbT5EQ5Df8tM-\
            AoWOHRI8wgs8NgAq5sLtIcMyos3a_PZ3VRdr7EUn8D_r7w9oL5AuQMA",
        ),
        (
            "PKCS #1 with SHA-256",
            Algorithm::Rs256,
            None,
            "HdkWX13k1lGCQ-lfNW_qZF-VAIG_GTBTV_VXAZ2ZfZSkk_xdSK2KTjWWWlw7WG90kHMfFDidBpxstUwX3z3XFpj6MjMRUzpEs7c2FwjyDNwo\
            qGqQ0Y8PIM34tVmOk4EJMG96Xo4r28vEF3qY91a4Y55BNK-vT8lr3xOS-5UGoMB6JgfAnct3G0-\
            ntsdhQ9flI3M1fFniX90lOZ_ooE0iaMgLyWdykexWEFLf43rQOoPgVvjpN0aLotX5BfMNcf0GLcF3c5tNx2FFfnpEruVgXIhtNS0Oz9N6b7z\
            EFZfD4cqxYNkuPZvoixn0QFyTEFMEQortsh1CGL7EBqv8TM3Gzw",
        ),
        (
            "PKCS #1 with SHA-512",
            Algorithm::Rs256,
            Some(Reason::Signature),
            "cxJNwSfVacOxyxPv7OjOCcPuNZCwWbdP2hjm4aPg-9cBj3P00OvbRfEDm3wTs2n7wYIkyqq8FfJv3so7YHZXY7WzH5Zl-\
            kW7osPtq762eHAQT5r2_UmnbG-cg3hPylX7k603kFPJRuXIsdKEHJQAXMtPeelUWeka6yAjU2TJcITQCPfUWRlHo1ApjMxsC7ve8eWw2Uw_9\
            KMl29yAuxHsLHG5XhhJ_JsBMagKhiqrAEBDitA94Qm6EeFUp6G_BStlsF7FEuInIcFZcazmlPSAEgAjIEHYi-s9fAllTu135T-\
            6dU0qTAaQxJcV2Q8BELhHRqmamqHUCIIFAnRNfIWG7Q",
        ),
        (
            "PKCS #1 with SHA-1",
            Algorithm::Rs256,
            Some(Reason::Signature),
            "eX1abY1EgfIdkTKEXrEXj74Vu9ydMtbtjbSsmA-Pa8N0PFSBqJh_xCqIcBYKL2TP8Q9wJjcD0yFWdWdQ89yFmGzkKxATyuoLZENa4q_zisY2\
            eyUunn7JEq5F3J4SixH_juO6Fn154fpf4q9rMHPNBOmSacYph7DsmoqhpCJ5aYiBQvVVAeSIZCjN6vKIhM8603TNBwZB1zLXwywOwL6QkYW3\
            LM8MEfL8pGe9ctS6pFGfHK__Ul1rtyeJrwBxRpuIWifrOCf4p-Uj1vYWzXTEU-6Mcex97P2PgwZR-37xoYylZcLDpAq2tlrv-\
            UsEFhnk08JcOuzak1W-tbQvQWX23Q",
        ),
    ] {
        let token = format!("{}.{signature}", input(header(algorithm), CLAIMS));
        assert_eq!(answer(mixed_ring(), token).err(), reason, "{name}");
    }
}

/// The order of Ed25519's base point (RFC 8032 section 5.1), little-endian.
const L: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// RFC 8032 section 5.1.7: S is less than the order, or everybody can make further signatures of a token.
#[test]
fn an_ed25519_number_that_is_not_less_than_the_order_is_refused() {
    let input = input(header(Algorithm::EdDsa), CLAIMS);
    let good = signature(Algorithm::EdDsa, input.as_bytes());
    let reversed = |bytes: &[u8]| bytes.iter().rev().copied().collect::<Vec<_>>();
    let mut s = reversed(&good[32..]);
    for _ in 0..8 {
        s = sum(&s, &reversed(&L));
        let other = [&good[..32], &reversed(&s)].concat();
        assert_eq!(refused(format!("{input}.{}", base64url::encode(&other))), Reason::Signature);
    }
    for s in [[0; 32], L, [0xff; 32]] {
        let other = [&good[..32], &s].concat();
        assert_eq!(refused(format!("{input}.{}", base64url::encode(&other))), Reason::Signature);
    }
}

/// RFC 8032 section 5.1.3: a point of small order, or one that is none, is nobody's commitment.
#[test]
fn an_ed25519_signature_of_small_points_is_refused() {
    let input = input(header(Algorithm::EdDsa), CLAIMS);
    let good = signature(Algorithm::EdDsa, input.as_bytes());
    for first in [0, 1, 2, 0xec, 0xed, 0xee, 0xff] {
        for between in [0, 0xff] {
            for last in [0, 0x7f, 0x80, 0xff] {
                let mut r = [between; 32];
                (r[0], r[31]) = (first, last);
                for s in [&[0; 32], &good[32..]] {
                    let token = format!("{input}.{}", base64url::encode(&[&r, s].concat()));
                    assert_eq!(refused(token), Reason::Signature);
                }
            }
        }
    }
}
