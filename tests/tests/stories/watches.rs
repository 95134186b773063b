//! Watches over a real socket: the window first, then what changes in it.

use std::collections::HashMap;

use anyhow::{Context, Result, ensure};
use futures_util::{SinkExt, StreamExt};
use hetuflow_tests::cluster::{Cluster, Engine};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::support::{LIMIT, submit, submit_all, wait_all_succeeded, wait_status};

both_engines!(
  a_window_is_told_once_and_then_kept,
  a_flood_costs_few_frames,
  every_scope_answers_and_a_reader_that_returns_starts_anew,
);

/// A socket with watches.
struct Socket {
  inner: WebSocketStream<TcpStream>,
  /// The windows as the frames built them, by watch.
  windows: HashMap<String, Window>,
}

/// What a terminal would hold.
#[derive(Default)]
struct Window {
  seq: i64,
  rows: HashMap<String, Value>,
  order: Vec<String>,
  matched: u64,
  object: Value,
  frames: usize,
}

impl Window {
  /// Applies a frame as the contract says.
  fn take(&mut self, frame: &Value) -> Result<()> {
    if frame["full"] == true {
      *self = Self { frames: self.frames, ..Self::default() };
      ensure!(frame["order"].is_array(), "a full frame without an order: {frame}");
    } else {
      ensure!(frame["prev_seq"] == self.seq, "a hole after {}: {frame}", self.seq);
    }
    self.seq = frame["seq"].as_i64().context("seq")?;
    for row in frame["put"].as_array().into_iter().flatten() {
      self.rows.insert(key_of(row), row.clone());
    }
    if let Some(order) = frame["order"].as_array() {
      self.order = order.iter().filter_map(|key| Some(key.as_str()?.to_owned())).collect();
      self.rows.retain(|key, _| self.order.contains(key));
    }
    self.matched = frame["matched"].as_u64().unwrap_or(self.matched);
    if !frame["object"].is_null() {
      self.object = frame["object"].clone();
    }
    self.frames += 1;
    Ok(())
  }
}

/// The key of a row, as the types of the contract make it.
fn key_of(row: &Value) -> String {
  let text = |field: &str| row[field].as_str().unwrap_or_default();
  match (&row["seq"], &row["schedule_id"]) {
    (Value::Number(seq), _) => format!("{seq}.{}", row["index"]),
    (_, Value::String(schedule)) if row["id"].is_null() => format!("{schedule}@{}", text("at")),
    _ => text("id").to_owned(),
  }
}

impl Socket {
  async fn open(cluster: &mut Cluster) -> Result<Self> {
    let url = format!("{}/api/v1/events", cluster.server(0).url().replacen("http", "ws", 1));
    let mut request = url.into_client_request()?;
    request.headers_mut().insert("authorization", format!("Bearer {}", cluster.token()).parse()?);
    let place = request.uri().authority().context("an address")?.to_string();
    let (inner, _) = client_async(request, TcpStream::connect(place).await?).await?;
    Ok(Self { inner, windows: HashMap::new() })
  }

  async fn say(&mut self, kind: &str, payload: Value) -> Result<()> {
    let message =
      json!({ "message_id": uuid::Uuid::now_v7(), "message_kind": kind, "payload": payload });
    Ok(self.inner.send(Message::text(message.to_string())).await?)
  }

  /// The next message: its kind and payload.
  async fn hear(&mut self) -> Result<(String, Value)> {
    loop {
      let next = tokio::time::timeout(LIMIT, self.inner.next()).await;
      let message = next.context("no message came in time")?.context("the socket ended")??;
      if let Message::Text(text) = message {
        let message: Value = serde_json::from_str(text.as_str())?;
        let kind = message["message_kind"].as_str().context("a kind")?.to_owned();
        return Ok((kind, message["payload"].clone()));
      }
    }
  }

