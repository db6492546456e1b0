//! The ACL users that the documentation proposes: they may do all that is needed, and each word of theirs is needed.

use std::fs;
use std::path::Path;

use redis::Connection;
use redis_session_tests::{Cluster, Server, ServerBuilder, cmd};

use crate::old::{HOUR, ids, jwt, live, login, set};
use crate::program::{Migration, Run};

const PASSWORD: &str = "change-me";

fn page() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/migration.md")).unwrap()
}

/// The words of the page's ACL SETUSER for this user.
fn recipe(user: &str) -> Vec<String> {
    let page = page();
    let (_, rest) = page.split_once(&format!("$ redis-cli ACL SETUSER {user} ")).expect("a line for the user");
    let (line, _) = rest.split_once("\nOK\n").expect("its reply");
    let words = line.split_whitespace().filter(|word| *word != "\\");
    words.map(|word| word.trim_matches('\'').to_owned()).collect()
}

/// The words of the row of the page's table that begins like this, for this user.
fn more(row: &str, user: &str) -> Vec<String> {
    let page = page();
    let row = page.lines().find(|line| line.starts_with(&format!("| {row}"))).expect("a row");
    let cells: Vec<_> = row.split(" | ").collect();
    let [_, of, words] = cells[..] else { panic!("{row}") };
    assert!([user, "both"].contains(&of), "{row}");
    words.split('`').skip(1).step_by(2).map(|word| word.replace("\\|", "|")).collect()
}

/// What may be left out: a key or a command, where not all are left out.
fn grants(words: &[String]) -> Vec<String> {
    words.iter().filter(|word| word.starts_with(['+', '~', '%'])).cloned().collect()
}

/// Makes the user again, with these words.
fn set_user(con: &mut Connection, user: &str, words: &[String]) {
    let () = redis::cmd("ACL").arg("SETUSER").arg(user).arg("reset").arg(words).query(con).unwrap();
}

/// Whether it went no further because a permission was missing: its own, or a script's.
fn is_denied(run: &Run) -> bool {
    let said = ["NoPerm", "has no permissions", "executing the script can't run"];
    run.code == 1 && said.iter().any(|said| run.stderr.contains(said))
}

fn without(words: &[String], word: &str) -> Vec<String> {
    words.iter().filter(|other| *other != word).cloned().collect()
}

/// Servers with something of each kind, moved by the page's users.
struct Setting {
    source: Server,
    target: Server,
    database: u8,
    jwt: String,
}

impl Setting {
    fn new(database: u8) -> Self {
        let target = Server::builder().keys(&["one"]).start();
        let jwt = jwt(&target, "43", "ID there");
        Self { source: Server::builder().without_module().start(), target, database, jwt }
    }

    fn source_con(&self) -> Connection {
        let mut con = self.source.connection();
        let () = redis::cmd("SELECT").arg(self.database).query(&mut con).unwrap();
        con
    }

