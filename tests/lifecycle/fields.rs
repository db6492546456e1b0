//! SESSION.SET, SESSION.UNSET and SESSION.GET: the application's fields, one by one.

use std::thread;

use redis::{Connection, Value};
use redis_session_tests::{
    Server, advance, advance_to, ask, cmd, cmd_args, create, error, fields, int, list, on_both, refusal, text,
};

use crate::steps::{KEY, minutes, refresh, session, set};

/// The fields of session `one`, in their order.
#[track_caller]
fn data(con: &mut Connection) -> Vec<(String, String)> {
    let data = session(con, "one").fields("data");
    data.names().into_iter().map(|name| (name.to_owned(), data.str(name))).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn a_field_is_set_by_itself_and_the_others_stay() {
    on_both(|_, con| {
        create(con, "sessions:42 ID one DATA 2 cart 17 theme dark");
        assert_eq!(int(con, "SESSION.SET sessions:42 one theme light"), 1);
        assert_eq!(data(con), pairs(&[("cart", "17"), ("theme", "light")]));
        assert_eq!(int(con, "SESSION.SET sessions:42 one lang de cart 18"), 2);
        assert_eq!(data(con), pairs(&[("cart", "18"), ("theme", "light"), ("lang", "de")]));
    });
}

#[test]
fn a_field_is_removed_by_itself_and_the_others_stay() {
    on_both(|server, con| {
        create(con, "sessions:42 ID one DATA 3 a 1 b 2 c 3");
        assert_eq!(int(con, "SESSION.UNSET sessions:42 one b"), 1);
        assert_eq!(data(con), pairs(&[("a", "1"), ("c", "3")]));
        let digest = server.digest(KEY);
        assert_eq!(int(con, "SESSION.UNSET sessions:42 one b nothing"), 0);
        assert_eq!(server.digest(KEY), digest);
        assert_eq!(int(con, "SESSION.UNSET sessions:42 one a b c"), 2);
        assert_eq!(data(con), pairs(&[]));
        assert_eq!(int(con, "SESSION.SET sessions:42 one d 4"), 1);
        assert_eq!(data(con), pairs(&[("d", "4")]));
    });
}

#[test]
fn what_was_set_shows_wherever_the_session_does() {
    on_both(|_, con| {
        let token = create(con, "sessions:42 ID one").str("token");
        cmd(con, "SESSION.SET sessions:42 one cart 17").unwrap();
        let listed = list(cmd(con, "SESSION.LIST sessions:42").unwrap());
        assert_eq!(fields(listed[0].clone()).fields("data").str("cart"), "17");
        for command in ["SESSION.VALIDATE", "SESSION.TOUCH"] {
            let checked = ask(con, &format!("{command} {KEY} {token} FULL"));
            assert_eq!(checked.fields("data").str("cart"), "17");
        }
    });
}

#[test]
fn names_and_values_may_have_any_bytes() {
    on_both(|_, con| {
        create(con, "sessions:42 ID one");
        let (name, value): (&[u8], &[u8]) = (b"\xff\0 \r\n", b"\0\xfe\r\n\"");
        let set: [&[u8]; 9] = [b"SESSION.SET", KEY.as_bytes(), b"one", name, value, b"empty", b"", b"k", b"v"];
        assert_eq!(cmd_args(con, set).unwrap(), Value::Int(3));
        let flat = match session(con, "one").get("data").unwrap().clone() {
            Value::Map(pairs) => pairs.into_iter().flat_map(|(name, value)| [name, value]).collect(),
            other => list(other),
        };
        let bytes = |bytes: &[u8]| Value::BulkString(bytes.to_vec());
        assert_eq!(flat, [bytes(name), bytes(value), bytes(b"empty"), bytes(b""), bytes(b"k"), bytes(b"v")]);
        assert_eq!(cmd_args(con, [&b"SESSION.UNSET"[..], KEY.as_bytes(), b"one", name]).unwrap(), Value::Int(1));
        let left = session(con, "one").fields("data");
        assert_eq!(left.names(), ["empty", "k"]);
    });
}

#[test]
fn a_field_that_is_given_twice_is_refused_and_nothing_is_changed() {
    on_both(|server, con| {
        create(con, "sessions:42 ID one DATA 1 a 1");
        let digest = server.digest(KEY);
        assert_eq!(error(con, "SESSION.SET sessions:42 one a 2 b 3 a 4"), "ERR a field is given twice");
        assert_eq!(error(con, "SESSION.UNSET sessions:42 one a b a"), "ERR a field is given twice");
        assert_eq!(server.digest(KEY), digest);
    });
}

#[test]
fn arguments_that_do_not_pair_up_are_refused() {
    on_both(|server, con| {
        create(con, "sessions:42 ID one DATA 1 a 1");
        let digest = server.digest(KEY);
        for line in [
            "SESSION.SET",
            "SESSION.SET sessions:42",
            "SESSION.SET sessions:42 one",
            "SESSION.SET sessions:42 one a",
            "SESSION.SET sessions:42 one a 2 b",
            "SESSION.UNSET",
            "SESSION.UNSET sessions:42",
            "SESSION.UNSET sessions:42 one",
        ] {
            let text = error(con, line);
            let command = line.split(' ').next().unwrap();
            assert!(text.starts_with("ERR wrong number of arguments for "), "{line}: {text}");
            assert!(text.to_ascii_uppercase().contains(command), "{line}: {text}");
        }
        assert_eq!(server.digest(KEY), digest);
    });
}

#[test]
fn a_name_has_1_to_1024_bytes() {
    on_both(|server, con| {
        create(con, "sessions:42 ID one");
        let (longest, digest) = ("n".repeat(1024), server.digest(KEY));
        for name in ["", &format!("{longest}n")] {
            let expected = "ERR field names must have 1 to 1024 bytes";
            assert_eq!(refusal(con, ["SESSION.SET", KEY, "one", name, "v"]), expected);
            assert_eq!(refusal(con, ["SESSION.SET", KEY, "one", "a", "v", name, "v"]), expected);
            assert_eq!(refusal(con, ["SESSION.UNSET", KEY, "one", name]), expected);
        }
        assert_eq!(server.digest(KEY), digest);
        cmd_args(con, ["SESSION.SET", KEY, "one", &longest, "v"]).unwrap();
        assert_eq!(session(con, "one").fields("data").str(&longest), "v");
    });
}

#[test]
fn a_session_holds_as_many_bytes_as_the_setting_says() {
    on_both(|server, con| {
        set(con, "session.max-data-bytes 100");
        create(con, "sessions:42 ID one DATA 1 field 12345");
        let value = |length| "v".repeat(length);
        let digest = server.digest(KEY);
        assert_eq!(
            refusal(con, ["SESSION.SET", KEY, "one", "b", &value(90)]),
            "ERR the session would have 101 bytes of fields, session.max-data-bytes is 100"
        );
        assert_eq!(server.digest(KEY), digest);
        cmd_args(con, ["SESSION.SET", KEY, "one", "b", &value(89)]).unwrap();
        // What is replaced does not count.
        cmd_args(con, ["SESSION.SET", KEY, "one", "b", &value(50)]).unwrap();
        cmd_args(con, ["SESSION.SET", KEY, "one", "b", &value(89)]).unwrap();
        set(con, "session.max-data-bytes 50");
        assert!(refusal(con, ["SESSION.SET", KEY, "one", "field", "1"]).starts_with("ERR the session would have 96 "));
        assert_eq!(int(con, "SESSION.UNSET sessions:42 one b"), 1);
        cmd_args(con, ["SESSION.SET", KEY, "one", "field", "1"]).unwrap();
        set(con, "session.max-data-bytes 0");
        assert_eq!(int(con, "SESSION.UNSET sessions:42 one field"), 1);
        create(con, "sessions:42 ID two");
        set(con, "session.max-data-bytes 65536");
    });
}

#[test]
fn a_session_holds_as_many_fields_as_the_setting_says() {
    let many = |count: usize| (0..count).flat_map(|n| [format!("field{n}"), String::new()]);
    let command = |words: &[&str], count| words.iter().map(ToString::to_string).chain(many(count)).collect::<Vec<_>>();
    on_both(|server, con| {
        cmd_args(con, command(&["SESSION.CREATE", KEY, "ID", "one", "DATA", "1024"], 1024)).unwrap();
        let digest = server.digest(KEY);
        assert_eq!(
            refusal(con, command(&["SESSION.CREATE", KEY, "ID", "two", "DATA", "1025"], 1025)),
            "ERR DATA has 1025 fields, session.max-fields is 1024"
        );
        let expected = "ERR the session would have 1025 fields, session.max-fields is 1024";
        assert_eq!(refusal(con, ["SESSION.SET", KEY, "one", "field7", "new", "more", ""]), expected);
        assert_eq!(server.digest(KEY), digest);
        // Fields that are there already do not count again.
        cmd_args(con, command(&["SESSION.SET", KEY, "one"], 1024)).unwrap();
        assert_eq!(int(con, "SESSION.UNSET sessions:42 one field7"), 1);
        assert_eq!(int(con, "SESSION.SET sessions:42 one more 1"), 1);
        set(con, "session.max-fields 1023");
        assert!(refusal(con, ["SESSION.SET", KEY, "one", "more", "2"]).starts_with("ERR the session would have 1024 "));
        assert_eq!(int(con, "SESSION.UNSET sessions:42 one more"), 1);
        assert_eq!(int(con, "SESSION.SET sessions:42 one field8 2"), 1);
        set(con, "session.max-fields 1024");
    });
}

#[test]
fn fields_of_a_dead_session_are_not_changed_and_it_is_told_why() {
    on_both(|server, con| {
        // What is dead is looked at as it is.
        set(con, "session.sweep-time 0 session.leeway 300 session.refresh-grace 0");
        create(con, "sessions:42 ID gone DATA 1 a 1");
        cmd(con, "SESSION.REVOKE sessions:42 gone").unwrap();
        create(con, "sessions:42 ID evicted DATA 1 a 1");
        create(con, "sessions:42 ID everyone MAX 1 DATA 1 a 1");
        cmd(con, "SESSION.REVOKEUSER sessions:42").unwrap();
        let stolen = create(con, "sessions:42 ID stolen REFRESH 100 DATA 1 a 1").str("refresh_token");
        refresh(con, &stolen);
        assert_eq!(crate::steps::refreshed(con, &stolen), "reused");
        create(con, "sessions:42 ID idle IDLE 1800 DATA 1 a 1");
        let ends = create(con, "sessions:42 ID over TTL 1800 DATA 1 a 1").int("expires_at");
        advance_to(con, ends);
        let digest = server.digest(KEY);
        for (id, reason) in [
            ("gone", "revoked"),
            ("evicted", "evicted"),
            // All that is left of it is the cutoff, which says nothing of an id.
            ("everyone", "unknown"),
            ("stolen", "reused"),
            ("idle", "idle"),
            ("over", "expired"),
            ("nobody", "unknown"),
        ] {
            let expected = format!("NOSESSION the session is not alive: {reason}");
            assert_eq!(error(con, &format!("SESSION.SET {KEY} {id} a 2")), expected);
            assert_eq!(error(con, &format!("SESSION.UNSET {KEY} {id} a")), expected);
        }
        assert_eq!(server.digest(KEY), digest);
    });
}

#[test]
fn setting_a_field_never_makes_a_key() {
    on_both(|_, con| {
        create(con, "sessions:42 ID one");
        cmd(con, "DEL sessions:42").unwrap();
        let expected = "NOSESSION the session is not alive: unknown";
        assert_eq!(error(con, "SESSION.SET sessions:42 one a 1"), expected);
        assert_eq!(error(con, "SESSION.UNSET sessions:42 one a"), expected);
        assert_eq!(int(con, "DBSIZE"), 0);
    });
}

#[test]
fn setting_a_field_is_no_use_of_the_session_and_moves_no_deadline() {
    on_both(|_, con| {
        create(con, "sessions:42 ID one IDLE 100");
        let before = session(con, "one");
        advance(con, minutes(1));
        cmd(con, "SESSION.SET sessions:42 one a 1").unwrap();
        cmd(con, "SESSION.UNSET sessions:42 one a").unwrap();
        let after = session(con, "one");
        for name in before.names().into_iter().filter(|name| *name != "version") {
            assert_eq!(after.get(name), before.get(name), "{name}");
        }
        assert_eq!(int(con, "PEXPIRETIME sessions:42"), before.int("expires_at"));
    });
}

#[test]
fn two_writers_of_different_fields_lose_nothing() {
    let server = Server::start();
    let mut con = server.connection();
    create(&mut con, "sessions:42 ID one");
    thread::scope(|scope| {
        for writer in ["a", "b", "c", "d"] {
            let server = &server;
            scope.spawn(move || {
                let mut con = server.connection();
                for n in 0..200 {
                    assert_eq!(int(&mut con, &format!("SESSION.SET {KEY} one {writer}{n} {n}")), 1);
                    if n % 2 == 1 {
                        assert_eq!(int(&mut con, &format!("SESSION.UNSET {KEY} one {writer}{n}")), 1);
                    }
                }
            });
        }
    });
    let data = session(&mut con, "one").fields("data");
    assert_eq!(data.names().len(), 4 * 100);
    for (writer, n) in ["a", "b", "c", "d"].into_iter().flat_map(|writer| (0..200).step_by(2).map(move |n| (writer, n)))
    {
        assert_eq!(data.str(&format!("{writer}{n}")), n.to_string());
    }
}

#[test]
fn fields_and_refreshes_at_once_lose_nothing() {
    let server = Server::start();
    let mut con = server.connection();
    let mut token = create(&mut con, "sessions:42 ID one REFRESH 1000").str("refresh_token");
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut con = server.connection();
            for n in 0..200 {
                int(&mut con, &format!("SESSION.SET {KEY} one field{n} {n}"));
            }
        });
        for _ in 0..200 {
            token = refresh(&mut con, &token).str("refresh_token");
        }
    });
    assert_eq!(session(&mut con, "one").fields("data").names().len(), 200);
    assert_eq!(crate::steps::generation(&token), 200);
}

