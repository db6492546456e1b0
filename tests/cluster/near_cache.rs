//! Checks that are answered from memory, where Redis is a cluster.

use std::time::{Duration, Instant};

use redis_session::redis::cluster::ClusterClient;
use redis_session::redis::cluster_async::ClusterConnection;
use redis_session::{Created, Reason};
use redis_session_store::{Login, NearCache, NearCacheFigures, SessionStore, Visitor};
use redis_session_tests::near::{is_remembered, verdict};
use redis_session_tests::{Cluster, cmd};

use crate::links::runtime;
use crate::nodes::start;

type Store = SessionStore<ClusterConnection>;

/// As many as it takes for every node to have some of them.
const USERS: usize = 40;
/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(1);
/// For how long a connection is believed to be alive that no longer is.
const TRUST: Duration = Duration::from_secs(3);

/// With a connection that waits for no node forever.
async fn store(cluster: &Cluster) -> Store {
    let client = ClusterClient::builder(cluster.urls()).min_retry_wait(10).max_retry_wait(100);
    let client = client.connection_timeout(PATIENCE).response_timeout(PATIENCE).build().unwrap();
    SessionStore::new(client.get_async_connection().await.unwrap())
}

/// One that holds answers for as long as anybody could want, and knows one node.
async fn near(cluster: &Cluster) -> Store {
    let settings = NearCache::new().max_age(Duration::from_secs(3600));
    store(cluster).await.near_cache_of_cluster(settings, [cluster.nodes()[0].url()]).unwrap()
}

fn figures(store: &Store) -> NearCacheFigures {
    store.near_cache_figures().unwrap()
}

fn token(created: &Created) -> &str {
    created.token.as_deref().expect("a token")
}

async fn logins(store: &Store) -> Vec<Created> {
    let mut logins = Vec::new();
    for user in 0..USERS {
        logins.push(store.login(&Login::new(user.to_string())).await.unwrap());
    }
    logins
}

