//! Files that tasks leave, from the process to the terminal: what is taken, what is refused, and what
//! survives the death of whoever carries it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hetuflow_tests::cluster::{Cluster, Engine};
use hetuflow_tests::net::Host;
use hetuflow_tests::wait;
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{LIMIT, all, sql, submit, task, text, wait_status};

both_engines!(
  files_are_left_and_fetched,
  what_leads_out_is_refused,
  limits_of_the_server_hold,
  files_outlive_the_agent,
  a_killed_executor_loses_no_file,
  the_same_content_is_sent_once,
  a_large_file_on_a_slow_link_keeps_nobody_waiting,
);

/// The files of a task, by name.
async fn files(cluster: &Cluster, task: &str) -> Result<Vec<Value>> {
  let mut files = all(&cluster.api(), &format!("/artifacts?task_id={task}")).await?;
  files.sort_by_key(|file| file["name"].to_string());
  Ok(files)
}

/// Waits until none of a task's files is on its way.
async fn settled(cluster: &Cluster, task: &str) -> Result<Vec<Value>> {
  wait::until_ok("the files to come", LIMIT, || async {
    let files = files(cluster, task).await.map_err(|error| format!("{error:#}"))?;
    let open = files.iter().any(|file| file["state"] == "uploading");
    if open { Err(format!("{files:?}")) } else { Ok(files) }
  })
  .await
}

fn names(files: &[Value], field: &str) -> Vec<(String, String)> {
  let text = |file: &Value, field: &str| file[field].as_str().unwrap_or_default().to_owned();
  files.iter().map(|file| (text(file, "name"), text(file, field))).collect()
}

fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
  all.iter().map(|(name, word)| ((*name).to_owned(), (*word).to_owned())).collect()
}

async fn content(cluster: &Cluster, file: &Value) -> Result<Vec<u8>> {
  let (status, bytes) =
    cluster.api().bytes(&format!("/artifacts/{}/content", text(file, "id")?)).await?;
  ensure!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&bytes));
  let hash: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
  assert_eq!(file["content_hash"], hash.as_str());
  Ok(bytes)
}

async fn files_are_left_and_fetched(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).start().await?;
  let api = cluster.api();
  let command = "echo one > $HETUFLOW_ARTIFACTS/report.txt; mkdir $HETUFLOW_ARTIFACTS/sub; \
    head -c 100000 /dev/urandom > $HETUFLOW_ARTIFACTS/sub/noise; : > empty.csv; echo a,b > t.csv; \
    echo not named > other; exit 3";
  let wanted = json!({ "out": ["*.csv"], "retention": "2h" });
  let id = submit(&api, &json!({ "config": { "command": command, "artifacts": wanted } })).await?;
  let done = wait_status(&api, &id, &["failed"]).await?;
  // Whoever hears of the end sees what there is.
  let told = names(&files(&cluster, &id).await?, "name");
  let found = settled(&cluster, &id).await?;
  assert_eq!(names(&found, "name"), told);
  let stored = ["empty.csv", "report.txt", "sub/noise", "t.csv"].map(|name| (name, "stored"));
  assert_eq!(names(&found, "state"), pairs(&stored));
  assert_eq!(content(&cluster, &found[1]).await?, b"one\n");
  assert_eq!(content(&cluster, &found[0]).await?, b"");
  let noise = content(&cluster, &found[2]).await?;
  assert_eq!(noise.len(), 100_000);
  let created: jiff::Timestamp = text(&found[0], "created_at")?.parse()?;
  let expires: jiff::Timestamp = text(&found[0], "expires_at")?.parse()?;
  assert_eq!(expires.duration_since(created).as_secs(), 7200);
  let path = format!("/artifacts/{}/content", text(&found[2], "id")?);
  let part = api.request(Method::GET, &path).header("Range", "bytes=32760-32775").send().await?;
  assert_eq!(part.status().as_u16(), 206);
  assert_eq!(part.headers()["content-range"], "bytes 32760-32775/100000");
  assert_eq!(part.bytes().await?, noise[32_760..32_776]);
  let beyond = api.request(Method::GET, &path).header("Range", "bytes=100000-").send().await?;
  assert_eq!(beyond.status().as_u16(), 416);
  let instance = text(&done, "instance_id")?;
  let of_attempt = all(&api, &format!("/task-instances/{instance}/artifacts")).await?;
  assert_eq!(of_attempt.len(), 4);
  with_the_tool(&cluster, &id, &noise).await?;
  // A task whose job says nothing of files makes the folder itself.
  let command = "mkdir $HETUFLOW_ARTIFACTS; cd $HETUFLOW_ARTIFACTS; echo own > own.txt";
  let own = submit(&api, &json!({ "config": { "command": command } })).await?;
  wait_status(&api, &own, &["succeeded"]).await?;
  let found = settled(&cluster, &own).await?;
  assert_eq!(content(&cluster, &found[0]).await?, b"own\n");
  nothing_is_left(cluster).await
}

