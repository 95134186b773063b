//! Hosts and processes fail in ways that no code asks for: both processes of an agent die at random
//! moments, process numbers are used again, the host starts anew, the executor stands still. Truth
//! is what the tasks themselves wrote down.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hetuflow_tests::cluster::{Cluster, Engine};
use hetuflow_tests::truth::TruthLog;
use hetuflow_tests::{process, wait};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::support::{
  LIMIT, attempts, output, runs_again, submit, submit_all, task, text, wait_status,
};

both_engines!(
  random_deaths_start_nothing_twice,
  a_process_number_that_is_used_again_is_a_stranger,
  a_host_that_starts_anew,
  an_executor_that_stands_still,
  two_full_pipes_and_a_closed_ear,
);

fn kill(number: u32, signal: Signal) -> Result<()> {
  let pid = i32::try_from(number).ok().and_then(Pid::from_raw).context("pid")?;
  kill_process(pid, signal).with_context(|| format!("signal {number}"))
}

/// A03, A04, A25: agent and executor are killed again and again while they start tasks.
async fn random_deaths_start_nothing_twice(engine: Engine) -> Result<()> {
  const ROUNDS: u64 = 24;
  let mut cluster = Cluster::builder().engine(engine).slots(6).start().await?;
  let (api, truth) = (cluster.api(), TruthLog::new(cluster.dir().join("truth.log")));
  let script = truth.payload("trap '' PIPE; sleep 0.05");
  let ids = submit_all(&api, &vec![json!({ "config": { "script": script } }); 400]).await?;
  let seed = u64::from(std::process::id());
  println!("seed {seed}");
  let mut dice = seed;
  for round in 0..ROUNDS {
    // A generator of MMIX; its high bits are good enough for moments.
    dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    tokio::time::sleep(Duration::from_millis((dice >> 33) % 250)).await;
    // It may be between two lives.
    let executor = cluster.agent(0).executor_pid().ok();
    if round % 3 != 0 {
      let _just_gone = executor.map(|pid| kill(pid, Signal::KILL));
    }
    if round % 3 != 1 {
      cluster.kill9_agent(0)?;
      cluster.restart_agent(0)?;
    }
  }
  cluster.wait_agent(0).await?;
  let mut unseen = 0;
  for id in &ids {
    let end = wait_status(&api, id, &["succeeded", "failed"]).await?;
    if end["status"] == "failed" {
      unseen += 1;
      // Of what ran when its executor died nobody has seen the end.
      assert_eq!(text(&end, "reason")?, "exit_unknown", "{end}");
    }
  }
  println!("{unseen} of {} ended unseen", ids.len());
  ensure!(unseen < ids.len() / 2, "{unseen} of {} ended unseen", ids.len());
  assert_eq!(truth.started_twice()?, []);
  let (starts, ends) = (truth.starts()?, truth.ends()?);
  for id in &ids {
    let begun = starts.keys().filter(|(task, _)| task == id).count();
    let done = ends.keys().filter(|(task, _)| task == id).count();
    let end = task(&api, id).await?;
    ensure!(begun == 1 || begun == 0 && end["status"] == "failed", "{begun} starts of {end}");
    ensure!(done == 1 || end["status"] == "failed", "{done} ends of {end}");
  }
  let next = submit(&api, &json!({ "config": { "command": "echo next" } })).await?;
  wait_status(&api, &next, &["succeeded"]).await?;
  runs_again(&cluster).await?;
  cluster.finish()
}

/// Starts the agent again when it has died, as an init would, unless it is told to wait; and gives
/// a process number to a canary.
const INIT: &str = r#"
echo 400 > /proc/sys/kernel/pid_max || exit 9
# Numbers below 300 are given only once.
for n in {1..320}; do (:); done
while [ ! -e stop ]; do
  "$@" &
  wait $!
  while [ -e hold ] && [ ! -e stop ]; do
    if [ -e wanted ] && [ ! -e canary ]; then
      read -r number < wanted
      sleep 100000 &
      if [ $! = "$number" ]; then echo $! > canary.new; mv canary.new canary; else kill $!; wait $!; fi
    else
      sleep 0.1
    fi
  done
