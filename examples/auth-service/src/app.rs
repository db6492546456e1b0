//! The routes, and what each layer does for them.

use std::error::Error;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderValue, Method};
use axum::middleware::{from_fn_with_state, map_response};
use redis_session::{CreateOptions, TokenFormat};
use redis_session_store::{Policy, ReconnectingConnection, SessionStore};
use redis_session_web::{SessionCookie, SessionLayer};
use tower_http::cors::CorsLayer;
use tower_http::timeout::RequestBodyDeadlineLayer;

use crate::accounts::Accounts;
use crate::attempts::Attempts;
use crate::database::Database;
use crate::history::History;
use crate::passwords::Passwords;
use crate::proxies::Proxies;
use crate::settings::Settings;
use crate::sign_in::{SECOND_FACTOR, SECOND_FACTOR_LASTS};
use crate::{api, audit, headers, page, reasons};

pub(crate) type Sessions = SessionStore<ReconnectingConnection>;

/// What handlers share. Every part is cheap to clone.
#[derive(Clone)]
pub(crate) struct App {
    /// Browsers' sessions.
    pub(crate) sessions: Sessions,
    /// Apps' sessions. They begin with other tokens; from then on, either store serves both.
    pub(crate) app_sessions: Sessions,
    pub(crate) redis: ReconnectingConnection,
    pub(crate) accounts: Accounts,
    pub(crate) history: History,
    pub(crate) passwords: Passwords,
    pub(crate) attempts: Attempts,
    pub(crate) cookie: SessionCookie,
    proxies: Proxies,
}

impl App {
    pub(crate) fn new(settings: &Settings, database: Database) -> Result<Self, Box<dyn Error>> {
        let redis = ReconnectingConnection::new(settings.redis_url.as_str())?;
        // An opaque token, the default of a store: short enough for a cookie, and good for as long as its session.
        let browser = CreateOptions::new().idle(settings.session.idle);
        let remembered = CreateOptions::new().ttl(settings.remember_ttl);
        let browsers = Policy::new(browser.ttl(settings.session.ttl)).remembered(remembered);
        // A JWT that other services can check, good for minutes; and a refresh token to get the next one.
        let app = CreateOptions::new().token(TokenFormat::Jwt).token_ttl(settings.token_ttl);
        let app = app.ttl(settings.app_ttl).refresh(settings.app_ttl);
        let sessions = SessionStore::new(redis.clone());
        Ok(Self {
            app_sessions: sessions.clone().policy(Policy::new(app)),
            sessions: sessions.policy(browsers),
            attempts: Attempts::new(redis.clone(), settings.attempts),
            redis,
            accounts: Accounts::new(database.clone()),
            history: History::new(database),
            passwords: Passwords::new()?,
            cookie: SessionCookie::new("session"),
            proxies: settings.proxies.clone(),
        })
    }

    fn layer(&self) -> SessionLayer<ReconnectingConnection> {
        let proxies = self.proxies.clone();
        SessionLayer::new(self.sessions.clone())
            .cookie(self.cookie.clone())
            .client_ip(move |parts| proxies.client_ip(parts))
            .on_refused(|_parts, refused| audit::token_refused(refused))
            .reason_text(|reason| Some(reasons::for_people(reason)))
    }
}

pub(crate) fn routes(app: App, settings: &Settings) -> Result<Router, Box<dyn Error>> {
    let origins = &settings.cors_origins;
    let for_programs = api::routes().layer(app.layer().trusted_origins(origins.clone()));
    let step_up = app.layer().require_level(SECOND_FACTOR).require_sign_in_within(SECOND_FACTOR_LASTS);
    let for_admins = api::admin_routes().layer(step_up.clone());
    let step_up = step_up.login_redirect(page::SECOND_FACTOR)?;
    let admin_pages = page::admin_routes().layer(step_up).layer(map_response(page::for_people));
    let for_people = page::routes().layer(app.layer()).layer(map_response(page::for_people));
    // The page asks by itself, so that does not mean that its user is there.
    let watched = page::live_routes().layer(app.layer().without_touching());
    let open = Router::new().merge(api::open_routes()).merge(page::files());
    let routes = Router::new()
        .merge(for_programs.merge(for_admins).layer(cors(origins)))
        .merge(for_people)
        .merge(admin_pages)
        .merge(watched)
        .merge(open)
        .fallback(page::not_found)
        .layer(DefaultBodyLimit::max(16 * 1024))
        .layer(RequestBodyDeadlineLayer::new(settings.connections.body_timeout))
        .layer(from_fn_with_state(app.proxies.clone(), headers::add))
        .with_state(app);
    Ok(routes)
}

/// Lets pages of these origins use the JSON interface, with the cookie where browsers send it. Others get no permission.
fn cors(origins: &[HeaderValue]) -> CorsLayer {
    CorsLayer::new()
        .allow_origin(origins.to_vec())
        .allow_credentials(true)
        .allow_methods([Method::GET, Method::POST, Method::PATCH, Method::DELETE])
        .allow_headers([AUTHORIZATION, CONTENT_TYPE])
}
