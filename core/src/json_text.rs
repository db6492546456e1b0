//! JSON text, written from front to back into one buffer (RFC 8259).

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Writes one JSON text. What a map or an array holds follows it, as many elements as were announced: a map's names and
/// values by turns.
///
/// ```
/// use redis_session_core::JsonText;
///
/// let mut text = JsonText::default();
/// text.map(2);
/// text.text("id");
/// text.text("a \"name\"");
/// text.text("sizes");
/// text.array(2);
/// text.integer(7);
/// text.bytes(b"\xff");
/// assert_eq!(text.as_bytes(), br#"{"id":"a \"name\"","sizes":[7,{"base64":"/w=="}]}"#);
/// ```
#[derive(Debug)]
pub struct JsonText {
    text: Vec<u8>,
    /// The maps and arrays that are not complete, the innermost last.
    open: Vec<Open>,
}

#[derive(Debug)]
struct Open {
    is_map: bool,
    /// How many elements there are so far. Names and values of a map count each.
    given: usize,
    of: usize,
}

impl Default for JsonText {
    /// With room for a session.
    fn default() -> Self {
        Self { text: Vec::with_capacity(512), open: Vec::with_capacity(4) }
    }
}

impl JsonText {
    /// Begins an object of as many names and values.
    pub fn map(&mut self, entries: usize) {
        self.container(true, entries.saturating_mul(2));
    }

    /// Begins an array of as many elements.
    pub fn array(&mut self, elements: usize) {
        self.container(false, elements);
    }

    /// A string.
    pub fn text(&mut self, text: &str) {
        self.begin();
        self.string(text);
        self.end();
    }

    /// A string if the bytes are UTF-8. Else an object with the member `base64`, in the standard alphabet with padding (RFC
    /// 4648 section 4).
    pub fn bytes(&mut self, bytes: &[u8]) {
        if let Ok(text) = std::str::from_utf8(bytes) {
            return self.text(text);
        }
        self.begin();
        self.text.extend_from_slice(b"{\"base64\":\"");
        self.text.extend_from_slice(STANDARD.encode(bytes).as_bytes());
        self.text.extend_from_slice(b"\"}");
        self.end();
    }

    /// A number.
    pub fn integer(&mut self, number: i64) {
        self.begin();
        self.text.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        self.end();
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, value: bool) {
        self.begin();
        self.text.extend_from_slice(if value { b"true" } else { b"false" });
        self.end();
    }

    /// `null`
    pub fn null(&mut self) {
        self.begin();
        self.text.extend_from_slice(b"null");
        self.end();
    }

    /// The text so far.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.text
    }

    fn container(&mut self, is_map: bool, of: usize) {
        self.begin();
        self.text.push(if is_map { b'{' } else { b'[' });
        self.open.push(Open { is_map, given: 0, of });
        self.end();
    }

    fn begin(&mut self) {
        let Some(open) = self.open.last_mut() else { return };
        if open.given > 0 {
            self.text.push(if open.is_map && open.given % 2 == 1 { b':' } else { b',' });
        }
        open.given += 1;
    }

    /// Closes what is complete now.
    fn end(&mut self) {
        while let Some(open) = self.open.pop_if(|open| open.given >= open.of) {
            self.text.push(if open.is_map { b'}' } else { b']' });
        }
    }

    /// RFC 8259 section 7.
    fn string(&mut self, text: &str) {
        self.text.push(b'"');
        let mut rest = text.as_bytes();
        // All of it, which the compiler makes a vector of, where a search would look at each byte. Hardly any text has one.
        if !rest.iter().fold(false, |found, byte| found | is_escaped(*byte)) {
            self.text.extend_from_slice(rest);
            self.text.push(b'"');
            return;
        }
        while let Some(at) = rest.iter().position(|byte| is_escaped(*byte)) {
            let (plain, more) = rest.split_at(at);
            self.text.extend_from_slice(plain);
            let Some((byte, more)) = more.split_first() else { break };
            match byte {
                b'"' | b'\\' => self.text.extend_from_slice(&[b'\\', *byte]),
                // A vector takes everything.
                byte => _ = write!(self.text, "\\u{byte:04x}"),
            }
            rest = more;
        }
        self.text.extend_from_slice(rest);
        self.text.push(b'"');
    }
}

/// RFC 8259 section 7: what a string must not have as it is.
fn is_escaped(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    #[derive(Clone, Debug)]
    enum Tree {
        Null,
        Boolean(bool),
        Integer(i64),
        Bytes(Vec<u8>),
        Array(Vec<Tree>),
        Map(Vec<(String, Tree)>),
    }

    fn tree() -> impl Strategy<Value = Tree> {
        let leaf = prop_oneof![
            Just(Tree::Null),
            any::<bool>().prop_map(Tree::Boolean),
            any::<i64>().prop_map(Tree::Integer),
            any::<String>().prop_map(|text| Tree::Bytes(text.into())),
            prop::collection::vec(any::<u8>(), 0..20).prop_map(Tree::Bytes),
        ];
        leaf.prop_recursive(5, 60, 6, |inner| {
            let name = prop_oneof!["[a-z]{1,3}", any::<String>()];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Tree::Array),
                prop::collection::btree_map(name, inner, 0..6).prop_map(|map| Tree::Map(map.into_iter().collect())),
            ]
        })
    }

    fn write(tree: &Tree, out: &mut JsonText) {
        match tree {
            Tree::Null => out.null(),
            Tree::Boolean(value) => out.boolean(*value),
            Tree::Integer(number) => out.integer(*number),
            Tree::Bytes(bytes) => out.bytes(bytes),
            Tree::Array(elements) => {
                out.array(elements.len());
                elements.iter().for_each(|element| write(element, out));
            }
            Tree::Map(entries) => {
                out.map(entries.len());
                for (name, value) in entries {
                    out.text(name);
                    write(value, out);
                }
            }
        }
    }

    fn meant(tree: &Tree) -> Value {
        match tree {
            Tree::Null => Value::Null,
            Tree::Boolean(value) => json!(value),
            Tree::Integer(number) => json!(number),
            Tree::Bytes(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => json!(text),
                Err(_) => json!({ "base64": STANDARD.encode(bytes) }),
            },
            Tree::Array(elements) => elements.iter().map(meant).collect(),
            Tree::Map(entries) => entries.iter().map(|(name, value)| (name.clone(), meant(value))).collect(),
        }
    }

    proptest! {
        #[test]
        fn another_parser_reads_what_was_meant(tree in tree()) {
            let mut text = JsonText::default();
            write(&tree, &mut text);
            prop_assert_eq!(serde_json::from_slice::<Value>(text.as_bytes()).unwrap(), meant(&tree));
            prop_assert!(text.open.is_empty());
        }
    }
}
