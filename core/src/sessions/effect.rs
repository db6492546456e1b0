//! What a command did to one user's sessions, as bytes for the append-only file, for replicas and for the RDB.
//!
//! ```text
//! effects   version u8 = 1 | effect | effect | ...
//! effect    1 | cutoff                  everything up to here is revoked
//!           2 | session                 insert, or replace the one with its id
//!           3 | id | at u48             last use
//!           4 | tombstone               a session ends and leaves this; at the end
//!           5 | id                      a session or tombstone goes
//!           6 | 0                       all sessions go, tombstones stay
//!           6 | 1 | id                  all sessions but one go
//!           7 | id | session            insert in the place of the one with that id
//!           8 | id | version u64 | data set these fields of the session, whose data then has this version
//!           9 | id | version u64 | data remove the fields with these names (and empty values)
//!           10 | cutoff                 tombstones up to here were dropped while they were needed
//!           11 | sessions u32           so many sessions go, those that were added first; tombstones stay
//! cutoff    began u48 | iat u48 | until u48; zeros: none
//! id        form u8 | the id as in a record
//! ```
//!
//! Times are absolute and nothing is left to decide, so replaying them at any later time gives the same value.
//! A whole value is stored as the effects that rebuild it: there is one format to write, read and attack.

use std::borrow::Cow;

use thiserror::Error;

use super::cutoff::{Cutoff, UserCutoff};
use super::data::Data;
use super::reader::Reader;
use super::record::{read_tagged_id, write_tagged_id};
use super::session::{Session, Tombstone};
use crate::{SessionId, UnixMillis};

const VERSION: u8 = 1;

const REVOKED_BEFORE: u8 = 1;
const PUT: u8 = 2;
const SEEN: u8 = 3;
const END: u8 = 4;
const FORGET: u8 = 5;
const CLEAR: u8 = 6;
const REPLACE: u8 = 7;
const SET: u8 = 8;
const UNSET: u8 = 9;
const DROPPED_BEFORE: u8 = 10;
const OLDEST: u8 = 11;

/// The bytes of a session with an agent that is usual for a browser.
const USUAL: usize = 160;

/// One change to one user's sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect<'a> {
    /// Everything up to this cutoff is revoked.
    RevokedBefore(Option<UserCutoff>),
    /// This session is there now, in the place of one with the same id, or as the newest.
    Put(Session<'a, Cow<'a, str>>),
    /// The session was used.
    Seen {
        /// Which session.
        id: SessionId,
        /// When.
        at: UnixMillis,
    },
    /// The session has ended and leaves this tombstone.
    End(Tombstone),
    /// The session or tombstone is gone.
    Forget(SessionId),
    /// Tombstones of credentials up to this cutoff were dropped while they were needed.
    TombstonesDroppedBefore(Option<UserCutoff>),
    /// All sessions are gone but `except`.
    Clear {
        /// The one that stays.
        except: Option<SessionId>,
    },
    /// So many sessions are gone, those that were added first.
    ClearOldest {
        /// How many.
        sessions: u32,
    },
    /// A session goes on under another id, no older and no younger than it was.
    Replace {
        /// The id it had.
        old: SessionId,
        /// The session as it is now.
        session: Session<'a, Cow<'a, str>>,
    },
    /// Fields of the session have these values now.
    Set {
        /// Which session.
        id: SessionId,
        /// The version of its data afterwards.
        version: u64,
        /// The fields.
        data: Data<'a>,
    },
    /// The session has no such fields any more.
    Unset {
        /// Which session.
        id: SessionId,
        /// The version of its data afterwards.
        version: u64,
        /// The names of the fields, with empty values.
        names: Data<'a>,
    },
}

/// The bytes are not effects, or those of a later version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// Written by a later version than this.
    #[error("written by a later version: format {0}, this is format 1")]
    Version(u8),
    /// Too short, too long, or not what [`encode`] writes.
    #[error("damaged: not a valid encoding of sessions")]
    Damaged,
}

impl Effect<'_> {
    /// The latest time that it says something happened: no later than the clock of the server that decided it.
    #[must_use]
    pub fn time(&self) -> Option<UnixMillis> {
        match self {
            Self::RevokedBefore(cutoff) => cutoff.and_then(UserCutoff::time),
            Self::Put(session) | Self::Replace { session, .. } => {
                Some(session.last_seen_replicated.max(session.created_at))
            }
            Self::Seen { at, .. } => Some(*at),
            Self::End(tombstone) => Some(tombstone.ended.began),
            Self::TombstonesDroppedBefore(_)
            | Self::Forget(_)
            | Self::Clear { .. }
            | Self::ClearOldest { .. }
            | Self::Set { .. }
            | Self::Unset { .. } => None,
        }
    }
}

