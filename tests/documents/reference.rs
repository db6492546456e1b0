//! What the documents say of commands, settings, replies and files, compared with the server's own account of itself.

use std::fs;

use redis::Connection;
use redis_session_core::token::Cause;
use redis_session_tests::{Server, cmd, error, fields};

use crate::described::commands;
use crate::markdown::{self, Page, file, rows};

#[test]
fn the_reference_explains_each_option_in_a_row_of_its_own() {
    let server = Server::start();
    let reference = Page::read("docs/commands.md");
    for (name, command) in commands(&mut server.connection()) {
        let rows = rows(reference.section(&name));
        for option in command.options {
            let explained = rows.iter().any(|row| row[0].split([' ', ',']).any(|word| word == option));
            assert!(explained, "{name} {option}");
        }
    }
}

#[test]
fn the_documents_name_no_command_that_the_server_lacks() {
    let server = Server::start();
    let known = commands(&mut server.connection());
    let redis_conf = Page { name: "redis.conf".into(), text: file("redis.conf") };
    for page in markdown::pages().into_iter().chain([redis_conf]) {
        for behind in page.text.split("SESSION.").skip(1) {
            let name: String = behind.chars().take_while(char::is_ascii_uppercase).collect();
            let known = name.is_empty() || known.contains_key(&format!("SESSION.{name}"));
            assert!(known, "{} names SESSION.{name}", page.name);
        }
    }
}

/// The settings with their values, as the server has them without any configuration.
fn settings(con: &mut Connection) -> Vec<(String, String)> {
    let settings = fields(cmd(con, "CONFIG GET session.*").unwrap());
    settings.names().into_iter().map(|name| (name.to_owned(), settings.str(name))).collect()
}

#[test]
fn the_table_of_settings_has_each_with_its_default_and_its_bounds() {
    let server = Server::start();
    let mut con = server.connection();
    let table = rows(&Page::read("docs/settings.md").text);
    let settings = settings(&mut con);
    for (name, default) in &settings {
        let row = table.iter().find(|row| row[0] == *name).unwrap_or_else(|| panic!("no row of {name}"));
        assert_eq!(row[1], *default, "the default of {name}");
        // What no setting takes tells what it does take.
        let refusal =
            error(&mut con, &format!("CONFIG SET {name} {}", "9".repeat(if is_number(default) { 18 } else { 5000 })));
        let bounds = refusal.split_once("must be between ").map(|(_, bounds)| bounds.replace(" inclusive", ""));
        if let Some(bounds) = bounds {
            let bounds = bounds.replace(" and ", " to ");
            assert!(row[2].split([',', ' ']).collect::<Vec<_>>().join(" ").starts_with(&bounds), "{name}: {bounds}");
        }
        if let Some((_, words)) = refusal.split_once("must be one of the following: ") {
            assert_eq!(row[2], words.trim(), "the words of {name}");
        }
    }
    assert_eq!(table.len(), settings.len(), "a row without a setting");
}

fn is_number(value: &str) -> bool {
    value.parse::<i64>().is_ok()
}

#[test]
fn redis_conf_has_each_setting_at_its_default() {
    let server = Server::start();
    let conf = file("redis.conf");
    for (name, default) in settings(&mut server.connection()) {
        let line = conf.lines().find_map(|line| line.strip_prefix(&name)?.strip_prefix(' '));
        assert_eq!(line.map(|value| value.trim_matches('"')), Some(default.as_str()), "{name} in redis.conf");
    }
}

#[test]
fn the_users_that_the_file_proposes_are_ones_the_server_takes() {
    let server = Server::builder().users().start();
    let mut app = redis::Client::open(format!("redis://app:change-me@127.0.0.1:{}/", server.port()))
        .and_then(|client| client.get_connection());
    // The default user is off, as the file says.
    assert!(error(&mut server.connection(), "PING").starts_with("NOAUTH"));
    let app = app.as_mut().unwrap();
    cmd(app, "SESSION.CREATE sessions:42").unwrap();
    assert!(error(app, "SESSION.CREATE other:42").starts_with("NOPERM"));
    assert!(error(app, "GET sessions:42").starts_with("NOPERM"));
}

