mod lifetimes;
mod logins;

use proptest::prelude::*;

use super::*;
use crate::Reason;
use crate::token::{Issued, RefreshToken, TokenKind};

const START: u64 = 1_790_000_000_000;

fn at(millis: u64) -> UnixMillis {
    UnixMillis::new(START + millis).unwrap()
}

fn rules(now: u64) -> Rules {
    let rules = Rules { horizon: 100_000, grace: 1000, sessions: 9, tombstones: 1000, ..Rules::default() };
    rules.at(at(now))
}

fn limit(sessions: u32, now: u64) -> Rules {
    Rules { sessions, ..rules(now) }
}

fn id(text: &str) -> SessionId {
    SessionId::from_text(text.as_bytes()).unwrap()
}

/// A session with an opaque token, which lives as long as the session.
fn new(text: &str, now: u64, ttl: u64) -> NewSession<'static> {
    NewSession {
        id: id(text),
        source: IdSource::Random,
        expires_at: at(now + ttl),
        idle_secs: 0,
        ip: Some("203.0.113.9".parse().unwrap()),
        agent: Some("Mozilla/5.0"),
        device: None,
        tokens: TokenFormat::Opaque,
        token_ttl: None,
        refresh_secs: None,
        level: 0,
        claims: "",
        data: Data::default(),
    }
}

/// A session under an id that an application chose.
fn chosen(text: &str, now: u64, ttl: u64) -> NewSession<'static> {
    NewSession { source: IdSource::Caller, ..new(text, now, ttl) }
}

/// A session that goes on where a JWT made elsewhere began.
fn from(jwt: &Presented) -> NewSession<'static> {
    let expires_at = jwt.expires_at.unwrap();
    NewSession { id: jwt.id.clone(), source: IdSource::Token(jwt.issued), expires_at, ..new("from", 0, 0) }
}

/// A session with a JWT that expires with it.
fn with_jwt(text: &str, now: u64, ttl: u64) -> NewSession<'static> {
    NewSession { tokens: TokenFormat::Jwt, ..new(text, now, ttl) }
}

fn refreshable(text: &str, now: u64, ttl: u64, refresh_secs: u32) -> NewSession<'static> {
    NewSession { refresh_secs: Some(refresh_secs), token_ttl: Some(1), ..with_jwt(text, now, ttl) }
}

fn bare(text: &str) -> Presented {
    Presented::id(id(text))
}

/// A JWT made elsewhere.
fn jwt(text: &str, iat: u64, expires: u64) -> Presented {
    let (issued, expires_at) = (Issued::InSecondOf(at(iat)), Some(at(expires)));
    Presented { kind: Some(TokenKind::Jwt), issued, expires_at, ..bare(text) }
}

/// A token made here.
fn token(text: &str, began: u64) -> Presented {
    Presented { kind: Some(TokenKind::Opaque), issued: Issued::ForSessionOf(at(began)), ..bare(text) }
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

    fn create(&mut self, new: NewSession<'_>, rules: Rules) -> Result<Vec<SessionId>, CreateError> {
        let creation = self.primary.create(new, &rules)?;
        self.carry_out(&creation.effects);
        Ok(creation.value.evicted)
    }

    /// Begins one of very many sessions.
    fn fill(&mut self, new: NewSession<'_>, rules: &Rules) {
        let creation = self.primary.create(new, rules).unwrap();
        self.primary.apply(&creation.effects, &mut self.agents);
        self.replica.apply(&creation.effects, &mut self.replica_agents);
    }

    /// Whether the use is replicated.
    fn touch(&mut self, text: &str, rules: Rules) -> Result<bool, Reason> {
        let touch = self.primary.touch(&bare(text), Check::default(), &rules)?;
        self.replicate(&touch.effects);
        Ok(!touch.effects.is_empty())
    }

    fn revoke(&mut self, presented: &[Presented], rules: Rules) -> usize {
        let revocation = self.primary.revoke(presented, &rules);
        self.carry_out(&revocation.effects);
        revocation.value
    }

    fn deny(&mut self, text: &str, until: u64, rules: Rules) -> bool {
        let denial = self.primary.deny(id(text), at(until), &rules);
        self.carry_out(&denial.effects);
        denial.value
    }

    fn revoke_all(&mut self, except: Option<&str>, rules: Rules) -> usize {
        let revocation = self.primary.revoke_all(except.map(bare).as_ref(), &rules);
        self.carry_out(&revocation.effects);
        revocation.value
    }

    /// Sweeps in small parts; the answer is how many effects that took.
    fn purge(&mut self, rules: Rules) -> usize {
        let (mut from, mut count) = (Some(0), 0);
        while let Some(at) = from {
            let purge = self.primary.purge(at, 3, &rules);
            self.carry_out(&purge.effects);
            count += purge.effects.len();
            from = purge.value;
        }
        count
    }

    /// What a JWT that lives long is worth.
    fn check(&self, text: &str, iat: u64, now: u64) -> Result<Alive, Reason> {
        self.primary.alive(&jwt(text, iat, 1 << 40), &rules(now))
    }

    fn look_up(&self, presented: &Presented, now: u64) -> Result<Standing, Reason> {
        self.primary.look_up(presented, &rules(now))
    }

    fn refresh(&mut self, text: &str, generation: u32, origin: Origin<'_>, now: u64) -> Result<Refresh, Reason> {
        let session = self.primary.store.find(&id(text)).filter(|record| !record.is_tombstone());
        let session_began_at = session.map_or(at(0), RecordRef::created_at);
        let token = RefreshToken { id: id(text), generation, session_began_at };
        let refresh = self.primary.refresh(&token, origin, &self.agents, &rules(now))?;
        self.carry_out(&encoded(&refresh.effects));
        match refresh.value {
            Refreshed::Granted(grant) => Ok(grant.session.refresh.expect("a refresh token")),
            Refreshed::Reused => Err(Reason::Reused),
        }
    }

    fn set(&mut self, text: &str, fields: &[(&str, &str)], now: u64) -> Result<(), ChangeError> {
        let data = Data::pack(fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()))).unwrap();
        let set = self.primary.set(
            &id(text),
            data,
            None,
            &Rules { data: DataLimit { bytes: 20, fields: 3 }, ..rules(now) },
        )?;
        self.carry_out(&set.effects);
        Ok(())
    }

    fn fields(&self, text: &str, now: u64) -> Vec<(String, String)> {
        let text_of = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let rules = rules(now);
        let session = self.primary.get(&id(text), &self.agents, &rules).unwrap();
        session.data.iter().map(|(name, value)| (text_of(name), text_of(value))).collect()
    }

    fn ids(&self, now: u64) -> Vec<String> {
        self.primary.live(&self.agents, &rules(now)).map(|session| session.id.to_string()).collect()
    }

    fn tombstones(&self) -> usize {
        self.primary.store.iter().filter(|record| record.is_tombstone()).count()
    }
}

#[test]
fn a_session_lives_until_its_absolute_deadline() {
    let mut pair = Pair::default();
    pair.create(new("a", 0, 5000), rules(0)).unwrap();
    assert_eq!(pair.check("a", 0, 4999).unwrap().deadline, at(5000));
    assert_eq!(pair.check("a", 0, 5000), Err(Reason::Expired));
    assert_eq!(pair.check("b", 0, 0), Err(Reason::Unknown));
}

#[test]
fn an_idle_session_dies_and_a_touch_postpones_that_but_not_the_absolute_deadline() {
    let mut pair = Pair::default();
    pair.create(NewSession { idle_secs: 2, ..new("a", 0, 5000) }, rules(0)).unwrap();
    assert_eq!(pair.check("a", 0, 1999).unwrap().deadline, at(2000));
    assert_eq!(pair.check("a", 0, 2000), Err(Reason::Idle));
    assert_eq!(pair.touch("a", rules(1900)), Ok(true));
    assert_eq!(pair.check("a", 0, 3899).unwrap().deadline, at(3900));
    assert_eq!(pair.check("a", 0, 3900), Err(Reason::Idle));
    assert_eq!(pair.touch("a", rules(3900)), Err(Reason::Idle), "an idle session is not touched back to life");
    assert_eq!(pair.check("a", 0, 3900), Err(Reason::Idle));
    pair.touch("a", rules(3899)).unwrap();
    assert_eq!(pair.check("a", 0, 4999).unwrap().deadline, at(5000));
    assert_eq!(pair.check("a", 0, 5000), Err(Reason::Expired));
}

#[test]
fn a_touch_answers_where_the_session_stands_afterwards() {
    let mut pair = Pair::default();
    let device = Device::of(crate::Subject::new(b"42").unwrap(), b"phone");
    pair.create(NewSession { idle_secs: 2, device: Some(device), ..new("a", 0, 5000) }, rules(0)).unwrap();
    let alive = |deadline| Ok(Standing::Alive(Alive { deadline: at(deadline) }));
    let mut touch = |presented: &Presented, check: Check<'_>, now| {
        pair.primary.touch(presented, check, &rules(now)).map(|touch| touch.value)
    };
    assert_eq!(touch(&bare("a"), Check::default(), 1000), alive(3000));
    let of = |bytes| Check {
        device: Some(Fingerprint { user: crate::Subject::new(b"42").unwrap(), bytes }),
        ..Check::default()
    };
    assert_eq!(touch(&bare("a"), of(b"laptop"), 1500), Err(Reason::Device));
    assert_eq!(touch(&bare("a"), of(b"phone"), 1400), alive(3400), "a use from another device is none");
    let foreign = jwt("elsewhere", 0, 9000);
    assert_eq!(touch(&foreign, Check::default(), 1500), Err(Reason::Unknown));
    let stateless = Check { stateless: true, ..Check::default() };
    assert_eq!(touch(&foreign, stateless, 1500), Ok(Standing::Absent));
    assert_eq!(touch(&bare("elsewhere"), stateless, 1500), Err(Reason::Unknown), "a bare id proves nothing");
}

#[test]
fn a_touch_is_replicated_only_past_the_granularity_or_a_tenth_of_the_idle_timeout() {
    let mut sessions = Pair::default();
    sessions.create(new("a", 0, 900_000), rules(0)).unwrap();
    sessions.create(NewSession { idle_secs: 100, ..new("b", 0, 900_000) }, rules(0)).unwrap();
    let mut touch = |text, now| sessions.touch(text, rules(now)).unwrap();
    assert!(!touch("a", 60_000));
    assert!(touch("a", 60_001));
    assert!(!touch("a", 60_001));
    assert!(!touch("a", 120_001));
    assert!(!touch("b", 10_000));
    assert!(touch("b", 10_001));
    let seen = |text| sessions.primary.get(&id(text), &sessions.agents, &rules(20_000)).unwrap().last_seen_at();
    assert_eq!(seen("a"), at(120_001), "memory always knows the last use");
    assert_eq!(seen("b"), at(10_001));
}

#[test]
fn a_revoked_session_says_so_until_no_leeway_makes_its_last_token_good() {
    let mut pair = Pair::default();
    pair.create(new("a", 0, 5000), rules(0)).unwrap();
    assert_eq!(pair.revoke(&[bare("a")], rules(10)), 1);
    assert_eq!(pair.revoke(&[bare("a")], rules(11)), 0, "a second time is success, but nothing new");
    assert_eq!(pair.revoke(&[bare("never")], rules(11)), 0);
    assert_eq!(pair.check("a", 0, 20), Err(Reason::Revoked));
    assert_eq!(pair.touch("a", rules(20)), Err(Reason::Revoked));
    assert_eq!(pair.check("a", 0, 5000 + REMEMBERED - 1), Err(Reason::Revoked));
    assert_eq!(pair.purge(rules(5000 + REMEMBERED - 1)), 0);
    pair.purge(rules(5000 + REMEMBERED));
    assert!(pair.primary.is_empty());
}

#[test]
fn an_id_that_applications_choose_is_remembered_for_the_horizon() {
    let mut pair = Pair::default();
    pair.create(chosen("a", 0, 5000), rules(0)).unwrap();
    let rules = |now| Rules { leeway: 2000, ..rules(now) };
    assert_eq!(pair.revoke(&[bare("a")], rules(10)), 1);
    // The last JWT that another server can have made for it by then is good until here, under the largest leeway.
    let until = 10 + 2000 + 100_000 + REMEMBERED;
    assert_eq!(pair.primary.last_deadline(), at(until));
    assert_eq!(pair.primary.look_up(&jwt("a", 2000, 1 << 40), &rules(until - 11)), Err(Reason::Revoked));
    assert_eq!(pair.purge(rules(until - 1)), 0);
    pair.purge(rules(until));
    assert!(pair.primary.is_empty());
    assert_eq!(pair.primary.look_up(&jwt("a", 2000, 1 << 40), &rules(until)), Err(Reason::TokenExpired));
}

