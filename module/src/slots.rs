//! Cluster slots: a stream for the keys of each.

use std::sync::LazyLock;

const SLOTS: usize = 16_384;

/// The slot of a key (Redis Cluster specification, "Key distribution model").
fn slot_of(key: &[u8]) -> usize {
    let tag = key.iter().position(|byte| *byte == b'{').and_then(|open| {
        let rest = key.get(open + 1..)?;
        let close = rest.iter().position(|byte| *byte == b'}')?;
        rest.get(..close).filter(|tag| !tag.is_empty())
    });
    usize::from(crc16(tag.unwrap_or(key))) % SLOTS
}

/// CRC-16/XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc: u16, byte| {
        (0..8).fold(
            crc ^ (u16::from(*byte) << 8),
            |crc, _| {
                if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
            },
        )
    })
}

/// For each slot, the least number whose decimal digits are a key of that slot.
static TAGS: LazyLock<Vec<u32>> = LazyLock::new(|| {
    let (mut tags, mut missing) = (vec![None; SLOTS], SLOTS);
    for number in 0u32.. {
        if let Some(tag @ None) = tags.get_mut(slot_of(number.to_string().as_bytes())) {
            *tag = Some(number);
            missing -= 1;
        }
        if missing == 0 {
            break;
        }
    }
    tags.into_iter().flatten().collect()
});

/// Computes the tags before they are needed. That takes some milliseconds, once.
pub(crate) fn prepare() {
    LazyLock::force(&TAGS);
}

/// The hash tag of keys in the slot of `key`.
pub(crate) fn tag_beside(key: &[u8]) -> u32 {
    tag_of(slot_of(key)).unwrap_or(0)
}

/// The hash tag of keys in a slot, if it is one.
pub(crate) fn tag_of(slot: usize) -> Option<u32> {
    TAGS.get(slot).copied()
}
