//! Password hashes: argon2id, as the OWASP password storage cheat sheet recommends it (19 MiB, 2 passes, 1 lane).

use std::sync::Arc;
use std::thread;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

/// Hashes and compares on threads of their own, one for each processor at most: each hash takes 19 MiB.
#[derive(Clone)]
pub(crate) struct Passwords {
    turns: Arc<Semaphore>,
    /// A hash without a password, to compare with for names that nobody has, so that these take as long as others.
    nobody: Arc<str>,
}

#[derive(Debug, thiserror::Error)]
#[error("passwords: {0}")]
pub(crate) struct PasswordsError(String);

impl Passwords {
    pub(crate) fn new() -> Result<Self, PasswordsError> {
        let mut nobody = [0; 32];
        getrandom::fill(&mut nobody).map_err(|error| PasswordsError(error.to_string()))?;
        let turns = thread::available_parallelism().map_or(1, usize::from);
        Ok(Self { turns: Arc::new(Semaphore::new(turns)), nobody: hash(&nobody)?.into() })
    }

    pub(crate) async fn hash(&self, password: String) -> Result<String, PasswordsError> {
        self.run(move || hash(password.as_bytes())).await?
    }

    /// Whether this is the password with that hash. Without a hash it is not, after the same time.
    pub(crate) async fn is(&self, password: String, expected: Option<&str>) -> Result<bool, PasswordsError> {
        let somebody = expected.is_some();
        let expected = expected.unwrap_or(&self.nobody).to_owned();
        let right = self.run(move || {
            let expected = PasswordHash::new(&expected).map_err(|error| PasswordsError(error.to_string()))?;
            Ok(argon2()?.verify_password(password.as_bytes(), &expected).is_ok())
        });
        Ok(right.await?? && somebody)
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, PasswordsError> {
        let _turn = self.turns.acquire().await.map_err(|error| PasswordsError(error.to_string()))?;
        tokio::task::spawn_blocking(work).await.map_err(|error| PasswordsError(error.to_string()))
    }
}

fn argon2() -> Result<Argon2<'static>, PasswordsError> {
    let params = Params::new(19_456, 2, 1, None).map_err(|error| PasswordsError(error.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hash(password: &[u8]) -> Result<String, PasswordsError> {
    let hash = argon2()?.hash_password(password).map_err(|error| PasswordsError(error.to_string()))?;
    Ok(hash.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_itself_alone() {
        let passwords = Passwords::new().unwrap();
        let hash = passwords.hash("correct horse".into()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(passwords.is("correct horse".into(), Some(&hash)).await.unwrap());
        assert!(!passwords.is("Correct horse".into(), Some(&hash)).await.unwrap());
        assert_ne!(passwords.hash("correct horse".into()).await.unwrap(), hash, "each has a salt of its own");
    }

    #[tokio::test]
    async fn nobody_has_no_password_and_is_compared_all_the_same() {
        let passwords = Passwords::new().unwrap();
        assert!(passwords.nobody.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "as costly as anybody's");
        assert!(!passwords.is(String::new(), None).await.unwrap());
    }
}
