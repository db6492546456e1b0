//! The examples of the RFCs. Their payloads are no tokens of ours, so it is the keys that are asked.

use serde_json::json;

use super::issuer::{self, jwk, mixed_ring, ring_of};
use super::*;

/// Whether the ring's key `kid` takes this JWS.
fn verifies(ring: &KeyRing, kid: &str, jws: &str) -> bool {
    let (input, signature) = jws.rsplit_once('.').unwrap();
    ring.get(kid).unwrap().verifies_jwt(input.as_bytes(), &base64url::decode(signature.as_bytes()).unwrap())
}

/// The payload of RFC 7515's examples, with its CR LF.
const JOE: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
/// The payload of RFC 7520's.
const FRODO: &str = "SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAgb250byB0aGUg\
    cm9hZCwgYW5kIGlmIHlvdSBkb24ndCBrZWVwIHlvdXIgZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZXB0IG9m\
    ZiB0by4";

#[test]
fn rfc_7515_appendix_a_1_hs256() {
    let k = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    let ring = ring_of(&[json!({ "kty": "oct", "kid": "a", "alg": "HS256", "k": k })]).unwrap();
    let jws = format!("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{JOE}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
    assert!(verifies(&ring, "a", &jws));
}

#[test]
fn rfc_7515_appendix_a_2_rs256() {
    let n = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZ\
        S-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2Ca\
        pHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h\
        4FRWyuXpoQ";
    let signature = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9u\
        JdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn\
        6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igc\
        N_IoypGlUPQGe77Rw";
    let ring = ring_of(&[json!({ "kty": "RSA", "kid": "a", "alg": "RS256", "n": n, "e": "AQAB" })]).unwrap();
    assert!(verifies(&ring, "a", &format!("eyJhbGciOiJSUzI1NiJ9.{JOE}.{signature}")));
}

#[test]
fn rfc_7515_appendix_a_3_es256() {
    let signature = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    assert!(verifies(mixed_ring(), "ES256", &format!("eyJhbGciOiJFUzI1NiJ9.{JOE}.{signature}")));
}

#[test]
fn rfc_8037_appendix_a_4_eddsa() {
    let payload = "RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let signature = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    let jws = format!("eyJhbGciOiJFZERTQSJ9.{payload}.{signature}");
    assert!(verifies(mixed_ring(), "EdDSA", &jws));
    let input = format!("eyJhbGciOiJFZERTQSJ9.{payload}");
    assert_eq!(base64url::encode(&issuer::signature(Algorithm::EdDsa, input.as_bytes())), signature);
}

#[test]
fn rfc_7520_section_4_1_rs256() {
    let header = "eyJhbGciOiJSUzI1NiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9";
    let signature = "MRjdkly7_-oTPTS3AXP41iQIGKa80A0ZmTuV5MEaHoxnW2e5CZ5NlKtainoFmKZopdHM1O2U4mwzJdQx996ivp83xuglII7PNDi84\
        wnB-BDkoBwA78185hX-Es4JIwmDLJK3lfWRa-XtL0RnltuYv746iYTh_qHRD68BNt1uSNCrUCTJDt5aAE6x8wW1Kt9eRo4QPocSadnHXFxnt8Is9\
        UzpERV0ePPQdLuW3IS_de3xyIrDaLGdjluPxUAhb6L2aXic1U12podGU0KLUQSE_oI-ZnmKJ3F4uOZDnd6QZWJushZ41Axf_fcIe8u9ipH84ogor\
        ee7vjbU5y18kDquDg";
    let mut key = jwk(Algorithm::Rs256);
    key["kid"] = json!("bilbo.baggins@hobbiton.example");
    let ring = ring_of(&[key]).unwrap();
    assert!(verifies(&ring, "bilbo.baggins@hobbiton.example", &format!("{header}.{FRODO}.{signature}")));
}

#[test]
fn rfc_7520_section_4_2_ps384() {
    let header = "eyJhbGciOiJQUzM4NCIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9";
    let signature = "cu22eBqkYDKgIlTpzDXGvaFfz6WGoz7fUDcfT0kkOy42miAh2qyBzk1xEsnk2IpN6-tPid6VrklHkqsGqDqHCdP6O8TTB5dDDItllVo6_\
        1OLPpcbUrhiUSMxbbXUvdvWXzg-UD8biiReQFlfz28zGWVsdiNAUf8ZnyPEgVFn442ZdNqiVJRmBqrYRXe8P_ijQ7p8Vdz0TTrxUeT3lm8d9shn\
        r2lfJT8ImUjvAA2Xez2Mlp8cBE5awDzT0qI0n6uiP1aCN_2_jLAeQTlqRHtfa64QQSUmFAAjVKPbByi7xho0uTOcbH510a6GYmJUAfmWjwZ6oD4i\
        fKo8DYM-X72Eaw";
    assert!(verifies(mixed_ring(), "PS384", &format!("{header}.{FRODO}.{signature}")));
}

#[test]
fn rfc_7520_section_4_3_es512() {
    let header = "eyJhbGciOiJFUzUxMiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9";
    let signature = "AE_R_YZCChjn4791jSQCrdPZCNYqHXCTZH0-JZGYNlaAjP2kqaluUIIUnC9qvbu9Plon7KRTzoNEuT4Va2cmL1eJAQy3mtPBu_u_\
        sDDyYjnAMDxXPn7XrT0lw-kvAD890jl8e2puQens_IEKBpHABlsbEPX6sFY8OcGDqoRuBomu9xQ2";
    assert!(verifies(mixed_ring(), "ES512", &format!("{header}.{FRODO}.{signature}")));
}

#[test]
fn rfc_7520_section_4_4_hs256() {
    let header = "eyJhbGciOiJIUzI1NiIsImtpZCI6IjAxOGMwYWU1LTRkOWItNDcxYi1iZmQ2LWVlZjMxNGJjNzAzNyJ9";
    let kid = "018c0ae5-4d9b-471b-bfd6-eef314bc7037";
    let k = "hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg";
    let ring = ring_of(&[json!({ "kty": "oct", "kid": kid, "use": "sig", "alg": "HS256", "k": k })]).unwrap();
    let signature = "s0h6KThzkfBBBkLspW1h84VsJZFTsPPqMDA7g1Md7p0";
    assert!(verifies(&ring, kid, &format!("{header}.{FRODO}.{signature}")));
}
