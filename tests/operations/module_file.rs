//! What a server says of a module's file that it does not load, and that the documents have a line for it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use redis_session_tests::{ServerBuilder, module_path};

/// The log of a server that loads this file, and does not start for it.
fn log_of(module: &[u8], mode: u32) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("module.so");
    fs::write(&path, module).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    refusal(&format!("loadmodule {}", path.display()))
}

fn refusal(lines: &str) -> String {
    match ServerBuilder::new().without_module().config(lines).try_start() {
        Ok(_) => panic!("it starts with {lines}"),
        Err(log) => log,
    }
}

/// That the log has the message, and the table of the documents a line that begins with it.
#[track_caller]
fn is_explained(log: &str, message: &str) {
    assert!(log.contains(message), "{message}: {log}");
    assert!(log.contains("Can't load module from"), "{log}");
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operations.md")).unwrap();
    let table = page.split_once("This table explains lines of the server's log").unwrap().1;
    let explained = table.lines().filter_map(|row| row.strip_prefix("| ")?.split(" | ").next());
    assert!(explained.into_iter().any(|messages| messages.contains(message)), "{message}");
}

#[test]
fn a_file_that_cannot_be_executed() {
    is_explained(&log_of(&fs::read(module_path()).unwrap(), 0o644), "It does not have execute permissions.");
}

#[test]
fn a_file_that_is_not_there() {
    is_explained(
        &refusal("loadmodule /nowhere/module.so"),
        "cannot open shared object file: No such file or directory",
    );
}

#[cfg(target_os = "linux")]
mod of_another_system {
    use super::*;

    #[test]
    fn a_file_for_another_processor() {
        let mut module = fs::read(module_path()).unwrap();
        // ELF, e_machine: that of SPARC, which no server here runs on.
        module[18..20].copy_from_slice(&[2, 0]);
        is_explained(&log_of(&module, 0o755), "cannot open shared object file: No such file or directory");
    }

    #[test]
    fn a_file_for_32_bits() {
        let mut module = fs::read(module_path()).unwrap();
        // ELF, EI_CLASS.
        module[4] = 1;
        is_explained(&log_of(&module, 0o755), "wrong ELF class");
    }

    #[test]
    fn a_file_for_a_newer_c_library() {
        let module = fs::read(module_path()).unwrap();
        let version = |at: usize| module[at..].starts_with(b"GLIBC_2.") && module[at + 8..at + 11] != *b"99\0";
        let places: Vec<usize> = (0..module.len() - 11).filter(|at| version(*at) && module[at + 10] == 0).collect();
        assert!(!places.is_empty());
        let mut newer = module.clone();
        for place in places {
            newer[place + 8..place + 10].copy_from_slice(b"99");
        }
        let log = log_of(&newer, 0o755);
        is_explained(&log.replace("GLIBC_2.99", "GLIBC_2.33"), "version `GLIBC_2.33' not found");
    }
}

#[test]
fn a_file_that_is_something_else() {
    is_explained(&log_of(b"<html>not found</html>", 0o755), "file too short");
    is_explained(&log_of(&b"<html>not found</html>".repeat(100), 0o755), "invalid ELF header");
}

#[test]
fn a_module_that_is_loaded_twice() {
    let line = format!("loadmodule {}", module_path().display());
    let log = refusal(&format!("{line}\n{line}"));
    is_explained(&log, "Module 'session' loaded from");
    let of_redis = "initialization failed. Module not loaded";
    is_explained(&log, if log.contains(of_redis) { of_redis } else { "Module name is busy" });
}
