//! How little of the uses of sessions is replicated: those that move the last use by more than the granularity.

use std::time::Duration;

use redis::{ConnectionLike, Value};
use redis_session_core::sessions::{
    AgentPool, Check, Data, Effect, IdSource, NewSession, Presented, Rules, TokenFormat, UserSessions, encode_effects,
};
use redis_session_core::{SessionId, UnixMillis};
use redis_session_tests::{Server, ServerBuilder, amount, cmd, cmd_args, fields, now_ms};

use crate::chance::Random;

const START: u64 = 1_790_000_000_000;
const HOUR: u64 = 3_600_000;

fn rules(millis: u64) -> Rules {
    Rules::default().at(UnixMillis::new(START + millis).unwrap())
}

/// A user with one session, which has just begun.
fn user(id: SessionId, idle_secs: u32, agents: &mut AgentPool) -> UserSessions {
    let session = NewSession {
        id,
        source: IdSource::Random,
        expires_at: rules(24 * HOUR).now,
        idle_secs,
        ip: None,
        agent: None,
        device: None,
        tokens: TokenFormat::Opaque,
        token_ttl: None,
        refresh_secs: None,
        level: 0,
        claims: "",
        data: Data::default(),
    };
    let mut user = UserSessions::new();
    let creation = user.create(session, &rules(0)).unwrap();
    user.apply(&creation.effects, agents);
    user
}

/// What an effect takes in the stream: the command as it is sent.
fn bytes(user: usize, effect: &Effect<'_>) -> usize {
    let bulk = |length: usize| format!("${length}\r\n").len() + length + 2;
    let key = format!("sessions:{user}");
    "*3\r\n".len()
        + bulk("SESSION.APPLY".len())
        + bulk(key.len())
        + bulk(encode_effects(std::slice::from_ref(effect)).len())
}

/// Spreads so many uses at random over an hour and over so many sessions. Answers the bytes that are replicated, and those
/// that one command for each use would have taken.
fn hour(sessions: usize, uses: u64, granularity_secs: u64, idle_secs: u32) -> (usize, usize) {
    let mut random = Random::of(20_261_120);
    let mut agents = AgentPool::new();
    let ids: Vec<_> = (0..sessions)
        .map(|n| SessionId::from_random((u128::from(random.number()) << 64 | n as u128).to_be_bytes()))
        .collect();
    let mut users: Vec<_> = ids.iter().map(|id| user(id.clone(), idle_secs, &mut agents)).collect();
    let (mut replicated, mut each) = (0, 0);
    for n in 0..uses {
        let rules = Rules { touch_granularity: granularity_secs * 1000, ..rules(1 + n * HOUR / uses) };
        let at = random.below(sessions);
        let id = ids[at].clone();
        each += bytes(at, &Effect::Seen { id: id.clone(), at: rules.now });
        if let Ok(touch) = users[at].touch(&Presented::id(id), Check::default(), &rules) {
            replicated += touch.effects.iter().map(|effect| bytes(at, effect)).sum::<usize>();
        }
    }
    (replicated, each)
}

