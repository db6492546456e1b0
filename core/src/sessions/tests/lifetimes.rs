//! How long sessions and refresh tokens last, in all the ways in which they are used.

use super::*;

const NO_ORIGIN: Origin<'static> = Origin { ip: None, agent: None, device: None };

fn device(fingerprint: &[u8]) -> Device {
    Device::of(crate::Subject::new(b"42").unwrap(), fingerprint)
}

impl Pair {
    fn deadline(&self, text: &str, now: u64) -> Result<UnixMillis, Reason> {
        self.primary.alive(&bare(text), &rules(now)).map(|alive| alive.deadline)
    }

    /// Uses a refresh token where the grace is this long.
    fn refresh_within(&mut self, generation: u32, grace: u64, now: u64) -> Result<Refresh, Reason> {
        let token = RefreshToken { id: id("a"), generation, session_began_at: at(0) };
        let rules = Rules { grace, ..rules(now) };
        let refresh = self.primary.refresh(&token, NO_ORIGIN, &self.agents, &rules)?;
        self.carry_out(&encoded(&refresh.effects));
        match refresh.value {
            Refreshed::Granted(grant) => Ok(grant.session.refresh.expect("a refresh token")),
            Refreshed::Reused => Err(Reason::Reused),
        }
    }
}

/// A session `a` with refresh tokens, which nothing but a test ends.
fn refreshed() -> Pair {
    let mut pair = Pair::default();
    pair.create(refreshable("a", 0, 1_000_000, 900), rules(0)).unwrap();
    pair
}

#[test]
fn the_nearer_of_the_two_deadlines_counts() {
    for (ttl, idle_secs, deadline) in [(1_000_000, 10, 10_000), (10_000, 1000, 10_000), (10_000, 10, 10_000)] {
        let mut pair = Pair::default();
        pair.create(NewSession { idle_secs, ..new("a", 0, ttl) }, rules(0)).unwrap();
        assert_eq!(pair.deadline("a", 0), Ok(at(deadline)));
        assert!(pair.deadline("a", deadline - 1).is_ok());
        let reason = if ttl == deadline { Reason::Expired } else { Reason::Idle };
        assert_eq!(pair.deadline("a", deadline), Err(reason));
    }
}

#[test]
fn a_session_lives_past_its_idle_timeout_as_long_as_it_is_touched_and_no_touch_moves_the_absolute_deadline() {
    let mut pair = Pair::default();
    pair.create(NewSession { idle_secs: 1800, ..new("a", 0, 3_600_000) }, rules(0)).unwrap();
    for now in [1_740_000, 3_480_000] {
        pair.touch("a", rules(now)).unwrap();
        assert_eq!(pair.deadline("a", now), Ok(at((now + 1_800_000).min(3_600_000))));
    }
    assert_eq!(pair.touch("a", rules(3_600_000)), Err(Reason::Expired));
    pair.create(NewSession { idle_secs: 1800, ..new("b", 0, 90_000_000) }, rules(0)).unwrap();
    for uses in 1..=3 {
        pair.touch("b", rules(uses * 1_740_000)).unwrap();
    }
    let last = 3 * 1_740_000;
    assert_eq!(pair.deadline("b", last + 1_740_000), Ok(at(last + 1_800_000)), "to look is no use");
    assert_eq!(pair.deadline("b", last + 1_800_000), Err(Reason::Idle));
}

#[test]
fn a_session_lives_past_its_idle_timeout_as_long_as_it_is_refreshed_and_no_refresh_moves_the_absolute_deadline() {
    let mut pair = Pair::default();
    pair.create(NewSession { idle_secs: 900, ..refreshable("a", 0, 1_000_000, 950) }, rules(0)).unwrap();
    for n in 0..5 {
        let now = (u64::from(n) + 1) * 180_000;
        let refresh = pair.refresh("a", n, NO_ORIGIN, now).unwrap();
        assert_eq!(refresh.expires_at, at((now + 950_000).min(1_000_000)));
        let rules = rules(now);
        let session = pair.primary.get(&id("a"), &pair.agents, &rules).unwrap();
        assert_eq!((session.expires_at, session.last_seen_at()), (at(1_000_000), at(now)));
        assert_eq!(session.idle_expires_at(), Some(at(now + 900_000)), "a refresh is a use");
        assert_eq!(pair.primary.last_deadline(), at(1_000_000));
    }
    assert_eq!(pair.refresh("a", 5, NO_ORIGIN, 1_000_000), Err(Reason::Expired));
}

