//! Commands of many connections at once.

use std::collections::HashSet;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;

use redis_session_tests::{Server, cmd, create, error_text, fields, ids, int, list, login, verdict_with};

const THREADS: usize = 32;

/// Runs `work` on as many connections at once, and collects what they return.
fn at_once<T: Send>(
    server: &Server,
    threads: usize,
    work: impl Fn(usize, &mut redis::Connection) -> T + Sync,
) -> Vec<T> {
    let barrier = Barrier::new(threads);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|n| {
                let (barrier, work) = (&barrier, &work);
                scope.spawn(move || {
                    let mut con = server.connection();
                    barrier.wait();
                    work(n, &mut con)
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().expect("a worker")).collect()
    })
}

/// Touches a token from four connections while `end` ends its session: once ended, no touch is answered `active`.
fn touches_lose_against(end: &str, reason: &str, kind: &str) {
    let server = Server::start();
    let mut con = server.connection();
    cmd(&mut con, "CONFIG SET session.touch-granularity 0").unwrap();
    for round in 0..20 {
        let token = login(&mut con, &format!("sessions:42 ID round{round} IDLE 100 TOKEN {kind}"));
        let (touched, ended, seen_dead) = (AtomicUsize::new(0), AtomicBool::new(false), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut con = server.connection();
                    let mut dead = false;
                    while !dead || !ended.load(SeqCst) {
                        let ended_before = ended.load(SeqCst);
                        let answer = verdict_with(&mut con, ["SESSION.TOUCH", "sessions:42", &token]);
                        touched.fetch_add(1, SeqCst);
                        assert!(answer == reason || (answer == "active" && !ended_before && !dead), "{answer}");
                        dead = answer == reason;
                    }
                    seen_dead.fetch_add(1, SeqCst);
                });
            }
            while touched.load(SeqCst) < 20 {
                thread::yield_now();
            }
            assert_eq!(int(&mut con, &end.replace("ROUND", &format!("round{round}"))), 1);
            ended.store(true, SeqCst);
        });
        assert_eq!(seen_dead.into_inner(), 4);
        assert_eq!(verdict_with(&mut con, ["SESSION.VALIDATE", "sessions:42", &token]), reason);
        assert_eq!(int(&mut con, "SESSION.COUNT sessions:42"), 0);
    }
}

#[test]
fn a_touch_that_races_a_revoke_loses() {
    touches_lose_against("SESSION.REVOKE sessions:42 ROUND", "revoked", "JWT");
}

#[test]
fn a_touch_that_races_a_logout_everywhere_loses() {
    touches_lose_against("SESSION.REVOKEUSER sessions:42", "user_revoked", "OPAQUE");
}

#[test]
fn a_touch_that_races_the_keys_deletion_loses() {
    touches_lose_against("DEL sessions:42", "unknown", "OPAQUE");
}

#[test]
fn the_limit_is_never_passed_however_many_log_in_at_once() {
    let server = Server::start();
    let done = AtomicBool::new(false);
    let observed = thread::scope(|scope| {
        let observer = scope.spawn(|| {
            let mut con = server.connection();
            let mut most = 0;
            while !done.load(SeqCst) {
                let count = int(&mut con, "SESSION.COUNT sessions:42");
                let listed = list(cmd(&mut con, "SESSION.LIST sessions:42").unwrap()).len();
                most = most.max(count).max(listed as i64);
            }
            most
        });
        let logins = at_once(&server, THREADS, |_, con| {
            (0..10)
                .map(|_| {
                    let created = create(con, "sessions:42 MAX 5");
                    assert!(int(con, "SESSION.COUNT sessions:42") <= 5);
                    (created.str("id"), created.strings("evicted"))
                })
                .collect::<Vec<_>>()
        });
        done.store(true, SeqCst);
        let logins: Vec<_> = logins.into_iter().flatten().collect();
        let evicted: Vec<_> = logins.iter().flat_map(|(_, evicted)| evicted.clone()).collect();
        let made: HashSet<_> = logins.iter().map(|(id, _)| id.clone()).collect();
        assert_eq!(made.len(), THREADS * 10);
        // Each was evicted once, and all but those that are left.
        assert_eq!(evicted.iter().collect::<HashSet<_>>().len(), evicted.len());
        assert_eq!(evicted.len(), made.len() - 5);
        let left: HashSet<_> = ids(&mut server.connection(), "sessions:42").into_iter().collect();
        assert_eq!(left, made.into_iter().filter(|id| !evicted.contains(id)).collect());
        observer.join().unwrap()
    });
    assert!((1..=5).contains(&observed), "{observed}");
}

