//! What the fuzz targets check: each is a function of any bytes, which panics where a promise is broken.
//!
//! ```text
//! value.rs    the bytes of RDB files and RESTORE          json.rs    claims and payloads    tree.rs   JSON as serde_json has it
//! apply.rs    the effects of SESSION.APPLY                jwks.rs    key files
//! decide.rs   commands on a value that anyone made        text.rs    ids, users, base64url and other texts
//! oracle/     what one user's sessions must be            token.rs   tokens                 issuer.rs what tokens must be
//! input.rs    bytes as the choices that a target makes    seeds.rs   inputs to begin with
//! public.rs   tokens that were signed in advance          issuers.rs the file of issuers   vouch.rs  tokens under several
//! ```
//!
//! `cargo fuzz` runs them with ever new bytes, and the test `corpus` with those in the archives of `fuzz/corpus`. The test
//! `model` runs random commands on a user of the oracle.

mod apply;
mod decide;
mod input;
mod issuer;
mod issuers;
mod json;
mod jwks;
mod oracle;
mod public;
mod seeds;
mod text;
mod token;
mod tree;
mod value;
mod vouch;

pub use apply::apply;
pub use decide::{bases, decide};
pub use issuers::issuers;
pub use json::json;
pub use jwks::jwks;
pub use oracle::{Command, User};
pub use seeds::seeds;
pub use text::text;
pub use token::token;
pub use value::value;
pub use vouch::vouch;

/// A fuzz target.
pub type Target = fn(&[u8]);

/// All targets by name.
pub const TARGETS: [(&str, Target); 9] = [
    ("value", value),
    ("apply", apply),
    ("decide", decide),
    ("text", text),
    ("token", token),
    ("json", json),
    ("jwks", jwks),
    ("issuers", issuers),
    ("vouch", vouch),
];