#[test]
fn a_session_that_is_not_there_is_null() {
    on_both(|_, con| {
        assert_eq!(cmd(con, "SESSION.GET sessions:42 one").unwrap(), Value::Nil);
        create(con, "sessions:42 ID one DATA 1 a 1");
        let shown = session(con, "one");
        let names = shown.names().iter().map(ToString::to_string).collect::<Vec<_>>();
        let expected =
            "id expires_at user created_at last_seen_at idle_expires_at ip agent claims auth_time level version data";
        assert_eq!(names.join(" "), expected);
        assert_eq!(text(shown.get("user").unwrap()), "42");
        cmd(con, "SESSION.REVOKE sessions:42 one").unwrap();
        assert_eq!(cmd(con, "SESSION.GET sessions:42 one").unwrap(), Value::Nil);
    });
}

/// The version that each reply shows for session `one`.
#[track_caller]
fn version(con: &mut Connection) -> i64 {
    let version = session(con, "one").int("version");
    let listed = list(cmd(con, "SESSION.LIST sessions:42").unwrap()).into_iter().map(fields);
    assert_eq!(listed.filter(|listed| listed.str("id") == "one").map(|one| one.int("version")).last(), Some(version));
    assert_eq!(ask(con, "SESSION.VALIDATE sessions:42 ID one FULL").int("version"), version);
    version
}

