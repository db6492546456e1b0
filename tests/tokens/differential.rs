//! Other libraries' opinions of random tokens, most of them changed in some way: what we take, they take and read alike.
//! What they take and we do not must have one of the reasons in [`why_we_are_stricter`].
//!
//! `REDIS_TEST_TOKENS` is how many tokens are tried, and `REDIS_TEST_SEED` begins another series.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use redis_session_core::token::{Cause, Issued, KeyRing, Maker, TokenPolicy, Verified, Verifier, holds_token};
use redis_session_core::{Reason, SessionId, Subject, UnixMillis, base64url};
use serde_json::{Map, Value, json};

use crate::opinions::{Asked, Jsonwebtoken, Opinion, PyJwt, Signer};
use crate::strict;
use redis_session_tests::issuer::{KEYS, set_of};

/// SplitMix64: the same series everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}

fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
}

struct Bench<O> {
    random: Random,
    now: u64,
    keys: Vec<Signer>,
    ours: Verifier,
    theirs: O,
    tokens: Vec<String>,
}

impl<O: Opinion> Bench<O> {
    fn new(seed: u64, keys: Vec<Signer>, theirs: O) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let jwks: Vec<_> = keys.iter().map(|key| key.jwk()).collect();
        let ring = KeyRing::from_jwk_set(set_of(&jwks).as_bytes(), None).unwrap();
        let ours = Verifier::new(ring, TokenPolicy::default());
        Self { random: Random(seed), now, keys, ours, theirs, tokens: Vec::new() }
    }

    fn ours(&mut self, token: &[u8], asked: &Asked) -> Result<Verified, Reason> {
        self.ours.set_policy(TokenPolicy { issuer: asked.issuer.map(str::to_owned), ..TokenPolicy::default() });
        let (user, now) = (Subject::new(b"42").unwrap(), UnixMillis::from_secs(self.now).unwrap());
        self.ours.verify_alone(user, token, asked.audience, now).map_err(Cause::reason)
    }

    fn header(&mut self, key: Signer) -> Map<String, Value> {
        let mut header = Map::new();
        header.insert("alg".into(), key.name().into());
        if self.random.below(4) > 0 {
            header.insert("kid".into(), key.name().into());
        }
        if self.random.below(2) > 0 {
            header.insert("typ".into(), (*self.random.pick(&["JWT", "at+jwt", ""])).into());
        }
        if self.random.below(4) == 0 {
            header.insert("x".into(), "y".into());
        }
        header
    }

    /// Dates are far from now, as the libraries look at the clock at different times.
    fn claims(&mut self) -> Map<String, Value> {
        let far = [0, 1, self.now - 10_000, self.now + 10_000, self.now + 1_000_000_000];
        let mut claims = Map::new();
        claims.insert("sub".into(), (*self.random.pick(&["42", "42", "42", "42", "42", "42", "42", "43"])).into());
        let exp = *self.random.pick(&[far[3], far[3], far[3], far[3], far[4], far[4], far[2], far[0]]);
        claims.insert("exp".into(), if self.random.below(5) == 0 { json!(exp as f64 + 0.25) } else { json!(exp) });
        for (claim, values) in [
            ("nbf", vec![json!(far[2]), json!(far[1]), json!(far[2]), json!(far[2]), json!(far[0]), json!(far[3])]),
            (
                "iat",
                vec![
                    json!(far[2]),
                    json!(far[0]),
                    json!(far[2]),
                    json!(far[1]),
                    json!(far[2] as f64 + 0.5),
                    json!(far[3]),
                ],
            ),
            ("iss", vec![json!("me"), json!("me"), json!("you"), json!("")]),
            ("aud", vec![json!("api"), json!(["api", "web"]), json!(["web"]), json!([])]),
            ("jti", vec![json!("t-1"), json!("\u{e9}"), json!("a"), json!("b")]),
            ("sid", vec![json!("s-1"), json!("0190163d-8694-739b-aea5-966c26f8ad91"), json!("c"), json!("d")]),
            ("role", vec![json!({ "admin": [1, null, "x"] }), json!("user"), json!(1e300), json!(false)]),
        ] {
            if self.random.below(2) == 0 {
                claims.insert(claim.into(), self.random.pick(&values).clone());
            }
        }
        claims
    }

    /// A value of any kind, where another may be expected.
    fn odd_value(&mut self) -> Value {
        let deep = (0..20).fold(json!(1), |inner, _| json!([inner]));
        let choices = [
            json!(null),
            json!(true),
            json!(-1),
            json!(0),
            json!(self.now + 10_000),
            json!(1e300),
            json!(u64::MAX),
            json!(281_474_976_711_u64),
            json!(1.5),
            json!(""),
            json!("42"),
            json!("1700000000"),
            json!("a\u{0}b"),
            json!("x".repeat(129)),
            json!("eyJhbGciOiJub25lIn0.e30.AA"),
            json!([]),
            json!(["42"]),
            json!(["me", "api"]),
            json!([1]),
            json!({}),
            json!({ "a": 1 }),
            deep,
        ];
        self.random.pick(&choices).clone()
    }

    /// JSON of these members, perhaps with one of them changed, left out or twice.
    fn text(&mut self, mut members: Map<String, Value>, odd: &[&str]) -> String {
        match self.random.below(5) {
            0 => {
                let (member, value) = ((*self.random.pick(odd)).to_owned(), self.odd_value());
                members.insert(member, value);
            }
            1 => drop(members.remove(*self.random.pick(odd))),
            _ => {}
        }
        let text = Value::Object(members.clone()).to_string();
        match self.random.below(24) {
            0 => {
                let names: Vec<_> = members.keys().collect();
                if names.is_empty() {
                    return text;
                }
                let (name, value) = (*self.random.pick(&names), self.odd_value());
                let (all, _) = text.split_at(text.len() - 1);
                format!("{all},{}:{value}}}", json!(name))
            }
            1 => format!(" {text}\n"),
            2 => text.replace("\"sub\"", "\"\\u0073ub\""),
            3 => text + "x",
            _ => text,
        }
    }

    /// A signed token: good, or odd in what it says.
    fn signed(&mut self) -> String {
        let key = *self.random.pick(&self.keys);
        let (header, claims) = (self.header(key), self.claims());
        // Members that this other library reads into types of its own are left alone.
        let header = self.text(header, &["kid", "typ", "crit", "b64", "alg"]);
        let claims = self.text(claims, &["sub", "exp", "nbf", "iat", "iss", "aud", "jti", "sid", "role"]);
        let signer = if self.random.below(12) == 0 { *self.random.pick(&self.keys) } else { key };
        signer.sign_text(header.as_bytes(), claims.as_bytes())
    }

    /// A token of which the signature, or the text, is another.
    fn changed(&mut self, token: &str) -> Vec<u8> {
        const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/=. \n\0";
        let mut text = token.as_bytes().to_vec();
        let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
        let at = self.random.below(text.len());
        let letter = *self.random.pick(LETTERS);
        match self.random.below(12) {
            0..=2 => text[at] = letter,
            3 => text.insert(at, letter),
            4 => drop(text.remove(at)),
            5 => text.truncate(at),
            6 => {
                let other = self.random.below(self.tokens.len());
                let other: Vec<String> = self.tokens[other].split('.').map(str::to_owned).collect();
                let part = self.random.below(3);
                parts[part].clone_from(&other[part]);
                text = parts.join(".").into();
            }
            7 => {
                let part = self.random.below(3);
                parts[part] += *self.random.pick(&["=", "==", "A", "AA", ".", " "]);
                text = parts.join(".").into();
            }
            8..=10 => {
                let mut signature = base64url::decode(parts[2].as_bytes()).unwrap();
                let at = self.random.below(signature.len());
                match self.random.below(4) {
                    0 => signature[at] ^= 1 << self.random.below(8),
                    1 => signature.truncate(at),
                    2 => signature.insert(at, 0),
                    _ => signature.reverse(),
                }
                parts[2] = base64url::encode(&signature);
                text = parts.join(".").into();
            }
            _ => {
                // The last letter, with other bits that count for nothing or something.
                let part = self.random.below(3);
                parts[part].pop();
                parts[part].push(char::from(letter));
                text = parts.join(".").into();
            }
        }
        text
    }
}