#[test]
fn a_session_that_died_of_time_is_not_refreshed() {
    let mut pair = Pair::default();
    pair.create(NewSession { idle_secs: 1800, ..refreshable("a", 0, 90_000_000, 7200) }, rules(0)).unwrap();
    pair.create(refreshable("b", 0, 1_800_000, 7200), rules(0)).unwrap();
    assert_eq!(pair.refresh("a", 0, NO_ORIGIN, 1_800_000), Err(Reason::Idle));
    assert_eq!(pair.refresh("b", 0, NO_ORIGIN, 1_800_000), Err(Reason::Expired));
    assert_eq!(pair.deadline("a", 1_800_000), Err(Reason::Idle));
    assert_eq!(pair.deadline("b", 1_800_000), Err(Reason::Expired));
}

#[test]
fn a_successor_that_has_expired_is_not_handed_out_again() {
    let mut pair = Pair::default();
    pair.create(refreshable("a", 0, 90_000_000, 1800), rules(0)).unwrap();
    let successor = pair.refresh_within(0, 3_600_000, 0).unwrap();
    assert_eq!(pair.refresh_within(0, 3_600_000, 1_740_000), Ok(successor));
    assert_eq!(pair.refresh_within(0, 3_600_000, 1_800_000), Err(Reason::TokenExpired));
    assert!(pair.deadline("a", 1_800_000).is_ok(), "the session goes on");
}

#[test]
fn the_grace_is_counted_from_the_use_and_not_renewed_by_repeating_it() {
    let mut pair = refreshed();
    let successor = pair.refresh_within(0, 600_000, 0).unwrap();
    for now in [180_000, 360_000, 599_999] {
        assert_eq!(pair.refresh_within(0, 600_000, now), Ok(successor));
    }
    assert_eq!(pair.refresh_within(0, 600_000, 600_000), Err(Reason::Reused));
}

#[test]
fn an_older_generation_is_theft_also_within_the_grace() {
    let mut pair = refreshed();
    pair.refresh_within(0, 3_600_000, 1).unwrap();
    pair.refresh_within(1, 3_600_000, 2).unwrap();
    for generation in [0, 2] {
        assert_eq!(pair.refresh_within(generation, 3_600_000, 3), Err(Reason::Reused));
        assert_eq!(pair.deadline("a", 3), Err(Reason::Reused));
    }
}

#[test]
fn with_a_grace_of_zero_a_second_use_is_theft_at_once_and_a_longer_grace_does_not_undo_it() {
    let mut pair = refreshed();
    pair.create(refreshable("b", 0, 1_000_000, 900), rules(0)).unwrap();
    pair.refresh_within(0, 0, 1).unwrap();
    for (generation, grace) in [(0, 0), (1, 0), (0, 3_600_000), (1, 3_600_000)] {
        assert_eq!(pair.refresh_within(generation, grace, 1), Err(Reason::Reused));
        assert_eq!(pair.deadline("a", 1), Err(Reason::Reused));
    }
    assert!(pair.refresh("b", 0, NO_ORIGIN, 2).is_ok(), "the user's other sessions go on");
}

