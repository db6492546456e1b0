//! The result of a successful check.

use redis_session::{Details, Timestamp};

/// A token that a check has found good, and its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Assurance {
    /// Redis said that the session is alive.
    Session,
    /// Redis could not be asked. The token is genuine and has not expired. Unknown are a logout since it was issued,
    /// the idle timeout, the device, and everything else that only the session tells: the verifier's documentation
    /// lists all of it. So refuse requests that must not succeed for a thief.
    TokenOnly,
}

/// The session of a token that was found good.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Authenticated {
    /// The user, verified.
    pub user: String,
    /// The session's id.
    pub id: String,
    /// The earliest of the deadlines of the session and of the token.
    pub expires_at: Timestamp,
    /// How far this can be relied on.
    pub assurance: Assurance,
    /// The rest, if [`Policy::details`](crate::Policy::details) asks for it and Redis was asked.
    pub details: Option<Box<Details>>,
}

#[cfg(feature = "near-cache")]
impl Authenticated {
    /// The size of its texts, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let of_details = |details: &Details| {
            let texts = [&details.agent, &details.claims].map(|text| text.as_ref().map_or(0, String::len));
            let data = details.data.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
            size_of::<Details>() + details.user.len() + texts.iter().sum::<usize>() + data
        };
        self.user.len() + self.id.len() + self.details.as_deref().map_or(0, of_details)
    }
}
