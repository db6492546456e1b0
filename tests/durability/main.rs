//! What survives: restarts, log rewrites, replication.

mod append_only_file;
mod broken_transfers;
mod chance;
mod crash;
mod cut_logs;
mod defragmentation;
mod effects;
mod eviction;
mod key_expiry;
mod keyspace;
mod lazy_free;
mod lonely_replicas;
mod mix;
mod payloads;
mod random_mix;
mod replicas;
mod restarts;
mod safety;
mod sweep;
mod touch_traffic;
mod upgrades;
mod users;
mod version_1;
mod wire;
