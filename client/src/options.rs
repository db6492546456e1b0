//! The options of commands.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use redis::{RedisWrite, ToRedisArgs};

/// The options of `SESSION.CREATE`. Options that you do not set follow the server's `session.*` settings.
///
/// ```
/// use std::net::Ipv4Addr;
/// use std::time::Duration;
/// use redis_session::{CreateOptions, TokenFormat};
///
/// // "Remember me": 30 days, as long as it is used daily.
/// let remember_me = CreateOptions::new()
///     .ttl(Duration::from_secs(30 * 86_400))
///     .idle(Duration::from_secs(86_400))
///     .ip(Ipv4Addr::new(203, 0, 113, 7))
///     .agent("Firefox on Linux")
///     .data("cart", "17")
///     .claims(r#"{"role":"editor"}"#)
///     .token(TokenFormat::Jwt);
/// ```
///
/// Its `Debug` form leaves out the device and the data.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct CreateOptions {
    id: Option<String>,
    ttl: Option<Duration>,
    idle: Option<Duration>,
    max: Option<u32>,
    limit_policy: Option<LimitPolicy>,
    ip: Option<IpAddr>,
    agent: Option<Vec<u8>>,
    device: Option<Vec<u8>>,
    data: Vec<(Vec<u8>, Vec<u8>)>,
    claims: Option<String>,
    level: Option<u8>,
    token: Option<TokenFormat>,
    token_ttl: Option<Duration>,
    /// Zero means `session.refresh-ttl`.
    refresh: Option<Duration>,
}

impl CreateOptions {
    /// The server's settings for everything.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// `ID`: an id of the application's own, 1 to 128 bytes of text without control characters. It must be as hard to
    /// guess as 128 random bits. If a live session has it, the error is
    /// [`SessionExists`](crate::SessionErrorCode::SessionExists). Default: the server makes one.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// `TTL`: how long the session can last at most, however busy. Sent in whole seconds, rounded up. Default:
    /// `session.ttl`.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// `IDLE`: how long the session can go without
    /// [`session_touch`](crate::SessionCommands::session_touch) before it ends. Sent in whole seconds, rounded up;
    /// zero is no idle timeout. Default: `session.idle-timeout`.
    #[must_use]
    pub fn idle(mut self, idle: Duration) -> Self {
        self.idle = Some(idle);
        self
    }

    /// `MAX`: how many sessions of the user may be alive at once, this one included. Default:
    /// `session.max-per-user`.
    #[must_use]
    pub fn max_sessions(mut self, max: u32) -> Self {
        self.max = Some(max);
        self
    }

    /// `EVICT` or `REJECT`: what to do for a user at the limit. Default: `session.limit-policy`.
    #[must_use]
    pub fn limit_policy(mut self, policy: LimitPolicy) -> Self {
        self.limit_policy = Some(policy);
        self
    }

    /// `IP`: the address that the user logs in from.
    #[must_use]
    pub fn ip(mut self, ip: impl Into<IpAddr>) -> Self {
        self.ip = Some(ip.into());
        self
    }

    /// `AGENT`: a `User-Agent` header or a device's name, to show in a list of devices.
    #[must_use]
    pub fn agent(mut self, agent: impl Into<Vec<u8>>) -> Self {
        self.agent = Some(agent.into());
        self
    }

    /// `DEVICE`: the device to bind the session to, as 1 to 4096 bytes that identify only this device: a long-lived
    /// cookie of its own, the thumbprint of its key. The server keeps a digest of them. It then refuses checks and
    /// refreshes that name [another device](ValidateOptions::device), and not those that name none. Default: the
    /// session is not bound.
    #[must_use]
    pub fn device(mut self, fingerprint: impl Into<Vec<u8>>) -> Self {
        self.device = Some(fingerprint.into());
        self
    }

    /// `DATA`: a field and its value to keep with the session, both any bytes. Call it once for each field.
    #[must_use]
    pub fn data(mut self, field: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        self.data.push((field.into(), value.into()));
        self
    }

    /// `CLAIMS`: a JSON object with claims about the user, such as roles, for as long as the session lasts; as text or
    /// as a `serde_json::Value`. Each JWT of the session carries them, so anyone who holds the token can read them.
    /// [`Details::claims`](crate::Details::claims) has them for tokens of all kinds.
    #[must_use]
    pub fn claims(mut self, json: impl fmt::Display) -> Self {
        self.claims = Some(json.to_string());
        self
    }

