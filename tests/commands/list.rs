//! SESSION.LIST in pages, and of what has ended.

use std::time::Duration;

use redis::Connection;
use redis_session_tests::{Fields, Server, advance, cmd, create, error, fields, int, list, now_ms, on_both};

#[track_caller]
fn listed(con: &mut Connection, line: &str) -> Vec<Fields> {
    list(cmd(con, line).unwrap()).into_iter().map(fields).collect()
}

#[track_caller]
fn page(con: &mut Connection, options: &str) -> Vec<String> {
    listed(con, &format!("SESSION.LIST sessions:42 {options}")).iter().map(|session| session.str("id")).collect()
}

#[test]
fn a_page_is_a_part_of_the_whole() {
    on_both(|_, con| {
        for n in 0..60 {
            create(con, &format!("sessions:42 ID s{n} TOKEN NONE"));
        }
        let all: Vec<_> = (0..60).rev().map(|n| format!("s{n}")).collect();
        assert_eq!(page(con, ""), all);
        assert_eq!(page(con, "LIMIT 0 10"), all[..10]);
        assert_eq!(page(con, "limit 55 10"), all[55..]);
        assert!(page(con, "LIMIT 60 1").is_empty() && page(con, "LIMIT 1000000000 1000").is_empty());
        cmd(con, "SESSION.REVOKE sessions:42 s59 s30").unwrap();
        assert_eq!(page(con, "LIMIT 0 2"), ["s58", "s57"]);
        let rest: Vec<_> = [&all[1..29], &all[30..]].concat();
        assert_eq!([page(con, "LIMIT 0 25"), page(con, "LIMIT 25 25"), page(con, "LIMIT 50 25")].concat(), rest);
    });
}

#[test]
fn a_reply_has_a_thousand_at_most() {
    let server = Server::start();
    let mut con = server.connection();
    let mut pipe = redis::pipe();
    for n in 0..1100 {
        pipe.cmd("SESSION.CREATE").arg("sessions:42").arg("ID").arg(format!("s{n}")).arg("TOKEN").arg("NONE");
        pipe.arg("MAX").arg(2000).ignore();
    }
    pipe.exec(&mut con).unwrap();
    let newest = page(&mut con, "");
    assert_eq!((newest.len(), newest[0].as_str(), newest[999].as_str()), (1000, "s1099", "s100"));
    assert_eq!(page(&mut con, "LIMIT 1000 1000").len(), 100);
}

#[test]
fn what_has_ended_says_why_as_long_as_it_is_remembered() {
    on_both(|_, con| {
        let before = now_ms(con);
        for (id, options) in
            [("first", "TTL 5000"), ("revoked", ""), ("idle", "IDLE 10"), ("short", "TTL 20"), ("kept", "")]
        {
            create(con, &format!("sessions:42 ID {id} {options}"));
        }
        assert!(listed(con, "SESSION.LIST sessions:42 ENDED").is_empty());
        cmd(con, "SESSION.REVOKE sessions:42 revoked").unwrap();
        create(con, "sessions:42 ID new MAX 4");
        cmd(con, &format!("SESSION.DENY sessions:42 denied UNTIL {}", before + 900_000)).unwrap();
        advance(con, Duration::from_secs(30));
        let ended = listed(con, "SESSION.LIST sessions:42 ENDED");
        assert!(ended.iter().all(|end| end.names() == ["id", "reason", "ended_at", "remembered_until"]));
        let told = |ended: &[Fields]| ended.iter().map(|end| (end.str("id"), end.str("reason"))).collect::<Vec<_>>();
        let expected = [("idle", "idle"), ("denied", "revoked"), ("first", "evicted"), ("revoked", "revoked")];
        let mut found = told(&ended);
        // Those three ended in about the same millisecond. A session that ends with its tokens is not remembered.
        found[1..].sort();
        let mut expected = expected.map(|(id, why)| (id.to_owned(), why.to_owned()));
        expected[1..].sort();
        assert_eq!(found, expected);
        let times: Vec<_> = ended.iter().map(|end| end.int("ended_at")).collect();
        assert!(times.is_sorted_by(|one, other| one >= other) && times.iter().all(|time| *time >= before));
        assert!(ended.iter().all(|end| end.int("remembered_until") > now_ms(con)));
        assert_eq!(
            listed(con, "SESSION.LIST sessions:42 ENDED LIMIT 0 2").iter().map(|end| end.str("id")).next(),
            Some("idle".into())
        );
        // With all at once, a cutoff takes the place of each.
        cmd(con, "SESSION.REVOKEUSER sessions:42").unwrap();
        assert!(listed(con, "SESSION.LIST sessions:42 ENDED").iter().all(|end| end.str("reason") != "user_revoked"));
        advance(con, Duration::from_secs(100 * 86_400));
        assert!(listed(con, "SESSION.LIST sessions:42 ENDED").is_empty());
    });
}

