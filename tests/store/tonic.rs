//! The same with tonic: the layer is around the services, and a handler takes the session from the request's extensions.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf as _, BufMut as _};
use redis_session_store::{Login, Policy, ReconnectingConnection, SessionStore};
use redis_session_tests::Server;
use redis_session_web::{Session, SessionLayer};
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::{Code, Request, Response, Status};
use tower::Layer as _;

use crate::token;

/// A protected call.
fn me(request: &Request<String>) -> Result<Response<String>, Status> {
    let session = Session::of(request.extensions())?;
    Ok(Response::new(format!("{} {}", request.get_ref(), session.user)))
}

/// What tonic-build would write: a service with this one call.
#[derive(Clone)]
struct Accounts;

impl tower::Service<http::Request<Body>> for Accounts {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move { Ok(tonic::server::Grpc::new(Text).unary(Me, request).await) })
    }
}

struct Me;

impl tonic::server::UnaryService<String> for Me {
    type Response = String;
    type Future = Ready<Result<Response<String>, Status>>;

    fn call(&mut self, request: Request<String>) -> Self::Future {
        ready(me(&request))
    }
}

/// Text in the place of protocol buffers.
#[derive(Clone, Copy)]
struct Text;

impl Codec for Text {
    type Encode = String;
    type Decode = String;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Text {
    type Item = String;
    type Error = Status;

    fn encode(&mut self, text: String, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(text.as_bytes());
        Ok(())
    }
}

impl Decoder for Text {
    type Item = String;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<String>, Status> {
        let bytes = buffer.copy_to_bytes(buffer.remaining()).to_vec();
        String::from_utf8(bytes).map(Some).map_err(|error| Status::internal(error.to_string()))
    }
}

#[tokio::test]
async fn a_call_has_its_session_and_a_refusal_says_why() {
    let mut server = Server::start();
    let sessions: SessionStore<ReconnectingConnection> = SessionStore::connect(server.url()).unwrap();
    let created = sessions.login(&Login::new("42")).await.unwrap();
    let ask = async |token: Option<&str>| {
        let mut client = tonic::client::Grpc::new(SessionLayer::new(sessions.clone()).layer(Accounts));
        client.ready().await.unwrap();
        let mut request = Request::new("user".to_owned());
        if let Some(token) = token {
            request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        let path = http::uri::PathAndQuery::from_static("/accounts.Accounts/Me");
        client.unary(request, path, Text).await.map(Response::into_inner)
    };
    assert_eq!(ask(Some(token(&created))).await.unwrap(), "user 42");
    assert_eq!(ask(None).await.unwrap_err().code(), Code::Unauthenticated);
    sessions.logout_everywhere("42").await.unwrap();
    let refused = ask(Some(token(&created))).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert!(refused.message().contains("user_revoked"), "{refused:?}");
    let forged = format!("{}AAAA", token(&created).split_at(token(&created).len() - 4).0);
    let forged = ask(Some(&forged)).await.unwrap_err();
    assert!(!forged.message().contains("signature"), "a stranger is told nothing: {forged:?}");
    server.kill();
    assert_eq!(ask(Some(token(&created))).await.unwrap_err().code(), Code::Unavailable);
}

/// A guard of the layer answers a call as a handler would: the client sees a status that says why, and no page of JSON.
#[tokio::test]
async fn a_guard_answers_a_call_with_a_status_that_says_why() {
    let server = Server::start();
    let sessions: SessionStore<ReconnectingConnection> = SessionStore::connect(server.url()).unwrap();
    // An opaque token has no claims of its own.
    let sessions = sessions.policy(Policy::default().details());
    let login = Login::new("42").level(1).claims(r#"{"role":"reader"}"#);
    let created = sessions.login(&login).await.unwrap();
    let ask = async |layer: SessionLayer<ReconnectingConnection>, token: Option<&str>| {
        let mut client = tonic::client::Grpc::new(layer.layer(Accounts));
        client.ready().await.unwrap();
        let mut request = Request::new("user".to_owned());
        if let Some(token) = token {
            request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        let path = http::uri::PathAndQuery::from_static("/accounts.Accounts/Me");
        let answer = client.unary(request, path, Text).await.map(Response::into_inner);
        answer.map_err(|status| (status.code(), status.message().to_owned()))
    };
    let layer = || SessionLayer::new(sessions.clone());
    let token = token(&created);
    let said = |code, text: &str| Err((code, text.to_owned()));
    assert_eq!(ask(layer().required(), Some(token)).await, Ok("user 42".to_owned()));
    assert_eq!(
        ask(layer().require_level(1).require_claim("role", "reader"), Some(token)).await,
        Ok("user 42".to_owned())
    );
    assert_eq!(ask(layer().required(), None).await, said(Code::Unauthenticated, "login_required"));
    assert_eq!(ask(layer().require_level(2), Some(token)).await, said(Code::Unauthenticated, "level"));
    let for_admins = layer().require_claim("role", "admin");
    assert_eq!(ask(for_admins, Some(token)).await, said(Code::PermissionDenied, "insufficient_scope"));
    server.advance(Duration::from_secs(901));
    let recent = layer().require_sign_in_within(Duration::from_secs(900));
    assert_eq!(ask(recent, Some(token)).await, said(Code::Unauthenticated, "stale"));
    sessions.logout(token).await.unwrap();
    let told = layer().required().reason_text(|_| Some("Sie sind abgemeldet: bitte melden Sie sich an, ä."));
    let text = "Sie sind abgemeldet: bitte melden Sie sich an, ä.";
    assert_eq!(ask(told, Some(token)).await, said(Code::Unauthenticated, text));
    assert_eq!(ask(layer().required(), Some(token)).await, said(Code::Unauthenticated, "revoked"));
    let forged = format!("{}AAAA", token.split_at(token.len() - 4).0);
    assert_eq!(ask(layer().required(), Some(&forged)).await, said(Code::Unauthenticated, "invalid_token"));
}
