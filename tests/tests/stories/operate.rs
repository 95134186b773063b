//! The commands of an operator against a real system: taking over a crontab, lists as manifests,
//! doctor, repair, many tasks at once.

use anyhow::{Context, Result, ensure};
use hetuflow_tests::cluster::{Cluster, Engine};
use hetuflow_tests::wait;
use serde_json::{Value, json};

use crate::support::{LIMIT, all, sql, submit, submit_all, text, wait_all_succeeded, wait_status};

both_engines!(a_crontab_is_taken_over, doctor_and_repair, many_tasks_at_once);

const CRONTAB: &str = "\
30 2 * * * echo backup
*/15 * * * 1-5 echo poll
@reboot echo start
";

/// An agent is called offline soon.
const QUICK_LOSS: &str =
  "[agents]\nagent_heartbeat_interval = '250ms'\nagent_heartbeat_ttl = '1500ms'";
const QUICK_AGENT: &str = "[agent.connection]\nheartbeat_interval = '250ms'";

/// The exit code of a command, and what it printed on both streams.
async fn done(cluster: &Cluster, args: &[&str]) -> Result<(i32, String)> {
  let output = cluster.ctl(args).await?;
  let told = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
  let code = output.status.code().context("killed")?;
  Ok((code, String::from_utf8_lossy(&told).into_owned()))
}

/// Fails with what was printed where the exit code is another one.
async fn ends(cluster: &Cluster, args: &[&str], wanted: i32) -> Result<String> {
  let (code, told) = done(cluster, args).await?;
  ensure!(code == wanted, "{args:?} ended with {code}, not {wanted}:\n{told}");
  Ok(told)
}

async fn json(cluster: &Cluster, args: &[&str]) -> Result<Value> {
  let output = cluster.ctl(args).await?;
  serde_json::from_slice(&output.stdout)
    .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())
}

async fn a_crontab_is_taken_over(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).start().await?;
  let api = cluster.api();
  let folder = tempfile::tempdir()?;
  let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
  std::fs::write(path("crontab"), CRONTAB)?;
  let crontab = path("crontab");
  let how = ["--apply", "--disabled", "--count", "50", "--tz", "Europe/Berlin"];
  let import = [&["import", "crontab", &crontab][..], &how].concat();
  // Something stays behind (@reboot), and that is told.
  let (_, told) = done(&cluster, &import).await?;
  let schedules = all(&api, "/schedules").await?;
  ensure!(schedules.len() == 2, "{told}");
  for one in &schedules {
    assert_eq!(text(one, "timezone")?, "Europe/Berlin");
  }
  // A second time nothing differs, and nothing is asked.
  done(&cluster, &import).await?;
  assert_eq!(all(&api, "/jobs").await?.len(), 2);
  assert_eq!(all(&api, "/schedules").await?, schedules);

  // Lists as YAML have the schedules: an apply of them changes nothing, and needs no yes.
  for (name, list) in [("a.yaml", &["job", "list"][..]), ("b.yaml", &["ls", "jobs"])] {
    let yaml = cluster.ctl(&[list, &["-o", "yaml"]].concat()).await?.stdout;
    std::fs::write(path(name), yaml)?;
    ends(&cluster, &["diff", "-f", &path(name)], 0).await?;
    ends(&cluster, &["apply", "-f", &path(name)], 0).await?;
  }
  assert_eq!(all(&api, "/schedules").await?, schedules);

  // Off a terminal a change needs a yes; new things too.
  let changed = std::fs::read_to_string(path("a.yaml"))?.replace("echo backup", "echo other");
  std::fs::write(path("a.yaml"), changed)?;
  ends(&cluster, &["apply", "-f", &path("a.yaml")], 2).await?;
  let new = "apiVersion: hetuflow/v1\nkind: Job\nmetadata: { name: new }\nspec: { config: { command: 'true' } }\n";
  std::fs::write(path("new.yaml"), new)?;
  let told = ends(&cluster, &["apply", "-f", &path("new.yaml")], 2).await?;
  ensure!(told.contains("--yes"), "{told}");
  assert_eq!(all(&api, "/jobs").await?.len(), 2);
  ends(&cluster, &["apply", "-f", &path("new.yaml"), "--yes"], 0).await?;
  ends(&cluster, &["job", "update", "new", "--owner", "ops", "--label", "tier=gold"], 0).await?;
  let job = json(&cluster, &["job", "get", "new", "-o", "json"]).await?;
  assert_eq!((&job["owner"], &job["labels"]), (&json!("ops"), &json!({ "tier": "gold" })));
  cluster.finish()
}