  /// Takes messages until the window of a watch is as wanted.
  async fn until(&mut self, id: &str, wanted: impl Fn(&Window) -> bool) -> Result<()> {
    loop {
      if self.windows.get(id).is_some_and(&wanted) {
        return Ok(());
      }
      let (kind, payload) = self.hear().await?;
      if kind == "frame" {
        let name = payload["id"].as_str().context("a frame without a watch")?.to_owned();
        self.windows.entry(name).or_default().take(&payload)?;
      } else {
        ensure!(kind == "tick", "{kind}: {payload}");
      }
    }
  }

  async fn watch(&mut self, watch: Value) -> Result<()> {
    self.say("subscribe", watch).await
  }

  fn window(&self, id: &str) -> &Window {
    &self.windows[id]
  }
}

fn short() -> Value {
  json!({ "config": { "cmd": "exec", "args": ["true"] } })
}

async fn a_window_is_told_once_and_then_kept(engine: Engine) -> Result<()> {
  let mut cluster = Cluster::builder().engine(engine).slots(4).start().await?;
  let api = cluster.api();
  let first = submit(&api, &short()).await?;
  wait_status(&api, &first, &["succeeded"]).await?;
  let mut socket = Socket::open(&mut cluster).await?;
  let ask = json!({ "id": "t", "scope": "tasks", "len": 3, "max_hz": 20 });
  socket.watch(ask.clone()).await?;
  socket.until("t", |window| window.order == [first.clone()]).await?;
  assert_eq!(socket.window("t").rows[&first]["status"], "succeeded");
  assert_eq!(socket.window("t").frames, 1);

  // Another reader with the same question sees the same, from the same work.
  let mut other = Socket::open(&mut cluster).await?;
  other.watch(ask).await?;
  other.until("t", |window| window.frames == 1).await?;
  assert_eq!(other.window("t").rows, socket.window("t").rows);

  let second = submit(&api, &json!({ "config": { "command": "exit 7" } })).await?;
  for reader in [&mut socket, &mut other] {
    reader
      .until("t", |window| window.rows.get(&second).is_some_and(|row| row["status"] == "failed"))
      .await?;
    let window = reader.window("t");
    assert_eq!(window.order, [second.clone(), first.clone()]);
    assert_eq!((window.matched, &window.rows[&second]["exit_code"]), (2, &json!(7)));
    assert_eq!(window.rows[&second]["why"], "exit 7");
  }

  // The oldest leaves a window of three by the order alone.
  let more = submit_all(&api, &vec![short(); 3]).await?;
  wait_all_succeeded(&api, &more).await?;
  socket.until("t", |window| !window.rows.contains_key(&second) && window.matched == 5).await?;
  let done = |window: &Window| window.rows.values().all(|row| row["status"] == "succeeded");
  socket.until("t", done).await?;
  assert_eq!(socket.window("t").rows.len(), 3);

  // A watch that ended is silent; ticks go on while another one lives.
  socket.watch(json!({ "id": "j", "scope": "jobs" })).await?;
  socket.until("j", |window| window.frames == 1).await?;
  socket.say("unsubscribe", json!({ "id": "t" })).await?;
  // What a socket says is heard in its order: when the next watch answers, the one before it ended.
  socket.watch(json!({ "id": "k", "scope": "jobs" })).await?;
  socket.until("k", |window| window.frames == 1).await?;
  let frames = socket.window("t").frames;
  let id = submit(&api, &short()).await?;
  wait_status(&api, &id, &["succeeded"]).await?;
  let mut ticks = 0;
  while ticks < 2 {
    let (kind, payload) = socket.hear().await?;
    ticks += usize::from(kind == "tick");
    ensure!(kind == "tick" || payload["id"] != "t", "{kind}: {payload}");
  }
  assert_eq!(socket.window("t").frames, frames);
  drop((socket, other));
  cluster.finish()
}

