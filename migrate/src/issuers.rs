//! The entries of `session.issuers-file` that the old JWTs need.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::jwt::Jwt;

/// More than these are not told apart: whoever makes JWTs for so many audiences does not mean them as such.
const MOST: usize = 8;

/// What was seen of the JWTs, by their `iss`.
#[derive(Default)]
pub(crate) struct Issuers(BTreeMap<Option<String>, Issuer>);

/// What was seen of one issuer's.
#[derive(Default)]
struct Issuer {
    /// How many were not taken for want of a key.
    keyless: u64,
    algs: BTreeSet<String>,
    kids: BTreeSet<String>,
    types: BTreeSet<Option<String>>,
    /// The one audience of each; `None` for those that have none or several.
    audiences: BTreeSet<Option<String>>,
}

/// An entry that is needed.
pub(crate) struct Entry {
    iss: Option<String>,
    jwks: String,
    json: String,
    kids: BTreeSet<String>,
    algs: BTreeSet<String>,
}

impl Issuers {
    /// Notes a JWT, and whether it was not taken because its key is not there.
    pub(crate) fn see(&mut self, jwt: &Jwt, is_keyless: bool) {
        let issuer = self.0.entry(jwt.iss.clone()).or_default();
        issuer.keyless += u64::from(is_keyless);
        let add = |set: &mut BTreeSet<String>, text: &Option<String>| {
            if set.len() < MOST {
                set.extend(text.clone());
            }
        };
        add(&mut issuer.algs, &jwt.alg.clone().filter(|alg| alg != "none"));
        add(&mut issuer.kids, &jwt.kid);
        if issuer.types.len() < MOST {
            issuer.types.insert(jwt.typ.clone());
        }
        if issuer.audiences.len() <= MOST {
            issuer.audiences.insert(jwt.aud.first().filter(|_| jwt.aud.len() == 1).cloned());
        }
    }

    /// The entries for those of whom JWTs were not taken because their key is not there.
    pub(crate) fn needed(&self) -> Vec<Entry> {
        let mut names = BTreeSet::new();
        let needed = self.0.iter().filter(|(_, issuer)| issuer.keyless > 0).take(MOST);
        needed.map(|(iss, issuer)| issuer.entry(iss.as_deref(), &mut names)).collect()
    }
}

impl Issuer {
    fn entry(&self, iss: Option<&str>, names: &mut BTreeSet<String>) -> Entry {
        let mut jwks = file_name(iss);
        while !names.insert(jwks.clone()) {
            jwks.insert(0, '_');
        }
        let mut json = format!(r#"{{"iss":{},"jwks":{}"#, json!(iss), json!(jwks));
        let audiences: Option<Vec<_>> = self.audiences.iter().cloned().collect();
        if let Some(audiences) = audiences.filter(|audiences| (1..=MOST).contains(&audiences.len())) {
            json += &format!(r#","aud":{}"#, json!(audiences));
        }
        // `JWT` says nothing that the rest does not.
        if let [Some(typ)] = &self.types.iter().collect::<Vec<_>>()[..]
            && !typ.eq_ignore_ascii_case("JWT")
        {
            json += &format!(r#","typ":{}"#, json!(typ));
        }
        if !self.algs.is_empty() {
            json += &format!(r#","algs":{}"#, json!(self.algs));
        }
        json.push('}');
        let (kids, algs) = (self.kids.clone(), self.algs.clone());
        Entry { iss: iss.map(str::to_owned), jwks, json, kids, algs }
    }
}

/// The host of an `iss` that is a URL, or else its letters and digits.
fn file_name(iss: Option<&str>) -> String {
    let Some(iss) = iss else { return "application.json".into() };
    let host = iss.split_once("://").map_or(iss, |(_, rest)| rest);
    let letter = |letter: char| if letter.is_ascii_alphanumeric() || letter == '.' { letter } else { '-' };
    let name: String = host.chars().take(60).map(letter).collect();
    let name = name.trim_matches(['-', '.']).to_owned();
    if name.is_empty() { "issuer.json".into() } else { name + ".json" }
}

/// A file of these entries, and of those of `old` for other issuers.
pub(crate) fn file(entries: &[Entry], old: Option<&[u8]>) -> String {
    #[derive(Deserialize)]
    struct File<'a> {
        #[serde(borrow)]
        issuers: Vec<&'a RawValue>,
    }
    #[derive(Deserialize)]
    struct Named {
        iss: Option<String>,
    }
    let old: Option<File<'_>> = old.and_then(|json| serde_json::from_slice(json).ok());
    let others = old.into_iter().flat_map(|file| file.issuers).map(RawValue::get).filter(|json| {
        let named: Option<Named> = serde_json::from_str(json).ok();
        named.is_some_and(|named| entries.iter().all(|entry| entry.iss != named.iss))
    });
    let lines: Vec<_> =
        others.chain(entries.iter().map(|entry| &*entry.json)).map(|json| format!("  {json}")).collect();
    format!("{{\"issuers\":[\n{}\n]}}\n", lines.join(",\n"))
}

impl Entry {
    /// How its keys get there.
    pub(crate) fn instructions(&self) -> String {
        let Self { iss, jwks, json, kids, algs } = self;
        let whose = match iss {
            Some(iss) => format!("JWTs with the iss {iss:?}"),
            None => "JWTs without an iss".into(),
        };
        let mut text = format!("{whose}: the entry is\n  {json}\n");
        let is_secret = |alg: &&String| alg.starts_with("HS");
        for alg in algs.iter().filter(is_secret) {
            text += &format!("  Put the application's secret into {jwks}, beside the file with the entry:\n");
            let kids: Vec<_> = kids.iter().map(|kid| format!(" --kid {}", quoted(kid))).collect();
            let kids = if kids.is_empty() { vec![String::new()] } else { kids };
            for kid in kids {
                text += &format!("    redis-session-keys import --alg {alg}{kid} {jwks} < SECRET\n");
            }
            text += &format!(
                "  A secret of less than {} bytes is refused: --opaque-jwts moves its sessions all the same.\n",
                bytes_of(alg)
            );
        }
        if !algs.iter().all(|alg| is_secret(&alg)) {
            text += &format!("  Put the issuer's public keys into {jwks}, as it publishes them (its jwks_uri).\n");
        }
        text
    }
}

/// What a secret must have at least (RFC 7518 section 3.2).
fn bytes_of(alg: &str) -> usize {
    match alg {
        "HS384" => 48,
        "HS512" => 64,
        _ => 32,
    }
}

/// For a shell.
fn quoted(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/".contains(&byte);
    if text.bytes().all(is_plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}
