//! Files that tasks find when they start: the same bytes in every attempt, whoever is killed while
//! they come, and no start without them.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use hetuflow_tests::api::Api;
use hetuflow_tests::cluster::{Cluster, Engine};
use hetuflow_tests::net::Host;
use hetuflow_tests::wait;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{LIMIT, attempts, output, sql, submit, task, text, wait_status};

both_engines!(
  bytes_come_in_exactly,
  a_retry_gets_the_same_bytes,
  killed_agents_and_servers_lose_nothing,
  a_file_that_is_still_coming_is_waited_for,
  what_is_wrong_is_told_and_nothing_starts,
  the_same_file_is_fetched_once,
  who_does_not_wait_any_longer_starts_nothing,
  files_belong_to_the_user_of_the_task,
);

fn sha256(bytes: &[u8]) -> String {
  Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn noise(len: usize) -> Vec<u8> {
  let mut state = 0x9e37_79b9_7f4a_7c15_u64;
  std::iter::repeat_with(|| {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    state as u8
  })
  .take(len)
  .collect()
}

/// Puts a file there with the tool.
async fn put(cluster: &Cluster, name: &str, bytes: &[u8]) -> Result<Value> {
  let local = cluster.dir().join("local");
  std::fs::write(&local, bytes)?;
  let local = local.to_string_lossy().into_owned();
  let out = cluster.ctl(&["artifact", "put", &local, "--name", name, "-o", "json"]).await?;
  ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
  Ok(serde_json::from_slice(&out.stdout)?)
}

async fn said(api: &Api, id: &str) -> Result<String> {
  wait_status(api, id, &["succeeded"]).await?;
  Ok(String::from_utf8_lossy(&output(api, id, "stdout").await?).into_owned())
}

async fn bytes_come_in_exactly(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).start().await?;
  let api = cluster.api();
  let (large, odd) = (noise(1_000_000), "a b/\u{fc}/-rf $(x)");
  let stored = put(&cluster, "large.bin", &large).await?;
  assert_eq!(stored["content_hash"], sha256(&large).as_str());
  put(&cluster, "empty", b"").await?;
  put(&cluster, odd, b"#!/bin/sh\necho odd\n").await?;
  // One that a job has left, by all of its names.
  let config =
    json!({ "command": "mkdir $HETUFLOW_ARTIFACTS; echo built > $HETUFLOW_ARTIFACTS/app" });
  api.post_ok("/jobs", &json!({ "name": "build", "config": config })).await?;
  let built = submit(&api, &json!({ "job": "build" })).await?;
  let built = wait_status(&api, &built, &["succeeded"]).await?;
  let inputs = json!([
    { "content_hash": sha256(&large), "to": "data/by-hash" },
    { "name": "large.bin" },
    { "name": "empty", "to": "data/empty" },
    { "name": odd, "mode": "0755" },
    { "job": "build", "name": "app", "to": "by-job" },
    { "task_id": built["id"], "name": "app", "to": "by-task" },
    { "instance_id": built["instance_id"], "name": "app", "to": "by-attempt" },
  ]);
  let command = "[ \"$PWD\" = \"$HETUFLOW_INPUTS\" ] && sha256sum data/by-hash large.bin | cut -c-64; \
    stat -c '%s %a' data/empty; \"./a b/\u{fc}/-rf \\$(x)\"; cat by-job by-task by-attempt; \
    echo changed > by-job";
  let config = json!({ "command": command, "artifacts": { "in": inputs } });
  let id = submit(&api, &json!({ "config": config })).await?;
  let hash = sha256(&large);
  let wanted = format!("{hash}\n{hash}\n0 644\nodd\nbuilt\nbuilt\nbuilt\n");
  assert_eq!(said(&api, &id).await?, wanted);
  // What it has done to its copy is its own.
  let again = json!([{ "job": "build", "name": "app" }]);
  let config = json!({ "command": "cat app", "artifacts": { "in": again } });
  let id = submit(&api, &json!({ "config": config })).await?;
  assert_eq!(said(&api, &id).await?, "built\n");
  let elsewhere = json!([{ "name": "large.bin", "to": "x/large" }]);
  let config = json!({ "command": "pwd; sha256sum < $HETUFLOW_INPUTS/x/large | cut -c-64",
    "working_directory": "/", "artifacts": { "in": elsewhere } });
  let id = submit(&api, &json!({ "config": config })).await?;
  assert_eq!(said(&api, &id).await?, format!("/\n{hash}\n"));
  with_the_tool(&cluster, &id, &hash).await?;
  nothing_is_left(cluster).await
}

