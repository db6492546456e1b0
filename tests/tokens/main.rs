//! Tokens and the keys they are checked with: those of other issuers too, through a server and without one.

mod client;
mod differential;
mod foreign;
mod issuers;
mod key_file;
mod keys;
mod make_keys;
mod opinions;
mod strict;
mod types;
