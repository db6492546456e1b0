//! Replies, written straight to the client: no value is built first.

use std::ffi::{CString, c_long};

use redis_module::raw;
use redis_session_core::{SessionId, UnixMillis};

use super::server::redis;

/// Writes the reply of the running command.
///
/// On RESP2 a map is a flat array of names and values, a boolean an integer, and null a null bulk string.
#[derive(Clone, Copy)]
pub(crate) struct Reply {
    ctx: *mut raw::RedisModuleCtx,
}

impl Reply {
    pub(super) fn new(ctx: *mut raw::RedisModuleCtx) -> Self {
        Self { ctx }
    }

    /// Begins a map; as many names and values must follow.
    pub(crate) fn map(self, entries: usize) -> Self {
        // SAFETY: the context is that of the running command.
        unsafe { redis!(RedisModule_ReplyWithMap(self.ctx, length(entries))) };
        self
    }

    /// Begins an array; as many elements must follow.
    pub(crate) fn array(self, elements: usize) {
        // SAFETY: as above.
        unsafe { redis!(RedisModule_ReplyWithArray(self.ctx, length(elements))) };
    }

    /// The name of a map's entry. A bulk string, as names in the server's own maps; it also costs a third of a simple
    /// string, which the server copies to look for line breaks.
    pub(crate) fn name(self, name: &str) -> Self {
        self.text(name);
        self
    }

    pub(crate) fn bytes(self, bytes: &[u8]) {
        // SAFETY: as above; the server copies the bytes.
        unsafe { redis!(RedisModule_ReplyWithStringBuffer(self.ctx, bytes.as_ptr().cast(), bytes.len())) };
    }

    pub(crate) fn text(self, text: &str) {
        self.bytes(text.as_bytes());
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
        // SAFETY: as above.
        unsafe { redis!(RedisModule_ReplyWithLongLong(self.ctx, number)) };
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
        // SAFETY: as above.
        unsafe { redis!(RedisModule_ReplyWithBool(self.ctx, i32::from(value))) };
    }

    pub(crate) fn null(self) {
        // SAFETY: as above.
        unsafe { redis!(RedisModule_ReplyWithNull(self.ctx)) };
    }

    /// An error; `text` begins with its code.
    pub(crate) fn error(self, text: &str) {
        let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        if let Ok(text) = CString::new(clean) {
            // SAFETY: as above; the string ends with NUL and has no line breaks.
            unsafe { redis!(RedisModule_ReplyWithError(self.ctx, text.as_ptr())) };
        }
    }

    pub(super) fn wrong_arity(self) {
        // SAFETY: as above.
        unsafe { redis!(RedisModule_WrongArity(self.ctx)) };
    }
}

fn length(elements: usize) -> c_long {
    c_long::try_from(elements).unwrap_or(c_long::MAX)
}
