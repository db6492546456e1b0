//! Which JWTs the target would not take, and why: asked before anything is moved.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Read as _;
use std::time::Duration;

use redis_session::ValidateOptions;
use redis_session::commands::session_validate;
use redis_session::redis::Value;

use crate::error::Failure;
use crate::issuers::{self, Issuers};
use crate::jwt::Jwt;
use crate::layout::member_that_says;
use crate::options::Options;
use crate::pass::{Pass, now};
use crate::report::grouped;
use crate::servers::Ask;
use crate::sessions::{Candidate, NotMoved};

/// How many ids are shown of those that have the same fault.
const EXAMPLES: usize = 3;
/// How many faults are told apart.
const FAULTS: usize = 50;
/// How many letters of a text of a token are shown.
const LETTERS: usize = 64;
/// For how long JWTs are good after their `iat` by the default settings, in seconds.
const HORIZON: f64 = 2_592_000.0;
/// Why JWTs are not taken whose key is not on the target.
const KEYLESS: [&str; 4] = ["unknown_key", "signature", "issuer", "algorithm"];

/// What was found out.
#[derive(Default)]
struct Check {
    seen: u64,
    good: u64,
    /// JWTs that live longer than the default settings allow.
    long: u64,
    /// How many have which fault, and the ids of some.
    faults: BTreeMap<(String, String), (u64, Vec<String>)>,
    issuers: Issuers,
}

impl Check {
    fn bad(&self) -> u64 {
        self.faults.values().map(|(count, _)| count).sum()
    }

    fn fault(&mut self, reason: &str, detail: String, id: &str) {
        let mut fault = (reason.to_owned(), detail);
        if self.faults.len() >= FAULTS && !self.faults.contains_key(&fault) {
            fault = (reason.to_owned(), "and others of this reason".into());
        }
        let (count, ids) = self.faults.entry(fault).or_default();
        *count += 1;
        if ids.len() < EXAMPLES {
            ids.push(id.to_owned());
        }
    }

    /// For people.
    fn summary(&self, options: &Options, naive: u64) -> String {
        let mut text = String::new();
        if self.seen > 0 || self.bad() > 0 {
            let _ = writeln!(text, "\n{:>13}  JWTs checked", grouped(self.seen));
            let _ = writeln!(text, "{:>15}  good", grouped(self.good));
            let _ = writeln!(text, "{:>15}  would not be taken", grouped(self.bad()));
        }
        for ((reason, detail), (count, ids)) in &self.faults {
            let _ = writeln!(text, "{:>17}  {reason}: {detail}", grouped(*count));
            let _ = writeln!(text, "{:>19}such as {}", "", ids.join(", "));
        }
        if self.long > 0 {
            let _ = writeln!(
                text,
                "JWTs that live for more than 30 days: {}. They are good for the longest of session.ttl, \
                 session.token-ttl and session.refresh-ttl after their iat",
                grouped(self.long)
            );
        }
        if options.keep_ids && self.seen == 0 {
            text += "No JWT was checked, for the old keys hold none: give some of the application's by --sample\n";
        }
        if naive > 0 && !options.naive_is_said() {
            let _ = writeln!(
                text,
                "Blacklistings of users that are dates without an offset: {}. --naive-dates says what they mean",
                grouped(naive)
            );
        }
        text
    }
}

