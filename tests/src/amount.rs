//! How much a test does, as the environment says.

use std::env;

/// How much of something a test does: what the variable of the environment says, or else `otherwise`.
///
/// # Panics
///
/// If the variable is no number.
pub fn amount(variable: &str, otherwise: usize) -> usize {
    env::var(variable).map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{variable}={text}")))
}
