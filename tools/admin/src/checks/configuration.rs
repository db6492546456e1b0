//! What a restart reads, and what a crash shows.

use std::fs;
use std::path::{Path, PathBuf};

use crate::facts::{Facts, Finding, Seen};
use crate::info::text;

pub(crate) fn check(seen: &Seen) -> Vec<Finding> {
    seen.servers.iter().flat_map(of).collect()
}

fn of(server: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    let settings = &server.settings;
    if text(settings, "crash-log-enabled") == "yes" && text(settings, "hide-user-data-from-log") != "yes" {
        findings.push(server.finding(
            "shows tokens in the log if it crashes (crash-log-enabled)",
            server.set("crash-log-enabled", "no"),
        ));
    }
    let file = text(&server.info, "config_file");
    if file.is_empty() {
        findings.push(server.finding(
            "was started without a configuration file: the next start forgets what CONFIG SET has set",
            "write all of it into a file, loadmodule too, and start redis-server with the file alone",
        ));
    } else if let Some(lines) = lines_of_module(server, Path::new(file)) {
        let own = lines.iter().filter(|at| **at == Path::new(file)).count();
        if lines.len() > 1 {
            findings.push(server.finding(
                format!("does not start again: its configuration loads the module {} times", lines.len()),
                format!("leave one line loadmodule, in {file}"),
            ));
        } else if own == 0 && server.module.is_some() {
            findings.push(server.finding(
                "does not start again after CONFIG REWRITE, which writes a second loadmodule line: the first is on its \
                 command line or in a file that is included",
                format!("move it into {file}"),
            ));
        }
    }
    findings
}

/// In which files the module's lines are; none if the server runs on another machine.
fn lines_of_module(server: &Facts, file: &Path) -> Option<Vec<PathBuf>> {
    let host = server.address.host.as_str();
    let is_here = host == "localhost" || host == "::1" || host.starts_with("127.");
    let mut found = Vec::new();
    if !is_here || !file.is_absolute() {
        return None;
    }
    read(file, &mut found, 0)?;
    Some(found)
}

fn read(file: &Path, found: &mut Vec<PathBuf>, depth: u8) -> Option<()> {
    let text = fs::read_to_string(file).ok()?;
    for line in text.lines() {
        let Some((word, rest)) = line.trim().split_once(char::is_whitespace) else { continue };
        let name = rest.trim().trim_matches('"');
        if word.eq_ignore_ascii_case("loadmodule") && name.contains("session") {
            found.push(file.to_owned());
        }
        // A pattern is not followed.
        if word.eq_ignore_ascii_case("include") && depth < 8 {
            let _ = read(Path::new(name), found, depth + 1);
        }
    }
    Some(())
}