impl Pass {
    /// Checks the JWTs that no earlier pass has moved, and says what is wrong with them.
    ///
    /// # Errors
    ///
    /// If something must be decided before anything is moved.
    pub(crate) fn check(&mut self) -> Result<(), Failure> {
        let mut check = Check::default();
        let prefix = self.options.prefixes.sessions.clone();
        self.each_key(&prefix, |pass, keys| {
            let read = |key: Vec<u8>| Some((pass.options.prefixes.rest(&prefix, &key)?.to_vec(), key));
            let keys = keys.into_iter().filter_map(read);
            let is_asked = |token: &[u8]| pass.options.keep_ids || Jwt::read(token).is_some();
            let keys: Vec<_> = keys.filter(|(token, key)| is_asked(token) && pass.known.find(key).is_none()).collect();
            let candidates = pass.candidates(keys, &mut check)?;
            pass.wait(candidates.len() as u64)?;
            pass.ask_about(candidates, &mut check)
        })?;
        let sample = self.sample(&mut check)?;
        self.ask_about(sample, &mut check)?;
        let naive = self.blacklists.naive;
        print!("{}", check.summary(&self.options, naive));
        let needed = check.issuers.needed();
        if !needed.is_empty() {
            println!();
            if let Some(text) = issuers::file(&needed, self.record.read("issuers.json").as_deref()) {
                let path = self.record.write("issuers.json", &text)?;
                println!("What session.issuers-file needs is in {}.", path.display());
            }
            for entry in needed {
                print!("{}", entry.instructions());
            }
        }
        if !self.options.apply {
            return Ok(());
        }
        if naive > 0 && !self.options.naive_is_said() {
            let why = "dates without an offset are on the blacklist of users: say what they mean by --naive-dates";
            return Err(Failure::Undecided(why.into()));
        }
        if check.bad() > 0 && !self.options.skip_bad_tokens {
            let bad = grouped(check.bad());
            let why = format!("{bad} tokens would not be taken; mend that, or leave them out by --skip-bad-tokens");
            return Err(Failure::Undecided(why));
        }
        Ok(())
    }

    /// The sessions of keys, by what is behind their prefix, that are alive in the old layout.
    fn candidates(&mut self, keys: Vec<(Vec<u8>, Vec<u8>)>, check: &mut Check) -> Result<Vec<Candidate>, Failure> {
        let gets: Vec<_> = keys.iter().map(|(_, key)| Ask::of("GET", key)).collect();
        let mut candidates = Vec::new();
        for ((token, key), value) in keys.into_iter().zip(self.source.ask(&gets)?) {
            let Value::BulkString(value) = value else { continue };
            let id = self.shown_id(&token);
            // What the JWT says of its user is looked at, not for how long the session lasts.
            match self.understand(key, token, value, Some(Duration::from_secs(1))) {
                Ok((candidate, _)) => candidates.push(candidate),
                // Its detail names the user: a count has no use for it.
                Err((_, NotMoved { reason, .. })) if reason == "subject" => {
                    check.fault(&reason, "the JSON's sub, or a JWT in it, is of another user".into(), &id);
                }
                // It is none that JWTs are to blame for.
                Err(_) => {}
            }
        }
        let time = now();
        let is_alive = |candidate: &Candidate| {
            let is_expired = candidate.jwt.as_ref().is_some_and(|jwt| jwt.is_expired(time));
            candidate.is_checked && !candidate.is_over && !is_expired && !self.blacklists.end(candidate)
        };
        Ok(candidates.into_iter().filter(is_alive).collect())
    }

    fn ask_about(&mut self, candidates: Vec<Candidate>, check: &mut Check) -> Result<(), Failure> {
        let keys = self.options.keys();
        let options = ValidateOptions::new().stateless().with_id();
        let ask = |Candidate { user, token, .. }: &Candidate| {
            let key = keys.key(user);
            Ask::new(&*key, session_validate(&*key, &token[..], &options))
        };
        let asks: Vec<_> = candidates.iter().map(ask).collect();
        for (candidate, reply) in candidates.into_iter().zip(self.target.ask(&asks)?) {
            let Some(jwt) = &candidate.jwt else { continue };
            check.seen += 1;
            check.long += u64::from(jwt.exp.zip(jwt.iat).is_some_and(|(exp, iat)| exp - iat > HORIZON));
            let verdict = match self.validation(reply, Some(jwt))? {
                Ok(_) => None,
                // A key that is in the way, or a session that has ended here.
                Err(NotMoved { reason, .. }) if ["refused", "ended_here", "token_expired"].contains(&&*reason) => None,
                Err(NotMoved { reason, .. }) => Some(reason),
            };
            check.issuers.see(jwt, verdict.as_deref().is_some_and(|reason| KEYLESS.contains(&reason)));
            match verdict {
                None => check.good += 1,
                Some(reason) => check.fault(&reason, explained(&reason, jwt, &candidate), &candidate.id),
            }
        }
        Ok(())
    }

