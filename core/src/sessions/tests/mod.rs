use super::*;
use crate::token::{Issued, RefreshToken};

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

const RULES: TokenRules = TokenRules { token_secs: 3600, leeway: 0, grace: 1000 };

fn id(text: &str) -> SessionId {
    SessionId::from_text(text.as_bytes()).unwrap()
}

/// A session with an opaque token, which lives as long as the session.
fn new(text: &str, now: u64, ttl: u64) -> NewSession<'static> {
    NewSession {
        id: id(text),
        brought: false,
        expires_at: at(now + ttl),
        idle_secs: 0,
        ip: Some("203.0.113.9".parse().unwrap()),
        agent: Some("Mozilla/5.0"),
        device: None,
        tokens: TokenForm::Opaque,
        token_ttl: None,
        refresh_secs: None,
        claims: "",
        data: Data::default(),
    }
}

/// A session with a JWT that expires with it.
fn with_jwt(text: &str, now: u64, ttl: u64) -> NewSession<'static> {
    NewSession { tokens: TokenForm::Jwt, ..new(text, now, ttl) }
}

fn refreshable(text: &str, now: u64, ttl: u64, refresh_secs: u32) -> NewSession<'static> {
    NewSession { refresh_secs: Some(refresh_secs), token_ttl: Some(1), ..with_jwt(text, now, ttl) }
}

fn target(text: &str) -> Target {
    Target { id: id(text), issued: Issued::Unsaid, until: None }
}

/// A value together with its replica, which sees nothing but encoded effects.
#[derive(Default)]
struct Pair {
    primary: UserSessions,
    replica: UserSessions,
    agents: AgentPool,
    replica_agents: AgentPool,
}

/// Effects that borrow nothing, as replicas get them.
fn encoded(effects: &[Effect<'_>]) -> Vec<Effect<'static>> {
    let bytes = encode_effects(effects).leak();
    decode_effects(bytes).unwrap()
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
        let creation = self.primary.create(new, RULES, limit, clock(now))?;
        self.carry_out(&creation.effects);
        Ok(creation.evicted)
    }

    fn revoke(&mut self, text: &str, now: u64) -> usize {
        let revocation = self.primary.revoke(&[target(text)], limit(100), clock(now));
        self.carry_out(&revocation.effects);
        revocation.revoked
    }

    fn revoke_all(&mut self, except: Option<&str>, now: u64) -> usize {
        let except = except.map(id);
        let revocation = self.primary.revoke_all(except.as_ref(), 1000, limit(100), clock(now));
        self.carry_out(&revocation.effects);
        revocation.revoked
    }

    /// Sweeps in small parts; the answer is how many effects that took.
    fn purge(&mut self, now: u64) -> usize {
        let (mut from, mut count) = (Some(0), 0);
        while let Some(at) = from {
            let purge = self.primary.purge(at, 3, clock(now));
            self.carry_out(&purge.effects);
            count += purge.effects.len();
            from = purge.next;
        }
        count
    }

    fn check(&self, text: &str, issued: u64, now: u64) -> Result<Alive, Reason> {
        self.primary.check(&id(text), Issued::InSecondOf(at(issued)), clock(now))
    }

    fn refresh(&mut self, text: &str, generation: u32, origin: Origin<'_>, now: u64) -> Result<Refresh, Reason> {
        let session_began_at = self.primary.store.find(&id(text)).map_or(at(0), RecordRef::created_at);
        let refreshed = self.primary.refresh(
            &RefreshToken { id: id(text), generation, session_began_at },
            origin,
            RULES,
            &self.agents,
            limit(100),
            clock(now),
        );
        let (effects, answer) = match refreshed {
            Refreshed::Granted(grant) => {
                (encode_effects(&grant.effects), Ok(grant.session.refresh.expect("a refresh token")))
            }
            Refreshed::Refused(reason) => (encode_effects(&[]), Err(reason)),
            Refreshed::Reused { effects } => (encode_effects(&effects), Err(Reason::Reused)),
        };
        self.carry_out(&decode_effects(&effects).unwrap());
        answer
    }

    fn set(&mut self, text: &str, fields: &[(&str, &str)], now: u64) -> Result<(), ChangeError> {
        let data = Data::pack(fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()))).unwrap();
        let effects = self.primary.set(&id(text), data, DataLimit { bytes: 20, fields: 3 }, clock(now))?;
        self.carry_out(&effects);
        Ok(())
    }

    fn fields(&self, text: &str, now: u64) -> Vec<(String, String)> {
        let text_of = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let session = self.primary.get(&id(text), &self.agents, clock(now)).unwrap();
        session.data.iter().map(|(name, value)| (text_of(name), text_of(value))).collect()
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
    pair.purge(5000);
    assert!(pair.primary.is_empty());
    pair.create(new("a", 5000, 5000), limit(9), 5000).unwrap();
}

