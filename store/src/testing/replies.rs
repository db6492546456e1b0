//! Replies, as the server writes them.

use redis::{RedisResult, Value, parse_redis_value};
use redis_session_core::sessions::{Ended, Grant, Session};
use redis_session_core::{JsonText, SessionId, Subject, UnixMillis};

pub(super) fn text(text: impl AsRef<[u8]>) -> Value {
    Value::BulkString(text.as_ref().to_vec())
}

pub(super) fn or_nil<T>(value: Option<T>, of: impl FnOnce(T) -> Value) -> Value {
    value.map_or(Value::Nil, of)
}

pub(super) fn time(time: UnixMillis) -> Value {
    Value::Int(time.as_i64())
}

pub(super) fn count(count: usize) -> Value {
    Value::Int(i64::try_from(count).unwrap_or(i64::MAX))
}

pub(super) fn id(id: &SessionId) -> Value {
    text(id.to_string())
}

pub(super) fn map<const N: usize>(fields: [(&str, Value); N]) -> Vec<(Value, Value)> {
    fields.into_iter().map(|(name, value)| (text(name), value)).collect()
}

/// The same reply as one JSON text.
pub(super) fn json(reply: &Value) -> Value {
    if *reply == Value::Nil {
        return Value::Nil;
    }
    let mut out = JsonText::default();
    write(reply, &mut out);
    text(out.as_bytes())
}

fn write(value: &Value, out: &mut JsonText) {
    match value {
        Value::Map(entries) => {
            let entries = entries.iter().map(|(name, value)| (bytes(name), value));
            out.map_of_bytes(entries, |out, value| write(value, out));
        }
        Value::Array(elements) => {
            out.array(elements.len());
            elements.iter().for_each(|element| write(element, out));
        }
        Value::BulkString(bytes) => out.bytes(bytes),
        Value::Int(number) => out.integer(*number),
        Value::Boolean(value) => out.boolean(*value),
        _ => out.null(),
    }
}

fn bytes(value: &Value) -> &[u8] {
    if let Value::BulkString(bytes) = value { bytes } else { &[] }
}

/// An error with this text, the code first.
pub(super) fn error(failure: &str) -> RedisResult<Value> {
    parse_redis_value(format!("-{}\r\n", failure.replace(['\r', '\n'], " ")).as_bytes())
}

pub(super) fn inactive(reason: redis_session_core::Reason) -> Value {
    Value::Map(map([("active", Value::Boolean(false)), ("reason", text(reason.as_str()))]))
}

/// A whole session, except its id and its end.
pub(super) fn described(subject: Subject<'_>, session: Option<&Session<'_, &str>>) -> Vec<(Value, Value)> {
    let data = session.into_iter().flat_map(|session| session.data.iter());
    map([
        ("user", text(subject.as_str())),
        ("created_at", or_nil(session.map(|session| session.created_at), time)),
        ("last_seen_at", or_nil(session.map(Session::last_seen_at), time)),
        ("idle_expires_at", or_nil(session.and_then(Session::idle_expires_at), time)),
        ("ip", or_nil(session.and_then(|session| session.ip), |ip| text(ip.to_string()))),
        ("agent", or_nil(session.and_then(|session| session.agent), text)),
        ("claims", or_nil(session.map(|session| &*session.claims).filter(|claims| !claims.is_empty()), text)),
        ("auth_time", or_nil(session.map(Session::auth_time), time)),
        (
            "level",
            or_nil(session.map(|session| session.level).filter(|level| *level > 0), |level| Value::Int(level.into())),
        ),
        (
            "version",
            or_nil(session.map(|session| session.version), |version| {
                Value::Int(version.try_into().unwrap_or(i64::MAX))
            }),
        ),
        ("data", Value::Map(data.map(|(name, value)| (text(name), text(value))).collect())),
    ])
}

pub(super) fn session(subject: Subject<'_>, session: &Session<'_, &str>) -> Value {
    let mut fields = map([("id", id(&session.id)), ("expires_at", time(session.expires_at))]);
    fields.extend(described(subject, Some(session)));
    Value::Map(fields)
}

pub(super) fn ended(ended: &Ended) -> Value {
    Value::Map(map([
        ("id", id(&ended.id)),
        ("reason", text(ended.reason.as_str())),
        ("ended_at", time(ended.at)),
        ("remembered_until", time(ended.until)),
    ]))
}

/// New tokens, each with its end.
pub(super) type Token = Option<(String, UnixMillis)>;

pub(super) fn granted(grant: &Grant<'_>, access: &Token, refresh: &Token) -> Value {
    let secret = |token: &Token| or_nil(token.as_ref(), |(token, _)| text(token));
    let end = |token: &Token| or_nil(token.as_ref(), |(_, end)| time(*end));
    Value::Map(map([
        ("id", id(&grant.session.id)),
        ("expires_at", time(grant.session.expires_at)),
        ("token", secret(access)),
        ("token_expires_at", end(access)),
        ("refresh_token", secret(refresh)),
        ("refresh_expires_at", end(refresh)),
        ("evicted", Value::Array(grant.evicted.iter().map(id).collect())),
        ("new_ip", Value::Boolean(grant.new_ip)),
        ("new_device", Value::Boolean(grant.new_device)),
    ]))
}
