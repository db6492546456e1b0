//! Logins, and visitors: the origin of a request.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use redis_session::{CreateOptions, RefreshOptions, ValidateOptions};
use serde::Serialize;

use crate::data;
use crate::error::{DataError, StoreError};
use crate::id;
use crate::policy::Policy;

/// How strong and how recent a sign-in a store demands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Demand {
    pub(crate) level: Option<u8>,
    pub(crate) max_age: Option<Duration>,
}

/// The origin of a request: address, user agent, device. Give as much of it as you know.
///
/// ```
/// use redis_session_store::Visitor;
///
/// let visitor = Visitor::new().ip([203, 0, 113, 7]).agent("Firefox on Linux\r\n");
/// assert_eq!(visitor.known_agent(), Some("Firefox on Linux"));
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Visitor {
    ip: Option<IpAddr>,
    agent: Option<String>,
    device: Option<Vec<u8>>,
}

/// Leaves the fingerprint out.
impl fmt::Debug for Visitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Visitor").field("ip", &self.ip).field("agent", &self.agent).finish_non_exhaustive()
    }
}

impl Visitor {
    /// A visitor of whom nothing is known.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The address. The session keeps it. A check from another address succeeds, and reports the change.
    #[must_use]
    pub fn ip(mut self, ip: impl Into<IpAddr>) -> Self {
        self.ip = Some(ip.into());
        self
    }

    /// The user agent, to show to the user. Control characters are removed, and a text is cut after 512 bytes.
    #[must_use]
    pub fn agent(mut self, agent: impl AsRef<str>) -> Self {
        let clean: String = agent.as_ref().chars().filter(|c| !c.is_control()).collect();
        let start = (0..=clean.len().min(512)).rev().find_map(|end| clean.get(..end));
        self.agent = start.filter(|agent| !agent.is_empty()).map(str::to_owned);
        self
    }

    /// The bytes by which the application recognizes the device. A session that began on a device is bound to it:
    /// checks and refreshes from another device are refused. A visitor without a device is not compared.
    #[must_use]
    pub fn device(mut self, fingerprint: impl Into<Vec<u8>>) -> Self {
        self.device = Some(fingerprint.into());
        self
    }

    /// The address, if it is known.
    #[must_use]
    pub fn known_ip(&self) -> Option<IpAddr> {
        self.ip
    }

    /// The user agent, if it is known, without control characters.
    #[must_use]
    pub fn known_agent(&self) -> Option<&str> {
        self.agent.as_deref()
    }

    #[cfg(feature = "near-cache")]
    pub(crate) fn known_device(&self) -> Option<&[u8]> {
        self.device.as_deref()
    }

    pub(crate) fn check(&self, details: bool, demand: Demand) -> ValidateOptions {
        let mut options = ValidateOptions::new();
        if let Some(level) = demand.level {
            options = options.level(level);
        }
        if let Some(age) = demand.max_age {
            options = options.max_age(age);
        }
        if let Some(ip) = self.ip {
            options = options.ip(ip);
        }
        if let Some(device) = &self.device {
            options = options.device(device.as_slice());
        }
        if details { options.full() } else { options.with_id() }
    }

    pub(crate) fn refresh(&self) -> RefreshOptions {
        let mut options = RefreshOptions::new();
        if let Some(ip) = self.ip {
            options = options.ip(ip);
        }
        if let Some(agent) = &self.agent {
            options = options.agent(agent.as_str());
        }
        if let Some(device) = &self.device {
            options = options.device(device.as_slice());
        }
        options
    }
}

