//! The layer as a `tower` layer, around a service of any framework.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use http_body_util::{Either, Full};
use redis::aio::ConnectionLike;
use tower_layer::Layer;
use tower_service::Service;

use crate::layer::SessionLayer;
use crate::rejection::Rejection;
#[cfg(feature = "tonic")]
use crate::tonic;

impl<S, C: Clone> Layer<S> for SessionLayer<C> {
    type Service = SessionService<S, C>;

    fn layer(&self, inner: S) -> Self::Service {
        SessionService { inner, layer: self.clone() }
    }
}

/// A service with a [`SessionLayer`] around it. The answer is the service's, or the layer's own.
#[derive(Clone, Debug)]
pub struct SessionService<S, C> {
    inner: S,
    layer: SessionLayer<C>,
}

impl<S, C, B, A> Service<Request<B>> for SessionService<S, C>
where
    S: Service<Request<B>, Response = Response<A>> + Clone + Send + 'static,
    S::Future: Send,
    C: ConnectionLike + Clone + Send + Sync + 'static,
    B: Send + 'static,
{
    type Response = Response<Either<A, Full<Bytes>>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The service that reported to be ready is this one, not its clone.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let layer = self.layer.clone();
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            if let Err(rejection) = layer.admit(&mut parts).await {
                return Ok(answer(rejection, &parts).map(Either::Right));
            }
            let mut response = inner.call(Request::from_parts(parts, body)).await?;
            layer.finish(response.headers_mut());
            Ok(response.map(Either::Left))
        })
    }
}

/// The answer to this request.
#[cfg_attr(not(feature = "tonic"), allow(clippy::needless_pass_by_value))]
fn answer(rejection: Rejection, _request: &Parts) -> Response<Full<Bytes>> {
    #[cfg(feature = "tonic")]
    if tonic::is_call(&_request.headers) {
        return tonic::answer(rejection);
    }
    rejection.response()
}
