//! JWTs: every malformed shape, every reason, in their order.

use super::*;

#[test]
fn shapes_other_than_three_canonical_parts_are_malformed() {
    let good = jwt();
    let (header, rest) = good.split_once('.').unwrap();
    let (payload, signature) = rest.split_once('.').unwrap();
    for token in [
        String::new(),
        ".".into(),
        "..".into(),
        "...".into(),
        header.into(),
        format!("{header}.{payload}"),
        format!("{header}.{payload}."),
        format!("{header}..{signature}"),
        format!(".{payload}.{signature}"),
        format!("{good}."),
        format!("{good}.{signature}"),
        format!(".{good}"),
        format!("{header}..{payload}.{signature}"),
        format!("{good}="),
        format!("{good} "),
        format!(" {good}"),
        format!("{good}\n"),
        format!("{header}=.{payload}.{signature}"),
        format!("{header}.{payload}=.{signature}"),
        format!("{header}.{payload}.{}", signature.replace(['A', 'Q', 'g', 'w'], "+")),
        format!("Bearer {good}"),
    ] {
        assert_eq!(refused(&token), Some(Reason::Malformed), "{token:?}");
    }
}

#[test]
fn stray_bits_behind_the_signature_are_malformed() {
    let good = jwt();
    let (start, last) = good.split_at(good.len() - 1);
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let value = alphabet.iter().position(|letter| letter == &last.as_bytes()[0]).unwrap();
    let respelled = format!("{start}{}", char::from(alphabet[value + 1]));
    assert_eq!(refused(&respelled), Some(Reason::Malformed));
}

#[test]
fn a_token_is_bounded_in_bytes() {
    let token = jwt();
    let policy = |max_token_bytes| TokenPolicy { max_token_bytes, ..TokenPolicy::default() };
    assert!(check_by(&policy(token.len()), &token).is_ok());
    assert_eq!(check_by(&policy(token.len() - 1), &token), Err(Reason::Malformed));
}

