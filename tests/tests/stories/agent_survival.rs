//! Agents and executors are killed, stopped and started again; what they run goes on.

use anyhow::{Result, ensure};
use hetuflow_tests::cluster::{Cluster, Engine};
use hetuflow_tests::truth::TruthLog;
use hetuflow_tests::wait;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{LIMIT, alive, attempts, output, runs_again, submit, task, text, wait_status};

both_engines!(
  a_killed_agent_loses_nothing,
  a_task_ends_while_its_agent_is_dead,
  a_stopped_agent_leaves_its_tasks_alone,
  a_cancel_reaches_a_task_whose_agent_was_dead,
  a_killed_executor_is_followed_by_another,
  claims_that_were_never_started_go_back,
  a_task_that_waits_for_its_instant_outlives_its_agent,
  an_executor_that_only_waits_leaves_without_its_agent,
  a_stop_that_a_dead_agent_was_told_is_followed,
  what_waits_starts_without_a_server_after_its_grace,
);

/// Tasks go on when the agent is asked to stop, as they do where nobody says otherwise.
const KEEP: &str = "[agent]\ntasks_on_stop = 'keep'";

async fn starts(truth: &TruthLog, count: usize) -> Result<()> {
  wait::until_ok("the starts", LIMIT, || async {
    let starts = truth.starts().map_or(0, |starts| starts.len());
    if starts >= count { Ok(()) } else { Err(starts.to_string()) }
  })
  .await
}

fn counted(lines: u32) -> Vec<u8> {
  (1..=lines).map(|n| format!("line {n}\n")).collect::<String>().into_bytes()
}

/// `kill -9` twice while a task writes: every byte, the exit code, one start.
async fn a_killed_agent_loses_nothing(engine: Engine) -> Result<()> {
  let mut cluster = Cluster::builder().engine(engine).start().await?;
  let (api, truth) = (cluster.api(), TruthLog::new(cluster.dir().join("truth.log")));
  let body = "for i in $(seq 1 60); do echo line $i; sleep 0.1; done; (exit 7)";
  let id = submit(&api, &json!({ "config": { "script": truth.payload(body) } })).await?;
  // Full of bytes that no buffer of an agent could hold.
  let flood =
    "head -c 3000000 /dev/zero | tr '\\0' x; sleep 3; head -c 3000000 /dev/zero | tr '\\0' y";
  let flood = submit(&api, &json!({ "config": { "command": flood } })).await?;
  wait_status(&api, &id, &["running"]).await?;
  for _ in 0..2 {
    tokio::time::sleep(std::time::Duration::from_millis(700)).await;
    cluster.kill9_agent(0)?;
    cluster.restart_agent(0)?;
    cluster.wait_agent(0).await?;
  }
  let done = wait_status(&api, &id, &["failed"]).await?;
  assert_eq!((&done["exit_code"], &done["attempt"]), (&json!(7), &json!(1)));
  ensure!(output(&api, &id, "").await? == counted(60), "the log has holes");
  wait_status(&api, &flood, &["succeeded"]).await?;
  let bytes = output(&api, &flood, "").await?;
  assert_eq!(bytes.len(), 6_000_000);
  ensure!(bytes[..3_000_000].iter().all(|b| *b == b'x'), "the first half");
  ensure!(bytes[3_000_000..].iter().all(|b| *b == b'y'), "the second half");
  assert_eq!((truth.starts()?.len(), truth.started_twice()?), (1, Vec::new()));
  assert_eq!(attempts(&api, &id).await?.len(), 1);
  runs_again(&cluster).await?;
  cluster.finish()
}

async fn a_task_ends_while_its_agent_is_dead(engine: Engine) -> Result<()> {
  let mut cluster = Cluster::builder().engine(engine).start().await?;
  let (api, truth) = (cluster.api(), TruthLog::new(cluster.dir().join("truth.log")));
  let body = "echo before; sleep 1; echo after >&2; (exit 42)";
  let id = submit(&api, &json!({ "config": { "script": truth.payload(body) } })).await?;
  wait_status(&api, &id, &["running"]).await?;
  cluster.kill9_agent(0)?;
  wait::until("its end", LIMIT, || async { (truth.ends().ok()?.len() == 1).then_some(()) }).await?;
  cluster.restart_agent(0)?;
  let done = wait_status(&api, &id, &["failed"]).await?;
  assert_eq!((&done["exit_code"], &done["attempt"]), (&json!(42), &json!(1)));
  assert_eq!(output(&api, &id, "").await?, b"before\nafter\n");
  // After healing everything runs again.
  let next = submit(&api, &json!({ "config": { "command": "echo next" } })).await?;
  wait_status(&api, &next, &["succeeded"]).await?;
  runs_again(&cluster).await?;
  cluster.finish()
}

