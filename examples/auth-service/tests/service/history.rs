//! The history of a user's sign-ins.

use redis_session_tests::{Server, ServerBuilder, wait_until};
use serde_json::Value;

use crate::client::Client;
use crate::{Service, text};

fn started() -> (Server, Service) {
    let redis = ServerBuilder::new().config("session.audit-stream audit\nsession.max-per-user 3").start();
    let service = Service::start(&redis, &[]);
    (redis, service)
}

/// The agents of a user's sign-ins, the newest first, each with how the session ended.
fn history(client: &mut Client) -> Vec<String> {
    let told = |entry: &Value| format!("{} {}", text(&entry["agent"]), entry["reason"].as_str().unwrap_or("alive"));
    client.get("/history").expect(200).json().as_array().unwrap().iter().map(told).collect()
}

#[test]
fn users_see_where_they_signed_in_and_how_it_ended() {
    let (_redis, service) = started();
    let with_agent = |agent: &str| service.client().with("user-agent", agent).with("x-real-ip", "203.0.113.7");
    let mut first = with_agent("first");
    first.register("ada");
    first.sign_in("ada");
    first.post("/logout", &().into()).expect(204);
    for agent in ["second", "third"] {
        with_agent(agent).sign_in("ada");
    }
    let mut here = with_agent("here");
    here.sign_in("ada");
    let mut newest = with_agent("newest");
    newest.sign_in("ada");
    here.submit("/sign-out-others", "").expect(303);
    let expected = ["newest user_revoked", "here alive", "third user_revoked", "second evicted", "first revoked"]
        .map(str::to_owned);
    wait_until("all is known", || history(&mut here) == expected);
    let page = here.get("/your-history").expect(200).body;
    for words in ["<h1>History</h1>", "Signed out everywhere", "Too many devices", "203.0.113.7"] {
        assert!(page.contains(words), "{words}: {page}");
    }

    // Nobody sees another user's.
    let mut eve = with_agent("eve");
    eve.register("eve");
    eve.sign_in("eve");
    wait_until("it is known", || history(&mut eve) == ["eve alive"]);
    here.other().get("/history").expect(401);
}

#[test]
fn a_session_with_new_tokens_is_the_same_in_the_history() {
    let (_redis, service) = started();
    let mut here = service.client().with("user-agent", "here");
    here.register("ada");
    here.sign_in("ada");
    let passwords = serde_json::json!({ "current": crate::PASSWORD, "new": "another long one" });
    here.post("/password", &passwords).expect(200);
    let id = text(&here.get("/me").json()["session"]).to_owned();
    wait_until("it has the new id", || here.get("/history").json()[0]["id"] == id.as_str());
    assert_eq!(history(&mut here), ["here alive"]);
}

#[test]
fn the_history_goes_on_after_a_restart_and_tells_nothing_twice() {
    let redis = ServerBuilder::new().config("session.audit-stream audit").start();
    let accounts = tempfile::tempdir().unwrap();
    let database = accounts.path().join("accounts.sqlite").display().to_string();
    let service = Service::start(&redis, &[("DATABASE", &database)]);
    let mut here = service.client().with("user-agent", "here");
    here.register("ada");
    here.sign_in("ada");
    wait_until("it is known", || history(&mut here) == ["here alive"]);
    assert!(service.stop().success());
    let service = Service::start(&redis, &[("DATABASE", &database)]);
    let mut there = service.client().with("user-agent", "there");
    there.sign_in("ada");
    wait_until("both are known", || history(&mut there) == ["there alive", "here alive"]);
}
