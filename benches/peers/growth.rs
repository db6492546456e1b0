//! How the module's operations grow with the sessions of one user.

use redis_session_tests::Server;

use crate::Settings;
use crate::contenders::Contender;
use crate::layouts::Login;
use crate::load::{drive, median};
use crate::memory::MOST_ON_ONE;
use crate::population::{Random, login, populate};
use crate::speed::{Operation, PATIENCE};

const PER_USER: [usize; 4] = [1, 10, 1000, MOST_ON_ONE];
/// Of each round. A user has hardly more sessions after them.
const LOGINS: usize = 200;

/// What the operations take with so many sessions per user.
pub(crate) struct Growth {
    pub(crate) per_user: usize,
    /// The median time of each, in microseconds.
    pub(crate) times: Vec<(Operation, f64)>,
}

/// All with as many sessions on the server, on one connection.
pub(crate) fn measure(settings: &Settings) -> Vec<Growth> {
    PER_USER.into_iter().map(|per_user| grown(settings, per_user)).collect()
}

fn grown(settings: &Settings, per_user: usize) -> Growth {
    eprintln!("  {MOST_ON_ONE} sessions, {per_user} per user");
    let server: Server = Contender::Module.server(None, per_user + LOGINS).expect("the usual server");
    let layout = Contender::Module.layout();
    let (con, sparse) = (&mut server.connection(), MOST_ON_ONE / 10_000);
    let checked = populate(layout.as_ref(), con, |user| user.to_string(), MOST_ON_ONE, per_user, sparse);
    let users = MOST_ON_ONE / per_user;
    let (mut checks, mut logins, mut logouts) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..settings.rounds {
        let mut random = Random(round as u64);
        let picks: Vec<_> = (0..settings.operations).map(|_| &checked[random.below(checked.len())]).collect();
        checks.push(drive(&server, 1, PATIENCE, &picks, |con, one| layout.check(con, one)).0.p50);
        let picks: Vec<[Login; 1]> =
            (0..LOGINS).map(|number| [login(random.below(users).to_string(), number)]).collect();
        let (figures, fresh) = drive(&server, 1, PATIENCE, &picks, |con, one| layout.login(con, one));
        logins.push(figures.p50);
        let fresh: Vec<_> = fresh.into_iter().flatten().collect();
        logouts.push(drive(&server, 1, PATIENCE, &fresh, |con, one| layout.logout(con, one)).0.p50);
    }
    let times = [(Operation::Check, checks), (Operation::Login, logins), (Operation::Logout, logouts)];
    let times = times.into_iter().filter_map(|(operation, rounds)| Some((operation, median(rounds)?))).collect();
    Growth { per_user, times }
}