async fn with_the_tool(cluster: &Cluster, task: &str, noise: &[u8]) -> Result<()> {
  let run = async |args: &[&str]| -> Result<String> {
    let out = cluster.ctl(args).await?;
    ensure!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
  };
  let listed = run(&["artifact", "list", task]).await?;
  ensure!(listed.contains("sub/noise") && listed.contains("stored"), "{listed}");
  let target = cluster.dir().join("noise");
  let to = target.to_string_lossy().into_owned();
  run(&["artifact", "download", task, "sub/noise", "--to", &to]).await?;
  assert_eq!(std::fs::read(&target)?, noise);
  let again = cluster.ctl(&["artifact", "download", task, "sub/noise", "--to", &to]).await?;
  assert_eq!(again.status.code(), Some(6), "nothing is written over");
  assert_eq!(run(&["artifact", "download", task, "report.txt", "--to", "-"]).await?, "one\n");
  let none = cluster.ctl(&["artifact", "download", task, "none"]).await?;
  let said = String::from_utf8_lossy(&none.stderr).into_owned();
  ensure!(!none.status.success() && said.contains("report.txt"), "{said}");
  let id = text(&files(cluster, task).await?[1], "id")?;
  run(&["artifact", "delete", &id, "--yes"]).await?;
  let left = files(cluster, task).await?;
  assert_eq!(names(&left, "name").len(), 3);
  Ok(())
}

/// Neither in the agent's folders of attempts nor among what it owes.
async fn nothing_is_left(mut cluster: Cluster) -> Result<()> {
  let state = cluster.agent(0).state_dir().to_owned();
  wait::until_ok("empty folders", LIMIT, || async {
    let mut left = Vec::new();
    for folder in ["artifacts", "runs"] {
      left.extend(std::fs::read_dir(state.join(folder)).into_iter().flatten().flatten());
    }
    if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
  })
  .await?;
  cluster.finish()
}

async fn what_leads_out_is_refused(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).start().await?;
  let api = cluster.api();
  let command = "cd $HETUFLOW_ARTIFACTS; ln -s /etc/hostname link; ln -s / root; mkfifo pipe; \
    echo ok > fine; cd ..; ln -s /etc out";
  let config = json!({ "command": command, "artifacts": { "out": ["out/*", "none"] } });
  let id = submit(&api, &json!({ "config": config })).await?;
  wait_status(&api, &id, &["succeeded"]).await?;
  let found = settled(&cluster, &id).await?;
  let reasons = [
    ("fine", ""),
    ("link", "a link"),
    ("none", "no file was found"),
    ("out/*", "no file was found"),
    ("pipe", "no plain file"),
    ("root", "a link"),
  ];
  assert_eq!(names(&found, "reason"), pairs(&reasons));
  let (status, answer) = api.get(&format!("/artifacts/{}/content", text(&found[1], "id")?)).await?;
  assert_eq!((status.as_u16(), &answer["errors"][0]["code"]), (409, &json!("artifact.not_here")));
  for bad in ["/etc/passwd", "../x", "a/../../x"] {
    let config = json!({ "command": "true", "artifacts": { "out": [bad] } });
    let (status, answer) = api.post("/tasks", &json!({ "config": config })).await?;
    assert_eq!(status.as_u16(), 422, "{answer}");
    assert_eq!(answer["errors"][0]["code"], "path.invalid");
  }
  nothing_is_left(cluster).await
}

