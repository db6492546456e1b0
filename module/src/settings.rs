//! The settings, `session.*` in redis.conf and CONFIG.

use redis_session_core::sessions::DataLimit;
use redis_session_core::token::TokenPolicy;
use redis_session_core::{KeyForm, Subject, SubjectError, agreement};

use crate::ffi::{self, Failure};

type Setting = ffi::Setting<Settings>;
type Kind = ffi::SettingKind<Settings>;

/// The values of all settings.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    /// Absolute lifetime of a session, seconds.
    pub(crate) ttl: i64,
    /// Idle timeout of a session, seconds; 0 for none.
    pub(crate) idle_timeout: i64,
    /// Lifetime of an access token, seconds.
    pub(crate) token_ttl: i64,
    /// Lifetime of a refresh token that has none of its own, seconds.
    pub(crate) refresh_ttl: i64,
    /// Seconds in which a refresh token that was just used may be used again.
    pub(crate) refresh_grace: i64,
    /// Seconds in which the device that lost the reply of an exchange may ask again.
    pub(crate) refresh_recovery: i64,
    /// Live sessions a user may have.
    pub(crate) max_per_user: i64,
    /// What happens to one more: 0 evict, 1 reject.
    pub(crate) limit_policy: usize,
    /// Bytes of fields and values a session may hold.
    pub(crate) max_data_bytes: i64,
    /// Fields a session may hold.
    pub(crate) max_fields: i64,
    /// What the key of a user's sessions starts with.
    pub(crate) key_prefix: String,
    /// How a key spells its user: 0 plain, 1 braces, 2 any.
    pub(crate) key_form: usize,
    /// Seconds by which a last use may be ahead of what is replicated.
    pub(crate) touch_granularity: i64,
    /// Microseconds of each tenth of a second in which dead sessions are swept at rest; 0 for never.
    pub(crate) sweep_time: i64,
    /// Unix milliseconds; sessions and tokens older than that are dead.
    pub(crate) not_before: i64,
    /// The JWK Set file; none for a random key.
    pub(crate) keys_file: String,
    /// The key that signs; none for the first that can.
    pub(crate) active_kid: String,
    /// The file of other issuers; none for no others.
    pub(crate) issuers_file: String,
    /// `iss` of tokens, made and demanded; none for neither.
    pub(crate) issuer: String,
    /// `aud` of tokens, made and demanded; none for neither.
    pub(crate) audience: String,
    /// `typ` of JWTs, made and demanded; none for `JWT` and any.
    pub(crate) token_type: String,
    /// Seconds by which clocks may differ.
    pub(crate) leeway: i64,
    /// How many verified tokens are remembered.
    pub(crate) token_cache: i64,
    /// The stream that life-cycle events are written to; none for no such log.
    pub(crate) audit_stream: String,
    /// About how many entries it keeps; 0 for all.
    pub(crate) audit_maxlen: i64,
    /// The longest token that is looked at.
    pub(crate) max_token_bytes: i64,
}

/// A hundred years: what a lifetime may be, well within the range of stored times.
pub(crate) const MAX_SECONDS: i64 = 100 * 366 * 86_400;

const fn number(name: &'static str, default: i64, min: i64, max: i64, of: fn(&mut Settings) -> &mut i64) -> Setting {
    Setting { name, kind: Kind::Number { default, min, max, of }, reloads: false }
}

const fn text(name: &'static str, of: fn(&mut Settings) -> &mut String) -> Setting {
    Setting { name, kind: Kind::Text { default: c"", of, check: any_text }, reloads: false }
}

const fn keys(setting: Setting) -> Setting {
    Setting { reloads: true, ..setting }
}

/// All settings, with default and bounds.
pub(crate) static SETTINGS: [Setting; 26] = [
    number("ttl", 86_400, 1, MAX_SECONDS, |s| &mut s.ttl),
    number("idle-timeout", 0, 0, MAX_SECONDS, |s| &mut s.idle_timeout),
    number("token-ttl", 3600, 1, MAX_SECONDS, |s| &mut s.token_ttl),
    number("refresh-ttl", 2_592_000, 1, MAX_SECONDS, |s| &mut s.refresh_ttl),
    number("refresh-grace", 10, 0, 3600, |s| &mut s.refresh_grace),
    number("refresh-recovery", 0, 0, 86_400, |s| &mut s.refresh_recovery),
    number("max-per-user", 100, 1, 1_000_000, |s| &mut s.max_per_user),
    Setting {
        name: "limit-policy",
        kind: Kind::Word { words: &[c"evict", c"reject"], of: |s| &mut s.limit_policy },
        reloads: false,
    },
    number("max-data-bytes", 65_536, 0, 16 * 1024 * 1024, |s| &mut s.max_data_bytes),
    number("max-fields", 1024, 1, 65_536, |s| &mut s.max_fields),
    Setting {
        name: "key-prefix",
        kind: Kind::Text { default: c"sessions:", of: |s| &mut s.key_prefix, check: any_text },
        reloads: false,
    },
    Setting {
        name: "key-form",
        kind: Kind::Word { words: &[c"plain", c"braces", c"any"], of: |s| &mut s.key_form },
        reloads: false,
    },
    number("touch-granularity", 60, 0, 86_400, |s| &mut s.touch_granularity),
    number("sweep-time", 1000, 0, 25_000, |s| &mut s.sweep_time),
    number("not-before", 0, 0, (1 << 48) - 1, |s| &mut s.not_before),
    keys(text("keys-file", |s| &mut s.keys_file)),
    keys(text("active-kid", |s| &mut s.active_kid)),
    keys(text("issuers-file", |s| &mut s.issuers_file)),
    text("issuer", |s| &mut s.issuer),
    text("audience", |s| &mut s.audience),
    Setting {
        name: "token-type",
        kind: Kind::Text { default: c"", of: |s| &mut s.token_type, check: media_type },
        reloads: false,
    },
    number("leeway", 0, 0, 300, |s| &mut s.leeway),
    number("token-cache", 16_384, 0, 1_048_576, |s| &mut s.token_cache),
    Setting {
        name: "audit-stream",
        kind: Kind::Text { default: c"", of: |s| &mut s.audit_stream, check: stream_name },
        reloads: false,
    },
    number("audit-maxlen", 100_000, 0, 1_000_000_000_000, |s| &mut s.audit_maxlen),
    number("max-token-bytes", 8192, 256, 1024 * 1024, |s| &mut s.max_token_bytes),
];

