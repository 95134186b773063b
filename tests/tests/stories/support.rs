//! What the stories share: submitting, waiting for an end, reading output.

use std::path::Path;
use std::process::Output;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use hetuflow_tests::api::Api;
use hetuflow_tests::cluster::Cluster;
use hetuflow_tests::{process, wait};
use jiff::Timestamp;
use serde_json::{Value, json};

/// Longer than anything here takes, even on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(90);

/// Runs each story on both engines: `both_engines!(story, other)` for `async fn story(Engine)`.
macro_rules! both_engines {
  ($($name:ident),+ $(,)?) => {
    mod on_sqlite {
      $( #[tokio::test(flavor = "multi_thread")]
      async fn $name() -> anyhow::Result<()> {
        super::$name(hetuflow_tests::cluster::Engine::Sqlite).await
      } )+
    }
    mod on_postgres {
      $( #[tokio::test(flavor = "multi_thread")]
      async fn $name() -> anyhow::Result<()> {
        super::$name(hetuflow_tests::cluster::Engine::Postgres).await
      } )+
    }
  };
}

/// A text field, which must be there.
pub fn text(value: &Value, field: &str) -> Result<String> {
  let text = value[field].as_str().with_context(|| format!("no {field} in {value}"))?;
  Ok(text.to_owned())
}

/// What a command of the terminal program said, and how it ended.
pub struct Told {
  /// Its code; -1 for a signal.
  pub exit: i32,
  /// Standard output.
  pub out: String,
  /// Standard error.
  pub err: String,
}

impl Told {
  /// Standard output as JSON.
  pub fn json(&self) -> Result<Value> {
    serde_json::from_str(&self.out).with_context(|| format!("{} {}", self.out, self.err))
  }

  /// Both streams.
  pub fn all(&self) -> String {
    format!("{}{}", self.out, self.err)
  }
}

/// Runs a command of the terminal program.
pub async fn ctl(cluster: &Cluster, args: &[&str]) -> Result<Told> {
  let Output { status, stdout, stderr } = cluster.ctl(args).await?;
  let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
  Ok(Told { exit: status.code().unwrap_or(-1), out: text(&stdout), err: text(&stderr) })
}

/// Runs one that must go well.
pub async fn went_well(cluster: &Cluster, args: &[&str]) -> Result<Told> {
  let told = ctl(cluster, args).await?;
  ensure!(told.exit == 0, "{args:?} ended with {}: {}", told.exit, told.all());
  Ok(told)
}

/// Runs one that must go well; its output without the last line end.
pub async fn well(cluster: &Cluster, args: &[&str]) -> Result<String> {
  Ok(went_well(cluster, args).await?.out.trim_end().to_owned())
}

/// Submits one task and gives its id.
pub async fn submit(api: &Api, task: &Value) -> Result<String> {
  text(&api.post_ok("/tasks", task).await?, "id")
}

/// Submits tasks by the thousand; every one must be made. Gives the ids in order.
pub async fn submit_all(api: &Api, tasks: &[Value]) -> Result<Vec<String>> {
  let mut ids = Vec::with_capacity(tasks.len());
  for part in tasks.chunks(1000) {
    let answer = api.post_ok("/tasks/bulk", &json!({ "items": part })).await?;
    ensure!(answer["failed"] == 0 && answer["created"] == part.len(), "{answer}");
    for result in answer["results"].as_array().context("results")? {
      ids.push(text(result, "id")?);
    }
  }
  Ok(ids)
}

/// The task as it is.
pub async fn task(api: &Api, id: &str) -> Result<Value> {
  api.get_ok(&format!("/tasks/{id}")).await
}

/// After the fault is healed a task runs again, whatever has become of those before it.
pub async fn runs_again(cluster: &Cluster) -> Result<()> {
  let api = cluster.api();
  let id = submit(&api, &json!({ "config": { "command": "true" } })).await?;
  wait_status(&api, &id, &["succeeded"]).await.context("after healing")?;
  Ok(())
}

/// Waits until the task is in one of these states; an end in another one is an error at once.
pub async fn wait_status(api: &Api, id: &str, wanted: &[&str]) -> Result<Value> {
  let found = wait::until_ok(&format!("task {id} to be {wanted:?}"), LIMIT, || async {
    let task = task(api, id).await.map_err(|error| format!("{error:#}"))?;
    let status = task["status"].as_str().unwrap_or_default();
    let wrong_end = is_final(status) && !wanted.contains(&status);
    if wrong_end || wanted.contains(&status) { Ok(task) } else { Err(task.to_string()) }
  })
  .await?;
  let status = found["status"].as_str().unwrap_or_default();
  ensure!(wanted.contains(&status), "task ended as {status}, not {wanted:?}: {found}");
  Ok(found)
}

