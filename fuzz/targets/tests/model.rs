//! Random commands with a moving clock, on a user of the oracle: after each of them the product must agree with its
//! lists on everything that can be asked.
//!
//! `REDIS_TEST_HISTORIES` is how many users there are.

use std::env;
use std::net::IpAddr;

use proptest::prelude::*;
use redis_session_core::sessions::{
    Clock, Data, Device, Limit, LimitPolicy, NewSession, Origin, Presented, TokenFormat, TokenRules,
};
use redis_session_core::token::Issued;
use redis_session_core::{SessionId, Subject, UnixMillis};
use redis_session_fuzz_targets::{Command, User};

const NAMES: u8 = 12;
const START: u64 = 1_790_000_000_000;
const RULES: TokenRules = TokenRules { token_secs: 5, leeway: 0, grace: 1000 };
const LIMIT: Limit = Limit { sessions: 9, policy: LimitPolicy::Evict, tombstones: 1000 };

#[derive(Clone, Debug)]
enum Step {
    Create(Login),
    Touch {
        name: u8,
        granularity: u64,
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
        token: bool,
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
    RevokeAll {
        except: Option<u8>,
        tombstones: usize,
    },
    Advance {
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
    Purge {
        most: usize,
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
    external_id: bool,
    place: u8,
    leeway: u64,
    sessions: u32,
    reject: bool,
    tombstones: usize,
}

/// What a session to revoke is named by.
#[derive(Clone, Copy, Debug)]
enum Named {
    Id,
    Token { lives: u64 },
}

fn login() -> impl Strategy<Value = Login> {
    let form = prop_oneof![4 => Just(TokenFormat::Jwt), 1 => Just(TokenFormat::Opaque), 1 => Just(TokenFormat::None)];
    let leeway = prop_oneof![3 => Just(0), 1 => 1..2000u64];
    let tokens = (form, prop::option::of(1..9u32), prop::option::of(1..9u32), leeway);
    let session = (0..NAMES, 1..9000u64, 0..4u32, any::<bool>(), 0..4u8);
    (session, tokens, (1..7u32, any::<bool>(), tombstones())).prop_map(|(session, tokens, limit)| {
        let (name, ttl, idle, external_id, place) = session;
        let (form, token, refresh, leeway) = tokens;
        let (sessions, reject, tombstones) = limit;
        Login { name, ttl, idle, form, token, refresh, external_id, place, leeway, sessions, reject, tombstones }
    })
}

/// Mostly so many that none is forgotten early.
fn tombstones() -> impl Strategy<Value = usize> {
    prop_oneof![9 => Just(1000), 1 => 0..5usize]
}

fn step() -> impl Strategy<Value = Step> {
    let name = || 0..NAMES;
    let named = prop_oneof![2 => Just(Named::Id), 1 => (0..9000u64).prop_map(|lives| Named::Token { lives })];
    let value = prop::collection::vec(any::<u8>(), 0..60);
    prop_oneof![
        5 => login().prop_map(Step::Create),
        4 => (name(), 0..1000u64).prop_map(|(name, granularity)| Step::Touch { name, granularity }),
        4 => (name(), 0..3u32, 0..4u8, prop::option::weighted(0.2, 0..2u64)).prop_map(
            |(name, behind, place, before_grace_ends)| Step::Refresh { name, behind, place, before_grace_ends }
        ),
        1 => (name(), any::<bool>()).prop_map(|(name, token)| Step::Regenerate { name, token }),
        3 => (name(), 0..2u8, value).prop_map(|(name, field, value)| Step::Set { name, field, value }),
        2 => (name(), 0..2u8).prop_map(|(name, field)| Step::Unset { name, field }),
        2 => (prop::collection::vec((name(), named), 1..4), tombstones())
            .prop_map(|(names, tombstones)| Step::Revoke { names, tombstones }),
        1 => (prop::option::of(name()), tombstones()).prop_map(|(except, tombstones)| Step::RevokeAll { except, tombstones }),
        2 => (0..3000u64).prop_map(|millis| Step::Advance { millis }),
        3 => (name(), 0..5usize, 0..2u64).prop_map(|(name, which, before)| Step::Reach { name, which, before }),
        1 => prop::option::of(0..3000u64).prop_map(|millis| Step::NotBefore { millis }),
        1 => (1..9usize).prop_map(|most| Step::Purge { most }),
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

/// A user, with the newest id under each name.
struct Run {
    user: User,
    newest: Vec<SessionId>,
    clock: Clock,
}

impl Run {
    /// When the tokens of this session were issued, as a JWT shows it.
    fn issued(&self, id: &SessionId) -> Issued {
        let second = |time: UnixMillis| UnixMillis::from_secs(time.as_secs()).expect("an earlier time");
        self.user.issued(id).map_or(Issued::Unsaid, |time| Issued::InSecondOf(second(time)))
    }

    fn target(&self, name: u8, named: Named) -> Presented {
        let id = self.newest[usize::from(name)].clone();
        match named {
            Named::Id => Presented { id, issued: Issued::Unsaid, until: None },
            Named::Token { lives } => {
                Presented { issued: self.issued(&id), until: Some(self.clock.now.saturating_add(lives)), id }
            }
        }
    }

    /// Moves the clock on to one of the moments of this session, less so many milliseconds.
    fn reach(&mut self, name: u8, which: usize, before: u64) {
        let moments = self.user.moments(&self.newest[usize::from(name)], RULES.grace);
        // A session without an idle timeout is never idle.
        let near = moments.get(which).filter(|moment| moment.saturating_since(self.clock.now) < 3_600_000);
        if let Some(moment) = near {
            let moment = UnixMillis::saturating_from(moment.as_i64() - before.cast_signed());
            self.clock.now = self.clock.now.max(moment);
        }
    }

    /// The command of a step, if it is one; `number` makes new ids.
    fn command(&mut self, step: Step, number: usize) -> Option<Command<'static>> {
        let rules = RULES;
        let newest = self.newest.clone();
        let newest = |name: u8| newest[usize::from(name)].clone();
        Some(match step {
            Step::Create(login) => {
                let Login {
                    name,
                    ttl,
                    idle,
                    form,
                    token,
                    refresh,
                    external_id,
                    place,
                    leeway,
                    sessions,
                    reject,
                    tombstones,
                } = login;
                // Ids that an application brings come again; ours never do.
                let id = id(&if external_id { format!("n{name}") } else { format!("n{name}.{number}") });
                self.newest[usize::from(name)] = id.clone();
                let Origin { ip, agent, device } = origin(place);
                let new = NewSession {
                    id,
                    external_id,
                    expires_at: self.clock.now.saturating_add(ttl),
                    idle_secs: idle,
                    ip,
                    agent,
                    device,
                    tokens: form,
                    token_ttl: token,
                    refresh_secs: refresh,
                    claims: "",
                    data: Data::default(),
                };
                let policy = if reject { LimitPolicy::Reject } else { LimitPolicy::Evict };
                let limit = Limit { sessions, policy, tombstones };
                Command::Create { new, rules: TokenRules { leeway, ..rules }, limit }
            }
            Step::Touch { name, granularity } => Command::Touch { id: newest(name), granularity },
            Step::Refresh { name, behind, place, before_grace_ends } => {
                let behind = before_grace_ends.map_or(behind, |before| {
                    self.reach(name, 4, before);
                    1
                });
                Command::Refresh { id: newest(name), behind, origin: origin(place), rules, limit: LIMIT }
            }
            Step::Regenerate { name, token } => {
                let named = if token { Named::Token { lives: 0 } } else { Named::Id };
                let old = Presented { until: None, ..self.target(name, named) };
                let new = id(&format!("r{number}"));
                if self.user.has(&old.id) {
                    self.newest[usize::from(name)] = new.clone();
                }
                Command::Regenerate { old, new, rules, limit: LIMIT }
            }
            Step::Set { name, field, value } => {
                let data = Data::pack([(&[field][..], &value[..])]).expect("a field");
                Command::Set { id: newest(name), data, limit: DataLimit { bytes: 100, fields: 3 } }
            }
            Step::Unset { name, field } => {
                let names = Data::pack([(&[field][..], &[][..])]).expect("a name");
                Command::Unset { id: newest(name), names }
            }
            Step::Revoke { names, tombstones } => {
                let targets = names.into_iter().map(|(name, named)| self.target(name, named)).collect();
                Command::Revoke { targets, limit: Limit { tombstones, ..LIMIT } }
            }
            Step::RevokeAll { except, tombstones } => {
                Command::RevokeAll { except: except.map(newest), horizon: 100, limit: Limit { tombstones, ..LIMIT } }
            }
            Step::Purge { most } => Command::Purge { most },
            Step::Advance { millis } => {
                self.clock.now = self.clock.now.saturating_add(millis);
                return None;
            }
            Step::Reach { name, which, before } => {
                self.reach(name, which, before);
                return None;
            }
            Step::NotBefore { millis } => {
                let back =
                    |millis| UnixMillis::saturating_from(self.clock.now.as_i64() - i64::try_from(millis).unwrap());
                self.clock.not_before = millis.map_or(UnixMillis::ZERO, back);
                return None;
            }
        })
    }
}

fn run(steps: Vec<Step>) {
    let newest = (0..NAMES).map(|name| id(&format!("n{name}"))).collect();
    let mut run = Run { user: User::default(), newest, clock: Clock { now: at(0), not_before: UnixMillis::ZERO } };
    for (number, step) in steps.into_iter().enumerate() {
        if let Some(command) = run.command(step, number) {
            run.user.run(command, run.clock);
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
