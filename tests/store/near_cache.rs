//! Checks that are answered from memory.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use redis_session::{CreateOptions, Created, Reason, RegenerateOptions, TokenFormat};
use redis_session_store::{
    Login, NearCache, NearCacheFigures, Policy, ReconnectingConnection, SessionStore, StoreError, Visitor,
};
use redis_session_tests::near::{is_remembered, verdict};
use redis_session_tests::{Sentinels, Server, ServerBuilder, amount, ask, cmd, create, jwk_set, now_ms};
use tokio::sync::RwLock;

use crate::forwarder::Forwarder;
use crate::{secs, sentinels_primary, token};

type Store = SessionStore<ReconnectingConnection>;

fn server() -> Server {
    ServerBuilder::new().keys(&["one"]).start()
}

fn near(url: impl AsRef<str>, settings: NearCache) -> Store {
    SessionStore::connect(url.as_ref()).unwrap().near_cache(settings)
}

/// One that holds answers for as long as anybody could want.
fn lasting(server: &Server) -> Store {
    near(server.url(), NearCache::new().max_age(secs(3600)))
}

fn figures(store: &Store) -> NearCacheFigures {
    store.near_cache_figures().unwrap()
}

async fn login(store: &Store, user: &str) -> Created {
    store.login(&Login::new(user)).await.unwrap()
}

/// Asks until the answer comes from memory.
async fn remember(store: &Store, token: &str) {
    until("an answer is remembered", async || is_remembered(store, token).await).await;
}

