//! Moments, as people say them.

use std::time::{Duration, SystemTime};

use maud::{Markup, html};
use time::UtcDateTime;
use time::format_description::well_known::Rfc3339;

/// How long ago a moment is, with the moment itself as its title.
pub(super) fn ago(then: SystemTime) -> Markup {
    let passed = SystemTime::now().duration_since(then).unwrap_or_default();
    let exact = UtcDateTime::from(then).truncate_to_second().format(&Rfc3339).unwrap_or_default();
    html! { time datetime=(exact) title=(exact) { (since(passed)) } }
}

fn since(passed: Duration) -> String {
    let minutes = passed.as_secs() / 60;
    let (hours, days) = (minutes / 60, minutes / (24 * 60));
    match (days, hours, minutes) {
        (0, 0, 0) => "just now".to_owned(),
        (0, 0, minutes) => count(minutes, "minute"),
        (0, hours, _) => count(hours, "hour"),
        (1, ..) => "yesterday".to_owned(),
        (days, ..) => count(days, "day"),
    }
}

fn count(number: u64, unit: &str) -> String {
    format!("{number} {unit}{} ago", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_unit_is_enough() {
        for (secs, text) in [
            (0, "just now"),
            (59, "just now"),
            (60, "1 minute ago"),
            (3599, "59 minutes ago"),
            (3600, "1 hour ago"),
            (86_399, "23 hours ago"),
            (86_400, "yesterday"),
            (3 * 86_400, "3 days ago"),
        ] {
            assert_eq!(since(Duration::from_secs(secs)), text);
        }
    }
}
