//! From a login to a logout everywhere, step by step, against a running server that has the module.
//!
//! ```text
//! cargo run -p redis-session --example tour [redis://host:port/]
//! ```
//!
//! The server is that of the argument, of `REDIS_URL`, or `redis://127.0.0.1:6379/`. Each command is shown as it is
//! sent, and each outcome is checked: the exit code is 1 if one is not as it should be.

use std::error::Error;
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use redis::{Cmd, Connection, ConnectionLike, RedisError, RedisResult, Value};
use redis_session::{
    CreateOptions, Created, InactiveReason, KeyPrefix, LimitPolicy, Reason, RefreshOptions, RegenerateOptions,
    SessionCommands, SessionErrorCode, Timestamp, TokenFormat, ValidateOptions,
};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let url = std::env::args().nth(1).or_else(|| std::env::var("REDIS_URL").ok());
    match run(&url.unwrap_or_else(|| "redis://127.0.0.1:6379/".to_owned())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nThe tour ends here: {}", explain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn run(url: &str) -> Outcome {
    let client = redis::Client::open(url).map_err(|error| format!("{error} (expected redis://host:port/)"))?;
    let server = client.get_connection_info().addr().to_string();
    let connection = client
        .get_connection_with_timeout(Duration::from_secs(3))
        .map_err(|error| format!("no connection to a Redis server at {server}: {error}"))?;
    connection.set_read_timeout(Some(Duration::from_secs(3)))?;
    println!("The server is {server}.");

    // A user of this run alone: nobody's sessions are touched, and two tours can walk at once.
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let user = format!("tour-{:x}", since_epoch.as_micros());
    let redis = Shown { connection, tokens: Vec::new() };
    let mut tour = Tour { redis, keys: KeyPrefix::default(), user };
    let outcome = tour.walk();
    // What the tour leaves behind ends by itself too, if this server does not let us delete it.
    let _: RedisResult<()> = redis::cmd("DEL").arg(tour.key()).exec(&mut tour.redis.connection);
    outcome
}

struct Tour {
    redis: Shown,
    keys: KeyPrefix,
    user: String,
}

