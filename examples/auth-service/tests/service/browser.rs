//! The page in a real browser. Not among the ordinary tests, because not everybody has one: `make test-browser`.

use std::fs;
use std::path::Path;

use redis_session_tests::{Browser, Server, ServerBuilder, wait_until};
use serde_json::json;

use crate::client::Client;
use crate::{PASSWORD, Service, started};

const PHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                     Version/18.0 Mobile/15E148 Safari/604.1";
const LAPTOP: &str = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:140.0) Gecko/20100101 Firefox/140.0";

fn fill_in(browser: &Browser, name: &str, password: &str) {
    browser.type_into("#name", name);
    browser.type_into("#password", password);
    browser.click("button.primary");
}

/// A browser that is signed in as `ada`.
fn signed_in(service: &Service) -> Browser {
    service.client().register("ada");
    let browser = Browser::at(&service.url);
    browser.go("/");
    fill_in(&browser, "ada", PASSWORD);
    browser.wait_for("Your devices");
    browser
}

/// Another device of `ada`.
fn device(service: &Service, agent: &str, ip: &str) -> Client {
    let mut client = service.client().with("user-agent", agent).with("x-real-ip", ip);
    client.sign_in("ada");
    client
}

/// The page itself is well: nothing was stopped, no script failed. A status of 401 is no fault of the page.
#[track_caller]
fn assert_no_complaints(browser: &Browser) {
    let complaints: Vec<_> = browser.complaints().into_iter().filter(|text| !text.contains("status of 401")).collect();
    assert_eq!(complaints, [""; 0]);
}

#[test]
#[ignore = "needs a browser: make test-browser"]
fn a_user_signs_up_and_in_and_ends_another_device() {
    let (_redis, service) = started();
    let browser = Browser::at(&service.url);
    browser.go("/");
    browser.click("a[href='/sign-up']");
    fill_in(&browser, "ada", PASSWORD);
    browser.wait_for("Your account is ready, and you are signed in.");
    browser.click(".bar button");
    browser.wait_for("You have signed out.");
    fill_in(&browser, "ada", "wrong horse battery");
    browser.wait_for("The name or the password is wrong.");
    // The name that was typed is there again.
    fill_in(&browser, "", PASSWORD);
    browser.wait_for("You are signed in on this device only.");
    assert_eq!(browser.run("return document.cookie"), "", "no script sees the cookie");

    let mut phone = device(&service, PHONE, "198.51.100.23");
    browser.wait_for("Safari on iPhone");
    browser.wait_for("198.51.100.23");
    browser.wait_for("Sign out all other devices");
    browser.click("button[aria-label='Sign out Safari on iPhone']");
    browser.wait_for("That device has been signed out.");
    assert!(!browser.text().contains("Safari on iPhone"));
    phone.get("/me").expect(401);

    browser.click(".bar button");
    browser.wait_for("You have signed out.");
    assert_no_complaints(&browser);
}

#[test]
#[ignore = "needs a browser: make test-browser"]
fn a_page_that_is_open_shows_devices_as_they_come_and_go() {
    let (_redis, service) = started();
    let browser = signed_in(&service);
    // Loading the page again would lose this.
    browser.run("window.same = true");
    let mut phone = device(&service, PHONE, "198.51.100.23");
    browser.wait_for("this device and 1 other");
    browser.run("document.querySelector('.here button').focus()");
    let mut laptop = device(&service, LAPTOP, "203.0.113.80");
    browser.wait_for("Firefox on Mac");
    assert_eq!(browser.run("return document.activeElement.closest('.here') !== null"), true, "the focus stays");
    phone.post("/logout", &().into()).expect(204);
    browser.wait_for("this device and 1 other");
    assert_eq!(browser.run("return window.same"), true);

    laptop.post("/logout-all", &().into()).expect(200);
    browser.wait_for("You were signed out on all devices");
    assert_no_complaints(&browser);
}

#[test]
#[ignore = "needs a browser: make test-browser"]
fn an_open_page_warns_before_the_session_ends() {
    let redis = Server::start();
    let service = Service::start(&redis, &[("SESSION_IDLE", "310"), ("CLIENT_IP_HEADER", "x-real-ip")]);
    let browser = signed_in(&service);
    assert!(!browser.text().contains("You will be signed out"));
    // The page waits for the warning, which comes when less than five minutes are left.
    browser.wait_for("You will be signed out in 5 minutes. Stay signed in");
    browser.click("#expiry a");
    browser.wait_for("Your devices");
    assert!(!browser.text().contains("You will be signed out"));
    assert_no_complaints(&browser);
}

