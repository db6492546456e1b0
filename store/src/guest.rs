//! Guests who become users.

use redis::aio::ConnectionLike;
use redis_session::Created;

use crate::authenticated::Assurance;
use crate::error::StoreError;
use crate::id;
use crate::login::{Login, Visitor};
use crate::store::{SessionStore, is_taken};

impl<C: ConnectionLike + Clone + Send + Sync> SessionStore<C> {
    /// Logs a guest in as a user: the user's new session takes along what is kept with the guest's session, which ends. What
    /// `login` brings itself counts, where both have a field. Where the guest's session has ended, this is a
    /// [`login`](Self::login) without its data.
    ///
    /// ```no_run
    /// # use redis_session_store::{Login, SessionStore, StoreError, Visitor};
    /// # async fn example(
    /// #     sessions: SessionStore<redis::aio::MultiplexedConnection>, visitor: &Visitor,
    /// # ) -> Result<(), StoreError> {
    /// // Somebody fills a cart before logging in.
    /// let guest = sessions.login(&Login::guest()?.visitor(visitor)).await?;
    /// let guest_token = guest.token.expect("a token");
    ///
    /// // The password of user 42 was right.
    /// let login = Login::new("42").visitor(visitor).level(1);
    /// let user = sessions.promote(&guest_token, &login).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// A guest's session is one of a user of its own, so it counts for nobody's limit, and nobody else's tokens reach it.
    /// The new session has a new id and new tokens: one that somebody planted before the login is worth nothing after it.
    ///
    /// # What a crash leaves
    ///
    /// The two sessions are under two keys, which no one command can change. So this is done in order:
    ///
    /// 1. The guest's session is read.
    /// 2. The user's session begins, with the data, under an id that follows from the guest's session and the user.
    /// 3. The guest's session is revoked.
    ///
    /// A crash before the second step leaves the guest's session as it was. One between the second and the third leaves both,
    /// and the tokens of the user's session are lost. The browser still has the guest's token, so the user logs in once more:
    /// that finds the id taken and the guest's session alive, and begins the session again in the place of the lost one. In the
    /// end there is one session with the data, and none of the guest's. What begins after the third step takes no data along
    /// any more. A change that another request makes to the guest's data between the first and the third step may be lost.
    ///
    /// # Errors
    /// As [`SessionStore::login`]: call this again with the same arguments. [`StoreError::Data`] if the guest's data were
    /// sealed with a key that is not known.
    pub async fn promote(&self, guest_token: &str, login: &Login) -> Result<Created, StoreError> {
        let guest = match self.without_demands().ask(guest_token, &Visitor::new(), false).await {
            Ok(guest) if guest.assurance == Assurance::Session => guest,
            Ok(_) | Err(StoreError::Refused(_)) => return self.login(login).await,
            Err(error) => return Err(error),
        };
        let Some(session) = self.session(&guest.user, &guest.id).await? else { return self.login(login).await };
        let fields = self.opened(&guest.user, &guest.id, &session.data)?;
        let taking = login.taking_over(id::promoted(&guest.user, &guest.id, &login.user), fields);
        let created = match self.create(&taking).await {
            Err(StoreError::Redis(error)) if is_taken(&error) => {
                // An earlier try crashed, or another one is under way; or that one is done by now, and its session in use.
                if self.session(&guest.user, &guest.id).await?.is_none() {
                    return self.login(login).await;
                }
                self.create_again(&taking).await?
            }
            created => created?,
        };
        self.logout_session(&guest.user, &guest.id).await?;
        Ok(created)
    }
}
