//! The audit stream: what happens to sessions, written where it lasts.

use redis_session_core::sessions::{AuditEvent, Clock, Effect, Happening, UserSessions};
use redis_session_core::{Reason, Subject};

use crate::slots;
use crate::state;

/// What is to be added to a stream.
pub(crate) struct Entries {
    pub(crate) stream: Vec<u8>,
    /// About how many entries the stream keeps; none for all.
    pub(crate) maxlen: Option<u64>,
    pub(crate) entries: Vec<Fields>,
}

/// Names and values.
pub(crate) type Fields = Vec<(&'static str, String)>;

/// What `effects`, which are not carried out yet, are to do to the sessions at `key`, if that is to be audited.
pub(crate) fn entries(
    key: &[u8],
    sessions: Option<&UserSessions>,
    effects: &[Effect<'_>],
    clock: Clock,
    is_cluster: impl FnOnce() -> bool,
) -> Option<Entries> {
    let state = state::lock();
    let settings = &state.settings;
    if settings.audit_stream.is_empty() {
        return None;
    }
    let none = UserSessions::new();
    let events = sessions.unwrap_or(&none).audit(effects, state.agents_as_they_are(), clock);
    if events.is_empty() {
        return None;
    }
    let user = Subject::of_key(key, settings.key_prefix.as_bytes());
    let user = user.map_or_else(|_| String::from_utf8_lossy(key).into_owned(), |user| user.as_str().to_owned());
    let mut stream = settings.audit_stream.clone().into_bytes();
    if is_cluster() {
        // Where the user's key is, so that one command can change both, and they move together.
        stream.extend(format!(":{{{}}}", slots::tag_beside(key)).into_bytes());
    }
    let maxlen = u64::try_from(settings.audit_maxlen).ok().filter(|maxlen| *maxlen > 0);
    Some(Entries { stream, maxlen, entries: events.iter().map(|event| fields(&user, event)).collect() })
}

fn fields(user: &str, event: &AuditEvent<'_>) -> Fields {
    let (name, reason) = match event.happening {
        Happening::Created => ("create", None),
        Happening::Refreshed => ("refresh", None),
        Happening::Regenerated => ("regenerate", None),
        Happening::AllRevoked(_) => ("revokeuser", Some(Reason::UserRevoked)),
        Happening::Ended(reason) => match reason {
            Reason::Evicted => ("evict", Some(reason)),
            Reason::Reused => ("reuse", Some(reason)),
            Reason::Expired | Reason::Idle => ("expire", Some(reason)),
            _ => ("revoke", Some(reason)),
        },
    };
    let mut fields = vec![("event", name.to_owned()), ("user", user.to_owned())];
    let mut add = |name, value: Option<String>| fields.extend(value.map(|value| (name, value)));
    add("id", event.id.as_ref().map(ToString::to_string));
    add("old_id", event.old_id.as_ref().map(ToString::to_string));
    if let Happening::AllRevoked(sessions) = event.happening {
        add("sessions", Some(sessions.to_string()));
    }
    add("except", event.except.as_ref().map(ToString::to_string));
    add("reason", reason.map(|reason| reason.to_string()));
    add("ip", event.ip.map(|ip| ip.to_string()));
    add("agent", event.agent.as_deref().map(str::to_owned));
    fields
}
