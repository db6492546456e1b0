//! Other issuers: the file that names them, and what their tokens may reach.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};

use redis::Connection;
use redis_session_core::SessionId;
use redis_session_core::base64url;
use redis_session_core::token::{IssuerKeys, KeyRing, Signature};
use redis_session_tests::issuer::{ED_X, ES256, HS256, Key, RS256, SECRET, claims, own, set_of, tampered};
use redis_session_tests::{
    Server, ask, cmd, cmd_args, create, error, fields, ids, int, jwk_set, list, now_ms, text, verdict, wait_until,
};
use serde_json::{Value, json};

use crate::foreign::answer;

const KEY: &str = "sessions:42";
const PS256: Key = Key(jsonwebtoken::Algorithm::PS256);
const A: &str = "https://a.example";
const B: &str = "https://b.example";

/// The file of issuers: A has the key of ES256, B that of RS256, and the application a secret.
fn entries() -> Value {
    json!([
        { "iss": A, "jwks": "issuers/a.json", "algs": ["ES256"] },
        { "iss": B, "jwks": "issuers/b.json", "aud": ["web", "api"], "typ": "JWT" },
        { "iss": null, "jwks": "issuers/app.json" },
    ])
}

fn file(entries: &Value) -> String {
    json!({ "issuers": entries }).to_string()
}

fn app() -> Value {
    json!({ "kty": "oct", "kid": "old", "alg": "HS256", "k": base64url::encode(&SECRET) })
}

fn server() -> Server {
    Server::builder()
        .file("keys.json", set_of(&[own()]))
        .file("issuers/a.json", set_of(&[ES256.jwk()]))
        .file("issuers/b.json", set_of(&[RS256.jwk()]))
        .file("issuers/app.json", set_of(&[app()]))
        .file("issuers.json", file(&entries()))
        .config("session.keys-file keys.json\nsession.issuers-file issuers.json")
        .start()
}

fn by(key: Key, con: &mut Connection, iss: Option<&str>, sid: &str) -> String {
    let mut claims = claims(con, "42", sid);
    if let Some(iss) = iss {
        claims["iss"] = iss.into();
    }
    if iss == Some(B) {
        claims["aud"] = "api".into();
    }
    let header = match key {
        ES256 | RS256 => key.header(),
        _ => json!({ "alg": "HS256", "kid": "old" }),
    };
    key.sign(&header, &claims)
}

fn of_issuer(iss: &str, sid: &str) -> String {
    SessionId::of_issuer(iss, sid.as_bytes()).unwrap().to_string()
}

/// RFC 8725 section 3.8.
#[test]
fn no_issuer_reaches_a_session_of_ours_or_of_another() {
    let server = server();
    for mut con in [server.connection(), server.connection_resp3()] {
        let ours = create(&mut con, KEY);
        let sid = ours.str("id");
        let (a, b) = (by(ES256, &mut con, Some(A), &sid), by(RS256, &mut con, Some(B), &sid));
        for token in [&a, &b] {
            for command in ["VALIDATE", "TOUCH"] {
                assert_eq!(ask(&mut con, &format!("SESSION.{command} {KEY} {token}")).str("reason"), "unknown");
            }
            let refused = ask(&mut con, &format!("SESSION.REGENERATE {KEY} {token}"));
            assert_eq!(refused.str("reason"), "type");
            assert_eq!(ask(&mut con, &format!("SESSION.REFRESH {KEY} {token}")).str("reason"), "type");
            assert_eq!(answer(&mut con, token, &["STATELESS"]), "active");
        }
        // Each begins a session of its own, and ends that one.
        assert_eq!(ask(&mut con, &format!("SESSION.CREATE {KEY} FROM {a}")).str("id"), of_issuer(A, &sid));
        assert_eq!(answer(&mut con, &b, &[]), "unknown");
        assert_eq!(ask(&mut con, &format!("SESSION.CREATE {KEY} FROM {b}")).str("id"), of_issuer(B, &sid));
        cmd(&mut con, &format!("SESSION.REVOKE {KEY} {a}")).unwrap();
        assert_eq!(
            (answer(&mut con, &a, &["STATELESS"]), answer(&mut con, &b, &[])),
            ("revoked".into(), "active".into())
        );
        assert_eq!(verdict(&mut con, KEY, &ours.str("token")), "active");
        let mut left = ids(&mut con, KEY);
        left.sort_unstable();
        let mut expected = vec![sid, of_issuer(B, &ours.str("id"))];
        expected.sort_unstable();
        assert_eq!(left, expected);
        cmd(&mut con, "FLUSHALL").unwrap();
    }
}

