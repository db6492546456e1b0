//! Each command goes straight to the node that has its key.

use std::collections::BTreeSet;
use std::time::{Duration, UNIX_EPOCH};

use redis_session::commands::session_create;
use redis_session::redis::{ConnectionLike, from_redis_value, pipe};
use redis_session::{
    AsyncSessionCommands, CreateOptions, Created, Grant, KeyPrefix, Reason, RefreshOptions, RegenerateOptions,
    SessionCommands, TokenFormat, ValidateOptions,
};
use redis_session_tests::{Cluster, Server, cmd, cmd_args, list, text};

use crate::links::{client, runtime};
use crate::nodes::{errors_sent, start};

/// As many as it takes for every node to have some of them.
const USERS: usize = 40;

/// Uses every command that has a key, for one user.
macro_rules! use_every_command {
    ($con:expr, $commands:ident, $keys:expr, $user:expr $(, $await:tt)?) => {{
        let (con, keys, key) = ($con, $keys, &$keys.key($user));
        let refreshable = CreateOptions::new().refreshable();
        let check = ValidateOptions::new();
        let login = $commands::session_create(con, key, &refreshable)$(.$await)?.unwrap();
        let token = login.token.unwrap();
        assert_eq!(keys.key_of_token(&token).as_ref(), Some(key));
        assert!($commands::session_validate(con, key, &token, &check)$(.$await)?.unwrap().is_active());
        assert!($commands::session_touch(con, key, &token, &check)$(.$await)?.unwrap().is_active());
        let refresh_token = login.refresh_token.unwrap();
        let grant = $commands::session_refresh(con, key, &refresh_token, &RefreshOptions::new())$(.$await)?.unwrap();
        assert!(grant.is_granted());
        let Grant::Granted(login) = $commands::session_regenerate(con, key, &token, &RegenerateOptions::new())$(.$await)?.unwrap() else {
            panic!("{key} was not regenerated")
        };
        let id = login.id;
        assert_eq!($commands::session_set(con, key, &id, [("cart", "17")])$(.$await)?.unwrap(), 1);
        assert_eq!($commands::session_incrby(con, key, &id, "cart", 1)$(.$await)?.unwrap(), 18);
        assert_eq!($commands::session_unset(con, key, &id, "cart")$(.$await)?.unwrap(), 1);
        assert_eq!($commands::session_get(con, key, &id)$(.$await)?.unwrap().unwrap().id, id);
        assert_eq!($commands::session_list(con, key)$(.$await)?.unwrap().len(), 1);
        assert_eq!($commands::session_count(con, key)$(.$await)?.unwrap(), 1);
        assert!($commands::session_ttl(con, key, &id)$(.$await)?.unwrap() > Some(Duration::ZERO));
        assert_eq!($commands::session_revoke(con, key, &id)$(.$await)?.unwrap(), 1);
        $commands::session_create(con, key, &refreshable)$(.$await)?.unwrap();
        assert_eq!($commands::session_revoke_user(con, key)$(.$await)?.unwrap(), 1);
        let until = UNIX_EPOCH + Duration::from_secs(4_102_444_800);
        assert!($commands::session_deny(con, key, &id, until)$(.$await)?.unwrap());
        assert!($commands::session_deny_of_issuer(con, key, &id, until, "https://id.example")$(.$await)?.unwrap());
    }};
}

// One cluster for all of them: it takes longer to start than they do to run.
#[test]
fn commands_find_the_node_that_has_the_key() {
    let cluster = start("session.key-form any");
    every_command_goes_straight_to_the_node_of_its_key(&cluster);
    a_token_is_good_on_every_node(&cluster);
    a_jwt_without_a_session_stays_revoked_on_every_node(&cluster);
    sessions_and_a_cart_with_one_hash_tag_are_in_one_slot(&cluster);
    a_transaction_can_hold_both(&cluster);
    the_key_is_found_in_every_command(&cluster);
    everybody_is_out_on_the_primaries_that_are_told(&cluster);
}