    /// `LEVEL`: how strongly the user has signed in, an Authenticator Assurance Level of NIST SP 800-63B: 1 to 3. A
    /// check can [demand one](ValidateOptions::level). Default: unknown.
    #[must_use]
    pub fn level(mut self, level: u8) -> Self {
        self.level = Some(level);
        self
    }

    /// `TOKEN`: the kind of credential to make. Default: the server's.
    #[must_use]
    pub fn token(mut self, kind: TokenFormat) -> Self {
        self.token = Some(kind);
        self
    }

    /// `TOKEN`, unless [`CreateOptions::token`] was called.
    #[must_use]
    pub fn or_token(mut self, kind: TokenFormat) -> Self {
        self.token = self.token.or(Some(kind));
        self
    }

    /// `TOKENTTL`: how long the token can be used, at most as long as the session. Sent in whole seconds, rounded
    /// up. Default: `session.token-ttl`.
    #[must_use]
    pub fn token_ttl(mut self, ttl: Duration) -> Self {
        self.token_ttl = Some(ttl);
        self
    }

    /// `REFRESH`: also makes a refresh token for [`session_refresh`](crate::SessionCommands::session_refresh), and how
    /// long it lasts, at most as long as the session. Each refresh makes a new one with the same lifetime. Sent in
    /// whole seconds, rounded up, at least one. Default: no refresh token.
    ///
    /// ```
    /// use std::time::Duration;
    /// use redis_session::CreateOptions;
    ///
    /// // Access tokens of an hour; signed in for 30 days, as long as it is used daily.
    /// let day = Duration::from_secs(86_400);
    /// let options =
    ///     CreateOptions::new().ttl(30 * day).idle(day).token_ttl(Duration::from_secs(3600)).refresh(day);
    /// ```
    #[must_use]
    pub fn refresh(mut self, ttl: Duration) -> Self {
        self.refresh = Some(ttl.max(Duration::from_secs(1)));
        self
    }

    /// `REFRESH 0`: also makes a refresh token, with the lifetime of the server's `session.refresh-ttl`.
    #[must_use]
    pub fn refreshable(mut self) -> Self {
        self.refresh = Some(Duration::ZERO);
        self
    }
}

impl ToRedisArgs for CreateOptions {
    fn write_redis_args<W: ?Sized + RedisWrite>(&self, out: &mut W) {
        option(out, "ID", self.id.as_deref());
        option(out, "TTL", self.ttl.map(whole_seconds));
        option(out, "IDLE", self.idle.map(whole_seconds));
        option(out, "MAX", self.max);
        if let Some(policy) = self.limit_policy {
            out.write_arg(policy.as_str().as_bytes());
        }
        option(out, "IP", self.ip.map(|ip| ip.to_string()));
        option(out, "AGENT", self.agent.as_deref());
        option(out, "DEVICE", self.device.as_deref());
        if !self.data.is_empty() {
            option(out, "DATA", Some(self.data.len()));
            for (field, value) in &self.data {
                out.write_arg(field);
                out.write_arg(value);
            }
        }
        option(out, "CLAIMS", self.claims.as_deref());
        option(out, "LEVEL", self.level);
        option(out, "TOKEN", self.token.map(TokenFormat::as_str));
        option(out, "TOKENTTL", self.token_ttl.map(whole_seconds));
        option(out, "REFRESH", self.refresh.map(whole_seconds));
    }

    fn num_of_args(&self) -> usize {
        self.to_redis_args().len()
    }
}

/// What `SESSION.CREATE` does for a user at the limit of sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LimitPolicy {
    /// `EVICT`: the oldest sessions end, and [`Created::evicted`](crate::Created::evicted) names them.
    Evict,
    /// `REJECT`: nothing changes, and the reply is the error
    /// [`SessionLimit`](crate::SessionErrorCode::SessionLimit).
    Reject,
}

impl LimitPolicy {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Evict => "EVICT",
            Self::Reject => "REJECT",
        }
    }
}

/// The kind of credential that `SESSION.CREATE` makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TokenFormat {
    /// A signed JWT (RFC 7519), which other services can check and read.
    Jwt,
    /// A token that contains nothing but its user and session, for this server alone.
    Opaque,
    /// None: the application has a token of its own that names the session.
    None,
}

impl TokenFormat {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Jwt => "JWT",
            Self::Opaque => "OPAQUE",
            Self::None => "NONE",
        }
    }
}

