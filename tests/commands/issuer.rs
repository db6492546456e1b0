//! Tokens that were made elsewhere, by an issuer whose key the server knows.

use std::fs;

use hmac::{Hmac, KeyInit, Mac};
use redis::Connection;
use redis_session_core::base64url;
use redis_session_tests::{Server, cmd, now_ms};
use serde_json::{Value, json};
use sha2::Sha256;

/// What the key is called.
pub(crate) const KID: &str = "issuer-1";
/// What it signs with.
const SECRET: [u8; 32] = [0x5a; 32];

/// Makes this server take the issuer's tokens, and sign its own with the same key.
pub(crate) fn trust(server: &Server) {
    let set = json!({ "keys": [
        { "kty": "oct", "kid": KID, "alg": "HS256", "k": base64url::encode(&SECRET) },
        { "kty": "oct", "kid": "issuer-2", "alg": "HS384", "k": base64url::encode(&[0x5b; 48]) },
    ] });
    let path = server.dir().join("keys.json");
    fs::write(&path, set.to_string()).expect("the key file");
    cmd(&mut server.connection(), &format!("CONFIG SET session.keys-file {}", path.display()))
        .expect("the keys are good");
}

/// A server that takes the issuer's tokens.
pub(crate) fn trusting_server() -> Server {
    let server = Server::start();
    trust(&server);
    server
}

/// A good header.
pub(crate) fn header() -> Value {
    json!({ "alg": "HS256", "kid": KID, "typ": "JWT" })
}

/// Claims that are good for an hour from now, of this user's session.
pub(crate) fn claims(con: &mut Connection, user: &str, session: &str) -> Value {
    let now = now_secs(con);
    json!({ "sub": user, "sid": session, "iat": now, "exp": now + 3600 })
}

/// A JWT, signed whatever it says.
pub(crate) fn sign(header: &Value, claims: &Value) -> String {
    sign_text(header.to_string().as_bytes(), claims.to_string().as_bytes())
}

/// A JWT of these bytes, signed whatever they are.
pub(crate) fn sign_text(header: &[u8], payload: &[u8]) -> String {
    sign_parts(&format!("{}.{}", base64url::encode(header), base64url::encode(payload)))
}

/// The parts that are signed, with their signature.
pub(crate) fn sign_parts(input: &str) -> String {
    let code = Hmac::<Sha256>::new_from_slice(&SECRET).unwrap().chain_update(input.as_bytes()).finalize().into_bytes();
    format!("{input}.{}", base64url::encode(&code))
}

/// What a JWT says, unchecked.
pub(crate) fn payload(token: &str) -> Value {
    let payload = token.split('.').nth(1).expect("three parts");
    serde_json::from_slice(&base64url::decode(payload.as_bytes()).expect("base64url")).expect("JSON")
}

/// The server's clock in seconds, as dates in tokens are.
pub(crate) fn now_secs(con: &mut Connection) -> i64 {
    now_ms(con) / 1000
}

/// The token with another letter near its end, in the signature or the code. (Of the last letter not all bits count.)
pub(crate) fn tampered(token: &str) -> String {
    let (front, end) = token.split_at(token.len() - 4);
    let other = if end.starts_with('A') { 'B' } else { 'A' };
    format!("{front}{other}{}", &end[1..])
}
