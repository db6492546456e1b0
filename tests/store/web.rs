//! A web application behind a `SessionLayer`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Extension, State};
use axum::http::request::Builder;
use axum::http::{HeaderMap, Request, StatusCode, header};
use axum::response::Response;
use axum::routing::{get, post};
use redis_session::{Reason, RegenerateOptions, TokenFormat};
use redis_session_store::{DataKeys, LocalVerifier, Login, Policy, ReconnectingConnection, SessionStore, Visitor};
use redis_session_tests::{Server, ServerBuilder, jwk_set};
use redis_session_web::{Rejection, Session, SessionCookie, SessionLayer};
use tower::ServiceExt as _;

use crate::log::Log;
use crate::{for_secs, token};

type Sessions = SessionStore<ReconnectingConnection>;

async fn me(session: Session) -> String {
    format!("{} {:?}", session.user, session.assurance)
}

async fn page(session: Option<Session>) -> String {
    session.map_or_else(|| "somebody".to_owned(), |session| session.user.clone())
}

async fn log_in(
    State(sessions): State<Sessions>,
    Extension(visitor): Extension<Visitor>,
    user: String,
) -> Result<Response, Rejection> {
    let login = sessions.login(&Login::new(user).visitor(&visitor)).await?;
    let response = Response::builder().header(header::SET_COOKIE, SessionCookie::new("session").set(&login, true));
    Ok(response.body(Body::from(login.token.unwrap())).unwrap())
}