#[test]
fn theft_is_told_before_the_device() {
    let mut pair = Pair::default();
    pair.create(NewSession { device: Some(device(b"phone")), ..refreshable("a", 0, 90_000, 50) }, rules(0)).unwrap();
    pair.refresh("a", 0, NO_ORIGIN, 10).unwrap();
    let laptop = Origin { device: Some(device(b"laptop")), ..NO_ORIGIN };
    assert_eq!(pair.refresh("a", 0, laptop, 20), Err(Reason::Device), "within the grace it is no theft");
    assert_eq!(pair.refresh("a", 0, laptop, 2000), Err(Reason::Reused));
    assert_eq!(pair.primary.count(&rules(2000)), 0);
}

#[test]
fn a_session_that_is_bound_to_no_device_is_refreshed_from_any_and_stays_so() {
    let mut pair = refreshed();
    for (generation, fingerprint) in (0..).zip([&b"phone"[..], b"laptop"]) {
        let origin = Origin { device: Some(device(fingerprint)), ..NO_ORIGIN };
        pair.refresh("a", generation, origin, u64::from(generation) + 1).unwrap();
        let rules = rules(10);
        assert_eq!(pair.primary.get(&id("a"), &pair.agents, &rules).unwrap().device, None);
    }
}

#[test]
fn an_address_is_new_to_a_session_that_had_none_or_another() {
    let mut pair = Pair::default();
    pair.create(NewSession { ip: None, ..refreshable("a", 0, 90_000, 50) }, rules(0)).unwrap();
    let addresses = [None, Some("203.0.113.7"), Some("203.0.113.7"), None, Some("2001:db8::1")];
    let mut kept = None;
    for ((generation, ip), is_new) in (0..).zip(addresses).zip([false, true, false, false, true]) {
        let ip = ip.map(|ip| ip.parse().unwrap());
        let token = RefreshToken { id: id("a"), generation, session_began_at: at(0) };
        let origin = Origin { ip, ..NO_ORIGIN };
        let refresh = pair.primary.refresh(&token, origin, &pair.agents, &rules(10)).unwrap();
        let Refreshed::Granted(grant) = refresh.value else { panic!("theft") };
        kept = ip.or(kept);
        assert_eq!((grant.new_ip, grant.session.ip), (is_new, kept), "{generation}");
        pair.carry_out(&encoded(&refresh.effects));
    }
}

#[test]
fn a_refresh_or_another_id_leaves_the_other_sessions_of_the_user_as_they_are() {
    let mut pair = Pair::default();
    for text in ["older", "a", "newer"] {
        pair.create(refreshable(text, 0, 90_000, 50), rules(0)).unwrap();
    }
    let rules = rules(10);
    let others = |pair: &Pair| {
        let encoded = |text| pair.primary.store.find(&id(text)).unwrap().bytes().to_vec();
        [encoded("older"), encoded("newer")]
    };
    let before = others(&pair);
    pair.refresh("a", 0, NO_ORIGIN, 5).unwrap();
    assert_eq!(others(&pair), before);
    let grant = pair.primary.regenerate(&bare("a"), Renewal::of(id("b")), &pair.agents, &rules).unwrap();
    pair.carry_out(&encoded(&grant.effects));
    assert_eq!(others(&pair), before);
    assert_eq!(pair.ids(10), ["older", "b", "newer"]);
}

#[test]
fn another_id_is_no_longer_life() {
    let mut pair = Pair::default();
    pair.create(refreshable("0", 0, 1_000_000, 900), rules(0)).unwrap();
    for n in 1..=3u64 {
        let (old, new) = (bare(&(n - 1).to_string()), id(&n.to_string()));
        let grant = pair.primary.regenerate(&old, Renewal::of(new), &pair.agents, &rules(n * 300_000)).unwrap();
        let session = &grant.value.session;
        assert_eq!((session.created_at, session.expires_at), (at(0), at(1_000_000)));
        assert_eq!(session.refresh.unwrap().expires_at, at((n * 300_000 + 900_000).min(1_000_000)));
        pair.carry_out(&encoded(&grant.effects));
    }
    assert_eq!(pair.deadline("3", 1_000_000), Err(Reason::Expired));
}

