//! A broadcast as the run of a schedule: the policies of overlap take it as one run, which lives
//! until the last of its tasks is over.

use anyhow::{Context, Result, ensure};
use hetuflow_tests::api::Api;
use hetuflow_tests::cluster::{Cluster, Engine};
use hetuflow_tests::truth::TruthLog;
use hetuflow_tests::wait;
use serde_json::{Value, json};

use crate::support::{LIMIT, all, attempts, instant, task, text, wait_status};

both_engines!(a_broadcast_is_one_run);

/// A job of one policy whose runs go to both agents.
struct Case {
  policy: &'static str,
  truth: TruthLog,
  gate: std::path::PathBuf,
}

impl Case {
  async fn new(cluster: &Cluster, policy: &'static str) -> Result<Self> {
    let truth = TruthLog::new(cluster.dir().join(format!("truth-{policy}.log")));
    let gate = cluster.dir().join(format!("gate-{policy}"));
    let hold = format!("until [ -e '{}' ]; do sleep 0.05; done", gate.display());
    let config =
      json!({ "script": truth.payload(&hold), "broadcast": "all", "stop_grace_secs": 2 });
    // Its own instants are far away: this test triggers the runs.
    let schedule = json!({ "name": policy, "interval_secs": 864_000, "overlap_policy": policy });
    let job = json!({ "name": policy, "config": config, "schedules": [schedule] });
    cluster.api().post_ok("/jobs", &job).await?;
    Ok(Self { policy, truth, gate })
  }

  /// Asks for a run: the decision, and the task where one was made.
  async fn trigger(&self, api: &Api) -> Result<(String, Option<String>)> {
    let told = api.post_ok(&format!("/schedules/{}/trigger", self.policy), &json!({})).await?;
    Ok((text(&told, "decision")?, told["task"]["id"].as_str().map(str::to_owned)))
  }

  /// A first run, on both agents.
  async fn first(&self, api: &Api) -> Result<String> {
    let (_, id) = self.trigger(api).await?;
    let id = id.context("a first run")?;
    self.starts(2).await?;
    Ok(id)
  }

  async fn starts(&self, count: usize) -> Result<()> {
    wait::until_ok(&format!("{count} starts of {}", self.policy), LIMIT, || async {
      let starts = self.truth.starts().map_err(|error| error.to_string())?.len();
      if starts == count { Ok(()) } else { Err(format!("{starts} starts")) }
    })
    .await
  }

  fn open(&self) -> Result<()> {
    Ok(std::fs::write(&self.gate, "")?)
  }
}

async fn is(api: &Api, id: &str, status: &str) -> Result<()> {
  let task = task(api, id).await?;
  ensure!(task["status"] == status, "not {status}: {task}");
  Ok(())
}

async fn a_broadcast_is_one_run(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).agents(2).slots(20).start().await?;
  let api = cluster.api();
  skip(&cluster, &api).await?;
  queues(&cluster, &api).await?;
  side_by_side(&cluster, &api).await?;
  for policy in ["cancel_other", "terminate_other"] {
    replaces(&cluster, &api, policy).await?;
  }
  cluster.finish()
}

async fn skip(cluster: &Cluster, api: &Api) -> Result<()> {
  let case = Case::new(cluster, "skip").await?;
  let first = case.first(api).await?;
  assert_eq!(case.trigger(api).await?, ("skipped_overlap".to_owned(), None));
  case.open()?;
  wait_status(api, &first, &["succeeded"]).await?;
  let (_, again) = case.trigger(api).await?;
  wait_status(api, &again.context("a run when nothing is alive")?, &["succeeded"]).await?;
  assert_eq!((case.truth.starts()?.len(), case.truth.most_alive(|_| true)?), (4, 2));
  Ok(())
}

async fn queues(cluster: &Cluster, api: &Api) -> Result<()> {
  for (policy, waiting) in [("buffer_one", 1), ("buffer_all", 3), ("serial_priority", 3)] {
    let case = Case::new(cluster, policy).await?;
    let mut runs = vec![case.first(api).await?];
    for nth in 0..3 {
      let (decision, id) = case.trigger(api).await?;
      match id {
        Some(id) => {
          is(api, &id, "blocked").await?;
          runs.push(id);
        }
        None => assert_eq!((decision.as_str(), nth >= waiting), ("skipped_overlap", true)),
      }
    }
    assert_eq!(runs.len(), 1 + waiting, "{policy}");
    assert_eq!(case.truth.starts()?.len(), 2, "{policy}: nothing starts beside it");
    case.open()?;
    for id in &runs {
      wait_status(api, id, &["succeeded"]).await?;
    }
    let starts = case.truth.starts()?.len();
    assert_eq!((starts, case.truth.most_alive(|_| true)?), (2 * runs.len(), 2), "{policy}");
  }
  Ok(())
}

async fn side_by_side(cluster: &Cluster, api: &Api) -> Result<()> {
  let case = Case::new(cluster, "allow_all").await?;
  let first = case.first(api).await?;
  let (_, second) = case.trigger(api).await?;
  case.starts(4).await?;
  assert_eq!(case.truth.most_alive(|_| true)?, 4);
  case.open()?;
  for id in [first, second.context("a second run")?] {
    wait_status(api, &id, &["succeeded"]).await?;
  }
  Ok(())
}

/// The later run begins when nothing of the earlier one lives, on no agent.
async fn replaces(cluster: &Cluster, api: &Api, policy: &'static str) -> Result<()> {
  let case = Case::new(cluster, policy).await?;
  let first = case.first(api).await?;
  let (_, second) = case.trigger(api).await?;
  let second = second.context("a second run")?;
  wait_status(api, &first, &["cancelled"]).await?;
  let parts: Vec<Value> = all(api, &format!("/tasks?parent_id={first}")).await?;
  assert_eq!(parts.len(), 2);
  let mut stopped = Vec::new();
  for part in &parts {
    let id = text(part, "id")?;
    is(api, &id, "cancelled").await?;
    for attempt in attempts(api, &id).await? {
      stopped.push(instant(&attempt, "completed_at")?);
    }
  }
  case.starts(4).await?;
  case.open()?;
  wait_status(api, &second, &["succeeded"]).await?;
  for part in all(api, &format!("/tasks?parent_id={second}")).await? {
    let began = instant(&part, "started_at")?;
    ensure!(stopped.iter().all(|end| *end <= began), "{policy}: {began} before {stopped:?}");
  }
  Ok(())
}