#[test]
fn what_is_no_page_is_refused() {
    on_both(|_, con| {
        create(con, "sessions:42 ID one");
        let [offset, count] =
            ["1000000000", "1000"].map(|most| format!("ERR LIMIT must be a whole number from MIN to {most}"));
        for (options, expected) in [
            ("LIMIT", "ERR LIMIT needs a value".to_owned()),
            ("LIMIT 0", "ERR LIMIT needs a value".to_owned()),
            ("LIMIT -1 1", offset.replace("MIN", "0")),
            ("LIMIT x 1", offset.replace("MIN", "0")),
            ("LIMIT 0 0", count.replace("MIN", "1")),
            ("LIMIT 0 1001", count.replace("MIN", "1")),
            ("LIMIT 0 1 LIMIT 0 1", "ERR LIMIT is given twice".to_owned()),
            ("ENDED ENDED", "ERR ENDED is given twice".to_owned()),
            ("LIMIT 0 1 1", "ERR syntax error: an option was expected".to_owned()),
        ] {
            assert_eq!(error(con, &format!("SESSION.LIST sessions:42 {options}")), expected, "{options}");
        }
    });
}

#[test]
fn very_many_sessions_make_room_in_one_step() {
    let mut server = Server::builder().appendonly().start();
    let replica = Server::builder().replica_of(&server).start();
    let mut con = server.connection();
    let mut pipe = redis::pipe();
    for n in 0..3000 {
        pipe.cmd("SESSION.CREATE").arg("sessions:42").arg("ID").arg(format!("s{n}")).arg("TOKEN").arg("NONE");
        pipe.arg("MAX").arg(5000).ignore();
    }
    pipe.exec(&mut con).unwrap();
    let evicted = create(&mut con, "sessions:42 ID last MAX 3").strings("evicted");
    assert_eq!(evicted, (0..2998).map(|n| format!("s{n}")).collect::<Vec<_>>());
    assert_eq!(page(&mut con, ""), ["last", "s2999", "s2998"]);
    assert_eq!(int(&mut con, "SESSION.COUNT sessions:42"), 3);
    // 200 of them are remembered: twice session.max-per-user.
    assert_eq!(listed(&mut con, "SESSION.LIST sessions:42 ENDED").len(), 200);
    for (id, reason) in [("s0", "unknown"), ("s2797", "unknown"), ("s2798", "evicted"), ("s2997", "evicted")] {
        let answer = fields(cmd(&mut con, &format!("SESSION.VALIDATE sessions:42 ID {id}")).unwrap());
        assert_eq!(answer.str("reason"), reason, "{id}");
    }
    server.wait_for_sync(&replica);
    assert_eq!(replica.digest("sessions:42"), server.digest("sessions:42"));
    let digest = server.digest("sessions:42");
    server.kill();
    server.start_again();
    assert_eq!(server.digest("sessions:42"), digest);
}