/// An upgrade: the agent is stopped in order and started again.
async fn a_stopped_agent_leaves_its_tasks_alone(engine: Engine) -> Result<()> {
  let mut cluster = Cluster::builder().engine(engine).agent_settings(KEEP).start().await?;
  let (api, truth) = (cluster.api(), TruthLog::new(cluster.dir().join("truth.log")));
  let (gate, lines) = (cluster.dir().join("gate"), cluster.dir().join("lines"));
  let body = format!(
    "i=0; until [ -e '{}' ]; do i=$((i+1)); echo line $i; sleep 0.1; done; echo $i > '{}'",
    gate.display(),
    lines.display()
  );
  let id = submit(&api, &json!({ "config": { "script": truth.payload(&body) } })).await?;
  wait_status(&api, &id, &["running"]).await?;
  let before = cluster.agent(0).executor_pid()?;
  cluster.stop_agent(0)?;
  let lives = !alive(cluster.dir(), "script.sh").is_empty();
  ensure!(lives && truth.ends()?.is_empty(), "it was stopped");
  cluster.restart_agent(0)?;
  cluster.wait_agent(0).await?;
  assert_eq!(cluster.agent(0).executor_pid()?, before, "the same executor");
  let heard = output(&api, &id, "").await?.len();
  wait::until("more of its output", LIMIT, || async {
    (output(&api, &id, "").await.ok()?.len() > heard).then_some(())
  })
  .await?;
  std::fs::write(&gate, "")?;
  let done = wait_status(&api, &id, &["succeeded"]).await?;
  assert_eq!(done["attempt"], 1);
  let lines: u32 = std::fs::read_to_string(&lines)?.trim().parse()?;
  ensure!(output(&api, &id, "").await? == counted(lines), "the log has holes");
  assert_eq!(truth.started_twice()?, []);
  // Without work and without an agent the executor leaves by itself.
  cluster.stop_agent(0)?;
  wait::until_ok("the executor to leave", LIMIT, || async {
    let left = alive(cluster.dir(), "executor");
    if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
  })
  .await?;
  cluster.restart_agent(0)?;
  let next = submit(&api, &json!({ "config": { "command": "true" } })).await?;
  wait_status(&api, &next, &["succeeded"]).await?;
  runs_again(&cluster).await?;
  cluster.finish()
}

async fn a_cancel_reaches_a_task_whose_agent_was_dead(engine: Engine) -> Result<()> {
  let mut cluster = Cluster::builder().engine(engine).start().await?;
  let api = cluster.api();
  let id = submit(&api, &json!({ "config": { "command": "sleep 1234567" } })).await?;
  wait_status(&api, &id, &["running"]).await?;
  cluster.kill9_agent(0)?;
  api.post_ok(&format!("/tasks/{id}/cancel"), &json!({})).await?;
  assert_eq!(task(&api, &id).await?["status"], "cancelling", "not before it is dead");
  ensure!(!alive(cluster.dir(), "sleep 1234567").is_empty(), "nobody could stop it yet");
  cluster.restart_agent(0)?;
  wait_status(&api, &id, &["cancelled"]).await?;
  assert_eq!(alive(cluster.dir(), "sleep 1234567"), []);
  runs_again(&cluster).await?;
  cluster.finish()
}

