//! Strict JSON: the claims that a caller adds to tokens, and the payloads of tokens.

use redis_session::unverified_user;
use redis_session_core::Subject;
use redis_session_core::token::Claims;

use crate::issuer::{Payload, encode};
use crate::tree::strict_object;

/// The claims that the server sets.
const RESERVED: [&str; 8] = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "sid"];

/// An object is taken just when serde_json takes it and it is strict; and a good payload's subject is what serde_json says.
pub fn json(data: &[u8]) {
    let object = strict_object(data);
    let allowed = object.as_ref().is_some_and(|members| members.iter().all(|(name, _)| !RESERVED.contains(&&**name)));
    assert_eq!(Claims::parse(data).is_ok(), allowed, "{:?}", Claims::parse(data));

    let subject = Payload::read(data, None).and_then(|payload| payload.subject);
    let user = subject.filter(|subject| Subject::new(subject.as_bytes()).is_ok());
    let token = [b"e30.", encode(data).as_bytes(), b".AA"].concat();
    if user.is_some() {
        assert_eq!(unverified_user(&token), user);
    }
}