fn any_text(text: &str) -> Result<(), String> {
    if text.len() > 4096 || text.chars().any(char::is_control) {
        return Err("must be at most 4096 bytes without control characters".into());
    }
    Ok(())
}

fn stream_name(name: &str) -> Result<(), String> {
    // On a cluster, a hash tag is appended to it.
    if name.contains(['{', '}']) {
        return Err("must not contain { or }".into());
    }
    any_text(name)
}

/// RFC 6838 section 4.2, of which RFC 7515 section 4.1.9 allows to leave the first part and the slash out.
fn media_type(text: &str) -> Result<(), String> {
    let is_name = |name: &str| {
        name.len() <= 127
            && name.starts_with(|first: char| first.is_ascii_alphanumeric())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    let parts: Vec<&str> = text.split('/').collect();
    if text.is_empty() || (parts.len() <= 2 && parts.into_iter().all(is_name)) {
        return Ok(());
    }
    Err("must be a media type, such as JWT or at+jwt".into())
}

impl Settings {
    /// How a key spells its user.
    fn key_form(&self) -> KeyForm {
        match self.key_form {
            0 => KeyForm::Plain,
            1 => KeyForm::Braces,
            _ => KeyForm::Any,
        }
    }

    /// The user whose sessions are at `key`, or why it is nobody's.
    pub(crate) fn user_of<'a>(&self, key: &'a [u8]) -> Result<Subject<'a>, SubjectError> {
        Subject::of_key(key, self.key_prefix.as_bytes(), self.key_form())
    }

    /// The user whose sessions are at `key`, or an error that says what was expected.
    pub(crate) fn subject_of<'a>(&self, key: &'a [u8]) -> Result<Subject<'a>, Failure> {
        self.user_of(key).map_err(|why| {
            let prefix = &self.key_prefix;
            let expected = match self.key_form() {
                KeyForm::Plain => format!("{prefix}<user>"),
                KeyForm::Braces => format!("{prefix}{{<user>}}"),
                KeyForm::Any => format!("{prefix}<user> or {prefix}{{<user>}}"),
            };
            Failure::invalid(format!("the key {why}: expected {expected}"))
        })
    }

    /// What a session's data may be.
    pub(crate) fn data_limit(&self) -> DataLimit {
        let number = |setting| usize::try_from(setting).unwrap_or(usize::MAX);
        DataLimit { bytes: number(self.max_data_bytes), fields: number(self.max_fields) }
    }

    /// A number that servers share which are set alike, in all that users would notice.
    pub(crate) fn number(&mut self) -> u64 {
        let alike = SETTINGS.iter().filter(|setting| !agreement::EACH_ITS_OWN.contains(&setting.name));
        agreement::number_of(alike.flat_map(|setting| [setting.name.to_owned(), setting.value(self)]))
    }

    /// How tokens are checked.
    pub(crate) fn token_policy(&self) -> TokenPolicy {
        let optional = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        TokenPolicy {
            token_type: optional(&self.token_type),
            issuer: optional(&self.issuer),
            audience: optional(&self.audience),
            leeway_secs: u32::try_from(self.leeway).unwrap_or(0),
            max_token_bytes: usize::try_from(self.max_token_bytes).unwrap_or(usize::MAX),
        }
    }
}

/// Whether the load arguments are names of settings and values in turn.
pub(crate) fn check_arguments(args: &[&[u8]]) -> Result<(), String> {
    for pair in args.chunks(2) {
        let [name, rest @ ..] = pair else { continue };
        let shown = String::from_utf8_lossy(name);
        if !SETTINGS.iter().any(|setting| ffi::names(setting, name)) {
            return Err(format!("unknown load argument {shown}"));
        }
        if rest.is_empty() {
            return Err(format!("load argument {shown} has no value"));
        }
    }
    Ok(())
}
