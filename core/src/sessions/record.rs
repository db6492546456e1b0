//! The bytes of one session, and of the tombstone that an ended one leaves.
//!
//! ```text
//! session   flags u16 | id | created u48 | expires u48 | seen u48 | unreplicated u32 | token_until u48
//!           | [idle u32] | [ip 4 or 16] | [agent] | [refresh] | [device 16] | [token_ttl u32] | [accepts_from u48]
//!           | [more] | [claims] | [data]
//! tombstone flags u16 | id | until u48 | began u48 | iat u48
//!
//! flags     bits 0-1   id: 0 base64url, 1 UUID, 2 hex (16 bytes each), 3 text (length u8, then the text)
//!           bits 2-3   ip: 0 none, 1 IPv4 (4 bytes), 2 IPv6 (16 bytes)
//!           bit  4     idle timeout, seconds
//!           bit  5     agent: in memory u32, the slot in the agent pool; elsewhere length u16, then the text
//!           bit  6     data: length u32 of what follows, then per field: length u16, length u32, name, value
//!           bit  7     accepts_from: the id comes from outside; the earliest `iat` of JWTs made elsewhere that count
//!           bit  8     this is a tombstone
//!           bit  9     refresh: generation u32 | rotated u48 | expires u48 | lifetime u32, seconds
//!           bit  10    device: a digest of its fingerprint
//!           bit  11    claims: length u32, then the JSON that each JWT of the session carries
//!           bit  12    token_ttl: lifetime of its access tokens, seconds
//!           bits 13-14 its tokens: 0 JWTs, 1 opaque ones, 2 none
//!           bit  15    more: flags u8, and what they announce: bit 0, version u64, how often the data has changed;
//!                      bit 1, level u8, how strongly the user signed in, 1 to 3; bit 2, auth_time u48, when, if not
//!                      when the session began
//!           bits 9-11  of a tombstone: the reason
//! created   when the session began                      u48: Unix milliseconds
//! expires   its absolute deadline
//! seen      last use, as replicas know it
//! unreplicated   milliseconds from `seen` to the last use on this server
//! token_until    when the last token issued for it expires
//! began, iat     the cutoff of what it ends: the last time of a session's begin, and of a JWT's `iat`
//! until     when the last of these credentials has expired
//! ```
//!
//! Numbers are little-endian. A session with an IPv4 address and an agent takes 54 bytes, a tombstone 36.

use std::borrow::Cow;
use std::net::IpAddr;

use super::agents::AgentId;
use super::cutoff::Cutoff;
use super::data::Data;
use super::reader::Reader;
use super::session::{Device, EndReason, MAX_AGENT_BYTES, Refresh, Session, TokenFormat, Tombstone, idle_deadline};
use crate::id::{Form, Spelling};
use crate::{SessionId, UnixMillis};

const ID_FORM: u16 = 0b11;
const ID_TEXT: u16 = 3;
const IP_SHIFT: u16 = 2;
const IP: u16 = 0b11 << IP_SHIFT;
const IDLE: u16 = 1 << 4;
const AGENT: u16 = 1 << 5;
const DATA: u16 = 1 << 6;
const EXTERNAL: u16 = 1 << 7;
const TOMBSTONE: u16 = 1 << 8;
const REFRESH: u16 = 1 << 9;
const DEVICE: u16 = 1 << 10;
const CLAIMS: u16 = 1 << 11;
const TOKEN_TTL: u16 = 1 << 12;
const TOKENS_SHIFT: u16 = 13;
const TOKENS: u16 = 0b11 << TOKENS_SHIFT;
const MORE: u16 = 1 << 15;
const REASON_SHIFT: u16 = 9;
const REASON: u16 = 0b111 << REASON_SHIFT;

const SESSION_BITS: u16 =
    ID_FORM | IP | IDLE | AGENT | DATA | EXTERNAL | REFRESH | DEVICE | CLAIMS | TOKEN_TTL | TOKENS | MORE;
const TOMBSTONE_BITS: u16 = ID_FORM | TOMBSTONE | REASON;

/// The second byte of flags, for what few sessions have.
const MORE_VERSION: u8 = 1;
const MORE_LEVEL: u8 = 1 << 1;
const MORE_AUTH_TIME: u8 = 1 << 2;
const MORE_BITS: u8 = MORE_VERSION | MORE_LEVEL | MORE_AUTH_TIME;

