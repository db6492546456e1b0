//! What a check takes while the server does something else as well: it saves, rewrites its log, sweeps, answers the
//! longest list.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use redis::{Connection, cmd};
use redis_session_tests::Server;

use crate::Settings;
use crate::contenders::Contender;
use crate::layouts::{Credential, Layout};
use crate::load::{Figures, drive};
use crate::population::{Random, populate};

/// How long each is measured.
const PATIENCE: Duration = Duration::from_secs(5);
/// More checks than fit into that time.
const CHECKS: usize = 1_000_000;
/// The most that SESSION.LIST replies.
const LONGEST_LIST: usize = 1000;
/// They die together, and are swept while checks are measured.
const DYING: usize = 200_000;
const DYING_SECS: u64 = 15;

pub(crate) struct Meanwhile {
    pub(crate) what: &'static str,
    pub(crate) figures: Figures,
}

pub(crate) fn measure(settings: &Settings) -> Vec<Meanwhile> {
    let sessions = settings.sessions.last().copied().unwrap_or_default();
    eprintln!("  {sessions} sessions, checked while the server does something else");
    let server = Contender::Module.server(None, LONGEST_LIST).expect("the usual server");
    let layout = Contender::Module.layout();
    let con = &mut server.connection();
    let checked = populate(layout.as_ref(), con, |user| user.to_string(), sessions, 4, (sessions / 20_000).max(1));
    populate(layout.as_ref(), con, |_| "longest".to_owned(), LONGEST_LIST, LONGEST_LIST, usize::MAX);
    let during = |what, disturb: &(dyn Fn(&mut Connection) + Sync)| {
        let figures = checks(&server, settings.connections, layout.as_ref(), &checked, disturb);
        Meanwhile { what, figures }
    };
    let pause = |_: &mut Connection| thread::sleep(Duration::from_millis(20));
    let mut all = vec![
        during("nothing else", &pause),
        during("BGSAVE, one after the other", &|con| in_background(con, "BGSAVE", "rdb_bgsave_in_progress")),
        during("BGREWRITEAOF, one after the other", &|con| {
            in_background(con, "BGREWRITEAOF", "aof_rewrite_in_progress");
        }),
        during("SESSION.LIST of 1,000, one after the other", &|con| {
            cmd("SESSION.LIST").arg("sessions:longest").arg("JSON").exec(con).expect("a list");
        }),
    ];
    let mut dying = redis::pipe();
    for number in 0..DYING {
        dying.cmd("SESSION.CREATE").arg(format!("sessions:dying-{}", number / 4)).arg("TTL").arg(DYING_SECS).ignore();
    }
    dying.exec(con).expect("sessions that die soon");
    // Half of the measured time is before they die, and half is after.
    thread::sleep(Duration::from_secs(DYING_SECS).saturating_sub(PATIENCE / 2));
    all.push(during("the sweep of 200,000 dead sessions", &pause));
    all
}

fn checks(
    server: &Server,
    connections: usize,
    layout: &dyn Layout,
    checked: &[Credential],
    disturb: &(dyn Fn(&mut Connection) + Sync),
) -> Figures {
    let mut random = Random(7);
    let picks: Vec<_> = (0..CHECKS).map(|_| &checked[random.below(checked.len())]).collect();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut con = server.connection();
            while !is_over.load(Relaxed) {
                disturb(&mut con);
            }
        });
        let (figures, alive) = drive(server, connections, PATIENCE, &picks, |con, one| layout.check(con, one));
        is_over.store(true, Relaxed);
        assert!(alive.iter().all(|alive| *alive), "a live session was refused");
        figures
    })
}

/// Starts something that a child of the server does, and waits for its end.
fn in_background(con: &mut Connection, command: &str, in_progress: &str) {
    cmd(command).exec(con).expect("what a child can do");
    let is_over = format!("{in_progress}:0");
    loop {
        let info: String = cmd("INFO").arg("persistence").query(con).expect("INFO");
        if info.lines().any(|line| line.trim_end() == is_over) {
            return;
        }
        thread::sleep(Duration::from_millis(20));
    }
}
