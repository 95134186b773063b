//! What tasks hand on and how far they say they are, from the process to the terminal.

use anyhow::{Result, ensure};
use hetuflow_tests::binaries::Binaries;
use hetuflow_tests::cluster::{Cluster, Engine};
use hetuflow_tests::wait;
use serde_json::{Value, json};

use crate::support::{LIMIT, attempts, output, submit, task, text, wait_status};

both_engines!(
  results_are_handed_on,
  the_terminal_tool_works_inside_of_a_task,
  results_outlive_the_agent_and_the_executor,
  progress_is_seen_while_it_runs,
);

async fn results_are_handed_on(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).start().await?;
  let api = cluster.api();
  let command = "echo rows=12 >> $HETUFLOW_OUTPUT; echo 'who=\u{9b}é' >> $HETUFLOW_OUTPUT; exit 3";
  let id = submit(&api, &json!({ "config": { "command": command } })).await?;
  let silent = submit(&api, &json!({ "config": { "command": "true" } })).await?;
  let done = wait_status(&api, &id, &["failed"]).await?;
  let expected = json!({ "rows": "12", "who": "\u{9b}é" });
  assert_eq!(done["outputs"], expected, "{done}");
  let instance = text(&done, "instance_id")?;
  let left = api.get_ok(&format!("/task-instances/{instance}/output")).await?;
  assert_eq!((&left["outputs"], &left["attempt"]), (&expected, &json!(1)));
  assert_eq!(left["status"], "failed");
  let shown = cluster.ctl(&["attempt", "result", &format!("{id}#1")]).await?;
  ensure!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stderr));
  let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
  ensure!(shown.contains("rows=12\n") && !shown.contains('\u{9b}'), "{shown:?}");
  let result = cluster.ctl(&["task", "result", &id, "-o", "json"]).await?;
  assert_eq!(serde_json::from_slice::<Value>(&result.stdout)?["outputs"], expected);
  wait_status(&api, &silent, &["succeeded"]).await?;
  let none = cluster.ctl(&["attempt", "result", &format!("{silent}#1"), "-o", "json"]).await?;
  assert_eq!(serde_json::from_slice::<Value>(&none.stdout)?["outputs"], Value::Null);
  cluster.finish()
}

/// The name of the result file is also the name of one of its settings.
async fn the_terminal_tool_works_inside_of_a_task(engine: Engine) -> Result<()> {
  let mut cluster = Cluster::builder().engine(engine).start().await?;
  let url = cluster.server(0).url().to_owned();
  let api = cluster.api();
  let (token, tool) = (cluster.dir().join("admin.token"), Binaries::find()?.ctl);
  let command = format!(
    "export HETUFLOW_SERVER={url} HETUFLOW_TOKEN_FILE='{}'; '{tool}' task list -o name && \
      '{tool}' task list",
    token.display(),
    tool = tool.display(),
  );
  let id = submit(&api, &json!({ "config": { "command": command } })).await?;
  let done = wait_status(&api, &id, &["succeeded", "failed"]).await?;
  let said = String::from_utf8_lossy(&output(&api, &id, "").await?).into_owned();
  ensure!(done["status"] == "succeeded" && said.starts_with("task/"), "{said}");
  cluster.finish()
}

/// Written before the deaths, read after them.
async fn results_outlive_the_agent_and_the_executor(engine: Engine) -> Result<()> {
  let mut cluster = Cluster::builder().engine(engine).start().await?;
  let api = cluster.api();
  let gate = cluster.dir().join("gate");
  let hold = format!(
    "trap '' PIPE; echo part=1 >> $HETUFLOW_OUTPUT; until [ -e '{}' ]; do sleep 0.1; done; \
     echo rest=2 >> $HETUFLOW_OUTPUT",
    gate.display()
  );
  let id = submit(&api, &json!({ "config": { "command": hold } })).await?;
  wait_status(&api, &id, &["running"]).await?;
  cluster.kill9_agent(0)?;
  cluster.restart_agent(0)?;
  cluster.wait_agent(0).await?;
  std::fs::write(&gate, "")?;
  let done = wait_status(&api, &id, &["succeeded"]).await?;
  assert_eq!(done["outputs"], json!({ "part": "1", "rest": "2" }));
  std::fs::remove_file(&gate)?;
  let id = submit(&api, &json!({ "config": { "command": hold } })).await?;
  wait_status(&api, &id, &["running"]).await?;
  let first = cluster.agent(0).executor_pid()?;
  cluster.agent(0).kill9_executor()?;
  wait::until("another executor", LIMIT, || {
    let now = cluster.agent(0).executor_pid().ok().filter(|pid| *pid != first);
    async move { now.map(drop) }
  })
  .await?;
  std::fs::write(&gate, "")?;
  let done = wait_status(&api, &id, &["failed"]).await?;
  assert_eq!((&done["reason"], &done["outputs"]["rest"]), (&json!("exit_unknown"), &json!("2")));
  cluster.finish()
}

async fn progress_is_seen_while_it_runs(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).start().await?;
  let api = cluster.api();
  let gate = cluster.dir().join("gate");
  let command = format!(
    "echo ::hetuflow progress 0.4 loading; until [ -e '{}' ]; do sleep 0.1; done; \
     echo ::hetuflow progress 0.9; echo ::hetuflow progress no",
    gate.display()
  );
  let id = submit(&api, &json!({ "config": { "command": command } })).await?;
  wait::until_ok("the progress", LIMIT, || async {
    let task = task(&api, &id).await.map_err(|error| format!("{error:#}"))?;
    let told = task["progress"] == 0.4 && task["progress_note"] == "loading";
    if told && task["status"] == "running" { Ok(()) } else { Err(task.to_string()) }
  })
  .await?;
  assert_eq!(attempts(&api, &id).await?[0]["progress"], 0.4);
  let list = cluster.ctl(&["task", "list"]).await?;
  let list = String::from_utf8_lossy(&list.stdout).into_owned();
  ensure!(list.contains("40% loading"), "{list}");
  let events = cluster.ctl(&["events", "--since", "10m", "--type", "task.progress", "-o", "jsonl"]);
  let events = String::from_utf8_lossy(&events.await?.stdout).into_owned();
  ensure!(events.contains("\"progress\":0.4"), "{events}");
  std::fs::write(&gate, "")?;
  let done = wait_status(&api, &id, &["succeeded"]).await?;
  assert_eq!(done["progress"], 0.9);
  let said = "::hetuflow progress 0.4 loading\n::hetuflow progress 0.9\n::hetuflow progress no\n";
  assert_eq!(String::from_utf8_lossy(&output(&api, &id, "").await?), said);
  cluster.finish()
}
