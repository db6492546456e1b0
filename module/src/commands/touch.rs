//! SESSION.TOUCH

use super::check::{GRAMMAR, Request};
use super::{Command, KeyUse, Spec};
use crate::api::Call;
use crate::error::Failure;
use crate::state;
use crate::stats;

/// ```text
/// SESSION.TOUCH key token [IP ip] [DEVICE fingerprint] [AUD audience] [STATELESS] [FULL]
/// ```
pub(crate) struct Touch;

impl Command for Touch {
    const SPEC: Spec = Spec {
        name: "SESSION.TOUCH",
        summary: "Checks a token and whether its session is alive, and slides the session's idle timer.",
        complexity: "O(1) for the few sessions that users have; O(log(N)) where N is the number of the user's sessions",
        flags: "write fast",
        arity: -3,
        key: KeyUse::Updates,
        grammar: GRAMMAR,
    };

    fn run(call: &Call<'_>) -> Result<(), Failure> {
        let request = Request::parse(call)?;
        let mut key = call.open_for_writing(request.key)?;
        let (granularity, (subject, clock, verified)) = {
            let mut state = state::lock();
            let granularity = u64::try_from(state.settings.touch_granularity).unwrap_or(0).saturating_mul(1000);
            (granularity, request.verify(&mut state, call.now())?)
        };
        let mut answer = request.look_up(verified, subject, key.sessions(), clock);
        if let Ok(passed) = &answer {
            let id = passed.verified.id.clone();
            let effect = key.sessions_mut().and_then(|sessions| sessions.touch(&id, granularity, clock));
            if let Some(effect) = effect {
                key.announce(&[effect], c"session.touch");
            }
            // Again, for the deadline has moved.
            answer = answer.and_then(|passed| request.look_up(Ok(passed.verified), subject, key.sessions(), clock));
        }
        request.reply(call.reply(), &stats::TOUCHED, answer, subject, key.sessions(), clock)
    }
}
