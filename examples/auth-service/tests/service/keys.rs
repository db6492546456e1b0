//! The public keys, and others who check the access tokens with them.

use std::process::{Command, Stdio};

use redis_session_tests::{Server, ServerBuilder, cmd, pyjwt};
use serde_json::{Value, json};

use crate::client::Client;
use crate::{Service, started, text};

const PATH: &str = "/.well-known/jwks.json";

/// Private keys that RFCs publish: RFC 8037 appendix A.1 and RFC 7515 appendix A.3.1.
fn key(which: &str) -> Value {
    match which {
        "EdDSA" => json!({ "kty": "OKP", "crv": "Ed25519", "kid": "one", "alg": "EdDSA",
            "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" }),
        _ => json!({ "kty": "EC", "crv": "P-256", "kid": "two", "alg": "ES256",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
            "d": "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI" }),
    }
}

fn set_of(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

fn signing(keys: &[Value]) -> (Server, Service) {
    let redis = ServerBuilder::new().file("keys.json", set_of(keys)).config("session.keys-file keys.json").start();
    let service = Service::start(&redis, &[]);
    (redis, service)
}

fn reload(redis: &Server, keys: &[Value]) {
    redis.write("keys.json", set_of(keys));
    cmd(&mut redis.connection(), "SESSION.RELOADKEYS").unwrap();
}

fn access_token(client: &mut Client) -> String {
    let tokens = client.token("ada").expect(200).json();
    text(&tokens["access_token"]).to_owned()
}

#[test]
fn the_public_keys_are_there_for_everybody_and_may_be_kept() {
    let (redis, service) = signing(&[key("EdDSA")]);
    let mut client = service.client();
    let answer = client.get(PATH).expect(200);
    assert_eq!(answer.header("content-type"), "application/jwk-set+json");
    assert_eq!(answer.header("cache-control"), "public, max-age=300");
    let keys = answer.json()["keys"].clone();
    assert_eq!((keys.as_array().unwrap().len(), &keys[0]["kid"], &keys[0]["d"]), (1, &json!("one"), &Value::Null));

    let tag = answer.header("etag").to_owned();
    assert!(tag.len() > 2 && tag.starts_with('"') && tag.ends_with('"'), "{tag}");
    for known in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
        let same = client.other().with("if-none-match", known).get(PATH).expect(304);
        assert_eq!((same.header("etag"), same.header("cache-control")), (&*tag, "public, max-age=300"));
        assert!(same.body.is_empty());
    }
    client.other().with("if-none-match", "\"other\"").get(PATH).expect(200);
    reload(&redis, &[key("EdDSA"), key("ES256")]);
    let changed = client.other().with("if-none-match", &*tag).get(PATH).expect(200);
    assert_ne!(changed.header("etag"), tag);
    assert_eq!(changed.json()["keys"].as_array().unwrap().len(), 2);
}

#[test]
fn with_a_secret_there_are_none_and_without_redis_it_is_503() {
    let (redis, service) = started();
    let mut client = service.client();
    assert_eq!(client.get(PATH).expect(200).json(), json!({ "keys": [] }));
    drop(redis);
    let away = client.get(PATH).expect(503);
    assert_eq!((away.header("cache-control"), away.header("etag")), ("no-store", ""));
}

/// What PyJWT, which fetches the keys itself, says of this token: its user, or its error.
fn checked_by_pyjwt(mut python: Command, service: &Service, tokens: &[&str]) -> Vec<String> {
    const PROGRAM: &str = r#"
import sys, jwt
keys = jwt.PyJWKClient(sys.argv[1])
for token in sys.argv[2:]:
    try:
        key = keys.get_signing_key_from_jwt(token)
        print(jwt.decode(token, key, algorithms=["EdDSA", "ES256", "RS256"])["sub"])
    except jwt.PyJWTError as error:
        print(type(error).__name__)
"#;
    let url = format!("{}{PATH}", service.url);
    let output = python.args(["-c", PROGRAM, &url]).args(tokens).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn another_library_checks_the_access_tokens_by_them() {
    let python = || pyjwt("the example's tokens by PyJWT's PyJWKClient");
    let Some(first) = python() else { return };
    let (redis, service) = signing(&[key("EdDSA")]);
    let mut client = service.client();
    let user = client.register("ada");
    let by_ed = access_token(&mut client);
    reload(&redis, &[key("ES256"), key("EdDSA")]);
    let by_ec = access_token(&mut client);
    let (input, _) = by_ec.rsplit_once('.').unwrap();
    let forged = format!("{input}.{}", "A".repeat(86));
    let said = checked_by_pyjwt(first, &service, &[&by_ed, &by_ec, &forged]);
    assert_eq!(said, [&*user, &user, "InvalidSignatureError"]);
    // A key that has leaked is out of the set with the next fetch.
    reload(&redis, &[key("ES256")]);
    let said = checked_by_pyjwt(python().unwrap(), &service, &[&by_ed, &by_ec]);
    assert_eq!(said, ["PyJWKClientError", &*user]);
    let mut app = client.bearer(&by_ec);
    app.get("/me").expect(200);
    client.bearer(&by_ed).get("/me").expect(401);
}