/// Created, expires, seen, unreplicated, token_until.
const TIMES: usize = 6 + 6 + 6 + 4 + 6;
/// Until, began, iat.
const TOMBSTONE_TIMES: usize = 6 + 6 + 6;
/// Generation, rotated, expires, lifetime.
const REFRESH_BYTES: usize = 4 + 6 + 6 + 4;
/// More than most sessions take without claims and data, so that their bytes are allocated at once.
const MOST_BYTES: usize = 256;
/// The same of tombstones.
const MOST_TOMBSTONE_BYTES: usize = 64;

/// A user agent as records hold it: a slot of the pool in memory, text on disk and on the wire.
pub(crate) trait AgentField<'a>: Sized {
    fn write(&self, out: &mut Vec<u8>);
    fn read(reader: &mut Reader<'a>) -> Option<Self>;
}

impl AgentField<'_> for AgentId {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0.to_le_bytes());
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        reader.u32().map(Self)
    }
}

impl<'a> AgentField<'a> for Cow<'a, str> {
    fn write(&self, out: &mut Vec<u8>) {
        // Commands and the reader below bound the text well under 2^16 bytes.
        let length = u16::try_from(self.len()).unwrap_or(0);
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(self.as_bytes().get(..usize::from(length)).unwrap_or_default());
    }

    fn read(reader: &mut Reader<'a>) -> Option<Self> {
        let length = usize::from(reader.u16()?);
        if length == 0 || length > MAX_AGENT_BYTES {
            return None;
        }
        std::str::from_utf8(reader.bytes(length)?).ok().map(Cow::Borrowed)
    }
}
#[allow(private_bounds)] // the two kinds of agent are all there are
impl<'a, A: AgentField<'a>> Session<'a, A> {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.reserve(MOST_BYTES + self.claims.len() + self.data.as_bytes().len());
        let mut more = 0;
        for (bit, set) in [
            (MORE_VERSION, self.version > 0),
            (MORE_LEVEL, self.level > 0),
            (MORE_AUTH_TIME, self.signed_in_again_at.is_some()),
        ] {
            if set {
                more |= bit;
            }
        }
        let mut flags = id_flags(&self.id);
        flags |= match self.ip {
            None => 0,
            Some(IpAddr::V4(_)) => 1 << IP_SHIFT,
            Some(IpAddr::V6(_)) => 2 << IP_SHIFT,
        };
        for (bit, set) in [
            (IDLE, self.idle_secs > 0),
            (AGENT, self.agent.is_some()),
            (DATA, !self.data.is_empty()),
            (EXTERNAL, self.accepts_from.is_some()),
            (REFRESH, self.refresh.is_some()),
            (DEVICE, self.device.is_some()),
            (CLAIMS, !self.claims.is_empty()),
            (TOKEN_TTL, self.token_ttl.is_some()),
            (MORE, more != 0),
        ] {
            if set {
                flags |= bit;
            }
        }
        flags |= self.tokens.code() << TOKENS_SHIFT;
        out.extend_from_slice(&flags.to_le_bytes());
        write_id(&self.id, out);
        out.extend_from_slice(&self.created_at.to_bytes());
        out.extend_from_slice(&self.expires_at.to_bytes());
        out.extend_from_slice(&self.last_seen_replicated.to_bytes());
        out.extend_from_slice(&self.unreplicated_ms.to_le_bytes());
        out.extend_from_slice(&self.token_until.to_bytes());
        if self.idle_secs > 0 {
            out.extend_from_slice(&self.idle_secs.to_le_bytes());
        }
        match self.ip {
            None => {}
            Some(IpAddr::V4(ip)) => out.extend_from_slice(&ip.octets()),
            Some(IpAddr::V6(ip)) => out.extend_from_slice(&ip.octets()),
        }
        if let Some(agent) = &self.agent {
            agent.write(out);
        }
        if let Some(refresh) = &self.refresh {
            out.extend_from_slice(&refresh.generation.to_le_bytes());
            out.extend_from_slice(&refresh.rotated_at.to_bytes());
            out.extend_from_slice(&refresh.expires_at.to_bytes());
            out.extend_from_slice(&refresh.ttl_secs.to_le_bytes());
        }
        if let Some(device) = &self.device {
            out.extend_from_slice(&device.0);
        }
        if let Some(secs) = self.token_ttl {
            out.extend_from_slice(&secs.to_le_bytes());
        }
        if let Some(time) = self.accepts_from {
            out.extend_from_slice(&time.to_bytes());
        }
        if more != 0 {
            out.push(more);
        }
        if self.version > 0 {
            out.extend_from_slice(&self.version.to_le_bytes());
        }
        if self.level > 0 {
            out.push(self.level);
        }
        if let Some(time) = self.signed_in_again_at {
            out.extend_from_slice(&time.to_bytes());
        }
        for text in [self.claims.as_bytes(), self.data.as_bytes()] {
            if !text.is_empty() {
                out.extend_from_slice(&u32::try_from(text.len()).unwrap_or(0).to_le_bytes());
                out.extend_from_slice(text);
            }
        }
    }

    /// Reads what [`Session::write`] wrote; `None` for anything else.
    pub(crate) fn read(reader: &mut Reader<'a>) -> Option<Self> {
        let flags = reader.u16()?;
        if flags & !SESSION_BITS != 0 {
            return None;
        }
        let id = read_id(flags, reader)?;
        let created_at = reader.time()?;
        let expires_at = reader.time()?;
        let last_seen_replicated = reader.time()?;
        let unreplicated_ms = reader.u32()?;
        let token_until = reader.time()?;
        let idle_secs = if flags & IDLE != 0 { reader.u32().filter(|secs| *secs > 0)? } else { 0 };
        let ip = match (flags & IP) >> IP_SHIFT {
            0 => None,
            1 => Some(IpAddr::from(reader.array::<4>()?)),
            2 => Some(IpAddr::from(reader.array::<16>()?)),
            _ => return None,
        };
        let agent = if flags & AGENT != 0 { Some(A::read(reader)?) } else { None };
        let refresh = if flags & REFRESH != 0 { Some(Refresh::read(reader)?) } else { None };
        let device = if flags & DEVICE != 0 { Some(Device(reader.array()?)) } else { None };
        let token_ttl = if flags & TOKEN_TTL != 0 { Some(reader.u32()?) } else { None };
        let accepts_from = if flags & EXTERNAL != 0 { Some(reader.time()?) } else { None };
        let more = match flags & MORE {
            0 => 0,
            _ => reader.u8().filter(|more| *more != 0 && more & !MORE_BITS == 0)?,
        };
        let version = if more & MORE_VERSION != 0 { reader.u64().filter(|version| *version > 0)? } else { 0 };
        let level = if more & MORE_LEVEL != 0 { reader.u8().filter(|level| (1..=3).contains(level))? } else { 0 };
        let signed_in_again_at = if more & MORE_AUTH_TIME != 0 { Some(reader.time()?) } else { None };
        let tokens = TokenFormat::from_code((flags & TOKENS) >> TOKENS_SHIFT)?;
        let claims = if flags & CLAIMS != 0 { std::str::from_utf8(reader.counted()?).ok()? } else { "" };
        let data = if flags & DATA != 0 { Data::from_bytes(reader.counted()?)? } else { Data::default() };
        Some(Self {
            id,
            created_at,
            expires_at,
            last_seen_replicated,
            unreplicated_ms,
            token_until,
            idle_secs,
            ip,
            agent,
            accepts_from,
            refresh,
            device,
            tokens,
            token_ttl,
            claims: Cow::Borrowed(claims),
            data,
            version,
            level,
            signed_in_again_at,
        })
    }
}

