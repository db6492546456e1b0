//! What is on disk and what is told to others: no token, no code, no fingerprint.

use redis_session_core::base64url;
use redis_session_tests::issuer::tampered;
use redis_session_tests::{Server, ServerBuilder, cmd, create, error_text};

use crate::steps::{KEY, grant, refresh, refreshed, set};

const FINGERPRINT: &str = "correct-horse-battery-staple";

/// Every way in which a token is made, used, refused and ended; what must be found nowhere.
fn live_through_everything(server: &Server) -> Vec<String> {
    let mut con = server.connection();
    set(&mut con, "session.touch-granularity 0 session.refresh-grace 0");
    let mut tokens = Vec::new();
    for kind in ["JWT", "OPAQUE", "NONE"] {
        let line = format!("sessions:42 TOKEN {kind} REFRESH 1000 DEVICE {FINGERPRINT} IDLE 100");
        let (kept, gone, stolen) = (create(&mut con, &line), create(&mut con, &line), create(&mut con, &line));
        let renewed = refresh(&mut con, &format!("{} DEVICE {FINGERPRINT}", kept.str("refresh_token")));
        let renamed = grant(&mut con, &format!("SESSION.REGENERATE {KEY} {}", kept.str("id")));
        let taken = refresh(&mut con, &stolen.str("refresh_token"));
        assert_eq!(refreshed(&mut con, stolen.str("refresh_token")), "reused");
        cmd(&mut con, &format!("SESSION.REVOKE {KEY} {}", gone.str("refresh_token"))).unwrap();
        for granted in [&kept, &gone, &stolen, &renewed, &renamed, &taken] {
            tokens.push(granted.str("refresh_token"));
            if kind == "NONE" {
                continue;
            }
            tokens.push(granted.str("token"));
            for command in ["SESSION.VALIDATE", "SESSION.TOUCH"] {
                cmd(&mut con, &format!("{command} {KEY} {} DEVICE {FINGERPRINT} FULL", granted.str("token"))).unwrap();
            }
        }
        cmd(&mut con, &format!("SESSION.REVOKEUSER {KEY} EXCEPT {}", renamed.str("refresh_token"))).unwrap();
    }
    tokens
}

/// What authenticates a token, its last part, as text and as bytes.
fn codes(token: &str) -> [Vec<u8>; 2] {
    let code = token.rsplit('.').next().unwrap();
    // Behind the kid, of those that have one there.
    let raw = base64url::decode(code.as_bytes()).unwrap();
    let kid = if token.starts_with("eyJ") { 0 } else { raw.iter().position(|byte| *byte == 0).unwrap() + 1 };
    [code.into(), raw[kid..].into()]
}

#[track_caller]
fn holds_none_of(place: &str, bytes: &[u8], secrets: &[Vec<u8>]) {
    for secret in secrets {
        assert!(secret.len() >= 8);
        let found = bytes.windows(secret.len()).any(|window| window == secret);
        assert!(!found, "{} is in {place}", secret.escape_ascii());
    }
}

#[test]
fn neither_snapshot_nor_log_of_writes_holds_a_token_or_a_fingerprint() {
    for rewritten in [false, true] {
        let server = ServerBuilder::new().appendonly().config("aof-use-rdb-preamble no").start();
        let mut con = server.connection();
        let mut secrets: Vec<_> = live_through_everything(&server).iter().flat_map(|token| codes(token)).collect();
        secrets.push(FINGERPRINT.into());
        cmd(&mut con, "SAVE").unwrap();
        if rewritten {
            cmd(&mut con, "BGREWRITEAOF").unwrap();
            redis_session_tests::wait_until("the log is rewritten", || {
                server.info("persistence", "aof_rewrite_in_progress") == "0"
                    && server.info("persistence", "aof_rewrite_scheduled") == "0"
            });
        }
        let mut files = vec![server.dir().to_owned()];
        let mut read = Vec::new();
        while let Some(path) = files.pop() {
            if path.is_dir() {
                files.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
                continue;
            }
            let bytes = std::fs::read(&path).unwrap();
            holds_none_of(&path.display().to_string(), &bytes, &secrets);
            read.push((path.display().to_string(), bytes.len()));
        }
        for kind in [".rdb", ".aof"] {
            assert!(read.iter().any(|(path, length)| path.contains(kind) && *length > 200), "{kind}: {read:?}");
        }
    }
}

#[test]
fn neither_the_slow_log_nor_a_list_of_sessions_holds_a_token() {
    let server = Server::start();
    let mut con = server.connection();
    cmd(&mut con, "CONFIG SET slowlog-log-slower-than 0 slowlog-max-len 10000").unwrap();
    let tokens = live_through_everything(&server);
    let secrets: Vec<_> = tokens.iter().map(|token| codes(token)[0].clone()).collect();
    let entries: Vec<(i64, i64, i64, Vec<String>, String, String)> =
        redis::cmd("SLOWLOG").arg("GET").arg(-1).query(&mut con).unwrap();
    let told = format!("{entries:?}");
    assert!(told.contains("SESSION.REFRESH") && told.contains("(redacted)"));
    holds_none_of("SLOWLOG", told.as_bytes(), &secrets);
    let listed = format!("{:?}", cmd(&mut con, "SESSION.LIST sessions:42").unwrap());
    holds_none_of("SESSION.LIST", listed.as_bytes(), &secrets);
    assert!(!listed.contains(FINGERPRINT));
}

#[test]
fn an_error_or_a_reason_repeats_no_refresh_token() {
    let server = Server::start();
    let mut con = server.connection();
    let token = create(&mut con, "sessions:42 REFRESH 1000").str("refresh_token");
    for line in [
        format!("SESSION.REFRESH sessions:43 {token}"),
        format!("SESSION.REFRESH {KEY} {}", tampered(&token)),
        format!("SESSION.REFRESH {KEY} {token} {token}"),
        format!("SESSION.REFRESH {KEY} {token} IP {token}"),
        format!("SESSION.REFRESH {token} {token}"),
        format!("SESSION.REGENERATE {KEY} {token}"),
        format!("SESSION.CREATE {KEY} ID {token}"),
        format!("SESSION.SET {KEY} {token} a 1"),
        format!("SESSION.GET {KEY} {token}"),
        format!("SESSION.REVOKEUSER {KEY} EXCEPT {}", tampered(&token)),
    ] {
        let told = match cmd(&mut con, &line) {
            Ok(reply) => format!("{reply:?}"),
            Err(error) => error_text(&error),
        };
        let code = token.rsplit('.').next().unwrap();
        assert!(!told.contains(code) && !told.contains(&code[..code.len() - 4]), "{line}: {told}");
    }
}
