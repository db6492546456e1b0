//! What was found, what became of it, and why not more.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::options::Options;

/// Why something is not moved: what the report calls it, whether that is as it should be because nobody is signed in by
/// it any more, and what it means. Behind them are the reasons of `SESSION.VALIDATE`, for JWTs.
pub(crate) const REASONS: [(&str, bool, &str); 25] = [
    ("wrong_type", false, "the key holds no string"),
    ("bad_json", false, "its value is no JSON object"),
    ("no_token", false, "there is nothing behind the prefix"),
    ("no_user", false, "its JSON names no user, nor does a set or a JWT"),
    ("bad_user", false, "a user is 1 to 255 bytes without control characters, and does not begin with a brace"),
    ("users_differ", false, "its JSON names another user than the set that lists it"),
    ("no_ttl", false, "the key never expires; --ttl-if-none gives it a lifetime"),
    ("bad_id", false, "it cannot be kept as an id"),
    ("refused", false, "the server does not take it; the report has its words"),
    ("malformed", false, "the server does not take this JWT for one"),
    ("algorithm", false, "the JWT has another algorithm than its key"),
    ("unknown_key", false, "the server has no key with the JWT's kid, or none for its algorithm"),
    ("signature", false, "the JWT was not signed with a key of the server"),
    ("type", false, "the JWT's typ is not the one that the server asks for"),
    ("not_yet_valid", false, "the JWT is from the future"),
    ("issuer", false, "the JWT's iss has no keys on the server"),
    ("audience", false, "the JWT is not for the audience that the server asks for"),
    ("subject", false, "the JWT's sub is another user than the JSON names"),
    ("horizon", false, "the JWT's iat is older than the server's settings allow, though its exp is ahead"),
    ("over", true, "its JSON says that it has ended"),
    ("blacklisted", true, "it is on the blacklist"),
    ("user_blacklisted", true, "it is older than its user's blacklisting, or its age is not known"),
    ("logged_out", true, "it was logged out while it was moved, and is ended again"),
    ("token_expired", true, "the JWT has expired"),
    ("ended_here", true, "it has ended on the target"),
];

fn explained(reason: &str) -> Option<&'static (&'static str, bool, &'static str)> {
    REASONS.iter().find(|(name, ..)| *name == reason)
}

/// What was found of one kind of keys.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Counts {
    pub(crate) found: u64,
    /// In a dry run: that would be.
    pub(crate) moved: u64,
    /// By an earlier run.
    pub(crate) already: u64,
    /// That have nothing that would have to be moved.
    pub(crate) needless: u64,
    /// That have expired between being found and being read.
    pub(crate) expired: u64,
    /// By reason.
    pub(crate) not_moved: BTreeMap<String, u64>,
}

/// All that a pass has done.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Tally {
    pub(crate) sessions: Counts,
    pub(crate) blacklist: Counts,
    pub(crate) user_blacklist: Counts,
    /// Which member of the JSON named the user, and how often.
    pub(crate) user_members: BTreeMap<String, u64>,
    /// Old keys that were deleted.
    pub(crate) deleted: u64,
    /// Sessions of an earlier pass that have no old key any more, and how many of them were ended.
    pub(crate) gone: u64,
    pub(crate) gone_ended: u64,
}

/// A line of the report: something that is not moved.
#[derive(Debug, Serialize)]
pub(crate) struct Line<'a> {
    pub(crate) kind: &'static str,
    /// The session's id: of an opaque token or a JWT, 128 bits of its hash. Never the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<&'a str>,
    pub(crate) reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) detail: Option<&'a str>,
}

impl Tally {
    /// Whether something could not be moved that may be alive.
    pub(crate) fn has_problems(&self) -> bool {
        let kinds = [&self.sessions, &self.blacklist, &self.user_blacklist];
        kinds
            .iter()
            .any(|kind| kind.not_moved.keys().any(|reason| !explained(reason).is_some_and(|(_, over, _)| *over)))
    }

    /// For people.
    pub(crate) fn summary(&self, options: &Options) -> String {
        let Options { apply, prefixes, .. } = options;
        let mut text = String::new();
        if !apply {
            text += "A dry run: nothing was written. --apply moves.\n";
        }
        let moved = |done: &'static str, would: &'static str| if *apply { done } else { would };
        let kinds = [
            (&prefixes.sessions, &self.sessions, moved("moved", "would be moved")),
            (&prefixes.blacklist, &self.blacklist, moved("JWTs denied", "JWTs would be denied")),
            (&prefixes.user_blacklist, &self.user_blacklist, moved("users logged out", "users would be logged out")),
        ];
        for (prefix, counts, done) in kinds {
            if prefix.is_empty() {
                continue;
            }
            let _ = writeln!(text, "\n{:>13}  {prefix}*", grouped(counts.found));
            row(&mut text, counts.moved, done);
            row(&mut text, counts.already, "done already");
            row(&mut text, counts.needless, "need nothing");
            row(&mut text, counts.expired, "expired meanwhile");
            for (heading, wanted) in [("over already", true), ("could not be moved", false)] {
                let of_these = |reason: &str| explained(reason).is_some_and(|(_, over, _)| *over) == wanted;
                let these: Vec<_> = counts.not_moved.iter().filter(|(reason, _)| of_these(reason)).collect();
                row(&mut text, these.iter().map(|(_, count)| **count).sum(), heading);
                for (reason, count) in these {
                    let meaning = explained(reason).map_or("the reason of SESSION.VALIDATE", |(.., meaning)| meaning);
                    let _ = writeln!(text, "{:>17}  {reason}: {meaning}", grouped(*count));
                }
            }
        }
        text.push('\n');
        if !self.user_members.is_empty() {
            let members: Vec<_> =
                self.user_members.iter().map(|(name, n)| format!("{name} ({})", grouped(*n))).collect();
            let _ = writeln!(text, "The user is in: {}", members.join(", "));
        }
        if self.deleted > 0 {
            let _ = writeln!(text, "Old keys deleted: {}", grouped(self.deleted));
        }
        if self.gone > 0 {
            let rest = if options.revoke_gone { "they were ended" } else { "--revoke-gone ends them" };
            let _ = writeln!(text, "Moved earlier, and the old key was deleted since: {}; {rest}", grouped(self.gone));
        }
        text
    }
}

fn row(text: &mut String, count: u64, what: &str) {
    if count > 0 {
        let _ = writeln!(text, "{:>15}  {what}", grouped(count));
    }
}

/// `1,000,000`
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn only_what_may_be_alive_is_a_problem() {
        let mut tally = Tally::default();
        tally.sessions.not_moved.insert("blacklisted".into(), 3);
        assert!(!tally.has_problems());
        tally.sessions.not_moved.insert("no_ttl".into(), 1);
        assert!(tally.has_problems());
        assert!(
            Tally {
                sessions: Counts { not_moved: [("new_moon".into(), 1)].into(), ..Counts::default() },
                ..Tally::default()
            }
            .has_problems()
        );
    }

    #[test]
    fn the_documentation_has_every_reason() {
        let page = include_str!("../../docs/migration.md");
        for (name, ..) in REASONS {
            assert!(page.contains(&format!("| `{name}` |")) || page.contains(&format!("`{name}`")), "{name}");
        }
    }
}
