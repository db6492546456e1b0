//! SESSION.CREATE

use std::net::IpAddr;

use redis_session_core::sessions::{
    Clock, CreateError, Data, Device, LimitPolicy, MAX_AGENT_BYTES, NewSession, TokenForm, UserSessions,
};
use redis_session_core::token::{Claims, Verified, holds_token};
use redis_session_core::{Reason, SessionId, Subject, UnixMillis};

use super::parser::{Parser, field_name, once, session_id};
use super::tokens::{News, Tokens, inactive};
use super::{Command, Grammar, KeyUse, Kind, Spec, no_randomness};
use crate::api::{Arg, Call};
use crate::error::Failure;
use crate::state::{self, State};
use crate::stats;

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
    tokens: Option<TokenForm>,
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
        let mut key_sessions = call.open_for_writing(key)?;
        let now = call.now();
        let none = Default::default();
        let sessions = key_sessions.sessions().unwrap_or(&none);

        let mut state = state::lock();
        let subject = state.settings.subject_of(key.bytes())?;
        let clock = state.settings.clock(now);
        let new = match options.from {
            None => begin(&options, &state, subject, now)?,
            Some(jwt) => {
                let token = state.verify(subject, jwt, None, now).and_then(|token| registrable(token, sessions, clock));
                let (id, expires_at) = match token {
                    Ok(token) => token,
                    Err(reason) => return inactive(call.reply(), reason),
                };
                NewSession { id, expires_at, brought: true, ..begin(&options, &state, subject, now)? }
            }
        };
        let mut limit = state.settings.limit();
        limit.sessions = options.max.and_then(|max| u32::try_from(max).ok()).unwrap_or(limit.sessions);
        limit.policy = options.policy.unwrap_or(limit.policy);
        let creation = sessions.create(new, state.settings.token_rules(), limit, clock).map_err(|why| match why {
            CreateError::Exists => {
                Failure::Coded("SESSIONEXISTS", "the id is taken, or was and may still have tokens".into())
            }
            CreateError::Limit => {
                Failure::Coded("SESSIONLIMIT", format!("the user has {} live sessions, the limit", limit.sessions))
            }
        })?;
        let tokens = Tokens::mint(&state, subject, &creation.session, now)?;
        drop(state);

        let evict = (!creation.evicted.is_empty()).then_some(c"session.evict");
        key_sessions.commit(&creation.effects, evict.into_iter().chain([c"session.create"]), clock);
        stats::CREATED.add(1);
        stats::EVICTED.add(creation.evicted.len());
        let news = News { evicted: &creation.evicted, new_ip: creation.new_ip, new_device: creation.new_device };
        tokens.reply(call.reply(), &creation.session, &news);
        Ok(())
    }
}

/// The id and deadline of a session that is to begin with a token from elsewhere. The token gets the same check as with
/// any request, but that its session need not be here yet.
fn registrable(token: Verified, sessions: &UserSessions, clock: Clock) -> Result<(SessionId, UnixMillis), Reason> {
    let expires_at = token.expires_at.ok_or(Reason::Type)?;
    // Within the leeway it may be good still, but the session would not be.
    if clock.now >= expires_at {
        return Err(Reason::TokenExpired);
    }
    // Whoever named such a session by its id would be taken to offer a token.
    if holds_token(token.id.to_string().as_bytes()) {
        return Err(Reason::Malformed);
    }
    match sessions.check(&token.id, token.issued, clock) {
        Err(Reason::Unknown) if sessions.may_have_forgotten(token.issued) => Err(Reason::Unknown),
        Err(Reason::Unknown) | Ok(_) => Ok((token.id, expires_at)),
        Err(reason) => Err(reason),
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
                0 => TokenForm::Jwt,
                1 => TokenForm::Opaque,
                _ => TokenForm::None,
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
        if given && options.tokens() != TokenForm::Jwt {
            return Err(Failure::invalid(format!("{word} goes with TOKEN JWT only")));
        }
    }
    Ok((key, options))
}

impl Options<'_> {
    /// The kind of tokens: a session that begins with a token from elsewhere needs none of ours.
    fn tokens(&self) -> TokenForm {
        self.tokens.unwrap_or(if self.from.is_some() { TokenForm::None } else { TokenForm::Jwt })
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
        brought: options.id.is_some(),
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