#[test]
fn a_successor_that_was_never_used_is_given_again_to_the_same_device_for_as_long_as_the_recovery() {
    let phone = Origin { device: Some(device(b"phone")), ..NO_ORIGIN };
    let (laptop, unknown) = (Origin { device: Some(device(b"laptop")), ..NO_ORIGIN }, NO_ORIGIN);
    let begin = || {
        let mut pair = Pair::default();
        let session = NewSession { device: Some(device(b"phone")), ..refreshable("a", 0, 1_000_000, 900) };
        pair.create(session, rules(0)).unwrap();
        pair
    };
    let recover = |pair: &mut Pair, generation: u32, origin: Origin<'static>, now: u64| {
        let token = RefreshToken { id: id("a"), generation, session_began_at: at(0) };
        let rules = Rules { grace: 10, recovery: 300_000, ..rules(now) };
        let refresh = pair.primary.refresh(&token, origin, &pair.agents, &rules)?;
        pair.carry_out(&encoded(&refresh.effects));
        match refresh.value {
            Refreshed::Granted(grant) => Ok((grant.session.refresh.unwrap(), grant.issued_at)),
            Refreshed::Reused => Err(Reason::Reused),
        }
    };
    let mut pair = begin();
    let successor = recover(&mut pair, 0, phone, 1000).unwrap();
    for now in [1005, 1010, 200_000, 300_999] {
        assert_eq!(recover(&mut pair, 0, phone, now), Ok(successor), "{now}");
    }
    assert_eq!(recover(&mut pair, 0, phone, 301_000), Err(Reason::Reused));

    for (origin, now, why) in [(laptop, 2000, "another device"), (unknown, 2000, "a device that is not said")] {
        let mut pair = begin();
        recover(&mut pair, 0, phone, 1000).unwrap();
        assert_eq!(recover(&mut pair, 0, origin, now), Err(Reason::Reused), "{why}");
        assert_eq!(pair.deadline("a", now), Err(Reason::Reused));
    }
    // The successor was exchanged, or the session was used.
    let mut pair = begin();
    recover(&mut pair, 0, phone, 1000).unwrap();
    recover(&mut pair, 1, phone, 1500).unwrap();
    assert_eq!(recover(&mut pair, 0, phone, 2000), Err(Reason::Reused));
    let mut pair = begin();
    recover(&mut pair, 0, phone, 1000).unwrap();
    pair.touch("a", rules(1500)).unwrap();
    assert_eq!(recover(&mut pair, 0, phone, 2000), Err(Reason::Reused));
    // A session that is bound to no device has no recovery.
    let mut pair = refreshed();
    recover(&mut pair, 0, phone, 1000).unwrap();
    assert_eq!(recover(&mut pair, 0, phone, 2000), Err(Reason::Reused));
}

#[test]
fn the_grace_does_not_run_while_the_server_is_down() {
    let with = |from: u64, until: u64, now: u64| {
        let mut pair = refreshed();
        pair.refresh("a", 0, NO_ORIGIN, 100_000).unwrap();
        let token = RefreshToken { id: id("a"), generation: 0, session_began_at: at(0) };
        let outage = Outage { from: at(from), until: at(until) };
        let rules = Rules { grace: 10_000, outage, ..rules(now) };
        let refresh = pair.primary.refresh(&token, NO_ORIGIN, &pair.agents, &rules);
        matches!(refresh.unwrap().value, Refreshed::Granted(_))
    };
    // Exchanged at 100 s; down from 104 s to 300 s.
    assert!(with(104_000, 300_000, 305_999));
    assert!(!with(104_000, 300_000, 306_000));
    // Down at once.
    assert!(with(100_000, 300_000, 309_999) && !with(100_000, 300_000, 310_000));
    // It was over before.
    assert!(!with(110_000, 300_000, 300_001));
    // An outage of before, and a clock that has stepped back in one.
    assert!(!with(50_000, 90_000, 110_000) && with(50_000, 90_000, 109_999));
    assert!(!with(104_000, 103_000, 110_000));
}
