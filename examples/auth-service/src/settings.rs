//! The settings, from the environment, with defaults to try it out.

use std::env;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use axum::http::HeaderValue;

use crate::proxies::{Proxies, X_FORWARDED_FOR};

/// How the service runs. All in the environment, each with a default.
#[derive(Debug)]
pub(crate) struct Settings {
    /// `LISTEN`: address and port.
    pub(crate) listen: String,
    /// `REDIS_URL`. It may hold a password: it is not logged.
    pub(crate) redis_url: String,
    /// `DATABASE`: the file of the accounts.
    pub(crate) database: PathBuf,
    /// `TRUSTED_HOPS` and `CLIENT_IP_HEADER`: how many proxies stand in front, and where they write the client's address.
    pub(crate) proxies: Proxies,
    /// `CONNECTIONS`, `HEADER_TIMEOUT` and `BODY_TIMEOUT`, seconds.
    pub(crate) connections: ConnectionLimits,
    /// `CORS_ORIGINS`, with commas between them: other sites whose pages may use the JSON interface.
    pub(crate) cors_origins: Vec<HeaderValue>,
    /// `AUDIT_STREAM`: what `session.audit-stream` of the server is.
    pub(crate) audit_stream: String,
    /// `SESSION_TTL`, `SESSION_IDLE` and `REMEMBER_TTL`, seconds: a browser's session.
    pub(crate) session: Lifetime,
    pub(crate) remember_ttl: Duration,
    /// `APP_TTL` and `TOKEN_TTL`, seconds: an app's session, and its access tokens.
    pub(crate) app_ttl: Duration,
    pub(crate) token_ttl: Duration,
    /// `ATTEMPTS_PER_ACCOUNT`, `ATTEMPTS_PER_ADDRESS` and `ATTEMPTS_WINDOW`, seconds.
    pub(crate) attempts: AttemptLimits,
    /// `LOG`: `json` or `text`.
    log: LogFormat,
}

/// How long a browser is signed in: at most, and without a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lifetime {
    pub(crate) ttl: Duration,
    pub(crate) idle: Duration,
}

/// How many connections there may be, and how long a request may take to arrive.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectionLimits {
    pub(crate) most: usize,
    pub(crate) header_timeout: Duration,
    pub(crate) body_timeout: Duration,
}

#[derive(Clone, Copy, Debug)]
enum LogFormat {
    Json,
    Text,
}

impl FromStr for LogFormat {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        match name {
            "json" => Ok(Self::Json),
            "text" => Ok(Self::Text),
            _ => Err(()),
        }
    }
}

/// How many attempts to sign in there may be in a window of time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AttemptLimits {
    pub(crate) per_account: u64,
    pub(crate) per_address: u64,
    pub(crate) window: Duration,
}

impl Settings {
    pub(crate) fn from_env() -> Result<Self, String> {
        let day = 86_400;
        Ok(Self {
            listen: parsed("LISTEN", "127.0.0.1:8080".into())?,
            redis_url: parsed("REDIS_URL", "redis://127.0.0.1:6379/".into())?,
            database: parsed("DATABASE", "auth-service.sqlite".into())?,
            proxies: Proxies { hops: parsed("TRUSTED_HOPS", 0)?, header: parsed("CLIENT_IP_HEADER", X_FORWARDED_FOR)? },
            connections: ConnectionLimits {
                // Most systems let a process have 1024 files open.
                most: parsed("CONNECTIONS", 900)?,
                header_timeout: seconds("HEADER_TIMEOUT", 10)?,
                body_timeout: seconds("BODY_TIMEOUT", 10)?,
            },
            cors_origins: list("CORS_ORIGINS")?,
            audit_stream: parsed("AUDIT_STREAM", "audit".into())?,
            session: Lifetime { ttl: seconds("SESSION_TTL", day)?, idle: seconds("SESSION_IDLE", 1800)? },
            remember_ttl: seconds("REMEMBER_TTL", 30 * day)?,
            app_ttl: seconds("APP_TTL", 30 * day)?,
            token_ttl: seconds("TOKEN_TTL", 600)?,
            attempts: AttemptLimits {
                per_account: parsed("ATTEMPTS_PER_ACCOUNT", 10)?,
                per_address: parsed("ATTEMPTS_PER_ADDRESS", 60)?,
                window: seconds("ATTEMPTS_WINDOW", 900)?,
            },
            log: parsed("LOG", LogFormat::Json)?,
        })
    }

    /// Lines on standard error.
    pub(crate) fn start_log(&self) {
        let log = tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(tracing::Level::INFO);
        match self.log {
            LogFormat::Json => log.json().flatten_event(true).with_span_list(false).init(),
            LogFormat::Text => log.with_ansi(false).with_target(false).init(),
        }
    }
}

fn text(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// The value itself is left out of the error: it may be a secret.
fn parse<T: FromStr>(name: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{name} has a value that makes no sense"))
}

fn parsed<T: FromStr>(name: &str, default: T) -> Result<T, String> {
    text(name).map_or(Ok(default), |value| parse(name, &value))
}

fn list<T: FromStr>(name: &str) -> Result<Vec<T>, String> {
    let list = text(name).unwrap_or_default();
    list.split(',').map(str::trim).filter(|value| !value.is_empty()).map(|value| parse(name, value)).collect()
}

fn seconds(name: &str, default: u64) -> Result<Duration, String> {
    parsed(name, default).map(Duration::from_secs)
}
