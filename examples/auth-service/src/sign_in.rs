//! From a name and a password to a session, and what changes how a session was signed in to.

use std::time::Duration;

use redis_session::{Created, RegenerateOptions};
use redis_session_store::{Login, Visitor};
use redis_session_web::Session;
use serde::Deserialize;
use serde_json::json;

use crate::accounts::Account;
use crate::api::Kept;
use crate::app::{App, Sessions};
use crate::audit;
use crate::problem::Problem;
use crate::second_factor;

/// What a user signs in with.
#[derive(Deserialize)]
pub(crate) struct Credentials {
    pub(crate) name: String,
    pub(crate) password: String,
}

/// NIST SP 800-63B section 3.1.1.2: long, any characters, no rules about them; and OWASP: bounded.
const PASSWORD_CHARS: std::ops::RangeInclusive<usize> = 12..=256;

/// What RFC 5321 section 4.5.3.1.3 leaves for an address.
const NAME_BYTES: std::ops::RangeInclusive<usize> = 1..=254;

pub(crate) const NAME_RULE: &str = "An e-mail address, or a name of letters, digits, dots, dashes and underscores.";
pub(crate) const PASSWORD_RULE: &str = "At least 12 characters, and at most 256.";

impl Credentials {
    /// The name as accounts have it, in lower case. `None` for a text that no account can have as its name.
    ///
    /// A name may be an e-mail address. That it is the user's own is not shown by anything here: to let users reset
    /// their passwords by e-mail, send a link to the address first.
    fn account_name(&self) -> Option<String> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || ".-_+".contains(c);
        let is_word = |word: &str| !word.is_empty() && word.chars().all(is_plain);
        let name = self.name.trim();
        let fits = NAME_BYTES.contains(&name.len())
            && match name.split_once('@') {
                Some((mailbox, domain)) => is_word(mailbox) && is_word(domain) && !domain.contains('+'),
                None => is_word(name) && !name.contains('+'),
            };
        fits.then(|| name.to_ascii_lowercase())
    }
}

/// Makes an account, without signing in.
pub(crate) async fn register(app: &App, visitor: &Visitor, credentials: Credentials) -> Result<Account, Problem> {
    let name = credentials.account_name().ok_or(Problem::Invalid(NAME_RULE))?;
    check_new_password(&credentials.password)?;
    // A hash takes much processor time, so new accounts are limited as attempts to sign in are.
    if let Some(wait) = app.attempts.at_address(visitor.known_ip()).await? {
        return Err(Problem::TooManyAttempts { wait });
    }
    let hash = app.passwords.hash(credentials.password).await?;
    let account = app.accounts.add(&name, hash).await?;
    audit::registered(&account, visitor);
    Ok(account)
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
    let created = begin(sessions, &account, visitor, remember).await?;
    // The password may have been changed, and all other sessions ended, between the check and the login.
    let now = app.accounts.by_id(&account.id).await?;
    if now.is_none_or(|now| now.password != account.password) {
        sessions.logout_session(&account.id, &created.id).await?;
        return Err(Problem::WrongPassword);
    }
    Ok((account, created))
}

/// Begins a session of a user whose password was right.
pub(crate) async fn begin(
    sessions: &Sessions,
    account: &Account,
    visitor: &Visitor,
    remember: bool,
) -> Result<Created, Problem> {
    let kept = Kept { remembered: remember, ..Kept::default() };
    let login = Login::new(&account.id).visitor(visitor).remember(remember).claims(claims(account)).level(PASSWORD);
    Ok(sessions.login(&login.data(&kept)?).await?)
}

/// What the access tokens tell other services of the user.
fn claims(account: &Account) -> serde_json::Value {
    json!({ "role": account.role })
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

/// Changes the password, ends the user's other sessions, and says how many. This session gets new tokens, because somebody
/// else who knew the old password may have the old ones.
pub(crate) async fn change_password(
    app: &App,
    session: &Session,
    visitor: &Visitor,
    current: String,
    new: String,
) -> Result<(Created, u64), Problem> {
    check_new_password(&new)?;
    let account = app.accounts.by_id(&session.user).await?.ok_or(Problem::SignedOut)?;
    let account = check_password(app, visitor, Some(&account.name), current).await?;
    let hash = app.passwords.hash(new).await?;
    // In this order: a login with the old password either is there to be ended, or sees the new hash.
    app.accounts.set_password(&account, hash).await?;
    match app.sessions.logout_others(&session.user, session.token()).await {
        Ok(ended) => {
            audit::done("Password changed, other sessions ended", &session.user, &session.id, ended, visitor);
            // Of this sign-in, the service knows a password alone.
            let options = RegenerateOptions::new().level(PASSWORD).claims(claims(&account));
            Ok((app.sessions.regenerate(session.token(), &options).await?, ended))
        }
        Err(error) => {
            audit::done("Password changed, other sessions NOT ended", &session.user, &session.id, 0, visitor);
            Err(error.into())
        }
    }
}

/// The levels of a session whose user has shown a password, and a second factor too (NIST SP 800-63B).
const PASSWORD: u8 = 1;
pub(crate) const SECOND_FACTOR: u8 = 2;
/// For how long a second factor is good (section 4.2.3).
pub(crate) const SECOND_FACTOR_LASTS: Duration = Duration::from_secs(12 * 3600);

/// Raises a session to [`SECOND_FACTOR`], with a code of the user's authenticator app. The session gets new tokens.
pub(crate) async fn step_up(app: &App, session: &Session, visitor: &Visitor, code: &str) -> Result<Created, Problem> {
    let account = app.accounts.by_id(&session.user).await?.ok_or(Problem::SignedOut)?;
    let secret = account.second_factor.as_deref().ok_or(Problem::Forbidden)?;
    // A code has only six digits.
    if let Some(wait) = app.attempts.with_code(&account.name).await? {
        audit::not_signed_in("too many attempts", Some(&account), visitor);
        return Err(Problem::TooManyAttempts { wait });
    }
    let step = second_factor::step_of(secret, code)?;
    let is_right = match step {
        Some(step) => app.accounts.use_code(&account, step).await?,
        None => false,
    };
    if !is_right {
        audit::not_signed_in("wrong code", Some(&account), visitor);
        return Err(Problem::WrongCode);
    }
    app.attempts.forget_codes(&account.name).await?;
    let options = RegenerateOptions::new().level(SECOND_FACTOR).claims(claims(&account));
    let created = app.sessions.regenerate(session.token(), &options).await?;
    audit::signed_in("Second factor shown", &account, visitor, &created);
    Ok(created)
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
        assert_eq!(name("Ada+Work@Mail.Example"), Some("ada+work@mail.example".into()));
        let long = "x".repeat(255);
        for bad in ["", "  ", "a b", "a:b", "a\nb", "ä", "a/b", "{ada}", "a+b", "@x", "x@", "a@b@c", "a@b c", &long] {
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
