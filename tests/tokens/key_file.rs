//! The key file as a file: what may be one, who may read it, and what a refused one leaves behind.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use redis::Connection;
use redis_session_tests::{Server, ServerBuilder, cmd, error, fields, jwk_set, list};
use serde_json::json;

use crate::foreign::answer;
use redis_session_tests::issuer::{ED_X, Key, PUBLIC, X, load, own, set_of};

fn write(server: &Server, name: &str, content: &str, mode: u32) {
    let path = server.dir().join(name);
    fs::write(&path, content).unwrap();
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// What the server says against a file of this mode.
fn refusal(server: &Server, content: &str, mode: u32) -> Option<String> {
    let file = format!("keys-{mode:o}.json");
    write(server, &file, content, mode);
    cmd(&mut server.connection(), &format!("CONFIG SET session.keys-file {file}")).err().map(|why| why.to_string())
}

/// As ssh has it: the server's own files are no secret if others have them too.
#[test]
fn a_file_that_others_can_read_or_write_is_refused() {
    let server = Server::start();
    let secret = jwk_set(&["one"]);
    for mode in [0o600, 0o400] {
        assert_eq!(refusal(&server, &secret, mode), None, "{mode:o}");
    }
    for mode in [0o604, 0o644, 0o444] {
        let why = refusal(&server, &secret, mode).unwrap();
        let expected = format!("holds secrets and can be read by others than its owner (mode {mode:o}): chmod 600 it");
        assert!(why.contains(&expected), "{why}");
    }
    for mode in [0o620, 0o602, 0o622, 0o666] {
        let why = refusal(&server, &secret, mode).unwrap();
        assert!(
            why.contains(&format!("can be written by others than its owner (mode {mode:o}): chmod go-w it")),
            "{why}"
        );
    }
    let mut con = server.connection();
    write(&server, "keys-604.json", &secret, 0o600);
    cmd(&mut con, "CONFIG SET session.keys-file keys-604.json").unwrap();
    fs::set_permissions(server.dir().join("keys-604.json"), Permissions::from_mode(0o604)).unwrap();
    assert!(error(&mut con, "SESSION.RELOADKEYS").contains("holds secrets and can be read by others"));
}

/// Packages, and secrets that are mounted into containers, are root's, and their group is the server's.
#[test]
fn the_group_may_read_what_is_roots() {
    let server = Server::start();
    let is_roots = fs::metadata(server.dir()).unwrap().uid() == 0;
    for mode in [0o640, 0o440] {
        assert_eq!(refusal(&server, &jwk_set(&["one"]), mode).is_none(), is_roots, "{mode:o}");
    }
}

#[test]
fn public_keys_may_be_read_by_everybody_but_not_written() {
    let server = Server::start();
    let public = set_of(&PUBLIC.map(Key::jwk));
    assert_eq!(refusal(&server, &public, 0o644), None);
    for mode in [0o646, 0o664] {
        assert!(refusal(&server, &public, mode).unwrap().contains("can be written by others than its owner"));
    }
}

#[test]
fn the_log_says_what_was_read() {
    let server = Server::start();
    let enc = json!({ "kty": "RSA", "kid": "enc", "use": "enc" });
    load(&server, &[own(), PUBLIC[0].jwk(), enc]).unwrap();
    assert!(server.log_contains(r#"session.keys-file keys.json: keys 2, of which "own" signs; ignored 1"#));
    load(&server, &PUBLIC.map(Key::jwk)).unwrap();
    assert!(server.log_contains("session.keys-file keys.json: keys 9, of which none signs; ignored 0"));
}

/// The server has one thread: a pipe that nobody writes to would stop it for good, and /dev/zero would fill its memory.
#[test]
fn what_is_no_regular_file_or_too_long_is_refused_unread() {
    let server = ServerBuilder::new().keys(&["one"]).start();
    let mut con = server.connection();
    let made = Command::new("mkfifo").arg(server.dir().join("pipe")).status().unwrap();
    assert!(made.success());
    for path in ["pipe", "/dev/zero", "/dev/null", "."] {
        let why = error(&mut con, &format!("CONFIG SET session.keys-file {path}"));
        assert!(why.contains(&format!("session.keys-file {path}: is not a regular file")), "{why}");
    }
    let long = jwk_set(&["one"]) + &" ".repeat(1024 * 1024);
    server.write("long.json", long);
    assert!(error(&mut con, "CONFIG SET session.keys-file long.json").contains("is longer than 1048576 bytes"));
    let full = jwk_set(&["one"]);
    let full = full.clone() + &" ".repeat(1024 * 1024 - full.len());
    server.write("full.json", full);
    cmd(&mut con, "CONFIG SET session.keys-file full.json").unwrap();
}

/// A path can lead elsewhere at the second look.
#[test]
fn a_pipe_that_takes_the_place_of_the_file_does_not_stop_the_server() {
    let server = ServerBuilder::new().keys(&["one"]).start();
    let mut con = server.connection();
    let (link, next) = (server.dir().join("link.json"), server.dir().join("next.json"));
    assert!(Command::new("mkfifo").arg(server.dir().join("pipe")).status().unwrap().success());
    symlink("keys.json", &link).unwrap();
    let done = AtomicBool::new(false);
    let answers: Vec<_> = thread::scope(|scope| {
        scope.spawn(|| {
            for place in ["pipe", "keys.json"].into_iter().cycle().take_while(|_| !done.load(Relaxed)) {
                symlink(place, &next).unwrap();
                fs::rename(&next, &link).unwrap();
            }
        });
        let set = |path| cmd(&mut con, &format!("CONFIG SET session.keys-file {path}"));
        let answers = ["link.json", "./link.json"].into_iter().cycle().take(2000).map(set);
        let answers = answers.take_while(|answer| answer.as_ref().err().is_none_or(|why| !why.is_io_error())).collect();
        done.store(true, Relaxed);
        answers
    });
    assert_eq!(answers.len(), 2000, "the server answers no more");
    for why in answers.into_iter().filter_map(Result::err) {
        assert!(why.to_string().contains("link.json: is not a regular file"), "{why}");
    }
}

#[test]
fn a_link_to_a_file_will_do() {
    let server = ServerBuilder::new().keys(&["one"]).start();
    symlink("keys.json", server.dir().join("link.json")).unwrap();
    cmd(&mut server.connection(), "CONFIG SET session.keys-file link.json").unwrap();
}

/// A server that was refused a setting sets the old one again, which must not read a file that has changed meanwhile.
#[test]
fn a_refused_change_does_not_read_the_old_file_again() {
    let server = ServerBuilder::new().keys(&["one"]).start();
    let mut con = server.connection();
    let token = fields(cmd(&mut con, "SESSION.CREATE sessions:42").unwrap()).str("token");
    server.write("keys.json", jwk_set(&["two"]));
    server.write("bad.json", "{}");
    for line in ["CONFIG SET session.keys-file bad.json", "CONFIG SET session.active-kid nobody"] {
        for _ in 0..2 {
            error(&mut con, line);
            assert_eq!(answer(&mut con, &token, &[]), "active", "{line}");
        }
    }
    assert_eq!(kids(&mut con), ["one"]);
    // Asked to, it does.
    cmd(&mut con, "SESSION.RELOADKEYS").unwrap();
    assert_eq!(kids(&mut con), ["two"]);
    assert_eq!(answer(&mut con, &token, &[]), "unknown_key");
}

fn kids(con: &mut Connection) -> Vec<String> {
    let keys = list(fields(cmd(con, "SESSION.KEYS").unwrap()).get("keys").unwrap().clone());
    keys.into_iter().map(|key| fields(key).str("kid")).collect()
}

#[test]
fn another_active_key_is_looked_for_in_the_file_as_it_is_now() {
    let server = ServerBuilder::new().keys(&["one", "two"]).start();
    let mut con = server.connection();
    let token = |con: &mut _| fields(cmd(con, "SESSION.CREATE sessions:42").unwrap()).str("token");
    let of_one = token(&mut con);
    server.write("keys.json", jwk_set(&["two", "three"]));
    assert_eq!(answer(&mut con, &of_one, &[]), "active");
    cmd(&mut con, "CONFIG SET session.active-kid three").unwrap();
    assert_eq!(fields(cmd(&mut con, "SESSION.KEYS").unwrap()).str("active_kid"), "three");
    assert_eq!(answer(&mut con, &of_one, &[]), "unknown_key");
    assert!(error(&mut con, "CONFIG SET session.active-kid one").contains("\"one\""));
    let of_three = token(&mut con);
    assert_eq!(answer(&mut con, &of_three, &[]), "active");
}

/// Or one key of an issuer's would keep everybody out.
#[test]
fn a_bad_public_key_is_left_out_and_the_others_are_used() {
    let server = Server::start();
    let mut con = server.connection();
    let good = PUBLIC[6].good(&mut con, "42", "one");
    for (algorithm, member, value, why) in [
        (PUBLIC[0], "y", json!(X), "the point is not on the curve"),
        (PUBLIC[0], "x", json!("AAAA"), "of 32 bytes each"),
        (PUBLIC[4], "x", json!(X), "of 48 bytes each"),
        (PUBLIC[1], "n", json!("AQAB"), "the modulus has 17 bits, and 2048 to 4096 are needed"),
        (PUBLIC[1], "e", json!("Aw"), "must be an odd number from 65537"),
        (PUBLIC[2], "alg", json!(7), "must be a string"),
        (PUBLIC[2], "use", json!("enc"), "it is not for signatures"),
        (PUBLIC[3], "x", json!("AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), "nobody has a private key for"),
        (PUBLIC[3], "alg", json!("ES256"), "not one for this type of key"),
    ] {
        let mut key = algorithm.jwk();
        key[member] = value;
        load(&server, &[own(), key.clone(), PUBLIC[6].jwk()]).unwrap();
        let keys = list(fields(cmd(&mut con, "SESSION.KEYS").unwrap()).get("keys").unwrap().clone());
        let ignored: Vec<_> =
            keys.into_iter().map(fields).filter(|key| !key.is_null("ignored")).map(|key| key.str("ignored")).collect();
        assert!(ignored.len() == 1 && ignored[0].contains(why), "{key}: {ignored:?}");
        assert_eq!(answer(&mut con, &good, &["STATELESS"]), "active");
        // Wherever it stands.
        load(&server, &[own(), PUBLIC[6].jwk(), key]).unwrap();
        assert_eq!(answer(&mut con, &good, &["STATELESS"]), "active");
    }
}

#[test]
fn a_bad_secret_or_private_key_is_refused_by_name_and_nothing_changes() {
    let server = Server::start();
    load(&server, &[own()]).unwrap();
    let mut con = server.connection();
    let token = fields(cmd(&mut con, "SESSION.CREATE sessions:42").unwrap()).str("token");
    for (key, why) in [
        (json!({ "kty": "oct", "kid": "bad", "alg": "HS256", "k": "c2hvcnQ" }), "the secret has 40 bits"),
        (json!({ "kty": "oct", "kid": "bad", "k": "c2hvcnQ" }), "must be a string, and HS256, HS384 or HS512"),
        (json!({ "kty": "OKP", "kid": "bad", "crv": "Ed25519", "x": ED_X, "d": X }), "are not one key"),
        (json!({ "kty": "RSA", "kid": "bad", "n": "AQAB", "e": "AQAB", "d": "AQAB" }), "a private RSA key needs"),
    ] {
        let refusal = load(&server, &[own(), key.clone()]).unwrap_err().to_string();
        assert!(refusal.contains("key \"bad\"") && refusal.contains(why), "{key}: {refusal}");
        assert_eq!(answer(&mut con, &token, &[]), "active");
    }
}