#[test]
fn revoke_all_kills_every_token_issued_until_now_and_none_issued_later() {
    let mut pair = Pair::default();
    pair.create(with_jwt("a", 0, 9000), limit(9), 0).unwrap();
    pair.create(NewSession { brought: true, ..new("b", 0, 9000) }, limit(9), 0).unwrap();
    pair.create(with_jwt("c", 0, 9000), limit(9), 0).unwrap();
    pair.revoke("c", 1);
    assert_eq!(pair.revoke_all(None, 1500), 2);
    assert_eq!(pair.check("a", 0, 1500), Err(Reason::UserRevoked));
    assert_eq!(pair.check("b", 0, 1500), Err(Reason::UserRevoked));
    assert_eq!(pair.check("c", 0, 1500), Err(Reason::Revoked), "the two revocations stay apart");
    assert_eq!(
        pair.primary.check(&id("b"), Issued::ForSessionOf(at(0)), clock(1500)),
        Err(Reason::UserRevoked),
        "an opaque token knows too"
    );
    assert_eq!(pair.primary.check(&id("x"), Issued::Unsaid, clock(1500)), Err(Reason::Unknown));
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
    assert_eq!(pair.purge(8999), 0);
    pair.purge(9000);
    assert!(pair.primary.is_empty());
}

#[test]
fn a_sweep_leaves_a_trace_of_what_died_of_time_until_its_last_token_has_expired() {
    let mut pair = Pair::default();
    let idle = |text| NewSession { idle_secs: 1, ..with_jwt(text, 0, 600_000) };
    pair.create(idle("a"), limit(9), 0).unwrap();
    pair.create(idle("b"), limit(9), 0).unwrap();
    pair.create(NewSession { brought: true, ..new("c", 0, 1500) }, limit(9), 0).unwrap();
    let seen = pair.primary.touch(&id("b"), 0, clock(999));
    pair.replicate(&seen.into_iter().collect::<Vec<_>>());
    assert_eq!(pair.primary.stored(), 3);
    let sweep = pair.primary.purge(0, 99, clock(1500));
    assert_eq!(pair.primary.expired_among(&sweep.effects, clock(1500)), 2);
    assert_eq!(pair.purge(1500), 2);
    assert_eq!(pair.primary.stored(), 1);
    assert_eq!(pair.primary.agents().count(), 1, "a trace has no agent");
    assert_eq!(pair.check("a", 0, 1500), Err(Reason::Idle));
    assert_eq!(pair.check("c", 0, 1500), Err(Reason::Unknown), "its last token expired with it");
    assert!(pair.check("b", 0, 1500).is_ok());
    assert_eq!(pair.purge(1500), 0, "what was swept stays so");
    assert_eq!(pair.primary.expired_among(&[Effect::Forget(id("a"))], clock(3000)), 0, "a trace expired before");
    assert_eq!(pair.purge(3_600_000), 2);
    assert!(pair.primary.is_empty());
}

/// What the effects mean: event, id, agent.
fn told(pair: &Pair, effects: &[Effect<'_>], now: u64) -> Vec<String> {
    let events = pair.primary.audit(effects, &pair.agents, clock(now));
    let text = |id: Option<SessionId>| id.map_or_else(|| "-".to_owned(), |id| id.to_string());
    let line = |event: AuditEvent<'_>| {
        let AuditEvent { happening, id, old_id, except, agent, .. } = event;
        let old = old_id.map_or_else(String::new, |old| format!(" was {old}"));
        let spared = except.map_or_else(String::new, |spared| format!(" but {spared}"));
        format!("{happening:?} {}{old}{spared} {}", text(id), agent.as_deref().unwrap_or("-"))
    };
    events.into_iter().map(line).collect()
}

#[test]
fn effects_tell_an_auditor_what_happens_to_which_session() {
    let mut pair = Pair::default();
    let with_agent = |text| NewSession { agent: Some("phone"), idle_secs: 9, ..with_jwt(text, 0, 600_000) };
    let creation = pair.primary.create(with_agent("a"), RULES, limit(2), clock(0)).unwrap();
    assert_eq!(told(&pair, &creation.effects, 0), ["Created a phone"]);
    pair.carry_out(&encoded(&creation.effects));
    pair.create(with_agent("b"), limit(2), 0).unwrap();
    let creation =
        pair.primary.create(NewSession { agent: None, ..new("c", 0, 5000) }, RULES, limit(2), clock(1)).unwrap();
    assert_eq!(told(&pair, &creation.effects, 1), ["Ended(Evicted) a phone", "Created c -"]);
    pair.carry_out(&encoded(&creation.effects));

    let revocation = pair.primary.revoke(&[target("b"), target("a"), target("none")], limit(9), clock(2));
    assert_eq!(told(&pair, &revocation.effects, 2), ["Ended(Revoked) b phone"]);
    let foreign = Target { issued: Issued::InSecondOf(at(0)), until: Some(at(9000)), ..target("jwt") };
    let denial = pair.primary.revoke(&[foreign], limit(9), clock(2));
    assert_eq!(told(&pair, &denial.effects, 2), ["Ended(Revoked) jwt -"]);
    let all = pair.primary.revoke_all(Some(&id("c")), 1000, limit(9), clock(2));
    assert_eq!(told(&pair, &all.effects, 2), ["AllRevoked(1) - but c -"]);
    let all = pair.primary.revoke_all(Some(&id("a")), 1000, limit(9), clock(2));
    assert_eq!(told(&pair, &all.effects, 2), ["AllRevoked(2) - -"], "who is not alive is not spared");
    let renewed = pair.primary.regenerate(&target("b"), id("n"), RULES, &pair.agents, limit(9), clock(2)).unwrap();
    assert_eq!(told(&pair, &renewed.effects, 2), ["Regenerated n was b phone"]);
    let sweep = pair.primary.purge(0, 99, clock(9500));
    assert_eq!(told(&pair, &sweep.effects, 9500), ["Ended(Idle) b phone", "Ended(Expired) c -"]);
    let late = pair.primary.revoke_all(None, 1000, limit(9), clock(9500));
    assert_eq!(told(&pair, &late.effects, 9500), ["Ended(Idle) b phone", "Ended(Expired) c -", "AllRevoked(0) - -"]);
    let set =
        pair.primary.set(&id("b"), Data::pack([(&b"x"[..], &b"y"[..])]).unwrap(), DataLimit::NONE, clock(2)).unwrap();
    assert!(told(&pair, &set, 2).is_empty());
}

