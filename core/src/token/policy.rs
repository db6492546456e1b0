//! What a token must say beyond being signed.

/// What a token must say beyond being signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenPolicy {
    /// The `typ` that a JWT's header must have, if one is set (RFC 8725 section 3.11). It is a media type: letters may
    /// be in either case, and `application/` may be left out (RFC 7515 section 4.1.9).
    pub token_type: Option<String>,
    /// The exact `iss` that a JWT must have, if one is set (RFC 8725 section 3.8).
    pub issuer: Option<String>,
    /// The audience that a JWT's `aud` must hold, if one is set (RFC 8725 section 3.9).
    pub audience: Option<String>,
    /// Seconds by which clocks may differ: how long after `exp` and before `nbf` and `iat` a JWT is good.
    pub leeway_secs: u32,
    /// The longest token that is looked at, in bytes.
    pub max_token_bytes: usize,
}

impl Default for TokenPolicy {
    fn default() -> Self {
        Self { token_type: None, issuer: None, audience: None, leeway_secs: 0, max_token_bytes: 8192 }
    }
}

/// What is asked of a JWT beside its signature, its user and its times; by default nothing.
#[derive(Clone, Copy, Default)]
pub(crate) struct Demands<'a> {
    pub(crate) token_type: Option<&'a str>,
    pub(crate) issuer: Option<&'a str>,
    pub(crate) audience: Audiences<'a>,
}

/// Which audiences a JWT may be for.
#[derive(Clone, Copy, Default)]
pub(crate) enum Audiences<'a> {
    /// Any, or none.
    #[default]
    Any,
    /// This one.
    One(&'a str),
    /// One of these.
    OneOf(&'a [String]),
}

impl Audiences<'_> {
    pub(crate) fn are_any(&self) -> bool {
        matches!(self, Self::Any)
    }

    pub(crate) fn include(&self, audience: &str) -> bool {
        match self {
            Self::Any => true,
            Self::One(wanted) => *wanted == audience,
            Self::OneOf(wanted) => wanted.iter().any(|wanted| wanted == audience),
        }
    }
}

impl TokenPolicy {
    /// The leeway in milliseconds.
    pub(crate) fn leeway_millis(&self) -> u64 {
        u64::from(self.leeway_secs) * 1000
    }

    /// What is asked of tokens under keys of the own ring, in a call that may ask for another audience.
    pub(crate) fn demands<'a>(&'a self, audience: Option<&'a str>) -> Demands<'a> {
        Demands {
            token_type: self.token_type.as_deref(),
            issuer: self.issuer.as_deref(),
            audience: audience.or(self.audience.as_deref()).map_or(Audiences::Any, Audiences::One),
        }
    }
}

impl Demands<'_> {
    /// Whether a header may have this `typ`.
    pub(crate) fn allows_type(&self, typ: Option<&str>) -> bool {
        self.token_type.is_none_or(|wanted| {
            let same = |typ: &str| media_type(typ).eq_ignore_ascii_case(media_type(wanted));
            typ.is_some_and(same)
        })
    }
}

/// Without the `application/` that may be left out where no other slash follows.
fn media_type(typ: &str) -> &str {
    match typ.split_once('/') {
        Some((first, rest)) if first.eq_ignore_ascii_case("application") && !rest.contains('/') => rest,
        _ => typ,
    }
}
