//! Room for the parts of a token while it is checked.

use super::cause::Cause;
use crate::base64url;

/// Buffers that checks decode into, to be used again for the next one.
///
/// They grow to the longest token seen, so at most to `TokenPolicy::max_token_bytes`, and hold the last one's parts.
#[derive(Default)]
pub(crate) struct Scratch {
    pub(crate) first: Vec<u8>,
    pub(crate) second: Vec<u8>,
    pub(crate) third: Vec<u8>,
}

/// Decodes one part of a token into `buffer`.
pub(crate) fn decode<'b>(part: &[u8], buffer: &'b mut Vec<u8>) -> Result<&'b [u8], Cause> {
    if buffer.len() < part.len() {
        buffer.resize(part.len(), 0);
    }
    base64url::decode_into(part, buffer).ok_or(Cause::MalformedBase64)
}
