//! Forged JWTs, refused before the server has to check their signatures.

use std::time::{Duration, Instant};

use redis::Connection;
use redis_session::{CreateOptions, Created, RegenerateOptions, TokenFormat};
use redis_session_store::{Login, Policy, SessionStore, StoreError, Visitor};
use redis_session_tests::issuer::{ES256, HS256, RS256, X, Y, claims, own, set_of, tampered};
use redis_session_tests::{Server, ask, cmd, cmd_args, verdict, wait_until};
use serde_json::{Value, json};

use crate::forwarder::Forwarder;
use crate::{for_secs, store, token};

const KEY: &str = "sessions:42";
const ISSUER: &str = "https://id.example";

/// Two private keys, of RFC 8037 appendix A.1 and of RFC 8032 section 7.1 (test 2), under any name.
fn private(which: usize, kid: &str) -> Value {
    let (d, x) = [
        ("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A", "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"),
        ("TM0Imyj_ltqdtsNG7BFOD1uKMZ81q6Yk2oz27U-4pvs", "PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw"),
    ][which];
    json!({ "kty": "OKP", "crv": "Ed25519", "kid": kid, "alg": "EdDSA", "d": d, "x": x })
}

fn builder() -> redis_session_tests::ServerBuilder {
    Server::builder()
        .file("keys.json", set_of(&[private(0, "one"), own()]))
        .file("issuer.json", set_of(&[ES256.jwk()]))
        .file("issuers.json", json!({ "issuers": [{ "iss": ISSUER, "jwks": "issuer.json" }] }).to_string())
        .config("session.keys-file keys.json\nsession.issuers-file issuers.json")
}

fn of_the_issuer(con: &mut Connection, sid: &str) -> String {
    let mut claims = claims(con, "42", sid);
    claims["iss"] = ISSUER.into();
    ES256.sign(&ES256.header(), &claims)
}

/// Another signature each time.
fn forgeries(token: &str, number: usize) -> impl Iterator<Item = String> {
    let (input, _) = token.rsplit_once('.').unwrap();
    (0..number).map(move |number| format!("{input}.{number:085}A"))
}

/// How often the server has run this command, or has refused to run it (`rejected_calls`).
fn count(server: &Server, command: &str, what: &str) -> u64 {
    let stats: String = redis::cmd("INFO").arg("commandstats").query(&mut server.connection()).unwrap();
    let start = format!("cmdstat_SESSION.{command}:");
    let Some(figures) = stats.lines().find_map(|line| line.strip_prefix(&start)) else { return 0 };
    figures.split(',').find_map(|figure| figure.strip_prefix(what)?.strip_prefix('=')?.parse().ok()).unwrap()
}

fn calls(server: &Server, command: &str) -> u64 {
    count(server, command, "calls")
}

async fn login<C>(store: &SessionStore<C>) -> Created
where
    C: redis::aio::ConnectionLike + Clone + Send + Sync,
{
    store.login(&Login::new("42")).await.unwrap()
}