fn every_command_goes_straight_to_the_node_of_its_key(cluster: &Cluster) {
    let mut con = client(cluster).get_connection().unwrap();
    let runtime = runtime();
    runtime.block_on(async {
        let mut asynchronous = client(cluster).get_async_connection().await.unwrap();
        for user in 0..USERS {
            for keys in [KeyPrefix::default(), KeyPrefix::default().hash_tag()] {
                let user = &user.to_string();
                use_every_command!(&mut con, SessionCommands, &keys, user);
                use_every_command!(&mut asynchronous, AsyncSessionCommands, &keys, user, await);
            }
        }
    });
    assert_eq!((errors_sent(cluster, "MOVED"), errors_sent(cluster, "ASK")), (0, 0));

    let here: Vec<BTreeSet<String>> = cluster.primaries().iter().map(|&n| used(&cluster.nodes()[n])).collect();
    for command in commands(cluster) {
        // That one is the servers' own.
        if has_key(cluster, &command) && command != "SESSION.APPLY" {
            assert!(here.iter().all(|used| used.contains(&command)), "{command} is not used here");
        }
    }
}

fn a_token_is_good_on_every_node(cluster: &Cluster) {
    let key = "sessions:everywhere";
    let mut con = client(cluster).get_connection().unwrap();
    let token = con.session_create(key, &CreateOptions::new()).unwrap().token.unwrap();
    let slot = cluster.slot_of(key);
    for primary in cluster.primaries() {
        cluster.move_slot(slot, primary);
        assert!(con.session_validate(key, &token, &ValidateOptions::new()).unwrap().is_active());
        for replica in cluster.replicas_of(primary) {
            let replica = &cluster.nodes()[replica];
            cluster.nodes()[primary].wait_for_sync(replica);
            // Also a replica must know that the slot is its primary's now.
            cluster.wait_until_whole();
            let mut con = replica.connection();
            cmd(&mut con, "READONLY").unwrap();
            assert!(con.session_validate(key, &token, &ValidateOptions::new()).unwrap().is_active());
        }
    }
}

fn a_jwt_without_a_session_stays_revoked_on_every_node(cluster: &Cluster) {
    let key = "sessions:stateless";
    let mut con = client(cluster).get_connection().unwrap();
    let mut jwt = || {
        let token = con.session_create(key, &CreateOptions::new().token(TokenFormat::Jwt)).unwrap().token.unwrap();
        cmd(&mut con, &format!("DEL {key}")).unwrap();
        token
    };
    let (one, all) = (jwt(), jwt());
    let mut reason = |token: &str| {
        let validation = con.session_validate(key, token, &ValidateOptions::new().stateless()).unwrap();
        validation.reason().map(|reason| reason.known().unwrap())
    };
    assert_eq!((reason(&one), reason(&all)), (None, None));
    let mut other = client(cluster).get_connection().unwrap();
    assert_eq!(other.session_revoke(key, &one).unwrap(), 1);
    other.session_revoke_user(key).unwrap();
    for primary in cluster.primaries() {
        cluster.move_slot(cluster.slot_of(key), primary);
        assert_eq!((reason(&one), reason(&all)), (Some(Reason::Revoked), Some(Reason::UserRevoked)));
    }
}

fn sessions_and_a_cart_with_one_hash_tag_are_in_one_slot(cluster: &Cluster) {
    for user in ["42", "alice@example.com", "0e37df36-f698-11e6-8dd4-cb9ced3df976"] {
        let sessions = KeyPrefix::default().hash_tag().key(user);
        assert_eq!(cluster.slot_of(&sessions), cluster.slot_of(&format!("cart:{{{user}}}")), "{sessions}");
    }
}

