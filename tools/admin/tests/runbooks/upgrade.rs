//! docs/runbooks/upgrade.md

use std::fs;
use std::path::{Path, PathBuf};

use redis_session_tests::{Server, ServerBuilder, module_path, wait_until};
use tempfile::TempDir;

use super::{blocks, shell, shell_on, starts_as_replica_of};
use crate::load::{Load, Losses};
use crate::program::{at, run};
use crate::verify::good;

/// Two builds of the module, and the file that each server loads.
struct Machines(TempDir);

impl Machines {
    fn new() -> Self {
        let machines = Self(TempDir::with_prefix("redis-session-upgrade-").unwrap());
        for build in ["old", "new"] {
            fs::copy(module_path(), machines.build(build)).unwrap();
        }
        machines
    }

    fn build(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A server with a module file of its own, which is the old build's.
    fn node(&self, name: &str) -> ServerBuilder {
        let module = self.0.path().join(format!("{name}.so"));
        fs::copy(self.build("old"), &module).unwrap();
        good().without_module().config(format!("loadmodule {}", module.display()))
    }

    /// All servers get this build as the page says. Returns the new primary.
    fn roll(&self, build: &str, servers: &mut [Server; 3], primary: usize) -> usize {
        let [each, then] = &blocks("upgrade.md")[..] else { panic!("two blocks") };
        for replica in (0..3).filter(|replica| *replica != primary) {
            self.upgrade(&mut servers[replica], &replica.to_string(), build, each);
        }
        shell_on(&servers[primary], then, &[]);
        let next = (0..3).find(|server| servers[*server].info("replication", "role") == "master").unwrap();
        assert_ne!(next, primary);
        self.upgrade(&mut servers[primary], &primary.to_string(), build, each);
        for replica in (0..3).filter(|replica| *replica != next) {
            servers[next].wait_for_sync(&servers[replica]);
        }
        next
    }

    /// The commands for one server, which restarts here without a service manager.
    #[track_caller]
    fn upgrade(&self, server: &mut Server, name: &str, build: &str, block: &str) {
        let (install, then) = block.split_once("systemctl restart redis-server\n").unwrap();
        let (_, install) = install.split_once("# or: ").unwrap();
        let module = self.0.path().join(format!("{name}.so")).display().to_string();
        let build = self.build(build).display().to_string();
        let target = "/usr/lib/redis/modules/redis_session.so";
        shell(install, &[(target, &module), (" redis_session.so", &format!(" {build}"))]);
        // The process runs the file that was there when it started.
        assert_ne!(runs(server, Path::new(&module)), Some(true));
        server.restart_without_saving();
        assert_ne!(runs(server, Path::new(&module)), Some(false));
        shell_on(server, then, &[]);
    }
}

/// Whether a server runs the file that is there now. None where the system does not tell.
fn runs(server: &Server, module: &Path) -> Option<bool> {
    let maps = fs::read_to_string(format!("/proc/{}/maps", server.pid())).ok()?;
    Some(maps.lines().any(|line| line.ends_with(module.to_str().unwrap())))
}

#[test]
fn all_servers_get_another_build_and_the_first_again_and_nothing_is_lost() {
    let machines = Machines::new();
    let primary = machines.node("0").start();
    let replica = |name| machines.node(name).replica_of(&primary).start();
    let (second, third) = (replica("1"), replica("2"));
    let mut servers = [primary, second, third];
    let load = Load::start(&servers.each_ref().map(Server::url));
    let next = machines.roll("new", &mut servers, 0);
    load.go_on(100);
    let last = machines.roll("old", &mut servers, next);
    load.go_on(100);
    assert_eq!(load.stop("upgrade and rollback", &mut servers[last].connection()), Losses::NONE);
}

/// The new version writes a format that the old one can't read, so the old primary stops as soon as it follows.
#[test]
fn an_old_primary_that_stops_at_the_new_format_has_lost_nothing_once_it_is_upgraded() {
    let mut old = good().start();
    let mut new = good().replica_of(&old).start();
    old.wait_for_sync(&new);
    let load = Load::start(&[old.url(), new.url()]);
    // A stop before that is refused.
    wait_until("the new append-only file is written", || new.info("persistence", "aof_rewrite_in_progress") == "0");
    new.shutdown("NOSAVE");
    new.upgrade();
    new.start_again();
    old.wait_for_sync(&new);
    // The program may see the old primary's end, or not yet.
    let ran = run(&format!("switchover {}", at(&old)));
    assert!(ran.printed.contains(" is the primary in place of ") && ran.errors.is_empty(), "{ran:?}");
    wait_until("the old version stops", || !old.is_running());
    old.kill();
    old.upgrade();
    starts_as_replica_of(&old, &new);
    old.start_again();
    load.go_on(100);
    new.wait_for_sync(&old);
    let losses = load.stop("upgrade to another format", &mut new.connection());
    assert_eq!(losses, Losses::NONE);
}
