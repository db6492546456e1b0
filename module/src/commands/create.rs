//! SESSION.CREATE

use std::borrow::Cow;
use std::net::IpAddr;

use redis_session_core::sessions::{CreateError, Data, LimitPolicy, MAX_AGENT_BYTES, NewSession};
use redis_session_core::token::{Claims, NewToken, is_token};
use redis_session_core::{SessionId, Subject, UnixMillis};

use super::parser::{Parser, once, session_id};
use super::{Command, Grammar, KeyUse, Kind, Spec};
use crate::api::{Arg, Call};
use crate::error::Failure;
use crate::state::{self, State};

/// ```text
/// SESSION.CREATE key [ID id] [TTL seconds] [IDLE seconds] [MAX n] [EVICT | REJECT] [IP ip] [AGENT text]
///                    [DATA n field value ...] [CLAIMS json] [TOKEN JWT | OPAQUE | NONE] [TOKENTTL seconds]
/// ```
pub(crate) struct Create;

#[derive(Clone, Copy, PartialEq, Eq)]
enum TokenForm {
    Jwt,
    Opaque,
    None,
}

#[derive(Default)]
struct Options<'a> {
    id: Option<SessionId>,
    ttl: Option<u64>,
    idle: Option<u64>,
    max: Option<u64>,
    policy: Option<LimitPolicy>,
    ip: Option<IpAddr>,
    agent: Option<&'a str>,
    data: Option<Data<'static>>,
    claims: Option<Claims>,
    token: Option<TokenForm>,
    token_ttl: Option<u64>,
}

/// A token that was minted, and when it expires.
struct Minted {
    token: String,
    expires_at: UnixMillis,
}

impl Command for Create {
    const SPEC: Spec = Spec {
        name: "SESSION.CREATE",
        summary: "Begins a session and mints its token, making room for it if the user is at the limit.",
        complexity: "O(N) where N is the number of the user's sessions",
        flags: "write deny-oom",
        arity: -2,
        key: KeyUse::Inserts,
        grammar: &[
            Grammar::Key,
            Grammar::Option("ID", "id", Kind::Text),
            Grammar::Option("TTL", "seconds", Kind::Integer),
            Grammar::Option("IDLE", "seconds", Kind::Integer),
            Grammar::Option("MAX", "n", Kind::Integer),
            Grammar::Either(&["EVICT", "REJECT"]),
            Grammar::Option("IP", "ip", Kind::Text),
            Grammar::Option("AGENT", "text", Kind::Text),
            Grammar::Fields("DATA"),
            Grammar::Option("CLAIMS", "json", Kind::Text),
            Grammar::Choice("TOKEN", &["JWT", "OPAQUE", "NONE"]),
            Grammar::Option("TOKENTTL", "seconds", Kind::Integer),
        ],
    };

    fn run(call: &Call<'_>) -> Result<(), Failure> {
        let (key, options) = parse(call)?;
        let mut sessions = call.open_for_writing(key)?;
        let now = call.now();

        let state = state::lock();
        let subject = state.settings.subject_of(key.bytes())?;
        let new = begin(&options, &state, now)?;
        let (new, minted) = mint(new, &options, &state, subject, now)?;
        let mut limit = state.settings.limit();
        limit.sessions = options.max.and_then(|max| u32::try_from(max).ok()).unwrap_or(limit.sessions);
        limit.policy = options.policy.unwrap_or(limit.policy);
        let clock = state.settings.clock(now);
        drop(state);

        let (id, expires_at) = (new.id.clone(), new.expires_at);
        let none = Default::default();
        let creation = sessions.sessions().unwrap_or(&none).create(new, limit, clock).map_err(|error| match error {
            CreateError::Exists => {
                Failure::Coded("SESSIONEXISTS", "ID is taken, or was and may still have tokens".into())
            }
            CreateError::Limit => {
                Failure::Coded("SESSIONLIMIT", format!("the user has {} live sessions, the limit", limit.sessions))
            }
        })?;
        sessions.commit(&creation.effects, c"session.create");

        let reply = call.reply().map(5);
        reply.name(c"id").text(&id.to_string());
        reply.name(c"expires_at").time(expires_at);
        reply.name(c"token").optional_text(minted.as_ref().map(|minted| minted.token.as_str()));
        reply.name(c"token_expires_at").optional_time(minted.map(|minted| minted.expires_at));
        reply.name(c"evicted").array(creation.evicted.len());
        creation.evicted.iter().for_each(|id| reply.text(&id.to_string()));
        Ok(())
    }
}

fn parse<'a>(call: &Call<'a>) -> Result<(Arg<'a>, Options<'a>), Failure> {
    let mut parser = Parser::new(call);
    let key = parser.key()?;
    let mut options = Options::default();
    while let Some(word) = parser.option() {
        if word.is("ID") {
            let text = parser.of("ID")?;
            if is_token(text) {
                return Err(Failure::invalid("ID looks like a token; an id must not"));
            }
            once(&mut options.id, "ID", session_id("ID", text)?)?;
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
        } else if word.is("DATA") {
            once(&mut options.data, "DATA", fields(&mut parser)?)?;
        } else if word.is("CLAIMS") {
            let claims = Claims::parse(parser.of("CLAIMS")?);
            once(&mut options.claims, "CLAIMS", claims.map_err(|why| Failure::invalid(format!("CLAIMS {why}")))?)?;
        } else if word.is("TOKEN") {
            let form = match parser.choice_of("TOKEN", &["JWT", "OPAQUE", "NONE"])? {
                0 => TokenForm::Jwt,
                1 => TokenForm::Opaque,
                _ => TokenForm::None,
            };
            once(&mut options.token, "TOKEN", form)?;
        } else if word.is("TOKENTTL") {
            once(&mut options.token_ttl, "TOKENTTL", parser.seconds_of("TOKENTTL", 1)?)?;
        } else {
            return Err(word.unknown());
        }
    }
    let jwt = options.token.is_none_or(|form| form == TokenForm::Jwt);
    for (word, given) in [("CLAIMS", options.claims.is_some()), ("TOKENTTL", options.token_ttl.is_some())] {
        if given && !jwt {
            return Err(Failure::invalid(format!("{word} goes with TOKEN JWT only")));
        }
    }
    Ok((key, options))
}

