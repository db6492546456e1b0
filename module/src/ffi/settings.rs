//! Settings: how `session.*` lines, load arguments and CONFIG reach a table of the module's.

use std::ffi::{CStr, CString, c_char, c_int, c_longlong, c_uint, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicPtr, Ordering};

use redis_module::{Context, raw};

use super::arg::Arg;
use super::server::{ERR, OK, redis};

/// The values of all settings, and where they are kept.
pub(crate) trait Values: Sized + 'static {
    /// Reads from the values as they are.
    fn read<R>(read: impl FnOnce(&mut Self) -> R) -> R;

    /// Changes the values, and takes the change over.
    fn change(set: impl FnOnce(&mut Self));

    /// Called once settings have changed that ask for it. If it fails, the server sets the old values again.
    fn reload() -> Result<(), String>;
}

/// One setting: `session.<name>`.
pub(crate) struct Setting<V> {
    /// Without the module's name.
    pub(crate) name: &'static str,
    /// What it may be and where it is kept.
    pub(crate) kind: SettingKind<V>,
    /// Whether [`Values::reload`] is called once it has changed.
    pub(crate) reloads: bool,
}

impl<V> Setting<V> {
    /// Its value among these, as text.
    pub(crate) fn value(&self, values: &mut V) -> String {
        match &self.kind {
            SettingKind::Number { of, .. } => of(values).to_string(),
            SettingKind::Text { of, .. } => of(values).clone(),
            SettingKind::Word { of, .. } => of(values).to_string(),
        }
    }
}

/// What a setting may be, its default, and where it is kept.
pub(crate) enum SettingKind<V> {
    /// A whole number within bounds.
    Number { default: i64, min: i64, max: i64, of: fn(&mut V) -> &mut i64 },
    /// A text that passes a test; the test says what is wrong.
    Text { default: &'static CStr, of: fn(&mut V) -> &mut String, check: fn(&str) -> Result<(), String> },
    /// One of some words; kept as the position of the word.
    Word { words: &'static [&'static CStr], of: fn(&mut V) -> &mut usize },
}

/// Registers the settings, then gives each its value: from redis.conf, else from the load arguments, else its default.
pub(crate) fn register_settings<V: Values>(
    ctx: &Context,
    settings: &'static [Setting<V>],
    args: &[&[u8]],
) -> Result<(), String> {
    for setting in settings {
        // SAFETY: names, words and defaults end with NUL and outlive the call; the private data is 'static; the
        // callbacks have the signatures that the server calls.
        if unsafe { register(ctx, setting, argument(setting, args)?)? } != OK {
            return Err(format!("the server refused the setting session.{}", setting.name));
        }
    }
    // SAFETY: called while the module loads, once all settings are registered.
    if unsafe { redis!(RedisModule_LoadConfigs(ctx.ctx)) } == OK {
        Ok(())
    } else {
        Err("a session.* setting is not valid".into())
    }
}

/// The value of `setting` among the load arguments, which are names (with or without `session.`) and values in turn.
fn argument<'a, V>(setting: &Setting<V>, args: &[&'a [u8]]) -> Result<Option<&'a str>, String> {
    let given = args.chunks(2).filter_map(|pair| match pair {
        [name, value] if names(setting, name) => Some(*value),
        _ => None,
    });
    let values: Vec<_> = given.collect();
    match values[..] {
        [] => Ok(None),
        [value] => {
            std::str::from_utf8(value).map(Some).map_err(|_| format!("load argument {}: not UTF-8", setting.name))
        }
        _ => Err(format!("load argument {} is given twice", setting.name)),
    }
}

/// Whether a load argument is the name of `setting`.
pub(crate) fn names<V>(setting: &Setting<V>, argument: &[u8]) -> bool {
    argument.strip_prefix(b"session.").unwrap_or(argument) == setting.name.as_bytes()
}

