//! The result of a successful check.

use redis_session::{Details, Timestamp};

/// A token that a check has found good, and its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Assurance {
    /// Redis said that the session is alive.
    Session,
    /// Redis could not be asked: the token is genuine and has not expired, but whether the user has logged out since
    /// it was issued is not known, nor anything else that only the session tells: its idle timeout, its device. (The
    /// verifier's documentation has all of it.) Let nobody do anything now that a thief must not do.
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
    /// When the first of its deadlines is, those of the session and that of the token.
    pub expires_at: Timestamp,
    /// How far this can be relied on.
    pub assurance: Assurance,
    /// The rest, if [`Policy::details`](crate::Policy::details) asks for it and Redis was asked.
    pub details: Option<Box<Details>>,
}

#[cfg(feature = "near-cache")]
impl Authenticated {
    /// What its texts take, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let of_details = |details: &Details| {
            let texts = [&details.agent, &details.claims].map(|text| text.as_ref().map_or(0, String::len));
            let data = details.data.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
            size_of::<Details>() + details.user.len() + texts.iter().sum::<usize>() + data
        };
        self.user.len() + self.id.len() + self.details.as_deref().map_or(0, of_details)
    }
}
