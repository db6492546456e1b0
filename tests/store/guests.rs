//! A guest becomes a user.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use redis::RedisResult;
use redis_session::Created;
use redis_session_store::{Login, SessionStore, StoreError};
use redis_session_tests::{Server, ids};

use crate::data::{Watched, keys, watched};
use crate::{Store, store, token, verdict};

type Cart = HashMap<String, serde_json::Value>;

fn cart(item: &str) -> Cart {
    HashMap::from([("items".to_owned(), serde_json::json!([item])), ("theme".to_owned(), "dark".into())])
}

/// A guest with a cart, and the guest's name.
async fn guest(store: &Store) -> (Created, String) {
    let guest = store.login(&Login::guest().unwrap().data(&cart("a book")).unwrap()).await.unwrap();
    let user = redis_session::unverified_user(token(&guest)).unwrap();
    assert!(user.starts_with("guest-") && user.len() == 28, "{user}");
    (guest, user)
}

#[tokio::test]
async fn what_a_guest_has_goes_along_and_the_guest_is_gone() {
    let server = Server::start();
    for store in [store(&server).await, store(&server).await.encrypt(keys())] {
        let (guest, name) = guest(&store).await;
        let login = Login::new("42").data(&HashMap::from([("theme", "light")])).unwrap();
        let user = store.promote(token(&guest), &login).await.unwrap();
        let data: Cart = store.data("42", &user.id).await.unwrap().unwrap();
        assert_eq!((&data["items"], &data["theme"]), (&serde_json::json!(["a book"]), &"light".into()));
        assert_ne!(user.id, guest.id);
        assert_eq!(verdict(&store, token(&guest)).await, "revoked");
        assert_eq!(store.count(&name).await.unwrap(), 0);
        // Once more: nothing is taken along again.
        let again = store.promote(token(&guest), &Login::new("42")).await.unwrap();
        assert_eq!(store.data::<Cart>("42", &again.id).await.unwrap(), Some(Cart::new()));
        for nobody in ["nonsense", "", "a.b.c"] {
            assert!(store.promote(nobody, &Login::new("43")).await.is_ok(), "{nobody}");
        }
        assert_eq!((store.count("42").await.unwrap(), store.count("43").await.unwrap()), (2, 3));
        store.logout_everywhere("42").await.unwrap();
        store.logout_everywhere("43").await.unwrap();
    }
}

/// A store whose connection breaks at this command of a promotion, the first time.
async fn breaking_at(server: &Server, at: &'static str) -> SessionStore<Watched<redis::aio::MultiplexedConnection>> {
    let times = AtomicU32::new(0);
    watched(server, move |command: &str| -> RedisResult<()> {
        if command == at && times.fetch_add(1, Ordering::Relaxed) == 0 {
            return Err(std::io::Error::other("cut").into());
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_crash_in_between_doubles_nothing_and_brings_nothing_back() {
    let server = Server::start();
    let plain = store(&server).await.encrypt(keys());
    for at in ["SESSION.VALIDATE", "SESSION.GET", "SESSION.CREATE", "SESSION.REVOKE"] {
        let (guest, name) = guest(&plain).await;
        let crashing = breaking_at(&server, at).await;
        let crash = crashing.promote(token(&guest), &Login::new("42")).await.unwrap_err();
        assert!(matches!(crash, StoreError::Unavailable(_)), "{at}: {crash:?}");
        let begun = u64::from(at == "SESSION.REVOKE");
        assert_eq!((plain.count("42").await.unwrap(), plain.count(&name).await.unwrap()), (begun, 1), "{at}");
        // The user logs in once more, by another process that knows nothing of the first.
        let user = plain.promote(token(&guest), &Login::new("42")).await.unwrap();
        assert_eq!(ids(&mut server.connection(), "sessions:42"), std::slice::from_ref(&user.id), "{at}");
        assert_eq!(plain.data::<Cart>("42", &user.id).await.unwrap(), Some(cart("a book")), "{at}");
        assert_eq!(plain.count(&name).await.unwrap(), 0, "{at}");
        // Logged out, it stays out, also if the guest's token comes again.
        plain.logout(token(&user)).await.unwrap();
        let later = plain.promote(token(&guest), &Login::new("42")).await.unwrap();
        assert_eq!(plain.data::<Cart>("42", &later.id).await.unwrap(), Some(Cart::new()), "{at}");
        plain.logout(token(&later)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_promotions_at_once_one_has_the_data() {
    let server = Server::start();
    let store = Arc::new(store(&server).await);
    for _ in 0..20 {
        let (guest, name) = guest(&store).await;
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..6 {
            let (store, guest) = (Arc::clone(&store), token(&guest).to_owned());
            tasks.spawn(async move {
                // Another one may begin the session in the place of this one's first.
                let mut promoted = store.promote(&guest, &Login::new("42")).await;
                while promoted.is_err() {
                    promoted = store.promote(&guest, &Login::new("42")).await;
                }
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
        assert_eq!(store.count(&name).await.unwrap(), 0);
        let sessions = store.devices("42").await.unwrap();
        assert_eq!(sessions.iter().filter(|session| session.data.get("items").is_some()).count(), 1);
        store.logout_everywhere("42").await.unwrap();
    }
}
