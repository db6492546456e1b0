//! SESSION.SET and SESSION.UNSET

use redis_session_core::sessions::{ChangeError, Data, Rules};

use super::command::Command;
use super::parser::{Parser, field_name, session_id};
use super::user::{User, writing};
use crate::commit::commit;
use crate::ffi::{Call, Failure, Grammar, KeyUse, Spec};
use crate::stored::Sessions;

/// ```text
/// SESSION.SET key id field value [field value ...]
/// ```
pub(crate) struct Set;

/// ```text
/// SESSION.UNSET key id field [field ...]
/// ```
pub(crate) struct Unset;

impl Command for Set {
    const SPEC: Spec = Spec {
        name: "SESSION.SET",
        summary: "Sets fields of a live session, and returns how many.",
        complexity: "O(N) where N is the number of bytes of the session's fields",
        flags: "write deny-oom",
        arity: -5,
        key: KeyUse::Updates,
        grammar: &[Grammar::Key, Grammar::Value("id"), Grammar::Pairs("field", "value")],
    };

    fn run(call: &Call<'_>) -> Result<(), Failure> {
        let mut parser = Parser::new(call);
        let (key, id) = (parser.key()?, session_id("id", parser.value()?)?);
        let mut fields = vec![(field_name(parser.value()?)?, parser.value()?)];
        while parser.has_more() {
            fields.push((field_name(parser.value()?)?, parser.value()?));
        }
        let count = fields.len();
        let data = Data::pack(fields).ok_or_else(|| Failure::invalid("a field is given twice"))?;
        let User { mut key, rules, state, .. } = writing(call, key)?;
        drop(state);
        let decision = key.sessions_or_none().set(&id, data, &rules).map_err(|why| refused(why, &rules))?;
        commit(&mut key, decision);
        call.reply().count(count);
        Ok(())
    }
}

impl Command for Unset {
    const SPEC: Spec = Spec {
        name: "SESSION.UNSET",
        summary: "Removes fields of a live session, and returns how many there were.",
        complexity: "O(N) where N is the number of bytes of the session's fields",
        flags: "write",
        arity: -4,
        key: KeyUse::Updates,
        grammar: &[Grammar::Key, Grammar::Value("id"), Grammar::Values("field")],
    };

    fn run(call: &Call<'_>) -> Result<(), Failure> {
        let mut parser = Parser::new(call);
        let (key, id) = (parser.key()?, session_id("id", parser.value()?)?);
        let mut names = vec![(field_name(parser.value()?)?, &[][..])];
        while parser.has_more() {
            names.push((field_name(parser.value()?)?, &[][..]));
        }
        let names = Data::pack(names).ok_or_else(|| Failure::invalid("a field is given twice"))?;
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
