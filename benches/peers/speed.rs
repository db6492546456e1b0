//! What login, check, list, logout and logout-all cost, by how many sessions there are. Four belong to each user.

use std::rc::Rc;
use std::time::Duration;

use redis::Connection;
use redis_session_tests::Server;

use crate::Settings;
use crate::contenders::Contender;
use crate::layouts::{self, Credential, Layout};
use crate::load::{Figures, drive, median};
use crate::population::{Random, login, populate};

const PER_USER: usize = 4;

/// How many sessions are checked, spread over all: more than the module remembers tokens (16,384), so that it computes
/// some of their signatures again.
const CHECKED: usize = 20_000;

/// A walk through all sessions takes seconds where there are many, and one for each session more.
const MOST_ONE_BY_ONE: usize = 100_000;

pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Login,
    Check,
    List,
    Logout,
    LogoutAll,
    /// A check while nobody else asks for anything.
    CheckAlone,
}

impl Operation {
    pub(crate) const ALL: [Self; 6] =
        [Self::Login, Self::Check, Self::List, Self::Logout, Self::LogoutAll, Self::CheckAlone];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Check => "check",
            Self::List => "list",
            Self::Logout => "logout",
            Self::LogoutAll => "logout-all",
            Self::CheckAlone => "check, 1 connection",
        }
    }

    /// In such an order that each finds four sessions of a user, and what has logged in logs out.
    const ORDER: [Self; 6] = [Self::CheckAlone, Self::Check, Self::List, Self::Login, Self::Logout, Self::LogoutAll];
}

/// What one operation of one contender costs, as medians over the rounds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    pub(crate) contender: Contender,
    pub(crate) operation: Operation,
    pub(crate) figures: Figures,
    /// Its throughput, in those of the module on the same server in the same round.
    pub(crate) ratio: Option<f64>,
}

/// What was measured with so many sessions.
pub(crate) struct Speed {
    pub(crate) sessions: usize,
    pub(crate) costs: Vec<Cost>,
    /// How many PINGs a second the server answers: as many as any command at the most.
    pub(crate) pings: f64,
}

/// A contender with its server and what it knows of the sessions there.
struct Place {
    contender: Contender,
    layout: Box<dyn Layout>,
    server: Rc<Server>,
    checked: Rc<Vec<Credential>>,
    /// Of those who have logged in and not out.
    fresh: Vec<Credential>,
}

/// Measures all contenders in turn, so that what disturbs one disturbs the others too.
pub(crate) fn measure(settings: &Settings, sessions: usize) -> Speed {
    let mut places: Vec<Place> = Vec::new();
    for contender in Contender::ALL {
        if contender == Contender::JwtOneByOne && sessions > MOST_ONE_BY_ONE {
            continue;
        }
        let shared = places.iter().find(|place| Some(place.contender) == contender.shares_data_with());
        let place = match shared {
            Some(place) => Some(Place {
                contender,
                layout: contender.layout(),
                server: Rc::clone(&place.server),
                checked: Rc::clone(&place.checked),
                fresh: Vec::new(),
            }),
            None => Place::populated(contender, settings, sessions),
        };
        places.extend(place);
    }

    let (mut rounds, mut pings) = (Vec::new(), Vec::new());
    for round in 0..settings.rounds {
        eprintln!("  {sessions} sessions, round {} of {}", round + 1, settings.rounds);
        let mut figures = Vec::new();
        for operation in Operation::ORDER {
            // Each is the first in some round.
            for turn in 0..places.len() {
                let place = (turn + round) % places.len();
                let measured = places[place].run(operation, settings, sessions, round);
                figures.extend(measured.map(|measured| (places[place].contender, operation, measured)));
            }
        }
        rounds.push(figures);
        pings.extend(places.first().map(|place| pings_per_second(&place.server, settings)));
    }
    Speed { sessions, costs: costs(&places, &rounds), pings: median(pings).unwrap_or_default() }
}

fn pings_per_second(server: &Server, settings: &Settings) -> f64 {
    let ping = |con: &mut Connection, (): &()| redis::cmd("PING").exec(con).expect("a PONG");
    drive(server, settings.connections, PATIENCE, &vec![(); settings.operations], ping).0.per_second
}

