//! Bytes as the choices that a target makes.

/// Takes choices from the front of the bytes; zeros once they are used up.
pub(crate) struct Input<'a>(pub(crate) &'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn u8(&mut self) -> u8 {
        match self.0 {
            [first, rest @ ..] => {
                self.0 = rest;
                *first
            }
            [] => 0,
        }
    }

    pub(crate) fn u16(&mut self) -> u16 {
        u16::from_le_bytes([self.u8(), self.u8()])
    }

    pub(crate) fn u32(&mut self) -> u32 {
        u32::from_le_bytes([self.u8(), self.u8(), self.u8(), self.u8()])
    }

    /// One of 2^48 times, most of them of one hour or at one end of the range.
    pub(crate) fn millis(&mut self) -> u64 {
        match self.u8() {
            0 => 1,
            1 => (1 << 48) - 1,
            2 => (u64::from(self.u16()) << 32) | u64::from(self.u32()),
            _ => 1_790_000_000_000 + u64::from(self.u16()) * 50,
        }
    }

    /// At most `length` bytes.
    pub(crate) fn bytes(&mut self, length: usize) -> &'a [u8] {
        let (front, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        front
    }

    /// At most as many bytes as the next two bytes say.
    pub(crate) fn counted(&mut self) -> &'a [u8] {
        let length = usize::from(self.u16());
        self.bytes(length)
    }

    /// What is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }
}
