//! Orders to agents as a whole, each with an answer that the asker sees.

use anyhow::{Context, Result, ensure};
use hetuflow_tests::api::Api;
use hetuflow_tests::cluster::{Cluster, Engine, STOP_LIMIT};
use hetuflow_tests::truth::TruthLog;
use hetuflow_tests::wait;
use reqwest::StatusCode;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{LIMIT, attempts, output, submit, task, wait_status};

both_engines!(
  an_agent_starts_anew_and_its_tasks_go_on,
  settings_change_while_the_agent_runs,
  an_agent_answers_about_itself,
  an_agent_that_cannot_answer_is_told_of,
);

async fn order(api: &Api, request: Value) -> Result<Value> {
  Ok(api.post_ok("/agents/agent-0/command", &request).await?["result"].clone())
}

async fn epochs(api: &Api) -> Result<(i64, i64)> {
  let agent = api.get_ok("/agents/agent-0").await?;
  let number = |name: &str| agent[name].as_i64().context("a number");
  Ok((number("agent_epoch")?, number("connection_epoch")?))
}

async fn an_agent_starts_anew_and_its_tasks_go_on(engine: Engine) -> Result<()> {
  let mut cluster = Cluster::builder().engine(engine).start().await?;
  let (api, truth) = (cluster.api(), TruthLog::new(cluster.dir().join("truth.log")));
  let gate = cluster.dir().join("gate");
  let body =
    format!("echo a; until [ -e '{}' ]; do sleep 0.1; done; echo b; (exit 7)", gate.display());
  let id = submit(&api, &json!({ "config": { "script": truth.payload(&body) } })).await?;
  wait_status(&api, &id, &["running"]).await?;
  let (pid, executor) = (cluster.agent(0).process().pid(), cluster.agent(0).executor_pid()?);
  let before = epochs(&api).await?;
  let told = cluster.ctl(&["agent", "restart", "agent-0"]).await?;
  let words = String::from_utf8_lossy(&[told.stdout, told.stderr].concat()).into_owned();
  ensure!(told.status.success() && words.contains("1 tasks went on"), "{words}");
  let after = epochs(&api).await?;
  ensure!(after.0 > before.0, "another start: {before:?} {after:?}");
  assert_eq!(cluster.agent(0).process().pid(), pid, "the same process, for whoever watches it");
  ensure!(cluster.agent(0).process().is_running(), "it runs");
  assert_eq!(cluster.agent(0).executor_pid()?, executor, "the same executor");
  std::fs::write(&gate, "")?;
  let done = wait_status(&api, &id, &["failed"]).await?;
  assert_eq!((&done["exit_code"], &done["attempt"]), (&json!(7), &json!(1)));
  assert_eq!(output(&api, &id, "").await?, b"a\nb\n");
  assert_eq!((truth.starts()?.len(), attempts(&api, &id).await?.len()), (1, 1));

  // One that would not start again stays as it is, and says why.
  let file = cluster.dir().join("agent-0.toml");
  let good = std::fs::read_to_string(&file)?;
  std::fs::write(&file, good.replace("[agent]", "[agent]\ncolour = 'red'"))?;
  let request = json!({ "command": "restart" });
  let (status, answer) = api.post("/agents/agent-0/command", &request).await?;
  assert_eq!(
    (status, &answer["errors"][0]["code"]),
    (StatusCode::CONFLICT, &json!("command.refused"))
  );
  ensure!(answer.to_string().contains("colour"), "{answer}");
  std::fs::write(&file, good)?;
  let next = submit(&api, &json!({ "config": { "command": "true" } })).await?;
  wait_status(&api, &next, &["succeeded"]).await?;
  cluster.finish()
}

async fn settings_change_while_the_agent_runs(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).slots(4).start().await?;
  let api = cluster.api();
  let slots = "agent.polling.max_concurrent_tasks";
  let one = format!("{slots}=1");
  let told = cluster.ctl(&["agent", "command", "agent-0", "update_config", "-p", &one]).await?;
  ensure!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
  let gate = cluster.dir().join("gate");
  let hold = format!("until [ -e '{}' ]; do sleep 0.1; done", gate.display());
  let first = submit(&api, &json!({ "config": { "command": hold } })).await?;
  wait_status(&api, &first, &["running"]).await?;
  let second = submit(&api, &json!({ "config": { "command": hold } })).await?;
  let shown = wait::until_ok("one slot to be told", LIMIT, || async {
    let told = api.get_ok("/agents/agent-0").await.map_err(|error| error.to_string())?;
    if told["capabilities"]["max_concurrent_tasks"] == 1 { Ok(told) } else { Err(told.to_string()) }
  })
  .await?;
  assert_eq!(shown["labels"]["sys_os"], "linux", "what was told before is still there");
  ensure!(shown["capabilities"]["metadata"]["sys_limits"].is_string(), "{shown}");
  let labels = json!({ "command": "update_config", "parameters": {
    "agent.labels": { "zone": "c" }, "log.level": "info,hetuflow_agent=debug", slots: 2 } });
  order(&api, labels).await?;
  // The second has a slot now.
  wait_status(&api, &second, &["running"]).await?;
  let there = json!({ "config": { "command": "true", "selector": { "zone": "c" } } });
  let there = submit(&api, &there).await?;
  std::fs::write(&gate, "")?;
  for id in [&first, &second, &there] {
    wait_status(&api, id, &["succeeded"]).await?;
  }
  let wrong = json!({ "command": "update_config", "parameters": {
    slots: 9, "agent.state_dir": "/x", "agent.colour": 1 } });
  let (status, answer) = api.post("/agents/agent-0/command", &wrong).await?;
  assert_eq!(status, StatusCode::CONFLICT, "{answer}");
  let words = answer.to_string();
  for part in ["agent.state_dir: is read at the start only", "agent.colour: is no setting"] {
    ensure!(words.contains(part), "{part} in {words}");
  }
  assert_eq!(api.get_ok("/agents/agent-0").await?["capabilities"]["max_concurrent_tasks"], 2);
  cluster.finish()
}

