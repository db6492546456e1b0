//! Tokens under several issuers, whose keys have the same names: who may vouch for what.

use std::cell::RefCell;
use std::sync::{Arc, LazyLock};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use redis_session_core::token::{
    Algorithm, IssuerKeys, Issuers, KeyRing, Maker, Signature, TokenPolicy, Verified, Verifier,
};
use redis_session_core::{Subject, UnixMillis};
use serde_json::{Value, json};

use crate::input::Input;
use crate::issuer::{self, KEYS, Key, Payload, encode};

const A: &str = "https://a.example";
const B: &str = "https://b.example";
/// Has the keys of B, and may sign by another algorithm alone.
const C: &str = "https://c.example";
const ME: &str = "https://me.example";
/// Seconds.
const NOW: u64 = 1_700_000_000;
const AUDIENCES: [&str; 2] = ["web", "api"];

/// Who has signed a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signer {
    /// The secret of the own ring.
    Own,
    /// Its private key.
    OwnEd,
    /// A public key in it.
    Partner,
    /// The secret that the application signed with before.
    Application,
    A,
    B,
}

const SIGNERS: [Signer; 6] = [Signer::Own, Signer::OwnEd, Signer::Partner, Signer::Application, Signer::A, Signer::B];

static PAIRS: LazyLock<[Ed25519KeyPair; 4]> =
    LazyLock::new(|| [1, 2, 3, 4].map(|byte| Ed25519KeyPair::from_seed_unchecked(&[byte; 32]).expect("a seed")));
static OLD: LazyLock<Key> = LazyLock::new(|| Key::new("k256", Algorithm::Hs256, &[b'z'; 32]));

impl Signer {
    fn pair(self) -> Option<(usize, &'static Ed25519KeyPair)> {
        let at = [Self::OwnEd, Self::Partner, Self::A, Self::B].iter().position(|signer| *signer == self)?;
        Some((at, &PAIRS[at]))
    }

    fn kid(self) -> &'static str {
        match self {
            Self::Own | Self::Application => "k256",
            Self::OwnEd | Self::A | Self::B => "k",
            Self::Partner => "partner",
        }
    }

    fn algorithm(self) -> Algorithm {
        if self.pair().is_some() { Algorithm::EdDsa } else { Algorithm::Hs256 }
    }

    fn sign(self, header: &[u8], payload: &[u8]) -> String {
        match (self, self.pair()) {
            (_, Some((_, pair))) => {
                let input = format!("{}.{}", encode(header), encode(payload));
                let signature = pair.sign(input.as_bytes());
                format!("{input}.{}", encode(signature.as_ref()))
            }
            (Self::Application, None) => OLD.sign_jwt(header, payload),
            (_, None) => KEYS[0].sign_jwt(header, payload),
        }
    }

    fn jwk(self) -> Value {
        let mut jwk = match self.pair() {
            Some((at, pair)) => {
                let mut jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key().as_ref()) });
                if self == Self::OwnEd {
                    jwk["d"] = encode(&[u8::try_from(at).expect("a few") + 1; 32]).into();
                }
                jwk
            }
            None => {
                json!({ "kty": "oct", "alg": "HS256", "k": if self == Self::Own { KEYS[0].text() } else { OLD.text() } })
            }
        };
        jwk["kid"] = self.kid().into();
        jwk
    }
}

fn set_of(signers: &[Signer]) -> Vec<u8> {
    json!({ "keys": signers.iter().map(|signer| signer.jwk()).collect::<Vec<_>>() }).to_string().into()
}

static RING: LazyLock<Arc<KeyRing>> = LazyLock::new(|| {
    let set = set_of(&[Signer::Own, Signer::OwnEd, Signer::Partner]);
    Arc::new(KeyRing::from_jwk_set(&set, None).expect("a key ring"))
});

/// Without and with the entry for tokens without an `iss`.
static ISSUERS: LazyLock<[Arc<Issuers>; 2]> = LazyLock::new(|| {
    [false, true].map(|has_application| {
        let mut list = vec![
            json!({ "iss": A, "jwks": "a", "aud": AUDIENCES, "typ": "at+jwt" }),
            json!({ "iss": B, "jwks": "b", "algs": ["EdDSA", "RS256"] }),
            json!({ "iss": C, "jwks": "b", "algs": ["RS256"] }),
        ];
        if has_application {
            list.push(json!({ "iss": null, "jwks": "app" }));
        }
        let read = |path: &str| {
            Ok::<_, String>(set_of(match path {
                "a" => &[Signer::A],
                "b" => &[Signer::B],
                _ => &[Signer::Application],
            }))
        };
        Arc::new(Issuers::read(json!({ "issuers": list }).to_string().as_bytes(), read).expect("issuers"))
    })
});