async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + secs(30);
    while !condition().await {
        assert!(Instant::now() < deadline, "still waiting: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn until_refused(store: &Store, token: &str, reason: Reason) {
    until("a refusal", async || verdict(store, token).await == reason.as_str()).await;
}

#[tokio::test]
async fn a_check_is_answered_from_memory_until_its_key_is_changed_by_anyone() {
    let server = server();
    let (here, elsewhere) = (lasting(&server), SessionStore::connect(server.url()).unwrap());
    let (one, other) = (login(&here, "42").await, login(&here, "42").await);
    let stranger = login(&here, "43").await;
    for created in [&one, &other, &stranger] {
        remember(&here, token(created)).await;
    }
    let before = server.info("commandstats", "cmdstat_SESSION.VALIDATE");
    for _ in 0..100 {
        let session = here.authenticate(token(&one), &Visitor::new()).await.unwrap();
        assert_eq!((session.user.as_str(), &session.id), ("42", &one.id));
    }
    assert_eq!(server.info("commandstats", "cmdstat_SESSION.VALIDATE"), before, "Redis is not asked");
    elsewhere.logout(token(&one)).await.unwrap();
    until_refused(&here, token(&one), Reason::Revoked).await;
    // All that is remembered of the user is gone, and nothing of others.
    assert!(is_remembered(&here, token(&stranger)).await);
    assert_eq!(verdict(&here, token(&other)).await, "active");
    for change in ["SESSION.SET sessions:42 ID field value", "SESSION.REVOKE sessions:42 ID", "DEL sessions:43"] {
        remember(&here, token(&other)).await;
        remember(&here, token(&stranger)).await;
        let before = figures(&here).invalidations;
        cmd(&mut server.connection(), &change.replace("ID", &other.id)).unwrap();
        until("the push", async || figures(&here).invalidations > before).await;
        if change.starts_with("DEL") {
            assert_eq!(verdict(&here, token(&stranger)).await, "unknown");
        } else if change.contains("REVOKE") {
            assert_eq!(verdict(&here, token(&other)).await, "revoked");
            break;
        }
    }
}

#[tokio::test]
async fn own_changes_hold_at_once() {
    let server = server();
    let here = lasting(&server);
    let policy = Policy::new(CreateOptions::new().refreshable().max_sessions(3));
    let here = here.policy(policy);
    for round in 0..50 {
        let user = format!("user {round}");
        let kept = login(&here, &user).await;
        let session = login(&here, &user).await;
        remember(&here, token(&session)).await;
        remember(&here, token(&kept)).await;
        let clone = here.clone();
        let expected = match round % 5 {
            0 => clone.logout(token(&session)).await.map(|_| "revoked"),
            1 => clone.logout_everywhere(&user).await.map(|_| "user_revoked"),
            2 => clone.logout_others(&user, &kept.id).await.map(|_| "revoked"),
            3 => clone.regenerate(token(&session), &RegenerateOptions::new()).await.map(|_| "revoked"),
            _ => clone.logout_session(&user, &session.id).await.map(|_| "revoked"),
        };
        let verdict = verdict(&here, token(&session)).await;
        assert!(verdict == expected.unwrap() || verdict == "user_revoked", "{round}: {verdict}");
    }
    // A login that evicts.
    let first = login(&here, "many").await;
    remember(&here, token(&first)).await;
    for _ in 0..3 {
        login(&here, "many").await;
    }
    assert_eq!(verdict(&here, token(&first)).await, "evicted");
}

#[tokio::test]
async fn what_is_refused_is_asked_each_time() {
    let server = server();
    let here = lasting(&server);
    let created = login(&here, "42").await;
    remember(&here, token(&created)).await;
    let dead = login(&here, "43").await;
    here.logout(token(&dead)).await.unwrap();
    for refused in [token(&dead), "nonsense", "rst1.a.b.c"] {
        for _ in 0..5 {
            assert!(!is_remembered(&here, refused).await);
        }
    }
    assert_eq!(figures(&here).entries, 1);
}

#[tokio::test]
async fn a_change_that_concerns_everyone_drops_all() {
    let server = server();
    server.write("keys.json", jwk_set(&["one"]));
    let here = lasting(&server);
    let changes = [
        "SESSION.REVOKEALL",
        "CONFIG SET session.not-before 1",
        "CONFIG SET session.issuer https://login.example",
        "CONFIG SET session.leeway 3",
        "SESSION.RELOADKEYS",
        "FLUSHALL",
    ];
    for change in changes {
        let created = login(&here, "42").await;
        remember(&here, token(&created)).await;
        let before = figures(&here).clearances;
        cmd(&mut server.connection(), change).unwrap();
        until(change, async || figures(&here).clearances > before).await;
        assert!(!is_remembered(&here, token(&created)).await, "{change}");
    }
}

#[tokio::test]
async fn everyone_is_logged_out_of_a_replica_too() {
    let primary = ServerBuilder::new().keys(&["one"]).start();
    let replica = ServerBuilder::new().keys(&["one"]).replica_of(&primary).start();
    primary.wait_for_sync(&replica);
    let there = SessionStore::connect(primary.url()).unwrap();
    let gateway = lasting(&replica);
    let (one, other) = (there.login(&Login::new("42")).await.unwrap(), there.login(&Login::new("43")).await.unwrap());
    primary.wait_for_sync(&replica);
    for created in [&one, &other] {
        remember(&gateway, token(created)).await;
    }
    there.logout(token(&one)).await.unwrap();
    until_refused(&gateway, token(&one), Reason::Revoked).await;
    assert!(is_remembered(&gateway, token(&other)).await);
    cmd(&mut primary.connection(), "SESSION.REVOKEALL").unwrap();
    until_refused(&gateway, token(&other), Reason::UserRevoked).await;
}

#[tokio::test]
async fn all_is_forgotten_with_the_connection_that_tracks() {
    let server = server();
    let here = lasting(&server);
    let mut con = server.connection();
    for round in 0..20 {
        let key = format!("sessions:{round}");
        let created = create(&mut con, &key);
        let token = created.str("token");
        remember(&here, &token).await;
        // In one step, so that no push can tell of the logout.
        let revoke = format!("SESSION.REVOKE {key} {}", created.str("id"));
        for line in ["MULTI", "CLIENT KILL TYPE normal", "CLIENT KILL TYPE pubsub", &revoke, "EXEC"] {
            cmd(&mut con, line).unwrap();
        }
        until("the connection's end is known", async || figures(&here).clearances > round).await;
        until_refused(&here, &token, Reason::Revoked).await;
    }
}

#[tokio::test]
async fn a_frozen_connection_is_believed_for_three_seconds_and_no_longer_than_max_age() {
    let server = server();
    for (max_age, most) in [(secs(3600), secs(3)), (Duration::from_millis(300), Duration::from_millis(300))] {
        let forwarder = Forwarder::to(server.port());
        let here = near(forwarder.url(), NearCache::new().max_age(max_age));
        let elsewhere = SessionStore::connect(server.url()).unwrap();
        let created = elsewhere.login(&Login::new("42")).await.unwrap();
        remember(&here, token(&created)).await;
        forwarder.silence_connections();
        elsewhere.logout(token(&created)).await.unwrap();
        let acknowledged = Instant::now();
        let mut accepted = 0;
        loop {
            let asked = Instant::now();
            let hits = figures(&here).hits;
            let verdict = verdict(&here, token(&created)).await;
            if verdict == "active" {
                assert!(figures(&here).hits > hits && asked - acknowledged <= most, "{:?}", asked - acknowledged);
                accepted += 1;
            } else if verdict == "revoked" {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        println!("max_age {max_age:?}: {accepted} acceptances after the logout, all within {most:?}");
    }
}

#[tokio::test]
async fn an_answer_is_asked_again_after_max_age() {
    let server = server();
    let here = near(server.url(), NearCache::new().max_age(Duration::from_millis(200)));
    let created = login(&here, "42").await;
    remember(&here, token(&created)).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!is_remembered(&here, token(&created)).await);
    remember(&here, token(&created)).await;
}

/// The server's clock is another than this machine's, and time that the server counts is held here.
#[tokio::test]
async fn deadlines_are_those_of_the_servers_clock() {
    for ahead in [Duration::ZERO, secs(7200)] {
        let server = server();
        server.advance(ahead);
        let short = Policy::new(CreateOptions::new().ttl(secs(2)));
        let token_short = Policy::new(CreateOptions::new().token(TokenFormat::Jwt).token_ttl(secs(2)));
        let idle = Policy::new(CreateOptions::new().idle(secs(2)));
        for policy in [short, token_short, idle] {
            let here = lasting(&server).policy(policy);
            let created = login(&here, "42").await;
            let begun = Instant::now();
            remember(&here, token(&created)).await;
            let mut hits = 0;
            while is_remembered(&here, token(&created)).await {
                hits += 1;
                assert!(begun.elapsed() <= secs(2), "an answer outlives its session");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            assert!(hits > 0);
        }
        // What the server's own clock says after a step is found out when it is asked.
        let here = lasting(&server).policy(Policy::new(CreateOptions::new().ttl(secs(600))));
        let created = login(&here, "42").await;
        server.advance(secs(599));
        let begun = Instant::now();
        while verdict(&here, token(&created)).await == "active" {
            assert!(begun.elapsed() < secs(2), "the time that is left is the server's");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test]
async fn uses_are_sent_at_most_once_in_a_tenth_of_the_idle_timeout() {
    let server = server();
    let here = lasting(&server).policy(Policy::new(CreateOptions::new().idle(secs(600))));
    let created = login(&here, "42").await;
    let last_seen =
        |con: &mut redis::Connection| ask(con, &format!("SESSION.GET sessions:42 {}", created.id)).int("last_seen_at");
    let mut con = server.connection();
    let begun = last_seen(&mut con);
    remember(&here, token(&created)).await;
    for _ in 0..100 {
        here.touch(token(&created), &Visitor::new()).await.unwrap();
    }
    assert_eq!((figures(&here).touches, last_seen(&mut con)), (0, begun), "it was used when it began");
    // As if a minute had passed: the cache drops what it remembers, so that the server's time is seen.
    server.advance(secs(60));
    here.set_data("42", &created.id, &HashMap::from([("a", 1)])).await.unwrap();
    remember(&here, token(&created)).await;
    for _ in 0..100 {
        here.touch(token(&created), &Visitor::new()).await.unwrap();
    }
    until("the use is sent", async || figures(&here).touches == 1).await;
    let seen = last_seen(&mut con);
    assert!(seen >= begun + 60_000 && seen <= now_ms(&mut con));
    // A check that is no use sends none.
    server.advance(secs(60));
    here.set_data("42", &created.id, &HashMap::from([("a", 2)])).await.unwrap();
    for _ in 0..100 {
        here.authenticate(token(&created), &Visitor::new()).await.unwrap();
    }
    assert_eq!((figures(&here).touches, last_seen(&mut con)), (1, seen));
}

#[tokio::test]
async fn a_session_in_use_stays_and_one_that_is_not_idles_out() {
    let server = server();
    let here = lasting(&server).policy(Policy::new(CreateOptions::new().idle(secs(2))));
    let (used, unused) = (login(&here, "42").await, login(&here, "43").await);
    remember(&here, token(&unused)).await;
    let begun = Instant::now();
    while begun.elapsed() < secs(3) {
        here.touch(token(&used), &Visitor::new()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(verdict(&here, token(&unused)).await, "idle");
    assert!(figures(&here).touches >= 5, "{:?}", figures(&here));
}

#[tokio::test]
async fn an_answer_holds_for_the_device_and_the_details_that_were_asked_for() {
    let server = server();
    let plain = lasting(&server);
    let detailed = plain.clone().policy(Policy::default().details());
    let (laptop, thief) = (Visitor::new().device("laptop"), Visitor::new().device("thief"));
    let login = Login::new("42").visitor(&laptop.clone().ip([203, 0, 113, 7])).claims(r#"{"role":"editor"}"#);
    let created = plain.login(&login).await.unwrap();
    let token = token(&created);
    for _ in 0..20 {
        assert!(plain.authenticate(token, &laptop).await.unwrap().details.is_none());
        let refused = plain.authenticate(token, &thief).await.unwrap_err();
        assert!(matches!(refused, StoreError::Refused(inactive) if inactive.reason == Reason::Device));
    }
    for _ in 0..20 {
        for (address, is_new) in [(7, false), (8, true)] {
            let visitor = laptop.clone().ip([203, 0, 113, address]);
            let details = detailed.authenticate(token, &visitor).await.unwrap().details.clone().unwrap();
            assert_eq!((details.new_ip, details.claims.as_deref()), (is_new, Some(r#"{"role":"editor"}"#)));
        }
    }
    assert!(figures(&plain).hits > 40, "{:?}", figures(&plain));
}

#[tokio::test]
async fn another_key_prefix_is_another_cache() {
    let server = server();
    let here = lasting(&server);
    let created = login(&here, "42").await;
    remember(&here, token(&created)).await;
    let other = here.clone().keys(redis_session::KeyPrefix::new("others:"));
    assert_ne!(verdict(&other, token(&created)).await, "active");
}

/// No channel, no tracking, RESP2: Redis is asked each time, and it is said why.
#[tokio::test]
async fn where_nothing_can_be_tracked_redis_is_asked_each_time() {
    let server = server();
    let mut con = server.connection();
    let commands = "+session.create +session.validate +session.touch +session.revoke";
    for (user, rights, trouble) in [
        ("channelless", "resetchannels +@connection +subscribe", "channel"),
        ("mute", "&__redis_session__ +@connection", "subscribe"),
        ("untracked", "&__redis_session__ +subscribe +hello +ping", "client|tracking"),
        ("app", "resetchannels &__redis_session__ +@connection -@dangerous +subscribe", ""),
    ] {
        cmd(&mut con, &format!("ACL SETUSER {user} on >secret ~sessions:* -@all {rights} {commands}")).unwrap();
        let here = near(server.url().replace("redis://", &format!("redis://{user}:secret@")), NearCache::new());
        let created = login(&here, user).await;
        for _ in 0..3 {
            assert_eq!(verdict(&here, token(&created)).await, "active");
        }
        let figures = figures(&here);
        match trouble {
            "" => assert!(figures.trouble.is_none() && figures.hits > 0, "{figures:?}"),
            trouble => {
                assert!(figures.trouble.as_ref().is_some_and(|text| text.contains(trouble)), "{user}: {figures:?}");
                assert_eq!((figures.hits, figures.entries), (0, 0));
            }
        }
    }
    let client = server.client();
    let old = ReconnectingConnection::from_fn(move |config| {
        let client = client.clone();
        async move { client.get_multiplexed_async_connection_with_config(&config).await }
    });
    let here = SessionStore::new(old).near_cache(NearCache::new());
    let created = login(&here, "42").await;
    for _ in 0..3 {
        assert_eq!(verdict(&here, token(&created)).await, "active");
    }
    let figures = figures(&here);
    assert!(figures.trouble.as_ref().is_some_and(|text| text.contains("RESP3")), "{figures:?}");
    assert_eq!(figures.hits, 0);
}

#[tokio::test]
async fn a_failover_leaves_nothing_remembered() {
    let mut primary = server();
    let replica = server();
    cmd(&mut replica.connection(), &format!("REPLICAOF 127.0.0.1 {}", primary.port())).unwrap();
    primary.wait_for_sync(&replica);
    let sentinels = Sentinels::start(&primary, 1);
    let here = SessionStore::reconnecting(sentinels_primary(sentinels.urls()))
        .near_cache(NearCache::new().max_age(secs(3600)));
    let (one, other) = (login(&here, "42").await, login(&here, "43").await);
    for created in [&one, &other] {
        remember(&here, token(created)).await;
    }
    primary.wait_for_sync(&replica);
    primary.kill();
    sentinels.wait_for_another_than(primary.port());
    until("the new primary", async || {
        redis::cmd("ROLE")
            .query::<redis::Value>(&mut replica.connection())
            .is_ok_and(|role| format!("{role:?}").contains("master"))
    })
    .await;
    // Of this the old connection cannot tell.
    cmd(&mut replica.connection(), &format!("SESSION.REVOKE sessions:42 {}", one.id)).unwrap();
    let acknowledged = Instant::now();
    until("a refusal", async || {
        let verdict = verdict(&here, token(&one)).await;
        assert!(verdict != "active" || acknowledged.elapsed() <= secs(3), "{verdict}");
        verdict == "revoked"
    })
    .await;
    until("the others go on", async || is_remembered(&here, token(&other)).await).await;
}

/// Two servers, of which one is the primary; what checks goes to it by one way, and what logs out by another.
struct Pair {
    servers: [Server; 2],
    primary: usize,
    here: Forwarder,
    elsewhere: Forwarder,
    random: Random,
}

impl Pair {
    fn start() -> Self {
        let servers = [server(), server()];
        follow(&servers[1], &servers[0]);
        servers[0].wait_for_sync(&servers[1]);
        let (here, elsewhere) = (Forwarder::to(servers[0].port()), Forwarder::to(servers[0].port()));
        Self { servers, primary: 0, here, elsewhere, random: Random::seeded() }
    }

    /// Something goes wrong. Its name.
    fn fault(&mut self) -> &'static str {
        let tell = |server: &Server, line: &str| drop(cmd(&mut server.connection(), line).unwrap());
        match self.random.below(8) {
            0 => {
                self.here.silence_connections();
                "frozen"
            }
            1 => {
                tell(&self.servers[self.primary], "CLIENT KILL TYPE pubsub");
                "cut"
            }
            2 => {
                tell(&self.servers[self.primary], "CLIENT KILL TYPE normal");
                tell(&self.servers[self.primary], "CLIENT KILL TYPE pubsub");
                "all cut"
            }
            3 => {
                self.servers.iter().for_each(|server| server.advance(secs(5)));
                "clock forward"
            }
            4 => {
                self.servers.iter().for_each(|server| redis_session_tests::set_back(&mut server.connection(), secs(4)));
                "clock back"
            }
            kind => {
                self.fail_over();
                match kind {
                    // The connections of before stay with the old primary, which follows the new one.
                    5 => "failed over",
                    6 => {
                        tell(&self.servers[1 - self.primary], "CLIENT KILL TYPE pubsub");
                        "failed over, cut"
                    }
                    _ => {
                        self.here.silence_connections();
                        "failed over, frozen"
                    }
                }
            }
        }
    }

    /// Nothing that was acknowledged is lost, as it can be where a primary dies: no cache can know of such a logout.
    fn fail_over(&mut self) {
        let (old, new) = (&self.servers[self.primary], &self.servers[1 - self.primary]);
        old.wait_for_sync(new);
        cmd(&mut new.connection(), "REPLICAOF NO ONE").unwrap();
        self.here.lead_to(new.port());
        self.elsewhere.lead_to(new.port());
        follow(old, new);
        self.primary = 1 - self.primary;
    }
}

fn follow(replica: &Server, primary: &Server) {
    cmd(&mut replica.connection(), &format!("REPLICAOF 127.0.0.1 {}", primary.port())).unwrap();
}

/// Does something until it is done: what failed may have to be tried again, by another connection.
macro_rules! insist {
    ($attempt:expr) => {{
        let deadline = Instant::now() + secs(60);
        loop {
            match $attempt.await {
                Ok(done) => break done,
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }};
}

/// xorshift64.
struct Random(u64);

impl Random {
    fn seeded() -> Self {
        let seed = amount("REDIS_TEST_SEED", 0) as u64;
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
        let seed = if seed == 0 { now | 1 } else { seed };
        println!("REDIS_TEST_SEED={seed}");
        Self(seed)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// `REDIS_TEST_REVOCATIONS` random logouts by one process while another checks without a pause, its connections are cut and
/// fall silent, the primary is failed over, and the servers' clocks step.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn no_check_is_passed_later_than_max_age_after_a_logout() {
    const MAX_AGE: Duration = Duration::from_millis(1500);
    const PROCESSES: usize = 4;
    let revocations = amount("REDIS_TEST_REVOCATIONS", 300);
    let mut pair = Pair::start();
    let here = near(pair.here.url(), NearCache::new().max_age(MAX_AGE));
    let elsewhere: Store = SessionStore::connect(pair.elsewhere.url()).unwrap();
    let others = unrevoked(elsewhere.clone()).await;
    // Held for writing during a failover, so that each logout is acknowledged by a server that is the primary then.
    let gate = Arc::new(RwLock::new(()));
    let is_over = Arc::new(AtomicBool::new(false));
    let trouble = tokio::task::spawn_blocking({
        let (is_over, gate) = (Arc::clone(&is_over), Arc::clone(&gate));
        move || {
            let mut faults = BTreeMap::<_, usize>::new();
            loop {
                // Two seconds of peace in between, to remember something in.
                for _ in 0..100 {
                    if is_over.load(Ordering::SeqCst) {
                        return faults;
                    }
                    std::thread::sleep(Duration::from_millis(20));
                }
                let _gate = gate.blocking_write();
                *faults.entry(pair.fault()).or_default() += 1;
            }
        }
    });
    let background = tokio::spawn({
        let (here, is_over) = (here.clone(), Arc::clone(&is_over));
        async move {
            let mut checks = 0_u64;
            while !is_over.load(Ordering::SeqCst) {
                for token in &others {
                    let _ = here.touch(token, &Visitor::new()).await;
                    checks += 1;
                }
                tokio::task::yield_now().await;
            }
            checks
        }
    });
    let logouts: Vec<_> = (0..PROCESSES)
        .map(|process| {
            let (here, elsewhere, gate) = (here.clone(), elsewhere.clone(), Arc::clone(&gate));
            let share = (revocations + PROCESSES - 1 - process) / PROCESSES;
            tokio::spawn(async move {
                let mut times = Vec::new();
                for n in 0..share {
                    let user = format!("{process} {}", n % 17);
                    let (token, acknowledged, was_good) = {
                        let _gate = gate.read().await;
                        let created = insist!(elsewhere.login(&Login::new(&user)));
                        let token = token(&created).to_owned();
                        let _ = here.touch(&token, &Visitor::new()).await;
                        let was_good = here.touch(&token, &Visitor::new()).await.is_ok();
                        match n % 3 {
                            0 => drop(insist!(elsewhere.logout(&token))),
                            1 => drop(insist!(elsewhere.logout_everywhere(&user))),
                            _ => drop(insist!(elsewhere.logout_session(&user, &created.id))),
                        }
                        (token, Instant::now(), was_good)
                    };
                    loop {
                        let asked = Instant::now();
                        match here.touch(&token, &Visitor::new()).await {
                            Ok(_) => assert!(asked - acknowledged <= MAX_AGE, "{user}: {:?}", asked - acknowledged),
                            Err(StoreError::Refused(_)) => break,
                            Err(_) => {}
                        }
                        tokio::task::yield_now().await;
                    }
                    times.push((was_good, acknowledged.elapsed()));
                }
                times
            })
        })
        .collect();
    let mut times = Vec::new();
    for logout in logouts {
        times.extend(logout.await.unwrap());
    }
    is_over.store(true, Ordering::SeqCst);
    let faults = trouble.await.unwrap();
    let checks = background.await.unwrap();
    let remembered = times.iter().filter(|(was_good, _)| *was_good).count();
    let mut times: Vec<_> = times.into_iter().map(|(_, time)| time).collect();
    times.sort();
    let part = |hundredths: usize| times[(times.len() * hundredths / 100).min(times.len() - 1)];
    println!(
        "{revocations} logouts, {remembered} of them of tokens that were good here just before; faults {faults:?}; {checks} \
         other checks; refused after {:?} at the median, {:?} at the 99th percentile, {:?} at most; {:?}",
        part(50),
        part(99),
        part(100),
        figures(&here),
    );
    assert!(figures(&here).hits > 0 && remembered > 0);
}

/// Tokens that nobody revokes.
async fn unrevoked(store: SessionStore<ReconnectingConnection>) -> Vec<String> {
    let mut tokens = Vec::new();
    for n in 0..50 {
        tokens.push(token(&store.login(&Login::new(format!("other {n}"))).await.unwrap()).to_owned());
    }
    tokens
}

#[tokio::test]
async fn how_a_user_has_signed_in_is_asked_of_redis() {
    let server = server();
    let here = lasting(&server);
    let created = here.login(&Login::new("42").level(1)).await.unwrap();
    remember(&here, token(&created)).await;
    let strict = here.clone().require_level(2);
    for _ in 0..3 {
        assert_eq!(verdict(&strict, token(&created)).await, "level");
        assert!(is_remembered(&here, token(&created)).await);
    }
}