async fn limits_of_the_server_hold(engine: Engine) -> Result<()> {
  let settings = "[artifacts]\nfile_size_max = '100KiB'\nnamespace_size_max = '150KiB'";
  let cluster = Cluster::builder().engine(engine).server_settings(settings).start().await?;
  let api = cluster.api();
  let command = "mkdir $HETUFLOW_ARTIFACTS; cd $HETUFLOW_ARTIFACTS; \
    for i in 1 2; do head -c 80000 /dev/urandom > $i; done; head -c 200000 /dev/zero > 3";
  let id = submit(&api, &json!({ "config": { "command": command } })).await?;
  wait_status(&api, &id, &["succeeded"]).await?;
  let found = settled(&cluster, &id).await?;
  assert_eq!(names(&found, "state"), pairs(&[("1", "stored"), ("2", "refused"), ("3", "refused")]));
  let why = names(&found, "reason");
  ensure!(why[1].1.contains("namespace_size_max") && why[2].1.contains("file_size_max"), "{why:?}");
  nothing_is_left(cluster).await
}

/// The agent is killed while a file is on its way, and the executor while nobody carries it.
async fn files_outlive_the_agent(engine: Engine) -> Result<()> {
  let host = Host::new()?;
  let mut cluster = Cluster::builder().engine(engine).agents_on(&host).start().await?;
  let api = cluster.api();
  host.slow_down(2_000_000)?;
  let command = "mkdir $HETUFLOW_ARTIFACTS; cd $HETUFLOW_ARTIFACTS; \
    head -c 2000000 /dev/urandom > noise; sha256sum < noise";
  let id = submit(&api, &json!({ "config": { "command": command } })).await?;
  wait_status(&api, &id, &["succeeded"]).await?;
  for _ in 0..2 {
    some_more_pieces(&cluster).await?;
    cluster.kill9_agent(0)?;
    let on_its_way = files(&cluster, &id).await?;
    assert_eq!(names(&on_its_way, "state"), pairs(&[("noise", "uploading")]));
    let (_, answer) =
      api.get(&format!("/artifacts/{}/content", text(&on_its_way[0], "id")?)).await?;
    assert_eq!(answer["errors"][0]["code"], "artifact.not_here", "{answer}");
    cluster.agent(0).kill9_executor()?;
    cluster.restart_agent(0)?;
    cluster.wait_agent(0).await?;
  }
  host.heal()?;
  let found = settled(&cluster, &id).await?;
  let bytes = content(&cluster, &found[0]).await?;
  assert_eq!(bytes.len(), 2_000_000);
  let next = submit(&api, &json!({ "config": { "command": "echo next" } })).await?;
  wait_status(&api, &next, &["succeeded"]).await?;
  nothing_is_left(cluster).await
}

/// What a task leaves is taken by the executor after the one that started it: that of a job that
/// names files, and what a task has put into its folder without a word in its job.
async fn a_killed_executor_loses_no_file(engine: Engine) -> Result<()> {
  let mut cluster = Cluster::builder().engine(engine).start().await?;
  let api = cluster.api();
  let go = cluster.dir().join("go");
  let wait = format!("while [ ! -e {} ]; do sleep 0.02; done", go.display());
  let named = json!({ "command": format!("echo early > a.csv; {wait}; echo late > b.csv"),
    "artifacts": { "out": ["*.csv"], "retention": "2h" } });
  let own = json!({ "command":
    format!("mkdir $HETUFLOW_ARTIFACTS; echo own > $HETUFLOW_ARTIFACTS/own; {wait}") });
  let named = submit(&api, &json!({ "config": named })).await?;
  let own = submit(&api, &json!({ "config": own })).await?;
  for id in [&named, &own] {
    wait_status(&api, id, &["running"]).await?;
  }
  cluster.agent(0).kill9_executor()?;
  std::fs::write(&go, "")?;
  for (id, wanted) in [(&named, vec!["a.csv", "b.csv"]), (&own, vec!["own"])] {
    let end = wait_status(&api, id, &["failed"]).await?;
    assert_eq!(end["reason"], "exit_unknown", "{end}");
    let found = settled(&cluster, id).await?;
    let wanted: Vec<_> = wanted.into_iter().map(|name| (name, "stored")).collect();
    assert_eq!(names(&found, "state"), pairs(&wanted));
  }
  let found = files(&cluster, &named).await?;
  assert_eq!(content(&cluster, &found[0]).await?, b"early\n");
  assert_eq!(content(&cluster, &found[1]).await?, b"late\n");
  let created: jiff::Timestamp = text(&found[0], "created_at")?.parse()?;
  let expires: jiff::Timestamp = text(&found[0], "expires_at")?.parse()?;
  assert_eq!(expires.duration_since(created).as_secs(), 7200);
  nothing_is_left(cluster).await
}

