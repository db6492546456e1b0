//! Sessions on a Redis Cluster and under Redis Sentinel.
//!
//! ```text
//! routing, retries              where a command goes, and what one does that is sent again
//! migration, failover           slots that move, and primaries that are replaced, under load
//! audit                         the streams that life-cycle events are written to
//! sentinel, acknowledged        primaries that crash under Sentinel, and what WAIT says
//! store                         the client's SessionStore over a connection to a cluster
//! near_cache                    its checks from memory
//!
//! load    clients that know what must be there      links   how they connect
//! nodes   what a cluster holds                      proxy   what loses an answer
//! ```

mod acknowledged;
mod audit;
mod failover;
mod links;
mod load;
mod migration;
mod near_cache;
mod nodes;
mod proxy;
mod retries;
mod routing;
mod sentinel;
mod store;
