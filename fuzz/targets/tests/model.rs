//! Random commands with a moving clock, which also steps back, on a user of the oracle: after each of them the product must
//! agree with its lists on everything that can be asked, and nothing that somebody has ended may be good again.
//!
//! `REDIS_TEST_HISTORIES` is how many users there are.

use std::env;
use std::net::IpAddr;

use proptest::prelude::*;
use redis_session_core::sessions::{
    Cutoff, Data, DataLimit, Device, IdSource, LimitPolicy, MAX_LEEWAY, NewSession, Origin, Outage, Presented,
    REMEMBERED, Renewal, Rules, TokenFormat,
};
use redis_session_core::token::{Issued, TokenKind};
use redis_session_core::{SessionId, Subject, UnixMillis};
use redis_session_fuzz_targets::{Command, User};

const NAMES: u8 = 12;
const START: u64 = 1_790_000_000_000;

/// Tokens and JWTs made elsewhere that live for seconds, in few tombstones or many.
fn rules() -> Rules {
    let limits = Rules { sessions: 9, tombstones: 1000, data: DataLimit { bytes: 100, fields: 2 }, ..Rules::default() };
    Rules { token_secs: 5, grace: 1000, recovery: 3000, horizon: 9000, ..limits }.at(at(0))
}

#[derive(Clone, Debug)]
enum Step {
    Create(Login),
    LookUp {
        name: u8,
        named: Named,
    },
    Touch {
        name: u8,
        named: Named,
        granularity: u64,
        stateless: bool,
        place: u8,
        level: u8,
        max_age: Option<u64>,
    },
    /// At once; or with the token before the present one, when its grace ends or in the millisecond before.
    Refresh {
        name: u8,
        behind: u32,
        place: u8,
        before_grace_ends: Option<u64>,
    },
    Regenerate {
        name: u8,
        named: Named,
        /// How long the session lasts from then on, and how strongly its user has signed in.
        ttl: Option<u64>,
        level: Option<u8>,
        place: u8,
    },
    Set {
        name: u8,
        field: u8,
        value: Vec<u8>,
    },
    Unset {
        name: u8,
        field: u8,
    },
    Revoke {
        names: Vec<(u8, Named)>,
        tombstones: usize,
    },
    Deny {
        name: u8,
        lives: u64,
        tombstones: usize,
    },
    RevokeAll {
        except: Option<(u8, Named)>,
        tombstones: usize,
    },
    Advance {
        millis: u64,
    },
    SetBack {
        millis: u64,
    },
    /// To a moment from which on something of a session is not good any more, or to the millisecond before.
    Reach {
        name: u8,
        which: usize,
        before: u64,
    },
    NotBefore {
        millis: Option<u64>,
    },
    /// SESSION.REVOKEALL
    Everyone,
    /// The clocks of servers may differ by more from now on.
    Leeway {
        millis: u64,
    },
    Purge {
        most: usize,
    },
    /// The server was down for so long, or its clock has stepped back meanwhile.
    Restart {
        millis: i64,
    },
}

#[derive(Clone, Debug)]
struct Login {
    name: u8,
    ttl: u64,
    idle: u32,
    form: TokenFormat,
    token: Option<u32>,
    refresh: Option<u32>,
    source: Source,
    place: u8,
    sessions: u32,
    reject: bool,
    tombstones: usize,
    level: u8,
}

/// Where a login has its id from.
#[derive(Clone, Copy, Debug)]
enum Source {
    Random,
    Caller,
    /// A JWT from elsewhere, which is so old and lives so long.
    Foreign {
        age: u64,
        lives: u64,
    },
    /// The one JWT of this name that a server like this one has made.
    Moved,
}

/// What a session is named by.
#[derive(Clone, Copy, Debug)]
enum Named {
    Id,
    /// A token made here, for the session that has the id now.
    Token,
    /// A JWT from elsewhere, issued so many seconds ago or in the second that the leeway reaches, that lives so long.
    Foreign {
        age: Option<u64>,
        lives: u64,
    },
    /// One that does not say when it was issued.
    Undated {
        lives: u64,
    },
}

