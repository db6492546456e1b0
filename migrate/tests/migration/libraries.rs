//! Tokens as the libraries of applications make them by default: with the application's own secret, without a `kid`, and
//! often without `iss`, `sid`, `jti` and `iat`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use jsonwebtoken::{EncodingKey, Header};
use redis::Connection;
use redis_session_core::base64url;
use redis_session_tests::issuer::{load, own, set_of, sign_with};
use redis_session_tests::{Server, cmd, cmd_args, fields, now_ms};
use serde_json::{Value, json};

use crate::old::{HOUR, id_of, ids, live, login, moved, set, verdict};
use crate::program::Migration;

/// The end of the committed tokens.
const FAR: &str = "4102444800";
const SECRET: &str = "an application's own secret, as long as it has to be";
const SHORT: &str = "secret";

/// A token that a library has made, and what it was made of.
#[derive(Clone, Debug)]
struct Made {
    library: String,
    claims: String,
}

/// The committed tokens, with the JSON that they are in.
fn committed() -> Vec<Value> {
    let files = [include_str!("tokens/python.json"), include_str!("tokens/node.json")];
    files.iter().flat_map(|json| serde_json::from_str::<Vec<Value>>(json).unwrap()).collect()
}

/// A JWT as python-jose, PyJWT and Node's jsonwebtoken write it.
fn sign(claims: &str, secret: &str) -> String {
    sign_with(secret.as_bytes(), r#"{"alg":"HS256","typ":"JWT"}"#, claims)
}

#[test]
fn the_tokens_of_the_tests_are_those_of_the_libraries() {
    let committed = committed();
    assert_eq!(committed.len(), 26);
    for made in committed {
        let text = |name: &str| made[name].as_str().unwrap();
        assert_eq!(sign(text("claims"), text("secret")), text("token"), "{made}");
    }
}

/// What each library's tokens say, without times; and those of Rust's jsonwebtoken.
fn shapes() -> Vec<Made> {
    let committed = committed().into_iter().filter(|made| made["secret"] == SECRET);
    let text = |made: &Value, name: &str| made[name].as_str().unwrap().to_owned();
    let mut shapes: Vec<_> = committed
        .map(|made| Made { library: text(&made, "library"), claims: text(&made, "claims") })
        .filter(|made| made.claims.contains(r#""sub":"#))
        .collect();
    shapes.push(Made { library: "jsonwebtoken (Rust)".into(), claims: format!(r#"{{"sub":"42","exp":{FAR}}}"#) });
    shapes.push(Made { library: "jsonwebtoken (Rust)".into(), claims: format!(r#"{{"sub":42,"exp":{FAR}}}"#) });
    shapes
}

impl Made {
    /// Another token of the same form, issued now.
    fn fresh(&self, con: &mut Connection, number: usize, secret: &str) -> String {
        let now = now_ms(con) / 1000;
        let exp = (now + 3600 + i64::try_from(number).unwrap()).to_string();
        let mut claims = self.claims.replace(FAR, &exp);
        for name in [r#""iat":"#, r#""nbf":"#] {
            if let Some((before, rest)) = claims.clone().split_once(name) {
                let rest = rest.trim_start_matches(|digit: char| digit.is_ascii_digit());
                claims = format!("{before}{name}{now}{rest}");
            }
        }
        if let Some((before, rest)) = claims.clone().split_once(r#""jti":""#) {
            claims = format!(r#"{before}"jti":"{number}-{rest}"#);
        }
        if self.library.contains("Rust") {
            let claims: Value = serde_json::from_str(&claims).unwrap();
            let key = EncodingKey::from_secret(secret.as_bytes());
            return jsonwebtoken::encode(&Header::default(), &claims, &key).unwrap();
        }
        sign(&claims, secret)
    }

    fn user(&self) -> String {
        let claims: Value = serde_json::from_str(&self.claims).unwrap();
        claims["sub"].as_str().map_or_else(|| claims["sub"].to_string(), str::to_owned)
    }

    fn name(&self, token: &str) -> Option<String> {
        let claims = redis_session_tests::issuer::payload(token);
        claims["jti"].as_str().map(str::to_owned).filter(|_| self.claims.contains("jti"))
    }
}

/// Does what the program says about the entries that it has written, with this secret in each key set.
fn follow(server: &Server, folder: &Path, secret: &str) {
    let put = |name: &str, text: &str| {
        let path = server.dir().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    };
    let text = fs::read_to_string(folder.join("issuers.json")).unwrap();
    let file: Value = serde_json::from_str(&text).unwrap();
    let key = json!({ "kty": "oct", "kid": "old", "alg": "HS256", "k": base64url::encode(secret.as_bytes()) });
    for entry in file["issuers"].as_array().unwrap() {
        put(entry["jwks"].as_str().unwrap(), &set_of(std::slice::from_ref(&key)));
    }
    put("issuers.json", &text);
    cmd(&mut server.connection(), "CONFIG SET session.issuers-file issuers.json").unwrap();
    // For JWTs with an iss.
    load(server, &[own(), key]).unwrap();
}

fn server() -> Server {
    Server::builder().file("keys.json", set_of(&[own()])).config("session.keys-file keys.json").start()
}

/// A session of each shape, behind its JWT, in this JSON.
fn log_in_all(server: &Server, secret: &str, json: impl Fn(&Made) -> String) -> Vec<(Made, String)> {
    let mut con = server.connection();
    let log_in = |(number, made): (usize, Made)| {
        let token = made.fresh(&mut con, number, secret);
        login(&mut con, &token, &json(&made), HOUR);
        (made, token)
    };
    shapes().into_iter().enumerate().map(log_in).collect()
}

#[track_caller]
fn all_are_moved(args: &str, json: impl Fn(&Made) -> String, before: impl Fn(&Server, &[(Made, String)])) {
    let server = server();
    let all = log_in_all(&server, SECRET, json);
    before(&server, &all);
    let migration = Migration::on(&server);
    let dry = migration.run(args);
    assert_eq!(dry.code, 3, "{dry:?}");
    let stopped = migration.run(&format!("--apply {args}"));
    assert_eq!((stopped.code, live(&server)), (4, 0), "{stopped:?}");
    follow(&server, &migration.path(), SECRET);
    assert_eq!(migration.run(args).code, 0);
    migration.apply(args);
    for (made, token) in &all {
        assert_eq!(verdict(&server, &made.user(), token, ""), "active", "{made:?}");
    }
    assert_eq!(live(&server), all.len());
}

#[test]
fn every_librarys_jwts_go_on_where_the_json_names_the_user() {
    let json = |made: &Made| match made.user().parse::<u64>() {
        Ok(number) => format!(r#"{{"user_id":{number},"ip":"203.0.113.7"}}"#),
        Err(_) => format!(r#"{{"username":"{}"}}"#, made.user()),
    };
    all_are_moved("", json, |_, _| {});
}

#[test]
fn every_librarys_jwts_go_on_where_the_sub_names_the_user() {
    all_are_moved("", |_| r#"{"cart":17}"#.into(), |_, _| {});
}

#[test]
fn every_librarys_jwts_go_on_where_sets_name_the_user() {
    all_are_moved(
        "--user-sets user_sessions:",
        |_| "{}".into(),
        |server, all| {
            for (made, token) in all {
                let key = format!("user_sessions:{}", made.user());
                cmd_args(&mut server.connection(), ["SADD", &key, token]).unwrap();
            }
        },
    );
}

#[test]
fn every_librarys_jwts_go_on_where_the_key_is_their_id() {
    let server = server();
    let mut con = server.connection();
    let (mut all, mut sample) = (Vec::new(), String::new());
    for (number, made) in shapes().into_iter().enumerate() {
        let token = made.fresh(&mut con, number, SECRET);
        let Some(id) = made.name(&token) else { continue };
        login(&mut con, &id, &format!(r#"{{"user_id":"{}"}}"#, made.user()), HOUR);
        sample += &format!("{token}\n");
        all.push((made, token));
    }
    assert_eq!(all.len(), 3);
    let migration = Migration::on(&server);
    let unseen = migration.run("--keep-ids");
    assert!(unseen.stdout.contains("No JWT was checked"), "{unseen:?}");
    let file = server.dir().join("sample");
    fs::write(&file, sample).unwrap();
    let args = format!("--keep-ids --sample {}", file.display());
    assert_eq!(migration.run(&format!("--apply {args}")).code, 4);
    follow(&server, &migration.path(), SECRET);
    migration.apply(&args);
    for (made, token) in &all {
        assert_eq!(verdict(&server, &made.user(), token, ""), "active", "{made:?}");
    }
}

#[test]
fn what_was_logged_out_stays_so() {
    let server = server();
    let mut con = server.connection();
    let all = log_in_all(&server, SECRET, |_| "{}".into());
    for (made, token) in &all {
        let name = made.name(token).unwrap_or_else(|| token.clone());
        set(&mut con, &format!("blacklist:{name}"), "1");
    }
    let migration = Migration::on(&server);
    // Nobody misses their keys.
    migration.apply("");
    assert_eq!(live(&server), 0);
}

#[test]
fn sessions_of_a_secret_that_is_too_short_go_on_as_those_of_other_tokens() {
    let server = server();
    let all = log_in_all(&server, SHORT, |_| "{}".into());
    let migration = Migration::on(&server);
    let dry = migration.run("");
    assert!(
        dry.stdout.contains("A secret of less than 32 bytes is refused: move its sessions with --opaque-jwts"),
        "{dry:?}"
    );
    migration.apply("--opaque-jwts");
    assert_eq!(live(&server), all.len());
    for (made, token) in &all {
        // The application has checked it, as before.
        assert!(moved(&server, &made.user(), token).is_some(), "{made:?}");
        let swap = format!("SESSION.REGENERATE sessions:{} {}", made.user(), id_of(token));
        let swapped = fields(cmd(&mut server.connection(), &swap).unwrap()).str("token");
        assert_eq!(verdict(&server, &made.user(), &swapped, ""), "active");
        assert_ne!(verdict(&server, &made.user(), token, ""), "active", "the old one is worth nothing here");
    }
}

#[test]
fn jwts_without_a_sub_go_on_as_other_tokens() {
    let server = server();
    let mut con = server.connection();
    let claims = format!(r#"{{"token_type":"access","exp":{FAR},"jti":"4b2c","user_id":42}}"#);
    let token = sign(&claims, SECRET);
    login(&mut con, &token, r#"{"user_id":42}"#, HOUR);
    let migration = Migration::on(&server);
    migration.run("");
    follow(&server, &migration.path(), SECRET);
    let stopped = migration.run("--apply");
    assert_eq!(stopped.code, 4);
    assert!(stopped.stdout.contains("subject: it has no sub: --opaque-jwts moves its session"), "{stopped:?}");
    migration.apply("--opaque-jwts");
    assert_eq!(ids(&server, "42"), [id_of(&token)]);
}
