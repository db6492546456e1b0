//! SESSION.VALIDATE

use super::check::Request;
use super::command::Command;
use super::user::{User, reading};
use crate::ffi::{Call, Failure, KeyUse, Spec};
use crate::stats;
use crate::stored::Sessions;

pub(crate) struct Validate;

impl Command for Validate {
    const SPEC: Spec = Spec {
        name: "SESSION.VALIDATE",
        summary: "Checks a token, or an id, and whether its session is alive, and changes nothing.",
        complexity: "O(1) for the few sessions that users have; O(log(N)) where N is the number of the user's sessions",
        flags: "readonly fast",
        key: KeyUse::Reads,
    };

    type Arguments<'a> = Request<'a>;

    fn run<'a>(call: &Call<'a>, request: Request<'a>) -> Result<(), Failure> {
        request.agree()?;
        let User { subject, key, rules, mut state } = reading(call, request.key)?;
        let answer = request.verify(&mut state, subject, rules.now).and_then(|token| {
            let standing = key.sessions_or_none().check(&token, request.check(subject), &rules)?;
            Ok((token, standing))
        });
        let user = User { subject, key, rules, state };
        call.reply_as(request.is_json, |reply| request.reply(reply, &stats::VALIDATED, answer, &user))
    }
}
