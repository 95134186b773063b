//! §10.6: files, variables, folders and addresses that a server or an agent cannot use.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hetuflow_tests::binaries::Binaries;
use hetuflow_tests::cluster::Cluster;
use hetuflow_tests::wait;
use serde_json::json;

use crate::api::quiet;
use crate::command_line::{harmless, run};

/// Which program reads the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
  /// `hetuflow-server`
  Server,
  /// `hetuflow-agent`
  Agent,
}
use Program::{Agent, Server};

/// Row, program, config file, environment, exit code, words.
type Case = (
  &'static str,
  Program,
  &'static str,
  &'static [(&'static str, &'static str)],
  i32,
  &'static [&'static str],
);

/// A server's database by variable.
const URL: &str = "HETUFLOW__DATABASE__URL";
/// A server's address by variable.
const BIND: &str = "HETUFLOW__SERVER__BIND_ADDRESS";

/// Every case; `{DIR}` in a variable is the case's folder.
const CASES: &[Case] = &[
  ("B098", Server, "[server\n", &[], 78, &["bad.toml:1:", "unclosed table"]),
  (
    "B098",
    Server,
    "[agents]\nagent_heartbeet_interval = \"5s\"\n",
    &[],
    78,
    &["bad.toml:2:", "did you mean agents.agent_heartbeat_interval?"],
  ),
  (
    "B098",
    Server,
    "[server]\nworkers = \"x\"\nrequire_tls = 3\n",
    &[],
    78,
    &["bad.toml:2:", "bad.toml:3:", "true or false"],
  ),
  ("B098", Server, "[server]\n[server]\n", &[], 78, &["bad.toml:2:", "duplicate key"]),
  ("B098", Agent, "[agent]\nagnt_id = \"x\"\n", &[], 78, &["bad.toml:2:", "agent.agent_id?"]),
  (
    "B098",
    Agent,
    "[agent.polling]\nmax_concurrent_tasks = \"x\"\n",
    &[],
    78,
    &["bad.toml:2:", "whole number"],
  ),
  (
    "B099",
    Server,
    "[agents]\nagent_heartbeat_interval = \"10s\"\n",
    &[],
    78,
    &["heartbeat_interval 10s must be at most a third of heartbeat_ttl 15s"],
  ),
  (
    "B099",
    Server,
    "[database]\nmax_connections = 0\n[retention]\nevents_ttl = \"0s\"\n\
     [scheduler]\nearly_dispatch = \"90s\"\n",
    &[],
    78,
    &["0 is out of range", "0s is out of range", "1m30s must not be longer than plan_ahead 1m"],
  ),
  ("B100", Server, "", &[(URL, "")], 78, &["is empty", URL]),
  ("B100", Server, "", &[(URL, "mysql://u:s3cret@h/d")], 78, &["u:***@h/d", "not a database URL"]),
  ("B100", Server, "", &[(URL, "postgres://u:s3cret@:/d")], 78, &["u:***@", "empty host"]),
  (
    "B100",
    Server,
    "",
    &[(URL, "postgres://u:s3cret@nowhere.invalid/d")],
    69,
    &["u:***@nowhere.invalid", "lookup"],
  ),
  (
    "B100",
    Server,
    "",
    &[(URL, "postgres://u:s3cret@127.0.0.1:1/d")],
    69,
    &["u:***@127.0.0.1:1", "Connection refused"],
  ),
  (
    "B105",
    Agent,
    "[agent]\nstate_dir = \"/proc/nowhere\"\nagent_id = \"x\"\n",
    &[],
    78,
    &["cannot make the folder /proc/nowhere"],
  ),
  ("B101", Server, "", &[(URL, "sqlite:{DIR}/no/x.db")], 78, &["does not exist"]),
  ("B101", Server, "", &[(URL, "sqlite::memory:")], 78, &["lost at the first restart"]),
  ("B101", Server, "", &[(URL, "sqlite:{DIR}/noise.db")], 78, &["not a database"]),
  ("B101", Server, "", &[(URL, "sqlite:/proc/x.db")], 78, &["/proc"]),
  ("B102", Server, "", &[(BIND, "abc")], 78, &[BIND, "127.0.0.1:8080"]),
  ("B102", Server, "", &[(BIND, "127.0.0.1:70000")], 78, &[BIND]),
  ("B102", Server, "", &[("HETUFLOW__SERVER__PORT", "abc")], 78, &["SERVER__PORT", "unknown key"]),
  ("B102", Server, "", &[(BIND, "203.0.113.5:80")], 69, &["cannot listen on 203.0.113.5:80"]),
  (
    "B103",
    Server,
    "[server]\nbind_address = \"0.0.0.0:0\"\nrequire_tls = true\n",
    &[],
    78,
    &["TLS is required", "0.0.0.0:0"],
  ),
];