/// The executor itself is killed: its tasks are found again and reported as what they are.
async fn a_killed_executor_is_followed_by_another(engine: Engine) -> Result<()> {
  let mut cluster = Cluster::builder().engine(engine).start().await?;
  let (api, truth) = (cluster.api(), TruthLog::new(cluster.dir().join("truth.log")));
  let gate = cluster.dir().join("gate");
  let hold = format!("until [ -e '{}' ]; do sleep 0.1; done", gate.display());
  let deaf = truth.payload(&format!("trap '' PIPE; echo said; {hold}"));
  let lives = submit(&api, &json!({ "config": { "script": deaf } })).await?;
  let stays = submit(&api, &json!({ "config": { "command": "sleep 1234567" } })).await?;
  let gone = submit(&api, &json!({ "config": { "command": "sleep 7654321" } })).await?;
  for id in [&lives, &stays, &gone] {
    wait_status(&api, id, &["running"]).await?;
  }
  wait::until_ok("what it has said", LIMIT, || async {
    let said = output(&api, &lives, "").await.map_err(|error| format!("{error:#}"))?;
    if said == b"said\n" { Ok(()) } else { Err(format!("{said:?}")) }
  })
  .await?;
  let first = cluster.agent(0).executor_pid()?;
  let pid: i64 = attempts_pid(&api, &gone).await?;
  cluster.agent(0).kill9_executor()?;
  let pid = rustix::process::Pid::from_raw(i32::try_from(pid)?).expect("a pid");
  rustix::process::kill_process(pid, Signal::KILL)?;
  std::fs::write(&gate, "")?;

  for id in [&lives, &gone] {
    let task = wait_status(&api, id, &["failed"]).await?;
    assert_eq!(
      (text(&task, "reason")?.as_str(), &task["exit_code"]),
      ("exit_unknown", &Value::Null)
    );
  }
  assert_eq!(truth.ends()?.len(), 1, "the first one was not told over before it was");
  ensure!(cluster.agent(0).executor_pid()? != first, "another executor");
  assert_eq!(task(&api, &stays).await?["status"], "running");
  api.post_ok(&format!("/tasks/{stays}/cancel"), &json!({})).await?;
  wait_status(&api, &stays, &["cancelled"]).await?;
  assert_eq!(alive(cluster.dir(), "sleep 1234567"), []);
  assert_eq!((truth.starts()?.len(), truth.started_twice()?), (1, Vec::new()));
  let next = submit(&api, &json!({ "config": { "command": "echo next" } })).await?;
  wait_status(&api, &next, &["succeeded"]).await?;
  runs_again(&cluster).await?;
  cluster.finish()
}

async fn attempts_pid(api: &hetuflow_tests::api::Api, id: &str) -> Result<i64> {
  let instance = text(&task(api, id).await?, "instance_id")?;
  let mark = format!("HETUFLOW_INSTANCE_ID={instance}");
  // While a process becomes another program it shows no environment.
  wait::until("the process of the attempt", LIMIT, || async {
    std::fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
      let environ = std::fs::read(entry.path().join("environ")).ok()?;
      let marked = environ.split(|byte| *byte == 0).any(|word| word == mark.as_bytes());
      marked.then(|| entry.file_name().to_str()?.parse::<i64>().ok()).flatten()
    })
  })
  .await
}

/// What the dead agent had only been handed waits again, and runs once.
async fn claims_that_were_never_started_go_back(engine: Engine) -> Result<()> {
  let mut cluster = Cluster::builder().engine(engine).slots(1).start().await?;
  let (api, truth) = (cluster.api(), TruthLog::new(cluster.dir().join("truth.log")));
  let gate = cluster.dir().join("gate");
  let hold = format!("until [ -e '{}' ]; do sleep 0.1; done", gate.display());
  let first = submit(&api, &json!({ "config": { "script": truth.payload(&hold) } })).await?;
  wait_status(&api, &first, &["running"]).await?;
  let mut rest = Vec::new();
  for _ in 0..5 {
    rest.push(submit(&api, &json!({ "config": { "script": truth.payload("true") } })).await?);
  }
  cluster.kill9_agent(0)?;
  cluster.restart_agent(0)?;
  cluster.wait_agent(0).await?;
  std::fs::write(&gate, "")?;
  wait_status(&api, &first, &["succeeded"]).await?;
  for id in &rest {
    assert_eq!(wait_status(&api, id, &["succeeded"]).await?["attempt"], 1);
  }
  starts(&truth, 6).await?;
  assert_eq!((truth.starts()?.len(), truth.started_twice()?), (6, Vec::new()));
  runs_again(&cluster).await?;
  cluster.finish()
}

/// Handed out ahead of its instant and acknowledged; the next agent starts it on time.
async fn a_task_that_waits_for_its_instant_outlives_its_agent(engine: Engine) -> Result<()> {
  let mut cluster = Cluster::builder().engine(engine).start().await?;
  let (api, truth) = (cluster.api(), TruthLog::new(cluster.dir().join("truth.log")));
  let at = jiff::Timestamp::now() + std::time::Duration::from_secs(4);
  let config = json!({ "script": truth.payload("true") });
  let id = submit(&api, &json!({ "config": config, "scheduled_at": at.to_string() })).await?;
  wait_status(&api, &id, &["dispatched"]).await?;
  cluster.kill9_agent(0)?;
  cluster.restart_agent(0)?;
  let done = wait_status(&api, &id, &["succeeded"]).await?;
  assert_eq!(done["attempt"], 1);
  let begun = truth.read()?[0].at_ns;
  let late = i128::try_from(begun)? - at.as_nanosecond();
  ensure!(late >= 0, "{late} ns: never early");
  assert_eq!(truth.started_twice()?, []);
  runs_again(&cluster).await?;
  cluster.finish()
}

