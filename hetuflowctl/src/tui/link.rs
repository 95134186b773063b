//! The link to the server: one task that connects, asks, listens, and comes back after a break.

use std::collections::BTreeMap;
use std::time::Duration;

use hetuflow_core::{Tick, Watch, WatchFrame};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::client::{Client, CtlError, Exit, WatchItem, WatchSocket};

const RETRY_MIN: Duration = Duration::from_millis(250);
const RETRY_MAX: Duration = Duration::from_secs(10);
const PING_EVERY: Duration = Duration::from_secs(5);
/// A socket that said nothing for so long is dead, ticks come each second.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// What the screen wants of the link.
#[derive(Debug, Clone, PartialEq)]
pub enum LinkOrder {
  /// Ask this.
  Watch(Box<Watch>),
  /// Take it back.
  Unwatch(String),
  /// Try at once.
  Retry,
}

/// What the link tells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkNews {
  /// Connected; nothing is asked yet on this connection.
  Up,
  /// A frame.
  Frame(Box<WatchFrame>),
  /// A sign of life.
  Tick(Tick),
  /// The way there and back, in milliseconds.
  Rtt(f64),
  /// The server refused something that we said.
  Refused(String),
  /// Not connected.
  Down {
    /// Why.
    error: String,
    /// The next try, in milliseconds; none when only a person can help.
    retry_ms: Option<u64>,
  },
}

/// Keeps the link until nobody listens any more.
pub async fn run(client: Client, mut orders: Receiver<LinkOrder>, news: Sender<LinkNews>) {
  let mut wait = RETRY_MIN;
  loop {
    let begin = Instant::now();
    let error = match WatchSocket::open(&client).await {
      Ok(socket) => match serve(socket, &mut orders, &news).await {
        Some(error) => error,
        None => return,
      },
      Err(error) => error,
    };
    if begin.elapsed() > RETRY_MAX {
      wait = RETRY_MIN;
    }
    let hopeless = error.exit == Exit::Unauthorized as u8 || error.exit == Exit::Forbidden as u8;
    let pause = wait.mul_f64(rand::random_range(0.8..1.2));
    let retry_ms = (!hopeless).then(|| u64::try_from(pause.as_millis()).unwrap_or(u64::MAX));
    let down = LinkNews::Down { error: error.message.clone(), retry_ms };
    if news.send(down).await.is_err() || !rest(retry_ms, &mut orders).await {
      return;
    }
    wait = (wait * 2).min(RETRY_MAX);
  }
}

/// Waits for the next try; `false` when nobody wants one any more.
async fn rest(retry_ms: Option<u64>, orders: &mut Receiver<LinkOrder>) -> bool {
  let pause = async {
    match retry_ms {
      Some(millis) => sleep(Duration::from_millis(millis)).await,
      None => std::future::pending().await,
    }
  };
  let mut pause = std::pin::pin!(pause);
  loop {
    tokio::select! {
      () = &mut pause => return true,
      order = orders.recv() => match order {
        Some(LinkOrder::Retry) => return true,
        // Questions wait in the store, which asks all of them when the link is up.
        Some(_) => {}
        None => return false,
      },
    }
  }
}

/// Serves one connection; the error that ended it, or none when nobody listens any more.
async fn serve(
  mut socket: WatchSocket,
  orders: &mut Receiver<LinkOrder>,
  news: &Sender<LinkNews>,
) -> Option<CtlError> {
  if news.send(LinkNews::Up).await.is_err() {
    return None;
  }
  let mut pings = interval(PING_EVERY);
  pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
  let mut heard = Instant::now();
  loop {
    let done = tokio::select! {
      item = socket.next() => match item {
        Ok(item) => {
          heard = Instant::now();
          if news.send(told(item)).await.is_err() {
            return None;
          }
          Ok(())
        }
        Err(error) => Err(error),
      },
      order = orders.recv() => match order {
        Some(LinkOrder::Watch(watch)) => socket.watch(&watch).await,
        Some(LinkOrder::Unwatch(id)) => socket.unwatch(&id).await,
        Some(LinkOrder::Retry) => Ok(()),
        None => return None,
      },
      _ = pings.tick() => match heard.elapsed() {
        silence if silence > SILENCE_MAX => {
          Err(CtlError::new(Exit::Unreachable, "the server has gone silent"))
        }
        _ => socket.ping().await,
      },
    };
    if let Err(error) = done {
      return Some(error);
    }
  }
}

fn told(item: WatchItem) -> LinkNews {
  match item {
    WatchItem::Frame(frame) => LinkNews::Frame(frame),
    WatchItem::Tick(tick) => LinkNews::Tick(tick),
    WatchItem::Pong(took) => LinkNews::Rtt(took.as_secs_f64() * 1e3),
    WatchItem::Refused(words) => LinkNews::Refused(words),
  }
}

/// Plays what was recorded in place of a server; frames get the ids of the questions of today.
pub async fn replay(
  lines: Vec<(Duration, LinkNews)>,
  mut orders: Receiver<LinkOrder>,
  news: Sender<LinkNews>,
) {
  let begin = Instant::now();
  let mut asked: BTreeMap<String, String> = BTreeMap::new();
  let mut played: BTreeMap<String, Vec<WatchFrame>> = BTreeMap::new();
  let mut lines = lines.into_iter().peekable();
  loop {
    let next = lines.peek().map(|(at, _)| begin + *at);
    let pause = async {
      match next {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
      }
    };
    tokio::select! {
      biased;
      order = orders.recv() => match order {
        Some(LinkOrder::Watch(watch)) => {
          let name = name_of(&watch.id);
          for frame in played.get(&name).into_iter().flatten() {
            let frame = WatchFrame { id: watch.id.clone(), ..frame.clone() };
            if news.send(LinkNews::Frame(Box::new(frame))).await.is_err() {
              return;
            }
          }
          asked.insert(name, watch.id);
        }
        Some(_) => {}
        None => return,
      },
      () = pause => {
        let Some((_, mut item)) = lines.next() else { continue };
        if let LinkNews::Frame(frame) = &mut item {
          let name = name_of(&frame.id);
          let known = played.entry(name.clone()).or_default();
          if frame.full {
            known.clear();
          }
          known.push((**frame).clone());
          match asked.get(&name) {
            Some(id) => frame.id.clone_from(id),
            None => continue,
          }
        }
        if news.send(item).await.is_err() {
          return;
        }
      }
    }
  }
}

/// The name of a question without its generation.
fn name_of(id: &str) -> String {
  id.rsplit_once('.').map_or("", |(name, _)| name).to_owned()
}
