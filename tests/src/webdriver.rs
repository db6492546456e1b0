//! Chromium without a window, driven as the W3C's WebDriver says: JSON over HTTP to chromedriver.
//!
//! `CHROMEDRIVER` and `CHROMIUM` name other programs than those.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;
use ureq::Agent;
use ureq::http::Request;

use crate::wait::wait_until;

/// A browser with nothing in it, which ends with its test. `make test-browser` runs the tests that have one.
#[derive(Debug)]
pub struct Browser {
    driver: Child,
    /// Kept open for as long as the driver may write to it.
    _output: BufReader<ChildStdout>,
    _profile: TempDir,
    agent: Agent,
    /// Of the session in the driver.
    url: String,
    /// The pages that are meant by a path.
    site: String,
}

/// What section 12.1 of the WebDriver standard has for elements.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

impl Browser {
    /// At this site, whose URL is one of `127.0.0.1`. Browsers take `localhost` for secure, and so keep its cookies.
    #[track_caller]
    pub fn at(url: &str) -> Self {
        let (driver, output, port) = start_driver();
        let config = Agent::config_builder().http_status_as_error(false);
        let profile = TempDir::with_prefix("redis-session-browser-").expect("a temporary folder");
        let mut browser = Self {
            driver,
            _output: output,
            agent: config.build().into(),
            url: format!("http://127.0.0.1:{port}/session"),
            site: url.replace("127.0.0.1", "localhost"),
            _profile: profile,
        };
        let session = browser.post("", &capabilities(browser._profile.path()));
        browser.url = format!("{}/{}", browser.url, session["sessionId"].as_str().expect("a browser"));
        browser
    }

    /// Opens a page: of the site, by its path, or any by its URL.
    #[track_caller]
    pub fn go(&self, path: &str) {
        let url = if path.starts_with('/') { format!("{}{path}", self.site) } else { path.to_owned() };
        self.post("/url", &json!({ "url": url }));
    }

    /// The site's URL.
    pub fn site(&self) -> &str {
        &self.site
    }

    /// What a script returns.
    #[track_caller]
    pub fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Clicks the first element that this selector finds.
    #[track_caller]
    pub fn click(&self, css: &str) {
        let element = self.element(css);
        self.post(&format!("/element/{element}/click"), &json!({}));
    }

    /// Types into the first element that this selector finds.
    #[track_caller]
    pub fn type_into(&self, css: &str, text: &str) {
        let element = self.element(css);
        self.post(&format!("/element/{element}/value"), &json!({ "text": text }));
    }

    /// What a person reads on the page. Between two pages there is nothing to read.
    pub fn text(&self) -> String {
        let body = self.try_post("/element", &json!({ "using": "css selector", "value": "body" }));
        let text = body.and_then(|body| self.get(&format!("/element/{}/text", body[ELEMENT].as_str().unwrap_or(""))));
        text.ok().and_then(|text| Some(text.as_str()?.to_owned())).unwrap_or_default()
    }

    /// Waits until a person reads this text on the page.
    #[track_caller]
    pub fn wait_for(&self, text: &str) {
        wait_until(&format!("the page says: {text}"), || self.text().contains(text));
    }

    /// A command of the Chrome DevTools protocol.
    #[track_caller]
    pub fn devtools(&self, command: &str, parameters: &Value) -> Value {
        self.post("/goog/cdp/execute", &json!({ "cmd": command, "params": parameters }))
    }

    /// Of this width, as on a phone if it is narrow.
    #[track_caller]
    pub fn resize(&self, width: u32, height: u32) {
        let screen = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.devtools("Emulation.setDeviceMetricsOverride", &screen);
    }

    /// As somebody has it whose system is `light` or `dark`.
    #[track_caller]
    pub fn prefer(&self, scheme: &str) {
        let feature = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.devtools("Emulation.setEmulatedMedia", &feature);
    }

    /// What the browser has complained of: errors of scripts, and what the content security policy has stopped.
    pub fn complaints(&self) -> Vec<String> {
        let entries = self.post("/se/log", &json!({ "type": "browser" }));
        let severe = entries.as_array().unwrap().iter().filter(|entry| entry["level"] == "SEVERE");
        severe.map(|entry| entry["message"].to_string()).collect()
    }