/// The rows of this file's cases.
pub fn rows() -> Vec<&'static str> {
  CASES.iter().map(|(row, ..)| *row).collect()
}

/// Starts a server or an agent, which must end by itself with this code and these words.
pub async fn refused(
  (program, args): (Program, &[&str]),
  dir: &Path,
  environment: &[(&str, &str)],
  (code, words): (i32, &[&str]),
) -> Result<()> {
  let binaries = Binaries::find()?;
  let path: PathBuf = if program == Server { binaries.server } else { binaries.agent };
  let args: Vec<OsString> = args.iter().map(OsString::from).collect();
  let ran = run((&path, &args), dir, environment, b"").await?;
  ensure!(ran.code == Some(code), "not {code}: {ran:?}");
  let said = format!("{}{}", ran.stdout, ran.stderr);
  for words in words {
    ensure!(said.contains(words), "{words:?} is not said: {said}");
  }
  ensure!(ran.stderr.starts_with("error"), "{said}");
  ensure!(!said.contains("s3cret"), "the password: {said}");
  harmless(&ran.stderr)
}

#[tokio::test]
async fn settings_that_cannot_be_used() -> Result<()> {
  let mut wrong = Vec::new();
  for (row, program, file, environment, code, words) in CASES {
    let dir = tempfile::tempdir()?;
    std::fs::write(dir.path().join("bad.toml"), file)?;
    std::fs::write(dir.path().join("noise.db"), "no database ".repeat(1000))?;
    let here = dir.path().to_str().context("a folder")?;
    let environment: Vec<(&str, String)> =
      environment.iter().map(|(name, value)| (*name, value.replace("{DIR}", here))).collect();
    let environment: Vec<(&str, &str)> =
      environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let args: &[&str] = &["start", "--config", "bad.toml"];
    let refused = refused((*program, args), dir.path(), &environment, (*code, words));
    if let Err(error) = refused.await {
      wrong.push(format!("{row} {file:?} {environment:?}: {error:#}"));
    }
    let noise = std::fs::read_to_string(dir.path().join("noise.db"))?;
    ensure!(noise.starts_with("no database"), "{row}: another's file was written to");
  }
  ensure!(wrong.is_empty(), "{} settings:\n{}", wrong.len(), wrong.join("\n"));
  Ok(())
}

#[tokio::test]
async fn b097_files_that_cannot_be_read() -> Result<()> {
  let dir = tempfile::tempdir()?;
  std::fs::write(dir.path().join("latin.toml"), b"# caf\xe9\n")?;
  for program in [Server, Agent] {
    for file in ["nowhere.toml", ".", "latin.toml"] {
      let args = ["start", "--config", file];
      refused((program, &args), dir.path(), &[], (78, &[file])).await?;
    }
  }
  let missing: &[&str] = &["No such file or directory (os error 2)"];
  let args: &[&str] = &["start", "--config", "nowhere.toml"];
  refused((Server, args), dir.path(), &[], (78, missing)).await?;
  ensure!(std::fs::read_dir(dir.path())?.count() == 1, "something was made");
  Ok(())
}

#[tokio::test]
async fn b101_b102_what_another_server_has() -> Result<()> {
  let mut cluster = Cluster::builder().agents(0).start().await?;
  let address = cluster.server(0).url().trim_start_matches("http://").to_owned();
  let dir = tempfile::tempdir()?;
  let start: (Program, &[&str]) = (Server, &["start"]);
  let taken: (i32, &[&str]) = (69, &["cannot listen on", "in use"]);
  refused(start, dir.path(), &[(BIND, &address)], taken).await?;
  let url = cluster.database_url().to_owned();
  let environment = [(BIND, "127.0.0.1:0"), (URL, &*url)];
  refused(start, dir.path(), &environment, (78, &["another server uses"])).await?;
  // B101: a store that a newer server has made.
  cluster.stop_server(0)?;
  let file = url.trim_start_matches("sqlite:");
  let pool = sqlx::SqlitePool::connect(&format!("sqlite:{file}")).await?;
  let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, \
    execution_time) VALUES (9999, 'newer', 1, x'00', 1)";
  sqlx::query(newer).execute(&pool).await?;
  pool.close().await;
  refused(start, dir.path(), &environment, (78, &["9999"])).await?;
  quiet(&mut cluster, 0)?;
  cluster.finish()
}

