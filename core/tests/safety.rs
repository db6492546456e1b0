//! What somebody has ended is not good again.
//!
//! Random histories of one user: every command, ids that come again, JWTs from elsewhere, leeways and limits that change,
//! clocks that step, restarts, and failovers to a replica with another clock. The oracle knows no rule. It notes which
//! credentials a command ends, as its user would say it, and which are refused because they were ended. After each step it
//! tries every credential that was ever made, and none of those may be good. JWTs from elsewhere are the application's, or of
//! one of two issuers, all with the same `sid`s: none may reach a session that another of them has begun.
//!
//! `REDIS_TEST_HISTORIES` is how many histories there are. PROPTEST_RNG_SEED repeats a run.

// Clippy knows only functions marked as tests for tests.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::collections::HashMap;
use std::env;

use proptest::prelude::*;
use redis_session_core::sessions::{
    AgentPool, Check, CreateError, Cutoff, Data, Decision, Device, Everyone, IdSource, NewSession, Origin, Outage,
    Presented, Refreshed, Renewal, Rules, Standing, TokenFormat, UserSessions, decode_effects, encode_effects,
};
use redis_session_core::token::{Issued, RefreshToken, TokenKind};
use redis_session_core::{Reason, SessionId, Subject, UnixMillis};

const START: u64 = 1_790_000_000_000;
/// Tokens made elsewhere live at most so long, in milliseconds.
const HORIZON: u64 = 3_000_000;

