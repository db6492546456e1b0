//! Registration: the commands with their flags, key specifications and documentation.

use std::ffi::{CStr, CString, c_int};

use redis_module::commands::{
    BeginSearch, CommandArgFlags, FindKeys, KeySpec, KeySpecFlags, RedisModuleCommandArg, get_redis_command_args,
    get_redis_key_spec,
};
use redis_module::{Context, raw};

use super::server::{OK, redis};
use super::spec::{Argument, Entry, Form, KeyUse, arity};

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
        RedisModule_AvoidReplicaTraffic RedisModule_Call RedisModule_CallReplyArrayElement
        RedisModule_CallReplyInteger RedisModule_CallReplyStringPtr RedisModule_CallReplyType RedisModule_CloseKey RedisModule_CreateCommand RedisModule_CreateString
        RedisModule_CreateTimer RedisModule_DefragAlloc RedisModule_DefragCursorGet RedisModule_DefragCursorSet
        RedisModule_DefragShouldStop RedisModule_DeleteKey RedisModule_FreeCallReply RedisModule_FreeString
        RedisModule_GetClientId RedisModule_GetClientNameById RedisModule_GetCurrentUserName RedisModule_InfoAddFieldULongLong
        RedisModule_InfoAddSection RedisModule_RegisterInfoFunc RedisModule_Scan RedisModule_ScanCursorCreate
        RedisModule_ScanCursorDestroy RedisModule_SelectDb
        RedisModule_DigestAddStringBuffer RedisModule_DigestEndSequence RedisModule_EmitAOF RedisModule_GetAbsExpire
        RedisModule_GetCommand RedisModule_GetContextFlags RedisModule_KeyType RedisModule_LoadConfigs
        RedisModule_LoadStringBuffer RedisModule_Log RedisModule_LogIOError RedisModule_Milliseconds
        RedisModule_ModuleTypeGetType RedisModule_ModuleTypeGetValue RedisModule_ModuleTypeSetValue
        RedisModule_NotifyKeyspaceEvent RedisModule_OpenKey RedisModule_PublishMessage
        RedisModule_RedactClientCommandArgument
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
    let keys = c_int::from(!matches!(spec.key, KeyUse::None | KeyUse::NoneForAll));
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
    let arguments = (entry.arguments)();
    let arity = arity(&arguments);
    let mut args = get_redis_command_args(arguments.into_iter().map(argument).collect());
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
        arity: c_int::from(arity),
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
        KeyUse::None | KeyUse::NoneForAll => return None,
        KeyUse::Reads => vec![KeySpecFlags::READ_ONLY, KeySpecFlags::ACCESS],
        KeyUse::Updates => vec![KeySpecFlags::READ_WRITE, KeySpecFlags::ACCESS, KeySpecFlags::UPDATE],
        KeyUse::Inserts => vec![KeySpecFlags::READ_WRITE, KeySpecFlags::ACCESS, KeySpecFlags::INSERT],
        KeyUse::Deletes => vec![KeySpecFlags::READ_WRITE, KeySpecFlags::ACCESS, KeySpecFlags::DELETE],
    };
    Some(KeySpec::new(None, flags.into(), BeginSearch::new_index(1), FindKeys::new_range(0, 1, 0)))
}

fn argument(argument: Argument) -> RedisModuleCommandArg {
    let parts = |parts: Vec<Argument>| Some(parts.into_iter().map(self::argument).collect());
    let (kind, parts) = match argument.form {
        Form::Key => (raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_KEY, None),
        Form::Text => (raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_STRING, None),
        Form::Integer => (raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_INTEGER, None),
        Form::UnixTime => (raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_UNIX_TIME, None),
        Form::Word => (raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_PURE_TOKEN, None),
        Form::OneOf(of) => (raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_ONEOF, parts(of)),
        Form::Block(of) => (raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_BLOCK, parts(of)),
    };
    let key_spec = (kind == raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_KEY).then_some(0);
    let mut flags = CommandArgFlags::NONE;
    flags.set(CommandArgFlags::OPTIONAL, argument.is_optional);
    flags.set(CommandArgFlags::MULTIPLE, argument.is_repeated);
    let word = argument.word.map(str::to_owned);
    RedisModuleCommandArg::new(argument.name.to_lowercase(), kind, key_spec, word, None, None, flags, None, parts, None)
}
