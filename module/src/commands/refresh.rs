//! SESSION.REFRESH

use redis_session_core::Reason;
use redis_session_core::sessions::{Device, MAX_AGENT_BYTES, Origin, Refreshed};

use super::parser::{Parser, once};
use super::tokens::{News, Tokens, inactive};
use super::{Command, Grammar, KeyUse, Kind, Spec};
use crate::api::Call;
use crate::error::Failure;
use crate::state;
use crate::stats;

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
        let mut key_sessions = call.open_for_writing(key)?;
        let now = call.now();

        let mut state = state::lock();
        let subject = state.settings.subject_of(key.bytes())?;
        let (clock, limit, rules) = (state.settings.clock(now), state.settings.limit(), state.settings.token_rules());
        let token = match state.verify_refresh(subject, token) {
            Ok(token) => token,
            Err(reason) => return inactive(call.reply(), reason),
        };
        let device = device.map(|fingerprint| Device::of(subject, fingerprint));
        let origin = Origin { ip, agent: agent.filter(|agent| !agent.is_empty()), device };
        let none = Default::default();
        let sessions = key_sessions.sessions().unwrap_or(&none);
        let agents = state.agents_as_they_are();
        let refreshed = sessions.refresh(&token, origin, rules, agents, limit, clock);
        let grant = match refreshed {
            Refreshed::Granted(grant) => grant,
            Refreshed::Refused(reason) => return inactive(call.reply(), reason),
            Refreshed::Reused { effects } => {
                drop(state);
                key_sessions.commit(&effects, Some(c"session.reuse"), clock);
                stats::REUSED.add(1);
                return inactive(call.reply(), Reason::Reused);
            }
        };
        let tokens = Tokens::mint(&state, subject, &grant.session, grant.issued_at)?;
        drop(state);

        key_sessions.commit(&grant.effects, Some(c"session.refresh"), clock);
        stats::REFRESHED.add(1);
        let news = News { new_ip: grant.new_ip, ..News::default() };
        tokens.reply(call.reply(), &grant.session, &news);
        Ok(())
    }
}