#[test]
fn an_id_is_free_when_its_session_is_dead_and_the_earlier_tokens_stay_dead() {
    let mut pair = Pair::default();
    pair.create(chosen("a", 0, 5000), rules(0)).unwrap();
    assert_eq!(pair.create(chosen("a", 1, 5000), rules(1)), Err(CreateError::Exists));
    pair.revoke(&[bare("a")], rules(10));
    let until = 10 + 100_000 + REMEMBERED;
    pair.create(chosen("a", 10, 3000), rules(10)).unwrap();
    assert_eq!(pair.look_up(&token("a", 0), 10), Err(Reason::Unknown));
    assert!(pair.look_up(&token("a", 11), 10).is_ok(), "it begins after all that the earlier one was");
    let check = |iat, latest| pair.primary.look_up(&jwt("a", iat, 9000), &Rules { now: at(20), ..rules(latest) }).err();
    assert_eq!(check(0, 1000), Some(Reason::Unknown), "one that may be of the earlier session");
    assert_eq!(check(1000, 1000), None, "ahead of the clock, but not of what the server has seen");
    assert_eq!(check(2000, 1000), Some(Reason::NotYetValid));
    let session = pair.primary.get(&id("a"), &pair.agents, &rules(20)).unwrap();
    assert_eq!((session.accepts_from, session.token_until), (Some(at(1000)), at(until)));
    // The earlier session is remembered although the later one takes its place, dead or alive.
    pair.purge(rules(3010));
    assert_eq!((pair.look_up(&token("a", 0), 3010), pair.tombstones()), (Err(Reason::Expired), 1));
    assert_eq!(pair.primary.last_deadline(), at(until));
    pair.purge(rules(until));
    assert!(pair.primary.is_empty());
}

#[test]
fn revoke_all_kills_every_token_issued_until_now_and_none_issued_later() {
    let mut pair = Pair::default();
    pair.create(with_jwt("a", 0, 9000), rules(0)).unwrap();
    pair.create(chosen("b", 0, 9000), rules(0)).unwrap();
    pair.create(with_jwt("c", 0, 9000), rules(0)).unwrap();
    pair.revoke(&[bare("c")], rules(1));
    assert_eq!(pair.revoke_all(None, rules(1500)), 2);
    assert_eq!(pair.tombstones(), 1, "the cutoff speaks for those that it ends");
    assert_eq!(pair.check("a", 0, 1500), Err(Reason::UserRevoked));
    assert_eq!(pair.check("b", 0, 1500), Err(Reason::UserRevoked));
    assert_eq!(pair.check("c", 0, 1500), Err(Reason::Revoked), "the two revocations stay apart");
    assert_eq!(pair.look_up(&token("b", 0), 1500), Err(Reason::UserRevoked), "an opaque token knows too");
    assert_eq!(pair.look_up(&bare("x"), 1500), Err(Reason::Unknown));
    assert_eq!(pair.check("elsewhere", 1000, 1500), Err(Reason::UserRevoked), "the cutoff's own second is revoked");
    assert_eq!(pair.look_up(&jwt("elsewhere", 2000, 9000), 2000), Ok(Standing::Absent));
    pair.create(new("d", 1500, 9000), rules(1500)).unwrap();
    assert!(pair.check("d", 1000, 1500).is_ok(), "a login in the same second works at once");
    for text in ["a", "b"] {
        pair.create(chosen(text, 1500, 9000), rules(1500)).unwrap();
        assert!(pair.look_up(&token(text, 1501), 1500).is_ok(), "so does one with the same id");
        let old = pair.look_up(&token(text, 0), 1500);
        assert_eq!(old, Err(Reason::UserRevoked), "which does not revive its old tokens");
        assert_eq!(pair.check(text, 1000, 1500), Err(Reason::UserRevoked));
        assert!(pair.check(text, 2000, 2000).is_ok());
    }
}

#[test]
fn revoke_all_kills_what_the_leeway_lets_in() {
    let mut pair = Pair::default();
    let rules = |now| Rules { leeway: 2000, ahead: 2000, ..rules(now) };
    assert_eq!(pair.primary.look_up(&jwt("a", 3000, 9000), &rules(1500)), Ok(Standing::Absent));
    pair.revoke_all(None, rules(1500));
    let look_up = |iat, now| pair.primary.look_up(&jwt("a", iat, 9000), &rules(now));
    assert_eq!(look_up(3000, 1500), Err(Reason::UserRevoked), "the clock of its issuer is ahead");
    assert_eq!(look_up(3000, 8000), Err(Reason::UserRevoked));
    assert_eq!(look_up(4000, 4000), Ok(Standing::Absent));
    assert_eq!(pair.primary.last_deadline(), at(1500 + 2000 + 100_000 + REMEMBERED));
    let without = Presented { issued: Issued::InSecondOf(UnixMillis::ZERO), ..jwt("a", 0, 9000) };
    assert_eq!(pair.primary.look_up(&without, &rules(4000)), Err(Reason::UserRevoked), "without `iat` it is older");
}

#[test]
fn revoke_all_can_spare_one_session() {
    let mut pair = Pair::default();
    for text in ["a", "b", "c"] {
        pair.create(new(text, 0, 9000), rules(0)).unwrap();
    }
    assert_eq!(pair.revoke_all(Some("b"), rules(1500)), 2);
    assert_eq!(pair.ids(1500), ["b"]);
    assert!(pair.check("b", 0, 1500).is_ok());
    assert_eq!(pair.revoke_all(Some("dead"), rules(1501)), 1);
    assert!(pair.ids(1501).is_empty());
}

#[test]
fn what_a_session_accepts_never_widens() {
    let mut pair = Pair::default();
    let early = Rules { horizon: 0, ..rules(500) };
    pair.revoke_all(None, early);
    pair.create(chosen("a", 1500, 2_000_000), rules(1500)).unwrap();
    let check = |pair: &Pair, iat, now| {
        let rules = Rules { horizon: 2_000_000, ..rules(now) };
        pair.primary.alive(&jwt("a", iat, 1 << 40), &rules).map(drop)
    };
    let accepted = |pair: &Pair, now| {
        let revoked = matches!(check(pair, 0, now), Err(Reason::UserRevoked | Reason::Unknown));
        assert!(revoked, "revoked before this session began");
        assert_eq!(check(pair, 1000, now), Ok(()), "later than that");
    };
    accepted(&pair, 1500);
    assert_eq!(pair.revoke_all(Some("a"), rules(2500)), 0);
    accepted(&pair, 2500);
    let late = 2500 + 100_000 + REMEMBERED;
    assert_eq!(pair.purge(rules(late)), 1, "the cutoffs have gone");
    accepted(&pair, late);
    let session = pair.primary.get(&id("a"), &pair.agents, &rules(late)).unwrap();
    assert_eq!(session.accepts_from, Some(at(1000)));
}

#[test]
fn a_cutoff_is_kept_until_the_last_token_before_it_has_expired() {
    let mut pair = Pair::default();
    pair.create(new("a", 0, 9000), rules(0)).unwrap();
    pair.revoke_all(None, Rules { horizon: 1000, ..rules(10) });
    assert_eq!(pair.primary.last_deadline(), at(9000 + REMEMBERED));
    assert_eq!(pair.purge(rules(9000 + REMEMBERED - 1)), 0);
    pair.purge(rules(9000 + REMEMBERED));
    assert!(pair.primary.is_empty());
}

#[test]
fn a_sweep_leaves_a_tombstone_of_what_died_of_time_until_its_last_token_has_expired() {
    let mut pair = Pair::default();
    let idle = |text| NewSession { idle_secs: 1, ..with_jwt(text, 0, 600_000) };
    pair.create(idle("a"), rules(0)).unwrap();
    pair.create(idle("b"), rules(0)).unwrap();
    pair.create(chosen("c", 0, 1500), rules(0)).unwrap();
    assert_eq!(pair.touch("b", rules(999)), Ok(true));
    assert_eq!(pair.primary.stored(), 3);
    let sweep = pair.primary.purge(0, 99, &rules(1500));
    assert_eq!(told(&pair, &sweep.events), ["Ended(Idle) a Mozilla/5.0", "Ended(Expired) c Mozilla/5.0"]);
    assert_eq!(pair.purge(rules(1500)), 2);
    assert_eq!(pair.primary.stored(), 1);
    assert_eq!(pair.primary.agents().count(), 1, "a tombstone has no agent");
    assert_eq!(pair.check("a", 0, 1500), Err(Reason::Idle));
    assert_eq!(pair.check("c", 0, 1500), Err(Reason::Unknown), "its last token expired with it");
    assert!(pair.check("b", 0, 1500).is_ok());
    assert_eq!(pair.purge(rules(1500)), 0, "what was swept stays so");
    let sweep = pair.primary.purge(0, 99, &rules(3_600_000));
    assert_eq!(told(&pair, &sweep.events), ["Ended(Expired) b Mozilla/5.0"], "what a tombstone was of ended before");
    assert_eq!(pair.purge(rules(3_600_000)), 2);
    assert!(pair.primary.is_empty());
}

#[test]
fn a_sweep_waits_for_the_leeway() {
    let mut pair = Pair::default();
    let rules = |now| Rules { leeway: 2000, ..rules(now) };
    pair.create(new("a", 0, 1500), rules(0)).unwrap();
    pair.create(NewSession { idle_secs: 1, ..new("b", 0, 1500) }, rules(0)).unwrap();
    assert_eq!(pair.purge(rules(1500)), 2);
    assert_eq!((pair.tombstones(), pair.primary.last_deadline()), (2, at(3500)));
    assert_eq!(pair.purge(rules(3499)), 0);
    assert_eq!(pair.purge(rules(3500)), 2);
    assert!(pair.primary.is_empty());
}

/// What events say: which kind, id, agent.
fn told(pair: &Pair, events: &[Event<'_>]) -> Vec<String> {
    let text = |id: &Option<SessionId>| id.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
    let line = |event: &Event<'_>| {
        let Event { kind, id, old_id, except, agent, .. } = event;
        let old = old_id.as_ref().map_or_else(String::new, |old| format!(" was {old}"));
        let spared = except.as_ref().map_or_else(String::new, |spared| format!(" but {spared}"));
        let agent = agent.as_ref().map(|agent| agent.text(&pair.agents).unwrap());
        format!("{kind:?} {}{old}{spared} {}", text(id), agent.unwrap_or("-"))
    };
    events.iter().map(line).collect()
}

#[test]
fn events_tell_what_happens_to_which_session() {
    let mut pair = Pair::default();
    let with_agent = |text| NewSession { agent: Some("phone"), idle_secs: 9, ..with_jwt(text, 0, 600_000) };
    let creation = pair.primary.create(with_agent("a"), &limit(2, 0)).unwrap();
    assert_eq!(told(&pair, &creation.events), ["Created a phone"]);
    pair.carry_out(&encoded(&creation.effects));
    pair.create(with_agent("b"), limit(2, 0)).unwrap();
    let creation = pair.primary.create(NewSession { agent: None, ..new("c", 0, 5000) }, &limit(2, 1)).unwrap();
    assert_eq!(told(&pair, &creation.events), ["Ended(Evicted) a phone", "Created c -"]);
    pair.carry_out(&encoded(&creation.effects));

    let revocation = pair.primary.revoke(&[bare("b"), bare("a"), bare("none")], &rules(2));
    assert_eq!(told(&pair, &revocation.events), ["Ended(Revoked) b phone"]);
    let denial = pair.primary.revoke(&[jwt("jwt", 0, 9000)], &rules(2));
    assert_eq!(told(&pair, &denial.events), ["Ended(Revoked) jwt -"]);
    let denial = pair.primary.deny(id("jti"), at(9000), &rules(2));
    assert_eq!(told(&pair, &denial.events), ["Ended(Revoked) jti -"]);
    let all = pair.primary.revoke_all(Some(&bare("c")), &rules(2));
    assert_eq!(told(&pair, &all.events), ["AllEnded(1) - but c -"]);
    let all = pair.primary.revoke_all(Some(&bare("a")), &rules(2));
    assert_eq!(told(&pair, &all.events), ["AllEnded(2) - -"], "a dead session is not spared");
    let renewed = pair.primary.regenerate(&bare("b"), Renewal::of(id("n")), &pair.agents, &rules(2)).unwrap();
    assert_eq!(told(&pair, &renewed.events), ["Regenerated n was b phone"]);
    let sweep = pair.primary.purge(0, 99, &rules(9500));
    assert_eq!(told(&pair, &sweep.events), ["Ended(Idle) b phone", "Ended(Expired) c -"]);
    let late = pair.primary.revoke_all(None, &rules(9500));
    assert_eq!(told(&pair, &late.events), ["Ended(Idle) b phone", "Ended(Expired) c -", "AllEnded(0) - -"]);
    let again = pair.primary.create(NewSession { agent: None, ..with_agent("b") }, &rules(9500)).unwrap();
    assert_eq!(told(&pair, &again.events), ["Ended(Idle) b phone", "Ended(Expired) c -", "Created b -"]);
    let data = Data::pack([(&b"x"[..], &b"y"[..])]).unwrap();
    let set = pair.primary.set(&id("b"), data.clone(), None, &rules(2)).unwrap();
    assert_eq!(told(&pair, &set.events), ["Set b -"]);
    assert!(pair.primary.unset(&id("b"), data.clone(), &rules(2)).unwrap().events.is_empty());
    pair.carry_out(&encoded(&set.effects));
    let unset = pair.primary.unset(&id("b"), data, &rules(2)).unwrap();
    assert_eq!(told(&pair, &unset.events), ["Unset b -"]);
    let touch = pair.primary.touch(&bare("b"), Check::default(), &rules(8000)).unwrap();
    assert_eq!(told(&pair, &touch.events), ["Touched b -"]);
}