async fn with_the_tool(cluster: &Cluster, task: &str, hash: &str) -> Result<()> {
  let run = async |args: &[&str]| -> Result<String> {
    let out = cluster.ctl(args).await?;
    ensure!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
  };
  let listed = run(&["artifact", "inputs", task]).await?;
  ensure!(listed.contains("x/large") && listed.contains(hash), "{listed}");
  let script = cluster.dir().join("script.sh");
  std::fs::write(&script, "#!/bin/sh\ncat \"$1\"\n")?;
  std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
  let data = cluster.dir().join("data");
  std::fs::write(&data, "from here\n")?;
  let (script, data) = (script.to_string_lossy(), format!("{}:sub/d", data.to_string_lossy()));
  let words = ["run", "--cmd", "./script.sh sub/d", "--file", &script, "--file", &data, "--logs"];
  assert_eq!(run(&words).await?, "from here\n");
  // A manifest comes back as it went in.
  let job = json!({ "apiVersion": "hetuflow/v1", "kind": "Job", "metadata": { "name": "eats" },
    "spec": { "config": { "command": "true", "artifacts": { "in": [
      { "job": "build", "name": "app", "to": "bin/app", "mode": "0755" } ] } } } });
  let file = cluster.dir().join("job.yaml");
  std::fs::write(&file, job.to_string())?;
  let file = file.to_string_lossy().into_owned();
  run(&["apply", "-f", &file, "--yes"]).await?;
  let read = run(&["job", "get", "eats", "-o", "yaml"]).await?;
  ensure!(read.contains("to: bin/app") && read.contains("0755"), "{read}");
  std::fs::write(&file, &read)?;
  let diff = cluster.ctl(&["diff", "-f", &file]).await?;
  assert_eq!(diff.status.code(), Some(0), "{}", String::from_utf8_lossy(&diff.stdout));
  Ok(())
}

/// No folder of an attempt, and no part of a file.
async fn nothing_is_left(mut cluster: Cluster) -> Result<()> {
  let state = cluster.agent(0).state_dir().to_owned();
  wait::until_ok("empty folders", LIMIT, || async {
    let mut left = Vec::new();
    for folder in ["artifacts", "runs"] {
      left.extend(std::fs::read_dir(state.join(folder)).into_iter().flatten().flatten());
    }
    let files = std::fs::read_dir(state.join("inputs")).into_iter().flatten().flatten();
    left.extend(files.filter(|file| file.path().extension().is_some()));
    if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
  })
  .await?;
  cluster.finish()
}

async fn a_retry_gets_the_same_bytes(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).agents(2).start().await?;
  let api = cluster.api();
  let command = "mkdir $HETUFLOW_ARTIFACTS; echo $HETUFLOW_PARAM_V > $HETUFLOW_ARTIFACTS/app";
  api.post_ok("/jobs", &json!({ "name": "build", "config": { "command": command } })).await?;
  let build = async |version: &str| -> Result<()> {
    let new = json!({ "job": "build", "parameters": { "v": version } });
    let id = submit(&api, &new).await?;
    wait_status(&api, &id, &["succeeded"]).await?;
    wait_stored(&cluster, &id).await
  };
  build("one").await?;
  let (seen, go) = (cluster.dir().join("seen"), cluster.dir().join("go"));
  let command = format!(
    "cat app >> {seen}; while [ ! -e {go} ]; do sleep 0.02; done; [ $HETUFLOW_ATTEMPT = 2 ]",
    seen = seen.display(),
    go = go.display()
  );
  let inputs = json!({ "in": [{ "job": "build", "name": "app" }] });
  let config = json!({ "command": command, "max_retries": 1, "artifacts": inputs,
    "retry": { "base_secs": 0, "strategy": "fixed" } });
  let id = submit(&api, &json!({ "config": config })).await?;
  wait_content(&seen, "one\n").await?;
  build("two").await?;
  std::fs::write(&go, "")?;
  wait_status(&api, &id, &["succeeded"]).await?;
  assert_eq!(std::fs::read_to_string(&seen)?, "one\none\n");
  let config = json!({ "command": "cat app", "artifacts": inputs });
  let id = submit(&api, &json!({ "config": config })).await?;
  assert_eq!(said(&api, &id).await?, "two\n");
  let told = cluster.ctl(&["events", "--since", "10m", "--type", "artifact.stored", "-o", "jsonl"]);
  let told = String::from_utf8_lossy(&told.await?.stdout).into_owned();
  assert_eq!(told.lines().filter(|line| line.contains("\"app\"")).count(), 2, "{told}");
  nothing_is_left(cluster).await
}