    /// Writes the whole page as a picture, in PNG.
    pub fn screenshot(&self, file: &Path) {
        let shot = self.devtools("Page.captureScreenshot", &json!({ "captureBeyondViewport": true }));
        let picture = decode_base64(shot["data"].as_str().unwrap());
        fs::write(file, picture).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }

    fn element(&self, css: &str) -> String {
        let found = self.post("/element", &json!({ "using": "css selector", "value": css }));
        found[ELEMENT].as_str().unwrap_or_else(|| panic!("{css}: {found}")).to_owned()
    }

    fn get(&self, path: &str) -> Result<Value, Value> {
        self.send(Request::get(format!("{}{path}", self.url)).body(String::new()).unwrap())
    }

    #[track_caller]
    fn post(&self, path: &str, body: &Value) -> Value {
        self.try_post(path, body).unwrap_or_else(|error| panic!("{path} {body}: {error}"))
    }

    fn try_post(&self, path: &str, body: &Value) -> Result<Value, Value> {
        let request = Request::post(format!("{}{path}", self.url)).header("content-type", "application/json");
        self.send(request.body(body.to_string()).unwrap())
    }

    fn send(&self, request: Request<String>) -> Result<Value, Value> {
        let response = match request.method().as_str() {
            "POST" => self.agent.run(request),
            _ => self.agent.run(request.map(|_| ())),
        };
        let mut response = response.expect("an answer of chromedriver");
        let text = response.body_mut().with_config().limit(50_000_000).read_to_string().unwrap();
        let mut answer: Value = serde_json::from_str(&text).unwrap();
        if response.status().is_success() { Ok(answer["value"].take()) } else { Err(answer["value"].take()) }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver ends the browser when its session ends; when it is killed, it cannot.
        let request = Request::delete(&self.url).body(()).unwrap();
        let _ = self.agent.run(request);
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

fn capabilities(profile: &Path) -> Value {
    let mut options = json!({ "args": [
        "--headless",
        // It runs as root in a container, and shows pages of this repository alone.
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--hide-scrollbars",
        "--window-size=1200,900",
        format!("--user-data-dir={}", profile.display()),
    ] });
    if let Ok(program) = env::var("CHROMIUM") {
        options["binary"] = program.into();
    }
    json!({ "capabilities": { "alwaysMatch": {
        "goog:chromeOptions": options,
        "goog:loggingPrefs": { "browser": "ALL" },
    } } })
}

/// chromedriver, its output, and the port that it listens on.
fn start_driver() -> (Child, BufReader<ChildStdout>, u16) {
    let name = env::var("CHROMEDRIVER").unwrap_or_else(|_| "chromedriver".into());
    // It takes a port that is free on IPv4 for IPv6 too, and ends where another program has it there: any of the
    // connections of tests that run at the same time can.
    for _ in 0..10 {
        let mut driver = Command::new(&name)
            .args(["--port=0", "--log-level=SEVERE"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {error}. scripts/setup --browser installs it"));
        let mut output = BufReader::new(driver.stdout.take().unwrap());
        if let Some(port) = port_in(&mut output) {
            return (driver, output, port);
        }
        let _ = driver.wait();
    }
    panic!("{name} does not start");
}

/// "ChromeDriver was started successfully on port 12345.", or nothing if it ends before.
fn port_in(output: &mut impl BufRead) -> Option<u16> {
    output.lines().map_while(Result::ok).find_map(|line| {
        let (_, port) = line.split_once("successfully on port ")?;
        port.trim().trim_end_matches('.').parse().ok()
    })
}

fn decode_base64(text: &str) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => u32::from(byte - b'A'),
        b'a'..=b'z' => u32::from(byte - b'a') + 26,
        b'0'..=b'9' => u32::from(byte - b'0') + 52,
        b'+' => 62,
        _ => 63,
    };
    let text = text.trim_end_matches('=').as_bytes();
    text.chunks(4)
        .flat_map(|four| {
            let bits = four.iter().fold(0, |bits, byte| bits << 6 | digit(*byte)) << (6 * (4 - four.len()));
            bits.to_be_bytes()[1..four.len()].to_vec()
        })
        .collect()
}
