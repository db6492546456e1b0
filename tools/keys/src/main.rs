//! Makes the key file for `session.keys-file`, changes it, and shows what is in it, or in `session.issuers-file`.

mod args;
mod file;
mod key;
mod pem;
mod report;

use std::error::Error;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use redis_session_core::base64url;
use redis_session_core::token::{Algorithm, Key, KeyRing};
use serde_json::{Value, json};

use args::{Command, Import};

fn main() -> ExitCode {
    let command = match args::read(std::env::args_os().skip(1)) {
        Ok(command) => command,
        Err(why) => {
            eprintln!("{why}\n\n{}", args::USAGE);
            return ExitCode::from(2);
        }
    };
    let written = run(&command).and_then(|text| Ok(io::stdout().write_all(text.as_bytes())?));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("redis-session-keys: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Does it; the answer is for standard output.
fn run(command: &Command) -> Result<String, Box<dyn Error>> {
    match command {
        Command::Help => Ok(format!("{}\n", args::USAGE)),
        Command::New { algorithm, kid, file: None } => {
            let key = named(key::fresh(*algorithm)?, *algorithm, kid.as_deref(), None)?;
            with(&json!({ "keys": [] }), key).map(|(text, _)| text)
        }
        Command::New { algorithm, kid, file: Some(path) } => changing(path, || {
            if file::read(path)?.is_some() {
                return Err("is there already; `rotate` adds a key to it".into());
            }
            let key = named(key::fresh(*algorithm)?, *algorithm, kid.as_deref(), None)?;
            add(path, None, key)
        }),
        Command::Rotate { algorithm, kid, file: path } => changing(path, || {
            let (old, ring) = present(path)?;
            let signs = ring.signing_key().map(Key::algorithm);
            let algorithm = algorithm.or(signs).unwrap_or(Algorithm::Hs256);
            let key = named(key::fresh(algorithm)?, algorithm, kid.as_deref(), Some(&ring))?;
            add(path, Some((&old, &ring)), key)
        }),
        Command::Import(import) => changing(&import.file, || take_in(import)),
        Command::Public { file: path } => about(path, || {
            let set = present(path)?.1.public_jwks();
            let set: Value = serde_json::from_str(&set)?;
            match set.get("keys").and_then(Value::as_array).map(Vec::is_empty) {
                Some(false) => file::set_text(&set),
                _ => Err("has no private key, and a secret is not to be published".into()),
            }
        }),
        Command::Check { file: path } => about(path, || {
            let (_, ring) = present(path)?;
            file::access(path)?.check(ring.has_secrets())?;
            Ok(report::check(path, &ring))
        }),
        Command::CheckIssuers { file: path } => about(path, || Ok(report::check_issuers(path, &file::issuers(path)?))),
    }
}

/// Says what file an error is about.
fn about<R>(path: &Path, work: impl FnOnce() -> Result<R, Box<dyn Error>>) -> Result<R, Box<dyn Error>> {
    work().map_err(|why| format!("{}: {why}", path.display()).into())
}

/// That, and that the file is as it was.
fn changing<R>(path: &Path, work: impl FnOnce() -> Result<R, Box<dyn Error>>) -> Result<R, Box<dyn Error>> {
    work().map_err(|why| format!("{}: {why}; nothing was changed", path.display()).into())
}

/// The set in a file, as it is and as a server reads it. One that no server would take is not made longer.
fn present(path: &Path) -> Result<(Value, KeyRing), Box<dyn Error>> {
    let json = file::read(path)?.ok_or("No such file; `new` makes one")?;
    let ring = KeyRing::from_jwk_set(&json, None)?;
    Ok((serde_json::from_slice(json.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&json))?, ring))
}

/// Adds a key from elsewhere to a file, or makes one of it.
fn take_in(import: &Import) -> Result<String, Box<dyn Error>> {
    let old = if file::read(&import.file)?.is_some() { Some(present(&import.file)?) } else { None };
    let ring = old.as_ref().map(|(_, ring)| ring);
    let source = match &import.from {
        Some(path) => about(path, || file::read(path)?.ok_or_else(|| "No such file".into()))?,
        None => about(Path::new("standard input"), || file::read_all(io::stdin()))?,
    };
    let (jwk, algorithm) = if import.is_secret {
        let algorithm = import.algorithm.unwrap_or(Algorithm::Hs256);
        // The end of the line, which an editor adds, is none of it.
        let secret = source.strip_suffix(b"\n").unwrap_or(&source);
        let secret = secret.strip_suffix(b"\r").unwrap_or(secret);
        (json!({ "kty": "oct", "k": base64url::encode(secret) }), algorithm)
    } else {
        let (jwk, algorithm) = pem::read(&source)?;
        (jwk, import.algorithm.unwrap_or(algorithm))
    };
    let is_public = !import.is_secret && jwk.get("d").is_none();
    let key = match (&import.kid, is_public) {
        // Its issuer names it, or does not.
        (None, true) => labelled(jwk, algorithm, None),
        (kid, _) => named(jwk, algorithm, kid.as_deref(), ring)?,
    };
    add(&import.file, old.as_ref().map(|(set, ring)| (set, ring)), key)
}

/// The key with this name, or one that no key of the ring has.
fn named(jwk: Value, algorithm: Algorithm, kid: Option<&str>, ring: Option<&KeyRing>) -> Result<Value, Box<dyn Error>> {
    let is_taken = |kid: &str| ring.is_some_and(|ring| ring.get(kid).is_some());
    let kid = match kid {
        Some(kid) if is_taken(kid) => return Err(format!("has a key {kid:?} already").into()),
        Some(kid) => kid.to_owned(),
        None => loop {
            let kid = key::fresh_kid()?;
            if !is_taken(&kid) {
                break kid;
            }
        },
    };
    Ok(labelled(jwk, algorithm, Some(&kid)))
}

fn labelled(jwk: Value, algorithm: Algorithm, kid: Option<&str>) -> Value {
    let jwk = kid.into_iter().fold(jwk, |jwk, kid| key::with(jwk, "kid", kid));
    key::with(key::with(jwk, "alg", algorithm.as_str()), "use", "sig")
}

/// The set with one key more, behind the others: the first that can sign goes on signing, whenever a server comes to read
/// the file. And the ring that a server makes of it.
fn with(set: &Value, key: Value) -> Result<(String, KeyRing), Box<dyn Error>> {
    let mut set = set.clone();
    set.get_mut("keys").and_then(Value::as_array_mut).ok_or("is not a JWK Set")?.push(key);
    let text = file::set_text(&set)?;
    let ring = KeyRing::from_jwk_set(text.as_bytes(), None)?;
    Ok((text, ring))
}

fn add(path: &Path, old: Option<(&Value, &KeyRing)>, key: Value) -> Result<String, Box<dyn Error>> {
    let kid = key::text(&key, "kid").map(str::to_owned);
    let empty = json!({ "keys": [] });
    let (text, ring) = with(old.map_or(&empty, |(set, _)| set), key)?;
    let before = old.map_or(0, |(_, ring)| ring.keys().len());
    match ring.ignored().last() {
        Some(ignored) if ring.keys().len() <= before => return Err(format!("the new key: {}", ignored.why).into()),
        None if ring.keys().len() <= before => return Err("has this key already".into()),
        _ => {}
    }
    let added = ring.keys().last().ok_or("has no key")?;
    let path = file::replace(path, text.as_bytes())?;
    Ok(report::added(&path, kid.as_deref(), added, old.map(|(_, ring)| ring)))
}
