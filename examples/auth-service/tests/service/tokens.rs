//! Tokens for apps.

use std::time::Duration;

use redis_session_tests::ServerBuilder;
use serde_json::{Value, json};

use crate::client::{Client, credentials};
use crate::{PASSWORD, Service, started, text};

/// How long an access token lasts unless `TOKEN_TTL` says otherwise.
const ACCESS: Duration = Duration::from_secs(600);

fn tokens(client: &mut Client) -> Value {
    client.register("ada");
    client.post("/token", &credentials("ada", PASSWORD)).expect(200).json()
}

fn refresh(client: &mut Client, token: &Value) -> crate::client::Answer {
    client.post("/refresh", &json!({ "refresh_token": token }))
}

#[test]
fn an_app_has_a_token_that_opens_and_no_cookie() {
    let (_redis, service) = started();
    let mut client = service.client();
    let tokens = tokens(&mut client);
    assert_eq!(client.cookie, None);
    assert_eq!(tokens["token_type"], "Bearer");
    let mut app = client.bearer(text(&tokens["access_token"]));
    assert_eq!(app.get("/me").expect(200).json()["session"], tokens["session"]);
    client.bearer(text(&tokens["refresh_token"])).get("/me").expect(401);
}

#[test]
fn a_refresh_token_gets_new_tokens_of_the_same_session() {
    let (_redis, service) = started();
    let mut client = service.client();
    let first = tokens(&mut client);
    let second = refresh(&mut client, &first["refresh_token"]).expect(200).json();
    assert_eq!(second["session"], first["session"]);
    assert_ne!(second["refresh_token"], first["refresh_token"]);
    client.bearer(text(&second["access_token"])).get("/me").expect(200);
    refresh(&mut client, &"nonsense".into()).expect(401);
    assert_eq!(service.lines("Token refreshed").len(), 1);
}

#[test]
fn an_access_token_ends_and_the_refresh_token_gets_another() {
    let (redis, service) = started();
    let mut client = service.client();
    let first = tokens(&mut client);
    let mut app = client.bearer(text(&first["access_token"]));
    app.get("/me").expect(200);
    redis.advance(ACCESS);
    app.get("/me").expect(401);
    assert!(!service.lines("Token has expired").is_empty());
    refresh(&mut client, &first["refresh_token"]).expect(200);
}

#[test]
fn a_logout_with_an_access_token_that_has_ended_ends_the_session() {
    let (redis, service) = started();
    let mut client = service.client();
    let first = tokens(&mut client);
    let mut app = client.bearer(text(&first["access_token"]));
    redis.advance(ACCESS);
    app.get("/me").expect(401);
    app.post("/logout", &().into()).expect(204);
    refresh(&mut client, &first["refresh_token"]).expect(401);
    assert_eq!(service.lines("Signed out with an old token")[0]["user"], "1");
    client.bearer("nonsense").post("/logout", &().into()).expect(204);
}

#[test]
fn a_stolen_refresh_token_ends_the_session_for_the_thief_too() {
    let redis = ServerBuilder::new().config("session.refresh-grace 0").start();
    let service = Service::start(&redis, &[]);
    let mut client = service.client();
    let stolen = tokens(&mut client);
    let taken = refresh(&mut client.other(), &stolen["refresh_token"]).expect(200).json();
    client.bearer(text(&taken["access_token"])).get("/me").expect(200);
    // The app comes with the token that it has.
    refresh(&mut client, &stolen["refresh_token"]).expect(401);
    refresh(&mut client, &taken["refresh_token"]).expect(401);
    client.bearer(text(&taken["access_token"])).get("/me").expect(401);
    client.bearer(text(&stolen["access_token"])).get("/me").expect(401);
    let lines = service.lines("Refresh token was used twice: session has been ended");
    assert_eq!(lines.len(), 4);
    assert!(lines.iter().all(|line| line["user"] == "1" && line["reason"] == "reused"), "{lines:?}");
}
