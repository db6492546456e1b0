//! Administrators: the role, the second factor, and the sessions of others.

use std::time::Duration;

use redis_session_tests::{ServerBuilder, wait_until};
use serde_json::json;

use crate::authenticator::Authenticator;
use crate::client::{Client, credentials};
use crate::{PASSWORD, Service, signed_in, text};

/// An administrator who has shown a second factor.
fn admin(service: &Service) -> (Client, Authenticator) {
    let mut client = service.client();
    client.register("root");
    let app = service.make_admin("root");
    client.sign_in("root");
    client.submit("/confirm", &format!("code={}", app.code())).expect(303);
    (client, app)
}

#[test]
fn administrators_need_the_role_and_a_second_factor() {
    let (_redis, service, mut client) = signed_in();
    client.get("/admin/sessions").expect(401);
    client.other().get("/admin/sessions").expect(401);
    client.post("/second-factor", &json!({ "code": "123456" })).expect(403);
    assert!(!service.run(&["grant-admin", "nobody"]).status.success());

    let app = service.make_admin("ada");
    let refused = client.get("/admin/sessions").expect(401);
    // RFC 9470: what an app must do about it.
    assert!(refused.header("www-authenticate").contains("insufficient_user_authentication"));
    assert_eq!(service.lines("Sign-in is not strong or recent enough").len(), 2);
    client.post("/second-factor", &json!({ "code": "not one" })).expect(401);
    let code = app.code();
    let before = client.cookie.clone();
    client.post("/second-factor", &json!({ "code": code })).expect(200);
    assert_ne!(client.cookie, before, "new rights have a new token");
    let stats = client.get("/admin/sessions").expect(200).json();
    assert_eq!((&stats["users"], &stats["sessions"]), (&json!(1), &json!(1)));

    // Another device has to show another code.
    let mut other = client.other();
    other.sign_in("ada");
    other.get("/admin/sessions").expect(401);
    other.post("/second-factor", &json!({ "code": code })).expect(401);
    other.post("/second-factor", &json!({ "code": app.code() })).expect(200);
    other.get("/admin/sessions").expect(200);

    // The role is asked for each time.
    service.accounts().execute("UPDATE accounts SET role = 'user'", []).unwrap();
    other.get("/admin/sessions").expect(403);
    other.get("/admin").expect(403);
}

#[test]
fn codes_cannot_be_guessed_by_somebody_who_has_the_password() {
    let redis = ServerBuilder::new().start();
    let service = Service::start(&redis, &[("ATTEMPTS_PER_ACCOUNT", "3")]);
    let mut client = service.client();
    client.register("ada");
    let app = service.make_admin("ada");
    for _ in 0..3 {
        client.sign_in("ada");
        client.submit("/confirm", "code=12345").expect(401);
    }
    client.sign_in("ada");
    client.submit("/confirm", &format!("code={}", app.code())).expect(429);
    assert!(service.lines("Sign-in refused").iter().any(|line| line["why"] == "wrong code"));
}

#[test]
fn a_second_factor_is_asked_for_again_after_half_a_day_and_after_a_new_password() {
    let redis = ServerBuilder::new().start();
    let service = Service::start(&redis, &[("SESSION_IDLE", "86400")]);
    let (mut root, app) = admin(&service);
    root.get("/admin/sessions").expect(200);
    root.post("/password", &json!({ "current": PASSWORD, "new": "another long one" })).expect(200);
    root.get("/admin/sessions").expect(401);
    root.submit("/confirm", &format!("code={}", app.code())).expect(303);
    root.get("/admin/sessions").expect(200);
    redis.advance(Duration::from_secs(12 * 3600 + 1));
    root.get("/admin/sessions").expect(401);
    root.get("/me").expect(200);
}

#[test]
fn the_page_for_administrators_asks_for_the_second_factor_first() {
    let (_redis, service, mut client) = signed_in();
    let page = |client: &mut Client| client.other_with_cookie("accept", "text/html").get("/admin");
    assert_eq!(page(&mut client).expect(303).header("location"), "/confirm");
    assert!(!client.get("/").body.contains("/admin"));
    let app = service.make_admin("ada");
    assert!(client.get("/").body.contains("href=\"/admin\""));
    assert!(client.get("/confirm").expect(200).body.contains("authenticator app"));
    assert!(client.submit("/confirm", "code=000").expect(401).body.contains("That code is wrong"));
    assert_eq!(client.submit("/confirm", &format!("code={}", app.code())).expect(303).header("location"), "/admin");
    assert!(page(&mut client).expect(200).body.contains("<h1>Administration</h1>"));
}

#[test]
fn an_administrator_finds_and_ends_a_users_sessions() {
    let (_redis, service, mut ada) = signed_in();
    let mut phone = ada.other().with("user-agent", "Example/2.1 (iPhone; iOS 18.0)");
    phone.sign_in("ada");
    let me = phone.get("/me").json();
    let (user, id) = (text(&me["user"]).to_owned(), text(&me["session"]).to_owned());
    let (mut root, _app) = admin(&service);
    assert!(root.get("/admin?user=nobody").expect(200).body.contains("Nobody has this name."));
    let page = root.get("/admin?user=Ada").expect(200).body;
    assert!(page.contains("Sessions of ada") && page.contains("Example on iPhone"), "{page}");

    root.submit(&format!("/admin/users/{user}/sessions/{id}/end"), "").expect(303);
    phone.get("/me").expect(401);
    ada.get("/me").expect(200);
    root.submit(&format!("/admin/users/{user}/end"), "").expect(303);
    ada.get("/me").expect(401);
    root.get("/me").expect(200);
    root.submit("/admin/users/99/end", "").expect(404);
    let line = &service.lines("All sessions ended by an administrator")[0];
    assert_eq!((text(&line["user"]), &line["ended"]), (user.as_str(), &json!(1)));

    // Another user's address does nothing.
    ada.sign_in("ada");
    let root_id = text(&root.get("/me").json()["user"]).to_owned();
    ada.submit(&format!("/admin/users/{root_id}/end"), "").expect(401);
    root.get("/me").expect(200);
}

#[test]
fn an_administrator_sees_who_was_evicted_or_reused_today() {
    let redis = ServerBuilder::new()
        .config("session.audit-stream audit\nsession.refresh-grace 0\nsession.max-per-user 2")
        .start();
    let service = Service::start(&redis, &[]);
    let (mut root, _app) = admin(&service);
    let mut ada = service.client();
    ada.register("ada");
    let stolen = ada.token("ada").expect(200).json();
    ada.refresh(text(&stolen["refresh_token"])).expect(200);
    ada.refresh(text(&stolen["refresh_token"])).expect(400);
    ada.register("bob");
    for agent in ["one", "two", "three"] {
        ada.other().with("user-agent", agent).post("/login", &credentials("bob", PASSWORD)).expect(200);
    }
    wait_until("the page knows", || {
        let page = root.get("/admin").expect(200).body;
        page.contains("Used from two places") && page.contains("Too many devices") && page.contains("<dd>bob</dd>")
    });
}
