//! Registration: the commands with their flags, key specifications and documentation.

use std::ffi::{CStr, CString, c_int};

use redis_module::commands::{
    BeginSearch, CommandArgFlags, FindKeys, KeySpec, KeySpecFlags, RedisModuleCommandArg, get_redis_command_args,
    get_redis_key_spec,
};
use redis_module::{Context, raw};

use super::server::{OK, redis};
use super::spec::{Entry, Grammar, KeyUse, Kind};

/// Names the functions that [`redis`] calls and this server lacks.
macro_rules! missing_of {
    ($($name:ident)*) => {{
        let mut missing = Vec::new();
        // SAFETY: the pointers were set when the module API was initialized, and do not change.
        $(if unsafe { (&raw const raw::$name).read() }.is_none() { missing.push(stringify!($name)); })*
        missing
    }};
}

/// Whether the server offers every function that this module cannot do without; else which are missing.
pub(crate) fn require_api() -> Result<(), String> {
    let missing = missing_of!(
        RedisModule_AvoidReplicaTraffic RedisModule_Call RedisModule_CallReplyType RedisModule_CloseKey RedisModule_CreateCommand RedisModule_CreateString
        RedisModule_CreateTimer RedisModule_DefragAlloc RedisModule_DefragCursorGet RedisModule_DefragCursorSet
        RedisModule_DefragShouldStop RedisModule_DeleteKey RedisModule_FreeCallReply RedisModule_FreeString
        RedisModule_GetClientId RedisModule_GetClientNameById RedisModule_GetCurrentUserName RedisModule_InfoAddFieldULongLong
        RedisModule_InfoAddSection RedisModule_RegisterInfoFunc RedisModule_Scan RedisModule_ScanCursorCreate
        RedisModule_ScanCursorDestroy RedisModule_SelectDb
        RedisModule_DigestAddStringBuffer RedisModule_DigestEndSequence RedisModule_EmitAOF RedisModule_GetAbsExpire
        RedisModule_GetCommand RedisModule_GetContextFlags RedisModule_KeyType RedisModule_LoadConfigs
        RedisModule_LoadStringBuffer RedisModule_Log RedisModule_LogIOError RedisModule_Milliseconds
        RedisModule_ModuleTypeGetType RedisModule_ModuleTypeGetValue RedisModule_ModuleTypeSetValue
        RedisModule_NotifyKeyspaceEvent RedisModule_OpenKey RedisModule_RedactClientCommandArgument
        RedisModule_RegisterEnumConfig RedisModule_RegisterNumericConfig RedisModule_RegisterStringConfig
        RedisModule_Replicate RedisModule_ReplyWithArray RedisModule_ReplyWithBool RedisModule_ReplyWithError
        RedisModule_ReplyWithLongLong RedisModule_ReplyWithMap RedisModule_ReplyWithNull
        RedisModule_ReplyWithStringBuffer RedisModule_SaveStringBuffer
        RedisModule_SetAbsExpire RedisModule_SetCommandInfo RedisModule_SignalModifiedKey RedisModule_StringPtrLen
        RedisModule_SubscribeToServerEvent
        RedisModule_WrongArity
    );
    if missing.is_empty() { Ok(()) } else { Err(missing.join(", ")) }
}

/// An ACL category of all commands, where the server lets modules have one (Redis 7.4 and newer, Valkey 8 and newer).
pub(crate) fn add_category(ctx: &Context, name: &CStr) -> bool {
    // SAFETY: reads a pointer that was set when the module API was initialized.
    let add = unsafe { raw::RedisModule_AddACLCategory };
    // SAFETY: the string ends with NUL, and the server copies it.
    add.is_some_and(|add| unsafe { add(ctx.ctx, name.as_ptr()) } == OK)
}

/// Registers one command: flags, key specification, arity, documentation and, where the server has them, ACL categories:
/// also `category`, if it is not empty.
pub(crate) fn register(ctx: &Context, entry: &Entry, category: &str) -> Result<(), String> {
    let spec = entry.spec;
    let refused = |what: &str| format!("{}: the server refused its {what}", spec.name);
    let text = |text: &str| CString::new(text).map_err(|error| error.to_string());
    let (name, flags) = (text(spec.name)?, text(spec.flags)?);
    let keys = c_int::from(spec.key != KeyUse::None);
    // SAFETY: both strings end with NUL; the callback has the signature that the server calls.
    let command = unsafe {
        let done = redis!(RedisModule_CreateCommand(
            ctx.ctx,
            name.as_ptr(),
            Some(entry.callback),
            flags.as_ptr(),
            keys,
            keys,
            keys,
        ));
        if done != OK {
            return Err(refused("name"));
        }
        redis!(RedisModule_GetCommand(ctx.ctx, name.as_ptr()))
    };
    let (summary, complexity, since) = (text(spec.summary)?, text(spec.complexity)?, text(SINCE)?);
    let mut key_specs = get_redis_key_spec(key_spec(spec.key).into_iter().collect());
    let args = spec.grammar.iter().map(argument).collect();
    let mut args = get_redis_command_args(args);
    let version = raw::RedisModuleCommandInfoVersion {
        version: 1,
        sizeof_historyentry: size_of::<raw::RedisModuleCommandHistoryEntry>(),
        sizeof_keyspec: size_of::<raw::RedisModuleCommandKeySpec>(),
        sizeof_arg: size_of::<raw::RedisModuleCommandArg>(),
    };
    let info = raw::RedisModuleCommandInfo {
        version: &raw const version,
        summary: summary.as_ptr(),
        complexity: complexity.as_ptr(),
        since: since.as_ptr(),
        history: std::ptr::null_mut(),
        tips: std::ptr::null(),
        arity: c_int::from(spec.arity),
        key_specs: key_specs.as_mut_ptr(),
        args: args.as_mut().map_or(std::ptr::null_mut(), |args| args.as_mut_ptr()),
    };
    // SAFETY: everything that `info` points at lives until the call returns, and the server copies it.
    if unsafe { redis!(RedisModule_SetCommandInfo(command, &raw const info)) } != OK {
        return Err(refused("documentation"));
    }
    // SAFETY: reads a pointer that was set when the module API was initialized.
    if let Some(set_categories) = unsafe { raw::RedisModule_SetCommandACLCategories } {
        let categories = text(format!("{} {category}", spec.categories()).trim_end())?;
        // SAFETY: the string ends with NUL.
        if unsafe { set_categories(command, categories.as_ptr()) } != OK {
            return Err(refused("ACL categories"));
        }
    }
    Ok(())
}

