//! The bytes of a value, as an RDB file or RESTORE brings them.

use redis_session_core::UnixMillis;
use redis_session_core::sessions::{AgentPool, Check, Presented, Rules, UserSessions};

use crate::oracle::{List, assert_same};

/// Any bytes are a value that holds what they say, or an error that leaves nothing behind.
pub fn value(data: &[u8]) {
    let mut agents = AgentPool::new();
    let Ok(mut sessions) = UserSessions::decode(data, &mut agents) else {
        assert!(agents.is_empty(), "an error claims no user agent");
        return;
    };
    assert_eq!(sessions.encode(&agents), data, "there is one encoding of each value");
    let list = List::of(data);
    assert_same(&sessions, &agents, &list);

    // Uses that are not replicated change what is stored and nothing that is compared.
    let canonical = sessions.canonical(&agents);
    for now in [UnixMillis::ZERO, sessions.last_deadline(), UnixMillis::MAX] {
        let rules = Rules { touch_granularity: u64::MAX, ..Rules::default() };
        let rules = rules.at(UnixMillis::saturating_from(now.as_i64() - 1));
        for record in &list.records {
            let touch = sessions.touch(&Presented::id(record.id.clone()), Check::default(), &rules);
            if touch.is_ok_and(|touch| !touch.effects.is_empty()) {
                return;
            }
            assert_eq!(sessions.canonical(&agents), canonical);
        }
    }
    let mut pool = AgentPool::new();
    let loaded = UserSessions::decode(&sessions.encode(&agents), &mut pool).expect("a used value decodes");
    assert_eq!(loaded.canonical(&pool), canonical);
}