#[test]
fn with_reject_exactly_as_many_log_in_as_the_limit_allows() {
    let server = Server::start();
    let outcomes = at_once(&server, THREADS, |_, con| {
        cmd(con, "SESSION.CREATE sessions:42 MAX 5 REJECT").map_err(|error| error_text(&error))
    });
    let refused: Vec<_> = outcomes.into_iter().filter_map(Result::err).collect();
    assert_eq!(refused.len(), THREADS - 5);
    assert!(refused.iter().all(|text| text == "SESSIONLIMIT the user has 5 live sessions, the limit"), "{refused:?}");
    assert_eq!(int(&mut server.connection(), "SESSION.COUNT sessions:42"), 5);
}

#[test]
fn of_logins_with_one_id_one_succeeds() {
    let server = Server::start();
    let outcomes = at_once(&server, THREADS, |n, con| {
        cmd(con, &format!("SESSION.CREATE sessions:42 ID one AGENT a{n}")).map_err(|error| error_text(&error))
    });
    let refused: Vec<_> = outcomes.into_iter().filter_map(Result::err).collect();
    assert_eq!(refused.len(), THREADS - 1);
    assert!(refused.iter().all(|text| text.starts_with("SESSIONEXISTS ")), "{refused:?}");
}

#[test]
fn of_revocations_of_one_session_one_counts() {
    let server = Server::start();
    let token = login(&mut server.connection(), "sessions:42 ID one");
    let counts = at_once(&server, THREADS, |n, con| {
        let name = if n % 2 == 0 { "one" } else { &token };
        int(con, &format!("SESSION.REVOKE sessions:42 {name}"))
    });
    assert_eq!(counts.into_iter().sum::<i64>(), 1);
}

#[test]
fn refreshes_with_one_token_all_get_the_same_successor() {
    let server = Server::start();
    let mut con = server.connection();
    let first = create(&mut con, "sessions:42 ID one REFRESH 1000").str("refresh_token");
    let refreshed = at_once(&server, THREADS, |_, con| {
        fields(cmd(con, &format!("SESSION.REFRESH sessions:42 {first}")).unwrap()).str("refresh_token")
    });
    let successors: HashSet<_> = refreshed.into_iter().collect();
    assert_eq!(successors.len(), 1);
    let second = successors.into_iter().next().unwrap();
    assert_ne!(second, first);
    let third = fields(cmd(&mut con, &format!("SESSION.REFRESH sessions:42 {second}")).unwrap()).str("refresh_token");
    assert_eq!(verdict_with(&mut con, ["SESSION.REFRESH", "sessions:42", &first]), "reused");
    assert_eq!(verdict_with(&mut con, ["SESSION.REFRESH", "sessions:42", &third]), "reused");
    assert_eq!(int(&mut con, "SESSION.COUNT sessions:42"), 0);
}

#[test]
fn every_login_is_ended_by_one_of_the_logouts_that_race_it_or_is_left() {
    let server = Server::start();
    let revoked = at_once(&server, 8, |n, con| {
        let mut revoked = 0;
        for _ in 0..50 {
            if n % 2 == 0 {
                fields(cmd(con, "SESSION.CREATE sessions:42 MAX 1000").unwrap());
            } else {
                revoked += int(con, "SESSION.REVOKEUSER sessions:42");
            }
        }
        revoked
    });
    let left = int(&mut server.connection(), "SESSION.COUNT sessions:42");
    assert_eq!(revoked.into_iter().sum::<i64>() + left, 4 * 50);
}
