//! A backup, restored by the commands of docs/deployment.md.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::server::Server;

/// Restores `backup.rdb`, in the server's own folder, by the commands of docs/deployment.md, and starts the server. It is
/// down before, and has the lines `appendonly yes` and `pidfile ./pid`.
///
/// # Panics
///
/// If the commands fail, with what they print.
#[track_caller]
pub fn restore_backup(server: &mut Server) {
    let folder = server.dir().to_owned();
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/deployment.md"));
    let page = page.expect("docs/deployment.md");
    // The service is the test's.
    let script = page.split("```sh\nsystemctl stop redis-server\n").nth(1).and_then(|rest| rest.split("```").next());
    let script = script.expect("the commands of a restore").strip_suffix("systemctl start redis-server\n");
    let mut script = script.expect("the start at their end").to_owned();
    let (conf, here) = (server.config_path().display().to_string(), folder.display().to_string());
    // There is one user, and another folder.
    for (from, to) in [
        ("install -o redis ", "install "),
        ("runuser -u redis -- redis-server", "redis-server"),
        ("/etc/redis/redis.conf", &*conf),
        ("/var/lib/redis", &here),
    ] {
        assert!(script.contains(from), "{from}: {script}");
        script = script.replace(from, to);
    }
    let port = server.port();
    let programs = format!(
        "redis-server() {{ command ${{REDIS_SERVER:-redis-server}} \"$@\"; }}\n\
         redis-cli() {{ command ${{REDIS_CLI:-redis-cli}} -p {port} \"$@\"; }}\n"
    );
    // It removes the file when it ends, and the next server writes its own number there.
    let left_behind = LeftBehind(folder.join("pid"));
    let printed = run(&(programs + &script), &folder);
    assert!(printed.contains("PONG") && printed.contains("OK"), "{printed}");
    drop(left_behind);
    server.start_again();
}

/// Ends the server that a script has left behind, by the number in its file, if it runs still.
struct LeftBehind(PathBuf);

impl Drop for LeftBehind {
    fn drop(&mut self) {
        if let Ok(pid) = fs::read_to_string(&self.0) {
            let _ = Command::new("kill").args(["-9", pid.trim()]).status();
        }
    }
}

/// Runs a script in a folder to its end. What it prints goes into a file: a server that it starts would hold a pipe
/// open, and who waits for the pipe's end would wait for the server's.
#[track_caller]
fn run(script: &str, folder: &Path) -> String {
    let printed = folder.join("printed");
    let file = fs::File::create(&printed).expect("the file for what is printed");
    let mut bash = Command::new("bash");
    bash.args(["-euc", script]).current_dir(folder).stdin(Stdio::null());
    let mut bash = bash.stdout(file.try_clone().expect("the file twice")).stderr(file).spawn().expect("bash");
    let mut ended = None;
    let deadline = Instant::now() + Duration::from_secs(60);
    while ended.is_none() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(20));
        ended = bash.try_wait().expect("the state of bash");
    }
    let _ = bash.kill();
    let _ = bash.wait();
    let printed = fs::read_to_string(printed).expect("what was printed");
    assert!(ended.is_some_and(|status| status.success()), "{ended:?}\n{printed}");
    printed
}
