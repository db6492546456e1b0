//! Other issuers, and what each may vouch for: a file that names them, and their key sets.
//!
//! A token's `iss` chooses the keys that may have signed it, and nothing else does (RFC 8725 section 3.8). So an issuer
//! whose keys are here speaks for itself alone.

use std::collections::BTreeSet;
use std::path::{Component, Path};

use serde_json::{Map, Value};
use thiserror::Error;

use super::algorithm::Algorithm;
use super::json::{self, Fault, JsonError, Members, Walk};
use super::jwk::IssuerKeys;
use super::policy::{Audiences, Demands};
use super::problem::KeyRingError;
use super::ring::KeyRing;

/// Other issuers, each by its `iss`.
#[derive(Debug, Default)]
pub struct Issuers {
    /// In the order of their names.
    issuers: Vec<Issuer>,
}

/// One of them: its keys, and what its tokens must say.
#[derive(Debug)]
pub struct Issuer {
    iss: Option<String>,
    jwks: String,
    audiences: Vec<String>,
    token_type: Option<String>,
    algorithms: Vec<Algorithm>,
    keys: KeyRing,
}

/// Why a file makes no [`Issuers`]. Never quotes key material.
#[derive(Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum IssuersError {
    /// Not JSON, not an object, or more bytes after it.
    #[error("is not a JSON object (line {line}, column {column})")]
    Json {
        /// Where reading stopped, from 1.
        line: usize,
        /// Where reading stopped, from 1.
        column: usize,
    },
    /// An object has one member twice.
    #[error("has an object with one member twice (line {line}, column {column})")]
    DuplicateMember {
        /// Where reading stopped, from 1.
        line: usize,
        /// Where reading stopped, from 1.
        column: usize,
    },
    /// Arrays and objects inside each other for more than 16 levels.
    #[error("is nested deeper than 16 levels")]
    TooDeep,
    /// The object has no array `issuers`.
    #[error("has no array \"issuers\"")]
    NoList,
    /// The object has a member that means nothing.
    #[error("has the unknown member {0:?}; it may have \"issuers\" alone")]
    UnknownMember(String),
    /// One of the issuers will not do.
    #[error("{issuer}: {problem}")]
    Issuer {
        /// `issuer "iss"`, or `entry number n` (from 1) if it has no usable `iss`.
        issuer: String,
        /// What is wrong with it.
        problem: IssuerProblem,
    },
}

/// What is wrong with one issuer.
#[derive(Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum IssuerProblem {
    /// It is no object.
    #[error("is not an object")]
    NoObject,
    /// It has a member that means nothing: perhaps one that was misspelled, and matters.
    #[error("has the unknown member {0:?}; it may have \"iss\", \"jwks\", \"aud\", \"typ\" and \"algs\"")]
    UnknownMember(String),
    /// `iss` is missing, empty or no string.
    #[error("\"iss\" must be the text that its tokens have as \"iss\", or null for tokens without one")]
    Iss,
    /// Another entry has the same `iss`.
    #[error("another entry has the same \"iss\"")]
    SameIss,
    /// `jwks` is missing, or no path of a file inside the folder.
    #[error("\"jwks\" must be the path of a file in this file's folder, relative to it and without \"..\"")]
    Jwks,
    /// `aud` is no array of strings, or empty.
    #[error("\"aud\" must be an array of strings, at least one, where it is given")]
    Aud,
    /// `typ` is no string, or empty.
    #[error("\"typ\" must be a string such as \"at+jwt\" where it is given")]
    Typ,
    /// `algs` is no array of names of algorithms, or empty.
    #[error("\"algs\" must be an array of names such as \"RS256\", at least one, where it is given")]
    Algs,
    /// `algs` names one that is not supported.
    #[error("\"algs\" names {0:?}, which is not supported")]
    UnknownAlgorithm(String),
    /// Its key set cannot be read.
    #[error("{path}: {why}")]
    Unreadable {
        /// The path of the key set.
        path: String,
        /// The reason that the reader of the file gives.
        why: String,
    },
    /// Its key set is none.
    #[error("{path} {why}")]
    Keys {
        /// The path of the key set.
        path: String,
        /// What is wrong with it.
        why: KeyRingError,
    },
}

