//! Somebody who sends requests: keeps the cookie as a browser does, or brings a token as an app does.

use serde_json::{Value, json};
use ureq::Agent;
use ureq::http::{HeaderMap, Request};

/// Good enough for everybody in these tests.
pub(crate) const PASSWORD: &str = "correct horse battery";

pub(crate) struct Client {
    agent: Agent,
    url: String,
    /// As it is sent.
    pub(crate) cookie: Option<String>,
    /// Sent with each request.
    pub(crate) headers: Vec<(&'static str, String)>,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.body))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.body);
        self
    }
}

impl Client {
    pub(crate) fn new(url: &str) -> Self {
        // One connection for each request, so that none stays open when the service stops.
        let config = Agent::config_builder().http_status_as_error(false).max_redirects(0).max_idle_connections(0);
        Self { agent: config.build().into(), url: url.to_owned(), cookie: None, headers: Vec::new() }
    }

    /// Another one, with nothing yet.
    pub(crate) fn other(&self) -> Self {
        Self::new(&self.url)
    }

    /// With this header in each request.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The same browser, with this header as well.
    pub(crate) fn other_with_cookie(&self, name: &'static str, value: &str) -> Self {
        Self { cookie: self.cookie.clone(), ..self.other().with(name, value) }
    }

    pub(crate) fn bearer(&self, token: &str) -> Self {
        self.other().with("authorization", format!("Bearer {token}"))
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, None)
    }

    pub(crate) fn options(&mut self, path: &str) -> Answer {
        self.send("OPTIONS", path, None)
    }

    pub(crate) fn delete(&mut self, path: &str) -> Answer {
        self.send("DELETE", path, None)
    }

    pub(crate) fn post(&mut self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, Some(("application/json", body.to_string())))
    }

    pub(crate) fn patch(&mut self, path: &str, body: &Value) -> Answer {
        self.send("PATCH", path, Some(("application/json", body.to_string())))
    }

    /// A form, as a page sends it.
    pub(crate) fn submit(&mut self, path: &str, fields: &str) -> Answer {
        self.send("POST", path, Some(("application/x-www-form-urlencoded", fields.to_owned())))
    }

    /// The form of a name and a password.
    pub(crate) fn submit_credentials(&mut self, path: &str, name: &str, password: &str) -> Answer {
        self.submit(path, &format!("name={name}&password={}", password.replace(' ', "+")))
    }

    /// Asks for tokens with a password, as an OAuth 2.0 library does (RFC 6749 section 4.3.2).
    pub(crate) fn token(&mut self, name: &str) -> Answer {
        self.submit("/token", &format!("grant_type=password&username={name}&password={}", PASSWORD.replace(' ', "+")))
    }

    /// The same with a refresh token (section 6).
    pub(crate) fn refresh(&mut self, token: &str) -> Answer {
        self.submit("/token", &format!("grant_type=refresh_token&refresh_token={token}"))
    }

    #[track_caller]
    pub(crate) fn register(&mut self, name: &str) -> String {
        let answer = self.post("/register", &credentials(name, PASSWORD)).expect(201);
        answer.json()["user"].as_str().unwrap().to_owned()
    }

    /// Signs in with a cookie: the answer.
    #[track_caller]
    pub(crate) fn sign_in(&mut self, name: &str) -> Value {
        self.post("/login", &credentials(name, PASSWORD)).expect(200).json()
    }

    fn send(&mut self, method: &str, path: &str, body: Option<(&str, String)>) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        let response = match body {
            Some((kind, body)) => self.agent.run(request.header("content-type", kind).body(body).unwrap()),
            None => self.agent.run(request.body(()).unwrap()),
        };
        let (parts, mut body) = response.unwrap_or_else(|error| panic!("{method} {path}: {error}")).into_parts();
        let answer =
            Answer { status: parts.status.as_u16(), headers: parts.headers, body: body.read_to_string().unwrap() };
        if let Some((pair, _)) = answer.header("set-cookie").split_once(';') {
            self.cookie = (!pair.ends_with('=')).then(|| pair.to_owned());
        }
        answer
    }
}

pub(crate) fn credentials(name: &str, password: &str) -> Value {
    json!({ "name": name, "password": password })
}