#[test]
fn the_version_counts_the_changes_of_the_fields() {
    on_both(|_, con| {
        create(con, "sessions:42 ID one");
        assert_eq!(version(con), 0);
        for (line, expected) in [
            ("SESSION.SET sessions:42 one a 1 b 2", 1),
            ("SESSION.SET sessions:42 one a 1", 2),
            ("SESSION.UNSET sessions:42 one none", 2),
            ("SESSION.UNSET sessions:42 one a none", 3),
            ("SESSION.INCRBY sessions:42 one n 5", 4),
            ("SESSION.UNSET sessions:42 one b n", 5),
            ("SESSION.TOUCH sessions:42 ID one", 5),
        ] {
            cmd(con, line).unwrap();
            assert_eq!(version(con), expected, "{line}");
        }
        cmd(con, "DEBUG RELOAD").unwrap();
        assert_eq!(version(con), 5);
        let renewed = ask(con, "SESSION.REGENERATE sessions:42 one").str("id");
        assert_eq!(session(con, &renewed).int("version"), 5);
        create(con, "sessions:42 ID one DATA 2 a 1 b 2");
        assert_eq!(version(con), 1);
    });
}

#[test]
fn a_set_with_another_version_is_a_conflict_and_changes_nothing() {
    on_both(|server, con| {
        create(con, "sessions:42 ID one DATA 1 cart 17");
        assert_eq!(int(con, "SESSION.SET sessions:42 one VERSION 1 cart 18 theme dark"), 2);
        let digest = server.digest(KEY);
        for wrong in ["0", "1", "3", "18446744073709551615"] {
            let text = error(con, &format!("SESSION.SET sessions:42 one version {wrong} cart 19"));
            assert_eq!(text, "CONFLICT the session's data has been changed: its version is 2");
        }
        assert_eq!(server.digest(KEY), digest);
        assert_eq!(int(con, "SESSION.SET sessions:42 one VERSION 2 cart 19"), 1);
        assert_eq!(data(con), pairs(&[("cart", "19"), ("theme", "dark")]));
        cmd(con, "SESSION.REVOKE sessions:42 one").unwrap();
        let dead = error(con, "SESSION.SET sessions:42 one VERSION 3 cart 20");
        assert_eq!(dead, "NOSESSION the session is not alive: revoked");
    });
}

