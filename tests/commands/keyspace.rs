//! A user's sessions as a key: what the server's own commands do to it.

use std::time::Duration;

use redis::Value;
use redis_session_tests::{
    advance, advance_to, ask, cmd, create, error, ids, int, login, on_both, verdict, verdict_with,
};

#[test]
fn deleting_the_key_logs_the_user_out() {
    on_both(|_, con| {
        for line in ["DEL sessions:42", "UNLINK sessions:42", "FLUSHDB", "FLUSHALL ASYNC", "SWAPDB 0 1"] {
            let tokens = [login(con, "sessions:42 AGENT Firefox"), login(con, "sessions:42 TOKEN OPAQUE")];
            cmd(con, line).unwrap();
            for token in &tokens {
                assert_eq!(verdict(con, "sessions:42", token), "unknown", "{line}");
                assert_eq!(verdict_with(con, ["SESSION.TOUCH", "sessions:42", token]), "unknown", "{line}");
            }
            assert_eq!(int(con, "SESSION.COUNT sessions:42"), 0);
            assert_eq!(int(con, "SESSION.REVOKE sessions:42 one"), 0);
            assert_eq!(int(con, "EXISTS sessions:42"), 0);
            let token = login(con, "sessions:42");
            assert_eq!(verdict(con, "sessions:42", &token), "active");
            cmd(con, "FLUSHALL").unwrap();
        }
    });
}

#[test]
fn a_renamed_key_is_another_users() {
    on_both(|_, con| {
        let token = login(con, "sessions:42 ID one");
        cmd(con, "RENAME sessions:42 sessions:43").unwrap();
        assert_eq!(verdict(con, "sessions:42", &token), "unknown");
        assert_eq!(verdict(con, "sessions:43", &token), "subject");
        assert_eq!(ask(con, "SESSION.GET sessions:43 one").str("user"), "43");
        assert_eq!(int(con, &format!("SESSION.REVOKE sessions:43 {token}")), 0);
        assert_eq!(int(con, "SESSION.REVOKE sessions:43 one"), 1);
        cmd(con, "RENAME sessions:43 sessions:42").unwrap();
        assert_eq!(verdict(con, "sessions:42", &token), "revoked");
    });
}

#[test]
fn a_key_renamed_out_of_the_prefix_is_nobodys() {
    on_both(|_, con| {
        let token = login(con, "sessions:42");
        cmd(con, "RENAME sessions:42 elsewhere").unwrap();
        let expected = "ERR the key does not start with the session.key-prefix: expected sessions:<user>";
        assert_eq!(error(con, "SESSION.LIST elsewhere"), expected);
        assert_eq!(error(con, &format!("SESSION.VALIDATE elsewhere {token}")), expected);
        assert_eq!(error(con, "SESSION.CREATE elsewhere"), expected);
        cmd(con, "RENAME elsewhere sessions:42").unwrap();
        assert_eq!(verdict(con, "sessions:42", &token), "active");
    });
}

#[test]
fn a_copy_is_a_value_of_its_own() {
    on_both(|server, con| {
        let token = login(con, "sessions:42 ID one AGENT Firefox DATA 1 k v");
        assert_eq!(int(con, "COPY sessions:42 sessions:43"), 1);
        assert_eq!(server.digest("sessions:42"), server.digest("sessions:43"));
        assert_eq!(verdict(con, "sessions:43", &token), "subject");
        assert_eq!(int(con, "SESSION.REVOKE sessions:42 one"), 1);
        let session = ask(con, "SESSION.GET sessions:43 one");
        assert_eq!((session.str("agent"), session.fields("data").str("k")), ("Firefox".into(), "v".into()));
        cmd(con, "DEL sessions:42").unwrap();
        create(con, "sessions:42 AGENT Chrome");
        assert_eq!(ask(con, "SESSION.GET sessions:43 one").str("agent"), "Firefox");
    });
}

#[test]
fn a_key_moved_to_another_database_takes_its_sessions_along() {
    on_both(|_, con| {
        let token = login(con, "sessions:42");
        assert_eq!(int(con, "MOVE sessions:42 1"), 1);
        assert_eq!(verdict(con, "sessions:42", &token), "unknown");
        cmd(con, "SELECT 1").unwrap();
        assert_eq!(verdict(con, "sessions:42", &token), "active");
    });
}

