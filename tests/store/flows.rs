//! Logging in and out.

use redis_session::{KeyPrefix, LimitPolicy, Reason, RegenerateOptions, TokenFormat};
use redis_session_store::{Assurance, Login, Policy, StoreError, Visitor};
use redis_session_tests::{Server, ServerBuilder, cmd};

use crate::{for_secs, login, secs, store, token, verdict};

#[tokio::test]
async fn a_login_is_good_until_the_logout() {
    let server = Server::start();
    let store = store(&server).await;
    let created = login(&store, "42").await;
    let session = store.authenticate(token(&created), &Visitor::new()).await.unwrap();
    assert_eq!((session.user.as_str(), &session.id), ("42", &created.id));
    assert_eq!(session.assurance, Assurance::Session);
    assert_eq!(session.details, None);
    assert!(session.expires_at <= created.expires_at);
    assert!(store.logout(token(&created)).await.unwrap());
    assert_eq!(verdict(&store, token(&created)).await, "revoked");
    assert!(!store.logout(token(&created)).await.unwrap(), "a second time is a success, too");
    assert!(!store.logout("no token").await.unwrap());
}

#[tokio::test]
async fn what_is_no_token_is_refused_without_asking() {
    let server = Server::start();
    let store = store(&server).await;
    drop(server);
    let refused = store.touch("nonsense", &Visitor::new()).await.unwrap_err();
    assert!(matches!(&refused, StoreError::Refused(inactive) if inactive.reason == Reason::Malformed), "{refused}");
}

#[tokio::test]
async fn who_asks_to_be_remembered_stays_longer() {
    let server = Server::start();
    let policy = Policy::new(for_secs(600).idle(secs(60))).remembered(for_secs(90_000).refreshable());
    let store = store(&server).await.policy(policy);
    let ordinary = login(&store, "42").await;
    let remembered = store.login(&Login::new("42").remember(true)).await.unwrap();
    let ordinary_session = store.session("42", &ordinary.id).await.unwrap().unwrap();
    let session = store.session("42", &remembered.id).await.unwrap().unwrap();
    let lifetime = |session: &redis_session::Session| session.expires_at.unix_secs() - session.created_at.unix_secs();
    assert!(lifetime(&ordinary_session) <= 600 && ordinary_session.idle_expires_at.is_some());
    assert!(lifetime(&session) >= 89_000 && session.idle_expires_at.is_none());
    assert_eq!((ordinary.refresh_token, remembered.refresh_token.is_some()), (None, true));
}

#[tokio::test]
async fn by_default_who_is_remembered_is_so_for_thirty_days() {
    let server = Server::start();
    let store = store(&server).await;
    let created = store.login(&Login::new("42").remember(true)).await.unwrap();
    let session = store.session("42", &created.id).await.unwrap().unwrap();
    assert_eq!(session.expires_at.unix_millis() - session.created_at.unix_millis(), 30 * 86_400_000);
}

#[tokio::test]
async fn a_touch_slides_the_idle_timeout_and_a_check_does_not() {
    let server = Server::start();
    let policy = Policy::new(for_secs(600).idle(secs(60)).token(TokenFormat::Opaque)).details();
    let store = store(&server).await.policy(policy);
    let created = login(&store, "42").await;
    let idle_end = async |touches| {
        let checked = match touches {
            true => store.touch(token(&created), &Visitor::new()).await,
            false => store.authenticate(token(&created), &Visitor::new()).await,
        };
        checked.unwrap().details.as_ref().expect("details").idle_expires_at.unwrap().unix_millis()
    };
    let first = idle_end(false).await;
    server.advance(secs(40));
    assert_eq!(idle_end(false).await, first);
    assert!(idle_end(true).await >= first + 40_000);
    server.advance(secs(40));
    assert_eq!(verdict(&store, token(&created)).await, "active", "the first end is past");
    server.advance(secs(20));
    assert_eq!(verdict(&store, token(&created)).await, "idle");
}

