//! Where the programs under test are.

use std::env::{self, consts};
use std::path::PathBuf;
use std::process::Command;

/// The path of the module that servers load: `REDIS_SESSION_MODULE`, or the one that cargo built with this test.
///
/// # Panics
///
/// If there is none.
pub fn module_path() -> PathBuf {
    if let Some(path) = env::var_os("REDIS_SESSION_MODULE").filter(|path| !path.is_empty()) {
        let path = PathBuf::from(path);
        // Absolute, because a server loads modules after it has changed to its own folder.
        return path.canonicalize().unwrap_or_else(|error| panic!("REDIS_SESSION_MODULE={}: {error}", path.display()));
    }
    // The module is a dev-dependency, so cargo puts its cdylib in `deps`, where it puts test binaries too. Examples
    // are one folder away from there.
    let file = format!("{}redis_session_module{}", consts::DLL_PREFIX, consts::DLL_SUFFIX);
    let exe = env::current_exe().expect("the path of the running test");
    let folder = exe.parent().expect("the folder of the running test");
    [folder.join(&file), folder.join("../deps").join(&file)].into_iter().find(|path| path.exists()).unwrap_or_else(
        || {
            panic!(
                "{file} is not in {}: build it with `cargo build -p redis-session-tests --tests`, or name it in \
             REDIS_SESSION_MODULE",
                folder.display()
            )
        },
    )
}

/// The path of one of the workspace's programs. Cargo builds it with the tests of the whole workspace.
///
/// # Panics
///
/// If it has not been built.
pub fn program_path(name: &str) -> PathBuf {
    let exe = env::current_exe().expect("the path of the running test");
    let path = exe.ancestors().nth(2).expect("the folder of programs").join(format!("{name}{}", consts::EXE_SUFFIX));
    assert!(path.exists(), "{} is missing: build the tests of the whole workspace", path.display());
    path
}

/// The server, as a command without its arguments: `program` if it is given, or `REDIS_SERVER`, or `redis-server`.
pub(crate) fn server_command(program: Option<&str>) -> Command {
    program.map_or_else(|| command("REDIS_SERVER", "redis-server"), |line| words(line, "redis-server"))
}

/// The command-line client, as a command without its arguments: `REDIS_CLI`, or `redis-cli`.
pub(crate) fn cli_command() -> Command {
    command("REDIS_CLI", "redis-cli")
}

fn command(variable: &str, default: &str) -> Command {
    words(&env::var(variable).unwrap_or_default(), default)
}

/// Several words, because a server for a newer C library runs as `ld-linux.so --library-path DIR redis-server`.
fn words(line: &str, default: &str) -> Command {
    let mut words = line.split_whitespace();
    let mut command = Command::new(words.next().unwrap_or(default));
    command.args(words);
    command
}
