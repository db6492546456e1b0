//! Sign in by name alone, and out: `cargo run -p redis-session-web --features axum --example axum`.
//!
//! There is no password: put your own check before `sessions.login`. Settings: `REDIS_URL`, and `LISTEN` for the page.

use axum::extract::{Form, State};
use axum::http::{StatusCode, header::SET_COOKIE};
use axum::response::{Html, IntoResponse, Redirect, Result};
use axum::{Router, routing::get, routing::post};
use redis_session_store::{Login, ReconnectingConnection, SessionStore};
use redis_session_web::{Session, SessionCookie, SessionLayer};

#[derive(Clone)]
struct App {
    sessions: SessionStore<ReconnectingConnection>,
    cookie: SessionCookie,
}

async fn home(session: Option<Session>) -> Html<String> {
    Html(match session {
        Some(session) => format!(
            "<p>You are {}.<form method=post action=/logout><button>Sign out</button></form>\
             <form method=post action=/logout-all><button>Sign out everywhere</button></form>",
            session.user
        ),
        None => "<form method=post action=/login><label>Name <input name=name></label><button>Sign in</button></form>"
            .to_owned(),
    })
}

async fn login(State(app): State<App>, Form(form): Form<Vec<(String, String)>>) -> Result<impl IntoResponse> {
    let name = form.into_iter().find(|(field, _)| field == "name").map(|(_, name)| name).unwrap_or_default();
    if name.is_empty() || !name.chars().all(char::is_alphanumeric) {
        return Err((StatusCode::BAD_REQUEST, "A name has letters and digits.").into());
    }
    let created = app.sessions.login(&Login::new(name)).await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    Ok(([(SET_COOKIE, app.cookie.set(&created, false))], Redirect::to("/")))
}

async fn logout(State(app): State<App>, session: Session) -> Result<impl IntoResponse> {
    app.sessions.logout(session.token()).await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    Ok(([(SET_COOKIE, app.cookie.clear())], Redirect::to("/")))
}

async fn logout_all(State(app): State<App>, session: Session) -> Result<impl IntoResponse> {
    app.sessions.logout_everywhere(&session.user).await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    Ok(([(SET_COOKIE, app.cookie.clear())], Redirect::to("/")))
}

#[tokio::main]
async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let setting = |name, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
    let sessions = SessionStore::connect(setting("REDIS_URL", "redis://127.0.0.1:6379/"))?;
    let app = App { sessions: sessions.clone(), cookie: SessionCookie::new("session") };
    let router = Router::new().route("/", get(home)).route("/login", post(login));
    let router = router.route("/logout", post(logout)).route("/logout-all", post(logout_all));
    let router = router.layer(SessionLayer::new(sessions).cookie(app.cookie.clone())).with_state(app);
    let listener = tokio::net::TcpListener::bind(setting("LISTEN", "127.0.0.1:8080")).await?;
    println!("http://localhost:{}/", listener.local_addr()?.port());
    Ok(axum::serve(listener, router).await?)
}
