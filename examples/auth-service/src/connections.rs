//! The connections: how many there may be, and for how long one may keep silent.
//!
//! A client that opens connections and sends nothing, or half a request, costs a file descriptor each. So a request's
//! head must come within a time limit. When all places are taken, the oldest connection that is quiet makes room for a new
//! one. A request that is being answered is never cut.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tower::ServiceExt as _;

use crate::settings::ConnectionLimits;

/// How long a quiet connection is left alone, and so how long a new one waits at most for another client to speak.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long requests under way have once the service stops: a slower client would keep it from ever stopping.
const FAREWELL: Duration = Duration::from_secs(10);

/// Serves until `stop`, then finishes what is under way.
pub(crate) async fn serve(
    listener: TcpListener,
    routes: Router,
    limits: ConnectionLimits,
    stop: impl Future<Output = ()>,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.header_timeout);
    let graceful = GracefulShutdown::new();
    let mut open = Open { most: limits.most, tasks: JoinSet::new(), oldest_first: VecDeque::new() };
    let mut stop = pin!(stop);
    loop {
        let accepted = async {
            open.make_room().await;
            listener.accept().await
        };
        let (stream, peer) = tokio::select! {
            () = &mut stop => break,
            accepted = accepted => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // The process has as many files open as it may, most likely.
                    tracing::error!(%error, "no connection can be accepted");
                    sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
        };
        open.add(|activity| {
            let connection = graceful.watch(http.serve_connection(io(stream), service(routes.clone(), peer, activity)));
            // How a connection ends is the client's affair: it may hang up at any time.
            async move { _ = connection.await }
        });
    }
    drop(listener);
    if timeout(FAREWELL, graceful.shutdown()).await.is_err() {
        tracing::warn!("stopped with requests under way");
    }
}

fn io(stream: TcpStream) -> TokioIo<TcpStream> {
    // Answers are small, and nobody should wait for a second one.
    _ = stream.set_nodelay(true);
    TokioIo::new(stream)
}

fn service(
    routes: Router,
    peer: SocketAddr,
    activity: Activity,
) -> impl hyper::service::Service<
    hyper::Request<Incoming>,
    Response = axum::response::Response,
    Error = std::convert::Infallible,
    Future: Send,
> {
    service_fn(move |request: hyper::Request<Incoming>| {
        let (routes, activity) = (routes.clone(), activity.clone());
        async move {
            activity.set(None);
            let mut request: Request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(peer));
            let answer = routes.oneshot(request).await;
            activity.set(Some(Instant::now()));
            answer
        }
    })
}

/// Since when a connection is quiet; nothing while a request is being answered.
#[derive(Clone)]
struct Activity(Arc<Mutex<Option<Instant>>>);

impl Activity {
    fn set(&self, quiet_since: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = quiet_since;
    }

    fn is_quiet(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|since| since.elapsed() >= PATIENCE)
    }
}

/// The open connections.
struct Open {
    most: usize,
    tasks: JoinSet<()>,
    oldest_first: VecDeque<(Activity, AbortHandle)>,
}

impl Open {
    fn add<F: Future<Output = ()> + Send + 'static>(&mut self, connection: impl FnOnce(Activity) -> F) {
        let activity = Activity(Arc::new(Mutex::new(Some(Instant::now()))));
        let task = self.tasks.spawn(connection(activity.clone()));
        self.oldest_first.push_back((activity, task));
    }

    /// Waits until there is a place. Closes the oldest quiet connection if all are taken.
    async fn make_room(&mut self) {
        loop {
            while self.tasks.try_join_next().is_some() {}
            self.oldest_first.retain(|(_, task)| !task.is_finished());
            if self.tasks.len() < self.most {
                return;
            }
            let quiet = self.oldest_first.iter().find(|(activity, _)| activity.is_quiet());
            if let Some((_, task)) = quiet {
                task.abort();
            }
            _ = timeout(Duration::from_millis(20), self.tasks.join_next()).await;
        }
    }
}
