//! A server for terminals that does what a story says: watches over one WebSocket as decision 0009
//! has them, output of a task, refusals; and that can stall, skip, flood, forget and close.

mod http;
mod log;
mod socket;
mod world;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use hetuflow_core::ErrorCode;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use http::Request;
pub use log::LogScript;
pub use world::World;

/// What is wrong with it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Fault {
  /// Nothing.
  #[default]
  None,
  /// Connections stay, and nothing is said.
  Silent,
  /// The next frame leaves out numbers that the reader does not have; then nothing is wrong.
  Gap,
  /// Every connection is closed at once, also new ones.
  Down,
  /// Everything is answered with this error; sockets that are open are closed.
  Refuse(ErrorCode),
}

/// What all connections share.
#[derive(Debug)]
struct Shared {
  world: Mutex<World>,
  log: Mutex<LogScript>,
  requests: Mutex<Vec<Request>>,
  fault: watch::Sender<Fault>,
  /// The world's number; changes wake the sockets.
  seq: watch::Sender<i64>,
  /// Frames a second, instead of what the reader asks for.
  unmerged_hz: Mutex<Option<u32>>,
}

/// The server; gone when dropped.
#[derive(Debug)]
pub struct FakeFeed {
  shared: Arc<Shared>,
  address: SocketAddr,
  task: JoinHandle<()>,
}

impl FakeFeed {
  /// Listens on a free port, with a small world.
  ///
  /// # Errors
  /// When there is no port.
  pub async fn start() -> Result<Self> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let world = World::usual(60);
    let shared = Arc::new(Shared {
      seq: watch::Sender::new(world.seq()),
      world: Mutex::new(world),
      log: Mutex::default(),
      requests: Mutex::default(),
      fault: watch::Sender::new(Fault::None),
      unmerged_hz: Mutex::new(None),
    });
    let task = tokio::spawn(http::serve(listener, Arc::clone(&shared)));
    Ok(Self { shared, address, task })
  }

  /// Where it answers.
  pub fn url(&self) -> String {
    format!("http://{}", self.address)
  }

  /// Changes the world; readers hear of it.
  pub fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
    self.shared.change(change)
  }

  /// From now on this is wrong with it.
  pub fn fault(&self, fault: Fault) {
    self.shared.fault.send_replace(fault);
  }

  /// Frames a second that every watch gets, however many it asked for: a server that does not
  /// merge.
  pub fn unmerged(&self, hz: Option<u32>) {
    *lock(&self.shared.unmerged_hz) = hz;
  }

  /// The output of every attempt.
  pub fn set_log(&self, log: LogScript) {
    *lock(&self.shared.log) = log;
    self.shared.seq.send_modify(|_| {});
  }

  /// Adds to the output.
  pub fn extend_log(&self, extend: impl FnOnce(&mut LogScript)) {
    extend(&mut lock(&self.shared.log));
    self.shared.seq.send_modify(|_| {});
  }

  /// Every request so far.
  pub fn requests(&self) -> Vec<Request> {
    lock(&self.shared.requests).clone()
  }

  /// Requests that would change something.
  pub fn changes_asked(&self) -> Vec<Request> {
    let mut all = self.requests();
    all.retain(|request| request.method != "GET" && request.method != "HEAD");
    all
  }

  /// Changes so many tasks a second, until the handle is aborted or the time is over.
  pub fn flood(&self, per_second: u32, time: Duration) -> JoinHandle<u64> {
    const TURN: Duration = Duration::from_millis(10);
    let shared = Arc::clone(&self.shared);
    tokio::spawn(async move {
      let begun = tokio::time::Instant::now();
      let mut turns = tokio::time::interval(TURN);
      let mut done = 0_u64;
      while begun.elapsed() < time {
        turns.tick().await;
        // What is due by now, so that a late turn makes up for it.
        let due = (begun.elapsed().as_secs_f64() * f64::from(per_second)) as u64;
        let now = due.saturating_sub(done);
        shared.change(|world| (0..now).for_each(|_| world.touch_next()));
        done = due;
      }
      done
    })
  }
}

impl Drop for FakeFeed {
  fn drop(&mut self) {
    self.task.abort();
    self.shared.fault.send_replace(Fault::Down);
  }
}

impl Shared {
  fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
    let mut world = lock(&self.world);
    let outcome = change(&mut world);
    self.seq.send_replace(world.seq());
    outcome
  }

  fn fault(&self) -> Fault {
    *self.fault.borrow()
  }
}

/// A panic elsewhere is told by its own test.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
  mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