/// The options of `SESSION.VALIDATE` and `SESSION.TOUCH`. Without options, the check is cheapest.
///
/// ```
/// use std::net::Ipv4Addr;
/// use redis_session::ValidateOptions;
///
/// let options = ValidateOptions::new().ip(Ipv4Addr::new(203, 0, 113, 7)).audience("api").full();
/// ```
///
/// Its `Debug` form leaves out the device.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ValidateOptions {
    ip: Option<IpAddr>,
    device: Option<Vec<u8>>,
    audience: Option<String>,
    level: Option<u8>,
    max_age: Option<Duration>,
    stateless: bool,
    extent: Extent,
}

/// How much the server returns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Extent {
    #[default]
    Brief,
    WithId,
    Full,
}

impl ValidateOptions {
    /// No further check, and the shortest reply: when the token ends, or why it is not good.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// `IP`: the address of the request.
    #[must_use]
    pub fn ip(mut self, ip: impl Into<IpAddr>) -> Self {
        self.ip = Some(ip.into());
        self
    }

    /// `DEVICE`: the device of the request, as the bytes that [`CreateOptions::device`] bound the session to. With
    /// other bytes the token is not active, for [`Reason::Device`](crate::Reason::Device). A session that is not bound
    /// accepts any device.
    #[must_use]
    pub fn device(mut self, fingerprint: impl Into<Vec<u8>>) -> Self {
        self.device = Some(fingerprint.into());
        self
    }

    /// `AUD`: the audience that the token must be for, its `aud` claim (RFC 7519 section 4.1.3).
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = Some(audience.into());
        self
    }

    /// `LEVEL`: how strongly the user must have signed in, 1 to 3. If the level is lower, or [`CreateOptions::level`]
    /// did not set one, the token is not active, for [`Reason::Level`](crate::Reason::Level). Let the user sign in with
    /// another factor, and call [`session_regenerate`](crate::SessionCommands::session_regenerate).
    #[must_use]
    pub fn level(mut self, level: u8) -> Self {
        self.level = Some(level);
        self
    }

    /// `MAXAGE`: the greatest age of the sign-in. If it is older, the token is not active, for
    /// [`Reason::Stale`](crate::Reason::Stale). Let the user sign in again, and call
    /// [`session_regenerate`](crate::SessionCommands::session_regenerate). Sent in whole seconds, rounded up.
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// `STATELESS`: accepts a JWT without a session here, such as one of another issuer, unless it has been revoked, or
    /// its user has since it was made. Its [`expires_at`](crate::ActiveSession::expires_at) is that of the token alone.
    /// To revoke such a JWT, pass the JWT itself to [`session_revoke`](crate::SessionCommands::session_revoke): its id
    /// is not enough.
    #[must_use]
    pub fn stateless(mut self) -> Self {
        self.stateless = true;
        self
    }

    /// Also returns the session's id, [`ActiveSession::id`](crate::ActiveSession::id). Without this or
    /// [`full`](Self::full) the command has `BRIEF`.
    #[must_use]
    pub fn with_id(mut self) -> Self {
        if self.extent == Extent::Brief {
            self.extent = Extent::WithId;
        }
        self
    }

    /// `FULL`: returns everything known of the session: its id and
    /// [`ActiveSession::details`](crate::ActiveSession::details).
    #[must_use]
    pub fn full(mut self) -> Self {
        self.extent = Extent::Full;
        self
    }
}

impl ToRedisArgs for ValidateOptions {
    fn write_redis_args<W: ?Sized + RedisWrite>(&self, out: &mut W) {
        option(out, "IP", self.ip.map(|ip| ip.to_string()));
        option(out, "DEVICE", self.device.as_deref());
        option(out, "AUD", self.audience.as_deref());
        option(out, "LEVEL", self.level);
        option(out, "MAXAGE", self.max_age.map(whole_seconds));
        if self.stateless {
            out.write_arg(b"STATELESS");
        }
        match self.extent {
            Extent::Brief => out.write_arg(b"BRIEF"),
            Extent::WithId => out.write_arg(b"JSON"),
            Extent::Full => {
                out.write_arg(b"FULL");
                out.write_arg(b"JSON");
            }
        }
    }

    fn num_of_args(&self) -> usize {
        self.to_redis_args().len()
    }
}

/// The options of `SESSION.REFRESH`: where the refresh token came from.
///
/// ```
/// use std::net::Ipv4Addr;
/// use redis_session::RefreshOptions;
///
/// let options = RefreshOptions::new().ip(Ipv4Addr::new(203, 0, 113, 7)).agent("Firefox on Linux");
/// ```
///
/// Its `Debug` form leaves out the device.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RefreshOptions {
    ip: Option<IpAddr>,
    agent: Option<Vec<u8>>,
    device: Option<Vec<u8>>,
}

