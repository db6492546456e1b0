//! The cache gives no other answer than the check that it saves.

use super::*;

fn counted(cache: &TokenCache) -> (u64, u64) {
    cache.hits_and_misses()
}

struct Both {
    ring: KeyRing,
    policy: TokenPolicy,
    cache: TokenCache,
    scratch: Scratch,
}

impl Both {
    fn new(entries: usize) -> Self {
        let mut cache = TokenCache::default();
        cache.resize(entries);
        Self { ring: ring(), policy: TokenPolicy::default(), cache, scratch: Scratch::default() }
    }

    /// The answer, which must be the same with the cache and without.
    fn check(&mut self, name: &str, token: &str, audience: Option<&str>, now: UnixMillis) -> Result<Verified, Reason> {
        let (token, name) = (token.as_bytes(), user(name));
        let plain = verify(&self.ring, &self.policy, name, token, audience, now, &mut self.scratch);
        let cached = self.cache.verify(&self.ring, &self.policy, name, token, audience, now, &mut self.scratch);
        assert_eq!(cached, plain);
        plain
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
    assert_eq!(counted(&both.cache), (4, 2));
    let mut off = Both::new(0);
    (0..3).for_each(|_| drop(off.check("42", &jwt(), None, at(NOW)).unwrap()));
    assert_eq!(counted(&off.cache), (0, 0));
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
    both.policy.issuer = Some("https://other.example".into());
    assert_eq!(both.check("42", &token, None, at(NOW)), Err(Reason::Issuer));
    both.policy = TokenPolicy { max_token_bytes: 20, ..TokenPolicy::default() };
    assert_eq!(both.check("42", &token, None, at(NOW)), Err(Reason::Malformed));
    both.policy = TokenPolicy::default();
    both.check("42", &token, None, at(NOW)).unwrap();
    both.ring = KeyRing::ephemeral().unwrap();
    both.cache.clear();
    assert_eq!(both.check("42", &token, None, at(NOW)), Err(Reason::UnknownKey));
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
            both.policy.leeway_secs = if leeway == 0 { 5 } else { both.policy.leeway_secs };
            let audience = [None, Some("api"), Some("web")][audience];
            let claims = format!(r#""exp":{},"nbf":{},"aud":["api","n{token}"]"#, NOW + 2 * token, NOW - 20 + token);
            let token = if token == 11 { opaque() } else { with(&claims) };
            let _ = both.check(&name.to_string(), &token, audience, at(NOW - 20 + now));
        }
    }
}
