//! Tokens: JWTs, opaque session tokens and refresh tokens.

use std::cell::RefCell;
use std::sync::Arc;

use redis_session::unverified_user;
use redis_session_core::token::{Cause, NewToken, TokenPolicy, Verifier, is_token};
use redis_session_core::{Subject, UnixMillis};

use crate::input::Input;
use crate::issuer::{self, KEYS, Key, RING, decode, encode};
use crate::public;
use crate::tree::{member, strict_object};

const USER: &str = "42";
const AUDIENCE: &str = "api";
/// Types that may be demanded, and are for some tokens.
const TYPES: [&str; 4] = ["jwt", "application/at+jwt", "AT+JWT", "application/a/b"];
/// The kinds, by the first byte, that are tokens of [`public`]; the others are what is left when divided by five.
const PUBLIC: std::ops::RangeInclusive<u8> = 0xE5..=0xF4;
/// Seconds.
const NOW: u64 = 1_700_000_000;

thread_local! {
    // Used for one check after another, as in the server.
    static VERIFIER: RefCell<Verifier> = RefCell::new(Verifier::new(Arc::clone(&RING), TokenPolicy::default()));
}

/// A token is good exactly if its definition says so, with all that it says; none is that was not signed as it stands;
/// and the cache changes no answer.
///
/// The bytes: what kind of token, which key signs and under which name, what is asked for, a change, and its parts with
/// 0xFF between them: header and payload, or user, id and so on. `"jti":"*"` in a payload stands for the `jti` that a
/// token made here has; the session of an opaque token ends at when it began, its bytes backwards. Of a token that was
/// signed in advance: which one, what is asked for, a change, parts of which other one it gets, and what is put in by
/// some changes.
pub fn token(data: &[u8]) {
    let mut input = Input(data);
    let (kind, keys, asked) = (input.u8(), input.u8(), input.u8());
    let change = Change { how: input.u8(), at: input.u16(), to: input.u8() };
    let began = [input.u8(), input.u8(), input.u8(), input.u8(), input.u8(), input.u8()];
    let mut parts = input.rest().split(|byte| *byte == 0xFF);
    let mut next = || parts.next().unwrap_or_default();
    if PUBLIC.contains(&kind) {
        check_public(keys, asked, &change, began, next());
        return;
    }
    let sealed = [began, backwards(began)];
    let key = &KEYS[usize::from(keys & 15) % KEYS.len()];
    let named = KEYS.get(usize::from(keys >> 4)).unwrap_or(key);
    let signed = match kind % 5 {
        0 => key.sign_jwt(next(), &bound(next(), began)),
        1 => key.sign_jwt(named.header().as_bytes(), &bound(next(), began)),
        2 => key.seal("rst1", &[next(), next()], named.kid.as_bytes(), sealed.as_flattened()),
        3 => key.seal("rsr1", &[next(), next(), next()], named.kid.as_bytes(), &began),
        _ => {
            // Any bytes, signed by nobody.
            check_all(next(), &[], asked, began);
            return;
        }
    };
    check_all(signed.as_bytes(), &[signed.as_bytes()], asked, began);
    check_all(&change.of(signed.as_bytes(), next()), &[signed.as_bytes()], asked, began);
    if kind % 5 != 0 {
        assert_minted(key, began);
    }
}

/// In a payload, what stands for the `jti` that a token made here has.
const BOUND: &str = r#""jti":"*""#;

