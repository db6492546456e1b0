//! The figures that a plan is made of are those that a server has.

use redis_session_tests::{ServerBuilder, cmd, create, ids};

use crate::program::well;

/// A figure of the plan in bytes.
#[track_caller]
fn bytes(plan: &str, name: &str) -> f64 {
    let line = plan.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name} in {plan}"));
    let words: Vec<_> = line.split_whitespace().rev().take(2).collect();
    let unit = match words[0] {
        "GB" => f64::from(1 << 30),
        "MB" => f64::from(1 << 20),
        "kB" => f64::from(1 << 10),
        "B" => 1.0,
        other => panic!("{other}"),
    };
    words[1].parse::<f64>().unwrap() * unit
}

fn near(measured: f64, said: f64, what: &str) {
    eprintln!("{what}: {measured:.0} measured, {said:.0} said");
    assert!(measured < said * 1.25 && measured > said * 0.7, "{what}: {measured} measured, {said} said");
}

#[test]
fn what_logins_and_logouts_write_is_what_the_plan_says() {
    let server = ServerBuilder::new().keys(&["one"]).appendonly().start();
    let mut con = server.connection();
    let size = || server.info("persistence", "aof_current_size").parse::<f64>().unwrap();
    // The first of each agent has the agent's text with it.
    let login = |n: u32| format!("sessions:user-{n:05} IP 203.0.113.7 AGENT phone REFRESH 0 TOKEN OPAQUE");
    create(&mut con, &login(0));
    let before = size();
    for n in 1..=200 {
        create(&mut con, &login(n));
    }
    for n in 1..=200 {
        let id = &ids(&mut con, &format!("sessions:user-{n:05}"))[0];
        cmd(&mut con, &format!("SESSION.REVOKE sessions:user-{n:05} {id}")).unwrap();
    }
    let measured = (size() - before) / 200.0 * 1000.0;
    let plan = well("plan --users 1000000 --logins 1000 --checks 0");
    near(measured, bytes(&plan, "append-only file a second"), "log of 1,000 logins and logouts");
}

#[test]
fn a_user_with_two_sessions_takes_what_the_plan_says() {
    let server = ServerBuilder::new().keys(&["one"]).start();
    let mut con = server.connection();
    let used = || server.info("memory", "used_memory").parse::<f64>().unwrap();
    create(&mut con, "sessions:first AGENT phone");
    let before = used();
    // They fill nine tenths of the table of keys, which doubles when it is full.
    let users = 1850;
    for n in 0..users * 2 {
        let n = n / 2;
        create(&mut con, &format!("sessions:{n} IP 203.0.113.7 AGENT phone REFRESH 0 TOKEN OPAQUE"));
    }
    let measured = (used() - before) / f64::from(users) * 1e7;
    let data = bytes(&well("plan --users 10000000"), "data");
    // Without what the server has in any case.
    near(measured, data - f64::from(100 << 20), "ten million users");
}

#[test]
fn more_users_need_more_servers() {
    let one = well("plan --users 1000000");
    let servers = one.lines().find(|line| line.starts_with("primaries, replicas")).unwrap();
    assert!(servers.ends_with(" 1, 1"), "{one}");
    let many = well("plan --users 500000000 --ttl 3600");
    assert!(many.contains(", as a cluster"), "{many}");
    for page in ["plan --users 18446744073709551615 --sessions 18446744073709551615", "plan --users 1 --ttl 0"] {
        well(page);
    }
}

#[test]
fn the_sweep_frees_as_much_as_ends() {
    for load in ["", " --logins 1000", " --logins 100000 --checks 0", " --logins 1000000", " --ttl 60"] {
        let plan = well(&format!("plan --users 1000000{load}"));
        let row = plan.lines().find_map(|line| line.strip_prefix("ends a second, and the sweep's")).unwrap();
        let numbers: Vec<u64> = row.split(", ").map(|number| number.trim().replace(',', "").parse().unwrap()).collect();
        assert!(numbers[0] <= numbers[1], "{plan}");
    }
}

#[test]
fn the_page_has_what_the_program_says() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/capacity.md")).unwrap();
    let plans = ["500000", "50000000", "500000000"].map(|users| well(&format!("plan --users {users}")));
    let rows = plans[0].lines().zip(plans[1].lines()).zip(plans[2].lines());
    for ((one, hundred), thousand) in rows {
        let value = |line: &str| line[34..].to_owned();
        let name = one[..34].trim();
        let row = format!("| {name} | {} | {} | {} |", value(one), value(hundred), value(thousand));
        assert!(page.contains(&row), "{row}");
    }
}
