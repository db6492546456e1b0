//! How long sessions last, and how many a user may have.

use std::time::Duration;

use redis_session::{CreateOptions, TokenFormat};

/// The settings that all logins of an application share.
///
/// ```
/// use std::time::Duration;
/// use redis_session::{CreateOptions, LimitPolicy};
/// use redis_session_store::Policy;
///
/// let day = Duration::from_secs(86_400);
/// // Signed in for a day, or until half an hour without a request; on five devices.
/// let ordinary = CreateOptions::new().ttl(day).idle(Duration::from_secs(1800)).max_sessions(5);
/// // "Remember me": for 60 days as long as the application is used weekly.
/// let remembered = ordinary.clone().ttl(60 * day).idle(7 * day).refresh(7 * day);
/// let policy = Policy::new(ordinary).remembered(remembered);
/// ```
///
/// The token is opaque unless the options choose another kind: it is short enough for a cookie and lasts as long as its
/// session. Other services can read and check a [JWT](redis_session::TokenFormat::Jwt). It lasts for the server's
/// `session.token-ttl`, an hour by default, unless the options have a [`token_ttl`](CreateOptions::token_ttl). So
/// combine it with a [`refresh`](CreateOptions::refresh) token.
#[derive(Clone, Debug)]
pub struct Policy {
    pub(crate) ordinary: CreateOptions,
    pub(crate) remembered: CreateOptions,
    pub(crate) details: bool,
}

impl Default for Policy {
    /// Opaque tokens, the server's settings, and 30 days for users who ask to be remembered.
    fn default() -> Self {
        Self::new(CreateOptions::new())
    }
}

impl Policy {
    /// Logins with these options. A user who asks to be remembered gets the same options, with a lifetime of 30 days.
    #[must_use]
    pub fn new(ordinary: CreateOptions) -> Self {
        let ordinary = ordinary.or_token(TokenFormat::Opaque);
        let remembered = ordinary.clone().ttl(Duration::from_secs(30 * 86_400));
        Self { ordinary, remembered, details: false }
    }

    /// The options of logins with [`Login::remember`](crate::Login::remember).
    #[must_use]
    pub fn remembered(mut self, options: CreateOptions) -> Self {
        self.remembered = options.or_token(TokenFormat::Opaque);
        self
    }

    /// Makes each check return [all details](crate::Authenticated::details) of the session, at some cost.
    #[must_use]
    pub fn details(mut self) -> Self {
        self.details = true;
        self
    }
}
