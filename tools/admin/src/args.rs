//! What the program is asked to do.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::prelude::*;
use redis_session::KeyPrefix;

use crate::connect::{Place, Start, Tls};
use crate::plan::Load;

pub(crate) const HELP: &str = "\
Looks after servers with the redis-session module. It takes one address and finds the servers that belong together: a
primary and its replicas, those that a Sentinel knows, or the nodes of a cluster.

usage: redis-session-admin VERB [OPTION...]

verify                   checks what must agree between the servers, and what loses sessions, logouts or secrets; says
                         for each finding which command mends it
keys                     shows the keys of each server with their fingerprints, and whether they agree
keys reload              has every server read its files again, which you have copied there, and shows the same
keys revoke KID          the same, and fails while any server takes tokens of this key
everyone-out             ends all sessions of all users; asks first
switchover               makes a replica the primary without a loss: writes wait until it has all of them
user show USER           shows a user's sessions
user end USER            ends them, and says how many replicas know
watch                    shows figures of each server, and again every few seconds
plan                     says what so many users need: memory, bytes a second, cores, servers, time to start

Where:
  --url URL              a server, as redis://HOST:PORT or rediss://HOST:PORT; by default redis://127.0.0.1:6379
  --sentinel HOST:PORT   a Sentinel in place of --url
  --name NAME            what it calls the primary; by default sessions
  --user NAME            whom to log in as; the password is in REDISCLI_AUTH, that of Sentinels in SENTINEL_AUTH
  --tls                  TLS, with --sentinel; to servers of --url, rediss:// says so
  --cacert FILE          who signs the servers' certificates; by default those whom the system trusts
  --cert FILE            a certificate to show the servers
  --key FILE             its key

For one verb:
  --yes                  everyone-out: do not ask
  --before MS            everyone-out: spare users who have logged in since this moment, in Unix milliseconds
  --to HOST:PORT         switchover: the replica that is to be the primary; by default the one that is furthest
  --prefix PREFIX        user: what stands before a user in a key; by default sessions:
  --braces               user: keys are spelled with braces, sessions:{42}
  --every SECONDS        watch: how often; by default 2
  --rounds N             watch: end when it was shown so often
  --users N              plan: users who are signed in
  --sessions N           plan: sessions of each; by default 2
  --agents N             plan: different user agents; by default 20000
  --checks N             plan: checks a second; by default one in five minutes for each session
  --logins N             plan: logins a second; by default what keeps so many sessions alive
  --ttl SECONDS          plan: how long a session lives; by default 86400
  --replicas N           plan: of each primary; by default 1

Exit codes: 0 all is well; 1 there are findings, or it was not done; 2 wrong arguments.
";

/// What is asked, and of which servers.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) verb: Verb,
    pub(crate) place: Place,
}

#[derive(Debug)]
pub(crate) enum Verb {
    Verify,
    Keys,
    KeysReload,
    KeysRevoke { kid: String },
    EveryoneOut { before: Option<u64>, confirmed: bool },
    Switchover { to: Option<String> },
    UserShow { key: String },
    UserEnd { key: String },
    Watch { every: Duration, rounds: Option<u64> },
    Plan(Load),
}

/// Options of one verb each.
#[derive(Default)]
struct Given {
    words: Vec<String>,
    confirmed: bool,
    before: Option<u64>,
    to: Option<String>,
    prefix: Option<String>,
    has_braces: bool,
    every: Option<u64>,
    rounds: Option<u64>,
    load: Load,
    names: Vec<&'static str>,
}

