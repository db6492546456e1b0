//! Key files, so that tokens outlive a server and are good on another.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Writes a file that nobody but its owner can read or write, as one of keys must be.
///
/// # Panics
///
/// If it cannot be written.
pub fn write_private(path: &Path, content: impl AsRef<[u8]>) {
    // Not in place of a file that others could read.
    let _ = fs::remove_file(path);
    fs::write(path, "").expect("the file");
    fs::set_permissions(path, Permissions::from_mode(0o600)).expect("the mode of the file");
    fs::write(path, content).expect("the file");
}

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