async fn an_agent_answers_about_itself(engine: Engine) -> Result<()> {
  let mut cluster = Cluster::builder().engine(engine).start().await?;
  let (api, truth) = (cluster.api(), TruthLog::new(cluster.dir().join("truth.log")));
  let gate = cluster.dir().join("gate");
  let body = format!("until [ -e '{}' ]; do sleep 0.1; done", gate.display());
  let id =
    submit(&api, &json!({ "config": { "cmd": "bash", "script": truth.payload(&body) } })).await?;
  wait_status(&api, &id, &["running"]).await?;

  let health = order(&api, json!({ "command": "health_check" })).await?;
  assert_eq!((&health["healthy"], &health["running"]), (&json!(true), &json!(1)), "{health}");
  let ping = cluster.ctl(&["agent", "ping", "agent-0"]).await?;
  let words = String::from_utf8_lossy(&ping.stdout).into_owned();
  ensure!(ping.status.success() && words.contains("agent/agent-0 is well"), "{words}");
  let figures = order(&api, json!({ "command": "fetch_metrics" })).await?;
  ensure!(figures["uptime"].is_u64(), "{figures}");

  // Folders that nobody owns any more go; those of running attempts, and strangers, stay.
  let runs = cluster.agent(0).state_dir().join("runs");
  let mine = std::fs::read_dir(&runs)?.count();
  let left = runs.join("01939e00-0000-7000-8000-000000000001");
  std::fs::create_dir_all(left.join("below"))?;
  std::fs::create_dir_all(runs.join("of-somebody-else"))?;
  let cleared = order(&api, json!({ "command": "clear_cache" })).await?;
  assert_eq!((&cleared["removed"], &cleared["failed"]), (&json!(1), &json!(0)), "{cleared}");
  ensure!(!left.exists() && runs.join("of-somebody-else").exists(), "the right ones");
  assert_eq!(std::fs::read_dir(&runs)?.count(), mine + 1);

  let before = epochs(&api).await?;
  let told = order(&api, json!({ "command": "reload_tasks" })).await?;
  assert_eq!(told["in_hand"], 1, "{told}");
  wait::until_ok("another registration", LIMIT, || async {
    let now = epochs(&api).await.map_err(|error| error.to_string())?;
    if now.0 == before.0 && now.1 > before.1 { Ok(()) } else { Err(format!("{now:?}")) }
  })
  .await?;
  assert_eq!(task(&api, &id).await?["status"], "running");
  std::fs::write(&gate, "")?;
  wait_status(&api, &id, &["succeeded"]).await?;
  assert_eq!(truth.started_twice()?, []);

  let (status, answer) =
    api.post("/agents/agent-0/command", &json!({ "command": "task_dispatch" })).await?;
  assert_eq!((status.as_u16(), &answer["errors"][0]["code"]), (422, &json!("command.unknown")));
  let told = order(&api, json!({ "command": "shutdown" })).await?;
  assert_eq!(told["leaving"], true, "{told}");
  ensure!(cluster.agent(0).process().wait(STOP_LIMIT)?.success(), "it leaves in order");
  cluster.finish()
}

async fn an_agent_that_cannot_answer_is_told_of(engine: Engine) -> Result<()> {
  let mut cluster = Cluster::builder().engine(engine).start().await?;
  let api = cluster.api();
  let request = json!({ "command": "health_check", "timeout": "500ms" });
  let (status, answer) = api.post("/agents/nobody/command", &request).await?;
  assert_eq!(status.as_u16(), 404, "{answer}");
  cluster.agent(0).process().signal(Signal::STOP)?;
  let (status, answer) = api.post("/agents/agent-0/command", &request).await?;
  assert_eq!(status.as_u16(), 503, "{answer}");
  ensure!(answer["err_msg"].to_string().contains("has not answered health_check"), "{answer}");
  cluster.agent(0).process().signal(Signal::CONT)?;
  let answer = wait::until_ok("an answer", LIMIT, || async {
    order(&api, json!({ "command": "health_check" })).await.map_err(|error| format!("{error:#}"))
  });
  assert_eq!(answer.await?["healthy"], true);
  cluster.stop_agent(0)?;
  let gone = wait::until_ok("the agent to be gone", LIMIT, || async {
    let (status, answer) =
      api.post("/agents/agent-0/command", &request).await.map_err(|error| format!("{error:#}"))?;
    let code = answer["errors"][0]["code"].as_str() == Some("agent.not_connected");
    if status == StatusCode::CONFLICT && code { Ok(answer) } else { Err(answer.to_string()) }
  });
  ensure!(gone.await?["err_msg"].to_string().contains("last heard of"), "words");
  cluster.restart_agent(0)?;
  let next = submit(&api, &json!({ "config": { "command": "true" } })).await?;
  wait_status(&api, &next, &["succeeded"]).await?;
  cluster.finish()
}
