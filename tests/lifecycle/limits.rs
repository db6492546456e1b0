//! The limit of sessions, with refresh tokens.

use redis_session_tests::{create, error, ids, on_both, verdict};

use crate::steps::{KEY, refresh, refreshed};

#[test]
fn the_refresh_token_of_the_one_that_made_room_says_evicted() {
    on_both(|_, con| {
        let oldest = create(con, "sessions:42 ID s1 MAX 2 REFRESH 1000");
        let newer = create(con, "sessions:42 ID s2 MAX 2 REFRESH 1000");
        assert_eq!(create(con, "sessions:42 ID s3 MAX 2 REFRESH 1000").strings("evicted"), ["s1"]);
        assert_eq!(refreshed(con, oldest.str("refresh_token")), "evicted");
        assert_eq!(verdict(con, KEY, &oldest.str("token")), "evicted");
        assert_eq!(refreshed(con, newer.str("refresh_token")), "granted");
    });
}

#[test]
fn a_refresh_makes_no_session_younger() {
    on_both(|_, con| {
        let token = create(con, "sessions:42 ID s1 REFRESH 1000").str("refresh_token");
        create(con, "sessions:42 ID s2 REFRESH 1000");
        refresh(con, &token);
        assert_eq!(create(con, "sessions:42 ID s3 MAX 2").strings("evicted"), ["s1"]);
    });
}

#[test]
fn a_refresh_at_the_limit_evicts_nobody() {
    on_both(|_, con| {
        let token = create(con, "sessions:42 ID s1 REFRESH 1000").str("refresh_token");
        create(con, "sessions:42 ID s2 MAX 2 REJECT");
        crate::steps::set(con, "session.max-per-user 1");
        let granted = refresh(con, &token);
        assert_eq!(granted.strings("evicted"), Vec::<String>::new());
        assert_eq!(ids(con, KEY), ["s2", "s1"]);
        crate::steps::set(con, "session.max-per-user 100");
    });
}

#[test]
fn a_session_that_ended_by_theft_makes_room() {
    on_both(|_, con| {
        crate::steps::set(con, "session.refresh-grace 0");
        let token = create(con, "sessions:42 ID s1 MAX 1 REFRESH 1000").str("refresh_token");
        assert!(error(con, "SESSION.CREATE sessions:42 MAX 1 REJECT").starts_with("SESSIONLIMIT "));
        refresh(con, &token);
        assert_eq!(refreshed(con, &token), "reused");
        assert_eq!(create(con, "sessions:42 ID s2 MAX 1 REJECT").strings("evicted"), Vec::<String>::new());
    });
}
