//! What can be wrong with servers that hold sessions.

mod agreement;
mod configuration;
mod durability;
mod users;

use crate::facts::{Finding, Seen};

/// Everything, of all servers.
pub(crate) fn all(seen: &Seen) -> Vec<Finding> {
    let checks = [agreement::check, durability::check, users::check, configuration::check];
    checks.into_iter().flat_map(|check| check(seen)).collect()
}