/// Waits until more of a file is stored than now.
async fn some_more_pieces(cluster: &Cluster) -> Result<()> {
  let count = || sql(cluster, "update sched_artifact_chunk set codec = codec");
  let before = count().await?;
  wait::until_ok("more pieces", LIMIT, || async {
    match count().await {
      Ok(now) if now > before + 3 => Ok(()),
      other => Err(format!("{other:?} after {before}")),
    }
  })
  .await
}

async fn the_same_content_is_sent_once(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).agents(2).start().await?;
  let api = cluster.api();
  let command = "mkdir $HETUFLOW_ARTIFACTS; cd $HETUFLOW_ARTIFACTS; seq 100000 > a; cp a b";
  let mut ids = Vec::new();
  for _ in 0..4 {
    ids.push(submit(&api, &json!({ "config": { "command": command } })).await?);
  }
  for id in &ids {
    wait_status(&api, id, &["succeeded"]).await?;
    let found = settled(&cluster, id).await?;
    assert_eq!(names(&found, "state"), pairs(&[("a", "stored"), ("b", "stored")]));
    assert_eq!(content(&cluster, &found[0]).await?, content(&cluster, &found[1]).await?);
  }
  assert_eq!(sql(&cluster, "update sched_artifact_content set size = size").await?, 1);
  nothing_is_left(cluster).await
}

/// 50 MB at 20 Mbit/s: twenty seconds in which the agent stays connected and others are served.
async fn a_large_file_on_a_slow_link_keeps_nobody_waiting(engine: Engine) -> Result<()> {
  let host = Host::new()?;
  // Half of that time: more than a busy machine needs, and less than the file would keep others.
  let quick = "[agents]\nagent_heartbeat_interval = '500ms'\nagent_heartbeat_ttl = '10s'";
  let builder = Cluster::builder().engine(engine).agents_on(&host).server_settings(quick);
  let builder = builder.agent_settings("[agent.connection]\nheartbeat_interval = '500ms'");
  let cluster = builder.start().await?;
  let api = cluster.api();
  host.slow_down(20_000_000)?;
  let command = "mkdir $HETUFLOW_ARTIFACTS; cd $HETUFLOW_ARTIFACTS; \
    head -c 50000000 /dev/urandom > noise";
  let id = submit(&api, &json!({ "config": { "command": command } })).await?;
  wait_status(&api, &id, &["succeeded"]).await?;
  let mut served = 0;
  while files(&cluster, &id).await?.first().context("a file")?["state"] == "uploading" {
    let other = submit(&api, &json!({ "config": { "command": "echo served" } })).await?;
    wait_status(&api, &other, &["succeeded"]).await?;
    served += 1;
    tokio::time::sleep(Duration::from_millis(100)).await;
  }
  ensure!(served >= 3, "only {served} others were served beside the file");
  let found = settled(&cluster, &id).await?;
  assert_eq!(content(&cluster, &found[0]).await?.len(), 50_000_000);
  let events = cluster.ctl(&["events", "--since", "10m", "--type", "agent.offline", "-o", "jsonl"]);
  assert_eq!(String::from_utf8_lossy(&events.await?.stdout), "", "a busy agent is not a dead one");
  assert_eq!(task(&api, &id).await?["attempt"], 1);
  cluster.finish()
}
