//! What a run is asked for.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use lexopt::prelude::*;
use redis_session::redis::IntoConnectionInfo as _;
use redis_session::{KeyPrefix, TokenFormat};

use crate::dates::NaiveDates;
use crate::error::Failure;
use crate::tls::Tls;

pub(crate) const HELP: &str = "\
Moves live sessions from plain Redis keys to the redis-session module. Without --apply it writes to no server, and
reports what it would do. Old keys stay unless --delete-moved is given. It can be stopped at any time, also by kill -9;
the same command goes on. Once it is done, the same command is the next pass, for what was added in the meantime.

Before it moves anything, it checks the JWTs among the old keys, and says which of them the target would not take and
why. --apply stops then: mend it, or add --skip-bad-tokens.

usage: redis-session-migrate [OPTION...]

  --apply               move; without it, a dry run
  --source URL          the server with the old keys, redis://[user:password@]host[:port][/db]
                        ($MIGRATE_SOURCE, or redis://127.0.0.1:6379/)
  --target URL          the server with the module ($MIGRATE_TARGET, or the source)
  --dir DIR             the folder for the state and the report (migration)
  --batch N             keys asked for at once (500)
  --rate N              keys a second at most, 0 for no limit (5000). Ten keys that have not changed since an earlier
                        pass count as one
  --skip-bad-tokens     move the others although some JWTs would not be taken
  --sample FILE         JWTs of the application to check too, one a line; - for standard input. With --keep-ids, Redis
                        holds no JWT that could be checked

TLS, as rediss:// in a URL, or for both servers:
  --tls                 also where the URL is redis://
  --cacert FILE         who may have signed the servers' certificates (those whom the system trusts)
  --cert FILE           the client's own certificate, where servers ask for one
  --key FILE            its key
  --target-cacert, --target-cert, --target-key FILE
                        the same for the target, where it is another

What the old keys are called. An empty PREFIX is for none; a session's must not be empty.
  --sessions PREFIX         <prefix><token>: a session, as JSON (session:)
  --blacklist PREFIX        <prefix><token or jti>: it was logged out (blacklist:)
  --user-blacklist PREFIX   <prefix><user>: all sessions until then were logged out (user_blacklist:)
  --user-sets PREFIX        <prefix><user>: a set, or sorted set, of the user's tokens. It says who a session's user is
                            where its JSON does not (none)

What the JSON's members are called: names, separated by commas, the first that is there counts; a.b is b in a.
  --user-member NAMES       (user_id,userId,userid,uid,sub,user,user.id,passport.user,username)
  --ip-member NAMES         (ip,ip_address,ipAddress,client_ip,remote_addr)
  --agent-member NAMES      (user_agent,userAgent,ua,agent)
  --created-member NAMES    (created_at,createdAt,created,login_at,loginAt,login_time,loginTime,iat)
  --naive-dates MEANING     what dates without an offset mean, as 2026-11-25T10:00:00: utc; local, the time zone of this
                            system; or always, no time at all: such a blacklisting of a user ends all sessions, each time

What the new sessions are.
  --key-prefix PREFIX       the target's session.key-prefix (sessions:)
  --hash-tag                write users in braces, sessions:{42}: for a target with session.key-form braces
  --keep-ids                what is behind the prefix is no secret but an id, which JWTs name as sid or jti: keep it.
                            Without this, the id is made from a hash of it
  --opaque-jwts         treat JWTs as other tokens: the target does not check them, and the application goes on to check
                        them until they are swapped. For secrets that are too short, and JWTs without sub
  --token KIND              which tokens SESSION.REGENERATE is to make for it: jwt, opaque or none (jwt)
  --refresh SECONDS         with a refresh token that is good for so long
  --idle SECONDS            IDLE, for layouts that renew a key's lifetime with each use
  --ttl SECONDS             the lifetime from now on, instead of what the old key has left
  --ttl-if-none SECONDS     the lifetime of sessions whose old key has none; without this, they are not moved

In the last passes:
  --revoke-gone         end the sessions that an earlier pass moved and whose old key was deleted since
  --delete-moved        delete the old key of each session that is moved, if it is as it was read

Exit codes: 0 all is moved that is alive; 3 done, but some could not be moved: see the report; 4 nothing was moved: what
it says must be decided first; 1 it could not go on; 2 wrong options; 130 stopped by Ctrl-C.
";

/// What a run is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) apply: bool,
    pub(crate) source: String,
    pub(crate) target: String,
    pub(crate) source_tls: Tls,
    /// As for the source, where nothing else was said.
    pub(crate) target_tls: Tls,
    pub(crate) dir: PathBuf,
    pub(crate) batch: u32,
    /// Keys a second; 0 for no limit.
    pub(crate) rate: u32,
    pub(crate) skip_bad_tokens: bool,
    /// A file with JWTs, or `-`.
    pub(crate) sample: Option<PathBuf>,
    pub(crate) prefixes: Prefixes,
    pub(crate) members: Members,
    /// Whether the operator has said which members name the user.
    pub(crate) user_is_named: bool,
    naive_dates: Option<NaiveDates>,
    pub(crate) key_prefix: String,
    pub(crate) hash_tag: bool,
    pub(crate) keep_ids: bool,
    pub(crate) opaque_jwts: bool,
    pub(crate) token: TokenFormat,
    pub(crate) refresh: Option<Duration>,
    pub(crate) idle: Option<Duration>,
    pub(crate) ttl: Option<Duration>,
    pub(crate) ttl_if_none: Option<Duration>,
    pub(crate) revoke_gone: bool,
    pub(crate) delete_moved: bool,
}

