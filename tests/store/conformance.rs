//! What a store does, whatever it stands on: a server, and a [`MemoryStore`] in this process.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use redis::aio::ConnectionLike;
use redis_session::{
    AsyncSessionCommands as _, CreateOptions, Created, Grant, LimitPolicy, Reason, RegenerateOptions, SessionErrorCode,
    TokenFormat,
};
use redis_session_store::testing::{MemoryConnection, MemoryStore};
use redis_session_store::{DataKeys, Login, Policy, SessionStore, StoreError, Visitor};
use redis_session_tests::ServerBuilder;
use redis_session_tests::issuer::{HS256, header, own, set_of, sign};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{for_secs, secs, token};

/// A case, once on each kind of store.
macro_rules! cases {
    ($($(#[$attribute:meta])* async fn $name:ident($store:ident, $connection:ident, $advance:ident) $body:block)*) => {
        mod case {
            use super::*;
            $(
                pub(super) async fn $name<C>($store: SessionStore<C>, mut $connection: C, $advance: impl Fn(Duration))
                where
                    C: ConnectionLike + Clone + Send + Sync,
                $body
            )*
        }

        mod server {
            $(
                #[tokio::test]
                async fn $name() {
                    let server = super::ServerBuilder::new().file("keys.json", super::keys());
                    let server = server.config("session.keys-file keys.json").start();
                    let connection = server.client().get_multiplexed_async_connection().await.unwrap();
                    let store = super::SessionStore::new(connection.clone());
                    super::case::$name(store, connection, |by| server.advance(by)).await;
                }
            )*
        }

        mod memory {
            $(
                #[tokio::test]
                async fn $name() {
                    let connection = super::MemoryConnection::with_keys(super::keys()).unwrap();
                    let store: super::MemoryStore = super::SessionStore::new(connection.clone());
                    super::case::$name(store.clone(), connection, |by| store.advance(by)).await;
                }
            )*
        }
    };
}

type Checked = Result<std::sync::Arc<redis_session_store::Authenticated>, StoreError>;

fn reason_of<T>(answer: Result<T, StoreError>) -> String {
    match answer {
        Ok(_) => "active".to_owned(),
        Err(StoreError::Refused(inactive)) => inactive.reason.to_string(),
        Err(error) => panic!("{error}"),
    }
}

async fn verdict<C: ConnectionLike + Clone + Send + Sync>(store: &SessionStore<C>, token: &str) -> String {
    let checked: Checked = store.authenticate(token, &Visitor::new()).await;
    reason_of(checked)
}

async fn login<C: ConnectionLike + Clone + Send + Sync>(store: &SessionStore<C>, user: &str) -> Created {
    store.login(&Login::new(user)).await.unwrap()
}

const ISSUER: &str = "https://id.example.com/";

/// The keys of the server and of the issuer of other tokens.
fn keys() -> String {
    set_of(&[own(), HS256.jwk()])
}

/// A JWT of the issuer, for so many seconds.
fn from_elsewhere(user: &str, sid: &str, secs: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    sign(&header(), &json!({ "iss": ISSUER, "sub": user, "sid": sid, "iat": now, "exp": now + secs }))
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Cart {
    items: Vec<String>,
    coupon: Option<String>,
}

cases! {
    async fn a_login_is_good_until_its_logout(store, _connection, _advance) {
        for format in [TokenFormat::Opaque, TokenFormat::Jwt] {
            let store = store.clone().policy(Policy::new(CreateOptions::new().token(format)));
            let created = login(&store, "42").await;
            let session = store.touch(token(&created), &Visitor::new()).await.unwrap();
            assert_eq!((session.user.as_str(), &session.id), ("42", &created.id));
            assert!(store.logout(token(&created)).await.unwrap());
            assert_eq!(verdict(&store, token(&created)).await, "revoked");
            assert!(!store.logout(token(&created)).await.unwrap());
        }
        let mut forged = token(&login(&store, "42").await).to_owned();
        assert_eq!(verdict(&store, &forged).await, "active");
        forged.truncate(forged.len() - 4);
        forged.push_str("AAAA");
        assert_eq!(verdict(&store, &forged).await, "signature");
        assert_eq!(verdict(&store, "nonsense").await, "malformed");
    }

    async fn a_login_that_is_tried_again_is_one_session(store, _connection, _advance) {
        let login = Login::new("42");
        let (lost, created) = (store.login(&login).await.unwrap(), store.login(&login).await.unwrap());
        assert_eq!(store.count("42").await.unwrap(), 1);
        assert_eq!(verdict(&store, token(&created)).await, "active");
        assert_ne!(verdict(&store, token(&lost)).await, "active");
    }

    async fn deadlines_are_held(store, _connection, advance) {
        let sessions = store.clone().policy(Policy::new(for_secs(600).idle(secs(60))));
        let created = login(&sessions, "42").await;
        advance(secs(40));
        sessions.touch(token(&created), &Visitor::new()).await.unwrap();
        advance(secs(40));
        assert_eq!(verdict(&sessions, token(&created)).await, "active");
        advance(secs(20));
        assert_eq!(verdict(&sessions, token(&created)).await, "idle");
        let short = store.policy(Policy::new(CreateOptions::new().ttl(secs(100))));
        let created = login(&short, "42").await;
        advance(secs(99));
        assert_eq!(verdict(&short, token(&created)).await, "active");
        advance(secs(1));
        assert_eq!(verdict(&short, token(&created)).await, "expired");
    }

    async fn a_users_devices_are_seen_and_logged_out(store, _connection, _advance) {
        let visitor = |agent: &str| Visitor::new().agent(agent).ip([203, 0, 113, 7]);
        let mut logins = Vec::new();
        for agent in ["phone", "tablet", "desktop", "watch"] {
            logins.push(store.login(&Login::new("42").visitor(&visitor(agent)).level(2)).await.unwrap());
        }
        let devices = store.devices("42").await.unwrap();
        let agents: Vec<_> = devices.iter().map(|session| session.agent.clone().unwrap()).collect();
        assert_eq!(agents, ["watch", "desktop", "tablet", "phone"]);
        assert!(devices.iter().all(|session| session.ip == Some([203, 0, 113, 7].into()) && session.level == Some(2)));
        assert!(store.logout_session("42", &logins[0].id).await.unwrap());
        assert_eq!(store.logout_others("42", token(&logins[2])).await.unwrap(), 2);
        assert!(store.logout_others("42", "rst1.NDI.none.none").await.is_err());
        let mut verdicts = Vec::new();
        for created in &logins {
            verdicts.push(verdict(&store, token(created)).await);
        }
        assert_eq!(verdicts, ["revoked", "user_revoked", "active", "user_revoked"]);
        assert_eq!(store.logout_everywhere("42").await.unwrap(), 1);
        assert_eq!((store.count("42").await.unwrap(), store.count("43").await.unwrap()), (0, 0));
        assert_eq!(verdict(&store, token(&login(&store, "42").await)).await, "active");
    }

    async fn a_user_has_so_many_sessions(store, _connection, _advance) {
        let evicting = store.clone().policy(Policy::new(CreateOptions::new().max_sessions(2)));
        let first = login(&evicting, "42").await;
        login(&evicting, "42").await;
        assert_eq!(login(&evicting, "42").await.evicted, std::slice::from_ref(&first.id));
        assert_eq!(verdict(&store, token(&first)).await, "evicted");
        let options = CreateOptions::new().max_sessions(2).limit_policy(LimitPolicy::Reject);
        let refusing = store.policy(Policy::new(options));
        assert!(matches!(refusing.login(&Login::new("42")).await, Err(StoreError::Limit)));
    }

    async fn refresh_tokens_rotate_and_a_stolen_one_ends_the_session(store, _connection, advance) {
        let store = store.policy(Policy::new(for_secs(600).refreshable()));
        let created = login(&store, "42").await;
        let first = created.refresh_token.clone().unwrap();
        let renewed = store.refresh(&first, &Visitor::new()).await.unwrap();
        let again = store.refresh(&first, &Visitor::new()).await.unwrap();
        assert_eq!(renewed.refresh_token, again.refresh_token, "within the grace");
        assert_eq!(verdict(&store, token(&renewed)).await, "active");
        advance(secs(11));
        assert_eq!(reason_of(store.refresh(&first, &Visitor::new()).await), "reused");
        assert_eq!(verdict(&store, token(&renewed)).await, "reused");
        assert_eq!(reason_of(store.refresh("no token", &Visitor::new()).await), "malformed");
    }

    async fn a_regenerated_session_has_a_new_id_and_its_data(store, _connection, advance) {
        let store = store.encrypt(DataKeys::new("one", [7; 32]).unwrap());
        let cart = Cart { items: vec!["a book".to_owned()], coupon: None };
        let login = Login::new("42").level(1).claims(r#"{"role":"reader"}"#).data(&cart).unwrap();
        let created = store.login(&login).await.unwrap();
        let strict = store.clone().require_level(2).require_sign_in_within(secs(60)).policy(Policy::default().details());
        assert_eq!(verdict(&strict, token(&created)).await, "level");
        let options = RegenerateOptions::new().level(2).claims(r#"{"role":"admin"}"#);
        let renewed = store.regenerate(token(&created), &options).await.unwrap();
        assert_ne!(renewed.id, created.id);
        assert_eq!(verdict(&store, token(&created)).await, "revoked");
        let session = strict.authenticate(token(&renewed), &Visitor::new()).await.unwrap();
        let details = session.details.as_ref().unwrap();
        assert_eq!((details.level, details.claims.as_deref()), (Some(2), Some(r#"{"role":"admin"}"#)));
        assert_eq!(store.data::<Cart>("42", &renewed.id).await.unwrap(), Some(cart));
        advance(secs(61));
        assert_eq!(verdict(&strict, token(&renewed)).await, "stale");
    }

    async fn data_are_kept_changed_and_removed(store, _connection, _advance) {
        let created = login(&store, "42").await;
        let id = created.id.as_str();
        store.set_data("42", id, &HashMap::from([("theme", "dark")])).await.unwrap();
        let count = store.update_data("42", id, |cart: &mut Cart| {
            cart.items.push("a book".to_owned());
            cart.items.len()
        });
        assert_eq!(count.await.unwrap(), 1);
        let cart = Cart { items: vec!["a book".to_owned()], coupon: None };
        assert_eq!(store.data::<Cart>("42", id).await.unwrap(), Some(cart));
        assert_eq!(store.session("42", id).await.unwrap().unwrap().version, 2);
        assert_eq!(store.remove_data("42", id, &["theme", "none"]).await.unwrap(), 1);
        let large = HashMap::from([("large", "x".repeat(100_000))]);
        assert!(matches!(store.set_data("42", id, &large).await, Err(StoreError::Redis(_))));
        store.logout(token(&created)).await.unwrap();
        assert!(matches!(store.set_data("42", id, &Cart::default()).await, Err(StoreError::NoSession)));
        assert_eq!(store.data::<Cart>("42", id).await.unwrap(), None);
    }

    async fn a_session_is_bound_to_its_device_and_tells_of_a_new_address(store, _connection, _advance) {
        let store = store.policy(Policy::default().details());
        let laptop = Visitor::new().device("laptop").ip([203, 0, 113, 7]);
        let created = store.login(&Login::new("42").visitor(&laptop)).await.unwrap();
        assert!(created.new_device && created.new_ip);
        let thief = Visitor::new().device("thief");
        assert_eq!(reason_of(store.touch(token(&created), &thief).await), Reason::Device.as_str());
        for (address, is_new) in [(7, false), (8, true)] {
            let visitor = laptop.clone().ip([203, 0, 113, address]);
            let session = store.touch(token(&created), &visitor).await.unwrap();
            assert_eq!(session.details.as_ref().unwrap().new_ip, is_new);
        }
    }

    async fn a_counter_in_the_data_is_added_to(store, connection, _advance) {
        let created = login(&store, "42").await;
        let (key, id) = ("sessions:42", created.id.as_str());
        for (by, sum) in [(1, 1), (41, 42), (-50, -8)] {
            assert_eq!(connection.session_incrby(key, id, "visits", by).await.unwrap(), sum);
        }
        store.set_data("42", id, &HashMap::from([("text", "seven"), ("most", "9223372036854775807")])).await.unwrap();
        for field in ["text", "most"] {
            let refused = connection.session_incrby(key, id, field, 1).await.unwrap_err();
            assert_eq!(SessionErrorCode::of(&refused), Some(SessionErrorCode::Invalid), "{refused}");
        }
        let session = store.session("42", id).await.unwrap().unwrap();
        assert_eq!((session.version, session.data.get("visits")), (4, Some(&b"-8"[..])));
        store.logout(token(&created)).await.unwrap();
        let refused = connection.session_incrby(key, id, "visits", 1).await.unwrap_err();
        assert_eq!(SessionErrorCode::of(&refused), Some(SessionErrorCode::NoSession), "{refused}");
    }

    async fn devices_come_in_pages(store, connection, _advance) {
        let mut ids = Vec::new();
        for _ in 0..7 {
            ids.push(login(&store, "42").await.id);
        }
        ids.reverse();
        let mut pages = Vec::new();
        for offset in [0, 3, 6, 9] {
            let page = connection.session_list_page("sessions:42", offset, 3).await.unwrap();
            pages.push(page.into_iter().map(|session| session.id).collect::<Vec<_>>());
        }
        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3, 1, 0]);
        assert_eq!(pages.concat(), ids);
        assert!(connection.session_list_page("sessions:43", 0, 3).await.unwrap().is_empty());
        for count in [0, 1001] {
            let refused = connection.session_list_page("sessions:42", 0, count).await.unwrap_err();
            assert_eq!(SessionErrorCode::of(&refused), Some(SessionErrorCode::Invalid), "{refused}");
        }
    }

    async fn what_has_ended_is_listed_with_its_reason(store, _connection, advance) {
        let idle = store.clone().policy(Policy::new(for_secs(600).idle(secs(60))));
        let (left, kept) = (login(&store, "42").await, login(&store, "42").await);
        let forgotten = login(&idle, "42").await;
        advance(secs(61));
        store.logout(token(&left)).await.unwrap();
        let ended = store.ended("42").await.unwrap();
        let reasons: Vec<_> = ended.iter().map(|ended| (&ended.id, ended.reason.known().unwrap())).collect();
        assert_eq!(reasons, [(&left.id, Reason::Revoked), (&forgotten.id, Reason::Idle)]);
        assert!(ended.iter().all(|ended| ended.ended_at < ended.remembered_until));
        assert!(ended[0].ended_at > ended[1].ended_at);
        assert_eq!(store.devices("42").await.unwrap().len(), 1);
        assert_eq!(verdict(&store, token(&kept)).await, "active");
        assert!(store.ended("43").await.unwrap().is_empty());
    }

    async fn an_id_is_denied_without_its_token(store, connection, _advance) {
        let until = SystemTime::now() + secs(3600);
        let created = login(&store, "42").await;
        assert!(connection.session_deny("sessions:42", &created.id, until).await.unwrap());
        assert!(!connection.session_deny("sessions:42", &created.id, until).await.unwrap());
        assert_eq!(verdict(&store, token(&created)).await, "revoked");
        // Of a token that nobody has shown yet.
        let token = from_elsewhere("42", "one", 600);
        assert!(connection.session_deny("sessions:42", "one", until).await.unwrap());
        assert_eq!(verdict(&store, &token).await, "revoked");
        // An issuer that has keys of its own has ids of its own.
        assert!(connection.session_deny_of_issuer("sessions:42", "two", until, ISSUER).await.unwrap());
        assert!(!connection.session_deny_of_issuer("sessions:42", "two", until, ISSUER).await.unwrap());
        let refused = connection.session_register("sessions:42", &token, &CreateOptions::new()).await.unwrap();
        assert!(matches!(refused, Grant::Refused(inactive) if inactive.reason == Reason::Revoked));
        assert_eq!(verdict(&store, &from_elsewhere("42", "two", 600)).await, "unknown");
    }

    async fn a_session_begins_with_a_token_from_elsewhere(store, connection, advance) {
        let jwt = from_elsewhere("42", "one", 600);
        assert_eq!(verdict(&store, &jwt).await, "unknown");
        let options = CreateOptions::new().agent("Firefox on Linux").idle(secs(100));
        let Grant::Granted(created) = connection.session_register("sessions:42", &jwt, &options).await.unwrap() else {
            panic!("the token is good");
        };
        assert!(created.token.is_none() && created.refresh_token.is_none());
        assert_eq!(store.touch(&jwt, &Visitor::new()).await.unwrap().id, created.id);
        let devices = store.devices("42").await.unwrap();
        assert_eq!(devices[0].agent.as_deref(), Some("Firefox on Linux"));
        assert_eq!(devices[0].expires_at, created.expires_at);
        let again = connection.session_register("sessions:42", &jwt, &options).await.unwrap_err();
        assert_eq!(SessionErrorCode::of(&again), Some(SessionErrorCode::SessionExists), "{again}");
        for bad in [options.clone().id("mine"), options.clone().ttl(secs(100))] {
            let refused = connection.session_register("sessions:42", &jwt, &bad).await.unwrap_err();
            assert_eq!(SessionErrorCode::of(&refused), Some(SessionErrorCode::Invalid), "{refused}");
        }
        let own = login(&store.clone().policy(Policy::new(CreateOptions::new().token(TokenFormat::Jwt))), "42").await;
        store.logout(token(&own)).await.unwrap();
        let stranger = from_elsewhere("43", "one", 600);
        let forged = format!("{}AAAA", jwt.split_at(jwt.len() - 4).0);
        for (bad, reason) in [
            (forged.as_str(), Reason::Signature),
            (&stranger, Reason::Subject),
            (token(&own), Reason::Revoked),
            (token(&login(&store, "42").await), Reason::Type),
        ] {
            match connection.session_register("sessions:42", bad, &options).await.unwrap() {
                Grant::Refused(inactive) => assert_eq!(inactive.reason, reason),
                Grant::Granted(_) => panic!("a session begins with a token that is refused for {reason:?}"),
            }
        }
        advance(secs(100));
        assert_eq!(verdict(&store, &jwt).await, "idle");
    }
}

#[tokio::test]
async fn a_memory_store_can_be_away_and_log_everyone_out() {
    let store = MemoryStore::in_memory();
    let created = login(&store, "42").await;
    store.set_away(true);
    let checked = store.touch(token(&created), &Visitor::new()).await;
    assert!(matches!(checked, Err(StoreError::Unavailable(_))));
    store.set_away(false);
    assert_eq!(verdict(&store, token(&created)).await, "active");
    store.logout_everyone();
    assert_eq!(verdict(&store, token(&created)).await, "user_revoked");
    assert_eq!(verdict(&store, token(&login(&store, "42").await)).await, "active");
}