#[test]
fn tokens_that_the_application_has_signed_go_on_with_their_sessions() {
    let server = server();
    let mut con = server.connection();
    create(&mut con, "sessions:42 ID one TOKEN NONE");
    let token = by(HS256, &mut con, None, "one");
    assert_eq!(answer(&mut con, &token, &[]), "active");
    assert_eq!(ask(&mut con, &format!("SESSION.REGENERATE {KEY} {token}")).str("reason"), "type");
    // Ours have no `iss` either, unless that is set.
    let ours = create(&mut con, KEY).str("token");
    assert_eq!(verdict(&mut con, KEY, &ours), "active");
    cmd(&mut con, "CONFIG SET session.issuer https://me.example").unwrap();
    assert_eq!(answer(&mut con, &token, &[]), "active");
    let ours = create(&mut con, KEY).str("token");
    assert_eq!(verdict(&mut con, KEY, &ours), "active");
}

#[test]
fn our_own_issuer_and_audience_say_nothing_of_others() {
    let server = server();
    let mut con = server.connection();
    let (a, b) = (by(ES256, &mut con, Some(A), "s"), by(RS256, &mut con, Some(B), "s"));
    let set = "CONFIG SET session.issuer https://me.example session.audience me session.token-type mine";
    cmd(&mut con, set).unwrap();
    for token in [&a, &b] {
        assert_eq!(answer(&mut con, token, &["STATELESS"]), "active");
    }
    assert_eq!(answer(&mut con, &b, &["STATELESS", "AUD", "web"]), "audience");
    assert_eq!(answer(&mut con, &b, &["STATELESS", "AUD", "api"]), "active");
    let ours = create(&mut con, KEY).str("token");
    assert_eq!(verdict(&mut con, KEY, &ours), "active");
    let nobody = by(ES256, &mut con, Some("https://c.example"), "s");
    assert_eq!(answer(&mut con, &nobody, &["STATELESS"]), "issuer");
}

#[test]
fn the_keys_are_shown_with_their_issuers() {
    let server = server();
    let mut con = server.connection();
    let shown = ask(&mut con, "SESSION.KEYS");
    assert_eq!((shown.str("file"), shown.str("issuers_file")), ("keys.json".into(), "issuers.json".into()));
    let keys: Vec<_> = list(shown.get("keys").unwrap().clone()).into_iter().map(fields).collect();
    let issuers: Vec<_> =
        keys.iter().map(|key| if key.is_null("issuer") { "ours".into() } else { key.str("issuer") }).collect();
    assert_eq!(issuers, ["ours", "", A, B]);
    let kids: Vec<_> = keys.iter().map(|key| key.str("kid")).collect();
    assert_eq!(kids, ["own", "old", "ES256", "RS256"]);
}

#[test]
fn both_files_are_read_again_in_one_step_or_not_at_all() {
    let server = server();
    let mut con = server.connection();
    let a = by(ES256, &mut con, Some(A), "s");
    assert_eq!(answer(&mut con, &a, &["STATELESS"]), "active");
    // A new ring, and a key set that is broken: neither is taken.
    server.write("keys.json", jwk_set(&["new"]));
    server.write("issuers/a.json", "{}");
    let why = error(&mut con, "SESSION.RELOADKEYS");
    assert!(why.contains("session.issuers-file issuers.json: issuer \"https://a.example\": issuers/a.json"), "{why}");
    assert_eq!(answer(&mut con, &a, &["STATELESS"]), "active");
    assert_eq!(ask(&mut con, "SESSION.KEYS").str("active_kid"), "own");
    assert!(ask(&mut con, "SESSION.KEYS").bool("file_changed"));
    wait_until("the log says so", || server.log_contains("SESSION.RELOADKEYS: the keys stay as they were"));
    // The key has gone, and then the issuer.
    server.write("issuers/a.json", set_of(&[RS256.jwk()]));
    assert_eq!(ask(&mut con, "SESSION.RELOADKEYS").str("active_kid"), "new");
    assert_eq!(answer(&mut con, &a, &["STATELESS"]), "unknown_key");
    server.write("issuers.json", file(&json!([])));
    cmd(&mut con, "SESSION.RELOADKEYS").unwrap();
    assert_eq!(answer(&mut con, &a, &["STATELESS"]), "unknown_key");
    cmd_args(&mut con, ["CONFIG", "SET", "session.issuers-file", ""]).unwrap();
    assert!(ask(&mut con, "SESSION.KEYS").is_null("issuers_file"));
}