async fn wait_content(path: &Path, wanted: &str) -> Result<()> {
  wait::until_ok("what a task writes", LIMIT, || async {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    if text == wanted { Ok(()) } else { Err(text) }
  })
  .await
}

async fn wait_stored(cluster: &Cluster, task: &str) -> Result<()> {
  let api = cluster.api();
  wait::until_ok("the file to be stored", LIMIT, || async {
    let page = api.get_ok(&format!("/artifacts?task_id={task}")).await;
    let page = page.map_err(|error| format!("{error:#}"))?;
    if page["data"][0]["state"] == "stored" { Ok(()) } else { Err(page.to_string()) }
  })
  .await
}

/// How much of a file has come to an agent.
fn came(cluster: &mut Cluster) -> u64 {
  let folder = cluster.agent(0).state_dir().join("inputs");
  let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
  files.filter_map(|file| Some(file.metadata().ok()?.len())).max().unwrap_or(0)
}

async fn more_came(cluster: &mut Cluster, than: u64) -> Result<u64> {
  let folder = cluster.agent(0).state_dir().join("inputs");
  wait::until_ok("more of the file", LIMIT, || async {
    let files = std::fs::read_dir(&folder).into_iter().flatten().flatten();
    let largest = files.filter_map(|file| Some(file.metadata().ok()?.len())).max().unwrap_or(0);
    if largest > than { Ok(largest) } else { Err(format!("{largest} bytes, and {than} before")) }
  })
  .await
}

/// The agent, its executor and the server are killed while a file comes over a slow link.
async fn killed_agents_and_servers_lose_nothing(engine: Engine) -> Result<()> {
  let host = Host::new()?;
  let mut cluster = Cluster::builder().engine(engine).agents_on(&host).start().await?;
  let api = cluster.api();
  let bytes = noise(2_000_000);
  put(&cluster, "large", &bytes).await?;
  host.slow_down(2_000_000)?;
  let starts = cluster.dir().join("starts");
  let command = format!("echo start >> {}; sha256sum < large", starts.display());
  let config = json!({ "command": command, "artifacts": { "in": [{ "name": "large" }] } });
  let id = submit(&api, &json!({ "config": config })).await?;
  let mut before = more_came(&mut cluster, 200_000).await?;
  cluster.kill9_agent(0)?;
  cluster.restart_agent(0)?;
  before = more_came(&mut cluster, before + 100_000).await?;
  cluster.kill9_agent(0)?;
  cluster.agent(0).kill9_executor()?;
  cluster.restart_agent(0)?;
  before = more_came(&mut cluster, before + 100_000).await?;
  cluster.kill9_server(0)?;
  ensure!(came(&mut cluster) >= before, "what has come is not thrown away");
  cluster.restart_server(0).await?;
  more_came(&mut cluster, before + 100_000).await?;
  ensure!(!starts.exists(), "it must not start with half a file");
  assert_eq!(task(&api, &id).await?["attempt"], 1);
  host.heal()?;
  let wanted = format!("{}  -\n", sha256(&bytes));
  assert_eq!(said(&api, &id).await?, wanted);
  assert_eq!(std::fs::read_to_string(&starts)?, "start\n");
  assert_eq!(attempts(&api, &id).await?.len(), 1);
  nothing_is_left(cluster).await
}

/// A task asks for what another one has just left on an agent behind a slow link.
async fn a_file_that_is_still_coming_is_waited_for(engine: Engine) -> Result<()> {
  let host = Host::new()?;
  let cluster = Cluster::builder().engine(engine).agents_on(&host).start().await?;
  let api = cluster.api();
  host.slow_down(4_000_000)?;
  let command = "mkdir $HETUFLOW_ARTIFACTS; cd $HETUFLOW_ARTIFACTS; \
    head -c 1000000 /dev/urandom > noise; sha256sum < noise";
  let left = submit(&api, &json!({ "config": { "command": command } })).await?;
  let hash = said(&api, &left).await?;
  let inputs = json!({ "in": [{ "task_id": left, "name": "noise" }] });
  let config = json!({ "command": "sha256sum < noise", "artifacts": inputs });
  let id = submit(&api, &json!({ "config": config })).await?;
  wait_status(&api, &id, &["dispatched", "running", "succeeded"]).await?;
  host.heal()?;
  assert_eq!(said(&api, &id).await?, hash);
  nothing_is_left(cluster).await
}

