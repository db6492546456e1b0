//! Tokens are told to nobody but their user: not by the slow log, MONITOR, the log, ACL LOG, INFO or an error. What the
//! report of a crash tells, `operations/redis_conf.rs` looks at.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use redis_session_tests::{Server, ServerBuilder, ask, cmd, cmd_args, create, login};

use redis_session_tests::issuer::tampered;

/// What MONITOR shows while `work` runs.
fn monitored(server: &Server, work: impl FnOnce()) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(b"MONITOR\r\n").unwrap();
    let mut lines = BufReader::new(stream);
    let mut first = String::new();
    lines.read_line(&mut first).unwrap();
    assert_eq!(first, "+OK\r\n");
    let (sender, receiver) = mpsc::channel();
    let reader = thread::spawn(move || {
        for line in lines.lines() {
            let line = line.unwrap();
            let last = line.contains("the end of it");
            sender.send(line).unwrap();
            if last {
                return;
            }
        }
    });
    work();
    cmd_args(&mut server.connection(), ["ECHO", "the end of it"]).unwrap();
    reader.join().unwrap();
    receiver.try_iter().collect::<Vec<_>>().join("\n")
}

/// Everything that the server tells others than the one who asked.
struct Told {
    monitor: String,
    slowlog: String,
    acl_log: String,
    info: String,
    log: String,
}

impl Told {
    /// Runs `work` and collects it.
    fn while_running(server: &Server, work: impl FnOnce()) -> Self {
        let mut con = server.connection();
        cmd(&mut con, "CONFIG SET slowlog-log-slower-than 0 slowlog-max-len 10000").unwrap();
        cmd(&mut con, "SLOWLOG RESET").unwrap();
        let monitor = monitored(server, work);
        let mut all = |line| format!("{:?}", cmd(&mut con, line).unwrap());
        // Bytes are shown as numbers: as text, to be searched.
        let slowlog: Vec<(i64, i64, i64, Vec<String>, String, String)> =
            redis::cmd("SLOWLOG").arg("GET").arg(-1).query(&mut server.connection()).unwrap();
        let acl_log = server.cli(&["ACL", "LOG"]).stdout + &all("ACL LOG");
        let info =
            ["INFO everything", "CLIENT LIST", "LATENCY LATEST", "SESSION.STATS", "SESSION.KEYS"].map(all).concat();
        Self { monitor, slowlog: format!("{slowlog:?}"), acl_log, info, log: server.log() }
    }

    #[track_caller]
    fn holds_none_of(&self, secrets: &[String]) {
        let Self { monitor, slowlog, acl_log, info, log } = self;
        for (place, text) in [
            ("MONITOR", monitor),
            ("SLOWLOG", slowlog),
            ("ACL LOG", acl_log),
            ("INFO and the like", info),
            ("the log", log),
        ] {
            for secret in secrets {
                // What authenticates it: its last part.
                let code = secret.rsplit('.').next().unwrap();
                let telling = text.lines().find(|line| line.contains(code));
                assert_eq!(telling, None, "{secret} is in {place}");
            }
        }
    }
}

#[test]
fn no_command_tells_a_token() {
    let server = ServerBuilder::new().config("loglevel debug").start();
    let mut con = server.connection();
    let tokens: Vec<_> =
        ["JWT", "OPAQUE", "JWT", "OPAQUE"].map(|kind| login(&mut con, &format!("sessions:42 TOKEN {kind}"))).into();
    let others = login(&mut con, "sessions:43");
    let bad: Vec<_> = tokens.iter().map(|token| tampered(token)).collect();
    let first = create(&mut con, "sessions:44 REFRESH 1000").str("refresh_token");
    let mut made = vec![first.clone(), tampered(&first)];
    let told = Told::while_running(&server, || {
        let second = ask(&mut con, &format!("SESSION.REFRESH sessions:44 {first} AGENT Firefox"));
        let third = ask(&mut con, &format!("SESSION.REGENERATE sessions:44 {}", second.str("token")));
        for fields in [&second, &third] {
            made.extend([fields.str("token"), fields.str("refresh_token")]);
        }
        for token in &made {
            cmd(&mut con, &format!("SESSION.REFRESH sessions:44 {token}")).unwrap();
            cmd(&mut con, &format!("SESSION.VALIDATE sessions:44 {token} STATELESS DEVICE phone")).unwrap();
        }
        cmd(&mut con, &format!("SESSION.CREATE sessions:43 FROM {others}")).unwrap_err();
        for mut con in [server.connection(), server.connection_resp3()] {
            for token in tokens.iter().chain(&bad).chain([&others]) {
                for line in [
                    format!("SESSION.VALIDATE sessions:42 {token}"),
                    format!("SESSION.VALIDATE sessions:42 {token} FULL IP ::1 AUD api"),
                    format!("SESSION.TOUCH sessions:42 {token}"),
                    format!("SESSION.TOUCH sessions:42 {token} FULL"),
                ] {
                    cmd(&mut con, &line).unwrap();
                }
                redis::pipe().atomic().cmd("SESSION.TOUCH").arg("sessions:42").arg(token).exec(&mut con).unwrap();
            }
        }
        cmd(&mut con, &format!("SESSION.REVOKEUSER sessions:42 EXCEPT {}", tokens[0])).unwrap();
        for token in bad.iter().chain([&others]) {
            cmd(&mut con, &format!("SESSION.REVOKEUSER sessions:42 EXCEPT {token}")).unwrap_err();
        }
        let line = format!("SESSION.REVOKE sessions:42 one {} {} {others} {}", tokens[0], tokens[1], bad[0]);
        cmd(&mut con, &line).unwrap();
    });
    assert!(told.monitor.contains("SESSION.VALIDATE") && told.monitor.contains("(redacted)"));
    assert!(told.slowlog.contains("SESSION.REVOKEUSER") && told.slowlog.contains("(redacted)"));
    let secrets: Vec<_> = tokens.into_iter().chain(bad).chain([others]).chain(made).collect();
    told.holds_none_of(&secrets);
}

