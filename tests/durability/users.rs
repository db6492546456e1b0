//! Users in every state that sessions can be in, and what a server holds of them.

use std::collections::BTreeMap;
use std::time::Duration;

use redis::{Connection, Value, from_redis_value};
use redis_session_tests::{Fields, Server, ServerBuilder, advance, cmd_args, create, create_with, fields, verdict};

/// A token, and what SESSION.VALIDATE must say of it: `active`, or the reason why not.
#[derive(Clone, Debug)]
pub struct Credential {
    pub key: String,
    pub token: String,
    pub verdict: String,
}

/// A server whose tokens outlive it, on which every use of a session is written down, and that takes all keys.
pub fn server() -> ServerBuilder {
    ServerBuilder::new().keys(&["one"]).config("session.touch-granularity 0\nsession.key-form any")
}

/// Fails unless every token is worth what it was.
#[track_caller]
pub fn assert_verdicts(con: &mut Connection, credentials: &[Credential]) {
    for Credential { key, token, verdict: expected } in credentials {
        assert_eq!(verdict(con, key, token), *expected, "{key} {token}");
    }
}

/// A user's key as it is stored: the digest of its value, and when it expires (Unix milliseconds).
pub type Stored = BTreeMap<String, (String, i64)>;

/// All keys of database 0 as they are stored: equal on a server, its replicas, and after a restart.
pub fn stored(server: &Server) -> Stored {
    of_all_keys(server, &["DEBUG DIGEST-VALUE", "PEXPIRETIME"])
        .map(|(key, replies)| {
            let [digest, expires_at] = replies.try_into().unwrap();
            let (digest,): (String,) = from_redis_value(digest).unwrap();
            (key, (digest, from_redis_value(expires_at).unwrap()))
        })
        .collect()
}

/// All keys of database 0 as clients see them: every live session with all there is to know of it.
pub fn listed(server: &Server) -> BTreeMap<String, Value> {
    of_all_keys(server, &["SESSION.LIST"]).map(|(key, mut replies)| (key, replies.remove(0))).collect()
}

/// All keys of database 0, each with the replies to these questions about it.
fn of_all_keys(server: &Server, questions: &[&str]) -> impl Iterator<Item = (String, Vec<Value>)> {
    let mut con = server.connection();
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut con).unwrap();
    let mut pipe = redis::pipe();
    // An empty pipeline is an error.
    pipe.cmd("PING").ignore();
    for key in &keys {
        for question in questions {
            let words: Vec<&str> = question.split(' ').chain([&key[..]]).collect();
            pipe.cmd(words[0]).arg(&words[1..]);
        }
    }
    let mut replies = pipe.query::<Vec<Value>>(&mut con).unwrap().into_iter();
    let count = questions.len();
    keys.into_iter().map(move |key| (key, replies.by_ref().take(count).collect()))
}

/// Moves the module's clock on by milliseconds, so that what happens next has a time of its own.
pub fn let_a_moment_pass(con: &mut Connection) {
    advance(con, Duration::from_millis(2));
}

/// Makes users in every state that sessions can be in, on a server that writes down every use.
pub fn users_in_every_state(con: &mut Connection) -> Vec<Credential> {
    let mut credentials = Vec::new();
    let mut remember = |key: &str, created: &Fields, verdict: &str| {
        let (key, verdict) = (key.to_owned(), verdict.to_owned());
        credentials.push(Credential { key, token: created.str("token"), verdict });
    };
    let id = |created: &Fields| created.str("id");
    let revoke = |con: &mut Connection, key: &str, what: &str| {
        assert_eq!(cmd_args(con, ["SESSION.REVOKE", key, what]).unwrap(), Value::Int(1), "{key} {what}");
    };

    let key = "sessions:many-devices";
    let phone = ["IP", "192.0.2.1", "AGENT", "A phone, version 1", "DATA", "2", "theme", "dark", "cart", "a b\r\n"];
    remember(key, &create_with(con, key, &phone), "active");
    remember(key, &create(con, &format!("{key} IP 2001:db8::1 IDLE 1800 TOKEN OPAQUE")), "active");
    remember(key, &create(con, &format!("{key} TTL 2592000 TOKENTTL 60 CLAIMS {{\"role\":\"admin\"}}")), "active");

    let key = "sessions:one-revoked";
    let (gone, kept) =
        (create(con, &format!("{key} TOKEN OPAQUE")), create(con, &format!("{key} TOKEN OPAQUE AGENT kept")));
    revoke(con, key, &gone.str("token"));
    remember(key, &gone, "revoked");
    remember(key, &kept, "active");

    let key = "sessions:evicted";
    for verdict in ["evicted", "evicted", "active", "active"] {
        remember(key, &create(con, &format!("{key} MAX 2 TOKEN OPAQUE AGENT tablet")), verdict);
    }

    let key = "sessions:{logged-out}";
    remember(key, &create(con, &format!("{key} TOKEN OPAQUE")), "user_revoked");
    remember(key, &create(con, &format!("{key} TOKEN JWT")), "user_revoked");
    assert_eq!(cmd_args(con, ["SESSION.REVOKEUSER", key]).unwrap(), Value::Int(2));
    let_a_moment_pass(con);
    remember(key, &create(con, &format!("{key} TOKEN JWT")), "active");

    let key = "sessions:own-ids";
    let long = "x".repeat(128);
    let ids = ["0e37df36-f698-11e6-8dd4-cb9ced3df976", "0e37df36f69811e68dd4cb9ced3df976", "Zoë", &long];
    for own in ids {
        remember(key, &create_with(con, key, &["ID", own, "TOKEN", "OPAQUE"]), "active");
    }
    create(con, &format!("{key} ID without-a-token TOKEN NONE"));

    let key = "sessions:crowd";
    for n in 0..120 {
        let agent = format!("agent {}", n % 7);
        let created = create_with(con, key, &["MAX", "1000", "TOKEN", "OPAQUE", "AGENT", &agent]);
        if n % 10 == 0 {
            revoke(con, key, &id(&created));
        }
        remember(key, &created, if n % 10 == 0 { "revoked" } else { "active" });
    }

    let key = "sessions:only-a-trace";
    let created = create(con, &format!("{key} TOKEN OPAQUE TTL 7200"));
    revoke(con, key, &id(&created));
    remember(key, &created, "revoked");

    let key = "sessions:only-an-epoch";
    let created = create(con, &format!("{key} TOKEN JWT"));
    assert_eq!(cmd_args(con, ["SESSION.REVOKEUSER", key]).unwrap(), Value::Int(1));
    remember(key, &created, "user_revoked");

    let key = "sessions:touched";
    let created = create(con, &format!("{key} IDLE 3600"));
    let_a_moment_pass(con);
    cmd_args(con, ["SESSION.TOUCH", key, &created.str("token")]).unwrap();
    remember(key, &created, "active");

    assert_verdicts(con, &credentials);
    credentials
}

/// The fields of the session with this id, as SESSION.GET shows them.
#[track_caller]
pub fn session(con: &mut Connection, key: &str, id: &str) -> Fields {
    fields(cmd_args(con, ["SESSION.GET", key, id]).unwrap())
}

/// The user agents of a user's live sessions, newest first.
#[track_caller]
pub fn agents(con: &mut Connection, key: &str) -> Vec<String> {
    let list = redis_session_tests::list(cmd_args(con, ["SESSION.LIST", key]).unwrap());
    list.into_iter().map(|session| fields(session).str("agent")).collect()
}
