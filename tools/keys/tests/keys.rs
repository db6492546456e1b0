//! The program that makes key files.

// Clippy knows only functions marked as tests for tests.
#![allow(clippy::unwrap_used)]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use redis_session_core::token::{Algorithm, Key, KeyRing};

fn make(file: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_redis-session-keys")).arg(file).output().unwrap()
}

#[track_caller]
fn made(file: &Path) -> String {
    let output = make(file);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn refused(file: &Path) -> String {
    let output = make(file);
    assert_eq!((output.status.code(), output.stdout), (Some(1), Vec::new()));
    String::from_utf8(output.stderr).unwrap()
}

fn ring(file: &Path) -> KeyRing {
    KeyRing::from_jwk_set(&fs::read(file).unwrap(), None).unwrap()
}

fn kids(file: &Path) -> Vec<String> {
    ring(file).keys().filter_map(|key| key.kid().map(str::to_owned)).collect()
}

fn mode(file: &Path) -> u32 {
    fs::metadata(file).unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_new_file_has_one_key_that_signs_and_is_its_owners_alone() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("keys.json");
    let report = made(&file);
    let ring = ring(&file);
    let key = ring.signing_key().unwrap();
    assert_eq!((ring.keys().len(), key.algorithm(), key.bits()), (1, Algorithm::Hs256, 256));
    assert_eq!(mode(&file), 0o600);
    assert!(report.contains(&format!("has a new key, {}", key.kid().unwrap())), "{report}");
    assert!(report.contains(&format!("CONFIG SET session.keys-file {}\n", file.display())), "{report}");
    let (year, rest) = key.kid().unwrap().split_once('-').unwrap();
    assert!(year.parse::<u32>().unwrap() >= 2026 && rest.len() == 10, "{}", key.kid().unwrap());
}

#[test]
fn each_further_key_comes_last_and_the_first_signs_until_a_server_is_told_otherwise() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("keys.json");
    made(&file);
    let mut expected = kids(&file);
    for _ in 0..5 {
        let report = made(&file);
        let kids = kids(&file);
        let (new, older) = kids.split_last().unwrap();
        assert_eq!(older, expected);
        assert_eq!(ring(&file).signing_key().and_then(Key::kid), Some(expected[0].as_str()));
        assert!(report.contains(&format!("CONFIG SET session.active-kid {new}\n")), "{report}");
        expected = kids;
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing else is left behind");
}

#[test]
fn a_first_key_that_can_sign_is_not_for_another_step() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("keys.json");
    let of_issuer = r#"{"kty":"OKP","crv":"Ed25519","kid":"theirs","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    fs::write(&file, format!(r#"{{"keys":[{of_issuer}]}}"#)).unwrap();
    let report = made(&file);
    assert!(ring(&file).signing_key().is_some());
    assert!(!report.contains("active-kid") && report.contains("this one does"), "{report}");
}

#[test]
fn two_files_have_two_secrets() {
    let dir = tempfile::tempdir().unwrap();
    let files = ["a", "b"].map(|name| dir.path().join(name));
    let secrets = files.map(|file| {
        made(&file);
        let set: serde_json::Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
        set["keys"][0]["k"].as_str().unwrap().to_owned()
    });
    assert_ne!(secrets[0], secrets[1]);
}

#[test]
fn the_report_tells_no_secret() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("keys.json");
    for _ in 0..2 {
        let report = made(&file);
        let set: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        for key in set["keys"].as_array().unwrap() {
            assert!(!report.contains(key["k"].as_str().unwrap()));
        }
    }
}

#[test]
fn what_others_put_into_the_file_stays() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("keys.json");
    let enc = r#"{"kty":"RSA","kid":"enc","use":"enc","n":"AQAB","x5c":["MIIB"]}"#;
    let own = r#"{"kty":"oct","kid":"own key","alg":"HS384","k":"QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB"}"#;
    fs::write(&file, format!(r#"{{"comment":{{"by":"hand"}},"keys":[{enc},{own}]}}"#)).unwrap();
    made(&file);
    assert_eq!(ring(&file).signing_key().and_then(Key::kid), Some("own key"));
    let set: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(set["comment"]["by"], "hand");
    assert_eq!(set["keys"][0], serde_json::from_str::<serde_json::Value>(enc).unwrap());
    assert_eq!(set["keys"][1], serde_json::from_str::<serde_json::Value>(own).unwrap());
    assert_eq!((ring(&file).keys().len(), ring(&file).ignored().len()), (2, 1));
}

#[test]
fn an_older_key_is_taken_out_by_taking_out_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("keys.json");
    (0..4).for_each(|_| drop(made(&file)));
    let mut kids = kids(&file);
    for old in [2, 0] {
        let text = fs::read_to_string(&file).unwrap();
        let without: Vec<_> = text.lines().filter(|line| !line.contains(&kids[old])).collect();
        fs::write(&file, without.join("\n")).unwrap();
        kids.remove(old);
        assert_eq!(self::kids(&file), kids);
    }
}

#[test]
fn a_file_that_no_server_would_take_is_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("keys.json");
    for bad in ["", "{}", "{\"keys\":[]}", r#"{"keys":[{"kty":"oct","kid":"a","alg":"HS256","k":"AAAA"}]}"#] {
        fs::write(&file, bad).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        let why = refused(&file);
        assert!(why.contains("keys.json: ") && why.contains("nothing was changed"), "{why}");
        assert_eq!((fs::read_to_string(&file).unwrap().as_str(), mode(&file)), (bad, 0o644));
    }
    assert!(refused(&dir.path().join("no-folder/keys.json")).contains("No such file"));
    assert!(refused(dir.path()).contains("nothing was changed"));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_file_that_others_could_read_is_its_owners_alone_afterwards() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("keys.json");
    made(&file);
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    made(&file);
    assert_eq!(mode(&file), 0o600);
}

#[test]
fn a_link_stays_a_link() {
    let dir = tempfile::tempdir().unwrap();
    let (file, link) = (dir.path().join("keys-1.json"), dir.path().join("keys.json"));
    made(&file);
    std::os::unix::fs::symlink("keys-1.json", &link).unwrap();
    made(&link);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(kids(&file).len(), 2);
}

#[test]
fn it_takes_one_file() {
    for args in [&[][..], &["a", "b"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_redis-session-keys")).args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains("usage: redis-session-keys FILE"));
    }
}
