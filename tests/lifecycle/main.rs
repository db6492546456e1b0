//! What becomes of a session from login to logout: how it is renewed, renamed, changed and bound, and how it ends.
//!
//! ```text
//! rotation, refresh, credentials    refresh tokens: each used once, what a refresh keeps, what is none
//! regenerate, fields, device        another id, the application's fields, and the device a session is bound to
//! stateless, from                   tokens that were made elsewhere, without a session here and for one
//! namesakes                         sessions with the same id, one after the other
//! clocks                            clocks that step back or differ
//! timeouts, key_expiry, limits      how a session ends by itself, or for a newer one
//! at_rest, caching, misuse          what is stored, the memory of verified tokens, and what is refused
//! races                             all of it at once, over many connections
//!
//! steps     asking for what these tests ask for most
//! ```

mod at_rest;
mod caching;
mod clocks;
mod credentials;
mod device;
mod fields;
mod from;
mod key_expiry;
mod levels;
mod limits;
mod misuse;
mod namesakes;
mod races;
mod refresh;
mod regenerate;
mod rotation;
mod stateless;
mod steps;
mod timeouts;