#[test]
fn what_is_forgotten_at_once_is_told_with_the_reason_too() {
    let mut pair = Pair::default();
    ["a", "b"].iter().for_each(|text| drop(pair.create(with_jwt(text, 0, 600_000), limit(9), 0).unwrap()));
    let no_traces = Limit { traces: 0, ..limit(2) };
    let revocation = pair.primary.revoke(&[target("a")], no_traces, clock(1));
    assert_eq!(told(&pair, &revocation.effects, 1), ["Ended(Revoked) a Mozilla/5.0"]);
    let creation = pair.primary.create(new("c", 0, 5000), RULES, no_traces, clock(1)).unwrap();
    assert_eq!(told(&pair, &creation.effects, 1), ["Ended(Evicted) a Mozilla/5.0", "Created c Mozilla/5.0"]);
}

#[test]
fn refreshes_and_thefts_are_told_to_an_auditor() {
    let mut pair = Pair::default();
    pair.create(NewSession { refresh_secs: Some(600), ..with_jwt("a", 0, 600_000) }, limit(9), 0).unwrap();
    let offer = |pair: &Pair, generation, now| {
        let token = RefreshToken { id: id("a"), generation, session_began_at: at(0) };
        match pair.primary.refresh(&token, Origin::default(), RULES, &pair.agents, limit(9), clock(now)) {
            Refreshed::Granted(grant) => encoded(&grant.effects),
            Refreshed::Reused { effects } => effects,
            Refreshed::Refused(reason) => panic!("{reason}"),
        }
    };
    let effects = offer(&pair, 0, 10);
    assert_eq!(told(&pair, &effects, 10), ["Refreshed a Mozilla/5.0"]);
    pair.carry_out(&effects);
    assert!(told(&pair, &offer(&pair, 0, 10), 10).is_empty(), "a repetition within the grace is nothing new");
    let effects = offer(&pair, 1, 20);
    pair.carry_out(&effects);
    assert_eq!(told(&pair, &offer(&pair, 0, 30), 30), ["Ended(Reused) a Mozilla/5.0"]);
}

#[test]
fn a_sweep_leaves_what_not_before_took_as_that_may_be_taken_back() {
    let mut pair = Pair::default();
    pair.create(with_jwt("a", 0, 600_000), limit(9), 0).unwrap();
    let clock = Clock { now: at(20), not_before: at(10) };
    assert!(pair.primary.purge(0, 99, clock).effects.is_empty());
    // Also when no token asks for it any more: a session may have been looked at by its id, or be refreshed.
    pair.create(NewSession { token_ttl: Some(1), ..with_jwt("b", 0, 600_000) }, limit(9), 0).unwrap();
    let clock = Clock { now: at(5000), not_before: at(10) };
    assert!(pair.primary.purge(0, 99, clock).effects.is_empty());
    let creation = pair.primary.create(new("c", 5000, 9000), RULES, limit(9), clock).unwrap();
    assert!(creation.effects.iter().all(|effect| matches!(effect, Effect::Put(_))));
    let taken_back = Clock { not_before: UnixMillis::ZERO, ..clock };
    assert_eq!(pair.primary.count(taken_back), 2);
}

#[test]
fn a_sweep_of_many_goes_on_where_it_stopped() {
    let mut pair = Pair::default();
    for n in 0..100u64 {
        pair.create(new(&format!("s{n}"), 0, 1000 + n % 2 * 5000), limit(900), 0).unwrap();
    }
    let first = pair.primary.purge(0, 10, clock(2000));
    assert_eq!((first.effects.len(), first.next), (5, Some(10)));
    let last = pair.primary.purge(90, 10, clock(2000));
    assert_eq!((last.effects.len(), last.next), (5, None));
    assert_eq!(pair.purge(2000), 50);
    assert_eq!(pair.primary.stored(), 50);
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
        pair.create(new(&format!("t{n}"), n, 1 << 40), Limit { sessions: 200, ..bound }, n).unwrap();
    }
    let many: Vec<_> = (0..50).map(|n| target(&format!("t{n}"))).collect();
    let revocation = pair.primary.revoke(&many, bound, clock(100));
    assert_eq!(revocation.revoked, 50);
    pair.carry_out(&revocation.effects);
    assert_eq!(pair.primary.store.iter().filter(|record| record.is_trace()).count(), 20, "many at once are too");
    let revocation = pair.primary.revoke_all(None, 0, bound, clock(200));
    pair.carry_out(&revocation.effects);
    assert_eq!(pair.primary.store.iter().count(), 20);
}

