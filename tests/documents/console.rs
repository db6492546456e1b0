//! Terminal sessions: the commands of a page's `console` blocks, run by a real shell, and what they print.
//!
//! Ids, tokens and long numbers differ from run to run. In a page they stand as they were in one run, and a run must
//! print others of the same form: a token for a token, a number of as many digits (six or more) for a number, and an
//! id for an id, the same one wherever the page has the same one.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use redis_session_tests::Server;
use tempfile::TempDir;

use crate::markdown::{Page, path};

/// One command, and what the page says it prints.
struct Step {
    /// Where the output begins in the page, from 0.
    start: usize,
    command: String,
    output: Vec<String>,
}

/// Runs a page's `console` blocks, from top to bottom in one shell, and compares what they print with the page.
///
/// With `REDIS_TEST_WRITE_DOCUMENTS=1` the page is changed instead, to say what they print.
#[track_caller]
pub(crate) fn check(name: &str) {
    check_with(name, &[Server::start()]);
}

/// The same with a primary and its replica, `redis-1` and `redis-2` for redis-cli.
#[track_caller]
pub(crate) fn check_on_two(name: &str) {
    let primary = Server::start();
    let replica = Server::builder().replica_of(&primary).start();
    primary.wait_for_sync(&replica);
    check_with(name, &[primary, replica]);
}

#[track_caller]
fn check_with(name: &str, servers: &[Server]) {
    let page = Page::read(name);
    let steps = steps(&page);
    assert!(!steps.is_empty(), "{name} has no console block");
    let printed = run(servers, &steps);
    if std::env::var_os("REDIS_TEST_WRITE_DOCUMENTS").is_some_and(|set| !set.is_empty()) {
        return write(&page, &steps, &printed);
    }

    let mut ids = Ids::default();
    for (step, printed) in steps.iter().zip(&printed) {
        let same = step.output.len() == printed.len()
            && step.output.iter().zip(printed).all(|(said, printed)| ids.allow(said, printed));
        assert!(
            same,
            "{name}:{}: $ {}\n--- the page says\n{}\n--- the server says\n{}\n--- \
             (REDIS_TEST_WRITE_DOCUMENTS=1 writes that into the page)",
            step.start,
            step.command,
            step.output.join("\n"),
            printed.join("\n")
        );
    }
}

fn steps(page: &Page) -> Vec<Step> {
    let mut steps = Vec::<Step>::new();
    for block in page.blocks().iter().filter(|block| block.language == "console") {
        let mut continued = false;
        for (line, number) in block.lines.iter().zip(block.start + 1..) {
            let first = line.strip_prefix("$ ");
            match (first, steps.last_mut()) {
                (Some(command), _) if !continued => {
                    steps.push(Step { start: number, command: command.to_owned(), output: Vec::new() });
                }
                (_, Some(step)) if continued => {
                    step.command.push('\n');
                    step.command.push_str(line);
                    step.start = number;
                }
                (_, Some(step)) => {
                    step.output.push((*line).to_owned());
                    continue;
                }
                (_, None) => panic!("{}:{number}: output without a command", page.name),
            }
            continued = line.ends_with('\\');
        }
    }
    steps
}

/// What each step prints, line by line.
fn run(servers: &[Server], steps: &[Step]) -> Vec<Vec<String>> {
    let folder = TempDir::with_prefix("redis-session-documents-").expect("a temporary folder");
    // As after `make run`, the server stores in data/; of two, each has a folder of its name.
    let names: &[&str] = if servers.len() == 1 { &["data"] } else { &["redis-1", "redis-2"] };
    for (server, name) in servers.iter().zip(names) {
        std::os::unix::fs::symlink(server.dir(), folder.path().join(name)).expect("a link to the server's folder");
    }
    let server = servers.first().expect("a server");
    let mut script = PREAMBLE.to_owned();
    for step in steps {
        script += &format!("{}\nprintf '\\n{END}\\n'\n", step.command);
    }
    fs::write(folder.path().join("script"), script).expect("the script");
    let output = folder.path().join("output");
    let file = File::create(&output).expect("the output");
    let mut bash = Command::new("bash");
    bash.arg("script").current_dir(folder.path()).stdin(Stdio::null()).env("PORT", server.port().to_string());
    bash.env("OTHER_PORT", servers.last().expect("a server").port().to_string());
    bash.env("PROGRAMS", programs()).env("MIGRATE_SOURCE", server.url());
    bash.stdout(file.try_clone().expect("the output")).stderr(file);
    let status = bash.status().unwrap_or_else(|error| panic!("bash: {error}"));
    let output = fs::read_to_string(output).expect("output in UTF-8");
    assert!(status.success(), "bash: {status}\n{output}");

    let end = format!("\n{END}\n");
    let mut printed: Vec<Vec<String>> =
        output.split(&end).map(|text| text.lines().map(str::to_owned).collect()).collect();
    assert_eq!(printed.pop(), Some(Vec::new()), "behind the last command");
    assert_eq!(printed.len(), steps.len(), "{output}");
    for lines in &mut printed {
        while lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
    }
    printed
}

