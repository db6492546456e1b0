//! The audit streams of a cluster.

use std::collections::BTreeSet;

use redis::{Connection, Value};
use redis_session_tests::{Cluster, cmd_args, fields, list, text, wait_until};

use crate::links::client;
use crate::nodes::{assert_replicas_equal, start};

fn streams(con: &mut Connection) -> Vec<String> {
    let keys: Vec<String> = redis::cmd("KEYS").arg("audit*").query(con).unwrap();
    keys
}

/// The users in a stream, in the order of their entries.
fn users(con: &mut Connection, stream: &str) -> Vec<String> {
    let entries = list(cmd_args(con, ["XRANGE", stream, "-", "+"]).unwrap());
    let user = |entry: Value| {
        let words: Vec<_> = list(list(entry)[1].clone()).iter().map(text).collect();
        words.iter().skip_while(|word| *word != "user").nth(1).expect("a user").clone()
    };
    entries.into_iter().map(user).collect()
}

/// The slots of these keys.
fn slots(cluster: &Cluster, keys: &[String]) -> Vec<usize> {
    if keys.is_empty() {
        return Vec::new();
    }
    let mut ask = redis::pipe();
    for key in keys {
        ask.cmd("CLUSTER").arg("KEYSLOT").arg(key);
    }
    ask.query(&mut cluster.nodes()[0].connection()).unwrap()
}

/// Every entry that there is, once, wherever it is: user and slot of the stream.
fn written(cluster: &Cluster) -> BTreeSet<(String, usize)> {
    let mut written = BTreeSet::new();
    for primary in cluster.primaries() {
        let mut con = cluster.nodes()[primary].connection();
        let streams = streams(&mut con);
        for (stream, slot) in streams.iter().zip(slots(cluster, &streams)) {
            // A node whose slot this is not would answer with MOVED.
            for user in users(&mut con, stream) {
                assert!(written.insert((user.clone(), slot)), "{user} twice");
            }
        }
    }
    written
}

#[test]
fn each_entry_is_in_the_slot_of_its_user_and_moves_with_it() {
    let cluster = start("session.audit-stream audit\nsession.key-form any");
    let key = |n: usize| if n.is_multiple_of(3) { format!("sessions:{{{n}}}") } else { format!("sessions:{n}") };
    let mut con = client(&cluster).get_connection().unwrap();
    let mut login = |key: &str| cmd_args(&mut con, ["SESSION.CREATE", key, "TOKEN", "NONE"]).unwrap();
    // The last ones have braces that make another hash tag than the user, or none.
    let odd = [("a{b}c", "a{b}c"), ("{d}e}", "d}e"), ("{}f}", "}f"), ("g{}h", "g{}h"), ("i}", "i}")];
    let odd_keys = odd.map(|(spelled, _)| format!("sessions:{spelled}"));
    let keys: Vec<String> = (0..300).map(key).chain(odd_keys).collect();
    for key in &keys {
        login(key);
    }
    let names = (0..300).map(|n| n.to_string()).chain(odd.map(|(_, user)| user.to_owned()));
    let expected: BTreeSet<_> = names.zip(slots(&cluster, &keys)).collect();
    assert_eq!(written(&cluster), expected);
    assert_replicas_equal(&cluster);

    let moved = key(7);
    let slot = cluster.slot_of(&moved);
    let to = cluster.primaries().into_iter().find(|primary| *primary != cluster.primary_of(slot)).unwrap();
    cluster.move_slot(slot, to);
    assert_eq!(written(&cluster), expected, "the stream has moved with its user");
    let stream = streams(&mut cluster.nodes()[to].connection()).into_iter().find(|name| cluster.slot_of(name) == slot);
    login(&moved);
    assert_eq!(users(&mut cluster.nodes()[to].connection(), &stream.unwrap()), ["7", "7"]);
}

#[test]
fn each_primary_says_how_far_readers_of_its_streams_are() {
    let cluster = start("session.audit-stream audit\nsession.audit-maxlen 100");
    let mut con = client(&cluster).get_connection().unwrap();
    for n in 0..60 {
        cmd_args(&mut con, ["SESSION.CREATE", &format!("sessions:{}", n % 20), "TOKEN", "NONE"]).unwrap();
    }
    for primary in cluster.primaries() {
        let mut con = cluster.nodes()[primary].connection();
        let streams = streams(&mut con);
        let length = |con: &mut Connection, stream: &str| redis::cmd("XLEN").arg(stream).query::<i64>(con).unwrap();
        let lengths: Vec<i64> = streams.iter().map(|stream| length(&mut con, stream)).collect();
        assert!(streams.len() > 1, "{streams:?}");
        // The second group has read one entry of the first stream, and the stream has dropped two.
        cmd_args(&mut con, ["XGROUP", "CREATE", &streams[0], "siem", "$"]).unwrap();
        cmd_args(&mut con, ["XGROUP", "CREATE", &streams[0], "slow", "0"]).unwrap();
        cmd_args(&mut con, ["XREADGROUP", "GROUP", "slow", "one", "COUNT", "1", "STREAMS", &streams[0], ">"]).unwrap();
        let left = (lengths[0] - 2).to_string();
        cmd_args(&mut con, ["XTRIM", &streams[0], "MAXLEN", &left]).unwrap();
        let behind = lengths[0] - 1;
        let wanted = [i64::try_from(streams.len()).unwrap(), lengths.iter().sum::<i64>() - 2, behind, 100 - behind, 1];
        wait_until("the node has looked at all its streams", || {
            let stats = fields(cmd_args(&mut con, ["SESSION.STATS"]).unwrap());
            let names = ["audit_streams", "audit_length", "audit_lag", "audit_headroom", "audit_lost"];
            names.map(|name| stats.int(name)) == wanted
        });
    }
}
