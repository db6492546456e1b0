//! Bytes per session on a real server, everything included: key, value, expiry, user agents and the allocator's rounding.
//!
//! Each session has an IPv4 address and one of 1,000 user agents of 70 bytes; the second figure is for agents that are
//! all different. `SESSIONS` in the environment changes how many there are.
//!
//! `cargo bench -p redis-session-benches --bench memory`

use std::env;

use redis_session_tests::Server;

fn main() {
    let sessions: usize = env::var("SESSIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(500_000);
    println!("{sessions} sessions with an IPv4 address and a 70-byte user agent, bytes per session");
    println!("  {:<22}{:>14}{:>20}", "", "1,000 agents", "all different");
    for per_user in [1, 4] {
        let [shared, distinct] = [1000, sessions].map(|agents| bytes_per_session(sessions, per_user, agents));
        println!("  {per_user} per user{:<12}{shared:>14.0}{distinct:>20.0}", "");
    }
}

fn bytes_per_session(sessions: usize, per_user: usize, agents: usize) -> f64 {
    let server = Server::start();
    let mut con = server.connection();
    let used = || server.info("memory", "used_memory").parse::<f64>().expect("a number");
    let before = used();
    for batch in (0..sessions).collect::<Vec<_>>().chunks(1000) {
        let mut pipe = redis::pipe();
        for session in batch {
            let (browser, width) = ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101", 70 - 57);
            let agent = format!("{browser} {:0width$}", session % agents);
            assert_eq!(agent.len(), 70);
            let user = session / per_user;
            let ip = format!("10.{}.{}.{}", session >> 16 & 255, session >> 8 & 255, session & 255);
            pipe.cmd("SESSION.CREATE")
                .arg(format!("sessions:{user}"))
                .arg("IP")
                .arg(ip)
                .arg("AGENT")
                .arg(agent)
                .ignore();
        }
        pipe.exec(&mut con).expect("logins");
    }
    // The buffers of this connection are no session's.
    drop(con);
    (used() - before) / sessions as f64
}