fn login() -> impl Strategy<Value = Login> {
    let form = prop_oneof![4 => Just(TokenFormat::Jwt), 1 => Just(TokenFormat::Opaque), 1 => Just(TokenFormat::None)];
    let source = prop_oneof![
        4 => Just(Source::Random),
        4 => Just(Source::Caller),
        2 => (0..4u64, 0..9000u64).prop_map(|(age, lives)| Source::Foreign { age, lives }),
        1 => Just(Source::Moved),
    ];
    let tokens = (form, prop::option::of(1..9u32), prop::option::of(1..9u32), source);
    let session = (0..NAMES, 1..9000u64, 0..4u32, 0..4u8, 0..4u8);
    (session, tokens, (1..7u32, any::<bool>(), tombstones())).prop_map(|(session, tokens, limit)| {
        let (name, ttl, idle, place, level) = session;
        let (form, token, refresh, source) = tokens;
        let (sessions, reject, tombstones) = limit;
        Login { name, ttl, idle, form, token, refresh, source, place, sessions, reject, tombstones, level }
    })
}

fn named() -> impl Strategy<Value = Named> {
    let age = prop::option::weighted(0.8, 0..4u64);
    prop_oneof![
        3 => Just(Named::Id),
        2 => Just(Named::Token),
        6 => (age, 0..20_000u64).prop_map(|(age, lives)| Named::Foreign { age, lives }),
        1 => (0..9000u64).prop_map(|lives| Named::Undated { lives }),
    ]
}

/// Mostly so many that none is dropped early.
fn tombstones() -> impl Strategy<Value = usize> {
    prop_oneof![9 => Just(1000), 1 => 0..5usize]
}

/// What a check asks of the sign-in: mostly nothing.
fn demand() -> impl Strategy<Value = (u8, Option<u64>)> {
    (prop_oneof![2 => Just(0), 1 => 1..4u8], prop::option::weighted(0.3, 0..4000u64))
}

fn step() -> impl Strategy<Value = Step> {
    let name = || 0..NAMES;
    let value = prop::collection::vec(any::<u8>(), 0..60);
    prop_oneof![
        6 => login().prop_map(Step::Create),
        4 => (name(), named()).prop_map(|(name, named)| Step::LookUp { name, named }),
        4 => (name(), named(), 0..1000u64, any::<bool>(), 0..3u8, demand()).prop_map(
            |(name, named, granularity, stateless, place, (level, max_age))| {
                Step::Touch { name, named, granularity, stateless, place, level, max_age }
            }
        ),
        4 => (name(), 0..3u32, 0..4u8, prop::option::weighted(0.2, 0..2u64)).prop_map(
            |(name, behind, place, before_grace_ends)| Step::Refresh { name, behind, place, before_grace_ends }
        ),
        1 => (name(), named(), prop::option::of(1..9000u64), prop::option::of(1..4u8), 0..4u8)
            .prop_map(|(name, named, ttl, level, place)| Step::Regenerate { name, named, ttl, level, place }),
        2 => (name(), 0..3u8, value).prop_map(|(name, field, value)| Step::Set { name, field, value }),
        1 => (name(), 0..2u8).prop_map(|(name, field)| Step::Unset { name, field }),
        3 => (prop::collection::vec((name(), named()), 1..4), tombstones())
            .prop_map(|(names, tombstones)| Step::Revoke { names, tombstones }),
        1 => (name(), 0..9000u64, tombstones())
            .prop_map(|(name, lives, tombstones)| Step::Deny { name, lives, tombstones }),
        1 => (prop::option::of((name(), named())), tombstones())
            .prop_map(|(except, tombstones)| Step::RevokeAll { except, tombstones }),
        2 => (0..3000u64).prop_map(|millis| Step::Advance { millis }),
        1 => (0..20_000u64).prop_map(|more| Step::Advance { millis: REMEMBERED + more - 5000 }),
        1 => (0..20_000u64).prop_map(|millis| Step::SetBack { millis }),
        3 => (name(), 0..5usize, 0..2u64).prop_map(|(name, which, before)| Step::Reach { name, which, before }),
        1 => prop::option::of(0..3000u64).prop_map(|millis| Step::NotBefore { millis }),
        1 => Just(Step::Everyone),
        1 => (0..3000u64).prop_map(|millis| Step::Leeway { millis }),
        2 => (1..9usize).prop_map(|most| Step::Purge { most }),
        1 => (-500..5000i64).prop_map(|millis| Step::Restart { millis }),
    ]
}

fn at(millis: u64) -> UnixMillis {
    UnixMillis::new(START + millis).expect("a time")
}

fn id(text: &str) -> SessionId {
    SessionId::from_text(text.as_bytes()).expect("an id")
}

