//! What the thin client says by itself of tokens, users and reasons is what core says.

use redis_session::{KeyPrefix, unverified_user};
use redis_session_core::token::{KeyRing, TokenPolicy, Verifier, is_token};
use redis_session_core::{KeyForm, Reason, SessionId, Subject, UnixMillis, base64url};
use redis_session_tests::issuer::{HS256, set_of, sign_text};

const NAMES: [&str; 20] = [
    "42",
    "é",
    "a b",
    " ",
    "\"",
    "{42}",
    "{{42}}",
    "{42",
    "42}",
    "{",
    "}",
    "{}",
    "}{",
    "a{42}",
    "{a}b",
    "sessions:42",
    "",
    "a\nb",
    "a\u{85}b",
    "a\0b",
];

fn names() -> Vec<String> {
    let long = [255, 256].map(|length| "x".repeat(length));
    let wide = [127, 128].map(|length| "é".repeat(length));
    NAMES.map(str::to_owned).into_iter().chain(long).chain(wide).collect()
}

fn ring() -> std::sync::Arc<KeyRing> {
    KeyRing::from_jwk_set(set_of(&[HS256.jwk()]).as_bytes(), None).unwrap().into()
}

#[test]
fn they_know_the_same_reasons_in_the_same_order() {
    assert_eq!(redis_session::Reason::ALL.map(redis_session::Reason::as_str), Reason::ALL.map(Reason::as_str));
}

#[test]
fn a_token_names_the_user_that_it_was_made_for() {
    let (ring, id) = (ring(), SessionId::random().unwrap());
    let (key, now) = (ring.keys().next().unwrap(), UnixMillis::from_secs(1_700_000_000).unwrap());
    for name in names() {
        let part = base64url::encode(name.as_bytes());
        let is_user = Subject::new(name.as_bytes());
        let of_opaque = unverified_user(format!("rst1.{part}.aWQ.c2ln"));
        let of_refresh = unverified_user(format!("rsr1.{part}.aWQ.AA.c2ln"));
        let payload = serde_json::json!({ "sub": name }).to_string();
        let of_jwt = unverified_user(sign_text(br#"{"alg":"HS256"}"#, payload.as_bytes()));
        let expected = is_user.ok().map(Subject::as_str);
        assert_eq!([&of_opaque, &of_refresh, &of_jwt].map(|named| named.as_deref()), [expected; 3], "{name:?}");
        let Ok(user) = is_user else { continue };
        let opaque = key.sign_opaque(user, &id, now, now).unwrap();
        let refresh = key.sign_refresh(user, &id, 7, now).unwrap();
        assert_eq!([opaque, refresh].map(unverified_user), [Some(name.clone()), Some(name)]);
    }
}

#[test]
fn a_good_token_names_the_user_it_is_good_for_and_what_is_no_token_names_nobody() {
    let mut verifier = Verifier::new(ring(), TokenPolicy::default());
    let now = UnixMillis::from_secs(1_700_000_000).unwrap();
    let deep = |levels| format!(r#""x":{}1{}"#, "[".repeat(levels), "]".repeat(levels));
    let headers =
        [r#"{"alg":"HS256","kid":"HS256"}"#, r#" { "kid":"HS256","alg":"HS256","sub":1}"#, "[]", "", "\u{c}{}"];
    let rest = r#""sid":"s","exp":1700003600"#;
    let mut good = 0;
    for header in headers {
        for subject in
            [r#""sub":"42""#, r#""\u0073ub":"4\u0032""#, r#""sub":42"#, r#""sub":null"#, r#""sub":"{42}""#, ""]
        {
            for more in ["", r#""sub":"42""#, r#""x":{"sub":"43","y":1,"y":2}"#, &deep(10), &deep(30), &deep(300), "x"]
            {
                let members: Vec<_> = [subject, more, rest].into_iter().filter(|part| !part.is_empty()).collect();
                for (before, after) in [("{", "}"), ("\n{ ", "} \t"), ("{", "} x"), ("[{", "}]"), ("{", "")] {
                    let payload = format!("{before}{}{after}", members.join(","));
                    let token = sign_text(header.as_bytes(), payload.as_bytes());
                    let named = unverified_user(&token);
                    assert!(named.is_none() || is_token(token.as_bytes()), "{header}.{payload}");
                    let user = Subject::new(b"42").unwrap();
                    match verifier.verify(user, token.as_bytes(), None, now) {
                        Ok(_) => {
                            good += 1;
                            assert_eq!(named.as_deref(), Some("42"), "{header}.{payload}");
                        }
                        // What it names is for the server to refuse.
                        Err(cause) => {
                            assert!(named.is_none() || cause.reason() == Reason::Malformed, "{header}.{payload}")
                        }
                    }
                }
            }
        }
    }
    assert!(good > 10, "{good}");
}

#[test]
fn no_user_can_be_named_so_that_the_key_is_anothers() {
    let forms = [KeyForm::Plain, KeyForm::Braces, KeyForm::Any];
    for (prefix, hash_tag) in [("sessions:", false), ("sessions:", true), ("", false)] {
        let keys = if hash_tag { KeyPrefix::new(prefix).hash_tag() } else { KeyPrefix::new(prefix) };
        for user in names() {
            let key = keys.key(&user);
            let found = forms.map(|form| Subject::of_key(key.as_bytes(), prefix.as_bytes(), form).ok());
            let expected = Subject::new(user.as_bytes()).ok();
            let (plain, braces) = if hash_tag { (None, expected) } else { (expected, None) };
            assert_eq!(found, [plain, braces, expected], "{key:?}");
        }
    }
}
