//! Access control: who may do what to whose sessions.

use redis_session_tests::{Server, cmd, cmd_args, create, list, text, verdict};

use crate::commands::{COMMANDS, KEYLESS, READERS, is_denied, on_key, user};

#[test]
fn a_user_who_may_read_keys_may_check_sessions_and_change_none() {
    let server = Server::start();
    let token = create(&mut server.connection(), "sessions:1 TOKEN OPAQUE ID mine").str("token");
    let mut con = user(&server, "validator", "%R~sessions:* -@all +@all");
    for (command, _) in COMMANDS {
        let line = on_key(command, "sessions:1");
        assert_eq!(is_denied(&mut con, &line), !READERS.contains(&command), "{line}");
    }
    assert_eq!(verdict(&mut con, "sessions:1", &token), "active");
    assert_eq!(verdict(&mut server.connection(), "sessions:1", &token), "active");
}

#[test]
fn a_user_who_may_only_write_keys_may_neither_check_nor_change_sessions() {
    let server = Server::start();
    // Every command that writes tells something of what is there, too.
    let mut con = user(&server, "writer", "%W~sessions:* +@all");
    for (command, _) in COMMANDS {
        assert!(is_denied(&mut con, &on_key(command, "sessions:1")), "{command}");
    }
}

#[test]
fn a_user_with_one_key_reaches_no_other() {
    let server = Server::start();
    let mut con = user(&server, "one", "~sessions:1 +@all");
    for (command, _) in COMMANDS {
        assert!(!is_denied(&mut con, &on_key(command, "sessions:1")), "{command}");
        for other in ["sessions:2", "sessions:11", "sessions:{1}", "elsewhere"] {
            assert!(is_denied(&mut con, &on_key(command, other)), "{command} {other}");
        }
    }
}

#[test]
fn a_refused_command_changes_nothing() {
    let server = Server::start();
    let token = create(&mut server.connection(), "sessions:1 TOKEN OPAQUE").str("token");
    let digest = server.digest("sessions:1");
    let mut con = user(&server, "nobody", "~other:* +@all");
    for line in
        ["SESSION.REVOKEUSER sessions:1", "SESSION.CREATE sessions:1", &format!("SESSION.REVOKE sessions:1 {token}")]
    {
        assert!(is_denied(&mut con, line), "{line}");
    }
    assert_eq!(server.digest("sessions:1"), digest);
}

#[test]
fn each_command_can_be_granted_alone() {
    let server = Server::start();
    for (granted, _) in COMMANDS {
        let name = granted.replace('.', "-").to_lowercase();
        let mut con = user(&server, &name, &format!("~sessions:* -@all +{}", granted.to_lowercase()));
        for (command, _) in COMMANDS {
            assert_eq!(is_denied(&mut con, &on_key(command, "sessions:1")), command != granted, "{granted}: {command}");
        }
    }
}

#[test]
fn each_command_can_be_taken_away() {
    let server = Server::start();
    let mut con = user(&server, "limited", "~* +@all -session.revokeuser");
    assert!(is_denied(&mut con, "SESSION.REVOKEUSER sessions:1"));
    assert!(!is_denied(&mut con, "SESSION.REVOKE sessions:1 mine"));
}

#[test]
fn nobody_carries_out_effects_by_hand() {
    let server = Server::start();
    let mut con = server.connection();
    create(&mut con, "sessions:1");
    let digest = server.digest("sessions:1");
    // One that forgets all sessions.
    let effects: &[u8] = b"\x01\x06\x00";
    let apply = [b"SESSION.APPLY", &b"sessions:1"[..], effects];
    let error = cmd_args(&mut con, apply).unwrap_err();
    assert_eq!(error.detail(), Some("SESSION.APPLY is for replication and append-only files, not for clients"));
    let script = "return redis.call('SESSION.APPLY', KEYS[1], ARGV[1])";
    assert!(cmd_args(&mut con, [b"EVAL", script.as_bytes(), b"1", b"sessions:1", effects]).is_err());
    cmd(&mut con, "MULTI").unwrap();
    cmd_args(&mut con, apply).unwrap();
    let _ = cmd(&mut con, "EXEC");
    assert_eq!(server.digest("sessions:1"), digest);
}

/// From Redis 7.4 and Valkey 8 on, modules may have a category of their own.
#[test]
fn one_category_has_all_session_commands_where_there_can_be_one() {
    let server = Server::start();
    let mut con = server.connection();
    let categories = list(cmd(&mut con, "ACL CAT").unwrap());
    let has_one = categories.iter().any(|name| text(name) == "session");
    let version = server.info("server", "redis_version");
    let info: String = redis::cmd("INFO").arg("server").query(&mut con).unwrap();
    let can_have = info.contains("valkey_version") || !(version.starts_with("7.0.") || version.starts_with("7.2."));
    assert_eq!(has_one, can_have, "{version}");
    if !has_one {
        return;
    }
    assert_eq!(list(cmd(&mut con, "ACL CAT session").unwrap()).len(), COMMANDS.len() + KEYLESS.len() + 1);
    let mut con = user(&server, "app", "~sessions:* resetchannels -@all +@session");
    for (command, _) in COMMANDS {
        assert!(!is_denied(&mut con, &on_key(command, "sessions:1")), "{command}");
        assert!(is_denied(&mut con, &on_key(command, "other:1")), "{command}");
    }
    for line in ["GET sessions:1", "DEL sessions:1", "CONFIG GET session.*", "PING"] {
        assert!(is_denied(&mut con, line), "{line}");
    }
}

#[test]
fn scripts_have_the_permissions_of_who_runs_them() {
    let server = Server::start();
    let mut con = user(&server, "reader", "%R~sessions:* +@all");
    let script = "return redis.call(ARGV[1], KEYS[1])";
    let run =
        |con: &mut redis::Connection, command: &str| cmd_args(con, ["EVAL_RO", script, "1", "sessions:1", command]);
    assert!(run(&mut con, "SESSION.COUNT").is_ok());
    assert!(run(&mut con, "SESSION.REVOKEUSER").is_err());
}
