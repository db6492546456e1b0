//! Several issuers: whose keys may vouch for what, and which sessions their tokens reach.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};

use super::super::algorithm::Hash;
use super::super::mac::MacKey;
use super::issuer::{jwk, signature};
use super::*;

const A: &str = "https://a.example";
const B: &str = "https://b.example";

/// Files by their names, and what reading them answers.
fn read(list: &Value, files: &[(&str, Value)]) -> Result<Issuers, IssuersError> {
    let files: HashMap<_, _> = files.iter().map(|(name, set)| (*name, set.to_string().into_bytes())).collect();
    Issuers::read(list.to_string().as_bytes(), |path| files.get(path).cloned().ok_or("there is no such file"))
}

fn set_of(keys: &[Value]) -> Value {
    json!({ "keys": keys })
}

/// A key of another name, so that two issuers can have one each.
fn named(algorithm: Algorithm, kid: &str) -> Value {
    let mut key = jwk(algorithm);
    key["kid"] = kid.into();
    key
}

fn secret(kid: &str, byte: u8) -> Value {
    json!({ "kty": "oct", "kid": kid, "alg": "HS256", "k": base64url::encode(&[byte; 32]) })
}

/// A has the key of ES256, B that of Ed25519 under the same name, and the application has signed with a secret.
fn issuers() -> Issuers {
    let list = json!({ "issuers": [
        { "iss": B, "jwks": "b.json", "aud": ["web", "api"], "typ": "at+jwt" },
        { "iss": null, "jwks": "app/secret.json" },
        { "iss": A, "jwks": "a.json", "algs": ["ES256"] },
    ] });
    let files = [
        ("a.json", set_of(&[named(Algorithm::Es256, "k")])),
        ("b.json", set_of(&[named(Algorithm::EdDsa, "k")])),
        ("app/secret.json", set_of(&[secret("old", 9)])),
    ];
    read(&list, &files).unwrap()
}

/// The verifier with these, whose own ring is [`ring`] and a public key.
fn verifier_of(policy: TokenPolicy) -> Verifier {
    let mut keys: Vec<Value> = vec![json!({ "kty": "oct", "kid": "k256", "alg": "HS256", "k": "Q".repeat(64) })];
    keys.push(named(Algorithm::Rs256, "partner"));
    let own = KeyRing::from_jwk_set(set_of(&keys).to_string().as_bytes(), None).unwrap();
    let mut verifier = Verifier::new(own, policy);
    verifier.set_issuers(issuers());
    verifier.resize(16);
    verifier
}