impl Tour {
    fn walk(&mut self) -> Outcome {
        let key = self.key();
        let (home, cafe) = (Ipv4Addr::new(203, 0, 113, 7), Ipv4Addr::new(198, 51, 100, 23));
        let cookie = "cookie-7f3a"; // by which the laptop is known again

        step("A user logs in on a laptop");
        let options = CreateOptions::new()
            .ttl(Duration::from_secs(30 * 86_400))
            .idle(Duration::from_secs(1800))
            .ip(home)
            .agent("Firefox on Linux")
            .device(cookie)
            .data("cart", "17")
            .data("theme", "dark")
            .claims(r#"{"role":"editor"}"#)
            .token(TokenFormat::Jwt)
            .refreshable();
        let laptop = self.redis.session_create(&key, &options)?;
        let laptop_token = self.redis.token_of(&laptop, "laptop's token")?;
        let refresh_token = self.redis.refresh_token_of(&laptop, "laptop's refresh token")?;
        say(&format!("session {}, at most for {}", laptop.id, left_until(laptop.expires_at)));
        if let Some(end) = laptop.token_expires_at {
            say(&format!("its JWT has {} bytes and lasts {}", laptop_token.len(), left_until(end)));
        }
        if let Some(end) = laptop.refresh_expires_at {
            say(&format!("its refresh token lasts {}", left_until(end)));
        }
        check(laptop.evicted.is_empty(), "nobody was logged out for it")?;
        check(laptop.new_ip && laptop.new_device, "an address and a device that the user has no session on")?;

        step("A request comes with the JWT: is it genuine, and its session alive?");
        let route = self.keys.key_of_token(&laptop_token);
        check(route.as_deref() == Some(key.as_str()), "the token alone tells which key to ask")?;
        let session =
            self.redis.session_validate(&key, &laptop_token, &ValidateOptions::new().with_id())?.into_result()?;
        check(session.id.as_ref() == Some(&laptop.id), "active, and it is the laptop's session")?;

        step("The same check, and the idle timeout starts again");
        let touched = self.redis.session_touch(&key, &laptop_token, &ValidateOptions::new())?;
        check(touched.is_active(), "active")?;

        step("The same check from another address, with all that is known of the session");
        let asked = ValidateOptions::new().ip(cafe).full();
        let session = self.redis.session_validate(&key, &laptop_token, &asked)?.into_result()?;
        let details = session.details.ok_or("FULL brought no details")?;
        say(&format!("agent {:?}, address {:?}", details.agent, details.ip));
        check(details.user == self.user, "the user is the one who logged in")?;
        check(details.data.text("cart") == Some("17"), "the cart is the one the session was given")?;
        check(details.idle_expires_at.is_some(), "it ends when it is not used")?;
        check(details.new_ip, "the address is not the one of the login")?;

        step("The JWT turns up on another device");
        let elsewhere = ValidateOptions::new().device("cookie-b81d");
        let validation = self.redis.session_validate(&key, &laptop_token, &elsewhere)?;
        check_reason(validation.reason(), Reason::Device)?;
        let at_home = ValidateOptions::new().device(cookie).with_id();
        check(self.redis.session_validate(&key, &laptop_token, &at_home)?.is_active(), "on the laptop it is active")?;

        step("The cart changes, and a coupon is used up");
        let fields = [("cart", "18"), ("coupon", "SPRING")];
        check(self.redis.session_set(&key, &laptop.id, fields)? == 2, "two fields set")?;
        check(self.redis.session_unset(&key, &laptop.id, "coupon")? == 1, "one removed")?;
        let session = self.redis.session_get(&key, &laptop.id)?.ok_or("the laptop's session is gone")?;
        check(session.data.text("cart") == Some("18"), "the cart is the new one")?;
        check(session.data.get("coupon").is_none(), "the coupon is gone")?;
        let late = self.redis.session_set(&key, "no-such-session", fields).err().ok_or("a session was made")?;
        check(SessionErrorCode::of(&late) == Some(SessionErrorCode::NoSession), "a write never makes a session")?;

        step("The JWT ends soon: new tokens for the refresh token");
        let from_laptop = RefreshOptions::new().ip(home).device(cookie);
        let refreshed = self.redis.session_refresh(&key, &refresh_token, &from_laptop)?.into_result()?;
        let laptop_token = self.redis.token_of(&refreshed, "laptop's second token")?;
        let second_refresh_token = self.redis.refresh_token_of(&refreshed, "laptop's second refresh token")?;
        check(refreshed.id == laptop.id, "the same session")?;
        check(second_refresh_token != refresh_token, "and another refresh token")?;
        let again = self.redis.session_refresh(&key, &refresh_token, &from_laptop)?.into_result()?;
        check(again.refresh_token == refreshed.refresh_token, "a second tab, just as quick, gets the same one")?;

        step("The user becomes an administrator: a new id and new tokens, so that no old one has the new rights");
        let laptop =
            self.redis.session_regenerate(&key, &laptop_token, &RegenerateOptions::new().level(2))?.into_result()?;
        self.check_inactive(&key, &laptop_token, Reason::Revoked)?;
        let refused = self.redis.session_refresh(&key, &second_refresh_token, &from_laptop)?;
        check_reason(refused.reason(), Reason::Revoked)?;
        let laptop_token = self.redis.token_of(&laptop, "laptop's third token")?;
        let session = self.redis.session_validate(&key, &laptop_token, &at_home)?.into_result()?;
        check(session.id.as_ref() == Some(&laptop.id) && laptop.id != refreshed.id, "active, by the new id")?;

        step("The user logs in on a phone too");
        let options = CreateOptions::new().ip(cafe).agent("The app on a phone").token(TokenFormat::Jwt);
        let phone = self.redis.session_create(&key, &options)?;
        let phone_token = self.redis.token_of(&phone, "phone's token")?;
        check(phone.id != laptop.id, "a session of its own")?;

        step("Which devices are logged in?");
        let devices = self.redis.session_list(&key)?;
        for device in &devices {
            let (agent, ip) = (device.agent.as_deref().unwrap_or("-"), device.ip.ok_or("a session without address")?);
            say(&format!("{}  {agent:<20} {ip:<15} seen {} ago", device.id, since(device.last_seen_at)));
        }
        let ids: Vec<_> = devices.iter().map(|device| device.id.as_str()).collect();
        check(ids == [phone.id.as_str(), laptop.id.as_str()], "the phone and the laptop, the newest first")?;
        check(self.redis.session_count(&key)? == 2, "two")?;
        let left = self.redis.session_ttl(&key, &laptop.id)?.ok_or("the laptop's session has no time left")?;
        check(left > Duration::ZERO, &format!("the laptop's has {} left", span(left)))?;
        let session = self.redis.session_get(&key, &laptop.id)?.ok_or("the laptop's session is gone")?;
        check(session.data.len() == 2, "and still its data")?;

        step("No third login while two are allowed");
        let two = CreateOptions::new().max_sessions(2).limit_policy(LimitPolicy::Reject);
        let refused = self.redis.session_create(&key, &two).err().ok_or("a third session was made")?;
        say(&format!("{refused}"));
        check(SessionErrorCode::of(&refused) == Some(SessionErrorCode::SessionLimit), "refused with SESSIONLIMIT")?;

        step("A token whose signature was tampered with");
        let forged = forge(&laptop_token)?;
        self.redis.tokens.push((forged.clone(), "forged token"));
        self.check_inactive(&key, &forged, Reason::Signature)?;

        step("The phone is lost: log it out");
        check(self.redis.session_revoke(&key, &phone.id)? == 1, "one session revoked")?;
        self.check_inactive(&key, &phone_token, Reason::Revoked)?;
        check(self.redis.session_revoke(&key, &phone_token)? == 0, "once more, by its token: nothing left to do")?;
        check(self.redis.session_get(&key, &phone.id)?.is_none(), "its session is gone")?;

        step("The password changes: log out everywhere else");
        let tablet =
            self.redis.session_create(&key, &CreateOptions::new().agent("A tablet").token(TokenFormat::Jwt))?;
        let tablet_token = self.redis.token_of(&tablet, "tablet's token")?;
        check(self.redis.session_revoke_others(&key, &laptop_token)? == 1, "the tablet was logged out")?;
        self.check_inactive(&key, &tablet_token, Reason::UserRevoked)?;
        let laptop_now = self.redis.session_validate(&key, &laptop_token, &ValidateOptions::new())?;
        check(laptop_now.is_active(), "the laptop is still logged in")?;

        step("Log out everywhere");
        check(self.redis.session_revoke_user(&key)? == 1, "the laptop was logged out")?;
        self.check_inactive(&key, &laptop_token, Reason::UserRevoked)?;
        check(self.redis.session_count(&key)? == 0, "no session is left")?;

        step("Log in again: it works at once");
        let again = self.redis.session_create(&key, &CreateOptions::new().token(TokenFormat::Jwt).refreshable())?;
        let new_token = self.redis.token_of(&again, "new token")?;
        let now = self.redis.session_validate(&key, &new_token, &ValidateOptions::new())?;
        check(now.is_active(), "the new token is good")?;
        self.check_inactive(&key, &laptop_token, Reason::UserRevoked)?;

        step("A refresh token comes back after its successor was used: one of the two who had it is a thief");
        let stolen = self.redis.refresh_token_of(&again, "stolen refresh token")?;
        let anywhere = RefreshOptions::new();
        let second = self.redis.session_refresh(&key, &stolen, &anywhere)?.into_result()?;
        let second = self.redis.refresh_token_of(&second, "second refresh token")?;
        let third = self.redis.session_refresh(&key, &second, &anywhere)?.into_result()?;
        let third_token = self.redis.token_of(&third, "third token")?;
        check_reason(self.redis.session_refresh(&key, &stolen, &anywhere)?.reason(), Reason::Reused)?;
        self.check_inactive(&key, &third_token, Reason::Reused)?;

        println!("\nEverything is as it should be.");
        Ok(())
    }

    fn key(&self) -> String {
        self.keys.key(&self.user)
    }

    fn check_inactive(&mut self, key: &str, token: &str, expected: Reason) -> Outcome {
        check_reason(self.redis.session_validate(key, token, &ValidateOptions::new())?.reason(), expected)
    }
}

/// A connection that shows each command before it is sent. The `SESSION` commands are methods of it as of any other.
struct Shown {
    connection: Connection,
    /// Tokens, and what to show in their place: they are long, and secrets.
    tokens: Vec<(String, &'static str)>,
}

impl Shown {
    /// The session's new token, by this name from now on.
    fn token_of(&mut self, created: &Created, name: &'static str) -> Outcome<String> {
        self.named(created.token.as_ref(), name)
    }

