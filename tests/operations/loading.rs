//! Loading the module: at start, at run time, twice, and never out again.

use redis::Connection;
use redis_session_tests::{Server, ServerBuilder, cmd, cmd_args, create, fields, list, module_path, verdict};

use crate::commands::get;

fn module() -> String {
    module_path().display().to_string()
}

/// How often the module is there, among others that a server may bring along.
fn times_loaded(con: &mut Connection) -> usize {
    let modules = list(cmd(con, "MODULE LIST").unwrap());
    modules.into_iter().filter(|module| fields(module.clone()).str("name") == "session").count()
}

#[test]
fn the_module_cannot_be_unloaded() {
    let server = Server::start();
    let mut con = server.connection();
    let token = create(&mut con, "sessions:42").str("token");
    let error = cmd(&mut con, "MODULE UNLOAD session").unwrap_err().to_string();
    assert!(error.contains("exports one or more module-side data types"), "{error}");
    assert_eq!(verdict(&mut con, "sessions:42", &token), "active");
}

#[test]
fn the_module_cannot_be_loaded_twice() {
    let server = Server::start();
    let mut con = server.connection();
    let token = create(&mut con, "sessions:42").str("token");
    assert!(cmd_args(&mut con, ["MODULE", "LOAD", &module()]).is_err());
    assert_eq!(times_loaded(&mut con), 1);
    assert_eq!(verdict(&mut con, "sessions:42", &token), "active");
    create(&mut con, "sessions:42");
    let log = ServerBuilder::new().config(format!("loadmodule \"{}\"", module())).try_start().unwrap_err();
    assert!(log.contains("Can't load module"), "{log}");
}

#[test]
fn the_module_loads_at_run_time() {
    let server = ServerBuilder::new().without_module().start();
    let mut con = server.connection();
    cmd_args(&mut con, ["MODULE", "LOAD", &module(), "session.ttl", "60"]).unwrap();
    assert_eq!(get(&mut con, "session.ttl"), "60");
    let token = create(&mut con, "sessions:42").str("token");
    assert_eq!(verdict(&mut con, "sessions:42", &token), "active");
}

#[test]
fn a_refused_load_can_be_put_right() {
    let server = ServerBuilder::new().without_module().start();
    let mut con = server.connection();
    for args in [&["tll", "60"][..], &["ttl", "0"], &["keys-file", "missing.json"], &["active-kid", "one"]] {
        let load = ["MODULE", "LOAD", &module()].map(str::to_owned);
        let load: Vec<_> = load.into_iter().chain(args.iter().map(|arg| (*arg).to_owned())).collect();
        assert!(cmd_args(&mut con, &load).is_err(), "{args:?}");
        assert_eq!(times_loaded(&mut con), 0);
        assert_eq!(list(cmd(&mut con, "CONFIG GET session.*").unwrap()).len(), 0, "{args:?}");
    }
    cmd_args(&mut con, ["MODULE", "LOAD", &module(), "ttl", "60"]).unwrap();
    assert_eq!(get(&mut con, "session.ttl"), "60");
    assert_eq!(get(&mut con, "session.keys-file"), "");
    let token = create(&mut con, "sessions:42").str("token");
    assert_eq!(verdict(&mut con, "sessions:42", &token), "active");
}
