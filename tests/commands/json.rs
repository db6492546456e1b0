//! Replies as one JSON text: they say what the others say.

use std::io::Write as _;
use std::process::{Command, Stdio};

use redis::{Connection, Value};
use redis_session_core::base64url;
use redis_session_tests::{Server, cmd, cmd_args, create, error, login, on_both, skipped, text};
use serde_json::{Value as Json, json};

/// In the standard alphabet, with padding.
fn base64(bytes: &[u8]) -> String {
    let text = base64url::encode(bytes).replace('-', "+").replace('_', "/");
    let padding = (4 - text.len() % 4) % 4;
    text + &"=".repeat(padding)
}

/// What a reply of RESP3 says, as JSON.
fn as_json(reply: &Value) -> Json {
    match reply {
        Value::Nil => Json::Null,
        Value::Int(number) => json!(number),
        Value::Boolean(truth) => json!(truth),
        Value::BulkString(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => json!(text),
            Err(_) => json!({ "base64": base64(bytes) }),
        },
        Value::Array(items) => items.iter().map(as_json).collect(),
        Value::Map(pairs) if pairs.iter().any(|(name, _)| as_json(name).is_object()) => {
            pairs.iter().map(|(name, value)| json!([as_json(name), as_json(value)])).collect()
        }
        Value::Map(pairs) => pairs.iter().map(|(name, value)| (text(name), as_json(value))).collect(),
        other => panic!("no reply of these commands: {other:?}"),
    }
}

/// The text that a command with JSON replies with.
#[track_caller]
fn json_text(con: &mut Connection, line: &str) -> Vec<u8> {
    match cmd(con, line) {
        Ok(Value::BulkString(text)) => text,
        other => panic!("{line}: one text was expected: {other:?}"),
    }
}

#[track_caller]
fn parsed(con: &mut Connection, line: &str) -> Json {
    let text = json_text(con, line);
    serde_json::from_slice(&text).unwrap_or_else(|why| panic!("{line}: {why}: {}", text.escape_ascii()))
}

/// With null in the place of the time of the reply itself, if it has that.
fn untimed(mut reply: Json) -> Json {
    if let Some(time) = reply.get_mut("checked_at") {
        assert!(time.take().is_i64());
    }
    reply
}

/// One session with everything, and others.
fn fill(con: &mut Connection) -> String {
    create(con, "sessions:42 ID two IDLE 50 CLAIMS {\"role\":\"admin\"} LEVEL 2");
    let odd = "SESSION.CREATE sessions:42 ID odd IP ::1 AGENT \u{1}\"\\\u{e9}\u{2028} DATA 3".split(' ');
    let fields =
        [&b"quote"[..], b"\"\\/\x08\n\r\t\x1f\x7f", b"bytes", b"\xff\xfe\0", b"base64", b"{\"base64\":\"/w==\"}"];
    cmd_args(con, odd.map(str::as_bytes).chain(fields)).unwrap();
    cmd_args(con, [&b"SESSION.CREATE"[..], b"sessions:42", b"ID", b"raw", b"DATA", b"2", b"\xff", b"1", b"b", b"\xfe"])
        .unwrap();
    login(con, "sessions:42 ID one TTL 1000 IDLE 100 IP 203.0.113.7 AGENT Firefox DATA 1 cart 17")
}

#[test]
fn a_json_reply_says_what_the_other_says() {
    let server = Server::start();
    let (mut two, mut three) = (server.connection(), server.connection_resp3());
    let token = fill(&mut two);
    for line in [
        "SESSION.GET sessions:42 one".to_owned(),
        "SESSION.GET sessions:42 two".into(),
        "SESSION.GET sessions:42 odd".into(),
        "SESSION.GET sessions:42 raw".into(),
        "SESSION.LIST sessions:42".into(),
        "SESSION.LIST sessions:43".into(),
        format!("SESSION.VALIDATE sessions:42 {token} IP ::1 FULL"),
        "SESSION.VALIDATE sessions:42 ID odd FULL".into(),
        "SESSION.VALIDATE sessions:42 ID odd".into(),
        "SESSION.VALIDATE sessions:42 ID odd BRIEF".into(),
        "SESSION.VALIDATE sessions:42 ID none BRIEF".into(),
        "SESSION.VALIDATE sessions:42 ID none FULL".into(),
        "SESSION.TOUCH sessions:42 nonsense FULL".into(),
        "SESSION.REFRESH sessions:42 nonsense".into(),
        "SESSION.REGENERATE sessions:42 none".into(),
        "SESSION.CREATE sessions:42 FROM nonsense".into(),
        "SESSION.KEYS".into(),
    ] {
        let said = untimed(as_json(&cmd(&mut three, &line).unwrap()));
        for (con, word) in [(&mut two, "JSON"), (&mut three, "json")] {
            assert_eq!(untimed(parsed(con, &format!("{line} {word}"))), said, "{line}");
        }
    }
    for con in [&mut two, &mut three] {
        assert_eq!(
            cmd(con, "SESSION.GET sessions:42 none JSON").unwrap(),
            Value::Nil,
            "nothing is null, as without JSON"
        );
    }
    let raw = parsed(&mut two, "SESSION.GET sessions:42 raw JSON");
    assert_eq!(raw["data"], json!([[{ "base64": "/w==" }, "1"], ["b", { "base64": "/g==" }]]));
    let odd = parsed(&mut two, "SESSION.GET sessions:42 odd JSON");
    assert_eq!((&odd["agent"], &odd["ip"]), (&json!("\"\\\u{e9}\u{2028}"), &json!("::1")));
    assert_eq!(odd["data"]["bytes"], json!({ "base64": "//4A" }));
    assert_eq!(odd["data"]["base64"], json!("{\"base64\":\"/w==\"}"), "a text is none of those");
}

