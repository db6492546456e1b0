//! No error and no log shows an argument of a command, whatever is the matter with the server.

use std::collections::HashMap;
use std::error::Error;
use std::fmt::Debug;
use std::time::SystemTime;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Extension, State};
use axum::http::{Request, header};
use axum::routing::{get, post};
use redis::{Connection, RedisResult};
use redis_session::{
    AsyncSessionCommands, CreateOptions, RefreshOptions, RegenerateOptions, SessionCommands, SessionErrorCode,
    TokenFormat, ValidateOptions,
};
use redis_session_core::base64url;
use redis_session_store::{DataKeys, Login, Policy, ReconnectingConnection, SessionStore, StoreError, Visitor};
use redis_session_tests::{Server, ServerBuilder, cmd, wait_until};
use redis_session_web::{Rejection, Session, SessionCookie, SessionLayer};
use tower::ServiceExt as _;

use crate::forwarder::Forwarder;
use crate::log::Log;

/// In every argument that is not the name of an option.
const MARK: &str = "zqmark";

fn key() -> String {
    format!("sessions:{}", user())
}

fn user() -> String {
    format!("{MARK}-user")
}

fn id() -> String {
    format!("{MARK}-session-id")
}

fn jwt() -> String {
    let part = |json: String| base64url::encode(json.as_bytes());
    format!("{}.{}.{MARK}AAAA", part(r#"{"alg":"HS256"}"#.into()), part(format!(r#"{{"sub":"{}"}}"#, user())))
}

fn refresh_token() -> String {
    format!("rsr1.{}.{MARK}AAAA.AA.{MARK}BBBB", base64url::encode(user().as_bytes()))
}

fn create() -> CreateOptions {
    CreateOptions::new()
        .id(id())
        .agent(format!("{MARK}-agent"))
        .device(format!("{MARK}-device"))
        .data(format!("{MARK}-field"), format!("{MARK}-value"))
        .claims(format!(r#"{{"{MARK}-claim":"{MARK}-claim"}}"#))
}

fn validate() -> ValidateOptions {
    ValidateOptions::new().device(format!("{MARK}-device")).audience(format!("{MARK}-audience"))
}

fn refresh() -> RefreshOptions {
    RefreshOptions::new().agent(format!("{MARK}-agent")).device(format!("{MARK}-device"))
}

/// Nothing of the arguments, and nothing of what is encoded in them.
#[track_caller]
fn assert_silent(what: &str, text: &str) {
    for part in [MARK, &base64url::encode(user().as_bytes())[..8], jwt().split('.').nth(1).unwrap()] {
        assert!(!text.contains(part), "{what} shows {part}: {text}");
    }
}

/// All that an error can be printed as, its causes too.
fn assert_shows_none<E: Error + Debug>(what: &str, error: &E) {
    assert_silent(what, &format!("{error} {error:?} {error:#?} {error:#}"));
    let mut cause = error.source();
    while let Some(error) = cause {
        assert_silent(what, &format!("{error} {error:?} {error:#?}"));
        cause = error.source();
    }
}

/// The errors of all commands, each over a connection of its own: `[await]` if it is an asynchronous one, `[]` if not.
macro_rules! errors {
    ($connect:expr, $wait:tt) => {
        errors!(@each $connect, $wait,
            session_create(key(), &create()),
            session_register(key(), jwt(), &create()),
            session_validate(key(), jwt(), &validate()),
            session_touch(key(), jwt(), &validate()),
            session_validate_id(key(), id(), &validate()),
            session_touch_id(key(), id(), &validate()),
            session_refresh(key(), refresh_token(), &refresh()),
            session_regenerate(key(), jwt(), &RegenerateOptions::new()),
            session_get(key(), id()),
            session_list(key()),
            session_list_page(key(), 0, 10),
            session_list_ended(key()),
            session_count(key()),
            session_ttl(key(), id()),
            session_set(key(), id(), [(format!("{MARK}-field"), format!("{MARK}-value"))]),
            session_set_version(key(), id(), 7, [(format!("{MARK}-field"), format!("{MARK}-value"))]),
            session_incrby(key(), id(), format!("{MARK}-field"), 1),
            session_unset(key(), id(), &[format!("{MARK}-field")]),
            session_revoke(key(), &[id(), jwt(), refresh_token()]),
            session_revoke_user(key()),
            session_revoke_others(key(), jwt()),
            session_deny(key(), id(), SystemTime::now()),
            session_deny_of_issuer(key(), id(), SystemTime::now(), format!("{MARK}-issuer")),
            session_revoke_all(),
            session_revoke_all_before(SystemTime::now()),
            session_revoke_all_clear(),
            session_stats(),
            session_keys(),
            session_jwks(),
            session_jwks_all(),
            session_reload_keys(),
        )
    };
    (@each $connect:expr, $wait:tt, $($name:ident($($arg:expr),*),)*) => {{
        let mut errors = Vec::new();
        $(
            let mut connection = $connect;
            let error = errors!(@wait $wait, connection.$name($($arg),*)).err();
            errors.extend(error.map(|error| (stringify!($name), error)));
        )*
        errors
    }};
    (@wait [], $result:expr) => { $result.map(drop) };
    (@wait [await], $result:expr) => { $result.await.map(drop) };
}

/// What a command of the store says, over a connection of its own.
async fn store_errors(url: &str) -> Vec<(&'static str, StoreError)> {
    let mut errors = Vec::new();
    for seals in [false, true] {
        let store = || {
            let store = SessionStore::connect(url).unwrap().policy(Policy::new(create()).details());
            if seals { store.encrypt(DataKeys::new("one", [1; 32]).unwrap()) } else { store }
        };
        let visitor = Visitor::new().agent(format!("{MARK}-agent")).device(format!("{MARK}-device"));
        let data = HashMap::from([(format!("{MARK}-field"), format!("{MARK}-value"))]);
        let login = Login::new(user()).visitor(&visitor).claims(format!(r#"{{"{MARK}":1}}"#)).data(&data).unwrap();
        let (user, id, token) = (user(), id(), jwt());
        let mut note = |name, error: Option<StoreError>| errors.extend(error.map(|error| (name, error)));
        note("login", store().login(&login).await.err());
        note("authenticate", store().authenticate(&token, &visitor).await.err());
        note("touch", store().touch(&token, &visitor).await.err());
        note("refresh", store().refresh(&refresh_token(), &visitor).await.err());
        note("regenerate", store().regenerate(&token, &RegenerateOptions::new()).await.err());
        note("reseal", store().reseal(&user, &id, &id).await.err());
        note("logout", store().logout(&token).await.err());
        note("logout_session", store().logout_session(&user, &id).await.err());
        note("logout_everywhere", store().logout_everywhere(&user).await.err());
        note("logout_others", store().logout_others(&user, &id).await.err());
        note("devices", store().devices(&user).await.err());
        note("ended", store().ended(&user).await.err());
        note("promote", store().promote(&token, &login).await.err());
        note("count", store().count(&user).await.err());
        note("session", store().session(&user, &id).await.err());
        note("data", store().data::<HashMap<String, String>>(&user, &id).await.err());
        note("set_data", store().set_data(&user, &id, &data).await.err());
        let change = |data: &mut HashMap<String, String>| data.clear();
        note("update_data", store().update_data(&user, &id, change).await.err());
        note("remove_data", store().remove_data(&user, &id, &[&format!("{MARK}-field")]).await.err());
    }
    errors
}

type Sessions = SessionStore<ReconnectingConnection>;

/// What a web application answers.
async fn web_answers(url: &str) -> String {
    let mut answers = String::new();
    let sessions = || SessionStore::connect(url).unwrap();
    let log_in = async |State(sessions): State<Sessions>, Extension(visitor): Extension<Visitor>| {
        sessions.login(&Login::new(user()).visitor(&visitor)).await.map_err(Rejection::from).map(drop)
    };
    for request in [
        Request::get("/me").header(header::AUTHORIZATION, format!("Bearer {}", jwt())),
        Request::get("/me").header(header::COOKIE, format!("__Host-session={}", jwt())),
        Request::post("/login").header(header::USER_AGENT, format!("{MARK}-agent")),
    ] {
        let app: Router = Router::new()
            .route("/me", get(async |session: Session| session.user.clone()))
            .route("/login", post(log_in))
            .layer(SessionLayer::new(sessions()).cookie(SessionCookie::new("session")))
            .with_state(sessions());
        let answer = app.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let (parts, body) = answer.into_parts();
        answers += &format!("{parts:?} {:?}\n", to_bytes(body, 10_000).await.unwrap());
    }
    answers
}

/// What there was of errors, by the text of each.
struct Seen(Vec<(&'static str, String)>);

impl Seen {
    #[track_caller]
    fn assert_all(&self, least: usize, has: &str) {
        assert!(self.0.len() >= least, "{:?}", self.0);
        for (name, error) in &self.0 {
            assert!(error.contains(has), "{name}: {error}");
        }
    }
}

/// Runs everything against this server and looks for arguments. `connect` makes a connection, of the thin client.
async fn run(url: &str, connect: impl Fn() -> Connection) -> Seen {
    let (log, _guard) = Log::begin();
    tracing::trace!("the lowest level");
    let mut seen = Vec::new();
    let mut note = |name, error: &dyn Error| seen.push((name, error.to_string()));
    for (name, error) in errors!(connect(), []) {
        assert_shows_none(name, &error);
        note(name, &error);
    }
    let client = redis::Client::open(url).unwrap();
    if let Ok(connection) = client.get_multiplexed_async_connection().await {
        for (name, error) in errors!(connection.clone(), [await]) {
            assert_shows_none(name, &error);
            note(name, &error);
        }
    }
    for (name, error) in store_errors(url).await {
        assert_shows_none(name, &error);
        note(name, &error);
    }
    assert_silent("an answer", &web_answers(url).await);
    let log = log.text();
    assert!(log.contains("the lowest level") && log.contains("sessions can"), "{log}");
    assert_silent("the log", &log);
    Seen(seen)
}

#[test]
fn all_commands_are_run() {
    let this = include_str!("arguments.rs");
    let names = |source: &'static str, start: &'static str| {
        let lines = source.lines().filter_map(move |line| line.trim_start().strip_prefix(start));
        lines.filter_map(|line| line.split('(').next()?.split('<').next()).collect::<Vec<_>>()
    };
    let commands = names(include_str!("../../client/src/commands.rs"), "fn session_");
    assert!(commands.len() >= 21, "{commands:?}");
    for name in commands {
        assert!(this.contains(&format!("            session_{name}(")), "{name}");
    }
    let of_guests = names(include_str!("../../store/src/guest.rs"), "pub async fn ");
    let methods = [names(include_str!("../../store/src/store.rs"), "pub async fn "), of_guests].concat();
    assert!(methods.len() >= 16, "{methods:?}");
    for name in methods {
        assert!(this.contains(&format!("note(\"{name}\", store().{name}")), "{name}");
    }
}

#[tokio::test]
async fn a_server_without_the_module() {
    let server = ServerBuilder::new().without_module().start();
    let raw = redis::cmd("SESSION.TOUCH").arg(key()).arg(jwt()).exec(&mut server.connection()).unwrap_err();
    assert!(raw.to_string().contains(MARK), "or there is nothing to hide: {raw}");
    assert_eq!(SessionErrorCode::of(&raw), Some(SessionErrorCode::ModuleMissing));
    assert_shows_none("a redacted error", &redis_session::redact(raw));
    let seen = run(&server.url(), || server.connection()).await;
    // The server repeats the beginning of a sealed value too, whose random bytes are hardly ever a text that redis-rs takes.
    let (sealed, seen): (Vec<_>, _) = seen.0.into_iter().partition(|(_, error)| error.contains("no reply"));
    assert!(sealed.iter().all(|(name, _)| *name == "set_data"), "{sealed:?}");
    Seen(seen).assert_all(60, "load it");
    let error = SessionStore::connect(server.url()).unwrap().count(&user()).await.unwrap_err();
    assert!(matches!(error, StoreError::ModuleMissing), "{error:?}");
    assert!(web_answers(&server.url()).await.contains("503"));
}

#[tokio::test]
async fn a_wrong_password() {
    let server = Server::start();
    cmd(&mut server.connection(), &format!("CONFIG SET requirepass {MARK}-right")).unwrap();
    let url = format!("redis://:{MARK}-wrong@127.0.0.1:{}/", server.port());
    let error = redis::Client::open(url.as_str()).unwrap().get_connection().map(drop).unwrap_err();
    assert_shows_none("a login at the server", &error);
    run(&url, || server.client().get_connection().unwrap()).await.assert_all(50, "");
}

#[tokio::test]
async fn a_server_that_is_loading() {
    // It takes minutes over what it gets from its primary.
    let primary = ServerBuilder::new().config("rdbcompression no").start();
    cmd(&mut primary.connection(), "DEBUG POPULATE 20000 key 2048").unwrap();
    let server = ServerBuilder::new()
        .config("key-load-delay 20000\nloading-process-events-interval-bytes 1024\nrepl-diskless-load disabled")
        .config("replica-read-only no")
        .start();
    cmd(&mut server.connection(), &format!("REPLICAOF 127.0.0.1 {}", primary.port())).unwrap();
    wait_until("the server is loading", || server.info("persistence", "loading") == "1");
    let seen = run(&server.url(), || server.connection()).await;
    assert_eq!(server.info("persistence", "loading"), "1", "until the end");
    // SESSION.STATS, SESSION.KEYS and SESSION.JWKS have no key and are answered.
    seen.assert_all(60, "oading");
}

#[tokio::test]
async fn a_server_whose_replies_are_cut() {
    let server = Server::start();
    for bytes in [0, 1, 9, 40] {
        let forwarder = Forwarder::to(server.port());
        let url = forwarder.url();
        let connect = || {
            forwarder.cut_replies_to(usize::MAX);
            let connection = redis::Client::open(url.as_str()).unwrap().get_connection().unwrap();
            forwarder.cut_replies_to(bytes);
            connection
        };
        run(&url, connect).await.assert_all(20, "");
    }
}

#[tokio::test]
async fn values_that_are_refused() {
    let server = Server::start();
    let long = |length| format!("{MARK}-{}", "x".repeat(length));
    let mut connection = server.connection();
    for options in [
        CreateOptions::new().id(long(200)),
        CreateOptions::new().id(format!("{MARK}\n")),
        CreateOptions::new().id(jwt()),
        CreateOptions::new().claims(long(9)),
        CreateOptions::new().claims(format!(r#"{{"{MARK}-claim":1,"{MARK}-claim":2}}"#)),
        CreateOptions::new().claims(r#"{"sub":"zqmark"}"#),
        CreateOptions::new().device(long(5000)),
        CreateOptions::new().data(long(2000), "x"),
        CreateOptions::new().data(long(9), "x").data(long(9), "y"),
        CreateOptions::new().data(long(9), long(100_000)),
        CreateOptions::new().token(TokenFormat::Opaque).id(refresh_token()),
    ] {
        let error = connection.session_create(key(), &options).unwrap_err();
        assert_shows_none("a value that is refused", &error);
    }
    let odd_key: RedisResult<u64> = connection.session_count(long(9));
    assert_shows_none("a key that is refused", &odd_key.unwrap_err());
    let store = SessionStore::connect(server.url()).unwrap();
    let data = HashMap::from([(format!("{MARK}-field"), format!("{MARK}-value"))]);
    let login = store.login(&Login::new(user()).data(&data).unwrap()).await.unwrap();
    let other = store.data::<HashMap<String, u8>>(&user(), &login.id).await.unwrap_err();
    assert!(other.to_string().contains("expected u8"), "{other}");
    assert_shows_none("data of another type", &other);
    let sealed = store.encrypt(DataKeys::new("one", [1; 32]).unwrap());
    assert_shows_none(
        "data that are not sealed",
        &sealed.data::<HashMap<String, String>>(&user(), &login.id).await.unwrap_err(),
    );
}
