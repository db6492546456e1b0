//! What a store does, whatever it stands on: a server, and a [`MemoryStore`] in this process.

use std::collections::HashMap;
use std::time::Duration;

use redis::aio::ConnectionLike;
use redis_session::{CreateOptions, Created, LimitPolicy, Reason, RegenerateOptions, TokenFormat};
use redis_session_store::testing::MemoryStore;
use redis_session_store::{DataKeys, Login, Policy, SessionStore, StoreError, Visitor};
use redis_session_tests::ServerBuilder;
use serde::{Deserialize, Serialize};

use crate::{for_secs, secs, token};

/// A case, once on each kind of store.
macro_rules! cases {
    ($($(#[$attribute:meta])* async fn $name:ident($store:ident, $advance:ident) $body:block)*) => {
        mod case {
            use super::*;
            $(
                pub(super) async fn $name<C>($store: SessionStore<C>, $advance: impl Fn(Duration))
                where
                    C: ConnectionLike + Clone + Send + Sync,
                $body
            )*
        }

        mod server {
            $(
                #[tokio::test]
                async fn $name() {
                    let server = super::ServerBuilder::new().keys(&["one"]).start();
                    let store = crate::store(&server).await;
                    super::case::$name(store, |by| server.advance(by)).await;
                }
            )*
        }

        mod memory {
            $(
                #[tokio::test]
                async fn $name() {
                    let store = super::MemoryStore::in_memory();
                    super::case::$name(store.clone(), |by| store.advance(by)).await;
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

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Cart {
    items: Vec<String>,
    coupon: Option<String>,
}

cases! {
    async fn a_login_is_good_until_its_logout(store, _advance) {
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

    async fn a_login_that_is_tried_again_is_one_session(store, _advance) {
        let login = Login::new("42");
        let (lost, created) = (store.login(&login).await.unwrap(), store.login(&login).await.unwrap());
        assert_eq!(store.count("42").await.unwrap(), 1);
        assert_eq!(verdict(&store, token(&created)).await, "active");
        assert_ne!(verdict(&store, token(&lost)).await, "active");
    }

    async fn deadlines_are_held(store, advance) {
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

    async fn a_users_devices_are_seen_and_logged_out(store, _advance) {
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

    async fn a_user_has_so_many_sessions(store, _advance) {
        let evicting = store.clone().policy(Policy::new(CreateOptions::new().max_sessions(2)));
        let first = login(&evicting, "42").await;
        login(&evicting, "42").await;
        assert_eq!(login(&evicting, "42").await.evicted, std::slice::from_ref(&first.id));
        assert_eq!(verdict(&store, token(&first)).await, "evicted");
        let options = CreateOptions::new().max_sessions(2).limit_policy(LimitPolicy::Reject);
        let refusing = store.policy(Policy::new(options));
        assert!(matches!(refusing.login(&Login::new("42")).await, Err(StoreError::Limit)));
    }

    async fn refresh_tokens_rotate_and_a_stolen_one_ends_the_session(store, advance) {
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

    async fn a_regenerated_session_has_a_new_id_and_its_data(store, advance) {
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

    async fn data_are_kept_changed_and_removed(store, _advance) {
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

    async fn a_session_is_bound_to_its_device_and_tells_of_a_new_address(store, _advance) {
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