impl Issuers {
    /// The issuers of the file `json`, which `read` gives the key sets of: it is called with each `jwks`, a path relative
    /// to the file that does not lead out of its folder.
    ///
    /// ```text
    /// {"issuers": [
    ///   {"iss": "https://id.example.com/", "jwks": "id.example.com.json",
    ///    "aud": ["https://api.example.com"], "typ": "at+jwt", "algs": ["RS256"]},
    ///   {"iss": null, "jwks": "application.json"}
    /// ]}
    /// ```
    ///
    /// `iss` and `jwks` must be there. A token of the issuer must have one of `aud` as its audience, `typ` in its header,
    /// and one of `algs`, where they are given. The entry with `iss` null is for tokens without an `iss`.
    ///
    /// # Errors
    /// If the file or a key set will not do: then there are none. A public key that cannot be used is left out instead.
    ///
    /// ```
    /// use redis_session_core::token::Issuers;
    /// let file = br#"{"issuers":[{"iss":"https://id.example.com/","jwks":"../id.json"}]}"#;
    /// let why = Issuers::read(file, |_| Err("never read")).unwrap_err().to_string();
    /// assert!(why.starts_with(r#"issuer "https://id.example.com/": "jwks" must be the path"#));
    /// ```
    pub fn read<E: ToString>(
        json: &[u8],
        mut read: impl FnMut(&str) -> Result<Vec<u8>, E>,
    ) -> Result<Self, IssuersError> {
        let mut issuers: Vec<Issuer> = Vec::new();
        for (value, number) in entries(json)?.into_iter().zip(1_usize..) {
            let named = match &value {
                Value::Object(entry) => entry.get("iss").and_then(Value::as_str).filter(|iss| !iss.is_empty()),
                _ => None,
            };
            let named = named.map_or_else(|| format!("entry number {number}"), |iss| format!("issuer {iss:?}"));
            let refused = |problem| IssuersError::Issuer { issuer: named.clone(), problem };
            let issuer = Issuer::of(value, &mut read).map_err(refused)?;
            match issuers.binary_search_by(|known| known.iss.cmp(&issuer.iss)) {
                Ok(_) => return Err(refused(IssuerProblem::SameIss)),
                Err(at) => issuers.insert(at, issuer),
            }
        }
        Ok(Self { issuers })
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.issuers.is_empty()
    }

    /// The issuer of tokens with this `iss`, or of those without one.
    #[must_use]
    pub fn get(&self, iss: Option<&str>) -> Option<&Issuer> {
        let at = self.issuers.binary_search_by(|issuer| issuer.iss().cmp(&iss)).ok()?;
        self.issuers.get(at)
    }

    /// Whether this key set, by the path in its entry, holds secrets.
    #[must_use]
    pub fn has_secrets_in(&self, jwks: &str) -> bool {
        self.iter().any(|issuer| issuer.jwks() == jwks && issuer.keys().has_secrets())
    }

    /// All of them, in the order of their names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Issuer> {
        self.issuers.iter()
    }
}

impl Issuer {
    fn of<E: ToString>(entry: Value, read: &mut impl FnMut(&str) -> Result<Vec<u8>, E>) -> Result<Self, IssuerProblem> {
        let Value::Object(mut entry) = entry else { return Err(IssuerProblem::NoObject) };
        let iss = match entry.remove("iss") {
            Some(Value::Null) => None,
            Some(Value::String(iss)) if !iss.is_empty() => Some(iss),
            _ => return Err(IssuerProblem::Iss),
        };
        let jwks = match entry.remove("jwks") {
            Some(Value::String(path)) if is_inside(&path) => path,
            _ => return Err(IssuerProblem::Jwks),
        };
        let audiences = texts(&mut entry, "aud").map_err(|()| IssuerProblem::Aud)?;
        let token_type = match entry.remove("typ") {
            None => None,
            Some(Value::String(typ)) if !typ.is_empty() => Some(typ),
            Some(_) => return Err(IssuerProblem::Typ),
        };
        let algorithms = texts(&mut entry, "algs").map_err(|()| IssuerProblem::Algs)?;
        if let Some((name, _)) = entry.into_iter().next() {
            return Err(IssuerProblem::UnknownMember(name));
        }
        let known = |name: String| Algorithm::from_name(&name).ok_or(IssuerProblem::UnknownAlgorithm(name));
        let algorithms = algorithms.into_iter().map(known).collect::<Result<Vec<_>, _>>()?;
        let set = read(&jwks).map_err(|why| IssuerProblem::Unreadable { path: jwks.clone(), why: why.to_string() })?;
        // Others sign with keys of their own. Only the application's own tokens may be signed with a secret.
        let rules =
            IssuerKeys { algorithms: Some(&*algorithms).filter(|some| !some.is_empty()), secrets: iss.is_none() };
        let keys = KeyRing::of_issuer(&set, rules).map_err(|why| IssuerProblem::Keys { path: jwks.clone(), why })?;
        Ok(Self { iss, jwks, audiences, token_type, algorithms, keys })
    }

