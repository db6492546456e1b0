//! SESSION.CREATE

use std::net::IpAddr;

use redis_session_core::sessions::{
    CreateError, Created, Data, Device, IdSource, LimitPolicy, MAX_AGENT_BYTES, NewSession, TokenFormat,
};
use redis_session_core::token::{Claims, TokenKind};
use redis_session_core::{Reason, SessionId, Subject, UnixMillis};

use super::command::{Command, no_randomness};
use super::parser::{Parser, field_name, once, session_id};
use super::tokens::{News, Tokens, inactive};
use super::user::{User, writing};
use crate::commit::commit;
use crate::ffi::{Arg, Call, Failure, Grammar, KeyUse, Kind, Spec};
use crate::state::State;
use crate::stored::Sessions;

/// ```text
/// SESSION.CREATE key [ID id | FROM jwt] [TTL seconds] [IDLE seconds] [MAX n] [EVICT | REJECT] [IP ip] [AGENT text]
///                    [DEVICE fingerprint] [DATA n field value ...] [CLAIMS json] [TOKEN JWT | OPAQUE | NONE]
///                    [TOKENTTL seconds] [REFRESH seconds]
/// ```
pub(crate) struct Create;

#[derive(Default)]
struct Options<'a> {
    id: Option<SessionId>,
    from: Option<&'a [u8]>,
    ttl: Option<u64>,
    idle: Option<u64>,
    max: Option<u64>,
    policy: Option<LimitPolicy>,
    ip: Option<IpAddr>,
    agent: Option<&'a str>,
    device: Option<&'a [u8]>,
    data: Option<Data<'static>>,
    claims: Option<&'a str>,
    tokens: Option<TokenFormat>,
    token_ttl: Option<u64>,
    refresh: Option<u64>,
}

impl Command for Create {
    const SPEC: Spec = Spec {
        name: "SESSION.CREATE",
        summary: "Begins a session and mints its tokens, making room for it if the user is at the limit.",
        complexity: "O(N) where N is the number of the user's sessions",
        flags: "write deny-oom",
        arity: -2,
        key: KeyUse::Inserts,
        grammar: &[
            Grammar::Key,
            Grammar::EitherOption(&[("ID", "id"), ("FROM", "jwt")]),
            Grammar::Option("TTL", "seconds", Kind::Integer),
            Grammar::Option("IDLE", "seconds", Kind::Integer),
            Grammar::Option("MAX", "n", Kind::Integer),
            Grammar::Either(&["EVICT", "REJECT"]),
            Grammar::Option("IP", "ip", Kind::Text),
            Grammar::Option("AGENT", "text", Kind::Text),
            Grammar::Option("DEVICE", "fingerprint", Kind::Text),
            Grammar::Fields("DATA"),
            Grammar::Option("CLAIMS", "json", Kind::Text),
            Grammar::Choice("TOKEN", &["JWT", "OPAQUE", "NONE"]),
            Grammar::Option("TOKENTTL", "seconds", Kind::Integer),
            Grammar::Option("REFRESH", "seconds", Kind::Integer),
        ],
    };

    fn run(call: &Call<'_>) -> Result<(), Failure> {
        let (key, options) = parse(call)?;
        let User { subject, mut key, mut rules, mut state } = writing(call, key)?;
        let new = match options.from {
            None => begin(&options, &state, subject, rules.now)?,
            Some(jwt) => {
                let token = match state.verify(subject, jwt, None, rules.now) {
                    Ok(token) => token,
                    Err(reason) => return inactive(call.reply(), reason),
                };
                let (TokenKind::Jwt, Some(expires_at)) = (token.kind, token.expires_at) else {
                    return inactive(call.reply(), Reason::Type);
                };
                let source = IdSource::Token(token.issued);
                NewSession { id: token.id, source, expires_at, ..begin(&options, &state, subject, rules.now)? }
            }
        };
        rules.sessions = options.max.and_then(|max| u32::try_from(max).ok()).unwrap_or(rules.sessions);
        rules.policy = options.policy.unwrap_or(rules.policy);
        let decision = match key.sessions_or_none().create(new, &rules) {
            Ok(decision) => decision,
            Err(CreateError::Refused(reason)) => return inactive(call.reply(), reason),
            Err(CreateError::Exists) => {
                return Err(Failure::Coded("SESSIONEXISTS", "a live session has this id".into()));
            }
            Err(CreateError::Limit) => {
                let limit = rules.sessions;
                return Err(Failure::Coded("SESSIONLIMIT", format!("the user has {limit} live sessions, the limit")));
            }
        };
        let tokens = Tokens::mint(&state, subject, &decision.value.session, rules.now)?;
        drop(state);
        let Created { session, evicted, new_ip, new_device } = commit(&mut key, decision);
        tokens.reply(call.reply(), &session, &News { evicted: &evicted, new_ip, new_device });
        Ok(())
    }
}

