//! A host that has nothing left for another process, and a task of root that walks out of the group
//! that was made for it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use hetuflow_tests::cluster::{Cluster, Engine};
use hetuflow_tests::truth::TruthLog;
use hetuflow_tests::{process, wait};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use serde_json::{Value, json};

use crate::support::{
  LIMIT, attempts, submit, submit_all, task, text, wait_all_succeeded, wait_status,
};

both_engines!(
  a_host_without_files,
  a_host_without_processes,
  a_task_that_leaves_its_group_is_dead_after_a_stop,
);

/// What tells that the host refused a start.
async fn refused_once(cluster: &Cluster, ids: &[String]) -> Result<Value> {
  let api = cluster.api();
  wait::until_ok("a refusal", LIMIT, || async {
    for id in ids {
      let seen = attempts(&api, id).await.map_err(|error| format!("{error:#}"))?;
      if let Some(one) = seen.into_iter().find(|one| one["reason"] == "not_started(capacity)") {
        return Ok(one);
      }
    }
    Err("none yet".to_owned())
  })
  .await
}

/// Tasks wait for `gate`; the agent has room for many and the host for few.
async fn refuses_and_recovers(
  cluster: Cluster,
  tighten: impl Fn(u32) -> Result<()>,
  release: impl Fn(u32) -> Result<()>,
) -> Result<()> {
  let mut cluster = cluster;
  let api = cluster.api();
  let truth = TruthLog::new(cluster.dir().join("truth.log"));
  let gate = cluster.dir().join("gate");
  let warm = submit(&api, &json!({ "config": { "command": "true" } })).await?;
  wait_status(&api, &warm, &["succeeded"]).await?;
  let before = api.get_ok("/agents/agent-0").await?["connection_epoch"].clone();
  let executor = cluster.agent(0).executor_pid()?;
  tighten(executor)?;
  let script = format!("until [ -e '{}' ]; do read -rt 0.1 <> <(:) || :; done", gate.display());
  let script = truth.payload(&script);
  let ids = submit_all(&api, &vec![json!({ "config": { "script": script } }); 40]).await?;
  let refused = refused_once(&cluster, &ids).await?;
  let why = text(&refused, "error_message")?;
  ensure!(why.contains("no room for another task"), "{why}");
  assert_eq!(refused["status"], "not_started", "{refused}");
  let agent = api.get_ok("/agents/agent-0").await?;
  assert_eq!(agent["connection_epoch"], before, "the link is as it was: {agent}");
  release(executor)?;
  std::fs::write(&gate, "")?;
  // What was refused was not its fault: it runs as soon as there is room, without retries of its own.
  wait_all_succeeded(&api, &ids).await?;
  assert_eq!(truth.started_twice()?, []);
  let started = truth.starts()?;
  for id in &ids {
    let count = started.keys().filter(|(one, _)| one == id).count();
    assert_eq!(count, 1, "{}", task(&api, id).await?);
  }
  assert_eq!(truth.ends()?, started);
  assert_eq!(cluster.agent(0).executor_pid()?, executor, "the same executor");
  assert_eq!(api.get_ok("/agents/agent-0").await?["connection_epoch"], before);
  cluster.finish()
}

fn open_files(pid: u32, most: u64) -> Result<()> {
  let number = i32::try_from(pid).ok().and_then(Pid::from_raw).context("pid")?;
  // The hard limit is what it was here, and is not to be raised.
  let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
  prlimit(Some(number), Resource::Nofile, Rlimit { current: Some(most), maximum })?;
  Ok(())
}

/// A24: few files for the executor.
async fn a_host_without_files(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).slots(40).start().await?;
  refuses_and_recovers(cluster, |pid| open_files(pid, 40), |pid| open_files(pid, 1024)).await
}

/// A group of processes that a story can close; its own process names it.
struct Pen(PathBuf);

impl Pen {
  fn new() -> Result<Self> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
    let point = mounts.lines().find_map(|line| {
      let (front, back) = line.split_once(" - ")?;
      let counts = back.starts_with("cgroup ") && back.ends_with(",pids")
        || back.starts_with("cgroup2 ")
          && std::fs::read_to_string(
            Path::new(front.split(' ').nth(4)?).join("cgroup.subtree_control"),
          )
          .is_ok_and(|words| words.contains("pids"));
      counts.then(|| front.split(' ').nth(4).map(PathBuf::from))?
    });
    let point = point.context("no control group here counts processes")?;
    let path = point.join(format!("hft-{}-{:p}", std::process::id(), &point));
    std::fs::create_dir(&path)?;
    Ok(Self(path))
  }

  /// No more processes than there are, and so many, or as many as anybody likes.
  fn close(&self, more: Option<u32>) -> Result<()> {
    let now: u32 = std::fs::read_to_string(self.0.join("pids.current"))?.trim().parse()?;
    let most = more.map_or("max".to_owned(), |more| (now + more).to_string());
    Ok(std::fs::write(self.0.join("pids.max"), most)?)
  }
}

