//! The terminal sessions that the documents show.

use crate::console::{check, check_on_two};
use crate::markdown::pages;

#[test]
fn the_readmes_sessions_print_what_it_says() {
    check("README.md");
}

#[test]
fn the_tours_sessions_print_what_it_says() {
    check("docs/tour.md");
}

#[test]
fn the_command_references_sessions_print_what_it_says() {
    check("docs/commands.md");
}

#[test]
fn the_security_pages_sessions_print_what_it_says() {
    check("docs/security.md");
}

#[test]
fn the_operations_pages_sessions_print_what_it_says() {
    check("docs/operations.md");
}

#[test]
fn the_migration_pages_sessions_print_what_it_says() {
    check("docs/migration.md");
}

#[test]
fn the_drills_print_what_the_page_says_on_a_primary_and_its_replica() {
    check_on_two("docs/drills.md");
}

#[test]
fn no_page_has_sessions_that_are_not_run() {
    let run =
        ["README", "docs/tour", "docs/commands", "docs/security", "docs/operations", "docs/migration", "docs/drills"];
    let run = run.map(|name| format!("{name}.md"));
    for page in pages() {
        let has_sessions = page.blocks().iter().any(|block| block.language == "console");
        assert!(!has_sessions || run.contains(&page.name), "{}", page.name);
    }
}
