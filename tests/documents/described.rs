//! The commands, as the server describes them: COMMAND DOCS and COMMAND INFO.

use std::collections::BTreeMap;

use redis::{Connection, Value};
use redis_session_tests::{Fields, cmd, fields, list, text};

use crate::markdown::on_one_line;

/// A command, as the server describes it.
pub(crate) struct Described {
    /// In lower case, as the server sends it: `denyoom`.
    pub(crate) flags: Vec<String>,
    /// What it does with its key: `RW`, `access`, `insert`; nothing if it has none.
    pub(crate) key: Vec<String>,
    /// Its arguments, the name left out: `key`, `[TTL seconds]`.
    pub(crate) arguments: Vec<String>,
    /// The words of its options.
    pub(crate) options: Vec<String>,
    pub(crate) summary: String,
    pub(crate) complexity: String,
}

/// All commands of the module, by name.
pub(crate) fn commands(con: &mut Connection) -> BTreeMap<String, Described> {
    let names = list(cmd(con, "COMMAND LIST FILTERBY PATTERN session.*").unwrap());
    names.iter().map(|name| text(name).to_uppercase()).map(|name| (name.clone(), describe(con, &name))).collect()
}

fn describe(con: &mut Connection, name: &str) -> Described {
    let docs = fields(cmd(con, &format!("COMMAND DOCS {name}")).unwrap());
    let docs = docs.fields(docs.names()[0]);
    let info = list(list(cmd(con, &format!("COMMAND INFO {name}")).unwrap()).remove(0));
    let arguments: Vec<Fields> =
        list(docs.get("arguments").cloned().unwrap_or(Value::Array(Vec::new()))).into_iter().map(fields).collect();
    // Valkey calls the log of slow commands the command log.
    let flags = list(info[2].clone()).into_iter().map(|flag| text(&flag).replace("commandlog", "slowlog"));
    let flags = flags.filter(|flag| flag != "module").collect();
    let words: Vec<String> = arguments.iter().map(grammar_of).collect();
    let key = list(info[8].clone()).into_iter().next().map(|spec| fields(spec).strings("flags")).unwrap_or_default();
    Described {
        flags,
        key,
        arguments: words,
        options: arguments.iter().flat_map(option_words).collect(),
        summary: docs.str("summary"),
        complexity: docs.str("complexity"),
    }
}

fn parts(argument: &Fields) -> Vec<Fields> {
    argument.get("arguments").map_or_else(Vec::new, |parts| list(parts.clone()).into_iter().map(fields).collect())
}

fn grammar_of(argument: &Fields) -> String {
    let words = grammar(argument, false);
    // Options have brackets already.
    if argument.str("type") == "oneof" && !words.starts_with('[') { format!("<{words}>") } else { words }
}

/// `[field value ...]` where a number before it says how often, else `field value [field value ...]`.
fn grammar(argument: &Fields, counted: bool) -> String {
    let kind = argument.str("type");
    let parts = parts(argument);
    let counts = kind == "block" && parts.first().is_some_and(|part| part.str("type") == "integer");
    let parts: Vec<String> = parts.iter().map(|part| grammar(part, counts)).collect();
    let mut value = match kind.as_str() {
        "pure-token" => String::new(),
        "oneof" => parts.join(" | "),
        "block" => parts.join(" "),
        _ => argument.str("name"),
    };
    let flags = if argument.has("flags") { argument.strings("flags") } else { Vec::new() };
    if flags.iter().any(|flag| flag == "multiple") {
        value = if counted { format!("{value} ...") } else { format!("{value} [{value} ...]") };
    }
    if argument.has("token") {
        value = on_one_line(&format!("{} {value}", argument.str("token")));
    }
    if flags.iter().any(|flag| flag == "optional") { format!("[{value}]") } else { value }
}

/// `TTL` of `[TTL seconds]`, `EVICT` and `REJECT` of `[EVICT | REJECT]`.
fn option_words(argument: &Fields) -> Vec<String> {
    if argument.has("token") {
        return vec![argument.str("token")];
    }
    parts(argument).iter().flat_map(option_words).collect()
}
