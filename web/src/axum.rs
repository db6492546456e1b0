//! The extractors of axum.

use axum_core::body::Body;
use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use axum_core::response::{IntoResponse, Response};
use http::request::Parts;

use crate::rejection::Rejection;
use crate::session::Session;

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        self.response().map(Body::new)
    }
}

impl<S: Sync> FromRequestParts<S> for Session {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Rejection> {
        Self::of(&parts.extensions)
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for Session {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Option<Self>, Rejection> {
        Self::optional_of(&parts.extensions)
    }
}
