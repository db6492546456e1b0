//! A JWT's `typ`: what is made here and what is demanded.

use super::*;

fn policy(token_type: &str) -> TokenPolicy {
    TokenPolicy { token_type: Some(token_type.into()), ..TokenPolicy::default() }
}

/// A token whose header has this member, or none.
fn typed(typ: &str) -> String {
    signed("k256", format!(r#"{{"alg":"HS256","kid":"k256"{typ}}}"#), r#"{"sub":"42","exp":1700000001}"#)
}

#[test]
fn any_type_will_do_unless_one_is_demanded() {
    for typ in ["", r#","typ":"JWT""#, r#","typ":"at+jwt""#, r#","typ":"""#] {
        assert!(check(&typed(typ)).is_ok(), "{typ}");
    }
}

/// RFC 9068 section 4, RFC 7515 section 4.1.9, RFC 2045 section 5.1.
#[test]
fn a_type_is_a_media_type_in_either_case_with_or_without_its_first_part() {
    for wanted in ["at+jwt", "application/at+jwt", "AT+JWT"] {
        for typ in ["at+jwt", "AT+jwt", "application/at+jwt", "Application/At+Jwt", "at\\u002bjwt"] {
            assert!(check_by(&policy(wanted), &typed(&format!(r#","typ":"{typ}""#))).is_ok(), "{wanted} {typ}");
        }
    }
}

#[test]
fn another_type_than_the_one_demanded_is_refused() {
    let others =
        ["JWT", "", "at", "jwt", "at+jwt ", " at+jwt", "at/jwt", "text/at+jwt", "application/at+jwt/", "at+jwt\\u0000"];
    for typ in others.map(|typ| format!(r#","typ":"{typ}""#)).iter().chain([&String::new()]) {
        assert_eq!(check_by(&policy("at+jwt"), &typed(typ)), Err(Reason::Type), "{typ}");
    }
    assert_eq!(check_by(&policy("at+jwt"), &jwt()), Err(Reason::Type), "one of ours, known by the text of its header");
    assert!(check_by(&policy("application/jwt"), &jwt()).is_ok());
    assert_eq!(check_by(&policy("a/at+jwt"), &typed(r#","typ":"at+jwt""#)), Err(Reason::Type));
}

#[test]
fn a_type_that_is_no_text_is_malformed() {
    for typ in ["1", r#"["at+jwt"]"#] {
        assert_eq!(check(&typed(&format!(r#","typ":{typ}"#))), Err(Reason::Malformed), "{typ}");
    }
}

#[test]
fn the_type_comes_behind_the_signature_and_before_the_times() {
    let refused = |kid, payload: &str| check_by(&policy("at+jwt"), &signed(kid, HEADER, payload)).unwrap_err();
    assert_eq!(refused("k384", r#"{"sub":"42","exp":1}"#), Reason::Signature);
    assert_eq!(refused("k256", r#"{"sub":"42","exp":1}"#), Reason::Type);
    assert_eq!(refused("k256", r#"{"sub":"42"}"#), Reason::Malformed);
}

#[test]
fn what_is_made_here_has_the_type_that_is_demanded() {
    let (ring, session) = (ring(), session());
    for (typ, text) in [(None, "JWT"), (Some("JWT"), "JWT"), (Some("at+jwt"), "at+jwt"), (Some("a\"b"), "a\\\"b")] {
        let token = NewToken { token_type: typ, ..new_token(&session) };
        let token = ring.signing_key().unwrap().sign_jwt(&token).unwrap();
        let header = base64url::decode(token.split('.').next().unwrap().as_bytes()).unwrap();
        assert_eq!(String::from_utf8(header).unwrap(), format!(r#"{{"alg":"HS256","kid":"k256","typ":"{text}"}}"#));
        let policy = TokenPolicy { token_type: typ.map(str::to_owned), ..TokenPolicy::default() };
        assert!(check_by(&policy, &token).is_ok(), "{text}");
    }
}

#[test]
fn opaque_tokens_have_no_type() {
    assert!(check_by(&policy("at+jwt"), &opaque()).is_ok());
}