/// Where a request comes from: from nowhere that is known, or from one of three places.
fn origin(place: u8) -> Origin<'static> {
    let user = Subject::new(b"42").expect("a user");
    match place {
        0 => Origin::default(),
        _ => Origin {
            ip: Some(IpAddr::from([203, 0, 113, place])),
            agent: Some(["Firefox", "Safari"][usize::from(place) % 2]),
            // Half of all are bound to no device, so that refreshes go on.
            device: [None, Some(&b"phone"[..]), Some(b"laptop")][usize::from(place) - 1]
                .map(|device| Device::of(user, device)),
        },
    }
}

fn second(time: UnixMillis) -> UnixMillis {
    UnixMillis::from_secs(time.as_secs()).expect("an earlier time")
}

fn back(time: UnixMillis, millis: u64) -> UnixMillis {
    UnixMillis::saturating_from(time.as_i64() - millis.cast_signed())
}

/// A user, with the newest id under each name.
struct Run {
    user: User,
    newest: Vec<SessionId>,
    rules: Rules,
}

impl Run {
    fn presented(&self, name: u8, named: Named) -> Presented {
        let id = self.newest[usize::from(name)].clone();
        let now = self.rules.now;
        let (issued, lives) = match named {
            Named::Id => return Presented::id(id),
            Named::Token => {
                let issued = self.user.began(&id).map_or(Issued::Unsaid, Issued::ForSessionOf);
                return Presented { kind: Some(TokenKind::Opaque), issued, ..Presented::id(id) };
            }
            Named::Foreign { age: Some(age), lives } => (second(back(now, age * 1000)), lives),
            Named::Foreign { age: None, lives } => (second(now.saturating_add(self.rules.leeway)), lives),
            Named::Undated { lives } => (UnixMillis::ZERO, lives),
        };
        // Some have expired.
        let (issued, expires_at) = (Issued::InSecondOf(issued), Some(back(now.saturating_add(lives), 1000)));
        Presented { kind: Some(TokenKind::Jwt), issued, expires_at, id }
    }

    fn advance(&mut self, now: UnixMillis) {
        self.rules = self.rules.at(now.max(self.rules.now));
    }

    /// Moves the clock on to one of the moments of this session, less so many milliseconds.
    fn reach(&mut self, name: u8, which: usize, before: u64) {
        let moments = self.user.moments(&self.newest[usize::from(name)], self.rules.grace);
        // A session without an idle timeout is never idle.
        let near = |moment: &&UnixMillis| moment.saturating_since(self.rules.now) < 3_600_000;
        if let Some(moment) = moments.get(which.min(moments.len().saturating_sub(1))).filter(near) {
            self.advance(back(*moment, before));
        }
    }

