//! The entries of `session.issuers-file` that the old JWTs need.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::jwt::Jwt;

/// More than these are not told apart: an application with JWTs for so many audiences does not mean them as such.
const MOST: usize = 8;

/// What was seen of the JWTs, by their `iss`.
#[derive(Default)]
pub(crate) struct Issuers(BTreeMap<Option<String>, Issuer>);

/// What was seen of one issuer's.
#[derive(Default)]
struct Issuer {
    /// How many were not taken because their key is not there.
    keyless: u64,
    algs: BTreeSet<String>,
    kids: BTreeSet<String>,
    types: BTreeSet<Option<String>>,
    /// The one audience of each; `None` for those that have none or several.
    audiences: BTreeSet<Option<String>>,
}

/// What is needed for the JWTs of an issuer.
///
/// An entry with an `iss` is of somebody who publishes keys, so it takes no secrets: those of an application that writes an
/// `iss` belong in the server's own key file.
pub(crate) struct Entry {
    iss: Option<String>,
    jwks: String,
    is_own: bool,
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
        let is_own = iss.is_some() && algs.iter().all(|alg| alg.starts_with("HS"));
        Entry { iss: iss.map(str::to_owned), jwks, is_own, json, kids, algs }
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

/// A file of these entries, and of those of `old` for other issuers; `None` if no entry is needed.
pub(crate) fn file(entries: &[Entry], old: Option<&[u8]>) -> Option<String> {
    if entries.iter().all(|entry| entry.is_own) {
        return None;
    }
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
    let new = entries.iter().filter(|entry| !entry.is_own).map(|entry| &*entry.json);
    let lines: Vec<_> = others.chain(new).map(|json| format!("  {json}")).collect();
    Some(format!("{{\"issuers\":[\n{}\n]}}\n", lines.join(",\n")))
}

impl Entry {
    /// How its keys get there.
    pub(crate) fn instructions(&self) -> String {
        let Self { iss, jwks, json, algs, .. } = self;
        let whose = match iss {
            Some(iss) => format!("JWTs with the iss {iss:?}"),
            None => "JWTs without an iss".into(),
        };
        let mut text = if self.is_own {
            format!("{whose} need the application's secret, which is in the file SECRET, in session.keys-file:\n")
        } else {
            format!("{whose} need the entry\n  {json}\n")
        };
        let file = if self.is_own { "KEYS-FILE" } else { jwks };
        let secrets: Vec<_> = algs.iter().filter(|alg| alg.starts_with("HS")).collect();
        let kids: Vec<_> = match self.kids.iter().map(|kid| format!(" --kid {}", quoted(kid))).collect::<Vec<_>>() {
            none if none.is_empty() => vec![String::new()],
            kids => kids,
        };
        if !secrets.is_empty() {
            if !self.is_own {
                text += &format!(
                    "and {jwks} beside that file, with the application's secret, which is in the file SECRET:\n"
                );
            }
            let imports = secrets.iter().flat_map(|alg| kids.iter().map(move |kid| (alg, kid)));
            text.extend(imports.map(|(alg, kid)| {
                format!("  redis-session-keys import --secret --alg {alg}{kid} --from SECRET {file}\n")
            }));
            if self.is_own {
                text += "  redis-cli SESSION.RELOADKEYS\nsession.issuer must not be set, or be that iss.\n";
            }
            let least = secrets.iter().map(|alg| bytes_of(alg)).max().unwrap_or_default();
            text += &format!("A secret of less than {least} bytes is refused: move its sessions with --opaque-jwts.\n");
        }
        if algs.len() > secrets.len() {
            text += &format!(
                "and {jwks} beside that file, with the issuer's public keys as it publishes them (jwks_uri).\n"
            );
        }
        text
    }
}

/// For a shell.
fn quoted(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/".contains(&byte);
    // What looks like an option would be taken for one, and a line that is cut in two for two commands.
    if text.bytes().all(is_plain) && !text.starts_with('-') {
        return text.to_owned();
    }
    let shown: String = text.chars().map(|letter| if letter.is_control() { '?' } else { letter }).collect();
    format!("'{}'", shown.replace('\'', r"'\''"))
}

/// What a secret must have at least (RFC 7518 section 3.2).
fn bytes_of(alg: &str) -> usize {
    match alg {
        "HS384" => 48,
        "HS512" => 64,
        _ => 32,
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn entry(iss: Option<&str>, kids: &[&str], algs: &[&str]) -> Entry {
        let mut issuers = Issuers::default();
        for alg in algs {
            for kid in kids {
                let kid = Some((*kid).to_owned()).filter(|kid| !kid.is_empty());
                let jwt = Jwt { iss: iss.map(str::to_owned), kid, alg: Some((*alg).to_owned()), ..Jwt::default() };
                issuers.see(&jwt, true);
            }
        }
        issuers.needed().pop().unwrap()
    }

    #[test]
    fn the_instructions_are_safe_in_a_shell() {
        let lines = |entry: &Entry| {
            let text = entry.instructions();
            text.lines().filter(|line| line.contains("import")).map(|line| line.trim().to_owned()).collect::<Vec<_>>()
        };
        let one = entry(None, &[""], &["HS256"]);
        assert_eq!(lines(&one), ["redis-session-keys import --secret --alg HS256 --from SECRET application.json"]);
        let evil = "it's $(false) `x`\n";
        let more = entry(Some("shop"), &["v1", evil], &["HS256", "HS512"]);
        let as_a_shell_reads_it = |line: &String| {
            let printed =
                Command::new("bash").args(["-c", &line.replacen("redis-session-keys", "printf '%s|'", 1)]).output();
            String::from_utf8(printed.unwrap().stdout).unwrap()
        };
        let words = |kid: &str, alg: &str| format!("import|--secret|--alg|{alg}|--kid|{kid}|--from|SECRET|KEYS-FILE|");
        let shown = "it's $(false) `x`?";
        let expected = [(shown, "HS256"), ("v1", "HS256"), (shown, "HS512"), ("v1", "HS512")];
        assert_eq!(
            lines(&more).iter().map(as_a_shell_reads_it).collect::<Vec<_>>(),
            expected.map(|(kid, alg)| words(kid, alg))
        );
        assert!(more.instructions().contains("less than 64 bytes"));
    }

    #[test]
    fn a_key_sets_name_is_safe() {
        for (iss, name) in [
            (None, "application.json"),
            (Some("https://id.example.com/"), "id.example.com.json"),
            (Some("https://login.example.com/tenant/v2.0"), "login.example.com-tenant-v2.0.json"),
            (Some("../../etc/passwd"), "etc-passwd.json"),
            (Some("$(x) y"), "x--y.json"),
            (Some("///"), "issuer.json"),
        ] {
            assert_eq!(file_name(iss), name);
        }
    }
}
