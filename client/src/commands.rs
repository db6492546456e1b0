//! The commands: each as a function that returns the [`Cmd`], and as a method of every connection.
//!
//! The functions are for pipelines, for transactions, and for everything else that `redis` can do with a command:
//!
//! ```no_run
//! use redis_session::commands::{session_count, session_touch};
//! use redis_session::{ValidateOptions, Validation};
//!
//! # fn main() -> redis::RedisResult<()> {
//! # let mut redis = redis::Client::open("redis://127.0.0.1/")?.get_connection()?;
//! # let token = "";
//! let (validation, devices): (Validation, u64) = redis::pipe()
//!     .add_command(session_touch("sessions:42", token, &ValidateOptions::new()))
//!     .add_command(session_count("sessions:42"))
//!     .query(&mut redis)?;
//! # Ok(())
//! # }
//! ```

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use redis::{Cmd, ConnectionLike, RedisResult, ToRedisArgs, ToSingleRedisArg, Value, cmd};

use crate::error::redact_of;
use crate::keys::{self, KeyRing};
use crate::options::{CreateOptions, RefreshOptions, RegenerateOptions, ValidateOptions};
use crate::replies::{self, EndedSession, Session, Validation};
use crate::time::{Timestamp, unix_millis};
use crate::tokens::{self, Created, Grant};

