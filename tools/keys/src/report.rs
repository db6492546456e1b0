//! What the program says.

use std::fmt::Write as _;
use std::path::Path;

use redis_session_core::token::{Issuers, Key, KeyRing};

const MAKE_IT_STAY: &str = "    redis-cli CONFIG REWRITE\n";

/// What to do next with a key that was added to a file, which had these keys before.
pub(crate) fn added(file: &Path, kid: Option<&str>, key: &Key, older: Option<&KeyRing>) -> String {
    let path = shell_word(&file.display().to_string());
    let name = kid.unwrap_or("without a kid");
    let set = format!("    redis-cli CONFIG SET session.keys-file {path}\n{MAKE_IT_STAY}");
    let Some(older) = older else {
        let dead = if key.can_sign() { "\nTokens that were signed with a random key are dead then.\n" } else { "" };
        return format!(
            "{path} has a new key, {name}. Give it to every server that shares sessions, readable by the server's user \
             and by nobody else.\n\nOn each:\n\n{set}{dead}",
        );
    };
    let again = "    redis-cli SESSION.RELOADKEYS\n";
    let rest = older.keys().len();
    let has = format!("{path} has a new key, {name}, behind {rest} older.");
    if !key.can_sign() {
        return format!("{has} It only verifies.\n\nOn each server:\n\n{again}");
    }
    if older.signing_key().is_none() {
        return format!("{has} None of those can sign: this one does.\n\nOn each server:\n\n{again}");
    }
    format!(
        "{has} It does not sign yet.\n\n\
         1. On each server, with this file: know the new key, and sign with the old one still.\n\n{again}\n\
         2. When all have done that, on each: sign with the new key.\n\n    \
         redis-cli CONFIG SET session.active-kid {name}\n{MAKE_IT_STAY}\n\
         3. When the last token of the key that signed before has expired: take that key's line out of the file, and \
         send SESSION.RELOADKEYS again.\n\n\
         SESSION.KEYS shows which key signs.\n",
        name = shell_word(name),
    )
}

/// What a server would use of a file, and what it would leave out.
pub(crate) fn check(path: &Path, ring: &KeyRing) -> String {
    let mut said = format!("A server takes {}.\n\n", path.display());
    said.push_str(&keys(ring));
    if ring.signing_key().is_none() {
        said.push_str(
            "\nNo key signs. Those that could need a kid, and \"sign\" in their key_ops if they have some.\n",
        );
    }
    said
}

/// The same of the file of other issuers.
pub(crate) fn check_issuers(path: &Path, issuers: &Issuers) -> String {
    let mut said = format!("A server takes {}.\n", path.display());
    if issuers.is_empty() {
        said.push_str("\nIt names no issuer.\n");
    }
    for issuer in issuers.iter() {
        let jwks = issuer.jwks();
        let _ = match issuer.iss() {
            Some(iss) => writeln!(said, "\nTokens of {iss:?}, by the keys in {jwks}"),
            None => writeln!(said, "\nTokens without an iss, by the keys in {jwks}"),
        };
        let _ = match issuer.audiences() {
            [] => writeln!(said, "for any audience, also those that were made for other applications"),
            [one] => writeln!(said, "for the audience {one:?}"),
            some => writeln!(said, "for one of the audiences {some:?}"),
        };
        if let Some(typ) = issuer.token_type() {
            let _ = writeln!(said, "with the header's typ {typ:?}");
        }
        said.push('\n');
        if issuer.keys().keys().len() == 0 {
            said.push_str("No key can be used: none of these tokens is good.\n");
        }
        said.push_str(&keys(issuer.keys()));
    }
    said
}

/// A table of the keys, then those that are left out.
fn keys(ring: &KeyRing) -> String {
    let mut said = String::new();
    let mut rows = vec![["kid", "alg", "kty", "bits", "use", "fingerprint"].map(str::to_owned)];
    rows.extend(ring.keys().map(|key| {
        let signs = ring.signing_key().is_some_and(|signing| std::ptr::eq(signing, key));
        let does = match (signs, key.can_sign()) {
            (true, _) => "signs",
            (false, true) => "can sign",
            (false, false) => "verifies",
        };
        let (alg, kid) = (key.algorithm(), key.kid().unwrap_or("-"));
        [kid, alg.as_str(), alg.key_type(), &key.bits().to_string(), does, key.fingerprint()].map(str::to_owned)
    }));
    let widths: [usize; 6] = std::array::from_fn(|at| {
        rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    });
    let rows = if rows.len() > 1 { rows } else { Vec::new() };
    for row in &rows {
        let cells: Vec<_> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        let _ = writeln!(said, "{}", cells.join("  ").trim_end());
    }
    for key in ring.ignored() {
        let kid = key.kid.as_deref().map_or_else(|| "a key without a kid".to_owned(), |kid| format!("key {kid:?}"));
        let _ = write!(said, "\nLeft out: {kid}: {}", key.why);
    }
    if ring.ignored().len() > 0 {
        said.push('\n');
    }
    said
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
    fn words_are_quoted_where_a_shell_needs_it() {
        assert_eq!(shell_word("/a/b-c_1.json"), "/a/b-c_1.json");
        assert_eq!(shell_word("a b"), "'a b'");
        assert_eq!(shell_word("it's"), r"'it'\''s'");
        assert_eq!(shell_word(""), "''");
    }
}
