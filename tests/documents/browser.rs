//! The React hook of examples/django in Chromium, on its page, against the running project. Not among the ordinary tests,
//! because not everybody has a browser: `make test-browser`.

use std::cell::RefCell;
use std::fs;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use redis_session_tests::{Browser, Port, Server, ServerBuilder, cmd, cmd_args, int, skipped, wait_until};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::applications::DJANGO;

/// Gives Python the clock of the module, which the tests move.
const CLOCK_OF_PYTHON: &str = r#"
import os, struct, time

def ahead(now=time.time, now_ns=time.time_ns):
    def millis():
        with open(os.environ["TEST_CLOCK"], "rb") as file:
            return struct.unpack("<q", file.read())[0]

    time.time = lambda: now() + millis() / 1000
    time.time_ns = lambda: now_ns() + millis() * 1_000_000

ahead()
"#;

/// Gives the page a clock that stands still until the test moves it, and keeps a list of requests and their answers.
const CLOCK_OF_THE_PAGE: &str = r"(() => {
    window.clock = { sent: [], busy: 0 };
    let now = Date.now(), last = 0;
    const timers = new Map(), { fetch } = window, { json } = Response.prototype;
    Date.now = () => now;
    window.setTimeout = (action, delay = 0) => { timers.set(++last, { at: now + Math.ceil(delay), action }); return last; };
    window.clearTimeout = timer => timers.delete(timer);
    // Milliseconds until the next timer.
    clock.next = () => timers.size ? Math.min(...[...timers.values()].map(({ at }) => at)) - now : null;
    clock.advance = by => {
        now += by;
        for (const [timer, { at, action }] of [...timers])
            if (at <= now && timers.delete(timer)) action();
    };
    // Busy until what waits for an answer has read it.
    const during = promise => { clock.busy++; return promise.finally(() => clock.busy--); };
    window.fetch = (url, options) => during(fetch(url, options).then(response => {
        clock.sent.push(`${options.method ?? 'GET'} ${url.replace('/api/sessions', '')} ${response.status}`);
        return response;
    }));
    Response.prototype.json = function () { return during(json.call(this)); };
})()";

const ACCESS_TOKEN: Duration = Duration::from_secs(300);
const PROVIDERS_TOKEN: Duration = Duration::from_secs(3600);

/// The project, its server, and the folder with the keys of its provider.
struct Site {
    server: Server,
    folder: TempDir,
    port: Port,
    /// None while it is down.
    django: RefCell<Option<Child>>,
}

impl Site {
    /// Nothing where Python, Node or a library is missing.
    fn start() -> Option<Self> {
        let hooks = DJANGO.folder().join("hooks");
        if !DJANGO.is_here() || !hooks.join("node_modules/.bin/esbuild").exists() {
            let why = "Django, React or esbuild is not here; scripts/client-libraries installs them";
            skipped(&format!("the React hook of examples/django: {why}"));
            return None;
        }
        let server = ServerBuilder::new().keys(&["one"]).start();
        let folder = TempDir::with_prefix("redis-session-hook-").expect("a temporary folder");
        fs::write(folder.path().join("sitecustomize.py"), CLOCK_OF_PYTHON).expect("a file");
        let outdir = format!("--outdir={}", folder.path().join("page").display());
        run(Command::new("npm").args(["run", "build", "--", &outdir]).current_dir(hooks));
        run(python(&server, &folder).args(["provider.py", "keys"]).arg(folder.path()));
        let issuers = folder.path().join("issuers.json");
        let issuers = issuers.to_str().expect("a path in UTF-8");
        cmd_args(&mut server.connection(), ["CONFIG", "SET", "session.issuers-file", issuers]).expect("the provider");
        let site = Self { server, folder, port: Port::free(), django: RefCell::new(None) };
        run(&mut site.manage(&["migrate", "--verbosity", "0"]));
        site.start_django();
        Some(site)
    }

    fn manage(&self, arguments: &[&str]) -> Command {
        let mut command = python(&self.server, &self.folder);
        command.arg("manage.py").args(arguments).env("REDIS_URL", self.server.url());
        command.env("DATABASE", self.folder.path().join("db.sqlite3")).env("PAGE", self.folder.path().join("page"));
        command.env("ACCESS_TOKEN_AGE", ACCESS_TOKEN.as_secs().to_string());
        command
    }