#[test]
fn the_key_expires_with_its_last_deadline() {
    on_both(|_, con| {
        let first = create(con, "sessions:42 TTL 1000").int("expires_at");
        assert_eq!(int(con, "PEXPIRETIME sessions:42"), first);
        let last = create(con, "sessions:42 ID two TTL 5000").int("expires_at");
        assert_eq!(int(con, "PEXPIRETIME sessions:42"), last);
        create(con, "sessions:42 TTL 10");
        assert_eq!(int(con, "PEXPIRETIME sessions:42"), last);
        create(con, "sessions:42 TTL 10 IDLE 100000");
        assert_eq!(int(con, "PEXPIRETIME sessions:42"), last);
    });
}

#[test]
fn the_next_login_sets_a_shortened_expiry_right() {
    on_both(|_, con| {
        let last = create(con, "sessions:42 TTL 1000").int("expires_at");
        assert_eq!(int(con, "EXPIRE sessions:42 100"), 1);
        create(con, "sessions:42 TTL 10");
        assert_eq!(int(con, "PEXPIRETIME sessions:42"), last);
    });
}

#[test]
fn sessions_of_a_key_that_never_expires_do() {
    on_both(|_, con| {
        // Which would delete the key sooner or later.
        cmd(con, "CONFIG SET session.sweep-time 0").unwrap();
        let created = create(con, "sessions:42 TTL 1800 TOKEN OPAQUE");
        let token = created.str("token");
        assert_eq!(int(con, "PERSIST sessions:42"), 1);
        advance(con, Duration::from_secs(29 * 60));
        assert_eq!(verdict(con, "sessions:42", &token), "active");
        advance_to(con, created.int("expires_at"));
        assert_eq!(verdict(con, "sessions:42", &token), "expired");
        assert_eq!(verdict_with(con, ["SESSION.TOUCH", "sessions:42", &token]), "expired");
        assert_eq!(int(con, "PTTL sessions:42"), -1);
        let last = create(con, "sessions:42 TTL 1000").int("expires_at");
        assert_eq!(int(con, "PEXPIRETIME sessions:42"), last);
    });
}

#[test]
fn a_touch_leaves_the_keys_expiry_alone() {
    on_both(|_, con| {
        cmd(con, "CONFIG SET session.touch-granularity 0").unwrap();
        let created = create(con, "sessions:42 IDLE 100 TOKEN OPAQUE");
        advance(con, Duration::from_secs(60));
        ask(con, &format!("SESSION.TOUCH sessions:42 {}", created.str("token")));
        assert_eq!(int(con, "PEXPIRETIME sessions:42"), created.int("expires_at"));
    });
}

#[test]
fn the_value_has_a_type_a_size_and_a_scan() {
    on_both(|_, con| {
        create(con, "sessions:42");
        assert_eq!(cmd(con, "TYPE sessions:42").unwrap(), Value::SimpleString("sessions1".into()));
        assert!(int(con, "MEMORY USAGE sessions:42") > 0);
        let found: (String, Vec<String>) =
            redis::cmd("SCAN").arg(0).arg("TYPE").arg("sessions1").arg("COUNT").arg(100).query(con).unwrap();
        assert_eq!(found.1, ["sessions:42"]);
        assert!(error(con, "GET sessions:42").starts_with("WRONGTYPE "));
        assert!(error(con, "SADD sessions:42 one").starts_with("WRONGTYPE "));
        assert_eq!(ids(con, "sessions:42").len(), 1);
    });
}

#[test]
fn a_set_over_the_key_replaces_it() {
    on_both(|_, con| {
        let token = login(con, "sessions:42 AGENT Firefox");
        cmd(con, "SET sessions:42 text").unwrap();
        assert!(error(con, &format!("SESSION.VALIDATE sessions:42 {token}")).starts_with("WRONGTYPE "));
        cmd(con, "DEL sessions:42").unwrap();
        assert_eq!(verdict(con, "sessions:42", &token), "unknown");
    });
}
