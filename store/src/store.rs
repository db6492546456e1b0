//! The store: logins, checks and logouts of an application.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::ConnectionLike;
use redis::{Cmd, IntoConnectionInfo, RedisResult};
use redis_session::commands::{session_revoke, session_revoke_others, session_revoke_user};
use redis_session::{
    ActiveSession, AsyncSessionCommands as _, Created, EndedSession, KeyPrefix, Reason, RegenerateOptions, Session,
    SessionData, SessionErrorCode, Validation, unverified_user,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::authenticated::{Assurance, Authenticated};
use crate::connect::ReconnectingConnection;
use crate::data;
use crate::error::DataError;
#[cfg(feature = "encryption")]
use crate::error::Resealing;
use crate::error::StoreError;
#[cfg(feature = "offline")]
use crate::error::takes_no_changes;
#[cfg(feature = "offline")]
use crate::local::LocalVerifier;
use crate::login::{Demand, Login, Visitor};
use crate::logouts::Logouts;
#[cfg(feature = "near-cache")]
use crate::near::{Near, NearCache, NearCacheFigures, Question};
use crate::pause::Pause;
use crate::policy::Policy;
#[cfg(feature = "encryption")]
use crate::seal::DataKeys;
#[cfg(feature = "signatures")]
use crate::signatures::Signatures;

/// Logins, checks and logouts of an application: one policy, over a connection that can be cloned.
///
/// ```no_run
/// use std::time::Duration;
/// use redis_session::CreateOptions;
/// use redis_session_store::{Login, Policy, SessionStore, StoreError, Visitor};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let redis = redis::Client::open("redis://127.0.0.1/")?.get_multiplexed_async_connection().await?;
/// let policy = Policy::new(CreateOptions::new().idle(Duration::from_secs(1800)));
/// let sessions = SessionStore::new(redis).policy(policy);
///
/// // The password was right.
/// let visitor = Visitor::new().agent("Firefox on Linux");
/// let login = sessions.login(&Login::new("42").visitor(&visitor)).await?;
/// let token = login.token.expect("there is one, unless the policy says otherwise");
///
/// // Each request.
/// match sessions.touch(&token, &visitor).await {
///     Ok(session) => println!("user {}", session.user),
///     Err(StoreError::Refused(inactive)) => println!("401, and for the log: {}", inactive.reason),
///     Err(error) => println!("503, and for the log: {error}"),
/// }
///
/// // Log out, here or everywhere.
/// sessions.logout(&token).await?;
/// sessions.logout_everywhere("42").await?;
/// # Ok(())
/// # }
/// ```
///
/// It is cheap to clone, and every method takes `&self`: keep one in the application's state. It works with every
/// asynchronous connection of the [`redis`] crate that can be cloned, including those to a cluster.
/// [`SessionStore::connect`] makes one that reconnects by itself. With Sentinel, give
/// [`SessionStore::reconnecting`] a [`ReconnectingConnection::from_fn`](crate::ReconnectingConnection::from_fn).
///
/// # When Redis is away
///
/// Nobody is let in: every method fails with [`StoreError::Unavailable`]. With the feature `offline`, a store with a
/// [`LocalVerifier`] checks JWTs itself meanwhile, and says so: see [`Assurance`].
///
/// # Forged tokens
///
/// A stranger's token costs the server most when it has to check a public-key signature. With the feature `signatures`,
/// a default, the store takes over this check once the server has refused a signature for the first time. It gets the
/// server's public keys (`SESSION.JWKS ALL`, which the Redis user must be allowed to send) and refuses tokens that none
/// of them has signed. From then on each JWT with such a signature costs this process the check, 50 to 150
/// microseconds, the first time it comes.
///
/// Before it refuses, the store asks the server whether its keys are still the same, at most ten times a second for all
/// waiting tokens. So you can change keys without telling the store, and outdated keys never refuse a good token. Redis
/// decides about all tokens that are not known to be forged.
#[derive(Clone)]
pub struct SessionStore<C> {
    connection: C,
    keys: KeyPrefix,
    policy: Arc<Policy>,
    demand: Demand,
    #[cfg(feature = "offline")]
    local: Option<Arc<LocalVerifier>>,
    #[cfg(feature = "signatures")]
    signatures: Arc<Signatures>,
    #[cfg(feature = "encryption")]
    data_keys: Option<Arc<DataKeys>>,
    #[cfg(feature = "near-cache")]
    near: Option<Arc<Near>>,
    /// Sends logouts, if they wait for a replica.
    logouts: Option<Arc<Logouts>>,
}

impl<C> fmt::Debug for SessionStore<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionStore").field("keys", &self.keys).field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl<C> SessionStore<C> {
    #[cfg(feature = "testing")]
    pub(crate) fn connection_itself(&self) -> &C {
        &self.connection
    }

    /// A store with the server's settings for everything, and its default key prefix. Its logouts do not wait for a replica:
    /// `WAIT` would delay the others on this connection. [`SessionStore::reconnecting`] makes a store that waits.
    pub fn new(connection: C) -> Self {
        Self {
            connection,
            keys: KeyPrefix::default(),
            policy: Arc::default(),
            demand: Demand::default(),
            #[cfg(feature = "offline")]
            local: None,
            #[cfg(feature = "signatures")]
            signatures: Arc::new(Signatures::new()),
            #[cfg(feature = "encryption")]
            data_keys: None,
            #[cfg(feature = "near-cache")]
            near: None,
            logouts: None,
        }
    }

    /// Sets how long sessions and tokens last, and how many sessions a user may have.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = Arc::new(policy);
        self
    }

    /// Sets the prefix and form of keys, if they are not `sessions:` and the user.
    #[must_use]
    pub fn keys(mut self, keys: KeyPrefix) -> Self {
        self.keys = keys;
        #[cfg(feature = "near-cache")]
        {
            // The remembered tokens belong to other keys now.
            self.near = self.near.map(|near| near.afresh());
        }
        self
    }

    /// A store whose checks demand a sign-in of at least this level: an Authenticator Assurance Level of NIST SP
    /// 800-63B, 1 to 3, which [`Login::level`] or [`RegenerateOptions::level`] set. A weaker sign-in is refused with
    /// [`Reason::Level`]: ask for another factor, then [`regenerate`](Self::regenerate) the session. Keep one such
    /// store for the routes that need it, and the ordinary one for the others.
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use redis_session_store::redis_session::{Reason, RegenerateOptions};
    /// use redis_session_store::{SessionStore, StoreError, Visitor};
    ///
    /// # async fn example(
    /// #     sessions: SessionStore<redis::aio::MultiplexedConnection>, token: &str,
    /// # ) -> Result<(), StoreError> {
    /// let payments = sessions.clone().require_level(2).require_sign_in_within(Duration::from_secs(900));
    /// match payments.touch(token, &Visitor::new()).await {
    ///     Ok(session) => println!("user {} may pay", session.user),
    ///     Err(StoreError::Refused(why)) if why.reason == Reason::Level || why.reason == Reason::Stale => {
    ///         // Ask for the second factor, and check it. Then:
    ///         let renewed = sessions.regenerate(token, &RegenerateOptions::new().level(2)).await?;
    ///         println!("a new cookie with {:?}", renewed.token_expires_at);
    ///     }
    ///     Err(error) => return Err(error),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// While Redis is away, such a store lets nobody in, even with [`when_away`](Self::when_away): only the session
    /// knows how its user signed in.
    #[must_use]
    pub fn require_level(mut self, level: u8) -> Self {
        self.demand.level = Some(level);
        self
    }

    /// A store whose checks demand a sign-in that is no older than `age`: a login, or a
    /// [`regenerate`](Self::regenerate) of the session. An earlier sign-in is refused with [`Reason::Stale`]: ask for
    /// the password again. Using a session does not make its sign-in more recent. See
    /// [`require_level`](Self::require_level).
    #[must_use]
    pub fn require_sign_in_within(mut self, age: Duration) -> Self {
        self.demand.max_age = Some(age);
        self
    }

    /// The level that [`require_level`](Self::require_level) demands.
    #[must_use]
    pub fn required_level(&self) -> Option<u8> {
        self.demand.level
    }

    /// The age that [`require_sign_in_within`](Self::require_sign_in_within) demands.
    #[must_use]
    pub fn required_sign_in_within(&self) -> Option<Duration> {
        self.demand.max_age
    }

    /// The figures of its near cache, if it has one.
    #[cfg(feature = "near-cache")]
    #[cfg_attr(docsrs, doc(cfg(feature = "near-cache")))]
    #[must_use]
    pub fn near_cache_figures(&self) -> Option<NearCacheFigures> {
        self.near.as_ref().map(|near| near.figures())
    }

    /// While Redis is away, let `verifier` decide whether a JWT is good. [`Assurance::TokenOnly`] lists the checks that
    /// it cannot make. While Redis answers but takes no changes, a [`touch`](SessionStore::touch) is a check that notes
    /// nothing.
    ///
    /// ```no_run
    /// use redis_session_store::{Assurance, LocalVerifier, SessionStore, Visitor};
    ///
    /// # async fn example(redis: redis::aio::MultiplexedConnection) -> Result<(), Box<dyn std::error::Error>> {
    /// let verifier = LocalVerifier::from_jwk_set(std::fs::read("issuer.json")?)?;
    /// let sessions = SessionStore::new(redis).when_away(verifier);
    /// # let token = "";
    /// let session = sessions.touch(token, &Visitor::new()).await?;
    /// let may_pay = session.assurance == Assurance::Session;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "offline")]
    #[cfg_attr(docsrs, doc(cfg(feature = "offline")))]
    #[must_use]
    pub fn when_away(mut self, verifier: LocalVerifier) -> Self {
        self.local = Some(Arc::new(verifier));
        self
    }

    /// Encrypt the data of sessions, so that Redis, its files and its replicas see only ciphertext of the values. The
    /// names of the fields and the lengths of the values stay readable: put nothing secret into a name (a map's keys
    /// are names), and pad values whose length gives them away.
    #[cfg(feature = "encryption")]
    #[cfg_attr(docsrs, doc(cfg(feature = "encryption")))]
    #[must_use]
    pub fn encrypt(mut self, keys: DataKeys) -> Self {
        self.data_keys = Some(Arc::new(keys));
        self
    }
}

