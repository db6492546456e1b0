//! Other libraries that check tokens, as an application uses them: the key by the header's `kid`, or else the only one for
//! its algorithm; that key's algorithm and no other.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use redis_session_core::base64url;
use redis_session_tests::issuer::{KEYS, Key, set_of};
use redis_session_tests::pyjwt;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

/// What a call asks for beside the signature.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) issuer: Option<&'static str>,
    pub(crate) audience: Option<&'static str>,
}

/// Another library.
pub(crate) trait Opinion {
    /// The claims of a token that it takes for user 42.
    fn claims(&mut self, token: &[u8], asked: &Asked) -> Option<Map<String, Value>>;
}

/// Who signs: a key of the issuer, or one for the algorithm that its library has not.
#[derive(Clone, Copy)]
pub(crate) enum Signer {
    Key(Key),
    Es512,
}

/// RFC 6979 appendix A.2.7.
const D: &str = "APrQbapiujsl0vtAEz2nVyBd5n9bsAGP7oyG4baMfnXKqJbrMvH0fHCFWDam0W_MFGb22PvsZ9uJ7AwIsOmWuDU4";
const X: &str = "AYlFUNB4WTLgDqojtpTyE_jDEh-G3JegTlpxZ9tOW803ESPUbkXba11TcKfyD7YzFV04_6FtK9dh3KxHS5ovUCOk";
const Y: &str = "AEkxAclizU0v3feCKF5kWEE5wvkbR_h_-CNU1mMPdGoooNsldBtbNKgoAIsirMI_kk-q-9TTP4HqZpVt_qor_fz1";

impl Signer {
    pub(crate) fn all() -> Vec<Self> {
        KEYS.map(Self::Key).into_iter().chain([Self::Es512]).collect()
    }

    pub(crate) fn name(self) -> String {
        match self {
            Self::Key(key) => key.name(),
            Self::Es512 => "ES512".to_owned(),
        }
    }

    pub(crate) fn jwk(self) -> Value {
        match self {
            Self::Key(key) => key.jwk(),
            Self::Es512 => json!({ "kty": "EC", "crv": "P-521", "x": X, "y": Y, "kid": "ES512", "alg": "ES512" }),
        }
    }

    /// A JWT of these bytes, signed whatever they are.
    pub(crate) fn sign_text(self, header: &[u8], payload: &[u8]) -> String {
        if let Self::Key(key) = self {
            return key.sign_text(header, payload);
        }
        let [d, x, y] = [D, X, Y].map(|number| base64url::decode(number.as_bytes()).unwrap());
        let point = [&[4], &*x, &*y].concat();
        let pair = EcdsaKeyPair::from_private_key_and_public_key(&ECDSA_P521_SHA512_FIXED_SIGNING, &d, &point).unwrap();
        let input = format!("{}.{}", base64url::encode(header), base64url::encode(payload));
        let signature = pair.sign(&SystemRandom::new(), input.as_bytes()).unwrap();
        format!("{input}.{}", base64url::encode(signature.as_ref()))
    }
}

/// The crate `jsonwebtoken`, which has no ES512.
pub(crate) struct Jsonwebtoken(Vec<(Algorithm, DecodingKey)>);

impl Jsonwebtoken {
    pub(crate) fn new() -> Self {
        Self(KEYS.map(|key| (key.0, key.decoding())).into())
    }

    /// Whether it takes these bytes for a public key of Ed25519, which it looks at when it verifies.
    pub(crate) fn is_point(x: &str) -> bool {
        let key = DecodingKey::from_ed_components(x).unwrap();
        let signature = base64url::encode(&[0; 64]);
        let why = jsonwebtoken::crypto::verify(&signature, b"message", &key, Algorithm::EdDSA);
        !why.is_err_and(|error| *error.kind() == jsonwebtoken::errors::ErrorKind::InvalidEddsaKey)
    }
}

impl Opinion for Jsonwebtoken {
    fn claims(&mut self, token: &[u8], asked: &Asked) -> Option<Map<String, Value>> {
        let header = decode_header(token).ok()?;
        let (algorithm, key) = match header.kid.as_deref() {
            None | Some("") => self.0.iter().find(|(algorithm, _)| *algorithm == header.alg)?,
            Some(kid) => self.0.iter().find(|(algorithm, _)| Key(*algorithm).name() == *kid)?,
        };
        let mut validation = Validation::new(*algorithm);
        (validation.leeway, validation.validate_nbf) = (0, true);
        let mut required = vec!["exp", "sub"];
        validation.sub = Some("42".into());
        match asked.issuer {
            Some(issuer) => {
                validation.set_issuer(&[issuer]);
                required.push("iss");
            }
            None => validation.iss = None,
        }
        match asked.audience {
            Some(audience) => {
                validation.set_audience(&[audience]);
                required.push("aud");
            }
            None => validation.validate_aud = false,
        }
        validation.set_required_spec_claims(&required);
        decode(token, key, &validation).ok().map(|token| token.claims)
    }
}

/// PyJWT, in a process that reads a token a line.
pub(crate) struct PyJwt {
    process: Child,
    asks: ChildStdin,
    answers: BufReader<ChildStdout>,
    _keys: TempDir,
}

impl PyJwt {
    /// If it is here.
    pub(crate) fn start() -> Option<Self> {
        let mut python = pyjwt("what PyJWT says of tokens")?;
        let keys = TempDir::with_prefix("redis-session-pyjwt-").unwrap();
        let file = keys.path().join("keys.json");
        fs::write(&file, set_of(&Signer::all().into_iter().map(Signer::jwk).collect::<Vec<_>>())).unwrap();
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tokens/pyjwt/verify.py");
        let piped = python.arg(program).arg(&file).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = piped.spawn().unwrap();
        let (asks, answers) = (process.stdin.take().unwrap(), BufReader::new(process.stdout.take().unwrap()));
        Some(Self { process, asks, answers, _keys: keys })
    }
}

impl Opinion for PyJwt {
    fn claims(&mut self, token: &[u8], asked: &Asked) -> Option<Map<String, Value>> {
        let line = json!({ "token": STANDARD.encode(token), "issuer": asked.issuer, "audience": asked.audience });
        writeln!(self.asks, "{line}").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
    }
}

impl Drop for PyJwt {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
