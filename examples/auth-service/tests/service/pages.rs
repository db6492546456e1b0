//! The pages, without a script.

use std::time::Duration;

use redis_session_tests::{Server, ServerBuilder};

use crate::client::Client;
use crate::{PASSWORD, Service, signed_in, started};

#[test]
fn a_user_signs_up_and_in_and_out_by_forms() {
    let (_redis, service) = started();
    let mut client = service.client();
    assert!(client.get("/").expect(200).body.contains("<h1>Sign in</h1>"));
    let registered = client.submit_credentials("/sign-up", "ada", PASSWORD).expect(303);
    assert_eq!(registered.header("location"), "/?done=registered");
    let page = client.get("/?done=registered").body;
    assert!(page.contains("Your account is ready") && page.contains("<h1>Your devices</h1>"), "{page}");
    client.submit("/sign-out", "").expect(303);

    let refused = client.submit_credentials("/sign-in", "ada", "wrong horse battery").expect(401);
    assert!(refused.body.contains("role=\"alert\"") && refused.body.contains("value=\"ada\""), "{}", refused.body);
    assert_eq!(client.submit_credentials("/sign-in", "ada", PASSWORD).expect(303).header("location"), "/");
    let page = client.get("/").expect(200).body;
    assert!(page.contains("<h1>Your devices</h1>") && page.contains("This device"), "{page}");

    assert_eq!(client.submit("/sign-out", "").expect(303).header("location"), "/?done=signed-out");
    assert_eq!(client.cookie, None);
    assert!(client.get("/?done=signed-out").body.contains("You have signed out."));
}

#[test]
fn other_devices_are_signed_out_by_forms() {
    let (_redis, _service, mut here) = signed_in();
    let mut others = [here.other(), here.other(), here.other()];
    for other in &mut others {
        other.sign_in("ada");
    }
    let id = others[0].get("/me").json()["session"].as_str().unwrap().to_owned();
    here.submit(&format!("/devices/{id}/sign-out"), "").expect(303);
    let [first, second, third] = &mut others;
    first.get("/me").expect(401);
    second.get("/me").expect(200);
    here.submit("/sign-out-others", "").expect(303);
    second.get("/me").expect(401);
    third.get("/me").expect(401);
    here.get("/me").expect(200);
}

