//! The events feed: a task's life in order, the same for every reader, and nothing missed by a
//! reader that went away and came back.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use hetuflow_tests::api::Api;
use hetuflow_tests::cluster::{Cluster, Engine};
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::support::{LIMIT, submit, submit_all, wait_all_succeeded};

both_engines!(a_tasks_life_in_order, a_reader_that_returns_misses_nothing, a_killed_server_goes_on);

/// A reader of server-sent events.
struct Reader {
  response: Response,
  buffer: Vec<u8>,
  frames: VecDeque<Value>,
}

impl Reader {
  /// Subscribes; the feed lives when this returns.
  async fn open(api: &Api, query: &str) -> Result<Self> {
    let response = api.request(Method::GET, &format!("/events?{query}")).send().await?;
    ensure!(response.status().is_success(), "{}", response.text().await?);
    Ok(Self { response, buffer: Vec::new(), frames: VecDeque::new() })
  }

  /// The next frame of changes.
  async fn next(&mut self) -> Result<Value> {
    let read = tokio::time::timeout(LIMIT, self.read()).await;
    read.context("no frame came in time")?
  }

  async fn read(&mut self) -> Result<Value> {
    loop {
      if let Some(frame) = self.frames.pop_front() {
        return Ok(frame);
      }
      let chunk = self.response.chunk().await?.context("the feed ended")?;
      self.buffer.extend_from_slice(&chunk);
      while let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\n\n") {
        let event: Vec<u8> = self.buffer.drain(..end + 2).collect();
        self.take(std::str::from_utf8(&event)?)?;
      }
    }
  }

  /// Takes one event; ticks are no news.
  fn take(&mut self, event: &str) -> Result<()> {
    let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    match field("event:") {
      Some("frame") => {
        let frame: Value = serde_json::from_str(field("data:").context("data")?)?;
        ensure!(field("id:") == Some(frame["seq"].to_string().as_str()), "id of {event}");
        self.frames.push_back(frame);
        Ok(())
      }
      Some("tick") | None => Ok(()),
      Some(other) => bail!("the feed said {other}: {event}"),
    }
  }

  /// Frames up to the one with this event of this task, in order and without a hole.
  async fn until(&mut self, task: &str, event_type: &str) -> Result<Vec<Value>> {
    let mut frames: Vec<Value> = Vec::new();
    loop {
      let frame = self.next().await?;
      if let Some(before) = frames.last() {
        assert_eq!(frame["prev_seq"], before["seq"], "a hole in the feed");
        ensure!(frame["seq"].as_i64() > before["seq"].as_i64(), "{frame} after {before}");
      }
      let found = types_of(std::slice::from_ref(&frame), task).iter().any(|one| one == event_type);
      frames.push(frame);
      if found {
        return Ok(frames);
      }
    }
  }
}

/// What the frames say happened to a task, in order.
fn types_of(frames: &[Value], task: &str) -> Vec<String> {
  let events = frames.iter().flat_map(|frame| frame["events"].as_array().into_iter().flatten());
  let own = events.filter(|event| event["subject"]["id"] == task);
  own.filter_map(|event| Some(event["type"].as_str()?.to_owned())).collect()
}

/// A task of a moment.
fn short() -> Value {
  json!({ "config": { "cmd": "exec", "args": ["true"] } })
}

async fn a_tasks_life_in_order(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).start().await?;
  let api = cluster.api();
  let mut readers =
    [Reader::open(&api, "topics=task").await?, Reader::open(&api, "topics=task").await?];
  let gate = cluster.dir().join("gate");
  let script = format!("until [ -e '{}' ]; do sleep 0.05; done", gate.display());
  let id = submit(&api, &json!({ "config": { "script": script } })).await?;
  let begun = readers[0].until(&id, "task.running").await?;
  assert_eq!(types_of(&begun, &id).first().map(String::as_str), Some("task.created"));
  std::fs::write(&gate, "")?;
  let mut first = begun;
  first.extend(readers[0].until(&id, "task.succeeded").await?);
  let second = readers[1].until(&id, "task.succeeded").await?;
  assert_eq!(first, second);
  let life = types_of(&second, &id);
  let known = ["task.created", "task.running", "task.succeeded"];
  let steps: Vec<&String> = life.iter().filter(|one| known.contains(&one.as_str())).collect();
  assert_eq!(steps, known, "{life:?}");

  // Cancels and failures are told as well.
  let id = submit(&api, &json!({ "config": { "command": "exit 4" } })).await?;
  let failed = readers[0].until(&id, "task.failed").await?;
  assert_eq!(failed, readers[1].until(&id, "task.failed").await?);
  ensure!(failed.iter().any(|frame| frame.to_string().contains("exit_code(4)")), "{failed:?}");
  drop(readers);
  cluster.finish()
}

async fn a_reader_that_returns_misses_nothing(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).slots(8).start().await?;
  let api = cluster.api();
  let mut stays = Reader::open(&api, "topics=task").await?;
  let mut leaves = Reader::open(&api, "topics=task").await?;
  let first = submit(&api, &short()).await?;
  let mut seen = leaves.until(&first, "task.created").await?;
  drop(leaves);
  // More than the feed reads in one go, while the reader is away.
  let ids = submit_all(&api, &vec![short(); 500]).await?;
  for _ in 0..3 {
    wait_all_succeeded(&api, &submit_all(&api, &vec![short(); 20]).await?).await?;
  }
  wait_all_succeeded(&api, &ids).await?;
  let since = seen.last().context("a frame")?["seq"].clone();
  let mut back = Reader::open(&api, &format!("topics=task&since_seq={since}")).await?;
  // And more when it is back.
  let last = submit(&api, &short()).await?;
  let missed = back.until(&last, "task.succeeded").await?;
  assert_eq!(missed.first().context("a frame")?["prev_seq"], since);
  seen.extend(missed);
  let all = stays.until(&last, "task.succeeded").await?;
  assert_eq!(seen, all);
  for id in ids.iter().chain([&first, &last]) {
    let life = types_of(&all, id);
    assert_eq!(life.iter().filter(|one| *one == "task.created").count(), 1, "{life:?}");
    assert_eq!(life.last().map(String::as_str), Some("task.succeeded"), "{life:?}");
  }
  drop((stays, back));
  cluster.finish()
}

async fn a_killed_server_goes_on(engine: Engine) -> Result<()> {
  let mut cluster = Cluster::builder().engine(engine).start().await?;
  let mut reader = Reader::open(&cluster.api(), "topics=task").await?;
  let id = submit(&cluster.api(), &short()).await?;
  let before = reader.until(&id, "task.succeeded").await?;
  cluster.kill9_server(0)?;
  let ended = tokio::time::timeout(Duration::from_secs(10), reader.read()).await;
  ensure!(ended.context("the feed outlived its server")?.is_err(), "a frame of a dead server");
  cluster.restart_server(0).await?;
  let api = cluster.api();
  let (since, epoch) =
    before.last().map(|last| (&last["seq"], &last["epoch"])).context("frames")?;
  let mut reader = Reader::open(&api, &format!("topics=task&since_seq={since}")).await?;
  let id = submit(&api, &short()).await?;
  let after = reader.until(&id, "task.succeeded").await?;
  assert_eq!((&after[0]["prev_seq"], &after[0]["epoch"]), (since, epoch));
  assert_eq!(types_of(&after, &id).first().map(String::as_str), Some("task.created"));
  drop(reader);
  cluster.finish()
}