/// What the old keys begin with; all but the first may be empty, for none.
#[derive(Clone, Debug)]
pub(crate) struct Prefixes {
    pub(crate) sessions: String,
    pub(crate) blacklist: String,
    pub(crate) user_blacklist: String,
    pub(crate) user_sets: String,
}

/// What the members of a session's JSON may be called, the first choice first.
#[derive(Clone, Debug)]
pub(crate) struct Members {
    pub(crate) user: Vec<String>,
    pub(crate) ip: Vec<String>,
    pub(crate) agent: Vec<String>,
    pub(crate) created: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        let names = |names: &str| names.split(',').map(str::to_owned).collect();
        Self {
            apply: false,
            source: std::env::var("MIGRATE_SOURCE").unwrap_or_else(|_| "redis://127.0.0.1:6379/".into()),
            target: std::env::var("MIGRATE_TARGET").unwrap_or_default(),
            source_tls: Tls::default(),
            target_tls: Tls::default(),
            dir: "migration".into(),
            batch: 500,
            rate: 5000,
            skip_bad_tokens: false,
            sample: None,
            prefixes: Prefixes {
                sessions: "session:".into(),
                blacklist: "blacklist:".into(),
                user_blacklist: "user_blacklist:".into(),
                user_sets: String::new(),
            },
            members: Members {
                user: names("user_id,userId,userid,uid,sub,user,user.id,passport.user,username"),
                ip: names("ip,ip_address,ipAddress,client_ip,remote_addr"),
                agent: names("user_agent,userAgent,ua,agent"),
                created: names("created_at,createdAt,created,login_at,loginAt,login_time,loginTime,iat"),
            },
            user_is_named: false,
            naive_dates: None,
            key_prefix: "sessions:".into(),
            hash_tag: false,
            keep_ids: false,
            opaque_jwts: false,
            token: TokenFormat::Jwt,
            refresh: None,
            idle: None,
            ttl: None,
            ttl_if_none: None,
            revoke_gone: false,
            delete_moved: false,
        }
    }
}

impl Options {
    /// The options of a command line, without the program's name; `None` if it asks for help.
    pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Option<Self>, Failure> {
        let mut options = Self::default();
        let mut parser = lexopt::Parser::from_args(args);
        match options.read(&mut parser) {
            Ok(true) => options.checked().map(Some),
            Ok(false) => Ok(None),
            Err(error) => Err(Failure::Usage(error.to_string())),
        }
    }