#[test]
fn a_header_member_that_is_null_is_not_there() {
    for header in [r#"{"alg":"HS256","kid":null}"#, r#"{"alg":"HS256","kid":"k256","typ":null}"#] {
        assert_eq!(refused(&signed("k256", header, r#"{"sub":"42","exp":1700000001}"#)), None, "{header}");
    }
}

#[test]
fn a_header_that_is_no_strict_object_is_malformed() {
    let deep = format!(r#"{{"alg":"HS256","kid":"k256","x":{}1{}}}"#, "[".repeat(16), "]".repeat(16));
    let too_long = format!("{HEADER}{HEADER}");
    for header in [
        "1",
        "[]",
        "null",
        r#""HS256""#,
        "{}",
        r#"{"kid":"k256"}"#,
        r#"{"alg":1,"kid":"k256"}"#,
        r#"{"alg":null,"kid":"k256"}"#,
        r#"{"alg":["HS256"],"kid":"k256"}"#,
        r#"{"alg":"HS256","kid":1}"#,
        r#"{"alg":"HS256","kid":["k256"]}"#,
        r#"{"alg":"HS256","alg":"HS256","kid":"k256"}"#,
        r#"{"alg":"HS256","\u0061lg":"none","kid":"k256"}"#,
        r#"{"alg":"HS256","kid":"k256","jwk":{"k":"","k":""}}"#,
        r#"{"alg":"HS256","kid":"k256"} x"#,
        r#"{"alg":"HS256","kid":"k256""#,
        r#"{"alg":"HS256","kid":"k256","crit":["exp"]}"#,
        r#"{"alg":"HS256","kid":"k256","crit":[]}"#,
        r#"{"alg":"HS256","kid":"k256","crit":null}"#,
        r#"{"alg":"HS256","kid":"k256","b64":true}"#,
        r#"{"alg":"HS256","kid":"k256","b64":false}"#,
        &deep,
        &too_long,
    ] {
        let token = signed("k256", header, r#"{"sub":"42","exp":1700000001}"#);
        assert_eq!(refused(&token), Some(Reason::Malformed), "{header}");
    }
    let token =
        signed("k256", b"{\"alg\":\"HS256\",\"kid\":\"k256\",\"x\":\"\xff\"}", r#"{"sub":"42","exp":1700000001}"#);
    assert_eq!(refused(&token), Some(Reason::Malformed));
}

#[test]
fn algorithms_that_are_not_the_keys_are_refused() {
    for alg in ["none", "None", "NONE", "nOnE", "", "hs256", "HS256 ", "HS257", "RS256", "ES256", "HS384", "HS512"] {
        let header = format!(r#"{{"alg":"{alg}","kid":"k256"}}"#);
        let token = signed("k256", header, r#"{"sub":"42","exp":1700000001}"#);
        assert_eq!(refused(&token), Some(Reason::Algorithm), "{alg:?}");
    }
    let token = signed("k256", r#"{"alg":"none","kid":"other"}"#, "{}");
    assert_eq!(refused(&token), Some(Reason::Algorithm), "before the key is looked for");
}

#[test]
fn a_key_is_found_by_its_kid() {
    let payload = r#"{"sub":"42","exp":1700000001}"#;
    for kid in ["other", "K256", "k256 ", "k25"] {
        let token = signed("k256", format!(r#"{{"alg":"HS256","kid":"{kid}"}}"#), payload);
        assert_eq!(refused(&token), Some(Reason::UnknownKey), "{kid:?}");
    }
}

/// RFC 7515 section 4.1.4: to name the key is the issuer's choice.
#[test]
fn a_token_that_names_no_key_is_tried_with_those_of_its_algorithm() {
    let payload = r#"{"sub":"42","exp":1700000001}"#;
    for kid in ["", r#","kid":"""#] {
        assert_eq!(refused(&signed("k384", format!(r#"{{"alg":"HS384"{kid}}}"#), payload)), None);
        let other = signed("k256", format!(r#"{{"alg":"HS384"{kid}}}"#), payload);
        assert_eq!(refused(&other), Some(Reason::Signature));
    }
    // The ninth is not tried, and a key without a kid is as good as others.
    let secret = |number: usize| base64url::encode(&[u8::try_from(number).unwrap(); 32]);
    let key = |number: usize, kid: &str| format!(r#"{{"kty":"oct","alg":"HS256","k":"{}"{kid}}}"#, secret(number));
    let keys: Vec<_> = (0..9)
        .map(|number| match number {
            0 | 8 => key(number, &format!(r#","kid":"{number}""#)),
            1 => key(number, r#","kid":"""#),
            _ => key(number, ""),
        })
        .collect();
    let set = format!(r#"{{"keys":[{}]}}"#, keys.join(","));
    let ring = Arc::new(KeyRing::from_jwk_set(set.as_bytes(), None).unwrap());
    let mut verifier = Verifier::new(Arc::clone(&ring), TokenPolicy::default());
    let mut answer = |number: usize, header: &str| {
        let input = format!("{}.{}", base64url::encode(header.as_bytes()), base64url::encode(payload.as_bytes()));
        let tag = ring.keys().nth(number).unwrap().secret().unwrap().jwt.tag(input.as_bytes());
        let token = format!("{input}.{}", base64url::encode(tag.as_bytes()));
        verifier.verify(user("42"), token.as_bytes(), None, at(NOW)).map_err(Cause::reason).err()
    };
    for number in 0..8 {
        assert_eq!(answer(number, r#"{"alg":"HS256"}"#), None, "{number}");
        assert_eq!(answer(number, r#"{"alg":"HS256","kid":""}"#), None, "{number}");
        assert_eq!(answer(number, r#"{"alg":"HS256","kid":"8"}"#), Some(Reason::Signature), "{number}");
    }
    assert_eq!(answer(8, r#"{"alg":"HS256"}"#), Some(Reason::Signature));
    assert_eq!(answer(8, r#"{"alg":"HS256","kid":"8"}"#), None);
    assert_eq!(answer(0, r#"{"alg":"HS384"}"#), Some(Reason::UnknownKey));
    assert_eq!(answer(0, r#"{"alg":"HS384","kid":"0"}"#), Some(Reason::Algorithm));
}

#[test]
fn keys_that_a_header_brings_along_are_ignored() {
    let header = r#"{"alg":"HS256","kid":"k256","jwk":{"kty":"oct","k":"AAAA"},"jku":"https://a.example/","x5u":"https://a.example/","x5c":["AAAA"]}"#;
    assert_eq!(refused(&signed("k256", header, r#"{"sub":"42","exp":1700000001}"#)), None);
    assert_eq!(refused(&signed("k512", header, r#"{"sub":"42","exp":1700000001}"#)), Some(Reason::Signature));
}

#[test]
fn a_signature_by_another_key_or_of_another_length_is_refused() {
    let good = jwt();
    let (input, _) = good.rsplit_once('.').unwrap();
    for kid in ["k384", "k512"] {
        assert_eq!(refused(&signed(kid, HEADER, r#"{"sub":"42","exp":1700000001}"#)), Some(Reason::Signature));
    }
    for signature in [&[0; 32][..], &[0; 31], &[0; 33], &[0; 1], &[0; 600]] {
        assert_eq!(refused(&format!("{input}.{}", base64url::encode(signature))), Some(Reason::Signature));
    }
}

#[test]
fn a_payload_is_not_read_before_its_signature_is_right() {
    assert_eq!(refused(&signed("k384", HEADER, "no object")), Some(Reason::Signature));
    assert_eq!(refused(&signed("k256", HEADER, "no object")), Some(Reason::Malformed));
}

#[test]
fn claims_of_the_wrong_type_are_malformed() {
    for claims in [
        r#""iat":1"#,
        r#""exp":"1700000001""#,
        r#""exp":null"#,
        r#""exp":-1"#,
        r#""exp":1e300"#,
        r#""exp":281474976711"#,
        r#""exp":1700000001,"exp":1700000001"#,
        r#""exp":1700000001,"nbf":"1""#,
        r#""exp":1700000001,"iat":true"#,
        r#""exp":1700000001,"iss":1"#,
        r#""exp":1700000001,"aud":1"#,
        r#""exp":1700000001,"aud":["a",1]"#,
        r#""exp":1700000001,"jti":1"#,
        r#""exp":1700000001,"sid":"""#,
        r#""exp":1700000001,"sid":"a\nb","jti":"good""#,
        r#""exp":1700000001,"jti":"a\u0000""#,
        r#""exp":1700000001,"x":{"a":1,"a":1}"#,
        // The reason comes before those that good claims could have.
        r#""exp":1,"sid":"""#,
    ] {
        assert_eq!(refused(&with(claims)), Some(Reason::Malformed), "{claims}");
    }
    assert_eq!(refused(&signed("k256", HEADER, r#"{"sub":4.2,"exp":1700000001}"#)), Some(Reason::Malformed));
    for payload in ["", "[]", "null", "{}x", "{"] {
        let expected = Some(Reason::Malformed);
        assert_eq!(refused(&signed("k256", HEADER, payload)), expected, "{payload}");
    }
}

#[test]
fn a_token_is_dead_on_its_expiry() {
    assert_eq!(refused(&with(r#""exp":1700000001"#)), None);
    assert_eq!(refused(&with(r#""exp":1700000000.001"#)), None);
    assert_eq!(refused(&with(r#""exp":1700000000"#)), Some(Reason::TokenExpired));
    assert_eq!(refused(&with(r#""exp":0"#)), Some(Reason::TokenExpired));
    let lenient = TokenPolicy { leeway_secs: 10, ..TokenPolicy::default() };
    assert!(check_by(&lenient, &with(r#""exp":1699999991"#)).is_ok());
    assert_eq!(check_by(&lenient, &with(r#""exp":1699999990"#)), Err(Reason::TokenExpired));
    let endless = TokenPolicy { leeway_secs: u32::MAX, ..TokenPolicy::default() };
    assert!(check_by(&endless, &with(r#""exp":281474976710"#)).is_ok());
}

#[test]
fn a_token_from_the_future_is_not_yet_valid() {
    let lenient = TokenPolicy { leeway_secs: 10, ..TokenPolicy::default() };
    for (name, cause) in [("nbf", Cause::NotYetValidNbf), ("iat", Cause::NotYetValidIat)] {
        let starting = |seconds: &str| with(&format!(r#""exp":1800000000,"{name}":{seconds}"#));
        let alone = |policy: &TokenPolicy, token: String| {
            verifier(policy).verify_alone(user("42"), token.as_bytes(), None, at(NOW)).err()
        };
        let strict = TokenPolicy::default();
        assert_eq!(alone(&strict, starting("1700000000")), None);
        assert_eq!(alone(&strict, starting("1700000000.001")), Some(cause));
        assert_eq!(alone(&strict, starting("1700000001")), Some(cause));
        assert_eq!(alone(&lenient, starting("1700000010")), None);
        assert_eq!(alone(&lenient, starting("1700000011")), Some(cause));
    }
    // Where there is a session, that decides about the `iat`.
    assert!(check(&with(r#""exp":1800000000,"iat":1750000000"#)).is_ok());
}

#[test]
fn the_issuer_is_compared_if_one_is_set() {
    let policy = TokenPolicy { issuer: Some("https://a.example".into()), ..TokenPolicy::default() };
    assert!(check_by(&policy, &with(r#""exp":1700000001,"iss":"https://a.example""#)).is_ok());
    assert!(check_by(&policy, &with(r#""exp":1700000001,"iss":"https:\/\/a.example""#)).is_ok());
    for iss in [r#""exp":1700000001"#, r#""exp":1700000001,"iss":"""#, r#""exp":1700000001,"iss":"https://a.example/""#]
    {
        assert_eq!(check_by(&policy, &with(iss)), Err(Reason::Issuer), "{iss}");
    }
    assert_eq!(refused(&with(r#""exp":1700000001,"iss":"anyone""#)), None);
}

#[test]
fn the_audience_of_the_call_comes_before_the_policys() {
    let policy = TokenPolicy { audience: Some("web".into()), ..TokenPolicy::default() };
    let asked = |token: &str, audience: Option<&str>| {
        verifier(&policy).verify(user("42"), token.as_bytes(), audience, at(NOW)).map_err(Cause::reason).err()
    };
    let (web, both, none) = (
        with(r#""exp":1700000001,"aud":"web""#),
        with(r#""exp":1700000001,"aud":["api","web"]"#),
        with(r#""exp":1700000001"#),
    );
    assert_eq!(asked(&web, None), None);
    assert_eq!(asked(&web, Some("api")), Some(Reason::Audience));
    assert_eq!(asked(&both, Some("api")), None);
    assert_eq!(asked(&none, None), Some(Reason::Audience));
    assert_eq!(refused(&both), None);
}

#[test]
fn the_subject_is_the_unescaped_text() {
    let of = |sub: &str| refused(&signed("k256", HEADER, format!(r#"{{"exp":1700000001{sub}}}"#)));
    assert_eq!(of(r#","sub":"42""#), None);
    assert_eq!(of(r#","sub":"\u00342""#), None);
    // Applications sign the number of a user too.
    assert_eq!(of(r#","sub":42"#), None);
    assert_eq!(of(r#","sub":43"#), Some(Reason::Subject));
    for sub in ["", r#","sub":"""#, r#","sub":"43""#, r#","sub":"42 ""#, r#","sub":"42\u0000""#] {
        assert_eq!(of(sub), Some(Reason::Subject), "{sub}");
    }
}

#[test]
fn the_session_is_sid_or_jti_or_a_hash_of_what_is_signed() {
    let id = |claims: &str| check(&with(claims)).unwrap().id.to_string();
    assert_eq!(id(r#""exp":1700000001,"jti":"j","sid":"s""#), "s");
    assert_eq!(id(r#""exp":1700000001,"jti":"j""#), "j");
    assert_eq!(id(r#""exp":1700000001,"jti":"\u006a""#), "j");
    assert_eq!(id(r#""exp":1700000001,"jti":"","sid":"s""#), "s");

    use sha2::Digest as _;
    let token = with(r#""exp":1700000001"#);
    let (input, _) = token.rsplit_once('.').unwrap();
    let hash = base64url::encode(&sha2::Sha256::digest(input)[..16]);
    assert_eq!(id(r#""exp":1700000001"#), hash);
}

/// A `jti` as they are made here, of [`SESSION`].
fn own_jti() -> String {
    let payload = base64url::decode(jwt().split('.').nth(1).unwrap().as_bytes()).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&payload).unwrap();
    claims["jti"].as_str().unwrap().to_owned()
}

#[test]
fn a_jti_of_ours_says_which_session_of_the_sid_it_is_of() {
    let issued = |claims: &str| check(&with(&format!(r#""exp":1800000000,{claims}"#))).unwrap().issued;
    let (own, sid) = (own_jti(), format!(r#""sid":"{SESSION}""#));
    let rest = own.strip_prefix('A').unwrap();
    let (mut front, last) = (own.clone(), own.chars().last().unwrap());
    front.pop();
    let other_end = if last == 'A' { 'Q' } else { 'A' };
    assert_eq!(issued(&format!(r#"{sid},"jti":"{own}""#)), Issued::ForSessionOf(at(NOW)));
    assert_eq!(issued(&format!(r#"{sid},"jti":"\u0041{rest}""#)), Issued::ForSessionOf(at(NOW)));
    // Damaged, foreign ones of any length, and of another session or none: as with any other issuer's.
    let second = Issued::InSecondOf(at(NOW - 9));
    for claims in [
        format!(r#"{sid},"jti":"B{rest}""#),
        format!(r#"{sid},"jti":"{front}{other_end}""#),
        format!(r#"{sid},"jti":"{front}""#),
        format!(r#"{sid},"jti":"{own}A""#),
        format!(r#"{sid},"jti":"{}""#, "A".repeat(24)),
        format!(r#"{sid},"jti":"{}""#, "!".repeat(24)),
        format!(r#""sid":"another","jti":"{own}""#),
        format!(r#""jti":"{own}""#),
        sid.clone(),
    ] {
        assert_eq!(issued(&format!(r#"{claims},"iat":{}"#, NOW - 9)), second, "{claims}");
        assert_eq!(issued(&claims), Issued::InSecondOf(UnixMillis::ZERO), "{claims}");
    }
}

#[test]
fn a_token_of_ours_may_be_ahead_of_the_clock() {
    let ahead = |more: &str| with(&format!(r#""exp":1800000000,"iat":1750000000,"sid":"{SESSION}"{more}"#));
    let jti = format!(r#","jti":"{}""#, own_jti());
    assert_eq!(refused(&ahead(&jti)), None);
    let alone = |more: &str| {
        let token = ahead(more);
        verifier(&TokenPolicy::default()).verify_alone(user("42"), token.as_bytes(), None, at(NOW)).err()
    };
    assert_eq!((alone(&jti), alone("")), (None, Some(Cause::NotYetValidIat)));
    assert_eq!(refused(&ahead(&format!(r#"{jti},"nbf":1750000000"#))), Some(Reason::NotYetValid));
}

#[test]
fn reasons_come_in_their_order() {
    let policy = TokenPolicy { issuer: Some("i".into()), audience: Some("a".into()), ..TokenPolicy::default() };
    let refused = |payload: &str| check_by(&policy, &signed("k256", HEADER, payload)).unwrap_err();
    assert_eq!(refused(r#"{"exp":1,"nbf":1800000000}"#), Reason::TokenExpired);
    assert_eq!(refused(r#"{"exp":1800000001,"nbf":1800000000}"#), Reason::NotYetValid);
    assert_eq!(refused(r#"{"exp":1800000001}"#), Reason::Issuer);
    assert_eq!(refused(r#"{"exp":1800000001,"iss":"i"}"#), Reason::Audience);
    assert_eq!(refused(r#"{"exp":1800000001,"iss":"i","aud":"a"}"#), Reason::Subject);
}

#[test]
fn a_header_told_by_its_text_is_checked_like_one_that_is_read() {
    let policies = [
        TokenPolicy::default(),
        TokenPolicy { issuer: Some("i".into()), leeway_secs: 5, ..TokenPolicy::default() },
        TokenPolicy { audience: Some("a".into()), ..TokenPolicy::default() },
    ];
    let payloads = [
        r#"{"sub":"42","exp":1700000001,"iat":1700000000,"jti":"j","sid":"s","iss":"i","aud":"a"}"#,
        r#"{"sub":"42","exp":1700000000,"jti":"j","iss":"i","aud":["b","a"]}"#,
        r#"{"sub":"43","exp":1700000001,"sid":"s"}"#,
        r#"{"sub":"42","nbf":1700000004,"exp":1800000000,"sid":"s"}"#,
        r#"{"sub":"42"}"#,
        "{",
    ];
    let key = ring();
    let key = key.get("k256").unwrap();
    assert_eq!(*key.own().unwrap().header, base64url::encode(HEADER.as_bytes()));
    for policy in &policies {
        for payload in payloads {
            for signer in ["k256", "k384"] {
                let told = signed(signer, HEADER, payload);
                let read = signed(signer, r#"{"kid":"k256","alg":"HS256"}"#, payload);
                assert_eq!(check_by(policy, &told), check_by(policy, &read), "{payload}");
            }
        }
    }
}
