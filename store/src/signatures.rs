//! Refuses forged JWTs before Redis is asked.
//!
//! The check of a public-key signature takes 50 to 150 microseconds, and the server has one thread. So the store stops
//! a flood of tokens with bad signatures itself, with the server's public keys (`SESSION.JWKS ALL`).
//!
//! Outdated keys never refuse a good token. The store refuses a token only if the server has confirmed its keys after
//! the token came. Tokens that come during that question wait for the next answer, which is for all of them. So the
//! store asks at most once in [`PAUSE`], for any number of tokens.
//!
//! All this starts only after the server has refused a signature for the first time.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use redis::aio::ConnectionLike;
use redis_session::{AsyncSessionCommands as _, Inactive, Reason};
use redis_session_core::token::{IssuerKeys, KeyRing, Signature};
use tokio::sync::Mutex;

/// The shortest time between two questions for the server's keys.
const PAUSE: Duration = Duration::from_millis(100);

/// The same after the server did not answer, or does not permit the question.
const LONG_PAUSE: Duration = Duration::from_secs(10);

/// How many tokens with a valid signature are remembered.
const REMEMBERED: usize = 4096;

/// The server's public keys, as far as they are known. All clones of a store share this.
pub(crate) struct Signatures {
    known: RwLock<Option<Arc<Known>>>,
    /// Held by the call that asks the server.
    asked: Mutex<Option<Asked>>,
}

/// The last question to the server.
#[derive(Clone, Copy)]
struct Asked {
    /// Before the question was sent.
    at: Instant,
    has_answered: bool,
}

/// Public keys, and some tokens that one of them has signed.
struct Known {
    set: String,
    ring: KeyRing,
    /// Hashes of tokens with a valid signature, each in the place that its hash names. After a collision the store asks
    /// Redis about a forged token, which Redis refuses.
    right: Box<[AtomicU64]>,
    hasher: RandomState,
}

impl Known {
    /// `None` if the set has keys that cannot be used here. Then nothing is known about tokens that name none of the
    /// others.
    fn new(set: String) -> Option<Self> {
        let ring = KeyRing::of_issuer(set.as_bytes(), IssuerKeys::default()).ok()?;
        if ring.ignored().len() > 0 {
            return None;
        }
        let remembered = if ring.keys().len() == 0 { 1 } else { REMEMBERED };
        let right = (0..remembered).map(|_| AtomicU64::new(0)).collect();
        Some(Self { set, ring, right, hasher: RandomState::new() })
    }

    fn signature(&self, token: &str) -> Signature {
        let hash = self.hasher.hash_one(token).max(1);
        let place = usize::try_from(hash).ok().and_then(|hash| self.right.get(hash.checked_rem(self.right.len())?));
        if place.is_some_and(|place| place.load(Ordering::Relaxed) == hash) {
            return Signature::Right;
        }
        let signature = Signature::of(token.as_bytes(), &self.ring);
        if let (Signature::Right, Some(place)) = (signature, place) {
            place.store(hash, Ordering::Relaxed);
        }
        signature
    }
}

impl Signatures {
    pub(crate) fn new() -> Self {
        Self { known: RwLock::new(None), asked: Mutex::new(None) }
    }

    /// Refuses a JWT that none of the server's keys can have signed, as the server would.
    pub(crate) async fn refuse_forged<C>(&self, connection: &mut C, token: &str) -> Result<(), Inactive>
    where
        C: ConnectionLike + Send,
    {
        let came_at = Instant::now();
        let Some(known) = self.known() else { return Ok(()) };
        if known.signature(token) != Signature::Wrong {
            return Ok(());
        }
        match self.ask(connection, came_at).await {
            Some(known) if known.signature(token) == Signature::Wrong => Err(Reason::Signature.into()),
            _ => Ok(()),
        }
    }

    /// Learns the server's keys, if the server has refused the signature of this token and this crate could have done
    /// so.
    pub(crate) async fn learn<C>(&self, connection: &mut C, token: &str, inactive: &Inactive)
    where
        C: ConnectionLike + Send,
    {
        if inactive.reason != Reason::Signature {
            return;
        }
        let tells = match self.known() {
            Some(known) => known.signature(token),
            None => KeyRing::of_issuer(br#"{"keys":[]}"#, IssuerKeys::default())
                .map_or(Signature::Other, |none| Signature::of(token.as_bytes(), &none)),
        };
        // If another call is asking, this one does not wait for it.
        let Ok(mut asked) = self.asked.try_lock() else { return };
        let is_soon = asked.is_some_and(|asked| asked.at.elapsed() < asked.pause());
        if tells == Signature::Unknown && !is_soon {
            self.ask_now(connection, &mut asked).await;
        }
    }

    fn known(&self) -> Option<Arc<Known>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The server's answer about its keys, asked after this moment, if it answers.
    async fn ask<C>(&self, connection: &mut C, moment: Instant) -> Option<Arc<Known>>
    where
        C: ConnectionLike + Send,
    {
        let mut asked = self.asked.lock().await;
        if let Some(last) = *asked {
            if last.at >= moment {
                return if last.has_answered { self.known() } else { None };
            }
            let since = last.at.elapsed();
            if !last.has_answered && since < LONG_PAUSE {
                return None;
            }
            tokio::time::sleep(PAUSE.saturating_sub(since)).await;
        }
        self.ask_now(connection, &mut asked).await
    }

    async fn ask_now<C>(&self, connection: &mut C, asked: &mut Option<Asked>) -> Option<Arc<Known>>
    where
        C: ConnectionLike + Send,
    {
        let at = Instant::now();
        // No answer yet, in case this future is dropped while it waits for one.
        *asked = Some(Asked { at, has_answered: false });
        let set = connection.session_jwks_all().await.ok()?;
        *asked = Some(Asked { at, has_answered: true });
        let known = self.known().filter(|known| known.set == set).or_else(|| Known::new(set).map(Arc::new));
        self.known.write().unwrap_or_else(PoisonError::into_inner).clone_from(&known);
        known
    }
}

impl Asked {
    fn pause(self) -> Duration {
        if self.has_answered { PAUSE } else { LONG_PAUSE }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SET: &str = r#"{"keys":[{"kid":"1","use":"sig","alg":"EdDSA","crv":"Ed25519","kty":"OKP",
        "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    /// RFC 8037 appendix A.4, whose header names no key.
    const GOOD: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.\
        hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

    #[test]
    fn right_signatures_are_remembered_and_others_are_not() {
        let known = Known::new(SET.to_owned()).unwrap();
        let remembered = || known.right.iter().filter(|place| place.load(Ordering::Relaxed) != 0).count();
        let forged = GOOD.replace("hgyY0il", "hgyY0im");
        assert_eq!((known.signature(&forged), remembered()), (Signature::Wrong, 0));
        assert_eq!((known.signature(GOOD), remembered()), (Signature::Right, 1));
        assert_eq!((known.signature(GOOD), known.signature(&forged)), (Signature::Right, Signature::Wrong));
        assert_eq!((known.signature("rst1.NDI.AA.AA"), remembered()), (Signature::Other, 1));
    }

    #[test]
    fn a_set_with_a_key_that_cannot_be_used_says_nothing() {
        assert!(Known::new(SET.replace("Ed25519", "Ed448")).is_none());
        assert!(Known::new("{}".to_owned()).is_none());
        assert!(Known::new(r#"{"keys":[]}"#.to_owned()).is_some_and(|none| none.right.len() == 1));
    }
}