fn parse<'a>(call: &Call<'a>) -> Result<(Arg<'a>, Options<'a>), Failure> {
    let mut parser = Parser::new(call);
    let key = parser.key()?;
    let mut options = Options::default();
    while let Some(word) = parser.option() {
        if word.is("ID") {
            once(&mut options.id, "ID", session_id("ID", parser.of("ID")?)?)?;
        } else if word.is("FROM") {
            once(&mut options.from, "FROM", parser.secret_of("FROM")?)?;
        } else if word.is("TTL") {
            once(&mut options.ttl, "TTL", parser.seconds_of("TTL", 1)?)?;
        } else if word.is("IDLE") {
            once(&mut options.idle, "IDLE", parser.seconds_of("IDLE", 0)?)?;
        } else if word.is("MAX") {
            once(&mut options.max, "MAX", parser.integer_of("MAX", 1, 1_000_000)?)?;
        } else if word.is("EVICT") {
            once(&mut options.policy, "EVICT or REJECT", LimitPolicy::Evict)?;
        } else if word.is("REJECT") {
            once(&mut options.policy, "EVICT or REJECT", LimitPolicy::Reject)?;
        } else if word.is("IP") {
            once(&mut options.ip, "IP", parser.ip_of("IP")?)?;
        } else if word.is("AGENT") {
            once(&mut options.agent, "AGENT", parser.text_of("AGENT", MAX_AGENT_BYTES)?)?;
        } else if word.is("DEVICE") {
            once(&mut options.device, "DEVICE", parser.fingerprint_of("DEVICE")?)?;
        } else if word.is("DATA") {
            once(&mut options.data, "DATA", fields(&mut parser)?)?;
        } else if word.is("CLAIMS") {
            once(&mut options.claims, "CLAIMS", claims(parser.of("CLAIMS")?)?)?;
        } else if word.is("TOKEN") {
            let form = match parser.choice_of("TOKEN", &["JWT", "OPAQUE", "NONE"])? {
                0 => TokenFormat::Jwt,
                1 => TokenFormat::Opaque,
                _ => TokenFormat::None,
            };
            once(&mut options.tokens, "TOKEN", form)?;
        } else if word.is("TOKENTTL") {
            once(&mut options.token_ttl, "TOKENTTL", parser.seconds_of("TOKENTTL", 1)?)?;
        } else if word.is("REFRESH") {
            once(&mut options.refresh, "REFRESH", parser.seconds_of("REFRESH", 0)?)?;
        } else {
            return Err(word.unknown());
        }
    }
    if options.from.is_some() {
        for (word, given) in [("ID", options.id.is_some()), ("TTL", options.ttl.is_some())] {
            if given {
                return Err(Failure::invalid(format!("{word} does not go with FROM: the token says it")));
            }
        }
    }
    for (word, given) in [("CLAIMS", options.claims.is_some()), ("TOKENTTL", options.token_ttl.is_some())] {
        if given && options.tokens() != TokenFormat::Jwt {
            return Err(Failure::invalid(format!("{word} goes with TOKEN JWT only")));
        }
    }
    Ok((key, options))
}

impl Options<'_> {
    /// The kind of tokens: a session that begins with a token from elsewhere needs none of ours.
    fn tokens(&self) -> TokenFormat {
        self.tokens.unwrap_or(if self.from.is_some() { TokenFormat::None } else { TokenFormat::Jwt })
    }
}

/// `n field value ...`
fn fields(parser: &mut Parser<'_, '_>) -> Result<Data<'static>, Failure> {
    let count = parser.integer_of("DATA", 1, 65_536)?;
    let mut fields = Vec::new();
    for _ in 0..count {
        fields.push((field_name(parser.of("DATA")?)?, parser.of("DATA")?));
    }
    Data::pack(fields).ok_or_else(|| Failure::invalid("DATA has a field twice"))
}

fn claims(json: &[u8]) -> Result<&str, Failure> {
    Claims::parse(json).map_err(|why| Failure::invalid(format!("CLAIMS {why}")))?;
    std::str::from_utf8(json).map_err(|_| Failure::invalid("CLAIMS is not UTF-8"))
}

/// The session that the options and settings describe.
fn begin<'a>(
    options: &Options<'a>,
    state: &State,
    subject: Subject<'_>,
    now: UnixMillis,
) -> Result<NewSession<'a>, Failure> {
    let settings = &state.settings;
    let or_default = |given: Option<u64>, default: i64| given.unwrap_or_else(|| u64::try_from(default).unwrap_or(0));
    let in_range = |secs: u64| u32::try_from(secs).unwrap_or(u32::MAX);
    let ttl = or_default(options.ttl, settings.ttl);
    let expires_at = now.checked_add(ttl.saturating_mul(1000));
    let data = options.data.clone().unwrap_or_default();
    let limit = settings.data_limit();
    if data.len() > limit.fields {
        let (count, max) = (data.len(), limit.fields);
        return Err(Failure::invalid(format!("DATA has {count} fields, session.max-fields is {max}")));
    }
    if data.size() > limit.bytes {
        let (size, max) = (data.size(), limit.bytes);
        return Err(Failure::invalid(format!("DATA has {size} bytes, session.max-data-bytes is {max}")));
    }
    let id = match &options.id {
        Some(id) => id.clone(),
        None => SessionId::random().map_err(no_randomness)?,
    };
    Ok(NewSession {
        id,
        source: if options.id.is_some() { IdSource::Caller } else { IdSource::Random },
        expires_at: expires_at.ok_or_else(|| Failure::invalid("TTL ends past the range of times"))?,
        idle_secs: in_range(or_default(options.idle, settings.idle_timeout)),
        ip: options.ip,
        agent: options.agent.filter(|agent| !agent.is_empty()),
        device: options.device.map(|fingerprint| Device::of(subject, fingerprint)),
        tokens: options.tokens(),
        token_ttl: options.token_ttl.map(in_range),
        refresh_secs: options.refresh.map(|secs| match secs {
            0 => in_range(or_default(None, settings.refresh_ttl)),
            secs => in_range(secs),
        }),
        claims: options.claims.unwrap_or_default(),
        data,
    })
}