async fn a_flood_costs_few_frames(engine: Engine) -> Result<()> {
  let mut cluster = Cluster::builder().engine(engine).slots(8).start().await?;
  let api = cluster.api();
  let mut socket = Socket::open(&mut cluster).await?;
  socket.watch(json!({ "id": "t", "scope": "tasks", "len": 20, "max_hz": 4 })).await?;
  socket.until("t", |window| window.frames == 1).await?;
  let begun = std::time::Instant::now();
  let ids = submit_all(&api, &vec![short(); 400]).await?;
  wait_all_succeeded(&api, &ids).await?;
  let all_done = |window: &Window| {
    window.matched == 400 && window.rows.values().all(|row| row["status"] == "succeeded")
  };
  socket.until("t", all_done).await?;
  let window = socket.window("t");
  let most = 3 + begun.elapsed().as_secs() as usize * 4 + 4;
  ensure!(window.frames <= most, "{} frames in {:?}", window.frames, begun.elapsed());
  let mut newest = ids;
  newest.sort();
  newest.reverse();
  assert_eq!(window.order, newest[..20]);
  drop(socket);
  cluster.finish()
}

async fn every_scope_answers_and_a_reader_that_returns_starts_anew(engine: Engine) -> Result<()> {
  let mut cluster = Cluster::builder().engine(engine).start().await?;
  let api = cluster.api();
  let job = json!({
    "name": "tidy", "config": { "command": "exit 3" },
    "schedules": [{ "name": "hourly", "interval_secs": "1h" }],
  });
  api.post_ok("/jobs", &job).await?;
  let task = submit(&api, &json!({ "job": "tidy" })).await?;
  wait_status(&api, &task, &["failed"]).await?;
  let scopes = ["overview", "tasks", "jobs", "agents", "events", "servers", "fires", "task", "job"];
  let mut socket = Socket::open(&mut cluster).await?;
  for scope in scopes {
    let target = if scope == "task" { task.as_str() } else { "tidy" };
    socket.watch(json!({ "id": scope, "scope": scope, "target": target })).await?;
  }
  for scope in scopes {
    socket.until(scope, |window| window.frames > 0).await?;
    let window = socket.window(scope);
    ensure!(!window.rows.is_empty() || !window.object.is_null(), "{scope} shows nothing");
    let path = format!(
      "/events/snapshot?scope={scope}&target={}",
      if scope == "task" { &task } else { "tidy" }
    );
    let whole = api.get_ok(&path).await?;
    assert_eq!(whole["full"], true, "{scope}");
  }
  let detail = &socket.window("task").object;
  assert_eq!(detail["task"]["job"], "tidy");
  assert_eq!(detail["attempts"][0]["exit_code"], 3);
  let detail = &socket.window("job").object;
  assert_eq!(detail["tasks"][0]["id"], task.as_str());
  assert_eq!(detail["job"]["last_runs"], json!(["failed"]));
  let overview = &socket.window("overview").object;
  assert_eq!((&overview["servers_up"], &overview["jobs"]["enabled"]), (&json!(1), &json!(1)));

  // What cannot be asked is told, and the socket lives on.
  socket.watch(json!({ "id": "x", "scope": "job", "target": "nobody" })).await?;
  loop {
    let (kind, payload) = socket.hear().await?;
    if kind == "frame" && payload["id"] == "x" {
      assert_eq!(payload["error"]["code"], "not_found", "{payload}");
      break;
    }
  }
  refuses_too_many(&mut socket).await?;

  // The epoch stays over a restart, the window is told anew.
  cluster.kill9_server(0)?;
  cluster.restart_server(0).await?;
  let mut socket = Socket::open(&mut cluster).await?;
  socket.watch(json!({ "id": "tasks", "scope": "tasks" })).await?;
  socket.until("tasks", |window| window.order == [task.clone()]).await?;
  drop(socket);
  cluster.finish()
}

async fn refuses_too_many(socket: &mut Socket) -> Result<()> {
  for n in 0..8 {
    socket.watch(json!({ "id": format!("more-{n}"), "scope": "servers" })).await?;
  }
  loop {
    let (kind, payload) = socket.hear().await?;
    if kind == "error" {
      assert_eq!(payload["errors"][0]["code"], "watch.too_many", "{payload}");
      return Ok(());
    }
  }
}
