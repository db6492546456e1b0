//! The routes, and what each layer does for them.

use std::error::Error;
use std::net::{IpAddr, SocketAddr};

use axum::Router;
use axum::extract::{ConnectInfo, DefaultBodyLimit};
use axum::http::HeaderName;
use axum::http::request::Parts;
use axum::middleware::{from_fn, map_response};
use redis_session::{CreateOptions, TokenFormat};
use redis_session_store::{Policy, ReconnectingConnection, SessionStore};
use redis_session_web::{SessionCookie, SessionLayer};

use crate::accounts::Accounts;
use crate::attempts::Attempts;
use crate::passwords::Passwords;
use crate::settings::Settings;
use crate::{api, audit, headers, page};

pub(crate) type Sessions = SessionStore<ReconnectingConnection>;

/// What handlers share. Every part is cheap to clone.
#[derive(Clone)]
pub(crate) struct App {
    /// Browsers' sessions.
    pub(crate) sessions: Sessions,
    /// Apps' sessions. They differ in how they begin; everything else is the same whichever began it.
    pub(crate) app_sessions: Sessions,
    pub(crate) redis: ReconnectingConnection,
    pub(crate) accounts: Accounts,
    pub(crate) passwords: Passwords,
    pub(crate) attempts: Attempts,
    pub(crate) cookie: SessionCookie,
    client_ip_header: Option<HeaderName>,
}

impl App {
    pub(crate) fn new(settings: &Settings, accounts: Accounts) -> Result<Self, Box<dyn Error>> {
        let redis = ReconnectingConnection::new(settings.redis_url.as_str())?;
        // Their tokens are opaque, as a store's are: a cookie is short then, and good for as long as its session is.
        let browser = CreateOptions::new().idle(settings.session.idle);
        let remembered = CreateOptions::new().ttl(settings.remember_ttl);
        let browsers = Policy::new(browser.ttl(settings.session.ttl)).remembered(remembered);
        // A JWT that other services can read, for minutes; and a refresh token to stay signed in with.
        let app = CreateOptions::new().token(TokenFormat::Jwt).token_ttl(settings.token_ttl);
        let app = app.ttl(settings.app_ttl).refresh(settings.app_ttl);
        let sessions = SessionStore::new(redis.clone());
        Ok(Self {
            app_sessions: sessions.clone().policy(Policy::new(app)),
            sessions: sessions.policy(browsers),
            attempts: Attempts::new(redis.clone(), settings.attempts),
            redis,
            accounts,
            passwords: Passwords::new()?,
            cookie: SessionCookie::new("session"),
            client_ip_header: settings.client_ip_header.clone(),
        })
    }

    fn layer(&self) -> SessionLayer<ReconnectingConnection> {
        let header = self.client_ip_header.clone();
        SessionLayer::new(self.sessions.clone())
            .cookie(self.cookie.clone())
            .client_ip(move |parts| client_ip(parts, header.as_ref()))
            .on_refused(|_parts, refused| audit::token_refused(refused))
    }
}

/// The address that the proxy tells, if there is one, and else the one that the connection comes from.
fn client_ip(parts: &Parts, header: Option<&HeaderName>) -> Option<IpAddr> {
    match header {
        Some(name) => parts.headers.get(name)?.to_str().ok()?.trim().parse().ok(),
        None => parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| address.ip()),
    }
}

pub(crate) fn routes(app: App) -> Router {
    let for_programs = api::routes().layer(app.layer());
    let for_people = page::routes().layer(app.layer()).layer(map_response(page::for_people));
    // What a page asks by itself does not mean that somebody is there.
    let watched = page::live_routes().layer(app.layer().without_touching());
    let open = Router::new().merge(api::open_routes()).merge(page::files());
    Router::new()
        .merge(for_programs)
        .merge(for_people)
        .merge(watched)
        .merge(open)
        .layer(DefaultBodyLimit::max(16 * 1024))
        .layer(from_fn(headers::add))
        .with_state(app)
}