/// Whether a claim or the `kid` is null: not there for us, and a fault for other libraries.
fn has_null(token: &[u8]) -> bool {
    let mut parts = token.split(|byte| *byte == b'.').map(|part| base64url::decode(part).unwrap_or_default());
    let mut next = || serde_json::from_slice::<Map<String, Value>>(&parts.next()?).ok();
    let (header, claims) = (next().unwrap_or_default(), next().unwrap_or_default());
    header.get("kid") == Some(&Value::Null)
        || ["exp", "nbf", "iat", "iss", "sub", "aud", "jti", "sid"]
            .iter()
            .any(|name| claims.get(*name) == Some(&Value::Null))
}

/// Why we refuse a token that the other library takes, found out in another way than ours.
fn why_we_are_stricter(token: &[u8], now: u64) -> Option<&'static str> {
    let parts: Vec<&[u8]> = token.split(|byte| *byte == b'.').collect();
    let json = |part: &[u8]| base64url::decode(part).and_then(|bytes| String::from_utf8(bytes).ok());
    let (header, claims) = (json(parts.first()?)?, json(parts.get(1)?)?);
    // Python's decoder passes over what is no letter of base64url.
    let signature = parts.get(2).filter(|_| parts.len() == 3)?;
    if base64url::decode(signature).is_none() {
        return Some("a signature that is no base64url (RFC 7515 section 2)");
    }
    for text in [&header, &claims] {
        match strict::look(text) {
            Ok(depth) if depth > 16 => return Some("nested deeper than 16 levels"),
            Ok(_) => {}
            Err(strict::Twice) => return Some("a member twice (RFC 7515 section 4, RFC 7519 section 4)"),
        }
    }
    let [header, claims] = [header, claims].map(|text| serde_json::from_str::<Value>(&text).unwrap_or_default());
    if ["alg", "kid", "typ"]
        .iter()
        .any(|name| header.get(name).is_some_and(|value| !value.is_null() && !value.is_string()))
    {
        return Some("a header's member that is no string (RFC 7515 section 4.1)");
    }
    if ["crit", "b64"].iter().any(|name| header.get(name).is_some()) {
        return Some("an extension that must be understood (RFC 7515 section 4.1.11, RFC 7797)");
    }
    let is_date = |value: &Value| value.as_f64().is_some_and(|seconds| (0.0..=281_474_976_710.655).contains(&seconds));
    if ["exp", "nbf", "iat"]
        .iter()
        .any(|name| claims.get(name).is_some_and(|value| !value.is_null() && !is_date(value)))
    {
        return Some("a date that is no number or out of range (RFC 7519 section 2)");
    }
    if ["iss", "sub", "jti", "sid"]
        .iter()
        .any(|name| claims.get(name).is_some_and(|value| !value.is_null() && !value.is_string()))
    {
        return Some("a registered claim that is no string (RFC 7519 section 4.1)");
    }
    let is_audience =
        |value: &Value| value.is_string() || value.as_array().is_some_and(|items| items.iter().all(Value::is_string));
    if claims.get("aud").is_some_and(|value| !value.is_null() && !is_audience(value)) {
        return Some("an audience that is neither a string nor an array of strings (RFC 7519 section 4.1.3)");
    }
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let is_none = |id: &str| {
        let is_text = id.len() > 128 || !id.chars().any(char::is_control);
        id.is_empty() || !is_text || holds_token(id.as_bytes())
    };
    if text("sid").or(text("jti")).is_some_and(is_none) {
        return Some("a session id that is none");
    }
    if claims.get("iat").and_then(Value::as_f64).is_some_and(|iat| iat > now as f64) {
        return Some("issued in the future");
    }
    None
}