#[tokio::test]
async fn a_stolen_refresh_token_ends_the_session() {
    let server = ServerBuilder::new().config("session.refresh-grace 0").start();
    let store = store(&server).await.policy(Policy::new(for_secs(600).refreshable()));
    let created = login(&store, "42").await;
    let stolen = created.refresh_token.clone().unwrap();
    let renewed = store.refresh(&stolen, &Visitor::new()).await.unwrap();
    assert_eq!(verdict(&store, token(&renewed)).await, "active");
    let refused = store.refresh(&stolen, &Visitor::new()).await.unwrap_err();
    assert!(matches!(&refused, StoreError::Refused(inactive) if inactive.reason == Reason::Reused), "{refused}");
    assert_eq!(verdict(&store, token(&renewed)).await, "reused");
    assert!(store.refresh("no token", &Visitor::new()).await.unwrap_err().is_refused());
}

#[tokio::test]
async fn devices_are_seen_and_logged_out_one_by_one_or_together() {
    let server = Server::start();
    let store = store(&server).await;
    let visitor = |agent: &str| Visitor::new().agent(agent).ip([203, 0, 113, 7]);
    let mut logins = Vec::new();
    for agent in ["phone", "tablet", "desktop"] {
        logins.push(store.login(&Login::new("42").visitor(&visitor(agent))).await.unwrap());
    }
    let devices = store.devices("42").await.unwrap();
    let agents: Vec<_> = devices.iter().map(|session| session.agent.clone().unwrap()).collect();
    assert_eq!(agents, ["desktop", "tablet", "phone"]);
    assert!(devices.iter().all(|session| session.ip == Some([203, 0, 113, 7].into())));
    assert!(store.logout_session("42", &logins[0].id).await.unwrap());
    assert_eq!(store.logout_others("42", &logins[2].id).await.unwrap(), 1);
    let mut verdicts = Vec::new();
    for created in &logins {
        verdicts.push(verdict(&store, token(created)).await);
    }
    assert_eq!(verdicts, ["revoked", "user_revoked", "active"]);
    assert_eq!(store.count("42").await.unwrap(), 1);
    assert_eq!(store.logout_everywhere("42").await.unwrap(), 1);
    assert_eq!(verdict(&store, token(&logins[2])).await, "user_revoked");
    assert_eq!(verdict(&store, token(&login(&store, "42").await)).await, "active");
}

#[tokio::test]
async fn another_device_is_refused() {
    let server = Server::start();
    let store = store(&server).await;
    let own = Visitor::new().device("a key in the browser");
    let created = store.login(&Login::new("42").visitor(&own)).await.unwrap();
    assert!(store.touch(token(&created), &own).await.is_ok());
    let other = Visitor::new().device("another");
    let refused = store.touch(token(&created), &other).await.unwrap_err();
    assert!(matches!(&refused, StoreError::Refused(inactive) if inactive.reason == Reason::Device), "{refused}");
}

#[tokio::test]
async fn a_limit_makes_room_or_refuses() {
    let server = Server::start();
    let store = store(&server).await;
    let two = for_secs(600).max_sessions(2);
    let making_room = store.clone().policy(Policy::new(two.clone()));
    let first = login(&making_room, "42").await;
    login(&making_room, "42").await;
    assert_eq!(login(&making_room, "42").await.evicted, [first.id.as_str()]);
    let refusing = store.policy(Policy::new(two.limit_policy(LimitPolicy::Reject)));
    assert!(matches!(refusing.login(&Login::new("42")).await, Err(StoreError::Limit)));
}

#[tokio::test]
async fn an_agent_of_any_length_and_kind_is_taken() {
    let server = Server::start();
    let store = store(&server).await;
    for (given, kept) in [
        ("a\u{0}b\nc", Some("abc".to_owned())),
        ("", None),
        (&"é".repeat(400), Some("é".repeat(256))),
        (&format!("x{}", "é".repeat(400)), Some(format!("x{}", "é".repeat(255)))),
    ] {
        let created = store.login(&Login::new("42").visitor(&Visitor::new().agent(given))).await.unwrap();
        assert_eq!(store.session("42", &created.id).await.unwrap().unwrap().agent, kept);
    }
}

#[tokio::test]
async fn keys_are_called_as_the_application_says() {
    let server = ServerBuilder::new().config("session.key-prefix login:\nsession.key-form braces").start();
    let store = store(&server).await.keys(KeyPrefix::new("login:").hash_tag());
    let created = login(&store, "42").await;
    assert_eq!(verdict(&store, token(&created)).await, "active");
    assert_eq!(cmd(&mut server.connection(), "EXISTS login:{42}").unwrap(), redis::Value::Int(1));
}