impl Tombstone {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.reserve(MOST_TOMBSTONE_BYTES);
        let flags = id_flags(&self.id) | TOMBSTONE | (self.reason.code() << REASON_SHIFT);
        out.extend_from_slice(&flags.to_le_bytes());
        write_id(&self.id, out);
        out.extend_from_slice(&self.until.to_bytes());
        out.extend_from_slice(&self.ended.to_bytes());
    }

    /// Reads what [`Tombstone::write`] wrote; `None` for anything else.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let flags = reader.u16()?;
        if flags & !TOMBSTONE_BITS != 0 || flags & TOMBSTONE == 0 {
            return None;
        }
        let reason = EndReason::from_code((flags & REASON) >> REASON_SHIFT)?;
        let (id, until) = (read_id(flags, reader)?, reader.time()?);
        Some(Self { id, reason, ended: Cutoff::read(reader)?, until })
    }
}

impl Refresh {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            generation: reader.u32()?,
            rotated_at: reader.time()?,
            expires_at: reader.time()?,
            ttl_secs: reader.u32()?,
        })
    }
}

fn id_flags(id: &SessionId) -> u16 {
    match id.form() {
        Form::Compact(Spelling::Base64Url, _) => 0,
        Form::Compact(Spelling::Uuid, _) => 1,
        Form::Compact(Spelling::Hex, _) => 2,
        Form::Text(_) => ID_TEXT,
    }
}