/// Encodes `effects`.
#[must_use]
pub fn encode(effects: &[Effect<'_>]) -> Vec<u8> {
    let mut out = start(effects.len().saturating_mul(USUAL));
    effects.iter().for_each(|effect| push(effect, &mut out));
    out
}

/// An encoding without effects, with room for so many bytes of them, for [`push`].
pub(crate) fn start(bytes: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.saturating_add(1));
    out.push(VERSION);
    out
}

/// Appends one effect.
pub(crate) fn push(effect: &Effect<'_>, out: &mut Vec<u8>) {
    match effect {
        Effect::RevokedBefore(cutoff) | Effect::TombstonesDroppedBefore(cutoff) => {
            out.push(if matches!(effect, Effect::RevokedBefore(_)) { REVOKED_BEFORE } else { DROPPED_BEFORE });
            let none = UserCutoff { cutoff: Cutoff::default(), until: UnixMillis::ZERO };
            let UserCutoff { cutoff, until } = cutoff.unwrap_or(none);
            out.extend_from_slice(&cutoff.to_bytes());
            out.extend_from_slice(&until.to_bytes());
        }
        Effect::Put(session) => {
            out.push(PUT);
            session.write(out);
        }
        Effect::Seen { id, at } => {
            out.push(SEEN);
            write_tagged_id(id, out);
            out.extend_from_slice(&at.to_bytes());
        }
        Effect::End(tombstone) => {
            out.push(END);
            tombstone.write(out);
        }
        Effect::Forget(id) => {
            out.push(FORGET);
            write_tagged_id(id, out);
        }
        Effect::Clear { except } => {
            out.extend_from_slice(&[CLEAR, u8::from(except.is_some())]);
            if let Some(id) = except {
                write_tagged_id(id, out);
            }
        }
        Effect::ClearOldest { sessions } => {
            out.push(OLDEST);
            out.extend_from_slice(&sessions.to_le_bytes());
        }
        Effect::Replace { old, session } => {
            out.push(REPLACE);
            write_tagged_id(old, out);
            session.write(out);
        }
        Effect::Set { id, version, data } => {
            out.push(SET);
            write_tagged_id(id, out);
            out.extend_from_slice(&version.to_le_bytes());
            data.write(out);
        }
        Effect::Unset { id, version, names } => {
            out.push(UNSET);
            write_tagged_id(id, out);
            out.extend_from_slice(&version.to_le_bytes());
            names.write(out);
        }
    }
}

/// Decodes all effects in `bytes`, or none.
///
/// # Errors
/// If the bytes are anything but what [`encode`] writes. Any bytes are safe to pass; the memory used is bounded by their length.
pub fn decode(bytes: &[u8]) -> Result<Vec<Effect<'_>>, DecodeError> {
    let mut reader = Reader(bytes);
    match reader.u8() {
        Some(VERSION) => {}
        Some(version) if version > VERSION => return Err(DecodeError::Version(version)),
        _ => return Err(DecodeError::Damaged),
    }
    let mut effects = Vec::new();
    while !reader.is_empty() {
        effects.push(effect(&mut reader).ok_or(DecodeError::Damaged)?);
    }
    Ok(effects)
}

fn effect<'a>(reader: &mut Reader<'a>) -> Option<Effect<'a>> {
    Some(match reader.u8()? {
        REVOKED_BEFORE => Effect::RevokedBefore(cutoff(reader)?),
        DROPPED_BEFORE => Effect::TombstonesDroppedBefore(cutoff(reader)?),
        PUT => Effect::Put(Session::read(reader)?),
        SEEN => Effect::Seen { id: read_tagged_id(reader)?, at: reader.time()? },
        END => Effect::End(Tombstone::read(reader)?),
        FORGET => Effect::Forget(read_tagged_id(reader)?),
        CLEAR => match reader.u8()? {
            0 => Effect::Clear { except: None },
            1 => Effect::Clear { except: Some(read_tagged_id(reader)?) },
            _ => return None,
        },
        OLDEST => Effect::ClearOldest { sessions: reader.u32()? },
        REPLACE => Effect::Replace { old: read_tagged_id(reader)?, session: Session::read(reader)? },
        SET => Effect::Set { id: read_tagged_id(reader)?, version: reader.u64()?, data: Data::read(reader)? },
        UNSET => Effect::Unset { id: read_tagged_id(reader)?, version: reader.u64()?, names: Data::read(reader)? },
        _ => return None,
    })
}