/// # Safety
/// Only while the module loads.
unsafe fn register<V: Values>(
    ctx: &Context,
    setting: &'static Setting<V>,
    given: Option<&str>,
) -> Result<c_int, String> {
    let name = CString::new(setting.name).map_err(|error| error.to_string())?;
    let private = std::ptr::from_ref(setting).cast_mut().cast::<c_void>();
    let apply: raw::RedisModuleConfigApplyFunc = if setting.reloads { Some(reload::<V>) } else { None };
    let flags: c_uint = raw::REDISMODULE_CONFIG_DEFAULT;
    let invalid = |why: &str| format!("load argument {}: {why}", setting.name);
    // SAFETY: as the caller says.
    Ok(unsafe {
        match &setting.kind {
            SettingKind::Number { default, min, max, .. } => {
                let default = match given {
                    None => *default,
                    Some(text) => text
                        .parse()
                        .ok()
                        .filter(|number| (*min..=*max).contains(number))
                        .ok_or_else(|| invalid(&format!("must be a whole number from {min} to {max}")))?,
                };
                redis!(RedisModule_RegisterNumericConfig(
                    ctx.ctx,
                    name.as_ptr(),
                    default,
                    flags,
                    *min,
                    *max,
                    Some(get_number::<V>),
                    Some(set_number::<V>),
                    apply,
                    private,
                ))
            }
            SettingKind::Text { default, check, .. } => {
                if let Some(text) = given {
                    check(text).map_err(|why| invalid(&why))?;
                }
                let given = given.map(CString::new).transpose().map_err(|error| error.to_string())?;
                redis!(RedisModule_RegisterStringConfig(
                    ctx.ctx,
                    name.as_ptr(),
                    given.as_deref().unwrap_or(default).as_ptr(),
                    flags,
                    Some(get_text::<V>),
                    Some(set_text::<V>),
                    apply,
                    private,
                ))
            }
            SettingKind::Word { words, .. } => {
                let known =
                    |text: &str| words.iter().position(|word| word.to_bytes().eq_ignore_ascii_case(text.as_bytes()));
                let default = match given {
                    None => 0,
                    Some(text) => known(text).ok_or_else(|| invalid("not one of its words"))?,
                };
                let mut texts: Vec<*const c_char> = words.iter().map(|word| word.as_ptr()).collect();
                let values: Vec<c_int> = (0..).take(words.len()).collect();
                let count = c_int::try_from(words.len()).unwrap_or(0);
                redis!(RedisModule_RegisterEnumConfig(
                    ctx.ctx,
                    name.as_ptr(),
                    c_int::try_from(default).unwrap_or(0),
                    flags,
                    texts.as_mut_ptr(),
                    values.as_ptr(),
                    count,
                    Some(get_word::<V>),
                    Some(set_word::<V>),
                    apply,
                    private,
                ))
            }
        }
    })
}

/// # Safety
/// `private` must be what [`register`] of the same values gave the server.
unsafe fn setting<V: Values>(private: *mut c_void) -> &'static Setting<V> {
    // SAFETY: it is a `&'static Setting<V>`.
    unsafe { &*private.cast::<Setting<V>>() }
}

/// Runs a callback that must not unwind into C, and hands its error to the server.
///
/// # Safety
/// `error` must be the server's place for an error message.
unsafe fn answer(error: *mut *mut raw::RedisModuleString, callback: impl FnOnce() -> Result<(), String>) -> c_int {
    let why = match catch_unwind(AssertUnwindSafe(callback)) {
        Ok(Ok(())) => return OK,
        Ok(Err(why)) => why,
        Err(_) => "internal error, see the server's log".into(),
    };
    if !error.is_null() {
        // SAFETY: as the caller says; the server takes the string over.
        unsafe { *error = redis!(RedisModule_CreateString(null_mut(), why.as_ptr().cast(), why.len())) };
    }
    ERR
}

