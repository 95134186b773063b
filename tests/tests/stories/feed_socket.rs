//! The feed over a WebSocket: what exists first, then what happens; a return goes on where it was.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use futures_util::{SinkExt, StreamExt};
use hetuflow_tests::cluster::{Cluster, Engine};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::support::{LIMIT, sql, submit, submit_all, wait_all_succeeded, wait_status};

both_engines!(
  a_subscriber_gets_what_exists_and_what_happens,
  a_subscriber_that_returns_misses_nothing,
  a_subscriber_that_comes_too_late_is_told,
);

/// One subscriber.
struct Socket(WebSocketStream<TcpStream>);

impl Socket {
  /// Connects; `query` may subscribe already.
  async fn open(cluster: &mut Cluster, query: &str) -> Result<Self> {
    let token = cluster.token().to_owned();
    let address = cluster.server(0).url().trim_start_matches("http://").to_owned();
    let mut request = format!("ws://{address}/api/v1/events{query}").into_client_request()?;
    request.headers_mut().insert("authorization", format!("Bearer {token}").parse()?);
    let stream = TcpStream::connect(&address).await?;
    Ok(Self(tokio_tungstenite::client_async(request, stream).await?.0))
  }

  async fn say(&mut self, kind: &str, payload: Value) -> Result<()> {
    let id = uuid::Uuid::now_v7();
    let message =
      json!({ "message_id": id, "timestamp": 0, "message_kind": kind, "payload": payload });
    Ok(self.0.send(Message::text(message.to_string())).await?)
  }

  /// The next message that is no tick: its kind and what it says.
  async fn hear(&mut self) -> Result<(String, Value)> {
    loop {
      let next = tokio::time::timeout(LIMIT, self.0.next()).await.context("nothing came")?;
      match next.context("the feed ended")?? {
        Message::Text(text) => {
          let mut message: Value = serde_json::from_str(text.as_str())?;
          let kind = message["message_kind"].as_str().context("kind")?.to_owned();
          if kind != "tick" {
            return Ok((kind, message["payload"].take()));
          }
        }
        Message::Close(frame) => {
          let frame = frame.context("a farewell without a code")?;
          return Ok(("close".to_owned(), json!([u16::from(frame.code), frame.reason.as_str()])));
        }
        _ => {}
      }
    }
  }

  /// The next changes.
  async fn frame(&mut self) -> Result<Value> {
    match self.hear().await? {
      (kind, frame) if kind == "frame" => Ok(frame),
      other => bail!("no frame: {other:?}"),
    }
  }

  /// Frames up to the one with this event of this thing, without a hole.
  async fn until(&mut self, id: &str, event: &str) -> Result<Vec<Value>> {
    let mut frames: Vec<Value> = Vec::new();
    loop {
      let frame = self.frame().await?;
      if let Some(before) = frames.last() {
        assert_eq!(frame["prev_seq"], before["seq"], "a hole in the feed");
      }
      frames.push(frame);
      if events(&frames[frames.len() - 1..]).any(|one| one == (id, event)) {
        return Ok(frames);
      }
    }
  }
}

/// Whose events the frames hold, and which.
fn events(frames: &[Value]) -> impl Iterator<Item = (&str, &str)> {
  let events = frames.iter().flat_map(|frame| frame["events"].as_array().into_iter().flatten());
  events.filter_map(|event| Some((event["subject"]["id"].as_str()?, event["type"].as_str()?)))
}

/// A task of a moment.
fn short() -> Value {
  json!({ "config": { "cmd": "exec", "args": ["true"] } })
}

async fn a_subscriber_gets_what_exists_and_what_happens(engine: Engine) -> Result<()> {
  let mut cluster = Cluster::builder().engine(engine).start().await?;
  let api = cluster.api();
  let over = submit(&api, &short()).await?;
  wait_status(&api, &over, &["succeeded"]).await?;
  let gate = cluster.dir().join("gate");
  let script = format!("until [ -e '{}' ]; do sleep 0.05; done", gate.display());
  let runs = submit(&api, &json!({ "config": { "script": script } })).await?;
  wait_status(&api, &runs, &["running"]).await?;

  // What is no subscription is refused, and the door stays open.
  let mut socket = Socket::open(&mut cluster, "").await?;
  for (kind, payload) in [("subscribe", json!({ "topics": "all" })), ("task_poll", json!({}))] {
    socket.say(kind, payload).await?;
    let (kind, error) = socket.hear().await?;
    ensure!(kind == "error" && error["err_code"] == 400, "{kind} {error}");
  }
  let wish = json!({ "topics": ["task", "agent"], "snapshot": true });
  socket.say("subscribe", wish).await?;
  // First what exists: the running task as it is, the agent, and nothing that is over.
  let mut first = vec![socket.frame().await?];
  while !(events(&first).any(|one| one == (&runs, "task.snapshot"))
    && events(&first).any(|one| one == ("agent-0", "agent.snapshot")))
  {
    first.push(socket.frame().await?);
  }
  ensure!(!events(&first).any(|(id, _)| id == over), "{first:?}");
  let things = first.iter().flat_map(|frame| frame["events"].as_array().into_iter().flatten());
  let task = things.into_iter().find(|one| one["subject"]["id"] == runs.as_str());
  assert_eq!(task.context("the task")?["data"]["status"], "running");
  // Then what happens.
  std::fs::write(&gate, "")?;
  let end = socket.until(&runs, "task.succeeded").await?;
  ensure!(end.last().context("a frame")?["seq"].as_i64() > first[0]["seq"].as_i64());

  // Another wish on the same socket takes the place of the first.
  socket.say("subscribe", json!({ "topics": ["job"] })).await?;
  let job = json!({ "name": "told", "config": { "command": "true" } });
  // Until the new wish is in force the old one may still speak.
  let mut heard = Vec::new();
  for n in 0.. {
    let task = submit(&api, &short()).await?;
    wait_status(&api, &task, &["succeeded"]).await?;
    let mut job = job.clone();
    job["name"] = json!(format!("told-{n}"));
    let id = api.post_ok("/jobs", &job).await?["id"].as_str().context("id")?.to_owned();
    let frames = socket.until(&id, "job.created").await?;
    heard = events(&frames).map(|(id, event)| (id.to_owned(), event.to_owned())).collect();
    if heard.iter().all(|(_, event)| event.starts_with("job.")) {
      break;
    }
    ensure!(n < 5, "tasks are still told: {heard:?}");
  }
  ensure!(!heard.is_empty());
  socket.say("unsubscribe", json!({})).await?;
  assert_eq!(socket.hear().await?, ("close".to_owned(), json!([1001, "unsubscribed"])));
  cluster.finish()
}

