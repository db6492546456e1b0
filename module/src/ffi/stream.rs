//! Writing to a stream, as part of the running command.

use std::ffi::c_int;
use std::ptr::null_mut;

use redis_module::raw;

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
