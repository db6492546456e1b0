//! DEVICE: a session that is bound to a device is good for that one alone. And what is new to a user at a login.

use redis_session_tests::{advance, cmd, create, login, on_both, verdict, verdict_with};

use crate::steps::{KEY, minutes, session, set};

#[test]
fn a_bound_session_is_active_for_its_device_and_for_who_names_none() {
    on_both(|_, con| {
        for kind in ["JWT", "OPAQUE"] {
            let token = login(con, &format!("sessions:42 TOKEN {kind} DEVICE phone"));
            for command in ["SESSION.VALIDATE", "SESSION.TOUCH"] {
                assert_eq!(verdict_with(con, [command, KEY, &token, "DEVICE", "phone"]), "active");
                assert_eq!(verdict_with(con, [command, KEY, &token]), "active");
                for other in ["laptop", "Phone", "phone ", "phon", "\0"] {
                    assert_eq!(verdict_with(con, [command, KEY, &token, "device", other]), "device", "{other}");
                    assert_eq!(verdict_with(con, [command, KEY, &token, "FULL", "DEVICE", other]), "device");
                }
            }
        }
    });
}

#[test]
fn a_session_that_is_bound_to_none_is_active_for_every_device() {
    on_both(|_, con| {
        let token = login(con, "sessions:42");
        for command in ["SESSION.VALIDATE", "SESSION.TOUCH"] {
            assert_eq!(verdict_with(con, [command, KEY, &token, "DEVICE", "phone"]), "active");
            assert_eq!(verdict_with(con, [command, KEY, &token, "DEVICE", "laptop"]), "active");
        }
    });
}

#[test]
fn a_fingerprint_is_any_1_to_4096_bytes() {
    on_both(|_, con| {
        let longest = vec![0xff; 4096];
        for fingerprint in [&b"\0"[..], b"\xff\xfe", b" ", b"\r\n", &longest] {
            let args: [&[u8]; 4] = [b"SESSION.CREATE", KEY.as_bytes(), b"DEVICE", fingerprint];
            let token = redis_session_tests::fields(redis_session_tests::cmd_args(con, args).unwrap()).str("token");
            let check = |fingerprint: &[u8]| {
                [b"SESSION.VALIDATE".to_vec(), KEY.into(), token.clone().into(), b"DEVICE".to_vec(), fingerprint.into()]
            };
            assert_eq!(verdict_with(con, check(fingerprint)), "active");
            let mut other = fingerprint.to_vec();
            other[0] ^= 1;
            assert_eq!(verdict_with(con, check(&other)), "device");
        }
    });
}

#[test]
fn the_use_of_another_device_is_no_use() {
    on_both(|server, con| {
        set(con, "session.touch-granularity 0");
        let token = login(con, "sessions:42 ID one IDLE 100 DEVICE phone");
        let (before, digest) = (session(con, "one"), server.digest(KEY));
        advance(con, minutes(1));
        assert_eq!(verdict_with(con, ["SESSION.TOUCH", KEY, &token, "DEVICE", "laptop"]), "device");
        assert_eq!(session(con, "one"), before);
        assert_eq!(server.digest(KEY), digest);
        assert_eq!(verdict_with(con, ["SESSION.TOUCH", KEY, &token, "DEVICE", "phone"]), "active");
        assert!(session(con, "one").int("last_seen_at") > before.int("last_seen_at"));
    });
}

#[test]
fn a_dead_session_is_told_before_the_device() {
    on_both(|_, con| {
        let token = login(con, "sessions:42 ID one DEVICE phone");
        cmd(con, "SESSION.REVOKE sessions:42 one").unwrap();
        assert_eq!(verdict_with(con, ["SESSION.VALIDATE", KEY, &token, "DEVICE", "laptop"]), "revoked");
        assert_eq!(verdict(con, KEY, &token), "revoked");
    });
}

#[test]
fn a_login_tells_whether_address_and_device_are_new_to_the_users_live_sessions() {
    on_both(|_, con| {
        let mut news = |options: &str| {
            let created = create(con, &format!("sessions:42 {options}"));
            (created.bool("new_ip"), created.bool("new_device"))
        };
        assert_eq!(news(""), (false, false));
        assert_eq!(news("IP 203.0.113.7 DEVICE phone ID one"), (true, true));
        assert_eq!(news("IP 203.0.113.7 DEVICE phone ID two"), (false, false));
        assert_eq!(news("IP ::ffff:203.0.113.7 DEVICE laptop ID three"), (false, true));
        assert_eq!(news("IP 203.0.113.8 DEVICE laptop ID four"), (true, false));
        assert_eq!(news("DEVICE tablet"), (false, true));
        assert_eq!(news("IP 2001:db8::1"), (true, false));
    });
}