async fn what_is_wrong_is_told_and_nothing_starts(engine: Engine) -> Result<()> {
  let settings = "[agent.process]\ninput_size_max = '100KiB'\ninput_total_max = '150KiB'";
  let cluster = Cluster::builder().engine(engine).agent_settings(settings).start().await?;
  let api = cluster.api();
  let started = cluster.dir().join("started");
  let bytes = noise(240_000);
  put(&cluster, "a", &bytes[..80_000]).await?;
  put(&cluster, "b", &bytes[80_000..160_000]).await?;
  put(&cluster, "large", &bytes[..120_000]).await?;
  // The pieces of one are those of the other now.
  sql(
    &cluster,
    "update sched_artifact_chunk set data = (select o.data from sched_artifact_chunk o \
       join sched_artifact_content c on c.id = o.content_id \
       where o.file_offset = sched_artifact_chunk.file_offset and c.size = 80000 \
         and o.content_id <> sched_artifact_chunk.content_id) \
     where content_id in (select id from sched_artifact_content where size = 80000)",
  )
  .await?;
  for (inputs, reason, words) in [
    (json!([{ "name": "a" }]), "input_differs", "not what it should be"),
    (json!([{ "name": "none" }]), "input_missing", "put there by hand: there is no such file"),
    (json!([{ "job": "none", "name": "x" }]), "input_missing", "there is no job"),
    (json!([{ "content_hash": sha256(b"none"), "to": "x" }]), "input_missing", "has this content"),
    (json!([{ "name": "large" }]), "input_limit", "input_size_max"),
    (json!([{ "name": "a" }, { "name": "b" }]), "input_limit", "input_total_max"),
  ] {
    let config = json!({ "command": format!("touch {}", started.display()),
      "artifacts": { "in": inputs } });
    let id = submit(&api, &json!({ "config": config })).await?;
    let end = wait_status(&api, &id, &["failed"]).await?;
    assert_eq!(end["reason"], format!("not_started({reason})"), "{inputs}: {end}");
    let told = text(&end, "error_message")?;
    ensure!(told.contains(words), "{told}");
    let why = api.get_ok(&format!("/tasks/{id}/why")).await?.to_string();
    ensure!(why.contains("artifacts.in"), "{why}");
  }
  put(&cluster, "small", b"small\n").await?;
  let config = json!({ "cmd": "bash", "script": format!("touch {}", started.display()),
    "artifacts": { "in": [{ "name": "small", "to": "script.sh" }] } });
  let id = submit(&api, &json!({ "config": config })).await?;
  let end = wait_status(&api, &id, &["failed"]).await?;
  assert_eq!(end["reason"], "not_started(input_path)", "{end}");
  ensure!(text(&end, "error_message")?.contains("own script"), "{end}");
  ensure!(!started.exists(), "nothing may start without its files");
  for (bad, code) in [
    (json!({ "name": "a", "to": "/etc/passwd" }), "path.invalid"),
    (json!({ "name": "a", "to": "../../x" }), "path.invalid"),
    (json!({ "name": "a", "mode": "4755" }), "mode.invalid"),
    (json!({ "to": "x" }), "input.source"),
  ] {
    let config = json!({ "command": "true", "artifacts": { "in": [bad] } });
    let (status, answer) = api.post("/tasks", &json!({ "config": config })).await?;
    assert_eq!(
      (status.as_u16(), answer["errors"][0]["code"].as_str()),
      (422, Some(code)),
      "{answer}"
    );
  }
  nothing_is_left(cluster).await
}

async fn the_same_file_is_fetched_once(engine: Engine) -> Result<()> {
  let mut cluster = Cluster::builder().engine(engine).start().await?;
  let api = cluster.api();
  let bytes = noise(300_000);
  put(&cluster, "shared", &bytes).await?;
  let inputs = json!({ "in": [{ "name": "shared" }] });
  let new = json!({ "config": { "command": "sha256sum < shared", "artifacts": inputs } });
  let wanted = format!("{}  -\n", sha256(&bytes));
  let first = submit(&api, &new).await?;
  assert_eq!(said(&api, &first).await?, wanted);
  // Nobody could fetch it again.
  sql(&cluster, "delete from sched_artifact_chunk").await?;
  let mut ids = Vec::new();
  for _ in 0..10 {
    ids.push(submit(&api, &new).await?);
  }
  for id in &ids {
    assert_eq!(said(&api, id).await?, wanted);
  }
  let agent = cluster.agent(0).id().to_owned();
  let cleared = cluster.ctl(&["agent", "command", &agent, "clear_cache", "-o", "json"]).await?;
  let told = String::from_utf8_lossy(&cleared.stdout).into_owned();
  ensure!(cleared.status.success(), "{told} {}", String::from_utf8_lossy(&cleared.stderr));
  let folder = cluster.agent(0).state_dir().join("inputs");
  let left = std::fs::read_dir(&folder).context("the cache")?.count();
  assert_eq!(left, 0, "{told}");
  let id = submit(&api, &new).await?;
  let end = wait_status(&api, &id, &["failed"]).await?;
  assert_eq!(end["reason"], "not_started(input_missing)", "{end}");
  nothing_is_left(cluster).await
}