done
exit 0
"#;

/// A14: agent, executor and task are gone, and a stranger has the task's number.
async fn a_process_number_that_is_used_again_is_a_stranger(engine: Engine) -> Result<()> {
  let words = ["/usr/bin/unshare", "--pid", "--fork", "--kill-child", "--mount-proc"];
  let shell = ["/bin/bash", "-c", INIT, "init"];
  let words = words.iter().chain(&shell).map(|word| (*word).to_owned()).collect();
  let builder = Cluster::builder().engine(engine).agents_through(words);
  let cluster = builder.start().await?;
  let (api, dir) = (cluster.api(), cluster.dir().to_owned());
  let inner = dir.join("inner");
  let script =
    format!("echo $$ > '{0}.new'; mv '{0}.new' '{0}'; exec sleep 1234567", inner.display());
  let id = submit(&api, &json!({ "config": { "script": script } })).await?;
  wait_status(&api, &id, &["running"]).await?;
  let number = wait::until("its number", LIMIT, || async {
    std::fs::read_to_string(&inner).ok().filter(|text| text.ends_with('\n'))
  })
  .await?;

  std::fs::write(dir.join("hold"), "")?;
  for word in ["hetuflow-agent executor", "hetuflow-agent start", "sleep 1234567"] {
    let victims = of_cluster(&dir, word);
    ensure!(!victims.is_empty(), "no {word}");
    victims.into_iter().try_for_each(|pid| kill(pid, Signal::KILL))?;
  }
  std::fs::write(dir.join("wanted"), &number)?;
  wait::until("the canary", LIMIT, || async { std::fs::read(dir.join("canary")).ok() }).await?;
  std::fs::remove_file(dir.join("hold"))?;

  let end = wait_status(&api, &id, &["failed"]).await?;
  assert_eq!(text(&end, "reason")?, "exit_unknown");
  ensure!(lives(&dir, "sleep 100000"), "the stranger was taken for the task");
  let next = submit(&api, &json!({ "config": { "command": "echo next" } })).await?;
  wait_status(&api, &next, &["succeeded"]).await?;
  ensure!(lives(&dir, "sleep 100000"), "the stranger was swept away");
  std::fs::write(dir.join("stop"), "")?;
  for pid in of_cluster(&dir, "hetuflow-agent start") {
    kill(pid, Signal::TERM)?;
  }
  wait::until_ok("the host to be gone", LIMIT, || async {
    let left = process::find("", &dir);
    let left: Vec<_> = left.iter().filter(|(_, line)| line.contains("pid_max")).collect();
    if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
  })
  .await?;
  cluster.finish()
}

/// Processes of a cluster whose command line has this in it; the executor is in no folder of it.
fn of_cluster(dir: &Path, word: &str) -> Vec<u32> {
  let own = dir.display().to_string();
  let everybody = process::find("", Path::new("/")).into_iter();
  let inside =
    |pid: u32| std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(dir));
  // The shell of this story names the agent, too.
  let named = everybody.filter(|(_, line)| line.contains(word) && !line.contains("pid_max"));
  named.filter(|(pid, line)| line.contains(&own) || inside(*pid)).map(|(pid, _)| pid).collect()
}

fn lives(dir: &Path, word: &str) -> bool {
  process::find("", dir).iter().any(|(_, line)| line == word)
}