fn a_transaction_can_hold_both(cluster: &Cluster) {
    let mut transaction = pipe();
    transaction.atomic();
    transaction.add_command(session_create("sessions:{42}", &CreateOptions::new()));
    transaction.cmd("SET").arg("cart:{42}").arg("17");
    transaction.cmd("GET").arg("cart:{42}");

    // MULTI and three commands are answered before EXEC is.
    let con = &mut client(cluster).get_connection().unwrap();
    let replies = con.req_packed_commands(&transaction.get_packed_pipeline(), 4, 1).unwrap();
    let (login, _, cart): (Created, String, String) = from_redis_value(replies.into_iter().next().unwrap()).unwrap();
    assert_eq!(con.session_list("sessions:{42}").unwrap().remove(0).id, login.id);
    assert_eq!(cart, "17");

    let (login, _, cart): (Created, String, String) = runtime().block_on(async {
        let mut con = client(cluster).get_async_connection().await.unwrap();
        transaction.query_async(&mut con).await.unwrap()
    });
    assert_eq!(con.session_list("sessions:{42}").unwrap().remove(0).id, login.id);
    assert_eq!(cart, "17");
}

fn everybody_is_out_on_the_primaries_that_are_told(cluster: &Cluster) {
    let mut con = client(cluster).get_connection().unwrap();
    // Dead sessions must be there when they move.
    cluster.tell_all("CONFIG SET session.audit-stream everyone session.sweep-time 0");
    let primaries = cluster.primaries();
    // A user of each primary.
    let users: Vec<(String, String)> = primaries
        .iter()
        .map(|&primary| {
            let mut keys = (0..).map(|n| format!("sessions:everybody-{n}"));
            let key = keys.find(|key| cluster.primary_of(cluster.slot_of(key)) == primary).unwrap();
            let token = con.session_create(&key, &CreateOptions::new()).unwrap().token.unwrap();
            (key, token)
        })
        .collect();
    let is_active = |server: &Server, (key, token): &(String, String)| {
        let mut con = server.connection();
        cmd(&mut con, "READONLY").unwrap();
        con.session_validate(key, token, &ValidateOptions::new()).unwrap().is_active()
    };
    let before = cluster.nodes()[primaries[0]].connection().session_revoke_all().unwrap();
    cluster.wait_until_whole();
    for (&primary, user) in primaries.iter().zip(&users) {
        let node = &cluster.nodes()[primary];
        assert_eq!(is_active(node, user), primary != primaries[0]);
        for replica in cluster.replicas_of(primary) {
            let replica = &cluster.nodes()[replica];
            node.wait_for_sync(replica);
            assert_eq!(is_active(replica, user), primary != primaries[0]);
        }
    }
    // A session that moves is measured by the cutoff of where it is: so each primary is told.
    cluster.move_slot(cluster.slot_of(&users[0].0), primaries[1]);
    assert!(is_active(&cluster.nodes()[primaries[1]], &users[0]));
    let told = cluster.nodes()[primaries[1]].connection().session_revoke_all_before(before.to_system_time());
    assert_eq!(told.unwrap(), before);
    assert!(!is_active(&cluster.nodes()[primaries[1]], &users[0]));
    // As the documents have it.
    let node = &cluster.nodes()[primaries[0]];
    let address = format!("127.0.0.1:{}", node.port());
    let told = node.cli(&["--cluster", "call", &address, "SESSION.REVOKEALL", "--cluster-only-masters"]);
    assert!(told.status.success(), "{told:?}");
    let mut user = users[2].clone();
    assert!(!is_active(&cluster.nodes()[primaries[2]], &user));
    user.1 = con.session_create(&user.0, &CreateOptions::new()).unwrap().token.unwrap();
    assert!(is_active(&cluster.nodes()[primaries[2]], &user));
    let entries = |n: usize| list(cmd(&mut cluster.nodes()[n].connection(), "KEYS everyone").unwrap());
    assert!(primaries.iter().all(|&n| entries(n).is_empty()), "no slot is that of all users");
}