#[test]
fn every_reason_and_every_error_code_is_explained() {
    let reference = Page::read("docs/commands.md");
    let operations = Page::read("docs/operations.md");
    for reason in redis_session::Reason::ALL.map(|reason| reason.as_str()) {
        let first = |rows: Vec<Vec<String>>| rows.into_iter().any(|row| row[0] == reason);
        assert!(first(rows(reference.section("Reasons"))), "{reason} in docs/commands.md");
        assert!(operations.text.contains(&format!("`{reason}`")), "{reason} in docs/operations.md");
    }
    let codes = rows(reference.section("Errors"));
    for code in ["ERR", "WRONGTYPE", "SESSIONLIMIT", "SESSIONEXISTS", "NOSESSION", "NOSIGNINGKEY"] {
        assert!(codes.iter().any(|row| row[0] == code), "{code} in docs/commands.md");
    }
}

#[test]
fn every_cause_of_a_refusal_is_explained() {
    let operations = Page::read("docs/operations.md");
    for cause in Cause::ALL.iter().filter(|cause| cause.is_fault() || cause.is_one_of_several()) {
        let is_in = |row: &Vec<String>| row[0].split(", ").any(|name| name == cause.as_str());
        assert!(rows(operations.section("Troubleshooting")).iter().any(is_in), "{cause}");
    }
}

#[test]
fn each_requirement_has_an_answer_and_names_tests_that_there_are() {
    let security = Page::read("docs/security.md");
    let rows = rows(security.section("Requirements"));
    let numbers: Vec<_> = rows.iter().map(|row| row[0].clone()).collect();
    assert_eq!(numbers, (1..=48).map(|number| number.to_string()).collect::<Vec<_>>());
    for row in rows {
        let left = row[2].starts_with("left to");
        assert!(left || ["met", "in part"].iter().any(|start| row[2].starts_with(start)), "{row:?}");
        assert!(left || !row[3].is_empty(), "{row:?}");
        for name in row[3].split([',', ';']).map(str::trim).filter(|name| !name.is_empty()) {
            let places = ["", "tests/", "examples/auth-service/tests/"];
            assert!(places.iter().any(|place| markdown::path(&format!("{place}{name}")).exists()), "{name} of {row:?}");
        }
    }
}

#[test]
fn the_readme_installs_the_package_as_the_page_for_it_does() {
    let (readme, install) = (Page::read("README.md"), Page::read("docs/install.md"));
    let blocks = readme.blocks();
    let lines = blocks.iter().find(|block| block.lines[0].starts_with("apt-get")).expect("a block");
    assert!(lines.lines.iter().all(|line| install.text.lines().any(|known| known == *line)), "{:?}", lines.lines);
}

#[test]
fn links_between_documents_lead_somewhere() {
    for page in markdown::pages() {
        let folder = markdown::path(&page.name).parent().unwrap().to_owned();
        // On GitHub, `../../actions` is beside the repository's files.
        let elsewhere = |link: &str| link.starts_with("http") || link.starts_with("../../actions/");
        for link in page.links().into_iter().filter(|link| !elsewhere(link)) {
            let (target, title) = link.split_once('#').unwrap_or((link, ""));
            let target = if target.is_empty() { markdown::path(&page.name) } else { folder.join(target) };
            assert!(target.exists(), "{}: {link}", page.name);
            if !title.is_empty() {
                let text = fs::read_to_string(&target).unwrap();
                let found = text.lines().filter(|line| line.starts_with('#')).any(|line| anchor(line) == title);
                assert!(found, "{}: {link}", page.name);
            }
        }
    }
}

/// How a heading is linked to: in lower case, without dots and other signs.
fn anchor(heading: &str) -> String {
    let letters = heading.trim_start_matches('#').trim().to_lowercase();
    letters
        .chars()
        .filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter))
        .map(|letter| if letter == ' ' { '-' } else { letter })
        .collect()
}