#[derive(Clone, Debug)]
enum Step {
    Create {
        id: Option<u8>,
        format: TokenFormat,
        refresh: bool,
        ttl: u32,
        max: u32,
    },
    /// A JWT made elsewhere: by whom, its id, how far its `iat` is from the clock in seconds, and how long it lives.
    Foreign {
        maker: u8,
        id: u8,
        iat: i64,
        lives: u32,
        has_iat: bool,
    },
    From {
        pick: usize,
    },
    Revoke {
        picks: Vec<usize>,
        by_id: bool,
    },
    RevokeUser {
        except: Option<(usize, bool)>,
    },
    Deny {
        maker: u8,
        id: u8,
    },
    /// Everyone, up to now or a time so many milliseconds from now; or what of that lies ahead is taken back.
    RevokeAll {
        before: Option<i64>,
        clear: bool,
    },
    /// From the session's device or from nowhere that is known.
    Refresh {
        pick: usize,
        at_home: bool,
    },
    Regenerate {
        pick: usize,
        by_id: bool,
        ttl: Option<u64>,
    },
    Touch {
        pick: usize,
    },
    Sweep,
    NotBefore {
        back: Option<u32>,
    },
    Leeway {
        secs: u64,
    },
    Limits {
        sessions: u32,
        tombstones: usize,
    },
    /// The clock steps, by milliseconds.
    Clock {
        by: i64,
    },
    /// The server starts again from its file, or a replica takes over, with a clock that may differ by the leeway.
    Restart {
        by: i64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let pick = || any::<prop::sample::Index>().prop_map(|index| index.index(1 << 20));
    let maker = || prop_oneof![3 => Just(APPLICATION), 1 => Just(1), 1 => Just(2)];
    let format = prop_oneof![3 => Just(TokenFormat::Jwt), 1 => Just(TokenFormat::Opaque), 1 => Just(TokenFormat::None)];
    let clock = prop_oneof![
        8 => 0..3000i64,
        3 => 3000..40_000i64,
        3 => 40_000..4_000_000i64,
        2 => -3000..0i64,
        1 => -60_000..-3000i64,
        2 => -5_000_000..-60_000i64,
    ];
    prop_oneof![
        8 => (prop::option::weighted(0.6, 0..3u8), format, any::<bool>(), 1..2000u32, 1..4u32)
            .prop_map(|(id, format, refresh, ttl, max)| Step::Create { id, format, refresh, ttl, max }),
        6 => (maker(), 0..4u8, prop_oneof![3 => -3..1i64, 1 => -400..0i64, 2 => 0..70i64], prop_oneof![1..60u32, 1..6000u32], prop::bool::weighted(0.9))
            .prop_map(|(maker, id, iat, lives, has_iat)| Step::Foreign { maker, id, iat, lives, has_iat }),
        4 => pick().prop_map(|pick| Step::From { pick }),
        5 => (prop::collection::vec(pick(), 1..4), any::<bool>())
            .prop_map(|(picks, by_id)| Step::Revoke { picks, by_id }),
        4 => prop::option::weighted(0.6, (pick(), any::<bool>())).prop_map(|except| Step::RevokeUser { except }),
        2 => (maker(), 0..4u8).prop_map(|(maker, id)| Step::Deny { maker, id }),
        1 => (prop::option::weighted(0.3, -100_000..100_000i64), any::<bool>())
            .prop_map(|(before, clear)| Step::RevokeAll { before, clear }),
        3 => (pick(), any::<bool>()).prop_map(|(pick, at_home)| Step::Refresh { pick, at_home }),
        2 => (pick(), any::<bool>(), prop::option::of(1..2000u64))
            .prop_map(|(pick, by_id, ttl)| Step::Regenerate { pick, by_id, ttl }),
        1 => pick().prop_map(|pick| Step::Touch { pick }),
        2 => Just(Step::Sweep),
        4 => prop::option::of(0..100u32).prop_map(|back| Step::NotBefore { back }),
        1 => prop::sample::select(&[0, 5, 60, 300u64]).prop_map(|secs| Step::Leeway { secs }),
        1 => (1..4u32, 0..7usize).prop_map(|(sessions, tombstones)| Step::Limits { sessions, tombstones }),
        9 => clock.prop_map(|by| Step::Clock { by }),
        2 => (-300_000..300_000i64).prop_map(|by| Step::Restart { by }),
    ]
}

/// A credential that was made at some time, and what is known of it.
#[derive(Clone, Debug)]
struct Credential {
    presented: Presented,
    /// Who made it.
    maker: u8,
    /// Of a refresh token.
    generation: Option<u32>,
    /// Whether a check has ever found it good on the server that is there now.
    was_good: bool,
    /// In which step it was ended, and how.
    ended: Option<(usize, String)>,
}

struct Run {
    value: UserSessions,
    agents: AgentPool,
    rules: Rules,
    /// The leeway that tokens are checked with, in milliseconds.
    leeway: u64,
    replica: UserSessions,
    replica_agents: AgentPool,
    /// What the replica has seen of times.
    replica_latest: UnixMillis,
    /// The cutoff of all users, as files and replicas have got it.
    everyone: Everyone,
    /// The latest time that any server had seen when the last one was started.
    ever: UnixMillis,
    credentials: Vec<Credential>,
    /// Who has begun the sessions, by their ids.
    begun_by: HashMap<String, u8>,
    step: usize,
    log: Vec<String>,
}

/// Who makes JWTs elsewhere: the application, or one of the issuers 1 and 2.
const APPLICATION: u8 = 0;

/// The id here of what a maker calls so.
fn name(maker: u8, id: u8) -> SessionId {
    let text = [b'A' + id];
    let id = match maker {
        APPLICATION => SessionId::of_application(&text),
        issuer => SessionId::of_issuer(&format!("https://{issuer}.example"), &text),
    };
    id.expect("an id")
}

fn shifted(time: UnixMillis, by: i64) -> UnixMillis {
    UnixMillis::saturating_from(time.as_i64() + by)
}

fn second_of(time: UnixMillis) -> UnixMillis {
    UnixMillis::from_secs(time.as_secs()).expect("an earlier time")
}

impl Run {
    fn new() -> Self {
        let now = UnixMillis::new(START).expect("a time");
        let rules = Rules {
            sessions: 3,
            tombstones: 6,
            horizon: HORIZON,
            token_secs: 600,
            recovery: 60_000,
            ..Rules::default()
        };
        Self {
            value: UserSessions::new(),
            agents: AgentPool::new(),
            rules: rules.at(now),
            leeway: 0,
            replica: UserSessions::new(),
            replica_agents: AgentPool::new(),
            replica_latest: UnixMillis::ZERO,
            everyone: Everyone::default(),
            ever: UnixMillis::ZERO,
            credentials: Vec::new(),
            begun_by: HashMap::new(),
            step: 0,
            log: Vec::new(),
        }
    }

    fn commit<T>(&mut self, decision: Decision<'_, T>) -> T {
        let bytes = encode_effects(&decision.effects);
        let read = decode_effects(&bytes).expect("effects");
        self.value.apply(&decision.effects, &mut self.agents);
        self.replicate(&read);
        decision.value
    }