/// What stands behind the key, some of it looking like another key.
const ARGUMENTS: [(&str, &str); 16] = [
    ("SESSION.CREATE", "ID sessions:1 AGENT sessions:2 DATA 2 sessions:3 sessions:4 key sessions:5 TTL 60"),
    ("SESSION.VALIDATE", "sessions:1 IP 192.0.2.1 DEVICE sessions:2 AUD sessions:3 STATELESS FULL"),
    ("SESSION.TOUCH", "sessions:1 IP 192.0.2.1 DEVICE sessions:2 AUD sessions:3 STATELESS FULL"),
    ("SESSION.REFRESH", "sessions:1 IP 192.0.2.1 AGENT sessions:2 DEVICE sessions:3"),
    ("SESSION.REGENERATE", "sessions:1"),
    ("SESSION.GET", "sessions:1"),
    ("SESSION.LIST", ""),
    ("SESSION.COUNT", ""),
    ("SESSION.TTL", "sessions:1"),
    ("SESSION.SET", "sessions:1 sessions:2 sessions:3 sessions:4 sessions:5"),
    ("SESSION.INCRBY", "sessions:1 sessions:2 1"),
    ("SESSION.UNSET", "sessions:1 sessions:2 sessions:3"),
    ("SESSION.REVOKE", "sessions:1 sessions:2 sessions:3"),
    ("SESSION.REVOKEUSER", "EXCEPT sessions:1"),
    ("SESSION.DENY", "sessions:1 UNTIL 4102444800000"),
    ("SESSION.APPLY", "sessions:1"),
];

fn the_key_is_found_in_every_command(cluster: &Cluster) {
    let con = &mut cluster.nodes()[0].connection();
    for command in commands(cluster) {
        if !has_key(cluster, &command) {
            // In what words depends on the server, and on the number of arguments that the command has.
            cmd_args(con, ["COMMAND", "GETKEYS", &command]).unwrap_err();
            cmd_args(con, ["COMMAND", "GETKEYS", &command, "sessions:42"]).unwrap_err();
            continue;
        }
        let (_, more) = ARGUMENTS.iter().find(|(name, _)| *name == command).unwrap_or_else(|| panic!("{command}?"));
        let line = format!("{command} sessions:{{42}} {more}");
        let keys = list(cmd(con, &format!("COMMAND GETKEYS {line}")).unwrap());
        assert_eq!(keys.iter().map(text).collect::<Vec<_>>(), ["sessions:{42}"], "{line}");

        let found = list(cmd(con, &format!("COMMAND GETKEYSANDFLAGS {line}")).unwrap());
        let [found] = &found[..] else { panic!("{line}: one key was expected: {found:?}") };
        let [key, flags] = &list(found.clone())[..] else { panic!("{line}: a key and its flags: {found:?}") };
        assert_eq!(text(key), "sessions:{42}");
        let flags: BTreeSet<String> = list(flags.clone()).iter().map(text).collect();
        let only_reads = flags_of(cluster, &command).contains("readonly");
        assert_eq!(flags.contains("RO"), only_reads, "{line}: {flags:?}");
        assert_eq!(flags.contains("RW"), !only_reads, "{line}: {flags:?}");
        assert!(flags.contains("access"), "{line}: {flags:?}");
    }
}

/// Every command of the module, by the server's own word: a new one cannot be forgotten here.
fn commands(cluster: &Cluster) -> Vec<String> {
    let found = list(cmd(&mut cluster.nodes()[0].connection(), "COMMAND LIST FILTERBY MODULE session").unwrap());
    assert!(!found.is_empty());
    found.iter().map(|name| text(name).to_uppercase()).collect()
}

fn info(cluster: &Cluster, command: &str) -> Vec<redis::Value> {
    let reply = cmd_args(&mut cluster.nodes()[0].connection(), ["COMMAND", "INFO", command]).unwrap();
    list(list(reply).remove(0))
}

fn flags_of(cluster: &Cluster, command: &str) -> BTreeSet<String> {
    list(info(cluster, command)[2].clone()).iter().map(text).collect()
}

fn has_key(cluster: &Cluster, command: &str) -> bool {
    text(&info(cluster, command)[3]) != "0"
}

/// The commands that were called on a node.
fn used(node: &Server) -> BTreeSet<String> {
    let stats: String = redis::cmd("INFO").arg("commandstats").query(&mut node.connection()).unwrap();
    let names = stats.lines().filter_map(|line| line.strip_prefix("cmdstat_")?.split(':').next());
    names.map(str::to_uppercase).collect()
}