#[test]
fn what_was_forgotten_too_early_is_not_taken_for_good() {
    let mut pair = Pair::default();
    let few = Limit { traces: 2, ..limit(9) };
    let issued = |millis| Issued::InSecondOf(at(millis));
    let revoke = |pair: &mut Pair, text: &str, now: u64| {
        let foreign = Target { issued: issued(0), until: Some(at(50_000)), ..target(text) };
        let revocation = pair.primary.revoke(&[foreign], few, clock(now));
        pair.carry_out(&revocation.effects);
    };
    ["a", "b"].iter().for_each(|text| revoke(&mut pair, text, 1500));
    assert!(!pair.primary.may_have_forgotten(issued(0)));
    revoke(&mut pair, "c", 2500);
    assert_eq!(pair.check("a", 0, 2500), Err(Reason::Unknown), "forgotten, as it says");
    assert!(pair.primary.may_have_forgotten(issued(0)) && pair.primary.may_have_forgotten(issued(2000)));
    assert!(!pair.primary.may_have_forgotten(issued(3000)), "nothing issued later was revoked then");
    pair.create(NewSession { brought: true, ..new("a", 4000, 9000) }, few, 4000).unwrap();
    assert_eq!(pair.check("a", 0, 4000), Err(Reason::Unknown), "its id used again does not wake it");
    assert!(pair.check("a", 4000, 4000).is_ok());
    let many: Vec<_> = (0..5).map(|n| Target { until: Some(at(60_000)), ..target(&format!("m{n}")) }).collect();
    let revocation = pair.primary.revoke(&many, few, clock(5000));
    pair.carry_out(&revocation.effects);
    assert!(pair.primary.may_have_forgotten(issued(5000)), "many at once too");
    let bytes = pair.primary.encode(&pair.agents);
    let read = UserSessions::decode(&bytes, &mut AgentPool::new()).unwrap();
    assert!(read.may_have_forgotten(issued(5000)));
    assert_eq!(pair.primary.last_deadline(), at(60_000));
    pair.purge(60_000);
    assert!(!pair.primary.may_have_forgotten(issued(0)) && pair.primary.is_empty());
}

#[test]
fn not_before_logs_everyone_out() {
    let mut pair = Pair::default();
    pair.create(new("a", 0, 9000), limit(9), 0).unwrap();
    pair.create(new("b", 10, 9000), limit(9), 10).unwrap();
    let clock = Clock { now: at(20), not_before: at(10) };
    assert_eq!(pair.primary.check(&id("a"), Issued::InSecondOf(at(0)), clock), Err(Reason::UserRevoked));
    assert!(pair.primary.check(&id("b"), Issued::InSecondOf(at(10)), clock).is_ok());
    assert_eq!(pair.primary.check(&id("x"), Issued::InSecondOf(at(0)), clock), Err(Reason::UserRevoked));
    assert_eq!(pair.primary.count(clock), 1);
}

#[test]
fn not_before_takes_a_token_though_a_later_session_has_its_id() {
    let mut pair = Pair::default();
    pair.create(NewSession { brought: true, ..new("a", 5500, 9000) }, limit(9), 5500).unwrap();
    let clock = Clock { now: at(6000), not_before: at(5200) };
    let check = |issued| pair.primary.check(&id("a"), Issued::InSecondOf(at(issued)), clock);
    assert_eq!(check(4000), Err(Reason::UserRevoked));
    // A JWT shows whole seconds: one of the login's own second may be of after it.
    assert!(check(5000).is_ok());
    assert!(check(6000).is_ok());
    let never = Clock { not_before: UnixMillis::ZERO, ..clock };
    assert!(pair.primary.check(&id("a"), Issued::InSecondOf(at(4000)), never).is_ok(), "a JWT older than its session");
}

#[test]
fn one_session_takes_what_the_design_allows() {
    let mut pair = Pair::default();
    let random = |n: u8| SessionId::from_random([n; 16]);
    for n in 0..4 {
        pair.create(NewSession { id: random(n), ..with_jwt("a", 0, 9000) }, limit(9), 0).unwrap();
        let bytes = pair.primary.store.allocated_bytes();
        assert_eq!(bytes, 1 + 54 * (usize::from(n) + 1));
    }
    assert_eq!(size_of::<UserSessions>(), 16);
}

#[test]
fn a_refresh_token_is_rotated_and_the_loser_of_a_race_gets_the_winners_successor() {
    let mut pair = Pair::default();
    pair.create(refreshable("a", 0, 100_000, 50), limit(9), 0).unwrap();
    let first = pair.refresh("a", 0, Origin::default(), 10_000).unwrap();
    assert_eq!((first.generation, first.rotated_at, first.expires_at), (1, at(10_000), at(60_000)));
    assert_eq!(pair.refresh("a", 0, Origin::default(), 10_999), Ok(first), "within the grace");
    assert_eq!(
        pair.refresh("a", 1, Origin::default(), 55_000).unwrap().expires_at,
        at(100_000),
        "never past the session"
    );
    assert!(pair.check("a", 0, 99_999).is_ok());
    assert_eq!(pair.refresh("a", 2, Origin::default(), 100_000), Err(Reason::Expired));
}

