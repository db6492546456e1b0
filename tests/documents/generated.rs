//! The parts of the documents that the server's own account of its commands is: the list of commands, and of each its
//! grammar, summary, complexity and flags. `make docs` writes them; the test says when that is to be done.

use std::collections::BTreeMap;
use std::fs;

use redis_session_tests::Server;

use crate::described::{Described, commands};
use crate::markdown::{Page, path};

const WIDTH: usize = 120;

/// With `REDIS_TEST_WRITE_DOCUMENTS=1` the page is changed instead.
#[test]
fn the_documents_say_of_each_command_what_the_server_says() {
    let server = Server::start();
    let commands = commands(&mut server.connection());
    let name = "docs/commands.md";
    let page = Page::read(name);
    let written = reference(&page, &commands);
    if std::env::var_os("REDIS_TEST_WRITE_DOCUMENTS").is_some_and(|set| !set.is_empty()) {
        return fs::write(path(name), written).expect("the page");
    }
    let stale = page.text.lines().zip(written.lines()).zip(1..).find(|((said, written), _)| said != written);
    if let Some(((said, written), number)) = stale {
        panic!("{name}:{number} says\n{said}\nand the server\n{written}\n`make docs` writes that into the page");
    }
    assert_eq!(page.text, written, "{name}: `make docs` writes what is missing");
}

/// The reference, with all that is between a command's heading and the end of its flags as it should be.
fn reference(page: &Page, commands: &BTreeMap<String, Described>) -> String {
    let mut lines = page.text.lines().peekable();
    let mut written = Vec::new();
    let mut sections = Vec::new();
    while let Some(line) = lines.next() {
        if let Some(command) = line.strip_prefix("## ").and_then(|title| commands.get_key_value(title)) {
            written.push(line.to_owned());
            written.extend(section(command.0, command.1));
            let end = lines.find(|line| line.starts_with("- Flags:") || line.starts_with("## "));
            assert!(end.is_some_and(|line| line.starts_with("- Flags:")), "{}: no line of flags", command.0);
            while lines.next_if(|line| line.starts_with("  ")).is_some() {}
            sections.push(command.0);
        } else {
            written.push(line.to_owned());
        }
    }
    for name in commands.keys() {
        assert!(sections.contains(&name), "{} has no section {name}", page.name);
    }
    // In the order of the sections.
    let mut list = vec!["| Command | What it does | Flags |".to_owned(), "|---|---|---|".to_owned()];
    list.extend(sections.iter().map(|name| {
        let (command, anchor) = (&commands[*name], name.replace('.', "").to_lowercase());
        format!("| [{name}](#{anchor}) | {} | {} |", command.summary, command.flags.join(", "))
    }));
    let start = written.iter().position(|line| *line == list[0]).expect("the list of commands");
    let rows = written[start..].iter().take_while(|line| line.starts_with('|')).count();
    written.splice(start..start + rows, list);
    written.join("\n") + "\n"
}

fn section(name: &str, command: &Described) -> Vec<String> {
    let indent = " ".repeat(name.len() + 1);
    let mut lines = vec![String::new(), "```text".to_owned()];
    lines.extend(wrapped(std::iter::once(name).chain(command.arguments.iter().map(String::as_str)), &indent));
    lines.extend(["```".to_owned(), String::new()]);
    lines.extend(wrapped(command.summary.split(' '), ""));
    lines.push(String::new());
    let complexity = format!("- Complexity: {}.", command.complexity);
    lines.extend(wrapped(complexity.split(' '), "  "));
    let flags = format!("- Flags: {}. {}", command.flags.join(", "), key_use(command));
    lines.extend(wrapped(flags.split(' '), "  "));
    lines
}

/// What a user needs to be allowed, and where the command can be sent.
fn key_use(command: &Described) -> &'static str {
    let has = |flag: &str| command.key.iter().any(|found| found == flag);
    match () {
        () if command.key.is_empty() => "It has no key.",
        () if has("RO") => "It reads its key: replicas answer it, and the permission `%R~` is enough.",
        () if has("insert") => "It reads and inserts into its key: it needs the primary and the permission `~`.",
        () if has("delete") => "It reads and deletes from its key: it needs the primary and the permission `~`.",
        () => "It reads and updates its key: it needs the primary and the permission `~`.",
    }
}

/// Words, and behind the first line an indent.
fn wrapped<'a>(words: impl Iterator<Item = &'a str>, indent: &str) -> Vec<String> {
    let mut lines = Vec::<String>::new();
    for word in words {
        match lines.last_mut().filter(|line| line.chars().count() + 1 + word.chars().count() <= WIDTH) {
            Some(line) => *line = format!("{line} {word}"),
            None => lines.push(if lines.is_empty() { word.to_owned() } else { format!("{indent}{word}") }),
        }
    }
    lines
}