impl RefreshOptions {
    /// No options: the session keeps its address and agent.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// `IP`: the address of the request, which becomes the session's.
    #[must_use]
    pub fn ip(mut self, ip: impl Into<IpAddr>) -> Self {
        self.ip = Some(ip.into());
        self
    }

    /// `AGENT`: the `User-Agent` header or the device's name of the request, which becomes the session's.
    #[must_use]
    pub fn agent(mut self, agent: impl Into<Vec<u8>>) -> Self {
        self.agent = Some(agent.into());
        self
    }

    /// `DEVICE`: the device of the request, as the bytes that [`CreateOptions::device`] bound the session to. With
    /// other bytes the refresh is refused, for [`Reason::Device`](crate::Reason::Device). A session that is not bound
    /// accepts any device.
    #[must_use]
    pub fn device(mut self, fingerprint: impl Into<Vec<u8>>) -> Self {
        self.device = Some(fingerprint.into());
        self
    }
}

impl ToRedisArgs for RefreshOptions {
    fn write_redis_args<W: ?Sized + RedisWrite>(&self, out: &mut W) {
        option(out, "IP", self.ip.map(|ip| ip.to_string()));
        option(out, "AGENT", self.agent.as_deref());
        option(out, "DEVICE", self.device.as_deref());
    }

    fn num_of_args(&self) -> usize {
        self.to_redis_args().len()
    }
}

/// A value that exists and is not shown.
fn hidden<T>(value: Option<&T>) -> Option<fmt::Arguments<'static>> {
    value.map(|_| format_args!("(secret)"))
}

/// Any bytes: an agent is only shown to people.
fn shown(agent: Option<&Vec<u8>>) -> Option<Cow<'_, str>> {
    agent.map(|agent| String::from_utf8_lossy(agent))
}

impl fmt::Debug for CreateOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateOptions")
            .field("id", &self.id)
            .field("ttl", &self.ttl)
            .field("idle", &self.idle)
            .field("max", &self.max)
            .field("limit_policy", &self.limit_policy)
            .field("ip", &self.ip)
            .field("agent", &shown(self.agent.as_ref()))
            .field("device", &hidden(self.device.as_ref()))
            .field("data", &format_args!("({} fields)", self.data.len()))
            .field("claims", &self.claims)
            .field("level", &self.level)
            .field("token", &self.token)
            .field("token_ttl", &self.token_ttl)
            .field("refresh", &self.refresh)
            .finish()
    }
}

impl fmt::Debug for ValidateOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ValidateOptions")
            .field("ip", &self.ip)
            .field("device", &hidden(self.device.as_ref()))
            .field("audience", &self.audience)
            .field("level", &self.level)
            .field("max_age", &self.max_age)
            .field("stateless", &self.stateless)
            .field("extent", &self.extent)
            .finish()
    }
}

impl fmt::Debug for RefreshOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshOptions")
            .field("ip", &self.ip)
            .field("agent", &shown(self.agent.as_ref()))
            .field("device", &hidden(self.device.as_ref()))
            .finish()
    }
}

/// The options of `SESSION.REGENERATE`, for a user who has signed in again. Options that you do not set leave the
/// session as it is.
///
/// ```
/// use redis_session::RegenerateOptions;
///
/// // The second factor was right.
/// let options = RegenerateOptions::new().level(2).claims(r#"{"role":"admin"}"#);
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RegenerateOptions {
    claims: Option<String>,
    level: Option<u8>,
    ttl: Option<Duration>,
    ip: Option<IpAddr>,
    agent: Option<Vec<u8>>,
}

impl RegenerateOptions {
    /// Changes only the id, the tokens and the time of the sign-in.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// `CLAIMS`: the claims from now on, as for [`CreateOptions::claims`].
    #[must_use]
    pub fn claims(mut self, json: impl fmt::Display) -> Self {
        self.claims = Some(json.to_string());
        self
    }

    /// `LEVEL`: the level of this sign-in, as for [`CreateOptions::level`].
    #[must_use]
    pub fn level(mut self, level: u8) -> Self {
        self.level = Some(level);
        self
    }

    /// `TTL`: how long the session lasts from now on, as for [`CreateOptions::ttl`]. Nothing else moves its end.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// `IP`: the address of this sign-in.
    #[must_use]
    pub fn ip(mut self, ip: impl Into<IpAddr>) -> Self {
        self.ip = Some(ip.into());
        self
    }