    /// False if help is asked for.
    fn read(&mut self, parser: &mut lexopt::Parser) -> Result<bool, lexopt::Error> {
        while let Some(arg) = parser.next()? {
            match arg {
                Short('h') | Long("help") => return Ok(false),
                Long("apply") => self.apply = true,
                Long("source") => self.source = parser.value()?.string()?,
                Long("target") => self.target = parser.value()?.string()?,
                Long("tls") => self.source_tls.always = true,
                Long("cacert") => self.source_tls.cacert = Some(parser.value()?.into()),
                Long("cert") => self.source_tls.cert = Some(parser.value()?.into()),
                Long("key") => self.source_tls.key = Some(parser.value()?.into()),
                Long("target-cacert") => self.target_tls.cacert = Some(parser.value()?.into()),
                Long("target-cert") => self.target_tls.cert = Some(parser.value()?.into()),
                Long("target-key") => self.target_tls.key = Some(parser.value()?.into()),
                Long("dir") => self.dir = parser.value()?.into(),
                Long("batch") => self.batch = number(parser, 1, 100_000)?,
                Long("rate") => self.rate = number(parser, 0, u32::MAX)?,
                Long("skip-bad-tokens") => self.skip_bad_tokens = true,
                Long("sample") => self.sample = Some(parser.value()?.into()),
                Long("sessions") => self.prefixes.sessions = parser.value()?.string()?,
                Long("blacklist") => self.prefixes.blacklist = parser.value()?.string()?,
                Long("user-blacklist") => self.prefixes.user_blacklist = parser.value()?.string()?,
                Long("user-sets") => self.prefixes.user_sets = parser.value()?.string()?,
                Long("user-member") => {
                    self.members.user = names(parser)?;
                    self.user_is_named = true;
                }
                Long("ip-member") => self.members.ip = names(parser)?,
                Long("agent-member") => self.members.agent = names(parser)?,
                Long("created-member") => self.members.created = names(parser)?,
                Long("naive-dates") => self.naive_dates = Some(parser.value()?.parse()?),
                Long("key-prefix") => self.key_prefix = parser.value()?.string()?,
                Long("hash-tag") => self.hash_tag = true,
                Long("keep-ids") => self.keep_ids = true,
                Long("opaque-jwts") => self.opaque_jwts = true,
                Long("token") => self.token = token_format(parser)?,
                Long("refresh") => self.refresh = Some(seconds(parser)?),
                Long("idle") => self.idle = Some(seconds(parser)?),
                Long("ttl") => self.ttl = Some(seconds(parser)?),
                Long("ttl-if-none") => self.ttl_if_none = Some(seconds(parser)?),
                Long("revoke-gone") => self.revoke_gone = true,
                Long("delete-moved") => self.delete_moved = true,
                other => return Err(other.unexpected()),
            }
        }
        Ok(true)
    }

    fn checked(mut self) -> Result<Self, Failure> {
        if self.target.is_empty() {
            self.target.clone_from(&self.source);
        }
        self.check_tls()?;
        if self.prefixes.sessions.is_empty() {
            return Err(Failure::Usage("--sessions must not be empty".into()));
        }
        let all = self.prefixes.all();
        if all.iter().enumerate().any(|(n, prefix)| all.iter().skip(n + 1).any(|other| other == prefix)) {
            return Err(Failure::Usage("two kinds of keys cannot have the same prefix".into()));
        }
        if self.delete_moved && self.revoke_gone {
            let why = "--delete-moved and --revoke-gone do not go together: a key that was deleted here is not gone";
            return Err(Failure::Usage(why.into()));
        }
        Ok(self)
    }

    /// Completes what is said of TLS, and refuses files that nothing would be done with: who names them does not expect
    /// a connection in the clear.
    fn check_tls(&mut self) -> Result<(), Failure> {
        let (source, target) = (&self.source_tls, &mut self.target_tls);
        let unpaired = |tls: &Tls| tls.cert.is_some() != tls.key.is_some();
        if unpaired(source) || unpaired(target) {
            return Err(Failure::Usage("a certificate and its key go together: --cert and --key".into()));
        }
        target.always = source.always;
        let is_used = target.is_for(&self.target);
        if target.has_files() && !is_used || source.has_files() && !is_used && !source.is_for(&self.source) {
            return Err(Failure::Usage("certificates need --tls, or rediss:// in the URL".into()));
        }
        if target.cacert.is_none() {
            target.cacert.clone_from(&source.cacert);
        }
        if target.cert.is_none() {
            (target.cert, target.key) = (source.cert.clone(), source.key.clone());
        }
        Ok(())
    }

