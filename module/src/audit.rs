//! The audit stream: what happens to sessions, written where it lasts.

use redis_session_core::Reason;
use redis_session_core::sessions::{AgentPool, Cutoff, Event, EventKind};

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

/// The entries for `events`, if there is a stream. Call this before the effects are carried out: they take away the
/// user agents that the entries name.
pub(crate) fn entries(key: &[u8], events: &[Event<'_>], is_cluster: impl FnOnce() -> bool) -> Option<Entries> {
    let state = state::lock();
    let settings = &state.settings;
    if settings.audit_stream.is_empty() {
        return None;
    }
    let user = settings.user_of(key);
    let user = user.map_or_else(|_| String::from_utf8_lossy(key).into_owned(), |user| user.as_str().to_owned());
    let agents = state.agents_as_they_are();
    let entries: Vec<_> = events.iter().filter_map(|event| fields(&user, event, agents)).collect();
    if entries.is_empty() {
        return None;
    }
    // On a cluster in the slot of the user's key, so that one command can change both and both move together.
    let tag = is_cluster().then(|| slots::tag_beside(key));
    let stream = stream(&settings.audit_stream, tag);
    let maxlen = u64::try_from(settings.audit_maxlen).ok().filter(|maxlen| *maxlen > 0);
    Some(Entries { stream, maxlen, entries })
}

/// The key of the stream, of the slot with this tag.
fn stream(name: &str, tag: Option<u32>) -> Vec<u8> {
    tag.map_or_else(|| name.to_owned(), |tag| format!("{name}:{{{tag}}}")).into_bytes()
}

/// The key of each stream that may be on a server: one, or one for each slot of a cluster. None once there are no more.
pub(crate) fn stream_at(name: &str, is_cluster: bool, place: usize) -> Option<Vec<u8>> {
    match (is_cluster, place) {
        (true, slot) => slots::tag_of(slot).map(|tag| stream(name, Some(tag))),
        (false, 0) => Some(stream(name, None)),
        (false, _) => None,
    }
}

/// The entry of SESSION.REVOKEALL. On a cluster there is none: no slot is that of all users.
pub(crate) fn everyone(cutoff: Cutoff, is_cluster: impl FnOnce() -> bool) -> Option<Entries> {
    let state = state::lock();
    let settings = &state.settings;
    if settings.audit_stream.is_empty() || is_cluster() {
        return None;
    }
    let maxlen = u64::try_from(settings.audit_maxlen).ok().filter(|maxlen| *maxlen > 0);
    let entry = vec![("event", "revokeall".to_owned()), ("before", cutoff.began.saturating_add(1).get().to_string())];
    Some(Entries { stream: settings.audit_stream.clone().into_bytes(), maxlen, entries: vec![entry] })
}

/// The entry of an event, if it is one to be audited.
fn fields(user: &str, event: &Event<'_>, agents: &AgentPool) -> Option<Fields> {
    let (name, reason) = match event.kind {
        EventKind::Touched | EventKind::Set | EventKind::Unset => return None,
        EventKind::Created => ("create", None),
        EventKind::Refreshed => ("refresh", None),
        EventKind::Regenerated => ("regenerate", None),
        EventKind::AllEnded(_) => ("revokeuser", Some(Reason::UserRevoked)),
        EventKind::Ended(reason) => match reason {
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
    if let EventKind::AllEnded(sessions) = event.kind {
        add("sessions", Some(sessions.to_string()));
    }
    add("except", event.except.as_ref().map(ToString::to_string));
    add("reason", reason.map(|reason| reason.to_string()));
    add("ip", event.ip.map(|ip| ip.to_string()));
    add("agent", event.agent.as_ref().and_then(|agent| agent.text(agents)).map(str::to_owned));
    Some(fields)
}
