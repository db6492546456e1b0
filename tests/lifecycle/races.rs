//! Everything at once, over many connections. A test that bears a project's name and a number is of a race that its users
//! have lost and reported there.

use std::collections::HashSet;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;

use redis::{Connection, Value};
use redis_session_tests::{
    Fields, Server, cmd, create, error_text, fields, ids, int, list, now_ms, verdict, verdict_with,
};

use crate::steps::{KEY, answer_of, generation, refreshed, set};

/// As many connections as take part in the larger races.
const MANY: usize = 64;

/// Runs `work` for each round on as many connections at once as there are workers; `before` each round and `after` it
/// on one of its own, which the workers' results are given to.
fn rounds<S: Sync, T: Send>(
    server: &Server,
    workers: usize,
    count: usize,
    before: impl Fn(usize, &mut Connection) -> S,
    work: impl Fn(usize, &S, &mut Connection) -> T + Sync,
    after: impl Fn(&S, Vec<T>, &mut Connection),
) {
    let mut con = server.connection();
    let mut connections: Vec<_> = (0..workers).map(|_| server.connection()).collect();
    for round in 0..count {
        let (shared, barrier) = (before(round, &mut con), Barrier::new(workers));
        let results = thread::scope(|scope| {
            let workers: Vec<_> = connections
                .iter_mut()
                .enumerate()
                .map(|(n, con)| {
                    let (shared, barrier, work) = (&shared, &barrier, &work);
                    scope.spawn(move || {
                        barrier.wait();
                        work(n, shared, con)
                    })
                })
                .collect();
            workers.into_iter().map(|worker| worker.join().expect("a worker")).collect()
        });
        after(&shared, results, &mut con);
    }
}

fn refresh_once(token: &str, con: &mut Connection) -> Fields {
    fields(cmd(con, &format!("SESSION.REFRESH {KEY} {token}")).unwrap())
}

#[test]
fn keycloak_45647_of_many_refreshes_of_one_token_all_get_the_one_successor() {
    let server = Server::start();
    rounds(
        &server,
        MANY,
        64,
        |round, con| create(con, &format!("{KEY} ID round{round} MAX 1 REFRESH 1000")).str("refresh_token"),
        |_, token, con| refresh_once(token, con),
        |token, granted, con| {
            assert_eq!(granted.len(), MANY);
            // Exactly the same: the refresh token, the JWT and their times.
            assert!(granted.iter().all(|other| *other == granted[0]), "{granted:?}");
            let successor = granted[0].str("refresh_token");
            assert_eq!((generation(token), generation(&successor)), (0, 1));
            assert_eq!(verdict(con, KEY, &granted[0].str("token")), "active");
            assert_eq!(generation(&refresh_once(&successor, con).str("refresh_token")), 2);
        },
    );
}

#[test]
fn keycloak_45647_without_a_grace_one_wins_and_the_rest_are_taken_for_thieves() {
    let server = Server::start();
    set(&mut server.connection(), "session.refresh-grace 0");
    rounds(
        &server,
        16,
        32,
        |round, con| create(con, &format!("{KEY} ID round{round} MAX 1 REFRESH 1000")),
        |_, created, con| refreshed(con, created.str("refresh_token")),
        |created, outcomes, con| {
            assert_eq!(outcomes.iter().filter(|outcome| *outcome == "granted").count(), 1, "{outcomes:?}");
            assert_eq!(outcomes.iter().filter(|outcome| *outcome == "reused").count(), 15, "{outcomes:?}");
            assert_eq!(verdict(con, KEY, &created.str("token")), "reused");
        },
    );
}