#[test]
fn a_token_that_was_made_is_told_to_its_user_alone() {
    let server = ServerBuilder::new().config("loglevel debug").start();
    let mut tokens = Vec::new();
    let told = Told::while_running(&server, || {
        let mut con = server.connection();
        tokens.extend(["JWT", "OPAQUE"].map(|kind| login(&mut con, &format!("sessions:42 TOKEN {kind}"))));
    });
    assert!(told.monitor.contains("SESSION.CREATE"));
    told.holds_none_of(&tokens);
}

#[test]
fn a_token_in_the_wrong_place_is_not_told_either() {
    let server = Server::start();
    let mut con = server.connection();
    let tokens: Vec<_> = ["JWT", "OPAQUE"].map(|kind| login(&mut con, &format!("sessions:42 TOKEN {kind}"))).into();
    let told = Told::while_running(&server, || {
        for token in &tokens {
            for line in [
                format!("SESSION.GET sessions:42 {token}"),
                format!("SESSION.TTL sessions:42 {token}"),
                format!("SESSION.REVOKEUSER sessions:42 {token}"),
                format!("SESSION.SET sessions:42 {token} field value"),
                format!("SESSION.UNSET sessions:42 {token} field"),
                format!("SESSION.REFRESH sessions:42 {token}"),
                format!("SESSION.CREATE sessions:42 {token}"),
                format!("SESSION.CREATE sessions:42 ID {token}"),
                format!("SESSION.CREATE sessions:42 TTL {token}"),
                format!("SESSION.CREATE sessions:42 TOKEN {token}"),
                format!("SESSION.VALIDATE sessions:42 {token} {token}"),
                format!("SESSION.TOUCH sessions:42 {token} Colour IP {token}"),
            ] {
                match cmd(&mut con, &line) {
                    Ok(reply) => assert!(!format!("{reply:?}").contains(token), "{line}: {reply:?}"),
                    Err(error) => assert!(!error.to_string().contains(token), "{line}: {error}"),
                }
            }
        }
    });
    told.holds_none_of(&tokens);
}

/// Such a command succeeds.
#[test]
fn a_token_among_an_applications_values_is_not_told_either() {
    let server = Server::start();
    let mut con = server.connection();
    let tokens: Vec<_> = ["JWT", "OPAQUE"].map(|kind| login(&mut con, &format!("sessions:42 TOKEN {kind}"))).into();
    let session = create(&mut con, "sessions:42 ID one REFRESH 1000");
    let (jwt, mut refresh) = (session.str("token"), session.str("refresh_token"));
    let told = Told::while_running(&server, || {
        for token in &tokens {
            for value in [token.clone(), format!("Bearer {token}"), format!("{{\"act\":\"{token}\"}}")] {
                let mut done = |args: &[&str]| cmd_args(&mut con, args).unwrap_or_else(|why| panic!("{args:?}: {why}"));
                for check in ["SESSION.VALIDATE", "SESSION.TOUCH"] {
                    for option in ["AUD", "DEVICE"] {
                        done(&[check, "sessions:42", &jwt, option, &value]);
                    }
                }
                for option in ["AGENT", "DEVICE"] {
                    done(&["SESSION.CREATE", "sessions:43", option, &value]);
                    let refreshed = redis_session_tests::fields(done(&[
                        "SESSION.REFRESH",
                        "sessions:42",
                        &refresh,
                        option,
                        &value,
                    ]));
                    refresh = refreshed.str("refresh_token");
                }
                done(&["SESSION.CREATE", "sessions:43", "DATA", "2", "field", &value, &value, "value"]);
                done(&["SESSION.SET", "sessions:42", "one", "field", &value, &value, "value"]);
                done(&["SESSION.UNSET", "sessions:42", "one", "other", &value]);
            }
            let claims = format!("{{\"act\":\"{token}\"}}");
            cmd_args(&mut con, ["SESSION.CREATE", "sessions:43", "CLAIMS", &claims]).unwrap();
            let others = (1..=1000).map(|n| format!("other{n}"));
            let many = ["SESSION.REVOKE".into(), "sessions:42".into()].into_iter().chain(others).chain([token.clone()]);
            cmd_args(&mut con, many.collect::<Vec<_>>()).unwrap_err();
        }
    });
    assert!(told.monitor.contains("AUD") && told.monitor.contains("CLAIMS") && told.slowlog.contains("AGENT"));
    told.holds_none_of(&tokens);
}