    fn replicate(&mut self, effects: &[redis_session_core::sessions::Effect<'_>]) {
        self.replica.apply(effects, &mut self.replica_agents);
        let times = effects.iter().filter_map(redis_session_core::sessions::Effect::time);
        self.replica_latest = times.chain([self.replica_latest]).max().expect("a time");
        self.rules.latest = self.rules.latest.max(self.replica_latest);
    }

    /// Whether a token by itself is in its time: what verifying it says before its session is asked for.
    fn is_in_time(&self, credential: &Credential) -> bool {
        let Presented { kind, expires_at, .. } = credential.presented;
        let expired = expires_at.is_some_and(|at| self.rules.now >= at.saturating_add(self.leeway));
        kind != Some(TokenKind::Jwt) || !expired
    }

    /// What the server says of a credential: good, with a session or without, or why not.
    fn ask(&self, credential: &Credential, stateless: bool) -> Result<Standing, Reason> {
        if !self.is_in_time(credential) {
            return Err(Reason::TokenExpired);
        }
        self.value.check(&credential.presented, Check { stateless, ..Check::default() }, &self.rules)
    }

    fn is_good(&self, credential: &Credential) -> bool {
        self.ask(credential, false).is_ok() || self.ask(credential, true).is_ok()
    }

    fn pick(&self, pick: usize) -> Option<Credential> {
        let count = self.credentials.len();
        (count > 0).then(|| self.credentials[pick % count].clone())
    }

    /// Notes that a command has ended these credentials.
    fn end(&mut self, how: &str, ends: impl Fn(&Self, &Credential) -> bool) {
        let ended: Vec<_> = self.credentials.iter().map(|credential| ends(self, credential)).collect();
        for (credential, ended) in self.credentials.iter_mut().zip(ended) {
            if ended && credential.ended.is_none() {
                credential.ended = Some((self.step, how.to_owned()));
            }
        }
    }

    /// Whether a credential is one that there was when everything until now was revoked: one that was good, or whose time
    /// of issue is not ahead of what the leeway lets in, by the latest clock that the server has seen.
    fn is_of_before(&self, credential: &Credential) -> bool {
        let soon = self.rules.latest.saturating_add(self.rules.leeway);
        match credential.presented.issued {
            Issued::InSecondOf(iat) => credential.was_good || iat <= soon,
            Issued::ForSessionOf(_) | Issued::Unsaid => true,
        }
    }

    fn add(&mut self, maker: u8, presented: Presented, generation: Option<u32>) {
        let made = Credential { presented, maker, generation, was_good: false, ended: None };
        if !self.credentials.iter().any(|known| known.presented == made.presented && known.generation == generation) {
            self.credentials.push(made);
        }
    }

    /// The tokens of a session that begins or goes on.
    fn mint(&mut self, session: &redis_session_core::sessions::Session<'_, std::borrow::Cow<'_, str>>) {
        let (id, issued) = (session.id.clone(), Issued::ForSessionOf(session.created_at));
        let kind = match session.tokens {
            TokenFormat::Jwt => Some(TokenKind::Jwt),
            TokenFormat::Opaque => Some(TokenKind::Opaque),
            TokenFormat::None => None,
        };
        if kind.is_some() {
            let expires_at = session.token_expires_at(self.rules.now, self.rules.token_secs);
            self.add(APPLICATION, Presented { id: id.clone(), kind, issued, expires_at }, None);
        }
        if let Some(refresh) = session.refresh {
            let presented = Presented { id, kind: Some(TokenKind::Refresh), issued, expires_at: None };
            self.add(APPLICATION, presented, Some(refresh.generation));
        }
    }

    fn create(&mut self, maker: u8, new: NewSession<'static>, rules: Rules) {
        match self.value.create(new, &rules) {
            Ok(decision) => {
                let evicted = decision.value.evicted.clone();
                self.end("evicted", |run, credential| {
                    evicted.contains(&credential.presented.id) && run.is_good(credential)
                });
                let created = self.commit(decision);
                self.begun_by.insert(created.session.id.to_string(), maker);
                self.mint(&created.session);
                self.log.push(format!(
                    "  created {} at {}",
                    created.session.id,
                    created.session.created_at.as_i64() - START.cast_signed()
                ));
            }
            Err(CreateError::Exists | CreateError::Limit | CreateError::Refused(_)) => {}
        }
    }

    fn run(&mut self, step: Step) {
        self.step += 1;
        self.rules = self.rules.at(self.rules.now);
        let now = self.rules.now;
        match step {
            Step::Create { id, format, refresh, ttl, max } => {
                let unique = format!("r{}", self.step);
                let (id, source) = match id {
                    Some(id) => (name(APPLICATION, id), IdSource::Caller),
                    None => (SessionId::from_text(unique.as_bytes()).expect("an id"), IdSource::Random),
                };
                let new = new_session(id, source, now.saturating_add(u64::from(ttl) * 1000), format, refresh);
                self.create(APPLICATION, new, Rules { sessions: max, ..self.rules });
            }
            Step::Foreign { maker, id, iat, lives, has_iat } => {
                let iat = second_of(shifted(now, iat * 1000));
                let issued = Issued::InSecondOf(if has_iat { iat } else { UnixMillis::ZERO });
                // The one that says no time of issue lives no longer than the horizon, as the rule demands.
                let lives = if has_iat { u64::from(lives) * 1000 } else { (u64::from(lives) * 1000).min(HORIZON) };
                let expires_at = Some(iat.saturating_add(lives));
                let id = name(maker, id);
                self.add(maker, Presented { id, kind: Some(TokenKind::Jwt), issued, expires_at }, None);
            }
            Step::From { pick } => {
                let Some(credential) = self.pick(pick) else { return };
                let Presented { id, kind, issued, expires_at } = credential.presented.clone();
                if kind == Some(TokenKind::Jwt) && self.is_in_time(&credential) {
                    let expires_at = expires_at.expect("a JWT expires");
                    let new = new_session(id, IdSource::Token(issued), expires_at, TokenFormat::None, false);
                    self.create(credential.maker, new, self.rules);
                }
            }
            Step::Revoke { picks, by_id } => {
                let picked: Vec<_> = picks.iter().filter_map(|pick| self.pick(*pick)).collect();
                let of = |credential: &Credential| match by_id {
                    true => Presented::id(credential.presented.id.clone()),
                    false => credential.presented.clone(),
                };
                let presented: Vec<_> = picked.iter().map(of).collect();
                let alive: Vec<_> =
                    presented.iter().filter(|each| self.value.alive(each, &self.rules).is_ok()).cloned().collect();
                self.end("revoked with its session", |run, credential| {
                    alive.iter().any(|each| each.id == credential.presented.id) && run.is_good(credential)
                });
                if !by_id {
                    self.end("revoked", |_, credential| {
                        picked.iter().any(|each| each.presented == credential.presented)
                    });
                }
                let decision = self.value.revoke(&presented, &self.rules);
                self.commit(decision);
            }
            Step::RevokeUser { except } => {
                let except = except.and_then(|(pick, by_id)| {
                    let presented = self.pick(pick)?.presented;
                    Some(if by_id { Presented::id(presented.id) } else { presented })
                });
                let spared = except.as_ref().filter(|except| self.value.alive(except, &self.rules).is_ok());
                let spared = spared.map(|except| except.id.clone());
                self.end("revoked with all", |run, credential| {
                    // What is not in its time yet or any more, or is refused by session.not-before alone, may be of the
                    // spared session, too.
                    let lasting = Rules { not_before: Cutoff::default(), ahead: run.rules.leeway, ..run.rules };
                    let lasting = Rules { revoked_before: run.rules.readmit(), ..lasting };
                    let is_of_spared = !run.is_in_time(credential)
                        || run.value.check(&credential.presented, Check::default(), &lasting).is_ok();
                    let is_spared = Some(&credential.presented.id) == spared.as_ref() && is_of_spared;
                    !is_spared && run.is_of_before(credential)
                });
                let decision = self.value.revoke_all(except.as_ref(), &self.rules);
                self.commit(decision);
            }
            Step::Deny { maker, id } => {
                // Later than any of these tokens lives.
                let until = now.saturating_add(20 * HORIZON);
                self.end("denied", |run, credential| {
                    credential.presented.id == name(maker, id)
                        && (run.is_good(credential)
                            || matches!(credential.presented.issued, Issued::InSecondOf(_))
                                && credential.presented.expires_at.is_some_and(|at| at <= until))
                });
                let decision = self.value.deny(name(maker, id), until, &self.rules);
                self.commit(decision);
            }
            Step::RevokeAll { before, clear } => {
                let before = before.map(|by| shifted(now, by));
                // A time that has passed spares what began since.
                let is_until_now = before.is_none_or(|before| before > self.rules.latest);
                self.end("revoked with everyone", |run, credential| {
                    !clear && is_until_now && run.is_of_before(credential)
                });
                self.rules.revoked_before =
                    if clear { self.rules.readmit() } else { self.rules.revoke_everyone(before) };
                self.everyone = self.rules.everyone();
                self.replica_latest = self.replica_latest.max(self.everyone.seen);
            }
            Step::Refresh { pick, at_home } => {
                let Some(credential) = self.pick(pick) else { return };
                let (Some(generation), Issued::ForSessionOf(began)) =
                    (credential.generation, credential.presented.issued)
                else {
                    return;
                };
                let id = credential.presented.id.clone();
                let token = RefreshToken { id: id.clone(), generation, session_began_at: began };
                let origin = Origin { device: at_home.then(home), ..Origin::default() };
                let Ok(decision) = self.value.refresh(&token, origin, &self.agents, &self.rules) else {
                    return;
                };
                let decision = match decision.value {
                    Refreshed::Reused => {
                        self.end("reused", |run, credential| credential.presented.id == id && run.is_good(credential));
                        decision
                    }
                    Refreshed::Granted(_) => decision,
                };
                let owned = encode_effects(&decision.effects);
                if let Refreshed::Granted(grant) = &decision.value {
                    self.mint(&grant.session);
                }
                let read = decode_effects(&owned).expect("effects");
                self.value.apply(&read, &mut self.agents);
                self.replicate(&read);
            }
            Step::Regenerate { pick, by_id, ttl } => {
                let Some(credential) = self.pick(pick) else { return };
                let old =
                    if by_id { Presented::id(credential.presented.id.clone()) } else { credential.presented.clone() };
                if !by_id && !self.is_in_time(&credential) {
                    return;
                }
                let new = SessionId::from_text(format!("n{}", self.step).as_bytes()).expect("an id");
                let expires_at = ttl.map(|secs| self.rules.now.saturating_add(secs * 1000));
                let new = Renewal { expires_at, level: Some(1), ..Renewal::of(new) };
                if let Ok(decision) = self.value.regenerate(&old, new, &self.agents, &self.rules) {
                    assert!(!matches!(old.issued, Issued::InSecondOf(_)), "tokens from elsewhere mint nothing");
                    self.end("regenerated", |run, credential| {
                        credential.presented.id == old.id && run.is_good(credential)
                    });
                    let grant = self.commit(decision);
                    self.mint(&grant.session);
                }
            }
            Step::Touch { pick } => {
                let Some(credential) = self.pick(pick) else { return };
                if let Ok(decision) = self.value.touch(&credential.presented, Check::default(), &self.rules) {
                    let bytes = encode_effects(&decision.effects);
                    self.replicate(&decode_effects(&bytes).expect("effects"));
                }
            }
            Step::Sweep => {
                let decision = self.value.purge(0, usize::MAX, &self.rules);
                self.commit(decision);
            }
            Step::NotBefore { back } => {
                self.rules.not_before = match back {
                    Some(secs) => Cutoff::at(shifted(now, -i64::from(secs) * 1000 - 1), self.rules.leeway),
                    None => Cutoff::default(),
                };
            }
            Step::Leeway { secs } => {
                self.leeway = secs * 1000;
                self.rules.ahead = self.leeway;
                self.rules.leeway = self.rules.leeway.max(self.leeway);
            }
            Step::Limits { sessions, tombstones } => {
                (self.rules.sessions, self.rules.tombstones) = (sessions, tombstones);
            }
            Step::Clock { by } => self.rules = self.rules.at(shifted(now, by)),
            Step::Restart { by } => self.restart(by),
        }
        self.check();
    }

    fn restart(&mut self, by: i64) {
        let leeway = i64::try_from(self.leeway).expect("small");
        // The clocks of servers differ by the leeway at most, from the latest time that any has ever seen.
        self.ever = self.ever.max(self.rules.latest);
        let earliest = shifted(self.ever, -leeway);
        let now = shifted(self.rules.now, by).max(earliest);
        let taken_over = by % 2 == 0;
        let latest = if taken_over {
            std::mem::swap(&mut self.value, &mut self.replica);
            std::mem::swap(&mut self.agents, &mut self.replica_agents);
            self.replica_latest
        } else {
            self.value.last_change_at().max(self.everyone.seen)
        };
        let bytes = self.value.encode(&self.agents);
        if !self.value.is_empty() {
            self.agents = AgentPool::new();
            self.value = UserSessions::decode(&bytes, &mut self.agents).expect("a value");
        }
        let mut agents = AgentPool::new();
        if self.value.is_empty() {
            self.replica = UserSessions::new();
        } else {
            self.replica = UserSessions::decode(&bytes, &mut agents).expect("a value");
        }
        self.replica_agents = agents;
        let outage = Outage { from: self.value.last_change_at(), until: now };
        self.rules = Rules { latest, leeway: self.leeway, outage, ..self.rules }.at(now);
        // A token that this server would not take yet, for its clock, is none that it can have ended.
        let soon = self.rules.latest.saturating_add(self.rules.leeway);
        for credential in &mut self.credentials {
            if matches!(credential.presented.issued, Issued::InSecondOf(iat) if iat > soon) {
                credential.was_good = false;
            }
        }
    }

    /// Tries every credential.
    fn check(&mut self) {
        // What can be taken back is left out.
        let revoked_before = self.rules.readmit();
        let lasting = Rules { not_before: Cutoff::default(), revoked_before, ..self.rules };
        for at in 0..self.credentials.len() {
            let credential = self.credentials[at].clone();
            for stateless in [false, true] {
                let answer = self.ask(&credential, stateless);
                if matches!(answer, Ok(Standing::Alive(_))) {
                    let id = credential.presented.id.to_string();
                    // What is regenerated goes on under an id made here.
                    let begun_by = self.begun_by.get(&id).copied().unwrap_or(APPLICATION);
                    assert!(begun_by == credential.maker, "{credential:?} has reached a session of another");
                }
                if answer.is_ok() {
                    let Some((step, how)) = &credential.ended else {
                        self.credentials[at].was_good = true;
                        continue;
                    };
                    panic!(
                        "{how} in step {step}, and good in step {} ({}): {:?}\nrules {:?}\n{}",
                        self.step,
                        if stateless { "without a session" } else { "with one" },
                        credential.presented,
                        self.rules,
                        self.log.join("\n"),
                    );
                }
                let check = Check { stateless, ..Check::default() };
                let refused = self.value.check(&credential.presented, check, &lasting);
                let is_end =
                    matches!(refused, Err(Reason::Revoked | Reason::UserRevoked | Reason::Evicted | Reason::Reused));
                // JWTs made elsewhere may share the id of one that was denied, and are refused with it for so long.
                let is_ours = matches!(credential.presented.issued, Issued::ForSessionOf(_));
                if self.is_in_time(&credential) && is_end && is_ours && credential.ended.is_none() {
                    self.credentials[at].ended =
                        Some((self.step, format!("refused as {}", answer.expect_err("refused"))));
                }
            }
        }
    }
}

/// The device that every session is bound to.
fn home() -> Device {
    Device::of(Subject::new(b"42").expect("a user"), b"home")
}

fn new_session(
    id: SessionId,
    source: IdSource,
    expires_at: UnixMillis,
    tokens: TokenFormat,
    refresh: bool,
) -> NewSession<'static> {
    NewSession {
        id,
        source,
        expires_at,
        idle_secs: 0,
        ip: None,
        agent: None,
        device: Some(home()),
        tokens,
        token_ttl: None,
        refresh_secs: refresh.then_some(900),
        level: 0,
        claims: "",
        data: Data::default(),
    }
}

fn run(steps: Vec<Step>) {
    let mut run = Run::new();
    for step in steps {
        run.log.push(format!("{}: {step:?} at {}", run.step + 1, run.rules.now.as_i64() - START.cast_signed()));
        run.run(step);
    }
}

fn histories() -> u32 {
    env::var("REDIS_TEST_HISTORIES").map_or(1000, |text| text.parse().expect("REDIS_TEST_HISTORIES is a number"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: histories(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_somebody_has_ended_is_not_good_again(steps in prop::collection::vec(step(), 1..80)) {
        run(steps);
    }
}