#[test]
fn what_is_forgotten_at_once_is_told_with_the_reason_too() {
    let mut pair = Pair::default();
    ["a", "b"].iter().for_each(|text| drop(pair.create(with_jwt(text, 0, 600_000), rules(0)).unwrap()));
    let none = Rules { tombstones: 0, ..limit(2, 1) };
    let revocation = pair.primary.revoke(&[bare("a")], &none);
    assert_eq!(told(&pair, &revocation.events), ["Ended(Revoked) a Mozilla/5.0"]);
    let creation = pair.primary.create(new("c", 0, 5000), &none).unwrap();
    assert_eq!(told(&pair, &creation.events), ["Ended(Evicted) a Mozilla/5.0", "Created c Mozilla/5.0"]);
}

#[test]
fn refreshes_and_thefts_are_told() {
    let mut pair = Pair::default();
    pair.create(NewSession { refresh_secs: Some(600), ..with_jwt("a", 0, 600_000) }, rules(0)).unwrap();
    let offer = |pair: &Pair, generation, now| {
        let token = RefreshToken { id: id("a"), generation, session_began_at: at(0) };
        let refresh = pair.primary.refresh(&token, Origin::default(), &pair.agents, &rules(now)).unwrap();
        (encoded(&refresh.effects), told(pair, &refresh.events))
    };
    let (effects, events) = offer(&pair, 0, 10);
    assert_eq!(events, ["Refreshed a Mozilla/5.0"]);
    pair.carry_out(&effects);
    let (effects, events) = offer(&pair, 0, 10);
    assert_eq!(events, ["Refreshed a Mozilla/5.0"], "a repetition within the grace gets tokens as well");
    assert!(effects.is_empty(), "and changes nothing");
    let (effects, _) = offer(&pair, 1, 20);
    pair.carry_out(&effects);
    assert_eq!(offer(&pair, 0, 30).1, ["Ended(Reused) a Mozilla/5.0"]);
}

fn not_before(millis: u64, now: u64) -> Rules {
    Rules { not_before: Cutoff::at(at(millis), 0), ..rules(now) }
}

#[test]
fn a_sweep_leaves_what_not_before_took_as_that_may_be_taken_back() {
    let mut pair = Pair::default();
    pair.create(with_jwt("a", 0, 600_000), rules(0)).unwrap();
    assert!(pair.primary.purge(0, 99, &not_before(10, 20)).effects.is_empty());
    // Also when no token asks for it any more: a session may have been looked at by its id, or be refreshed.
    pair.create(NewSession { token_ttl: Some(1), ..with_jwt("b", 0, 600_000) }, rules(0)).unwrap();
    assert!(pair.primary.purge(0, 99, &not_before(10, 5000)).effects.is_empty());
    let creation = pair.primary.create(new("c", 5000, 9000), &not_before(10, 5000)).unwrap();
    assert!(creation.effects.iter().all(|effect| matches!(effect, Effect::Put(_))));
    assert_eq!(pair.primary.count(&rules(5000)), 2);
}

#[test]
fn a_sweep_of_many_goes_on_where_it_stopped() {
    let mut pair = Pair::default();
    for n in 0..100u64 {
        pair.create(new(&format!("s{n}"), 0, 1000 + n % 2 * 5000), limit(900, 0)).unwrap();
    }
    let first = pair.primary.purge(0, 10, &rules(2000));
    assert_eq!((first.effects.len(), first.value), (5, Some(10)));
    let last = pair.primary.purge(90, 10, &rules(2000));
    assert_eq!((last.effects.len(), last.value), (5, None));
    assert_eq!(pair.purge(rules(2000)), 50);
    assert_eq!(pair.primary.stored(), 50);
}

#[test]
fn a_cap_evicts_the_oldest_or_refuses() {
    let mut pair = Pair::default();
    for (now, text) in (0..).zip(["a", "b", "c"]) {
        pair.create(new(text, now, 9000), limit(3, now)).unwrap();
    }
    let reject = |now| Rules { policy: LimitPolicy::Reject, ..limit(3, now) };
    assert_eq!(pair.create(new("d", 5, 9000), reject(5)), Err(CreateError::Limit));
    assert_eq!(pair.ids(5), ["a", "b", "c"]);
    assert_eq!(pair.create(new("d", 5, 9000), limit(2, 5)).unwrap(), [id("a"), id("b")]);
    assert_eq!(pair.ids(5), ["c", "d"]);
    assert_eq!(pair.check("a", 0, 5), Err(Reason::Evicted));
    pair.create(new("e", 9003, 9000), reject(9003)).unwrap();
    assert_eq!(pair.ids(9003), ["d", "e"], "an expired session does not count");
}

#[test]
fn a_login_loop_cannot_fill_memory() {
    let mut pair = Pair::default();
    let bound = |now| Rules { tombstones: 20, ..limit(10, now) };
    for n in 0..2000 {
        let idle_secs = u32::from(n % 3 == 0);
        pair.create(NewSession { idle_secs, ..new(&format!("{n:05}"), n, 1 << 40) }, bound(n)).unwrap();
    }
    assert!(pair.primary.store.iter().count() <= 31);
    assert_eq!(pair.check("01985", 0, 2000), Err(Reason::Evicted));
    let oldest = pair.look_up(&jwt("00001", 0, 9000), 2000);
    assert_eq!(oldest, Err(Reason::Unknown), "the oldest tombstones are dropped");
    for n in 0..500 {
        let now = n * 1001;
        pair.create(NewSession { idle_secs: 1, ..new(&format!("i{n}"), now, 1 << 40) }, bound(now)).unwrap();
    }
    assert!(pair.primary.store.iter().count() <= 31, "sessions that died idle are bounded too");
    for n in 0..100 {
        pair.create(new(&format!("t{n}"), n, 1 << 40), Rules { sessions: 200, ..bound(n) }).unwrap();
    }
    let many: Vec<_> = (0..50).map(|n| bare(&format!("t{n}"))).collect();
    assert_eq!(pair.revoke(&many, bound(100)), 50);
    assert_eq!(pair.tombstones(), 20, "many at once are too");
    pair.revoke_all(None, bound(200));
    assert_eq!(pair.primary.store.iter().count(), 20);
    pair.revoke_all(None, Rules { tombstones: 5, ..bound(200) });
    assert_eq!(pair.primary.store.iter().count(), 5);
}

#[test]
fn what_was_forgotten_too_early_is_not_taken_for_good() {
    let mut pair = Pair::default();
    let few = |now| Rules { tombstones: 2, ..rules(now) };
    ["a", "b"].iter().for_each(|text| assert_eq!(pair.revoke(&[jwt(text, 0, 50_000)], few(1500)), 1));
    assert_eq!(pair.look_up(&jwt("x", 0, 50_000), 2500), Ok(Standing::Absent));
    assert_eq!(pair.revoke(&[jwt("c", 0, 50_000)], few(2500)), 1);
    for text in ["a", "x"] {
        for iat in [0, 1000] {
            assert_eq!(pair.look_up(&jwt(text, iat, 1 << 40), 2500), Err(Reason::Unknown), "it may have been ended");
        }
        let later = pair.look_up(&jwt(text, 2000, 1 << 40), 2500);
        assert_eq!(later, Ok(Standing::Absent), "nothing issued later was ended then");
    }
    assert_eq!(pair.look_up(&jwt("c", 0, 50_000), 2500), Err(Reason::Revoked));
    pair.create(chosen("a", 4000, 9000), few(4000)).unwrap();
    assert_eq!(pair.check("a", 0, 4000), Err(Reason::Unknown), "its id used again does not wake it");
    assert!(pair.look_up(&token("a", 4000), 4000).is_ok());
    assert!(pair.check("a", 4000, 4000).is_ok());

    let mut pair = Pair::default();
    let many: Vec<_> = (0..5).map(|n| jwt(&format!("m{n}"), 5000, 60_000)).collect();
    assert_eq!(pair.revoke(&many, few(5000)), 5);
    assert_eq!(pair.look_up(&jwt("x", 5000, 60_000), 5000), Err(Reason::Unknown), "many at once too");
    let bytes = pair.primary.encode(&pair.agents);
    let read = UserSessions::decode(&bytes, &mut AgentPool::new()).unwrap();
    assert_eq!(read.look_up(&jwt("x", 5000, 60_000), &rules(5000)), Err(Reason::Unknown));
    assert_eq!(pair.primary.last_deadline(), at(60_000 + REMEMBERED));
    pair.purge(rules(60_000 + REMEMBERED));
    assert!(pair.primary.is_empty());
    let late = pair.look_up(&many[0], 60_000 + REMEMBERED);
    assert_eq!(late, Err(Reason::TokenExpired), "it has expired meanwhile");

    // One whose `iat` was ahead of the clock, by a leeway that is less by now.
    let mut pair = Pair::default();
    assert_eq!(pair.revoke(&[jwt("ahead", 31_000, 90_000)], Rules { leeway: 60_000, ahead: 60_000, ..few(1500) }), 1);
    assert_eq!(pair.revoke(&[jwt("b", 0, 90_000), jwt("c", 0, 90_000)], few(2500)), 2);
    assert_eq!(pair.look_up(&jwt("ahead", 31_000, 90_000), 40_000), Err(Reason::Unknown));
}

#[test]
fn taking_back_the_end_of_everyone_readmits_nothing_that_an_earlier_leeway_let_in() {
    let everyone = |cutoff, leeway, now| Rules { revoked_before: cutoff, leeway, ..rules(now) };
    // With a leeway of a minute, then after a restart with one of five seconds and a clock that has stepped back.
    let cutoff = everyone(Cutoff::default(), 60_000, 5000).revoke_everyone(None);
    let cleared = everyone(cutoff, 5000, 1000).readmit();
    assert_eq!((cleared.began, cleared.iat), (at(1000), at(61_000)));
    assert_eq!(everyone(cutoff, 5000, 9000).readmit(), cutoff, "nothing of it lies in the future");
    let later = everyone(cutoff, 5000, 9000).revoke_everyone(Some(at(20_001)));
    assert_eq!((later.began, later.iat), (at(20_000), at(80_000)));
    let cleared = everyone(later, 5000, 10_000).readmit();
    assert_eq!((cleared.began, cleared.iat), (at(10_000), at(70_000)));
}

#[test]
fn not_before_logs_everyone_out() {
    let mut pair = Pair::default();
    pair.create(new("a", 0, 9000), rules(0)).unwrap();
    pair.create(new("b", 10, 9000), rules(10)).unwrap();
    pair.create(new("c", 11, 9000), rules(11)).unwrap();
    let rules = not_before(10, 20);
    let check = |text| pair.primary.alive(&jwt(text, 0, 9000), &rules).map(drop);
    assert_eq!((check("a"), check("b")), (Err(Reason::UserRevoked), Err(Reason::UserRevoked)));
    assert_eq!(check("c"), Ok(()));
    assert_eq!(check("x"), Err(Reason::UserRevoked));
    assert_eq!(pair.primary.count(&rules), 1);
}

#[test]
fn not_before_takes_a_token_though_a_later_session_has_its_id() {
    let mut pair = Pair::default();
    pair.create(chosen("a", 5500, 9000), rules(5500)).unwrap();
    let rules_then = not_before(5200, 6000);
    let check = |iat| pair.primary.alive(&jwt("a", iat, 1 << 40), &rules_then).map(drop);
    assert_eq!(check(4000), Err(Reason::UserRevoked));
    // A JWT shows whole seconds: one of the cutoff's own second may be of before it.
    assert_eq!(check(5000), Err(Reason::UserRevoked));
    assert_eq!(check(6000), Ok(()));
    assert!(pair.primary.alive(&token("a", 5500), &rules_then).is_ok(), "a token made here is of this session");
    assert!(pair.check("a", 4000, 6000).is_ok(), "a JWT older than its session");
}

