//! Figures on one screen.

use redis_session_tests::{ServerBuilder, create};

use crate::program::{at, run, well};

#[test]
fn the_screen_has_a_line_for_each_server_and_its_sessions() {
    let primary = ServerBuilder::new().start();
    let replica = ServerBuilder::new().replica_of(&primary).start();
    let mut con = primary.connection();
    for user in 0..7 {
        create(&mut con, &format!("sessions:{user}"));
        create(&mut con, &format!("sessions:{user}"));
    }
    primary.wait_for_sync(&replica);
    let screen = well(&format!("watch --every 1 --rounds 1 {}", at(&replica)));
    let lines: Vec<Vec<&str>> = screen.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines.len(), 3, "{screen}");
    assert_eq!(lines[1][..4], [&*format!("127.0.0.1:{}", primary.port()), "primary", "7", "14"], "{screen}");
    assert_eq!(lines[2][..4], [&*format!("127.0.0.1:{}", replica.port()), "replica", "7", "14"], "{screen}");
    assert!(!screen.contains('\u{1b}'), "no terminal");
    assert_eq!(run("watch --url redis://127.0.0.1:1").code, 1);
}