    /// `AGENT`: the user agent of this sign-in.
    #[must_use]
    pub fn agent(mut self, agent: impl Into<Vec<u8>>) -> Self {
        self.agent = Some(agent.into());
        self
    }
}

impl ToRedisArgs for RegenerateOptions {
    fn write_redis_args<W: ?Sized + RedisWrite>(&self, out: &mut W) {
        option(out, "CLAIMS", self.claims.as_deref());
        option(out, "LEVEL", self.level);
        option(out, "TTL", self.ttl.map(whole_seconds));
        option(out, "IP", self.ip.map(|ip| ip.to_string()));
        option(out, "AGENT", self.agent.as_deref());
    }

    fn num_of_args(&self) -> usize {
        self.to_redis_args().len()
    }
}

impl fmt::Debug for RegenerateOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegenerateOptions")
            .field("claims", &self.claims)
            .field("level", &self.level)
            .field("ttl", &self.ttl)
            .field("ip", &self.ip)
            .field("agent", &shown(self.agent.as_ref()))
            .finish()
    }
}

/// Writes the option's name and value, if it has one.
fn option<W: ?Sized + RedisWrite>(out: &mut W, name: &str, value: Option<impl ToRedisArgs>) {
    if let Some(value) = value {
        out.write_arg(name.as_bytes());
        value.write_redis_args(out);
    }
}