#[test]
fn a_refresh_token_used_again_past_the_grace_ends_the_session() {
    for (generation, now) in [(0, 11_000), (0, 20_001)] {
        let mut pair = Pair::default();
        pair.create(refreshable("a", 0, 100_000, 50), limit(9), 0).unwrap();
        pair.refresh("a", 0, Origin::default(), 10_000).unwrap();
        if now > 20_000 {
            pair.refresh("a", 1, Origin::default(), 20_000).unwrap();
        }
        assert_eq!(pair.refresh("a", generation, Origin::default(), now), Err(Reason::Reused));
        assert_eq!(pair.check("a", 0, now), Err(Reason::Reused));
        assert_eq!(pair.refresh("a", 2, Origin::default(), now), Err(Reason::Reused));
        assert!(
            pair.primary.last_deadline() >= at(60_000),
            "it is remembered until the last refresh token has expired"
        );
    }
}

#[test]
fn a_refresh_token_expires_by_itself_and_with_an_idle_session() {
    let mut pair = Pair::default();
    pair.create(refreshable("a", 0, 100_000, 5), limit(9), 0).unwrap();
    assert_eq!(pair.refresh("a", 0, Origin::default(), 5000), Err(Reason::TokenExpired));
    assert!(pair.check("a", 0, 5000).is_ok(), "the session goes on");
    pair.create(NewSession { idle_secs: 2, ..refreshable("b", 0, 100_000, 50) }, limit(9), 0).unwrap();
    pair.refresh("b", 0, Origin::default(), 1999).unwrap();
    assert!(pair.check("b", 0, 3998).is_ok(), "a refresh is a use");
    assert_eq!(pair.refresh("b", 1, Origin::default(), 3999), Err(Reason::Idle));
    pair.create(new("c", 0, 100_000), limit(9), 0).unwrap();
    assert_eq!(pair.refresh("c", 0, Origin::default(), 1), Err(Reason::Unknown), "a session without refresh tokens");
}

#[test]
fn a_refresh_token_lost_in_a_failover_is_still_good() {
    let mut pair = Pair::default();
    pair.create(refreshable("a", 0, 100_000, 50), limit(9), 0).unwrap();
    assert_eq!(pair.refresh("a", 3, Origin::default(), 10).unwrap().generation, 4);
    assert_eq!(pair.refresh("a", u32::MAX, Origin::default(), 10), Err(Reason::TokenExpired), "no generation is left");
}

#[test]
fn a_refresh_from_another_device_changes_nothing_and_one_from_another_address_says_so() {
    let mut pair = Pair::default();
    let user = crate::Subject::new(b"42").unwrap();
    let (phone, other) = (Device::of(user, b"phone"), Device::of(user, b"other"));
    pair.create(NewSession { device: Some(phone), ..refreshable("a", 0, 100_000, 50) }, limit(9), 0).unwrap();
    let before = pair.primary.canonical(&pair.agents);
    let from = |device| Origin { device: Some(device), ..Origin::default() };
    assert_eq!(pair.refresh("a", 0, from(other), 10), Err(Reason::Device));
    assert_eq!(pair.primary.canonical(&pair.agents), before);
    pair.refresh("a", 0, from(phone), 10).unwrap();
    let moved = Origin { ip: Some("2001:db8::1".parse().unwrap()), agent: Some("Safari"), device: None };
    pair.refresh("a", 1, moved, 20).unwrap();
    let session = pair.primary.get(&id("a"), &pair.agents, clock(20)).unwrap();
    assert_eq!((session.ip, session.agent), (moved.ip, moved.agent), "the session is where it was refreshed from");
}

#[test]
fn a_login_from_a_new_address_or_device_says_so() {
    let mut pair = Pair::default();
    let user = crate::Subject::new(b"42").unwrap();
    let mut login = |text: &str, ip: Option<&str>, device: Option<&[u8]>| {
        let ip = ip.map(|ip| ip.parse().unwrap());
        let device = device.map(|fingerprint| Device::of(user, fingerprint));
        let creation =
            pair.primary.create(NewSession { ip, device, ..new(text, 0, 9000) }, RULES, limit(9), clock(0)).unwrap();
        let flags = (creation.new_ip, creation.new_device);
        let effects = encode_effects(&creation.effects);
        pair.carry_out(&decode_effects(&effects).unwrap());
        flags
    };
    assert_eq!(login("a", None, None), (false, false), "nothing was said, nothing is new");
    assert_eq!(login("b", Some("203.0.113.9"), Some(b"phone")), (true, true));
    assert_eq!(login("c", Some("203.0.113.9"), Some(b"laptop")), (false, true));
    assert_eq!(login("d", Some("2001:db8::1"), Some(b"phone")), (true, false));
    assert_eq!(login("e", Some("2001:db8::1"), Some(b"phone")), (false, false));
}

