//! Backfills over the real programs: counted, asked for, run at the instants of the past, through a
//! `kill -9` of the server, and what the exit codes say.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use hetuflow_tests::cluster::{Cluster, Engine};
use hetuflow_tests::wait;
use serde_json::{Value, json};

use crate::support::{LIMIT, all, text};

both_engines!(a_backfill_outlives_its_server, exit_codes_tell_how_it_went);

/// The exit code of a command, what it printed, and what it told.
async fn done(cluster: &Cluster, args: &[&str]) -> Result<(i32, String, String)> {
  let output = cluster.ctl(args).await?;
  let code = output.status.code().context("killed")?;
  let show = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
  Ok((code, show(&output.stdout), show(&output.stderr)))
}

/// A job that fires at noon in Berlin, and runs this.
async fn noon(cluster: &Cluster, script: &str) -> Result<Value> {
  let job = json!({
    "name": "noon", "config": { "cmd": "bash", "script": script },
    "schedules": [{ "name": "noon", "cron": "0 12 * * *", "timezone": "Europe/Berlin",
      "parameters": { "table": "t1" } }],
  });
  cluster.api().post_ok("/jobs", &job).await
}

/// What the tasks wrote: how often each line is there.
fn lines(path: &std::path::Path) -> BTreeMap<String, usize> {
  let mut found = BTreeMap::new();
  for line in std::fs::read_to_string(path).unwrap_or_default().lines() {
    *found.entry(line.to_owned()).or_insert(0) += 1;
  }
  found
}

async fn a_backfill_outlives_its_server(engine: Engine) -> Result<()> {
  let mut cluster = Cluster::builder().engine(engine).slots(8).start().await?;
  let log = cluster.dir().join("ran");
  let gate = cluster.dir().join("gate");
  // One short append each; the one of the tenth waits for the gate.
  let script = format!(
    "echo $HETUFLOW_SCHEDULED_AT $HETUFLOW_SCHEDULED_TZ $HETUFLOW_TRIGGER $HETUFLOW_BACKFILL \
      $HETUFLOW_PARAM_TABLE >>'{}'
    case $HETUFLOW_SCHEDULED_AT in 2026-03-10*) until [ -e '{}' ]; do sleep 0.05; done;; esac",
    log.display(),
    gate.display()
  );
  noon(&cluster, &script).await?;
  let range = ["schedule", "backfill", "noon", "--from", "2026-03-01", "--to", "2026-03-31"];
  // Off a terminal nothing begins without a yes; the count is told all the same.
  let (code, _, told) = done(&cluster, &range).await?;
  ensure!(code == 2 && told.contains("31 instants of noon that have not run"), "{code} {told}");
  ensure!(all(&cluster.api(), "/backfills").await?.is_empty());
  let (code, shown, _) = done(&cluster, &[&range[..], &["--dry-run"]].concat()).await?;
  ensure!(code == 0 && shown.contains("Sun 2026-03-01 12:00:00 +01:00"), "{shown}");
  ensure!(shown.contains("Tue 2026-03-31 12:00:00 +02:00"), "{shown}");

  let begin = [&range[..], &["--parallelism", "2", "--yes", "-o", "json"]].concat();
  let (code, shown, told) = done(&cluster, &begin).await?;
  ensure!(code == 0, "{told}");
  let id = text(&serde_json::from_str(&shown)?, "id")?;
  wait::until_ok("the tenth", LIMIT, || async {
    let ran = lines(&log).len();
    if ran >= 12 { Ok(()) } else { Err(format!("{ran} ran")) }
  })
  .await?;
  cluster.kill9_server(0)?;
  cluster.restart_server(0).await?;
  std::fs::write(&gate, "")?;
  let (code, shown, told) = done(&cluster, &["backfill", "wait", &id, "-o", "json"]).await?;
  ensure!(code == 0, "{shown}{told}");
  let row: Value = serde_json::from_str(&shown)?;
  assert_eq!((&row["state"], &row["succeeded"]), (&json!("succeeded"), &json!(31)));
  let mut wanted = BTreeMap::new();
  for day in 1..=31 {
    // The clocks go forward on the 29th.
    let hour = if day < 29 { 11 } else { 10 };
    let line = format!("2026-03-{day:02}T{hour}:00:00Z Europe/Berlin backfill true t1");
    wanted.insert(line, 1);
  }
  assert_eq!(lines(&log), wanted);
  // All of it has run: there is nothing left, and that is an error.
  let (code, _, told) = done(&cluster, &[&range[..], &["--yes"]].concat()).await?;
  ensure!(code == 8 && told.contains("all of 31 instants have run"), "{code} {told}");
  cluster.finish()
}