impl<C: ConnectionLike + Clone + Send + Sync> SessionStore<C> {
    /// Logs a user in: a new session, and its tokens.
    ///
    /// If the reply is lost, nobody knows whether the session exists. So call this again with the same [`Login`]. It
    /// has an id for the session, so the server recognizes an earlier try and replaces its session with the new one.
    /// After any number of tries, the user has one more device.
    ///
    /// # Errors
    /// [`StoreError::Limit`] if the user is at the policy's limit of sessions and the policy refuses more,
    /// [`StoreError::Unavailable`] and [`StoreError::Redis`] as always.
    pub async fn login(&self, login: &Login) -> Result<Created, StoreError> {
        match self.create(login).await {
            // The id is random, so it can only be an earlier try of this login, or the same command, sent again by a
            // connection to a cluster.
            Err(StoreError::Redis(error)) if is_taken(&error) => self.create_again(login).await,
            created => created,
        }
    }

    /// Begins the session of this login.
    pub(crate) async fn create(&self, login: &Login) -> Result<Created, StoreError> {
        let id = login.id.as_deref().ok_or(DataError::Randomness)?;
        let mut options = login.options(&self.policy).id(id);
        for (name, value) in &login.fields {
            #[cfg(feature = "encryption")]
            if let Some(keys) = &self.data_keys {
                options = options.data(name.as_bytes(), keys.seal(&login.user, id, name, value)?);
                continue;
            }
            options = options.data(name.as_bytes(), value.as_slice());
        }
        let key = self.keys.key(&login.user);
        let _change = self.change(&key);
        Ok(self.connection().session_create(&key, &options).await?)
    }