#[test]
fn what_a_device_calls_itself_is_text_and_nothing_more() {
    let (_redis, _service, mut here) = signed_in();
    let agents = ["<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "'; </title><svg/onload=alert(1)>"];
    for agent in agents {
        here.other().with("user-agent", agent).sign_in("ada");
    }
    for path in ["/", "/devices"] {
        let page = here.get(path).expect(200).body;
        for markup in ["<script>alert", "<img", "<svg/onload"] {
            assert!(!page.contains(markup), "{markup}: {page}");
        }
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{page}");
        assert!(page.contains("aria-label=\"Sign out &quot;&gt;&lt;img"), "{page}");
    }
}

#[test]
fn what_was_typed_as_a_name_is_text_too() {
    let (_redis, service) = started();
    let mut client = service.client();
    let page = client.submit("/sign-in", "name=%22%3E%3Cscript%3E&password=x").expect(401).body;
    assert!(page.contains("value=\"&quot;&gt;&lt;script&gt;\"") && !page.contains("\"><script>"), "{page}");
}

#[test]
fn a_session_that_ended_elsewhere_shows_the_form_and_takes_the_cookie() {
    let (_redis, _service, mut here) = signed_in();
    let mut other = here.other();
    other.sign_in("ada");
    other.submit("/sign-out-others", "").expect(303);
    let page = here.submit("/theme", "theme=dark").expect(401);
    assert!(page.body.contains("<h1>Sign in</h1>"), "{}", page.body);
    here.get("/devices").expect(401);
    assert!(page.body.contains("You were signed out on all devices, or your password was changed."), "{}", page.body);
    let page = here.get("/").expect(200).body;
    assert!(page.contains("You were signed out on all devices, or your password was changed."), "{page}");
    assert_eq!(here.cookie, None);
}

#[test]
fn the_page_says_why_a_user_was_signed_out() {
    let redis = ServerBuilder::new().config("session.refresh-grace 0\nsession.max-per-user 2").start();
    let service = Service::start(&redis, &[]);
    let mut here = service.client();
    here.register("ada");
    let told = |client: &mut Client, words: &str| {
        let page = client.get("/").expect(200).body;
        assert!(page.contains(words) && page.contains("<h1>Sign in</h1>"), "{words}: {page}");
    };
    here.sign_in("ada");
    let mut phone = here.other();
    phone.sign_in("ada");
    phone.other().sign_in("ada");
    told(&mut here, "You were signed out because you signed in on too many other devices.");

    let mut other = here.other();
    other.sign_in("ada");
    let cookie = other.cookie.clone();
    other.submit("/sign-out", "").expect(303);
    other.cookie = cookie;
    told(&mut other, "This device was signed out.");

    let tokens = here.token("ada").expect(200).json();
    let token = |name: &str| tokens[name].as_str().unwrap().to_owned();
    here.refresh(&token("refresh_token")).expect(200);
    here.refresh(&token("refresh_token")).expect(400);
    told(&mut here.bearer(&token("access_token")), "You were signed out because the session was used from two places.");

    let mut idle = here.other();
    idle.sign_in("ada");
    redis.advance(Duration::from_secs(1801));
    told(&mut idle, "You were signed out because you were away for a while.");
}

#[test]
fn a_button_for_other_devices_is_there_when_there_are_others() {
    let (_redis, _service, mut here) = signed_in();
    for path in ["/", "/devices"] {
        assert!(!here.get(path).body.contains("Sign out all other devices"), "{path}");
    }
    here.other().sign_in("ada");
    for path in ["/", "/devices"] {
        assert!(here.get(path).body.contains("Sign out all other devices"), "{path}");
    }
}

#[test]
fn signing_out_everywhere_is_asked_about_first() {
    let (_redis, _service, mut here) = signed_in();
    assert!(here.get("/").body.contains("href=\"/sign-out-everywhere\""));
    let question = here.get("/sign-out-everywhere").expect(200).body;
    assert!(question.contains("Sign out everywhere?") && question.contains("Cancel"), "{question}");
    here.get("/me").expect(200);
    here.submit("/sign-out-everywhere", "").expect(303);
    here.get("/me").expect(401);
    here.get("/sign-out-everywhere").expect(401);
}

#[test]
fn an_address_without_a_page_has_a_page_that_says_so() {
    let (_redis, service) = started();
    let page = service.client().with("accept", "text/html,*/*").get("/nothing").expect(404);
    assert!(page.body.contains("Page not found") && page.header("content-type").starts_with("text/html"));
    assert_eq!(service.client().get("/nothing").expect(404).json()["error"], "There is nothing here.");
}

#[test]
fn the_last_minutes_of_a_session_are_announced() {
    let (_redis, _service, mut here) = signed_in();
    assert!(!here.get("/").body.contains("You will be signed out"));
    for (setting, advice) in [("SESSION_IDLE", "Stay signed in"), ("SESSION_TTL", "then sign in again")] {
        let redis = Server::start();
        let service = Service::start(&redis, &[(setting, "240")]);
        let mut here = service.client();
        here.register("ada");
        here.sign_in("ada");
        for path in ["/", "/devices"] {
            let page = here.get(path).expect(200).body;
            assert!(page.contains("You will be signed out in 4 minutes.") && page.contains(advice), "{page}");
        }
    }
}

#[test]
fn an_app_on_a_phone_has_a_phone_beside_its_name() {
    let (_redis, _service, mut here) = signed_in();
    here.other().with("user-agent", "Example/2.1 (Android 15; Pixel 9)").token("ada").expect(200);
    let page = here.get("/").body;
    let (before, _) = page.split_once("Example on Android").expect("the app");
    assert!(before.rsplit("<li").next().unwrap().contains("icon phone"), "{page}");
}

#[test]
fn the_appearance_is_kept_with_the_session() {
    let (_redis, _service, mut here) = signed_in();
    here.submit("/theme", "theme=dark").expect(303);
    assert!(here.get("/").body.contains("data-theme=\"dark\""));
    let mut other = here.other();
    other.sign_in("ada");
    assert!(!other.get("/").body.contains("data-theme"));
}

#[test]
fn a_wrong_password_is_said_where_it_was_typed() {
    let (_redis, _service, mut here) = signed_in();
    let answer = here.submit("/change-password", "current=wrong+horse+battery&new=another+long+one").expect(401);
    assert!(answer.body.contains("That is not your current password."), "{}", answer.body);
    assert!(answer.body.contains("<h1>Your devices</h1>"), "{}", answer.body);
    let fields = format!("current={}&new=another+long+one", PASSWORD.replace(' ', "+"));
    let before = here.cookie.clone();
    here.submit("/change-password", &fields).expect(303);
    assert_ne!(here.cookie, before);
    here.get("/me").expect(200);
}
