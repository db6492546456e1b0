//! The bytes of a value, as an RDB file or RESTORE brings them.

use redis_session_core::UnixMillis;
use redis_session_core::sessions::{AgentPool, Clock, UserSessions};

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
        let clock = Clock { now: UnixMillis::saturating_from(now.as_i64() - 1), not_before: UnixMillis::ZERO };
        for record in &list.records {
            if sessions.touch(&record.id, u64::MAX, clock).is_none() {
                assert_eq!(sessions.canonical(&agents), canonical);
            } else {
                return;
            }
        }
    }
    let mut pool = AgentPool::new();
    let loaded = UserSessions::decode(&sessions.encode(&agents), &mut pool).expect("a used value decodes");
    assert_eq!(loaded.canonical(&pool), canonical);
}
