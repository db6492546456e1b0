//! Makes a key file for `session.keys-file`, or puts a new key behind those that one has, and says what to do next.
//!
//! ```text
//! redis-session-keys FILE
//! ```

use std::error::Error;
use std::fs::{self, File, Permissions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use redis_session_core::base64url;
use redis_session_core::token::KeyRing;
use serde_json::{Value, json};

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    let [file] = &args[..] else {
        eprintln!("usage: redis-session-keys FILE");
        return ExitCode::from(2);
    };
    match run(Path::new(file)) {
        Ok(report) => {
            print!("{report}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("{}: {why}; nothing was changed", Path::new(file).display());
            ExitCode::FAILURE
        }
    }
}

fn run(file: &Path) -> Result<String, Box<dyn Error>> {
    let old = match fs::read(file) {
        Ok(json) => Some(json),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error.into()),
    };
    // A file that no server would take is not made longer.
    let ring = old.as_deref().map(|json| KeyRing::from_jwk_set(json, None)).transpose()?;
    let is_taken = |kid: &str| ring.as_ref().is_some_and(|ring| ring.get(kid).is_some());
    let kid = loop {
        let kid = fresh_kid()?;
        if !is_taken(&kid) {
            break kid;
        }
    };
    let mut set = match &old {
        Some(json) => serde_json::from_slice(json)?,
        None => json!({ "keys": [] }),
    };
    let keys = set.get_mut("keys").and_then(Value::as_array_mut).ok_or("is not a JWK Set")?;
    // Behind the others: the first that can sign goes on signing, whenever a server comes to read the file.
    keys.push(fresh_key(&kid)?);
    let json = set_text(&set)?;
    // What was written must be what a server reads, and sign with the new key once it is told to.
    KeyRing::from_jwk_set(json.as_bytes(), Some(&kid))?;
    let file = replace(file, json.as_bytes())?;
    Ok(report(&file, &kid, ring.as_ref()))
}

/// The day, for people, and 24 random bits, for two on one day.
fn fresh_kid() -> Result<String, getrandom::Error> {
    let mut random = [0; 3];
    getrandom::fill(&mut random)?;
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (year, month, day) = date(seconds / 86_400);
    Ok(format!("{year}-{month:02}-{day:02}-{}", base64url::encode(&random)))
}

/// Year, month and day of the day that is so many days after 1970-01-01, in the Gregorian calendar.
fn date(mut days: u64) -> (u64, u64, u64) {
    let is_leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 1;
    for length in lengths {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1)
}

fn fresh_key(kid: &str) -> Result<Value, getrandom::Error> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret)?;
    Ok(json!({ "kty": "oct", "kid": kid, "alg": "HS256", "k": base64url::encode(&secret) }))
}

/// The set with each key on a line of its own, so that any but the last can be taken out by taking out its line.
fn set_text(set: &Value) -> Result<String, Box<dyn Error>> {
    let members = set.as_object().ok_or("is not a JWK Set")?;
    let mut lines = Vec::new();
    for (name, value) in members {
        let value = match value {
            Value::Array(keys) if name == "keys" => {
                let keys: Vec<String> = keys.iter().map(Value::to_string).collect();
                format!("[\n{}\n]", keys.join(",\n"))
            }
            other => other.to_string(),
        };
        lines.push(format!("{}:{value}", Value::from(name.as_str())));
    }
    Ok(format!("{{{}}}\n", lines.join(",\n")))
}

/// Puts a new file in the place of the old one in one step, readable for its owner alone; the answer is its full path.
fn replace(file: &Path, content: &[u8]) -> Result<PathBuf, Box<dyn Error>> {
    let old = fs::canonicalize(file).ok();
    let (file, owner) = match &old {
        Some(path) => (path.clone(), Some(fs::metadata(path)?)),
        None => (std::path::absolute(file)?, None),
    };
    let name = file.file_name().ok_or("is not a file's name")?.to_string_lossy().into_owned();
    let new = file.with_file_name(format!(".{name}.{}", std::process::id()));
    let written = (|| -> Result<(), Box<dyn Error>> {
        let mut out = File::options().write(true).create_new(true).mode(0o600).open(&new)?;
        out.set_permissions(Permissions::from_mode(0o600))?;
        if let Some(owner) = owner {
            let ours = out.metadata()?;
            if (ours.uid(), ours.gid()) != (owner.uid(), owner.gid()) {
                std::os::unix::fs::fchown(&out, Some(owner.uid()), Some(owner.gid()))
                    .map_err(|error| format!("cannot be given back to its owner: {error}"))?;
            }
        }
        out.write_all(content)?;
        out.sync_all()?;
        Ok(fs::rename(&new, &file)?)
    })();
    if let Err(why) = written {
        let _ = fs::remove_file(&new);
        return Err(why);
    }
    Ok(file)
}

fn report(file: &Path, kid: &str, older: Option<&KeyRing>) -> String {
    let path = shell_word(&file.display().to_string());
    let make_it_stay = "    redis-cli CONFIG REWRITE\n";
    let Some(older) = older else {
        return format!(
            "{path} has a new key, {kid}. Give it to every server that shares sessions, readable by the server's user \
             and by nobody else.\n\nOn each:\n\n    redis-cli CONFIG SET session.keys-file {path}\n{make_it_stay}\n\
             Tokens that were signed with a random key are dead then.\n",
        );
    };
    let rest = older.keys().len();
    let has = format!("{path} has a new key, {kid}, behind {rest} older.");
    if older.signing_key().is_none() {
        return format!(
            "{has} None of those can sign: this one does.\n\nOn each server:\n\n    \
             redis-cli CONFIG SET session.keys-file {path}\n{make_it_stay}",
        );
    }
    format!(
        "{has} It does not sign yet.\n\n\
         1. On each server, with this file: know the new key, and sign with the old one still.\n\n    \
         redis-cli CONFIG SET session.keys-file {path}\n{make_it_stay}\n\
         2. When all have done that, on each: sign with the new key.\n\n    \
         redis-cli CONFIG SET session.active-kid {kid}\n{make_it_stay}\n\
         3. When the last token of the key that signed before has expired: take that key's line out of the file, and \
         set session.keys-file again.\n\n\
         SESSION.KEYS shows which key signs.\n",
    )
}

/// As a shell takes it for one word.
fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        text.into()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_dates() {
        assert_eq!(date(0), (1970, 1, 1));
        assert_eq!(date(59), (1970, 3, 1));
        assert_eq!(date(11_016), (2000, 2, 29));
        assert_eq!(date(20_777), (2026, 11, 20));
        assert_eq!(date(47_540), (2100, 2, 28));
        assert_eq!(date(47_541), (2100, 3, 1));
    }

    #[test]
    fn words_are_quoted_where_a_shell_needs_it() {
        assert_eq!(shell_word("/a/b-c_1.json"), "/a/b-c_1.json");
        assert_eq!(shell_word("a b"), "'a b'");
        assert_eq!(shell_word("it's"), r"'it'\''s'");
        assert_eq!(shell_word(""), "''");
    }
}