    fn start_django(&self) {
        let mut django = self.manage(&["runserver", "--noreload", &format!("127.0.0.1:{}", self.port)]);
        django.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        *self.django.borrow_mut() = Some(django.spawn().expect("Django"));
        wait_until("Django listens", || TcpStream::connect(("127.0.0.1", self.port.number())).is_ok());
    }

    fn stop_django(&self) {
        if let Some(mut django) = self.django.borrow_mut().take() {
            let _ = django.kill();
            let _ = django.wait();
        }
    }

    /// The page, in a browser of its own.
    fn page(&self) -> Page<'_> {
        let browser = Browser::at(&format!("http://127.0.0.1:{}", self.port));
        browser.devtools("Page.addScriptToEvaluateOnNewDocument", &json!({ "source": CLOCK_OF_THE_PAGE }));
        browser.go("/page/page.html");
        browser.wait_for("You are not signed in.");
        Page { site: self, browser }
    }

    /// A token of the provider, for `PROVIDERS_TOKEN`.
    fn token(&self, user: &str) -> String {
        let mut command = python(&self.server, &self.folder);
        command.args(["provider.py", "token"]).arg(self.folder.path()).arg(user);
        run(command.arg(PROVIDERS_TOKEN.as_secs().to_string()))
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.stop_django();
    }
}

/// Python with the libraries of the project, in its folder, with the clock of the server.
fn python(server: &Server, folder: &TempDir) -> Command {
    let mut python = DJANGO.program();
    let libraries = python.get_envs().find_map(|(name, value)| value.filter(|_| name == "PYTHONPATH"));
    let mut path = folder.path().as_os_str().to_owned();
    path.push(":");
    path.push(libraries.expect("its libraries"));
    python.env("PYTHONPATH", path).env("TEST_CLOCK", server.dir().join("test-clock")).current_dir(DJANGO.folder());
    python
}

/// What a program prints.
#[track_caller]
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{command:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
    said.trim().to_owned()
}

struct Page<'a> {
    site: &'a Site,
    browser: Browser,
}

impl Page<'_> {
    #[track_caller]
    fn sign_in(&self, provided: &str) {
        self.browser.run("document.querySelector('[name=token]').value = ''");
        self.browser.type_into("[name=token]", provided);
        self.browser.click("form button");
    }

    fn says(&self, text: &str) -> bool {
        self.browser.text().contains(text)
    }

    /// Until every request is answered, and the answer is read.
    fn settle(&self) {
        wait_until("the page is at rest", || self.browser.run("return clock.busy") == 0);
    }

    fn next_timer(&self) -> Option<u64> {
        self.browser.run("return clock.next()").as_u64()
    }

    /// Moves the clocks of the page, of Django and of the module on. The page does all that it has to do meanwhile, each
    /// thing at its time.
    fn advance(&self, by: Duration) {
        self.settle();
        let mut left = u64::try_from(by.as_millis()).expect("a span of time");
        while left > 0 {
            let step = self.next_timer().map_or(left, |next| next.min(left));
            self.site.server.advance(Duration::from_millis(step));
            self.browser.run(&format!("clock.advance({step})"));
            self.settle();
            left -= step;
        }
    }

    /// Moves the clocks on until the page says this, for an hour at most.
    #[track_caller]
    fn advance_until(&self, text: &str) {
        for _ in 0..60 {
            if self.says(text) {
                return;
            }
            self.advance(Duration::from_secs(60));
        }
        panic!("{text}: {}", self.browser.text());
    }

    /// The requests since the last call, with the status of their answers.
    fn sent(&self) -> Vec<String> {
        let sent = self.browser.run("return clock.sent.splice(0)");
        sent.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    }
}

