//! The server dies with `kill -9` while 200 tasks run, and is started again: nothing is lost,
//! nothing starts twice, and the output written meanwhile is there to the byte.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Result, ensure};
use hetuflow_tests::cluster::{Cluster, Engine};
use hetuflow_tests::truth::TruthLog;
use hetuflow_tests::wait;
use serde_json::{Value, json};

use crate::support::{
  LIMIT, all, attempts, output, runs_again, submit_all, text, wait_all_succeeded,
};

both_engines!(server_kill, server_kill_while_starting, server_kill_again_and_again);

const TASKS: usize = 200;
/// Lines of a task before and after it waits for the gate.
const BEFORE: usize = 5;
const AFTER: usize = 15;

/// A task that writes some lines, waits for `gate`, and writes the rest over 3 to 8 seconds.
fn item(truth: &TruthLog, gate: &Path, index: usize) -> Value {
  let pace = 20 + (index % 5) * 7;
  let script = truth.payload(&format!(
    r#"exec 9<> <(:)
say() {{ printf 'task %s line %s\n' {index} "$1"; (( $1 % 4 )) || printf 'error %s of %s\n' "$1" {index} >&2; }}
for n in {{1..{BEFORE}}}; do say "$n"; done
until [ -e '{}' ]; do read -rt 0.1 -u 9; done
for n in {{{}..{}}}; do read -rt 0.{pace} -u 9; say "$n"; done
printf 'no newline at the end of %s' {index}"#,
    gate.display(),
    BEFORE + 1,
    BEFORE + AFTER,
  ));
  json!({ "config": { "cmd": "bash", "script": script } })
}

/// What that task has written to a stream.
fn expected(index: usize, stream: &str) -> String {
  let lines = 1..=BEFORE + AFTER;
  match stream {
    "stdout" => lines
      .map(|n| format!("task {index} line {n}\n"))
      .chain([format!("no newline at the end of {index}")])
      .collect(),
    _ => lines.filter(|n| n % 4 == 0).map(|n| format!("error {n} of {index}\n")).collect(),
  }
}

/// Waits until the truth log has at least so many starts and ends.
async fn wait_truth(truth: &TruthLog, starts: usize, ends: usize) -> Result<()> {
  wait::until_ok("the truth log", LIMIT, || async {
    let count = |log: Result<BTreeMap<_, _>>| log.map(|log| log.len()).unwrap_or_default();
    let (seen, over) = (count(truth.starts()), count(truth.ends()));
    if seen >= starts && over >= ends { Ok(()) } else { Err(format!("{seen} starts, {over} ends")) }
  })
  .await
}

async fn server_kill(engine: Engine) -> Result<()> {
  story(engine, TASKS).await
}

/// The kill comes while claims, starts and reports are on their way.
async fn server_kill_while_starting(engine: Engine) -> Result<()> {
  story(engine, 40).await
}

/// Kills the server when `started` tasks have started.
async fn story(engine: Engine, started: usize) -> Result<()> {
  let mut cluster = Cluster::builder().engine(engine).slots(TASKS as u32).start().await?;
  let truth = TruthLog::new(cluster.dir().join("truth.log"));
  let gate = cluster.dir().join("gate");
  let items: Vec<Value> = (0..TASKS).map(|index| item(&truth, &gate, index)).collect();
  let ids = submit_all(&cluster.api(), &items).await?;

  wait_truth(&truth, started, 0).await?;
  ensure!(truth.ends()?.is_empty(), "a task ended before its gate was open");
  cluster.kill9_server(0)?;
  std::fs::write(&gate, "")?;
  // Some end while nobody listens, the others go on.
  wait_truth(&truth, started, started / 4).await?;
  cluster.restart_server(0).await?;

  let api = cluster.api();
  wait_all_succeeded(&api, &ids).await?;
  let once: BTreeMap<_, _> = ids.iter().map(|id| ((id.clone(), "1".to_owned()), 1)).collect();
  assert_eq!(truth.starts()?, once);
  assert_eq!(truth.ends()?, once);
  assert_eq!(all(&api, "/tasks").await?.len(), TASKS);
  for (index, id) in ids.iter().enumerate() {
    let attempts = attempts(&api, id).await?;
    ensure!(attempts.len() == 1, "{id} has {} attempts: {attempts:?}", attempts.len());
    assert_eq!(text(&attempts[0], "status")?, "succeeded");
    for stream in ["stdout", "stderr"] {
      let got = output(&api, id, stream).await?;
      assert_eq!(String::from_utf8(got)?, expected(index, stream), "{stream} of task {index}");
    }
    let both = output(&api, id, "").await?;
    let bytes = expected(index, "stdout").len() + expected(index, "stderr").len();
    assert_eq!((both.len(), attempts[0]["log_bytes"].as_u64()), (bytes, Some(bytes as u64)));
  }
  runs_again(&cluster).await?;
  cluster.finish()
}

/// Short tasks flow while the server dies five times: whatever was on its way is settled.
async fn server_kill_again_and_again(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).agents(2).slots(4);
  let quick = "[agent.connection]\nreconnect_base = '50ms'\nreconnect_max = '500ms'";
  let mut cluster = cluster.agent_settings(quick).start().await?;
  let truth = TruthLog::new(cluster.dir().join("truth.log"));
  let item = json!({ "config": { "script": truth.payload("echo done") } });
  let ids = submit_all(&cluster.api(), &vec![item; 1500]).await?;
  for round in 1..=5 {
    wait_truth(&truth, round * 200, 0).await?;
    cluster.kill9_server(0)?;
    cluster.restart_server(0).await?;
  }
  let api = cluster.api();
  wait_all_succeeded(&api, &ids).await?;
  let once: BTreeMap<_, _> = ids.iter().map(|id| ((id.clone(), "1".to_owned()), 1)).collect();
  let starts = truth.starts()?;
  let odd: Vec<_> = starts.iter().filter(|(key, count)| once.get(*key) != Some(*count)).collect();
  ensure!(odd.is_empty() && starts.len() == once.len(), "not one start each: {odd:?}");
  for attempt in all(&api, "/task-instances").await? {
    assert_eq!((&attempt["status"], &attempt["log_bytes"]), (&json!("succeeded"), &json!(5)));
  }
  for id in ids.iter().step_by(10) {
    assert_eq!(output(&api, id, "").await?, b"done\n");
  }
  runs_again(&cluster).await?;
  cluster.finish()
}