async fn is_active<C>(store: &SessionStore<C>, token: &str) -> bool
where
    C: redis::aio::ConnectionLike + Clone + Send + Sync,
{
    match store.authenticate(token, &Visitor::new()).await {
        Ok(_) => true,
        Err(StoreError::Refused(_)) => false,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn the_server_checks_one_forged_token_and_then_no_more() {
    let server = builder().start();
    let store = store(&server).await.policy(Policy::new(for_secs(600)));
    let good = login(&store).await;
    let others = of_the_issuer(&mut server.connection(), "one");
    for _ in 0..10 {
        assert!(is_active(&store, token(&good)).await);
    }
    assert_eq!((calls(&server, "VALIDATE"), calls(&server, "JWKS")), (10, 0), "nothing is asked without need");

    let begun = Instant::now();
    assert!(!is_active(&store, &tampered(token(&good))).await);
    assert_eq!((calls(&server, "VALIDATE"), calls(&server, "JWKS")), (11, 1));
    for genuine in [token(&good), &others] {
        let forged: Vec<_> = forgeries(genuine, 300).collect();
        let checks = forged.iter().cloned().map(|forged| {
            let store = store.clone();
            tokio::spawn(async move { store.touch(&forged, &Visitor::new()).await })
        });
        for check in checks.collect::<Vec<_>>() {
            let answer = check.await.unwrap();
            let Err(StoreError::Refused(inactive)) = answer else { panic!("{answer:?}") };
            assert_eq!(inactive.reason, redis_session::Reason::Signature);
        }
        for forged in &forged[..3] {
            assert!(!store.logout(forged).await.unwrap());
            assert!(store.regenerate(forged, &RegenerateOptions::new()).await.unwrap_err().is_refused());
        }
    }
    // So often at most, whatever comes.
    let tenths = u64::try_from(begun.elapsed().as_millis() / 100).unwrap();
    let asked = calls(&server, "JWKS");
    assert!((2..=tenths + 2).contains(&asked), "{asked} in {tenths} tenths of a second");
    let touched = ["TOUCH", "REVOKE", "REGENERATE"].map(|command| calls(&server, command));
    assert_eq!((calls(&server, "VALIDATE"), touched), (11, [0; 3]), "no token has reached the server");
    assert_eq!(server.info("session", "session_refused_signature"), "1");
    assert!(is_active(&store, token(&good)).await);
    assert!(store.touch(token(&good), &Visitor::new()).await.is_ok());
}

/// Asks the store before the server, with whatever it has learned earlier.
async fn assert_agree<C>(store: &SessionStore<C>, con: &mut Connection, tokens: &[String], what: &str)
where
    C: redis::aio::ConnectionLike + Clone + Send + Sync,
{
    for (number, token) in tokens.iter().enumerate() {
        for token in [token.clone(), tampered(token)] {
            let answer = is_active(store, &token).await;
            assert_eq!(answer, verdict(con, KEY, &token) == "active", "{what}: token {number}: {token}");
        }
    }
}

#[tokio::test]
async fn no_good_token_is_refused_for_keys_that_are_old() {
    let primary = builder().start();
    let replica = builder().replica_of(&primary).start();
    let forwarder = Forwarder::to(primary.port());
    let of = |kind| Policy::new(CreateOptions::new().token(kind));
    let store = SessionStore::connect(forwarder.url()).unwrap().policy(of(TokenFormat::Jwt));
    let opaque = store.clone().policy(of(TokenFormat::Opaque));
    let mut con = primary.connection();
    let reload = |server: &Server, file: &str, keys: &[Value]| {
        server.write(file, set_of(keys));
        cmd(&mut server.connection(), "SESSION.RELOADKEYS").unwrap();
    };
    let others = of_the_issuer(&mut con, "one");
    ask(&mut con, &format!("SESSION.CREATE {KEY} FROM {others}"));
    let mut tokens = vec![others, token(&login(&opaque).await).to_owned(), "e30.e30.e30".to_owned()];

    tokens.push(token(&login(&store).await).to_owned());
    assert_agree(&store, &mut con, &tokens, "at first").await;
    let steps: [(&str, &str, &[Value]); 6] = [
        ("a new key before the old one", "keys.json", &[private(1, "two"), private(0, "one"), own()]),
        ("the old one removed", "keys.json", &[private(1, "two"), own()]),
        ("another key under the same kid", "keys.json", &[private(0, "two"), own()]),
        ("a secret that signs", "keys.json", &[HS256.jwk(), private(0, "one")]),
        ("the first one again", "keys.json", &[private(0, "one"), own()]),
        (
            "another key of the issuer, under the same kid",
            "issuer.json",
            &[{
                let mut jwk = RS256.jwk();
                jwk["kid"] = "ES256".into();
                jwk
            }],
        ),
    ];
    for (what, file, keys) in steps {
        // Forged tokens come all the while, so that its keys are as old as they can be.
        assert!(!is_active(&store, &tampered(&tokens[3])).await, "{what}");
        reload(&primary, file, keys);
        let new = login(&store).await;
        assert!(is_active(&store, token(&new)).await, "{what}");
        tokens.push(token(&new).to_owned());
        assert_agree(&store, &mut con, &tokens, what).await;
    }

    // The replica has another key under a known name, as it must not be.
    reload(&replica, "keys.json", &[private(1, "one"), own()]);
    primary.wait_for_sync(&replica);
    cmd(&mut replica.connection(), "REPLICAOF NO ONE").unwrap();
    forwarder.lead_to(replica.port());
    cmd(&mut con, "CLIENT KILL TYPE normal SKIPME yes").unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    let new = loop {
        match store.login(&Login::new("42")).await {
            Ok(new) => break new,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let mut con = replica.connection();
    assert!(is_active(&store, token(&new)).await, "after a failover");
    tokens.push(token(&new).to_owned());
    assert_agree(&store, &mut con, &tokens, "after a failover").await;
    assert!(calls(&replica, "JWKS") > 0);
}

#[tokio::test]
async fn a_token_that_names_no_key_is_refused_if_it_is_of_none() {
    let server = builder().start();
    let (store, mut con) = (store(&server).await, server.connection());
    let nameless = |con: &mut Connection| {
        let mut claims = claims(con, "42", "one");
        claims["iss"] = ISSUER.into();
        ES256.sign(&json!({ "alg": "ES256" }), &claims)
    };
    let good = nameless(&mut con);
    ask(&mut con, &format!("SESSION.CREATE {KEY} FROM {good}"));
    assert!(is_active(&store, &good).await);
    assert!(!is_active(&store, &tampered(&good)).await, "the server says so, and the store learns its keys");
    let before = calls(&server, "VALIDATE");
    for forged in forgeries(&good, 3) {
        assert!(!is_active(&store, &forged).await);
    }
    assert_eq!(calls(&server, "VALIDATE"), before);

    // The server tries eight keys. So that the store need not know which, it leaves more to the server.
    let many = (0..9).map(
        |number| json!({ "kty": "EC", "crv": "P-256", "x": X, "y": Y, "kid": number.to_string(), "alg": "ES256" }),
    );
    server.write("issuer.json", set_of(&many.collect::<Vec<_>>()));
    cmd(&mut con, "SESSION.RELOADKEYS").unwrap();
    assert!(is_active(&store, &good).await);
    for forged in forgeries(&good, 3) {
        assert!(!is_active(&store, &forged).await);
    }
    assert!(calls(&server, "VALIDATE") > before);
}

#[tokio::test]
async fn a_user_who_may_not_ask_for_keys_is_not_slowed_down() {
    let server = builder().start();
    let mut con = server.connection();
    let user = "ACL SETUSER app on >secret ~sessions:* -@all +@connection +session.create +session.validate";
    cmd(&mut con, user).unwrap();
    let url = format!("redis://app:secret@127.0.0.1:{}/", server.port());
    let store = SessionStore::connect(url.as_str()).unwrap().policy(Policy::new(for_secs(600)));
    let (good, begun) = (login(&store).await, Instant::now());
    for forged in forgeries(token(&good), 50) {
        assert!(!is_active(&store, &forged).await);
        assert!(is_active(&store, token(&good)).await);
    }
    assert_eq!(calls(&server, "VALIDATE"), 100);
    let rejected = count(&server, "JWKS", "rejected_calls");
    assert!((1..=1 + begun.elapsed().as_secs() / 10).contains(&rejected), "{rejected}");
}

#[tokio::test]
async fn secrets_cost_nothing_more() {
    let server = Server::start();
    let store = store(&server).await.policy(Policy::new(for_secs(600)));
    let good = login(&store).await;
    for _ in 0..3 {
        assert!(!is_active(&store, &tampered(token(&good))).await);
    }
    cmd_args(&mut server.connection(), ["PING"]).unwrap();
    wait_until("three are counted", || calls(&server, "VALIDATE") == 3);
    assert_eq!(calls(&server, "JWKS"), 0);
}
