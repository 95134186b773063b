//! Tasks as other users: what they are, what they have, and what is refused.
//!
//! Only root can become somebody else, so these stories say nothing where the tests are not root.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use hetuflow_tests::api::Api;
use hetuflow_tests::cluster::{Cluster, Engine};
use serde_json::{Value, json};

use crate::support::{attempts, output, submit, wait_status};

both_engines!(
  a_task_is_nobody_and_nothing_else,
  a_made_up_user_has_its_groups_and_its_home,
  what_is_not_allowed_is_refused_with_words,
  tasks_of_root_need_a_word,
  only_listed_programs_run,
);

const NOBODY: &str = "[agent]\nrun_as_allow = ['nobody', 'no-such-user']\nallow_root_tasks = false";

fn is_root() -> bool {
  rustix::process::geteuid().is_root()
}

/// Runs a script and gives its lines, which are all `name=value`.
async fn facts(api: &Api, config: &Value) -> Result<BTreeMap<String, String>> {
  let id = submit(api, &json!({ "config": config })).await?;
  wait_status(api, &id, &["succeeded"]).await?;
  let text = String::from_utf8(output(api, &id, "").await?)?;
  let pairs = text.lines().filter_map(|line| line.split_once('='));
  Ok(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

const FACTS: &str = "echo id=$(id); echo umask=$(umask); echo pwd=$PWD; echo mode=$(stat -c '%U %a' .)\n\
  grep -E '^(NoNewPrivs|CapEff|CapPrm|Uid|Groups):' /proc/self/status | tr -d '\\t' | tr : =\n\
  echo home=$HOME; echo user=$USER; echo logname=$LOGNAME; echo shell=$SHELL; echo arg=$1\n\
  echo secret=$SECRET_OF_ROOT; echo in=$(cat); echo root=$(head -c1 /etc/shadow 2>&1 | grep -c denied)\n\
  echo job=$HETUFLOW_JOB_ID; echo file=$(stat -c '%U %a' \"$0\")";

async fn a_task_is_nobody_and_nothing_else(engine: Engine) -> Result<()> {
  if !is_root() {
    return Ok(());
  }
  let builder = Cluster::builder().engine(engine).agent_settings(NOBODY);
  let cluster = builder.environment("SECRET_OF_ROOT", "x").start().await?;
  let config = json!({ "run_as": "nobody", "script": FACTS, "args": ["a b"], "stdin": "given" });
  let facts = facts(&cluster.api(), &config).await?;
  let fact = |name: &str| facts.get(name).map(String::as_str).unwrap_or_default();
  ensure!(fact("id").starts_with("uid=65534(nobody)"), "{facts:?}");
  ensure!(!fact("id").contains("(root)"), "{facts:?}");
  for (name, value) in [
    ("Uid", "65534655346553465534"),
    ("NoNewPrivs", "1"),
    ("CapEff", "0000000000000000"),
    ("CapPrm", "0000000000000000"),
    ("umask", "0077"),
    ("mode", "nobody 700"),
    ("file", "nobody 600"),
    ("user", "nobody"),
    ("logname", "nobody"),
    ("secret", ""),
    ("arg", "a b"),
    ("in", "given"),
    ("root", "1"),
  ] {
    assert_eq!(fact(name), value, "{name} of {facts:?}");
  }
  ensure!(!std::path::Path::new(fact("pwd")).exists(), "its folder is gone: {facts:?}");

  // Nothing is open but the standard ones, and the folder that is being listed.
  let listing = json!({ "run_as": "nobody", "cmd": "exec", "args": ["ls", "-l", "/proc/self/fd"] });
  let id = submit(&cluster.api(), &json!({ "config": listing })).await?;
  wait_status(&cluster.api(), &id, &["succeeded"]).await?;
  let text = String::from_utf8(output(&cluster.api(), &id, "").await?)?;
  let open = text.lines().filter_map(|line| line.split_once(" -> "));
  let extra = open.filter(|(entry, target)| {
    !matches!(entry.rsplit(' ').next(), Some("0" | "1" | "2")) && !target.starts_with("/proc/")
  });
  assert_eq!(extra.collect::<Vec<_>>(), [], "{text}");

  // What a job tells the system's loader is heard when all rights are gone, not before.
  let output = cluster.dir().join("loader");
  let config = json!({ "run_as": "nobody", "cmd": "exec", "args": ["true"] });
  let environment = json!({ "LD_DEBUG": "files", "LD_DEBUG_OUTPUT": output });
  let task = json!({ "config": config, "environment": environment });
  let id = submit(&cluster.api(), &task).await?;
  wait_status(&cluster.api(), &id, &["succeeded"]).await?;
  let names = std::fs::read_dir(cluster.dir())?.map(|one| Ok(one?.file_name()));
  let names = names.collect::<Result<Vec<_>>>()?;
  ensure!(!names.iter().any(|name| name.to_string_lossy().starts_with("loader")), "{names:?}");

  // Without a script and a home of its own it gets a folder, too.
  let config = json!({ "run_as": "nobody", "command": "echo mode=$(stat -c '%U %a' .); (exit 0)" });
  let found = self::facts(&cluster.api(), &config).await?;
  assert_eq!(found.get("mode").map(String::as_str), Some("nobody 700"));
  cluster.finish()
}

/// A user for one story.
struct MadeUp(String);

impl MadeUp {
  fn new(engine: Engine) -> Result<Self> {
    let name = format!("hfstory{}{}", std::process::id(), engine as u8);
    let home = format!("/tmp/{name}");
    let made = std::process::Command::new("useradd")
      .args(["--create-home", "--home-dir", &home, "--groups", "daemon,games", &name])
      .output()
      .context("useradd")?;
    ensure!(made.status.success(), "{made:?}");
    Ok(Self(name))
  }
}

impl Drop for MadeUp {
  fn drop(&mut self) {
    let _left = std::process::Command::new("userdel").args(["--remove", &self.0]).output();
  }
}

async fn a_made_up_user_has_its_groups_and_its_home(engine: Engine) -> Result<()> {
  if !is_root() {
    return Ok(());
  }
  let user = MadeUp::new(engine)?;
  let settings = format!("[agent]\nrun_as_allow = ['{}']\nallow_root_tasks = false", user.0);
  let cluster = Cluster::builder().engine(engine).agent_settings(&settings).start().await?;
  let command = "echo id=$(id -nG | tr ' ' '\\n' | sort | tr '\\n' ' '); echo pwd=$PWD; echo home=$HOME; \
    umask 022; echo x > made; echo owner=$(stat -c %U made)";
  let config = json!({ "run_as": user.0, "command": command });
  let facts = facts(&cluster.api(), &config).await?;
  let fact = |name: &str| facts.get(name).map(String::as_str).unwrap_or_default();
  assert_eq!(fact("id").trim(), format!("daemon games {}", user.0));
  assert_eq!((fact("pwd"), fact("home")), (&*format!("/tmp/{}", user.0), fact("pwd")));
  assert_eq!(fact("owner"), user.0);
  cluster.finish()
}

async fn refusal(api: &Api, config: Value) -> Result<(String, String)> {
  let id = submit(api, &json!({ "config": config })).await?;
  wait_status(api, &id, &["failed"]).await?;
  let attempts = attempts(api, &id).await?;
  let last = attempts.last().context("an attempt")?;
  assert_eq!(last["status"], "not_started", "{last}");
  let text = |field: &str| last[field].as_str().unwrap_or_default().to_owned();
  Ok((text("reason"), text("error_message")))
}

async fn what_is_not_allowed_is_refused_with_words(engine: Engine) -> Result<()> {
  if !is_root() {
    return Ok(());
  }
  let cluster = Cluster::builder().engine(engine).agent_settings(NOBODY).start().await?;
  let api = cluster.api();
  for (config, reason, part) in [
    (json!({ "run_as": "daemon", "command": "id" }), "not_started(refused)", "agent.run_as_allow"),
    (json!({ "run_as": "root", "command": "id" }), "not_started(refused)", "agent.run_as_allow"),
    (json!({ "run_as": "no-such-user", "command": "id" }), "not_started(refused)", "no such user"),
    (json!({ "command": "id" }), "not_started(refused)", "allow_root_tasks"),
    (
      json!({ "run_as": "nobody", "command": "id", "working_directory": "/root" }),
      "spawn_failed(EACCES, /root)",
      "/root",
    ),
    (
      json!({ "run_as": "nobody", "cmd": "exec", "args": ["no-such-program"] }),
      "spawn_failed(ENOENT, no-such-program)",
      "no-such-program",
    ),
  ] {
    let (told, message) = refusal(&api, config.clone()).await?;
    assert_eq!(told, reason, "{config}: {message}");
    ensure!(message.contains(part), "{config}: {message}");
  }
  // What could be a number or a flag never gets that far.
  for name in ["0", "-u", "a b", "../x"] {
    let body = json!({ "config": { "run_as": name, "command": "id" } });
    let (status, answer) = api.post("/tasks", &body).await?;
    ensure!(status.is_client_error() && answer.to_string().contains("user.name"), "{answer}");
  }
  cluster.finish()
}

async fn tasks_of_root_need_a_word(engine: Engine) -> Result<()> {
  if !is_root() {
    return Ok(());
  }
  let settings = "[agent]\nrun_as_allow = ['root']\nallow_root_tasks = true";
  let cluster = Cluster::builder().engine(engine).agent_settings(settings).start().await?;
  let command = "echo id=$(id -un); grep NoNewPrivs /proc/self/status | tr -d '\\t' | tr : =";
  for (config, privileges) in
    [(json!({ "command": command }), "0"), (json!({ "command": command, "run_as": "root" }), "1")]
  {
    let facts = facts(&cluster.api(), &config).await?;
    assert_eq!(facts.get("id").map(String::as_str), Some("root"), "{config}");
    assert_eq!(facts.get("NoNewPrivs").map(String::as_str), Some(privileges), "{config}");
  }
  cluster.finish()
}

async fn only_listed_programs_run(engine: Engine) -> Result<()> {
  let settings = "[agent]\ncommands_allow = ['id', '/usr/lib/']\nrun_as_allow = ['nobody']\n\
    [agent.task_types.words]\ncmd = 'wc'\nargs = ['-w']";
  let cluster = Cluster::builder().engine(engine).agent_settings(settings).start().await?;
  let api = cluster.api();
  let run = |args: Value| json!({ "cmd": "exec", "args": args });
  for config in [run(json!(["id"])), run(json!(["/usr/bin/id", "-u"]))] {
    let id = submit(&api, &json!({ "config": config })).await?;
    wait_status(&api, &id, &["succeeded"]).await?;
  }
  let handled =
    json!({ "config": { "cmd": "handler", "task_type": "words" }, "parameters": { "n": 1 } });
  let id = submit(&api, &handled).await?;
  wait_status(&api, &id, &["succeeded"]).await?;
  let copy = cluster.dir().join("id");
  std::fs::copy("/usr/bin/id", &copy)?;
  // A way that leads elsewhere for whoever goes it: what was looked at is what runs.
  let planted = cluster.dir().join("usr/bin");
  std::fs::create_dir_all(&planted)?;
  std::fs::copy("/usr/bin/env", planted.join("id"))?;
  let mut config = run(json!(["/proc/self/cwd/usr/bin/id", "-u"]));
  config["working_directory"] = json!(cluster.dir());
  let id = submit(&api, &json!({ "config": config })).await?;
  wait_status(&api, &id, &["succeeded"]).await?;
  let own = rustix::process::geteuid().as_raw().to_string();
  assert_eq!(String::from_utf8(output(&api, &id, "stdout").await?)?.trim(), own);
  for config in [
    json!({ "command": "id" }),
    run(json!(["env", "id"])),
    run(json!([copy])),
    json!({ "cmd": "exec", "args": ["./id"], "working_directory": cluster.dir() }),
  ] {
    let (reason, message) = refusal(&api, config.clone()).await?;
    assert_eq!(reason, "not_started(refused)", "{config}: {message}");
    ensure!(message.contains("agent.commands_allow"), "{config}: {message}");
  }
  let astray = json!({ "config": run(json!(["id"])), "environment": { "PATH": "/opt" } });
  let id = submit(&api, &astray).await?;
  let ended = wait_status(&api, &id, &["failed"]).await?;
  assert_eq!(ended["reason"], "not_started(refused)", "{ended}");
  if is_root() {
    let mut config = run(json!(["id", "-un"]));
    config["run_as"] = json!("nobody");
    let id = submit(&api, &json!({ "config": config })).await?;
    wait_status(&api, &id, &["succeeded"]).await?;
    assert_eq!(String::from_utf8(output(&api, &id, "stdout").await?)?.trim(), "nobody");
    config["args"] = json!(["env"]);
    let (reason, message) = refusal(&api, config).await?;
    assert_eq!(reason, "not_started(refused)", "{message}");
  }
  cluster.finish()
}