#[test]
#[ignore = "needs a browser: make test-browser"]
fn an_administrator_shows_a_second_factor_and_ends_a_session() {
    let (_redis, service) = started();
    let browser = signed_in(&service);
    let app = service.make_admin("ada");
    let mut eve = service.client();
    eve.register("eve");
    eve.sign_in("eve");
    browser.go("/admin");
    browser.type_into("#code", &app.code());
    browser.click("button.primary");
    browser.wait_for("Ended by the server today");
    browser.type_into("#user", "eve");
    browser.click(".search button");
    browser.wait_for("Sessions of eve");
    browser.click("li.device form button");
    browser.wait_for("The sessions have been ended.");
    eve.get("/me").expect(401);
    assert_no_complaints(&browser);
}

#[test]
#[ignore = "needs a browser: make test-browser"]
fn every_button_works_without_a_script() {
    let (_redis, service) = started();
    let browser = Browser::at(&service.url);
    browser.devtools("Emulation.setScriptExecutionDisabled", &json!({ "value": true }));
    service.client().register("ada");
    browser.go("/");
    fill_in(&browser, "ada", PASSWORD);
    let mut phone = device(&service, PHONE, "198.51.100.23");
    let mut laptop = device(&service, LAPTOP, "203.0.113.80");
    browser.go("/");
    browser.wait_for("this device and 2 others");
    browser.click("button[aria-label='Sign out Safari on iPhone']");
    browser.wait_for("That device has been signed out.");
    phone.get("/me").expect(401);
    browser.click("input[value=dark]");
    browser.click("form[action='/theme'] button");
    browser.wait_for("Saved.");
    browser.click("form[action='/sign-out-others'] button");
    browser.wait_for("All other devices have been signed out.");
    laptop.get("/me").expect(401);
    browser.type_into("#current", PASSWORD);
    browser.type_into("#new", "another long password");
    browser.click("form[action='/change-password'] button");
    browser.wait_for("Your password has been changed");
    browser.click("#end-all");
    browser.wait_for("Sign out everywhere?");
    browser.click("form[action='/sign-out-everywhere'] button");
    browser.wait_for("You have signed out on all devices.");
}

#[test]
#[ignore = "needs a browser: make test-browser"]
fn what_a_device_calls_itself_runs_nothing() {
    let (_redis, service) = started();
    let agents = ["<script>window.hacked = 1</script>", "\"><img src=x onerror='window.hacked = 1'>"];
    service.client().register("ada");
    for agent in agents {
        device(&service, agent, "192.0.2.1");
    }
    let browser = Browser::at(&service.url);
    browser.go("/");
    fill_in(&browser, "ada", PASSWORD);
    browser.wait_for("this device and 2 others");
    // Once as the page came, once more as the script has put it there.
    device(&service, "<svg onload='window.hacked = 1'>", "192.0.2.1");
    browser.wait_for("this device and 3 others");
    for agent in agents {
        assert!(browser.text().contains(agent), "{agent} is text: {}", browser.text());
    }
    assert_eq!(browser.run("return document.querySelectorAll('#live script, #live img, #live svg[onload]').length"), 0);
    assert_eq!(browser.run("return window.hacked ?? 0"), 0);
    assert_no_complaints(&browser);
}

#[test]
#[ignore = "needs a browser: make test-browser"]
fn a_page_of_another_site_cannot_sign_anybody_out_or_in() {
    let (_redis, service) = started();
    let browser = signed_in(&service);
    for path in ["/sign-out-everywhere", "/sign-in"] {
        let fields = format!("<input name=name value=ada><input name=password value='{PASSWORD}'>");
        let form =
            format!("<form method=post action={}{path}>{fields}<button>Win a prize</button></form>", browser.site());
        browser.go(&format!("data:text/html,{form}"));
        browser.click("button");
        browser.wait_for("Another site asked for this.");
    }
    browser.go("/");
    browser.wait_for("You are signed in on this device only.");
}

