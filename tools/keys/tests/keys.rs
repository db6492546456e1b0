//! The program that makes key files.

// Clippy knows only functions marked as tests for tests.
#![allow(clippy::unwrap_used)]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use redis_session_core::base64url;
use redis_session_core::token::{Algorithm, IssuerKeys, Key, KeyRing};

fn program(args: &[&str], input: &[u8]) -> Output {
    use std::io::Write as _;
    let mut child = Command::new(env!("CARGO_BIN_EXE_redis-session-keys"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It need not read what it has no use for.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

#[track_caller]
fn done_with(args: &[&str], input: &[u8]) -> String {
    let output = program(args, input);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn done(args: &[&str]) -> String {
    done_with(args, b"")
}

/// Why it refuses, which it says on standard error alone.
#[track_caller]
fn refused_with(args: &[&str], input: &[u8]) -> String {
    let output = program(args, input);
    assert_eq!((output.status.code(), output.stdout), (Some(1), Vec::new()), "{args:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// A new key file, or another key for one that is there.
#[track_caller]
fn made(file: &Path) -> String {
    let path = file.to_str().unwrap();
    if file.exists() { done(&["rotate", path]) } else { done(&["new", "--alg", "HS256", path]) }
}

#[track_caller]
fn refused(file: &Path) -> String {
    refused_with(&["rotate", file.to_str().unwrap()], b"")
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
fn a_command_that_is_not_understood_says_how_to_use_it() {
    for args in [
        &[][..],
        &["keys.json"],
        &["new"],
        &["new", "keys.json"],
        &["new", "--alg"],
        &["new", "--alg", "none", "keys.json"],
        &["new", "--alg", "HS256", "a", "b"],
        &["new", "--alg", "HS256", "--from", "a", "b"],
        &["rotate"],
        &["public"],
        &["public", "--alg", "HS256", "a"],
        &["check"],
        &["check", "a", "b"],
        &["check", "--issuers"],
        &["public", "--issuers", "a"],
        &["import"],
        &["import", "--k", "c2VjcmV0", "a"],
    ] {
        let output = program(args, b"");
        assert_eq!((output.status.code(), output.stdout), (Some(2), Vec::new()), "{args:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("usage: redis-session-keys new --alg ALG"), "{args:?}: {said}");
    }
    assert!(done(&["--help"]).contains("usage: "));
}

const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::EdDsa,
    Algorithm::Es256,
    Algorithm::Es384,
    Algorithm::Es512,
    Algorithm::Rs256,
    Algorithm::Ps512,
    Algorithm::Hs256,
    Algorithm::Hs384,
    Algorithm::Hs512,
];

#[test]
fn a_key_of_every_algorithm_signs_and_stays_secret() {
    for algorithm in ALGORITHMS {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("keys.json");
        let path = file.to_str().unwrap();
        let reports = [done(&["new", "--alg", algorithm.as_str(), path]), done(&["rotate", path])];
        let ring = ring(&file);
        assert!(ring.keys().all(|key| key.algorithm() == algorithm && key.can_sign()), "{algorithm}");
        assert_eq!((ring.keys().len(), mode(&file)), (2, 0o600));
        let shown = [done(&["check", path]), reports.concat()].concat();
        let set: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        let published = if algorithm.key_type() == "oct" {
            let why = refused_with(&["public", path], b"");
            assert!(why.contains("has no private key"), "{why}");
            String::new()
        } else {
            done(&["public", path])
        };
        for key in set["keys"].as_array().unwrap() {
            for name in ["k", "d", "p", "q", "dp", "dq", "qi"] {
                let Some(secret) = key[name].as_str() else { continue };
                assert!(!shown.contains(secret) && !published.contains(secret), "{algorithm} {name}");
            }
        }
        if !published.is_empty() {
            let published = KeyRing::of_issuer(published.as_bytes(), IssuerKeys::default()).unwrap();
            let prints = |ring: &KeyRing| ring.keys().map(|key| key.fingerprint().to_owned()).collect::<Vec<_>>();
            assert_eq!(prints(&published), prints(&ring));
        }
    }
}

#[test]
fn a_key_that_is_for_no_file_is_written_to_standard_output() {
    let set = done(&["new", "--alg", "EdDSA", "--kid", "mine"]);
    let ring = KeyRing::from_jwk_set(set.as_bytes(), None).unwrap();
    assert_eq!(ring.signing_key().and_then(Key::kid), Some("mine"));
}

#[test]
fn a_file_that_is_there_is_not_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("keys.json");
    let path = file.to_str().unwrap();
    made(&file);
    let before = fs::read(&file).unwrap();
    let why = refused_with(&["new", "--alg", "EdDSA", path], b"");
    assert!(why.contains("is there already") && why.contains("nothing was changed"), "{why}");
    let kid = kids(&file).remove(0);
    let why = refused_with(&["rotate", "--kid", &kid, path], b"");
    assert!(why.contains(&format!("has a key {kid:?} already")), "{why}");
    for kid in ["a\nb", &"k".repeat(129)] {
        assert!(refused_with(&["rotate", "--kid", kid, path], b"").contains("\"kid\" must be"));
    }
    assert_eq!(fs::read(&file).unwrap(), before);
    let missing = dir.path().join("missing.json");
    for command in ["rotate", "public", "check"] {
        let why = refused_with(&[command, missing.to_str().unwrap()], b"");
        assert!(why.contains("missing.json: No such file"), "{command}: {why}");
    }
}

#[test]
fn a_rotation_keeps_the_algorithm_that_signs_unless_another_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("keys.json");
    let path = file.to_str().unwrap();
    done(&["new", "--alg", "ES256", path]);
    done(&["rotate", path]);
    done(&["rotate", "--alg", "EdDSA", path]);
    let algorithms: Vec<_> = ring(&file).keys().map(Key::algorithm).collect();
    assert_eq!(algorithms, [Algorithm::Es256, Algorithm::Es256, Algorithm::EdDsa]);
}

#[test]
fn a_check_tells_what_a_server_would_do_with_each_key() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("keys.json");
    let path = file.to_str().unwrap();
    done(&["new", "--alg", "EdDSA", "--kid", "first", path]);
    done(&["rotate", "--kid", "second", path]);
    let text = fs::read_to_string(&file).unwrap();
    let theirs = r#"{"kty":"OKP","crv":"Ed25519","kid":"theirs","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let short = r#"{"kty":"EC","crv":"P-256","kid":"short","x":"AAAA","y":"AAAA"}"#;
    fs::write(&file, text.replace("\n]", &format!(",\n{theirs},\n{short}\n]"))).unwrap();
    let said = done(&["check", path]);
    let row =
        |kid: &str| said.lines().find(|line| line.starts_with(kid)).unwrap().split_whitespace().collect::<Vec<_>>();
    assert_eq!(row("first")[1..5], ["EdDSA", "OKP", "256", "signs"]);
    assert_eq!(row("second")[1..6], ["EdDSA", "OKP", "256", "can", "sign"]);
    assert_eq!(row("theirs")[1..], ["EdDSA", "OKP", "256", "verifies", "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"]);
    assert!(said.contains(r#"Left out: key "short": "x" and "y" must be base64url without padding, of 32 bytes each"#));
    assert!(!said.contains("chmod"));
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    let why = refused_with(&["check", path], b"");
    assert!(why.contains("holds secrets and can be read by others than its owner (mode 644): chmod 600 it"), "{why}");

    fs::write(&file, format!(r#"{{"keys":[{theirs}]}}"#)).unwrap();
    let said = done(&["check", path]);
    assert!(said.contains("No key signs") && !said.contains("chmod"), "{said}");
    for (bad, why) in [
        ("[", "is not a JSON object"),
        (r#"{"keys":[]}"#, "holds no keys"),
        (r#"{"keys":[{"kty":"oct","kid":"a","alg":"HS256","k":"AAAA"}]}"#, "the secret has 24 bits"),
    ] {
        fs::write(&file, bad).unwrap();
        let said = refused_with(&["check", path], b"");
        assert!(said.contains(why) && !said.contains("nothing was changed"), "{said}");
    }
}

#[test]
fn a_check_of_issuers_tells_what_a_server_would_take_from_whom() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let theirs = r#"{"kty":"OKP","crv":"Ed25519","kid":"theirs","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let odd = r#"{"kty":"RSA","kid":"odd","use":"enc","n":"AQAB","e":"AQAB"}"#;
    let secret = format!(r#"{{"kty":"oct","kid":"old","alg":"HS256","k":"{}"}}"#, "A".repeat(43));
    let of_a = write("sets/a.json", &format!(r#"{{"keys":[{theirs},{odd}]}}"#));
    write("b.json", &format!(r#"{{"keys":[{odd}]}}"#));
    let of_app = write("app.json", &format!(r#"{{"keys":[{secret}]}}"#));
    let entries = r#"[{"iss":"https://a.example/","jwks":"sets/a.json","aud":["api"],"typ":"at+jwt","algs":["EdDSA"]},
        {"iss":"https://b.example/","jwks":"b.json","aud":["x","y"]},{"iss":null,"jwks":"app.json"}]"#;
    let file = write("issuers.json", &format!(r#"{{"issuers":{entries}}}"#));
    let check = || done(&["check", "--issuers", &file]);

    let said = check();
    let (first, rest) = said.split_once("Tokens of \"https://a.example/\", by the keys in sets/a.json\n").unwrap();
    let (a, b) = rest.split_once("Tokens of \"https://b.example/\", by the keys in b.json\n").unwrap();
    assert_eq!(
        first,
        format!(
            "A server takes {file}.\n\nTokens without an iss, by the keys in app.json\n\
             for any audience, also those that were made for other applications\n\n\
             kid  alg    kty  bits  use       fingerprint\nold  HS256  oct  256   verifies  {}\n\n",
            KeyRing::from_jwk_set(&fs::read(&of_app).unwrap(), None).unwrap().keys().next().unwrap().fingerprint(),
        )
    );
    assert!(a.starts_with("for the audience \"api\"\nwith the header's typ \"at+jwt\"\n\nkid "), "{a}");
    assert!(a.contains("theirs  EdDSA  OKP  256   verifies  kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k\n"), "{a}");
    assert!(a.contains("Left out: key \"odd\": "), "{a}");
    assert!(b.starts_with("for one of the audiences [\"x\", \"y\"]\n\nNo key can be used"), "{b}");
    assert!(!said.contains(&"A".repeat(43)));

    let refused = || refused_with(&["check", "--issuers", &file], b"");
    let mode = |path: &str, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    for (path, bad, why) in [
        (&file, 0o666, "issuers.json: can be written by others than its owner (mode 666)"),
        (&of_a, 0o622, "sets/a.json: can be written by others"),
        (&of_app, 0o604, "app.json: holds secrets and can be read by others"),
    ] {
        mode(path, bad);
        let said = refused();
        assert!(said.contains(why) && !said.contains("nothing was changed"), "{said}");
        mode(path, 0o600);
    }
    mode(&of_a, 0o644);
    check();
    for (entries, why) in [
        (entries.replace("b.json", "../b.json"), "issuer \"https://b.example/\": \"jwks\" must be the path"),
        (entries.replace("b.json", "c.json"), "c.json: No such file"),
        (entries.replace("b.json", "sets"), "sets: is not a regular file"),
        (entries.replace("b.example", "a.example"), "another entry has the same \"iss\""),
        (entries.replace("\"aud\"", "\"audience\""), "has the unknown member \"audience\""),
        (entries.replace("null", "\"https://c.example\""), "app.json key \"old\""),
    ] {
        write("issuers.json", &format!(r#"{{"issuers":{entries}}}"#));
        let said = refused();
        assert!(said.contains(why), "{said}");
    }
    write("issuers.json", r#"{"issuers":[]}"#);
    assert!(check().contains("It names no issuer"));
    // As a key file it is none.
    assert!(refused_with(&["check", &file], b"").contains("is not a JWK Set"));
}

/// What OpenSSL 3 writes for new keys: `genpkey`, `ecparam -genkey`, `genrsa -traditional`, and `pkey -pubout` of each.
const PEMS: [(&str, &str, bool); 9] = [
    (include_str!("pem/ed25519.pem"), "EdDSA", true),
    (include_str!("pem/p256.pem"), "ES256", true),
    (include_str!("pem/p384-sec1.pem"), "ES384", true),
    (include_str!("pem/p521.pem"), "ES512", true),
    (include_str!("pem/rsa.pem"), "RS256", true),
    (include_str!("pem/rsa-pkcs1.pem"), "RS256", true),
    (include_str!("pem/ed25519-public.pem"), "EdDSA", false),
    (include_str!("pem/p256-public.pem"), "ES256", false),
    (include_str!("pem/rsa-public.pem"), "RS256", false),
];

#[test]
fn keys_in_pem_are_taken_from_a_file_or_from_standard_input() {
    for (pem, alg, is_private) in PEMS {
        let dir = tempfile::tempdir().unwrap();
        let [file, source] = ["keys.json", "source.pem"].map(|name| dir.path().join(name));
        let [path, from] = [&file, &source].map(|file| file.to_str().unwrap());
        fs::write(&source, pem).unwrap();
        done(&["import", "--from", from, path]);
        let key = |at: usize| {
            let ring = ring(&file);
            let key = ring.keys().nth(at).unwrap();
            (key.algorithm().to_string(), key.can_sign(), key.kid().map(str::to_owned), key.fingerprint().to_owned())
        };
        let first = key(0);
        assert_eq!((first.0.as_str(), first.1), (alg, is_private), "{pem}");
        assert_eq!((first.2.is_some(), mode(&file)), (is_private, 0o600));
        // Lines as Windows ends them, and words around the block.
        let pem = format!("words\r\n{}", pem.replace('\n', "\r\n"));
        let report = done_with(&["import", "--kid", "named", "--from", "-", path], pem.as_bytes());
        let second = key(1);
        assert_eq!((second.2.as_deref(), second.3), (Some("named"), first.3));
        assert!(report.contains("has a new key, named, behind 1 older"), "{report}");
        assert!(is_private || report.contains("It only verifies"), "{report}");
    }
}

#[test]
fn an_rsa_key_in_pem_is_for_the_algorithm_that_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("keys.json");
    let path = file.to_str().unwrap();
    done_with(&["import", "--alg", "PS384", path], PEMS[4].0.as_bytes());
    assert_eq!(ring(&file).signing_key().map(Key::algorithm), Some(Algorithm::Ps384));
    let why = refused_with(&["import", "--alg", "ES256", path], PEMS[4].0.as_bytes());
    assert!(why.contains("\"alg\" is not one for this type of key"), "{why}");
}

#[test]
fn a_plain_secret_is_taken_without_the_end_of_its_line() {
    const SECRET: &str = "an application's secret of 36 bytes!";
    for end in ["", "\n", "\r\n"] {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("keys.json");
        let path = file.to_str().unwrap();
        let report = done_with(&["import", "--secret", path], format!("{SECRET}{end}").as_bytes());
        let set: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        let k = base64url::encode(SECRET.as_bytes());
        assert_eq!((set["keys"][0]["k"].as_str(), set["keys"][0]["alg"].as_str()), (Some(k.as_str()), Some("HS256")));
        assert!(!report.contains(&k) && !report.contains(SECRET));
        let why = refused_with(&["import", "--secret", "--alg", "HS512", path], SECRET.as_bytes());
        assert!(why.contains("the secret has 288 bits, and HS512 needs 512 or more") && !why.contains(&k), "{why}");
        assert!(
            refused_with(&["import", "--secret", "--alg", "RS256", path], SECRET.as_bytes())
                .contains("\"alg\" must be")
        );
    }
}

#[test]
fn what_is_no_key_is_refused_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("keys.json");
    let path = file.to_str().unwrap();
    let (start, end) = PEMS[1].0.split_at(60);
    for (text, why) in [
        ("", "no line -----BEGIN"),
        ("c2VjcmV0", "no line -----BEGIN"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n", "no line -----END"),
        ("-----BEGIN PRIVATE KEY-----\n????\n-----END PRIVATE KEY-----\n", "the key is no PEM"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "the key is no PKCS #8"),
        ("-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n", "no RSA key with two primes"),
        ("-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n", "damaged, or on a curve"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "damaged"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "openssl x509"),
        ("-----BEGIN DSA PRIVATE KEY-----\nAAAA\n-----END DSA PRIVATE KEY-----\n", "no key that is supported"),
        ("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n", "is encrypted"),
        (include_str!("pem/secp256k1.pem"), "damaged, or on a curve that is not supported"),
        (include_str!("pem/ed448.pem"), "of a type that is not supported (1.3.101.113)"),
        (include_str!("pem/rsa-1024.pem"), "the modulus has 1024 bits, and 2048 to 4096 are needed"),
        (&format!("{start}AAAA{end}"), "the key is"),
    ] {
        let said = refused_with(&["import", path], text.as_bytes());
        assert!(said.contains(why) && said.contains("nothing was changed"), "{text}: {said}");
    }
    let said = refused_with(&["import", "--from", "no-such.pem", path], b"");
    assert!(said.contains("no-such.pem: No such file"), "{said}");
    // A secret is not cut.
    let (source, long) = (dir.path().join("long"), vec![b'x'; (1 << 20) + 1]);
    fs::write(&source, &long).unwrap();
    let said = refused_with(&["import", "--secret", "--from", source.to_str().unwrap(), path], b"");
    assert!(said.contains("/long: is longer than 1048576 bytes"), "{said}");
    let said = refused_with(&["import", "--secret", path], &long);
    assert!(said.contains("standard input: is longer than 1048576 bytes"), "{said}");
    assert!(!file.exists());
}

#[test]
fn a_public_key_that_cannot_be_used_is_not_added() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("keys.json");
    let path = file.to_str().unwrap();
    made(&file);
    done_with(&["import", path], PEMS[8].0.as_bytes());
    let before = fs::read(&file).unwrap();
    let why = refused_with(&["import", "--kid", "small", path], include_bytes!("pem/rsa-1024-public.pem"));
    assert!(why.contains("the new key: the modulus has 1024 bits"), "{why}");
    let why = refused_with(&["import", path], PEMS[8].0.as_bytes());
    assert!(why.contains("has this key already"), "{why}");
    assert_eq!(fs::read(&file).unwrap(), before);
}