    /// Runs a dry run and then a real one on the same old keys, with no session moved yet.
    fn run(&self, options: &str) -> [Run; 2] {
        let (mut source, mut target) = (self.source_con(), self.target.connection());
        cmd(&mut source, "FLUSHALL").unwrap();
        cmd(&mut target, "FLUSHALL").unwrap();
        login(&mut source, "token1", r#"{"user_id":42}"#, HOUR);
        login(&mut source, &self.jwt, r#"{"user_id":43}"#, HOUR);
        login(&mut source, "token2", r#"{"user_id":44}"#, HOUR);
        set(&mut source, "blacklist:token2", "1");
        set(&mut source, "user_blacklist:45", "1");
        login(&mut source, "listed1", "{}", HOUR);
        login(&mut source, "listed2", "{}", HOUR);
        for line in
            ["HSET session:hash field value", "SADD user_sessions:46 listed1", "ZADD user_sessions:47 1 listed2"]
        {
            cmd(&mut source, line).unwrap();
        }
        let url = |user: &str, server: &Server, database| {
            format!("redis://{user}:{PASSWORD}@127.0.0.1:{}/{database}", server.port())
        };
        let source = url("migrate-source", &self.source, self.database);
        let migration = Migration::between(source, url("migrate-target", &self.target, 0));
        [migration.run(options), migration.run(&format!("--apply {options}"))]
    }

    /// That the run goes well with these users, and does not where any word of `needed` is left out.
    fn check(&self, options: &str, source: &[String], target: &[String], needed: &[String]) {
        let set_users = |left_out: &str| {
            set_user(&mut self.source.connection(), "migrate-source", &without(source, left_out));
            set_user(&mut self.target.connection(), "migrate-target", &without(target, left_out));
        };
        set_users("");
        let [dry, run] = self.run(options);
        // The hash cannot be moved.
        assert_eq!((dry.code, run.code), (3, 3), "{dry:?} {run:?}");
        assert_eq!([ids(&self.target, "42").len(), ids(&self.target, "43").len()], [1, 1]);
        for word in needed {
            set_users(word);
            let runs = self.run(options);
            assert!(runs.iter().any(is_denied), "without {word}: {runs:?}");
        }
    }
}

#[test]
fn the_pages_users_may_do_all_that_is_needed_and_need_all_that_they_may() {
    let setting = Setting::new(0);
    let (source, target) = (recipe("migrate-source"), recipe("migrate-target"));
    let needed = [grants(&source), grants(&target)].concat();
    assert!(needed.len() > 10, "{needed:?}");
    setting.check("", &source, &target, &without(&needed, "+info"));
    // Both have it: once for each.
    for (user, server) in [("migrate-source", &setting.source), ("migrate-target", &setting.target)] {
        set_user(&mut setting.source.connection(), "migrate-source", &source);
        set_user(&mut setting.target.connection(), "migrate-target", &target);
        set_user(&mut server.connection(), user, &without(&recipe(user), "+info"));
        let [dry, _] = setting.run("");
        assert!(is_denied(&dry), "{user}: {dry:?}");
    }
}

#[test]
fn the_pages_users_need_more_for_some_options() {
    let setting = Setting::new(3);
    let (mut source, target) = (recipe("migrate-source"), recipe("migrate-target"));
    let database = more("another database than 0", "source");
    let sets = more("`--user-sets user_sessions:`", "source");
    let deletes = more("`--delete-moved`", "source");
    assert_eq!([database.len(), sets.len(), deletes.len()], [1, 3, 3]);
    let needed = [database, sets, deletes].concat();
    source.extend(needed.iter().cloned());
    setting.check("--user-sets user_sessions: --delete-moved", &source, &target, &needed);
    // The last run failed: one that does not.
    set_user(&mut setting.source.connection(), "migrate-source", &source);
    let [_, run] = setting.run("--user-sets user_sessions: --delete-moved");
    assert_eq!((run.code, live(&setting.target)), (3, 4), "{run:?}");
    assert_eq!([ids(&setting.target, "46").len(), ids(&setting.target, "47").len()], [1, 1]);
    let left: Vec<String> = redis::cmd("KEYS").arg("session:*").query(&mut setting.source_con()).unwrap();
    let mut left: Vec<_> = left.iter().map(String::as_str).collect();
    left.sort_unstable();
    assert_eq!(left, ["session:hash", "session:token2"]);
}

#[test]
fn the_pages_users_need_more_on_a_cluster() {
    let cluster = Cluster::start(ServerBuilder::new().keys(&["one"]));
    let mut con = redis::cluster::ClusterClient::new(cluster.urls()).unwrap().get_connection().unwrap();
    for n in 0..30 {
        let set = redis::cmd("SET").arg(format!("session:token{n}")).arg(format!(r#"{{"uid":"{n}"}}"#)).take();
        let () = set.clone().arg("EX").arg(HOUR).query(&mut con).unwrap();
    }
    // A slot that moves: the key is elsewhere than the slot, and the new user's key too, once it is there.
    for key in ["session:token1", "sessions:1"] {
        let slot = cluster.slot_of(key);
        let (from, to) = (cluster.primary_of(slot), (cluster.primary_of(slot) + 1) % 3);
        let [source, target] = [from, to].map(|n| &cluster.nodes()[n]);
        for (node, line) in [
            (target, format!("CLUSTER SETSLOT {slot} IMPORTING {}", cluster.id(from))),
            (source, format!("CLUSTER SETSLOT {slot} MIGRATING {}", cluster.id(to))),
            (source, format!("MIGRATE 127.0.0.1 {} {key} 0 5000", target.port())),
        ] {
            cmd(&mut node.connection(), &line).unwrap();
        }
    }
    let (source, target) = (recipe("migrate-source"), recipe("migrate-target"));
    let for_cluster = more("a cluster", "both");
    assert_eq!(for_cluster, ["+cluster|slots", "+asking"]);
    let url = |user: &str| format!("redis://{user}:{PASSWORD}@127.0.0.1:{}/", cluster.nodes()[0].port());
    let run = |left_out: [&str; 2]| {
        for node in &cluster.nodes()[..3] {
            for (user, words, left_out) in [("source", &source, left_out[0]), ("target", &target, left_out[1])] {
                let words = [&words[..], &without(&for_cluster, left_out)].concat();
                set_user(&mut node.connection(), &format!("migrate-{user}"), &words);
            }
        }
        Migration::between(url("migrate-source"), url("migrate-target")).run("--apply")
    };
    for word in &for_cluster {
        for left_out in [[word.as_str(), ""], ["", word.as_str()]] {
            let run = run(left_out);
            assert!(is_denied(&run), "without {left_out:?}: {run:?}");
        }
    }
    let run = run(["", ""]);
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(cluster.nodes()[..3].iter().map(live).sum::<usize>(), 30);
}
