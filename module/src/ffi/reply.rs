//! Replies, written straight to the client or into one JSON text: no value is built first.

use std::cell::RefCell;
use std::ffi::{CString, c_long};

use redis_module::raw;
use redis_session_core::{JsonText, SessionId, UnixMillis};

use super::failure::Failure;
use super::server::redis;

/// Writes the reply of the running command.
///
/// On RESP2 a map is a flat array of names and values, a boolean an integer, and null a null bulk string. The same calls
/// write JSON where a client asks for that.
#[derive(Clone, Copy)]
pub(crate) struct Reply<'a>(Out<'a>);

#[derive(Clone, Copy)]
enum Out<'a> {
    Resp(*mut raw::RedisModuleCtx),
    Json(&'a RefCell<JsonText>),
}

impl Reply<'_> {
    pub(super) fn new(ctx: *mut raw::RedisModuleCtx) -> Self {
        Self(Out::Resp(ctx))
    }

    /// Replies with one string, the JSON text that `write` writes. Nothing is replied if it fails.
    pub(super) fn json(self, write: impl FnOnce(Reply<'_>) -> Result<(), Failure>) -> Result<(), Failure> {
        let text = RefCell::new(JsonText::default());
        write(Reply(Out::Json(&text)))?;
        self.bytes(text.into_inner().as_bytes());
        Ok(())
    }

    /// Begins a map; as many names and values must follow.
    pub(crate) fn map(self, entries: usize) -> Self {
        match self.0 {
            // SAFETY: the context is that of the running command.
            Out::Resp(ctx) => _ = unsafe { redis!(RedisModule_ReplyWithMap(ctx, length(entries))) },
            Out::Json(text) => change(text, |text| text.map(entries)),
        }
        self
    }

    /// Begins an array; as many elements must follow.
    pub(crate) fn array(self, elements: usize) {
        match self.0 {
            // SAFETY: as above.
            Out::Resp(ctx) => _ = unsafe { redis!(RedisModule_ReplyWithArray(ctx, length(elements))) },
            Out::Json(text) => change(text, |text| text.array(elements)),
        }
    }

    /// A map whose names may be any bytes.
    pub(crate) fn map_of_bytes<'d>(self, entries: impl Iterator<Item = (&'d [u8], &'d [u8])> + Clone) {
        if let Out::Json(text) = self.0 {
            return change(text, |text| text.map_of_bytes(entries, JsonText::bytes));
        }
        self.map(entries.clone().count());
        for (name, value) in entries {
            self.bytes(name);
            self.bytes(value);
        }
    }

    /// The name of a map's entry. A bulk string, as names in the server's own maps; it also costs a third of a simple
    /// string, which the server copies to look for line breaks.
    #[inline]
    pub(crate) fn name(self, name: &'static str) -> Self {
        match self.0 {
            Out::Resp(_) => self.bytes(name.as_bytes()),
            Out::Json(text) => change(text, |text| text.name(name)),
        }
        self
    }

    /// As [`name`](Self::name), for any text.
    pub(crate) fn any_name(self, name: &str) -> Self {
        match self.0 {
            Out::Resp(_) => self.bytes(name.as_bytes()),
            Out::Json(text) => change(text, |text| text.any_name(name)),
        }
        self
    }

    pub(crate) fn bytes(self, bytes: &[u8]) {
        match self.0 {
            // SAFETY: as above; the server copies the bytes.
            Out::Resp(ctx) => unsafe {
                redis!(RedisModule_ReplyWithStringBuffer(ctx, bytes.as_ptr().cast(), bytes.len()));
            },
            Out::Json(text) => change(text, |text| text.bytes(bytes)),
        }
    }

    pub(crate) fn text(self, string: &str) {
        match self.0 {
            Out::Resp(_) => self.bytes(string.as_bytes()),
            Out::Json(text) => change(text, |text| text.text(string)),
        }
    }

    pub(crate) fn id(self, id: &SessionId) {
        self.text(id.text(&mut [0; 36]));
    }

    pub(crate) fn optional_text(self, text: Option<&str>) {
        match text {
            Some(text) => self.text(text),
            None => self.null(),
        }
    }

    pub(crate) fn integer(self, number: i64) {
        match self.0 {
            // SAFETY: as above.
            Out::Resp(ctx) => _ = unsafe { redis!(RedisModule_ReplyWithLongLong(ctx, number)) },
            Out::Json(text) => change(text, |text| text.integer(number)),
        }
    }

    pub(crate) fn count(self, number: usize) {
        self.integer(i64::try_from(number).unwrap_or(i64::MAX));
    }

    pub(crate) fn optional_integer(self, number: Option<u64>) {
        match number {
            Some(number) => self.integer(i64::try_from(number).unwrap_or(i64::MAX)),
            None => self.null(),
        }
    }

    pub(crate) fn time(self, time: UnixMillis) {
        self.integer(time.as_i64());
    }

    pub(crate) fn optional_time(self, time: Option<UnixMillis>) {
        match time {
            Some(time) => self.time(time),
            None => self.null(),
        }
    }

    pub(crate) fn boolean(self, value: bool) {
        match self.0 {
            // SAFETY: as above.
            Out::Resp(ctx) => _ = unsafe { redis!(RedisModule_ReplyWithBool(ctx, i32::from(value))) },
            Out::Json(text) => change(text, |text| text.boolean(value)),
        }
    }

    pub(crate) fn null(self) {
        match self.0 {
            // SAFETY: as above.
            Out::Resp(ctx) => _ = unsafe { redis!(RedisModule_ReplyWithNull(ctx)) },
            Out::Json(text) => change(text, JsonText::null),
        }
    }

    /// An error; `text` begins with its code.
    pub(super) fn error(ctx: *mut raw::RedisModuleCtx, text: &str) {
        let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        if let Ok(text) = CString::new(clean) {
            // SAFETY: as above; the string ends with NUL and has no line breaks.
            unsafe { redis!(RedisModule_ReplyWithError(ctx, text.as_ptr())) };
        }
    }

    pub(super) fn wrong_arity(ctx: *mut raw::RedisModuleCtx) {
        // SAFETY: as above.
        unsafe { redis!(RedisModule_WrongArity(ctx)) };
    }
}

fn change(text: &RefCell<JsonText>, change: impl FnOnce(&mut JsonText)) {
    // No change makes another one, so it is never borrowed already.
    if let Ok(mut text) = text.try_borrow_mut() {
        change(&mut text);
    }
}

fn length(elements: usize) -> c_long {
    c_long::try_from(elements).unwrap_or(c_long::MAX)
}