    /// The `iss` of its tokens; `None` if they have none.
    #[must_use]
    pub fn iss(&self) -> Option<&str> {
        self.iss.as_deref()
    }

    /// Its keys.
    #[must_use]
    pub fn keys(&self) -> &KeyRing {
        &self.keys
    }

    /// The path of its key set, relative to the file that names it.
    #[must_use]
    pub fn jwks(&self) -> &str {
        &self.jwks
    }

    /// The audiences of which its tokens must have one; any will do if there are none.
    #[must_use]
    pub fn audiences(&self) -> &[String] {
        &self.audiences
    }

    /// The `typ` that the header of its tokens must have, if it matters.
    #[must_use]
    pub fn token_type(&self) -> Option<&str> {
        self.token_type.as_deref()
    }

    /// Whether its tokens may be signed by this algorithm.
    pub(crate) fn allows(&self, algorithm: Algorithm) -> bool {
        self.algorithms.is_empty() || self.algorithms.contains(&algorithm)
    }

    /// What is asked of its tokens, in a call that may ask for another audience.
    pub(crate) fn demands<'a>(&'a self, audience: Option<&'a str>) -> Demands<'a> {
        let audience = match (audience, &*self.audiences) {
            (Some(audience), _) => Audiences::One(audience),
            (None, []) => Audiences::Any,
            (None, some) => Audiences::OneOf(some),
        };
        Demands { token_type: self.token_type.as_deref(), issuer: self.iss(), audience }
    }
}

/// The entries of the file, where everything that has a name has it once.
fn entries(json: &[u8]) -> Result<Vec<Value>, IssuersError> {
    struct Any;
    impl<'de> Members<'de> for Any {
        fn member<A: serde::de::MapAccess<'de>>(&mut self, _: &str, _: &mut A, _: Walk<'_>) -> Result<bool, A::Error> {
            Ok(false)
        }
    }
    let json = json.strip_prefix(b"\xef\xbb\xbf").unwrap_or(json);
    json::read_object(json, &mut Any)?;
    let Ok(Value::Object(mut file)) = serde_json::from_slice(json) else {
        return Err(IssuersError::Json { line: 1, column: 0 });
    };
    let list = file.remove("issuers");
    match (list, file.into_iter().next()) {
        (_, Some((name, _))) => Err(IssuersError::UnknownMember(name)),
        (Some(Value::Array(entries)), None) => Ok(entries),
        _ => Err(IssuersError::NoList),
    }
}

/// The texts of an array, at least one and each once, if the entry has it.
fn texts(entry: &mut Map<String, Value>, name: &str) -> Result<Vec<String>, ()> {
    let list = match entry.remove(name) {
        None => return Ok(Vec::new()),
        Some(Value::Array(list)) if !list.is_empty() => list,
        Some(_) => return Err(()),
    };
    let (mut texts, mut seen) = (Vec::new(), BTreeSet::new());
    for item in list {
        match item {
            Value::String(text) if !text.is_empty() && seen.insert(text.clone()) => texts.push(text),
            _ => return Err(()),
        }
    }
    Ok(texts)
}

/// Whether a path leads to a file inside the folder that it is relative to.
fn is_inside(path: &str) -> bool {
    let mut parts = Path::new(path).components();
    let is_text = !path.is_empty() && !path.chars().any(char::is_control);
    is_text && !path.ends_with('/') && parts.all(|part| matches!(part, Component::Normal(_)))
}

impl From<JsonError> for IssuersError {
    fn from(JsonError { fault, line, column }: JsonError) -> Self {
        match fault {
            Fault::Syntax => Self::Json { line, column },
            Fault::Duplicate(_) => Self::DuplicateMember { line, column },
            Fault::TooDeep => Self::TooDeep,
        }
    }
}