async fn exit_codes_tell_how_it_went(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).start().await?;
  let good = cluster.dir().join("good");
  let script =
    format!("case $HETUFLOW_SCHEDULED_AT in *-02T*) [ -e '{}' ] || exit 3;; esac", good.display());
  noon(&cluster, &script).await?;
  let range = ["job", "backfill", "noon", "--from", "2026-02-01", "--to", "2026-02-03T12:00"];
  let wait = ["--order", "backward", "--yes", "--wait"];
  let (code, shown, told) = done(&cluster, &[&range[..], &wait].concat()).await?;
  ensure!(code == 12 && told.contains("1 of 3 tasks did not succeed"), "{code} {shown} {told}");
  // What has failed, once more.
  std::fs::write(&good, "")?;
  let (code, _, told) =
    done(&cluster, &[&range[..], &wait, &["--only", "failed"]].concat()).await?;
  ensure!(code == 0 && told.contains("1 instant of noon whose last run has failed"), "{told}");
  let (code, shown, _) = done(&cluster, &["backfill", "list", "--schedule", "noon"]).await?;
  ensure!(code == 0 && shown.contains("succeeded") && shown.contains("failed"), "{shown}");
  let (code, _, told) = done(&cluster, &["backfill", "get", "nothing0"]).await?;
  ensure!(code == 4 || code == 3 || code == 5, "{code} {told}");

  // A range of nothing.
  let none = ["schedule", "backfill", "noon", "--from", "2026-02-01", "--to", "2026-02-01T11:59"];
  let (code, _, told) = done(&cluster, &none).await?;
  ensure!(code == 8 && told.contains("has no instant from"), "{code} {told}");

  // Held and ended by hand.
  let job = json!({ "name": "slow", "config": { "command": "exec sleep 1234567" },
    "schedules": [{ "cron": "@daily" }] });
  cluster.api().post_ok("/jobs", &job).await?;
  let slow = ["schedule", "backfill", "slow", "--from", "2026-02-01", "--to", "2026-02-09"];
  let begin = [&slow[..], &["--parallelism", "3", "--yes", "-o", "json"]].concat();
  let id = text(&serde_json::from_str(&done(&cluster, &begin).await?.1)?, "id")?;
  let api = cluster.api();
  let running = || async {
    let rows = all(&api, "/tasks?status=running").await.map_err(|error| format!("{error:#}"))?;
    if rows.len() == 3 { Ok(()) } else { Err(format!("{rows:?}")) }
  };
  wait::until_ok("three that run", LIMIT, running).await?;
  ensure!(done(&cluster, &["backfill", "pause", &id]).await?.0 == 0);
  let (code, _, told) = done(&cluster, &["backfill", "cancel", &id, "--reason", "no"]).await?;
  ensure!(code == 0, "{told}");
  let (code, _, told) = done(&cluster, &["backfill", "wait", &id]).await?;
  ensure!(code == 12 && told.contains("cancelled by"), "{code} {told}");
  let rows = all(&api, "/tasks?status=cancelled").await?;
  ensure!(rows.len() == 3, "{rows:?}");
  cluster.finish()
}