fn compare(keys: Vec<Signer>, theirs: impl Opinion) {
    let (count, seed) = (variable("REDIS_TEST_TOKENS", 5000), variable("REDIS_TEST_SEED", 1));
    let mut bench = Bench::new(seed, keys, theirs);
    // Each is tried as it is, and then changed, twice on average. Of very many tokens, fewer are signed, as that takes long.
    let signed = usize::try_from((count / 3).min(60_000)).unwrap();
    bench.tokens = (0..signed).map(|_| bench.signed()).collect();
    let (mut both, mut neither, mut lenient, mut stricter) = (0, 0, 0, BTreeMap::<_, u64>::new());
    for n in 0..count {
        // Each as it is first.
        let token = match usize::try_from(n).ok().and_then(|n| bench.tokens.get(n)).cloned() {
            Some(token) => token.into_bytes(),
            None => {
                let which = bench.random.below(bench.tokens.len());
                let token = bench.tokens[which].clone();
                bench.changed(&token)
            }
        };
        let asked = Asked {
            issuer: *bench.random.pick(&[None, None, Some("me")]),
            audience: *bench.random.pick(&[None, None, Some("api")]),
        };
        let shown = || format!("seed {seed}, token {n}, {asked:?}: {}", token.escape_ascii());
        match (bench.ours(&token, &asked), bench.theirs.claims(&token, &asked)) {
            (Ok(ours), Some(theirs)) => {
                both += 1;
                read_alike(&ours, &theirs, &shown());
            }
            (Ok(_), None) if has_null(&token) => lenient += 1,
            (Ok(ours), None) => panic!("only we take it, {ours:?}: {}", shown()),
            (Err(_), None) => neither += 1,
            (Err(reason), Some(_)) => match why_we_are_stricter(&token, bench.now) {
                Some(why) => *stricter.entry(why).or_default() += 1,
                None => panic!("only they take it, {reason}: {}", shown()),
            },
        }
    }
    println!(
        "{count} tokens of {signed} signed ones, seed {seed}: both took {both}, neither {neither}, we alone {lenient}, we are stricter"
    );
    stricter.iter().for_each(|(why, times)| println!("{times:>9}  {why}"));
    assert!(both > signed / 10, "{both}");
    // An id that is none is too rare to count on.
    assert!(stricter.len() >= 7, "{stricter:?}");
}