    /// The sessions of the JWTs that are given to be checked too.
    fn sample(&mut self, check: &mut Check) -> Result<Vec<Candidate>, Failure> {
        let Some(path) = self.options.sample.clone() else { return Ok(Vec::new()) };
        let text = if path.as_os_str() == "-" {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).map(|_| text)
        } else {
            fs::read_to_string(&path)
        };
        let text = text.map_err(Failure::io(&path))?;
        let mut found = Vec::new();
        for (line, number) in text.lines().map(str::trim).zip(1_usize..).filter(|(line, _)| !line.is_empty()) {
            let Some(jwt) = Jwt::read(line.as_bytes()) else {
                let why = format!("{}: line {number} is no JWT", path.display());
                return Err(Failure::Usage(why));
            };
            let Some(user) = jwt.sub.clone() else {
                check.fault("subject", "it has no sub".into(), &self.shown_id(line.as_bytes()));
                continue;
            };
            // Its session says who the user is, whatever the JWT says.
            let names = std::iter::once(line).chain(jwt.names());
            let gets: Vec<_> = names
                .map(|name| Ask::of("GET", format!("{}{name}", self.options.prefixes.sessions).as_bytes()))
                .collect();
            let session = self.source.ask(&gets)?.into_iter().find_map(|value| match value {
                Value::BulkString(value) => Some(value),
                _ => None,
            });
            let json = session.unwrap_or_else(|| serde_json::json!({ "sub": user }).to_string().into_bytes());
            let left = Some(Duration::from_secs(1));
            match self.understand(Vec::new(), line.as_bytes().to_vec(), json, left) {
                Ok((candidate, _)) => found.extend(Some(candidate).filter(|candidate| candidate.is_checked)),
                Err((_, NotMoved { reason, detail })) => {
                    check.fault(
                        &reason,
                        detail.unwrap_or_else(|| "its session".into()),
                        &self.shown_id(line.as_bytes()),
                    );
                }
            }
        }
        Ok(found)
    }
}

/// Why a JWT is not taken, in the words of what it says.
fn explained(reason: &str, jwt: &Jwt, candidate: &Candidate) -> String {
    let text = |text: &Option<String>| match text {
        Some(text) => shown(text),
        None => "none".into(),
    };
    match reason {
        "unknown_key" => match &jwt.kid {
            Some(kid) => format!("no key has its kid {}", shown(kid)),
            None => format!("it names no kid, and no key is for its alg {}", text(&jwt.alg)),
        },
        "algorithm" => format!("its alg {} is not that of its key, or is not allowed", text(&jwt.alg)),
        "signature" => format!("its signature is by none of its issuer's keys for {}", text(&jwt.alg)),
        "issuer" => match &jwt.iss {
            Some(iss) => format!("no entry of session.issuers-file has its iss {}", shown(iss)),
            None => "it has no iss, and no entry of session.issuers-file is for those".into(),
        },
        "audience" => format!("its aud is {}", shown(&jwt.aud.join(", "))),
        "type" => format!("its typ is {}", text(&jwt.typ)),
        "not_yet_valid" => "its nbf or iat is ahead of the target's clock".into(),
        "subject" => match jwt.sub.as_deref().map(|sub| member_that_says(&candidate.value, sub)) {
            None => "it has no sub: --opaque-jwts moves its session all the same".into(),
            Some(Some(member)) => format!("its sub is not the user that the JSON names; --user-member {member} does"),
            Some(None) => "its sub is not the user that the JSON names; --user-member '' takes the sub".into(),
        },
        "horizon" => "its exp is ahead, but its iat is older than the longest of session.ttl, session.token-ttl and \
                      session.refresh-ttl"
            .into(),
        "malformed" => match jwt.fault {
            Some(fault) => fault.into(),
            None => "it is longer than session.max-token-bytes, or has something twice".into(),
        },
        _ => "the reason of SESSION.VALIDATE".into(),
    }
}

/// A text in quotes, cut where it is long.
fn shown(text: &str) -> String {
    match text.char_indices().nth(LETTERS).and_then(|(at, _)| text.get(..at)) {
        Some(start) => format!("{start:?}..."),
        None => format!("{text:?}"),
    }
}
