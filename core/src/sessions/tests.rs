use super::*;
use proptest::prelude::*;

const START: u64 = 1_790_000_000_000;

fn at(millis: u64) -> UnixMillis {
    UnixMillis::new(START + millis).unwrap()
}

fn clock(millis: u64) -> Clock {
    Clock { now: at(millis), not_before: UnixMillis::ZERO }
}

fn limit(sessions: u32) -> Limit {
    Limit { sessions, policy: LimitPolicy::Evict, traces: 1000 }
}

fn id(text: &str) -> SessionId {
    SessionId::from_text(text.as_bytes()).unwrap()
}

fn new(text: &str, now: u64, ttl: u64) -> NewSession<'static> {
    NewSession {
        id: id(text),
        expires_at: at(now + ttl),
        idle_secs: 0,
        ip: Some("203.0.113.9".parse().unwrap()),
        agent: Some("Mozilla/5.0"),
        data: Data::default(),
        token_until: at(now + ttl),
        traced: false,
    }
}

/// A value together with its replica, which sees nothing but encoded effects.
#[derive(Default)]
struct Pair {
    primary: UserSessions,
    replica: UserSessions,
    agents: AgentPool,
    replica_agents: AgentPool,
}

impl Pair {
    fn carry_out(&mut self, effects: &[Effect<'_>]) {
        self.primary.apply(effects, &mut self.agents);
        self.replicate(effects);
    }

    fn replicate(&mut self, effects: &[Effect<'_>]) {
        let bytes = encode_effects(effects);
        self.replica.apply(&decode_effects(&bytes).unwrap(), &mut self.replica_agents);
        assert_eq!(self.primary.canonical(&self.agents), self.replica.canonical(&self.replica_agents));
    }

    fn create(&mut self, new: NewSession<'_>, limit: Limit, now: u64) -> Result<Vec<SessionId>, CreateError> {
        let creation = self.primary.create(new, limit, clock(now))?;
        self.carry_out(&creation.effects);
        Ok(creation.evicted)
    }

    fn revoke(&mut self, text: &str, now: u64) -> usize {
        let revocation = self.primary.revoke(&[id(text)], limit(100), clock(now));
        self.carry_out(&revocation.effects);
        revocation.revoked
    }

    fn revoke_all(&mut self, except: Option<&str>, now: u64) -> usize {
        let except = except.map(id);
        let revocation = self.primary.revoke_all(except.as_ref(), 1000, limit(100), clock(now));
        self.carry_out(&revocation.effects);
        revocation.revoked
    }

    fn check(&self, text: &str, issued: u64, now: u64) -> Result<Alive, Reason> {
        self.primary.check(&id(text), Some(at(issued)), clock(now))
    }

    fn ids(&self, now: u64) -> Vec<String> {
        self.primary.live(&self.agents, clock(now)).map(|session| session.id.to_string()).collect()
    }
}

#[test]
fn a_session_lives_until_its_absolute_deadline() {
    let mut pair = Pair::default();
    pair.create(new("a", 0, 5000), limit(9), 0).unwrap();
    assert_eq!(pair.check("a", 0, 4999).unwrap().deadline, at(5000));
    assert_eq!(pair.check("a", 0, 5000), Err(Reason::Expired));
    assert_eq!(pair.check("b", 0, 0), Err(Reason::Unknown));
}

#[test]
fn an_idle_session_dies_and_a_touch_postpones_that_but_not_the_absolute_deadline() {
    let mut pair = Pair::default();
    pair.create(NewSession { idle_secs: 2, ..new("a", 0, 5000) }, limit(9), 0).unwrap();
    assert_eq!(pair.check("a", 0, 1999).unwrap().deadline, at(2000));
    assert_eq!(pair.check("a", 0, 2000), Err(Reason::Idle));
    let effect = pair.primary.touch(&id("a"), 60_000, clock(1900)).unwrap();
    pair.replicate(&[effect]);
    assert_eq!(pair.check("a", 0, 3899).unwrap().deadline, at(3900));
    assert_eq!(pair.check("a", 0, 3900), Err(Reason::Idle));
    assert_eq!(pair.primary.touch(&id("a"), 60_000, clock(3900)), None, "an idle session is not touched back to life");
    assert_eq!(pair.check("a", 0, 3900), Err(Reason::Idle));
    pair.primary.touch(&id("a"), 60_000, clock(3899));
    assert_eq!(pair.check("a", 0, 4999).unwrap().deadline, at(5000));
    assert_eq!(pair.check("a", 0, 5000), Err(Reason::Expired));
}

#[test]
fn a_touch_is_replicated_only_past_the_granularity_or_a_tenth_of_the_idle_timeout() {
    let mut sessions = Pair::default();
    sessions.create(new("a", 0, 900_000), limit(9), 0).unwrap();
    sessions.create(NewSession { idle_secs: 100, ..new("b", 0, 900_000) }, limit(9), 0).unwrap();
    let mut touch = |text, now| sessions.primary.touch(&id(text), 60_000, clock(now)).is_some();
    assert!(!touch("a", 60_000));
    assert!(touch("a", 60_001));
    assert!(!touch("a", 60_001));
    assert!(!touch("a", 120_001));
    assert!(!touch("b", 10_000));
    assert!(touch("b", 10_001));
    let seen = |text| sessions.primary.get(&id(text), &sessions.agents, clock(20_000)).unwrap().last_seen_at();
    assert_eq!(seen("a"), at(120_001), "memory always knows the last use");
    assert_eq!(seen("b"), at(10_001));
}

#[test]
fn a_revoked_session_says_so_until_its_last_token_has_expired_and_its_id_stays_taken() {
    let mut pair = Pair::default();
    pair.create(new("a", 0, 5000), limit(9), 0).unwrap();
    assert_eq!(pair.revoke("a", 10), 1);
    assert_eq!(pair.revoke("a", 11), 0, "a second time is success, but nothing new");
    assert_eq!(pair.revoke("never", 11), 0);
    assert_eq!(pair.check("a", 0, 20), Err(Reason::Revoked));
    assert_eq!(pair.create(new("a", 20, 5000), limit(9), 20), Err(CreateError::Exists));
    assert_eq!(pair.primary.touch(&id("a"), 0, clock(20)), None);
    assert_eq!(pair.check("a", 0, 4999), Err(Reason::Revoked));
    let spent = pair.primary.purge(limit(9), clock(5000));
    pair.carry_out(&spent);
    assert!(pair.primary.is_empty());
    pair.create(new("a", 5000, 5000), limit(9), 5000).unwrap();
}

#[test]
fn revoke_all_kills_every_token_issued_until_now_and_none_issued_later() {
    let mut pair = Pair::default();
    pair.create(new("a", 0, 9000), limit(9), 0).unwrap();
    pair.create(NewSession { traced: true, ..new("b", 0, 9000) }, limit(9), 0).unwrap();
    pair.create(new("c", 0, 9000), limit(9), 0).unwrap();
    pair.revoke("c", 1);
    assert_eq!(pair.revoke_all(None, 1500), 2);
    assert_eq!(pair.check("a", 0, 1500), Err(Reason::UserRevoked));
    assert_eq!(pair.check("b", 0, 1500), Err(Reason::UserRevoked));
    assert_eq!(pair.check("c", 0, 1500), Err(Reason::Revoked), "the two revocations stay apart");
    assert_eq!(pair.primary.check(&id("b"), None, clock(1500)), Err(Reason::UserRevoked), "an opaque token knows too");
    assert_eq!(pair.primary.check(&id("x"), None, clock(1500)), Err(Reason::Unknown));
    assert_eq!(pair.check("elsewhere", 1000, 1500), Err(Reason::UserRevoked), "the epoch's own second is revoked");
    assert_eq!(pair.check("elsewhere", 2000, 2000), Err(Reason::Unknown));
    pair.create(new("d", 1500, 9000), limit(9), 1500).unwrap();
    assert!(pair.check("d", 1000, 1500).is_ok(), "a login in the same second works at once");
    assert_eq!(pair.create(new("b", 1500, 9000), limit(9), 1500), Err(CreateError::Exists));
    pair.create(new("a", 1600, 9000), limit(9), 1600).unwrap();
    assert_eq!(pair.check("a", 0, 1600), Err(Reason::UserRevoked), "an id used again does not revive its old tokens");
    assert!(pair.check("a", 1600, 1600).is_ok());
}

#[test]
fn revoke_all_can_spare_one_session() {
    let mut pair = Pair::default();
    for text in ["a", "b", "c"] {
        pair.create(new(text, 0, 9000), limit(9), 0).unwrap();
    }
    assert_eq!(pair.revoke_all(Some("b"), 1500), 2);
    assert_eq!(pair.ids(1500), ["b"]);
    assert!(pair.check("b", 0, 1500).is_ok());
    assert_eq!(pair.revoke_all(Some("dead"), 1501), 1);
    assert!(pair.ids(1501).is_empty());
}

#[test]
fn an_epoch_is_kept_until_the_last_token_before_it_has_expired() {
    let mut pair = Pair::default();
    pair.create(new("a", 0, 9000), limit(9), 0).unwrap();
    pair.revoke_all(None, 10);
    assert_eq!(pair.primary.last_deadline(), at(9000));
    assert!(pair.primary.purge(limit(9), clock(8999)).is_empty());
    let spent = pair.primary.purge(limit(9), clock(9000));
    pair.carry_out(&spent);
    assert!(pair.primary.is_empty());
}

#[test]
fn a_cap_evicts_the_oldest_or_refuses() {
    let mut pair = Pair::default();
    for (now, text) in ["a", "b", "c"].into_iter().enumerate() {
        pair.create(new(text, now as u64, 9000), limit(3), now as u64).unwrap();
    }
    let reject = Limit { policy: LimitPolicy::Reject, ..limit(3) };
    assert_eq!(pair.create(new("d", 5, 9000), reject, 5), Err(CreateError::Limit));
    assert_eq!(pair.ids(5), ["a", "b", "c"]);
    assert_eq!(pair.create(new("d", 5, 9000), limit(2), 5).unwrap(), [id("a"), id("b")]);
    assert_eq!(pair.ids(5), ["c", "d"]);
    assert_eq!(pair.check("a", 0, 5), Err(Reason::Evicted));
    pair.create(new("e", 9003, 9000), reject, 9003).unwrap();
    assert_eq!(pair.ids(9003), ["d", "e"], "an expired session does not count");
}

#[test]
fn a_login_loop_cannot_fill_memory() {
    let mut pair = Pair::default();
    let bound = Limit { traces: 20, ..limit(10) };
    for n in 0..2000 {
        let idle_secs = u32::from(n % 3 == 0);
        pair.create(NewSession { idle_secs, ..new(&format!("{n:05}"), n, 1 << 40) }, bound, n).unwrap();
    }
    assert!(pair.primary.store.iter().count() <= 31);
    assert_eq!(pair.check("01985", 0, 2000), Err(Reason::Evicted));
    assert_eq!(pair.check("00001", 0, 2000), Err(Reason::Unknown), "the oldest traces are forgotten");
    let idle: Vec<_> =
        (0..500).map(|n| (NewSession { idle_secs: 1, ..new(&format!("i{n}"), n * 1001, 1 << 40) }, n * 1001)).collect();
    for (new, now) in idle {
        pair.create(new, bound, now).unwrap();
    }
    assert!(pair.primary.store.iter().count() <= 31, "sessions that died idle are bounded too");
    for n in 0..100 {
        pair.create(
            NewSession { traced: true, ..new(&format!("t{n}"), n, 1 << 40) },
            Limit { sessions: 200, ..bound },
            n,
        )
        .unwrap();
    }
    let revocation = pair.primary.revoke_all(None, 0, bound, clock(200));
    pair.carry_out(&revocation.effects);
    assert_eq!(pair.primary.store.iter().count(), 20);
}

#[test]
fn not_before_logs_everyone_out() {
    let mut pair = Pair::default();
    pair.create(new("a", 0, 9000), limit(9), 0).unwrap();
    pair.create(new("b", 10, 9000), limit(9), 10).unwrap();
    let clock = Clock { now: at(20), not_before: at(10) };
    assert_eq!(pair.primary.check(&id("a"), Some(at(0)), clock), Err(Reason::UserRevoked));
    assert!(pair.primary.check(&id("b"), Some(at(10)), clock).is_ok());
    assert_eq!(pair.primary.check(&id("x"), Some(at(0)), clock), Err(Reason::UserRevoked));
    assert_eq!(pair.primary.count(clock), 1);
}

#[test]
fn one_session_takes_what_the_design_allows() {
    let mut pair = Pair::default();
    let random = |n: u8| SessionId::from_random([n; 16]);
    for n in 0..4 {
        pair.create(NewSession { id: random(n), ..new("a", 0, 9000) }, limit(9), 0).unwrap();
        let bytes = pair.primary.store.allocated_bytes();
        assert_eq!(bytes, 1 + 54 * (usize::from(n) + 1));
    }
    assert_eq!(size_of::<UserSessions>(), 16);
}

#[test]
fn a_value_survives_its_encoding_and_a_damaged_one_claims_nothing() {
    let mut pair = Pair::default();
    let data = Data::pack([(&b"theme"[..], &b"dark"[..])]).unwrap();
    pair.create(NewSession { data, idle_secs: 60, ..new("a", 0, 900_000) }, limit(9), 0).unwrap();
    pair.create(new("b", 0, 9000), limit(9), 0).unwrap();
    pair.revoke("b", 5);
    pair.revoke_all(Some("a"), 6);
    pair.primary.touch(&id("a"), 60_000, clock(100));
    let bytes = pair.primary.encode(&pair.agents);
    let mut agents = AgentPool::new();
    let read = UserSessions::decode(&bytes, &mut agents).unwrap();
    assert_eq!(read.encode(&agents), bytes);
    let session = read.get(&id("a"), &agents, clock(100)).unwrap();
    assert_eq!((session.agent, session.last_seen_at()), (Some("Mozilla/5.0"), at(100)));
    assert_eq!(session.data.get(b"theme"), Some(&b"dark"[..]));
    let mut none = AgentPool::new();
    assert!(UserSessions::decode(&bytes[..bytes.len() - 1], &mut none).is_err());
    assert!(none.is_empty());
}

#[derive(Clone, Debug)]
enum Step {
    Create { name: u8, ttl: u64, idle: u32, token: u64, brought: bool, max: u32, reject: bool },
    Touch { name: u8 },
    Revoke { names: Vec<u8> },
    RevokeAll { except: Option<u8> },
    Advance { millis: u64 },
    Purge,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (0..12u8, 1..9000u64, 0..4u32, 1..9000u64, any::<bool>(), 1..7u32, any::<bool>()).prop_map(
            |(name, ttl, idle, token, brought, max, reject)| Step::Create { name, ttl, idle, token, brought, max, reject }
        ),
        4 => (0..12u8).prop_map(|name| Step::Touch { name }),
        2 => prop::collection::vec(0..12u8, 1..4).prop_map(|names| Step::Revoke { names }),
        1 => prop::option::of(0..12u8).prop_map(|except| Step::RevokeAll { except }),
        4 => (0..3000u64).prop_map(|millis| Step::Advance { millis }),
        1 => Just(Step::Purge),
    ]
}

/// The reference: every session that ever was, in a list, with how it ended.
#[derive(Clone)]
struct Known {
    id: SessionId,
    created: u64,
    expires: u64,
    token_until: u64,
    idle: u64,
    seen: u64,
    ended: Option<Reason>,
}

impl Known {
    fn status(&self, now: u64) -> Result<u64, Reason> {
        let idle = if self.idle > 0 { self.seen + self.idle } else { u64::MAX };
        match self.ended {
            Some(reason) => Err(reason),
            None if now >= self.expires => Err(Reason::Expired),
            None if now >= idle => Err(Reason::Idle),
            None => Ok(idle.min(self.expires)),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn random_commands_give_what_a_naive_list_gives(steps in prop::collection::vec(step(), 1..150)) {
        let (mut pair, mut known, mut now) = (Pair::default(), Vec::<Known>::new(), 0u64);
        let newest = |known: &[Known], name: u8| {
            let name = format!("n{name}");
            known.iter().rposition(|session| session.id.to_string() == name || session.id.to_string().starts_with(&format!("{name}.")))
        };
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Create { name, ttl, idle, token, brought, max, reject } => {
                    // Ids that an application brings come again; ours never do.
                    let text = if brought { format!("n{name}") } else { format!("n{name}.{number}") };
                    let token_until = now + token.min(ttl);
                    let new = NewSession {
                        idle_secs: idle, token_until: at(token_until), traced: brought, ..new(&text, now, ttl)
                    };
                    let policy = if reject { LimitPolicy::Reject } else { LimitPolicy::Evict };
                    let limit = Limit { policy, ..limit(max) };
                    let taken = known.iter().any(|session| {
                        session.id == id(&text) && (now < session.token_until || session.status(now).is_ok())
                    });
                    let live: Vec<usize> = (0..known.len()).filter(|at| known[*at].status(now).is_ok()).collect();
                    let excess = (live.len() + 1).saturating_sub(max as usize);
                    let got = pair.create(new, limit, now);
                    if taken {
                        prop_assert_eq!(got, Err(CreateError::Exists));
                    } else if reject && excess > 0 {
                        prop_assert_eq!(got, Err(CreateError::Limit));
                    } else {
                        let evicted: Vec<_> = live[..excess].iter().map(|at| known[*at].id.clone()).collect();
                        prop_assert_eq!(got, Ok(evicted));
                        live[..excess].iter().for_each(|at| known[*at].ended = Some(Reason::Evicted));
                        let idle = u64::from(idle) * 1000;
                        known.push(Known { id: id(&text), created: now, expires: now + ttl, token_until, idle, seen: now, ended: None });
                    }
                }
                Step::Touch { name } => {
                    if let Some(index) = newest(&known, name) {
                        let effect = pair.primary.touch(&known[index].id, 500, clock(now));
                        pair.replicate(&effect.into_iter().collect::<Vec<_>>());
                        if known[index].status(now).is_ok() {
                            known[index].seen = now;
                        }
                    }
                }
                Step::Revoke { names } => {
                    let indexes: HashSet<_> = names.iter().filter_map(|name| newest(&known, *name)).collect();
                    let ids: Vec<_> = indexes.iter().map(|index| known[*index].id.clone()).collect();
                    let revocation = pair.primary.revoke(&ids, limit(9), clock(now));
                    pair.carry_out(&revocation.effects);
                    let mut revoked = 0;
                    for index in indexes {
                        if known[index].status(now).is_ok() {
                            known[index].ended = Some(Reason::Revoked);
                            revoked += 1;
                        }
                    }
                    prop_assert_eq!(revocation.revoked, revoked);
                }
                Step::RevokeAll { except } => {
                    let except = except.and_then(|name| newest(&known, name));
                    let spared = except.map(|index| known[index].id.clone());
                    let revocation = pair.primary.revoke_all(spared.as_ref(), 100, limit(9), clock(now));
                    pair.carry_out(&revocation.effects);
                    let mut revoked = 0;
                    for (index, session) in known.iter_mut().enumerate() {
                        let live = session.status(now).is_ok();
                        if session.ended.is_none() && !(Some(index) == except && live) {
                            session.ended = Some(Reason::UserRevoked);
                            revoked += usize::from(live);
                        }
                    }
                    prop_assert_eq!(revocation.revoked, revoked);
                }
                Step::Advance { millis } => now += millis,
                Step::Purge => {
                    let spent = pair.primary.purge(limit(9), clock(now));
                    pair.carry_out(&spent);
                }
            }
            let live: Vec<String> =
                known.iter().filter(|session| session.status(now).is_ok()).map(|session| session.id.to_string()).collect();
            prop_assert_eq!(pair.ids(now), live);
            for session in known.iter().filter(|session| now < session.token_until) {
                let got = pair.primary.check(&session.id, Some(UnixMillis::from_secs(at(session.created).as_secs()).unwrap()), clock(now));
                prop_assert_eq!(got.map(|alive| alive.deadline.get() - START), session.status(now), "{}", session.id);
                let view = pair.primary.get(&session.id, &pair.agents, clock(now));
                prop_assert_eq!(view.map(|view| view.last_seen_at()), session.status(now).ok().map(|_| at(session.seen)));
            }
            prop_assert_eq!(pair.agents.is_empty(), pair.primary.agents().next().is_none());
        }
        let mut agents = AgentPool::new();
        let bytes = pair.primary.encode(&pair.agents);
        let read = UserSessions::decode(&bytes, &mut agents).unwrap();
        prop_assert_eq!(read.canonical(&agents), pair.replica.canonical(&pair.replica_agents));
    }
}