impl Drop for Pen {
  fn drop(&mut self) {
    // Deepest first; what lives in it keeps it.
    let below = |dir: &Path| -> Vec<PathBuf> {
      let all = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|one| one.path());
      all.filter(|one| one.is_dir()).collect()
    };
    for folder in below(&self.0) {
      below(&folder).iter().chain([&folder]).for_each(|one| _ = std::fs::remove_dir(one));
    }
    let _still_used = std::fs::remove_dir(&self.0);
  }
}

/// A24: few processes for agent and executor together.
async fn a_host_without_processes(engine: Engine) -> Result<()> {
  let pen = Pen::new()?;
  let enter = format!("echo $$ > '{}/cgroup.procs'; exec \"$0\" \"$@\"", pen.0.display());
  let words = ["/bin/sh", "-c", &enter].map(str::to_owned).to_vec();
  let builder = Cluster::builder().engine(engine).slots(40).agents_through(words);
  let cluster = builder.start().await?;
  refuses_and_recovers(cluster, |_| pen.close(Some(6)), |_| pen.close(None)).await
}

/// Moves itself out of every group that is ours, up to the first one that takes it.
const LEAVE: &str = r#"
leave() {
  while IFS=: read -r _ names path; do
    case $path in */hetuflow-*) ;; *) continue ;; esac
    for base in /sys/fs/cgroup/${names:-unified} /sys/fs/cgroup; do
      [ -e "$base$path/cgroup.procs" ] || continue
      above=${path%%/hetuflow-*}
      until { echo $$ > "$base$above/cgroup.procs"; } 2>/dev/null; do
        [ -n "$above" ] || break
        above=${above%/*}
      done
      break
    done
  done < /proc/$$/cgroup
}
"#;

/// A26: a task of root moves itself out of its control group; what it starts from there is in a session
/// of its own, is nobody's child, and does not listen to a stop.
async fn a_task_that_leaves_its_group_is_dead_after_a_stop(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).start().await?;
  let api = cluster.api();
  let pids = cluster.dir().join("pids");
  let deaf = format!("trap '' TERM; echo $$ >> '{}'; while :; do sleep 0.1; done", pids.display());
  // First it is put into the group that was made for it, or into one after the other (version 1).
  let script = format!(
    "{LEAVE}\nfor _ in {{1..100}}; do\n\
     grep -q /hetuflow- /proc/$$/cgroup && break; sleep 0.1\ndone\n\
     sleep 0.5; leave; trap '' TERM\n(setsid bash -c \"$DEAF\" &)\n\
     (env -i setsid bash -c \"$DEAF\" & sleep 0.7)\n{deaf}"
  );
  let task = json!({ "config": { "script": script, "stop_grace_secs": 0.5 },
    "environment": { "DEAF": deaf } });
  let id = submit(&api, &task).await?;
  let left = wait::until("all three of them", LIMIT, || async {
    let text = std::fs::read_to_string(&pids).ok()?;
    let all: Vec<u32> = text.lines().filter_map(|line| line.parse().ok()).collect();
    (all.len() == 3).then_some(all)
  })
  .await?;
  for pid in &left {
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    ensure!(!groups.contains("/hetuflow-"), "it has not left: {groups}");
  }
  api.post_ok(&format!("/tasks/{id}/cancel"), &json!({})).await?;
  wait_status(&api, &id, &["cancelled"]).await?;
  let there = living(&left);
  ensure!(there.is_empty(), "cancelled is told when nothing lives: {there:?}");
  let next = submit(&api, &json!({ "config": { "command": "true" } })).await?;
  wait_status(&api, &next, &["succeeded"]).await?;
  assert_eq!(
    process::find("", cluster.dir()).iter().filter(|one| one.1.contains("sleep 0.1")).count(),
    0
  );
  cluster.finish()
}

/// Those that are no zombies.
fn living(pids: &[u32]) -> Vec<String> {
  let stat = |pid: &u32| std::fs::read_to_string(format!("/proc/{pid}/stat")).ok();
  pids.iter().filter_map(stat).filter(|stat| !stat.contains(") Z ")).collect()
}
