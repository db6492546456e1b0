//! Signing up and in, and what a session then is.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use redis_session_tests::{Server, cmd, text as text_of, wait_until};
use serde_json::json;

use crate::client::credentials;
use crate::{PASSWORD, Service, in_redis, signed_in, started, text, ttl};

/// The words of a page between two others.
fn between<'a>(page: &'a str, before: &str, after: &str) -> &'a str {
    page.split_once(before).and_then(|(_, rest)| rest.split_once(after)).map(|(words, _)| words).unwrap()
}

#[test]
fn the_service_needs_no_more_of_redis_than_its_readme_says() {
    let app = between(include_str!("../../../../users.acl"), "user app on >change-me ", "\n");
    let more = between(include_str!("../../README.md"), "attempts and the history\n`", "`");
    let user = format!("user app on >change-me {app} {more}");
    let redis = Server::builder().config(format!("session.audit-stream audit\n{user}")).start();
    let url = redis.url().replace("redis://", "redis://app:change-me@");
    let service = Service::start(&redis, &[("REDIS_URL", &url), ("ATTEMPTS_PER_ACCOUNT", "1")]);
    let mut client = service.client();
    client.register("ada");
    client.sign_in("ada");
    client.get("/me").expect(200);
    client.get("/sessions").expect(200);
    client.get("/health").expect(200);
    wait_until("the history is known", || !client.get("/history").json().as_array().unwrap().is_empty());
    client.post("/logout", &().into()).expect(204);
}

#[test]
fn a_login_is_a_session_in_redis_whose_time_runs() {
    let (redis, service) = started();
    let mut client = service.client().with("user-agent", "a phone").with("x-real-ip", "203.0.113.7");
    let user = client.register("ada");
    let login = client.sign_in("ada");
    assert_eq!(text(&login["user"]), user);
    let id = text(&login["session"]);
    let session = in_redis(&redis, &user, id).expect("a session");
    assert_eq!((session.str("agent"), session.str("ip")), ("a phone".into(), "203.0.113.7".into()));
    let first = ttl(&redis, &user, id);
    assert!(first > 0, "{first}");
    redis.advance(Duration::from_secs(60));
    let left = ttl(&redis, &user, id);
    assert!(left <= first - 60_000, "{left} of {first}");
    let key_ttl = redis_session_tests::cmd(&mut redis.connection(), &format!("PTTL sessions:{user}")).unwrap();
    assert!(redis::from_redis_value::<i64>(key_ttl).unwrap() > 0, "nothing stays for ever");

    let me = client.get("/me").expect(200).json();
    assert_eq!((text(&me["name"]), text(&me["role"]), text(&me["session"])), ("ada", "user", id));
}

#[test]
fn a_session_is_opened_by_its_cookie_alone() {
    let (_redis, _service, mut client) = signed_in();
    let cookie = client.cookie.clone().unwrap();
    assert!(cookie.starts_with("__Host-session=rst1."), "{cookie}");
    client.other().get("/me").expect(401);
    let mut thief = client.other();
    thief.cookie = Some(format!("{}AAAA", &cookie[..cookie.len() - 4]));
    thief.get("/me").expect(401);
    client.get("/me").expect(200);
}

#[test]
fn users_who_ask_to_be_remembered_are_signed_in_for_longer() {
    let (redis, _service, mut client) = signed_in();
    let short = client.sign_in("ada");
    let mut body = credentials("ada", PASSWORD);
    body["remember"] = true.into();
    let long = client.post("/login", &body).expect(200).json();
    let user = text(&long["user"]);
    assert!(ttl(&redis, user, text(&long["session"])) > 29 * 86_400_000);
    assert_eq!(in_redis(&redis, user, text(&short["session"])), None, "the browser's earlier session has ended");

    // New tokens of the session last as long, and so does their cookie.
    client.patch("/session", &json!({ "theme": "dark" })).expect(200);
    let changed = client.post("/password", &json!({ "current": PASSWORD, "new": "another long one" })).expect(200);
    assert!(changed.header("set-cookie").contains("Max-Age="), "{}", changed.header("set-cookie"));
}

#[test]
fn a_wrong_password_and_a_name_that_nobody_has_are_answered_alike() {
    let (_redis, service, client) = signed_in();
    let wrong = client.other().post("/login", &credentials("ada", "wrong horse battery"));
    let nobody = client.other().post("/login", &credentials("bob", PASSWORD));
    let odd = client.other().post("/login", &credentials("no such: name", PASSWORD));
    for answer in [&nobody, &odd] {
        assert_eq!((answer.status, &answer.body), (401, &wrong.body));
    }
    assert_eq!(wrong.status, 401);
    let why: Vec<_> = service.lines("Sign-in refused").iter().map(|line| text(&line["why"]).to_owned()).collect();
    assert_eq!(why, ["wrong password", "no such account", "no such account"]);
    assert!(!service.log().contains("bob"), "a name that nobody has may be a password");
}

#[test]
fn names_are_taken_once_in_whatever_case() {
    let (_redis, _service, client) = signed_in();
    let mut client = client.other();
    client.post("/register", &credentials("ADA", PASSWORD)).expect(409);
    client.post("/register", &credentials("a b", PASSWORD)).expect(422);
    client.post("/register", &credentials("bob", "too short")).expect(422);
    client.sign_in("Ada");
}

