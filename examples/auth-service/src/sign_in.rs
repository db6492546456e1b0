//! From a name and a password to a session.

use redis_session::Created;
use redis_session_store::{Login, Visitor};
use redis_session_web::Session;
use serde::Deserialize;

use crate::accounts::Account;
use crate::app::{App, Sessions};
use crate::audit;
use crate::problem::Problem;

/// What somebody signs in with.
#[derive(Deserialize)]
pub(crate) struct Credentials {
    pub(crate) name: String,
    pub(crate) password: String,
}

/// NIST SP 800-63B section 3.1.1.2: long, any characters, no rules about them; and OWASP: bounded.
const PASSWORD_CHARS: std::ops::RangeInclusive<usize> = 12..=256;

pub(crate) const NAME_RULE: &str = "A name has 1 to 32 letters, digits, dots, dashes and underscores.";
pub(crate) const PASSWORD_RULE: &str = "A password has at least 12 characters, and at most 256.";

impl Credentials {
    /// The name as accounts have it: letters count the same whatever their case. What cannot be a name is nobody's.
    fn account_name(&self) -> Option<String> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        let name = self.name.trim();
        let fits = (1..=32).contains(&name.len()) && name.chars().all(is_plain);
        fits.then(|| name.to_ascii_lowercase())
    }
}

/// Makes an account, without signing in.
pub(crate) async fn register(app: &App, visitor: &Visitor, credentials: Credentials) -> Result<String, Problem> {
    let name = credentials.account_name().ok_or(Problem::Invalid(NAME_RULE))?;
    check_new_password(&credentials.password)?;
    // Hashing is dear, so this is limited as attempts to sign in are.
    if let Some(wait) = app.attempts.at_address(visitor.known_ip()).await? {
        return Err(Problem::TooManyAttempts { wait });
    }
    let hash = app.passwords.hash(credentials.password).await?;
    let user = app.accounts.add(&name, hash).await?;
    audit::registered(&user, &name, visitor);
    Ok(user)
}

/// Begins a session in `sessions`, whose policy says what it is like.
pub(crate) async fn sign_in(
    app: &App,
    sessions: &Sessions,
    visitor: &Visitor,
    credentials: Credentials,
    remember: bool,
) -> Result<(Account, Created), Problem> {
    let name = credentials.account_name();
    let account = check_password(app, visitor, name.as_deref(), credentials.password).await?;
    let login = Login::new(&account.id).visitor(visitor).remember(remember);
    let created = sessions.login(&login).await?;
    // The password may have been changed, and all other sessions ended, between the check and the login.
    let now = app.accounts.by_id(&account.id).await?;
    if now.is_none_or(|now| now.password != account.password) {
        sessions.logout_session(&account.id, &created.id).await?;
        return Err(Problem::WrongPassword);
    }
    Ok((account, created))
}

/// The account with this name and password. Counted before it is looked at, so that requests that come at once cannot
/// pass a limit.
async fn check_password(
    app: &App,
    visitor: &Visitor,
    name: Option<&str>,
    password: String,
) -> Result<Account, Problem> {
    let account = match name {
        Some(name) => app.accounts.by_name(name).await?,
        None => None,
    };
    let mut wait = app.attempts.at_address(visitor.known_ip()).await?;
    if let (None, Some(name)) = (wait, name) {
        wait = app.attempts.on_account(name).await?;
    }
    if let Some(wait) = wait {
        audit::not_signed_in("too many attempts", account.as_ref(), visitor);
        return Err(Problem::TooManyAttempts { wait });
    }
    let expected = account.as_ref().map(|account| account.password.as_str());
    let right = app.passwords.is(password, expected).await?;
    match account {
        Some(account) if right => {
            app.attempts.forget_account(&account.name).await?;
            Ok(account)
        }
        account => {
            let why = if account.is_some() { "wrong password" } else { "no such account" };
            audit::not_signed_in(why, account.as_ref(), visitor);
            Err(Problem::WrongPassword)
        }
    }
}

/// Changes the password and ends the user's other sessions; says how many.
pub(crate) async fn change_password(
    app: &App,
    session: &Session,
    visitor: &Visitor,
    current: String,
    new: String,
) -> Result<u64, Problem> {
    check_new_password(&new)?;
    let account = app.accounts.by_id(&session.user).await?.ok_or(Problem::SignedOut)?;
    let account = check_password(app, visitor, Some(&account.name), current).await?;
    let hash = app.passwords.hash(new).await?;
    // In this order: a login with the old password either is there to be ended, or sees the new hash.
    app.accounts.set_password(&account, hash).await?;
    match app.sessions.logout_others(&session.user, session.token()).await {
        Ok(ended) => {
            audit::done("Password changed, other sessions ended", &session.user, &session.id, ended, visitor);
            Ok(ended)
        }
        Err(error) => {
            audit::done("Password changed, other sessions NOT ended", &session.user, &session.id, 0, visitor);
            Err(error.into())
        }
    }
}

fn check_new_password(password: &str) -> Result<(), Problem> {
    match PASSWORD_CHARS.contains(&password.chars().count()) {
        true => Ok(()),
        false => Err(Problem::Invalid(PASSWORD_RULE)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_same_in_any_case_and_has_no_odd_characters() {
        let name = |name: &str| Credentials { name: name.into(), password: String::new() }.account_name();
        assert_eq!(name(" Ada.Lovelace-1_ "), Some("ada.lovelace-1_".into()));
        for bad in ["", "  ", "a b", "a:b", "a\nb", "ä", "a/b", "{ada}", &"x".repeat(33)] {
            assert_eq!(name(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_password_is_long_and_bounded_and_otherwise_free() {
        for good in ["twelve chars", "ääääääääääää", &"x".repeat(256)] {
            assert!(check_new_password(good).is_ok(), "{good}");
        }
        for bad in ["", "eleven char", &"x".repeat(257)] {
            assert!(check_new_password(bad).is_err(), "{bad}");
        }
    }
}