fn id_bytes(id: &SessionId) -> &[u8] {
    match id.form() {
        Form::Compact(_, bytes) => bytes,
        Form::Text(text) => text.as_bytes(),
    }
}

pub(crate) fn write_id(id: &SessionId, out: &mut Vec<u8>) {
    let bytes = id_bytes(id);
    if id_flags(id) == ID_TEXT {
        out.push(u8::try_from(bytes.len()).unwrap_or(0));
    }
    out.extend_from_slice(bytes);
}

fn read_id(flags: u16, reader: &mut Reader<'_>) -> Option<SessionId> {
    let spelling = match flags & ID_FORM {
        0 => Spelling::Base64Url,
        1 => Spelling::Uuid,
        2 => Spelling::Hex,
        _ => {
            let length = usize::from(reader.u8()?);
            let id = SessionId::from_text(reader.bytes(length)?).ok()?;
            // A text that has a 16-byte form must come in it, or one session could have two records.
            return (id_flags(&id) == ID_TEXT).then_some(id);
        }
    };
    Some(SessionId::from_form(Form::Compact(spelling, reader.array()?)))
}

/// An id together with how it is stored, outside of a record.
pub(crate) fn write_tagged_id(id: &SessionId, out: &mut Vec<u8>) {
    out.push(id_flags(id).to_le_bytes()[0]);
    write_id(id, out);
}

/// Reads what [`write_tagged_id`] wrote; `None` for anything else.
pub(crate) fn read_tagged_id(reader: &mut Reader<'_>) -> Option<SessionId> {
    let form = u16::from(reader.u8()?);
    if form & !ID_FORM != 0 {
        return None;
    }
    read_id(form, reader)
}

/// An id in the form in which stored records are compared with it.
#[derive(Clone, Copy)]
pub(crate) struct IdKey<'a> {
    form: u16,
    bytes: &'a [u8],
}

impl<'a> IdKey<'a> {
    pub(crate) fn of(id: &'a SessionId) -> Self {
        Self { form: id_flags(id), bytes: id_bytes(id) }
    }

    pub(crate) fn as_parts(self) -> (u16, &'a [u8]) {
        (self.form, self.bytes)
    }
}

/// The fields of a fixed size that follow the times of a session with these flags, in their order, with their sizes.
fn optional_fields(flags: u16) -> impl Iterator<Item = (u16, usize)> {
    let ip = match (flags & IP) >> IP_SHIFT {
        0 => 0,
        1 => 4,
        _ => 16,
    };
    let fields =
        [(IDLE, 4), (IP, ip), (AGENT, 4), (REFRESH, REFRESH_BYTES), (DEVICE, 16), (TOKEN_TTL, 4), (EXTERNAL, 6)];
    fields.into_iter().filter(move |(bit, _)| flags & bit != 0)
}

/// The fields that follow a second byte of flags, in their order, with their sizes.
fn more_fields(more: u8) -> impl Iterator<Item = (u8, usize)> {
    [(MORE_VERSION, 8), (MORE_LEVEL, 1), (MORE_AUTH_TIME, 6)].into_iter().filter(move |(bit, _)| more & bit != 0)
}

/// The bytes of one stored record, which this module wrote itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordRef<'a> {
    bytes: &'a [u8],
    flags: u16,
    /// Where the id's bytes begin and end.
    id: (usize, usize),
}

/// A stored record, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record<'a> {
    Session(Session<'a, AgentId>),
    Tombstone(Tombstone),
}

