//! Effects, as a primary or an append-only file brings them.

use redis_session_core::sessions::{AgentPool, UserSessions, decode_effects, encode_effects};

use crate::bases;
use crate::input::Input;
use crate::oracle::{List, assert_holds, assert_same};

/// Any bytes are effects, or an error; and effects leave a value that is whole, whatever it was before.
///
/// The bytes: which value to begin with, and up to four times a length and the bytes of effects.
pub fn apply(data: &[u8]) {
    let mut input = Input(data);
    let bases = bases();
    let mut agents = AgentPool::new();
    let (mut sessions, mut list) = match usize::from(input.u8()) {
        at if at < bases.len() => {
            let sessions = UserSessions::decode(&bases[at], &mut agents).expect("a value");
            (sessions, LISTS.with(|lists| lists[at].clone()))
        }
        _ => Default::default(),
    };
    for _ in 0..4 {
        let Ok(effects) = decode_effects(input.counted()) else { continue };
        assert_eq!(decode_effects(&encode_effects(&effects)).as_ref(), Ok(&effects));
        sessions.apply(&effects, &mut agents);
        list.apply(&effects);
        assert_holds(&sessions, &agents, &list);
        if sessions.is_empty() {
            // Its key goes, and the next effects make another.
            assert!(agents.is_empty(), "nothing claims user agents");
            sessions = UserSessions::new();
        }
    }
    assert_same(&sessions, &agents, &list);
    sessions.agents().for_each(|agent| agents.release(agent));
    assert!(agents.is_empty(), "no user agent is claimed twice");
}

thread_local! {
    static LISTS: Vec<List> = bases().iter().map(|base| List::of(base)).collect();
}
