//! The tokens of a session: minting them, and the reply that hands them out.

use redis_session_core::sessions::{Grant, TokenFormat};
use redis_session_core::token::{Cause, Claims, NewToken};
use redis_session_core::{Subject, UnixMillis};

use crate::ffi::{Failure, Reply};
use crate::refusals;
use crate::settings::Settings;
use crate::state::State;

/// A session's tokens, each with its expiry.
pub(super) struct Tokens {
    access: Option<(String, UnixMillis)>,
    refresh: Option<(String, UnixMillis)>,
}

impl Tokens {
    /// Mints the tokens that a session gets.
    pub(super) fn mint(state: &State, subject: Subject<'_>, grant: &Grant<'_>) -> Result<Self, Failure> {
        let (session, issued_at) = (&grant.session, grant.issued_at);
        let mut tokens = Self { access: None, refresh: None };
        if session.tokens == TokenFormat::None && session.refresh.is_none() {
            return Ok(tokens);
        }
        let no_key = || Failure::Coded("NOSIGNINGKEY", "no key in session.keys-file can sign".into());
        let key = state.ring().and_then(|ring| ring.signing_key()).ok_or_else(no_key)?;
        let settings = &state.settings;
        if let Some(expires_at) = session.token_expires_at(issued_at, settings.token_secs()) {
            let claims = match (session.tokens, &*session.claims) {
                (TokenFormat::Opaque | TokenFormat::None, _) | (_, "") => None,
                (TokenFormat::Jwt, json) => {
                    Some(Claims::parse(json.as_bytes()).map_err(|why| Failure::invalid(format!("CLAIMS {why}")))?)
                }
            };
            let token = match session.tokens {
                TokenFormat::Opaque => key.sign_opaque(subject, &session.id, session.created_at, session.expires_at),
                TokenFormat::Jwt | TokenFormat::None => key.sign_jwt(&NewToken {
                    subject,
                    session: &session.id,
                    began_at: session.created_at,
                    generation: session.refresh.map_or(0, |refresh| refresh.generation),
                    issued_at,
                    expires_at,
                    auth_time: session.auth_time(),
                    level: session.level,
                    token_type: Some(settings.token_type.as_str()).filter(|typ| !typ.is_empty()),
                    issuer: Some(settings.issuer.as_str()).filter(|issuer| !issuer.is_empty()),
                    audience: Some(settings.audience.as_str()).filter(|audience| !audience.is_empty()),
                    claims: claims.as_ref(),
                }),
            };
            tokens.access = Some((token.ok_or_else(no_key)?, expires_at));
        }
        if let Some(refresh) = session.refresh {
            let token = key.sign_refresh(subject, &session.id, refresh.generation, session.created_at);
            let token = token.ok_or_else(no_key)?;
            tokens.refresh = Some((token, refresh.expires_at));
        }
        let max = settings.max_token_bytes;
        let longest = [&tokens.access, &tokens.refresh].into_iter().flatten().map(|(token, _)| token.len()).max();
        if longest.is_some_and(|length| i64::try_from(length).unwrap_or(i64::MAX) > max) {
            return Err(Failure::invalid(format!("a token would be longer than session.max-token-bytes, {max}")));
        }
        Ok(tokens)
    }

    /// The reply of every command that hands tokens out.
    pub(super) fn reply(&self, reply: Reply<'_>, grant: &Grant<'_>) {
        let Grant { session, evicted, new_ip, new_device, .. } = grant;
        let reply = reply.map(9);
        reply.name("id").id(&session.id);
        reply.name("expires_at").time(session.expires_at);
        let text = |token: &Option<(String, UnixMillis)>| {
            reply.optional_text(token.as_ref().map(|(text, _)| text.as_str()));
        };
        let expiry = |token: &Option<(String, UnixMillis)>| {
            reply.optional_time(token.as_ref().map(|(_, expires_at)| *expires_at));
        };
        reply.name("token");
        text(&self.access);
        reply.name("token_expires_at");
        expiry(&self.access);
        reply.name("refresh_token");
        text(&self.refresh);
        reply.name("refresh_expires_at");
        expiry(&self.refresh);
        reply.name("evicted").array(evicted.len());
        evicted.iter().for_each(|id| reply.id(id));
        reply.name("new_ip").boolean(*new_ip);
        reply.name("new_device").boolean(*new_device);
    }
}

/// Refuses claims that no token could carry: sessions without JWTs keep theirs as well.
pub(super) fn bounded(claims: Option<&str>, settings: &Settings) -> Result<(), Failure> {
    let (size, max) = (claims.map_or(0, str::len), settings.max_token_bytes);
    match i64::try_from(size).unwrap_or(i64::MAX) > max {
        true => Err(Failure::invalid(format!("CLAIMS has {size} bytes, session.max-token-bytes is {max}"))),
        false => Ok(()),
    }
}

/// The reply to a credential that is not good: a token, unless it is an id.
pub(super) fn inactive(reply: Reply<'_>, token: Option<&[u8]>, cause: impl Into<Cause>) -> Result<(), Failure> {
    let cause = cause.into();
    refusals::note(cause, token);
    let reply = reply.map(2);
    reply.name("active").boolean(false);
    reply.name("reason").text(cause.reason().as_str());
    Ok(())
}
