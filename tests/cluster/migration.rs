//! Slots that move to another node while clients are at work.
//!
//! `REDIS_TEST_ROUNDS` says how often each slot moves.

use redis_session_tests::{Cluster, Server, amount, cmd, list, wait_until};

use crate::links::{to_cluster, to_cluster_async};
use crate::load::Load;
use crate::nodes::{assert_replicas_equal, errors_sent, start};

const USERS: usize = 8;

#[test]
fn slots_move_under_load_and_no_session_is_lost_or_comes_back() {
    let cluster = start("");
    let load = clients(&cluster);
    load.go_on(100);
    let move_all = || {
        for slot in slots(&cluster) {
            cluster.move_slot_on(slot);
        }
        load.go_on(50);
    };
    (0..amount("REDIS_TEST_ROUNDS", 1)).for_each(|_| move_all());
    // A client that comes while a slot is on its way is sent there by ASK.
    wait_until("clients have met slots on their way", || {
        let met = errors_sent(&cluster, "ASK") > 0;
        if !met {
            move_all();
        }
        met
    });
    finish(&cluster, load);
    assert!(errors_sent(&cluster, "MOVED") > 0, "no client met a slot that had moved");
}

#[test]
fn slots_that_move_at_once_lose_no_session_and_bring_none_back() {
    let known = cmd(&mut Server::start().connection(), "COMMAND INFO CLUSTER|MIGRATESLOTS").unwrap();
    if list(known).iter().all(|command| *command == redis::Value::Nil) {
        // Only Valkey 9 and newer can.
        return;
    }
    let cluster = start("");
    let load = clients(&cluster);
    load.go_on(100);
    for _ in 0..amount("REDIS_TEST_ROUNDS", 1) {
        let all = slots(&cluster);
        for from in cluster.primaries() {
            let slots: Vec<usize> = all.iter().copied().filter(|&slot| cluster.primary_of(slot) == from).collect();
            cluster.move_slots_at_once(&slots, (from + 1) % 3);
            load.go_on(50);
        }
    }
    finish(&cluster, load);
    assert!(errors_sent(&cluster, "MOVED") > 0, "no client met a slot that had moved");
}

/// Fails if a client saw an error, or anything is otherwise than the clients know it to be, on primaries and replicas.
fn finish(cluster: &Cluster, load: Load) {
    let outcome = load.stop();
    cluster.wait_until_whole();
    assert!(outcome.errors.is_empty(), "{:?}", outcome.errors);
    let tally = outcome.verify(&to_cluster(cluster));
    eprintln!("{tally:?}, {:?}", outcome.successes);
    assert!(tally.alive > 0 && tally.ended > 0 && tally.unknown == 0, "{tally:?}");
    assert_replicas_equal(cluster);
}

fn clients(cluster: &Cluster) -> Load {
    let connects = vec![to_cluster(cluster), to_cluster_async(cluster), to_cluster(cluster), to_cluster_async(cluster)];
    Load::start(connects, USERS, None)
}

/// The slots of all users.
fn slots(cluster: &Cluster) -> Vec<usize> {
    let mut slots: Vec<usize> = Load::keys(4, USERS).iter().map(|key| cluster.slot_of(key)).collect();
    slots.sort_unstable();
    slots.dedup();
    slots
}