    /// Replaces the session of an earlier try, whose tokens are lost. The list of devices must not show both.
    pub(crate) async fn create_again(&self, login: &Login) -> Result<Created, StoreError> {
        let id = login.id.as_deref().ok_or(DataError::Randomness)?;
        self.logout_session(&login.user, id).await?;
        self.create(login).await
    }

    /// Checks a token and its session, and changes nothing. Use it for requests that the user does not make, and on
    /// replicas.
    ///
    /// # Errors
    /// [`StoreError::Refused`] if the token is not good, with the reason, which is for the log and not for strangers.
    /// [`StoreError::Unavailable`] if Redis is away and there is no local verifier.
    pub async fn authenticate(&self, token: &str, visitor: &Visitor) -> Result<Arc<Authenticated>, StoreError> {
        self.check(token, visitor, false).await
    }

    /// Checks a token and its session, and notes that the session is in use, so that its idle timeout starts again. Use
    /// it for each request that the user makes.
    ///
    /// # Errors
    /// As [`SessionStore::authenticate`].
    pub async fn touch(&self, token: &str, visitor: &Visitor) -> Result<Arc<Authenticated>, StoreError> {
        self.check(token, visitor, true).await
    }

    async fn check(&self, token: &str, visitor: &Visitor, touches: bool) -> Result<Arc<Authenticated>, StoreError> {
        #[cfg(feature = "near-cache")]
        if let Some(near) = self.near()
            && let Some(answer) = near.recall(token, visitor, self.policy.details, touches)
        {
            return Ok(answer);
        }
        self.ask(token, visitor, touches).await
    }

