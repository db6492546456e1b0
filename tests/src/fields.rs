//! Replies, read the same way whether they came over RESP2 or RESP3.

use redis::Value;

/// A reply of named fields, in the order the server sent them.
#[derive(Clone, Debug, PartialEq)]
pub struct Fields(Vec<(String, Value)>);

/// Reads a map: a RESP3 map, or the flat array of names and values that takes its place on RESP2.
///
/// # Panics
///
/// If the reply is neither, or names a field twice.
#[track_caller]
pub fn fields(reply: Value) -> Fields {
    let pairs: Vec<(String, Value)> = match reply {
        Value::Map(pairs) => pairs.into_iter().map(|(name, value)| (text(&name), value)).collect(),
        Value::Array(flat) => {
            assert!(flat.len() % 2 == 0, "a name without a value in {flat:?}");
            flat.chunks_exact(2).map(|pair| (text(&pair[0]), pair[1].clone())).collect()
        }
        other => panic!("a map was expected: {other:?}"),
    };
    for (i, (name, _)) in pairs.iter().enumerate() {
        assert!(pairs[..i].iter().all(|(earlier, _)| earlier != name), "{name} is there twice: {pairs:?}");
    }
    Fields(pairs)
}

/// Reads an array.
///
/// # Panics
///
/// If the reply is something else.
#[track_caller]
pub fn list(reply: Value) -> Vec<Value> {
    match reply {
        Value::Array(items) | Value::Set(items) => items,
        other => panic!("an array was expected: {other:?}"),
    }
}

/// Reads text: a bulk, simple or verbatim string, or a number's digits.
///
/// # Panics
///
/// If the reply is something else, or not UTF-8.
#[track_caller]
pub fn text(reply: &Value) -> String {
    match reply {
        Value::BulkString(bytes) => String::from_utf8(bytes.clone()).expect("a reply in UTF-8"),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => text.clone(),
        Value::Okay => "OK".to_owned(),
        Value::Int(number) => number.to_string(),
        other => panic!("a string was expected: {other:?}"),
    }
}

impl Fields {
    /// The other fields.
    #[must_use]
    pub fn without(self, name: &str) -> Self {
        Self(self.0.into_iter().filter(|(known, _)| known != name).collect())
    }

    /// The names of the fields, in the order of the reply.
    pub fn names(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// The value of a field, if the reply has that field.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(field, _)| field == name).map(|(_, value)| value)
    }

    /// Whether the reply has a field, which may be null.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Whether a field is null or left out.
    pub fn is_null(&self, name: &str) -> bool {
        self.get(name).is_none_or(|value| *value == Value::Nil)
    }

    /// A field's text. Panics if it is missing or something else; so do the readers below.
    #[track_caller]
    pub fn str(&self, name: &str) -> String {
        text(self.value(name))
    }

    /// A field's bytes.
    #[track_caller]
    pub fn bytes(&self, name: &str) -> Vec<u8> {
        match self.value(name) {
            Value::BulkString(bytes) => bytes.clone(),
            other => text(other).into_bytes(),
        }
    }

    /// A field's integer.
    #[track_caller]
    pub fn int(&self, name: &str) -> i64 {
        match self.value(name) {
            Value::Int(number) => *number,
            other => panic!("{name}: an integer was expected: {other:?}"),
        }
    }

    /// A field's truth: a RESP3 boolean, or the 1 or 0 that takes its place on RESP2.
    #[track_caller]
    pub fn bool(&self, name: &str) -> bool {
        match self.value(name) {
            Value::Boolean(truth) => *truth,
            Value::Int(0) => false,
            Value::Int(1) => true,
            other => panic!("{name}: a boolean was expected: {other:?}"),
        }
    }

    /// A field's array of texts.
    #[track_caller]
    pub fn strings(&self, name: &str) -> Vec<String> {
        list(self.value(name).clone()).iter().map(text).collect()
    }

    /// A field's own map.
    #[track_caller]
    pub fn fields(&self, name: &str) -> Fields {
        fields(self.value(name).clone())
    }

    #[track_caller]
    fn value(&self, name: &str) -> &Value {
        let Some(value) = self.get(name) else { panic!("no field {name} in {:?}", self.0) };
        value
    }
}