    fn login(&mut self, login: Login, number: usize) -> Command<'static> {
        let Login { name, ttl, idle, form, token, refresh, source, place, sessions, reject, tombstones, level } = login;
        let now = self.rules.now;
        let (text, source, expires_at) = match source {
            // Ids that an application chooses come again; ours never do.
            Source::Random => (format!("n{name}.{number}"), IdSource::Random, now.saturating_add(ttl)),
            Source::Caller => (format!("n{name}"), IdSource::Caller, now.saturating_add(ttl)),
            Source::Foreign { age, lives } => {
                let issued = Issued::InSecondOf(second(back(now, age * 1000)));
                (format!("n{name}"), IdSource::Token(issued), now.saturating_add(lives))
            }
            Source::Moved => {
                let began = u64::from(name) * 1000;
                let issued = Issued::ForSessionOf(at(began));
                (format!("m{name}"), IdSource::Token(issued), at(began + 8000))
            }
        };
        let id = id(&text);
        self.newest[usize::from(name)] = id.clone();
        let Origin { ip, agent, device } = origin(place);
        let policy = if reject { LimitPolicy::Reject } else { LimitPolicy::Evict };
        self.rules = Rules { sessions, policy, tombstones, ..self.rules };
        let new = NewSession {
            id,
            source,
            expires_at,
            idle_secs: idle,
            ip,
            agent,
            device,
            tokens: form,
            token_ttl: token,
            refresh_secs: refresh,
            level,
            claims: "",
            data: Data::default(),
        };
        Command::Create { new }
    }

    /// The command of a step, if it is one; `number` makes new ids.
    fn command(&mut self, step: Step, number: usize) -> Option<Command<'static>> {
        let newest = |run: &Self, name: u8| run.newest[usize::from(name)].clone();
        self.rules.tombstones = 1000;
        Some(match step {
            Step::Create(login) => self.login(login, number),
            Step::LookUp { name, named } => Command::LookUp { presented: self.presented(name, named) },
            Step::Touch { name, named, granularity, stateless, place, level, max_age } => {
                self.rules.touch_granularity = granularity;
                let device = [None, Some(&b"phone"[..]), Some(b"laptop")][usize::from(place)];
                Command::Touch { presented: self.presented(name, named), stateless, device, level, max_age }
            }
            Step::Refresh { name, behind, place, before_grace_ends } => {
                let behind = before_grace_ends.map_or(behind, |before| {
                    self.reach(name, 4, before);
                    1
                });
                Command::Refresh { id: newest(self, name), behind, origin: origin(place) }
            }
            Step::Regenerate { name, named, ttl, level, place } => {
                let (old, new) = (self.presented(name, named), id(&format!("r{number}")));
                if self.user.has(&old.id) {
                    self.newest[usize::from(name)] = new.clone();
                }
                let Origin { ip, agent, .. } = origin(place);
                let expires_at = ttl.map(|ttl| self.rules.now.saturating_add(ttl));
                let claims = level.map(|_| r#"{"role":"user"}"#);
                Command::Regenerate { old, new: Renewal { expires_at, claims, level, ip, agent, ..Renewal::of(new) } }
            }
            Step::Set { name, field, value } => {
                let data = Data::pack([(&[field][..], &value[..])]).expect("a field");
                Command::Set { id: newest(self, name), data, expected: None }
            }
            Step::Unset { name, field } => {
                let names = Data::pack([(&[field][..], &[][..])]).expect("a name");
                Command::Unset { id: newest(self, name), names }
            }
            Step::Revoke { names, tombstones } => {
                self.rules.tombstones = tombstones;
                let presented = names.into_iter().map(|(name, named)| self.presented(name, named)).collect();
                Command::Revoke { presented }
            }
            Step::Deny { name, lives, tombstones } => {
                self.rules.tombstones = tombstones;
                Command::Deny { id: newest(self, name), until: self.rules.now.saturating_add(lives) }
            }
            Step::RevokeAll { except, tombstones } => {
                self.rules.tombstones = tombstones;
                Command::RevokeAll { except: except.map(|(name, named)| self.presented(name, named)) }
            }
            Step::Purge { most } => Command::Purge { most },
            Step::Advance { millis } => {
                self.advance(self.rules.now.saturating_add(millis));
                return None;
            }
            Step::SetBack { millis } => {
                self.rules = self.rules.at(back(self.rules.now, millis));
                return None;
            }
            Step::Reach { name, which, before } => {
                self.reach(name, which, before);
                return None;
            }
            Step::NotBefore { millis } => {
                let cutoff = |millis| Cutoff::at(back(self.rules.now, millis), self.rules.leeway);
                self.rules.not_before = millis.map_or_else(Cutoff::default, cutoff);
                return None;
            }
            Step::Restart { millis } => {
                let from = self.rules.now;
                self.rules = self.rules.at(UnixMillis::saturating_from(from.as_i64() + millis));
                self.rules.outage = Outage { from, until: self.rules.now };
                return None;
            }
            Step::Everyone => {
                let Rules { latest, leeway, revoked_before, .. } = self.rules;
                self.rules.revoked_before = revoked_before.max(Cutoff::at(latest, leeway));
                return None;
            }
            Step::Leeway { millis } => {
                self.rules.leeway = (self.rules.leeway + millis).min(MAX_LEEWAY);
                self.rules.ahead = self.rules.leeway;
                return None;
            }
        })
    }
}

fn run(steps: Vec<Step>) {
    let newest = (0..NAMES).map(|name| id(&format!("n{name}"))).collect();
    let mut run = Run { user: User::default(), newest, rules: rules() };
    for (number, step) in steps.into_iter().enumerate() {
        if let Some(command) = run.command(step, number) {
            run.user.run(command, &run.rules);
            run.rules.latest = run.user.latest();
        }
    }
    run.user.finish();
}

fn histories() -> u32 {
    env::var("REDIS_TEST_HISTORIES").map_or(1200, |text| text.parse().expect("REDIS_TEST_HISTORIES is a number"))
}

proptest! {
    // 1,200 runs of 75 steps on average are 90,000 steps. A failing one is printed at its smallest;
    // PROPTEST_RNG_SEED repeats a whole test.
    #![proptest_config(ProptestConfig { cases: histories(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_commands_give_what_plain_lists_give(steps in prop::collection::vec(step(), 1..150)) {
        run(steps);
    }
}