    pub(crate) async fn ask(
        &self,
        token: &str,
        visitor: &Visitor,
        touches: bool,
    ) -> Result<Arc<Authenticated>, StoreError> {
        let user = user_of(token)?;
        let key = self.keys.key(&user);
        let mut connection = self.connection();
        #[cfg(feature = "signatures")]
        self.signatures.refuse_forged(&mut connection, token).await.map_err(StoreError::Refused)?;
        #[cfg(feature = "near-cache")]
        if let Some(near) = self.near() {
            let details = self.policy.details;
            let question = Question { key: &key, token, visitor, user: &user, details, touches };
            // Whatever is wrong with the near cache's connection, the other one may work.
            if let Ok(validation) = near.ask(question).await {
                return self.answer(user, token, validation).await;
            }
        }
        let options = visitor.check(self.policy.details, self.demand);
        let answer = match touches {
            true => connection.session_touch(&key, token, &options).await,
            false => connection.session_validate(&key, token, &options).await,
        };
        #[cfg(feature = "offline")]
        let answer = match answer {
            // The use of the session cannot be recorded, but Redis still knows better than the token whether it is
            // alive.
            Err(error) if touches && self.local.is_some() && takes_no_changes(&error) => {
                connection.session_validate(&key, token, &options).await
            }
            answer => answer,
        };
        match answer.map_err(StoreError::from) {
            Ok(validation) => self.answer(user, token, validation).await,
            // A token alone does not tell how strongly or recently its user has signed in.
            #[cfg(feature = "offline")]
            Err(error) if self.demand != Demand::default() => Err(error),
            #[cfg(feature = "offline")]
            Err(error @ (StoreError::Unavailable(_) | StoreError::ModuleMissing)) => match &self.local {
                Some(verifier) => {
                    verifier.verify(&user, token).map_err(StoreError::Refused)?.map(Arc::new).ok_or(error)
                }
                None => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    /// The server's answer about a token of this user.
    #[cfg_attr(not(feature = "signatures"), allow(clippy::unused_async))]
    async fn answer(
        &self,
        user: String,
        _token: &str,
        validation: Validation,
    ) -> Result<Arc<Authenticated>, StoreError> {
        match validation {
            Validation::Active(ActiveSession { id: Some(id), expires_at, details, .. }) => {
                let details = details.filter(|_| self.policy.details);
                Ok(Arc::new(Authenticated { user, id, expires_at, assurance: Assurance::Session, details }))
            }
            // A check always asks for the id.
            Validation::Active(_) => {
                let what = "the reply of a check has no id";
                Err(StoreError::Redis((redis::ErrorKind::UnexpectedReturnType, what).into()))
            }
            Validation::Inactive(inactive) => {
                #[cfg(feature = "signatures")]
                self.signatures.learn(&mut self.connection(), _token, &inactive).await;
                Err(StoreError::Refused(inactive))
            }
        }
    }

    /// Exchanges a refresh token for new tokens of the same session. Both must reach the user: after the few seconds of
    /// the server's grace, the old refresh token ends the session.
    ///
    /// ```no_run
    /// # use redis_session_store::{SessionStore, StoreError, Visitor};
    /// # async fn example(
    /// #     sessions: SessionStore<redis::aio::MultiplexedConnection>, refresh_token: &str, visitor: &Visitor,
    /// # ) -> Result<(), StoreError> {
    /// match sessions.refresh(refresh_token, visitor).await {
    ///     Ok(tokens) => println!("hand out both; the new refresh token ends {:?}", tokens.refresh_expires_at),
    ///     Err(StoreError::Refused(inactive)) => println!("401, log in again; for the log: {}", inactive.reason),
    ///     Err(error) => return Err(error),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`StoreError::Refused`] if the token is not good: the user must log in again. The reason `reused` means that the
    /// token was used before, so somebody may have stolen it, and the server has ended the session.
    pub async fn refresh(&self, refresh_token: &str, visitor: &Visitor) -> Result<Created, StoreError> {
        let key = self.keys.key(&user_of(refresh_token)?);
        let _change = self.change(&key);
        let grant = self.connection().session_refresh(&key, refresh_token, &visitor.refresh()).await?;
        grant.into_result().map_err(StoreError::Refused)
    }

    /// Gives the session of this access token a new id and new tokens, after the user has signed in again, with the
    /// same or another factor, or has got other rights. `options` can set a level and claims. The session's data stay.
    /// The new tokens must reach the user: the old ones are dead.
    ///
    /// Call it after the credentials were right, and never to keep a session going: it makes the sign-in recent.
    ///
    /// # Errors
    /// [`StoreError::Refused`] if the token is not good. With the feature `encryption`, a store that seals data fails with
    /// `StoreError::Resealing` if there are new tokens, but some data are still sealed for the old id; the tokens are in
    /// the error.
    pub async fn regenerate(&self, token: &str, options: &RegenerateOptions) -> Result<Created, StoreError> {
        let user = user_of(token)?;
        #[cfg(feature = "encryption")]
        if self.data_keys.is_some() {
            // The new tokens do not tell which id the data were sealed for.
            let old = self.without_demands().check(token, &Visitor::new(), false).await?;
            let created = self.exchange(&user, token, options).await?;
            return match self.reseal_twice(&user, &old.id, &created.id).await {
                // It has ended in the meantime, as a check of the new token will say.
                Ok(()) | Err(StoreError::NoSession) => Ok(created),
                Err(cause) => {
                    Err(StoreError::Resealing(Box::new(Resealing { created, user, old_id: old.id.clone(), cause })))
                }
            };
        }
        self.exchange(&user, token, options).await
    }

    async fn exchange(&self, user: &str, token: &str, options: &RegenerateOptions) -> Result<Created, StoreError> {
        let mut connection = self.connection();
        #[cfg(feature = "signatures")]
        self.signatures.refuse_forged(&mut connection, token).await.map_err(StoreError::Refused)?;
        let key = self.keys.key(user);
        let _change = self.change(&key);
        let grant = connection.session_regenerate(&key, token, options).await?;
        grant.into_result().map_err(StoreError::Refused)
    }

    /// Seals the data of a session for its new id, if they are still sealed for its old one. Call it after
    /// [`StoreError::Resealing`]. A second call changes nothing.
    ///
    /// Until it has succeeded, [`SessionStore::data`] fails for the old fields. Fields that are set or removed in the
    /// meantime stay so, even during the call.
    ///
    /// `old_id` decides whose data are accepted, so take it from the error, never from a request.
    ///
    /// # Errors
    /// [`StoreError::NoSession`] if no live session has the new id, [`StoreError::Data`] if a field opens for neither id;
    /// then all others have been sealed for the new one.
    #[cfg(feature = "encryption")]
    #[cfg_attr(docsrs, doc(cfg(feature = "encryption")))]
    pub async fn reseal(&self, user: &str, old_id: &str, new_id: &str) -> Result<(), StoreError> {
        let Some(keys) = &self.data_keys else { return Ok(()) };
        let mut pause = Pause::default();
        loop {
            let session = self.session(user, new_id).await?.ok_or(StoreError::NoSession)?;
            let (fields, unopened) = keys.reopen(user, old_id, new_id, &session.data);
            if self.put_if(user, new_id, session.version, fields).await? {
                return unopened.map_or(Ok(()), |error| Err(error.into()));
            }
            pause.take().await;
        }
    }

    /// Tries once more if Redis was away: the next connection may work.
    #[cfg(feature = "encryption")]
    async fn reseal_twice(&self, user: &str, old_id: &str, new_id: &str) -> Result<(), StoreError> {
        match self.reseal(user, old_id, new_id).await {
            Err(StoreError::Unavailable(_)) => self.reseal(user, old_id, new_id).await,
            done => done,
        }
    }

    /// Logs out the session of this token, and returns whether the session was alive. The token may be of any kind, and
    /// may have expired. A dead session is a success too (RFC 7009 section 2.2), and so is a text that is no token.
    ///
    /// It waits until a replica has it, as [`wait_for_replica`](SessionStore::wait_for_replica) says.
    ///
    /// # Errors
    /// If Redis is away, or refuses.
    pub async fn logout(&self, token: &str) -> Result<bool, StoreError> {
        let Some(user) = unverified_user(token) else { return Ok(false) };
        #[cfg(feature = "signatures")]
        if self.signatures.refuse_forged(&mut self.connection(), token).await.is_err() {
            return Ok(false);
        }
        self.logout_session(&user, token).await
    }

    /// Logs out one of a user's sessions by its id, such as another device, and returns whether it was alive.
    ///
    /// # Errors
    /// As [`SessionStore::logout`]. [`StoreError::Redis`] if the text cannot be an id.
    pub async fn logout_session(&self, user: &str, id: &str) -> Result<bool, StoreError> {
        let key = self.keys.key(user);
        let _change = self.change(&key);
        Ok(self.end(session_revoke(&key, id)).await? > 0)
    }

    /// Logs a user out everywhere, and returns the number of sessions that ended. No earlier token is good any more.
    ///
    /// # Errors
    /// As [`SessionStore::logout`].
    pub async fn logout_everywhere(&self, user: &str) -> Result<u64, StoreError> {
        let key = self.keys.key(user);
        let _change = self.change(&key);
        self.end(session_revoke_user(&key)).await
    }

    /// Logs a user out everywhere except in the session with this id or token, as after a change of password. Returns
    /// the number of sessions that ended.
    ///
    /// ```no_run
    /// # use redis_session_store::redis_session::RegenerateOptions;
    /// # use redis_session_store::{SessionStore, StoreError, Visitor};
    /// # async fn example(
    /// #     sessions: SessionStore<redis::aio::MultiplexedConnection>, token: &str,
    /// # ) -> Result<(), StoreError> {
    /// // The password was changed. Nobody who knew the old one stays, and the old token of this session goes too.
    /// let session = sessions.authenticate(token, &Visitor::new()).await?;
    /// let renewed = sessions.regenerate(token, &RegenerateOptions::new()).await?;
    /// sessions.logout_others(&session.user, &renewed.id).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`SessionStore::logout`]. [`StoreError::Redis`] if the token is not one of this user: then no session ends.
    pub async fn logout_others(&self, user: &str, id_or_token: &str) -> Result<u64, StoreError> {
        let key = self.keys.key(user);
        let _change = self.change(&key);
        self.end(session_revoke_others(&key, id_or_token)).await
    }

    /// Sends a command that ends sessions, and returns how many.
    async fn end(&self, logout: Cmd) -> Result<u64, StoreError> {
        if let Some(logouts) = &self.logouts {
            match logouts.send(&logout).await.map_err(StoreError::from) {
                // That connection is seldom used, and may have ended meanwhile. A logout can be sent twice.
                Err(StoreError::Unavailable(_)) => {}
                done => return done,
            }
        }
        Ok(logout.query_async(&mut self.connection()).await?)
    }

    /// The user's live sessions, the newest first, up to a thousand.
    ///
    /// ```no_run
    /// # use redis_session_store::{SessionStore, StoreError, Visitor};
    /// # async fn example(
    /// #     sessions: SessionStore<redis::aio::MultiplexedConnection>, user: &str, this_id: &str,
    /// # ) -> Result<(), StoreError> {
    /// for session in sessions.devices(user).await? {
    ///     let this = if session.id == this_id { "(this one)" } else { "" };
    ///     println!("{} {:?} {:?} {this}", session.id, session.agent, session.ip);
    /// }
    /// // One of them, by its id, as a form sent it: it is looked for among this user's alone.
    /// # let id = "";
    /// sessions.logout_session(user, id).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If Redis is away, or refuses.
    pub async fn devices(&self, user: &str) -> Result<Vec<Session>, StoreError> {
        Ok(self.connection().session_list(self.keys.key(user)).await?)
    }

    /// The user's ended sessions, each with the reason, the last to end first, for as long as the server remembers
    /// them. [`logout_everywhere`](Self::logout_everywhere) makes it forget all earlier ones.
    ///
    /// # Errors
    /// If Redis is away, or refuses.
    pub async fn ended(&self, user: &str) -> Result<Vec<EndedSession>, StoreError> {
        Ok(self.connection().session_list_ended(self.keys.key(user)).await?)
    }

    /// The number of a user's live sessions.
    ///
    /// # Errors
    /// If Redis is away, or refuses.
    pub async fn count(&self, user: &str) -> Result<u64, StoreError> {
        Ok(self.connection().session_count(self.keys.key(user)).await?)
    }

    /// A live session, if there is one with this id.
    ///
    /// # Errors
    /// If Redis is away, or refuses.
    pub async fn session(&self, user: &str, id: &str) -> Result<Option<Session>, StoreError> {
        Ok(self.connection().session_get(self.keys.key(user), id).await?)
    }

    /// The application's data of a live session: its fields as the fields of `T`. `None` if there is no such live
    /// session.
    ///
    /// Each field of `T` is a field of the session, with JSON as its value. A value that is not JSON, as `SESSION.SET`
    /// may have written it, is read as a string.
    ///
    /// ```no_run
    /// # use redis_session_store::{SessionStore, StoreError};
    /// # async fn example(
    /// #     sessions: SessionStore<redis::aio::MultiplexedConnection>, user: &str, id: &str,
    /// # ) -> Result<(), StoreError> {
    /// #[derive(Default, serde::Serialize, serde::Deserialize)]
    /// #[serde(default)]
    /// struct Cart {
    ///     items: Vec<String>,
    ///     coupon: Option<String>,
    /// }
    ///
    /// let items = sessions.update_data(user, id, |cart: &mut Cart| {
    ///     cart.items.push("a book".into());
    ///     cart.items.len()
    /// });
    /// println!("{} items", items.await?);
    /// let cart: Option<Cart> = sessions.data(user, id).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`StoreError::Data`] if the fields are not those of a `T`, or are sealed with an unknown key.
    pub async fn data<T: DeserializeOwned>(&self, user: &str, id: &str) -> Result<Option<T>, StoreError> {
        let Some(session) = self.session(user, id).await? else { return Ok(None) };
        Ok(Some(data::read(self.opened(user, id, &session.data)?)?))
    }

    /// The fields in plain.
    #[cfg_attr(not(feature = "encryption"), allow(clippy::unused_self))]
    pub(crate) fn opened(&self, _user: &str, _id: &str, data: &SessionData) -> Result<data::Fields, DataError> {
        #[cfg(feature = "encryption")]
        if let Some(keys) = &self.data_keys {
            return keys.open_all(_user, _id, data);
        }
        data::plain(data)
    }

    /// Changes the application's data of a live session: reads it, calls `change`, and writes the fields that differ.
    /// If somebody else changes the session's data in between, it starts over, so no change is lost: it may call
    /// `change` several times, with random pauses in between. Fields that `T` does not have stay. Returns the result of
    /// the last call.
    ///
    /// [`SessionStore::data`] has an example.
    ///
    /// # Errors
    /// [`StoreError::NoSession`] if there is no such live session, [`StoreError::Data`] as for [`SessionStore::data`] and
    /// [`SessionStore::set_data`].
    pub async fn update_data<T: DeserializeOwned + Serialize, R: Send>(
        &self,
        user: &str,
        id: &str,
        mut change: impl FnMut(&mut T) -> R + Send,
    ) -> Result<R, StoreError> {
        let mut pause = Pause::default();
        loop {
            let session = self.session(user, id).await?.ok_or(StoreError::NoSession)?;
            let before = self.opened(user, id, &session.data)?;
            let (answer, fields) = {
                let mut data: T = data::read(before.clone())?;
                (change(&mut data), data::write(&data)?)
            };
            let changed = fields.into_iter().filter(|field| !before.contains(field)).collect();
            if self.put_if(user, id, session.version, changed).await? {
                return Ok(answer);
            }
            pause.take().await;
        }
    }

    /// Sets fields of a live session: those of `data`, a struct or a map with names. Its other fields stay, and a
    /// session that has ended is not brought back.
    ///
    /// # Errors
    /// [`StoreError::NoSession`] if there is no such live session, [`StoreError::Data`] if `data` has no named fields.
    pub async fn set_data<T: Serialize + Sync + ?Sized>(
        &self,
        user: &str,
        id: &str,
        data: &T,
    ) -> Result<(), StoreError> {
        self.put(user, id, data::write(data)?).await
    }

    /// Removes fields of a live session, and returns how many of them existed.
    ///
    /// # Errors
    /// [`StoreError::NoSession`] if there is no such live session.
    pub async fn remove_data(&self, user: &str, id: &str, fields: &[&str]) -> Result<u64, StoreError> {
        if fields.is_empty() {
            return Ok(0);
        }
        let key = self.keys.key(user);
        let _change = self.change(&key);
        Ok(self.connection().session_unset(&key, id, fields).await?)
    }

    async fn put(&self, user: &str, id: &str, fields: data::Fields) -> Result<(), StoreError> {
        if fields.is_empty() {
            return Ok(());
        }
        let fields = self.sealed(user, id, fields)?;
        let key = self.keys.key(user);
        let _change = self.change(&key);
        self.connection().session_set(&key, id, fields).await?;
        Ok(())
    }

    /// The same if the data has this version still; whether it has.
    async fn put_if(&self, user: &str, id: &str, version: u64, fields: data::Fields) -> Result<bool, StoreError> {
        if fields.is_empty() {
            return Ok(true);
        }
        let fields = self.sealed(user, id, fields)?;
        let key = self.keys.key(user);
        let _change = self.change(&key);
        match self.connection().session_set_version(&key, id, version, fields).await {
            Err(error) if SessionErrorCode::of(&error) == Some(SessionErrorCode::Conflict) => Ok(false),
            done => Ok(done.map(|_| true)?),
        }
    }

    /// The fields as Redis stores them.
    #[cfg_attr(not(feature = "encryption"), allow(clippy::unused_self, clippy::unnecessary_wraps))]
    fn sealed(&self, _user: &str, _id: &str, fields: data::Fields) -> Result<data::Fields, DataError> {
        #[cfg(feature = "encryption")]
        if let Some(keys) = &self.data_keys {
            let seal =
                |(name, value): (String, Vec<u8>)| keys.seal(_user, _id, &name, &value).map(|sealed| (name, sealed));
            return fields.into_iter().map(seal).collect();
        }
        Ok(fields)
    }

    /// The same store, for a check that is itself part of a sign-in.
    pub(crate) fn without_demands(&self) -> Self {
        Self { demand: Demand::default(), ..self.clone() }
    }

    fn connection(&self) -> C {
        self.connection.clone()
    }

    /// A local answer in place of Redis. The sign-in of the user is always asked of Redis.
    #[cfg(feature = "near-cache")]
    fn near(&self) -> Option<&Arc<Near>> {
        self.near.as_ref().filter(|_| self.demand == Demand::default())
    }

    /// Hold it while this key changes.
    #[cfg(feature = "near-cache")]
    fn change<'a>(&'a self, key: &'a str) -> Change<'a> {
        Change { near: self.near.as_deref(), key }
    }

    /// Without a near cache nothing is remembered.
    #[cfg(not(feature = "near-cache"))]
    #[allow(clippy::unused_self)]
    fn change(&self, _key: &str) {}
}

impl SessionStore<ReconnectingConnection> {
    /// A store over one [`ReconnectingConnection`] to the server at this URL, shared by all clones. Redis need not be
    /// there yet: until it is, every call fails with [`StoreError::Unavailable`].
    ///
    /// ```no_run
    /// use redis_session_store::SessionStore;
    ///
    /// # fn example() -> redis::RedisResult<()> {
    /// let sessions = SessionStore::connect("redis://app:change-me@127.0.0.1:6379/")?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Its methods must be called within a Tokio runtime. By Sentinel: [`SessionStore::reconnecting`].
    ///
    /// # Errors
    /// If the text is not a URL.
    pub fn connect(url: impl IntoConnectionInfo) -> RedisResult<Self> {
        ReconnectingConnection::new(url).map(Self::reconnecting)
    }

    /// A store over this connection, as to the primary that Sentinel names. Its logouts wait for a replica: see
    /// [`wait_for_replica`](Self::wait_for_replica).
    #[must_use]
    pub fn reconnecting(connection: ReconnectingConnection) -> Self {
        Self::new(connection).wait_for_replica(Duration::from_millis(100))
    }

    /// Sets how long a logout waits until a replica has it, if the primary has replicas: 100 ms by default, at most half a
    /// second. Zero: not at all.
    ///
    /// A failover to a replica that has not received a logout undoes it. So a logout goes over a second connection, with
    /// `ROLE`, and then with `WAIT 1`, which usually takes as long as the way to the replica and back. The Redis user needs
    /// both commands: without `ROLE`, nothing waits and nothing is counted. If no replica has it in time, the logout holds on the primary all the same, the call succeeds, and
    /// [`unreplicated_logouts`](Self::unreplicated_logouts) counts it. For five seconds after that no logout waits.
    ///
    /// Where there are several replicas, another than the one that has the logout may become the primary: `docs/operations.md`
    /// says what else there is against that.
    #[must_use]
    pub fn wait_for_replica(mut self, patience: Duration) -> Self {
        self.logouts = (!patience.is_zero()).then(|| Arc::new(Logouts::new(self.connection.another(), patience)));
        self
    }

    /// How many logouts of this store and its clones no replica had in time.
    #[must_use]
    pub fn unreplicated_logouts(&self) -> u64 {
        self.logouts.as_ref().map_or(0, |logouts| logouts.unreplicated())
    }
}

#[cfg(feature = "near-cache")]
#[cfg_attr(docsrs, doc(cfg(feature = "near-cache")))]
impl SessionStore<ReconnectingConnection> {
    /// Answers checks from memory while Redis would give the same answer: see [`NearCache`] for its guarantees. All
    /// clones share it.
    ///
    /// It opens a connection of its own, with RESP3, in the same way as the store's other one. If your function finds
    /// the server by Sentinel, it must ask for RESP3, as in [the example](crate#connections).
    #[must_use]
    pub fn near_cache(mut self, settings: NearCache) -> Self {
        self.near = Some(Near::new(settings, self.connection.clone()));
        self
    }
}

#[cfg(feature = "cluster")]
#[cfg_attr(docsrs, doc(cfg(feature = "cluster")))]
impl<C> SessionStore<C> {
    /// As [`near_cache`](SessionStore::near_cache), for a store on a connection to a cluster. `nodes` are some of the
    /// cluster's nodes; the near cache learns of the others from them. Their user, password and certificates are for
    /// all nodes.
    ///
    /// It has a connection of its own to each primary, with RESP3.
    ///
    /// ```no_run
    /// use redis::cluster::ClusterClient;
    /// use redis_session_store::{NearCache, SessionStore};
    ///
    /// # async fn example() -> redis::RedisResult<()> {
    /// let nodes = ["redis://app:change-me@10.0.0.1/", "redis://app:change-me@10.0.0.2/"];
    /// let cluster = ClusterClient::new(nodes)?.get_async_connection().await?;
    /// let sessions = SessionStore::new(cluster).near_cache_of_cluster(NearCache::new(), nodes)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If a text is no URL, or there are no nodes.
    pub fn near_cache_of_cluster<N: IntoConnectionInfo>(
        mut self,
        settings: NearCache,
        nodes: impl IntoIterator<Item = N>,
    ) -> RedisResult<Self> {
        let nodes = nodes.into_iter().map(N::into_connection_info).collect::<RedisResult<Vec<_>>>()?;
        if nodes.is_empty() {
            return Err((redis::ErrorKind::InvalidClientConfig, "a near cache must know a node of the cluster").into());
        }
        self.near = Some(Near::of_cluster(settings, nodes));
        Ok(self)
    }
}

/// Guards the change of a key. When it ends, however it ends, everything remembered of the key is dropped: if the
/// answer was lost, nobody knows whether the change was made.
#[cfg(feature = "near-cache")]
struct Change<'a> {
    near: Option<&'a Near>,
    key: &'a str,
}

#[cfg(feature = "near-cache")]
impl Drop for Change<'_> {
    fn drop(&mut self) {
        if let Some(near) = self.near {
            near.forget(self.key);
        }
    }
}

/// Whether a live session has the id.
pub(crate) fn is_taken(error: &redis::RedisError) -> bool {
    SessionErrorCode::of(error) == Some(SessionErrorCode::SessionExists)
}

/// The user that a token names. A text without one is not a token.
fn user_of(token: &str) -> Result<String, StoreError> {
    unverified_user(token).ok_or_else(|| StoreError::Refused(Reason::Malformed.into()))
}