#[tokio::test]
async fn b105_a_folder_that_another_agent_uses() -> Result<()> {
  let mut cluster = Cluster::builder().agents(1).start().await?;
  let config = cluster.dir().join("agent-0.toml");
  let config = config.to_str().context("a path")?.to_owned();
  let pid = format!("another agent (pid {})", cluster.agent(0).process().pid());
  let state = cluster.dir().join("agent-0/state").display().to_string();
  let dir = tempfile::tempdir()?;
  let words: &[&str] = &[&pid, &state, "state_dir of its own"];
  refused((Agent, &["start", "--config", &config]), dir.path(), &[], (78, words)).await?;
  // The one that was there goes on, and a killed one leaves no lock behind.
  let api = cluster.api();
  let config = json!({ "config": { "command": "true" } });
  for killed in [false, true] {
    if killed {
      cluster.kill9_agent(0)?;
      cluster.restart_agent(0)?;
    }
    let task = api.post_ok("/tasks", &config).await?;
    let path = format!("/tasks/{}?wait_secs=30", task["id"].as_str().context("no id")?);
    let task = api.get_ok(&path).await?;
    ensure!(task["status"] == "succeeded", "{task}");
  }
  quiet(&mut cluster, 1)?;
  cluster.finish()
}

#[tokio::test]
async fn b108_few_open_files() -> Result<()> {
  let dir = tempfile::tempdir()?;
  let here = dir.path().to_str().context("a folder")?;
  let binaries = Binaries::find()?;
  let server =
    [("HETUFLOW__SERVER__BIND_ADDRESS", "127.0.0.1:0"), ("HETUFLOW__SERVER__DATA_DIR", here)];
  let none: &[(&str, &str)] = &[];
  for (program, environment, least) in
    [(&binaries.server, &server[..], "84"), (&binaries.agent, none, "64")]
  {
    let script: OsString = "ulimit -n 20; exec \"$0\" start".into();
    let args = ["-c".into(), script, program.as_os_str().to_owned()];
    let ran = run((Path::new("/bin/bash"), &args), dir.path(), environment, b"").await?;
    let words = format!("needs at least {least}");
    ensure!(ran.code == Some(78) && ran.stderr.contains(&words), "{program:?}: {ran:?}");
    ensure!(ran.stderr.contains("error: 20 open files are allowed"), "{ran:?}");
  }
  Ok(())
}

#[tokio::test]
async fn b110_a_hangup_with_a_broken_file() -> Result<()> {
  let mut cluster = Cluster::builder().agents(1).start().await?;
  std::fs::write(cluster.dir().join("server-0.toml"), "[server\nnonsense")?;
  cluster.server(0).process().signal(rustix::process::Signal::HUP)?;
  wait::until("the word about it", Duration::from_secs(30), || {
    let told = cluster.server(0).process().log().contains("the old ones stay");
    std::future::ready(told.then_some(()))
  })
  .await?;
  let task = cluster.api().post_ok("/tasks", &json!({ "config": { "command": "true" } })).await?;
  let path = format!("/tasks/{}?wait_secs=30", task["id"].as_str().context("no id")?);
  let task = cluster.api().get_ok(&path).await?;
  ensure!(task["status"] == "succeeded", "{task}");
  quiet(&mut cluster, 1)?;
  cluster.finish()
}

#[tokio::test]
async fn b106_surroundings_that_make_no_difference() -> Result<()> {
  let mut builder = Cluster::builder().agents(1);
  for (name, value) in [
    ("TZ", "garbage"),
    ("LC_ALL", "C"),
    ("LANG", "zh_CN.GBK"),
    ("TMPDIR", "/nowhere"),
    ("HOME", ""),
  ] {
    builder = builder.environment(name, value);
  }
  let mut cluster = builder.start().await?;
  let api = cluster.api();
  let rule = json!({ "cron": "0 12 * * *", "timezone": "Asia/Shanghai" });
  let preview = api.post_ok("/schedules/preview?count=1", &rule).await?;
  let at = preview["next"][0]["at"].as_str().unwrap_or_default();
  ensure!(at.contains("T04:00:00"), "{preview}");
  let config = json!({ "config": { "command": "printf 'h\\303\\251'" } });
  let task = api.post_ok("/tasks", &config).await?;
  let path = format!("/tasks/{}?wait_secs=20", task["id"].as_str().context("no id")?);
  let task = api.get_ok(&path).await?;
  ensure!(task["status"] == "succeeded", "{task}");
  let log = format!("/task-instances/{}/logs", task["instance_id"].as_str().context("no id")?);
  ensure!(api.bytes(&log).await?.1 == "h\u{e9}".as_bytes());
  quiet(&mut cluster, 1)?;
  cluster.finish()
}