thread_local! {
    static VERIFIER: RefCell<Verifier> = RefCell::new(Verifier::new(Arc::clone(&RING), TokenPolicy::default()));
}

/// A token is good exactly if one of those who may vouch for its `iss` has signed it, and it says what they must say; it
/// is of the session that its maker may name. What none of all public keys has signed is refused.
///
/// The bytes: who signs, what the header says, what is asked for, where a letter is changed and to what; and the payload.
pub fn vouch(data: &[u8]) {
    let mut input = Input(data);
    let (signer, names, asked) = (input.u8(), input.u8(), input.u8());
    let (at, to) = (usize::from(input.u16()), input.u8());
    let signer = SIGNERS[usize::from(signer) % SIGNERS.len()];
    let header = Header::new(signer, names);
    let payload = input.rest();
    let token = signer.sign(header.text(names).as_bytes(), payload);
    let call = Call::new(asked);
    check(token.as_bytes(), &call, expected(signer, &header, payload, &token, &call));
    let mut changed = token.clone().into_bytes();
    let at = at % changed.len();
    changed[at] = to;
    if changed != token.as_bytes() {
        check(&changed, &call, None);
    }
}

/// What a header says.
struct Header {
    algorithm: Algorithm,
    kid: Option<&'static str>,
    typ: Option<&'static str>,
}

impl Header {
    fn new(signer: Signer, names: u8) -> Self {
        let kids = [Some(signer.kid()), None, Some(""), Some("k256"), Some("k"), Some("partner"), Some("x"), Some("é")];
        let types = [Some("JWT"), Some("at+jwt"), None, Some("application/AT+JWT")];
        let algorithm = match names >> 5 & 3 {
            0..3 => signer.algorithm(),
            _ => [Algorithm::Hs256, Algorithm::EdDsa, Algorithm::Rs256, Algorithm::Hs384][usize::from(names & 3)],
        };
        Self { algorithm, kid: kids[usize::from(names & 7)], typ: types[usize::from(names >> 3 & 3)] }
    }