    /// Its new refresh token, likewise.
    fn refresh_token_of(&mut self, created: &Created, name: &'static str) -> Outcome<String> {
        self.named(created.refresh_token.as_ref(), name)
    }

    fn named(&mut self, token: Option<&String>, name: &'static str) -> Outcome<String> {
        let token = token.ok_or_else(|| format!("there is no {name}"))?;
        self.tokens.push((token.clone(), name));
        Ok(token.clone())
    }

    /// An argument as one would type it.
    fn show(&self, arg: &str) -> String {
        match self.tokens.iter().find(|(token, _)| token == arg) {
            Some((_, name)) => format!("<{name}>"),
            None if arg.contains(['"', ' ']) || arg.is_empty() => format!("'{arg}'"),
            None => arg.to_owned(),
        }
    }
}

impl ConnectionLike for Shown {
    fn req_command(&mut self, command: &Cmd) -> RedisResult<Value> {
        let mut line = String::new();
        for arg in command.args_iter() {
            if let redis::Arg::Simple(bytes) = arg {
                line.push(' ');
                line.push_str(&self.show(&String::from_utf8_lossy(bytes)));
            }
        }
        println!("  >{line}");
        self.connection.req_command(command)
    }

    fn req_packed_command(&mut self, command: &[u8]) -> RedisResult<Value> {
        self.connection.req_packed_command(command)
    }

