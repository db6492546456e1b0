//! What the log must not tell.

use redis_session_tests::{Server, cmd};
use serde_json::json;

use crate::client::{Client, credentials};
use crate::{PASSWORD, Service, text};

const REDIS_PASSWORD: &str = "the-word-that-opens-redis";
const WRONG_PASSWORD: &str = "a wrong guess, yet close";
/// A password in the field of the name.
const WRONG_FIELD: &str = "typed-into-the-wrong-field";

#[test]
fn no_log_tells_a_secret() {
    let mut redis = Server::start();
    let user = format!("ACL SETUSER service on >{REDIS_PASSWORD} ~* +@all");
    cmd(&mut redis.connection(), &user).unwrap();
    let url = redis.url().replace("redis://", &format!("redis://service:{REDIS_PASSWORD}@"));
    let service = Service::start(&redis, &[("REDIS_URL", &url)]);
    let mut secrets = use_everything(&service);

    let mut client = service.client();
    client.sign_in("ada");
    secrets.push(cookie(&client));
    redis.kill();
    client.get("/me").expect(503);
    client.other().post("/login", &credentials("ada", PASSWORD)).expect(503);
    client.post("/logout", &().into()).expect(503);
    assert_untold(&service, &secrets);
}

#[test]
fn a_setting_that_makes_no_sense_is_refused_by_name_alone() {
    for name in ["LOG", "SESSION_TTL", "ATTEMPTS_PER_ACCOUNT"] {
        let refusal = Service::refusal(&[(name, REDIS_PASSWORD)]);
        assert!(refusal.contains(&format!("{name} has a value that makes no sense")), "{refusal}");
        assert!(!refusal.contains(REDIS_PASSWORD), "{refusal}");
    }
}

/// Signs in and out in every way, rightly and wrongly: each token that there was.
fn use_everything(service: &Service) -> Vec<String> {
    let mut browser = service.client();
    browser.register("ada");
    browser.sign_in("ada");
    let first = cookie(&browser);
    browser.get("/me").expect(200);
    browser.get("/").expect(200);
    browser.patch("/session", &json!({ "theme": "dark" })).expect(200);
    browser.other().post("/login", &credentials("ada", WRONG_PASSWORD)).expect(401);
    browser.other().post("/login", &credentials(WRONG_FIELD, WRONG_PASSWORD)).expect(401);
    browser.submit_credentials("/sign-in", "ada", PASSWORD).expect(303);
    let second = cookie(&browser);

    let tokens = browser.other().token("ada").expect(200).json();
    let refreshed = browser.refresh(text(&tokens["refresh_token"])).expect(200).json();
    let mut app = browser.bearer(text(&refreshed["access_token"]));
    app.get("/me").expect(200);
    browser.bearer(text(&refreshed["refresh_token"])).get("/me").expect(401);
    app.post("/logout", &().into()).expect(204);
    app.get("/me").expect(401);
    browser.refresh(text(&refreshed["refresh_token"])).expect(400);
    browser.post("/logout-all", &().into()).expect(200);

    let of_app = [&tokens, &refreshed].map(|tokens| [&tokens["access_token"], &tokens["refresh_token"]]);
    of_app.into_iter().flatten().map(|token| text(token).to_owned()).chain([first, second]).collect()
}

fn cookie(client: &Client) -> String {
    client.cookie.as_deref().unwrap().split_once('=').unwrap().1.to_owned()
}

#[track_caller]
fn assert_untold(service: &Service, tokens: &[String]) {
    let log = service.log();
    // An empty log would prove nothing.
    assert!(log.contains("Signed in"), "{log}");
    let form = PASSWORD.replace(' ', "+");
    let passwords = [PASSWORD, &form, REDIS_PASSWORD, WRONG_PASSWORD, WRONG_FIELD];
    // Nor a token's last part, which nobody could guess.
    let codes = tokens.iter().map(|token| token.rsplit('.').next().unwrap());
    for secret in passwords.into_iter().chain(codes) {
        assert!(!log.contains(secret), "{secret} is in the log: {log}");
    }
}