/// Defines each command once: its documentation, arguments and reply, how to write it and how to read its reply.
macro_rules! session_commands {
    ($(
        $(#[doc = $doc:literal])+
        fn $name:ident($($arg:ident: $type:ty),*) -> $reply:ty, by $read:path $command:block
    )*) => {
        $(
            $(#[doc = $doc])+
            #[must_use = "a command does nothing until it is sent"]
            pub fn $name($($arg: $type),*) -> Cmd $command
        )*

        /// The `SESSION.*` commands as methods of every synchronous connection: `redis::Connection`, one of a
        /// cluster or out of a pool.
        ///
        /// Keys, ids and tokens are anything that is one argument to Redis: `&str`, `String`, `&[u8]`. For the names
        /// of keys see [`KeyPrefix`](crate::KeyPrefix).
        ///
        /// # Errors
        /// Every method fails if the connection fails, if the server refuses the command (see
        /// [`SessionErrorCode`](crate::SessionErrorCode)), or if the reply does not fit the command. No error shows an
        /// argument of the command. A command whose connection broke may have been carried out: if a login must not
        /// happen twice, set its [`CreateOptions::id`].
        pub trait SessionCommands: ConnectionLike + Sized {
            $(
                $(#[doc = $doc])+
                fn $name(&mut self, $($arg: $type),*) -> RedisResult<$reply> {
                    let command = $name($($arg),*);
                    let reply = command.query::<Value>(self).map_err(|error| redact_of(&command, error))?;
                    Ok($read(reply)?)
                }
            )*
        }

        impl<C: ConnectionLike + Sized> SessionCommands for C {}

        /// The `SESSION.*` commands as methods of every asynchronous connection: `MultiplexedConnection`,
        /// `ConnectionManager`, one of a cluster or out of a pool.
        ///
        /// ```
        /// use redis::aio::MultiplexedConnection;
        /// use redis_session::{AsyncSessionCommands, ValidateOptions, Validation};
        ///
        /// async fn check(redis: &MultiplexedConnection, key: &str, token: &str) -> redis::RedisResult<Validation> {
        ///     redis.clone().session_touch(key, token, &ValidateOptions::new()).await
        /// }
        /// ```
        ///
        /// Everything else, errors included, is as in [`SessionCommands`].
        #[cfg(feature = "aio")]
        #[cfg_attr(docsrs, doc(cfg(feature = "aio")))]
        pub trait AsyncSessionCommands: redis::aio::ConnectionLike + Send + Sized {
            $(
                $(#[doc = $doc])+
                fn $name(&mut self, $($arg: $type),*) -> impl Future<Output = RedisResult<$reply>> + Send {
                    let command = $name($($arg),*);
                    async move {
                        let reply = command.query_async::<Value>(self).await;
                        Ok($read(reply.map_err(|error| redact_of(&command, error))?)?)
                    }
                }
            )*
        }

        #[cfg(feature = "aio")]
        impl<C: redis::aio::ConnectionLike + Send + Sized> AsyncSessionCommands for C {}
    };
}

session_commands! {
    /// `SESSION.CREATE`: logs the user of this key in. Replies with the new session and its token.
    ///
    /// The error is [`SessionLimit`](crate::SessionErrorCode::SessionLimit) if the user has too many sessions and
    /// [`LimitPolicy::Reject`](crate::LimitPolicy::Reject) applies,
    /// [`SessionExists`](crate::SessionErrorCode::SessionExists) if a live session has the id that the options bring.
    fn session_create(key: impl ToSingleRedisArg, options: &CreateOptions) -> Created, by tokens::created {
        cmd("SESSION.CREATE").arg(key).arg(options).arg("JSON").take()
    }

    /// `SESSION.CREATE` with `FROM`: begins a session with a JWT of another issuer that the user already has. You can
    /// then list, touch and revoke it like any other. The token names the session, and both end together. A JWT that
    /// was made here belongs to its own session, and begins no other.
    ///
    /// The token must name this key's user and be signed by a key of the server's key ring. If it is not good, the
    /// answer is [`Grant::Refused`]. The server makes no further token unless [`CreateOptions::token`] or
    /// [`CreateOptions::refresh`] asks for one. You cannot combine it with [`CreateOptions::id`] or
    /// [`CreateOptions::ttl`]: the error is [`Invalid`](crate::SessionErrorCode::Invalid).
    ///
    /// The other errors are those of [`session_create`], and [`SessionExists`](crate::SessionErrorCode::SessionExists)
    /// if the session exists already, as at the second call with one token.
    ///
    /// ```no_run
    /// use redis_session::{CreateOptions, Grant, KeyPrefix, SessionCommands};
    ///
    /// # fn main() -> redis::RedisResult<()> {
    /// # let mut redis = redis::Client::open("redis://127.0.0.1/")?.get_connection()?;
    /// # let jwt = "";
    /// let Some(key) = KeyPrefix::default().key_of_token(jwt) else { return Ok(()) }; // 401
    /// match redis.session_register(key, jwt, &CreateOptions::new().agent("Firefox on Linux"))? {
    ///     Grant::Granted(session) => println!("session {}", session.id),
    ///     Grant::Refused(inactive) => println!("401: {}", inactive.reason),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    fn session_register(key: impl ToSingleRedisArg, jwt: impl ToSingleRedisArg, options: &CreateOptions)
        -> Grant, by tokens::grant
    {
        cmd("SESSION.CREATE").arg(key).arg("FROM").arg(jwt).arg(options).arg("JSON").take()
    }

    /// `SESSION.VALIDATE`: checks a token and its session, and changes nothing. A bad token is an answer,
    /// [`Validation::Inactive`], not an error.
    ///
    /// The token must name this key's user. [`KeyPrefix::key_of_token`](crate::KeyPrefix::key_of_token) gets the key
    /// from the token.
    fn session_validate(key: impl ToSingleRedisArg, token: impl ToSingleRedisArg, options: &ValidateOptions)
        -> Validation, by replies::validation
    {
        cmd("SESSION.VALIDATE").arg(key).arg(token).arg(options).take()
    }

    /// `SESSION.TOUCH`: checks a token as `SESSION.VALIDATE` does and, if it is good, records the use of the session,
    /// which restarts its idle timeout. Send it for each request of a user.
    fn session_touch(key: impl ToSingleRedisArg, token: impl ToSingleRedisArg, options: &ValidateOptions)
        -> Validation, by replies::validation
    {
        cmd("SESSION.TOUCH").arg(key).arg(token).arg(options).take()
    }

    /// `SESSION.VALIDATE` with `ID`: whether the session with this id is alive, for frameworks that hold ids and not tokens.
    /// It changes nothing.
    ///
    /// Lists of devices and logs show ids. So the id must not be the secret in a cookie: use the SHA-256 of the secret
    /// as [`CreateOptions::id`]. You cannot combine it with [`ValidateOptions::audience`] or
    /// [`ValidateOptions::stateless`]: the error is [`Invalid`](crate::SessionErrorCode::Invalid).
    fn session_validate_id(key: impl ToSingleRedisArg, id: impl ToSingleRedisArg, options: &ValidateOptions)
        -> Validation, by replies::validation
    {
        cmd("SESSION.VALIDATE").arg(key).arg("ID").arg(id).arg(options).take()
    }

    /// `SESSION.TOUCH` with `ID`: as [`session_validate_id`], and records the use of the session, which restarts its
    /// idle timeout.
    fn session_touch_id(key: impl ToSingleRedisArg, id: impl ToSingleRedisArg, options: &ValidateOptions)
        -> Validation, by replies::validation
    {
        cmd("SESSION.TOUCH").arg(key).arg("ID").arg(id).arg(options).take()
    }

    /// `SESSION.REFRESH`: exchanges a refresh token for new tokens of the same session, with the next refresh token. It
    /// counts as a use of the session. An old access token is good until it expires.
    ///
    /// Use a refresh token once. For `session.refresh-grace` after that, the same token returns the same new tokens, so
    /// a client that asks twice at once, or misses the reply, need not log in again. After the grace, or after its
    /// successor was used, the server takes it for stolen: the session ends, and the answer is [`Grant::Refused`] for
    /// [`Reason::Reused`](crate::Reason::Reused) (RFC 9700 section 4.14.2).
    ///
    /// [`KeyPrefix::key_of_token`](crate::KeyPrefix::key_of_token) gets the key from a refresh token too.
    fn session_refresh(key: impl ToSingleRedisArg, refresh_token: impl ToSingleRedisArg, options: &RefreshOptions)
        -> Grant, by tokens::grant
    {
        cmd("SESSION.REFRESH").arg(key).arg(refresh_token).arg(options).arg("JSON").take()
    }

    /// `SESSION.REGENERATE`: gives the session with this id or access token a new id and new tokens, because the user
    /// has signed in again, and the values of the options. The old id and tokens are dead at once. Use it for another
    /// factor, after you asked for the password again, and when the user's rights change: an attacker who knows the old
    /// token gets nothing.
    ///
    /// ```no_run
    /// use redis_session::{RegenerateOptions, SessionCommands};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let mut redis = redis::Client::open("redis://127.0.0.1/")?.get_connection()?;
    /// # let token = "";
    /// // The second factor was right.
    /// let session = redis.session_regenerate("sessions:42", token, &RegenerateOptions::new().level(2))?.into_result()?;
    /// # Ok(())
    /// # }
    /// ```
    fn session_regenerate(
        key: impl ToSingleRedisArg,
        id_or_token: impl ToSingleRedisArg,
        options: &RegenerateOptions
    ) -> Grant, by tokens::grant {
        cmd("SESSION.REGENERATE").arg(key).arg(id_or_token).arg(options).arg("JSON").take()
    }

    /// `SESSION.GET`: the live session with this id, if it exists.
    fn session_get(key: impl ToSingleRedisArg, id: impl ToSingleRedisArg)
        -> Option<Session>, by replies::session_if_any
    {
        cmd("SESSION.GET").arg(key).arg(id).arg("JSON").take()
    }

    /// `SESSION.LIST`: the user's live sessions, the newest first, up to a thousand.
    fn session_list(key: impl ToSingleRedisArg) -> Vec<Session>, by redis::from_redis_value {
        cmd("SESSION.LIST").arg(key).arg("JSON").take()
    }

    /// `SESSION.LIST` with `LIMIT`: a page of the user's live sessions, newest first: `count` of them, 1 to 1000, after
    /// the first `offset`.
    fn session_list_page(key: impl ToSingleRedisArg, offset: u64, count: u64) -> Vec<Session>, by redis::from_redis_value {
        cmd("SESSION.LIST").arg(key).arg("LIMIT").arg(offset).arg(count).arg("JSON").take()
    }

    /// `SESSION.LIST` with `ENDED`: the user's ended sessions with their reasons, as long as the server remembers them;
    /// the latest end first, up to a thousand.
    fn session_list_ended(key: impl ToSingleRedisArg) -> Vec<EndedSession>, by redis::from_redis_value {
        cmd("SESSION.LIST").arg(key).arg("ENDED").arg("JSON").take()
    }

    /// `SESSION.COUNT`: how many live sessions the user has.
    fn session_count(key: impl ToSingleRedisArg) -> u64, by replies::count {
        cmd("SESSION.COUNT").arg(key).take()
    }

    /// `SESSION.TTL`: the remaining time of the session with this id, to the millisecond. `None` if there is no such
    /// live session.
    fn session_ttl(key: impl ToSingleRedisArg, id: impl ToSingleRedisArg)
        -> Option<Duration>, by replies::time_left
    {
        cmd("SESSION.TTL").arg(key).arg(id).take()
    }

    /// `SESSION.SET`: sets fields of the session with this id, given as pairs of name and value, and keeps its others.
    /// Returns how many it set.
    ///
    /// The error is [`NoSession`](crate::SessionErrorCode::NoSession) if there is no such live session: a late write
    /// never creates one. It is [`Invalid`](crate::SessionErrorCode::Invalid) if there are no pairs, a field comes
    /// twice, or the session would have more data than `session.max-data-bytes` or more fields than
    /// `session.max-fields`.
    ///
    /// ```no_run
    /// use std::collections::HashMap;
    /// use redis_session::SessionCommands;
    ///
    /// # fn main() -> redis::RedisResult<()> {
    /// # let mut redis = redis::Client::open("redis://127.0.0.1/")?.get_connection()?;
    /// # let id = "";
    /// redis.session_set("sessions:42", id, [("cart", "18"), ("theme", "dark")])?;
    /// redis.session_set("sessions:42", id, [("visits", 7)])?;
    /// let fields = HashMap::from([("cart", b"\xff\0")]);
    /// redis.session_set("sessions:42", id, &fields)?;
    /// # Ok(())
    /// # }
    /// ```
    fn session_set(
        key: impl ToSingleRedisArg,
        id: impl ToSingleRedisArg,
        fields: impl IntoIterator<Item = (impl ToSingleRedisArg, impl ToSingleRedisArg)>
    ) -> u64, by replies::count {
        set(cmd("SESSION.SET").arg(key).arg(id).take(), None, fields)
    }

    /// `SESSION.SET` with `VERSION`: as [`session_set`], if the session's data still has this version, which
    /// [`Session::version`](crate::Session::version) contains. So clients that read, change and write the same fields
    /// do not undo each other's changes.
    ///
    /// The error is [`Conflict`](crate::SessionErrorCode::Conflict) if the data has changed; then nothing is set, and
    /// you read again. The other errors are those of [`session_set`].
    ///
    /// ```no_run
    /// use redis_session::{SessionCommands, SessionErrorCode};
    ///
    /// # fn main() -> redis::RedisResult<()> {
    /// # let mut redis = redis::Client::open("redis://127.0.0.1/")?.get_connection()?;
    /// # let id = "";
    /// while let Some(session) = redis.session_get("sessions:42", id)? {
    ///     let cart = format!("{},book", session.data.text("cart").unwrap_or_default());
    ///     match redis.session_set_version("sessions:42", id, session.version, [("cart", cart)]) {
    ///         Err(error) if SessionErrorCode::of(&error) == Some(SessionErrorCode::Conflict) => {} // once more
    ///         done => return done.map(drop),
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    fn session_set_version(
        key: impl ToSingleRedisArg,
        id: impl ToSingleRedisArg,
        version: u64,
        fields: impl IntoIterator<Item = (impl ToSingleRedisArg, impl ToSingleRedisArg)>
    ) -> u64, by replies::count {
        set(cmd("SESSION.SET").arg(key).arg(id).take(), Some(version), fields)
    }

    /// `SESSION.INCRBY`: adds to a field of the session with this id, and returns the sum. The field must be a decimal
    /// number of 64 bits. A missing field counts as 0.
    ///
    /// The error is [`NoSession`](crate::SessionErrorCode::NoSession) if there is no such live session, and
    /// [`Invalid`](crate::SessionErrorCode::Invalid) if the field is not such a number, or the sum is too large.
    fn session_incrby(
        key: impl ToSingleRedisArg,
        id: impl ToSingleRedisArg,
        field: impl ToSingleRedisArg,
        by: i64
    ) -> i64, by replies::integer {
        cmd("SESSION.INCRBY").arg(key).arg(id).arg(field).arg(by).take()
    }

    /// `SESSION.UNSET`: removes the fields with these names, one or a slice of them, from the session with this id.
    /// Returns how many existed.
    ///
    /// The error is [`NoSession`](crate::SessionErrorCode::NoSession) if there is no such live session, and
    /// [`Invalid`](crate::SessionErrorCode::Invalid) if there are no names or one comes twice.
    fn session_unset(key: impl ToSingleRedisArg, id: impl ToSingleRedisArg, fields: impl ToRedisArgs)
        -> u64, by replies::count
    {
        cmd("SESSION.UNSET").arg(key).arg(id).arg(fields).take()
    }

    /// `SESSION.REVOKE`: logs out the sessions with these ids or tokens, one or a slice of them. Returns how many were
    /// alive until now. 0 is success too (RFC 7009 section 2.2).
    ///
    /// The server refuses an empty slice and one of more than 1,000, with the error
    /// [`Invalid`](crate::SessionErrorCode::Invalid).
    fn session_revoke(key: impl ToSingleRedisArg, ids_or_tokens: impl ToRedisArgs) -> u64, by replies::count {
        cmd("SESSION.REVOKE").arg(key).arg(ids_or_tokens).take()
    }

    /// `SESSION.REVOKEUSER`: logs the user out everywhere. All earlier tokens are dead. The user can log in again at
    /// once. Returns how many sessions were alive.
    fn session_revoke_user(key: impl ToSingleRedisArg) -> u64, by replies::count {
        cmd("SESSION.REVOKEUSER").arg(key).take()
    }

    /// `SESSION.DENY`: denies the JWTs of this user with this id as their `sid` or `jti`, until the last of them
    /// expires: `until` is the latest `exp`. A live session with this id ends. Returns whether this changed anything.
    ///
    /// Use it if you have an id and no token. [`SessionCommands::session_revoke`] takes the token itself.
    ///
    /// ```no_run
    /// use std::time::{Duration, SystemTime};
    /// use redis_session::SessionCommands;
    ///
    /// # fn main() -> redis::RedisResult<()> {
    /// # let mut redis = redis::Client::open("redis://127.0.0.1/")?.get_connection()?;
    /// // The issuer's tokens live for an hour.
    /// let until = SystemTime::now() + Duration::from_secs(3600);
    /// redis.session_deny("sessions:42", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6", until)?;
    /// # Ok(())
    /// # }
    /// ```
    fn session_deny(key: impl ToSingleRedisArg, id: impl ToSingleRedisArg, until: SystemTime)
        -> bool, by replies::truth
    {
        cmd("SESSION.DENY").arg(key).arg(id).arg("UNTIL").arg(unix_millis(until)).take()
    }

    /// `SESSION.DENY` with `ISS`: as [`session_deny`], for the tokens of another issuer. `issuer` is their `iss`, and
    /// `id` the `sid` (or else the `jti`) as that issuer writes it. Use it for the issuer's [back-channel
    /// logout](https://openid.net/specs/openid-connect-backchannel-1_0.html).
    ///
    /// ```no_run
    /// use std::time::{Duration, SystemTime};
    /// use redis_session::SessionCommands;
    ///
    /// # fn main() -> redis::RedisResult<()> {
    /// # let mut redis = redis::Client::open("redis://127.0.0.1/")?.get_connection()?;
    /// // The logout token was good: it has this `iss`, `sub` and `sid`. The issuer's tokens live for a day.
    /// let (iss, sub, sid) = ("https://id.example.com/", "42", "08a5019c-17e1-4977-8f42-65a12843ea02");
    /// let until = SystemTime::now() + Duration::from_secs(86_400);
    /// redis.session_deny_of_issuer(format!("sessions:{sub}"), sid, until, iss)?;
    /// # Ok(())
    /// # }
    /// ```
    fn session_deny_of_issuer(
        key: impl ToSingleRedisArg,
        id: impl ToSingleRedisArg,
        until: SystemTime,
        issuer: impl ToSingleRedisArg
    ) -> bool, by replies::truth {
        cmd("SESSION.DENY").arg(key).arg(id).arg("UNTIL").arg(unix_millis(until)).arg("ISS").arg(issuer).take()
    }

    /// `SESSION.REVOKEALL`: logs out all users of this server and its replicas. All earlier sessions and tokens are
    /// dead, JWTs of other issuers included. Users can log in again at once. Returns the cutoff: everything from before
    /// is dead.
    ///
    /// On a cluster it concerns the users of one primary. Send it to each, with
    /// [`route_command`](https://docs.rs/redis/latest/redis/cluster/struct.ClusterConnection.html#method.route_command).
    fn session_revoke_all() -> Timestamp, by replies::time {
        cmd("SESSION.REVOKEALL")
    }

    /// `SESSION.REVOKEALL` with `BEFORE`: revokes what began before this moment. If the moment is in the future, logins
    /// until then are dead too. If an earlier call set a later moment, that one stays.
    fn session_revoke_all_before(before: SystemTime) -> Timestamp, by replies::time {
        cmd("SESSION.REVOKEALL").arg("BEFORE").arg(unix_millis(before)).take()
    }

    /// `SESSION.REVOKEALL` with `CLEAR`: takes back a moment in the future that
    /// [`SessionCommands::session_revoke_all_before`] has set. Everything revoked until now stays dead.
    fn session_revoke_all_clear() -> Timestamp, by replies::time {
        cmd("SESSION.REVOKEALL").arg("CLEAR").take()
    }

    /// `SESSION.STATS`: what this server stores, and what has happened since it started, by name. A newer server may
    /// have more names. On a cluster it is the answer of one node.
    fn session_stats() -> BTreeMap<String, u64>, by redis::from_redis_value {
        cmd("SESSION.STATS")
    }

    /// `SESSION.KEYS`: the keys that sign and verify tokens on this server, without their secrets. On a cluster it is the
    /// answer of one node.
    fn session_keys() -> KeyRing, by keys::key_ring {
        cmd("SESSION.KEYS").arg("JSON").take()
    }

    /// `SESSION.JWKS`: the public keys that check the JWTs made on this server, as a JWK Set (RFC 7517 section 5) to
    /// serve at `/.well-known/jwks.json`. Secret keys are left out. On a cluster it is the answer of one node.
    fn session_jwks() -> String, by replies::text {
        cmd("SESSION.JWKS")
    }

    /// `SESSION.JWKS` with `ALL`: every public key that this server checks JWTs with, including those of other issuers.
    /// The server refuses tokens that none of them has signed, so you can refuse those before they cost the server
    /// anything.
    fn session_jwks_all() -> String, by replies::text {
        cmd("SESSION.JWKS").arg("ALL").take()
    }

    /// `SESSION.RELOADKEYS`: reads `session.keys-file` and `session.issuers-file` again. Returns the keys in use after
    /// that.
    ///
    /// The error is [`Invalid`](crate::SessionErrorCode::Invalid) if a file cannot be used; then all keys stay the
    /// same. It concerns one server: send it to each replica and each node of a cluster, with
    /// [`route_command`](https://docs.rs/redis/latest/redis/cluster/struct.ClusterConnection.html#method.route_command).
    fn session_reload_keys() -> KeyRing, by keys::key_ring {
        cmd("SESSION.RELOADKEYS").arg("JSON").take()
    }

    /// `SESSION.REVOKEUSER` with `EXCEPT`: logs the user out everywhere except in the session with this id or token, as
    /// after a change of password. Returns how many other sessions were alive.
    fn session_revoke_others(key: impl ToSingleRedisArg, id_or_token: impl ToSingleRedisArg)
        -> u64, by replies::count
    {
        cmd("SESSION.REVOKEUSER").arg(key).arg("EXCEPT").arg(id_or_token).take()
    }
}

/// Adds fields to a `SESSION.SET`.
fn set(
    mut command: Cmd,
    version: Option<u64>,
    fields: impl IntoIterator<Item = (impl ToSingleRedisArg, impl ToSingleRedisArg)>,
) -> Cmd {
    let mut fields = fields.into_iter().peekable();
    let is_version = |field: &_| ToRedisArgs::to_redis_args(field)[..].concat().eq_ignore_ascii_case(b"version");
    match version {
        Some(version) => drop(command.arg("VERSION").arg(version)),
        // Before the option, the server would take a first field of this name for the option. After it, it is a field.
        None if fields.peek().is_some_and(|(field, _)| is_version(field)) => drop(command.arg("VERSION").arg("*")),
        None => {}
    }
    for (field, value) in fields {
        command.arg(field).arg(value);
    }
    command
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::testing::{Scripted, array, json, text};

    /// Runs one command through a connection of each kind. Returns the command as sent, and the reply as read.
    macro_rules! run {
        ($reply:expr, $method:ident($($arg:expr),*)) => {{
            let reply = $reply;
            let mut connection = Scripted::new(reply.clone());
            let read = SessionCommands::$method(&mut connection, $($arg),*).unwrap();
            assert_eq!(connection.asked, $method($($arg),*).get_packed_command());
            #[cfg(feature = "aio")]
            {
                let mut connection = Scripted::new(reply);
                assert_eq!(at_once(AsyncSessionCommands::$method(&mut connection, $($arg),*)).unwrap(), read);
                assert_eq!(connection.asked, $method($($arg),*).get_packed_command());
            }
            (words(&connection.asked), read)
        }};
    }

    /// The result of a future that never waits and that can move between threads.
    #[cfg(feature = "aio")]
    fn at_once<T>(future: impl Future<Output = T> + Send) -> T {
        use std::task::{Context, Poll, Waker};
        match std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => output,
            Poll::Pending => panic!("it waits"),
        }
    }

    fn words(packed: &[u8]) -> String {
        let Value::Array(words) = redis::parse_redis_value(packed).unwrap() else { panic!("no command") };
        let words = words.into_iter().map(|word| redis::from_redis_value::<String>(word).unwrap());
        words.collect::<Vec<_>>().join(" ")
    }

    const SESSION: &str = r#"{"id":"one","user":"42","created_at":1,"last_seen_at":1,"expires_at":1,"version":0,
        "auth_time":1}"#;

    #[test]
    fn create_sends_its_options_behind_the_key() {
        let reply = json(r#"{"id":"one","expires_at":1,"token":"a.b.c"}"#);
        let options = CreateOptions::new().ttl(Duration::from_secs(60)).ip(Ipv4Addr::LOCALHOST);
        let (sent, created) = run!(reply.clone(), session_create("sessions:42", &options));
        assert_eq!(sent, "SESSION.CREATE sessions:42 TTL 60 IP 127.0.0.1 JSON");
        assert_eq!(created.token.as_deref(), Some("a.b.c"));
        assert_eq!(run!(reply, session_create(b"k", &CreateOptions::new())).0, "SESSION.CREATE k JSON");
    }

    #[test]
    fn validate_and_touch_send_the_token_and_then_their_options() {
        let reply = json(r#"{"active":false,"reason":"revoked"}"#);
        let options = ValidateOptions::new().audience("api").full();
        let (sent, validation) = run!(reply.clone(), session_validate("sessions:42", "a.b.c", &options));
        assert_eq!(sent, "SESSION.VALIDATE sessions:42 a.b.c AUD api FULL JSON");
        assert_eq!(*validation.reason().unwrap(), crate::Reason::Revoked);
        let (sent, _) = run!(reply, session_touch("sessions:42", "a.b.c", &ValidateOptions::new()));
        assert_eq!(sent, "SESSION.TOUCH sessions:42 a.b.c BRIEF");
        let active = Value::Int(1_790_000_000_000);
        let (sent, validation) =
            run!(active.clone(), session_validate_id("sessions:42", "one", &ValidateOptions::new()));
        assert_eq!(sent, "SESSION.VALIDATE sessions:42 ID one BRIEF");
        assert_eq!(validation.active().unwrap().expires_at.unix_secs(), 1_790_000_000);
        let (sent, _) = run!(active, session_touch_id("sessions:42", "one", &ValidateOptions::new().full()));
        assert_eq!(sent, "SESSION.TOUCH sessions:42 ID one FULL JSON");
    }

    #[test]
    fn set_sends_a_version_or_keeps_a_field_of_that_name_from_being_one() {
        let (sent, count) = run!(Value::Int(1), session_set_version("k", "one", 7, [("cart", 18)]));
        assert_eq!((sent.as_str(), count), ("SESSION.SET k one VERSION 7 cart 18", 1));
        let (sent, _) = run!(Value::Int(2), session_set("k", "one", [("Version", 1), ("cart", 2)]));
        assert_eq!(sent, "SESSION.SET k one VERSION * Version 1 cart 2");
        let (sent, _) = run!(Value::Int(2), session_set("k", "one", [("cart", 2), ("version", 1)]));
        assert_eq!(sent, "SESSION.SET k one cart 2 version 1");
        let (sent, sum) = run!(Value::Int(-3), session_incrby("k", "one", "visits", -5));
        assert_eq!((sent.as_str(), sum), ("SESSION.INCRBY k one visits -5", -3));
    }

    #[test]
    fn register_sends_the_jwt_before_its_options() {
        let reply = json(r#"{"id":"one","expires_at":1,"token":null}"#);
        let options = CreateOptions::new().agent("Firefox").refreshable();
        let (sent, grant) = run!(reply.clone(), session_register("sessions:42", "a.b.c", &options));
        assert_eq!(sent, "SESSION.CREATE sessions:42 FROM a.b.c AGENT Firefox REFRESH 0 JSON");
        assert_eq!(grant.granted().unwrap().token, None);
        let refused = json(r#"{"active":false,"reason":"signature"}"#);
        let (sent, grant) = run!(refused, session_register("k", b"a.b.c", &CreateOptions::new()));
        assert_eq!(sent, "SESSION.CREATE k FROM a.b.c JSON");
        assert_eq!(*grant.reason().unwrap(), crate::Reason::Signature);
    }

    #[test]
    fn refresh_and_regenerate_send_a_credential_and_get_tokens_or_a_refusal() {
        let granted = json(r#"{"id":"one","expires_at":1,"refresh_token":"rsr1.y"}"#);
        let refused = json(r#"{"active":false,"reason":"reused"}"#);
        let options = RefreshOptions::new().ip(Ipv4Addr::LOCALHOST).device("d");
        let (sent, grant) = run!(granted.clone(), session_refresh("sessions:42", "rsr1.x", &options));
        assert_eq!(sent, "SESSION.REFRESH sessions:42 rsr1.x IP 127.0.0.1 DEVICE d JSON");
        assert_eq!(grant.granted().unwrap().refresh_token.as_deref(), Some("rsr1.y"));
        let (sent, grant) = run!(refused.clone(), session_refresh("sessions:42", "rsr1.x", &RefreshOptions::new()));
        assert_eq!(sent, "SESSION.REFRESH sessions:42 rsr1.x JSON");
        assert_eq!(*grant.reason().unwrap(), crate::Reason::Reused);

        let (sent, grant) =
            run!(granted, session_regenerate("sessions:42", "a.b.c", &RegenerateOptions::new().level(2)));
        assert_eq!((sent.as_str(), grant.is_granted()), ("SESSION.REGENERATE sessions:42 a.b.c LEVEL 2 JSON", true));
        assert!(!run!(refused, session_regenerate("sessions:42", "one", &RegenerateOptions::new())).1.is_granted());
    }

    #[test]
    fn set_takes_pairs_of_any_kind() {
        use std::collections::BTreeMap;

        let (sent, fields) =
            run!(Value::Int(2), session_set("sessions:42", "one", [("cart", "18"), ("theme", "dark")]));
        assert_eq!((sent.as_str(), fields), ("SESSION.SET sessions:42 one cart 18 theme dark", 2));
        let map = BTreeMap::from([("cart".to_owned(), 18_u64), ("visits".to_owned(), 7)]);
        let sent = "SESSION.SET sessions:42 one cart 18 visits 7";
        assert_eq!(run!(Value::Int(2), session_set("sessions:42", "one", &map)).0, sent);
        assert_eq!(run!(Value::Int(2), session_set("sessions:42", "one", map.clone())).0, sent);
        assert_eq!(run!(Value::Int(2), session_set("sessions:42", "one", vec![("cart", 18), ("visits", 7)])).0, sent);
        let none = <[(&str, &str); 0]>::default();
        assert_eq!(run!(Value::Int(0), session_set("sessions:42", "one", none)).0, "SESSION.SET sessions:42 one");
    }

    #[test]
    fn set_sends_names_and_values_as_the_bytes_they_are() {
        let command = session_set("k", "one", [(&b"\xff"[..], vec![0, b'\r', b'\n'])]);
        let args: Vec<_> = command.args_iter().collect();
        assert_eq!(args[3..], [redis::Arg::Simple(&b"\xff"[..]), redis::Arg::Simple(b"\0\r\n")]);
    }

    #[test]
    fn unset_takes_one_or_many() {
        let (sent, fields) = run!(Value::Int(1), session_unset("sessions:42", "one", "cart"));
        assert_eq!((sent.as_str(), fields), ("SESSION.UNSET sessions:42 one cart", 1));
        let (sent, fields) = run!(Value::Int(0), session_unset("sessions:42", "one", &["cart", "theme"]));
        assert_eq!((sent.as_str(), fields), ("SESSION.UNSET sessions:42 one cart theme", 0));
    }

    #[test]
    fn get_list_count_and_ttl_ask_for_a_user_or_a_session() {
        let (sent, session) = run!(json(SESSION), session_get("sessions:42", "one"));
        assert_eq!((sent.as_str(), session.unwrap().id.as_str()), ("SESSION.GET sessions:42 one JSON", "one"));
        assert_eq!(run!(Value::Nil, session_get("sessions:42", "two")).1, None);

        let (sent, sessions) = run!(json(&format!("[{SESSION}]")), session_list("sessions:42"));
        assert_eq!((sent.as_str(), sessions.len()), ("SESSION.LIST sessions:42 JSON", 1));

        let (sent, page) = run!(json(&format!("[{SESSION}]")), session_list_page("sessions:42", 10, 5));
        assert_eq!((sent.as_str(), page.len()), ("SESSION.LIST sessions:42 LIMIT 10 5 JSON", 1));
        let end = json(r#"[{"id":"one","reason":"idle","ended_at":1,"remembered_until":2}]"#);
        let (sent, ended) = run!(end, session_list_ended("sessions:42"));
        assert_eq!(sent, "SESSION.LIST sessions:42 ENDED JSON");
        assert_eq!((ended[0].id.as_str(), &ended[0].reason), ("one", &crate::Reason::Idle.into()));

        let (sent, count) = run!(Value::Int(3), session_count("sessions:42"));
        assert_eq!((sent.as_str(), count), ("SESSION.COUNT sessions:42", 3));

        let (sent, left) = run!(Value::Int(1500), session_ttl("sessions:42", "one"));
        assert_eq!((sent.as_str(), left), ("SESSION.TTL sessions:42 one", Some(Duration::from_millis(1500))));
    }

    #[test]
    fn revoke_takes_one_or_many() {
        let (sent, revoked) = run!(Value::Int(2), session_revoke("sessions:42", &["one", "a.b.c"]));
        assert_eq!((sent.as_str(), revoked), ("SESSION.REVOKE sessions:42 one a.b.c", 2));
        let ids = vec!["one".to_owned(), "two".to_owned()];
        assert_eq!(run!(Value::Int(0), session_revoke("sessions:42", &ids)).0, "SESSION.REVOKE sessions:42 one two");
        assert_eq!(run!(Value::Int(1), session_revoke("sessions:42", "one")).0, "SESSION.REVOKE sessions:42 one");
    }

    #[test]
    fn revoking_all_can_spare_one() {
        assert_eq!(run!(Value::Int(2), session_revoke_user("sessions:42")).0, "SESSION.REVOKEUSER sessions:42");
        let (sent, revoked) = run!(Value::Int(1), session_revoke_others("sessions:42", "one"));
        assert_eq!((sent.as_str(), revoked), ("SESSION.REVOKEUSER sessions:42 EXCEPT one", 1));
    }

    #[test]
    fn denying_says_until_when_in_milliseconds() {
        let until = SystemTime::UNIX_EPOCH + Duration::from_micros(1_790_000_000_000_001);
        let (sent, denied) = run!(Value::Int(1), session_deny("sessions:42", "one", until));
        assert_eq!((sent.as_str(), denied), ("SESSION.DENY sessions:42 one UNTIL 1790000000001", true));
        let (sent, denied) = run!(Value::Int(0), session_deny("k", b"one", SystemTime::UNIX_EPOCH));
        assert_eq!((sent.as_str(), denied), ("SESSION.DENY k one UNTIL 0", false));
        let (sent, denied) = run!(Value::Int(1), session_deny_of_issuer("k", "one", until, "https://id.example"));
        assert_eq!((sent.as_str(), denied), ("SESSION.DENY k one UNTIL 1790000000001 ISS https://id.example", true));
    }

    #[test]
    fn keys_are_published_as_text_and_reloaded_as_a_ring() {
        let (sent, set) = run!(text(r#"{"keys":[]}"#), session_jwks());
        assert_eq!((sent.as_str(), set.as_str()), ("SESSION.JWKS", r#"{"keys":[]}"#));
        assert_eq!(run!(text("{}"), session_jwks_all()).0, "SESSION.JWKS ALL");
        assert!(SessionCommands::session_jwks(&mut Scripted::new(Value::Nil)).is_err());
        let reply = json(r#"{"loaded_at":7,"keys":[]}"#);
        let (sent, ring) = run!(reply.clone(), session_reload_keys());
        assert_eq!((sent.as_str(), ring.loaded_at.unix_millis()), ("SESSION.RELOADKEYS JSON", 7));
        assert_eq!(run!(reply, session_keys()).0, "SESSION.KEYS JSON");
    }

    #[test]
    fn revoking_everyone_has_no_key_and_replies_a_moment() {
        let now = Value::Int(1_790_000_000_000);
        let (sent, before) = run!(now.clone(), session_revoke_all());
        assert_eq!((sent.as_str(), before.unix_millis()), ("SESSION.REVOKEALL", 1_790_000_000_000));
        let (sent, again) = run!(now.clone(), session_revoke_all_before(before.to_system_time()));
        assert_eq!((sent.as_str(), again), ("SESSION.REVOKEALL BEFORE 1790000000000", before));
        assert_eq!(run!(now, session_revoke_all_clear()).0, "SESSION.REVOKEALL CLEAR");
        let mut connection = Scripted::new(Value::Int(-1));
        assert!(SessionCommands::session_revoke_all(&mut connection).is_err());
    }

    #[test]
    fn a_reply_of_another_command_is_an_error() {
        let mut connection = Scripted::new(Value::Okay);
        assert!(connection.is_open());
        let error = SessionCommands::session_count(&mut connection, "sessions:42").unwrap_err();
        assert_eq!(error.kind(), redis::ErrorKind::Parse);
    }

    #[test]
    fn an_error_keeps_the_servers_code_and_text() {
        let mut connection = Scripted::wire("-SESSIONLIMIT the user has 3 sessions\r\n");
        let error = SessionCommands::session_create(&mut connection, "sessions:42", &CreateOptions::new()).unwrap_err();
        assert_eq!(error.kind(), redis::ErrorKind::Extension);
        assert_eq!((error.code(), error.detail()), (Some("SESSIONLIMIT"), Some("the user has 3 sessions")));
    }

    #[test]
    fn replies_are_read_in_a_pipeline_too() {
        let validation = text("idle");
        let mut connection = Scripted::new(array([validation, Value::Int(3)]));
        let (validation, devices): (Validation, u64) = redis::pipe()
            .add_command(session_touch("sessions:42", "a.b.c", &ValidateOptions::new()))
            .add_command(session_count("sessions:42"))
            .query(&mut connection)
            .unwrap();
        assert!(!validation.is_active());
        assert_eq!(devices, 3);
    }

    #[test]
    fn every_connection_has_the_commands() {
        fn sync<C: SessionCommands>() {}
        sync::<redis::Connection>();
        sync::<redis::Client>();
        #[cfg(feature = "aio")]
        {
            fn aio<C: AsyncSessionCommands>() {}
            aio::<redis::aio::MultiplexedConnection>();
        }
    }
}
