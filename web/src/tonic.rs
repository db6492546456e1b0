//! What handlers of tonic answer.

use tonic::{Code, Status};

use crate::rejection::Rejection;

/// Of a genuine token that is not good any more, the message says why, as [`SessionLayer::reason_text`] has it.
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
