//! SESSION.VALIDATE

use super::check::{GRAMMAR, Request};
use super::{Command, KeyUse, Spec};
use crate::api::Call;
use crate::error::Failure;
use crate::state;
use crate::stats;

/// ```text
/// SESSION.VALIDATE key token [IP ip] [DEVICE fingerprint] [AUD audience] [STATELESS] [FULL]
/// ```
pub(crate) struct Validate;

impl Command for Validate {
    const SPEC: Spec = Spec {
        name: "SESSION.VALIDATE",
        summary: "Checks a token and whether its session is alive, and changes nothing.",
        complexity: "O(1) for the few sessions that users have; O(log(N)) where N is the number of the user's sessions",
        flags: "readonly fast",
        arity: -3,
        key: KeyUse::Reads,
        grammar: GRAMMAR,
    };

    fn run(call: &Call<'_>) -> Result<(), Failure> {
        let request = Request::parse(call)?;
        let key = call.open_for_reading(request.key)?;
        let (subject, clock, verified) = request.verify(&mut state::lock(), call.now())?;
        let answer = request.look_up(verified, subject, key.sessions(), clock);
        request.reply(call.reply(), &stats::VALIDATED, answer, subject, key.sessions(), clock)
    }
}
