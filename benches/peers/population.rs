//! The users, and what they log in with.

use std::net::Ipv4Addr;

use redis::Connection;

use crate::layouts::{Credential, Layout, Login};

/// Logins of one pipeline, when nothing is measured.
const BATCH: usize = 1000;

/// A login of `user`. `number` is the login's own: it chooses the address, and one of 1,000 user agents of 70 bytes.
pub(crate) fn login(user: String, number: usize) -> Login {
    let [_, a, b, c] = u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes();
    let agent = format!("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 {:013}", number % 1000);
    Login { user, ip: Ipv4Addr::new(10, a, b, c), agent }
}

/// Logs users in: `sessions` of them, `per_user` for each. Answers every `sparse`th credential.
pub(crate) fn populate(
    layout: &dyn Layout,
    con: &mut Connection,
    user: impl Fn(usize) -> String,
    sessions: usize,
    per_user: usize,
    sparse: usize,
) -> Vec<Credential> {
    let mut kept = Vec::new();
    for start in (0..sessions).step_by(BATCH) {
        let numbers = start..sessions.min(start + BATCH);
        let logins: Vec<_> = numbers.clone().map(|number| login(user(number / per_user), number)).collect();
        let credentials = layout.login(con, &logins);
        kept.extend(
            credentials.into_iter().zip(numbers).filter(|(_, number)| number % sparse == 0).map(|(one, _)| one),
        );
    }
    kept
}

/// Numbers that look random and are the same in each run: SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// Less than `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ mixed >> 31) % limit as u64).expect("less than a usize")
    }
}