fn revoked_before(millis: u64, now: u64) -> Rules {
    Rules { revoked_before: Cutoff::at(at(millis), 0), ..rules(now) }
}

#[test]
fn a_cutoff_of_all_users_ends_what_began_before_it() {
    let mut pair = Pair::default();
    pair.create(new("a", 0, 9000), rules(0)).unwrap();
    pair.create(chosen("b", 10, 9000), rules(10)).unwrap();
    let everyone = |now| revoked_before(10, now);
    for text in ["a", "b"] {
        assert_eq!(pair.primary.look_up(&bare(text), &everyone(10)), Err(Reason::UserRevoked));
    }
    // What it has ended leaves no tombstone: nobody takes it back.
    let sweep = pair.primary.purge(0, 99, &everyone(10));
    assert_eq!(sweep.effects, [Effect::Forget(id("a")), Effect::Forget(id("b"))]);
    assert!(sweep.events.is_empty());
    // Logins in the same millisecond.
    pair.create(new("c", 10, 9000), everyone(10)).unwrap();
    pair.create(chosen("d", 10, 9000), everyone(10)).unwrap();
    pair.create(chosen("b", 10, 9000), everyone(10)).unwrap();
    for text in ["b", "c", "d"] {
        assert!(pair.primary.look_up(&token(text, 11), &everyone(10)).is_ok(), "{text}");
    }
    assert_eq!(pair.primary.look_up(&token("b", 10), &everyone(10)), Err(Reason::UserRevoked), "it was ended");
    assert_eq!(pair.primary.look_up(&jwt("d", 0, 9000), &everyone(10)), Err(Reason::UserRevoked));
    assert_eq!(pair.primary.look_up(&jwt("d", 0, 9000), &rules(10)), Err(Reason::Unknown), "also without the cutoff");
    assert!(pair.primary.look_up(&jwt("d", 1000, 9000), &everyone(1000)).is_ok());
    assert_eq!(pair.primary.store.iter().count(), 3, "a login drops it as well");
    assert_eq!(pair.primary.look_up(&token("a", 0), &everyone(20)), Err(Reason::UserRevoked));
    assert_eq!(pair.primary.look_up(&jwt("a", 0, 9000), &everyone(20)), Err(Reason::UserRevoked));
    assert_eq!(pair.primary.look_up(&jwt("a", 1000, 9000), &everyone(1000)), Ok(Standing::Absent));
}

#[test]
fn nothing_comes_back_with_an_earlier_clock() {
    let back = |now, latest| Rules { now: at(now), ..rules(latest) };
    let mut pair = Pair::default();
    let foreign = jwt("foreign", 0, 5000);
    assert_eq!(pair.revoke(std::slice::from_ref(&foreign), rules(1)), 1);
    pair.purge(rules(5000 + REMEMBERED));
    assert!(pair.primary.is_empty());
    let again = pair.primary.look_up(&foreign, &back(2, 5000 + REMEMBERED));
    assert_eq!(again, Err(Reason::TokenExpired), "it expired once");

    pair.create(chosen("a", 0, 9000), rules(0)).unwrap();
    pair.revoke_all(None, back(1000, 7000));
    assert_eq!(pair.look_up(&jwt("x", 7000, 9000), 1000), Err(Reason::UserRevoked), "issued before the step");
    assert_eq!(pair.look_up(&jwt("x", 8000, 9000), 1000), Err(Reason::NotYetValid));
    assert_eq!(pair.look_up(&jwt("x", 8000, 9000), 8000), Ok(Standing::Absent));
    pair.create(chosen("a", 1000, 9000), back(1000, 7000)).unwrap();
    assert!(pair.primary.look_up(&token("a", 7001), &back(1000, 7000)).is_ok(), "it begins after the cutoff");
    assert_eq!(pair.primary.look_up(&token("a", 0), &back(1000, 7000)), Err(Reason::UserRevoked));

    let mut pair = Pair::default();
    pair.create(chosen("a", 7000, 9000), rules(7000)).unwrap();
    pair.create(new("b", 7000, 9000), rules(7000)).unwrap();
    assert_eq!(pair.revoke_all(None, rules(1000)), 2);
    assert_eq!(pair.look_up(&token("b", 7000), 1000), Err(Reason::UserRevoked), "the cutoff covers what it ends");
    assert_eq!(pair.look_up(&jwt("a", 7000, 9000), 1000), Err(Reason::UserRevoked));

    let mut pair = Pair::default();
    pair.create(refreshable("a", 0, 90_000, 80), rules(0)).unwrap();
    pair.refresh("a", 0, Origin::default(), 7000).unwrap();
    pair.revoke(&[bare("a")], Rules { tombstones: 0, ..rules(1000) });
    assert_eq!(pair.look_up(&jwt("a", 7000, 9000), 1000), Err(Reason::Unknown), "its last JWT is covered");
}

#[test]
fn a_jwt_made_elsewhere_is_good_for_the_horizon() {
    let mut pair = Pair::default();
    let rules = |now| Rules { leeway: 2000, ..rules(now) };
    let long = jwt("a", 1000, 1 << 40);
    let look_up = |pair: &Pair, now| pair.primary.look_up(&long, &rules(now));
    assert_eq!(look_up(&pair, 1000), Ok(Standing::Absent));
    assert_eq!(look_up(&pair, 1000 + 100_000 + 2000 - 1), Ok(Standing::Absent));
    assert_eq!(look_up(&pair, 1000 + 100_000 + 2000), Err(Reason::TokenExpired));
    let of_here = Presented { issued: Issued::ForSessionOf(at(1000)), ..long.clone() };
    let late = rules(1000 + 100_000 + 2000);
    assert_eq!(pair.primary.look_up(&of_here, &late), Err(Reason::TokenExpired), "a server like this one made it");
    // A revocation is remembered until then, whatever leeway comes.
    pair.revoke_all(None, rules(3000));
    for now in [3000, 100_000, 600_000, 700_000, 701_000, 800_000] {
        pair.purge(rules(now));
        assert!(pair.primary.look_up(&long, &Rules { leeway: REMEMBERED, ..rules(now) }).is_err(), "{now}");
    }
    // A session with such a JWT ends with it.
    let mut pair = Pair::default();
    pair.create(from(&long), rules(3000)).unwrap();
    assert_eq!(pair.primary.alive(&long, &rules(3000)).unwrap().deadline, at(101_000));
    let refreshed = NewSession { refresh_secs: Some(900), ..from(&Presented { id: id("b"), ..long }) };
    let creation = pair.primary.create(refreshed, &rules(3000)).unwrap().value;
    let (until, refresh) = (creation.session.token_until, creation.session.refresh.unwrap());
    assert_eq!((until, refresh.expires_at), (at(101_000), at(101_000)), "and so do its tokens");
}

#[test]
fn a_session_begins_with_a_jwt_that_nobody_can_have_ended() {
    let foreign = jwt("a", 1000, 9000);
    let refused = |reason| Err(CreateError::Refused(reason));
    let mut pair = Pair::default();
    pair.create(from(&foreign), rules(1500)).unwrap();
    assert_eq!(pair.look_up(&foreign, 1500), Ok(Standing::Alive(Alive { deadline: at(9000) })));
    assert_eq!(pair.create(from(&foreign), rules(1500)), Err(CreateError::Exists));
    pair.revoke(&[bare("a")], rules(1600));
    assert_eq!(pair.create(from(&foreign), rules(1700)), refused(Reason::Revoked));

    let mut pair = Pair::default();
    pair.revoke_all(None, rules(1500));
    assert_eq!(pair.create(from(&foreign), rules(1700)), refused(Reason::UserRevoked));
    pair.create(from(&jwt("a", 2000, 9000)), rules(2000)).unwrap();
    assert_eq!(pair.look_up(&foreign, 2000), Err(Reason::UserRevoked), "an earlier one of the same id stays dead");

    let mut pair = Pair::default();
    let none = |now| Rules { tombstones: 0, ..rules(now) };
    pair.revoke(&[jwt("another", 1000, 9000)], none(1500));
    assert_eq!(pair.create(from(&foreign), none(1700)), refused(Reason::Unknown), "it may have been this one");

    let mut pair = Pair::default();
    for cut in [revoked_before(1500, 1500), not_before(1500, 1500)] {
        assert_eq!(pair.create(from(&foreign), cut), refused(Reason::UserRevoked));
    }
    assert_eq!(pair.create(from(&foreign), rules(9000)), refused(Reason::TokenExpired));
    let leeway = Rules { leeway: 2000, ..rules(9000) };
    assert_eq!(pair.create(from(&foreign), leeway), refused(Reason::TokenExpired), "no session outlives it");
    let old = jwt("a", 1000, 1 << 40);
    assert_eq!(pair.create(from(&old), rules(101_000)), refused(Reason::TokenExpired), "past the horizon");
    let opaque = from(&jwt("rst1.NDI.aWQ.AA", 1000, 9000));
    assert_eq!(pair.create(opaque, rules(1500)), refused(Reason::Malformed), "an id that reads as a token");

    let ours = Presented { issued: Issued::ForSessionOf(at(700)), ..foreign };
    let gone = pair.create(from(&ours), rules(1500));
    assert_eq!(gone, refused(Reason::Unknown), "it is of a session that began here, and is gone");
}

#[test]
fn a_jwt_is_denied_by_its_id_alone() {
    let mut pair = Pair::default();
    assert!(pair.deny("jti", 5000, rules(1)));
    assert_eq!(pair.look_up(&jwt("jti", 0, 5000), 2), Err(Reason::Revoked));
    assert!(!pair.deny("jti", 5000, rules(2)), "it is denied already");
    assert!(!pair.deny("jti", 4000, rules(2)));
    assert!(pair.deny("jti", 6000, rules(2)), "for longer");
    assert_eq!(pair.primary.last_deadline(), at(6000 + REMEMBERED));
    assert!(!pair.deny("old", 6000, rules(6000 + REMEMBERED)), "no leeway makes it good");
    pair.purge(rules(6000 + REMEMBERED));
    assert!(pair.primary.is_empty());

    pair.create(new("a", 0, 9000), rules(0)).unwrap();
    let denial = pair.primary.deny(id("a"), at(5000), &rules(1));
    assert_eq!(told(&pair, &denial.events), ["Ended(Revoked) a Mozilla/5.0"], "a live session ends");
    pair.carry_out(&denial.effects);
    assert_eq!(pair.check("a", 0, 1), Err(Reason::Revoked));
    assert_eq!(pair.primary.last_deadline(), at(9000 + REMEMBERED), "and its own tokens stay dead");

    let mut pair = Pair::default();
    pair.create(NewSession { idle_secs: 1, ..new("a", 0, 9000) }, limit(1, 0)).unwrap();
    let denial = pair.primary.deny(id("a"), at(20_000), &rules(1000));
    assert_eq!(told(&pair, &denial.events), ["Ended(Idle) a Mozilla/5.0"], "it had died before");
    pair.create(new("b", 500, 9000), limit(1, 500)).unwrap();
    assert!(pair.deny("a", 20_000, rules(600)));
    assert_eq!(pair.check("a", 0, 600), Err(Reason::Evicted), "the reason stays the first");
    let none = Rules { tombstones: 0, ..rules(700) };
    assert!(pair.deny("c", 20_000, none));
    assert_eq!((pair.tombstones(), pair.look_up(&jwt("c", 0, 20_000), 700)), (0, Err(Reason::Unknown)));
}

#[test]
fn what_is_revoked_while_a_cutoff_ends_it_stays_dead_without_the_cutoff() {
    // Setting `session.not-before` back brings neither a session nor a JWT back.
    let mut pair = Pair::default();
    pair.create(new("a", 0, 9000), rules(0)).unwrap();
    let foreign = jwt("foreign", 0, 9000);
    assert_eq!(pair.revoke(&[bare("a"), foreign.clone()], not_before(10, 20)), 0, "both are dead already");
    assert_eq!(pair.look_up(&bare("a"), 30), Err(Reason::Revoked));
    assert_eq!(pair.look_up(&foreign, 30), Err(Reason::Revoked));

    // A larger leeway does not bring back what was revoked when it had just expired.
    let mut pair = Pair::default();
    assert_eq!(pair.revoke(std::slice::from_ref(&foreign), rules(9000)), 0);
    assert_eq!(pair.primary.look_up(&foreign, &Rules { leeway: 2000, ..rules(9000) }), Err(Reason::Revoked));

    // The cutoff for dropped tombstones goes with the last of them.
    let mut pair = Pair::default();
    assert_eq!(pair.revoke(&[jwt("b", 0, 5000)], Rules { tombstones: 0, ..rules(10) }), 1);
    assert_eq!(pair.look_up(&foreign, 20), Err(Reason::Unknown));
    assert_eq!(pair.revoke(&[jwt("short", 0, 5000)], rules(20)), 0);
    assert_eq!(pair.tombstones(), 0, "the cutoff outlives this one");
    assert_eq!(pair.revoke(std::slice::from_ref(&foreign), rules(20)), 0);
    let later = |now| Rules { leeway: MAX_LEEWAY, ..rules(now) };
    for now in [5000 + REMEMBERED, 9000 + REMEMBERED] {
        pair.purge(later(now));
        assert!(pair.primary.look_up(&foreign, &later(now)).is_err(), "{now}");
    }
    assert!(pair.primary.is_empty());

    // The cutoff of the user goes with the horizon, which a JWT without `iat` may outlive.
    let mut pair = Pair::default();
    let undated = Presented { issued: Issued::InSecondOf(UnixMillis::ZERO), ..jwt("undated", 0, 1 << 40) };
    pair.revoke_all(None, rules(10));
    assert_eq!(pair.revoke(std::slice::from_ref(&undated), rules(20)), 0);
    pair.purge(rules(10 + 100_000 + REMEMBERED));
    assert_eq!(pair.look_up(&undated, 10 + 100_000 + REMEMBERED), Err(Reason::Revoked));
}

