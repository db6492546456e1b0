//! The pages, without a script.

use crate::{PASSWORD, signed_in, started};

#[test]
fn somebody_signs_up_and_in_and_out_by_forms() {
    let (_redis, service) = started();
    let mut client = service.client();
    assert!(client.get("/").expect(200).body.contains("<h1>Sign in</h1>"));
    let registered = client.submit_credentials("/sign-up", "ada", PASSWORD).expect(303);
    assert_eq!(registered.header("location"), "/?done=registered");
    let page = client.get("/?done=registered").body;
    assert!(page.contains("Your account is ready"), "{page}");

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
    assert!(here.get("/").expect(200).body.contains("You are signed out."));
    assert_eq!(here.cookie, None);
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
    here.submit("/change-password", &fields).expect(303);
}
