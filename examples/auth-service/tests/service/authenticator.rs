//! A user's authenticator app.

use std::cell::Cell;
use std::time::{SystemTime, UNIX_EPOCH};

use totp_rs::Totp;

/// The app, with the account that it was given as an `otpauth` URL.
pub(crate) struct Authenticator {
    totp: Totp,
    /// The step before the one of the next code: each code is good once.
    last: Cell<u64>,
}

impl Authenticator {
    pub(crate) fn new(url: &str) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        // The service takes the code of the step before, of this one, and of the next.
        Self { totp: Totp::from_url(url).unwrap(), last: Cell::new(now / 30 - 1) }
    }

    /// A code that was not used yet: of this step first, then of the next. Tests do not wait for the one after.
    pub(crate) fn code(&self) -> String {
        self.last.set(self.last.get() + 1);
        self.totp.generate(self.last.get() * 30).to_string()
    }
}