/// The version that all commands are there from: the first that is released.
const SINCE: &str = env!("CARGO_PKG_VERSION");

/// Without it, the server would take every command for one that reads and writes its key, and refuse `%R~` users.
fn key_spec(key: KeyUse) -> Option<KeySpec> {
    let flags = match key {
        KeyUse::None => return None,
        KeyUse::Reads => vec![KeySpecFlags::READ_ONLY, KeySpecFlags::ACCESS],
        KeyUse::Updates => vec![KeySpecFlags::READ_WRITE, KeySpecFlags::ACCESS, KeySpecFlags::UPDATE],
        KeyUse::Inserts => vec![KeySpecFlags::READ_WRITE, KeySpecFlags::ACCESS, KeySpecFlags::INSERT],
        KeyUse::Deletes => vec![KeySpecFlags::READ_WRITE, KeySpecFlags::ACCESS, KeySpecFlags::DELETE],
    };
    Some(KeySpec::new(None, flags.into(), BeginSearch::new_index(1), FindKeys::new_range(0, 1, 0)))
}

fn argument(grammar: &Grammar) -> RedisModuleCommandArg {
    let flags = |optional: bool, many: bool| {
        let mut flags = CommandArgFlags::NONE;
        flags.set(CommandArgFlags::OPTIONAL, optional);
        flags.set(CommandArgFlags::MULTIPLE, many);
        flags
    };
    let one = |name: &str, kind: u32, token: Option<&str>, flags, subargs| {
        let key = (kind == raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_KEY).then_some(0);
        RedisModuleCommandArg::new(
            name.to_lowercase(),
            kind,
            key,
            token.map(str::to_owned),
            None,
            None,
            flags,
            None,
            subargs,
            None,
        )
    };
    let pure = |word: &str, optional| {
        one(
            word,
            raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_PURE_TOKEN,
            Some(word),
            flags(optional, false),
            None,
        )
    };
    let choice = |words: &[&str]| Some(words.iter().map(|word| pure(word, false)).collect());
    match *grammar {
        Grammar::Key => {
            one("key", raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_KEY, None, flags(false, false), None)
        }
        Grammar::Value(name) => one(name, kind(Kind::Text), None, flags(false, false), None),
        Grammar::Values(name) => one(name, kind(Kind::Text), None, flags(false, true), None),
        Grammar::Option(word, name, of) => one(name, kind(of), Some(word), flags(true, false), None),
        Grammar::RequiredOption(word, name, of) => one(name, kind(of), Some(word), flags(false, false), None),
        Grammar::TimeOr(word, other) => {
            let oneof = raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_ONEOF;
            let time = one("unix-time-milliseconds", kind(Kind::UnixTime), Some(word), flags(false, false), None);
            one(&format!("{word}-or-{other}"), oneof, None, flags(true, false), Some(vec![time, pure(other, false)]))
        }
        Grammar::EitherOption(options) => {
            let oneof = raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_ONEOF;
            let name = options.iter().map(|(word, _)| *word).collect::<Vec<_>>().join("-or-");
            let one_of =
                |(word, name): &(&str, &str)| one(name, kind(Kind::Text), Some(word), flags(false, false), None);
            one(&name, oneof, None, flags(true, false), Some(options.iter().map(one_of).collect()))
        }
        Grammar::Pairs(name, value) => {
            let block = raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_BLOCK;
            let text = |name| one(name, kind(Kind::Text), None, flags(false, false), None);
            one(&format!("{name}-{value}"), block, None, flags(false, true), Some(vec![text(name), text(value)]))
        }
        Grammar::Flag(word) => pure(word, true),
        Grammar::Either(words) => {
            let oneof = raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_ONEOF;
            one(&words.join("-or-"), oneof, None, flags(true, false), choice(words))
        }
        Grammar::Choice(word, words) => {
            let oneof = raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_ONEOF;
            let block = raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_BLOCK;
            // In a block, for redis-cli forgets the words of a choice with a token as soon as the token is typed.
            let one_of = one(&words.join("-or-"), oneof, None, flags(false, false), choice(words));
            one(word, block, Some(word), flags(true, false), Some(vec![one_of]))
        }
        Grammar::Fields(word) => {
            let block = raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_BLOCK;
            let text = |name| one(name, kind(Kind::Text), None, flags(false, false), None);
            let pair = one("field-value", block, None, flags(false, true), Some(vec![text("field"), text("value")]));
            let number = one("n", kind(Kind::Integer), None, flags(false, false), None);
            one(word, block, Some(word), flags(true, false), Some(vec![number, pair]))
        }
    }
}

fn kind(kind: Kind) -> u32 {
    match kind {
        Kind::Text => raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_STRING,
        Kind::UnixTime => raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_UNIX_TIME,
        Kind::Integer => raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_INTEGER,
    }
}
