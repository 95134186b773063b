//! The accept loop: timeouts for slow peers, and a stop that lets requests finish.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::connect_info::ConnectInfo;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// Longest time for the head of a request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Most bytes of a request's head.
const HEADER_BYTES_MAX: usize = 64 << 10;
/// Pause after an accept failed, as when no file descriptor is left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until stopped, then waits for open requests, for so long.
pub(super) async fn serve(
  listener: TcpListener,
  router: Router,
  stop: CancellationToken,
  (tracker, grace): (tokio_util::task::TaskTracker, Duration),
) {
  let graceful = GracefulShutdown::new();
  let mut builder = auto::Builder::new(TokioExecutor::new());
  builder
    .http1()
    .timer(TokioTimer::new())
    .header_read_timeout(HEADER_TIMEOUT)
    .max_buf_size(HEADER_BYTES_MAX)
    .keep_alive(true);
  builder.http2().timer(TokioTimer::new()).keep_alive_interval(Duration::from_secs(20));
  loop {
    let (socket, peer) = tokio::select! {
      accepted = listener.accept() => match accepted {
        Ok(accepted) => accepted,
        Err(error) => {
          tracing::warn!(%error, "cannot accept a connection");
          tokio::time::sleep(ACCEPT_PAUSE).await;
          continue;
        }
      },
      () = stop.cancelled() => break,
    };
    // Small frames go out at once; a socket that refuses the option still works.
    let _refused = socket.set_nodelay(true);
    let service = hyper::service::service_fn({
      let router = router.clone();
      move |request: hyper::Request<Incoming>| handle(router.clone(), request, peer)
    });
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(socket), service);
    let watched = graceful.watch(connection.into_owned());
    tracker.spawn(async move {
      if let Err(error) = watched.await {
        tracing::debug!(%error, "connection ended badly");
      }
    });
  }
  drop(listener);
  let finished = tokio::time::timeout(grace, graceful.shutdown()).await;
  if finished.is_err() {
    tracing::info!("requests were still open at the end of the grace time");
  }
}

async fn handle(
  router: Router,
  request: hyper::Request<Incoming>,
  peer: SocketAddr,
) -> Result<axum::response::Response, Infallible> {
  let mut request = request.map(axum::body::Body::new);
  request.extensions_mut().insert(ConnectInfo(peer));
  router.oneshot(request).await
}
