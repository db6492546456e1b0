//! The key ring: which keys verify, and which one signs.

use super::algorithm::{Algorithm, Hash};
use super::jwk::{self, IgnoredKey, IssuerKeys, Owner};
use super::key::{Key, Own};
use super::problem::KeyRingError;
use crate::{Reason, base64url};

/// The keys that tokens are checked with, and made with if they are ours.
#[derive(Debug)]
pub struct KeyRing {
    keys: Vec<Key>,
    /// The place of the key that signs.
    signing: Option<usize>,
    /// What the set has beside them.
    ignored: Vec<IgnoredKey>,
    ephemeral: bool,
}

impl KeyRing {
    /// How many keys are tried for one token.
    pub(crate) const MAX_CANDIDATES: usize = 8;

    /// The ring of the JWK Set `json` (RFC 7517 section 5), which signs with the key `active_kid`, or else with the
    /// first that can.
    ///
    /// A secret (`kty` `oct`) needs an `alg`, and a `k` as long as the hash (RFC 7518 section 3.2). A private key (`RSA`,
    /// `EC`, `OKP` with `d`) needs all of its members. Either needs a `kid` of its own to sign.
    ///
    /// A public key only verifies. One that is for another use, or of a type, curve or algorithm that is not known here,
    /// or damaged, is [left out](KeyRing::ignored), as RFC 7517 section 5 has it. Without an `alg` it is for the algorithm
    /// of its curve, or for RS256. Leading zeros, members that are null or mean nothing here, and a key that is there
    /// twice count for nothing.
    ///
    /// # Errors
    /// If it is no set, one of its secrets or private keys will not do, no key is left, or `active_kid` names no key that
    /// can sign. The error names the key and never quotes key material.
    ///
    /// ```
    /// use redis_session_core::token::KeyRing;
    /// let file = br#"{"keys":[{"kty":"oct","kid":"2026-01","alg":"HS256",
    ///     "k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}]}"#;
    /// let ring = KeyRing::from_jwk_set(file, None)?;
    /// assert_eq!(ring.signing_key().and_then(|key| key.kid()), Some("2026-01"));
    /// # Ok::<(), redis_session_core::token::KeyRingError>(())
    /// ```
    pub fn from_jwk_set(json: &[u8], active_kid: Option<&str>) -> Result<Self, KeyRingError> {
        let (keys, ignored) = jwk::read_set(json, Owner::Own)?;
        let signing = match active_kid {
            None => keys.iter().position(Key::can_sign),
            Some(kid) if keys.iter().any(|key| key.kid() == Some(kid)) => {
                let signs = keys.iter().position(|key| key.kid() == Some(kid) && key.can_sign());
                Some(signs.ok_or_else(|| KeyRingError::ActiveCannotSign { kid: kid.to_owned() })?)
            }
            Some(kid) => return Err(KeyRingError::NoActiveKey { kid: kid.to_owned() }),
        };
        Ok(Self { keys, signing, ignored, ephemeral: false })
    }

    /// The ring of another issuer's JWK Set, which signs nothing. It is read as [`KeyRing::from_jwk_set`] reads public
    /// keys, and may be empty: no token is good then.
    ///
    /// # Errors
    /// If it is no set, has a private key, or has a secret and may have none or that will not do.
    ///
    /// ```
    /// use redis_session_core::token::{Algorithm, IssuerKeys, KeyRing};
    /// let file = br#"{"keys":[{"kty":"OKP","kid":"1","crv":"Ed25519",
    ///     "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    /// let ring = KeyRing::of_issuer(file, IssuerKeys::default())?;
    /// assert_eq!(ring.keys().next().map(|key| key.algorithm()), Some(Algorithm::EdDsa));
    /// let only = IssuerKeys { algorithms: Some(&[Algorithm::Rs256]), ..IssuerKeys::default() };
    /// assert_eq!(KeyRing::of_issuer(file, only)?.keys().len(), 0);
    /// # Ok::<(), redis_session_core::token::KeyRingError>(())
    /// ```
    pub fn of_issuer(json: &[u8], rules: IssuerKeys<'_>) -> Result<Self, KeyRingError> {
        let (keys, ignored) = jwk::read_set(json, Owner::Issuer(rules))?;
        Ok(Self { keys, signing: None, ignored, ephemeral: false })
    }

