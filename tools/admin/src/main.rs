//! Looks after the servers of one deployment, which it finds by one address.
//!
//! ```text
//! args.rs          what it is asked for
//! connect.rs       the way to a server, with a password and TLS
//! deployment.rs    which servers belong together: alone, under Sentinel, a cluster
//! info.rs          INFO and CONFIG GET as maps
//! facts.rs         what verify knows of a server
//! verify.rs        verify        checks/   each of its checks
//! keys.rs          keys, keys reload, keys revoke
//! everyone_out.rs  everyone-out
//! switchover.rs    switchover
//! user.rs          user show, user end
//! watch.rs         watch
//! plan.rs          plan
//! ```

mod args;
mod checks;
mod connect;
mod deployment;
mod everyone_out;
mod facts;
mod info;
mod keys;
mod plan;
mod switchover;
mod user;
mod verify;
mod watch;

use std::error::Error;
use std::io::{self, Write as _};
use std::process::ExitCode;

use args::{Asked, Verb};
use deployment::Deployment;

/// Why it was not done.
type Failure = Box<dyn Error>;

/// What was done, for standard output, and whether all is well.
struct Outcome {
    text: String,
    is_well: bool,
}

impl Outcome {
    fn well(text: String) -> Self {
        Self { text, is_well: true }
    }
}

fn main() -> ExitCode {
    let asked = match args::read(std::env::args_os().skip(1)) {
        Ok(Some(asked)) => asked,
        Ok(None) => {
            print!("{}", args::HELP);
            return ExitCode::SUCCESS;
        }
        Err(why) => {
            eprintln!("redis-session-admin: {why}; --help says how it is used");
            return ExitCode::from(2);
        }
    };
    let outcome = run(&asked).and_then(|outcome| {
        io::stdout().write_all(outcome.text.as_bytes())?;
        Ok(outcome.is_well)
    });
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("redis-session-admin: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(asked: &Asked) -> Result<Outcome, Failure> {
    let found = || Deployment::find(&asked.place);
    match &asked.verb {
        Verb::Verify => Ok(verify::run(&mut found()?)),
        Verb::Keys => Ok(keys::show(&mut found()?)),
        Verb::KeysReload => Ok(keys::reload(&mut found()?)),
        Verb::KeysRevoke { kid } => Ok(keys::revoke(&mut found()?, kid)),
        Verb::EveryoneOut { before, confirmed } => everyone_out::run(&mut found()?, *before, *confirmed),
        Verb::Switchover { to } => switchover::run(&asked.place, found()?, to.as_deref()),
        Verb::UserShow { key } => user::show(&mut found()?, key),
        Verb::UserEnd { key } => user::end(&mut found()?, key),
        Verb::Watch { every, rounds } => watch::run(&asked.place, *every, *rounds),
        Verb::Plan(load) => Ok(Outcome::well(plan::text(load))),
    }
}