#[test]
fn a_regenerated_session_keeps_all_but_its_id_and_tokens() {
    let mut pair = Pair::default();
    pair.create(new("old", 0, 100_000), limit(9), 0).unwrap();
    pair.create(NewSession { claims: "{}", ..refreshable("a", 1, 100_000, 50) }, limit(9), 1).unwrap();
    pair.create(new("young", 2, 100_000), limit(9), 2).unwrap();
    pair.set("a", &[("theme", "dark")], 3).unwrap();
    pair.refresh("a", 0, Origin::default(), 3).unwrap();
    let grant = pair.primary.regenerate(&target("a"), id("b"), RULES, &pair.agents, limit(9), clock(10)).unwrap();
    let effects = encode_effects(&grant.effects);
    pair.carry_out(&decode_effects(&effects).unwrap());
    assert_eq!(pair.ids(10), ["old", "b", "young"], "it is as old as it was");
    assert_eq!(pair.fields("b", 10), [("theme".into(), "dark".into())]);
    let session = pair.primary.get(&id("b"), &pair.agents, clock(10)).unwrap();
    assert_eq!((session.created_at, session.expires_at, &*session.claims), (at(1), at(100_001), "{}"));
    assert_eq!(pair.check("a", 1, 10), Err(Reason::Revoked));
    assert_eq!(pair.refresh("a", 1, Origin::default(), 11), Err(Reason::Revoked));
    assert_eq!(pair.refresh("b", 0, Origin::default(), 11).unwrap().generation, 1);
    let again = pair.primary.regenerate(&target("a"), id("c"), RULES, &pair.agents, limit(9), clock(12));
    assert_eq!(again.map(|_| ()), Err(Reason::Revoked));
}

#[test]
fn fields_are_set_and_removed_one_by_one_while_the_session_lives() {
    let mut pair = Pair::default();
    pair.create(new("a", 0, 9000), limit(9), 0).unwrap();
    pair.set("a", &[("b", "1"), ("a", "2")], 1).unwrap();
    pair.set("a", &[("c", ""), ("b", "long")], 1).unwrap();
    let pairs =
        |fields: &[(&str, &str)]| fields.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect::<Vec<_>>();
    assert_eq!(pair.fields("a", 1), pairs(&[("b", "long"), ("a", "2"), ("c", "")]));
    assert_eq!(pair.set("a", &[("c", "0123456789abcdef")], 1), Err(ChangeError::TooLarge(24)));
    assert_eq!(pair.set("a", &[("a", "2"), ("d", "")], 1), Err(ChangeError::TooMany(4)));
    let names = Data::pack([(&b"a"[..], &b""[..]), (&b"x"[..], &b""[..])]).unwrap();
    let (effects, removed) = pair.primary.unset(&id("a"), names.clone(), clock(1)).unwrap();
    assert_eq!(removed, 1);
    pair.carry_out(&effects);
    assert_eq!(pair.fields("a", 1), pairs(&[("b", "long"), ("c", "")]));
    assert_eq!(pair.primary.unset(&id("a"), names.clone(), clock(1)), Ok((Vec::new(), 0)));
    pair.revoke("a", 2);
    assert_eq!(
        pair.set("a", &[("b", "1")], 3),
        Err(ChangeError::Dead(Reason::Revoked)),
        "a set does not bring it back"
    );
    assert_eq!(pair.primary.unset(&id("a"), names, clock(3)), Err(ChangeError::Dead(Reason::Revoked)));
    assert_eq!(pair.set("never", &[("b", "1")], 3), Err(ChangeError::Dead(Reason::Unknown)));
}

#[test]
fn a_token_from_elsewhere_is_denied_until_it_would_expire() {
    let mut pair = Pair::default();
    let foreign = Target { issued: Issued::InSecondOf(at(0)), until: Some(at(5000)), ..target("elsewhere") };
    let revoke = |pair: &mut Pair, now| {
        let revocation = pair.primary.revoke(&[foreign.clone(), foreign.clone()], limit(9), clock(now));
        pair.carry_out(&revocation.effects);
        revocation.revoked
    };
    assert_eq!(pair.check("elsewhere", 0, 1), Err(Reason::Unknown));
    assert_eq!(revoke(&mut pair, 1), 1);
    assert_eq!(revoke(&mut pair, 2), 0);
    assert_eq!(pair.check("elsewhere", 0, 4999), Err(Reason::Revoked));
    assert_eq!(pair.primary.last_deadline(), at(5000));
    pair.purge(5000);
    assert!(pair.primary.is_empty());
    assert_eq!(revoke(&mut pair, 5000), 0, "what has expired needs no trace");
    pair.revoke_all(None, 10);
    assert_eq!(revoke(&mut pair, 11), 0);
    assert_eq!(pair.check("elsewhere", 0, 11), Err(Reason::UserRevoked), "the two stay apart");
}