async fn a_subscriber_that_returns_misses_nothing(engine: Engine) -> Result<()> {
  let mut cluster = Cluster::builder().engine(engine).slots(8).start().await?;
  let api = cluster.api();
  let mut stays = Socket::open(&mut cluster, "?topics=task").await?;
  let mut leaves = Socket::open(&mut cluster, "").await?;
  leaves.say("subscribe", json!({ "topics": ["task"], "since_seq": 0 })).await?;
  let first = submit(&api, &short()).await?;
  let mut seen = leaves.until(&first, "task.succeeded").await?;
  drop(leaves);
  let ids = submit_all(&api, &vec![short(); 300]).await?;
  wait_all_succeeded(&api, &ids).await?;
  let since = seen.last().context("a frame")?["seq"].clone();
  let mut back = Socket::open(&mut cluster, "").await?;
  back.say("subscribe", json!({ "topics": ["task"], "since_seq": since })).await?;
  let last = submit(&api, &short()).await?;
  let missed = back.until(&last, "task.succeeded").await?;
  assert_eq!(missed[0]["prev_seq"], since);
  seen.extend(missed);
  let all = stays.until(&last, "task.succeeded").await?;
  assert_eq!(seen.len(), all.len());
  for (one, other) in seen.iter().zip(&all) {
    assert_eq!((&one["seq"], &one["events"]), (&other["seq"], &other["events"]));
  }
  // A server that stops says goodbye to everybody.
  cluster.stop_server(0)?;
  for socket in [&mut stays, &mut back] {
    let (kind, farewell) = socket.hear().await?;
    ensure!(kind == "close" && farewell[0] == 1001, "{kind} {farewell}");
  }
  cluster.restart_server(0).await?;
  cluster.finish()
}

async fn a_subscriber_that_comes_too_late_is_told(engine: Engine) -> Result<()> {
  let mut cluster = Cluster::builder().engine(engine).start().await?;
  let api = cluster.api();
  let mut socket = Socket::open(&mut cluster, "?topics=task").await?;
  let id = submit(&api, &short()).await?;
  let seen = socket.until(&id, "task.succeeded").await?;
  drop(socket);
  let since = seen[0]["seq"].as_i64().context("seq")?;
  for _ in 0..5 {
    wait_status(&api, &submit(&api, &short()).await?, &["succeeded"]).await?;
  }
  let cut = "delete from sched_event_batch \
    where seq < (select max(seq) from sched_event_batch)";
  ensure!(sql(&cluster, cut).await? > 2);
  let mut socket = Socket::open(&mut cluster, "").await?;
  socket.say("subscribe", json!({ "topics": ["task"], "since_seq": since })).await?;
  let (kind, resync) = socket.hear().await?;
  ensure!(kind == "resync" && resync["from_seq"].as_i64() > Some(since), "{kind} {resync}");
  ensure!(resync["reason"].as_str().is_some_and(|why| why.contains("reaches back")), "{resync}");
  assert_eq!(resync["epoch"], seen[0]["epoch"]);
  // From there on nothing is missing.
  let id = submit(&api, &short()).await?;
  let after = socket.until(&id, "task.succeeded").await?;
  assert_eq!(after[0]["prev_seq"], resync["from_seq"]);
  // A reader that wants nothing is not kept waiting for ever.
  let mut mute = Socket::open(&mut cluster, "").await?;
  let began = tokio::time::Instant::now();
  let (kind, farewell) = mute.hear().await?;
  ensure!(kind == "close" && farewell[0] == 1008, "{kind} {farewell}");
  ensure!(began.elapsed() >= Duration::from_secs(5));
  cluster.finish()
}
