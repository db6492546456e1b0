//! JSON text, written from front to back into one buffer (RFC 8259).

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Writes one JSON text. The elements of a map or an array follow it, as many as were announced. Each element of a map
/// comes after its name.
///
/// ```
/// use redis_session_core::JsonText;
///
/// let mut text = JsonText::default();
/// text.map(2);
/// text.name("id");
/// text.text("a \"name\"");
/// text.name("sizes");
/// text.array(2);
/// text.integer(7);
/// text.bytes(b"\xff");
/// assert_eq!(text.as_bytes(), br#"{"id":"a \"name\"","sizes":[7,{"base64":"/w=="}]}"#);
/// ```
#[derive(Debug)]
pub struct JsonText {
    text: Vec<u8>,
    /// The innermost map or array that is not complete.
    open: Open,
    /// Those around it, the innermost last.
    outer: Vec<Open>,
}

#[derive(Debug)]
struct Open {
    kind: Kind,
    /// How many elements are still to come.
    left: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Whole,
    Array,
    Map,
}

impl Default for JsonText {
    /// With room for a session.
    fn default() -> Self {
        let whole = Open { kind: Kind::Whole, left: 1 };
        Self { text: Vec::with_capacity(512), open: whole, outer: Vec::with_capacity(4) }
    }
}

impl JsonText {
    /// Begins an object of as many elements.
    pub fn map(&mut self, elements: usize) {
        self.text.push(b'{');
        self.begin(Kind::Map, elements);
    }

    /// Begins an array of as many elements.
    pub fn array(&mut self, elements: usize) {
        self.text.push(b'[');
        self.begin(Kind::Array, elements);
    }

    /// The name of a map's element, which has nothing to escape: a name of ours.
    // A caller that writes RESP as well is inlined only if this is not.
    #[inline(never)]
    pub fn name(&mut self, name: &'static str) {
        debug_assert!(!has_escaped(name.as_bytes()), "{name}");
        self.quoted(name.as_bytes(), b"\":");
    }

    /// The name of a map's element, whatever its text.
    pub fn any_name(&mut self, name: &str) {
        self.string(name.as_bytes(), b"\":");
    }

    /// A map whose names may be any bytes, with `write` for its elements. The names of a JSON object are text. If one of
    /// these is not UTF-8, the map is an array of arrays, each with a name and an element.
    pub fn map_of_bytes<'a, V>(
        &mut self,
        entries: impl Iterator<Item = (&'a [u8], V)> + Clone,
        write: impl Fn(&mut Self, V),
    ) {
        let count = entries.clone().count();
        if entries.clone().all(|(name, _)| std::str::from_utf8(name).is_ok()) {
            self.map(count);
            for (name, value) in entries {
                self.string(name, b"\":");
                write(self, value);
            }
        } else {
            self.array(count);
            for (name, value) in entries {
                self.array(2);
                self.bytes(name);
                write(self, value);
            }
        }
    }

    /// A string.
    pub fn text(&mut self, text: &str) {
        self.string(text.as_bytes(), b"\"");
        self.end();
    }

    /// A string if the bytes are UTF-8. Else an object with the member `base64`, in the standard alphabet with padding (RFC
    /// 4648 section 4).
    pub fn bytes(&mut self, bytes: &[u8]) {
        if let Ok(text) = std::str::from_utf8(bytes) {
            return self.text(text);
        }
        self.text.extend_from_slice(b"{\"base64\":\"");
        self.text.extend_from_slice(STANDARD.encode(bytes).as_bytes());
        self.text.extend_from_slice(b"\"}");
        self.end();
    }

    /// A number.
    pub fn integer(&mut self, number: i64) {
        self.text.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        self.end();
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, value: bool) {
        self.text.extend_from_slice(if value { b"true" } else { b"false" });
        self.end();
    }

    /// `null`
    pub fn null(&mut self) {
        self.text.extend_from_slice(b"null");
        self.end();
    }

    /// The text so far.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.text
    }

    fn begin(&mut self, kind: Kind, left: usize) {
        self.outer.push(std::mem::replace(&mut self.open, Open { kind, left }));
        if left == 0 {
            self.close();
        }
    }

    /// After each element: what separates it from the next one, or closes what is complete now.
    fn end(&mut self) {
        self.open.left = self.open.left.saturating_sub(1);
        if self.open.left > 0 {
            self.text.push(b',');
        } else {
            self.close();
        }
    }

    /// Closes the map or array that is complete, and what is complete with it.
    fn close(&mut self) {
        while self.open.left == 0 {
            let Some(outer) = self.outer.pop() else { return };
            self.text.push(if self.open.kind == Kind::Map { b'}' } else { b']' });
            self.open = outer;
            self.open.left = self.open.left.saturating_sub(1);
            if self.open.left > 0 {
                self.text.push(b',');
            }
        }
    }

    /// `after` is the quotation mark that ends it, and what follows.
    fn string(&mut self, text: &[u8], after: &[u8]) {
        if has_escaped(text) {
            self.escaped(text, after);
        } else {
            self.quoted(text, after);
        }
    }

    #[inline]
    fn quoted(&mut self, text: &[u8], after: &[u8]) {
        // Room for a separator, too.
        self.text.reserve(text.len().saturating_add(4));
        self.text.push(b'"');
        self.text.extend_from_slice(text);
        self.text.extend_from_slice(after);
    }

    /// RFC 8259 section 7.
    fn escaped(&mut self, mut rest: &[u8], after: &[u8]) {
        self.text.push(b'"');
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
        self.text.extend_from_slice(after);
    }
}

/// RFC 8259 section 7: what a string must not have as it is.
fn is_escaped(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// Whether one of the bytes is escaped. Hardly any text has one, so this looks at eight bytes in one step.
fn has_escaped(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<8>();
    words.iter().any(|word| has_escaped_word(u64::from_ne_bytes(*word))) || rest.iter().any(|byte| is_escaped(*byte))
}

/// The same of the eight bytes of a word. In each term the top bit of a byte is set where that byte is less than the number
/// that is subtracted from it. A borrow can set it falsely only above a byte where it is set truly.
fn has_escaped_word(word: u64) -> bool {
    const EACH: u64 = u64::MAX / 0xff;
    let (quote, backslash) = (word ^ (EACH * b'"' as u64), word ^ (EACH * b'\\' as u64));
    let below = |word: u64, number: u64| word.wrapping_sub(EACH * number) & !word;
    (below(word, 0x20) | below(quote, 1) | below(backslash, 1)) & (EACH * 0x80) != 0
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
                let entries = entries.iter().map(|(name, value)| (name.as_bytes(), value));
                out.map_of_bytes(entries, |out, value| write(value, out));
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
            prop_assert!(text.outer.is_empty());
        }

        #[test]
        fn a_byte_that_is_escaped_is_found_wherever_it_is(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            prop_assert_eq!(has_escaped(&bytes), bytes.iter().any(|byte| is_escaped(*byte)));
        }
    }

    #[test]
    fn each_byte_is_told_from_its_neighbours() {
        for byte in 0..=u8::MAX {
            for at in 0..17 {
                for around in [b'a', 0x7f, 0x80, 0xff] {
                    let mut bytes = [around; 17];
                    bytes[at] = byte;
                    assert_eq!(has_escaped(&bytes), is_escaped(byte), "{byte} at {at}");
                }
            }
        }
    }
}
