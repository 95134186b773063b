//! The WebSocket of watches.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::{SinkExt, StreamExt};
use hetuflow_core::{Envelope, MessageKind, Tick, Ts, Watch, read_message};
use serde::Serialize;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};

use super::{Fault, Shared, lock};

/// What the server closes with when a token has ended.
const CLOSE_UNAUTHORIZED: u16 = 4001;

type Socket = WebSocketStream<TcpStream>;

struct Open {
  watch: Watch,
  covered: i64,
  epoch: String,
  next_at: Instant,
}

/// Serves one connection to its end.
pub(super) async fn serve(mut stream: TcpStream, key: &str, shared: &Arc<Shared>) -> Result<()> {
  let accept = derive_accept_key(key.as_bytes());
  let head = format!(
    "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
     sec-websocket-accept: {accept}\r\n\r\n"
  );
  stream.write_all(head.as_bytes()).await?;
  let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
  let mut open: Vec<Open> = Vec::new();
  let mut ticks = interval(Duration::from_secs(1));
  ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
  let (mut changes, mut faults) = (shared.seq.subscribe(), shared.fault.subscribe());
  loop {
    let silent = shared.fault() == Fault::Silent;
    let due = due(&open, shared).filter(|_| !silent);
    tokio::select! {
      message = socket.next() => match message.context("the reader is gone")?? {
        Message::Text(text) => hear(text.as_str(), &mut open)?,
        Message::Close(_) => return Ok(()),
        _ => {}
      },
      _ = ticks.tick(), if !silent => {
        let tick = { let world = lock(&shared.world); Tick { epoch: world.epoch(), seq: world.seq(), at: Ts::now() } };
        say(&mut socket, MessageKind::Tick, &tick).await?;
      }
      changed = changes.changed() => changed?,
      changed = faults.changed() => {
        changed?;
        if let Fault::Refuse(_) = shared.fault() {
          let frame = CloseFrame { code: CLOSE_UNAUTHORIZED.into(), reason: "the token ended".into() };
          return Ok(socket.close(Some(frame)).await?);
        }
      }
      () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
        send_due(&mut socket, &mut open, shared).await?;
      }
    }
  }
}

fn hear(text: &str, open: &mut Vec<Open>) -> Result<()> {
  let message = read_message(text)?;
  match message.message_kind {
    MessageKind::Subscribe => {
      let watch: Watch = message.read()?;
      open.retain(|old| old.watch.id != watch.id);
      open.push(Open { watch, covered: 0, epoch: String::new(), next_at: Instant::now() });
    }
    MessageKind::Unsubscribe => {
      let wish: Value = message.read()?;
      open.retain(|old| wish["id"] != old.watch.id.as_str());
    }
    _ => {}
  }
  Ok(())
}

/// When the next frame is to be sent, where one is.
fn due(open: &[Open], shared: &Shared) -> Option<Instant> {
  let (seq, epoch) = {
    let world = lock(&shared.world);
    (world.seq(), world.epoch())
  };
  open.iter().filter(|one| one.covered != seq || one.epoch != epoch).map(|one| one.next_at).min()
}

async fn send_due(socket: &mut Socket, open: &mut [Open], shared: &Shared) -> Result<()> {
  let unmerged = *lock(&shared.unmerged_hz);
  let now = Instant::now();
  for one in open.iter_mut().filter(|one| one.next_at <= now) {
    let mut frame = {
      let world = lock(&shared.world);
      if one.covered == world.seq() && one.epoch == world.epoch() {
        continue;
      }
      let covered = if one.epoch == world.epoch() { one.covered } else { 0 };
      world.frame(&one.watch, covered)
    };
    if !frame.full && shared.fault() == Fault::Gap {
      frame.prev_seq += 1;
      shared.fault.send_replace(Fault::None);
    }
    (one.covered, one.epoch) = (frame.seq, frame.epoch.clone());
    let asked = if one.watch.max_hz == 0 { 4 } else { u32::from(one.watch.max_hz.min(20)) };
    let hz = unmerged.unwrap_or(asked).max(1);
    one.next_at = now + Duration::from_secs(1) / hz;
    say(socket, MessageKind::Frame, &frame).await?;
  }
  Ok(())
}

async fn say(socket: &mut Socket, kind: MessageKind, payload: &impl Serialize) -> Result<()> {
  let text = Envelope::new(kind, serde_json::to_value(payload)?).to_json()?;
  Ok(socket.send(Message::text(text)).await?)
}