#[test]
fn a_version_is_a_number_in_its_place() {
    on_both(|server, con| {
        create(con, "sessions:42 ID one DATA 1 a 1");
        let digest = server.digest(KEY);
        for wrong in ["-1", "+1", "1.0", "x", "18446744073709551616"] {
            let text = error(con, &format!("SESSION.SET sessions:42 one VERSION {wrong} a 2"));
            assert_eq!(text, "ERR VERSION must be * or a whole number from 0 to 18446744073709551615");
        }
        for line in ["SESSION.SET sessions:42 one VERSION 1", "SESSION.SET sessions:42 one VERSION 1 a"] {
            assert!(error(con, line).starts_with("ERR wrong number of arguments"), "{line}");
        }
        assert_eq!(server.digest(KEY), digest);
        // Anywhere else it is the name of a field.
        assert_eq!(int(con, "SESSION.SET sessions:42 one VERSION * VERSION 7"), 1);
        assert_eq!(int(con, "SESSION.SET sessions:42 one a 2 version 8"), 2);
        assert_eq!(data(con), pairs(&[("a", "2"), ("VERSION", "7"), ("version", "8")]));
    });
}

#[test]
fn a_field_is_counted_up_and_down() {
    on_both(|server, con| {
        create(con, "sessions:42 ID one DATA 2 visits 41 name Zoe");
        assert_eq!(int(con, "SESSION.INCRBY sessions:42 one visits 1"), 42);
        assert_eq!(int(con, "SESSION.INCRBY sessions:42 one visits -50"), -8);
        assert_eq!(int(con, "SESSION.INCRBY sessions:42 one new 7"), 7);
        assert_eq!(data(con), pairs(&[("visits", "-8"), ("name", "Zoe"), ("new", "7")]));
        let digest = server.digest(KEY);
        for (rest, expected) in [
            ("one name 1", "ERR the field is not a whole number of 64 bits"),
            ("one visits -9223372036854775808", "ERR the sum would have more than 64 bits"),
            ("one new 9223372036854775807", "ERR the sum would have more than 64 bits"),
            ("one new 9223372036854775808", "ERR n must be a whole number of 64 bits"),
            ("one new +1", "ERR n must be a whole number of 64 bits"),
            ("one new 1.5", "ERR n must be a whole number of 64 bits"),
            ("two new 1", "NOSESSION the session is not alive: unknown"),
            ("one new", "ERR wrong number of arguments for 'SESSION.INCRBY' command"),
            ("one new 1 1", "ERR wrong number of arguments for 'SESSION.INCRBY' command"),
        ] {
            let line = format!("SESSION.INCRBY sessions:42 {rest}");
            assert!(error(con, &line).eq_ignore_ascii_case(expected), "{line}: {}", error(con, &line));
        }
        assert_eq!(server.digest(KEY), digest);
        set(con, "session.max-fields 3");
        let full = error(con, "SESSION.INCRBY sessions:42 one another 1");
        assert_eq!(full, "ERR the session would have 4 fields, session.max-fields is 3");
        assert_eq!(int(con, "SESSION.INCRBY sessions:42 one new 1"), 8);
        set(con, "session.max-fields 1024");
    });
}

