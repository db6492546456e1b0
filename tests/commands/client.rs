//! The client crate against a real server: each method, typed, over both protocols.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use redis::Connection;
use redis_session::commands::{session_count, session_create, session_revoke, session_touch};
use redis_session::{
    AsyncSessionCommands, CreateOptions, Created, KeyPrefix, LimitPolicy, Reason, SessionCommands, SessionErrorCode,
    TokenFormat, ValidateOptions, Validation,
};
use redis_session_tests::{Server, cmd, on_both};
use serde_json::{Value, json};

use redis_session_tests::issuer::{ES256, own, payload, set_of, tampered};

const KEY: &str = "sessions:42";
const HOME: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);

fn options() -> CreateOptions {
    CreateOptions::new()
}

#[track_caller]
fn reason(con: &mut Connection, token: &str) -> Option<Reason> {
    con.session_validate(KEY, token, &ValidateOptions::new()).unwrap().reason().map(|reason| reason.known().unwrap())
}

#[test]
fn a_login_with_every_option() {
    on_both(|_, con| {
        let created = con
            .session_create(
                KEY,
                &options()
                    .id("one")
                    .ttl(Duration::from_secs(1000))
                    .idle(Duration::from_secs(100))
                    .max_sessions(3)
                    .limit_policy(LimitPolicy::Reject)
                    .ip(HOME)
                    .agent("Firefox on Linux")
                    .data("cart", "17")
                    .data(b"\xff".to_vec(), b"\0".to_vec())
                    .claims(r#"{"role":"editor"}"#)
                    .token(TokenFormat::Jwt)
                    .token_ttl(Duration::from_secs(50)),
            )
            .unwrap();
        let token = created.token.unwrap();
        assert_eq!(created.id, "one");
        assert_eq!(payload(&token)["role"], "editor");
        assert_eq!(created.token_expires_at.unwrap().unix_secs(), payload(&token)["exp"].as_u64().unwrap());
        assert!(created.evicted.is_empty());

        let session = con.session_get(KEY, "one").unwrap().unwrap();
        assert_eq!((session.id.as_str(), session.user.as_str()), ("one", "42"));
        assert_eq!(session.expires_at, created.expires_at);
        assert_eq!(session.expires_at.unix_millis(), session.created_at.unix_millis() + 1_000_000);
        assert_eq!(session.idle_expires_at.unwrap().unix_millis(), session.created_at.unix_millis() + 100_000);
        assert_eq!(session.last_seen_at, session.created_at);
        assert_eq!((session.ip, session.agent.as_deref()), (Some(IpAddr::from(HOME)), Some("Firefox on Linux")));
        assert_eq!((session.data.len(), session.data.text("cart")), (2, Some("17")));
        assert_eq!(session.data.get(b"\xff"), Some(&b"\0"[..]));
    });
}

#[test]
fn each_kind_of_token() {
    on_both(|_, con| {
        let jwt = con.session_create(KEY, &options().token(TokenFormat::Jwt)).unwrap().token.unwrap();
        let opaque = con.session_create(KEY, &options().token(TokenFormat::Opaque)).unwrap();
        assert_eq!(opaque.token_expires_at, Some(opaque.expires_at));
        let opaque = opaque.token.unwrap();
        let none = con.session_create(KEY, &options().token(TokenFormat::None)).unwrap();
        assert_eq!((none.token, none.token_expires_at), (None, None));
        for token in [jwt, opaque] {
            assert_eq!(KeyPrefix::default().key_of_token(&token).as_deref(), Some(KEY));
            assert_eq!(reason(con, &token), None);
        }
    });
}

#[test]
fn a_check_short_and_full() {
    on_both(|_, con| {
        let created =
            con.session_create(KEY, &options().ip(HOME).idle(Duration::from_secs(100)).data("k", "v")).unwrap();
        let token = created.token.unwrap();
        let brief = con.session_validate(KEY, &token, &ValidateOptions::new()).unwrap().into_result().unwrap();
        assert_eq!((brief.id, brief.details.is_none()), (None, true));
        let asked = ValidateOptions::new().with_id();
        let short = con.session_validate(KEY, &token, &asked).unwrap().into_result().unwrap();
        assert_eq!((short.id.as_ref(), short.details.is_none()), (Some(&created.id), true));
        assert_eq!(short.expires_at, brief.expires_at);
        let by_id = con.session_validate_id(KEY, &created.id, &ValidateOptions::new()).unwrap().into_result().unwrap();
        assert_eq!(by_id.expires_at, brief.expires_at);

        let asked = ValidateOptions::new().full().ip(Ipv4Addr::LOCALHOST);
        let touched = con.session_touch(KEY, &token, &asked).unwrap().active().unwrap();
        let details = touched.details.unwrap();
        assert_eq!(details.idle_expires_at, Some(touched.expires_at));
        assert_eq!(details.token_expires_at, created.token_expires_at);
        assert_eq!((details.user.as_str(), details.ip, details.agent), ("42", Some(HOME.into()), None));
        assert_eq!(details.data.text("k"), Some("v"));
        assert!(details.new_ip);
        let asked = ValidateOptions::new().full().ip(HOME);
        assert!(!con.session_touch(KEY, &token, &asked).unwrap().active().unwrap().details.unwrap().new_ip);
    });
}

#[test]
fn reasons_are_typed() {
    on_both(|_, con| {
        let mut login = |kind| con.session_create(KEY, &options().token(kind)).unwrap().token.unwrap();
        let (jwt, opaque) = (login(TokenFormat::Jwt), login(TokenFormat::Opaque));
        assert_eq!(reason(con, &tampered(&jwt)), Some(Reason::Signature));
        assert_eq!(reason(con, "nonsense"), Some(Reason::Malformed));
        let asked = ValidateOptions::new().audience("api");
        let answer = con.session_validate(KEY, &jwt, &asked).unwrap();
        assert_eq!(*answer.reason().unwrap(), Reason::Audience);
        let answer = con.session_touch("sessions:43", &jwt, &ValidateOptions::new()).unwrap();
        assert_eq!(answer.into_result().unwrap_err().to_string(), "no active session: subject");
        assert_eq!(con.session_revoke(KEY, &jwt).unwrap(), 1);
        assert_eq!(reason(con, &jwt), Some(Reason::Revoked));
        let newest = con.session_create(KEY, &options().max_sessions(1)).unwrap();
        assert_eq!(newest.evicted.len(), 1);
        assert_eq!(reason(con, &opaque), Some(Reason::Evicted));
        assert_eq!(con.session_revoke_user(KEY).unwrap(), 1);
        assert_eq!(reason(con, &newest.token.unwrap()), Some(Reason::UserRevoked));
    });
}

#[test]
fn reading_and_revoking() {
    on_both(|_, con| {
        for id in ["one", "two", "three", "four"] {
            con.session_create(KEY, &options().id(id)).unwrap();
        }
        let ids: Vec<_> = con.session_list(KEY).unwrap().into_iter().map(|session| session.id).collect();
        assert_eq!(ids, ["four", "three", "two", "one"]);
        assert_eq!(con.session_count(KEY).unwrap(), 4);
        let left = con.session_ttl(KEY, "one").unwrap().unwrap();
        assert!(left > Duration::ZERO && left <= Duration::from_secs(86_400));
        assert_eq!(con.session_revoke(KEY, &["one", "two", "nobody"]).unwrap(), 2);
        assert_eq!(con.session_ttl(KEY, "one").unwrap(), None);
        assert_eq!(con.session_get(KEY, "one").unwrap(), None);
        assert_eq!(con.session_revoke_others(KEY, "four").unwrap(), 1);
        assert_eq!(con.session_count(KEY).unwrap(), 1);
        assert!(con.session_stats().unwrap()["created"] >= 4);
        let ring = con.session_keys().unwrap();
        let [key] = &ring.keys[..] else { panic!("{ring:?}") };
        assert_eq!(
            (key.kid.clone(), key.status.as_str(), key.alg.as_deref()),
            (ring.active_kid, "active", Some("HS256"))
        );
        assert_eq!((key.bits, key.can_sign, &key.thumbprint, &key.ignored), (Some(256), true, &None, &None));
        assert!(ring.loaded_at.unix_millis() > 1_700_000_000_000 && !ring.file_changed);
        assert_eq!(con.session_revoke_user(KEY).unwrap(), 1);
        assert!(con.session_list(KEY).unwrap().is_empty());
    });
}

#[test]
fn denying_an_id_and_revoking_everyone() {
    on_both(|_, con| {
        let login = con.session_create(KEY, &options().id("one")).unwrap();
        let until = login.expires_at.to_system_time();
        assert!(con.session_deny(KEY, "one", until).unwrap());
        assert!(!con.session_deny(KEY, "one", until).unwrap());
        assert_eq!(reason(con, &login.token.unwrap()), Some(Reason::Revoked));
        let token = con.session_create(KEY, &options()).unwrap().token.unwrap();
        let before = con.session_revoke_all().unwrap();
        assert_eq!(reason(con, &token), Some(Reason::UserRevoked));
        assert_eq!(con.session_stats().unwrap()["revoked_before"] + 1, before.unix_millis());
        assert_eq!(con.session_revoke_all_before(before.to_system_time()).unwrap(), before);
        let token = con.session_create(KEY, &options()).unwrap().token.unwrap();
        assert_eq!(reason(con, &token), None);
        let ahead = before.to_system_time() + Duration::from_secs(3600);
        assert_eq!(con.session_revoke_all_before(ahead).unwrap().to_system_time(), ahead);
        assert_eq!(reason(con, &token), Some(Reason::UserRevoked));
        let cleared = con.session_revoke_all_clear().unwrap();
        assert!(before <= cleared && cleared.to_system_time() < ahead);
        let token = con.session_create(KEY, &options()).unwrap().token.unwrap();
        assert_eq!(reason(con, &token), None);
    });
}

/// A server with a secret of its own, and an issuer with a public key.
fn with_an_issuer() -> Server {
    Server::builder()
        .file("keys.json", set_of(&[own()]))
        .file("issuer.json", set_of(&[ES256.jwk(), json!({ "kty": "EC", "crv": "P-999" })]))
        .file("issuers.json", json!({ "issuers": [{ "iss": ISSUER, "jwks": "issuer.json" }] }).to_string())
        .config("session.keys-file keys.json\nsession.issuers-file issuers.json")
        .start()
}

const ISSUER: &str = "https://id.example/";

fn of_the_issuer(now_ms: u64) -> String {
    let now = now_ms / 1000;
    ES256.sign(&ES256.header(), &json!({ "iss": ISSUER, "sub": "42", "sid": "one", "iat": now, "exp": now + 60 }))
}

#[test]
fn denying_what_another_issuer_calls_a_session() {
    let server = with_an_issuer();
    for mut con in [server.connection(), server.connection_resp3()] {
        let login = con.session_create(KEY, &options().id("one")).unwrap();
        let token = of_the_issuer(login.expires_at.unix_millis() - 86_400_000);
        let until = login.expires_at.to_system_time();
        let stateless = ValidateOptions::new().stateless();
        assert!(con.session_validate(KEY, &token, &stateless).unwrap().is_active());
        assert!(con.session_deny_of_issuer(KEY, "one", until, ISSUER).unwrap());
        assert!(!con.session_deny_of_issuer(KEY, "one", until, ISSUER).unwrap());
        let refused = con.session_validate(KEY, &token, &stateless).unwrap();
        assert_eq!(*refused.reason().unwrap(), Reason::Revoked);
        assert_eq!(reason(&mut con, &login.token.unwrap()), None, "an id of ours is not meant");
        cmd(&mut con, "FLUSHALL").unwrap();
    }
}

#[test]
fn keys_are_published_and_read_again() {
    let server = with_an_issuer();
    let private = json!({ "kty": "OKP", "crv": "Ed25519", "kid": "new", "alg": "EdDSA",
        "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" });
    for mut con in [server.connection(), server.connection_resp3()] {
        server.write("keys.json", set_of(&[own()]));
        let ring = con.session_reload_keys().unwrap();
        assert_eq!(ring, con.session_keys().unwrap());
        assert!(ring.issuers_file.as_deref().is_some_and(|file| file.ends_with("issuers.json")), "{ring:?}");
        let issuers: Vec<_> = ring.keys.iter().map(|key| key.issuer.as_deref()).collect();
        assert_eq!(issuers, [None, Some(ISSUER), Some(ISSUER)]);
        assert_eq!((&ring.keys[0].thumbprint, ring.keys[0].fingerprint.is_some()), (&None, true));
        assert_eq!(ring.keys[1].thumbprint, ring.keys[1].fingerprint);
        assert!(ring.keys[2].ignored.is_some() && ring.keys[2].fingerprint.is_none());
        assert_eq!(con.session_jwks().unwrap(), r#"{"keys":[]}"#, "of a secret there is nothing to publish");

        server.write("keys.json", set_of(&[private.clone(), own()]));
        let reloaded = con.session_reload_keys().unwrap();
        assert_eq!(reloaded.active_kid.as_deref(), Some("new"));
        let published: Value = serde_json::from_str(&con.session_jwks().unwrap()).unwrap();
        assert_eq!(published["keys"].as_array().unwrap().len(), 1);
        assert_eq!((&published["keys"][0]["x"], &published["keys"][0]["d"]), (&private["x"], &Value::Null));

        server.write("keys.json", "no keys");
        let error = con.session_reload_keys().unwrap_err();
        assert_eq!(SessionErrorCode::of(&error), Some(SessionErrorCode::Invalid));
        assert_eq!(con.session_keys().unwrap().keys, reloaded.keys);
    }
}

#[test]
fn errors_have_codes() {
    on_both(|_, con| {
        let code = |error: redis::RedisError| SessionErrorCode::of(&error).expect("a known code");
        con.session_create(KEY, &options().id("one")).unwrap();
        let taken = con.session_create(KEY, &options().id("one")).unwrap_err();
        assert_eq!(code(taken), SessionErrorCode::SessionExists);
        let limit = options().max_sessions(1).limit_policy(LimitPolicy::Reject);
        assert_eq!(code(con.session_create(KEY, &limit).unwrap_err()), SessionErrorCode::SessionLimit);
        assert_eq!(code(con.session_count("42").unwrap_err()), SessionErrorCode::Invalid);
        let none: [&str; 0] = [];
        assert_eq!(code(con.session_revoke(KEY, &none).unwrap_err()), SessionErrorCode::Invalid);
        let error = con.session_create(KEY, &options().ttl(Duration::ZERO)).unwrap_err();
        assert_eq!(error.detail(), Some("TTL must be a whole number from 1 to 3162240000"));
        let error = con.session_revoke_others(KEY, "rst1.nonsense").unwrap_err();
        assert_eq!(error.detail(), Some("EXCEPT is not a valid token of this user: malformed"));
        cmd(con, "SET sessions:43 text").unwrap();
        assert_eq!(code(con.session_list("sessions:43").unwrap_err()), SessionErrorCode::WrongType);
    });
}

#[test]
fn pipelines_and_transactions_read_typed_replies() {
    on_both(|_, con| {
        let mut pipe = redis::pipe();
        pipe.atomic()
            .add_command(session_create(KEY, &options().id("one")))
            .add_command(session_create(KEY, &options().id("two")))
            .add_command(session_count(KEY));
        let (one, two, count): (Created, Created, u64) = pipe.query(con).unwrap();
        assert_eq!((one.id.as_str(), two.id.as_str(), count), ("one", "two", 2));

        let token = one.token.unwrap();
        let (touched, revoked, again): (Validation, u64, Validation) = redis::pipe()
            .add_command(session_touch(KEY, &token, &ValidateOptions::new()))
            .add_command(session_revoke(KEY, &token))
            .add_command(session_touch(KEY, &token, &ValidateOptions::new().full()))
            .query(con)
            .unwrap();
        assert!(touched.is_active());
        assert_eq!(revoked, 1);
        assert_eq!(*again.reason().unwrap(), Reason::Revoked);

        let failed = redis::pipe()
            .atomic()
            .add_command(session_create(KEY, &options().id("two")))
            .query::<(Created,)>(con)
            .unwrap_err();
        assert_eq!(SessionErrorCode::of(&failed), Some(SessionErrorCode::SessionExists));
    });
}

#[test]
fn keys_are_in_the_form_of_the_server_and_no_name_leads_to_anothers() {
    for (form, keys) in [
        ("plain", vec![KeyPrefix::default()]),
        ("braces", vec![KeyPrefix::default().hash_tag()]),
        ("any", vec![KeyPrefix::default(), KeyPrefix::default().hash_tag()]),
    ] {
        let server = Server::builder().config(format!("session.key-form {form}")).start();
        let con = &mut server.connection();
        for keys in keys {
            for user in ["42", "42}", "a{b}c"] {
                let key = keys.key(user);
                let token = con.session_create(&key, &options()).unwrap().token.unwrap();
                assert_eq!(keys.key_of_token(&token).as_ref(), Some(&key));
                let asked = ValidateOptions::new().full();
                let session = con.session_validate(&key, &token, &asked).unwrap().into_result().unwrap();
                assert_eq!(session.details.unwrap().user, user);
            }
            for nobody in ["{42}", "{42", "{", "{}", "{{42}}"] {
                let error = con.session_count(keys.key(nobody)).unwrap_err().to_string();
                let why = if form == "plain" { "has a { before the user" } else { "a user that begins with {" };
                assert!(error.contains(why), "{form} {nobody}: {error}");
            }
        }
    }
}

#[tokio::test]
async fn asynchronous_connections_have_the_same_commands() {
    let server = Server::start();
    for protocol in ["resp2", "resp3"] {
        let client = redis::Client::open(format!("{}?protocol={protocol}", server.url())).unwrap();
        let mut con = client.get_multiplexed_async_connection().await.unwrap();
        redis::cmd("FLUSHALL").exec_async(&mut con).await.unwrap();

        let created = con.session_create(KEY, &options().id("one").ip(HOME)).await.unwrap();
        con.session_create(KEY, &options().id("two")).await.unwrap();
        con.session_create(KEY, &options().id("three")).await.unwrap();
        let token = created.token.unwrap();
        let asked = ValidateOptions::new();
        assert!(con.session_validate(KEY, &token, &asked).await.unwrap().is_active());
        assert!(
            con.session_touch(KEY, &token, &asked.clone().full()).await.unwrap().active().unwrap().details.is_some()
        );
        assert_eq!(con.session_get(KEY, "one").await.unwrap().unwrap().ip, Some(HOME.into()));
        assert_eq!(con.session_get(KEY, "none").await.unwrap(), None);
        assert_eq!(con.session_list(KEY).await.unwrap()[0].id, "three");
        assert_eq!(con.session_count(KEY).await.unwrap(), 3);
        assert!(con.session_stats().await.unwrap()["created"] >= 3);
        let ring = con.session_keys().await.unwrap();
        assert_eq!((ring.keys.len(), con.session_reload_keys().await.unwrap().keys), (1, ring.keys));
        assert_eq!(con.session_jwks().await.unwrap(), r#"{"keys":[]}"#);
        assert!(con.session_ttl(KEY, "one").await.unwrap().is_some());
        assert_eq!(con.session_revoke(KEY, &["two"]).await.unwrap(), 1);
        assert_eq!(con.session_revoke_others(KEY, &token).await.unwrap(), 1);
        assert_eq!(con.session_revoke_user(KEY).await.unwrap(), 1);
        let answer = con.session_validate(KEY, &token, &asked).await.unwrap();
        assert_eq!(*answer.reason().unwrap(), Reason::UserRevoked);
        assert!(con.session_deny(KEY, "four", created.expires_at.into()).await.unwrap());
        assert!(con.session_deny_of_issuer(KEY, "four", created.expires_at.into(), ISSUER).await.unwrap());
        let everyone = con.session_revoke_all().await.unwrap();
        assert!(con.session_revoke_all_before(everyone.into()).await.unwrap() >= everyone);
        assert!(con.session_revoke_all_clear().await.unwrap() >= everyone);
        let error = con.session_count("42").await.unwrap_err();
        assert_eq!(SessionErrorCode::of(&error), Some(SessionErrorCode::Invalid));

        let (created, count): (Created, u64) = redis::pipe()
            .atomic()
            .add_command(session_create(KEY, &options()))
            .add_command(session_count(KEY))
            .query_async(&mut con)
            .await
            .unwrap();
        assert_eq!((count, created.evicted.len()), (1, 0));
    }
}

#[tokio::test]
async fn one_connection_serves_many_tasks_at_once() {
    let server = Server::start();
    let con = server.client().get_multiplexed_async_connection().await.unwrap();
    let tasks: Vec<_> = (0..50)
        .map(|user| {
            let mut con = con.clone();
            tokio::spawn(async move {
                let key = format!("sessions:{user}");
                let token = con.session_create(&key, &options()).await?.token.unwrap();
                let asked = ValidateOptions::new().full();
                let session = con.session_touch(&key, &token, &asked).await?.into_result().unwrap();
                redis::RedisResult::Ok(session.details.unwrap().user == user.to_string())
            })
        })
        .collect();
    for task in tasks {
        assert!(task.await.unwrap().unwrap());
    }
}