/// The text elements whose contrast with their background is too low (WCAG 2.2, 1.4.3 and 1.4.11), and the fields
/// and buttons that have no name (4.1.2).
const FAULTS: &str = r"
    const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
    const rgba = colour => {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = colour;
        canvas.fillRect(0, 0, 1, 1);
        return canvas.getImageData(0, 0, 1, 1).data;
    };
    const luminance = colour => {
        const [r, g, b] = [...rgba(colour)].slice(0, 3).map(c => c / 255)
            .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = element => {
        for (let at = element; at; at = at.parentElement) {
            const colour = getComputedStyle(at).backgroundColor;
            if (rgba(colour)[3] === 255) return colour;
        }
        return 'white';
    };
    const contrast = (one, other) => {
        const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
        return (light + 0.05) / (dark + 0.05);
    };
    const faults = [];
    const check = (element, colour, ground, least) => {
        const is = contrast(colour, ground);
        if (is < least) faults.push(`${is.toFixed(2)}: ${element.outerHTML.slice(0, 90)}`);
    };
    for (const element of document.querySelectorAll('body *')) {
        const style = getComputedStyle(element);
        if (!element.checkVisibility()) continue;
        const has_text = [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim());
        if (has_text) check(element, style.color, behind(element), 4.5);
        if (element.matches('button:not(.primary), .button, input:not([type=checkbox], [type=radio])'))
            check(element, style.borderColor, behind(element.parentElement), 3);
        if (element.matches('input, button') && element.type !== 'hidden')
            if (!element.labels?.length && !(element.ariaLabel ?? element.textContent).trim())
                faults.push(`no name: ${element.outerHTML}`);
    }
    const wide = document.documentElement.scrollWidth - innerWidth;
    if (wide > 0) faults.push(`${wide} pixels too wide`);
    return faults;";

#[test]
#[ignore = "needs a browser: make test-browser"]
fn the_pages_can_be_read_in_light_and_dark_and_on_a_narrow_screen() {
    let redis = ServerBuilder::new().config("session.audit-stream audit\nsession.max-per-user 6").start();
    let service = Service::start(&redis, &[("CLIENT_IP_HEADER", "x-real-ip")]);
    let browser = signed_in(&service);
    let app = service.make_admin("ada");
    browser.go("/confirm");
    browser.type_into("#code", &app.code());
    browser.click("button.primary");
    browser.wait_for("Administration");
    let _devices = [
        device(&service, PHONE, "198.51.100.23"),
        device(&service, LAPTOP, "2001:db8:85a3:8d3:1319:8a2e:370:7348"),
        device(&service, "curl/8.5.0", "203.0.113.80"),
        device(&service, "Example/2.1 (Android 15; Pixel 9)", "203.0.113.81"),
        device(&service, "an-agent-whose-name-is-one-very-long-word-without-any-place-to-break-it-in-two", "192.0.2.1"),
    ];
    // One more, so that the oldest made room.
    let mut evicted = service.client();
    evicted.register("bob");
    for _ in 0..7 {
        evicted.other().sign_in("bob");
    }
    wait_until("the history is known", || {
        browser.go("/admin");
        browser.text().contains("Too many devices")
    });
    let stranger = Browser::at(&service.url);
    let pictures = Path::new(env!("CARGO_TARGET_TMPDIR")).join("auth-service");
    fs::create_dir_all(&pictures).unwrap();
    let mut faults = Vec::new();
    for (scheme, size, width) in
        [("light", "wide", 1200), ("dark", "wide", 1200), ("light", "narrow", 360), ("dark", "narrow", 360)]
    {
        for (who, name, path) in [
            (&browser, "devices", "/"),
            (&browser, "history", "/your-history"),
            (&browser, "admin", "/admin?user=bob"),
            (&browser, "everywhere", "/sign-out-everywhere"),
            (&browser, "second-factor", "/confirm"),
            (&stranger, "sign-in", "/?done=signed-out"),
            (&stranger, "sign-up", "/sign-up"),
            (&stranger, "not-found", "/nothing"),
        ] {
            who.prefer(scheme);
            who.resize(width, 800);
            who.go(path);
            who.screenshot(&pictures.join(format!("{name}-{scheme}-{size}.png")));
            for fault in who.run(FAULTS).as_array().unwrap() {
                faults.push(format!("{name} {scheme} {width}: {fault}"));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}
