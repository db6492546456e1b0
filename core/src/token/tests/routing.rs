//! The user that a token claims to be for.

use super::*;

#[test]
fn every_kind_of_token_names_its_user() {
    let user = |token: &str| unverified_subject(token.as_bytes());
    assert_eq!(user(&jwt()).as_deref(), Some("42"));
    assert_eq!(user(&opaque()).as_deref(), Some("42"));
    assert_eq!(user("rsr1.NDI.aWQ.Mw.c2VhbA").as_deref(), Some("42"));
    assert_eq!(user(&signed("k256", HEADER, r#"{"sub":"\u00e9"}"#)).as_deref(), Some("é"));
}

#[test]
fn what_names_no_user_is_none() {
    for token in ["", "a", "a.b", "a.b.c", "rst1.", "rst1.=", "rst1._w.", "rsr1.AA.x", "rsr1..x"] {
        assert_eq!(unverified_subject(token.as_bytes()), None, "{token}");
    }
    for payload in ["{}", "[]", r#"{"sub":1}"#, r#"{"sub":""}"#, r#"{"sub":"a\n"}"#, r#"{"sub":"a","sub":"b"}"#] {
        assert_eq!(unverified_subject(signed("k256", HEADER, payload).as_bytes()), None, "{payload}");
    }
    assert_eq!(unverified_subject(format!("{}.x", jwt()).as_bytes()), None);
    let long = format!(r#"{{"sub":"42","x":"{}"}}"#, "x".repeat(65_536));
    assert_eq!(unverified_subject(signed("k256", HEADER, long).as_bytes()), None);
}
