//! What a task is told of itself: the contract of its environment.

use anyhow::{Result, ensure};
use hetuflow_tests::cluster::{Cluster, Engine};
use hetuflow_tests::wait;
use serde_json::json;

use crate::support::{LIMIT, all, instant, output, submit, text, wait_status};

both_engines!(a_task_knows_the_last_success_of_its_job, all_attempts_of_a_task_are_one_trace);

/// Nothing is handed out early, so that each task knows how the one before it has ended.
const LATE: &str = "[scheduler]\nearly_dispatch = '0s'";

async fn a_task_knows_the_last_success_of_its_job(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).server_settings(LATE).start().await?;
  let api = cluster.api();
  let config = json!({ "command": "echo \"$HETUFLOW_PREV_SUCCESS_AT\"; \
    test -z \"$HETUFLOW_PREV_SUCCESS_AT\" || exit 3" });
  let schedule = json!({ "name": "each-second", "cron_expression": "* * * * * *" });
  api
    .post_ok("/jobs", &json!({ "name": "load", "config": config, "schedules": [schedule] }))
    .await?;
  // The first one succeeds; all that follow it know of that, and fail.
  let tasks = wait::until("three that have failed", LIMIT, || async {
    let tasks = all(&api, "/tasks?job=load").await.ok()?;
    let count = |status: &str| tasks.iter().filter(|task| task["status"] == status).count();
    (count("failed") >= 3 && count("succeeded") >= 1).then_some(tasks)
  })
  .await?;
  let ended =
    |status: &str| tasks.iter().filter(|task| task["status"] == status).collect::<Vec<_>>();
  let mut last = None;
  for task in ended("succeeded") {
    last = last.max(Some(instant(task, "scheduled_at")?));
  }
  for task in ended("failed") {
    let told = String::from_utf8(output(&api, &text(task, "id")?, "").await?)?;
    ensure!(Some(told.trim().parse()?) <= last && task["exit_code"] == 3, "{told} {task}");
  }
  cluster.finish()
}

async fn all_attempts_of_a_task_are_one_trace(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).start().await?;
  let api = cluster.api();
  let config = json!({ "command": "echo $TRACEPARENT ${HETUFLOW_BACKFILL-none}; test $HETUFLOW_ATTEMPT = 2",
    "max_retries": 1, "retry_interval": 0 });
  let id = submit(&api, &json!({ "config": config })).await?;
  wait_status(&api, &id, &["succeeded"]).await?;
  let told = String::from_utf8(output(&api, &id, "").await?)?;
  let parts: Vec<&str> = told.trim().split(['-', ' ']).collect();
  ensure!(parts.len() == 5 && parts[0] == "00" && parts[3] == "01", "{told}");
  assert_eq!((parts[1], parts[4]), (id.replace('-', "").as_str(), "none"));
  ensure!(parts[2].len() == 16 && parts[2] != "0000000000000000", "{told}");
  cluster.finish()
}