#[test]
fn a_token_is_denied_as_long_as_the_last_of_its_session_that_was_revoked() {
    let until = |millis| Target { issued: Issued::InSecondOf(at(0)), until: Some(at(millis)), ..target("a") };
    let revoke = |pair: &mut Pair, targets: &[Target]| {
        let revocation = pair.primary.revoke(targets, limit(9), clock(1));
        pair.carry_out(&revocation.effects);
        (revocation.revoked, pair.primary.last_deadline())
    };
    let mut pair = Pair::default();
    assert_eq!(revoke(&mut pair, &[until(5000)]), (1, at(5000)));
    assert_eq!(revoke(&mut pair, &[until(9000)]), (0, at(9000)), "nothing new, but for longer");
    assert_eq!(revoke(&mut pair, &[until(5000)]), (0, at(9000)));
    assert_eq!(pair.check("a", 0, 8999), Err(Reason::Revoked));
    let mut pair = Pair::default();
    assert_eq!(revoke(&mut pair, &[until(5000), until(9000)]), (1, at(9000)), "two tokens of one session at once");
    let mut pair = Pair::default();
    pair.create(NewSession { brought: true, ..new("a", 0, 5000) }, limit(9), 0).unwrap();
    assert_eq!(revoke(&mut pair, &[until(9000)]), (1, at(9000)), "a session that a longer token is of");
    let mut pair = Pair::default();
    pair.create(new("a", 0, 5000), limit(1), 0).unwrap();
    pair.create(new("b", 0, 5000), limit(1), 0).unwrap();
    assert_eq!(revoke(&mut pair, &[until(9000)]), (0, at(9000)));
    assert_eq!(pair.check("a", 0, 8999), Err(Reason::Evicted), "the reason stays the first");
}

#[test]
fn a_token_that_outlives_its_session_and_its_trace_is_denied_too() {
    let mut pair = Pair::default();
    pair.create(NewSession { brought: true, ..new("a", 0, 1000) }, limit(9), 0).unwrap();
    let longer = Target { issued: Issued::InSecondOf(at(0)), until: Some(at(9000)), ..target("a") };
    let revocation = pair.primary.revoke(&[longer], limit(9), clock(2000));
    pair.carry_out(&revocation.effects);
    assert_eq!(
        pair.check("a", 0, 2000),
        Err(Reason::Revoked),
        "nothing has swept the session, and it is not forgotten"
    );
    assert_eq!(pair.primary.last_deadline(), at(9000));
}

#[test]
fn an_id_that_comes_again_does_not_bring_the_earlier_sessions_tokens_back() {
    let mut pair = Pair::default();
    let brought = |now| NewSession { brought: true, ..refreshable("phone", now, 5000, 50) };
    pair.create(brought(0), limit(9), 0).unwrap();
    pair.create(brought(5000), limit(9), 5000).unwrap();
    let opaque = |began| pair.primary.check(&id("phone"), Issued::ForSessionOf(at(began)), clock(5000));
    assert_eq!(opaque(0), Err(Reason::Unknown));
    assert!(opaque(5000).is_ok());
    let refresh = |began| {
        let token = RefreshToken { id: id("phone"), generation: 0, session_began_at: at(began) };
        pair.primary.refresh(&token, Origin::default(), RULES, &pair.agents, limit(9), clock(5000))
    };
    assert!(matches!(refresh(0), Refreshed::Refused(Reason::Unknown)));
    assert!(matches!(refresh(5000), Refreshed::Granted(_)));
}

#[test]
fn a_token_of_an_earlier_session_with_the_id_revokes_nothing_of_the_later_one() {
    let mut pair = Pair::default();
    let epoch = pair.primary.revoke_all(None, 100_000, limit(9), clock(500));
    pair.carry_out(&epoch.effects);
    pair.create(NewSession { brought: true, ..new("a", 2500, 5000) }, limit(9), 2500).unwrap();
    let earlier = Target { issued: Issued::InSecondOf(at(0)), until: Some(at(50_000)), ..target("a") };
    let revoked = |pair: &Pair, targets: &[Target]| pair.primary.revoke(targets, limit(9), clock(2500));
    let alone = revoked(&pair, std::slice::from_ref(&earlier));
    assert_eq!((alone.revoked, alone.effects), (0, Vec::new()));
    for targets in [[earlier.clone(), target("a")], [target("a"), earlier.clone()]] {
        assert_eq!(revoked(&pair, &targets).revoked, 1, "the id next to it is not overlooked");
    }
}

#[test]
fn a_jwt_is_good_for_its_lifetime_in_whole_seconds_but_not_longer_than_its_session() {
    let session = |new: NewSession<'static>| new.begin(RULES, at(700));
    let jwt = session(NewSession { token_ttl: Some(2), ..with_jwt("a", 700, 100_000) });
    assert_eq!(jwt.token_expires_at(at(700), 3600), Some(at(2000)));
    assert_eq!(session(with_jwt("a", 700, 100_000)).token_expires_at(at(700), 60), Some(at(60_000)));
    assert_eq!(session(with_jwt("a", 700, 5000)).token_expires_at(at(700), 60), Some(at(5000)));
    assert_eq!(session(new("a", 700, 5500)).token_expires_at(at(700), 60), Some(at(6200)));
    let none = session(NewSession { tokens: TokenForm::None, ..new("a", 0, 5000) });
    assert_eq!((none.token_expires_at(at(0), 60), none.token_until), (None, at(5000)));
    assert_ne!(jwt.token_id(), session(with_jwt("b", 0, 1)).token_id());
    let (first, mut second) = (session(refreshable("a", 0, 9000, 5)), session(refreshable("a", 0, 9000, 5)));
    second.issue(5, 1, at(1));
    assert_ne!(first.token_id(), second.token_id(), "each rotation has a JWT of its own");
}

