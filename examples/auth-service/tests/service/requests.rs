//! What every request and every answer have.

use serde_json::json;

use crate::client::credentials;
use crate::{PASSWORD, signed_in, started, text};

#[test]
fn every_answer_has_the_headers_that_protect_a_browser() {
    let (_redis, _service, mut client) = signed_in();
    for path in ["/", "/me", "/static/live.js", "/health", "/nothing", "/sign-up"] {
        let answer = client.get(path);
        let policy = answer.header("content-security-policy");
        for part in ["default-src 'none'", "script-src 'self';", "frame-ancestors 'none'", "base-uri 'none'"] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("x-frame-options"), "DENY", "{path}");
        let is_file = path.starts_with("/static/");
        assert_eq!(answer.header("cache-control") == "no-store", !is_file, "{path}");
    }
}

#[test]
fn a_line_of_the_log_is_found_by_the_id_of_its_request() {
    let (_redis, service) = started();
    let mut client = service.client();
    client.register("ada");
    let login = client.post("/login", &credentials("ada", PASSWORD)).expect(200);
    let id = login.header("x-request-id");
    assert_eq!(id.len(), 16);
    let lines = service.lines("Signed in");
    assert_eq!((text(&lines[0]["span"]["id"]), text(&lines[0]["span"]["path"])), (id, "/login"));
    assert_ne!(client.get("/me").header("x-request-id"), id);
}

#[test]
fn no_password_and_no_token_is_logged() {
    let (_redis, service, mut client) = signed_in();
    let tokens = client.other().token("ada").expect(200).json();
    client.other().post("/login", &credentials("ada", "a wrong secret password")).expect(401);
    client.post("/password", &json!({ "current": PASSWORD, "new": "another long secret" })).expect(200);
    client.bearer(text(&tokens["access_token"])).get("/me").expect(401);
    client.refresh(text(&tokens["refresh_token"])).expect(400);
    let cookie = client.cookie.clone().unwrap();
    let cookie = cookie.split_once('=').unwrap().1;
    client.delete(&format!("/sessions/{cookie}")).expect(404);
    client.post("/logout", &().into()).expect(204);
    let log = service.log();
    for secret in [PASSWORD, "secret", text(&tokens["access_token"]), text(&tokens["refresh_token"])] {
        assert!(!log.contains(secret), "{log}");
    }
    assert!(log.contains("Signed out"), "{log}");
}

#[test]
fn another_site_cannot_make_a_browser_do_anything() {
    let (_redis, _service, client) = signed_in();
    let cookie = client.cookie.clone();
    for header in [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")] {
        let mut browser = client.other().with(header.0, header.1);
        browser.cookie.clone_from(&cookie);
        browser.post("/logout-all", &().into()).expect(403);
        let page = browser.submit("/sign-out-everywhere", "").expect(403);
        assert!(page.body.contains("Another site asked for this"), "{}", page.body);
        browser.cookie = None;
        browser.submit("/sign-in", &format!("name=ada&password={PASSWORD}")).expect(403);
        assert_eq!(browser.cookie, None, "nor sign anybody in");
    }
    let mut browser = client.other();
    browser.cookie = cookie;
    browser.get("/me").expect(200);
}