/// `n field value ...`
fn fields(parser: &mut Parser<'_, '_>) -> Result<Data<'static>, Failure> {
    let count = parser.integer_of("DATA", 1, 65_536)?;
    let mut fields = Vec::new();
    for _ in 0..count {
        let (field, value) = (parser.of("DATA")?, parser.of("DATA")?);
        if field.is_empty() || field.len() > 1024 {
            return Err(Failure::invalid("DATA field names must have 1 to 1024 bytes"));
        }
        fields.push((field, value));
    }
    Data::pack(fields).ok_or_else(|| Failure::invalid("DATA has a field twice"))
}

/// The session that the options and settings describe.
fn begin<'a>(options: &Options<'a>, state: &State, now: UnixMillis) -> Result<NewSession<'a>, Failure> {
    let settings = &state.settings;
    let or_default = |given: Option<u64>, default: i64| given.unwrap_or_else(|| u64::try_from(default).unwrap_or(0));
    let ttl = or_default(options.ttl, settings.ttl);
    let out_of_range = || Failure::invalid("TTL ends past the range of times");
    let expires_at = now.checked_add(ttl.saturating_mul(1000)).ok_or_else(out_of_range)?;
    let data = options.data.clone().unwrap_or_default();
    let bytes: usize = data.iter().map(|(field, value)| field.len() + value.len()).sum();
    if i64::try_from(bytes).unwrap_or(i64::MAX) > settings.max_data_bytes {
        return Err(Failure::invalid(format!(
            "DATA has {bytes} bytes, session.max-data-bytes is {}",
            settings.max_data_bytes
        )));
    }
    let id = match &options.id {
        Some(id) => id.clone(),
        None => SessionId::random().map_err(no_randomness)?,
    };
    Ok(NewSession {
        id,
        expires_at,
        idle_secs: u32::try_from(or_default(options.idle, settings.idle_timeout)).unwrap_or(u32::MAX),
        ip: options.ip,
        agent: options.agent.filter(|agent| !agent.is_empty()),
        data,
        // Tokens may be made elsewhere for an id that was brought, and opaque ones do not tell when they were issued.
        token_until: expires_at,
        traced: true,
    })
}

/// Mints the session's token.
fn mint<'a>(
    new: NewSession<'a>,
    options: &Options<'_>,
    state: &State,
    subject: Subject<'_>,
    now: UnixMillis,
) -> Result<(NewSession<'a>, Option<Minted>), Failure> {
    let form = options.token.unwrap_or(TokenForm::Jwt);
    if form == TokenForm::None {
        return Ok((new, None));
    }
    let no_key = || Failure::Coded("NOSIGNINGKEY", "no key in session.keys-file can sign".into());
    let key = state.ring().and_then(|ring| ring.signing_key()).ok_or_else(no_key)?;
    let settings = &state.settings;
    let (token, expires_at, new) = match form {
        TokenForm::Opaque => (key.sign_opaque(subject, &new.id), new.expires_at, new),
        TokenForm::Jwt | TokenForm::None => {
            let ttl = options.token_ttl.unwrap_or_else(|| u64::try_from(settings.token_ttl).unwrap_or(0));
            let expires_at = now.saturating_add(ttl.saturating_mul(1000)).min(new.expires_at);
            // `exp` is in whole seconds, and a token must not outlive its session.
            let expires_at = UnixMillis::from_secs(expires_at.as_secs()).unwrap_or(expires_at);
            let optional = |text: &'_ str| Some(Cow::Owned::<str>(text.to_owned())).filter(|text| !text.is_empty());
            let (issuer, audience) = (optional(&settings.issuer), optional(&settings.audience));
            let token = key.sign_jwt(&NewToken {
                subject,
                session: &new.id,
                token_id: &SessionId::random().map_err(no_randomness)?.to_string(),
                issued_at: now,
                expires_at,
                issuer: issuer.as_deref(),
                audience: audience.as_deref(),
                claims: options.claims.as_ref(),
            });
            let brought = options.id.is_some();
            let token_until = if brought { new.expires_at } else { expires_at };
            (token, expires_at, NewSession { token_until, traced: brought, ..new })
        }
    };
    let token = token.ok_or_else(no_key)?;
    let max = settings.max_token_bytes;
    if i64::try_from(token.len()).unwrap_or(i64::MAX) > max {
        return Err(Failure::invalid(format!(
            "the token would be longer than session.max-token-bytes, {max}: CLAIMS is too long"
        )));
    }
    Ok((new, Some(Minted { token, expires_at })))
}

fn no_randomness(error: impl std::fmt::Display) -> Failure {
    Failure::invalid(format!("the operating system has no randomness to give: {error}"))
}
