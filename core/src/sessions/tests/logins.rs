//! Logins: who makes room, what is new to a user, and what stays dead.

use super::*;

#[test]
fn a_lower_limit_evicts_as_many_as_it_takes_oldest_first() {
    let mut pair = Pair::default();
    for text in ["1", "2", "3", "4", "5", "6"] {
        assert_eq!(pair.create(new(text, 0, 9000), rules(0)), Ok(vec![]));
    }
    assert_eq!(pair.create(new("7", 0, 9000), limit(2, 1)).unwrap(), ["1", "2", "3", "4", "5"].map(id));
    assert_eq!(pair.ids(1), ["6", "7"]);
    assert_eq!(pair.create(new("8", 0, 9000), limit(1, 2)).unwrap(), ["6", "7"].map(id));
    assert_eq!(pair.ids(2), ["8"]);
}

#[test]
fn neither_use_nor_another_id_makes_a_session_younger() {
    let mut pair = Pair::default();
    for text in ["1", "2", "3"] {
        pair.create(new(text, 0, 9_000_000), rules(0)).unwrap();
    }
    pair.touch("1", rules(100_000)).unwrap();
    assert_eq!(pair.create(new("4", 0, 9_000_000), limit(3, 100_001)).unwrap(), [id("1")]);
    let grant = pair.primary.regenerate(&bare("2"), Renewal::of(id("renamed")), &pair.agents, &rules(100_002)).unwrap();
    pair.carry_out(&encoded(&grant.effects));
    assert_eq!(pair.create(new("5", 0, 9_000_000), limit(3, 100_003)).unwrap(), [id("renamed")]);
}

#[test]
fn the_dead_do_not_count_for_the_limit() {
    let reject = |now| Rules { policy: LimitPolicy::Reject, ..limit(2, now) };
    let ends: [fn(&mut Pair); 4] = [
        |pair| assert_eq!(pair.revoke(&[bare("1")], rules(1)), 1),
        |pair| assert_eq!(pair.revoke_all(Some("2"), rules(1)), 1),
        |pair| assert!(pair.deny("1", 9000, rules(1))),
        |pair| assert_eq!(pair.purge(rules(1)), 0),
    ];
    for (n, end) in ends.into_iter().enumerate() {
        let mut pair = Pair::default();
        // The last one dies of time.
        let idle_secs = u32::from(n == 3);
        pair.create(NewSession { idle_secs, ..new("1", 0, 9000) }, reject(0)).unwrap();
        pair.create(new("2", 0, 9000), reject(0)).unwrap();
        assert_eq!(pair.create(new("3", 0, 9000), reject(1)), Err(CreateError::Limit));
        end(&mut pair);
        let now = if n == 3 { 1000 } else { 1 };
        assert_eq!(pair.create(new("3", 0, 9000), reject(now)), Ok(vec![]), "{n}");
        assert_eq!(pair.ids(now), ["2", "3"]);
    }
}

/// Whether a login of `user` tells of a new address and a new device.
fn news(pair: &mut Pair, user: &[u8], text: &str, rules: Rules) -> (bool, bool) {
    let device = Some(Device::of(crate::Subject::new(user).unwrap(), b"phone"));
    let creation = pair.primary.create(NewSession { device, ..new(text, 0, 9000) }, &rules).unwrap();
    pair.carry_out(&encoded(&creation.effects));
    (creation.value.new_ip, creation.value.new_device)
}

#[test]
fn what_only_dead_sessions_had_is_new_again() {
    let ends: [fn(&mut Pair); 3] = [
        |pair| assert_eq!(pair.revoke(&[bare("a")], rules(1)), 1),
        |pair| assert_eq!(pair.revoke_all(None, rules(1)), 1),
        |pair| assert!(pair.deny("a", 9000, rules(1))),
    ];
    for end in ends {
        let mut pair = Pair::default();
        assert_eq!(news(&mut pair, b"42", "a", rules(0)), (true, true));
        end(&mut pair);
        assert_eq!(news(&mut pair, b"42", "b", rules(1)), (true, true));
    }
    let mut pair = Pair::default();
    news(&mut pair, b"42", "a", rules(0));
    assert_eq!(news(&mut pair, b"42", "b", rules(9000)), (true, true), "it died of time");
}

#[test]
fn what_is_known_of_one_user_is_new_to_another() {
    assert_eq!(news(&mut Pair::default(), b"42", "a", rules(0)), (true, true));
    assert_eq!(news(&mut Pair::default(), b"43", "a", rules(0)), (true, true));
    let of = |user: &[u8]| Device::of(crate::Subject::new(user).unwrap(), b"phone");
    assert_ne!(of(b"42"), of(b"43"), "one user's device is not another's");
}

#[test]
fn the_one_that_makes_room_still_counts_as_known() {
    let mut pair = Pair::default();
    news(&mut pair, b"42", "a", limit(1, 0));
    assert_eq!(news(&mut pair, b"42", "b", limit(1, 1)), (false, false));
    assert_eq!(pair.ids(1), ["b"]);
}

#[test]
fn a_logout_everywhere_ends_jwts_of_its_second_or_earlier_and_no_later_ones() {
    let mut pair = Pair::default();
    pair.revoke_all(None, rules(50_500));
    let undated = Presented { issued: Issued::InSecondOf(UnixMillis::ZERO), ..jwt("undated", 0, 90_000) };
    for now in [50_500, 51_000, 60_000] {
        for iat in [0, 1000, 49_000, 50_000] {
            assert_eq!(pair.look_up(&jwt("one", iat, 90_000), now), Err(Reason::UserRevoked), "{iat}");
        }
        assert_eq!(pair.look_up(&undated, now), Err(Reason::UserRevoked));
    }
    for iat in [51_000, 52_000, 60_000] {
        assert_eq!(pair.look_up(&jwt("one", iat, 90_000), 60_000), Ok(Standing::Absent), "{iat}");
    }
}

#[test]
fn an_evicted_session_does_not_come_back_when_its_tombstone_is_forgotten() {
    let mut pair = Pair::default();
    let few = |now| Rules { tombstones: 2, ..limit(1, now) };
    for n in 0..5u64 {
        pair.create(with_jwt(&n.to_string(), n, 90_000), few(n)).unwrap();
    }
    let stateless = Check { stateless: true, ..Check::default() };
    for n in 0..4u64 {
        let issued = Issued::ForSessionOf(at(n));
        let token = Presented { issued, ..jwt(&n.to_string(), n, 90_000) };
        let expected = if n < 2 { Reason::Unknown } else { Reason::Evicted };
        assert_eq!(pair.primary.check(&token, stateless, &few(10)), Err(expected), "{n}");
    }
}

#[test]
fn an_address_is_shown_as_the_standard_library_shows_it() {
    for ip in ["0.0.0.0", "203.0.113.9", "255.255.255.255", "10.0.100.1", "::", "::1", "2001:db8::7:0:1"] {
        let ip: std::net::IpAddr = ip.parse().unwrap();
        let mut pair = Pair::default();
        pair.create(NewSession { ip: Some(ip), ..new("a", 0, 9000) }, rules(0)).unwrap();
        let session = pair.primary.get(&id("a"), &pair.agents, &rules(0)).unwrap();
        assert_eq!(session.ip_text(), Some(ip.to_string()));
    }
}
