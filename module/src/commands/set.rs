//! SESSION.SET, SESSION.INCRBY and SESSION.UNSET

use redis_session_core::SessionId;
use redis_session_core::sessions::{ChangeError, Data, Rules};

use super::command::Command;
use super::grammar::{arguments, fields, key, leading, value, values, worded};
use super::kinds::{DataVersion, FieldName, Id, Integer, pack};
use super::user::{User, writing};
use crate::commit::commit;
use crate::ffi::{Arg, Call, Failure, KeyUse, Spec};
use crate::stored::Sessions;

pub(crate) struct Set;

arguments! {
    pub(super) struct SetArguments<'a> {
        key: Arg<'a> = key(),
        id: SessionId = value("id", Id),
        version: Option<Option<u64>> = leading(worded("VERSION", "v", DataVersion)),
        data: Data<'static> = fields(),
    }
}

pub(crate) struct Incrby;

arguments! {
    pub(super) struct IncrbyArguments<'a> {
        key: Arg<'a> = key(),
        id: SessionId = value("id", Id),
        field: &'a [u8] = value("field", FieldName),
        by: i64 = value("n", Integer),
    }
}

pub(crate) struct Unset;

arguments! {
    pub(super) struct UnsetArguments<'a> {
        key: Arg<'a> = key(),
        id: SessionId = value("id", Id),
        names: Vec<&'a [u8]> = values("field", FieldName),
    }
}

impl Command for Set {
    const SPEC: Spec = Spec {
        name: "SESSION.SET",
        summary: "Sets fields of a live session and returns how many. With VERSION, only if its data has that version.",
        complexity: "O(N) where N is the number of bytes of the session's fields",
        flags: "write deny-oom",
        key: KeyUse::Updates,
    };

    type Arguments<'a> = SetArguments<'a>;

    fn run<'a>(call: &Call<'a>, arguments: SetArguments<'a>) -> Result<(), Failure> {
        let SetArguments { key, id, version, data } = arguments;
        let count = data.len();
        let User { mut key, rules, state, .. } = writing(call, key)?;
        drop(state);
        let decision = key.sessions_or_none().set(&id, data, version.flatten(), &rules);
        let decision = decision.map_err(|why| refused(why, &rules))?;
        commit(&mut key, decision);
        call.reply().count(count);
        Ok(())
    }
}

impl Command for Incrby {
    const SPEC: Spec = Spec {
        name: "SESSION.INCRBY",
        summary: "Adds to a field of a live session that is a whole number, and returns the sum.",
        complexity: "O(N) where N is the number of bytes of the session's fields",
        flags: "write deny-oom",
        key: KeyUse::Updates,
    };

    type Arguments<'a> = IncrbyArguments<'a>;

    fn run<'a>(call: &Call<'a>, arguments: IncrbyArguments<'a>) -> Result<(), Failure> {
        let IncrbyArguments { key, id, field, by } = arguments;
        let User { mut key, rules, state, .. } = writing(call, key)?;
        drop(state);
        let decision = key.sessions_or_none().increment(&id, field, by, &rules);
        let decision = decision.map_err(|why| refused(why, &rules))?;
        let sum = commit(&mut key, decision);
        call.reply().integer(sum);
        Ok(())
    }
}

impl Command for Unset {
    const SPEC: Spec = Spec {
        name: "SESSION.UNSET",
        summary: "Removes fields of a live session, and returns how many there were.",
        complexity: "O(N) where N is the number of bytes of the session's fields",
        flags: "write",
        key: KeyUse::Updates,
    };

    type Arguments<'a> = UnsetArguments<'a>;

    fn run<'a>(call: &Call<'a>, UnsetArguments { key, id, names }: UnsetArguments<'a>) -> Result<(), Failure> {
        let names = pack(names.into_iter().map(|name| (name, &[][..])).collect(), "a field is given twice")?;
        let User { mut key, rules, state, .. } = writing(call, key)?;
        drop(state);
        let decision = key.sessions_or_none().unset(&id, names, &rules).map_err(|why| refused(why, &rules))?;
        let removed = commit(&mut key, decision);
        call.reply().count(removed);
        Ok(())
    }
}

fn refused(why: ChangeError, rules: &Rules) -> Failure {
    match why {
        ChangeError::Conflict(version) => {
            Failure::Coded("CONFLICT", format!("the session's data has been changed: its version is {version}"))
        }
        ChangeError::NoNumber => Failure::invalid("the field is not a whole number of 64 bits"),
        ChangeError::Overflow => Failure::invalid("the sum would have more than 64 bits"),
        ChangeError::Dead(reason) => Failure::Coded("NOSESSION", format!("the session is not alive: {reason}")),
        ChangeError::TooLarge(size) => {
            let max = rules.data.bytes;
            Failure::invalid(format!("the session would have {size} bytes of fields, session.max-data-bytes is {max}"))
        }
        ChangeError::TooMany(count) => {
            let max = rules.data.fields;
            Failure::invalid(format!("the session would have {count} fields, session.max-fields is {max}"))
        }
    }
}