    /// A ring of one random HS256 key of 256 bits with a random `kid`: its tokens outlive no restart and are good on
    /// no other server.
    ///
    /// # Errors
    /// If the operating system has no randomness to give.
    pub fn ephemeral() -> Result<Self, getrandom::Error> {
        let (mut kid, mut secret) = ([0; 8], [0; 32]);
        getrandom::fill(&mut kid)?;
        getrandom::fill(&mut secret)?;
        let key = Key::secret_of(Some(&base64url::encode(&kid)), (Algorithm::Hs256, Hash::Sha256), &secret, true);
        Ok(Self { keys: vec![key], signing: Some(0), ignored: Vec::new(), ephemeral: true })
    }

    /// The key that signs, if there is one.
    #[must_use]
    pub fn signing_key(&self) -> Option<&Key> {
        self.keys.get(self.signing?)
    }

    /// The first key with this id.
    #[must_use]
    pub fn get(&self, kid: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.kid() == Some(kid))
    }

    /// The keys that may have signed a JWT whose header has this `kid` and this algorithm: at least one, and at most
    /// eight, as each costs the check of a signature.
    ///
    /// Without a `kid`, or with an empty one, these are the keys of that algorithm, first those that come first in the
    /// set (RFC 7515 section 4.1.4).
    ///
    /// # Errors
    /// [`Reason::UnknownKey`] if there is no such key, [`Reason::Algorithm`] if keys with this `kid` are all for others.
    pub fn candidates<'r, 'k>(
        &'r self,
        kid: Option<&'k str>,
        algorithm: Algorithm,
    ) -> Result<impl Iterator<Item = &'r Key> + use<'r, 'k>, Reason> {
        let kid = kid.filter(|kid| !kid.is_empty());
        let is_named = move |key: &&Key| kid.is_none() || key.kid() == kid;
        let mut fitting = self.keys.iter().filter(is_named).filter(move |key| key.algorithm() == algorithm);
        match fitting.next() {
            Some(first) => Ok(std::iter::once(first).chain(fitting).take(Self::MAX_CANDIDATES)),
            None if kid.is_some() && self.keys.iter().any(|key| key.kid() == kid) => Err(Reason::Algorithm),
            None => Err(Reason::UnknownKey),
        }
    }

    /// What opaque and refresh tokens that name this key are authenticated with.
    pub(crate) fn own(&self, kid: &str) -> Option<&Own> {
        self.keys.iter().filter(|key| key.kid() == Some(kid)).find_map(Key::own)
    }

    /// The public halves of the ring's private keys, as a JWK Set for others to check our tokens with (RFC 7517 section
    /// 5). There is nothing in it of a secret, which no other can check with, nor of public keys, which are others' own.
    ///
    /// ```
    /// use redis_session_core::token::KeyRing;
    /// let file = br#"{"keys":[{"kty":"OKP","kid":"1","crv":"Ed25519",
    ///     "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"}]}"#;
    /// let ring = KeyRing::from_jwk_set(file, None)?;
    /// let key = r#"{"kid":"1","use":"sig","alg":"EdDSA","crv":"Ed25519","kty":"OKP",
    ///     "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    /// assert_eq!(ring.public_jwks(), format!(r#"{{"keys":[{key}]}}"#).replace("\n    ", ""));
    /// # Ok::<(), redis_session_core::token::KeyRingError>(())
    /// ```
    #[must_use]
    pub fn public_jwks(&self) -> String {
        public_jwks(self.keys().filter(|key| !key.is_public()))
    }

    /// The keys, in the order of the set.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &Key> {
        self.keys.iter()
    }

    /// The keys of the set that were left out, in its order.
    pub fn ignored(&self) -> impl ExactSizeIterator<Item = &IgnoredKey> {
        self.ignored.iter()
    }

    /// Whether there is a secret or a private key among the keys, with which tokens can be made.
    #[must_use]
    pub fn has_secrets(&self) -> bool {
        self.keys.iter().any(|key| !key.is_public())
    }

    /// Whether the ring was made by [`KeyRing::ephemeral`].
    #[must_use]
    pub fn is_ephemeral(&self) -> bool {
        self.ephemeral
    }
}

