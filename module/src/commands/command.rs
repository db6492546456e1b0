//! What a command is, and the way from the server to it.

use std::marker::PhantomData;

use redis_session_core::token::holds_token;

#[cfg(feature = "fault-injection")]
use crate::ffi::{Arg, fault};
use crate::ffi::{Call, Entry, Failure, Handler, Spec, guarded};
#[cfg(feature = "fault-injection")]
use crate::state;
use crate::stats;

/// A command: what it is called and takes, and what it does.
pub(crate) trait Command {
    const SPEC: Spec;

    /// Parses, opens, asks core, replicates and notifies, replies.
    fn run(call: &Call<'_>) -> Result<(), Failure>;
}

/// A row of the table of commands.
pub(super) const fn entry<C: Command>() -> Entry {
    Entry { spec: &C::SPEC, callback: guarded::<Guarded<C>> }
}

/// A command as the server's calls reach it.
struct Guarded<C>(PhantomData<C>);

impl<C: Command> Handler for Guarded<C> {
    const NAME: &'static str = C::SPEC.name;

    fn run(call: &Call<'_>) -> Result<(), Failure> {
        #[cfg(feature = "fault-injection")]
        fault::inject((0..).map_while(|index| call.arg(index)).last().map(Arg::bytes), state::lock);
        C::run(call)
    }

    fn is_secret(argument: &[u8]) -> bool {
        holds_token(argument)
    }

    fn panicked() {
        stats::PANICS.add(1);
    }
}

/// The error where the operating system gives no random bytes.
pub(super) fn no_randomness(error: impl std::fmt::Display) -> Failure {
    Failure::invalid(format!("the operating system has no randomness to give: {error}"))
}
