//! SESSION.CREATE

use std::borrow::Cow;
use std::net::IpAddr;

use redis_session_core::sessions::{CreateError, Data, Device, IdSource, LimitPolicy, NewSession, TokenFormat};
use redis_session_core::token::{Cause, TokenKind};
use redis_session_core::{SessionId, Subject, UnixMillis};

use super::command::{Command, no_randomness};
use super::grammar::{Alternative as _, arguments, bare, choice, counted_fields, flag, key, option, optional, worded};
use super::kinds::{Agent, DeviceFingerprint, Id, Ip, Level, OwnClaims, Token, Whole, seconds};
use super::tokens::{Tokens, bounded, inactive};
use super::user::{User, writing};
use crate::commit::commit;
use crate::ffi::{Arg, Call, Failure, KeyUse, Reply, Spec};
use crate::state::State;
use crate::stored::Sessions;

pub(crate) struct Create;

/// Where the session's id comes from.
pub(super) enum Source<'a> {
    Id(SessionId),
    From(&'a [u8]),
}

arguments! {
    pub(super) struct Options<'a> {
        key: Arg<'a> = key(),
        source: Option<Source<'a>> =
            optional(worded("ID", "id", Id).to(Source::Id).or(worded("FROM", "jwt", Token).to(Source::From))),
        ttl: Option<u64> = option("TTL", "seconds", seconds(1)),
        idle: Option<u64> = option("IDLE", "seconds", seconds(0)),
        max: Option<u64> = option("MAX", "n", Whole { min: 1, max: 1_000_000 }),
        policy: Option<LimitPolicy> =
            optional(bare("EVICT", LimitPolicy::Evict).or(bare("REJECT", LimitPolicy::Reject))),
        ip: Option<IpAddr> = option("IP", "ip", Ip),
        agent: Option<Cow<'a, str>> = option("AGENT", "text", Agent),
        device: Option<&'a [u8]> = option("DEVICE", "fingerprint", DeviceFingerprint),
        data: Option<Data<'static>> = optional(counted_fields("DATA", 65_536)),
        claims: Option<&'a str> = option("CLAIMS", "json", OwnClaims),
        level: Option<u8> = option("LEVEL", "n", Level),
        tokens: Option<TokenFormat> = optional(choice(
            "TOKEN",
            &[("JWT", TokenFormat::Jwt), ("OPAQUE", TokenFormat::Opaque), ("NONE", TokenFormat::None)],
        )),
        token_ttl: Option<u64> = option("TOKENTTL", "seconds", seconds(1)),
        refresh: Option<u64> = option("REFRESH", "seconds", seconds(0)),
        is_json: bool = flag("JSON"),
    }
}

impl Command for Create {
    const SPEC: Spec = Spec {
        name: "SESSION.CREATE",
        summary: "Begins a session and mints its tokens, making room for it if the user is at the limit.",
        complexity: "O(N) where N is the number of the user's sessions",
        flags: "write deny-oom",
        key: KeyUse::Inserts,
    };

    type Arguments<'a> = Options<'a>;

    fn run<'a>(call: &Call<'a>, options: Options<'a>) -> Result<(), Failure> {
        options.agree()?;
        call.reply_as(options.is_json, |reply| create(call, &options, reply))
    }
}

fn create<'a>(call: &Call<'a>, options: &Options<'a>, reply: Reply<'_>) -> Result<(), Failure> {
    let User { subject, mut key, mut rules, mut state } = writing(call, options.key)?;
    let new = match &options.source {
        None | Some(Source::Id(_)) => begin(options, &state, subject, rules.now)?,
        Some(Source::From(jwt)) => {
            let token = match state.verify(subject, jwt, None, rules.now) {
                Ok(token) => token,
                Err(cause) => return inactive(reply, Some(jwt), cause),
            };
            let (TokenKind::Jwt, Some(expires_at)) = (token.kind, token.expires_at) else {
                return inactive(reply, Some(jwt), Cause::TypeOpaque);
            };
            let source = IdSource::Token(token.issued);
            NewSession { id: token.id, source, expires_at, ..begin(options, &state, subject, rules.now)? }
        }
    };
    rules.sessions = options.max.and_then(|max| u32::try_from(max).ok()).unwrap_or(rules.sessions);
    rules.policy = options.policy.unwrap_or(rules.policy);
    let decision = match key.sessions_or_none().create(new, &rules) {
        Ok(decision) => decision,
        Err(CreateError::Refused(reason)) => {
            let token = if let Some(Source::From(jwt)) = options.source { Some(jwt) } else { None };
            return inactive(reply, token, reason);
        }
        Err(CreateError::Exists) => {
            return Err(Failure::Coded("SESSIONEXISTS", "a live session has this id".into()));
        }
        Err(CreateError::Limit) => {
            let limit = rules.sessions;
            return Err(Failure::Coded("SESSIONLIMIT", format!("the user has {limit} live sessions, the limit")));
        }
    };
    let tokens = Tokens::mint(&state, subject, &decision.value)?;
    drop(state);
    let grant = commit(&mut key, decision);
    tokens.reply(reply, &grant);
    Ok(())
}

impl Options<'_> {
    /// Refuses options that contradict each other.
    fn agree(&self) -> Result<(), Failure> {
        if self.is_from() && self.ttl.is_some() {
            return Err(Failure::invalid("TTL does not go with FROM: the token says it"));
        }
        if self.token_ttl.is_some() && self.tokens() != TokenFormat::Jwt {
            return Err(Failure::invalid("TOKENTTL goes with TOKEN JWT only"));
        }
        Ok(())
    }

    fn is_from(&self) -> bool {
        matches!(self.source, Some(Source::From(_)))
    }

    /// The kind of tokens: a session that begins with a token from elsewhere needs none of ours.
    fn tokens(&self) -> TokenFormat {
        self.tokens.unwrap_or(if self.is_from() { TokenFormat::None } else { TokenFormat::Jwt })
    }
}

/// The session that the options and settings describe.
fn begin<'a>(
    options: &'a Options<'_>,
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
    bounded(options.claims, settings)?;
    let (id, source) = match &options.source {
        Some(Source::Id(id)) => (id.clone(), IdSource::Caller),
        None | Some(Source::From(_)) => (SessionId::random().map_err(no_randomness)?, IdSource::Random),
    };
    Ok(NewSession {
        id,
        source,
        expires_at: expires_at.ok_or_else(|| Failure::invalid("TTL ends past the range of times"))?,
        idle_secs: in_range(or_default(options.idle, settings.idle_timeout)),
        ip: options.ip,
        agent: options.agent.as_deref().filter(|agent| !agent.is_empty()),
        device: options.device.map(|fingerprint| Device::of(subject, fingerprint)),
        tokens: options.tokens(),
        token_ttl: options.token_ttl.map(in_range),
        refresh_secs: options.refresh.map(|secs| match secs {
            0 => in_range(or_default(None, settings.refresh_ttl)),
            secs => in_range(secs),
        }),
        claims: options.claims.unwrap_or_default(),
        level: options.level.unwrap_or(0),
        data,
    })
}