impl<'a> RecordRef<'a> {
    /// The record at the front of `bytes` and what follows it.
    pub(crate) fn split_first(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let flags = u16::from_le_bytes(*bytes.first_chunk()?);
        let id = match flags & ID_FORM {
            ID_TEXT => (3, 3 + usize::from(*bytes.get(2)?)),
            _ => (2, 18),
        };
        let mut length = id.1;
        if flags & TOMBSTONE != 0 {
            length += TOMBSTONE_TIMES;
        } else {
            length += TIMES + optional_fields(flags).map(|(_, size)| size).sum::<usize>();
            if flags & MORE != 0 {
                length += 1 + more_fields(*bytes.get(length)?).map(|(_, size)| size).sum::<usize>();
            }
            for bit in [CLAIMS, DATA] {
                if flags & bit != 0 {
                    let counted = u32::from_le_bytes(*bytes.get(length..)?.first_chunk()?);
                    length += 4 + usize::try_from(counted).ok()?;
                }
            }
        }
        let (bytes, rest) = bytes.split_at_checked(length)?;
        Some((Self { bytes, flags, id }, rest))
    }

    pub(crate) fn whole(bytes: &'a [u8]) -> Option<Self> {
        Self::split_first(bytes).map(|(record, _)| record)
    }

    pub(crate) fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    pub(crate) fn id_key(self) -> IdKey<'a> {
        IdKey { form: self.flags & ID_FORM, bytes: self.bytes.get(self.id.0..self.id.1).unwrap_or_default() }
    }

    pub(crate) fn has_id(self, id: IdKey<'_>) -> bool {
        let own = self.id_key();
        own.form == id.form && own.bytes == id.bytes
    }

    pub(crate) fn is_tombstone(self) -> bool {
        self.flags & TOMBSTONE != 0
    }

    fn time_at(self, offset: usize) -> UnixMillis {
        let field = self.bytes.get(self.id.1 + offset..).and_then(|rest| rest.first_chunk());
        field.map_or(UnixMillis::ZERO, |bytes| UnixMillis::from_bytes(*bytes))
    }

    fn u32_at(self, offset: usize) -> u32 {
        let field = self.bytes.get(self.id.1 + offset..).and_then(|rest| rest.first_chunk());
        field.map_or(0, |bytes| u32::from_le_bytes(*bytes))
    }

    pub(crate) fn created_at(self) -> UnixMillis {
        self.time_at(0)
    }

    pub(crate) fn expires_at(self) -> UnixMillis {
        self.time_at(6)
    }

    pub(crate) fn last_seen_replicated(self) -> UnixMillis {
        self.time_at(12)
    }

    pub(crate) fn last_seen_at(self) -> UnixMillis {
        self.last_seen_replicated().saturating_add(u64::from(self.u32_at(18)))
    }

    pub(crate) fn idle_secs(self) -> u32 {
        if self.flags & IDLE != 0 { self.u32_at(TIMES) } else { 0 }
    }

    pub(crate) fn idle_expires_at(self) -> Option<UnixMillis> {
        if self.flags & IDLE != 0 { idle_deadline(self.last_seen_at(), self.idle_secs()) } else { None }
    }

    /// When the last token issued for it expires; of a tombstone, until when it is kept.
    pub(crate) fn token_until(self) -> UnixMillis {
        if self.is_tombstone() { self.time_at(0) } else { self.time_at(22) }
    }

    /// The cutoff of what it ends, if it is a tombstone.
    pub(crate) fn ended(self) -> Cutoff {
        Cutoff { began: self.time_at(6), iat: self.time_at(12) }
    }

    /// When its last token was issued, as far as that is known.
    pub(crate) fn last_issued_at(self) -> UnixMillis {
        if self.is_tombstone() {
            return self.ended().began;
        }
        // The second of a refresh token's four fields is when it was rotated.
        let rotated = self.field(REFRESH).and_then(|field| field.get(4..)?.first_chunk());
        let rotated = rotated.map_or(UnixMillis::ZERO, |bytes| UnixMillis::from_bytes(*bytes));
        self.created_at().max(rotated)
    }

    /// Of a session under an id from outside: the earliest `iat` of JWTs made elsewhere that it accepts.
    pub(crate) fn accepts_from(self) -> Option<UnixMillis> {
        self.field(EXTERNAL)?.first_chunk().map(|bytes| UnixMillis::from_bytes(*bytes))
    }

    /// When nothing of it is of any use any more: the last deadline of the session and of its tokens.
    pub(crate) fn last_deadline(self) -> UnixMillis {
        if self.is_tombstone() { self.token_until() } else { self.token_until().max(self.expires_at()) }
    }

    /// The deadline of which a session dies, if it has passed.
    pub(crate) fn died_at(self) -> UnixMillis {
        self.expires_at().min(self.idle_expires_at().unwrap_or(UnixMillis::MAX))
    }

    pub(crate) fn end_reason(self) -> Option<EndReason> {
        if self.is_tombstone() { EndReason::from_code((self.flags & REASON) >> REASON_SHIFT) } else { None }
    }

    pub(crate) fn decode(self) -> Option<Record<'a>> {
        let mut reader = Reader(self.bytes);
        if self.is_tombstone() {
            Tombstone::read(&mut reader).map(Record::Tombstone)
        } else {
            Session::read(&mut reader).map(Record::Session)
        }
    }

    /// The id.
    pub(crate) fn id(self) -> Option<SessionId> {
        read_id(self.flags, &mut Reader(self.bytes.get(2..)?))
    }

    /// Where an optional field of a session begins, counted from the end of the id.
    fn offset_of(self, field: u16) -> Option<usize> {
        if self.is_tombstone() || self.flags & field == 0 {
            return None;
        }
        let before = optional_fields(self.flags).take_while(|(bit, _)| *bit != field);
        Some(TIMES + before.map(|(_, size)| size).sum::<usize>())
    }

    fn field(self, field: u16) -> Option<&'a [u8]> {
        self.bytes.get(self.id.1 + self.offset_of(field)?..)
    }

    /// One of the fields that the second byte of flags announces.
    fn more_field(self, field: u8) -> Option<&'a [u8]> {
        if self.is_tombstone() || self.flags & MORE == 0 {
            return None;
        }
        let before = TIMES + optional_fields(self.flags).map(|(_, size)| size).sum::<usize>();
        let (more, fields) = self.bytes.get(self.id.1 + before..)?.split_first()?;
        if more & field == 0 {
            return None;
        }
        let before = more_fields(*more).take_while(|(bit, _)| *bit != field);
        fields.get(before.map(|(_, size)| size).sum::<usize>()..)
    }

    /// How strongly the user signed in.
    pub(crate) fn level(self) -> u8 {
        self.more_field(MORE_LEVEL).and_then(|field| field.first().copied()).unwrap_or(0)
    }

    /// When the user signed in last.
    pub(crate) fn auth_time(self) -> UnixMillis {
        let again = self.more_field(MORE_AUTH_TIME).and_then(|field| field.first_chunk());
        again.map_or_else(|| self.created_at(), |bytes| UnixMillis::from_bytes(*bytes))
    }

    pub(crate) fn agent(self) -> Option<AgentId> {
        self.field(AGENT)?.first_chunk().map(|bytes| AgentId(u32::from_le_bytes(*bytes)))
    }

    pub(crate) fn ip(self) -> Option<IpAddr> {
        let field = self.field(IP)?;
        match (self.flags & IP) >> IP_SHIFT {
            1 => field.first_chunk::<4>().map(|ip| IpAddr::from(*ip)),
            _ => field.first_chunk::<16>().map(|ip| IpAddr::from(*ip)),
        }
    }

    pub(crate) fn device(self) -> Option<Device> {
        self.field(DEVICE)?.first_chunk().map(|digest| Device(*digest))
    }
}

/// Overwrites `seen` and `unreplicated` in the bytes of a session's record.
pub(crate) fn set_seen(record: &mut [u8], seen: UnixMillis, unreplicated_ms: u32) {
    let Some(id_end) = RecordRef::whole(record).filter(|record| !record.is_tombstone()).map(|record| record.id.1)
    else {
        return;
    };
    if let Some(field) = record.get_mut(id_end + 12..).and_then(|rest| rest.first_chunk_mut::<10>()) {
        let [a, b, c, d, e, f] = seen.to_bytes();
        let [g, h, i, j] = unreplicated_ms.to_le_bytes();
        *field = [a, b, c, d, e, f, g, h, i, j];
    }
}
