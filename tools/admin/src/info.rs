//! What servers say of themselves, by name.

use std::collections::BTreeMap;

use redis::{Connection, RedisResult};

/// Names and values.
pub(crate) type Map = BTreeMap<String, String>;

/// INFO, with these sections.
pub(crate) fn info(con: &mut Connection, section: &str) -> RedisResult<Map> {
    let text: String = redis::cmd("INFO").arg(section).query(con)?;
    Ok(fields(&text))
}

/// The fields of what INFO replies.
pub(crate) fn fields(text: &str) -> Map {
    let fields = text.lines().filter_map(|line| line.trim_end().split_once(':'));
    fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// CONFIG GET.
pub(crate) fn settings(con: &mut Connection, pattern: &str) -> RedisResult<Map> {
    redis::cmd("CONFIG").arg("GET").arg(pattern).query(con)
}

/// A field's text; empty if there is none.
pub(crate) fn text<'a>(map: &'a Map, name: &str) -> &'a str {
    map.get(name).map_or("", String::as_str)
}

/// A field's number; 0 if there is none.
pub(crate) fn number(map: &Map, name: &str) -> u64 {
    text(map, name).parse().unwrap_or(0)
}