async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition().await {
        assert!(Instant::now() < deadline, "still waiting: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Asks until all answers come from memory. Each new connection to a node drops them.
async fn remember(store: &Store, logins: &[Created]) {
    until("answers are remembered", async || {
        let mut remembered = 0;
        for created in logins {
            remembered += usize::from(is_remembered(store, token(created)).await);
        }
        remembered == logins.len()
    })
    .await;
}

/// Checks until the token is refused for this reason, and that none was passed this long after it should have been.
async fn until_refused(store: &Store, token: &str, reason: Reason, most: Duration) {
    let acknowledged = Instant::now();
    until("a refusal", async || {
        let asked = acknowledged.elapsed();
        let verdict = verdict(store, token).await;
        assert!(verdict != "active" || asked <= most, "passed after {asked:?}");
        verdict == reason.as_str()
    })
    .await;
}

fn validations(cluster: &Cluster) -> Vec<String> {
    let of = |node: usize| cluster.nodes()[node].info("commandstats", "cmdstat_SESSION.VALIDATE");
    cluster.primaries().into_iter().map(of).collect()
}

#[test]
fn a_logout_by_another_client_is_seen_on_each_node() {
    let cluster = start("");
    runtime().block_on(async {
        let (here, elsewhere) = (near(&cluster).await, store(&cluster).await);
        let logins = logins(&elsewhere).await;
        remember(&here, &logins).await;
        assert_eq!(figures(&here).entries, USERS);
        assert!(figures(&here).age.is_some_and(|age| age < TRUST), "{:?}", figures(&here));
        let before = validations(&cluster);
        for created in &logins {
            for _ in 0..10 {
                assert_eq!(here.authenticate(token(created), &Visitor::new()).await.unwrap().id, created.id);
            }
        }
        assert_eq!(validations(&cluster), before, "no node is asked");
        for (user, created) in logins.iter().enumerate().take(USERS / 2) {
            assert!(elsewhere.logout(token(created)).await.unwrap(), "{user}");
            until_refused(&here, token(created), Reason::Revoked, Duration::MAX).await;
        }
        for created in &logins[USERS / 2..] {
            assert!(is_remembered(&here, token(created)).await, "of others, all is remembered");
        }
        // Own logouts hold at once, wherever the key is.
        for (user, created) in logins.iter().enumerate().skip(USERS / 2) {
            here.clone().logout_everywhere(&user.to_string()).await.unwrap();
            assert_eq!(verdict(&here, token(created)).await, "user_revoked");
        }
        // What concerns everyone is told by each node.
        let created = elsewhere.login(&Login::new("last")).await.unwrap();
        remember(&here, std::slice::from_ref(&created)).await;
        for node in cluster.primaries() {
            cmd(&mut cluster.nodes()[node].connection(), "SESSION.REVOKEALL").unwrap();
        }
        until_refused(&here, token(&created), Reason::UserRevoked, Duration::MAX).await;
    });
}

#[test]
fn uses_are_sent_to_the_node_that_has_the_session() {
    let cluster = start("");
    runtime().block_on(async {
        let (here, elsewhere) = (near(&cluster).await, store(&cluster).await);
        let logins = logins(&elsewhere).await;
        // As if they were not used for long: each use is one to be sent.
        for node in cluster.nodes() {
            node.advance(Duration::from_secs(61));
        }
        for created in &logins {
            here.touch(token(created), &Visitor::new()).await.unwrap();
        }
        until("all uses are sent", async || figures(&here).touches as usize == USERS).await;
    });
}

#[test]
fn a_slot_that_moves_leaves_nothing_remembered() {
    let cluster = start("");
    runtime().block_on(async {
        let (here, elsewhere) = (near(&cluster).await, store(&cluster).await);
        let logins = logins(&elsewhere).await;
        for (user, created) in logins.iter().enumerate().take(6) {
            remember(&here, &logins[user..]).await;
            let slot = cluster.slot_of(&format!("sessions:{user}"));
            let before = figures(&here).clearances;
            cluster.move_slot_on(slot);
            // The user's new node is asked, and tracked.
            until("the slots are known", async || figures(&here).clearances > before).await;
            remember(&here, std::slice::from_ref(created)).await;
            elsewhere.logout(token(created)).await.unwrap();
            until_refused(&here, token(created), Reason::Revoked, Duration::MAX).await;
        }
    });
}

#[test]
fn a_failover_leaves_nothing_remembered() {
    let cluster = start("");
    runtime().block_on(async {
        let (here, elsewhere) = (near(&cluster).await, store(&cluster).await);
        let logins = logins(&elsewhere).await;
        for primary in cluster.primaries() {
            remember(&here, &logins).await;
            let before = figures(&here).clearances;
            cluster.fail_over_to(cluster.replicas_of(primary)[0]);
            until("the slots are known", async || figures(&here).clearances > before).await;
        }
        remember(&here, &logins).await;
        for created in &logins {
            elsewhere.logout(token(created)).await.unwrap();
            until_refused(&here, token(created), Reason::Revoked, Duration::MAX).await;
        }
    });
}

/// The new primary's clients log out whom the process has from the one that is dead or frozen.
#[test]
fn a_lost_node_leaves_nothing_remembered() {
    for is_killed in [true, false] {
        let mut cluster = start("cluster-replica-no-failover no");
        runtime().block_on(async {
            let (here, elsewhere) = (near(&cluster).await, store(&cluster).await);
            let logins = logins(&elsewhere).await;
            remember(&here, &logins).await;
            let slot = cluster.slot_of("sessions:0");
            let lost = cluster.primary_of(slot);
            let replica = cluster.replicas_of(lost)[0];
            cluster.nodes()[lost].wait_for_sync(&cluster.nodes()[replica]);
            let mut new = cluster.nodes()[replica].connection();
            let frozen = match is_killed {
                true => {
                    cluster.node_mut(lost).kill();
                    None
                }
                false => Some(cluster.nodes()[lost].freeze()),
            };
            let lost_at = Instant::now();
            until("the replica has taken over", async || {
                // Meanwhile the node's users are believed in for so long at most.
                let asked = lost_at.elapsed();
                let is_remembered = is_remembered(&here, token(&logins[0])).await;
                assert!(!is_remembered || asked <= TRUST, "remembered after {asked:?}");
                cmd(&mut new, &format!("SESSION.REVOKE sessions:0 {}", logins[0].id)).is_ok()
            })
            .await;
            until_refused(&here, token(&logins[0]), Reason::Revoked, TRUST).await;
            remember(&here, &logins[1..]).await;
            drop(frozen);
        });
    }
}

#[test]
fn without_a_node_there_is_no_near_cache_and_with_a_wrong_one_the_cluster_is_asked() {
    let cluster = start("");
    runtime().block_on(async {
        let store = store(&cluster).await;
        assert!(store.clone().near_cache_of_cluster(NearCache::new(), Vec::<String>::new()).is_err());
        let created = store.login(&Login::new("42")).await.unwrap();
        let blind = store.near_cache_of_cluster(NearCache::new(), ["redis://127.0.0.1:1/"]).unwrap();
        for _ in 0..3 {
            assert_eq!(verdict(&blind, token(&created)).await, "active");
        }
        assert!(figures(&blind).trouble.is_some() && figures(&blind).hits == 0, "{:?}", figures(&blind));
    });
}