/// The names of the members, and of what kind their values are.
fn shape(reply: &Json) -> Vec<(String, String)> {
    let kind = |value: &Json| match value {
        Json::Null => "null",
        Json::Bool(_) => "boolean",
        Json::Number(_) => "number",
        Json::String(_) => "string",
        Json::Array(_) => "array",
        Json::Object(_) => "object",
    };
    reply.as_object().unwrap().iter().map(|(name, value)| (name.clone(), kind(value).to_owned())).collect()
}

#[test]
fn so_does_that_of_a_command_whose_reply_is_another_each_time() {
    let server = Server::start();
    let (mut two, mut three) = (server.connection(), server.connection_resp3());
    let mut pair = |line: &str, json: &str| {
        let said = as_json(&cmd(&mut three, line).unwrap());
        let json = parsed(&mut two, json);
        assert_eq!(shape(&json), shape(&said), "{line}");
        json
    };
    let options = "MAX 1 IP ::1 DEVICE phone REFRESH 900 JSON";
    pair("SESSION.CREATE sessions:42 TOKEN NONE", "SESSION.CREATE sessions:42 TOKEN NONE JSON");
    let created = pair("SESSION.CREATE sessions:42 REFRESH 900", &format!("SESSION.CREATE sessions:42 {options}"));
    assert_eq!(created["evicted"].as_array().unwrap().len(), 3);
    assert_eq!((&created["new_ip"], &created["new_device"]), (&json!(true), &json!(true)));
    let line = format!("SESSION.REFRESH sessions:42 {}", created["refresh_token"].as_str().unwrap());
    let renewed = pair(&line, &format!("{line} JSON"));
    assert_eq!(renewed["id"], created["id"]);
    let id = renewed["id"].as_str().unwrap();
    let moved = parsed(&mut server.connection(), &format!("SESSION.REGENERATE sessions:42 {id} LEVEL 2 JSON"));
    assert_eq!(shape(&moved), shape(&renewed));
    let id = moved["id"].as_str().unwrap().to_owned();
    let get = parsed(&mut server.connection(), &format!("SESSION.GET sessions:42 {id} JSON"));
    assert_eq!((&get["level"], &get["expires_at"]), (&json!(2), &moved["expires_at"]));
    // A use moves the deadlines: of two, the second is no earlier.
    let line = format!("SESSION.TOUCH sessions:42 ID {id} FULL");
    let said = as_json(&cmd(&mut server.connection_resp3(), &line).unwrap());
    assert_eq!(shape(&parsed(&mut server.connection(), &format!("{line} JSON"))), shape(&said));
    let said = as_json(&cmd(&mut server.connection_resp3(), "SESSION.STATS").unwrap());
    assert_eq!(shape(&parsed(&mut server.connection(), "SESSION.STATS JSON")), shape(&said));
}

#[test]
fn python_reads_it_as_well() {
    let server = Server::start();
    let mut con = server.connection();
    fill(&mut con);
    let program = "import json, sys; print(json.dumps(json.load(sys.stdin.buffer), ensure_ascii=True))";
    let python = Command::new("python3").args(["-c", program]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let Ok(mut python) = python else { return skipped("Python's parser of JSON: there is no python3") };
    let text = json_text(&mut con, "SESSION.LIST sessions:42 JSON");
    python.stdin.take().unwrap().write_all(&text).unwrap();
    let read = python.wait_with_output().unwrap();
    assert!(read.status.success());
    let (read, ours): (Json, Json) =
        (serde_json::from_slice(&read.stdout).unwrap(), serde_json::from_slice(&text).unwrap());
    assert_eq!(read, ours);
}

#[test]
fn an_error_is_an_error_and_changes_nothing() {
    on_both(|server, con| {
        create(con, "sessions:42 ID one");
        let digest = server.digest_of_all();
        for (line, expected) in [
            ("SESSION.CREATE sessions:42 JSON JSON", "ERR JSON is given twice"),
            ("SESSION.CREATE sessions:42 ID one JSON", "SESSIONEXISTS a live session has this id"),
            ("SESSION.CREATE sessions:42 TTL JSON", "ERR TTL must be a whole number from 1 to 3162240000"),
            ("SESSION.GET sessions:42 one JSON json", "ERR JSON is given twice"),
            ("SESSION.LIST JSON", "ERR the key "),
            ("SESSION.VALIDATE sessions:42 ID one FULL JSON BRIEF", "ERR BRIEF does not go with FULL"),
            ("SESSION.TOUCH sessions:42 ID JSON FULL JSON JSON", "ERR JSON is given twice"),
            ("SESSION.REFRESH sessions:42 token JSON JSON", "ERR JSON is given twice"),
            ("SESSION.REGENERATE sessions:42 one JSON JSON", "ERR JSON is given twice"),
            ("SESSION.STATS JSON JSON", "ERR JSON is given twice"),
            ("SESSION.KEYS JSON JSON", "ERR JSON is given twice"),
            ("SESSION.KEYS XML", "ERR unknown option XML"),
            ("SESSION.COUNT sessions:42 JSON", "ERR wrong number of arguments"),
            ("SESSION.SET sessions:43 one JSON 1", "NOSESSION"),
        ] {
            let text = error(con, line);
            assert!(text.starts_with(expected), "{line}: {text}");
        }
        assert_eq!(server.digest_of_all(), digest);
    });
}
