//! Moves live sessions from plain Redis keys to the module, while applications go on.
//!
//! ```text
//! options.rs      what it is asked for
//! pass.rs         one pass over the old keys
//!   sets.rs         whose a token is, where sets say so
//!   blacklists.rs   what is on the blacklists when it begins
//!   check.rs        which JWTs would not be taken, before anything is moved
//!   sessions.rs     sessions
//!   revocations.rs  revoked tokens and users
//! layout.rs       an old session's JSON         old_key.rs   an old key's token
//! dates.rs        the dates in them             jwt.rs       what a JWT says of itself
//! issuers.rs      the entries that JWTs need    progress.rs  how far it is
//! servers.rs      servers and clusters          tls.rs       the way to them
//! record.rs       what is kept on the disk      report.rs    what became of all
//! ```

mod blacklists;
mod check;
mod dates;
mod error;
mod issuers;
mod jwt;
mod layout;
mod old_key;
mod options;
mod pass;
mod progress;
mod record;
mod report;
mod revocations;
mod servers;
mod sessions;
mod sets;
mod tls;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::error::Failure;
use crate::options::{HELP, Options};
use crate::pass::Pass;

/// Done, but not all could be moved.
const INCOMPLETE: u8 = 3;

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args_os().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(failure) => return failed(&failure),
    };
    match run(options) {
        Ok(code) => code,
        Err(failure) => failed(&failure),
    }
}

fn run(options: Options) -> Result<ExitCode, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // The second time it ends at once, which loses nothing either.
        flag::register_conditional_shutdown(signal, 130, Arc::clone(&stop))
            .and_then(|_| flag::register(signal, Arc::clone(&stop)))
            .map_err(|error| Failure::Usage(format!("cannot wait for signals: {error}")))?;
    }
    // Signals come to the first thread. A read with a timeout would not go on after one (signal(7)), and so the batch
    // would be cut in two.
    let stopped = Arc::clone(&stop);
    let run = thread::spawn(move || {
        let mut pass = Pass::new(options, stopped)?;
        let tally = pass.run()?.clone();
        print!("{}", tally.summary(&pass.options));
        println!("What is not moved, line by line: {}", pass.record.report_path().display());
        Ok(if tally.has_problems() { ExitCode::from(INCOMPLETE) } else { ExitCode::SUCCESS })
    });
    match run.join() {
        Ok(Err(Failure::Server { .. })) if stop.load(Ordering::Relaxed) => Err(Failure::Stopped),
        Ok(result) => result,
        // It has said why.
        Err(_) => Ok(ExitCode::FAILURE),
    }
}

fn failed(failure: &Failure) -> ExitCode {
    eprintln!("redis-session-migrate: {failure}");
    if matches!(failure, Failure::Usage(_)) {
        eprintln!("--help lists the options");
    }
    ExitCode::from(failure.code())
}