    fn req_packed_commands(&mut self, commands: &[u8], offset: usize, count: usize) -> RedisResult<Vec<Value>> {
        self.connection.req_packed_commands(commands, offset, count)
    }

    fn get_db(&self) -> i64 {
        self.connection.get_db()
    }

    fn check_connection(&mut self) -> bool {
        self.connection.check_connection()
    }

    fn is_open(&self) -> bool {
        self.connection.is_open()
    }
}

/// The token with another signature.
fn forge(token: &str) -> Outcome<String> {
    let (signed, signature) = token.rsplit_once('.').ok_or("a token without dots")?;
    let mut signature = signature.chars();
    // The first letter, all of whose bits count. Some of the last one's do not, and must be zero.
    let other = if signature.next() == Some('A') { 'B' } else { 'A' };
    Ok(format!("{signed}.{other}{}", signature.as_str()))
}

fn step(title: &str) {
    println!("\n{title}");
}

fn say(line: &str) {
    println!("    {line}");
}

fn check(holds: bool, what: &str) -> Outcome {
    if !holds {
        return Err(format!("this does not hold: {what}").into());
    }
    println!("  ok {what}");
    Ok(())
}

fn check_reason(reason: Option<&InactiveReason>, expected: Reason) -> Outcome {
    match reason {
        Some(reason) if *reason == expected => check(true, &format!("not active: {expected}")),
        Some(other) => Err(format!("this is not active for the reason {other}, and should be for {expected}").into()),
        None => Err(format!("this is active, and should not be, for the reason {expected}").into()),
    }
}

fn left_until(end: Timestamp) -> String {
    span(end.to_system_time().duration_since(SystemTime::now()).unwrap_or_default())
}

fn since(moment: Timestamp) -> String {
    span(moment.to_system_time().elapsed().unwrap_or_default())
}

fn span(span: Duration) -> String {
    match span.as_secs_f64().round() {
        seconds if seconds < 120.0 => format!("{seconds} s"),
        seconds if seconds < 7200.0 => format!("{:.0} min", seconds / 60.0),
        seconds if seconds < 172_800.0 => format!("{:.0} h", seconds / 3600.0),
        seconds => format!("{:.0} days", seconds / 86_400.0),
    }
}

/// What to do about the errors that a first try meets.
fn explain(error: &(dyn Error + 'static)) -> String {
    let Some(redis) = error.downcast_ref::<RedisError>() else { return error.to_string() };
    if SessionErrorCode::of(redis) == Some(SessionErrorCode::ModuleMissing) {
        return "this server has no SESSION commands. Start one that has: make run, or one with the line loadmodule \
                libredis_session_module.so"
            .to_owned();
    }
    error.to_string()
}