/// As from a header, a JSON text or a form: the sender learns of it, and nobody else does.
#[test]
fn a_token_with_something_around_it_is_refused_and_not_told() {
    let server = Server::start();
    let mut con = server.connection();
    let tokens: Vec<_> = ["JWT", "OPAQUE"].map(|kind| login(&mut con, &format!("sessions:42 TOKEN {kind}"))).into();
    let told = Told::while_running(&server, || {
        for token in &tokens {
            for text in
                [format!("Bearer {token}"), format!("\"{token}\""), format!("token={token}"), format!("{token};")]
            {
                for (command, more) in [
                    ("SESSION.REVOKE", &[][..]),
                    ("SESSION.REGENERATE", &[]),
                    ("SESSION.GET", &[]),
                    ("SESSION.TTL", &[]),
                    ("SESSION.SET", &["field", "value"]),
                    ("SESSION.UNSET", &["field"]),
                ] {
                    let args = [&[command, "sessions:42", &text], more].concat();
                    let Err(refused) = cmd_args(&mut con, args) else { continue };
                    assert!(!refused.to_string().contains(token.as_str()), "{command}: {refused}");
                }
                let refused = |con: &mut _, args: &[&str]| cmd_args(con, args.iter()).unwrap_err().to_string();
                if !text.ends_with(';') {
                    let why = refused(&mut con, &["SESSION.REVOKE", "sessions:42", &text]);
                    assert!(why.contains("looks like a token; an id must not"), "{text}: {why}");
                }
                refused(&mut con, &["SESSION.REVOKEUSER", "sessions:42", "EXCEPT", &text]);
                refused(&mut con, &["SESSION.CREATE", "sessions:42", "ID", &text]);
            }
        }
    });
    assert_eq!(cmd(&mut con, "SESSION.COUNT sessions:42").unwrap(), redis::Value::Int(2));
    told.holds_none_of(&tokens);
}

#[test]
fn who_may_not_ask_leaves_no_token_in_the_acl_log() {
    let server = Server::start();
    let mut con = server.connection();
    let tokens: Vec<_> = ["JWT", "OPAQUE"].map(|kind| login(&mut con, &format!("sessions:42 TOKEN {kind}"))).into();
    cmd(&mut con, "ACL SETUSER guest on >guest ~other:* +@all -session.revoke").unwrap();
    let told = Told::while_running(&server, || {
        let mut guest = server.connection();
        cmd(&mut guest, "AUTH guest guest").unwrap();
        for token in &tokens {
            for command in ["SESSION.VALIDATE", "SESSION.TOUCH", "SESSION.REVOKE"] {
                let refused = cmd(&mut guest, &format!("{command} sessions:42 {token}")).unwrap_err();
                assert_eq!(refused.code(), Some("NOPERM"));
                assert!(!refused.to_string().contains(token));
            }
        }
    });
    assert!(told.acl_log.contains("guest"), "{}", told.acl_log);
    told.holds_none_of(&tokens);
}

#[test]
fn nothing_secret_is_stored_with_a_session() {
    let server = ServerBuilder::new().appendonly().start();
    let mut con = server.connection();
    let tokens: Vec<_> = ["JWT", "OPAQUE"].map(|kind| login(&mut con, &format!("sessions:42 TOKEN {kind}"))).into();
    for token in &tokens {
        cmd(&mut con, &format!("SESSION.TOUCH sessions:42 {token}")).unwrap();
    }
    cmd(&mut con, &format!("SESSION.REVOKE sessions:42 {}", tokens[0])).unwrap();
    cmd(&mut con, "SAVE").unwrap();
    let mut files = vec![server.dir().to_owned()];
    let mut read = 0;
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        read += usize::from(!bytes.is_empty());
        for token in &tokens {
            let code = token.rsplit('.').next().unwrap().as_bytes();
            assert!(!bytes.windows(code.len()).any(|window| window == code), "{}", path.display());
        }
    }
    // At least the log, redis.conf, the RDB file and the append-only file.
    assert!(read >= 4, "{read}");
}

#[test]
fn an_error_repeats_no_word_that_may_be_a_secret() {
    let server = Server::start();
    let mut con = server.connection();
    let token = create(&mut con, "sessions:42").str("token");
    for word in [token.as_str(), "hunter2", "correct-horse", "abcdefghijklmnopqrstuvwxyz", "p\u{e4}ssword", "a b", ""] {
        for args in [["SESSION.CREATE", "sessions:42", word], ["SESSION.REVOKEUSER", "sessions:42", word]] {
            let refused = redis_session_tests::refusal(&mut con, args);
            assert_eq!(refused, "ERR syntax error: an option was expected", "{word}");
        }
    }
    let refused = redis_session_tests::refusal(&mut con, ["SESSION.CREATE", "sessions:42", "Colour"]);
    assert_eq!(refused, "ERR unknown option Colour");
}