/// A JWK Set of the public keys among these, and of the public halves of private ones.
pub(crate) fn public_jwks<'k>(keys: impl Iterator<Item = &'k Key>) -> String {
    format!(r#"{{"keys":[{}]}}"#, keys.filter_map(Key::public_jwk).collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::KeyProblem;
    use proptest::prelude::*;

    /// 32, 48 and 64 bytes.
    const SECRETS: [(&str, usize); 3] = [("HS256", 43), ("HS384", 64), ("HS512", 86)];

    fn jwk(kid: &str, alg: &str, more: &str) -> String {
        let (_, letters) = SECRETS.into_iter().find(|(name, _)| *name == alg).unwrap();
        format!(r#"{{"kty":"oct","kid":"{kid}","alg":"{alg}","k":"{}"{more}}}"#, "A".repeat(letters))
    }

    fn load(keys: &[&str], active: Option<&str>) -> Result<KeyRing, KeyRingError> {
        KeyRing::from_jwk_set(format!(r#"{{"keys":[{}]}}"#, keys.join(",")).as_bytes(), active)
    }

    fn problem(key: &str) -> (String, KeyProblem) {
        match load(&[key], None).unwrap_err() {
            KeyRingError::Key { key, problem } => (key, problem),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn the_first_key_that_can_sign_signs_unless_another_is_named() {
        let checks = jwk("old", "HS256", r#","key_ops":["verify"]"#);
        let (one, two) = (jwk("one", "HS384", r#","key_ops":["sign","verify"]"#), jwk("two", "HS512", ""));
        let ring = load(&[&checks, &one, &two], None).unwrap();
        assert_eq!(ring.signing_key().unwrap().kid(), Some("one"));
        assert_eq!(ring.keys().filter_map(Key::kid).collect::<Vec<_>>(), ["old", "one", "two"]);
        assert!(!ring.get("old").unwrap().can_sign());
        assert!(ring.get("three").is_none() && ring.get("").is_none());
        assert!(!ring.is_ephemeral());

        let ring = load(&[&checks, &one, &two], Some("two")).unwrap();
        assert_eq!(ring.signing_key().map(Key::algorithm), Some(Algorithm::Hs512));
        assert!(load(&[&checks], None).unwrap().signing_key().is_none());
    }

    #[test]
    fn the_active_key_must_exist_and_sign() {
        let checks = jwk("old", "HS256", r#","key_ops":["verify"]"#);
        assert_eq!(load(&[&checks], Some("x")).unwrap_err(), KeyRingError::NoActiveKey { kid: "x".into() });
        assert_eq!(load(&[&checks], Some("old")).unwrap_err(), KeyRingError::ActiveCannotSign { kid: "old".into() });
    }

    #[test]
    fn members_without_a_meaning_here_are_ignored() {
        let key = jwk("a", "HS256", r#","use":"sig","x":{"y":[1]},"exp":1"#);
        let set = format!(r#" {{"comment":[{{}}],"keys":[{key}]}}"#) + "\n";
        assert!(KeyRing::from_jwk_set(set.as_bytes(), None).is_ok());
    }

    #[test]
    fn what_is_no_set_is_refused() {
        let refused = |json: &str| KeyRing::from_jwk_set(json.as_bytes(), None).unwrap_err();
        for json in ["", "keys", "[]", "null", r#"{"keys":[]} x"#, r#"{"keys":[]}{}"#, r#"{"keys":["#] {
            assert!(matches!(refused(json), KeyRingError::Json { line: 1, .. }), "{json}");
        }
        for json in
            ["{}", r#"{"keys":{}}"#, r#"{"keys":"a"}"#, r#"{"keys":null}"#, r#"{"keys":[1]}"#, r#"{"keys":[[]]}"#]
        {
            assert_eq!(refused(json), KeyRingError::NoSet, "{json}");
        }
        assert_eq!(refused(r#"{"keys":[]}"#), KeyRingError::NoKeys);
        assert!(matches!(refused(r#"{"keys":[],"keys":[]}"#), KeyRingError::DuplicateMember { .. }));
        assert!(matches!(load(&[r#"{"k":"AA","k":"AA"}"#], None), Err(KeyRingError::DuplicateMember { .. })));
        assert_eq!(refused(&format!(r#"{{"keys":{}"#, "[".repeat(20))), KeyRingError::TooDeep);
    }

    #[test]
    fn a_key_that_will_not_do_is_named() {
        let short = |bits, needed, algorithm| KeyProblem::ShortSecret { algorithm, bits, needed };
        for (key, expected) in [
            (r#"{"kid":"a","k":"AAAA"}"#, KeyProblem::KeyType),
            (r#"{"kid":"a","kty":["oct"],"k":"AAAA"}"#, KeyProblem::KeyType),
            (r#"{"kid":"a","kty":"Oct","alg":"HS256","k":"AAAA"}"#, KeyProblem::KeyType),
            (r#"{"kid":"a","kty":"RSA","alg":"RS256","k":"AAAA"}"#, KeyProblem::KeyType),
            (r#"{"kid":"a","kty":"RSA","alg":"RS256","d":"AAAA"}"#, KeyProblem::PrivateNumbers),
            (r#"{"kid":"a","kty":"oct","k":"AAAA"}"#, KeyProblem::Algorithm),
            (r#"{"kid":"a","kty":"oct","k":"AAAA","alg":"none"}"#, KeyProblem::Algorithm),
            (r#"{"kid":"a","kty":"oct","k":"AAAA","alg":"hs256"}"#, KeyProblem::Algorithm),
            (r#"{"kid":"a","kty":"oct","k":"AAAA","alg":"A256GCM"}"#, KeyProblem::Algorithm),
            (r#"{"kid":"a","kty":"oct","k":"AAAA","alg":"RS256"}"#, KeyProblem::Algorithm),
            (r#"{"kid":"a","kty":"oct","alg":"HS256"}"#, KeyProblem::SecretText),
            (r#"{"kid":"a","kty":"oct","alg":"HS256","k":5}"#, KeyProblem::SecretText),
            (r#"{"kid":"a","kty":"oct","alg":"HS256","k":"AA=="}"#, KeyProblem::SecretText),
            (r#"{"kid":"a","kty":"oct","alg":"HS256","k":"+/+/"}"#, KeyProblem::SecretText),
            (r#"{"kid":"a","kty":"oct","alg":"HS256","k":""}"#, short(0, 256, Algorithm::Hs256)),
            (r#"{"kid":"a","kty":"oct","alg":"HS256","k":"AAAA"}"#, short(24, 256, Algorithm::Hs256)),
            (&jwk("a", "HS256", "").replace("A\"", "\""), short(248, 256, Algorithm::Hs256)),
            (&jwk("a", "HS256", "").replace("HS256", "HS384"), short(256, 384, Algorithm::Hs384)),
            (&jwk("a", "HS384", "").replace("HS384", "HS512"), short(384, 512, Algorithm::Hs512)),
            (&jwk("a", "HS256", r#","use":"enc""#), KeyProblem::Use),
            (&jwk("a", "HS256", r#","use":7"#), KeyProblem::Use),
            (&jwk("a", "HS256", r#","key_ops":["sign"]"#), KeyProblem::KeyOps),
            (&jwk("a", "HS256", r#","key_ops":[]"#), KeyProblem::KeyOps),
            (&jwk("a", "HS256", r#","key_ops":"verify""#), KeyProblem::KeyOps),
            (&jwk("a", "HS256", r#","key_ops":["verify",1]"#), KeyProblem::KeyOps),
            (&jwk("a", "HS256", r#","key_ops":["verify","verify"]"#), KeyProblem::KeyOps),
        ] {
            assert_eq!(problem(key), (r#"key "a""#.to_owned(), expected), "{key}");
        }
    }

    #[test]
    fn an_error_says_what_to_do() {
        let error = load(&[r#"{"kid":"a","kty":"oct","alg":"HS256","k":"AAAA"}"#], None).unwrap_err();
        assert_eq!(error.to_string(), r#"key "a": the secret has 24 bits, and HS256 needs 256 or more"#);
    }

    #[test]
    fn a_kid_is_a_short_text_of_one_secret() {
        let none = ("key number 1".to_owned(), KeyProblem::Kid);
        let long = "k".repeat(129);
        for kid in ["a\\u0000b", "a\\nb", &long] {
            assert_eq!(problem(&jwk(kid, "HS256", "")), none, "{kid}");
        }
        assert_eq!(problem(r#"{"kid":7,"kty":"oct","alg":"HS256"}"#), none);
        assert!(load(&[&jwk(&"k".repeat(128), "HS256", "")], None).is_ok());

        let twice = load(&[&jwk("a", "HS256", ""), &jwk("\\u0061", "HS512", "")], None).unwrap_err();
        assert_eq!(twice, KeyRingError::Key { key: r#"key "a""#.into(), problem: KeyProblem::DuplicateKid });
    }

    #[test]
    fn a_secret_that_is_there_twice_is_one() {
        let ring = load(&[&jwk("a", "HS256", ""), &jwk("a", "HS256", r#","use":"sig","alg2":1"#)], None).unwrap();
        assert_eq!(ring.keys().len(), 1);
        let other = jwk("a", "HS256", "").replace("AAAA", "AAAB");
        assert!(load(&[&jwk("a", "HS256", ""), &other], None).is_err());
    }

    #[test]
    fn members_of_a_secret_that_are_null_are_not_there() {
        let nulls = r#","use":null,"key_ops":null,"d":null,"x":null,"n":null"#;
        assert!(load(&[&jwk("a", "HS256", nulls)], None).unwrap().signing_key().is_some());
        let key = jwk("a", "HS256", "").replace(r#""kid":"a""#, r#""kid":null"#);
        assert_eq!(load(&[&key], None).unwrap().keys().next().unwrap().kid(), None);
    }

    #[test]
    fn a_fingerprint_tells_secrets_apart_and_not_their_names() {
        let print = |key: &str| load(&[key], None).unwrap().keys().next().unwrap().fingerprint().to_owned();
        let one = print(&jwk("a", "HS256", ""));
        assert_eq!(one.len(), 14, "80 bits");
        assert_eq!(one, print(&jwk("b", "HS256", r#","use":"sig""#)));
        let others = [jwk("a", "HS256", "").replace("AAAA", "AAAB"), jwk("a", "HS384", "")];
        assert!(others.iter().all(|other| print(other) != one));
        // Nothing that is signed or sealed with the secret has it in itself.
        let ring = load(&[&jwk("a", "HS256", "")], None).unwrap();
        let of_label = ring.get("a").unwrap().secret().unwrap().jwt.tag(b"of a secret");
        assert!(!base64url::encode(of_label.as_bytes()).starts_with(&one));
    }

    #[test]
    fn a_secret_without_a_kid_only_verifies() {
        for kid in [r#""kid":"","#, ""] {
            let nameless = jwk("", "HS256", "").replace(r#""kid":"","#, kid);
            let ring = load(&[&nameless], None).unwrap();
            let key = ring.keys().next().unwrap();
            assert_eq!((key.kid(), key.can_sign(), ring.signing_key().is_none()), (None, false, true));
            let ring = load(&[&nameless, &nameless, &jwk("a", "HS256", "")], None).unwrap();
            assert_eq!(ring.signing_key().and_then(Key::kid), Some("a"));
            assert!(ring.own("").is_none());
        }
    }

    #[test]
    fn an_ephemeral_ring_is_one_new_key() {
        let (one, two) = (KeyRing::ephemeral().unwrap(), KeyRing::ephemeral().unwrap());
        assert!(one.is_ephemeral());
        assert_eq!(one.keys().len(), 1);
        assert_eq!(one.signing_key().unwrap().algorithm(), Algorithm::Hs256);
        assert_ne!(one.signing_key().unwrap().kid(), two.signing_key().unwrap().kid());
    }

    #[test]
    fn no_error_and_no_debug_text_quotes_a_secret() {
        const SECRET: &str = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I";
        let good = jwk("a", "HS256", "").replace(&"A".repeat(43), SECRET);
        assert!(!format!("{:?}", load(&[&good], None).unwrap()).contains(SECRET));
        let quoted = format!("\"{SECRET}\"");
        for bad in [
            good.replace("HS256", SECRET),
            good.replace("oct", SECRET),
            good.replace("HS256", "HS384"),
            good.replace(&quoted, &format!("[{quoted}]")),
            good.replace(&quoted, &format!("\"{SECRET}=\"")),
            good.replace('}', &format!(r#",{quoted}:1,{quoted}:2}}"#)),
            good.replace('}', &format!(",{quoted}}}")),
            good.replace('}', &format!(r#","use":{quoted}}}"#)),
            good.replace('}', &format!(r#","key_ops":[{quoted}]}}"#)),
            quoted.clone(),
        ] {
            let error = load(&[&bad], None).unwrap_err();
            assert!(!format!("{error} {error:?}").contains(SECRET), "{error:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_make_a_ring_or_an_error(bytes: Vec<u8>, text in "[{}\\[\\]\":,keys\\\\ ]{0,40}") {
            let _ = KeyRing::from_jwk_set(&bytes, None);
            let _ = KeyRing::from_jwk_set(text.as_bytes(), None);
        }
    }
}