    /// What dates without an offset mean.
    pub(crate) fn naive(&self) -> NaiveDates {
        self.naive_dates.unwrap_or(NaiveDates::Always)
    }

    /// Whether the operator has said what they mean.
    pub(crate) const fn naive_is_said(&self) -> bool {
        self.naive_dates.is_some()
    }

    /// How the users' keys are called.
    pub(crate) fn keys(&self) -> KeyPrefix {
        let keys = KeyPrefix::new(&*self.key_prefix);
        if self.hash_tag { keys.hash_tag() } else { keys }
    }

    /// What must be the same in every run of one migration, by the name of its option. Passwords are left out.
    pub(crate) fn fixed(&self) -> BTreeMap<String, String> {
        let address = |url: &str| match url.into_connection_info() {
            Ok(info) => format!("{}/{}", info.addr(), info.redis_settings().db()),
            Err(_) => String::new(),
        };
        let span = |span: Option<Duration>| span.map(|span| span.as_secs().to_string()).unwrap_or_default();
        let Prefixes { sessions, blacklist, user_blacklist, user_sets } = &self.prefixes;
        let Members { user, ip, agent, created } = &self.members;
        BTreeMap::from(
            [
                ("source", address(&self.source)),
                ("target", address(&self.target)),
                ("sessions", sessions.clone()),
                ("blacklist", blacklist.clone()),
                ("user-blacklist", user_blacklist.clone()),
                ("user-sets", user_sets.clone()),
                ("user-member", user.join(",")),
                ("ip-member", ip.join(",")),
                ("agent-member", agent.join(",")),
                ("created-member", created.join(",")),
                ("key-prefix", self.key_prefix.clone()),
                ("hash-tag", self.hash_tag.to_string()),
                ("keep-ids", self.keep_ids.to_string()),
                ("opaque-jwts", self.opaque_jwts.to_string()),
                ("token", format!("{:?}", self.token).to_lowercase()),
                ("refresh", span(self.refresh)),
                ("idle", span(self.idle)),
                ("ttl", span(self.ttl)),
                ("ttl-if-none", span(self.ttl_if_none)),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        )
    }
}

impl Prefixes {
    fn all(&self) -> Vec<&str> {
        let all = [&self.sessions, &self.blacklist, &self.user_blacklist, &self.user_sets];
        all.into_iter().map(String::as_str).filter(|prefix| !prefix.is_empty()).collect()
    }

    /// What is behind `prefix` in a key; `None` if the key has another, or is of a kind whose prefix is longer, as
    /// `session:user:42` is beside `session:<token>`.
    pub(crate) fn rest<'a>(&self, prefix: &str, key: &'a [u8]) -> Option<&'a [u8]> {
        let longer = |other: &&str| other.len() > prefix.len() && key.starts_with(other.as_bytes());
        if self.all().iter().any(longer) {
            return None;
        }
        key.strip_prefix(prefix.as_bytes())
    }
}

fn number<N: FromStr + PartialOrd + Display>(
    parser: &mut lexopt::Parser,
    least: N,
    most: N,
) -> Result<N, lexopt::Error> {
    parser.value()?.parse_with(|text| {
        let number = text.parse().ok().filter(|number| *number >= least && *number <= most);
        number.ok_or_else(|| format!("a whole number from {least} to {most} was expected"))
    })
}

/// As `SESSION.CREATE` takes them.
fn seconds(parser: &mut lexopt::Parser) -> Result<Duration, lexopt::Error> {
    number(parser, 1, 3_162_240_000).map(Duration::from_secs)
}

fn names(parser: &mut lexopt::Parser) -> Result<Vec<String>, lexopt::Error> {
    let names = parser.value()?.string()?;
    Ok(names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect())
}