/// With a secret alone there is nothing to publish; with a private key, its public half and nothing else.
#[test]
fn the_public_keys_are_published() {
    let server = server();
    let mut con = server.connection();
    let jwks =
        |con: &mut Connection| -> Value { serde_json::from_str(&text(&cmd(con, "SESSION.JWKS").unwrap())).unwrap() };
    assert_eq!(jwks(&mut con), json!({ "keys": [] }));
    let private = json!({
        "kty": "OKP", "kid": "ours", "crv": "Ed25519", "x": ED_X,
        "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
    });
    server.write("keys.json", set_of(&[private, own(), RS256.jwk()]));
    cmd(&mut con, "SESSION.RELOADKEYS").unwrap();
    let published = jwks(&mut con);
    assert_eq!(published["keys"].as_array().unwrap().len(), 1);
    assert_eq!((&published["keys"][0]["kid"], &published["keys"][0]["alg"]), (&json!("ours"), &json!("EdDSA")));
    assert!(published["keys"][0].get("d").is_none());
    // Its tokens are ours: bound to their sessions, and good for a refresh.
    let ours = create(&mut con, "sessions:42 REFRESH 0");
    let verified = ask(&mut con, &format!("SESSION.VALIDATE {KEY} {}", ours.str("token")));
    assert_eq!((verified.bool("active"), verified.str("id")), (true, ours.str("id")));
    let again = ask(&mut con, &format!("SESSION.REFRESH {KEY} {}", ours.str("refresh_token")));
    let moved = ask(&mut con, &format!("SESSION.REGENERATE {KEY} {}", again.str("token")));
    assert_eq!(verdict(&mut con, KEY, &moved.str("token")), "active");
    // A user who may do nothing else may ask for them.
    cmd(&mut con, "ACL SETUSER gateway on nopass resetkeys -@all +session.jwks").unwrap();
    let mut gateway = server.connection();
    cmd(&mut gateway, "AUTH gateway x").unwrap();
    assert_eq!(jwks(&mut gateway), published);
    assert_eq!(error(&mut gateway, "SESSION.JWKS ISSUERS"), "ERR unknown option ISSUERS");
}