/// With `r` uses of a session in a second and a granularity of `g` seconds, one of `1 + r * g` is replicated.
///
/// `REDIS_TEST_USES` says how many uses there are in the hour. The number of sessions grows with it, so that each is used
/// as often.
#[test]
fn of_many_uses_in_an_hour_few_are_replicated() {
    let uses = amount("REDIS_TEST_USES", 100_000);
    for (uses_of_each, granularity, idle_secs, at_most) in [
        (uses, 60, 0, 120.0 / uses as f64),
        (10_000, 60, 1800, 0.01),
        (1000, 60, 1800, 0.06),
        (100, 60, 1800, 0.38),
        // The tenth of the idle timeout is less.
        (1000, 60, 60, 0.38),
        (1000, 600, 7200, 0.01),
    ] {
        let sessions = uses / uses_of_each;
        let (replicated, each) = hour(sessions, u64::try_from(uses).unwrap(), granularity, idle_secs);
        let ratio = replicated as f64 / each as f64;
        let window =
            if idle_secs > 0 { (granularity as f64).min(f64::from(idle_secs) / 10.0) } else { granularity as f64 };
        let rate = uses as f64 / sessions as f64 / 3600.0;
        let formula = 1.0 / (1.0 + rate * window);
        eprintln!(
            "{sessions:>6} sessions, granularity {granularity} s, idle timeout {idle_secs} s: {replicated} of {each} \
             bytes, {:.3} %; by the formula {:.3} %",
            ratio * 100.0,
            formula * 100.0
        );
        assert!(ratio <= at_most, "{sessions} {granularity} {idle_secs}: {ratio}");
        // An hour need not end where a window does.
        let windows = 3600.0 / (window + 1.0 / rate);
        assert!((ratio / formula - 1.0).abs() < 0.02 + 1.0 / windows, "{sessions} {granularity}: {ratio} {formula}");
    }
}

fn offset(server: &Server) -> i64 {
    server.info("replication", "master_repl_offset").parse().unwrap()
}

/// `REDIS_TEST_COMMANDS` says how many uses.
#[test]
fn a_server_sends_its_replicas_no_more_uses_than_fit_into_the_time() {
    const SESSIONS: usize = 1000;
    let uses = amount("REDIS_TEST_COMMANDS", 10_000);
    let quiet = || ServerBuilder::new().keys(&["one"]).config("repl-ping-replica-period 3600");
    let primary = quiet().start();
    let replica = quiet().replica_of(&primary).start();
    primary.wait_for_sync(&replica);
    let mut con = primary.connection();
    let mut random = Random::of_this_run();
    let began = now_ms(&mut con);
    let mut pipe = redis::pipe();
    for n in 0..SESSIONS {
        pipe.cmd("SESSION.CREATE").arg(format!("sessions:{n:04}")).arg(&["TOKEN", "OPAQUE", "IDLE", "86400"]);
    }
    let created: Vec<Value> = pipe.query(&mut con).unwrap();
    let users: Vec<_> =
        (0..).zip(created).map(|(n, reply)| (format!("sessions:{n:04}"), fields(reply).str("token"))).collect();
    let (key, token) = &users[0];
    cmd(&mut con, "CONFIG SET session.touch-granularity 0").unwrap();
    primary.advance(Duration::from_millis(2));
    let before = offset(&primary);
    cmd_args(&mut con, ["SESSION.TOUCH", key, token]).unwrap();
    let each = offset(&primary) - before;
    assert!(each > 0);

    for granularity in [1, 60] {
        cmd(&mut con, &format!("CONFIG SET session.touch-granularity {granularity}")).unwrap();
        let before = offset(&primary);
        let mut done = 0;
        while done < uses {
            let mut packed = Vec::new();
            for _ in 0..500 {
                let (key, token) = random.pick(&users);
                packed.extend(redis::cmd("SESSION.TOUCH").arg(key).arg(token).get_packed_command());
            }
            con.req_packed_commands(&packed, 0, 500).unwrap();
            done += 500;
            primary.advance(Duration::from_millis(granularity * 250));
        }
        let (sent, elapsed) = (offset(&primary) - before, now_ms(&mut con) - began);
        let windows = elapsed / 1000 / i64::try_from(granularity).unwrap();
        let most = i64::try_from(SESSIONS).unwrap() * windows * each;
        eprintln!(
            "granularity {granularity} s: {done} uses of {SESSIONS} sessions, {elapsed} ms after the first began: {sent} \
             bytes of {} for one command each, {:.3} %",
            i64::try_from(done).unwrap() * each,
            100.0 * sent as f64 / (done as f64 * each as f64)
        );
        assert!(sent > 0 && sent <= most, "{sent} bytes, at most {most}");
    }
    primary.wait_for_sync(&replica);
}
