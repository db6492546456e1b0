//! The same application with actix-web.

use actix_web::http::header;
use actix_web::test::{TestRequest, call_service, init_service, read_body};
use actix_web::{App, HttpResponse, web};
use redis_session_store::{Login, ReconnectingConnection, SessionStore, Visitor};
use redis_session_tests::Server;
use redis_session_web::{Rejection, Session, SessionCookie, SessionLayer};

use crate::token;

type Sessions = SessionStore<ReconnectingConnection>;

async fn me(session: Session) -> String {
    session.user.clone()
}

async fn page(session: Result<Session, Rejection>) -> Result<String, Rejection> {
    match session {
        Ok(session) => Ok(session.user.clone()),
        Err(Rejection::Missing | Rejection::Refused(_)) => Ok("somebody".to_owned()),
        Err(rejection) => Err(rejection),
    }
}

async fn log_in(
    sessions: web::Data<Sessions>,
    visitor: web::ReqData<Visitor>,
    user: String,
) -> Result<HttpResponse, Rejection> {
    let login = sessions.login(&Login::new(user).visitor(&visitor)).await?;
    let cookie = SessionCookie::new("session").set(&login, false);
    Ok(HttpResponse::NoContent().insert_header((header::SET_COOKIE, cookie.as_bytes())).finish())
}

async fn log_out(sessions: web::Data<Sessions>, session: Session) -> Result<HttpResponse, Rejection> {
    sessions.logout(session.token()).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[test]
fn a_login_opens_what_a_logout_closes_and_an_outage_is_503() {
    let mut server = Server::start();
    actix_web::rt::System::new().block_on(async {
        let sessions: Sessions = SessionStore::connect(server.url()).unwrap();
        let peer = |parts: &http::request::Parts| Some(parts.extensions.get::<std::net::SocketAddr>()?.ip());
        let layer = SessionLayer::new(sessions.clone()).cookie(SessionCookie::new("session")).client_ip(peer);
        let app = init_service(
            App::new()
                .app_data(web::Data::new(sessions.clone()))
                .route("/me", web::get().to(me))
                .route("/", web::get().to(page))
                .route("/login", web::post().to(log_in))
                .route("/logout", web::post().to(log_out))
                .wrap(layer.clone()),
        )
        .await;
        let missing = call_service(&app, TestRequest::get().uri("/me").to_request()).await;
        assert_eq!(missing.status(), 401);
        assert_eq!(missing.headers().get("www-authenticate").unwrap(), "Bearer");
        assert_eq!(read_body(missing).await, r#"{"error":"login_required"}"#);

        let address = "203.0.113.7:1".parse().unwrap();
        let login = TestRequest::post().uri("/login").peer_addr(address).insert_header(("user-agent", "phone"));
        let login = call_service(&app, login.set_payload("42").to_request()).await;
        assert_eq!(
            (login.status().as_u16(), login.headers().get("cache-control").unwrap().as_bytes()),
            (204, &b"no-store"[..])
        );
        let set = login.headers().get("set-cookie").unwrap().to_str().unwrap().to_owned();
        assert!(set.starts_with("__Host-session=rst1."), "{set}");
        let device = &sessions.devices("42").await.unwrap()[0];
        assert_eq!((device.agent.as_deref(), device.ip), (Some("phone"), Some(address.ip())));

        let cookie = set.split(';').next().unwrap().to_owned();
        let with = |path: &str| TestRequest::default().uri(path).insert_header(("cookie", cookie.as_str()));
        assert_eq!(read_body(call_service(&app, with("/me").to_request()).await).await, "42");
        let foreign = with("/logout").method("POST".parse().unwrap()).insert_header(("sec-fetch-site", "cross-site"));
        assert_eq!(call_service(&app, foreign.to_request()).await.status(), 403);
        let out = with("/logout").method("POST".parse().unwrap()).to_request();
        assert_eq!(call_service(&app, out).await.status(), 204);
        let refused = call_service(&app, with("/me").to_request()).await;
        assert_eq!(refused.status(), 401);
        assert!(read_body(refused).await.windows(19).any(|part| part == br#""reason":"revoked"}"#));
        assert_eq!(read_body(call_service(&app, with("/").to_request()).await).await, "somebody");

        let login = sessions.login(&Login::new("43")).await.unwrap();
        let bearer =
            || TestRequest::get().uri("/").insert_header(("authorization", format!("Bearer {}", token(&login))));
        assert_eq!(read_body(call_service(&app, bearer().to_request()).await).await, "43");
        // Of two layers the inner one decides.
        let (with, without) = (layer.clone(), SessionLayer::new(sessions.clone()));
        for (inner, outer, status) in [(&with, &without, 200), (&without, &with, 401)] {
            let nested = App::new().route("/me", web::get().to(me)).wrap(inner.clone()).wrap(outer.clone());
            let nested = init_service(nested).await;
            let cookie = format!("__Host-session={}", token(&login));
            let request = TestRequest::get().uri("/me").insert_header(("cookie", cookie)).to_request();
            assert_eq!(call_service(&nested, request).await.status().as_u16(), status);
        }
        server.kill();
        assert_eq!(call_service(&app, bearer().to_request()).await.status(), 503, "an outage is no stranger");
    });
}