#[test]
fn a_revoked_jwt_outlives_neither_the_session_that_did_not_accept_it_nor_the_cutoff() {
    let undated = Presented { issued: Issued::InSecondOf(UnixMillis::ZERO), ..jwt("a", 0, 1 << 40) };
    let begun = |pair: &mut Pair| {
        let session = NewSession { source: IdSource::Token(Issued::InSecondOf(at(3000))), ..new("a", 3000, 9000) };
        pair.create(session, not_before(2500, 3000)).unwrap();
    };
    // The session is remembered for a shorter time than this JWT lives. So it ends, too.
    let mut pair = Pair::default();
    begun(&mut pair);
    assert_eq!(pair.revoke(std::slice::from_ref(&undated), not_before(2500, 4000)), 0);
    assert_eq!(pair.look_up(&undated, 4000), Err(Reason::Revoked));
    pair.purge(rules(9000 + REMEMBERED));
    assert_eq!(pair.look_up(&undated, 9000 + REMEMBERED), Err(Reason::Revoked));

    // One that is forgotten later than the JWT expires refuses it all the time.
    let mut pair = Pair::default();
    pair.create(NewSession { source: IdSource::Caller, ..new("a", 3000, 9_000_000) }, not_before(2500, 3000)).unwrap();
    let expires_at = Some(at(8000));
    assert_eq!(pair.revoke(&[Presented { expires_at, ..undated }], not_before(2500, 4000)), 0);
    assert!(pair.check("a", 3000, 4000).is_ok());
}

#[test]
fn an_issuer_may_go_on_with_an_id_and_what_it_issues_then_ends_by_itself() {
    let foreign = jwt("a", 2000, 11_000);
    let ends: [fn(&mut Pair, &Presented, Rules); 2] = [
        |pair, foreign, rules| assert_eq!(pair.revoke(std::slice::from_ref(foreign), rules), 1),
        |pair, _, rules| assert!(pair.deny("a", 11_000, rules)),
    ];
    for end in ends {
        let mut pair = Pair::default();
        pair.create(chosen("a", 0, 2_000_000), rules(0)).unwrap();
        pair.revoke(&[bare("a")], rules(10));
        assert_eq!(pair.look_up(&jwt("a", 0, 11_000), 2000), Err(Reason::Revoked), "issued before the end");
        assert_eq!(pair.look_up(&foreign, 2000), Ok(Standing::Absent), "issued after it");
        end(&mut pair, &foreign, rules(2000));
        assert_eq!((pair.look_up(&foreign, 2000), pair.tombstones()), (Err(Reason::Revoked), 1));
        // As too many come, it is dropped.
        pair.revoke(&[jwt("b", 2000, 11_000)], Rules { tombstones: 0, ..rules(2001) });
        assert_eq!(pair.tombstones(), 0);
        assert_eq!(pair.look_up(&foreign, 2002), Err(Reason::Unknown));
    }
}

#[test]
fn what_is_issued_after_the_death_of_a_session_has_nothing_to_do_with_it() {
    let phone = Fingerprint { user: crate::Subject::new(b"42").unwrap(), bytes: b"phone" };
    let laptop = Fingerprint { bytes: b"laptop", ..phone };
    let idle =
        NewSession { idle_secs: 2, device: Some(Device::of(phone.user, phone.bytes)), ..chosen("a", 0, 2_000_000) };
    let mut pair = Pair::default();
    pair.create(idle, rules(0)).unwrap();
    let later = jwt("a", 3000, 11_000);
    for device in [None, Some(phone), Some(laptop)] {
        let check = Check { stateless: true, device, ..Check::default() };
        assert_eq!(pair.primary.check(&later, check, &rules(3500)), Ok(Standing::Absent), "it is bound to no device");
        let touch = pair.primary.touch(&later, check, &rules(3500)).unwrap();
        assert_eq!((touch.value, touch.effects.len(), touch.events.len()), (Standing::Absent, 0, 0));
    }
    assert_eq!(pair.look_up(&bare("a"), 3500), Err(Reason::Idle), "and does not wake it");

    // The widest leeway would end it with the session. It is good now, so it counts.
    for (later, now) in [(later, 3500), (jwt("a", 5000 + REMEMBERED, 90_000 + REMEMBERED), 5000 + REMEMBERED)] {
        let revocation = pair.primary.revoke(std::slice::from_ref(&later), &rules(now));
        let told = told(&pair, &revocation.events);
        assert_eq!(
            (revocation.value, &*told),
            (1, &["Ended(Idle) a Mozilla/5.0".into()][..]),
            "the session died before"
        );
        let (mut after, mut agents) = (pair.primary.clone(), AgentPool::new());
        after.apply(&revocation.effects, &mut agents);
        assert_eq!(after.look_up(&later, &rules(now)), Err(Reason::Idle));
    }
}

#[test]
fn a_jwt_that_a_cutoff_ends_is_revoked_although_its_id_has_a_tombstone() {
    let rules = |now| Rules { horizon: 10 * REMEMBERED, ..rules(now) };
    let mut pair = Pair::default();
    pair.deny("b", 50_000, rules(0));
    pair.create(chosen("a", 0, 9000), rules(0)).unwrap();
    pair.revoke(&[bare("a")], rules(10));
    let later = jwt("a", 2000, 2 * REMEMBERED);
    assert_eq!(pair.primary.look_up(&later, &rules(2000)), Ok(Standing::Absent), "issued after the end");
    pair.revoke(&[jwt("c", 0, 9000)], Rules { tombstones: 2, ..rules(2500) });
    assert_eq!(pair.primary.look_up(&later, &rules(3000)), Err(Reason::Unknown), "for b is forgotten");
    assert_eq!(pair.revoke(std::slice::from_ref(&later), rules(3000)), 0);
    pair.purge(rules(50_000 + REMEMBERED));
    let standing = pair.primary.look_up(&later, &rules(50_000 + REMEMBERED));
    assert_eq!(standing, Err(Reason::Revoked), "it lives longer than the cutoff");
}

#[test]
fn one_session_takes_what_the_design_allows() {
    let mut pair = Pair::default();
    let random = |n: u8| SessionId::from_random([n; 16]);
    for n in 0..4 {
        pair.create(NewSession { id: random(n), ..with_jwt("a", 0, 9000) }, rules(0)).unwrap();
        let bytes = pair.primary.store.allocated_bytes();
        assert_eq!(bytes, 1 + 54 * (usize::from(n) + 1));
    }
    assert_eq!(size_of::<UserSessions>(), 16);
    let mut pair = Pair::default();
    pair.carry_out(&[Effect::End(Tombstone { id: random(1), ..gone(1, 9) })]);
    assert_eq!(pair.primary.store.allocated_bytes(), 1 + 36);
}

#[test]
fn a_refresh_token_is_rotated_and_the_loser_of_a_race_gets_the_winners_successor() {
    let mut pair = Pair::default();
    pair.create(refreshable("a", 0, 100_000, 50), rules(0)).unwrap();
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
        pair.create(refreshable("a", 0, 100_000, 50), rules(0)).unwrap();
        pair.refresh("a", 0, Origin::default(), 10_000).unwrap();
        if now > 20_000 {
            pair.refresh("a", 1, Origin::default(), 20_000).unwrap();
        }
        assert_eq!(pair.refresh("a", generation, Origin::default(), now), Err(Reason::Reused));
        assert_eq!(pair.check("a", 0, now), Err(Reason::Reused));
        assert_eq!(pair.refresh("a", 2, Origin::default(), now), Err(Reason::Reused));
        let refresh_expires = if now > 20_000 { 70_000 } else { 60_000 };
        let until = at(refresh_expires + REMEMBERED);
        assert_eq!(pair.primary.last_deadline(), until, "it is remembered until the last refresh token has expired");
    }
}

#[test]
fn a_refresh_token_expires_by_itself_and_with_an_idle_session() {
    let mut pair = Pair::default();
    pair.create(refreshable("a", 0, 100_000, 5), rules(0)).unwrap();
    assert_eq!(pair.refresh("a", 0, Origin::default(), 5000), Err(Reason::TokenExpired));
    assert!(pair.check("a", 0, 5000).is_ok(), "the session goes on");
    pair.create(NewSession { idle_secs: 2, ..refreshable("b", 0, 100_000, 50) }, rules(0)).unwrap();
    pair.refresh("b", 0, Origin::default(), 1999).unwrap();
    assert!(pair.check("b", 0, 3998).is_ok(), "a refresh is a use");
    assert_eq!(pair.refresh("b", 1, Origin::default(), 3999), Err(Reason::Idle));
    pair.create(new("c", 0, 100_000), rules(0)).unwrap();
    assert_eq!(pair.refresh("c", 0, Origin::default(), 1), Err(Reason::Unknown), "a session without refresh tokens");
}

#[test]
fn a_refresh_token_lost_in_a_failover_is_still_good() {
    let mut pair = Pair::default();
    pair.create(refreshable("a", 0, 100_000, 50), rules(0)).unwrap();
    assert_eq!(pair.refresh("a", 3, Origin::default(), 10).unwrap().generation, 4);
    assert_eq!(pair.refresh("a", u32::MAX, Origin::default(), 10), Err(Reason::TokenExpired), "no generation is left");
}

#[test]
fn a_refresh_from_another_device_changes_nothing_and_one_from_another_address_says_so() {
    let mut pair = Pair::default();
    let user = crate::Subject::new(b"42").unwrap();
    let (phone, other) = (Device::of(user, b"phone"), Device::of(user, b"other"));
    pair.create(NewSession { device: Some(phone), ..refreshable("a", 0, 100_000, 50) }, rules(0)).unwrap();
    let before = pair.primary.canonical(&pair.agents);
    let from = |device| Origin { device: Some(device), ..Origin::default() };
    assert_eq!(pair.refresh("a", 0, from(other), 10), Err(Reason::Device));
    assert_eq!(pair.primary.canonical(&pair.agents), before);
    pair.refresh("a", 0, from(phone), 10).unwrap();
    let moved = Origin { ip: Some("2001:db8::1".parse().unwrap()), agent: Some("Safari"), device: None };
    pair.refresh("a", 1, moved, 20).unwrap();
    let rules = rules(20);
    let session = pair.primary.get(&id("a"), &pair.agents, &rules).unwrap();
    assert_eq!((session.ip, session.agent), (moved.ip, moved.agent), "the session is where it was refreshed from");
}

