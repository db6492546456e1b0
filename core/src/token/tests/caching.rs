//! A memory of tokens gives no other answer than the check that it saves.

use super::*;

/// Two verifiers with the same keys and policy, of which one remembers.
struct Both {
    plain: Verifier,
    cached: Verifier,
}

impl Both {
    fn new(entries: usize) -> Self {
        let plain = verifier(&TokenPolicy::default());
        let mut cached = plain.clone();
        cached.resize(entries);
        Self { plain, cached }
    }

    /// The answer, which must be the same with the memory and without.
    fn check(&mut self, name: &str, token: &str, audience: Option<&str>, now: UnixMillis) -> Result<Verified, Reason> {
        let (token, name) = (token.as_bytes(), user(name));
        let plain = self.plain.verify(name, token, audience, now);
        assert_eq!(self.cached.verify(name, token, audience, now), plain);
        plain.map_err(Cause::reason)
    }

    fn change(&mut self, change: impl FnOnce(&mut TokenPolicy)) {
        let mut policy = self.plain.policy().clone();
        change(&mut policy);
        self.plain.set_policy(policy.clone());
        self.cached.set_policy(policy);
    }

    fn set_ring(&mut self, ring: &Arc<KeyRing>) {
        self.plain.set_ring(Arc::clone(ring));
        self.cached.set_ring(Arc::clone(ring));
    }
}

#[test]
fn a_token_is_verified_once_and_then_remembered() {
    let mut both = Both::new(16);
    for token in [jwt(), opaque()] {
        for _ in 0..3 {
            both.check("42", &token, None, at(NOW)).unwrap();
        }
    }
    assert_eq!(both.cached.hits_and_misses(), (4, 2));
    let mut off = Both::new(0);
    (0..3).for_each(|_| drop(off.check("42", &jwt(), None, at(NOW)).unwrap()));
    assert_eq!(off.cached.hits_and_misses(), (0, 0));
}

