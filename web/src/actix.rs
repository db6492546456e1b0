//! The layer as a middleware of actix-web, and its extractors.
//!
//! actix-web has its own requests and headers, of an earlier version of the crate `http`. So the layer gets a copy of
//! the request's head, without the body.

use std::future::{Ready, ready};
use std::pin::Pin;
use std::rc::Rc;

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{Payload, RequestHead, Service, ServiceRequest, ServiceResponse, Transform, forward_ready};
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, HeaderName, HeaderValue, SET_COOKIE};
use actix_web::{Error, FromRequest, HttpMessage as _, HttpRequest, HttpResponse, ResponseError};
use redis::aio::ConnectionLike;
use redis_session_store::Visitor;

use crate::layer::SessionLayer;
use crate::rejection::Rejection;
use crate::session::Session;

/// A service of actix-web with a [`SessionLayer`] around it.
pub struct SessionMiddleware<S, C> {
    inner: Rc<S>,
    layer: SessionLayer<C>,
}

/// For `App::wrap`. The peer's [`SocketAddr`](std::net::SocketAddr) is in the extensions that
/// [`SessionLayer::client_ip`] sees.
impl<S, C, B> Transform<S, ServiceRequest> for SessionLayer<C>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    S::Future: 'static,
    C: ConnectionLike + Clone + Send + Sync + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Transform = SessionMiddleware<S, C>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, inner: S) -> Self::Future {
        ready(Ok(SessionMiddleware { inner: Rc::new(inner), layer: self.clone() }))
    }
}

impl<S, C, B> Service<ServiceRequest> for SessionMiddleware<S, C>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    S::Future: 'static,
    C: ConnectionLike + Clone + Send + Sync + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Error>>>>;

    forward_ready!(inner);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let (inner, layer) = (Rc::clone(&self.inner), self.layer.clone());
        Box::pin(async move {
            let admitted = match parts_of(request.head()) {
                Some(mut parts) => layer.admit(&mut parts).await.map(|()| parts.extensions),
                None => Err(Rejection::Mistake),
            };
            let mut found = match admitted {
                Ok(found) => found,
                Err(rejection) => {
                    return Ok(request.into_response(rejection.error_response()).map_into_right_body());
                }
            };
            {
                let mut extensions = request.extensions_mut();
                // As in `Session::put`.
                extensions.remove::<Session>();
                extensions.remove::<Rejection>();
                found.remove::<Session>().map(|session| extensions.insert(session));
                found.remove::<Rejection>().map(|rejection| extensions.insert(rejection));
                found.remove::<Visitor>().map(|visitor| extensions.insert(visitor));
            }
            let mut response = inner.call(request).await?;
            keep_out_of_caches(&layer, &mut response);
            Ok(response.map_into_left_body())
        })
    }
}

fn parts_of(head: &RequestHead) -> Option<http::request::Parts> {
    let mut request = http::Request::builder().method(head.method.as_str()).uri(head.uri.to_string());
    for (name, value) in head.headers() {
        request = request.header(name.as_str(), value.as_bytes());
    }
    if let Some(peer) = head.peer_addr {
        request = request.extension(peer);
    }
    Some(request.body(()).ok()?.into_parts().0)
}

fn keep_out_of_caches<C: ConnectionLike + Clone + Send + Sync, B>(
    layer: &SessionLayer<C>,
    response: &mut ServiceResponse<B>,
) {
    let set = response.headers().get_all(SET_COOKIE);
    let of_ours = set.filter_map(|value| http::HeaderValue::from_bytes(value.as_bytes()).ok());
    let mut headers = of_ours.map(|value| (http::header::SET_COOKIE, value)).collect::<http::HeaderMap>();
    layer.finish(&mut headers);
    if headers.contains_key(http::header::CACHE_CONTROL) && !response.headers().contains_key(CACHE_CONTROL) {
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

impl ResponseError for Rejection {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status().as_u16()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::new(self.status_code());
        for (name, value) in self.response().headers() {
            let name = HeaderName::from_bytes(name.as_str().as_bytes());
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value.as_bytes())) {
                response.headers_mut().append(name, value);
            }
        }
        response.set_body(self.json()).map_into_boxed_body()
    }
}

/// A handler with this argument does not run without a session. If a route accepts requests without one, take a
/// `Result<Session, Rejection>`: an `Option<Session>` cannot tell a stranger from an outage.
impl FromRequest for Session {
    type Error = Rejection;
    type Future = Ready<Result<Self, Rejection>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let extensions = request.extensions();
        ready(Self::found(extensions.get(), extensions.get()))
    }
}
