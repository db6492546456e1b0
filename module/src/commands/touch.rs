//! SESSION.TOUCH

use super::check::Request;
use super::command::Command;
use super::user::{User, writing};
use crate::commit::announce;
use crate::ffi::{Call, Failure, KeyUse, Spec};
use crate::state;
use crate::stats;
use crate::stored::Sessions;

pub(crate) struct Touch;

impl Command for Touch {
    const SPEC: Spec = Spec {
        name: "SESSION.TOUCH",
        summary: "Checks a token, or an id, and whether its session is alive, and slides the session's idle timer.",
        complexity: "O(1) for the few sessions that users have; O(log(N)) where N is the number of the user's sessions",
        flags: "write fast",
        key: KeyUse::Updates,
    };

    type Arguments<'a> = Request<'a>;

    fn run<'a>(call: &Call<'a>, request: Request<'a>) -> Result<(), Failure> {
        request.agree()?;
        let User { subject, mut key, rules, mut state } = writing(call, request.key)?;
        let answer = request.verify(&mut state, subject, rules.now);
        drop(state);
        let answer = answer.and_then(|token| {
            let check = request.check(subject);
            let standing = match key.value_mut() {
                Some(sessions) => {
                    let decision = sessions.touch(&token, check, &rules)?;
                    announce(&key, decision)
                }
                None => key.sessions_or_none().check(&token, check, &rules)?,
            };
            Ok((token, standing))
        });
        let state = state::lock();
        let user = User { subject, key, rules, state };
        call.reply_as(request.is_json, |reply| request.reply(reply, &stats::TOUCHED, answer, &user))
    }
}
