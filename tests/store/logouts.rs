//! Logouts that wait for a replica.

use redis::Connection;
use redis_session_store::{Login, ReconnectingConnection, SessionStore};
use redis_session_tests::{Server, ServerBuilder, cmd, int, verdict, wait_until};

use super::{secs, token};

type Store = SessionStore<ReconnectingConnection>;

fn pair() -> (Server, Server) {
    let primary = ServerBuilder::new().keys(&["one"]).start();
    let replica = ServerBuilder::new().keys(&["one"]).replica_of(&primary).start();
    primary.wait_for_sync(&replica);
    // It counts as one for the primary only after its first acknowledgement.
    wait_until("the replica is online", || primary.info("replication", "slave0").contains("state=online"));
    (primary, replica)
}

fn connect(server: &Server) -> Store {
    SessionStore::connect(server.url()).unwrap()
}

async fn login(store: &Store) -> String {
    token(&store.login(&Login::new("42")).await.unwrap()).to_owned()
}

/// How often a command was called on this server.
fn calls(server: &Server, command: &str) -> u64 {
    let info: String = redis::cmd("INFO").arg("commandstats").query(&mut server.connection()).unwrap();
    let line = info.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
    line.and_then(|line| line.split(',').next()).map_or(0, |calls| calls.parse().unwrap())
}

/// The id of the connection whose last command was this one.
fn client(con: &mut Connection, command: &str) -> Option<i64> {
    let list: String = redis::cmd("CLIENT").arg("LIST").query(con).unwrap();
    let line = list.lines().find(|line| line.contains(&format!(" cmd={command} ")))?;
    line.strip_prefix("id=")?.split(' ').next()?.parse().ok()
}

/// The replica may be slow at any time. Each try has a store of its own, which has not learned that.
#[tokio::test]
async fn a_logout_that_is_not_counted_is_on_the_replica_when_it_returns() {
    let (primary, replica) = pair();
    let mut acknowledged = 0;
    for _ in 0..100 {
        let store = connect(&primary).wait_for_replica(secs(1));
        let token = login(&store).await;
        assert!(store.logout(&token).await.unwrap());
        if store.unreplicated_logouts() == 0 {
            assert_eq!(verdict(&mut replica.connection(), "sessions:42", &token), "revoked");
            acknowledged += 1;
        }
        if acknowledged == 3 {
            break;
        }
    }
    assert_eq!(acknowledged, 3, "a replica has hardly any logout in time");
    assert!(calls(&primary, "wait") >= 3);
}

#[tokio::test]
async fn every_kind_of_logout_waits() {
    let (primary, replica) = pair();
    let frozen = replica.freeze();
    for kind in 0..4 {
        let store = connect(&primary).wait_for_replica(secs(1));
        let (token, spared) = (login(&store).await, login(&store).await);
        let id = store.devices("42").await.unwrap()[0].id.clone();
        match kind {
            0 => assert!(store.logout(&token).await.unwrap()),
            1 => assert!(store.logout_session("42", &id).await.unwrap()),
            2 => assert!(store.logout_others("42", &spared).await.unwrap() > 0),
            _ => assert!(store.logout_everywhere("42").await.unwrap() > 0),
        }
        assert_eq!(store.unreplicated_logouts(), 1, "{kind}");
        // Now it knows that the replica is slow.
        store.logout_everywhere("42").await.unwrap();
        assert_eq!(store.clone().unreplicated_logouts(), 2, "{kind}");
    }
    assert!(calls(&primary, "wait") >= 4);
    drop(frozen);
}

#[tokio::test]
async fn without_replicas_or_by_setting_nothing_waits() {
    let server = ServerBuilder::new().keys(&["one"]).start();
    let store = connect(&server);
    let token = login(&store).await;
    assert!(store.logout(&token).await.unwrap());
    assert_eq!((calls(&server, "role"), calls(&server, "wait")), (1, 0));

    let (primary, replica) = pair();
    let frozen = replica.freeze();
    let store = connect(&primary).wait_for_replica(secs(0));
    let token = login(&store).await;
    assert!(store.logout(&token).await.unwrap());
    assert_eq!((store.unreplicated_logouts(), calls(&primary, "wait")), (0, 0));
    drop(frozen);
}

#[tokio::test]
async fn a_user_who_may_not_wait_logs_out_all_the_same() {
    let server = ServerBuilder::new().keys(&["one"]).start();
    let con = &mut server.connection();
    cmd(con, "ACL SETUSER app on >secret ~* +@all -role -wait").unwrap();
    let store = SessionStore::connect(server.url().replace("redis://", "redis://app:secret@")).unwrap();
    let token = login(&store).await;
    assert!(store.logout(&token).await.unwrap());
    assert_eq!(store.unreplicated_logouts(), 0);
}

/// A server closes connections that are idle for too long, and this one is seldom used.
#[tokio::test]
async fn a_logout_whose_connection_has_ended_goes_over_the_other() {
    let server = ServerBuilder::new().keys(&["one"]).start();
    let (store, con) = (connect(&server), &mut server.connection());
    let (first, second) = (login(&store).await, login(&store).await);
    assert!(store.logout(&first).await.unwrap());
    let id = client(con, "role").expect("the connection of logouts");
    assert_eq!(int(con, &format!("CLIENT KILL ID {id}")), 1);
    assert!(store.logout(&second).await.unwrap());
    assert_eq!(verdict(con, "sessions:42", &second), "revoked");
}