    /// In two orders, of which one is how the product writes it.
    fn text(&self, names: u8) -> String {
        let mut members = vec![format!(r#""alg":"{}""#, self.algorithm)];
        members.extend(self.kid.map(|kid| format!(r#""kid":"{kid}""#)));
        members.extend(self.typ.map(|typ| format!(r#""typ":"{typ}""#)));
        if names & 128 != 0 {
            members.reverse();
        }
        format!("{{{}}}", members.join(","))
    }
}

/// What is asked for.
struct Call {
    policy: TokenPolicy,
    audience: Option<&'static str>,
    has_application: bool,
    now: UnixMillis,
}

impl Call {
    fn new(asked: u8) -> Self {
        let issuer = [None, Some(ME), Some(A), Some(B)][usize::from(asked & 3)];
        let policy = TokenPolicy {
            issuer: issuer.map(str::to_owned),
            audience: (asked & 4 != 0).then(|| "api".to_owned()),
            token_type: (asked & 8 != 0).then(|| "at+jwt".to_owned()),
            ..TokenPolicy::default()
        };
        let seconds = if asked & 64 == 0 { NOW } else { NOW + 3600 };
        let now = UnixMillis::from_secs(seconds).expect("a time");
        Self { policy, audience: (asked & 16 != 0).then_some("web"), has_application: asked & 32 != 0, now }
    }
}

/// What a check must answer if it is good.
fn expected(signer: Signer, header: &Header, payload: &[u8], token: &str, call: &Call) -> Option<Verified> {
    let iss = Payload::read(payload, None)?.issuer;
    let iss = iss.as_deref();
    let is_named =
        header.algorithm == signer.algorithm() && header.kid.is_none_or(|kid| kid.is_empty() || kid == signer.kid());
    let entry = match iss {
        Some(A) => Some((Signer::A, Maker::Issuer, &AUDIENCES[..], Some("at+jwt"))),
        Some(B) => Some((Signer::B, Maker::Issuer, &[][..], None)),
        // Nobody has a key for it.
        Some(C) => return None,
        None if call.has_application => Some((Signer::Application, Maker::Application, &[][..], None)),
        _ => None,
    };
    let own = call.policy.issuer.as_deref();
    let is_own = match entry {
        Some(_) => own == iss && matches!(signer, Signer::Own | Signer::OwnEd),
        None => (own.is_none() || own == iss) && matches!(signer, Signer::Own | Signer::OwnEd | Signer::Partner),
    };
    let (policy, by, audiences) = match entry {
        _ if !is_named => return None,
        _ if is_own => {
            let by = if signer == Signer::Partner { Maker::Issuer } else { Maker::Here };
            (call.policy.clone(), by, call.policy.audience.as_deref().into_iter().collect::<Vec<_>>())
        }
        Some((who, by, audiences, typ)) if who == signer => {
            let (issuer, token_type) = (iss.map(str::to_owned), typ.map(str::to_owned));
            (TokenPolicy { issuer, token_type, ..TokenPolicy::default() }, by, audiences.to_vec())
        }
        _ => return None,
    };
    let audiences = call.audience.map_or(audiences, |one| vec![one]);
    let read = |audience| Payload::read(payload, audience);
    let audience =
        audiences.iter().copied().find(|one| read(Some(*one)).is_some_and(|payload| payload.audience_matches));
    let audience = audience.or(audiences.first().copied());
    let (input, _) = token.rsplit_once('.')?;
    issuer::check_payload(&policy, "42", &read(audience)?, header.typ, (input.as_bytes(), audience, by), Some(call.now))
        .ok()
}

fn check(token: &[u8], call: &Call, expected: Option<Verified>) {
    let user = Subject::new(b"42").expect("a user");
    VERIFIER.with_borrow_mut(|verifier| {
        verifier.set_policy(call.policy.clone());
        verifier.set_issuers(Arc::clone(&ISSUERS[usize::from(call.has_application)]));
        let answer = verifier.verify(user, token, call.audience, call.now);
        assert_eq!(answer.clone().ok(), expected, "{answer:?}");
        let all = KeyRing::of_issuer(verifier.public_jwks().as_bytes(), IssuerKeys::default()).expect("public keys");
        assert_eq!((all.keys().len(), all.ignored().len()), (4, 0));
        let signature = Signature::of(token, &all);
        let named = verifier.identify(user, token);
        assert!(signature != Signature::Wrong || (answer.is_err() && named.is_err()));
        assert!((answer.is_err() && named.is_err()) || matches!(signature, Signature::Right | Signature::Other));
        assert!(answer.is_err() || named.is_ok(), "a good token names its session");
    });
}

/// Inputs to begin with: each signer, for each issuer.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for signer in 0..6_u8 {
        for iss in [None, Some(A), Some(B), Some(C), Some(ME), Some("https://d.example")] {
            let mut claims = json!({ "sub": "42", "exp": NOW + 1000, "iat": NOW, "aud": ["api", "web"], "sid": "s" });
            if let Some(iss) = iss {
                claims["iss"] = iss.into();
            }
            for (names, asked) in [(0, 0), (8, 32), (0, 35), (9, 34), (136, 18), (1, 33)] {
                seeds.push([&[signer, names, asked, 90, 0, b'A'][..], claims.to_string().as_bytes()].concat());
            }
        }
    }
    for payload in [r#"{"iss":1}"#, r#"{"iss":null,"sub":"42","exp":1700003600}"#, "{", r#"{"iss":"a","iss":"b"}"#] {
        seeds.push([&[0, 0, 0, 0, 0, b'.'][..], payload.as_bytes()].concat());
    }
    seeds
}

/// Or the target would compare nothing but refusals.
#[test]
fn some_tokens_of_every_signer_are_good() {
    let mut good = std::collections::HashSet::new();
    for seed in seeds() {
        let signer = SIGNERS[usize::from(seed[0])];
        let (header, call) = (Header::new(signer, seed[1]), Call::new(seed[2]));
        let token = signer.sign(header.text(seed[1]).as_bytes(), &seed[6..]);
        if let Some(verified) = expected(signer, &header, &seed[6..], &token, &call) {
            good.insert((signer as u8, verified.maker as u8));
        }
    }
    assert_eq!(good.len(), 6, "{good:?}");
}