fn costs(places: &[Place], rounds: &[Vec<(Contender, Operation, Figures)>]) -> Vec<Cost> {
    let find = |figures: &[(Contender, Operation, Figures)], contender, operation| {
        figures.iter().find(|one| one.0 == contender && one.1 == operation).map(|one| one.2)
    };
    let mut costs = Vec::new();
    for contender in places.iter().map(|place| place.contender) {
        for operation in Operation::ALL {
            let of = |figure: fn(&Figures) -> f64| {
                median(
                    rounds
                        .iter()
                        .filter_map(|round| find(round, contender, operation))
                        .map(|one| figure(&one))
                        .collect(),
                )
            };
            let ratio = |round: &Vec<_>| {
                let module = find(round, contender.compared_with(), operation)?;
                Some(find(round, contender, operation)?.per_second / module.per_second)
            };
            let ratio = median(rounds.iter().filter_map(ratio).collect());
            if let (Some(per_second), Some(p50), Some(p99)) = (of(|f| f.per_second), of(|f| f.p50), of(|f| f.p99)) {
                costs.push(Cost { contender, operation, figures: Figures { per_second, p50, p99 }, ratio });
            }
        }
    }
    costs
}

impl Place {
    /// `None` if there is no server for it.
    fn populated(contender: Contender, settings: &Settings, sessions: usize) -> Option<Self> {
        let server = contender.server(settings.redis_8.as_deref(), PER_USER)?;
        let mut layout = contender.layout();
        let mut con = server.connection();
        if !layout.prepare(&mut con) {
            return None;
        }
        eprintln!("  {sessions} sessions for {}", contender.name());
        let sparse = (sessions / CHECKED).max(1);
        let checked = populate(layout.as_ref(), &mut con, |user| user.to_string(), sessions, PER_USER, sparse);
        Some(Self { contender, layout, server: Rc::new(server), checked: Rc::new(checked), fresh: Vec::new() })
    }

    /// `None` where a variant does nothing else than what it is a variant of.
    fn run(&mut self, operation: Operation, settings: &Settings, sessions: usize, round: usize) -> Option<Figures> {
        use Operation::{Check, CheckAlone, List, Login, Logout, LogoutAll};
        let walks = self.layout.walks() && matches!(operation, List | LogoutAll);
        match self.contender {
            Contender::JwtOneByOne if operation != LogoutAll => return None,
            Contender::JwtPipelined if !matches!(operation, Check | CheckAlone) => return None,
            // The first round says enough of what takes seconds.
            _ if walks && round > 0 => return None,
            _ => {}
        }
        let users = (sessions / PER_USER).max(1);
        let mut random = Random(round as u64);
        let alone = walks || operation == CheckAlone;
        let connections = if alone { 1 } else { settings.connections };
        let count = match operation {
            _ if walks => 3,
            CheckAlone => (settings.operations / 2).max(1),
            Check | List => settings.operations,
            // No more than one for each user, who then has five.
            Login | Logout => settings.operations.min(users),
            LogoutAll => (settings.operations / 2).clamp(1, users),
        };
        let (layout, server) = (self.layout.as_ref(), self.server.as_ref());
        let figures = match operation {
            Check | CheckAlone => {
                let picks: Vec<_> = (0..count).map(|_| &self.checked[random.below(self.checked.len())]).collect();
                let (figures, alive) = drive(server, connections, PATIENCE, &picks, |con, one| layout.check(con, one));
                assert!(alive.iter().all(|alive| *alive), "{}: a live session was refused", self.contender.name());
                figures
            }
            List => {
                let picks: Vec<_> = (0..count).map(|_| random.below(users).to_string()).collect();
                let (figures, lengths) =
                    drive(server, connections, PATIENCE, &picks, |con, user| layout.list(con, user).len());
                assert!(lengths.iter().all(|length| *length > 0), "{}: no sessions", self.contender.name());
                figures
            }
            Login => {
                // Neighbours in the list are far apart in memory.
                let first = random.below(users);
                let logins: Vec<[layouts::Login; 1]> =
                    (0..count).map(|number| [login(((first + number * 7919) % users).to_string(), number)]).collect();
                let (figures, fresh) =
                    drive(server, connections, Duration::MAX, &logins, |con, one| layout.login(con, one));
                self.fresh = fresh.into_iter().flatten().collect();
                figures
            }
            Logout => {
                let fresh = std::mem::take(&mut self.fresh);
                drive(server, connections, Duration::MAX, &fresh, |con, one| layout.logout(con, one)).0
            }
            LogoutAll => {
                // Users of their own, so that all others still have four sessions.
                let name = |user: usize| format!("away-{user}");
                populate(layout, &mut server.connection(), name, count * PER_USER, PER_USER, usize::MAX);
                let names: Vec<_> = (0..count).map(name).collect();
                drive(server, connections, Duration::MAX, &names, |con, user| layout.logout_all(con, user)).0
            }
        };
        Some(figures)
    }
}