/// The folder of the programs of this workspace, which are built together with the tests.
fn programs() -> PathBuf {
    let test = std::env::current_exe().expect("the test's own path");
    let folder = test.ancestors().nth(2).expect("the folder of the build").to_owned();
    for program in ["redis-session-migrate", "redis-session-keys"] {
        assert!(folder.join(program).exists(), "{program} is not built: run the tests with --workspace");
    }
    folder
}

const END: &str = "--- end of a command ---";

/// redis-cli finds the server, and prints as on a terminal unless its output goes into a pipe.
const PREAMBLE: &str = r#"set -u
redis-cli() {
    local PORT=$PORT
    case "${1-} ${2-}" in
    "-h redis-1") shift 2 ;;
    "-h redis-2") PORT=$OTHER_PORT && shift 2 ;;
    esac
    if [ -p /dev/fd/1 ]; then
        command ${REDIS_CLI:-redis-cli} -h 127.0.0.1 -p "$PORT" "$@"
    else
        FAKETTY=1 command ${REDIS_CLI:-redis-cli} -h 127.0.0.1 -p "$PORT" "$@"
    fi
}
redis-session-migrate() { "$PROGRAMS/redis-session-migrate" "$@"; }
redis-session-keys() { "$PROGRAMS/redis-session-keys" "$@"; }
"#;

fn write(page: &Page, steps: &[Step], printed: &[Vec<String>]) {
    let mut lines: Vec<String> = page.text.lines().map(str::to_owned).collect();
    for (step, printed) in steps.iter().zip(printed).rev() {
        let shown = printed.iter().map(|line| pieces(line).iter().map(Piece::shown).collect());
        lines.splice(step.start..step.start + step.output.len(), shown);
    }
    fs::write(path(&page.name), lines.join("\n") + "\n").expect("the page");
}

/// The ids of a page, and those of a run in their place.
#[derive(Default)]
struct Ids {
    printed: HashMap<String, String>,
    said: HashMap<String, String>,
}

impl Ids {
    /// Whether a run may print `printed` where the page says `said`.
    fn allow(&mut self, said: &str, printed: &str) -> bool {
        let (said, printed) = (pieces(said), pieces(printed));
        said.len() == printed.len()
            && said.iter().zip(&printed).all(|pair| match pair {
                (Piece::Id(said), Piece::Id(printed)) => {
                    let there = self.printed.entry((*said).to_owned()).or_insert_with(|| (*printed).to_owned());
                    let here = self.said.entry((*printed).to_owned()).or_insert_with(|| (*said).to_owned());
                    there == printed && here == said
                }
                (Piece::Token(_), Piece::Token(_)) => true,
                (Piece::Number(said), Piece::Number(printed)) => said.len() == printed.len(),
                (Piece::Text(said), Piece::Text(printed)) => said == printed,
                _ => false,
            })
    }
}

#[derive(Debug, PartialEq)]
enum Piece<'a> {
    Id(&'a str),
    Token(&'a str),
    Number(&'a str),
    Text(&'a str),
}

impl Piece<'_> {
    /// As a page has it: of a token, only the start.
    fn shown(&self) -> String {
        match self {
            Self::Token(token) => format!("{}...", token.get(..28).unwrap_or(token)),
            Self::Id(text) | Self::Number(text) | Self::Text(text) => (*text).to_owned(),
        }
    }
}

fn pieces(line: &str) -> Vec<Piece<'_>> {
    let in_word = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    let mut pieces = Vec::new();
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|letter| in_word(letter) != in_word(first)).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(end);
        pieces.push(if word.contains('.') && ["eyJ", "rst1.", "rsr1."].iter().any(|start| word.starts_with(start)) {
            Piece::Token(word)
        } else if word.len() == 22 && !word.contains('.') && in_word(first) {
            Piece::Id(word)
        } else if word.len() >= 6 && word.bytes().all(|byte| byte.is_ascii_digit()) {
            Piece::Number(word)
        } else {
            Piece::Text(word)
        });
        rest = behind;
    }
    pieces
}

#[test]
fn what_varies_from_run_to_run_may_vary_and_nothing_else() {
    let mut ids = Ids::default();
    let (one, two) = ("vGPt7lUnvtv078w23hldkw", "3DnWFjdnKUHcTXVTzR5VuA");
    assert!(ids.allow(&format!("id => \"{one}\""), &format!("id => \"{two}\"")));
    assert!(!ids.allow(&format!("id => \"{one}\""), &format!("id => \"{one}\"")));
    assert!(ids.allow("(integer) 1795280326924", "(integer) 1895280326924"));
    assert!(!ids.allow("(integer) 1795280326924", "(integer) 180326924"));
    assert!(!ids.allow("(integer) 1", "(integer) 2"));
    assert!(ids.allow("\"eyJhbGciOiJIUzI1NiIsImtp...\"", &format!("\"eyJ{one}.{two}.{one}\"")));
    assert!(!ids.allow("\"eyJhbGciOiJIUzI1NiIsImtp...\"", "(nil)"));
    assert!(!ids.allow("a", "a b"));
}
