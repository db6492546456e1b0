//! A `SessionStore` and the web layer on it, as an application uses them.

mod actix;
mod arguments;
mod away;
mod conformance;
mod data;
mod flows;
mod forwarder;
mod guests;
mod local;
mod log;
mod logouts;
mod near_cache;
mod signatures;
mod tonic;
mod web;

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::sentinel::{SentinelClient, SentinelNodeConnectionInfo, SentinelServerType};
use redis::{ProtocolVersion, RedisConnectionInfo};
use redis_session::{CreateOptions, Created, TokenFormat};
use redis_session_store::{Login, ReconnectingConnection, SessionStore, StoreError, Visitor};
use redis_session_tests::{Sentinels, Server};

type Store = SessionStore<MultiplexedConnection>;

/// A store on this server, with the server's settings.
async fn store(server: &Server) -> Store {
    SessionStore::new(server.client().get_multiplexed_async_connection().await.unwrap())
}

async fn login(store: &Store, user: &str) -> Created {
    store.login(&Login::new(user)).await.unwrap()
}

fn token(created: &Created) -> &str {
    created.token.as_deref().expect("a token")
}

/// What a check says: `active`, or the reason why not.
async fn verdict(store: &Store, token: &str) -> String {
    match store.authenticate(token, &Visitor::new()).await {
        Ok(_) => "active".to_owned(),
        Err(StoreError::Refused(inactive)) => inactive.reason.to_string(),
        Err(error) => panic!("{error}"),
    }
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn for_secs(ttl: u64) -> CreateOptions {
    CreateOptions::new().ttl(secs(ttl)).token(TokenFormat::Jwt)
}

/// As the example of `ReconnectingConnection::from_fn` has it.
fn sentinels_primary(urls: Vec<String>) -> ReconnectingConnection {
    ReconnectingConnection::from_fn(move |config| {
        let urls = urls.clone();
        async move {
            let redis = RedisConnectionInfo::default().set_protocol(ProtocolVersion::RESP3);
            let node = SentinelNodeConnectionInfo::default().set_redis_connection_info(redis);
            let mut primary = SentinelClient::build(urls, Sentinels::NAME, Some(node), SentinelServerType::Master)?;
            primary.get_async_connection_with_config(&config).await
        }
    })
}