fn token_format(parser: &mut lexopt::Parser) -> Result<TokenFormat, lexopt::Error> {
    parser.value()?.parse_with(|text| match text {
        "jwt" => Ok(TokenFormat::Jwt),
        "opaque" => Ok(TokenFormat::Opaque),
        "none" => Ok(TokenFormat::None),
        _ => Err("jwt, opaque or none was expected"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &str) -> Result<Options, String> {
        match Options::parse(args.split_whitespace().map(OsString::from)) {
            Ok(options) => options.ok_or_else(|| "help".into()),
            Err(failure) => Err(failure.to_string()),
        }
    }

    #[test]
    fn without_options_it_is_a_dry_run_on_one_server() {
        let options = parse("--source redis://old/").unwrap();
        assert!(!options.apply && !options.delete_moved && !options.revoke_gone);
        assert_eq!(options.target, "redis://old/");
    }

    #[test]
    fn the_help_names_every_option_and_the_defaults() {
        let Options { members, .. } = Options::default();
        for names in [members.user, members.ip, members.agent, members.created] {
            assert!(HELP.contains(&format!("({})", names.join(","))), "{names:?}");
        }
        let fixed = Options::default().fixed();
        for name in fixed.keys().map(String::as_str).chain([
            "tls",
            "cacert",
            "cert",
            "key",
            "target-key",
            "naive-dates",
            "sample",
        ]) {
            assert!(HELP.contains(&format!("--{name} ")), "{name}");
        }
        assert_eq!(parse("--help").unwrap_err(), "help");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for args in [
            "--batch 0",
            "--rate -1",
            "--ttl 0",
            "--token cookie",
            "--naive-dates gmt",
            "--colour red",
            "extra",
            "--sessions=",
            "--sessions a: --blacklist a:",
            "--delete-moved --revoke-gone",
            "--tls --cert mine.crt",
            "--tls --cert mine.crt --key mine.key --target-key other.key",
            "--cacert ca.crt",
            "--source rediss://old/ --target redis://new/ --target-cacert ca.crt",
        ] {
            assert!(parse(args).is_err(), "{args}");
        }
    }

    #[test]
    fn tls_is_for_both_servers_unless_said_otherwise() {
        let files = |tls: &Tls| [&tls.cacert, &tls.cert, &tls.key].map(|file| file.clone().unwrap_or_default());
        let all = ["ca", "mine", "key"].map(PathBuf::from);
        let options = parse("--source redis://old/ --target redis://new/ --tls --cacert ca --cert mine --key key");
        let Options { source, target, source_tls, target_tls, .. } = options.unwrap();
        assert!(source_tls.is_for(&source) && target_tls.is_for(&target));
        assert_eq!([files(&source_tls), files(&target_tls)], [all.clone(), all.clone()]);

        let one = "--source rediss://old/ --target redis://new/ --cacert ca --cert mine --key key";
        let Options { source, target, source_tls, target_tls, .. } = parse(one).unwrap();
        assert!(source_tls.is_for(&source) && !target_tls.is_for(&target));

        let other = "--target-cacert ca2 --target-cert mine2 --target-key key2";
        let options = parse(&format!("{} {other}", one.replace("redis://new", "rediss://new"))).unwrap();
        assert_eq!(files(&options.source_tls), all);
        assert_eq!(files(&options.target_tls), ["ca2", "mine2", "key2"].map(PathBuf::from));
        assert_eq!(files(&parse("--tls --cert mine --key key --target-cacert ca").unwrap().target_tls), all);
    }

    #[test]
    fn passwords_are_not_among_what_is_remembered() {
        let fixed = parse("--source redis://user:secret@old:7000/3").unwrap().fixed();
        assert_eq!(fixed["source"], "old:7000/3");
        assert!(!format!("{fixed:?}").contains("secret"));
    }

    #[test]
    fn a_key_is_of_the_kind_with_the_longest_prefix() {
        let prefixes = parse("--user-sets session:user:").unwrap().prefixes;
        assert_eq!(prefixes.rest("session:", b"session:abc"), Some(&b"abc"[..]));
        assert_eq!(prefixes.rest("session:", b"session:user:42"), None);
        assert_eq!(prefixes.rest("session:user:", b"session:user:42"), Some(&b"42"[..]));
        assert_eq!(prefixes.rest("session:", b"sessions:42"), None);
    }
}
