//! DUMP and RESTORE, with payloads that nobody dumped.

use redis::{Connection, RedisResult, Value};
use redis_session_tests::{Server, ServerBuilder, cmd, cmd_args, create, create_with, int};

use crate::users::{self, listed, session, stored, users_in_every_state};

/// Without a sweep, which would tidy up what a damaged payload has brought while it is looked at.
fn server() -> ServerBuilder {
    users::server().config("session.sweep-time 0")
}

pub fn dump(con: &mut Connection, key: &str) -> Vec<u8> {
    redis::cmd("DUMP").arg(key).query(con).unwrap()
}

fn restore(con: &mut Connection, key: &str, payload: &[u8]) -> RedisResult<Value> {
    cmd_args(con, [b"RESTORE", key.as_bytes(), b"0", payload, b"REPLACE"])
}

/// A payload's value, without the version of its format and the checksum that follow it.
pub fn value_of(payload: &[u8]) -> &[u8] {
    &payload[..payload.len() - 10]
}

/// A payload with another value and the checksum that goes with it.
fn with_value(payload: &[u8], value: &[u8]) -> Vec<u8> {
    let mut forged = value.to_vec();
    forged.extend_from_slice(&payload[payload.len() - 10..payload.len() - 8]);
    forged.extend_from_slice(&crc64(&forged).to_le_bytes());
    forged
}

/// CRC-64/Jones, as the server computes it.
fn crc64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ u64::from(*byte), |crc, _| (crc >> 1) ^ (0x95ac_9329_ac4b_c9b5 * (crc & 1)))
    })
}

/// A small user with something of everything: every form of id and address, agent, data, traces, an epoch.
pub fn small_user(con: &mut Connection) {
    cmd(con, "SESSION.REVOKEUSER sessions:42").unwrap();
    create(con, "sessions:42 ID gone TOKEN OPAQUE");
    create(con, "sessions:42 IP 192.0.2.1 AGENT phone IDLE 600 DATA 2 a b cc dd");
    create(con, "sessions:42 IP 2001:db8::1 ID 0e37df36-f698-11e6-8dd4-cb9ced3df976 TOKEN NONE");
    cmd(con, "SESSION.REVOKE sessions:42 gone").unwrap();
}

/// Fails unless the key can be read and written like any other.
#[track_caller]
fn assert_works(con: &mut Connection, key: &str, what: &str) {
    let first = redis::pipe().cmd("DEBUG").arg("DIGEST-VALUE").arg(key).cmd("DUMP").arg(key).query(con);
    let ((digest,), payload): ((String,), Vec<u8>) = first.unwrap_or_else(|error| panic!("{what}: {error}"));
    let mut pipe = redis::pipe();
    pipe.cmd("RESTORE").arg("sessions:again").arg(0).arg(payload).arg("REPLACE").ignore();
    pipe.cmd("DEBUG").arg("DIGEST-VALUE").arg("sessions:again");
    for args in [
        vec!["SESSION.LIST", key],
        vec!["SESSION.COUNT", key],
        vec!["MEMORY", "USAGE", key],
        vec!["COPY", key, "sessions:again", "REPLACE"],
        vec!["SESSION.CREATE", key, "ID", "by-the-test", "AGENT", "test", "TOKEN", "NONE"],
        vec!["SESSION.GET", key, "by-the-test"],
        vec!["SESSION.REVOKE", key, "by-the-test"],
        vec!["SESSION.REVOKEUSER", key],
        vec!["SESSION.LIST", key],
        vec!["DEL", key],
    ] {
        pipe.cmd(args[0]).arg(&args[1..]).ignore();
    }
    let (again,): ((String,),) = pipe.query(con).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(again.0, digest, "{what}");
}

#[test]
fn a_restored_user_is_the_dumped_one() {
    let server = server().start();
    let mut con = server.connection();
    users_in_every_state(&mut con);
    let (stored_before, listed_before) = (stored(&server), listed(&server));
    let dumps: Vec<_> = stored_before.iter().map(|(key, stored)| (key, dump(&mut con, key), stored.1)).collect();
    cmd(&mut con, "FLUSHALL").unwrap();
    for (key, payload, expires_at) in dumps {
        let restore =
            [b"RESTORE", key.as_bytes(), expires_at.to_string().as_bytes(), &payload, b"ABSTTL"].map(Vec::from);
        cmd_args(&mut con, restore).unwrap();
    }
    assert_eq!(stored(&server), stored_before);
    assert_eq!(listed(&server), listed_before);
}

#[test]
fn a_user_restored_without_a_deadline_has_one_again_after_the_next_login() {
    let server = server().start();
    let mut con = server.connection();
    create(&mut con, "sessions:42 TTL 1000");
    let payload = dump(&mut con, "sessions:42");
    restore(&mut con, "sessions:42", &payload).unwrap();
    assert_eq!(int(&mut con, "PEXPIRETIME sessions:42"), -1);
    let created = create(&mut con, "sessions:42 TTL 5000");
    assert_eq!(int(&mut con, "PEXPIRETIME sessions:42"), created.int("expires_at"));
}