#[test]
fn replicas_and_restarts_have_the_same_version_and_sums() {
    let mut primary = Server::builder().appendonly().start();
    let replica = Server::builder().replica_of(&primary).start();
    let mut con = primary.connection();
    create(&mut con, "sessions:42 ID one DATA 1 n 1");
    for _ in 0..10 {
        int(&mut con, "SESSION.INCRBY sessions:42 one n 3");
    }
    cmd(&mut con, "SESSION.SET sessions:42 one VERSION 11 a b").unwrap();
    primary.wait_for_sync(&replica);
    assert_eq!(replica.digest(KEY), primary.digest(KEY));
    let mut other = replica.connection();
    for line in ["SESSION.INCRBY sessions:42 one n 1", "SESSION.SET sessions:42 one VERSION 12 a c"] {
        assert!(error(&mut other, line).starts_with("READONLY"), "{line}");
    }
    assert_eq!((version(&mut other), session(&mut other, "one").fields("data").str("n")), (12, "31".to_owned()));
    primary.kill();
    primary.start_again();
    let mut con = primary.connection();
    assert_eq!((version(&mut con), data(&mut con)), (12, pairs(&[("n", "31"), ("a", "b")])));
}

#[test]
fn claims_are_shown_whatever_the_tokens_are() {
    on_both(|_, con| {
        for kind in ["JWT", "OPAQUE", "NONE"] {
            let claims = r#"{"role":"editor"}"#;
            let line = format!("sessions:42 ID {kind} REFRESH 600 TOKEN {kind} CLAIMS {claims}");
            let created = create(con, &line);
            let shown = |con: &mut Connection, id: &str| {
                let full = ask(con, &format!("SESSION.VALIDATE sessions:42 ID {id} FULL")).str("claims");
                assert_eq!(session(con, id).str("claims"), full);
                let listed = list(cmd(con, "SESSION.LIST sessions:42").unwrap()).into_iter().map(fields);
                assert_eq!(
                    listed.filter(|one| one.str("id") == id).map(|one| one.str("claims")).last(),
                    Some(full.clone())
                );
                full
            };
            assert_eq!(shown(con, kind), claims);
            refresh(con, &created.str("refresh_token"));
            assert_eq!(shown(con, kind), claims);
            let renewed = ask(con, &format!("SESSION.REGENERATE sessions:42 {kind}")).str("id");
            assert_eq!(shown(con, &renewed), claims);
        }
        create(con, "sessions:42 ID none");
        assert!(session(con, "none").is_null("claims"));
        assert!(ask(con, "SESSION.VALIDATE sessions:42 ID none FULL").is_null("claims"));
    });
}
