//! Ends of sessions: a protected route is closed, and the log says why.

use std::time::Duration;

use redis_session_tests::{Server, advance_past};

use crate::{Service, in_redis, signed_in, text, ttl};

/// The reasons of the refusals that have this message.
fn reasons(service: &Service, message: &str) -> Vec<String> {
    service.lines(message).iter().map(|line| text(&line["reason"]).to_owned()).collect()
}

#[test]
fn a_logout_closes_at_once_and_is_told_from_a_logout_everywhere() {
    let (_redis, service, mut client) = signed_in();
    let before = client.cookie.clone();
    client.post("/logout", &().into()).expect(204);
    assert_eq!(client.cookie, None, "the browser has no cookie any more");
    client.cookie = before;
    let one = client.get("/me").expect(401);
    assert_eq!(reasons(&service, "Token has been revoked"), ["revoked"]);
    assert_eq!(reasons(&service, "All user sessions have been revoked"), [""; 0]);

    client.cookie = None;
    let login = client.sign_in("ada");
    let before = client.cookie.clone();
    assert_eq!(client.post("/logout-all", &().into()).expect(200).json()["ended"], 1);
    client.cookie = before;
    let all = client.get("/me").expect(401);
    assert_eq!(reasons(&service, "Token has been revoked"), ["revoked"]);
    assert_eq!(reasons(&service, "All user sessions have been revoked"), ["user_revoked"]);
    assert_eq!(service.lines("All user sessions have been revoked")[0]["user"], login["user"]);
    assert_eq!((one.json()["reason"].as_str(), all.json()["reason"].as_str()), (Some("revoked"), Some("user_revoked")));
}

#[test]
fn a_session_ends_with_its_time() {
    let redis = Server::start();
    let service = Service::start(&redis, &[("SESSION_TTL", "3600")]);
    let mut client = service.client();
    let user = client.register("ada");
    let login = client.sign_in("ada");
    let end = in_redis(&redis, &user, text(&login["session"])).expect("a session").int("expires_at");
    // In use until then, lest it end for being idle.
    for _ in 0..3 {
        redis.advance(Duration::from_secs(1100));
        client.get("/me").expect(200);
    }
    advance_past(&mut redis.connection(), end);
    client.get("/me").expect(401);
    assert_eq!(reasons(&service, "Session has expired").len(), 1);
}

#[test]
fn a_session_that_is_not_used_ends_and_looking_on_is_no_use() {
    let redis = Server::start();
    let service = Service::start(&redis, &[("SESSION_IDLE", "1800")]);
    let mut client = service.client();
    let user = client.register("ada");
    let login = client.sign_in("ada");
    redis.advance(Duration::from_secs(1000));
    client.get("/me").expect(200);
    redis.advance(Duration::from_secs(1000));
    // What an open page asks by itself.
    client.get("/devices").expect(200);
    let left = ttl(&redis, &user, text(&login["session"]));
    assert!(left <= 800_000, "{left}");
    redis.advance(Duration::from_secs(800));
    client.get("/devices").expect(401);
    client.get("/me").expect(401);
    assert!(!reasons(&service, "Session was idle for too long").is_empty());
}

#[test]
fn a_logout_everywhere_reaches_every_device_and_a_new_login_works() {
    let (_redis, _service, mut here) = signed_in();
    let mut other = here.other();
    other.sign_in("ada");
    let app = here.other().token("ada").expect(200).json();
    let mut app = here.bearer(text(&app["access_token"]));
    assert_eq!(here.post("/logout-all", &().into()).expect(200).json()["ended"], 3);
    other.get("/me").expect(401);
    app.get("/me").expect(401);
    here.sign_in("ada");
    here.get("/me").expect(200);
}

#[test]
fn a_logout_without_a_live_session_is_a_success() {
    let (_redis, _service, mut client) = signed_in();
    let dead = client.cookie.clone();
    client.post("/logout", &().into()).expect(204);
    client.cookie = dead;
    client.post("/logout", &().into()).expect(204);
    assert_eq!(client.cookie, None);
    client.post("/logout", &().into()).expect(204);
}

#[test]
fn a_logout_leaves_nothing_but_a_trace() {
    let (redis, _service, mut client) = signed_in();
    let me = client.get("/me").json();
    let (user, id) = (text(&me["user"]), text(&me["session"]));
    assert!(in_redis(&redis, user, id).is_some());
    client.post("/logout", &().into()).expect(204);
    assert_eq!(in_redis(&redis, user, id), None);
}
