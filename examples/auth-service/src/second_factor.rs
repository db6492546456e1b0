//! The second factor: six digits of an authenticator app, which change every 30 seconds (RFC 6238).

use std::time::{SystemTime, UNIX_EPOCH};

use totp_rs::{Builder, Totp};

#[derive(Debug, thiserror::Error)]
#[error("second factor: {0}")]
pub(crate) struct SecondFactorError(String);

/// A secret for a user's app: 160 bits, as RFC 4226 section 4 recommends.
pub(crate) fn new_secret() -> Result<[u8; 20], SecondFactorError> {
    let mut secret = [0; 20];
    getrandom::fill(&mut secret).map_err(|error| SecondFactorError(error.to_string()))?;
    Ok(secret)
}

/// What an app scans or is given, to show codes for this account: an `otpauth` URL.
pub(crate) fn url(secret: &[u8], name: &str) -> Result<String, SecondFactorError> {
    totp(secret, name)?.to_url().map_err(|error| SecondFactorError(error.to_string()))
}

/// The time step of this code, if it is the one of now, or of the step before or after.
pub(crate) fn step_of(secret: &[u8], code: &str) -> Result<Option<u64>, SecondFactorError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // As people type it: "123 456".
    let digits: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    Ok(totp(secret, "")?.check(&digits, now.as_secs()))
}

fn totp(secret: &[u8], name: &str) -> Result<Totp, SecondFactorError> {
    let builder = Builder::new().with_secret(secret.to_vec()).with_account_name(name).with_issuer(Some("auth-service"));
    builder.build().map_err(|error| SecondFactorError(error.to_string()))
}
