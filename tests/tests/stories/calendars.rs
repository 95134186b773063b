//! Holidays as somebody at a terminal keeps them: a calendar, schedules that name it, and what is said
//! about the instants that it leaves out.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hetuflow_core::Ts;
use hetuflow_tests::api::Api;
use hetuflow_tests::cluster::{Cluster, Engine};
use hetuflow_tests::wait;
use serde_json::Value;

use crate::support::{LIMIT, ctl, well};

both_engines!(a_calendar_is_named_changed_and_kept);

const MANIFEST: &str = "apiVersion: hetuflow/v1\nkind: Job\nmetadata: { name: tick }\nspec:\n  \
  config: { command: 'true' }\n  schedules:\n  - { name: tick, interval_secs: 1, overlap: allow_all, \
  exclude: [closed, 02-30..02-30] }\n";

async fn fires(api: &Api) -> Result<Vec<Value>> {
  let page = api.get_ok("/schedules/tick/fires?limit=100").await?;
  Ok(page["data"].as_array().context("fires")?.clone())
}

/// The newest row, when it is as it should be.
async fn newest(api: &Api, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
  wait::until_ok(what, LIMIT, || async {
    let fires = fires(api).await.map_err(|error| format!("{error:#}"))?;
    fires.first().filter(|fire| wanted(fire)).cloned().ok_or_else(|| format!("{fires:?}"))
  })
  .await
}

async fn a_calendar_is_named_changed_and_kept(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).start().await?;
  let api = cluster.api();
  let dir = tempfile::tempdir()?;
  let file = dir.path().join("tick.yaml");
  let path = file.to_str().context("a path")?;
  let manifest = MANIFEST.replace(", 02-30..02-30", "");
  std::fs::write(&file, MANIFEST)?;
  let told = ctl(&cluster, &["apply", "-f", path, "--yes"]).await?;
  let (exit, told) = (told.exit, told.all());
  ensure!(exit == 8 && told.contains("no such day"), "{exit}: {told}");
  std::fs::write(&file, &manifest)?;
  let told = ctl(&cluster, &["apply", "-f", path, "--yes"]).await?;
  let (exit, told) = (told.exit, told.all());
  ensure!(exit != 0 && told.contains("there is no calendar closed"), "{exit}: {told}");

  // Closed from a little later on, for an hour.
  let from = Ts::now().plus(Duration::from_secs(4));
  let rule = format!("{from}..{}", from.plus(Duration::from_secs(3600)));
  well(&cluster, &["calendar", "set", "closed", "--rule", &rule]).await?;
  well(&cluster, &["apply", "-f", path, "--yes"]).await?;
  let told = well(&cluster, &["diff", "-f", path]).await?;
  ensure!(!told.contains("exclude"), "{told}");
  let closed = newest(&api, "a stretch", |fire| {
    fire["decision"] == "skipped_window" && fire["count"].as_i64().unwrap_or(0) >= 3
  })
  .await?;
  ensure!(closed["reason"] == "left out by calendar closed", "{closed}");
  let rows = fires(&api).await?;
  let skipped = rows.iter().filter(|fire| fire["decision"] == "skipped_window").count();
  ensure!(skipped == 1, "one row for all of it: {rows:?}");

  let row = api.get_ok("/schedules/tick").await?;
  let next: Ts = serde_json::from_value(row["next_fire_at"].clone())?;
  ensure!(next >= from.plus(Duration::from_secs(3600)), "behind what is left out: {row}");
  let told = well(&cluster, &["schedule", "next", "tick", "--count", "1"]).await?;
  ensure!(told.contains("left out by calendar closed: "), "{told}");
  ensure!(told.lines().filter(|line| line.starts_with("  ")).count() == 1, "{told}");
  let told = well(&cluster, &["schedule", "why", "tick"]).await?;
  ensure!(told.contains("x calendar   left out by calendar closed, until "), "{told}");
  let told = ctl(&cluster, &["calendar", "delete", "closed", "--yes"]).await?;
  let (exit, told) = (told.exit, told.all());
  ensure!(exit != 0 && told.contains("it is named by tick"), "{exit}: {told}");
  let lift = ["calendar", "set", "closed", "--rule", "2001-01-01", "--dry-run"];
  let told = well(&cluster, &lift).await?;
  ensure!(told.contains("~ tick") && told.contains("added"), "{told}");
  ensure!(fires(&api).await?.iter().all(|fire| fire["decision"] != "fired" || older(fire, from)));

  // Lifted: it fires from now on, and nothing for what lies behind.
  well(&cluster, &lift[..lift.len() - 1]).await?;
  newest(&api, "a fire", |fire| fire["decision"] == "fired" && !older(fire, from)).await?;
  let rows = fires(&api).await?;
  let skipped: Vec<&Value> =
    rows.iter().filter(|fire| fire["decision"] == "skipped_window").collect();
  ensure!(skipped.len() == 1, "{rows:?}");
  well(&cluster, &["schedule", "set", "tick", "--no-exclude"]).await?;
  well(&cluster, &["calendar", "delete", "closed", "--yes"]).await?;
  cluster.finish()
}

fn older(fire: &Value, than: Ts) -> bool {
  let at = fire["fire_at"].as_str().and_then(|at| at.parse::<Ts>().ok());
  at.is_some_and(|at| at < than)
}
