//! That each command takes what `COMMAND DOCS` says, and nothing else.

use redis::{Connection, Value};
use redis_session_tests::{Fields, Server, cmd, cmd_args, fields, list, refusal, text};

use crate::hostile;

/// An argument without its own brackets.
#[derive(Clone, Debug)]
enum Argument {
    /// These words, such as `TTL 60`, or a value alone.
    Words {
        option: Option<String>,
        values: Vec<String>,
    },
    OneOf(Vec<Argument>),
}

impl Argument {
    fn of(argument: &Fields) -> Self {
        let option = argument.has("token").then(|| argument.str("token"));
        let parts: Vec<_> = match argument.get("arguments") {
            Some(parts) => list(parts.clone()).into_iter().map(|part| Self::of(&fields(part))).collect(),
            None => Vec::new(),
        };
        let values = match argument.str("type").as_str() {
            "oneof" => return Self::OneOf(parts),
            "pure-token" => vec![],
            "block" => parts.iter().flat_map(Self::words).collect(),
            _ => vec![example(&argument.str("name"))],
        };
        Self::Words { option, values }
    }

    /// As it is given; of alternatives the first.
    fn words(&self) -> Vec<String> {
        match self {
            Self::Words { option, values } => option.iter().chain(values).cloned().collect(),
            Self::OneOf(alternatives) => alternatives[0].words(),
        }
    }

    fn alternatives(&self) -> Vec<Self> {
        match self {
            Self::Words { .. } => vec![self.clone()],
            Self::OneOf(alternatives) => alternatives.clone(),
        }
    }

    /// The word that it is chosen by.
    fn option(&self) -> Option<String> {
        match self {
            Self::Words { option, .. } => option.clone(),
            Self::OneOf(_) => None,
        }
    }
}

/// A value that is good where the documentation calls it so.
fn example(name: &str) -> String {
    match name {
        "key" => "sessions:42",
        "ip" => "::1",
        "n" | "offset" | "count" => "1",
        "seconds" => "60",
        "unix-time-milliseconds" => "1000",
        "json" => "{}",
        "v" => "*",
        "id" | "id-or-token" => "one",
        "token" | "refresh-token" | "jwt" | "field" | "value" | "text" | "fingerprint" | "audience" | "issuer" => name,
        _ => panic!("no example of {name}"),
    }
    .to_owned()
}

/// A command as the server documents it.
struct Command {
    name: String,
    required: Vec<String>,
    /// Options that have their place before the last required argument.
    leading: Vec<Argument>,
    options: Vec<Argument>,
    /// Whether its last argument takes all that follows.
    takes_the_rest: bool,
    has_fixed_length: bool,
}

impl Command {
    fn all(con: &mut Connection) -> Vec<Self> {
        let names = list(cmd(con, "COMMAND LIST FILTERBY MODULE session").unwrap());
        let names = names.iter().map(|name| text(name).to_uppercase());
        // Clients cannot call it.
        names.filter(|name| name != "SESSION.APPLY").map(|name| Self::named(con, name)).collect()
    }

    fn named(con: &mut Connection, name: String) -> Self {
        let docs = fields(cmd_args(con, ["COMMAND", "DOCS", &name]).unwrap());
        let docs = docs.fields(docs.names()[0]);
        let arguments: Vec<_> =
            docs.get("arguments").map_or_else(Vec::new, |all| list(all.clone()).into_iter().map(fields).collect());
        let is = |argument: &Fields, flag: &str| {
            argument.has("flags") && argument.strings("flags").iter().any(|found| found == flag)
        };
        let (mut options, required): (Vec<_>, Vec<_>) = arguments.iter().partition(|argument| is(argument, "optional"));
        let last = arguments.iter().rposition(|argument| !is(argument, "optional")).unwrap_or(0);
        let first = arguments.iter().position(|argument| is(argument, "optional")).unwrap_or(last);
        let leading = options.drain(..last.saturating_sub(first)).map(Argument::of).collect();
        let takes_the_rest = required.last().is_some_and(|last| is(last, "multiple"));
        Self {
            required: required.iter().flat_map(|argument| Argument::of(argument).words()).collect(),
            leading,
            has_fixed_length: options.is_empty() && !takes_the_rest,
            options: options.into_iter().map(Argument::of).collect(),
            takes_the_rest,
            name,
        }
    }

