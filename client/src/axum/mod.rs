//! Sessions in a web application with [`axum`] (feature `axum`).
//!
//! A [`SessionLayer`] takes the token from `Authorization: Bearer` (RFC 6750 section 2.1) or from a [`SessionCookie`],
//! and asks Redis once for each request. Handlers take a [`Session`], or an `Option<Session>` where none is needed:
//!
//! ```no_run
//! use axum::{Router, http::HeaderMap, response::{IntoResponse, Response}, routing::{get, post}, extract::State};
//! use axum::http::{StatusCode, header::SET_COOKIE};
//! use redis_session::axum::{Session, SessionCookie, SessionLayer};
//! use redis_session::{Login, ReconnectingConnection, SessionStore, StoreError, Visitor};
//!
//! type Sessions = SessionStore<ReconnectingConnection>;
//!
//! async fn me(session: Session) -> String {
//!     format!("user {}", session.user)
//! }
//!
//! async fn login(State(sessions): State<Sessions>, visitor: Visitor, name: String) -> Result<Response, StoreError> {
//!     // ... once the password was right:
//!     let login = sessions.login(&Login::new(name).visitor(&visitor)).await?;
//!     Ok(([(SET_COOKIE, cookie().set(&login))], StatusCode::NO_CONTENT).into_response())
//! }
//!
//! async fn logout(State(sessions): State<Sessions>, session: Session) -> Result<Response, StoreError> {
//!     sessions.logout(session.token()).await?;
//!     Ok(([(SET_COOKIE, cookie().clear())], StatusCode::NO_CONTENT).into_response())
//! }
//!
//! fn cookie() -> SessionCookie {
//!     SessionCookie::new("session")
//! }
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let sessions = SessionStore::connect("redis://127.0.0.1/")?;
//! let app: Router = Router::new()
//!     .route("/me", get(me))
//!     .route("/login", post(login))
//!     .route("/logout", post(logout))
//!     .layer(SessionLayer::new(sessions.clone()).cookie(cookie()))
//!     .with_state(sessions);
//! # Ok(())
//! # }
//! ```
//!
//! A request without a good token gets 401 with `WWW-Authenticate` and no more. The reason goes to the log and to
//! [`SessionLayer::on_refused`]. While Redis is away the answer is 503.
//!
//! A cookie comes with requests that other sites make, too. `SameSite=Lax`, the default, keeps it out of those that
//! change something, as long as no `GET` does; and the layer refuses those by what the browser says of them: see
//! [`SessionLayer::cookie`].

mod cookie;
mod extract;
mod layer;
mod origin;

pub use cookie::{SameSite, SessionCookie};
pub use extract::{Rejection, Session};
pub use layer::{Refused, SessionLayer, SessionService};
