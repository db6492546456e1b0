//! SESSION.REFRESH

use redis_session_core::Reason;
use redis_session_core::sessions::{Device, MAX_AGENT_BYTES, Origin, Refreshed};

use super::command::Command;
use super::parser::{Parser, once};
use super::tokens::{News, Tokens, inactive};
use super::user::{User, writing};
use crate::commit::commit;
use crate::ffi::{Call, Failure, Grammar, KeyUse, Kind, Spec};
use crate::stored::Sessions;

/// ```text
/// SESSION.REFRESH key refresh-token [IP ip] [AGENT text] [DEVICE fingerprint]
/// ```
pub(crate) struct Refresh;

impl Command for Refresh {
    const SPEC: Spec = Spec {
        name: "SESSION.REFRESH",
        summary: "Exchanges a refresh token for new tokens; one that was used before ends its session as stolen.",
        complexity: "O(N) where N is the number of the user's sessions",
        flags: "write deny-oom",
        arity: -3,
        key: KeyUse::Updates,
        grammar: &[
            Grammar::Key,
            Grammar::Value("refresh-token"),
            Grammar::Option("IP", "ip", Kind::Text),
            Grammar::Option("AGENT", "text", Kind::Text),
            Grammar::Option("DEVICE", "fingerprint", Kind::Text),
        ],
    };

    fn run(call: &Call<'_>) -> Result<(), Failure> {
        let mut parser = Parser::new(call);
        let (key, token) = (parser.key()?, parser.secret()?);
        let (mut ip, mut agent, mut device) = (None, None, None);
        while let Some(word) = parser.option() {
            if word.is("IP") {
                once(&mut ip, "IP", parser.ip_of("IP")?)?;
            } else if word.is("AGENT") {
                once(&mut agent, "AGENT", parser.text_of("AGENT", MAX_AGENT_BYTES)?)?;
            } else if word.is("DEVICE") {
                once(&mut device, "DEVICE", parser.fingerprint_of("DEVICE")?)?;
            } else {
                return Err(word.unknown());
            }
        }
        let User { subject, mut key, rules, mut state } = writing(call, key)?;
        let token = match state.verify_refresh(subject, token) {
            Ok(token) => token,
            Err(reason) => return inactive(call.reply(), reason),
        };
        let device = device.map(|fingerprint| Device::of(subject, fingerprint));
        let origin = Origin { ip, agent: agent.filter(|agent| !agent.is_empty()), device };
        let decision = match key.sessions_or_none().refresh(&token, origin, state.agents_as_they_are(), &rules) {
            Ok(decision) => decision,
            Err(reason) => return inactive(call.reply(), reason),
        };
        let tokens = match &decision.value {
            Refreshed::Granted(grant) => Some(Tokens::mint(&state, subject, &grant.session, grant.issued_at)?),
            Refreshed::Reused => None,
        };
        drop(state);
        let (Refreshed::Granted(grant), Some(tokens)) = (commit(&mut key, decision), tokens) else {
            return inactive(call.reply(), Reason::Reused);
        };
        let news = News { new_ip: grant.new_ip, ..News::default() };
        tokens.reply(call.reply(), &grant.session, &news);
        Ok(())
    }
}