/// A21: nothing lives after a boot, and the first registration says so at once.
async fn a_host_that_starts_anew(engine: Engine) -> Result<()> {
  let guard = tempfile::tempdir()?;
  let boot = guard.path().join("boot_id");
  let script = format!(
    "[ ! -e '{0}' ] || mount --bind '{0}' /proc/sys/kernel/random/boot_id; exec \"$0\" \"$@\"",
    boot.display()
  );
  let words = ["/usr/bin/unshare", "--mount", "/bin/sh", "-c", &script];
  let words = words.iter().map(|word| (*word).to_owned()).collect();
  let settings = "[agents]\nlost_after = '600s'";
  let builder = Cluster::builder().engine(engine).server_settings(settings).slots(1);
  let mut cluster = builder.agents_through(words).start().await?;
  let (api, truth) = (cluster.api(), TruthLog::new(cluster.dir().join("truth.log")));
  let script = truth.payload("sleep 1234567");
  let ran = submit(&api, &json!({ "config": { "script": script } })).await?;
  wait_status(&api, &ran, &["running"]).await?;
  let again = json!({ "script": truth.payload("true"), "max_retries": 1, "retry_interval": 0.1 });
  let waited = submit(&api, &json!({ "config": again })).await?;
  cluster.kill9_agent(0)?;
  cluster.agent(0).kill9_executor()?;
  for (pid, line) in process::find("", cluster.dir()) {
    if line.contains("sleep 1234567") {
      kill(pid, Signal::KILL)?;
    }
  }
  std::fs::write(&boot, "11111111-2222-3333-4444-555555555555\n")?;
  cluster.restart_agent(0)?;
  let end = wait_status(&api, &ran, &["lost"]).await?;
  assert_eq!(text(&end, "reason")?, "lost(host_reboot)");
  let done = wait_status(&api, &waited, &["succeeded"]).await?;
  ensure!(attempts(&api, &waited).await?.len() <= 2, "{done}");
  assert_eq!(truth.started_twice()?, []);
  runs_again(&cluster).await?;
  cluster.finish()
}

/// A18 of the executor: it is stopped, the agent lives, and later it goes on.
async fn an_executor_that_stands_still(engine: Engine) -> Result<()> {
  let mut cluster = Cluster::builder().engine(engine).start().await?;
  let (api, truth) = (cluster.api(), TruthLog::new(cluster.dir().join("truth.log")));
  let gate = cluster.dir().join("gate");
  let body =
    format!("echo before; until [ -e '{}' ]; do sleep 0.1; done; echo after", gate.display());
  let script = truth.payload(&body);
  let mut ids = vec![submit(&api, &json!({ "config": { "script": script } })).await?];
  wait_status(&api, &ids[0], &["running"]).await?;
  let executor = cluster.agent(0).executor_pid()?;
  kill(executor, Signal::STOP)?;
  std::fs::write(&gate, "")?;
  for _ in 0..3 {
    ids.push(submit(&api, &json!({ "config": { "script": script } })).await?);
  }
  wait::until("its end", LIMIT, || async { (truth.ends().ok()?.len() == 1).then_some(()) }).await?;
  // An agent that is restarted meanwhile waits for it.
  cluster.kill9_agent(0)?;
  cluster.restart_agent(0)?;
  kill(executor, Signal::CONT)?;
  for id in &ids {
    assert_eq!(wait_status(&api, id, &["succeeded"]).await?["attempt"], 1);
    assert_eq!(output(&api, id, "").await?, b"before\nafter\n");
  }
  assert_eq!((truth.starts()?.len(), truth.started_twice()?), (4, Vec::new()));
  assert_eq!(cluster.agent(0).executor_pid()?, executor, "the same executor");
  runs_again(&cluster).await?;
  cluster.finish()
}

/// A12: both pipes are full at once, and standard input is never read.
async fn two_full_pipes_and_a_closed_ear(engine: Engine) -> Result<()> {
  const BYTES: usize = 30_000_000;
  let cluster = Cluster::builder().engine(engine).start().await?;
  let api = cluster.api();
  let command = format!(
    "(head -c {BYTES} /dev/zero | tr '\\0' o) & head -c {BYTES} /dev/zero | tr '\\0' e >&2; wait"
  );
  let stdin = "never read ".repeat(10_000);
  let id = submit(&api, &json!({ "config": { "command": command, "stdin": stdin } })).await?;
  wait_status(&api, &id, &["succeeded"]).await?;
  for (stream, byte) in [("stdout", b'o'), ("stderr", b'e')] {
    let bytes = output(&api, &id, stream).await?;
    ensure!(bytes.len() == BYTES, "{stream} has {} bytes", bytes.len());
    ensure!(bytes.iter().all(|seen| *seen == byte), "{stream} is mixed");
  }
  runs_again(&cluster).await?;
  cluster.finish()
}