fn cutoff(reader: &mut Reader<'_>) -> Option<Option<UserCutoff>> {
    let cutoff = Cutoff::read(reader)?;
    let until = reader.time()?;
    Some((until > UnixMillis::ZERO).then_some(UserCutoff { cutoff, until }))
}

#[cfg(test)]
mod tests {
    use super::super::agents::AgentId;
    use super::super::record::{IdKey, Record, RecordRef, set_seen};
    use super::super::session::{Device, EndReason, Refresh, TokenFormat};
    use super::*;
    use proptest::prelude::*;
    use std::net::IpAddr;

    fn time() -> impl Strategy<Value = UnixMillis> {
        (0..1u64 << 48).prop_map(|millis| UnixMillis::new(millis).unwrap())
    }

    fn id() -> impl Strategy<Value = SessionId> {
        prop_oneof![
            any::<[u8; 16]>().prop_map(SessionId::from_random),
            "[a-z é]{1,40}|[0-9a-f]{32}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
                .prop_map(|text| SessionId::from_text(text.as_bytes()).unwrap()),
        ]
    }

    fn data(fields: std::ops::Range<usize>) -> impl Strategy<Value = Data<'static>> {
        let (name, value) = (prop::collection::vec(any::<u8>(), 1..9), prop::collection::vec(any::<u8>(), 0..99));
        prop::collection::btree_map(name, value, fields)
            .prop_map(|data| Data::pack(data.iter().map(|(name, value)| (&name[..], &value[..]))).unwrap())
    }

    /// Refresh, device, tokens, token_ttl, claims.
    type Tokens = (Option<Refresh>, Option<Device>, TokenFormat, Option<u32>, String);

    fn tokens() -> impl Strategy<Value = Tokens> {
        let refresh =
            (any::<u32>(), time(), time(), any::<u32>()).prop_map(|(generation, rotated_at, expires_at, ttl_secs)| {
                Refresh { generation, rotated_at, expires_at, ttl_secs }
            });
        let form = prop::sample::select(&[TokenFormat::Jwt, TokenFormat::Opaque, TokenFormat::None]);
        let device = prop::option::of(any::<[u8; 16]>().prop_map(Device));
        (prop::option::of(refresh), device, form, any::<Option<u32>>(), "[ -~é]{0,60}")
    }

    fn session() -> impl Strategy<Value = Session<'static, Cow<'static, str>>> {
        let times = (time(), time(), time(), any::<u32>(), time());
        let origin = (any::<Option<IpAddr>>(), "[ -~é]{0,60}", prop::option::of(time()));
        (id(), times, any::<u32>(), origin, tokens(), (data(0..4), any::<u64>(), 0..4u8, prop::option::of(time())))
            .prop_map(
                |(
                    id,
                    times,
                    idle_secs,
                    (ip, agent, accepts_from),
                    (refresh, device, tokens, token_ttl, claims),
                    (data, version, level, again),
                )| {
                    Session {
                        id,
                        created_at: times.0,
                        expires_at: times.1,
                        last_seen_replicated: times.2,
                        unreplicated_ms: times.3,
                        token_until: times.4,
                        idle_secs,
                        ip,
                        agent: (!agent.is_empty()).then_some(Cow::Owned(agent)),
                        accepts_from,
                        refresh,
                        device,
                        tokens,
                        token_ttl,
                        claims: Cow::Owned(claims),
                        data,
                        version,
                        level,
                        signed_in_again_at: again,
                    }
                },
            )
    }

    fn cutoff() -> impl Strategy<Value = Option<UserCutoff>> {
        prop::option::of((time(), time(), time())).prop_map(|times| {
            let (began, iat, until) = times.filter(|times| times.2 > UnixMillis::ZERO)?;
            Some(UserCutoff { cutoff: Cutoff { began, iat }, until })
        })
    }

    fn effects() -> impl Strategy<Value = Vec<Effect<'static>>> {
        let reason = prop::sample::select(&EndReason::ALL);
        let one = prop_oneof![
            cutoff().prop_map(Effect::RevokedBefore),
            session().prop_map(Effect::Put),
            (id(), time()).prop_map(|(id, at)| Effect::Seen { id, at }),
            (id(), reason, time(), time()).prop_map(|(id, reason, ended, until)| Effect::End(Tombstone {
                id,
                reason,
                ended: Cutoff::at(ended, 0),
                until
            })),
            id().prop_map(Effect::Forget),
            cutoff().prop_map(Effect::TombstonesDroppedBefore),
            prop::option::of(id()).prop_map(|except| Effect::Clear { except }),
            any::<u32>().prop_map(|sessions| Effect::ClearOldest { sessions }),
            (id(), session()).prop_map(|(old, session)| Effect::Replace { old, session }),
            (id(), any::<u64>(), data(1..4)).prop_map(|(id, version, data)| Effect::Set { id, version, data }),
            (id(), any::<u64>(), data(1..4)).prop_map(|(id, version, names)| Effect::Unset { id, version, names }),
        ];
        prop::collection::vec(one, 0..6)
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(effects in effects()) {
            let bytes = encode(&effects);
            prop_assert_eq!(decode(&bytes).unwrap(), effects);
        }

        /// Records are written by one function, read by another, and single fields of them are found by a table of sizes.
        /// The three agree.
        #[test]
        fn each_field_of_a_record_is_found_where_it_was_written(
            session in session(),
            slot: Option<u32>,
            next: Vec<u8>,
            seen in time(),
            unreplicated: u32,
        ) {
            let session = session.with_agent(slot.map(AgentId));
            let mut bytes = Vec::new();
            session.write(&mut bytes);
            let length = bytes.len();
            bytes.extend_from_slice(&next);
            let (record, rest) = RecordRef::split_first(&bytes).unwrap();
            prop_assert_eq!((record.bytes().len(), rest), (length, &*next));
            prop_assert!(!record.is_tombstone() && record.has_id(IdKey::of(&session.id)));
            prop_assert_eq!(record.decode(), Some(Record::Session(session.clone())));
            prop_assert_eq!(record.id(), Some(session.id.clone()));
            let times = [record.created_at(), record.expires_at(), record.last_seen_replicated(), record.token_until()];
            let written = [session.created_at, session.expires_at, session.last_seen_replicated, session.token_until];
            prop_assert_eq!(times, written);
            prop_assert_eq!((record.idle_secs(), record.last_seen_at()), (session.idle_secs, session.last_seen_at()));
            prop_assert_eq!(record.idle_expires_at(), session.idle_expires_at());
            prop_assert_eq!((record.ip(), record.agent(), record.device()), (session.ip, session.agent, session.device));
            prop_assert_eq!(record.accepts_from(), session.accepts_from);
            let rotated = session.refresh.map_or(UnixMillis::ZERO, |refresh| refresh.rotated_at);
            prop_assert_eq!(record.last_issued_at(), session.created_at.max(rotated));

            set_seen(&mut bytes[..length], seen, unreplicated);
            let used = Session { last_seen_replicated: seen, unreplicated_ms: unreplicated, ..session };
            let record = RecordRef::whole(&bytes).unwrap();
            prop_assert_eq!(record.decode(), Some(Record::Session(used)));
        }

        /// Whatever is accepted is what `encode` writes: there is one spelling of each value.
        #[test]
        fn damaged_bytes_are_refused_or_mean_what_they_say(effects in effects(), at: prop::sample::Index, to: u8) {
            let mut bytes = encode(&effects);
            let at = at.index(bytes.len());
            bytes[at] = to;
            if let Ok(read) = decode(&bytes) {
                let again = encode(&read);
                prop_assert_eq!(decode(&again).unwrap(), read);
            }
        }

        #[test]
        fn a_cut_is_noticed(effects in effects(), cut: prop::sample::Index) {
            let bytes = encode(&effects);
            let cut = cut.index(bytes.len());
            if let Ok(read) = decode(&bytes[..cut]) {
                prop_assert!(read.len() < effects.len() && effects.starts_with(&read));
            }
        }

        #[test]
        fn any_bytes_are_safe(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }
    }

    #[test]
    fn a_later_version_is_named() {
        assert_eq!(decode(&[2, 1]), Err(DecodeError::Version(2)));
        assert_eq!(decode(&[0]), Err(DecodeError::Damaged));
        assert_eq!(decode(&[]), Err(DecodeError::Damaged));
    }
}
