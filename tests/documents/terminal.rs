//! The terminal sessions that the documents show.

use crate::console::check;
use crate::markdown::pages;

#[test]
fn the_readmes_sessions_print_what_it_says() {
    check("README.md");
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
fn no_page_has_sessions_that_are_not_run() {
    let run = ["README.md", "docs/commands.md", "docs/security.md", "docs/operations.md", "docs/migration.md"];
    for page in pages() {
        let has_sessions = page.blocks().iter().any(|block| block.language == "console");
        assert!(!has_sessions || run.contains(&page.name.as_str()), "{}", page.name);
    }
}
