//! A login service: accounts in SQLite, sessions in Redis by `redis-session`, a JSON interface and a page of one's devices.
//!
//! ```text
//! main.rs       start and stop            settings.rs   what the environment says
//! app.rs        the routes, and what each layer does for them
//! accounts.rs   SQLite                    passwords.rs  argon2id
//! sign_in.rs    from a name and a password to a session
//! attempts.rs   how often somebody may try                audit.rs  who did what, and what was refused
//! headers.rs    what every answer carries                 problem.rs  what can go wrong, as an answer
//! api/          for programs              page/         for people
//! ```

#![forbid(unsafe_code)]

mod accounts;
mod api;
mod app;
mod attempts;
mod audit;
mod headers;
mod page;
mod passwords;
mod problem;
mod settings;
mod sign_in;

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use accounts::{Accounts, Role};
use settings::Settings;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let settings = Settings::from_env()?;
    settings.start_log();
    let accounts = Accounts::open(&settings.database)?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => serve(&settings, accounts).await,
        ["grant-admin", name] => grant_admin(&accounts, name).await,
        _ => Err("usage: auth-service [grant-admin NAME]".into()),
    }
}

async fn serve(settings: &Settings, accounts: Accounts) -> Result<(), Box<dyn Error>> {
    let app = app::App::new(settings, accounts)?;
    let routes = app::routes(app).into_make_service_with_connect_info::<SocketAddr>();
    let listener = TcpListener::bind(&settings.listen).await?;
    tracing::info!(address = %listener.local_addr()?, "listening");

    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let (stop, mut stopping) = tokio::sync::watch::channel(false);
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("stopping: no new requests, and those under way are finished");
        stop.send_replace(true);
    });
    let mut stopped = stopping.clone();
    let server = axum::serve(listener, routes).with_graceful_shutdown(async move {
        let _ = stopped.wait_for(|stop| *stop).await;
    });
    tokio::select! {
        served = server => served?,
        // A slower client would keep the service from ever stopping.
        () = async {
            let _ = stopping.wait_for(|stop| *stop).await;
            tokio::time::sleep(Duration::from_secs(10)).await;
        } => tracing::warn!("stopped with requests under way"),
    }
    tracing::info!("stopped");
    Ok(())
}

async fn grant_admin(accounts: &Accounts, name: &str) -> Result<(), Box<dyn Error>> {
    if !accounts.set_role(name, Role::Admin).await? {
        return Err(format!("there is no account {name}").into());
    }
    tracing::info!(target: "audit", name, "Role admin granted");
    Ok(())
}