/// The payload with the `jti` of a token made here in it, for a session that began then, if it asks for one.
fn bound(payload: &[u8], began: [u8; 6]) -> Vec<u8> {
    let sid = strict_object(payload).and_then(|members| member(&members, "sid")?.as_text().map(str::to_owned));
    match (std::str::from_utf8(payload), sid) {
        (Ok(text), Some(sid)) => {
            let jti = issuer::jti(&sid, time(began).get(), began[5].into());
            text.replacen(BOUND, &format!(r#""jti":"{jti}""#), 1).into_bytes()
        }
        _ => payload.to_vec(),
    }
}

fn time([a, b, c, d, e, f]: [u8; 6]) -> UnixMillis {
    UnixMillis::new(u64::from_le_bytes([a, b, c, d, e, f, 0, 0])).expect("48 bits")
}

fn backwards(mut bytes: [u8; 6]) -> [u8; 6] {
    bytes.reverse();
    bytes
}

/// A token that was signed in advance, as it is and changed: as a text, or in what one of its parts says.
fn check_public(which: u8, asked: u8, change: &Change, began: [u8; 6], more: &[u8]) {
    let of = |which: u8| public::TOKENS[usize::from(which) % public::TOKENS.len()];
    let (signed, [.., other, how, _]) = (of(which), began);
    check_all(signed.as_bytes(), &[], asked, began);
    let mut parts: Vec<_> = signed.split('.').map(str::to_owned).collect();
    for (at, (part, other)) in parts.iter_mut().zip(of(other).split('.')).enumerate() {
        if how & (1 << at) != 0 {
            other.clone_into(part);
        }
    }
    let changed = match parts.get_mut(usize::from(how >> 3 & 3)) {
        Some(part) => {
            let bytes = decode(part.as_bytes()).expect("base64url");
            *part = encode(&change.of(&bytes, more));
            parts.join(".").into_bytes()
        }
        None => change.of(parts.join(".").as_bytes(), more),
    };
    check_all(&changed, &[], asked, began);
}

/// One change to a token.
struct Change {
    how: u8,
    at: u16,
    to: u8,
}

impl Change {
    fn of(&self, token: &[u8], more: &[u8]) -> Vec<u8> {
        let at = usize::from(self.at) % token.len().max(1);
        // From the end, where short tokens and long ones have their code.
        let at = if self.how & 8 == 0 { at } else { token.len().saturating_sub(at + 1) };
        let (front, back) = token.split_at(at);
        let behind = back.get(1..).unwrap_or_default();
        match self.how & 7 {
            0 => [front, &[self.to], behind].concat(),
            1 => [front, &[self.to], back].concat(),
            2 => [front, behind].concat(),
            3 => front.to_vec(),
            4 => [front, more, back].concat(),
            5 => [token, more].concat(),
            6 => [front, &back.first().map_or(0, |byte| byte ^ (1 << (self.to & 7))).to_le_bytes(), behind].concat(),
            // Two parts change places.
            _ => {
                let mut parts: Vec<_> = token.split(|byte| *byte == b'.').collect();
                let (one, two) = (usize::from(self.to & 7) % parts.len(), usize::from(self.to >> 3) % parts.len());
                parts.swap(one, two);
                parts.join(&b'.')
            }
        }
    }
}

fn policy(asked: u8, wanted: u8) -> TokenPolicy {
    TokenPolicy {
        issuer: (asked & 1 != 0).then(|| "https://issuer.example".to_owned()),
        audience: (asked & 2 != 0).then(|| AUDIENCE.to_owned()),
        token_type: (asked & 128 != 0).then(|| TYPES[usize::from(wanted) % TYPES.len()].to_owned()),
        leeway_secs: [0, 60, 0, u32::MAX][usize::from(asked >> 2 & 3)],
        max_token_bytes: 2048,
    }
}

fn check_all(token: &[u8], signed: &[&[u8]], asked: u8, began: [u8; 6]) {
    let policy = policy(asked, began[5]);
    let is_signed = |token: &[u8]| signed.contains(&token) || public::is_signed(token);
    let audience = (asked & 16 != 0).then_some("admin");
    let user = if asked & 32 == 0 { USER } else { "43" };
    let subject = Subject::new(user.as_bytes()).expect("a user");
    let offset = u64::from(began[0]) | u64::from(began[1]) << 8;
    let later = if asked & 64 == 0 { NOW * 1000 + offset * 100 } else { UnixMillis::MAX.get() };
    let [now, later] = [NOW * 1000, later].map(|millis| UnixMillis::new(millis).expect("a time"));
    // With a memory so small that different tokens meet in it.
    let mut cached = Verifier::new(Arc::clone(&RING), policy.clone());
    cached.resize(2);
    VERIFIER.with_borrow_mut(|verifier| {
        verifier.set_policy(policy.clone());
        for now in [now, later] {
            let answer = verifier.verify(subject, token, audience, now);
            assert_eq!(answer.clone().map_err(Cause::reason), issuer::verify(&policy, user, token, audience, now));
            assert!(answer.is_err() || is_signed(token), "a token that nobody signed is good");
            assert_eq!(cached.verify(subject, token, audience, now), answer, "the memory gives the same answer");
        }
        if let Some(other) = signed.first() {
            assert_eq!(cached.verify(subject, other, None, later), verifier.verify(subject, other, None, later));
        }
        let named = verifier.identify(subject, token);
        assert_eq!(named.clone().map_err(Cause::reason), issuer::identify(user, token, policy.max_token_bytes));
        assert!(named.is_err() || is_signed(token), "a token that nobody signed names a session");
        let refresh = verifier.verify_refresh(subject, token);
        assert_eq!(refresh.clone().map_err(Cause::reason), issuer::verify_refresh(user, token, policy.max_token_bytes));
        assert!(refresh.is_err() || signed.contains(&token), "a token that nobody signed is good");
    });
    assert_eq!(is_token(token), issuer::is_token(token));
    let _ = unverified_user(token);
}

/// Whether the product makes tokens as the definition does.
fn assert_minted(key: &Key, began: [u8; 6]) {
    let sealed = [began, backwards(began)];
    let [began_at, expires_at] = sealed.map(time);
    let id = redis_session_core::SessionId::from_text(b"an id").expect("an id");
    let user = Subject::new(USER.as_bytes()).expect("a user");
    let own = RING.get(key.kid).expect("a key");
    let (kid, parts) = (key.kid.as_bytes(), [USER.as_bytes(), b"an id", &[0, 0, 0, 7]]);
    let opaque = key.seal("rst1", &parts[..2], kid, sealed.as_flattened());
    assert_eq!(own.sign_opaque(user, &id, began_at, expires_at), Some(opaque));
    assert_eq!(own.sign_refresh(user, &id, 7, began_at), Some(key.seal("rsr1", &parts, kid, &began)));
    let new = NewToken {
        subject: user,
        session: &id,
        began_at,
        generation: 7,
        issued_at: began_at,
        expires_at,
        auth_time: began_at,
        level: 0,
        token_type: None,
        issuer: None,
        audience: None,
        claims: None,
    };
    let [issued, expires, jti] =
        [began_at.as_secs().to_string(), expires_at.as_secs().to_string(), issuer::jti("an id", began_at.get(), 7)];
    let payload = format!(
        r#"{{"sub":"{USER}","exp":{expires},"iat":{issued},"jti":"{jti}","sid":"an id","auth_time":{issued}}}"#
    );
    assert_eq!(own.sign_jwt(&new), Some(key.sign_jwt(key.header().as_bytes(), payload.as_bytes())));
}

/// Or the target would compare nothing but refusals.
#[test]
fn tokens_that_were_signed_in_advance_are_good() {
    let now = UnixMillis::from_secs(NOW).expect("a time");
    for (number, token) in public::TOKENS.iter().enumerate() {
        let user = Subject::new(if number % 4 == 2 { b"43" } else { b"42" }).expect("a user");
        let answer = Verifier::new(Arc::clone(&RING), policy(0, 0)).verify(user, token.as_bytes(), None, now);
        match number % 4 {
            3 => assert_eq!(answer.map_err(Cause::reason), Err(redis_session_core::Reason::Malformed), "{token}"),
            _ => assert!(answer.is_ok(), "{token}: {answer:?}"),
        }
    }
    assert_eq!(public::TOKENS.len(), 4 * public::ALGORITHMS.len());
}