#[test]
fn a_change_of_password_signs_out_all_other_devices() {
    let (_redis, service, mut here) = signed_in();
    let mut other = here.other();
    other.sign_in("ada");
    let app = here.other().token("ada").expect(200).json();
    let mut app = here.bearer(text(&app["access_token"]));
    app.get("/me").expect(200);

    here.post("/password", &json!({ "current": "not the current one", "new": "a new long password" })).expect(401);
    here.post("/password", &json!({ "current": PASSWORD, "new": "short" })).expect(422);
    other.get("/me").expect(200);
    let before = here.cookie.clone();
    here.post("/password", &json!({ "current": PASSWORD, "new": "a new long password" })).expect(200);

    here.get("/me").expect(200);
    let mut thief = here.other();
    thief.cookie = before;
    thief.get("/me").expect(401);
    other.get("/me").expect(401);
    app.get("/me").expect(401);
    other.other().post("/login", &credentials("ada", PASSWORD)).expect(401);
    other.other().post("/login", &credentials("ada", "a new long password")).expect(200);
    assert_eq!(service.lines("Password changed, other sessions ended")[0]["ended"], 2);
}

#[test]
fn a_login_with_the_old_password_loses_to_a_change_of_password() {
    let (redis, service) = started();
    let mut client = service.client();
    let user = client.register("ada");
    client.register("bob");
    let accounts = service.accounts();
    let mut con = redis.connection();
    let set_hash =
        |hash: &str| accounts.execute("UPDATE accounts SET password = ? WHERE name = 'ada'", [hash]).unwrap();
    let hash_of = |name: &str| {
        let select = "SELECT password FROM accounts WHERE name = ?";
        accounts.query_row(select, [name], |row| row.get::<_, String>(0)).unwrap()
    };
    let (old, new) = (hash_of("ada"), hash_of("bob"));
    wait_until("the login is under way while the password is changed", || {
        set_hash(&old);
        // The login has read the old hash when it comes to count the attempt, and there it waits.
        cmd(&mut con, "CLIENT PAUSE 30000 WRITE").unwrap();
        let mut login = service.client();
        let login = std::thread::spawn(move || login.post("/login", &credentials("ada", PASSWORD)).status);
        // Of the flags, `b` says that a client is blocked.
        let is_blocked = |field: &str| field.strip_prefix("flags=").is_some_and(|flags| flags.contains('b'));
        let is_waiting = |con: &mut _| text_of(&cmd(con, "CLIENT LIST").unwrap()).split(' ').any(is_blocked);
        wait_until("the login waits", || login.is_finished() || is_waiting(&mut con));
        set_hash(&new);
        cmd(&mut con, "CLIENT UNPAUSE").unwrap();
        match login.join().unwrap() {
            401 => true,
            // It has waited for longer than the service does.
            503 => false,
            other => panic!("{other}"),
        }
    });
    let sessions = cmd(&mut con, &format!("SESSION.COUNT sessions:{user}")).unwrap();
    assert_eq!(sessions, redis::Value::Int(0));
}

#[test]
fn what_is_kept_with_a_session_is_of_that_device() {
    let (_redis, _service, mut here) = signed_in();
    let mut other = here.other();
    other.sign_in("ada");
    assert_eq!(here.get("/me").json()["preferences"]["theme"], "system");
    here.patch("/session", &json!({ "theme": "dark" })).expect(200);
    here.patch("/session", &json!({ "theme": "plaid" })).expect(422);
    here.patch("/session", &json!({ "role": "admin" })).expect(422);
    here.patch("/session", &json!({ "remembered": true })).expect(422);
    // A field that is not named stays.
    assert_eq!(here.patch("/session", &json!({})).expect(200).json()["theme"], "dark");
    assert_eq!(here.get("/me").json()["preferences"]["theme"], "dark");
    assert_eq!(other.get("/me").json()["preferences"]["theme"], "system");
}

#[test]
fn accounts_and_sessions_outlive_the_service() {
    let redis = Server::start();
    let accounts = tempfile::tempdir().unwrap();
    let database = accounts.path().join("accounts.sqlite").display().to_string();
    let service = Service::start(&redis, &[("DATABASE", &database)]);
    let mut client = service.client();
    client.register("ada");
    client.sign_in("ada");
    assert!(service.stop().success());
    let service = Service::start(&redis, &[("DATABASE", &database)]);
    let mut again = service.client();
    again.cookie = client.cookie;
    again.get("/me").expect(200);
    again.other().sign_in("ada");
}

#[test]
fn a_name_may_be_an_e_mail_address() {
    let (_redis, service) = started();
    let mut client = service.client();
    client.post("/register", &credentials("Ada+Work@Mail.Example", PASSWORD)).expect(201);
    client.sign_in("ada+work@mail.example");
    assert_eq!(client.get("/me").expect(200).json()["name"], "ada+work@mail.example");
    client.other().post("/register", &credentials("@mail.example", PASSWORD)).expect(422);
}

#[test]
fn the_accounts_are_for_their_owner_alone() {
    let redis = Server::start();
    let accounts = tempfile::tempdir().unwrap();
    let database = accounts.path().join("accounts.sqlite");
    // As an earlier start, or a copy, may have left it.
    std::fs::write(&database, "").unwrap();
    std::fs::set_permissions(&database, Permissions::from_mode(0o644)).unwrap();
    let service = Service::start(&redis, &[("DATABASE", &database.display().to_string())]);
    service.client().register("ada");
    let files: Vec<_> = std::fs::read_dir(accounts.path()).unwrap().map(Result::unwrap).collect();
    assert!(files.len() > 1, "a journal too");
    for file in files {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{file:?}");
    }
}