#[test]
fn a_login_from_a_new_address_or_device_says_so() {
    let mut pair = Pair::default();
    let user = crate::Subject::new(b"42").unwrap();
    let mut login = |text: &str, ip: Option<&str>, device: Option<&[u8]>| {
        let ip = ip.map(|ip| ip.parse().unwrap());
        let device = device.map(|fingerprint| Device::of(user, fingerprint));
        let creation = pair.primary.create(NewSession { ip, device, ..new(text, 0, 9000) }, &rules(0)).unwrap();
        let flags = (creation.value.new_ip, creation.value.new_device);
        pair.carry_out(&encoded(&creation.effects));
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
    pair.create(new("old", 0, 100_000), rules(0)).unwrap();
    pair.create(NewSession { claims: "{}", ..refreshable("a", 1, 100_000, 50) }, rules(1)).unwrap();
    pair.create(new("young", 2, 100_000), rules(2)).unwrap();
    pair.set("a", &[("theme", "dark")], 3).unwrap();
    pair.refresh("a", 0, Origin::default(), 3).unwrap();
    let grant = pair.primary.regenerate(&bare("a"), Renewal::of(id("b")), &pair.agents, &rules(10)).unwrap();
    pair.carry_out(&encoded(&grant.effects));
    assert_eq!(pair.ids(10), ["old", "b", "young"], "it is as old as it was");
    assert_eq!(pair.fields("b", 10), [("theme".into(), "dark".into())]);
    let rules = rules(12);
    let session = pair.primary.get(&id("b"), &pair.agents, &rules).unwrap();
    assert_eq!((session.created_at, session.expires_at, &*session.claims), (at(1), at(100_001), "{}"));
    assert_eq!(pair.check("a", 0, 10), Err(Reason::Revoked));
    assert_eq!(pair.refresh("a", 1, Origin::default(), 11), Err(Reason::Revoked));
    assert_eq!(pair.refresh("b", 0, Origin::default(), 11).unwrap().generation, 1);
    let again = pair.primary.regenerate(&bare("a"), Renewal::of(id("c")), &pair.agents, &rules);
    assert_eq!(again.map(drop), Err(Reason::Revoked));
}

#[test]
fn fields_are_set_and_removed_one_by_one_while_the_session_lives() {
    let mut pair = Pair::default();
    pair.create(new("a", 0, 9000), rules(0)).unwrap();
    pair.set("a", &[("b", "1"), ("a", "2")], 1).unwrap();
    pair.set("a", &[("c", ""), ("b", "long")], 1).unwrap();
    let pairs =
        |fields: &[(&str, &str)]| fields.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect::<Vec<_>>();
    assert_eq!(pair.fields("a", 1), pairs(&[("b", "long"), ("a", "2"), ("c", "")]));
    assert_eq!(pair.set("a", &[("c", "0123456789abcdef")], 1), Err(ChangeError::TooLarge(24)));
    assert_eq!(pair.set("a", &[("a", "2"), ("d", "")], 1), Err(ChangeError::TooMany(4)));
    let names = Data::pack([(&b"a"[..], &b""[..]), (&b"x"[..], &b""[..])]).unwrap();
    let unset = pair.primary.unset(&id("a"), names.clone(), &rules(1)).unwrap();
    assert_eq!(unset.value, 1);
    pair.carry_out(&unset.effects);
    assert_eq!(pair.fields("a", 1), pairs(&[("b", "long"), ("c", "")]));
    let again = pair.primary.unset(&id("a"), names.clone(), &rules(1)).unwrap();
    assert_eq!((again.effects, again.value), (Vec::new(), 0));
    pair.revoke(&[bare("a")], rules(2));
    let dead = Err(ChangeError::Dead(Reason::Revoked));
    assert_eq!(pair.set("a", &[("b", "1")], 3), dead, "a set does not bring it back");
    assert_eq!(pair.primary.unset(&id("a"), names, &rules(3)).map(drop), dead);
    assert_eq!(pair.set("never", &[("b", "1")], 3), Err(ChangeError::Dead(Reason::Unknown)));
}

#[test]
fn a_token_from_elsewhere_is_denied_until_it_would_expire() {
    let mut pair = Pair::default();
    let foreign = jwt("elsewhere", 0, 5000);
    let revoke = |pair: &mut Pair, now| pair.revoke(&[foreign.clone(), foreign.clone()], rules(now));
    assert_eq!(pair.look_up(&foreign, 1), Ok(Standing::Absent));
    assert_eq!(revoke(&mut pair, 1), 1);
    assert_eq!(revoke(&mut pair, 2), 0);
    assert_eq!(pair.look_up(&foreign, 4999), Err(Reason::Revoked));
    assert_eq!(pair.primary.last_deadline(), at(5000 + REMEMBERED));
    pair.purge(rules(5000 + REMEMBERED));
    assert!(pair.primary.is_empty());
    assert_eq!(revoke(&mut pair, 5000), 0, "it has expired");
    assert_eq!(pair.look_up(&foreign, 4000), Err(Reason::Revoked), "and a clock that steps back does not wake it");
    pair.purge(rules(5000 + REMEMBERED));
    assert_eq!(revoke(&mut pair, 5000 + REMEMBERED), 0, "by now no clock does, and no leeway");
    assert!(pair.primary.is_empty());
    pair.revoke_all(None, rules(10));
    assert_eq!(revoke(&mut pair, 11), 0);
    assert_eq!(pair.look_up(&foreign, 11), Err(Reason::UserRevoked), "the two stay apart");
}

#[test]
fn a_token_is_denied_as_long_as_the_last_of_its_session_that_was_revoked() {
    let until = |millis| jwt("a", 0, millis);
    let end = |millis| at(millis + REMEMBERED);
    let revoke = |pair: &mut Pair, presented: &[Presented]| {
        let revoked = pair.revoke(presented, Rules { horizon: 1000, ..rules(1) });
        (revoked, pair.primary.last_deadline())
    };
    let mut pair = Pair::default();
    assert_eq!(revoke(&mut pair, &[until(5000)]), (1, end(5000)));
    assert_eq!(revoke(&mut pair, &[until(9000)]), (0, end(9000)), "nothing new, but for longer");
    assert_eq!(revoke(&mut pair, &[until(5000)]), (0, end(9000)));
    assert_eq!(pair.check("a", 0, 8999), Err(Reason::Revoked));
    let mut pair = Pair::default();
    assert_eq!(revoke(&mut pair, &[until(5000), until(9000)]), (1, end(9000)), "two tokens of one session at once");
    let mut pair = Pair::default();
    pair.create(chosen("a", 0, 5000), rules(0)).unwrap();
    assert_eq!(revoke(&mut pair, &[until(9000)]), (1, end(9000)), "a session that a longer token is of");
    let mut pair = Pair::default();
    pair.create(new("a", 0, 5000), limit(1, 0)).unwrap();
    pair.create(new("b", 0, 5000), limit(1, 0)).unwrap();
    assert_eq!(revoke(&mut pair, &[until(9000)]), (0, end(9000)));
    assert_eq!(pair.check("a", 0, 8999), Err(Reason::Evicted), "the reason stays the first");
}

#[test]
fn a_token_that_outlives_its_session_and_its_tombstone_is_denied_too() {
    let mut pair = Pair::default();
    pair.create(new("a", 0, 1000), rules(0)).unwrap();
    let revocation = pair.primary.revoke(&[jwt("a", 0, 9000)], &rules(2000));
    assert_eq!(
        (revocation.value, &*told(&pair, &revocation.events)),
        (0, &["Ended(Expired) a Mozilla/5.0".into()][..])
    );
    pair.carry_out(&revocation.effects);
    assert_eq!(
        pair.look_up(&jwt("a", 0, 9000), 2000),
        Err(Reason::Expired),
        "nothing has swept the session, and it is not forgotten"
    );
    assert_eq!(pair.primary.last_deadline(), at(9000 + REMEMBERED));
}

#[test]
fn an_id_that_comes_again_does_not_bring_the_earlier_sessions_tokens_back() {
    let mut pair = Pair::default();
    let phone = |now| NewSession { source: IdSource::Caller, ..refreshable("phone", now, 5000, 50) };
    pair.create(phone(0), rules(0)).unwrap();
    pair.create(phone(5000), rules(5000)).unwrap();
    assert_eq!(pair.look_up(&token("phone", 0), 5000), Err(Reason::Unknown));
    assert!(pair.look_up(&token("phone", 5000), 5000).is_ok());
    let refresh = |began| {
        let token = RefreshToken { id: id("phone"), generation: 0, session_began_at: at(began) };
        pair.primary.refresh(&token, Origin::default(), &pair.agents, &rules(5000)).map(drop)
    };
    assert_eq!((refresh(0), refresh(5000)), (Err(Reason::Unknown), Ok(())));
}

#[test]
fn an_id_does_not_begin_twice_in_a_millisecond_that_the_clock_passes_again() {
    let phone = |now| NewSession { source: IdSource::Caller, ..refreshable("phone", now, 1000, 50) };
    for swept in [&[1000][..], &[1000, 9000], &[9001], &[1000, 9001], &[9002]] {
        let mut pair = Pair::default();
        // The clock has been at 9000, and the session ends before it is there again.
        pair.create(phone(0), Rules { latest: at(9000), ..rules(0) }).unwrap();
        let earlier = RefreshToken { id: id("phone"), generation: 0, session_began_at: at(9001) };
        assert!(pair.primary.refresh(&earlier, Origin::default(), &pair.agents, &rules(500)).is_ok());
        // A restart has forgotten the latest time.
        for now in swept {
            pair.purge(rules(*now));
        }
        let now = 9001.max(*swept.last().unwrap());
        pair.create(phone(now), rules(now)).unwrap();
        let refresh = pair.primary.refresh(&earlier, Origin::default(), &pair.agents, &rules(now)).map(drop);
        assert_eq!(refresh, Err(Reason::Unknown), "{swept:?}");
        assert_eq!(pair.look_up(&token("phone", 9001), now), Err(Reason::Unknown), "{swept:?}");
    }
}

#[test]
fn a_token_of_an_earlier_session_with_the_id_revokes_nothing_of_the_later_one() {
    let mut pair = Pair::default();
    pair.revoke_all(None, rules(500));
    pair.create(chosen("a", 2500, 5000), rules(2500)).unwrap();
    let earlier = jwt("a", 0, 50_000);
    let alone = pair.primary.revoke(std::slice::from_ref(&earlier), &rules(2500));
    assert_eq!((alone.value, alone.effects), (0, Vec::new()));
    for presented in [[earlier.clone(), bare("a")], [bare("a"), earlier.clone()]] {
        let revocation = pair.primary.revoke(&presented, &rules(2500));
        assert_eq!(revocation.value, 1, "the id next to it is not overlooked");
    }
}

#[test]
fn a_jwt_is_good_for_its_lifetime_in_whole_seconds_but_not_longer_than_its_session() {
    let session = |new: NewSession<'static>| new.begin(&rules(700));
    let jwt = session(NewSession { token_ttl: Some(2), ..with_jwt("a", 700, 100_000) });
    assert_eq!(jwt.token_expires_at(at(700), 3600), Some(at(2000)));
    assert_eq!(session(with_jwt("a", 700, 100_000)).token_expires_at(at(700), 60), Some(at(60_000)));
    assert_eq!(session(with_jwt("a", 700, 5000)).token_expires_at(at(700), 60), Some(at(5000)));
    assert_eq!(session(new("a", 700, 5500)).token_expires_at(at(700), 60), Some(at(6200)));
    let none = session(NewSession { tokens: TokenFormat::None, ..new("a", 0, 5000) });
    assert_eq!((none.token_expires_at(at(0), 60), none.token_until), (None, at(5000)));
}

#[test]
fn a_value_survives_its_encoding_and_a_damaged_one_claims_nothing() {
    let mut pair = Pair::default();
    let data = Data::pack([(&b"theme"[..], &b"dark"[..])]).unwrap();
    let device = Some(Device::of(crate::Subject::new(b"42").unwrap(), b"phone"));
    let all = NewSession { data, idle_secs: 60, device, claims: r#"{"a":1}"#, ..refreshable("a", 0, 900_000, 50) };
    pair.create(NewSession { source: IdSource::Caller, ..all }, rules(0)).unwrap();
    pair.create(new("b", 0, 9000), rules(0)).unwrap();
    pair.revoke(&[bare("b")], rules(5));
    pair.revoke_all(Some("a"), rules(6));
    assert_eq!(pair.touch("a", rules(100)), Ok(false));
    let bytes = pair.primary.encode(&pair.agents);
    let mut agents = AgentPool::new();
    let read = UserSessions::decode(&bytes, &mut agents).unwrap();
    assert_eq!(read.encode(&agents), bytes);
    let rules = rules(100);
    let session = read.get(&id("a"), &agents, &rules).unwrap();
    assert_eq!((session.agent, session.last_seen_at()), (Some("Mozilla/5.0"), at(100)));
    assert_eq!((session.data.get(b"theme"), session.accepts_from), (Some(&b"dark"[..]), Some(UnixMillis::ZERO)));
    let mut none = AgentPool::new();
    assert!(UserSessions::decode(&bytes[..bytes.len() - 1], &mut none).is_err());
    assert!(none.is_empty());
}

fn gone(n: u32, until: u64) -> Tombstone {
    Tombstone { id: id(&n.to_string()), reason: EndReason::Revoked, ended: Cutoff::at(at(0), 0), until: at(until) }
}

fn end(n: u32, until: u64) -> Effect<'static> {
    Effect::End(gone(n, until))
}

#[test]
fn effects_that_are_more_than_a_value_are_refused_as_one() {
    let cutoff = Some(UserCutoff { cutoff: Cutoff::at(at(0), 5), until: at(9) });
    let (revoked, dropped) = (Effect::RevokedBefore(cutoff), Effect::TombstonesDroppedBefore(cutoff));
    let decode = |effects: &[&Effect<'_>]| {
        let effects: Vec<_> = effects.iter().copied().cloned().collect();
        UserSessions::decode(&encode_effects(&effects), &mut AgentPool::new()).map(drop)
    };
    assert_eq!(decode(&[&revoked, &dropped, &end(1, 9), &end(2, 9)]), Ok(()));
    assert_eq!(decode(&[&dropped]), Ok(()));
    for more in [
        &end(1, 8),
        &revoked,
        &dropped,
        &Effect::RevokedBefore(None),
        &Effect::Forget(id("1")),
        &Effect::Clear { except: None },
        &Effect::Clear { except: Some(id("1")) },
        &Effect::Seen { id: id("1"), at: at(1) },
        &Effect::Unset { id: id("1"), version: 1, names: Data::pack([(&b"name"[..], &b""[..])]).unwrap() },
    ] {
        assert_eq!(decode(&[&revoked, &end(1, 9), more]), Err(DecodeError::Damaged), "{more:?}");
    }
    assert_eq!(decode(&[&dropped, &revoked]), Err(DecodeError::Damaged));
    assert_eq!(decode(&[&Effect::RevokedBefore(None), &end(1, 9)]), Err(DecodeError::Damaged));
    assert_eq!(decode(&[]), Err(DecodeError::Damaged));
}

#[test]
fn an_effect_says_no_time_later_than_the_clock_that_decided_it() {
    let cutoff = Some(UserCutoff { cutoff: Cutoff::at(at(7), 5000), until: at(9000) });
    assert_eq!(Effect::RevokedBefore(cutoff).time(), Some(at(7)));
    assert_eq!(Effect::TombstonesDroppedBefore(cutoff).time(), None);
    assert_eq!(Effect::Seen { id: id("a"), at: at(8) }.time(), Some(at(8)));
    assert_eq!(end(1, 9000).time(), Some(at(0)));
    let creation = UserSessions::new().create(refreshable("a", 3, 9000, 5), &rules(3)).unwrap();
    assert_eq!(creation.effects.iter().map(Effect::time).collect::<Vec<_>>(), [Some(at(3))]);

    // What was closed says none, also when it is revoked.
    let closed = UserSessions::closed();
    assert_eq!(closed.revoke_all(None, &rules(5)).effects.iter().filter_map(Effect::time).max(), None);
    let stored = closed.encode(&AgentPool::new());
    assert_eq!(decode_effects(&stored).unwrap().iter().filter_map(Effect::time).max(), None);

    // `session.not-before` may be a time to come, and ends what is dropped then.
    let mut pair = Pair::default();
    pair.create(chosen("a", 0, 9000), rules(0)).unwrap();
    pair.create(chosen("b", 0, 9000), rules(0)).unwrap();
    pair.revoke(&[bare("b")], Rules { tombstones: 0, ..not_before(1 << 40, 10) });
    assert!(pair.primary.store.find(&id("a")).is_none(), "it is dropped with the other");
    let creation = pair.primary.create(chosen("c", 20, 9000), &rules(20)).unwrap();
    assert_eq!(creation.effects.iter().filter_map(Effect::time).max(), Some(at(20)));
    assert!(pair.look_up(&token("a", 0), 20).is_err(), "its tokens stay dead");
}

/// Effects that take records out, each on one of few ids, and among them logins under these ids.
fn burials() -> impl Strategy<Value = Vec<Effect<'static>>> {
    let session = |n: u8| {
        let mut pair = Pair::default();
        pair.create(chosen(&format!("s{n}"), 0, 5000 + u64::from(n)), rules(0)).unwrap();
        let creation = pair.primary.encode(&pair.agents).leak();
        decode_effects(creation).unwrap().pop().unwrap()
    };
    let one = prop_oneof![
        3 => (0..12u8).prop_map(session),
        4 => (0..12u32, 1..90u64).prop_map(|(n, until)| end(n, until)),
        4 => (0..12u8).prop_map(|n| Effect::Forget(id(&format!("s{n}")))),
    ];
    prop::collection::vec(one, 0..80)
}

