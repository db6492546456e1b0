//! The client's `SessionStore` over an asynchronous connection to a cluster.

use std::collections::{BTreeSet, HashMap};

use redis_session::redis::cmd;
use redis_session::{CreateOptions, Created, KeyPrefix, Reason, RegenerateOptions};
use redis_session_store::{DataKeys, Login, Policy, SessionStore, StoreError, Visitor};

use crate::links::{client, runtime};
use crate::nodes::{errors_sent, start};

/// As many as it takes for every node to have some of them.
const USERS: usize = 40;

fn refreshable() -> Policy {
    Policy::new(CreateOptions::new().refreshable())
}

fn token(created: &Created) -> &str {
    created.token.as_deref().expect("a token")
}

#[track_caller]
fn assert_refused<T>(answer: Result<T, StoreError>, reason: Reason) {
    match answer {
        Err(StoreError::Refused(inactive)) => assert_eq!(inactive.reason, reason),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("let in, and not refused as {reason}"),
    }
}

#[test]
fn a_store_finds_each_user_on_the_node_that_has_them() {
    let cluster = start("session.key-form any");
    let runtime = runtime();
    runtime.block_on(async {
        let connection = client(&cluster).get_async_connection().await.unwrap();
        let keys = DataKeys::new("one", [1; 32]).unwrap();
        let store = SessionStore::new(connection).policy(refreshable()).encrypt(keys);
        for store in [store.clone(), store.keys(KeyPrefix::default().hash_tag())] {
            let mut logins = Vec::new();
            for user in (0..USERS).map(|user| user.to_string()) {
                logins.push(live(&store, &user).await);
            }
            for n in cluster.primaries() {
                let keys: usize = cmd("DBSIZE").query(&mut cluster.nodes()[n].connection()).unwrap();
                assert!(keys > 0, "node {n} has no users");
            }
            assert_eq!((errors_sent(&cluster, "MOVED"), errors_sent(&cluster, "ASK")), (0, 0));
            for (user, created) in (0..).zip(&logins) {
                let user = i32::to_string(&user);
                assert_eq!(store.count(&user).await.unwrap(), 1);
                // Another user's logout is none of this one's.
                assert_eq!(store.touch(token(created), &Visitor::new()).await.unwrap().user, user);
                assert_eq!(store.logout_everywhere(&user).await.unwrap(), 1);
                assert_refused(store.touch(token(created), &Visitor::new()).await, Reason::UserRevoked);
            }
        }
    });
    let store = runtime.block_on(async { SessionStore::new(client(&cluster).get_async_connection().await.unwrap()) });
    let created = runtime.block_on(store.login(&Login::new("42"))).unwrap();
    let slot = cluster.slot_of("sessions:42");
    cluster.move_slot(slot, (cluster.primary_of(slot) + 1) % cluster.primaries().len());
    let found = runtime.block_on(store.touch(token(&created), &Visitor::new())).unwrap();
    assert_eq!(found.id, created.id, "the user has moved, and is found");
}

/// Two logins of a user, and what becomes of them; the one that is left.
async fn live<C>(store: &SessionStore<C>, user: &str) -> Created
where
    C: redis_session::redis::aio::ConnectionLike + Clone + Send + Sync,
{
    let data = HashMap::from([("cart".to_owned(), user.to_owned())]);
    let visitor = Visitor::new().agent("phone");
    let phone = store.login(&Login::new(user).visitor(&visitor).data(&data).unwrap()).await.unwrap();
    let laptop = store.login(&Login::new(user).visitor(&Visitor::new().agent("laptop"))).await.unwrap();
    let phone = store.refresh(phone.refresh_token.as_deref().unwrap(), &visitor).await.unwrap();
    assert_eq!(store.touch(token(&phone), &visitor).await.unwrap().id, phone.id);
    let renewed = store.regenerate(token(&phone), &RegenerateOptions::new()).await.unwrap();
    assert_refused(store.authenticate(token(&phone), &visitor).await, Reason::Revoked);
    assert_eq!(store.data(user, &renewed.id).await.unwrap(), Some(data));
    let devices = store.devices(user).await.unwrap();
    let agents: BTreeSet<_> = devices.iter().filter_map(|device| device.agent.as_deref()).collect();
    assert_eq!(agents, BTreeSet::from(["phone", "laptop"]));
    assert!(store.logout(token(&laptop)).await.unwrap());
    assert_refused(store.touch(token(&laptop), &visitor).await, Reason::Revoked);
    renewed
}