/// The server counts in seconds. Rounded up, because a timeout rounded down to zero could mean "none".
fn whole_seconds(span: Duration) -> u64 {
    span.as_secs().saturating_add(u64::from(span.subsec_nanos() > 0))
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    fn args(options: &impl ToRedisArgs) -> Vec<String> {
        let args = options.to_redis_args();
        assert_eq!(options.num_of_args(), args.len());
        args.into_iter().map(|arg| String::from_utf8(arg).unwrap()).collect()
    }

    #[test]
    fn without_options_nothing_is_sent() {
        assert!(args(&CreateOptions::new()).is_empty());
        assert!(args(&RefreshOptions::new()).is_empty());
    }

    #[test]
    fn each_option_of_create_is_its_words() {
        let seconds = Duration::from_secs;
        let new = CreateOptions::new;
        for (options, words) in [
            (new().id("my id"), &["ID", "my id"][..]),
            (new().ttl(seconds(3600)), &["TTL", "3600"]),
            (new().idle(seconds(900)), &["IDLE", "900"]),
            (new().max_sessions(5), &["MAX", "5"]),
            (new().limit_policy(LimitPolicy::Evict), &["EVICT"]),
            (new().limit_policy(LimitPolicy::Reject), &["REJECT"]),
            (new().ip(Ipv4Addr::new(203, 0, 113, 7)), &["IP", "203.0.113.7"]),
            (new().ip(Ipv6Addr::LOCALHOST), &["IP", "::1"]),
            (new().agent("Firefox on Linux"), &["AGENT", "Firefox on Linux"]),
            (new().device("laptop's cookie"), &["DEVICE", "laptop's cookie"]),
            (new().data("cart", "17").data("theme", ""), &["DATA", "2", "cart", "17", "theme", ""]),
            (new().claims(r#"{"role":"editor"}"#), &["CLAIMS", r#"{"role":"editor"}"#]),
            (new().claims(serde_json::json!({"role": "editor"})), &["CLAIMS", r#"{"role":"editor"}"#]),
            (new().level(2), &["LEVEL", "2"]),
            (new().token(TokenFormat::Jwt), &["TOKEN", "JWT"]),
            (new().token(TokenFormat::Opaque), &["TOKEN", "OPAQUE"]),
            (new().token(TokenFormat::None), &["TOKEN", "NONE"]),
            (new().or_token(TokenFormat::Opaque), &["TOKEN", "OPAQUE"]),
            (new().token(TokenFormat::Jwt).or_token(TokenFormat::Opaque), &["TOKEN", "JWT"]),
            (new().token_ttl(seconds(60)), &["TOKENTTL", "60"]),
            (new().refresh(seconds(86_400)), &["REFRESH", "86400"]),
            (new().refresh(Duration::from_millis(1500)), &["REFRESH", "2"]),
            (new().refreshable(), &["REFRESH", "0"]),
        ] {
            assert_eq!(args(&options), words);
        }
    }

    #[test]
    fn an_option_given_twice_is_sent_once_with_its_last_value() {
        let twice = CreateOptions::new().id("a").id("b").limit_policy(LimitPolicy::Evict);
        assert_eq!(args(&twice.limit_policy(LimitPolicy::Reject)), ["ID", "b", "REJECT"]);
    }

    #[test]
    fn a_refresh_token_of_no_time_is_not_one_of_the_servers_time() {
        assert_eq!(args(&CreateOptions::new().refresh(Duration::ZERO)), ["REFRESH", "1"]);
        assert_eq!(args(&CreateOptions::new().refreshable().refresh(Duration::from_secs(5))), ["REFRESH", "5"]);
    }

    #[test]
    fn values_travel_as_the_bytes_they_are() {
        let options = CreateOptions::new().agent(&b"\xff\0"[..]).device([0xfe]).data(&b"\r\n"[..], vec![0, 255]);
        let words: [&[u8]; 8] = [b"AGENT", b"\xff\0", b"DEVICE", b"\xfe", b"DATA", b"1", b"\r\n", b"\0\xff"];
        assert_eq!(options.to_redis_args(), words);
        let device: [&[u8]; 2] = [b"DEVICE", b"\0\xff"];
        assert_eq!(ValidateOptions::new().device([0, 255]).with_id().to_redis_args()[..2], device);
        assert_eq!(RefreshOptions::new().device([0, 255]).to_redis_args(), device);
    }

    #[test]
    fn what_is_secret_is_not_shown() {
        let create = CreateOptions::new().agent("phone").device("laptop's cookie").data("iban", "DE02");
        let validate = ValidateOptions::new().audience("api").device("laptop's cookie");
        let refresh = RefreshOptions::new().agent("phone").device("laptop's cookie");
        for (shown, has) in [
            (format!("{create:?}"), "phone"),
            (format!("{create:#?}"), "1 fields"),
            (format!("{validate:?}"), "api"),
            (format!("{refresh:?}"), "phone"),
        ] {
            assert!(shown.contains(has) && shown.contains("secret"), "{shown}");
            assert!(!["laptop", "iban", "DE02"].iter().any(|part| shown.contains(part)), "{shown}");
        }
    }

    #[test]
    fn each_option_of_validate_is_its_words() {
        let options = ValidateOptions::new().ip(Ipv4Addr::LOCALHOST).device("d").audience("api").stateless().full();
        assert_eq!(args(&options), ["IP", "127.0.0.1", "DEVICE", "d", "AUD", "api", "STATELESS", "FULL", "JSON"]);
        assert_eq!(args(&ValidateOptions::new().full()), ["FULL", "JSON"]);
        assert_eq!(args(&ValidateOptions::new().with_id()), ["JSON"]);
        assert_eq!(args(&ValidateOptions::new().stateless()), ["STATELESS", "BRIEF"]);
        assert_eq!(args(&ValidateOptions::new()), ["BRIEF"]);
        let step_up = ValidateOptions::new().level(2).max_age(Duration::from_millis(1500));
        assert_eq!(args(&step_up), ["LEVEL", "2", "MAXAGE", "2", "BRIEF"]);
        assert!(args(&RegenerateOptions::new()).is_empty());
        let again = RegenerateOptions::new().claims("{}").level(3).ttl(Duration::from_secs(60)).ip(Ipv4Addr::LOCALHOST);
        let words = ["CLAIMS", "{}", "LEVEL", "3", "TTL", "60", "IP", "127.0.0.1", "AGENT", "a"];
        assert_eq!(args(&again.agent("a")), words);
        assert_eq!(args(&ValidateOptions::new().full().with_id()), ["FULL", "JSON"]);
        assert_eq!(args(&ValidateOptions::new().with_id().full()), ["FULL", "JSON"]);
    }

    #[test]
    fn each_option_of_refresh_is_its_words() {
        let options = RefreshOptions::new().ip(Ipv4Addr::LOCALHOST).agent("Firefox").device("d");
        assert_eq!(args(&options), ["IP", "127.0.0.1", "AGENT", "Firefox", "DEVICE", "d"]);
    }

    #[test]
    fn a_fraction_of_a_second_is_rounded_up() {
        assert_eq!(whole_seconds(Duration::ZERO), 0);
        assert_eq!(whole_seconds(Duration::from_nanos(1)), 1);
        assert_eq!(whole_seconds(Duration::from_millis(1500)), 2);
        assert_eq!(whole_seconds(Duration::from_secs(2)), 2);
        assert_eq!(whole_seconds(Duration::MAX), u64::MAX);
    }
}