/// Nobody comes for a while: an executor that has nothing but a wait does not stay for ever, and the
/// next one knows of it.
async fn an_executor_that_only_waits_leaves_without_its_agent(engine: Engine) -> Result<()> {
  let mut cluster = Cluster::builder().engine(engine).start().await?;
  let (api, truth) = (cluster.api(), TruthLog::new(cluster.dir().join("truth.log")));
  let at = jiff::Timestamp::now() + std::time::Duration::from_secs(4);
  let config = json!({ "script": truth.payload("true") });
  let id = submit(&api, &json!({ "config": config, "scheduled_at": at.to_string() })).await?;
  wait_status(&api, &id, &["dispatched"]).await?;
  let executor = cluster.agent(0).executor_pid()?;
  cluster.kill9_agent(0)?;
  let stat = format!("/proc/{executor}/stat");
  wait::until("the executor to leave", LIMIT, || async {
    let stat = std::fs::read_to_string(&stat).unwrap_or_default();
    (stat.is_empty() || stat.contains(") Z ")).then_some(())
  })
  .await?;
  cluster.restart_agent(0)?;
  let done = wait_status(&api, &id, &["succeeded"]).await?;
  assert_eq!((&done["attempt"], truth.starts()?.len()), (&json!(1), 1));
  runs_again(&cluster).await?;
  cluster.finish()
}

/// The agent stands still, is told to stop what waits, and is killed: the executor never hears of it.
async fn a_stop_that_a_dead_agent_was_told_is_followed(engine: Engine) -> Result<()> {
  let mut cluster = Cluster::builder().engine(engine).start().await?;
  let (api, truth) = (cluster.api(), TruthLog::new(cluster.dir().join("truth.log")));
  let at = jiff::Timestamp::now() + std::time::Duration::from_secs(3);
  let config = json!({ "script": truth.payload("true") });
  let body = json!({ "config": config, "scheduled_at": at.to_string() });
  let ids = [submit(&api, &body).await?, submit(&api, &body).await?];
  for id in &ids {
    wait_status(&api, id, &["dispatched"]).await?;
  }
  cluster.agent(0).process().signal(Signal::STOP)?;
  api.post_ok(&format!("/tasks/{}/cancel", ids[0]), &json!({})).await?;
  cluster.kill9_agent(0)?;
  // Due by the time that the next one comes.
  wait::until("the instant", LIMIT, || async { (jiff::Timestamp::now() > at).then_some(()) })
    .await?;
  cluster.restart_agent(0)?;
  wait_status(&api, &ids[0], &["cancelled"]).await?;
  let kept = wait_status(&api, &ids[1], &["succeeded"]).await?;
  assert_eq!(kept["attempt"], 1, "what nobody stopped goes on");
  assert_eq!(truth.starts()?.len(), 1);
  let next = submit(&api, &json!({ "config": { "script": truth.payload("true") } })).await?;
  wait_status(&api, &next, &["succeeded"]).await?;
  assert_eq!((truth.starts()?.len(), truth.started_twice()?), (2, vec![]));
  runs_again(&cluster).await?;
  cluster.finish()
}

async fn what_waits_starts_without_a_server_after_its_grace(engine: Engine) -> Result<()> {
  let settings = "[agent.connection]\ntakeover_grace = '2s'";
  let mut cluster = Cluster::builder().engine(engine).agent_settings(settings).start().await?;
  let (api, truth) = (cluster.api(), TruthLog::new(cluster.dir().join("truth.log")));
  let at = jiff::Timestamp::now() + std::time::Duration::from_secs(2);
  let config = json!({ "script": truth.payload("true") });
  let id = submit(&api, &json!({ "config": config, "scheduled_at": at.to_string() })).await?;
  wait_status(&api, &id, &["dispatched"]).await?;
  cluster.kill9_server(0)?;
  cluster.kill9_agent(0)?;
  cluster.restart_agent(0)?;
  starts(&truth, 1).await?;
  cluster.restart_server(0).await?;
  let done = wait_status(&cluster.api(), &id, &["succeeded"]).await?;
  assert_eq!(done["attempt"], 1);
  assert_eq!(truth.started_twice()?, []);
  runs_again(&cluster).await?;
  cluster.finish()
}