/// To refuse what is forged elsewhere: every public key that a JWT may be checked with, and no secret.
#[test]
fn all_public_keys_are_told_with_all() {
    let server = server();
    server.write("keys.json", set_of(&[own(), RS256.jwk(), Key(jsonwebtoken::Algorithm::EdDSA).jwk()]));
    server.write("issuers/b.json", set_of(&[RS256.jwk(), ES256.jwk(), json!({ "kty": "EC", "crv": "P-999" })]));
    for mut con in [server.connection(), server.connection_resp3()] {
        cmd(&mut con, "SESSION.RELOADKEYS").unwrap();
        let told: Value = serde_json::from_str(&text(&cmd(&mut con, "SESSION.JWKS all").unwrap())).unwrap();
        let kids: Vec<_> = told["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap()).collect();
        assert_eq!(kids, ["RS256", "EdDSA", "ES256", "RS256", "ES256"]);
        assert!(!told.to_string().contains("\"k\""), "{told}");
        // A key set of all these has every one of them.
        let json = told.to_string();
        let ring = KeyRing::of_issuer(json.as_bytes(), IssuerKeys::default()).unwrap();
        assert_eq!((ring.keys().len(), ring.ignored().len()), (3, 0));
        for key in [RS256, ES256] {
            let token = by(key, &mut con, Some(B), "s");
            assert_eq!(Signature::of(token.as_bytes(), &ring), Signature::Right);
            assert_eq!(Signature::of(tampered(&token).as_bytes(), &ring), Signature::Wrong);
        }
        assert_eq!(Signature::of(by(HS256, &mut con, None, "s").as_bytes(), &ring), Signature::Other);
        assert_eq!(Signature::of(PS256.good(&mut con, "42", "s").as_bytes(), &ring), Signature::Unknown);
    }
}

/// OpenID Connect Back-Channel Logout section 2.4: a logout token has the `sid` that the issuer's other tokens have.
#[test]
fn a_sid_of_an_issuer_is_denied_as_that_issuers() {
    let server = server();
    let mut con = server.connection();
    let (a, b) = (by(ES256, &mut con, Some(A), "s"), by(RS256, &mut con, Some(B), "s"));
    cmd(&mut con, &format!("SESSION.CREATE {KEY} FROM {a}")).unwrap();
    create(&mut con, "sessions:42 ID s TOKEN NONE");
    let until = now_ms(&mut con) + 7_200_000;
    let deny = |con: &mut Connection, more: &str| int(con, &format!("SESSION.DENY {KEY} s UNTIL {until}{more}"));
    assert_eq!([deny(&mut con, &format!(" ISS {A}")), deny(&mut con, &format!(" ISS {A}"))], [1, 0]);
    assert_eq!(answer(&mut con, &a, &["STATELESS"]), "revoked");
    assert_eq!(answer(&mut con, &b, &["STATELESS"]), "active");
    assert_eq!(ids(&mut con, KEY), ["s"]);
    assert_eq!(deny(&mut con, ""), 1);
    assert!(ids(&mut con, KEY).is_empty());
    // Ids of any length: those of the application are taken by their hash then.
    let long = "x".repeat(200);
    let token = by(HS256, &mut con, None, &long);
    assert_eq!(answer(&mut con, &token, &["STATELESS"]), "active");
    cmd(&mut con, &format!("SESSION.DENY {KEY} {long} UNTIL {until}")).unwrap();
    assert_eq!(answer(&mut con, &token, &["STATELESS"]), "revoked");
    assert_eq!(
        error(&mut con, &format!("SESSION.DENY {KEY} {token} UNTIL {until}")),
        "ERR id looks like a token; an id must not"
    );
}

/// What may be wrong with the file, and what the error must say.
fn faults() -> Vec<(String, &'static str)> {
    let with = |change: &dyn Fn(&mut Value)| {
        let mut entries = entries();
        change(&mut entries);
        file(&entries)
    };
    vec![
        ("issuers = none".into(), "is not a JSON object"),
        ("{}".into(), "has no array \"issuers\""),
        (r#"{"issuers":[1]}"#.into(), "entry number 1: is not an object"),
        (with(&|entries| entries[0]["jwks"] = "../a.json".into()), "\"jwks\" must be the path of a file in this"),
        (with(&|entries| entries[1]["iss"] = A.into()), "another entry has the same \"iss\""),
        (with(&|entries| entries[0]["audience"] = "api".into()), "has the unknown member \"audience\""),
        (with(&|entries| entries[0]["jwks"] = "/etc/passwd".into()), "\"jwks\" must be the path of a file in this"),
        (with(&|entries| entries[0]["jwks"] = "missing.json".into()), "missing.json: No such file"),
        (with(&|entries| entries[0]["jwks"] = "issuers".into()), "issuers: is not a regular file"),
        (with(&|entries| entries[0]["algs"] = json!(["none"])), "\"algs\" names \"none\""),
        (with(&|entries| entries[2]["jwks"] = "bad.json".into()), "the secret has 40 bits"),
    ]
}

#[test]
fn a_bad_file_is_refused_with_the_reason_and_changes_nothing() {
    let server = server();
    let mut con = server.connection();
    let short = r#"{"keys":[{"kty":"oct","kid":"one","alg":"HS256","k":"c2hvcnQ"}]}"#;
    server.write("bad.json", short);
    let a = by(ES256, &mut con, Some(A), "s");
    let loaded = ask(&mut con, "SESSION.KEYS").int("loaded_at");
    for (content, reason) in faults() {
        server.write("other.json", &content);
        let why = error(&mut con, "CONFIG SET session.issuers-file other.json");
        assert!(why.contains("session.issuers-file other.json: ") && why.contains(reason), "{content}: {why}");
        assert_eq!(answer(&mut con, &a, &["STATELESS"]), "active");
        let shown = ask(&mut con, "SESSION.KEYS");
        assert_eq!((shown.str("issuers_file"), shown.int("loaded_at")), ("issuers.json".into(), loaded));
    }
}

#[test]
fn a_server_with_a_bad_file_does_not_start_and_says_why() {
    for (content, reason) in faults().into_iter().take(4) {
        let line = "session.issuers-file bad.json";
        let log = Server::builder().file("bad.json", content.clone()).config(line).try_start().unwrap_err();
        let refusal = log.lines().find(|line| line.contains("session: not loaded")).unwrap_or_else(|| panic!("{log}"));
        assert!(refusal.contains("session.issuers-file bad.json: ") && refusal.contains(reason), "{refusal}");
    }
}

#[test]
fn files_that_others_can_write_are_refused_and_so_are_secrets_that_they_can_read() {
    let server = server();
    let mut con = server.connection();
    let mut reload = |path: &str, mode: u32| {
        let set = |mode| fs::set_permissions(server.dir().join(path), Permissions::from_mode(mode)).unwrap();
        set(mode);
        let answer = cmd(&mut con, "SESSION.RELOADKEYS").err().map(|why| why.to_string());
        set(0o600);
        answer
    };
    for path in ["issuers.json", "issuers/a.json", "issuers/app.json"] {
        for mode in [0o620, 0o602] {
            let why = reload(path, mode).unwrap();
            assert!(
                why.contains("can be written by others than its owner") && why.contains("session.issuers-file"),
                "{why}"
            );
        }
    }
    assert_eq!((reload("issuers.json", 0o644), reload("issuers/a.json", 0o644)), (None, None));
    assert!(reload("issuers/app.json", 0o644).unwrap().contains("issuers/app.json: holds secrets and can be read"));
}

/// A folder of files that a container is given is made of links.
#[test]
fn a_key_set_may_be_a_link() {
    let server = server();
    fs::rename(server.dir().join("issuers/a.json"), server.dir().join("real.json")).unwrap();
    symlink("../real.json", server.dir().join("issuers/a.json")).unwrap();
    cmd(&mut server.connection(), "SESSION.RELOADKEYS").unwrap();
}

#[test]
fn what_is_refused_is_told_by_its_cause_and_not_too_often() {
    let server = server();
    let mut con = server.connection();
    let mut no_exp = claims(&mut con, "42", "s");
    no_exp.as_object_mut().unwrap().remove("exp");
    no_exp["iss"] = A.into();
    let token = ES256.sign(&ES256.header(), &no_exp);
    for _ in 0..5 {
        assert_eq!(answer(&mut con, &token, &["STATELESS"]), "malformed");
    }
    let counted = ask(&mut con, "SESSION.STATS");
    assert_eq!((counted.int("malformed_exp_missing"), counted.int("refused_malformed")), (5, 5));
    let line = r#"session: refused for malformed_exp_missing: alg "ES256", kid "ES256", iss "https://a.example""#;
    let lines = || server.log().lines().filter(|logged| logged.contains(line)).map(str::to_owned).collect::<Vec<_>>();
    wait_until("the log tells the first", || !lines().is_empty());
    assert_eq!(lines().len(), 1);
    server.advance(std::time::Duration::from_secs(10));
    answer(&mut con, &token, &["STATELESS"]);
    wait_until("the log tells the sixth", || lines().len() == 2);
    assert!(lines()[1].ends_with("; 4 more since the last such line"), "{:?}", lines());
    // Other causes do not wait for it. Of a session that has ended nothing is said.
    answer(&mut con, "Bearer", &[]);
    wait_until("the log tells the other", || server.log_contains("session: refused for malformed_parts: no token"));
    answer(&mut con, &by(ES256, &mut server.connection(), Some(A), "unknown"), &[]);
    assert!(!server.log_contains("session: refused for unknown"));
    assert!(!server.log_contains(&token) && !server.log_contains("eyJ"));
}