unsafe extern "C" fn get_number<V: Values>(_name: *const c_char, private: *mut c_void) -> c_longlong {
    // SAFETY: the server passes what it was given.
    match unsafe { setting::<V>(private) }.kind {
        SettingKind::Number { of, .. } => V::read(|values| *of(values)),
        SettingKind::Text { .. } | SettingKind::Word { .. } => 0,
    }
}

unsafe extern "C" fn set_number<V: Values>(
    _name: *const c_char,
    value: c_longlong,
    private: *mut c_void,
    error: *mut *mut raw::RedisModuleString,
) -> c_int {
    // SAFETY: the server passes what it was given, and its place for an error.
    unsafe {
        answer(error, || {
            if let SettingKind::Number { of, .. } = setting::<V>(private).kind {
                V::change(|values| *of(values) = value);
            }
            Ok(())
        })
    }
}

/// The text that was shown last. The server copies what it is shown, and leaves the string to us.
static SHOWN: AtomicPtr<raw::RedisModuleString> = AtomicPtr::new(null_mut());

unsafe extern "C" fn get_text<V: Values>(_name: *const c_char, private: *mut c_void) -> *mut raw::RedisModuleString {
    // SAFETY: the server passes what it was given. It has copied the string before it asks for another.
    unsafe {
        let text = match &setting::<V>(private).kind {
            SettingKind::Text { of, .. } => {
                let text = V::read(|values| of(values).clone());
                redis!(RedisModule_CreateString(null_mut(), text.as_ptr().cast(), text.len()))
            }
            SettingKind::Number { .. } | SettingKind::Word { .. } => {
                redis!(RedisModule_CreateString(null_mut(), null(), 0))
            }
        };
        let last = SHOWN.swap(text, Ordering::Relaxed);
        if !last.is_null() {
            redis!(RedisModule_FreeString(null_mut(), last));
        }
        text
    }
}

unsafe extern "C" fn set_text<V: Values>(
    _name: *const c_char,
    value: *mut raw::RedisModuleString,
    private: *mut c_void,
    error: *mut *mut raw::RedisModuleString,
) -> c_int {
    // SAFETY: the server passes what it was given, a string that lives as long as this call, and its place for an error.
    unsafe {
        answer(error, || {
            if let SettingKind::Text { of, check, .. } = &setting::<V>(private).kind {
                let text =
                    std::str::from_utf8(Arg::borrowed(value).bytes()).map_err(|_| "must be UTF-8 text".to_owned())?;
                check(text)?;
                V::change(|values| *of(values) = text.to_owned());
            }
            Ok(())
        })
    }
}

unsafe extern "C" fn get_word<V: Values>(_name: *const c_char, private: *mut c_void) -> c_int {
    // SAFETY: the server passes what it was given.
    match unsafe { setting::<V>(private) }.kind {
        SettingKind::Word { of, .. } => c_int::try_from(V::read(|values| *of(values))).unwrap_or(0),
        SettingKind::Number { .. } | SettingKind::Text { .. } => 0,
    }
}

unsafe extern "C" fn set_word<V: Values>(
    _name: *const c_char,
    value: c_int,
    private: *mut c_void,
    error: *mut *mut raw::RedisModuleString,
) -> c_int {
    // SAFETY: the server passes what it was given, and its place for an error.
    unsafe {
        answer(error, || {
            if let SettingKind::Word { of, .. } = setting::<V>(private).kind {
                V::change(|values| *of(values) = usize::try_from(value).unwrap_or(0));
            }
            Ok(())
        })
    }
}

/// Called once after CONFIG SET has set all it was asked to; when it fails, the server sets the old values again.
unsafe extern "C" fn reload<V: Values>(
    _ctx: *mut raw::RedisModuleCtx,
    _private: *mut c_void,
    error: *mut *mut raw::RedisModuleString,
) -> c_int {
    // SAFETY: the server passes its place for an error.
    unsafe { answer(error, V::reload) }
}