    fn with(&self, more: &[String]) -> Vec<String> {
        [std::slice::from_ref(&self.name), &self.required, more].concat()
    }

    /// The words of its options.
    fn words(&self) -> Vec<String> {
        self.leading
            .iter()
            .chain(&self.options)
            .flat_map(Argument::alternatives)
            .filter_map(|option| option.option())
            .collect()
    }
}

/// A server that may have run the call or not, but has understood it.
#[track_caller]
fn understood(con: &mut Connection, call: &[String]) {
    match cmd_args(con, call) {
        Ok(Value::ServerError(error)) => panic!("{call:?}: {error:?}"),
        Ok(_) => {}
        Err(error) => assert_ne!(error.code(), Some("ERR"), "{call:?}: {error}"),
    }
}

#[test]
fn every_documented_option_is_taken_once_with_its_value_in_any_order() {
    let server = Server::start();
    let mut con = server.connection();
    let commands = Command::all(&mut con);
    assert_eq!(commands.len(), hostile::COMMANDS.len() - 1);
    for command in commands {
        let mut con = server.connection();
        cmd(&mut con, "FLUSHALL").unwrap();
        understood(&mut con, &command.with(&[]));
        for option in command.options.iter().flat_map(Argument::alternatives) {
            cmd(&mut con, "FLUSHALL").unwrap();
            let (word, given) = (option.option().unwrap(), option.words());
            understood(&mut con, &command.with(&given));
            let lower = [&[word.to_lowercase()], &given[1..]].concat();
            understood(&mut con, &command.with(&lower));
            let twice = command.with(&[&given[..], &lower].concat());
            assert_eq!(refusal(&mut con, &twice), format!("ERR {word} is given twice"), "{twice:?}");
            for length in 1..given.len() {
                let cut = command.with(&given[..length]);
                assert_eq!(refusal(&mut con, &cut), format!("ERR {word} needs a value"), "{cut:?}");
            }
        }
        let mut all = command.options.clone();
        for _ in 0..all.len() {
            cmd(&mut con, "FLUSHALL").unwrap();
            understood(&mut con, &command.with(&all.iter().flat_map(Argument::words).collect::<Vec<_>>()));
            all.rotate_left(1);
        }
    }
}

#[test]
fn of_alternatives_one_is_taken() {
    let server = Server::start();
    let mut con = server.connection();
    let mut pairs = 0;
    for command in Command::all(&mut con) {
        for option in &command.options {
            let alternatives = option.alternatives();
            for (first, second) in
                alternatives.iter().flat_map(|one| alternatives.iter().map(move |other| (one, other)))
            {
                let (earlier, later) = (first.option().unwrap(), second.option().unwrap());
                if earlier != later {
                    let both = command.with(&[first.words(), second.words()].concat());
                    let expected = format!("ERR {later} does not go with {earlier}");
                    assert_eq!(refusal(&mut con, &both), expected, "{both:?}");
                    pairs += 1;
                }
            }
        }
    }
    // ID and FROM, EVICT and REJECT, BEFORE and CLEAR: each in either order.
    assert!(pairs >= 6, "{pairs}");
}

#[test]
fn an_option_that_is_not_documented_is_unknown() {
    let server = Server::start();
    let mut con = server.connection();
    let commands = Command::all(&mut con);
    let mut words: Vec<_> = commands.iter().flat_map(Command::words).collect();
    // What replicas and files understand, values of other options, and what no command knows.
    words.extend(["CUTOFF", "UNTIL", "JWT", "OPAQUE", "key", "Colour"].map(str::to_owned));
    words.sort_unstable();
    words.dedup();
    for command in commands.iter().filter(|command| !command.takes_the_rest) {
        let known = command.words();
        for word in words.iter().filter(|word| !known.contains(word) && !command.required.contains(word)) {
            let call = command.with(std::slice::from_ref(word));
            let refused = refusal(&mut con, &call);
            if command.has_fixed_length {
                assert!(refused.contains("wrong number of arguments"), "{call:?}: {refused}");
            } else {
                assert_eq!(refused, format!("ERR unknown option {word}"), "{call:?}");
            }
        }
    }
}

#[test]
fn hostile_calls_use_every_documented_option() {
    let server = Server::start();
    let mut words: Vec<_> = Command::all(&mut server.connection()).iter().flat_map(Command::words).collect();
    words.retain(|word| !hostile::knows_option(word));
    assert_eq!(words, [""; 0]);
}