proptest! {
    /// One pass through the records does what an effect at a time does, though effects may name an id again.
    #[test]
    fn effects_together_do_what_they_do_one_by_one(effects in burials()) {
        let (mut together, mut agents) = (UserSessions::new(), AgentPool::new());
        together.apply(&effects, &mut agents);
        let (mut apart, mut agents_apart) = (UserSessions::new(), AgentPool::new());
        for effect in &effects {
            apart.apply(std::slice::from_ref(effect), &mut agents_apart);
        }
        prop_assert_eq!(together.canonical(&agents), apart.canonical(&agents_apart));
        prop_assert_eq!(agents.len(), agents_apart.len());
        prop_assert_eq!(together.last_deadline(), apart.last_deadline());
    }
}

#[test]
fn what_a_sweep_finds_is_what_it_takes_out() {
    let mut pair = Pair::default();
    let none = Dead { sessions: 0, since: UnixMillis::MAX, is_due: false };
    assert_eq!(pair.primary.dead(99, &rules(0)), none);
    pair.create(new("lives", 0, 9000), rules(0)).unwrap();
    pair.create(NewSession { idle_secs: 1, ..with_jwt("idles", 0, 600_000) }, rules(0)).unwrap();
    pair.create(new("ends", 0, 1500), rules(0)).unwrap();
    assert_eq!(pair.primary.dead(99, &rules(999)), none);
    assert_eq!(pair.primary.dead(99, &rules(1000)), Dead { sessions: 1, since: at(1000), is_due: true });
    assert_eq!(pair.primary.dead(99, &rules(2000)), Dead { sessions: 2, since: at(1000), is_due: true });
    assert_eq!(pair.primary.purge(0, 99, &rules(2000)).events.len(), 2);
    pair.purge(rules(2000));
    assert_eq!(pair.primary.dead(99, &rules(2000)), none, "a tombstone is no session");
    let spent = Dead { sessions: 0, is_due: true, ..none };
    let end = rules(3_600_000);
    pair.primary.apply(&[Effect::Forget(id("lives"))], &mut pair.agents);
    assert_eq!(pair.primary.dead(99, &end), spent, "a tombstone that nobody asks for");
    pair.revoke_all(None, rules(5000));
    let until = pair.primary.last_deadline();
    assert_eq!(pair.primary.dead(99, &Rules::default().at(until)), spent, "a cutoff that nobody asks for");
}

#[test]
fn what_was_not_looked_at_is_due() {
    let mut pair = Pair::default();
    (0..100).for_each(|n| pair.fill(new(&format!("s{n}"), 0, 9000), &limit(900, 0)));
    assert_eq!(pair.primary.dead(10, &rules(0)), Dead { sessions: 0, since: UnixMillis::MAX, is_due: true });
}

/// So many that a test would take minutes if each of them looked at all the others.
const VERY_MANY: u32 = 100_000;

#[test]
fn very_many_tombstones_that_end_together_are_forgotten_together() {
    let (mut sessions, mut agents) = (UserSessions::default(), AgentPool::new());
    let tombstones: Vec<_> = (0..VERY_MANY).map(|n| end(n, 5)).collect();
    sessions.apply(&tombstones, &mut agents);
    assert_eq!(sessions.last_deadline(), at(5));
    sessions.apply(&[end(VERY_MANY, 4)], &mut agents);
    sessions.apply(&sessions.purge(0, usize::MAX, &rules(5)).effects, &mut agents);
    assert!(sessions.is_empty());
}

#[test]
fn a_part_of_very_many_sessions_is_swept_without_a_look_at_all_of_them() {
    let (mut sessions, mut agents) = (UserSessions::default(), AgentPool::new());
    let mut login = Pair::default();
    login.create(new("s", 0, 5), rules(0)).unwrap();
    let Some(Effect::Put(session)) = encoded(&decode_effects(&login.primary.encode(&login.agents)).unwrap()).pop()
    else {
        panic!("no session")
    };
    let (ends, last) = (|n: u32| u64::from(n % 2 * 1000 + n / 2 % 400 + 5), at(1404));
    for n in 0..VERY_MANY {
        let (id, expires_at) = (id(&format!("s{n}")), at(ends(n)));
        let put = Effect::Put(Session { id, expires_at, token_until: expires_at, ..session.clone() });
        sessions.apply(&[put], &mut agents);
    }
    assert_eq!(sessions.last_deadline(), last);
    let (mut from, mut parts) = (Some(0), 0);
    while let Some(place) = from {
        let part = sessions.purge(place, 64, &rules(900));
        sessions.apply(&part.effects, &mut agents);
        (from, parts) = (part.value, parts + 1);
        assert_eq!(sessions.last_deadline(), last);
    }
    assert_eq!((sessions.stored(), parts), (50_000, VERY_MANY.div_ceil(64)));
    for n in (0..VERY_MANY).filter(|n| n % 2 == 1 && ends(*n) > 1200) {
        sessions.apply(&[Effect::Forget(id(&format!("s{n}")))], &mut agents);
    }
    assert_eq!(sessions.last_deadline(), at(1200));
}

#[test]
fn the_last_deadline_goes_with_its_record() {
    let mut pair = Pair::default();
    let tombstones: Vec<_> = (0..100).map(|n| end(n, 5 + u64::from(n))).collect();
    pair.carry_out(&tombstones);
    for n in (1..100_u32).rev() {
        assert_eq!(pair.primary.last_deadline(), at(5 + u64::from(n)));
        pair.carry_out(&[Effect::Forget(id(&n.to_string()))]);
    }
    assert_eq!(pair.primary.last_deadline(), at(5));
}

#[test]
fn a_version_counts_the_changes_of_the_data_and_outlives_them() {
    let mut pair = Pair::default();
    let version = |pair: &Pair, text: &str| pair.primary.get(&id(text), &pair.agents, &rules(3)).unwrap().version;
    pair.create(new("none", 0, 9000), rules(0)).unwrap();
    let field = Data::pack([(&b"n"[..], &b"1"[..])]).unwrap();
    pair.create(NewSession { data: field.clone(), ..refreshable("a", 0, 9000, 50) }, rules(0)).unwrap();
    assert_eq!((version(&pair, "none"), version(&pair, "a")), (0, 1));
    pair.set("a", &[("b", "1")], 1).unwrap();
    pair.set("none", &[("b", "1")], 1).unwrap();
    assert_eq!((version(&pair, "none"), version(&pair, "a")), (1, 2));
    for expected in [0, 1, 3, u64::MAX] {
        let refused = pair.primary.set(&id("a"), field.clone(), Some(expected), &rules(1));
        assert_eq!(refused.map(drop), Err(ChangeError::Conflict(2)));
    }
    let set = pair.primary.set(&id("a"), field.clone(), Some(2), &rules(1)).unwrap();
    pair.carry_out(&encoded(&set.effects));
    let names = Data::pack([(&b"n"[..], &b""[..]), (&b"b"[..], &b""[..])]).unwrap();
    let unset = pair.primary.unset(&id("a"), names.clone(), &rules(1)).unwrap();
    pair.carry_out(&encoded(&unset.effects));
    assert!(pair.primary.unset(&id("a"), names, &rules(1)).unwrap().effects.is_empty());
    assert_eq!((version(&pair, "a"), pair.fields("a", 1).len()), (4, 0), "without a field, too");
    pair.refresh("a", 0, Origin::default(), 2).unwrap();
    let grant = pair.primary.regenerate(&bare("a"), Renewal::of(id("b")), &pair.agents, &rules(2)).unwrap();
    pair.carry_out(&encoded(&grant.effects));
    assert_eq!(version(&pair, "b"), 4);
    let bytes = pair.primary.encode(&pair.agents);
    let mut agents = AgentPool::new();
    let read = UserSessions::decode(&bytes, &mut agents).unwrap();
    assert_eq!(read.get(&id("b"), &agents, &rules(3)).unwrap().version, 4);
    pair.revoke(&[bare("b")], rules(3));
    let dead = pair.primary.set(&id("b"), field, Some(4), &rules(3));
    assert_eq!(dead.map(drop), Err(ChangeError::Dead(Reason::Revoked)));
}

