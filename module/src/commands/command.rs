//! What a command is, and the way from the server to it.

use std::marker::PhantomData;

use redis_session_core::token::holds_token;

use super::grammar::Arguments;
use super::parser::Parser;
#[cfg(feature = "fault-injection")]
use crate::ffi::{Arg, fault};
use crate::ffi::{Args, Call, Entry, Failure, Handler, Spec, guarded};
#[cfg(feature = "fault-injection")]
use crate::state;
use crate::stats;

/// A command: what it is called, what it takes and what it does.
pub(super) trait Command {
    const SPEC: Spec;

    type Arguments<'a>: Arguments<'a>;

    /// Opens the key, asks core, replicates and notifies, replies.
    fn run<'a>(call: &Call<'a>, arguments: Self::Arguments<'a>) -> Result<(), Failure>;
}

/// A row of the table of commands.
pub(super) const fn entry<C: Command>() -> Entry {
    Entry { spec: &C::SPEC, arguments: <C::Arguments<'static>>::describe, callback: guarded::<Guarded<C>> }
}

/// A command as the server's calls reach it.
struct Guarded<C>(PhantomData<C>);

impl<C: Command> Handler for Guarded<C> {
    const NAME: &'static str = C::SPEC.name;

    fn run<'a>(call: &Call<'a>, args: &Args<'a>) -> Result<(), Failure> {
        #[cfg(feature = "fault-injection")]
        fault::inject(args.last().map(Arg::bytes), state::lock);
        C::run(call, C::Arguments::parse(Parser::new(call, args))?)
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
