//! The connections: how many there may be, and for how long one may keep silent.
//!
//! A client that opens connections and sends nothing, or half a request, costs a file descriptor each. So a request's
//! head and its body must each come within a time limit. When all places are taken, the oldest connection that waits for
//! its client makes room for a new one: for a request, or for the rest of one. A request that has arrived is never cut.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{ConnectInfo, Request};
use hyper::body::{Bytes, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tower::ServiceExt as _;

use crate::settings::ConnectionLimits;

/// How long a connection may wait for its client before it can be closed to make room. So a new connection waits this long
/// at most for a place.
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
            let mut request: Request = request.map(|body| Body::new(Arriving::new(body, activity.clone())));
            request.extensions_mut().insert(ConnectInfo(peer));
            let answer = routes.oneshot(request).await;
            activity.waits_from_now();
            answer
        }
    })
}

/// Since when a connection waits for its client; nothing while a request that has arrived is being answered. A client that
/// sends its body byte by byte does not look busy: the time counts from the head.
#[derive(Clone)]
struct Activity(Arc<Mutex<Option<Instant>>>);

impl Activity {
    fn waits_from_now(&self) {
        self.set(Some(Instant::now()));
    }

    fn answers(&self) {
        self.set(None);
    }

    fn set(&self, waits_since: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = waits_since;
    }

    fn can_make_room(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|since| since.elapsed() >= PATIENCE)
    }
}

/// A request's body. The request has arrived when the body has.
struct Arriving {
    body: Incoming,
    activity: Activity,
}

impl Arriving {
    fn new(body: Incoming, activity: Activity) -> Self {
        activity.waits_from_now();
        let arriving = Self { body, activity };
        arriving.look();
        arriving
    }

    fn look(&self) {
        if self.body.is_end_stream() {
            self.activity.answers();
        }
    }
}

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match polled {
            Poll::Ready(None) => self.activity.answers(),
            _ => self.look(),
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
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

    /// Waits until there is a place. If all are taken, closes the oldest connection that waits for its client.
    async fn make_room(&mut self) {
        loop {
            while self.tasks.try_join_next().is_some() {}
            self.oldest_first.retain(|(_, task)| !task.is_finished());
            if self.tasks.len() < self.most {
                return;
            }
            let waits = self.oldest_first.iter().find(|(activity, _)| activity.can_make_room());
            if let Some((_, task)) = waits {
                task.abort();
            }
            _ = timeout(Duration::from_millis(20), self.tasks.join_next()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;
    use std::sync::mpsc;

    use axum::extract::State;
    use axum::routing::{get, post};
    use tokio::runtime::Runtime;
    use tokio::sync::Semaphore;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    /// What comes until the service hangs up.
    fn rest(mut connection: TcpStream) -> String {
        let mut told = String::new();
        _ = connection.read_to_string(&mut told);
        told
    }

    #[test]
    fn a_request_that_has_arrived_is_not_cut_to_make_room() {
        let runtime = Runtime::new().unwrap();
        let (arrived, arrivals) = mpsc::channel();
        let gate = Arc::new(Semaphore::new(0));
        let wait = async move |State(gate): State<Arc<Semaphore>>, _: axum::body::Bytes| {
            arrived.send(()).unwrap();
            _ = gate.acquire().await;
        };
        let routes = Router::new().route("/wait", post(wait)).route("/", get(async || ())).with_state(gate.clone());
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let limits = ConnectionLimits { most: 2, header_timeout: HOUR, body_timeout: HOUR };
        runtime.spawn(serve(listener, routes, limits, pending()));

        let send = |request: &str| {
            let mut connection = TcpStream::connect(address).unwrap();
            connection.write_all(request.as_bytes()).unwrap();
            connection
        };
        let oldest = send("POST /wait HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 1\r\n\r\nx");
        arrivals.recv().unwrap();
        let idle = [(); 4].map(|()| send(""));
        for _ in 0..2 {
            let answer = rest(send("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"));
            assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        }
        gate.add_permits(1);
        assert!(rest(oldest).starts_with("HTTP/1.1 200 OK"));
        drop(idle);
    }
}
