//! Ids, users, fields and other texts that commands bring.

use redis_session::unverified_user;
use redis_session_core::sessions::{Data, Device, Effect, decode_effects, encode_effects};
use redis_session_core::token::{Algorithm, is_token};
use redis_session_core::{KeyForm, Reason, SessionId, Subject, base64url};

use crate::input::Input;
use crate::issuer::{self, Payload};

/// A text is an id, a user, base64url, a token's shape, exactly if it keeps the rule, and comes back unchanged.
pub fn text(data: &[u8]) {
    session_id(data);
    subject(data);
    encoding(data);
    routing(data);
    fields(data);
    if let Ok(name) = std::str::from_utf8(data) {
        assert!(Algorithm::from_name(name).is_none_or(|algorithm| algorithm.as_str() == name));
        assert!(Reason::from_name(name).is_none_or(|reason| reason.as_str() == name));
    }
}

fn is_text(data: &[u8], max: usize) -> bool {
    let text = std::str::from_utf8(data);
    (1..=max).contains(&data.len()) && text.is_ok_and(|text| !text.chars().any(char::is_control))
}

fn session_id(data: &[u8]) {
    let id = SessionId::from_text(data);
    assert_eq!(id.is_ok(), is_text(data, SessionId::MAX_BYTES));
    let Ok(id) = id else { return };
    assert_eq!(id.to_string().as_bytes(), data);
    let bytes = encode_effects(&[Effect::Forget(id.clone())]);
    assert_eq!(decode_effects(&bytes).as_deref(), Ok(&[Effect::Forget(id)][..]), "an id is stored unchanged");
}

fn is_user(data: &[u8]) -> bool {
    is_text(data, Subject::MAX_BYTES) && data[0] != b'{'
}

fn subject(data: &[u8]) {
    keys(data);
    let user = Subject::new(data);
    assert_eq!(user.is_ok(), is_user(data));
    let Ok(user) = user else { return };
    assert_eq!(user.as_str().as_bytes(), data);
    assert!(Device::of(user, data) != Device::of(user, b""));
}

/// Each form takes its own spelling of a user, and `any` both.
fn keys(data: &[u8]) {
    const PREFIX: &[u8] = b"sessions:";
    let key = [PREFIX, data].concat();
    let user = |form| Subject::of_key(&key, PREFIX, form).ok().map(|user| user.as_str().as_bytes());
    let bare = data.strip_prefix(b"{").and_then(|rest| rest.strip_suffix(b"}"));
    let plain = Some(data).filter(|data| is_user(data));
    let braces = bare.filter(|bare| is_user(bare));
    assert_eq!(user(KeyForm::Plain), plain);
    assert_eq!(user(KeyForm::Braces), braces);
    assert_eq!(user(KeyForm::Any), plain.or(braces));
    for form in [KeyForm::Plain, KeyForm::Braces, KeyForm::Any] {
        assert!(Subject::of_key(data, PREFIX, form).is_err() || data.starts_with(PREFIX));
    }
}

fn encoding(data: &[u8]) {
    let decoded = base64url::decode(data);
    assert_eq!(decoded, issuer::decode(data));
    assert!(decoded.is_none_or(|decoded| base64url::encode(&decoded).as_bytes() == data), "one spelling of each text");
    assert_eq!(base64url::decode(base64url::encode(data).as_bytes()).as_deref(), Some(data));
    let mut small = [0; 16];
    let decoded = issuer::decode(data).filter(|decoded| decoded.len() <= 16);
    assert!(decoded.is_none() || base64url::decode_into(data, &mut small) == decoded.as_deref());
}

fn routing(data: &[u8]) {
    assert_eq!(is_token(data), issuer::is_token(data));
    let parts: Vec<_> = data.split(|byte| *byte == b'.').collect();
    let user = match parts[..] {
        [b"rst1" | b"rsr1", user, ..] => issuer::decode(user),
        [_, payload, _] => {
            let payload = issuer::decode(payload).and_then(|payload| Payload::read(&payload, None));
            payload.and_then(|payload| payload.subject).map(String::into_bytes)
        }
        _ => None,
    };
    let user = user.filter(|user| is_user(user)).and_then(|user| String::from_utf8(user).ok());
    let named = unverified_user(data);
    assert!(named.is_none() || is_token(data), "what is no token names nobody");
    assert!(named.as_ref().is_none_or(|user| Subject::new(user.as_bytes()).is_ok()));
    if user.is_some() && is_token(data) {
        assert_eq!(named, user);
    }
}

fn fields(data: &[u8]) {
    let mut input = Input(data);
    let mut fields = Vec::new();
    while !input.is_empty() && fields.len() < 20 {
        let (name, value) = (usize::from(input.u8()), usize::from(input.u8()));
        fields.push((input.bytes(name), input.bytes(value)));
    }
    let distinct = fields.iter().enumerate().all(|(at, (name, _))| fields[..at].iter().all(|(known, _)| known != name));
    let packed = Data::pack(fields.iter().copied());
    assert_eq!(packed.is_some(), distinct && fields.iter().all(|(name, _)| !name.is_empty()));
    let Some(packed) = packed else { return };
    assert!(packed.iter().eq(fields.iter().copied()));
    assert!(fields.iter().all(|(name, value)| packed.get(name) == Some(*value)));
    assert_eq!(packed.len(), fields.len());
    assert_eq!(packed.size(), fields.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>());
    if let Ok(id) = SessionId::from_text(b"a")
        && !packed.is_empty()
    {
        let effects = [Effect::Set { id, version: 1, data: packed }];
        assert_eq!(decode_effects(&encode_effects(&effects)).as_deref(), Ok(&effects[..]));
    }
}
