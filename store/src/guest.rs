//! Guests who become users.

use redis::aio::ConnectionLike;
use redis_session::Created;

use crate::authenticated::Assurance;
use crate::error::StoreError;
use crate::id;
use crate::login::{Login, Visitor};
use crate::store::{SessionStore, is_taken};

impl<C: ConnectionLike + Clone + Send + Sync> SessionStore<C> {
    /// Logs a guest in as a user. The user's new session takes over the data of the guest's session, which ends. Where
    /// both have a field, the one of `login` counts. If the guest's session has already ended, this is a
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
    /// Each guest has a user of its own. So the guest's session counts towards nobody's limit, and no one else's tokens
    /// reach it. The new session has a new id and new tokens, so a token that an attacker planted before the login is
    /// worthless after it.
    ///
    /// # What a crash leaves
    ///
    /// The two sessions are under two keys, and no single command can change both. So the store takes three steps:
    ///
    /// Read the guest's session.
    /// Begin the user's session with the data, under an id derived from the guest's session and the user.
    /// Revoke the guest's session.
    ///
    /// A crash before the second step leaves the guest's session unchanged. A crash between the second and the third
    /// leaves both, and loses the tokens of the user's session. The browser still has the guest's token, so the user
    /// logs in once more. That login finds the id taken and the guest's session alive, and replaces the lost session.
    /// So in the end there is one session with the data, and the guest's has ended. A login after the third step takes
    /// over no data. If another request changes the guest's data between the first and the third step, the change may
    /// be lost.
    ///
    /// # Errors
    /// As [`SessionStore::login`]: call this again with the same arguments. [`StoreError::Data`] if the guest's data
    /// were sealed with an unknown key.
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
                // An earlier try crashed, or another one is in progress. If that one has finished by now, its session
                // is in use.
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
