//! The arguments of a command, as the client writes them.

use std::net::IpAddr;

/// A mistake in a command, in the server's words.
pub(super) type Failure = String;

/// Names and values.
type Pairs<'a> = Vec<(&'a [u8], &'a [u8])>;

/// The arguments that are left.
pub(super) struct Arguments<'a>(Vec<&'a [u8]>);

impl<'a> Arguments<'a> {
    /// Those of a command, its name first.
    pub(super) fn new(arguments: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut arguments: Vec<_> = arguments.collect();
        arguments.reverse();
        Self(arguments)
    }

    /// Whether the client asks for a reply as JSON: the client writes this last, in commands whose last argument cannot
    /// be anything else.
    pub(super) fn take_json(&mut self) -> bool {
        let is_data = matches!(self.0.last(), Some(&(b"SESSION.SET" | b"SESSION.UNSET" | b"SESSION.REVOKE")));
        let is_json = !is_data && self.0.first() == Some(&&b"JSON"[..]);
        if is_json {
            self.0.remove(0);
        }
        is_json
    }

    /// The next argument, which may be missing.
    pub(super) fn next(&mut self) -> Option<&'a [u8]> {
        self.0.pop()
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Failure> {
        self.next().ok_or_else(|| "ERR wrong number of arguments".to_owned())
    }

    pub(super) fn text(&mut self) -> Result<&'a str, Failure> {
        std::str::from_utf8(self.bytes()?).map_err(|_| "ERR an argument must be UTF-8 text".to_owned())
    }

    pub(super) fn number<T: std::str::FromStr>(&mut self) -> Result<T, Failure> {
        self.text()?.parse().map_err(|_| "ERR an argument must be a whole number in its range".to_owned())
    }

    pub(super) fn ip(&mut self) -> Result<IpAddr, Failure> {
        let ip: IpAddr = self.text()?.parse().map_err(|_| "ERR ip must be an IP address".to_owned())?;
        Ok(ip.to_canonical())
    }

    /// The rest.
    pub(super) fn rest(&mut self) -> impl Iterator<Item = &'a [u8]> {
        std::mem::take(&mut self.0).into_iter().rev()
    }

    /// Names and values: as many as are left, or as many as a leading count says.
    pub(super) fn pairs(&mut self, count: Option<usize>) -> Result<Pairs<'a>, Failure> {
        let count = count.unwrap_or(self.0.len() / 2);
        (0..count).map(|_| Ok((self.bytes()?, self.bytes()?))).collect()
    }
}

pub(super) fn unknown(what: &[u8]) -> Failure {
    format!("ERR {} is nothing that a MemoryStore knows", String::from_utf8_lossy(what))
}
