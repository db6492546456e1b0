//! The Redis module: `SESSION.*` commands over a native type for one user's login sessions.
//!
//! ```text
//! lib.rs         wires all: loads the module, and works at every tick
//!   commands/    a file per command: its arguments; open, ask core, commit, reply
//!   sweep.rs     takes out what is dead
//!   readers.rs   looks at how far readers of the audit stream are
//!   commit.rs    carries out what core decides, replicates, audits and notifies
//!   stored.rs    one user's sessions as a value of the server's
//!   stats.rs     figures for INFO and SESSION.STATS
//!   refusals.rs  credentials that were refused, counted and logged
//!   audit.rs     entries of the audit stream
//!   state.rs     what the commands share: settings, key ring, user agents
//!   settings.rs  session.* settings
//!   slots.rs     the slots of a cluster, and keys beside a user's
//!   key_file.rs  reads the files with keys
//!   ffi/         the calls into the server; all `unsafe` code
//! ```
//!
//! Each uses only what stands below it. `ffi` uses none of them: they pass in types with its traits.

// The server's API is C: `unsafe` stays in `ffi`, where each use says why it is sound.
#![deny(unsafe_code)]

mod audit;
mod commands;
mod commit;
#[allow(unsafe_code)]
mod ffi;
mod key_file;
mod readers;
mod refusals;
mod settings;
mod slots;
mod state;
mod stats;
mod stored;
mod sweep;

use std::time::Duration;

use redis_module::{Context, RedisString, Status};
use redis_session_core::sessions::Everyone;

/// Loads the module: everything but the handshake, which the macro below does.
fn init(ctx: &Context, args: &[RedisString]) -> Status {
    let args: Vec<&[u8]> = args.iter().map(RedisString::as_slice).collect();
    match load(ctx, &args) {
        Ok(()) => Status::Ok,
        Err(why) => {
            ctx.log_warning(&format!("session: not loaded: {why}"));
            Status::Err
        }
    }
}

fn load(ctx: &Context, args: &[&[u8]]) -> Result<(), String> {
    ffi::require_api().map_err(|missing| format!("this server is too old, it lacks {missing}"))?;
    hide_panics();
    settings::check_arguments(args)?;
    stored::TYPE.create(ctx).then_some(()).ok_or("the server refused the data type sessions1")?;
    ffi::declare_options(ctx);
    let category = if ffi::add_category(ctx, c"session") { "session" } else { "" };
    commands::TABLE.iter().try_for_each(|entry| ffi::register(ctx, entry, category))?;
    ffi::register_settings(ctx, &settings::SETTINGS, args)?;
    ffi::register_info::<Session>(ctx).then_some(()).ok_or("the server refused the section of INFO")?;
    ffi::watch_forks(ctx).then_some(()).ok_or("the server does not tell of forks")?;
    ffi::watch_loading::<Session>(ctx).then_some(()).ok_or("the server does not tell when it loads data")?;
    let mut state = state::lock();
    state.load_keys(state::Load::New)?;
    if state.settings.keys_file.is_empty() {
        ctx.log_warning(
            "session.keys-file is not set: tokens are signed with a random key, and so will not survive a restart \
             nor be known to other servers",
        );
    }
    drop(state);
    // Last: a module that was not loaded must leave no timer.
    ffi::start_ticking::<Session>(ctx);
    state::loaded();
    Ok(())
}

/// How long at each tick the user agents of freed values may be released.
const RELEASING: Duration = Duration::from_micros(100);
/// When that goes on if there are more.
const RELEASING_PAUSE: Duration = Duration::from_millis(2);

/// The module, as the server knows it.
struct Session;

impl ffi::Module for Session {
    fn tick(tick: &ffi::Tick) -> Duration {
        // A child that rewrites the log writes it with the first key. There may be none.
        if tick.may_log() && ffi::take_fork() {
            let everyone = state::lock().everyone();
            if everyone != Everyone::default() {
                tick.log(&stored::as_command(everyone));
            }
        }
        // On replicas too: it changes no data.
        let more = state::release_more(RELEASING);
        let next = sweep::tick(tick).min(readers::tick(tick));
        if more { next.min(RELEASING_PAUSE) } else { next }
    }

    fn panicked() {
        stats::PANICS.add(1);
        ffi::log_warning("a bug: the timer panicked, and the sweep is off until the server is restarted");
    }

    fn figures() -> Vec<(String, u64)> {
        stats::figures()
    }
}

impl ffi::Loading for Session {
    fn begins() {
        state::lock().loading();
    }

    fn ended() {
        state::lock().loaded();
    }
}

/// Lets a panic say where it happened, but not what it was about, which may be what a client sent.
fn hide_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(|| "unknown place".to_owned(), ToString::to_string);
        ffi::log_warning(&format!("session: panic at {place}"));
    }));
}

#[allow(missing_docs)] // the macro's RedisModule_OnLoad and RedisModule_OnUnload
mod entry {
    use redis_module::redis_module;

    use super::init;

    /// The package's version as one number, as Redis's own modules have it: 1.2.3 is 10203.
    const VERSION: i32 = part(env!("CARGO_PKG_VERSION_MAJOR")) * 10_000
        + part(env!("CARGO_PKG_VERSION_MINOR")) * 100
        + part(env!("CARGO_PKG_VERSION_PATCH"));

    #[allow(clippy::panic)] // the compiler, which evaluates it
    const fn part(digits: &str) -> i32 {
        match i32::from_str_radix(digits, 10) {
            Ok(number) if number < 100 => number,
            _ => panic!("a part of the version has more than two digits"),
        }
    }

    redis_module! {
        name: "session",
        version: VERSION,
        allocator: (redis_module::alloc::RedisAlloc, redis_module::alloc::RedisAlloc),
        data_types: [],
        init: init,
    }
}
