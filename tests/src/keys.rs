//! Key files, so that tokens outlive a server and are good on another.

/// A JWK Set of HS256 keys with these ids, made of letters and digits. The same id has the same secret in every set.
pub fn jwk_set(kids: &[&str]) -> String {
    let keys: Vec<String> = kids.iter().map(|kid| jwk(kid)).collect();
    format!(r#"{{"keys":[{}]}}"#, keys.join(","))
}

fn jwk(kid: &str) -> String {
    // 43 letters are 32 bytes; the last one carries two bits that must be zero, as A's are.
    let secret: String = kid.chars().cycle().take(42).chain(['A']).collect();
    format!(r#"{{"kty":"oct","kid":"{kid}","alg":"HS256","k":"{secret}"}}"#)
}
