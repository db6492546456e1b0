//! A login service: accounts in SQLite, sessions in Redis by `redis-session`, a JSON interface, and pages for users and
//! administrators.
//!
//! ```text
//! main.rs           start and stop                       settings.rs   from the environment
//! app.rs            the routes, and what each layer does for them
//! api/              for programs                         page/         for people
//! sign_in.rs        from a name and a password to a session
//! passwords.rs      argon2id                             second_factor.rs  codes of an authenticator app
//! attempts.rs       how often a user may try             problem.rs    what can go wrong, as an answer
//! reasons.rs        why a session is over, for people    audit.rs      who did what, for the log
//! accounts.rs       names, hashes, roles                 history.rs    sign-ins and how they ended
//! database.rs       the SQLite file of both
//! connections.rs    how many, and for how long           proxies.rs    whose address a request comes from
//! headers.rs        what every answer carries
//! ```

#![forbid(unsafe_code)]

mod accounts;
mod api;
mod app;
mod attempts;
mod audit;
mod connections;
mod database;
mod headers;
mod history;
mod page;
mod passwords;
mod problem;
mod proxies;
mod reasons;
mod second_factor;
mod settings;
mod sign_in;

use std::error::Error;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use accounts::Accounts;
use database::Database;
use history::History;
use settings::Settings;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let settings = Settings::from_env()?;
    settings.start_log();
    let database = Database::open(&settings.database)?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => serve(&settings, database).await,
        ["grant-admin", name] => grant_admin(&Accounts::new(database), name).await,
        _ => Err("usage: auth-service [grant-admin NAME]".into()),
    }
}

async fn serve(settings: &Settings, database: Database) -> Result<(), Box<dyn Error>> {
    let app = app::App::new(settings, database.clone())?;
    tokio::spawn(History::new(database).follow(app.redis.clone(), settings.audit_stream.clone()));
    let routes = app::routes(app, settings)?;
    let listener = TcpListener::bind(&settings.listen).await?;
    tracing::info!(address = %listener.local_addr()?, "listening");

    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let stop = async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("stopping: no new requests, and those under way are finished");
    };
    connections::serve(listener, routes, settings.connections, stop).await;
    tracing::info!("stopped");
    Ok(())
}

/// Makes a user an administrator, and prints what their authenticator app needs. It is printed this once.
async fn grant_admin(accounts: &Accounts, name: &str) -> Result<(), Box<dyn Error>> {
    let secret = second_factor::new_secret()?;
    if !accounts.make_admin(name, secret.to_vec()).await? {
        return Err(format!("there is no account {name}").into());
    }
    tracing::info!(target: "audit", name, "Role admin granted, with a new second factor");
    println!("{}", second_factor::url(&secret, name)?);
    Ok(())
}