#[test]
#[ignore = "needs a browser: make test-browser"]
fn the_react_hook_refreshes_tokens_before_they_expire() {
    let Some(site) = Site::start() else { return };
    let page = site.page();
    page.sign_in(&site.token("ada"));
    page.browser.wait_for("You are signed in until");
    assert_eq!(page.sent(), ["POST /create 200"]);
    page.advance(ACCESS_TOKEN - Duration::from_secs(1));
    assert_eq!(page.sent(), ["POST /refresh 200"]);
    page.advance(ACCESS_TOKEN * 2);
    assert_eq!(page.sent(), ["POST /refresh 200", "POST /refresh 200"]);
    page.browser.click("#devices");
    page.browser.wait_for("This device");
    assert_eq!(page.sent(), ["GET  200"], "with a token that has not expired");

    // The computer sleeps. Whatever asks then, the tokens are refreshed once.
    site.server.advance(ACCESS_TOKEN);
    page.browser.run("for (let n = 0; n < 3; n++) document.querySelector('#devices').click()");
    page.settle();
    let mut sent = page.sent();
    sent.sort();
    assert_eq!(sent[..6], ["GET  200", "GET  200", "GET  200", "GET  401", "GET  401", "GET  401"]);
    assert_eq!(sent[6..], ["POST /refresh 200"]);

    page.browser.click("#sign-out");
    page.browser.wait_for("You are not signed in.");
    assert_eq!(page.sent(), ["DELETE /current 204"]);
    assert_eq!(page.next_timer(), None, "nothing is left to do");
    let complaints = page.browser.complaints();
    assert!(complaints.iter().all(|text| text.contains("status of 401")), "{complaints:?}");
}

#[test]
#[ignore = "needs a browser: make test-browser"]
fn the_react_hook_warns_before_the_end_until_the_user_goes_on() {
    const WARNING: &str = "Your session ends soon.";
    let Some(site) = Site::start() else { return };
    let page = site.page();
    page.sign_in(&site.token("ada"));
    page.browser.wait_for("You are signed in until");
    page.advance(PROVIDERS_TOKEN / 2);
    assert!(page.says("You are signed in until") && !page.says(WARNING), "{}", page.browser.text());
    page.advance_until(WARNING);
    assert!(page.says("You are signed in until"), "{}", page.browser.text());
    page.browser.click("#devices");
    page.browser.wait_for("This device");

    page.sign_in(&site.token("ada"));
    wait_until("the warning is gone", || !page.says(WARNING));
    page.advance(PROVIDERS_TOKEN / 2);
    assert!(page.says("You are signed in until") && !page.says(WARNING), "{}", page.browser.text());

    page.advance_until(WARNING);
    page.advance_until("Your session has ended: expired.");
    assert!(!page.says(WARNING));
    assert_eq!(page.next_timer(), None, "nothing is left to do");
}

#[test]
#[ignore = "needs a browser: make test-browser"]
fn the_react_hook_tells_why_a_session_was_ended_elsewhere() {
    let Some(site) = Site::start() else { return };
    let (page, mut con) = (site.page(), site.server.connection());
    let token = site.token("ada");
    page.sign_in(&token);
    page.browser.wait_for("You are signed in until");
    assert_eq!(int(&mut con, "SESSION.REVOKEUSER sessions:ada"), 1);
    // The next refresh finds out.
    page.advance(ACCESS_TOKEN);
    page.browser.wait_for("Your session has ended: user_revoked.");
    page.sign_in(&token);
    page.browser.wait_for("You cannot sign in: user_revoked.");
    page.sign_in("x");
    page.browser.wait_for("You cannot sign in: malformed.");

    page.sign_in(&site.token("bob"));
    page.browser.wait_for("You are signed in until");
    let listed = redis_session_tests::ids(&mut con, "sessions:bob");
    assert_eq!(int(&mut con, &format!("SESSION.REVOKE sessions:bob {}", listed[0])), 1);
    // So does any request.
    page.browser.click("#devices");
    page.browser.wait_for("Your session has ended: revoked.");
    assert_eq!(page.next_timer(), None, "nothing is left to do");
}

#[test]
#[ignore = "needs a browser: make test-browser"]
fn the_react_hook_tries_again_while_the_server_cannot_be_reached() {
    const WARNING: &str = "The server cannot be reached.";
    let Some(site) = Site::start() else { return };
    let page = site.page();
    page.sign_in(&site.token("ada"));
    page.browser.wait_for("You are signed in until");
    site.stop_django();
    page.advance(ACCESS_TOKEN);
    page.browser.wait_for(WARNING);
    assert_eq!(page.sent(), ["POST /create 200"]);
    site.start_django();
    page.advance(Duration::from_secs(10));
    wait_until("the warning is gone", || !page.says(WARNING));
    assert_eq!(page.sent(), ["POST /refresh 200"]);
    page.browser.click("#devices");
    page.browser.wait_for("This device");
    assert_eq!(
        cmd(&mut site.server.connection(), "SESSION.COUNT sessions:ada").expect("a count"),
        redis::Value::Int(1)
    );
}