#[test]
fn a_payload_cut_anywhere_is_refused() {
    let server = server().config("rdbcompression no").start();
    let mut con = server.connection();
    small_user(&mut con);
    let payload = dump(&mut con, "sessions:42");
    let value = value_of(&payload);
    assert_eq!(with_value(&payload, value), payload, "the checksum is to be the server's");
    for length in 1..value.len() {
        let restored = restore(&mut con, "sessions:cut", &with_value(&payload, &value[..length])).is_ok();
        // The server reads on into the ten bytes behind the value, which may happen to be the end of one.
        assert!(!restored || value.len() - length < 10, "cut to {length} bytes");
        if restored {
            assert_works(&mut con, "sessions:cut", &format!("cut to {length} bytes"));
        }
    }
    assert_eq!(int(&mut con, "EXISTS sessions:cut"), 0);
}

/// The effects in a payload, which the server stores as: type, module, a string's kind and length, the string, the end.
fn effects_at(value: &[u8]) -> std::ops::Range<usize> {
    let length_at = 1 + 9 + 1;
    let (start, length) = match value[length_at] {
        short @ 0..=63 => (length_at + 1, usize::from(short)),
        long @ 64..=127 => (length_at + 2, usize::from(long & 63) << 8 | usize::from(value[length_at + 1])),
        other => panic!("a length of the kind {other}"),
    };
    assert_eq!(start + length, value.len() - 1);
    start..start + length
}

#[test]
fn effects_cut_anywhere_are_refused_or_a_user_with_less() {
    let server = server().config("rdbcompression no").start();
    let mut con = server.connection();
    small_user(&mut con);
    let whole = server.digest("sessions:42");
    let payload = dump(&mut con, "sessions:42");
    let value = value_of(&payload);
    let effects = effects_at(value);
    let mut accepted = 0;
    for length in 0..effects.len() {
        let mut cut = value[..effects.start - 2].to_vec();
        cut.extend([64 | u8::try_from(length >> 8).unwrap(), u8::try_from(length & 255).unwrap()]);
        cut.extend(&value[effects.start..effects.start + length]);
        cut.push(0);
        if restore(&mut con, "sessions:cut", &with_value(&payload, &cut)).is_ok() {
            accepted += 1;
            assert_ne!(server.digest("sessions:cut"), whole);
            assert_works(&mut con, "sessions:cut", &format!("cut to {length}"));
        }
    }
    // After the epoch, and after each of the two sessions before the trace. The version alone is no user.
    assert_eq!(accepted, 3);
}

/// Restores the payload with one bit or byte changed at a time, and counts how often that gave a value.
///
/// Fails unless another user's agent is right afterwards: the damaged values had agents too.
fn restore_damaged(server: &Server) -> (usize, usize) {
    let mut con = server.connection();
    let other = create_with(&mut con, "sessions:7", &["AGENT", "phone", "TOKEN", "NONE"]).str("id");
    small_user(&mut con);
    let payload = dump(&mut con, "sessions:42");
    let value = value_of(&payload);
    let (mut refused, mut accepted) = (0, 0);
    // Past the type, which says that a module must read it.
    for at in 1..value.len() {
        let old = value[at];
        let bits = (0..8).map(|bit| old ^ (1 << bit));
        for new in bits.chain([0, 255, old.wrapping_add(1)]).filter(|new| *new != old) {
            let mut damaged = value.to_vec();
            damaged[at] = new;
            if restore(&mut con, "sessions:damaged", &with_value(&payload, &damaged)).is_ok() {
                accepted += 1;
                assert_works(&mut con, "sessions:damaged", &format!("byte {at} is {new} instead of {old}"));
            } else {
                refused += 1;
            }
        }
    }
    assert_eq!(int(&mut con, "SESSION.COUNT sessions:42"), 2, "the user it was made from");
    cmd(&mut con, "DEL sessions:42 sessions:again").unwrap();
    create_with(&mut con, "sessions:8", &["AGENT", "another"]);
    assert_eq!(session(&mut con, "sessions:7", &other).str("agent"), "phone");
    (refused, accepted)
}

#[test]
fn a_payload_with_any_byte_changed_is_refused_or_a_value_that_works() {
    let (refused, accepted) = restore_damaged(&server().config("rdbcompression no").start());
    assert!(refused > 100 && accepted > 100, "{refused} {accepted}");
}

#[test]
fn a_compressed_payload_with_any_byte_changed_is_refused_or_a_value_that_works() {
    let (refused, _) = restore_damaged(&server().config("rdbcompression yes").start());
    assert!(refused > 100, "{refused}");
}

#[test]
fn a_payload_of_a_later_version_is_refused_with_the_reason() {
    let server = server().config("rdbcompression no").start();
    let mut con = server.connection();
    small_user(&mut con);
    let payload = dump(&mut con, "sessions:42");
    let mut value = value_of(&payload).to_vec();
    // The last ten bits of the module's number.
    assert_eq!(value[9], 1);
    value[9] = 2;
    assert!(restore(&mut con, "sessions:43", &with_value(&payload, &value)).is_err());
    assert!(
        server.log_contains("sessions cannot be loaded: encoding version 2, and this module reads 1"),
        "{}",
        server.log()
    );
    value[9] = 1;
    let version_at = effects_at(&value).start;
    value[version_at] = 2;
    assert!(restore(&mut con, "sessions:43", &with_value(&payload, &value)).is_err());
    assert!(server.log_contains("written by a later version"), "{}", server.log());
}