#[tokio::test]
async fn a_mistake_is_told_apart_from_an_outage() {
    let server = Server::start();
    let error = store(&server).await.keys(KeyPrefix::new("login:")).login(&Login::new("42")).await.unwrap_err();
    assert!(matches!(error, StoreError::Redis(_)), "{error:?}");
    let server = ServerBuilder::new().without_module().start();
    let error = store(&server).await.login(&Login::new("42")).await.unwrap_err();
    assert!(matches!(error, StoreError::ModuleMissing), "{error:?}");
}

#[tokio::test]
async fn a_new_id_keeps_the_session_and_kills_the_old_tokens() {
    let server = Server::start();
    let store = store(&server).await;
    let old = login(&store, "42").await;
    let new = store.regenerate(token(&old), &RegenerateOptions::new()).await.unwrap();
    assert_eq!(verdict(&store, token(&old)).await, "revoked");
    assert_eq!(verdict(&store, token(&new)).await, "active");
    assert!(store.regenerate(token(&old), &RegenerateOptions::new()).await.unwrap_err().is_refused());
}

#[test]
fn what_is_secret_is_not_printed() {
    let visitor = Visitor::new().agent("phone").device("fingerprint");
    let login = Login::new("42").visitor(&visitor).data(&std::collections::HashMap::from([("iban", "DE02")])).unwrap();
    let printed = format!("{login:?}");
    assert!(printed.contains("phone") && !printed.contains("fingerprint") && !printed.contains("DE02"), "{printed}");
}

#[tokio::test]
async fn a_logout_of_what_is_no_token_is_a_success() {
    let server = Server::start();
    let store = store(&server).await;
    // The middle part names user 42; the first one is no JWT's header.
    let resembling = format!("{}.eyJzdWIiOiI0MiJ9.c2ln", "x".repeat(200));
    assert_eq!(redis_session::unverified_user(&resembling), None);
    for garbage in ["", "nonsense", resembling.as_str()] {
        assert!(!store.logout(garbage).await.unwrap(), "{garbage}");
    }
}

#[tokio::test]
async fn a_login_that_is_tried_again_is_one_device() {
    let server = Server::start();
    let (store, mut connection) = (store(&server).await, server.connection());
    let data = std::collections::HashMap::from([("theme".to_owned(), "dark".to_owned())]);
    let sealing = store.clone().encrypt(redis_session_store::DataKeys::new("one", [1; 32]).unwrap());
    for store in [store, sealing] {
        let attempt = Login::new("42").data(&data).unwrap();
        let lost = store.login(&attempt).await.unwrap();
        let again = store.login(&attempt).await.unwrap();
        let once_more = store.login(&attempt).await.unwrap();
        assert_eq!((&lost.id, &again.id), (&again.id, &once_more.id));
        assert_eq!(store.count("42").await.unwrap(), 1, "one device");
        for dead in [&lost, &again] {
            assert_eq!(verdict(&store, token(dead)).await, "unknown", "the lost answer lets nobody in");
        }
        assert_eq!(verdict(&store, token(&once_more)).await, "active");
        assert_eq!(store.data("42", &once_more.id).await.unwrap().as_ref(), Some(&data));
        login(&store, "42").await;
        assert_eq!(store.count("42").await.unwrap(), 2, "another login is another device");
        cmd(&mut connection, "SESSION.REVOKEUSER sessions:42").unwrap();
    }
}

#[tokio::test]
async fn a_login_whose_answer_was_lost_can_be_tried_again() {
    let server = Server::start();
    let forwarder = crate::forwarder::Forwarder::to(server.port());
    let store = redis_session_store::SessionStore::connect(forwarder.url()).unwrap();
    assert_eq!(store.count("42").await.unwrap(), 0);
    let attempt = Login::new("42");
    forwarder.cut_replies_to(5);
    let lost = store.login(&attempt).await.unwrap_err();
    assert!(matches!(lost, StoreError::Unavailable(_)), "{lost:?}");
    forwarder.cut_replies_to(usize::MAX);
    assert_eq!(
        cmd(&mut server.connection(), "SESSION.COUNT sessions:42").unwrap(),
        redis::Value::Int(1),
        "it was done"
    );
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    let created = loop {
        match store.login(&attempt).await {
            Ok(created) => break created,
            Err(error) => assert!(std::time::Instant::now() < deadline, "{error}"),
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    assert_eq!(store.devices("42").await.unwrap().iter().map(|one| &one.id).collect::<Vec<_>>(), [&created.id]);
}
