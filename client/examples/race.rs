//! A request that changes its session is under way while the user logs out: with plain keys, and with the module.
//!
//! ```text
//! cargo run -p redis-session --example race [redis://host:port/]
//! ```
//!
//! The server is that of the argument, of `REDIS_URL`, or `redis://127.0.0.1:6379/`. Both ways run, 1,000 times each. The
//! exit code is 1 if a session of the module was alive after its logout.

use std::error::Error;
use std::process::ExitCode;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, SystemTime};

use redis::{Client, Commands as _, Connection, RedisResult};
use redis_session::{CreateOptions, SessionCommands as _, SessionErrorCode};

const ROUNDS: u32 = 1000;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// What a way to keep sessions does in the race. Each step is told the user and the session's id.
struct Way {
    name: &'static str,
    login: fn(&mut Connection, &str, &str) -> RedisResult<()>,
    /// The request reads its session ...
    read: fn(&mut Connection, &str, &str) -> RedisResult<()>,
    /// ... and saves it, changed.
    save: fn(&mut Connection, &str, &str) -> RedisResult<()>,
    logout: fn(&mut Connection, &str, &str) -> RedisResult<()>,
    is_alive: fn(&mut Connection, &str, &str) -> RedisResult<bool>,
}

const PLAIN: Way = Way {
    name: "GET and SET, DEL",
    login: |redis, user, id| redis.set_ex(plain_key(user, id), r#"{"theme":"light"}"#, 60),
    read: |redis, user, id| redis.get::<_, Option<String>>(plain_key(user, id)).map(|_| ()),
    save: |redis, user, id| redis.set_ex(plain_key(user, id), r#"{"theme":"dark"}"#, 60),
    logout: |redis, user, id| redis.del(plain_key(user, id)),
    is_alive: |redis, user, id| redis.exists(plain_key(user, id)),
};

const MODULE: Way = Way {
    name: "SESSION.SET, SESSION.REVOKE",
    login: |redis, user, id| {
        let options = CreateOptions::new().id(id).ttl(Duration::from_secs(60)).data("theme", "light");
        redis.session_create(key(user), &options).map(|_| ())
    },
    read: |redis, user, id| redis.session_get(key(user), id).map(|_| ()),
    save: |redis, user, id| match redis.session_set(key(user), id, [("theme", "dark")]) {
        Err(error) if SessionErrorCode::of(&error) == Some(SessionErrorCode::NoSession) => Ok(()),
        saved => saved.map(|_| ()),
    },
    logout: |redis, user, id| redis.session_revoke(key(user), id).map(|_| ()),
    is_alive: |redis, user, id| redis.session_get(key(user), id).map(|session| session.is_some()),
};

fn plain_key(user: &str, id: &str) -> String {
    format!("race:{user}:{id}")
}

fn key(user: &str) -> String {
    format!("sessions:{user}")
}

/// How many sessions were alive after their logout.
fn race(client: &Client, way: &Way, user: &str) -> Outcome<u32> {
    let mut connections = [client.get_connection()?, client.get_connection()?, client.get_connection()?];
    let [request, logout, judge] = &mut connections;
    let mut alive = 0;
    for round in 0..ROUNDS {
        let id = format!("round-{round}");
        (way.login)(judge, user, &id)?;
        // Both are ready, then both go.
        let start = Barrier::new(2);
        thread::scope(|scope| {
            let request = scope.spawn(|| {
                let read = (way.read)(request, user, &id);
                start.wait();
                read.and_then(|()| (way.save)(request, user, &id))
            });
            start.wait();
            let ended = (way.logout)(logout, user, &id);
            let saved = request.join().map_err(|_| "the request's thread stopped")?;
            saved.and(ended).map_err(Box::<dyn Error + Send + Sync>::from)
        })?;
        alive += u32::from((way.is_alive)(judge, user, &id)?);
        // Nothing is left behind.
        let _: () = judge.del(plain_key(user, &id))?;
    }
    let _: () = judge.del(key(user))?;
    Ok(alive)
}

fn run(url: &str) -> Outcome<u32> {
    let client = Client::open(url)?;
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let user = format!("race-{:x}", since_epoch.as_micros());
    println!("A request that changes its session is under way while the user logs out, {ROUNDS} times.\n");
    println!("{:30}sessions alive after the logout", "");
    let mut alive = 0;
    for way in [&PLAIN, &MODULE] {
        alive = race(&client, way, &user)?;
        println!("{:30}{alive}", way.name);
    }
    Ok(alive)
}

fn main() -> ExitCode {
    let url = std::env::args().nth(1).or_else(|| std::env::var("REDIS_URL").ok());
    match run(&url.unwrap_or_else(|| "redis://127.0.0.1:6379/".to_owned())) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("The race ends here: {error}");
            ExitCode::FAILURE
        }
    }
}