/// Nothing follows these.
pub fn is_final(status: &str) -> bool {
  matches!(status, "failed" | "lost" | "skipped" | "expired" | "cancelled" | "succeeded")
}

/// All rows of a list, page by page.
pub async fn all(api: &Api, path: &str) -> Result<Vec<Value>> {
  let (mut rows, mut cursor) = (Vec::new(), String::new());
  loop {
    let sign = if path.contains('?') { '&' } else { '?' };
    let page = api.get_ok(&format!("{path}{sign}limit=1000{cursor}")).await?;
    rows.extend(page["data"].as_array().context("data")?.iter().cloned());
    match page["page"]["next_cursor"].as_str() {
      Some(next) => cursor = format!("&cursor={next}"),
      None => return Ok(rows),
    }
  }
}

/// Waits until all these have succeeded; another end is an error at once.
pub async fn wait_all_succeeded(api: &Api, ids: &[String]) -> Result<()> {
  for id in ids {
    wait_status(api, id, &["succeeded"]).await?;
  }
  Ok(())
}

/// The attempts of a task, oldest first.
pub async fn attempts(api: &Api, task_id: &str) -> Result<Vec<Value>> {
  let mut rows = all(api, &format!("/tasks/{task_id}/instances")).await?;
  rows.reverse();
  Ok(rows)
}

/// The output of the newest attempt of a task: one stream, or both as they came with "".
pub async fn output(api: &Api, task_id: &str, stream: &str) -> Result<Vec<u8>> {
  let task = task(api, task_id).await?;
  let instance = text(&task, "instance_id")?;
  let query = if stream.is_empty() { String::new() } else { format!("?stream={stream}") };
  let (status, bytes) = api.bytes(&format!("/task-instances/{instance}/logs{query}")).await?;
  if !status.is_success() {
    bail!("logs of {task_id}: {status}: {}", String::from_utf8_lossy(&bytes));
  }
  Ok(bytes)
}

/// What lives below `dir` with `word` in its command line: the processes of tasks, by a mark.
pub fn alive(dir: &Path, word: &str) -> Vec<(u32, String)> {
  let mut found = process::find("", dir);
  found.retain(|(_, line)| line.contains(word));
  found
}

/// A field that holds an instant.
pub fn instant(value: &Value, field: &str) -> Result<Timestamp> {
  let text = text(value, field)?;
  text.parse().with_context(|| format!("{field} is no instant: {text}"))
}

/// Runs a statement on the cluster's database, past its servers. Returns how many rows it changed.
pub async fn sql(cluster: &Cluster, statement: &'static str) -> Result<u64> {
  let url = cluster.database_url();
  if url.starts_with("sqlite:") {
    let pool = sqlx::SqlitePool::connect(url).await?;
    let done = sqlx::query(statement).execute(&pool).await?.rows_affected();
    pool.close().await;
    return Ok(done);
  }
  let pool = sqlx::PgPool::connect(url).await?;
  let done = sqlx::query(statement).execute(&pool).await?.rows_affected();
  pool.close().await;
  Ok(done)
}

/// Waits until the agent is ready for work.
pub async fn wait_online(api: &Api, agent: &str) -> Result<()> {
  wait::until_ok(&format!("{agent} to be online"), LIMIT, || async {
    let agent =
      api.get_ok(&format!("/agents/{agent}")).await.map_err(|error| format!("{error:#}"))?;
    let status = agent["status"].as_str().unwrap_or_default();
    if matches!(status, "idle" | "busy") { Ok(()) } else { Err(status.to_owned()) }
  })
  .await
}

/// Waits until the server calls the agent offline.
pub async fn wait_offline(api: &Api, agent: &str) -> Result<()> {
  wait::until_ok(&format!("{agent} to be offline"), LIMIT, || async {
    let agent =
      api.get_ok(&format!("/agents/{agent}")).await.map_err(|error| format!("{error:#}"))?;
    if agent["status"] == "offline" { Ok(()) } else { Err(agent["status"].to_string()) }
  })
  .await
}
