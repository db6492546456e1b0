//! How far the readers of a server's streams are behind, and how much they have missed.

/// A stream with the groups that read it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stream {
    /// How many entries it has.
    pub length: u64,
    /// How many were ever added to it.
    pub added: u64,
    /// Who reads it.
    pub groups: Vec<Group>,
}

/// A group of readers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// How many of all entries ever added it has read; none where the server cannot tell.
    pub read: Option<u64>,
    /// How many the server says it has not read yet; none where it cannot tell.
    pub lag: Option<u64>,
}

impl Stream {
    /// How many entries the slowest group has not read, with those that are not there any more. 0 without groups.
    #[must_use]
    pub fn behind(&self) -> u64 {
        // From Redis 8 on the server's own `lag` leaves out what was dropped unread.
        let behind = |group: &Group| group.read.map(|read| self.added.saturating_sub(read)).or(group.lag).unwrap_or(0);
        self.groups.iter().map(behind).max().unwrap_or(0)
    }
}

/// The readers of all streams together.
///
/// ```
/// use redis_session_core::readers::{Group, Readers, Stream};
///
/// let mut readers = Readers::default();
/// let slow = Group { read: Some(10), lag: None };
/// readers.saw(&Stream { length: 100, added: 150, groups: vec![slow] });
/// assert_eq!((readers.behind, readers.lost), (140, 40));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readers {
    /// How many streams there are.
    pub streams: u64,
    /// Entries in all streams.
    pub length: u64,
    /// Entries that the slowest group of any stream has not read.
    pub behind: u64,
    /// Entries that are gone and that the slowest group of their stream has not read.
    pub lost: u64,
}

impl Readers {
    /// Takes one more stream in.
    pub fn saw(&mut self, stream: &Stream) {
        let behind = stream.behind();
        self.streams = self.streams.saturating_add(1);
        self.length = self.length.saturating_add(stream.length);
        self.behind = self.behind.max(behind);
        self.lost = self.lost.saturating_add(behind.saturating_sub(stream.length));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(read: u64) -> Group {
        Group { read: Some(read), lag: Some(0) }
    }

    #[test]
    fn the_slowest_group_counts_and_what_it_has_read_more_than_what_the_server_says() {
        let stream = |groups: &[Group]| Stream { length: 5, added: 9, groups: groups.to_vec() }.behind();
        assert_eq!(stream(&[]), 0, "nobody reads it");
        assert_eq!(stream(&[read(8), read(2), read(9)]), 7);
        assert_eq!(stream(&[Group { read: None, lag: Some(3) }]), 3);
        assert_eq!(stream(&[Group::default(), read(10)]), 0);
    }

    #[test]
    fn what_is_lost_adds_up_over_streams_and_the_furthest_behind_counts() {
        let mut readers = Readers::default();
        for (length, added, read) in [(5, 9, 2), (5, 5, 1), (1, 10, 8), (7, 7, 7)] {
            let group = Group { read: Some(read), lag: None };
            readers.saw(&Stream { length, added, groups: vec![group] });
        }
        assert_eq!(readers, Readers { streams: 4, length: 18, behind: 7, lost: 3 });
    }
}