async fn doctor_and_repair(engine: Engine) -> Result<()> {
  let builder = Cluster::builder().engine(engine);
  let builder = builder.server_settings(QUICK_LOSS).agent_settings(QUICK_AGENT);
  let mut cluster = builder.start().await?;
  let api = cluster.api();
  let folder = tempfile::tempdir()?;
  let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
  let (bundle, plan) = (path("bundle.tar"), path("plan.json"));
  ends(&cluster, &["doctor", "--bundle", &bundle], 0).await?;
  let packed = String::from_utf8_lossy(&std::fs::read(&bundle)?).into_owned();
  ensure!(!packed.contains(cluster.token()), "a bundle holds no token");
  ensure!(packed.contains("agent.connected") && !packed.contains("missing.txt"), "all is in it");
  ends(&cluster, &["repair", "check"], 0).await?;

  // The agent goes away with a task that may stay there for a day.
  let gate = cluster.dir().join("gate");
  let script = format!("until [ -e '{}' ]; do sleep 0.1; done", gate.display());
  let kept = json!({ "cmd": "bash", "script": script, "disconnect": { "lost_after": 86_400 } });
  let id = submit(&api, &json!({ "config": kept })).await?;
  wait_status(&api, &id, &["running"]).await?;
  cluster.kill9_agent(0)?;
  wait::until_ok("the agent to be offline", LIMIT, || async {
    let agents = all(&api, "/agents").await.map_err(|error| format!("{error:#}"))?;
    let status = agents[0]["status"].as_str().unwrap_or_default().to_owned();
    if status == "offline" { Ok(()) } else { Err(status) }
  })
  .await?;
  let (code, told) = done(&cluster, &["doctor"]).await?;
  ensure!(told.contains("agents") && told.contains("fix"), "{code}: {told}");
  // Offline for less than an hour is no finding yet.
  ends(&cluster, &["repair", "check"], 0).await?;
  let earlier = match engine {
    Engine::Sqlite => "update sched_agent set last_heartbeat_at = last_heartbeat_at - 7200000000",
    Engine::Postgres => {
      "update sched_agent set last_heartbeat_at = last_heartbeat_at - interval '2 hours'"
    }
  };
  assert_eq!(sql(&cluster, earlier).await?, 1);
  let told = ends(&cluster, &["repair", "check"], 1).await?;
  ensure!(told.contains("R004"), "{told}");
  ends(&cluster, &["repair", "plan", "--out", &plan], 0).await?;
  ends(&cluster, &["repair", "apply", &plan], 2).await?;
  ends(&cluster, &["repair", "apply", &plan, "--yes"], 0).await?;
  let task = wait_status(&api, &id, &["cancelling", "cancelled", "lost"]).await?;
  // The task is no longer what the plan saw.
  let told = ends(&cluster, &["repair", "apply", &plan, "--yes"], 6).await?;
  ensure!(told.contains("nothing was done"), "{told}\n{task}");
  cluster.restart_agent(0)?;
  std::fs::write(gate, "")?;
  // It may come to its end before the order to stop reaches it.
  wait_status(&api, &id, &["cancelled", "lost", "succeeded"]).await?;
  cluster.finish()
}

async fn many_tasks_at_once(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).start().await?;
  let api = cluster.api();
  let later = json!({ "config": { "command": "true" }, "scheduled_at": "2099-01-01T00:00:00Z" });
  let ids = submit_all(&api, &vec![later; 120]).await?;
  let filter = "state=pending";
  let told = ends(&cluster, &["-v", "cancel", "-F", filter, "--yes"], 0).await?;
  let posts = told.lines().filter(|line| line.contains("POST ")).count();
  ensure!(posts == 1, "one request for all, not {posts}:\n{told}");
  for id in &ids {
    wait_status(&api, id, &["cancelled"]).await?;
  }
  // What has ended cannot be cancelled: each is told, and the others are done.
  let ended = submit_all(&api, &vec![json!({ "config": { "command": "true" } }); 2]).await?;
  wait_all_succeeded(&api, &ended).await?;
  let running = submit(&api, &json!({ "config": { "command": "sleep 600" } })).await?;
  wait_status(&api, &running, &["running"]).await?;
  let told = ends(&cluster, &["cancel", &ended[0], &running, &ended[1], "--force"], 11).await?;
  ensure!(told.matches("not asked to stop").count() == 2, "{told}");
  wait_status(&api, &running, &["cancelled"]).await?;
  let retried = ends(&cluster, &["retry", &ids[2], &ids[3], "-o", "name"], 0).await?;
  ensure!(retried.lines().filter(|line| line.starts_with("task/")).count() == 2, "{retried}");
  ends(&cluster, &["cancel", "-F", filter, "--yes"], 0).await?;
  cluster.finish()
}
