//! What survives: restarts, log rewrites, replication.