fn claims(more: &Value) -> Value {
    let mut claims = json!({ "sub": "42", "exp": NOW + 3600, "iat": NOW });
    for (name, value) in more.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

fn token(header: &Value, payload: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let input = [header, payload].map(|part| base64url::encode(part.to_string().as_bytes())).join(".");
    let signature = sign(input.as_bytes());
    format!("{input}.{}", base64url::encode(&signature))
}

fn by(algorithm: Algorithm, kid: &str, more: Value) -> String {
    let header = json!({ "kid": kid, "alg": algorithm.as_str(), "typ": "at+jwt" });
    token(&header, &claims(&more), |input| signature(algorithm, input))
}

fn by_secret(kid: &str, secret: &[u8], more: Value) -> String {
    let header = json!({ "kid": kid, "alg": "HS256", "typ": "JWT" });
    let mac = MacKey::new(Hash::Sha256, secret);
    token(&header, &claims(&more), |input| mac.tag(input).as_bytes().to_vec())
}

/// The secret of the own key.
fn own_secret() -> Vec<u8> {
    base64url::decode("Q".repeat(64).as_bytes()).unwrap()
}

fn ask(verifier: &mut Verifier, token: &str) -> Result<Verified, Cause> {
    let answer = verifier.verify(user("42"), token.as_bytes(), None, at(NOW));
    assert_eq!(verifier.verify(user("42"), token.as_bytes(), None, at(NOW)), answer, "from memory");
    answer
}

fn of_issuer(iss: &str, id: &str) -> SessionId {
    SessionId::of_issuer(iss, id.as_bytes()).unwrap()
}

#[test]
fn the_issuer_chooses_the_keys_and_nothing_else_does() {
    let mut verifier = verifier_of(TokenPolicy::default());
    let mut ask = |token: String| ask(&mut verifier, &token).map(|verified| verified.maker);
    let (es, ed) = (Algorithm::Es256, Algorithm::EdDsa);
    assert_eq!(ask(by(es, "k", json!({ "iss": A, "sid": "s" }))), Ok(Maker::Issuer));
    assert_eq!(ask(by(ed, "k", json!({ "iss": B, "sid": "s", "aud": "api" }))), Ok(Maker::Issuer));
    // Each with the other's name, which is right by kid and algorithm there.
    assert_eq!(ask(by(ed, "k", json!({ "iss": A, "sid": "s" }))), Err(Cause::AlgorithmNotAllowed));
    assert_eq!(ask(by(es, "k", json!({ "iss": B, "sid": "s", "aud": "api" }))), Err(Cause::AlgorithmOfKey));
    // With a name of nobody's, and with none.
    assert_eq!(ask(by(es, "k", json!({ "iss": "https://c.example", "sid": "s" }))), Err(Cause::IssuerUnknown));
    assert_eq!(ask(by(es, "k", json!({ "sid": "s" }))), Err(Cause::UnknownKeyKid));
    // The own keys do not speak for others: neither the secret nor the public one.
    for iss in [A, B] {
        assert_eq!(ask(by_secret("k256", &own_secret(), json!({ "iss": iss }))), Err(Cause::IssuerOther));
    }
    assert_eq!(ask(by(Algorithm::Rs256, "partner", json!({ "iss": B }))), Err(Cause::UnknownKeyKid));
}

#[test]
fn a_token_of_nobody_is_told_before_its_key_is_looked_for() {
    let mut verifier = verifier_of(TokenPolicy { issuer: Some("https://me.example".into()), ..TokenPolicy::default() });
    for iss in [json!("https://c.example"), json!("https://A.example"), json!(format!("{A}/")), json!("")] {
        let claims = json!({ "iss": iss });
        assert_eq!(ask(&mut verifier, &by(Algorithm::Es256, "k", claims.clone())), Err(Cause::IssuerUnknown));
        assert_eq!(
            ask(&mut verifier, &by_secret("k256", &own_secret(), claims.clone())).map_err(Cause::reason),
            Err(Reason::Issuer)
        );
        // It can be revoked still, if the own ring has signed it.
        let token = by_secret("k256", &own_secret(), claims);
        assert!(verifier.identify(user("42"), token.as_bytes()).is_ok());
    }
    // Without an `iss` it is the entry of those, and no longer one of ours.
    assert_eq!(ask(&mut verifier, &by(Algorithm::Rs256, "partner", json!({}))), Err(Cause::UnknownKeyKid));
}

#[test]
fn what_others_must_say_is_in_their_entry_alone() {
    let policy = TokenPolicy {
        issuer: Some("https://me.example".into()),
        audience: Some("me".into()),
        token_type: Some("mine".into()),
        ..TokenPolicy::default()
    };
    let mut verifier = verifier_of(policy);
    let a = by(Algorithm::Es256, "k", json!({ "iss": A }));
    assert!(ask(&mut verifier, &a).is_ok(), "neither audience nor type");
    let b = |more: Value| by(Algorithm::EdDsa, "k", more);
    for (aud, answer) in [
        (json!("web"), None),
        (json!(["x", "api"]), None),
        (json!("me"), Some(Cause::Audience)),
        (json!([]), Some(Cause::Audience)),
        (json!(null), Some(Cause::Audience)),
    ] {
        assert_eq!(ask(&mut verifier, &b(json!({ "iss": B, "aud": aud }))).err(), answer, "{aud}");
    }
    let header = json!({ "alg": "EdDSA", "kid": "k", "typ": "JWT" });
    let other = token(&header, &claims(&json!({ "iss": B, "aud": "web" })), |input| signature(Algorithm::EdDsa, input));
    assert_eq!(ask(&mut verifier, &other), Err(Cause::TypeHeader));
    assert!(verifier.identify(user("42"), other.as_bytes()).is_ok());
    // The call's audience is the only one then.
    let token = b(json!({ "iss": B, "aud": "web" }));
    let mut of_call =
        |token: &str, audience| verifier.verify(user("42"), token.as_bytes(), Some(audience), at(NOW)).err();
    assert_eq!(of_call(&token, "web"), None);
    assert_eq!(of_call(&token, "api"), Some(Cause::Audience));
    assert_eq!(of_call(&a, "web"), Some(Cause::Audience));
}

#[test]
fn each_issuers_sessions_are_its_own() {
    let mut verifier = verifier_of(TokenPolicy::default());
    let long = "x".repeat(2000);
    for sid in ["s", SESSION, "eyJhbGciOiJub25lIn0.e30.AA", "a\n\u{0}b", &long] {
        let a = ask(&mut verifier, &by(Algorithm::Es256, "k", json!({ "iss": A, "sid": sid }))).unwrap();
        assert_eq!((a.maker, &a.id), (Maker::Issuer, &of_issuer(A, sid)));
        let b = json!({ "iss": B, "aud": "api", "jti": sid });
        let b = ask(&mut verifier, &by(Algorithm::EdDsa, "k", b)).unwrap();
        assert_eq!((b.maker, &b.id), (Maker::Issuer, &of_issuer(B, sid)));
        let partner = json!({ "iss": "https://c.example", "sid": sid });
        let partner = ask(&mut verifier, &by(Algorithm::Rs256, "partner", partner)).unwrap();
        assert_eq!((partner.maker, &partner.id), (Maker::Issuer, &of_issuer("https://c.example", sid)));
        let application = SessionId::of_application(sid.as_bytes()).ok();
        let ids = HashSet::from([Some(a.id), Some(b.id), Some(partner.id), application]);
        assert_eq!(ids.len(), 4, "{sid:?} is another session with each");
    }
    for iss in [Some(A), None] {
        let empty = json!({ "iss": iss, "sid": "" });
        let token = match iss {
            Some(_) => by(Algorithm::Es256, "k", empty),
            None => by_secret("old", &[9; 32], empty),
        };
        assert_eq!(ask(&mut verifier, &token), Err(Cause::MalformedSessionId));
    }
}

#[test]
fn the_applications_tokens_reach_its_sessions() {
    let mut verifier = verifier_of(TokenPolicy::default());
    let long = "x".repeat(129);
    let hashed = SessionId::of_application(long.as_bytes()).unwrap();
    for (kid, secret) in [("old", vec![9; 32]), ("k256", own_secret())] {
        let mut of = |sid: &str| ask(&mut verifier, &by_secret(kid, &secret, json!({ "sid": sid })));
        let verified = of("s").unwrap();
        assert_eq!((verified.maker, verified.id.to_string()), (Maker::Application, "s".into()));
        assert_eq!(verified.issued, Issued::InSecondOf(at(NOW)));
        assert_eq!(of(&long).unwrap().id, hashed);
        for sid in ["eyJhbGciOiJub25lIn0.e30.AA", "Bearer rst1.NDI.aWQ.AA", "a\nb"] {
            assert_eq!(of(sid), Err(Cause::MalformedSessionId), "{sid}");
        }
    }
}

/// The `jti` that binds a token to a session that began here is no secret: only who signs with an own key may say it.
#[test]
fn a_jti_of_ours_under_another_key_is_as_any_other() {
    let mut verifier = verifier_of(TokenPolicy::default());
    let jti = super::super::jti::make(SESSION, at(NOW - 5), 0);
    let more = |iss: Option<&str>| json!({ "iss": iss, "sid": SESSION, "jti": jti });
    let own = ask(&mut verifier, &by_secret("k256", &own_secret(), more(None))).unwrap();
    assert_eq!((own.maker, own.issued, own.id), (Maker::Here, Issued::ForSessionOf(at(NOW - 5)), session()));
    let app = ask(&mut verifier, &by_secret("old", &[9; 32], more(None))).unwrap();
    assert_eq!((app.maker, app.issued, app.id), (Maker::Application, Issued::InSecondOf(at(NOW)), session()));
    for token in [by(Algorithm::Es256, "k", more(Some(A))), by(Algorithm::Rs256, "partner", more(None))] {
        let verified = ask(&mut verifier, &token);
        // Without an `iss` there is the application's entry, and not the partner.
        let Ok(verified) = verified else { continue };
        assert_eq!((verified.maker, verified.issued), (Maker::Issuer, Issued::InSecondOf(at(NOW))));
        assert_ne!(verified.id, session());
    }
}

#[test]
fn the_entry_of_tokens_without_an_iss_stands_beside_our_own_that_have_none() {
    // The name of the own key, another secret.
    let list = json!({ "issuers": [{ "iss": null, "jwks": "app.json" }] });
    let same_name = read(&list, &[("app.json", set_of(&[secret("k256", 9)]))]).unwrap();
    let mut verifier = verifier_of(TokenPolicy::default());
    verifier.set_issuers(same_name);
    let payload = json!({ "sub": "42", "exp": NOW + 1 }).to_string();
    let foreign = |byte: u8| {
        let input = [r#"{"typ":"x","kid":"k256","alg":"HS256"}"#, &payload]
            .map(|part| base64url::encode(part.as_bytes()))
            .join(".");
        let mac = MacKey::new(Hash::Sha256, &[byte; 32]);
        format!("{input}.{}", base64url::encode(mac.tag(input.as_bytes()).as_bytes()))
    };
    assert_eq!(ask(&mut verifier, &foreign(9)).map(|verified| verified.maker), Ok(Maker::Application));
    assert_eq!(ask(&mut verifier, &foreign(8)), Err(Cause::Signature));
    assert!(ask(&mut verifier, &jwt()).is_ok());
    // With an issuer of our own, our tokens have one, and those without are the entry's alone.
    let policy = TokenPolicy { issuer: Some("https://me.example".into()), ..TokenPolicy::default() };
    verifier.set_policy(policy);
    assert_eq!(ask(&mut verifier, &jwt()), Err(Cause::IssuerOther));
    assert_eq!(ask(&mut verifier, &foreign(9)).map(|verified| verified.maker), Ok(Maker::Application));
}

#[test]
fn an_entry_for_our_own_issuer_adds_keys_and_takes_none_away() {
    let list = json!({ "issuers": [{ "iss": "me", "jwks": "a.json", "aud": ["theirs"] }] });
    let issuers = read(&list, &[("a.json", set_of(&[named(Algorithm::Es256, "k")]))]).unwrap();
    let mut verifier =
        verifier_of(TokenPolicy { issuer: Some("me".into()), audience: Some("ours".into()), ..TokenPolicy::default() });
    verifier.set_issuers(issuers);
    let mut maker = |token: String| ask(&mut verifier, &token).map(|verified| verified.maker);
    let header = json!({ "iss": "me", "aud": "ours" });
    assert_eq!(maker(by_secret("k256", &own_secret(), header.clone())), Ok(Maker::Application));
    assert_eq!(maker(by(Algorithm::Es256, "k", header.clone())), Err(Cause::Audience));
    assert_eq!(maker(by(Algorithm::Es256, "k", json!({ "iss": "me", "aud": "theirs" }))), Ok(Maker::Issuer));
    // The entry says which public keys speak for that name: not those of the own file.
    assert_eq!(maker(by(Algorithm::Rs256, "partner", header)), Err(Cause::UnknownKeyKid));
}

#[test]
fn a_payload_that_cannot_be_read_chooses_no_keys() {
    let mut verifier = verifier_of(TokenPolicy::default());
    let header = json!({ "alg": "ES256", "kid": "k" }).to_string();
    for (payload, cause) in [
        ("[]", Cause::MalformedPayload),
        (r#"{"iss":1}"#, Cause::MalformedClaim),
        (r#"{"iss":"a","iss":"b"}"#, Cause::MalformedDuplicate),
        (r#"{"iss":"https://a.example","a":{"b":1,"b":1}}"#, Cause::MalformedDuplicate),
    ] {
        let input = [&header, payload].map(|part| base64url::encode(part.as_bytes())).join(".");
        assert_eq!(ask(&mut verifier, &format!("{input}.AA")), Err(cause), "{payload}");
    }
}

#[test]
fn other_issuers_empty_the_memory() {
    let mut verifier = verifier_of(TokenPolicy::default());
    let token = by(Algorithm::Es256, "k", json!({ "iss": A }));
    assert!(ask(&mut verifier, &token).is_ok());
    verifier.set_issuers(Issuers::default());
    assert_eq!(ask(&mut verifier, &token), Err(Cause::UnknownKeyKid));
}

#[test]
fn a_key_without_a_kid_is_tried_by_its_algorithm() {
    let mut key = jwk(Algorithm::Es256);
    key.as_object_mut().unwrap().remove("kid");
    let list = json!({ "issuers": [{ "iss": A, "jwks": "a.json" }] });
    let mut verifier = verifier_of(TokenPolicy::default());
    verifier.set_issuers(read(&list, &[("a.json", set_of(&[key]))]).unwrap());
    let without = |algorithm: Algorithm| {
        let header = json!({ "alg": algorithm.as_str() });
        token(&header, &claims(&json!({ "iss": A })), |input| signature(algorithm, input))
    };
    assert!(ask(&mut verifier, &without(Algorithm::Es256)).is_ok());
    assert_eq!(ask(&mut verifier, &without(Algorithm::EdDsa)), Err(Cause::UnknownKeyAlgorithm));
}

#[test]
fn a_file_that_will_not_do_says_which_entry_and_why() {
    let good = ("a.json", set_of(&[jwk(Algorithm::Es256)]));
    let of = |entry: Value| read(&json!({ "issuers": [entry] }), std::slice::from_ref(&good)).unwrap_err().to_string();
    let entry = |name: &str, value: Value| {
        let mut entry = json!({ "iss": A, "jwks": "a.json" });
        match value {
            Value::String(text) if text == "absent" => drop(entry.as_object_mut().unwrap().remove(name)),
            value => entry[name] = value,
        }
        entry
    };
    let named = |why: &str| format!("issuer \"{A}\": {why}");
    let jwks = named("\"jwks\" must be the path of a file in this file's folder, relative to it and without \"..\"");
    for path in
        ["", "/a.json", "../a.json", "x/../../a.json", "x/..", "..", "./../a.json", "x/", "a\nb", "absent", "./a.json"]
    {
        assert_eq!(of(entry("jwks", path.into())), jwks, "{path}");
    }
    assert_eq!(of(entry("jwks", 1.into())), jwks);
    assert_eq!(of(entry("jwks", "..data/a.json".into())), named("..data/a.json: there is no such file"));
    let iss =
        "entry number 1: \"iss\" must be the text that its tokens have as \"iss\", or null for tokens without one";
    for value in [json!("absent"), json!(""), json!(1), json!([A])] {
        assert_eq!(of(entry("iss", value)), iss);
    }
    for (name, values, why) in [
        (
            "aud",
            vec![json!("a"), json!([]), json!([""]), json!([1]), json!(["a", "a"]), json!(null)],
            "\"aud\" must be an array of strings, at least one, where it is given",
        ),
        (
            "typ",
            vec![json!(""), json!(1), json!(null), json!(["JWT"])],
            "\"typ\" must be a string such as \"at+jwt\" where it is given",
        ),
        (
            "algs",
            vec![json!("RS256"), json!([]), json!(null), json!([1])],
            "\"algs\" must be an array of names such as \"RS256\", at least one, where it is given",
        ),
        ("algs", vec![json!(["none"])], "\"algs\" names \"none\", which is not supported"),
        (
            "keys",
            vec![json!([])],
            "has the unknown member \"keys\"; it may have \"iss\", \"jwks\", \"aud\", \"typ\" and \"algs\"",
        ),
        (
            "Aud",
            vec![json!(["a"])],
            "has the unknown member \"Aud\"; it may have \"iss\", \"jwks\", \"aud\", \"typ\" and \"algs\"",
        ),
    ] {
        for value in values {
            assert_eq!(of(entry(name, value.clone())), named(why), "{name} {value}");
        }
    }
    assert_eq!(of(json!(A)), "entry number 1: is not an object");
    let file = |text: &str| Issuers::read(text.as_bytes(), |_| Err::<Vec<u8>, _>("no file")).unwrap_err();
    assert_eq!(file("{}"), IssuersError::NoList);
    assert_eq!(file(r#"{"issuers":{}}"#), IssuersError::NoList);
    assert_eq!(file(r#"{"issuers":[],"x":1}"#), IssuersError::UnknownMember("x".into()));
    for text in ["", "[]", "issuers", r#"{"issuers":[]}x"#, r#"{"issuers":["#] {
        assert!(matches!(file(text), IssuersError::Json { line: 1, .. }), "{text}");
    }
    assert!(matches!(file(r#"{"issuers":[{"iss":"a","iss":"b"}]}"#), IssuersError::DuplicateMember { .. }));
    assert_eq!(file(&format!(r#"{{"issuers":{}"#, "[".repeat(20))), IssuersError::TooDeep);
}

#[test]
fn two_entries_of_one_issuer_are_refused() {
    let files = [("a.json", set_of(&[jwk(Algorithm::Es256)]))];
    for iss in [json!(A), json!(null)] {
        let entry = json!({ "iss": iss, "jwks": "a.json" });
        let why = read(&json!({ "issuers": [entry, { "iss": B, "jwks": "a.json" }, entry] }), &files).unwrap_err();
        let named = if iss.is_null() { "entry number 3".to_owned() } else { format!("issuer \"{A}\"") };
        assert_eq!(why, IssuersError::Issuer { issuer: named, problem: IssuerProblem::SameIss });
    }
}

#[test]
fn a_list_may_be_empty_or_begin_with_a_byte_order_mark() {
    let read = |text: &[u8]| Issuers::read(text, |_| Err::<Vec<u8>, _>("no file")).unwrap();
    assert!(read(br#"{"issuers":[]}"#).is_empty());
    assert!(read(b"\xef\xbb\xbf{\"issuers\":[]}").is_empty());
}

#[test]
fn a_key_set_that_will_not_do_is_named_with_its_entry() {
    let list = json!({ "issuers": [{ "iss": A, "jwks": "a.json" }] });
    let why = |set: Value| read(&list, &[("a.json", set)]).unwrap_err().to_string();
    assert!(why(json!([])).starts_with(&format!("issuer \"{A}\": a.json is not a JSON object")));
    let mut private = jwk(Algorithm::Es256);
    private["d"] = "AQAB".into();
    let text = why(set_of(&[private]));
    assert!(text.starts_with(&format!("issuer \"{A}\": a.json key \"ES256\": it is a private key")), "{text}");
}

proptest! {
    #[test]
    fn any_bytes_make_issuers_or_an_error(bytes: Vec<u8>, text in "[{}\\[\\]\":,issuersjwk\\\\ ]{0,60}") {
        let read = |json: &[u8]| Issuers::read(json, |_| Ok::<_, String>(Vec::new())).is_ok();
        let _ = read(&bytes);
        let _ = read(text.as_bytes());
    }
}

/// Our own tokens are told by the text of their header, which another may write as well.
#[test]
fn another_may_call_its_key_as_we_call_ours() {
    let list = json!({ "issuers": [{ "iss": null, "jwks": "app" }] });
    let mut verifier = verifier_of(TokenPolicy::default());
    verifier.set_issuers(read(&list, &[("app", set_of(&[secret("k256", 9)]))]).unwrap());
    let as_ours = |by: &[u8]| {
        let mac = MacKey::new(Hash::Sha256, by);
        let payload = claims(&json!({ "sid": "s" })).to_string();
        let own = KeyRing::from_jwk_set(set_of(&[secret("k256", 1)]).to_string().as_bytes(), None).unwrap();
        let header = own.signing_key().unwrap().own().unwrap().header.clone();
        let input = format!("{header}.{}", base64url::encode(payload.as_bytes()));
        format!("{input}.{}", base64url::encode(mac.tag(input.as_bytes()).as_bytes()))
    };
    for good in [as_ours(&own_secret()), as_ours(&[9; 32])] {
        assert_eq!(ask(&mut verifier, &good).map(|verified| verified.maker), Ok(Maker::Application));
    }
    assert_eq!(ask(&mut verifier, &as_ours(&[8; 32])), Err(Cause::Signature));
    verifier.set_issuers(Issuers::default());
    assert_eq!(ask(&mut verifier, &as_ours(&[9; 32])), Err(Cause::Signature));
}

/// Of all public keys in one ring, of all issuers.
#[test]
fn what_none_of_all_public_keys_has_signed_is_refused() {
    let mut verifier = verifier_of(TokenPolicy::default());
    let all = KeyRing::of_issuer(verifier.public_jwks().as_bytes(), IssuerKeys::default()).unwrap();
    assert_eq!((all.keys().len(), all.ignored().len()), (3, 0));
    let mut told = HashSet::new();
    for algorithm in Algorithm::ALL.into_iter().filter(|algorithm| algorithm.key_type() != "oct") {
        for kid in ["k", "partner", "", "x"] {
            for iss in [json!(null), json!(A), json!(B), json!("https://c.example")] {
                let good = by(algorithm, kid, json!({ "iss": iss, "sid": "s", "aud": "api" }));
                let (input, _) = good.rsplit_once('.').unwrap();
                for token in [good.clone(), format!("{input}.AAAA"), format!("{input}.AAA="), input.to_owned()] {
                    let signature = Signature::of(token.as_bytes(), &all);
                    let answer = ask(&mut verifier, &token);
                    assert!(signature != Signature::Wrong || answer.is_err(), "{token}");
                    assert!(answer.is_err() || signature == Signature::Right, "{token}");
                    told.insert(format!("{signature:?}"));
                }
            }
        }
    }
    assert_eq!(told.len(), 4, "{told:?}");
    let secrets = [by_secret("k256", &own_secret(), json!({})), by_secret("old", &[9; 32], json!({}))];
    for token in secrets.iter().map(String::as_str).chain(["", ".", "a.b.c", "rst1.NDI.AA.AA", "rsr1.NDI.AA.AA.AA"]) {
        assert_eq!(Signature::of(token.as_bytes(), &all), Signature::Other);
    }
}

#[test]
fn more_keys_than_a_token_is_tried_with_tell_nothing() {
    let token = by(Algorithm::Es256, "", json!({ "sid": "s" }));
    let ring = |keys: usize| {
        let keys: Vec<_> = (0..keys).map(|number| named(Algorithm::Es256, &number.to_string())).collect();
        KeyRing::of_issuer(set_of(&keys).to_string().as_bytes(), IssuerKeys::default()).unwrap()
    };
    let (input, _) = token.rsplit_once('.').unwrap();
    let forged = format!("{input}.AAAA");
    let tell = |token: &str, keys| Signature::of(token.as_bytes(), &ring(keys));
    assert_eq!((tell(&token, 8), tell(&forged, 8)), (Signature::Right, Signature::Wrong));
    assert_eq!((tell(&token, 9), tell(&forged, 9)), (Signature::Unknown, Signature::Unknown));
    assert_eq!(tell(&token, 0), Signature::Unknown);
}