async fn log_out(State(sessions): State<Sessions>, session: Session) -> Result<StatusCode, Rejection> {
    sessions.logout(session.token()).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn app(sessions: &Sessions, layer: SessionLayer<ReconnectingConnection>) -> Router {
    Router::new()
        .route("/me", get(me))
        .route("/", get(page))
        .route("/login", post(log_in))
        .route("/logout", post(log_out))
        .layer(layer)
        .with_state(sessions.clone())
}

fn layer(sessions: &Sessions) -> SessionLayer<ReconnectingConnection> {
    SessionLayer::new(sessions.clone()).cookie(SessionCookie::new("session"))
}

fn sessions(server: &Server) -> Sessions {
    SessionStore::connect(server.url()).unwrap()
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: String,
}

async fn send(app: &Router, request: Builder, body: &str) -> Answer {
    let response = app.clone().oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = String::from_utf8(to_bytes(body, 100_000).await.unwrap().to_vec()).unwrap();
    Answer { status: parts.status.as_u16(), headers: parts.headers, body }
}

fn bearer(path: &str, token: &str) -> Builder {
    Request::get(path).header(header::AUTHORIZATION, format!("Bearer {token}"))
}

async fn challenge(app: &Router, request: Builder) -> (u16, String) {
    let answer = send(app, request, "").await;
    let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert!(body["error"].is_string(), "{body}");
    assert_eq!(body.get("error_description").is_some(), body.get("reason").is_some());
    assert_eq!(answer.headers.get(header::CACHE_CONTROL).unwrap(), "no-store");
    (answer.status, answer.headers.get(header::WWW_AUTHENTICATE).map_or("", |value| value.to_str().unwrap()).to_owned())
}

#[tokio::test]
async fn a_login_opens_what_a_logout_closes() {
    let server = Server::start();
    let sessions = sessions(&server);
    let app = app(&sessions, layer(&sessions));
    assert_eq!(challenge(&app, Request::get("/me")).await, (401, "Bearer".into()));
    let login = send(&app, Request::post("/login").header(header::USER_AGENT, "phone"), "42").await;
    assert_eq!(send(&app, bearer("/me", &login.body), "").await.body, "42 Session");
    let cookie = login.headers.get(header::SET_COOKIE).unwrap().to_str().unwrap();
    assert!(cookie.contains("; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age="), "{cookie}");
    let cookie = cookie.split(';').next().unwrap();
    assert_eq!(send(&app, Request::get("/me").header(header::COOKIE, cookie), "").await.body, "42 Session");
    assert_eq!(sessions.devices("42").await.unwrap()[0].agent.as_deref(), Some("phone"));
    assert_eq!(send(&app, Request::post("/logout").header(header::COOKIE, cookie), "").await.status, 204);
    let refused = (401, "Bearer error=\"invalid_token\", error_description=\"revoked\"".into());
    assert_eq!(challenge(&app, bearer("/me", &login.body)).await, refused);
    let told = r#"{"error":"invalid_token","error_description":"revoked","reason":"revoked"}"#;
    assert_eq!(send(&app, bearer("/me", &login.body), "").await.body, told);
    assert_eq!(challenge(&app, Request::get("/me").header(header::COOKIE, cookie)).await, refused);
    assert_eq!(send(&app, bearer("/", &login.body), "").await.body, "somebody");
}

#[tokio::test]
async fn no_cache_keeps_an_answer_with_the_cookie() {
    let server = Server::start();
    let sessions = sessions(&server);
    let set = async |State(sessions): State<Sessions>, headers: HeaderMap| {
        let login = sessions.login(&Login::new("42")).await.unwrap();
        // What the handler says of it, if anything.
        let says = headers.get("x-cache").map(|value| (header::CACHE_CONTROL, value.clone()));
        let mut answer: HeaderMap = says.into_iter().collect();
        answer.append(header::SET_COOKIE, "other=1".parse().unwrap());
        answer.append(header::SET_COOKIE, SessionCookie::new("session").set(&login, true));
        answer
    };
    let app: Router = Router::new()
        .route("/set", get(set))
        .route("/clear", get(async || [(header::SET_COOKIE, SessionCookie::new("session").clear())]))
        .route("/other", get(async || [(header::SET_COOKIE, SessionCookie::new("session2").clear())]))
        .route("/none", get(async || "a page"))
        .layer(layer(&sessions))
        .with_state(sessions);
    let says = async |request| {
        let answer = send(&app, request, "").await;
        let values: Vec<_> = answer.headers.get_all(header::CACHE_CONTROL).iter().cloned().collect();
        values.iter().map(|value| value.to_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(says(Request::get("/set")).await, ["no-store"]);
    assert_eq!(says(Request::get("/clear")).await, ["no-store"]);
    assert_eq!(says(Request::get("/set").header("x-cache", "private, no-cache")).await, ["private, no-cache"]);
    assert!(says(Request::get("/other")).await.is_empty());
    assert!(says(Request::get("/none")).await.is_empty());
}

#[tokio::test]
async fn what_is_no_bearer_token_is_refused() {
    let server = Server::start();
    let sessions = sessions(&server);
    let app = app(&sessions, layer(&sessions));
    let login = send(&app, Request::post("/login"), "42").await.body;
    for value in
        ["Bearer", "Bearer nonsense", "Basic NDI6NDI=", &format!("Bearer {login} x"), &format!("Bearer,{login}")]
    {
        let request = Request::get("/me").header(header::AUTHORIZATION, value);
        assert_eq!(challenge(&app, request).await.0, 401, "{value}");
    }
    let twice = bearer("/me", &login).header(header::AUTHORIZATION, format!("Bearer {login}"));
    assert_eq!(challenge(&app, twice).await.0, 401, "two at once");
    let cookies = format!("__Host-session={login}; __Host-session=planted");
    assert_eq!(challenge(&app, Request::get("/me").header(header::COOKIE, cookies)).await.0, 401, "two at once");
    let both = bearer("/me", "nonsense").header(header::COOKIE, format!("__Host-session={login}"));
    assert_eq!(challenge(&app, both).await.0, 401, "the header counts");
    assert_eq!(send(&app, bearer("/me", &login), "").await.status, 200);
}

#[tokio::test]
async fn what_is_for_others_does_not_get_in_the_way() {
    let server = Server::start();
    let sessions = sessions(&server);
    let app = app(&sessions, layer(&sessions));
    let login = send(&app, Request::post("/login"), "42").await.body;
    let cookie = format!("__Host-session={login}");
    for value in ["Basic NDI6NDI=", "Bearer", "Negotiate abc", "nonsense"] {
        let both = || Request::get("/me").header(header::AUTHORIZATION, value).header(header::COOKIE, &cookie);
        assert_eq!(send(&app, both(), "").await.status, 200, "{value}: the cookie counts");
        let foreign = both().method("POST").uri("/logout").header("sec-fetch-site", "cross-site");
        assert_eq!(challenge(&app, foreign).await, (403, String::new()), "{value}: the check stays on");
    }
    let proxied = bearer("/me", &login).header(header::AUTHORIZATION, "Basic NDI6NDI=");
    assert_eq!(send(&app, proxied, "").await.status, 200);
    let beside = [b"other=\xe9\xff; ".as_slice(), cookie.as_bytes(), b"; \xfe=1"].concat();
    assert_eq!(send(&app, Request::get("/me").header(header::COOKIE, beside.as_slice()), "").await.status, 200);
    let odd = b"__Host-session=\xe9".as_slice();
    assert_eq!(challenge(&app, Request::get("/me").header(header::COOKIE, odd)).await.0, 401);
}

#[tokio::test]
async fn a_cookie_lasts_as_long_as_its_session_or_the_browser_is_open() {
    let server = Server::start();
    let sessions = sessions(&server);
    let cookie = SessionCookie::new("session");
    for (remember, days) in [(false, 1), (true, 30)] {
        let login = sessions.login(&Login::new("42").remember(remember)).await.unwrap();
        assert!(token(&login).starts_with("rst1."), "the default");
        assert_eq!(login.token_expires_at, Some(login.expires_at));
        let lasting = cookie.set(&login, true).to_str().unwrap().to_owned();
        let (_, age) = lasting.split_once("; Max-Age=").unwrap();
        assert!((1..=days * 86_400).rev().take(60).any(|secs| age == secs.to_string()), "{age} of {days} days");
        assert!(!cookie.set(&login, false).to_str().unwrap().contains("Max-Age"));
        assert!(lasting.len() < 500, "{}", lasting.len());
    }
    // The quick start signed users out after an hour.
    let app = app(&sessions, layer(&sessions));
    let login = send(&app, Request::post("/login"), "42").await.body;
    server.advance(std::time::Duration::from_secs(23 * 3600));
    assert_eq!(send(&app, bearer("/me", &login), "").await.status, 200);
}

#[tokio::test]
async fn a_cookie_that_no_browser_keeps_is_warned_of() {
    let server = Server::start();
    let (log, _guard) = Log::begin();
    let claims = format!(r#"{{"x":"{}"}}"#, "x".repeat(3500));
    let sessions = sessions(&server).policy(Policy::new(for_secs(600)));
    let login = sessions.login(&Login::new("42").claims(claims)).await.unwrap();
    let _ = SessionCookie::new("session").set(&login, true);
    assert!(log.text().contains("4096 bytes") && !log.text().contains(token(&login)), "{}", log.text());
}

#[tokio::test]
async fn an_insecure_cookie_is_for_loopback_alone() {
    let server = Server::start();
    let sessions = sessions(&server);
    let cookie = SessionCookie::new("session").insecure_on_loopback();
    let app = app(&sessions, SessionLayer::new(sessions.clone()).cookie(cookie.clone()));
    let login = sessions.login(&Login::new("42")).await.unwrap();
    let set = cookie.set(&login, false).to_str().unwrap().to_owned();
    assert!(set.starts_with("session=rst1.") && !set.contains("Secure"), "{set}");
    let me =
        |host| Request::get("/me").header(header::HOST, host).header(header::COOKIE, set.split(';').next().unwrap());
    assert_eq!(send(&app, me("localhost:8080"), "").await.status, 200);
    assert_eq!(send(&app, me("127.0.0.1:8080"), "").await.status, 200);
    assert_eq!(send(&app, me("app.example"), "").await.status, 500);
    assert_eq!(send(&app, Request::post("/login").header(header::HOST, "app.example"), "42").await.status, 500);
}

#[tokio::test]
async fn people_are_sent_to_log_in_and_programs_are_told() {
    let server = Server::start();
    let sessions = sessions(&server);
    let app = app(&sessions, layer(&sessions).login_redirect("/sign-in").unwrap());
    let html = |request: Builder| request.header(header::ACCEPT, "text/html,application/xhtml+xml");
    let answer = send(&app, html(Request::get("/")), "").await;
    assert_eq!((answer.status, answer.headers.get(header::LOCATION).unwrap().to_str().unwrap()), (303, "/sign-in"));
    assert_eq!(send(&app, html(bearer("/", "nonsense")), "").await.status, 303);
    assert_eq!(challenge(&app, Request::get("/")).await.0, 401);
    assert_eq!(challenge(&app, html(Request::post("/logout"))).await.0, 401);
    let login = sessions.login(&Login::new("42")).await.unwrap();
    assert_eq!(send(&app, html(bearer("/", token(&login))), "").await.body, "42");
    assert!(layer(&sessions).login_redirect("/\n").is_err());
}

#[tokio::test]
async fn a_claim_can_be_required() {
    let server = Server::start();
    let sessions = sessions(&server).policy(Policy::new(for_secs(600)));
    let app = app(&sessions, layer(&sessions).require_claim("role", "admin"));
    let log_in = async |claims: &str| {
        let login = sessions.login(&Login::new("42").claims(claims)).await.unwrap();
        send(&app, bearer("/me", token(&login)), "").await.status
    };
    assert_eq!(log_in(r#"{"role":"admin"}"#).await, 200);
    assert_eq!(log_in(r#"{"role":["editor","admin"]}"#).await, 200);
    for claims in [r#"{"role":"editor"}"#, r#"{"role":["administrator"]}"#, r#"{"rule":"admin"}"#, "{}"] {
        assert_eq!(log_in(claims).await, 403, "{claims}");
    }
    assert_eq!(challenge(&app, Request::get("/me")).await.0, 401);
    let claims = Login::new("42").claims(r#"{"role":"admin"}"#);
    let opaque = sessions.clone().policy(Policy::default()).login(&claims).await.unwrap();
    assert_eq!(send(&app, bearer("/me", token(&opaque)), "").await.status, 403, "what is not asked for is not known");
    // The second part of an opaque token is the user, whose name is no claim.
    let named = Login::new(r#" {"role":"admin"}"#);
    let named = sessions.clone().policy(Policy::default()).login(&named).await.unwrap();
    assert_eq!(send(&app, bearer("/me", token(&named)), "").await.status, 403);
    let detailed = sessions.clone().policy(Policy::default().details());
    let app = self::app(&detailed, layer(&detailed).require_claim("role", "admin"));
    assert_eq!(send(&app, bearer("/me", token(&opaque)), "").await.status, 200);
    let other = detailed.login(&Login::new("42").claims(r#"{"role":"editor"}"#)).await.unwrap();
    assert_eq!(send(&app, bearer("/me", token(&other)), "").await.status, 403);
}

#[tokio::test]
async fn a_strong_and_recent_sign_in_can_be_required() {
    let server = Server::start();
    let sessions = sessions(&server).policy(Policy::default().details());
    let quarter = std::time::Duration::from_secs(900);
    let level = async |session: Session| format!("{:?}", session.level());
    let demanding = layer(&sessions).require_level(2).require_sign_in_within(quarter);
    let demanding = demanding.reason_text(|reason| (*reason == Reason::Stale).then_some("Please sign in again."));
    let pay: Router = Router::new().route("/pay", get(level)).layer(demanding.clone());
    let login = sessions.login(&Login::new("42").level(1)).await.unwrap();
    let needs = "acr_values=\"http://idmanagement.gov/ns/assurance/aal/2\", max_age=\"900\"";
    let refused = |text: &str| {
        let error = "Bearer error=\"insufficient_user_authentication\", error_description=";
        (401, format!("{error}\"{text}\", {needs}"))
    };
    assert_eq!(challenge(&pay, bearer("/pay", token(&login))).await, refused("level"));
    assert_eq!(challenge(&pay, Request::get("/pay")).await, (401, "Bearer".into()));
    assert_eq!(send(&app(&sessions, layer(&sessions)), bearer("/me", token(&login)), "").await.status, 200);

    let strong = sessions.regenerate(token(&login), &RegenerateOptions::new().level(2)).await.unwrap();
    assert_eq!(send(&pay, bearer("/pay", token(&strong)), "").await.body, "Some(2)");
    server.advance(quarter + quarter);
    assert_eq!(challenge(&pay, bearer("/pay", token(&strong))).await, refused("Please sign in again."));
    let person = bearer("/pay", token(&strong)).header(header::ACCEPT, "text/html");
    let page: Router = Router::new().route("/pay", get(level)).layer(demanding.login_redirect("/factor").unwrap());
    assert_eq!(send(&page, person, "").await.headers.get(header::LOCATION).unwrap(), "/factor");
    // One that demands a recent sign-in alone.
    let recent = sessions.clone().require_sign_in_within(quarter);
    let error = recent.authenticate(token(&strong), &Visitor::new()).await.unwrap_err();
    assert!(error.is_refused() && error.to_string().ends_with("stale"), "{error}");
    let again = recent.regenerate(token(&strong), &RegenerateOptions::new()).await.unwrap();
    assert!(recent.touch(token(&again), &Visitor::new()).await.is_ok());
}

#[tokio::test]
async fn a_token_alone_does_not_tell_how_its_user_has_signed_in() {
    let mut server = ServerBuilder::new().keys(&["one"]).start();
    let verifier = LocalVerifier::from_jwk_set(jwk_set(&["one"])).unwrap();
    let sessions = sessions(&server).policy(Policy::new(for_secs(600))).when_away(verifier);
    let login = sessions.login(&Login::new("42").level(3)).await.unwrap();
    let plain = app(&sessions, layer(&sessions));
    let strong = app(&sessions, layer(&sessions).require_level(1));
    assert_eq!(send(&strong, bearer("/me", token(&login)), "").await.status, 200);
    server.kill();
    assert_eq!(send(&plain, bearer("/me", token(&login)), "").await.body, "42 TokenOnly");
    assert_eq!(send(&strong, bearer("/me", token(&login)), "").await.status, 503);
}

#[tokio::test]
async fn of_two_layers_the_inner_one_decides() {
    let server = Server::start();
    let sessions = sessions(&server);
    let login = sessions.login(&Login::new("42")).await.unwrap();
    let cookie = format!("__Host-session={}", token(&login));
    let (with, without) = (layer(&sessions), SessionLayer::new(sessions.clone()));
    for (inner, outer, status) in [(&with, &without, 200), (&without, &with, 401)] {
        let app: Router = Router::new().route("/me", get(me)).layer(inner.clone()).layer(outer.clone());
        assert_eq!(send(&app, Request::get("/me").header(header::COOKIE, &cookie), "").await.status, status);
    }
}

#[tokio::test]
async fn redis_is_asked_once_for_each_request() {
    let server = Server::start();
    let sessions = sessions(&server);
    let app = app(&sessions, layer(&sessions).required());
    let login = sessions.login(&Login::new("42")).await.unwrap();
    let calls = |command: &str| {
        let stats = redis_session_tests::cmd(&mut server.connection(), "SESSION.STATS").unwrap();
        redis_session_tests::fields(stats).int(command)
    };
    for _ in 0..5 {
        assert_eq!(send(&app, bearer("/me", token(&login)), "").await.status, 200);
    }
    assert_eq!((calls("touched"), calls("validated")), (5, 0));
    let app = self::app(&sessions, layer(&sessions).without_touching());
    assert_eq!(send(&app, bearer("/me", token(&login)), "").await.status, 200);
    assert_eq!((calls("touched"), calls("validated")), (5, 1));
    assert_eq!(send(&app, Request::get("/"), "").await.status, 200);
    assert_eq!((calls("touched"), calls("validated")), (5, 1), "without a token there is nothing to ask");
}

#[tokio::test]
async fn what_is_required_is_required_of_every_route() {
    let server = Server::start();
    let sessions = sessions(&server);
    let app = app(&sessions, layer(&sessions).required());
    assert_eq!(challenge(&app, Request::get("/")).await.0, 401);
    let login = sessions.login(&Login::new("42")).await.unwrap();
    assert_eq!(send(&app, bearer("/", token(&login)), "").await.body, "42");
}

#[tokio::test]
async fn why_a_token_was_refused_is_for_the_log() {
    let server = Server::start();
    let sessions = sessions(&server);
    let reasons = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&reasons);
    let layer = layer(&sessions).on_refused(move |parts, refused| {
        let user = refused.user.as_deref().unwrap_or("nobody");
        let agent = refused.visitor.known_agent().unwrap_or("nothing");
        log.lock().unwrap().push(format!("{} {} of {user} with {agent}", parts.uri.path(), refused.reason));
    });
    let layer = layer.reason_text(|reason| (*reason != Reason::UserRevoked).then_some("You are out."));
    let app = app(&sessions, layer);
    let mut answers = Vec::new();
    for user in ["42", "43"] {
        let login = sessions.login(&Login::new(user)).await.unwrap();
        match user {
            "42" => assert!(sessions.logout(token(&login)).await.unwrap()),
            _ => assert_eq!(sessions.logout_everywhere(user).await.unwrap(), 1),
        }
        answers.push(challenge(&app, bearer("/me", token(&login)).header(header::USER_AGENT, "phone")).await);
    }
    let good = sessions.login(&Login::new("44")).await.unwrap();
    let forged = format!("{}AAAA", &token(&good)[..token(&good).len() - 4]);
    answers.push(challenge(&app, bearer("/me", &forged)).await);
    answers.push(challenge(&app, bearer("/me", "nonsense")).await);
    assert_eq!(answers[2], (401, "Bearer error=\"invalid_token\"".to_owned()));
    assert_eq!(answers[2], answers[3], "strangers are told the same");
    assert!(answers[0].1.ends_with("error_description=\"You are out.\""), "{}", answers[0].1);
    assert!(answers[1].1.ends_with("error_description=\"user_revoked\""), "{}", answers[1].1);
    let expected = [
        "/me revoked of 42 with phone",
        "/me user_revoked of 43 with phone",
        "/me signature of nobody with nothing",
        "/me malformed of nobody with nothing",
    ];
    assert_eq!(*reasons.lock().unwrap(), expected);
}

#[tokio::test]
async fn a_stolen_token_is_worth_nothing_on_another_device() {
    let server = Server::start();
    let sessions = sessions(&server);
    let app = app(&sessions, layer(&sessions).device_headers([header::ACCEPT_LANGUAGE]));
    let login = send(&app, Request::post("/login").header(header::ACCEPT_LANGUAGE, "de"), "42").await.body;
    let from = |language| bearer("/me", &login).header(header::ACCEPT_LANGUAGE, language);
    assert_eq!(send(&app, from("de"), "").await.status, 200);
    assert_eq!(challenge(&app, from("fr")).await.0, 401);
    assert_eq!(challenge(&app, bearer("/me", &login)).await.0, 401);
}

#[tokio::test]
async fn another_site_cannot_use_the_cookie_nor_log_anybody_in() {
    let server = Server::start();
    let sessions = sessions(&server);
    let login = sessions.login(&Login::new("42")).await.unwrap();
    let cookie = format!("__Host-session={}", token(&login));
    let post = |path, site| Request::post(path).header("sec-fetch-site", site).header(header::COOKIE, &cookie);
    let app = self::app(&sessions, layer(&sessions));
    for site in ["cross-site", "same-site"] {
        assert_eq!(challenge(&app, post("/logout", site)).await, (403, String::new()), "{site}");
    }
    let other = Request::post("/login").header(header::ORIGIN, "https://other.example").header(header::HOST, "here");
    assert_eq!(send(&app, other, "43").await.status, 403, "not even without a cookie");
    assert_eq!(sessions.count("42").await.unwrap() + sessions.count("43").await.unwrap(), 1);
    let link = Request::get("/me").header("sec-fetch-site", "cross-site").header(header::COOKIE, &cookie);
    assert_eq!(send(&app, link, "").await.status, 200, "a user who follows a link is logged in");
    let trusting = layer(&sessions).trusted_origins(["https://app.example".parse().unwrap()]);
    let from_app = post("/logout", "cross-site").header(header::ORIGIN, "https://app.example");
    assert_eq!(send(&self::app(&sessions, trusting), from_app, "").await.status, 204);
    let login = sessions.login(&Login::new("42")).await.unwrap();
    let by_header = bearer("/me", token(&login)).method("POST").uri("/logout").header("sec-fetch-site", "cross-site");
    assert_eq!(send(&app, by_header, "").await.status, 204, "no browser adds a header by itself");
}

#[tokio::test]
async fn the_address_is_the_one_that_the_application_tells() {
    let server = Server::start();
    let sessions = sessions(&server);
    let layer = layer(&sessions).client_ip(|parts| parts.headers.get("x-real-ip")?.to_str().ok()?.parse().ok());
    let app = app(&sessions, layer);
    send(&app, Request::post("/login").header("x-real-ip", "2001:db8::7"), "42").await;
    assert_eq!(sessions.devices("42").await.unwrap()[0].ip, Some("2001:db8::7".parse().unwrap()));
}

#[tokio::test]
async fn while_redis_is_away_nobody_is_let_in_unless_the_application_says_so() {
    let mut server = ServerBuilder::new().keys(&["one"]).start();
    let closed = sessions(&server).policy(Policy::new(for_secs(600)));
    let verifier = LocalVerifier::from_jwk_set(jwk_set(&["one"])).unwrap();
    let open = closed.clone().when_away(verifier);
    let login = closed.login(&Login::new("42")).await.unwrap();
    let opaque = closed.clone().policy(Policy::default()).login(&Login::new("42")).await.unwrap();
    server.kill();
    let closed = app(&closed, layer(&closed));
    let answer = send(&closed, bearer("/me", token(&login)), "").await;
    assert_eq!((answer.status, answer.body.as_str()), (503, r#"{"error":"temporarily_unavailable"}"#));
    assert!(answer.headers.contains_key(header::RETRY_AFTER));
    let page = send(&closed, bearer("/", token(&login)), "").await;
    assert_eq!(page.status, 503, "whether somebody is logged in is not known");
    assert_eq!(send(&closed, Request::get("/"), "").await.body, "somebody");
    let open = app(&open, layer(&open));
    assert_eq!(send(&open, bearer("/me", token(&login)), "").await.body, "42 TokenOnly");
    for opaque in [token(&opaque), "rst1.NDI.AAECAwQFBgcICQoLDA0ODw.c2ln"] {
        let cookie = format!("__Host-session={opaque}");
        let answer = send(&open, Request::get("/me").header(header::COOKIE, cookie), "").await;
        assert_eq!(answer.status, 503, "an outage logs nobody out");
        assert!(!answer.headers.contains_key(header::SET_COOKIE));
    }
}

#[tokio::test]
async fn a_route_without_the_layer_is_closed() {
    let app: Router = Router::new().route("/me", get(me));
    assert_eq!(send(&app, Request::get("/me"), "").await.status, 500);
}

#[test]
fn a_session_prints_no_token() {
    let server = Server::start();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let sessions = sessions(&server);
        let printed: Router =
            Router::new().route("/", get(async |session: Session| format!("{session:?}"))).layer(layer(&sessions));
        let login = sessions.login(&Login::new("42")).await.unwrap();
        let printed = send(&printed, bearer("/", token(&login)), "").await.body;
        assert!(printed.contains("42") && !printed.contains(token(&login)), "{printed}");
    });
}

#[tokio::test]
async fn no_log_tells_a_secret() {
    let (log, _guard) = Log::begin();
    // An empty log would prove nothing.
    tracing::trace!("the lowest level");
    ::log::trace!("and by the other way");

    let mut server = ServerBuilder::new().keys(&["one"]).start();
    let mut secrets = vec!["a-most-secret-device".to_owned(), "a most secret value".to_owned()];
    let device = |request: Builder| request.header("x-device", "a-most-secret-device");
    for kind in [TokenFormat::Jwt, TokenFormat::Opaque] {
        let policy = Policy::new(for_secs(600).refreshable().token(kind)).details();
        let sessions = sessions(&server).policy(policy);
        for sessions in [sessions.clone(), sessions.encrypt(DataKeys::new("one", [1; 32]).unwrap())] {
            use_for_the_log(&sessions, device, &mut secrets).await;
        }
    }
    let sessions = sessions(&server);
    let login = sessions.login(&Login::new("42")).await.unwrap();
    secrets.extend(login.token.clone());
    server.kill();
    let app = app(&sessions, layer(&sessions));
    assert_eq!(send(&app, device(bearer("/me", token(&login))), "").await.status, 503);
    assert_eq!(send(&app, device(Request::post("/login")), "42").await.status, 503);

    let log = log.text();
    for part in [
        "session{outcome=",
        "active",
        "revoked",
        "signature",
        "device",
        "unavailable",
        "another site",
        "the lowest level",
        "and by the other way",
    ] {
        assert!(log.contains(part), "{part} is not in the log, so it shows nothing: {log}");
    }
    for secret in secrets {
        assert!(!log.contains(&secret), "{secret} is in the log");
        // Nor a part of it that would do.
        if let Some((_, code)) = secret.rsplit_once('.') {
            assert!(!log.contains(code), "the end of {secret} is in the log");
        }
    }
}

/// All that happens to a session, and puts down what nobody may know of it.
async fn use_for_the_log(sessions: &Sessions, device: impl Fn(Builder) -> Builder, secrets: &mut Vec<String>) {
    let app = app(sessions, layer(sessions).device_headers([header::HeaderName::from_static("x-device")]));
    let first = send(&app, device(Request::post("/login")), "42").await.body;
    let get = |token: &str| device(bearer("/me", token));
    assert_eq!(send(&app, get(&first), "").await.status, 200);
    assert_eq!(send(&app, bearer("/me", &first).header("x-device", "another"), "").await.status, 401);
    assert_eq!(send(&app, get(&format!("{}AAAA", &first[..first.len() - 4])), "").await.status, 401);
    let cookie = format!("__Host-session={first}");
    assert_eq!(send(&app, device(Request::get("/me")).header(header::COOKIE, &cookie), "").await.status, 200);
    let foreign =
        device(Request::post("/logout")).header(header::COOKIE, &cookie).header("sec-fetch-site", "cross-site");
    assert_eq!(send(&app, foreign, "").await.status, 403);
    assert_eq!(send(&app, get(&first).method("POST").uri("/logout"), "").await.status, 204);
    assert_eq!(send(&app, get(&first), "").await.status, 401);
    secrets.push(first);

    let data = HashMap::from(["note", "cart"].map(|name| (name.to_owned(), "a most secret value".to_owned())));
    let visitor = Visitor::new().device("a-most-secret-device");
    let login = sessions.login(&Login::new("42").visitor(&visitor).data(&data).unwrap()).await.unwrap();
    sessions.set_data("42", &login.id, &data).await.unwrap();
    assert_eq!(sessions.data("42", &login.id).await.unwrap(), Some(data));
    assert!(sessions.data::<HashMap<String, u8>>("42", &login.id).await.is_err());
    let refresh_token = login.refresh_token.clone().unwrap();
    let refreshed = sessions.refresh(&refresh_token, &visitor).await.unwrap();
    let renewed = sessions.regenerate(token(&refreshed), &RegenerateOptions::new()).await.unwrap();
    // What is refused goes to the log as an answer of a handler does.
    for refused in [
        sessions.refresh(&refresh_token, &visitor).await.map(drop),
        sessions.refresh(token(&renewed), &visitor).await.map(drop),
        sessions.touch(token(&renewed), &Visitor::new().device("another")).await.map(drop),
        sessions.logout_session("42", "no id\n a most secret value").await.map(drop),
        sessions.logout_others("42", &format!("{refresh_token}AAAA")).await.map(drop),
    ] {
        let status = Rejection::from(refused.unwrap_err()).status();
        assert!(status == 401 || status == 500, "{status}");
    }
    for created in [login, refreshed, renewed] {
        secrets.extend(created.token.into_iter().chain(created.refresh_token));
    }
}