#[test]
fn a_field_is_counted_up_if_it_is_a_number() {
    let mut pair = Pair::default();
    pair.create(new("a", 0, 9000), rules(0)).unwrap();
    let add = |pair: &mut Pair, field: &str, by: i64| {
        let sum = pair.primary.increment(&id("a"), field.as_bytes(), by, &rules(1))?;
        pair.carry_out(&encoded(&sum.effects));
        Ok::<_, ChangeError>(sum.value)
    };
    assert_eq!([5, -7, 0, i64::MAX].map(|by| add(&mut pair, "n", by).unwrap()), [5, -2, -2, i64::MAX - 2]);
    assert_eq!(add(&mut pair, "n", 3), Err(ChangeError::Overflow));
    assert_eq!(add(&mut pair, "m", i64::MIN), Ok(i64::MIN));
    assert_eq!(add(&mut pair, "m", -1), Err(ChangeError::Overflow));
    assert_eq!(pair.fields("a", 1)[0], ("n".into(), (i64::MAX - 2).to_string()));
    pair.create(new("b", 0, 9000), rules(0)).unwrap();
    for text in ["", "x", "+1", "01", "-0", "1 ", " 1", "1.0", "9223372036854775808", "\u{664}"] {
        pair.set("b", &[("t", text)], 1).unwrap();
        let sum = pair.primary.increment(&id("b"), b"t", 1, &rules(1));
        assert_eq!(sum.map(drop), Err(ChangeError::NoNumber), "{text:?}");
    }
    let few = Rules { data: DataLimit { bytes: 999, fields: 2 }, ..rules(1) };
    assert_eq!(pair.primary.increment(&id("a"), b"o", 1, &few).map(drop), Err(ChangeError::TooMany(3)));
    let small = Rules { data: DataLimit { bytes: 5, fields: 9 }, ..rules(1) };
    assert!(matches!(pair.primary.increment(&id("a"), b"o", 1, &small).map(drop), Err(ChangeError::TooLarge(_))));
    pair.revoke(&[bare("a")], rules(2));
    assert_eq!(add(&mut pair, "n", 1), Err(ChangeError::Dead(Reason::Revoked)));
}

#[test]
fn very_many_fields_are_set_and_removed_at_once() {
    let names: Vec<_> = (0..VERY_MANY).map(|n| format!("field {n}")).collect();
    let data = |names: &[String]| Data::pack(names.iter().map(|name| (name.as_bytes(), &b"v"[..]))).unwrap();
    let mut pair = Pair::default();
    pair.create(new("a", 0, 5000), rules(0)).unwrap();
    let (mut sessions, mut agents) = (pair.primary, AgentPool::new());
    let rules = Rules { data: DataLimit::NONE, ..rules(1) };
    let half = names.len() / 2;
    for fields in [&names[..half], &names[half / 2..]] {
        let set = sessions.set(&id("a"), data(fields), None, &rules).unwrap();
        sessions.apply(&set.effects, &mut agents);
    }
    assert_eq!(sessions.get(&id("a"), &agents, &rules).unwrap().data.iter().count(), names.len());
    let unset = sessions.unset(&id("a"), data(&names[1..]), &rules).unwrap();
    sessions.apply(&unset.effects, &mut agents);
    let left = sessions.get(&id("a"), &agents, &rules).unwrap();
    let fields: Vec<_> = left.data.iter().collect();
    assert_eq!((unset.value, fields), (names.len() - 1, vec![(&b"field 0"[..], &b"v"[..])]));
}

#[test]
fn a_check_may_ask_for_a_strong_and_a_recent_sign_in() {
    let mut pair = Pair::default();
    let weak = NewSession { level: 1, ..refreshable("a", 0, 100_000, 50) };
    pair.create(weak, rules(0)).unwrap();
    pair.create(new("unsaid", 0, 100_000), rules(0)).unwrap();
    let asked = |pair: &Pair, text: &str, level, max_age, now| {
        let check = Check { level, max_age, ..Check::default() };
        pair.primary.check(&bare(text), check, &rules(now)).map(drop)
    };
    for (text, level, max_age, expected) in [
        ("a", 0, None, Ok(())),
        ("a", 1, Some(1000), Ok(())),
        ("a", 2, Some(1000), Err(Reason::Level)),
        ("a", 1, Some(999), Err(Reason::Stale)),
        ("a", 2, Some(0), Err(Reason::Level)),
        ("unsaid", 1, None, Err(Reason::Level)),
        ("unsaid", 0, Some(1000), Ok(())),
        ("nobody", 3, Some(0), Err(Reason::Unknown)),
    ] {
        assert_eq!(asked(&pair, text, level, max_age, 1000), expected, "{text} {level} {max_age:?}");
        let check = Check { level, max_age, ..Check::default() };
        let seen = pair.primary.touch(&bare(text), check, &rules(1000)).map(drop);
        assert_eq!(seen, expected, "{text} {level} {max_age:?}");
    }
    // Nothing is known of who has no session.
    let stateless = Check { stateless: true, ..Check::default() };
    let foreign = jwt("elsewhere", 0, 9000);
    let of = |check: Check<'_>| pair.primary.check(&foreign, check, &rules(0));
    assert_eq!(of(stateless), Ok(Standing::Absent));
    assert_eq!(of(Check { level: 1, ..stateless }), Err(Reason::Level));
    assert_eq!(of(Check { max_age: Some(u64::MAX - 1), ..stateless }), Err(Reason::Stale));
    // A refresh is no sign-in; to sign in again is.
    pair.refresh("a", 0, Origin::default(), 2000).unwrap();
    assert_eq!(asked(&pair, "a", 1, Some(1000), 2000), Err(Reason::Stale));
    let again = Renewal { level: Some(2), ..Renewal::of(id("b")) };
    let grant = pair.primary.regenerate(&bare("a"), again, &pair.agents, &rules(3000)).unwrap();
    pair.carry_out(&encoded(&grant.effects));
    assert_eq!(asked(&pair, "b", 2, Some(500), 3500), Ok(()));
    assert_eq!(asked(&pair, "b", 3, Some(500), 3500), Err(Reason::Level));
    assert_eq!(asked(&pair, "b", 2, Some(500), 3501), Err(Reason::Stale));
    assert_eq!(asked(&pair, "a", 1, None, 3500), Err(Reason::Revoked));
    // A clock that steps back makes no sign-in recent.
    let behind = Rules { latest: at(9000), ..rules(3500) };
    let check = Check { max_age: Some(500), ..Check::default() };
    assert_eq!(pair.primary.check(&bare("b"), check, &behind), Err(Reason::Stale));
}

#[test]
fn to_sign_in_again_may_change_roles_level_origin_and_lifetime() {
    let mut pair = Pair::default();
    pair.create(NewSession { claims: r#"{"role":"user"}"#, ..refreshable("a", 0, 10_000, 50) }, rules(0)).unwrap();
    let again = Renewal {
        expires_at: Some(at(90_000)),
        claims: Some(r#"{"role":"admin"}"#),
        level: Some(3),
        ip: Some([203, 0, 113, 77].into()),
        agent: Some("Safari"),
        ..Renewal::of(id("b"))
    };
    let grant = pair.primary.regenerate(&bare("a"), again, &pair.agents, &rules(9000)).unwrap();
    pair.carry_out(&encoded(&grant.effects));
    assert!(grant.value.new_ip);
    let session = |pair: &Pair, text: &str| {
        let rules = rules(9000);
        let session = pair.primary.get(&id(text), &pair.agents, &rules).unwrap();
        (session.created_at, session.expires_at, session.claims.into_owned(), session.level, session.ip)
    };
    let ip = Some([203, 0, 113, 77].into());
    assert_eq!(session(&pair, "b"), (at(0), at(90_000), r#"{"role":"admin"}"#.to_owned(), 3, ip));
    assert_eq!(
        pair.check("a", 0, 11_000),
        Err(Reason::Revoked),
        "what it was stays dead, though its deadline has moved"
    );
    let kept = pair.primary.regenerate(&bare("b"), Renewal::of(id("c")), &pair.agents, &rules(20_000)).unwrap();
    pair.carry_out(&encoded(&kept.effects));
    let rules = rules(20_000);
    let session = pair.primary.get(&id("c"), &pair.agents, &rules).unwrap();
    assert_eq!((session.level, session.agent, session.auth_time()), (3, Some("Safari"), at(20_000)));
    let bytes = pair.primary.encode(&pair.agents);
    let mut agents = AgentPool::new();
    let read = UserSessions::decode(&bytes, &mut agents).unwrap();
    assert_eq!(read.get(&id("c"), &agents, &rules).unwrap().auth_time(), at(20_000));
    assert_eq!(read.encode(&agents), bytes);
}

#[test]
fn very_many_make_room_at_once_and_none_of_them_is_good_again() {
    let mut pair = Pair::default();
    let many = |now: u64| Rules { sessions: 1_000_000, tombstones: 10, ..rules(now) };
    for n in 0..1500u64 {
        // Every third has died of time by then.
        let ttl = if n % 3 == 0 { 10_000 } else { 1_000_000 };
        pair.fill(NewSession { agent: Some("Firefox"), ..new(&format!("s{n}"), n, ttl) }, &many(n));
    }
    pair.create(new("kept", 1500, 1_000_000), many(1500)).unwrap();
    let rules = Rules { sessions: 2, ..many(20_000) };
    let evicted = pair.create(new("newest", 20_000, 1_000_000), rules).unwrap();
    let names: Vec<_> = (0..1500).filter(|n| n % 3 != 0).map(|n| id(&format!("s{n}"))).collect();
    assert_eq!(evicted, names, "the oldest first");
    assert_eq!(pair.primary.count(&rules), 2);
    let left: Vec<_> = pair.primary.live(&pair.agents, &rules).map(|session| session.id).collect();
    assert_eq!(left, [id("kept"), id("newest")]);
    let told: Vec<_> = (0..1500u64).map(|n| pair.primary.alive(&bare(&format!("s{n}")), &rules)).collect();
    assert!(told.iter().all(Result::is_err));
    assert_eq!(told.iter().filter(|told| **told == Err(Reason::Evicted)).count(), 10, "the last ones are remembered");
    // Tokens that were made for them, and those from elsewhere with their ids, are dead without a session, too.
    let stateless = Check { stateless: true, ..Check::default() };
    for n in 0..1500u64 {
        let own = Presented { issued: Issued::ForSessionOf(at(n)), ..jwt(&format!("s{n}"), 0, 1 << 40) };
        for presented in [own, jwt(&format!("s{n}"), 1000, 1 << 40)] {
            assert!(pair.primary.check(&presented, stateless, &rules).is_err(), "{presented:?}");
        }
    }
    let bytes = pair.primary.encode(&pair.agents);
    let mut agents = AgentPool::new();
    assert_eq!(UserSessions::decode(&bytes, &mut agents).unwrap().encode(&agents), bytes);
    assert_eq!(pair.agents.len(), agents.len(), "nobody has the agent any more");
}

#[test]
fn dead_records_are_tidied_away_a_thousand_at_a_time() {
    let mut pair = Pair::default();
    let many = |now: u64| Rules { sessions: 1_000_000, tombstones: 10, ..rules(now) };
    for n in 0..2500u64 {
        pair.fill(new(&format!("s{n}"), n, 1_000_000), &many(n));
    }
    for n in (0..2500u64).step_by(500) {
        let ids: Vec<_> = (n..n + 500).map(|n| bare(&format!("s{n}"))).collect();
        pair.revoke(&ids, Rules { tombstones: 10_000, ..many(2500) });
    }
    for left in [1501, 501, 10, 10] {
        pair.create(new("x", 20_000, 1_000_000), many(20_000)).unwrap();
        pair.revoke(&[bare("x")], many(20_000));
        assert_eq!(pair.primary.ended(&many(20_000)).len(), left);
    }
}

#[test]
fn a_page_has_the_newest_first_and_what_has_ended_says_why() {
    for count in [5u64, 60] {
        let mut pair = Pair::default();
        let many = |now: u64| Rules { sessions: 1000, tombstones: 100, ..rules(now) };
        for n in 0..count {
            pair.create(new(&format!("s{n}"), n, 1_000_000), many(n)).unwrap();
        }
        let page = |pair: &Pair, now, offset, count| {
            let rules = many(now);
            pair.primary
                .page(offset, count, &pair.agents, &rules)
                .map(|session| session.id.to_string())
                .collect::<Vec<_>>()
        };
        let all: Vec<_> = (0..count).rev().map(|n| format!("s{n}")).collect();
        assert_eq!(page(&pair, 5000, 0, 1000), all);
        assert_eq!(page(&pair, 5000, 1, 2), all[1..3]);
        assert_eq!(page(&pair, 5000, all.len() - 1, 9), all[all.len() - 1..]);
        assert!(page(&pair, 5000, all.len(), 9).is_empty());
        assert!(pair.primary.ended(&many(5000)).is_empty());
        pair.revoke(&[bare("s1")], many(5000));
        pair.create(NewSession { idle_secs: 1, ..new("short", 5000, 1_000_000) }, many(5000)).unwrap();
        pair.create(new("spent", 5000, 1000), many(5000)).unwrap();
        let ended = pair.primary.ended(&many(9000));
        let told: Vec<_> = ended.iter().map(|ended| (ended.id.to_string(), ended.reason, ended.at)).collect();
        let expected = [("short".to_owned(), Reason::Idle, at(6000)), ("s1".to_owned(), Reason::Revoked, at(5000))];
        assert_eq!(told, expected);
        assert!(ended.iter().all(|ended| ended.until > at(9000)));
        assert_eq!(page(&pair, 9000, 0, 1), [all[0].clone()], "the dead are on no page");
    }
}
