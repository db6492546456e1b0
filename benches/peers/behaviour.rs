//! All layouts that are compared do the same job: a user who has logged in passes until they log out.

#[allow(dead_code)]
mod contenders;
#[allow(dead_code)]
mod layouts;

use std::net::Ipv4Addr;

use contenders::Contender;
use layouts::{Credential, Layout, Login};
use redis::Connection;
use redis_session_tests::skipped;

fn login(layout: &dyn Layout, con: &mut Connection, user: &str, agent: &str) -> Credential {
    let login = Login { user: user.to_owned(), ip: Ipv4Addr::new(203, 0, 113, 7), agent: agent.to_owned() };
    layout.login(con, &[login]).pop().unwrap()
}

fn does_the_job(contender: Contender) {
    let redis_8 = contenders::redis_8(false);
    let mut layout = contender.layout();
    let server = contender.server(redis_8.as_deref(), 4);
    let Some(server) = server.filter(|server| layout.prepare(&mut server.connection())) else {
        skipped(&format!("{}: Redis 8 is not here; scripts/test-servers --fetch redis-8 fetches it", contender.name()));
        return;
    };
    let (layout, con) = (layout.as_ref(), &mut server.connection());
    let laptop = login(layout, con, "42", "a laptop");
    let phone = login(layout, con, "42", "a phone");
    let other = login(layout, con, "43", "a tablet");
    let check = |con: &mut Connection| [&laptop, &phone, &other].map(|one| layout.check(con, one));
    let agents = |con: &mut Connection, user| {
        let mut agents: Vec<_> = layout.list(con, user).into_iter().map(|session| session.agent).collect();
        agents.sort_unstable();
        agents
    };
    let name = contender.name();
    assert_eq!(check(con), [true, true, true], "{name}");
    assert_eq!(agents(con, "42"), ["a laptop", "a phone"], "{name}");
    for session in layout.list(con, "42") {
        assert_eq!(session.ip, Ipv4Addr::new(203, 0, 113, 7), "{name}");
        assert!(session.created > 1_700_000_000 && session.id.len() == 22, "{name}: {session:?}");
    }

    layout.logout(con, &laptop);
    assert_eq!(check(con), [false, true, true], "{name}");
    assert_eq!(agents(con, "42"), ["a phone"], "{name}");

    let tablet = login(layout, con, "42", "another tablet");
    layout.logout_all(con, "42");
    assert_eq!(check(con), [false, false, true], "{name}");
    assert!(!layout.check(con, &tablet), "{name}");
    assert!(agents(con, "42").is_empty(), "{name}");
    assert_eq!(agents(con, "43"), ["a tablet"], "{name}");

    let again = login(layout, con, "42", "the laptop again");
    assert!(layout.check(con, &again), "{name}");
    assert_eq!(check(con), [false, false, true], "{name}");
    let stranger = Credential { user: "42".to_owned(), token: "A".repeat(22) };
    assert!(!layout.check(con, &stranger), "{name}");
}

#[test]
fn every_layout_lets_in_who_is_logged_in_and_nobody_else() {
    for contender in Contender::ALL {
        does_the_job(contender);
    }
}
