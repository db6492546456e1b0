//! Replays the corpus: what fuzzing found worth keeping is checked with every run of the tests.

use std::fs;
use std::io::Read;
use std::path::Path;

use redis_session_fuzz_targets as targets;
use tar::Archive;

/// Runs a target on each input of its corpus, and on its seeds. A failure names the input.
fn replay(name: &str, target: targets::Target) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../corpus/{name}.tar"));
    let mut archive = Archive::new(fs::File::open(&path).expect("the corpus"));
    let mut count = 0;
    for entry in archive.entries().expect("an archive") {
        let (mut entry, mut data) = (entry.expect("a whole entry"), Vec::new());
        entry.read_to_end(&mut data).expect("a whole entry");
        if std::panic::catch_unwind(|| target(&data)).is_err() {
            panic!("{name} fails on {} of {}", entry.path().expect("a name").display(), path.display());
        }
        count += 1;
    }
    assert!(count >= 10, "{} holds {count} inputs", path.display());
    targets::seeds(name).iter().for_each(|seed| target(seed));
}

#[test]
fn any_bytes_are_a_whole_value_or_an_error() {
    replay("value", targets::value);
}

#[test]
fn any_effects_leave_a_whole_value() {
    replay("apply", targets::apply);
}

#[test]
fn commands_keep_their_promises_on_any_value() {
    replay("decide", targets::decide);
}

#[test]
fn any_text_is_read_by_its_rule() {
    replay("text", targets::text);
}

#[test]
fn a_token_is_good_just_when_its_definition_says_so() {
    replay("token", targets::token);
}

#[test]
fn json_is_taken_just_when_it_is_strict() {
    replay("json", targets::json);
}

#[test]
fn a_key_file_is_its_keys_or_an_error() {
    replay("jwks", targets::jwks);
}

#[test]
fn a_file_of_issuers_is_what_its_definition_says_or_an_error() {
    replay("issuers", targets::issuers);
}

#[test]
fn a_token_is_good_just_when_somebody_signed_it_who_may_vouch_for_it() {
    replay("vouch", targets::vouch);
}
