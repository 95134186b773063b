//! A TCP link that a story can break: cut (closed, and open again at once) or held (nothing passes
//! and nobody is told, as when a cable is pulled).

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What the connections obey.
#[derive(Debug, Clone, Copy)]
struct State {
  target: Option<SocketAddr>,
  /// Connections of another cut than this one end.
  cut: u64,
  held: bool,
}

/// A listening port that leads to a server. Clones are the same link; the last one closes it.
#[derive(Debug, Clone)]
pub struct Proxy {
  address: SocketAddr,
  state: Arc<watch::Sender<State>>,
  _listener: Arc<Listener>,
}

/// Ends the accepting task with the last clone.
#[derive(Debug)]
struct Listener(JoinHandle<()>);

impl Drop for Listener {
  fn drop(&mut self) {
    self.0.abort();
  }
}

impl Proxy {
  /// A link that leads nowhere yet.
  ///
  /// # Errors
  /// When no port is free.
  pub async fn open() -> Result<Self> {
    let listener = TcpListener::bind("127.0.0.1:0").await.context("bind a proxy")?;
    let address = listener.local_addr()?;
    let (state, seen) = watch::channel(State { target: None, cut: 0, held: false });
    let accept = tokio::spawn(async move {
      while let Ok((near, _)) = listener.accept().await {
        tokio::spawn(carry(near, seen.clone()));
      }
    });
    Ok(Self { address, state: Arc::new(state), _listener: Arc::new(Listener(accept)) })
  }

  /// Leads to `url` (`http://host:port`) from now on, and gives the URL of this side.
  ///
  /// # Errors
  /// When the URL has no socket address.
  pub fn lead_to(&self, url: &str) -> Result<String> {
    let target = url.trim_start_matches("http://").trim_end_matches('/');
    let target = target.parse().with_context(|| format!("no socket address in {url}"))?;
    self.state.send_modify(|state| state.target = Some(target));
    Ok(format!("http://{}", self.address))
  }

  /// Closes every connection; new ones pass.
  pub fn cut(&self) {
    self.state.send_modify(|state| state.cut += 1);
  }

  /// Lets nothing pass any more, or everything that waited and what comes.
  pub fn hold(&self, held: bool) {
    self.state.send_modify(|state| state.held = held);
  }
}

/// Carries one connection until either side closes or it is cut.
async fn carry(near: TcpStream, mut state: watch::Receiver<State>) {
  let cut = state.borrow().cut;
  let Ok(State { target: Some(target), .. }) =
    state.wait_for(|state| !state.held).await.map(|s| *s)
  else {
    return;
  };
  let Ok(far) = TcpStream::connect(target).await else { return };
  let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
  let cutting = state.clone();
  tokio::select! {
    _ = pump(near_in, far_out, state.clone()) => {}
    _ = pump(far_in, near_out, state) => {}
    () = until_cut(cutting, cut) => {}
  }
}

/// Returns when the connection is to be closed.
async fn until_cut(mut state: watch::Receiver<State>, cut: u64) {
  // An error means that the proxy is gone.
  let _gone = state.wait_for(|state| state.cut != cut).await;
}

/// Copies one direction while nothing is held.
async fn pump(
  mut from: impl AsyncReadExt + Unpin,
  mut to: impl AsyncWriteExt + Unpin,
  mut state: watch::Receiver<State>,
) -> Result<()> {
  let mut buffer = vec![0; 64 << 10];
  loop {
    let length = from.read(&mut buffer).await?;
    if length == 0 {
      return Ok(());
    }
    drop(state.wait_for(|state| !state.held).await?);
    to.write_all(&buffer[..length]).await?;
  }
}

#[cfg(test)]
mod tests {
  use super::*;

  /// A server that sends back what it gets.
  async fn echo() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
      while let Ok((mut socket, _)) = listener.accept().await {
        tokio::spawn(async move {
          let (mut from, mut to) = socket.split();
          tokio::io::copy(&mut from, &mut to).await
        });
      }
    });
    url
  }

  #[tokio::test]
  async fn carries_holds_and_cuts() {
    let proxy = Proxy::open().await.unwrap();
    let url = proxy.lead_to(&echo().await).unwrap();
    let connect = || TcpStream::connect(url.trim_start_matches("http://"));
    let mut socket = connect().await.unwrap();
    let mut buffer = [0; 3];
    socket.write_all(b"one").await.unwrap();
    socket.read_exact(&mut buffer).await.unwrap();
    assert_eq!(&buffer, b"one");

    proxy.hold(true);
    socket.write_all(b"two").await.unwrap();
    let mut other = connect().await.unwrap();
    other.write_all(b"new").await.unwrap();
    proxy.hold(false);
    socket.read_exact(&mut buffer).await.unwrap();
    assert_eq!(&buffer, b"two");
    other.read_exact(&mut buffer).await.unwrap();
    assert_eq!(&buffer, b"new");

    proxy.cut();
    assert!(matches!(socket.read(&mut buffer).await, Ok(0) | Err(_)));
    let mut again = connect().await.unwrap();
    again.write_all(b"yes").await.unwrap();
    again.read_exact(&mut buffer).await.unwrap();
    assert_eq!(&buffer, b"yes");
  }
}
