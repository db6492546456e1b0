//! Tokens for apps.

use std::time::Duration;

use base64::Engine as _;
use redis_session_tests::ServerBuilder;
use serde_json::Value;

use crate::client::{Answer, Client, credentials};
use crate::{Service, started, text};

/// How long an access token lasts unless `TOKEN_TTL` says otherwise.
const ACCESS: Duration = Duration::from_secs(600);

fn tokens(client: &mut Client) -> Value {
    client.register("ada");
    client.token("ada").expect(200).json()
}

fn refresh(client: &mut Client, token: &Value) -> Answer {
    client.refresh(text(token))
}

/// The claims of a JWT, unverified.
fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    let decoded = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).unwrap();
    serde_json::from_slice(&decoded).unwrap()
}

#[test]
fn an_app_has_a_token_that_opens_and_no_cookie() {
    let (_redis, service) = started();
    let mut client = service.client();
    let tokens = tokens(&mut client);
    assert_eq!(client.cookie, None);
    assert_eq!(tokens["token_type"], "Bearer");
    let expires_in = tokens["expires_in"].as_u64().unwrap();
    assert!((590..=600).contains(&expires_in), "{expires_in}");
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
    refresh(&mut client, &"nonsense".into()).expect(400);
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
    refresh(&mut client, &first["refresh_token"]).expect(400);
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
    let refused = refresh(&mut client, &stolen["refresh_token"]).expect(400).json();
    assert_eq!(refused["error"], "invalid_grant");
    assert_eq!(refused["error_description"], "You were signed out because the session was used from two places.");
    refresh(&mut client, &taken["refresh_token"]).expect(400);
    client.bearer(text(&taken["access_token"])).get("/me").expect(401);
    client.bearer(text(&stolen["access_token"])).get("/me").expect(401);
    let lines = service.lines("Refresh token was used twice: session has been ended");
    assert_eq!(lines.len(), 4);
    assert!(lines.iter().all(|line| line["user"] == "1" && line["reason"] == "reused"), "{lines:?}");
}

#[test]
fn the_token_endpoint_speaks_oauth() {
    let (_redis, service) = started();
    let mut client = service.client();
    client.register("ada");
    for (form, error) in [
        ("grant_type=password&username=ada", "invalid_request"),
        ("username=ada&password=x", "invalid_request"),
        ("grant_type=refresh_token", "invalid_request"),
        ("grant_type=client_credentials", "unsupported_grant_type"),
        ("grant_type=password&username=ada&password=wrong+horse+battery", "invalid_grant"),
        ("grant_type=password&username=nobody&password=wrong+horse+battery", "invalid_grant"),
    ] {
        assert_eq!(client.submit("/token", form).expect(400).json()["error"], error, "{form}");
    }
    client.post("/token", &credentials("ada", "in JSON")).expect(400);
    let scoped = "grant_type=password&username=ADA&password=correct+horse+battery&scope=&client_id=app";
    client.submit("/token", scoped).expect(200);
}

#[test]
fn access_tokens_tell_other_services_the_role() {
    let (_redis, service) = started();
    let mut client = service.client();
    let first = tokens(&mut client);
    assert_eq!(claims(text(&first["access_token"]))["role"], "user");
    assert!(service.run(&["grant-admin", "ada"]).status.success());
    let second = client.token("ada").expect(200).json();
    assert_eq!(claims(text(&second["access_token"]))["role"], "admin");
}

#[test]
fn an_app_that_changes_the_password_gets_new_tokens() {
    let (_redis, service) = started();
    let mut client = service.client();
    let before = tokens(&mut client);
    let mut app = client.bearer(text(&before["access_token"]));
    let passwords = serde_json::json!({ "current": crate::PASSWORD, "new": "another long one" });
    let after = app.post("/password", &passwords).expect(200).json();
    app.get("/me").expect(401);
    refresh(&mut client, &before["refresh_token"]).expect(400);
    client.bearer(text(&after["access_token"])).get("/me").expect(200);
    refresh(&mut client, &after["refresh_token"]).expect(200);
}
