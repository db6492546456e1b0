//! What survives: restarts, log rewrites, replication.

mod append_only_file;
mod effects;
mod expiry;
mod keyspace;
mod lazy_free;
mod payloads;
mod random_mix;
mod replicas;
mod restarts;
mod users;
mod wire;
