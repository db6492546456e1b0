//! Writing to a stream, as part of the running command, and looking at one.

use std::ffi::{CStr, c_int};
use std::ptr::null_mut;

use redis_module::raw;
use redis_session_core::readers::{Group, Stream};

use super::arg::Arg;
use super::server::redis;

/// Adds entries of names and values, with who did it if that was a client, to a stream that keeps about `maxlen`. The
/// server replicates them together with what else the command replicates. The answer is how many could not be added.
///
/// # Safety
/// The context must be that of the running command or timer.
pub(super) unsafe fn append(
    ctx: *mut raw::RedisModuleCtx,
    by_client: bool,
    stream: &[u8],
    maxlen: Option<u64>,
    entries: Vec<Vec<(&'static str, String)>>,
) -> usize {
    let mut failed = 0;
    // SAFETY: as the caller says.
    let actor = if by_client { unsafe { actor(ctx) } } else { Vec::new() };
    for fields in entries {
        let mut args = vec![stream.to_vec()];
        if let Some(maxlen) = maxlen {
            args.extend([b"MAXLEN".to_vec(), b"~".to_vec(), maxlen.to_string().into_bytes()]);
        }
        args.push(b"*".to_vec());
        for (name, value) in fields {
            args.extend([name.as_bytes().to_vec(), value.into_bytes()]);
        }
        for (name, value) in &actor {
            args.extend([name.as_bytes().to_vec(), value.clone()]);
        }
        // SAFETY: as the caller says.
        if !unsafe { xadd(ctx, &args) } {
            failed += 1;
        }
    }
    failed
}

/// The ACL user and the name of the client that sent the command.
///
/// # Safety
/// The context must be that of a running command.
unsafe fn actor(ctx: *mut raw::RedisModuleCtx) -> Vec<(&'static str, Vec<u8>)> {
    // SAFETY: as the caller says. Both answer null if there is no such thing.
    let (user, client) = unsafe {
        let id = redis!(RedisModule_GetClientId(ctx));
        (redis!(RedisModule_GetCurrentUserName(ctx)), redis!(RedisModule_GetClientNameById(ctx, id)))
    };
    let mut actor = Vec::new();
    for (name, string) in [("acl_user", user), ("client", client)] {
        if !string.is_null() {
            // SAFETY: the string is ours, and is freed once, after the last use of its bytes.
            unsafe {
                actor.push((name, Arg::borrowed(string).bytes().to_vec()));
                redis!(RedisModule_FreeString(ctx, string));
            }
        }
    }
    actor.retain(|(_, value)| !value.is_empty());
    actor
}

/// Whether it was done.
///
/// # Safety
/// The context must be that of the running command or timer.
unsafe fn xadd(ctx: *mut raw::RedisModuleCtx, args: &[Vec<u8>]) -> bool {
    // SAFETY: the server copies the bytes.
    let create =
        |arg: &Vec<u8>| unsafe { redis!(RedisModule_CreateString(null_mut(), arg.as_ptr().cast(), arg.len())) };
    let mut strings: Vec<*mut raw::RedisModuleString> = args.iter().map(create).collect();
    // SAFETY: the format says what follows: strings of the server's and how many. `!` replicates the command.
    let done = unsafe {
        let reply =
            redis!(RedisModule_Call(ctx, c"XADD".as_ptr(), c"!v".as_ptr(), strings.as_mut_ptr(), strings.len(),));
        let done = !reply.is_null()
            && redis!(RedisModule_CallReplyType(reply))
                != c_int::try_from(raw::REDISMODULE_REPLY_ERROR).unwrap_or(c_int::MAX);
        if !reply.is_null() {
            redis!(RedisModule_FreeCallReply(reply));
        }
        done
    };
    for string in strings {
        // SAFETY: each was made above, without a context.
        unsafe { redis!(RedisModule_FreeString(null_mut(), string)) };
    }
    done
}

/// What the server says of the stream at a key; none if no stream is there.
///
/// # Safety
/// The context must be that of the running timer.
pub(super) unsafe fn look(ctx: *mut raw::RedisModuleCtx, name: &[u8]) -> Option<Stream> {
    // SAFETY: the server copies the name; the string is freed below, after all that borrows it.
    let string = unsafe { redis!(RedisModule_CreateString(ctx, name.as_ptr().cast(), name.len())) };
    // SAFETY: context and string are good. XINFO is asked only where there is a stream, or its error would be counted.
    let found = unsafe { if is_stream(ctx, string) { described(ctx, string) } else { None } };
    // SAFETY: it was made above with the same context, and what borrowed it is gone.
    unsafe { redis!(RedisModule_FreeString(ctx, string)) };
    found
}

/// # Safety
/// The context must be that of the running timer, and the string good.
unsafe fn is_stream(ctx: *mut raw::RedisModuleCtx, name: *mut raw::RedisModuleString) -> bool {
    // For writing, though nothing is written: the server counts reads of keys that are not there.
    let mode = raw::REDISMODULE_READ | raw::REDISMODULE_WRITE | raw::REDISMODULE_OPEN_KEY_NOTOUCH;
    // SAFETY: as the caller says. A key that was opened is closed once.
    unsafe {
        let key: *mut raw::RedisModuleKey =
            redis!(RedisModule_OpenKey(ctx, name, c_int::try_from(mode).unwrap_or(0))).cast();
        if key.is_null() {
            return false;
        }
        let kind = redis!(RedisModule_KeyType(key));
        redis!(RedisModule_CloseKey(key));
        kind == number_of(raw::REDISMODULE_KEYTYPE_STREAM)
    }
}

/// # Safety
/// As for [`is_stream`].
unsafe fn described(ctx: *mut raw::RedisModuleCtx, name: *mut raw::RedisModuleString) -> Option<Stream> {
    // SAFETY: as the caller says.
    let (stream, groups) = unsafe { (Answer::of(ctx, c"STREAM", name)?, Answer::of(ctx, c"GROUPS", name)?) };
    let of_group = |group| Group { read: number(group, b"entries-read"), lag: number(group, b"lag") };
    Some(Stream {
        length: number(stream.0, b"length").unwrap_or(0),
        added: number(stream.0, b"entries-added").unwrap_or(0),
        groups: elements(groups.0).map(of_group).collect(),
    })
}

/// The answer of XINFO: an array.
struct Answer(*mut raw::RedisModuleCallReply);

impl Answer {
    /// # Safety
    /// As for [`is_stream`].
    unsafe fn of(ctx: *mut raw::RedisModuleCtx, what: &CStr, name: *mut raw::RedisModuleString) -> Option<Self> {
        // SAFETY: the format says what follows: a string that ends with NUL, and one of the server's.
        let reply = unsafe { redis!(RedisModule_Call(ctx, c"XINFO".as_ptr(), c"cs".as_ptr(), what.as_ptr(), name)) };
        // There is none where the key is another server's: on a replica, for one. Null must not be freed.
        if reply.is_null() { None } else { Some(Self(reply)) }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        // SAFETY: it was answered once and is freed once, with all that is in it.
        unsafe { redis!(RedisModule_FreeCallReply(self.0)) };
    }
}

/// What is in an answer; nothing is in one that is no array.
fn elements(reply: *mut raw::RedisModuleCallReply) -> impl Iterator<Item = *mut raw::RedisModuleCallReply> {
    // SAFETY: all callers pass an answer that lives, or a part of one. Past the end there is null.
    let is_array = unsafe { redis!(RedisModule_CallReplyType(reply)) } == number_of(raw::REDISMODULE_REPLY_ARRAY);
    // SAFETY: as above.
    let at = move |place| unsafe { redis!(RedisModule_CallReplyArrayElement(reply, place)) };
    (0..).take_while(move |_| is_array).map(at).take_while(|element| !element.is_null())
}

/// The number with a name, in an array of names and values.
fn number(reply: *mut raw::RedisModuleCallReply, name: &[u8]) -> Option<u64> {
    let mut elements = elements(reply);
    while let (Some(label), Some(value)) = (elements.next(), elements.next()) {
        // SAFETY: both are parts of an answer that lives; the bytes of a text live as long.
        unsafe {
            let mut length = 0;
            let bytes = redis!(RedisModule_CallReplyStringPtr(label, &raw mut length));
            if bytes.is_null() || std::slice::from_raw_parts(bytes.cast::<u8>(), length) != name {
                continue;
            }
            if redis!(RedisModule_CallReplyType(value)) == number_of(raw::REDISMODULE_REPLY_INTEGER) {
                return u64::try_from(redis!(RedisModule_CallReplyInteger(value))).ok();
            }
        }
        return None;
    }
    None
}

/// A kind of key or reply, of whatever type its constant is.
fn number_of(kind: impl TryInto<c_int>) -> c_int {
    kind.try_into().unwrap_or(c_int::MAX)
}
