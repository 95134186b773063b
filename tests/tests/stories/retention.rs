//! Old rows go while work goes on.

use anyhow::{Context, Result, ensure};
use hetuflow_tests::cluster::{Cluster, Engine};
use hetuflow_tests::truth::{Moment, TruthLog};
use hetuflow_tests::wait;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::support::{LIMIT, all, instant, sql, submit, wait_status};

both_engines!(old_rows_go_while_schedules_fire);

/// D10: two hundred thousand old rows go while a schedule fires each second.
async fn old_rows_go_while_schedules_fire(engine: Engine) -> Result<()> {
  let settings = "[retention]\nevents_ttl = '10s'\n[scheduler]\nplan_ahead = '2s'\n\
     early_dispatch = '1s'";
  let cluster = Cluster::builder().engine(engine).server_settings(settings).start().await?;
  let (api, truth) = (cluster.api(), TruthLog::new(cluster.dir().join("truth.log")));
  // Numbers before those of the journal, of a time long ago.
  let rows = match engine {
    Engine::Sqlite => {
      "with recursive n(i) as (select 1 union all select i + 1 from n where i < 200000) \
       insert into sched_event_batch (seq, n, namespace_id, at, data) \
       select -i, 1, 'default', 1000000 + i, randomblob(200) from n"
    }
    Engine::Postgres => {
      "insert into sched_event_batch (seq, n, namespace_id, at, data) \
       select -i, 1, 'default', timestamptz 'epoch' + i * interval '1 second', \
       decode(repeat(md5(i::text), 12), 'hex') from generate_series(1, 200000) i"
    }
  };
  assert_eq!(sql(&cluster, rows).await?, 200_000);
  // Only now: while they come, one statement of this story has the whole of a SQLite store.
  let schedule = json!({ "name": "each-second", "cron_expression": "* * * * * *",
    "overlap_policy": "allow_all", "misfire_policy": "fire_all", "catchup_max": 100 });
  let job = json!({ "name": "each-second", "config": { "script": truth.payload("true") },
    "schedules": [schedule] });
  api.post_ok("/jobs", &job).await?;
  wait::until_ok("the old rows to be gone", LIMIT, || async {
    // How many there are is not asked: that would be work for everybody.
    let first = "update sched_event_batch set n = n \
      where seq = (select min(seq) from sched_event_batch) and seq < 0";
    match sql(&cluster, first).await {
      Ok(0) => Ok(()),
      Ok(_) => Err("some are left".to_owned()),
      Err(error) => Err(format!("{error:#}")),
    }
  })
  .await?;
  let ends = truth.ends()?.len();
  wait::until_ok("more fires", LIMIT, || async {
    let now = truth.ends().map(|ends| ends.len()).unwrap_or_default();
    if now >= ends + 3 { Ok(()) } else { Err(now.to_string()) }
  })
  .await?;
  // Each second has its row, none was missed and each has run.
  api.post_ok("/schedules/each-second/disable", &json!({})).await?;
  let fires = all(&api, "/schedules/each-second/fires").await?;
  ensure!(fires.iter().all(|fire| fire["decision"] != "skipped_misfire"), "{fires:?}");
  assert_eq!(truth.started_twice()?, []);
  for start in truth.read()?.iter().filter(|one| one.moment == Moment::Start) {
    let fire = fires.iter().find(|fire| fire["task_id"] == start.task_id.as_str());
    let fire = fire.with_context(|| format!("{start:?} has no fire"))?;
    let at = Timestamp::from_nanosecond(i128::try_from(start.at_ns)?)?;
    let late = at.duration_since(instant(fire, "fire_at")?);
    // What one long statement would cost; the exact figure is for the bench.
    ensure!(late < SignedDuration::from_secs(5), "{late:?} late: {fire}");
  }
  let next = submit(&api, &json!({ "config": { "command": "echo next" } })).await?;
  wait_status(&api, &next, &["succeeded"]).await?;
  cluster.finish()
}
