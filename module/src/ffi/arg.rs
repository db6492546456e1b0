//! One argument of a call.

use std::marker::PhantomData;

use redis_module::raw;

use super::server::redis;

/// One argument of a call.
#[derive(Clone, Copy)]
pub(crate) struct Arg<'a> {
    string: *mut raw::RedisModuleString,
    lifetime: PhantomData<&'a ()>,
}

impl<'a> Arg<'a> {
    /// # Safety
    /// `string` must live and stay unchanged for `'a`.
    pub(super) unsafe fn borrowed(string: *mut raw::RedisModuleString) -> Self {
        Self { string, lifetime: PhantomData }
    }

    pub(super) fn string(self) -> *mut raw::RedisModuleString {
        self.string
    }

    pub(crate) fn bytes(self) -> &'a [u8] {
        let mut length = 0;
        // SAFETY: the string lives for 'a and is not changed while the command runs.
        unsafe {
            let start = redis!(RedisModule_StringPtrLen(self.string, &raw mut length));
            std::slice::from_raw_parts(start.cast(), length)
        }
    }
}