#[test]
fn a_remembered_token_still_expires_and_is_still_only_its_users() {
    let mut both = Both::new(16);
    let token = with(&format!(r#""exp":{},"nbf":{},"aud":"api""#, NOW + 10, NOW - 10));
    both.check("42", &token, None, at(NOW)).unwrap();
    assert_eq!(both.check("43", &token, None, at(NOW)), Err(Reason::Subject));
    assert_eq!(both.check("42", &token, Some("web"), at(NOW)), Err(Reason::Audience));
    both.check("42", &token, Some("api"), at(NOW)).unwrap();
    both.check("42", &token, None, at(NOW + 9)).unwrap();
    assert_eq!(both.check("42", &token, None, at(NOW - 11)), Err(Reason::NotYetValid), "a clock that was set back");
    assert_eq!(both.check("42", &token, None, at(NOW + 10)), Err(Reason::TokenExpired));
    assert_eq!(both.check("42", &token, None, at(NOW + 10)), Err(Reason::TokenExpired));
}

#[test]
fn a_change_of_the_policy_or_the_ring_is_noticed() {
    let mut both = Both::new(16);
    let token = jwt();
    both.check("42", &token, None, at(NOW)).unwrap();
    both.change(|policy| policy.issuer = Some("https://other.example".into()));
    assert_eq!(both.check("42", &token, None, at(NOW)), Err(Reason::Issuer));
    both.change(|policy| *policy = TokenPolicy { max_token_bytes: 20, ..TokenPolicy::default() });
    assert_eq!(both.check("42", &token, None, at(NOW)), Err(Reason::Malformed));
    both.change(|policy| *policy = TokenPolicy::default());
    both.check("42", &token, None, at(NOW)).unwrap();
    both.set_ring(&Arc::new(KeyRing::ephemeral().unwrap()));
    assert_eq!(both.check("42", &token, None, at(NOW)), Err(Reason::UnknownKey));
}

#[test]
fn what_does_not_change_is_remembered_on() {
    let mut both = Both::new(16);
    both.check("42", &jwt(), None, at(NOW)).unwrap();
    both.change(|_| {});
    both.cached.resize(15);
    both.check("42", &jwt(), None, at(NOW)).unwrap();
    assert_eq!(both.cached.hits_and_misses(), (1, 1));
    let mut another = both.cached.clone();
    another.verify(user("42"), jwt().as_bytes(), None, at(NOW)).unwrap();
    assert_eq!(another.hits_and_misses(), (0, 0), "a copy remembers nothing");
    both.cached.resize(32);
    both.check("42", &jwt(), None, at(NOW)).unwrap();
    assert_eq!(both.cached.hits_and_misses(), (1, 2));
}

#[test]
fn no_token_one_byte_away_from_a_remembered_one_is_good() {
    let mut both = Both::new(2);
    let token = jwt();
    for at_byte in 0..token.len() {
        both.check("42", &token, None, at(NOW)).unwrap();
        let mut near = token.clone().into_bytes();
        near[at_byte] ^= 1;
        assert!(both.check("42", &String::from_utf8(near).unwrap(), None, at(NOW)).is_err());
    }
    let cut = token.strip_suffix(|_: char| true).unwrap();
    assert!(both.check("42", cut, None, at(NOW)).is_err());
}

proptest! {
    #[test]
    fn random_checks_get_the_same_answer_with_and_without(
        entries in 0..9usize,
        checks in prop::collection::vec((0..12u64, 40..44u8, 0..3usize, 0..40u64, 0..20u32), 1..60),
    ) {
        let mut both = Both::new(entries);
        for (token, name, audience, now, leeway) in checks {
            both.change(|policy| policy.leeway_secs = if leeway == 0 { 5 } else { policy.leeway_secs });
            let audience = [None, Some("api"), Some("web")][audience];
            let claims = format!(r#""exp":{},"nbf":{},"aud":["api","n{token}"]"#, NOW + 2 * token, NOW - 20 + token);
            let token = if token == 11 { opaque() } else { with(&claims) };
            let _ = both.check(&name.to_string(), &token, audience, at(NOW - 20 + now));
        }
    }
}

/// With the algorithms of public keys, key rings that are read again, and all settings.
#[cfg(feature = "public-keys")]
mod mixed {
    use std::sync::LazyLock;

    use serde_json::json;

    use super::super::issuer::{issued, jwk, ring_of};
    use super::*;

    const ALGORITHMS: [Algorithm; 5] =
        [Algorithm::Hs256, Algorithm::Es256, Algorithm::Rs256, Algorithm::Ps384, Algorithm::EdDsa];

    fn key(algorithm: Algorithm, letter: &str) -> serde_json::Value {
        match algorithm {
            Algorithm::Hs256 => json!({ "kty": "oct", "kid": "HS256", "alg": "HS256", "k": letter.repeat(64) }),
            _ => jwk(algorithm),
        }
    }

    /// All keys; all but one; and all, but with another secret of the same name.
    static RINGS: LazyLock<Vec<Arc<KeyRing>>> = LazyLock::new(|| {
        let without = ALGORITHMS.map(|left_out| {
            ALGORITHMS.into_iter().filter(|kept| *kept != left_out).map(|kept| key(kept, "Q")).collect::<Vec<_>>()
        });
        let all = ["Q", "A"].map(|letter| ALGORITHMS.map(|algorithm| key(algorithm, letter)).to_vec());
        without.into_iter().chain(all).map(|keys| ring_of(&keys).unwrap()).collect()
    });

    /// Of each algorithm: two good ones, one that is no JSON, and one of each with a bit of its signature changed.
    static TOKENS: LazyLock<Vec<String>> = LazyLock::new(|| {
        let claims = |exp: u64| {
            let nbf = NOW - 10;
            format!(r#"{{"sub":"42","exp":{exp},"nbf":{nbf},"iss":"me","aud":["api","web"],"sid":"s"}}"#)
        };
        let mut tokens = Vec::new();
        for algorithm in ALGORITHMS {
            let header = |typ: &str| format!(r#"{{"alg":"{algorithm}","kid":"{algorithm}","typ":"{typ}"}}"#);
            let good =
                [issued(algorithm, header("JWT"), claims(NOW)), issued(algorithm, header("at+jwt"), claims(NOW + 5))];
            for token in &good {
                let (input, signature) = token.rsplit_once('.').unwrap();
                let mut signature = base64url::decode(signature.as_bytes()).unwrap();
                signature[7] ^= 1;
                tokens.push(format!("{input}.{}", base64url::encode(&signature)));
            }
            tokens.extend(good);
            tokens.push(issued(algorithm, header("JWT"), "no JSON"));
        }
        tokens
    });

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Check { token: usize, user: &'static str, audience: Option<&'static str>, now: u64 },
        Ring(usize),
        Type(Option<&'static str>),
        Issuer(Option<&'static str>),
        Audience(Option<&'static str>),
        Leeway(u32),
        Bytes(usize),
        Resize(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        let maybe = |words: &'static [&'static str]| prop::option::of(prop::sample::select(words));
        let (users, audiences) = (prop::sample::select(&["42", "43"][..]), maybe(&["api", "phone"]));
        prop_oneof![
            20 => (0..25usize, users, audiences, NOW - 12..NOW + 9)
                .prop_map(|(token, user, audience, now)| Step::Check { token, user, audience, now }),
            2 => (0..7usize).prop_map(Step::Ring),
            1 => maybe(&["jwt", "at+jwt"]).prop_map(Step::Type),
            1 => maybe(&["me", "you"]).prop_map(Step::Issuer),
            1 => maybe(&["web", "phone"]).prop_map(Step::Audience),
            1 => (0..3u32).prop_map(Step::Leeway),
            1 => prop::sample::select(&[200, 300, 8192][..]).prop_map(Step::Bytes),
            1 => (0..40usize).prop_map(Step::Resize),
        ]
    }

    proptest! {
        #[test]
        fn whatever_changes_the_answer_is_the_same_with_and_without(
            steps in prop::collection::vec(step(), 1..150)
        ) {
            let mut both = Both::new(32);
            both.set_ring(&RINGS[5]);
            for step in steps {
                match step {
                    Step::Ring(at) => both.set_ring(&RINGS[at]),
                    Step::Type(typ) => both.change(|policy| policy.token_type = typ.map(str::to_owned)),
                    Step::Issuer(issuer) => both.change(|policy| policy.issuer = issuer.map(str::to_owned)),
                    Step::Audience(audience) => both.change(|policy| policy.audience = audience.map(str::to_owned)),
                    Step::Leeway(seconds) => both.change(|policy| policy.leeway_secs = seconds),
                    Step::Bytes(max) => both.change(|policy| policy.max_token_bytes = max),
                    Step::Resize(entries) => both.cached.resize(entries),
                    Step::Check { token, user, audience, now } => {
                        let _ = both.check(user, &TOKENS[token], audience, at(now));
                    }
                }
            }
        }
    }
}
