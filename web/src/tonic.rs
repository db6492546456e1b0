//! gRPC answers: of handlers of tonic, and of the layer itself.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Response};
use http_body_util::Full;
use tonic::{Code, Status};

use crate::rejection::Rejection;

/// If the token is genuine, the message says why it is not good, with the text of [`SessionLayer::reason_text`].
///
/// [`SessionLayer::reason_text`]: crate::SessionLayer::reason_text
impl From<Rejection> for Status {
    fn from(rejection: Rejection) -> Self {
        let code = match rejection.status().as_u16() {
            303 | 401 => Code::Unauthenticated,
            403 => Code::PermissionDenied,
            409 => Code::ResourceExhausted,
            503 => Code::Unavailable,
            _ => Code::Internal,
        };
        let told = match &rejection {
            Rejection::Refused(refusal) => refusal.description(),
            Rejection::StepUp(step_up) => step_up.refusal.description(),
            _ => None,
        };
        Self::new(code, told.map_or_else(|| rejection.to_string(), str::to_owned))
    }
}

/// Whether a request is a gRPC call, by its content type (gRPC, "PROTOCOL-HTTP2.md").
pub(crate) fn is_call(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

/// The layer's own answer to a call: a status, because gRPC clients read nothing else.
pub(crate) fn answer(rejection: Rejection) -> Response<Full<Bytes>> {
    Status::from(rejection).into_http()
}