/// A cancel, and a wait that is over, while a file comes over a slow link.
async fn who_does_not_wait_any_longer_starts_nothing(engine: Engine) -> Result<()> {
  let host = Host::new()?;
  // The whole file takes 32 s; orders stand in line behind it and must come well before the limit.
  let settings = "[agent.process]\ninput_fetch_timeout = '10s'";
  let builder = Cluster::builder().engine(engine).agents_on(&host).agent_settings(settings);
  let mut cluster = builder.start().await?;
  let api = cluster.api();
  put(&cluster, "large", &noise(4_000_000)).await?;
  host.slow_down(1_000_000)?;
  let started = cluster.dir().join("started");
  let config = json!({ "command": format!("touch {}", started.display()),
    "artifacts": { "in": [{ "name": "large" }] } });
  let id = submit(&api, &json!({ "config": config })).await?;
  more_came(&mut cluster, 0).await?;
  let why = api.get_ok(&format!("/tasks/{id}/why")).await?;
  ensure!(text(&why, "text")?.contains("it fetches its file first, 4000000 bytes"), "{why}");
  api.post_ok(&format!("/tasks/{id}/cancel"), &json!({})).await?;
  wait_status(&api, &id, &["cancelled"]).await?;
  let folder = cluster.agent(0).state_dir().join("inputs");
  wait::until_ok("the part to go", LIMIT, || async {
    let left = std::fs::read_dir(&folder).into_iter().flatten().count();
    if left == 0 { Ok(()) } else { Err(left) }
  })
  .await?;
  let id = submit(&api, &json!({ "config": config })).await?;
  let end = wait_status(&api, &id, &["failed"]).await?;
  assert_eq!(end["reason"], "not_started(input_timeout)", "{end}");
  ensure!(text(&end, "error_message")?.contains("input_fetch_timeout"), "{end}");
  ensure!(!started.exists(), "nothing may start without its files");
  host.heal()?;
  // What stood in line is gone with the slow link, and the sender waits as long for an answer as that
  // link had taught it: the first try after that may still be too late.
  let config = &json!({ "config": config });
  wait::until_ok("it to run again", LIMIT, || async {
    let words = |error: anyhow::Error| format!("{error:#}");
    let id = submit(&api, config).await.map_err(words)?;
    let end = wait_status(&api, &id, &["succeeded", "failed"]).await.map_err(words)?;
    if end["status"] == "succeeded" { Ok(()) } else { Err(end["reason"].to_string()) }
  })
  .await?;
  nothing_is_left(cluster).await
}

async fn files_belong_to_the_user_of_the_task(engine: Engine) -> Result<()> {
  let settings = "[agent]\nrun_as_allow = ['nobody']\nallow_root_tasks = false";
  let cluster = Cluster::builder().engine(engine).agent_settings(settings).start().await?;
  let api = cluster.api();
  put(&cluster, "f", b"given\n").await?;
  let inputs = json!([{ "name": "f" }, { "name": "f", "to": "sub/run", "mode": "0700" }]);
  let command = "echo more >> f; cat f; stat -c '%U %a' f sub sub/run; touch sub/own";
  let mut config = json!({ "run_as": "nobody", "command": command, "artifacts": { "in": inputs } });
  let id = submit(&api, &json!({ "config": config })).await?;
  let wanted = "given\nmore\nnobody 644\nnobody 700\nnobody 700\n";
  assert_eq!(said(&api, &id).await?, wanted);
  config["working_directory"] = json!("/");
  config["command"] = json!("cd $HETUFLOW_INPUTS && cat sub/run && rm f && stat -c '%U %a' .");
  let id = submit(&api, &json!({ "config": config })).await?;
  assert_eq!(said(&api, &id).await?, "given\nnobody 700\n");
  nothing_is_left(cluster).await
}
