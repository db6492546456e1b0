//! Behind proxies, and with pages of other origins.

use redis_session_tests::Server;

use crate::client::credentials;
use crate::{PASSWORD, Service, started, text};

fn behind(redis: &Server, hops: &str) -> Service {
    Service::start(redis, &[("TRUSTED_HOPS", hops), ("CLIENT_IP_HEADER", ""), ("ATTEMPTS_PER_ADDRESS", "2")])
}

#[test]
fn clients_behind_two_proxies_are_told_apart() {
    let redis = Server::start();
    let service = behind(&redis, "2");
    let from = |chain: &str| service.client().with("x-forwarded-for", chain);
    let mut ada = from("203.0.113.7:4711, 10.0.0.2");
    ada.register("ada");
    let login = ada.sign_in("ada");
    assert_eq!(ada.get("/sessions").json()[0]["ip"], "203.0.113.7");
    assert!(!text(&login["session"]).is_empty());
    // A client can write more entries, but none in the place of the proxy's.
    from("198.51.100.1, 203.0.113.7, 10.0.0.2").post("/login", &credentials("ada", PASSWORD)).expect(429);
    from("[2001:db8::1]:4711, 10.0.0.2").post("/login", &credentials("ada", PASSWORD)).expect(200);
    assert!(service.lines("listening").len() == 1 && !service.log().contains("TRUSTED_HOPS"));
}

#[test]
fn a_header_from_nowhere_is_not_believed_and_warned_of_once() {
    let redis = Server::start();
    let service = behind(&redis, "0");
    for n in 0..2_u8 {
        let guess = service.client().with("x-forwarded-for", format!("203.0.113.{n}"));
        { guess }.post("/login", &credentials("ada", PASSWORD)).expect(401);
    }
    service.client().post("/login", &credentials("ada", PASSWORD)).expect(429);
    assert_eq!(service.log().matches("TRUSTED_HOPS is 0").count(), 1);
}

#[test]
fn browsers_keep_to_tls_once_they_came_by_it() {
    let (_redis, service) = started();
    let hsts = |proto: &str| {
        let answer = service.client().with("x-forwarded-proto", proto).get("/");
        answer.header("strict-transport-security").to_owned()
    };
    assert_eq!(hsts("https"), "max-age=31536000");
    assert_eq!(hsts("http"), "");
}

#[test]
fn other_origins_may_use_the_interface_if_a_setting_names_them() {
    let redis = Server::start();
    let app = "https://app.example";
    let service = Service::start(&redis, &[("CORS_ORIGINS", "https://other.example, https://app.example")]);
    service.client().register("ada");
    let mut page = service.client().with("origin", app).with("sec-fetch-site", "same-site");
    let login = page.post("/login", &credentials("ada", PASSWORD)).expect(200);
    assert_eq!(login.header("access-control-allow-origin"), app);
    assert_eq!(login.header("access-control-allow-credentials"), "true");
    page.post("/logout", &().into()).expect(204);
    let preflight = page.with("access-control-request-method", "PATCH").options("/session");
    assert!(preflight.header("access-control-allow-methods").contains("PATCH"));

    let mut foreign = service.client().with("origin", "https://evil.example").with("sec-fetch-site", "cross-site");
    let refused = foreign.post("/login", &credentials("ada", PASSWORD)).expect(403);
    assert_eq!(refused.header("access-control-allow-origin"), "");
    // Nor do they get at the pages for people.
    let mut page = service.client().with("origin", app).with("sec-fetch-site", "same-site");
    page.submit_credentials("/sign-in", "ada", PASSWORD).expect(403);
}