#[track_caller]
fn read_alike(ours: &Verified, theirs: &Map<String, Value>, shown: &str) {
    let millis = |name: &str| theirs.get(name).and_then(Value::as_f64).map(|seconds| (seconds * 1000.0).floor() as u64);
    assert_eq!(ours.expires_at.map(UnixMillis::get), millis("exp"), "{shown}");
    let Issued::InSecondOf(issued_at) = ours.issued else { panic!("{shown}") };
    assert_eq!(issued_at.get(), millis("iat").unwrap_or(0), "{shown}");
    assert_eq!(theirs["sub"], "42", "{shown}");
    let text = |name: &str| theirs.get(name).and_then(Value::as_str);
    if let Some(id) = text("sid").or(text("jti")) {
        let id = match ours.maker {
            Maker::Issuer => SessionId::of_issuer(text("iss").unwrap_or_default(), id.as_bytes()),
            Maker::Here | Maker::Application => SessionId::of_application(id.as_bytes()),
        };
        assert_eq!(Ok(&ours.id), id.as_ref(), "{shown}");
    }
}

#[test]
fn what_we_take_another_library_takes_and_reads_alike() {
    compare(KEYS.map(Signer::Key).into(), Jsonwebtoken::new());
}

/// Over all algorithms.
#[test]
fn what_we_take_a_third_library_takes_and_reads_alike() {
    let Some(theirs) = PyJwt::start() else { return };
    compare(Signer::all(), theirs);
}

/// Which bytes are a public key of Ed25519, the other library asks when it verifies.
#[test]
fn what_we_take_for_a_point_another_library_does_too() {
    let mut random = Random(variable("REDIS_TEST_SEED", 1));
    let mut points = 0;
    for _ in 0..2000 {
        let bytes: Vec<u8> = (0..4).flat_map(|_| random.next().to_le_bytes()).collect();
        let x = base64url::encode(&bytes);
        let set = set_of(&[json!({ "kty": "OKP", "crv": "Ed25519", "kid": "a", "x": x })]);
        let ours = KeyRing::from_jwk_set(set.as_bytes(), None).is_ok();
        assert_eq!(ours, Jsonwebtoken::is_point(&x), "{x}");
        points += usize::from(ours);
    }
    assert!((800..1200).contains(&points), "{points}");
}

/// One that is neither ours nor changed must be good for both, or the test would compare refusals.
#[test]
fn a_good_token_of_every_algorithm_is_taken_by_all() {
    all_are_taken(KEYS.map(Signer::Key).into(), Jsonwebtoken::new());
    if let Some(theirs) = PyJwt::start() {
        all_are_taken(Signer::all(), theirs);
    }
}

fn all_are_taken(keys: Vec<Signer>, theirs: impl Opinion) {
    let mut bench = Bench::new(1, keys.clone(), theirs);
    let asked = Asked { issuer: None, audience: None };
    for key in keys {
        let header = json!({ "alg": key.name(), "kid": key.name(), "typ": "JWT" }).to_string();
        let claims = json!({ "sub": "42", "exp": bench.now + 1000 }).to_string();
        let token = key.sign_text(header.as_bytes(), claims.as_bytes());
        assert!(bench.ours(token.as_bytes(), &asked).is_ok(), "{}", key.name());
        assert!(bench.theirs.claims(token.as_bytes(), &asked).is_some(), "{}", key.name());
    }
}
