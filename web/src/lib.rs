//! Sessions of the `redis-session` module in web applications.
//!
//! A [`SessionLayer`] takes the token from `Authorization: Bearer` (RFC 6750 section 2.1) or from a [`SessionCookie`],
//! asks Redis once for each request, and puts a [`Session`] into the request's extensions. It is a [`tower_layer`] for
//! every framework with services of `tower`, and any type of body. With axum (feature `axum`) handlers take a
//! [`Session`], or an `Option<Session>` if they need none:
//!
//! ```no_run
//! # #[cfg(feature = "axum")]
//! # mod example {
//! use axum::extract::{Extension, State};
//! use axum::http::{StatusCode, header::SET_COOKIE};
//! use axum::response::{IntoResponse, Response};
//! use axum::{Router, routing::{get, post}};
//! use redis_session_store::{Login, ReconnectingConnection, SessionStore, Visitor};
//! use redis_session_web::{Rejection, Session, SessionCookie, SessionLayer};
//!
//! type Sessions = SessionStore<ReconnectingConnection>;
//!
//! async fn me(session: Session) -> String {
//!     format!("user {}", session.user)
//! }
//!
//! async fn login(
//!     State(sessions): State<Sessions>, Extension(visitor): Extension<Visitor>, name: String,
//! ) -> Result<Response, Rejection> {
//!     // ... after you have checked the password:
//!     let login = sessions.login(&Login::new(name).visitor(&visitor)).await?;
//!     Ok(([(SET_COOKIE, cookie().set(&login, false))], StatusCode::NO_CONTENT).into_response())
//! }
//!
//! async fn logout(State(sessions): State<Sessions>, session: Session) -> Result<Response, Rejection> {
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
//! # }
//! ```
//!
//! With actix-web (feature `actix`) the same layer is a middleware, and the same [`Session`] an argument of a handler:
//!
//! ```no_run
//! # #[cfg(feature = "actix")]
//! # mod example {
//! use actix_web::{App, web};
//! # use redis_session_store::SessionStore;
//! # use redis_session_web::{Session, SessionCookie, SessionLayer};
//!
//! async fn me(session: Session) -> String {
//!     format!("user {}", session.user)
//! }
//!
//! # fn example() -> redis::RedisResult<()> {
//! let layer = SessionLayer::new(SessionStore::connect("redis://127.0.0.1/")?).cookie(SessionCookie::new("session"));
//! let app = App::new().route("/me", web::get().to(me)).wrap(layer);
//! # drop(app);
//! # Ok(())
//! # }
//! # }
//! ```
//!
//! With tonic (feature `tonic`), give the layer to `Server::builder`. A handler takes the session from the call. Refusals
//! are gRPC statuses, including the layer's own, such as those of [`SessionLayer::require_level`]:
//!
//! ```no_run
//! # #[cfg(feature = "tonic")]
//! # mod example {
//! # use redis_session_web::Session;
//! use tonic::{Request, Response, Status};
//!
//! async fn me(request: Request<()>) -> Result<Response<String>, Status> {
//!     let session = Session::of(request.extensions())?;
//!     Ok(Response::new(format!("user {}", session.user)))
//! }
//! # }
//! ```
//!
//! The layer also adds a [`Visitor`](redis_session_store::Visitor), the origin of the request, for a login. A request
//! without a good token gets a [`Rejection`]: 401 with `WWW-Authenticate` (RFC 6750 section 3) and a JSON object. If
//! the token is genuine, both contain the reason, by its name or by your own [text](SessionLayer::reason_text). Every
//! reason goes to [`SessionLayer::on_refused`]. While Redis is away the answer is 503.
//!
//! A cookie holds an opaque token unless the store's policy asks for JWTs. An opaque token lasts as long as its
//! session.
//!
//! Browsers also send the cookie with requests that other sites cause. `SameSite=Lax`, the default, leaves it out of
//! those that change something, as long as no `GET` does. The layer also refuses them by what the browser says of them:
//! see [`SessionLayer::cookie`].

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "actix")]
mod actix;
#[cfg(feature = "axum")]
mod axum;
mod cookie;
mod layer;
mod origin;
mod rejection;
mod service;
mod session;
#[cfg(feature = "tonic")]
mod tonic;

#[cfg(feature = "actix")]
#[cfg_attr(docsrs, doc(cfg(feature = "actix")))]
pub use actix::SessionMiddleware;
pub use cookie::{SameSite, SessionCookie};
pub use layer::{Refused, SessionLayer};
pub use redis_session_store;
pub use rejection::{Refusal, Rejection, StepUp};
pub use service::SessionService;
pub use session::Session;

/// The Rust of this package's README, to be compiled as it stands there.
#[cfg(all(doctest, feature = "axum"))]
#[doc = include_str!("../README.md")]
struct Readme;