#[test]
fn keycloak_45647_a_chain_that_many_follow_at_once_never_forks() {
    let server = Server::start();
    let mut con = server.connection();
    set(&mut con, "session.refresh-grace 3600");
    let first = create(&mut con, &format!("{KEY} ID one REFRESH 1000")).str("refresh_token");
    // Each waits for nobody, so a token may be two generations old when it is offered: that is theft, and ends it.
    let chains: Vec<Vec<String>> = thread::scope(|scope| {
        let workers: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let (mut con, mut chain) = (server.connection(), vec![first.clone()]);
                    while chain.len() <= 50 {
                        let line = format!("SESSION.REFRESH {KEY} {}", chain.last().unwrap());
                        let answer = answer_of(&mut con, &line).unwrap();
                        if answer.has("reason") {
                            assert_eq!(answer.str("reason"), "reused");
                            break;
                        }
                        chain.push(answer.str("refresh_token"));
                    }
                    chain
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    for (at, token) in chains.iter().flat_map(|chain| chain.iter().enumerate()) {
        assert_eq!(generation(token), u32::try_from(at).unwrap());
        assert!(chains.iter().all(|chain| chain.get(at).is_none_or(|other| other == token)), "generation {at}");
    }
    assert!(chains.iter().any(|chain| chain.len() > 1));
}

#[test]
fn keycloak_14689_however_many_log_in_at_once_nobody_sees_more_than_the_limit() {
    let server = Server::start();
    let (done, looks) = (AtomicBool::new(false), AtomicUsize::new(0));
    let most = thread::scope(|scope| {
        let observer = scope.spawn(|| {
            let (mut con, mut most) = (server.connection(), 0);
            while !done.load(SeqCst) {
                let counted = int(&mut con, &format!("SESSION.COUNT {KEY}"));
                let listed = list(cmd(&mut con, &format!("SESSION.LIST {KEY}")).unwrap()).len();
                most = most.max(counted).max(i64::try_from(listed).unwrap());
                looks.fetch_add(1, SeqCst);
            }
            most
        });
        rounds(
            &server,
            MANY,
            8,
            |_, _| (),
            |_, (), con| {
                let created = create(con, &format!("{KEY} MAX 5 REFRESH 1000"));
                (created.str("id"), created.strings("evicted"))
            },
            |(), logins, con| {
                let made: HashSet<_> = logins.iter().map(|(id, _)| id).collect();
                assert_eq!(made.len(), MANY);
                let evicted: Vec<_> = logins.iter().flat_map(|(_, evicted)| evicted).collect();
                assert_eq!(evicted.iter().collect::<HashSet<_>>().len(), evicted.len());
                let left = ids(con, KEY);
                assert_eq!(left.len(), 5);
                assert!(left.iter().all(|id| made.contains(id) && !evicted.contains(&id)));
            },
        );
        done.store(true, SeqCst);
        observer.join().unwrap()
    });
    assert!((1..=5).contains(&most), "{most}");
    assert!(looks.into_inner() > 8);
}

#[test]
fn connect_redis_328_touches_and_changes_that_race_a_logout_never_leave_the_session_alive() {
    let server = Server::start();
    set(&mut server.connection(), "session.touch-granularity 0");
    let alive = AtomicUsize::new(0);
    rounds(
        &server,
        8,
        200,
        |round, con| {
            let kind = if round % 2 == 0 { "JWT" } else { "OPAQUE" };
            create(con, &format!("{KEY} ID round{round} IDLE 100 TOKEN {kind} REFRESH 1000"))
        },
        |n, created, con| {
            let (id, token) = (created.str("id"), created.str("token"));
            if n == 0 {
                assert_eq!(int(con, &format!("SESSION.REVOKE {KEY} {id}")), 1);
                return;
            }
            let mut dead = false;
            for k in 0..3 {
                let answer = match n % 3 {
                    0 => verdict_with(con, ["SESSION.TOUCH", KEY, &token, "FULL"]),
                    1 => match cmd(con, &format!("SESSION.SET {KEY} {id} field{k} {n}")) {
                        Ok(count) => {
                            assert_eq!(count, Value::Int(1));
                            "active".into()
                        }
                        Err(error) => error_text(&error).replace("NOSESSION the session is not alive: ", ""),
                    },
                    _ => refreshed(con, created.str("refresh_token")).replace("granted", "active"),
                };
                assert!(answer == "revoked" || (answer == "active" && !dead), "{answer} after it was dead: {dead}");
                dead = answer == "revoked";
                alive.fetch_add(usize::from(!dead), SeqCst);
            }
        },
        |created, _, con| {
            assert_eq!(verdict(con, KEY, &created.str("token")), "revoked");
            assert_eq!(refreshed(con, created.str("refresh_token")), "revoked");
            assert_eq!(int(con, &format!("SESSION.COUNT {KEY}")), 0);
            assert_eq!(cmd(con, &format!("SESSION.GET {KEY} {}", created.str("id"))).unwrap(), Value::Nil);
        },
    );
    // Some of them came first, or it was no race.
    assert!(alive.into_inner() > 0);
}

#[test]
fn spring_session_1111_a_change_that_races_a_logout_does_not_make_the_key_again() {
    let server = Server::start();
    for (end, reason) in [("DEL sessions:42", "unknown"), ("SESSION.REVOKE sessions:42 one", "revoked")] {
        let came_first = AtomicUsize::new(0);
        rounds(
            &server,
            8,
            200,
            |_, con| {
                cmd(con, "FLUSHALL").unwrap();
                create(con, &format!("{KEY} ID one DATA 1 a 1"));
            },
            |n, (), con| {
                if n == 0 {
                    assert_eq!(int(con, end), 1);
                    return;
                }
                for k in 0..3 {
                    let line = match n % 2 {
                        0 => format!("SESSION.SET {KEY} one field{k} {n}"),
                        _ => format!("SESSION.UNSET {KEY} one field{k}"),
                    };
                    match cmd(con, &line) {
                        Ok(_) => drop(came_first.fetch_add(1, SeqCst)),
                        Err(error) => {
                            let expected = format!("NOSESSION the session is not alive: {reason}");
                            assert_eq!(error_text(&error), expected);
                        }
                    }
                }
            },
            |(), _, con| {
                assert_eq!(cmd(con, "SESSION.GET sessions:42 one").unwrap(), Value::Nil);
                assert_eq!(int(con, "SESSION.COUNT sessions:42"), 0);
                if reason == "unknown" {
                    assert_eq!(int(con, "EXISTS sessions:42"), 0);
                }
            },
        );
        assert!(came_first.into_inner() > 0);
    }
}

/// What a logout of everyone at one moment did, with nothing in between.
struct Logout {
    /// The server's clock right before it.
    at: i64,
    before: Vec<String>,
    revoked: i64,
    after: Vec<String>,
}

fn log_out_everywhere(con: &mut Connection) -> Logout {
    let ids = |listed: Value| list(listed).into_iter().map(|session| fields(session).str("id")).collect();
    let at = now_ms(con);
    let (before, revoked, after): (Value, i64, Value) = redis::pipe()
        .atomic()
        .cmd("SESSION.LIST")
        .arg(KEY)
        .cmd("SESSION.REVOKEUSER")
        .arg(KEY)
        .cmd("SESSION.LIST")
        .arg(KEY)
        .query(con)
        .unwrap();
    Logout { at, before: ids(before), revoked, after: ids(after) }
}

#[test]
fn better_auth_11073_what_is_alive_after_a_logout_everywhere_was_begun_after_it() {
    let server = Server::start();
    set(&mut server.connection(), "session.max-per-user 10000");
    let (ended, outlived) = (AtomicUsize::new(0), AtomicUsize::new(0));
    rounds(
        &server,
        9,
        50,
        |_, con| {
            // Refreshed in the race, so some are in flight when it happens.
            (0..8).map(|_| create(con, &format!("{KEY} REFRESH 1000"))).collect::<Vec<_>>()
        },
        |n, there, con| {
            let Some(mine) = n.checked_sub(1) else { return (Some(log_out_everywhere(con)), Vec::new()) };
            let mut seen = vec![there[mine].clone()];
            for _ in 0..2 {
                let line = format!("SESSION.REFRESH {KEY} {}", seen.last().unwrap().str("refresh_token"));
                let answer = fields(cmd(con, &line).unwrap());
                if answer.has("reason") {
                    assert_eq!(answer.str("reason"), "user_revoked");
                } else {
                    seen.push(answer);
                }
                seen.push(create(con, &format!("{KEY} REFRESH 1000")));
            }
            (None, seen)
        },
        |_, results, con| {
            let mut logouts = Vec::new();
            let mut tokens = Vec::new();
            for (logout, seen) in results {
                logouts.extend(logout);
                tokens.extend(seen);
            }
            let [logout] = &logouts[..] else { panic!("one logout") };
            assert_eq!(logout.revoked, i64::try_from(logout.before.len()).unwrap());
            assert_eq!(logout.after, Vec::<String>::new());
            let before: HashSet<_> = logout.before.iter().cloned().collect();
            for session in list(cmd(con, &format!("SESSION.LIST {KEY}")).unwrap()).into_iter().map(fields) {
                assert!(!before.contains(&session.str("id")), "{session:?}");
                assert!(session.int("created_at") >= logout.at, "{session:?}");
            }
            for granted in &tokens {
                let dead = before.contains(&granted.str("id"));
                let expected = if dead { "user_revoked" } else { "active" };
                assert_eq!(verdict(con, KEY, &granted.str("token")), expected);
                if dead {
                    assert_eq!(refreshed(con, granted.str("refresh_token")), "user_revoked");
                    ended.fetch_add(1, SeqCst);
                } else {
                    outlived.fetch_add(1, SeqCst);
                }
            }
            cmd(con, "FLUSHALL").unwrap();
        },
    );
    assert!(ended.into_inner() > 0 && outlived.into_inner() > 0, "no race");
}

#[test]
fn of_many_that_rename_one_session_one_succeeds() {
    let server = Server::start();
    rounds(
        &server,
        16,
        32,
        |_, con| create(con, &format!("{KEY} MAX 1 REFRESH 1000")),
        |_, created, con| answer_of(con, &format!("SESSION.REGENERATE {KEY} {}", created.str("id"))).unwrap(),
        |created, answers, con| {
            let (refused, granted): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.has("reason"));
            assert!(refused.iter().all(|answer| answer.str("reason") == "revoked"));
            assert_eq!((granted.len(), refused.len()), (1, 15));
            assert_eq!(ids(con, KEY), [granted[0].str("id")]);
            assert_eq!(verdict(con, KEY, &created.str("token")), "revoked");
        },
    );
}

#[test]
fn of_many_that_count_at_once_none_is_lost() {
    let server = Server::start();
    let mut con = server.connection();
    create(&mut con, &format!("{KEY} ID one"));
    let each = 10_000_usize.div_ceil(MANY);
    thread::scope(|scope| {
        for _ in 0..MANY {
            scope.spawn(|| {
                let mut con = server.connection();
                let mut last = 0;
                for _ in 0..each {
                    let sum = int(&mut con, &format!("SESSION.INCRBY {KEY} one n 1"));
                    assert!(sum > last);
                    last = sum;
                }
            });
        }
    });
    let all = i64::try_from(MANY * each).unwrap();
    assert_eq!(int(&mut con, &format!("SESSION.INCRBY {KEY} one n 0")), all);
    assert_eq!(fields(cmd(&mut con, &format!("SESSION.GET {KEY} one")).unwrap()).int("version"), all + 1);
}