/// One login of a user who has proved their identity. Each value has a random id for its session. Make a new one for
/// each login, and use it a second time only to [try again](crate::SessionStore::login).
///
/// ```
/// use redis_session_store::{Login, StoreError, Visitor};
///
/// # fn example() -> Result<(), StoreError> {
/// let visitor = Visitor::new().ip([203, 0, 113, 7]).agent("Firefox on Linux");
/// let login = Login::new("42").visitor(&visitor).remember(true).claims(r#"{"role":"editor"}"#);
/// let login = login.data(&std::collections::HashMap::from([("theme", "dark")]))?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Login {
    pub(crate) user: String,
    /// `None` if the operating system gave no randomness.
    pub(crate) id: Option<String>,
    pub(crate) fields: data::Fields,
    visitor: Visitor,
    remember: bool,
    claims: Option<String>,
    level: Option<u8>,
}

/// Leaves the data out.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user, visitor, remember, .. } = self;
        f.debug_struct("Login")
            .field("user", user)
            .field("visitor", visitor)
            .field("remember", remember)
            .finish_non_exhaustive()
    }
}

impl Login {
    /// A login of this user.
    #[must_use]
    pub fn new(user: impl Into<String>) -> Self {
        let (user, id, visitor) = (user.into(), id::random().ok(), Visitor::default());
        Self { user, id, fields: Vec::new(), visitor, remember: false, claims: None, level: None }
    }

    /// A login of a guest: a visitor without an account, under a unique name. The data of the session moves along when
    /// the guest logs in: see [`SessionStore::promote`](crate::SessionStore::promote).
    ///
    /// # Errors
    /// [`StoreError::Data`] if the operating system gives no randomness for the name.
    pub fn guest() -> Result<Self, StoreError> {
        let name = id::random().map_err(|_| DataError::Randomness)?;
        Ok(Self::new(format!("guest-{name}")))
    }

    /// This login, with another id, and with these fields where it has none of that name.
    pub(crate) fn taking_over(&self, id: String, fields: data::Fields) -> Self {
        let own = |name: &String| self.fields.iter().any(|(known, _)| known == name);
        let taken = fields.into_iter().filter(|(name, _)| !own(name));
        let fields = taken.chain(self.fields.iter().cloned()).collect();
        Self { id: Some(id), fields, ..self.clone() }
    }

    /// The address, user agent and device that the user logs in from.
    #[must_use]
    pub fn visitor(mut self, visitor: &Visitor) -> Self {
        self.visitor = visitor.clone();
        self
    }

    /// Whether the user asked to be remembered: see [`Policy::remembered`].
    #[must_use]
    pub fn remember(mut self, remember: bool) -> Self {
        self.remember = remember;
        self
    }

    /// The strength of the sign-in, an Authenticator Assurance Level of NIST SP 800-63B: 1 for a password alone, 2 for
    /// a second factor as well, 3 for one in hardware that resists phishing. See
    /// [`SessionStore::require_level`](crate::SessionStore::require_level).
    #[must_use]
    pub fn level(mut self, level: u8) -> Self {
        self.level = Some(level);
        self
    }

    /// Claims about the user, such as roles: a JSON object. The session keeps it, and every JWT of the session carries
    /// its members.
    #[must_use]
    pub fn claims(mut self, json: impl fmt::Display) -> Self {
        self.claims = Some(json.to_string());
        self
    }

    /// The initial data of the session: see [`SessionStore::data`](crate::SessionStore::data).
    ///
    /// # Errors
    /// [`StoreError::Data`] if `data` has no named fields.
    pub fn data<T: Serialize + ?Sized>(mut self, data: &T) -> Result<Self, StoreError> {
        self.fields = data::write(data)?;
        Ok(self)
    }

    pub(crate) fn options(&self, policy: &Policy) -> CreateOptions {
        let mut options = if self.remember { policy.remembered.clone() } else { policy.ordinary.clone() };
        if let Some(ip) = self.visitor.ip {
            options = options.ip(ip);
        }
        if let Some(agent) = &self.visitor.agent {
            options = options.agent(agent.as_str());
        }
        if let Some(device) = &self.visitor.device {
            options = options.device(device.as_slice());
        }
        if let Some(level) = self.level {
            options = options.level(level);
        }
        match &self.claims {
            Some(claims) => options.claims(claims),
            None => options,
        }
    }
}