/// What was asked; none for help.
pub(crate) fn read(args: impl IntoIterator<Item = OsString>) -> Result<Option<Asked>, lexopt::Error> {
    let mut parser = lexopt::Parser::from_args(args);
    let mut given = Given::default();
    let (mut url, mut sentinel, mut name, mut user) = (None, None, None, None);
    let mut tls = Tls::default();
    while let Some(arg) = parser.next()? {
        match arg {
            Value(word) => given.words.push(word.string()?),
            Short('h') | Long("help") => return Ok(None),
            Long("url") => url = Some(parser.value()?.string()?),
            Long("sentinel") => sentinel = Some(parser.value()?.string()?),
            Long("name") => name = Some(parser.value()?.string()?),
            Long("user") => user = Some(parser.value()?.string()?),
            Long("tls") => tls.always = true,
            Long("cacert") => tls.cacert = Some(PathBuf::from(parser.value()?)),
            Long("cert") => tls.cert = Some(PathBuf::from(parser.value()?)),
            Long("key") => tls.key = Some(PathBuf::from(parser.value()?)),
            Long(option) => {
                let option = option.to_owned();
                given.read(&option, &mut parser)?;
            }
            Short(_) => return Err(arg.unexpected()),
        }
    }
    if given.words.first().is_some_and(|verb| verb == "help") {
        return Ok(None);
    }
    let start = match (url, sentinel) {
        (Some(_), Some(_)) => return Err("--url or --sentinel, not both".into()),
        (None, Some(address)) => {
            Start::Sentinel { address, name: name.take().unwrap_or_else(|| "sessions".to_owned()) }
        }
        (url, None) => Start::Server { url: url.unwrap_or_else(|| "redis://127.0.0.1:6379".to_owned()) },
    };
    if name.is_some() {
        return Err("--name is for --sentinel".into());
    }
    if tls.cert.is_some() != tls.key.is_some() {
        return Err("--cert and --key belong together".into());
    }
    let secret = |variable: &str| std::env::var(variable).ok().filter(|text| !text.is_empty());
    let place =
        Place { start, user, password: secret("REDISCLI_AUTH"), sentinel_password: secret("SENTINEL_AUTH"), tls };
    Ok(Some(Asked { verb: given.verb()?, place }))
}

impl Given {
    fn read(&mut self, option: &str, parser: &mut lexopt::Parser) -> Result<(), lexopt::Error> {
        let mut number = || parser.value()?.parse::<u64>();
        self.names.push(match option {
            "yes" => {
                self.confirmed = true;
                "everyone-out"
            }
            "before" => {
                self.before = Some(number()?);
                "everyone-out"
            }
            "to" => {
                self.to = Some(parser.value()?.string()?);
                "switchover"
            }
            "prefix" => {
                self.prefix = Some(parser.value()?.string()?);
                "user"
            }
            "braces" => {
                self.has_braces = true;
                "user"
            }
            "every" => {
                self.every = Some(number()?.max(1));
                "watch"
            }
            "rounds" => {
                self.rounds = Some(number()?);
                "watch"
            }
            "users" | "sessions" | "agents" | "checks" | "logins" | "ttl" | "replicas" => {
                let number = number()?;
                match option {
                    "users" => self.load.users = number,
                    "sessions" => self.load.sessions_each = number,
                    "agents" => self.load.agents = number,
                    "checks" => self.load.checks = Some(number),
                    "logins" => self.load.logins = Some(number),
                    "ttl" => self.load.ttl = number,
                    _ => self.load.replicas = number,
                }
                "plan"
            }
            _ => return Err(format!("--{option} is no option").into()),
        });
        Ok(())
    }

    fn verb(self) -> Result<Verb, lexopt::Error> {
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        let verb = *words.first().ok_or("a verb is missing")?;
        if let Some(other) = self.names.iter().find(|name| **name != verb) {
            return Err(format!("{verb} takes no option of {other}").into());
        }
        let key = |user: &str| {
            let prefix = KeyPrefix::new(self.prefix.as_deref().unwrap_or("sessions:"));
            let prefix = if self.has_braces { prefix.hash_tag() } else { prefix };
            prefix.key(user)
        };
        Ok(match words.as_slice() {
            ["verify"] => Verb::Verify,
            ["keys"] => Verb::Keys,
            ["keys", "reload"] => Verb::KeysReload,
            ["keys", "revoke", kid] => Verb::KeysRevoke { kid: (*kid).to_owned() },
            ["everyone-out"] => Verb::EveryoneOut { before: self.before, confirmed: self.confirmed },
            ["switchover"] => Verb::Switchover { to: self.to },
            ["user", "show", user] => Verb::UserShow { key: key(user) },
            ["user", "end", user] => Verb::UserEnd { key: key(user) },
            ["watch"] => Verb::Watch { every: Duration::from_secs(self.every.unwrap_or(2)), rounds: self.rounds },
            ["plan"] if self.load.users == 0 => return Err("plan needs --users".into()),
            ["plan"] => Verb::Plan(self.load),
            ["keys", "revoke"] => return Err("keys revoke needs a KID".into()),
            ["user", ..] => return Err("user show USER, or user end USER".into()),
            _ => return Err(format!("{:?} is no verb", words.join(" ")).into()),
        })
    }
}