#[test]
fn a_value_survives_its_encoding_and_a_damaged_one_claims_nothing() {
    let mut pair = Pair::default();
    let data = Data::pack([(&b"theme"[..], &b"dark"[..])]).unwrap();
    let device = Some(Device::of(crate::Subject::new(b"42").unwrap(), b"phone"));
    let all = NewSession { data, idle_secs: 60, device, claims: r#"{"a":1}"#, ..refreshable("a", 0, 900_000, 50) };
    pair.create(all, limit(9), 0).unwrap();
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

fn bury(n: u32, until: u64) -> Effect<'static> {
    let id = SessionId::from_text(n.to_string().as_bytes()).unwrap();
    Effect::Bury(Trace { id, reason: TraceReason::Revoked, until: at(until) })
}

#[test]
fn effects_that_are_more_than_a_value_are_refused_as_one() {
    let epoch = Effect::Epoch(Some(Epoch { at: at(0), until: at(9) }));
    let forgotten = Effect::Forgotten(Some(Epoch { at: at(0), until: at(9) }));
    let decode = |effects: &[&Effect<'_>]| {
        let effects: Vec<_> = effects.iter().copied().cloned().collect();
        UserSessions::decode(&encode_effects(&effects), &mut AgentPool::new()).map(|_| ())
    };
    assert_eq!(decode(&[&epoch, &forgotten, &bury(1, 9), &bury(2, 9)]), Ok(()));
    assert_eq!(decode(&[&forgotten]), Ok(()));
    for more in [
        &bury(1, 8),
        &epoch,
        &forgotten,
        &Effect::Epoch(None),
        &Effect::Forget(id("1")),
        &Effect::Clear { except: None },
        &Effect::Clear { except: Some(id("1")) },
        &Effect::Seen { id: id("1"), at: at(1) },
        &Effect::Unset { id: id("1"), names: Data::pack([(&b"name"[..], &b""[..])]).unwrap() },
    ] {
        assert_eq!(decode(&[&epoch, &bury(1, 9), more]), Err(DecodeError::Damaged), "{more:?}");
    }
    assert_eq!(decode(&[&forgotten, &epoch]), Err(DecodeError::Damaged));
    assert_eq!(decode(&[&Effect::Epoch(None), &bury(1, 9)]), Err(DecodeError::Damaged));
    assert_eq!(decode(&[]), Err(DecodeError::Damaged));
}

/// So many that a test would take minutes if each of them looked at all the others.
const VERY_MANY: u32 = 100_000;

#[test]
fn very_many_traces_that_end_together_are_forgotten_together() {
    let (mut sessions, mut agents) = (UserSessions::default(), AgentPool::new());
    let traces: Vec<_> = (0..VERY_MANY).map(|n| bury(n, 5)).collect();
    sessions.apply(&traces, &mut agents);
    assert_eq!(sessions.last_deadline(), at(5));
    sessions.apply(&[bury(VERY_MANY, 4)], &mut agents);
    sessions.apply(&sessions.purge(0, usize::MAX, clock(5)).effects, &mut agents);
    assert!(sessions.is_empty());
}

#[test]
fn the_last_deadline_goes_with_its_record() {
    let mut pair = Pair::default();
    let traces: Vec<_> = (0..100).map(|n| bury(n, 5 + u64::from(n))).collect();
    pair.carry_out(&traces);
    for n in (1..100_u32).rev() {
        assert_eq!(pair.primary.last_deadline(), at(5 + u64::from(n)));
        pair.carry_out(&[Effect::Forget(id(&n.to_string()))]);
    }
    assert_eq!(pair.primary.last_deadline(), at(5));
}

#[test]
fn very_many_fields_are_set_and_removed_at_once() {
    let names: Vec<_> = (0..VERY_MANY).map(|n| format!("field {n}")).collect();
    let data = |names: &[String]| Data::pack(names.iter().map(|name| (name.as_bytes(), &b"v"[..]))).unwrap();
    let mut pair = Pair::default();
    pair.create(new("a", 0, 5000), limit(9), 0).unwrap();
    let (mut sessions, mut agents) = (pair.primary, AgentPool::new());
    let half = names.len() / 2;
    for fields in [&names[..half], &names[half / 2..]] {
        let effects = sessions.set(&id("a"), data(fields), DataLimit::NONE, clock(1)).unwrap();
        sessions.apply(&effects, &mut agents);
    }
    assert_eq!(sessions.get(&id("a"), &agents, clock(1)).unwrap().data.iter().count(), names.len());
    let (effects, removed) = sessions.unset(&id("a"), data(&names[1..]), clock(1)).unwrap();
    sessions.apply(&effects, &mut agents);
    let left = sessions.get(&id("a"), &agents, clock(1)).unwrap();
    assert_eq!((removed, left.data.iter().collect::<Vec<_>>()), (names.len() - 1, vec![(&b"field 0"[..], &b"v"[..])]));
}
