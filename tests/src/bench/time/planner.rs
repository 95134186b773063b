//! The planner under load: 100,000 schedules, 1,000 instants a second, a restart, one instant that
//! 5,000 schedules share, claims over a long history, a simulated week.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hetuflow_core::{JobForCreate, JobId, OverlapPolicy, ScheduleForCreate, Seconds, TaskConfig};
use serde_json::json;

use crate::bench::args::Options;
use crate::bench::held::claims;
use crate::bench::report::{Bar, Report};
use crate::bench::rig::{Rig, Setup};
use crate::bench::store::Store;
use crate::bench::target::Target;

/// Schedules that are there.
const SCHEDULES: usize = 100_000;
/// Instants that come due each second, while that is measured.
const PER_SECOND: usize = 1000;
/// Schedules that fire at one instant.
const AT_ONCE: usize = 5000;
/// Schedules of the simulated week.
const SIMULATED: usize = 1000;
const AGENTS: usize = 4;
/// Finished tasks at most, unless named otherwise; ten times as many need 6 GB.
const HISTORY: usize = 1_000_000;
/// Finished tasks made by one statement.
const FILL: i64 = 500_000;
/// Longest wait for anything.
const LIMIT: Duration = Duration::from_secs(120);

/// Measures on PostgreSQL; rows are made by its own statements.
///
/// # Errors
/// When something does not start or answer.
pub async fn run(options: &Options, target: &Target, report: &mut Report) -> Result<()> {
  if !target.is_postgres() {
    report.note("the planner is measured on PostgreSQL alone: --db postgres");
    return Ok(());
  }
  let setup = Setup {
    agents: AGENTS,
    slots: 500,
    agent_settings: "[agent.process]\nnoop = true\n[agent.polling]\nqueue_depth_max = 4000\n",
  };
  let mut rig = Rig::start(target, setup).await?;
  let seconds = options.seconds.unwrap_or(20);
  simulated_week(&rig, report).await?;
  let busy = seed(&rig, "busy", true).await?;
  let due = PER_SECOND * 60;
  copies(
    rig.store(),
    ("busy", due),
    &format!("now() + interval '75 s' + n % {due} * interval '1 ms'"),
  )
  .await?;
  copies(rig.store(), ("busy", SCHEDULES - due), "now() + interval '30 days'").await?;
  rig.store().execute("analyze").await?;
  steady(&mut rig, (busy, seconds), report).await?;
  restart(&mut rig, report).await?;
  rig.store().execute("delete from sched_schedule where name like 'busy-%'").await?;
  rig.store().execute("delete from sched_task_hot").await?;
  at_once(&mut rig, report).await?;
  history(&mut rig, options.tasks.unwrap_or(HISTORY), report).await?;
  rig.finish(report);
  Ok(())
}

/// A job with one schedule that the others are copies of; with `nobody` no agent may run it.
async fn seed(rig: &Rig, name: &str, nobody: bool) -> Result<JobId> {
  let mut config = TaskConfig { command: Some("true".to_owned()), ..TaskConfig::default() };
  if nobody {
    config = serde_json::from_value(json!({ "command": "true", "selector": { "none": "here" } }))?;
  }
  let schedule = ScheduleForCreate {
    interval_secs: Some(Seconds(Duration::from_secs(60))),
    start_time: Some(hetuflow_core::Ts::now().plus(Duration::from_secs(40 * 86_400))),
    overlap_policy: Some(OverlapPolicy::AllowAll),
    ..ScheduleForCreate::default()
  };
  let schedules = vec![schedule];
  let name = name.to_owned();
  rig.create_job(&JobForCreate { name, config, schedules, ..JobForCreate::default() }).await
}

/// Copies of a schedule; the `n`-th has its first instant there. Its number is part of its id, or all
/// would be made once.
async fn copies(store: &mut Store, (name, count): (&str, usize), first: &str) -> Result<()> {
  let sql = format!(
    "insert into sched_schedule select r.* from sched_schedule s, generate_series(1, {count}) n, \
       lateral (select {first} as at) f, \
       lateral jsonb_populate_record(s, jsonb_build_object(\
         'id', md5(n || gen_random_uuid()::text)::uuid, 'name', '{name}-' || gen_random_uuid(), 'anchor_at', f.at, 'next_run_at', f.at, \
         'start_time', null)) r \
     where s.name = '{name}'"
  );
  store.execute(&sql).await
}

/// What is planned while so many instants come due each second.
async fn steady(rig: &mut Rig, (job, seconds): (JobId, u64), report: &mut Report) -> Result<()> {
  let planned = "select count(*) from sched_fire where decision = 'fired'";
  wait_until(rig.store(), planned, 5 * PER_SECOND as i64).await?;
  let (cpu, before) = (rig.cpu_us()?, rig.store().number(planned).await?);
  let began = Instant::now();
  tokio::time::sleep(Duration::from_secs(seconds)).await;
  let took = began.elapsed().as_secs_f64();
  let fires = rig.store().number(planned).await? - before;
  let now = rig.cpu_us()?;
  report.note(format!("{SCHEDULES} schedules, {PER_SECOND} instants due per second, {took:.0} s"));
  let wanted = PER_SECOND as f64;
  report.barred("planned", fires as f64 / took, "fires/s", Bar::AtLeast(wanted * 0.95), None);
  for ((owner, before), (_, after)) in cpu.iter().zip(now) {
    let share = 100.0 * (after - before) as f64 / (took * 1e6);
    if *owner == "server" {
      report.barred("planning, CPU of server", share, "% of a core", Bar::AtMost(50.0), None);
    } else if *owner == "database" {
      report.cost("planning, CPU of database", share, "% of a core");
    }
  }
  let tasks = format!("select count(*) from sched_task where job_id = {}", rig.store().id(job.0));
  let (tasks, fires) = (rig.store().number(&tasks).await?, rig.store().number(planned).await?);
  if (tasks - fires).abs() > 2 * PER_SECOND as i64 {
    report.problem(format!("{fires} fires have {tasks} tasks"));
  }
  Ok(())
}

/// From the start of the server to its first fire.
async fn restart(rig: &mut Rig, report: &mut Report) -> Result<()> {
  rig.cluster().stop_server(0)?;
  let newest = "select count(*) from sched_fire";
  let before = rig.store().number(newest).await?;
  let began = Instant::now();
  let started = rig.cluster().restart_server(0);
  started.await?;
  wait_until(rig.store(), newest, before + 1).await?;
  let took = began.elapsed().as_secs_f64();
  report.barred("restart until the first fire", took, "s", Bar::AtMost(2.0), None);
  Ok(())
}

/// Many schedules that fire at the same instant, run by no-op agents.
async fn at_once(rig: &mut Rig, report: &mut Report) -> Result<()> {
  let job = seed(rig, "once", false).await?;
  let at = "date_trunc('second', now()) + interval '20 s'";
  copies(rig.store(), ("once", AT_ONCE), at).await?;
  let id = rig.store().id(job.0);
  let ended = format!("select count(*) from sched_task_instance where job_id = {id}");
  wait_until(rig.store(), &ended, AT_ONCE as i64).await?;
  let from = format!(
    "from sched_task_instance i join sched_task t on t.id = i.task_id where i.job_id = {id} \
      and i.attempt = 1 and i.started_at is not null"
  );
  let late = "extract(epoch from i.started_at - t.scheduled_at) * 1000000";
  let all = rig.store().number(&format!("select count(*) {from}")).await?;
  let last = rig.store().number(&format!("select max({late})::bigint {from}")).await?;
  let early = format!("{from} and i.dispatched_at < t.scheduled_at");
  let sent = rig.store().number(&format!("select count(*) {early}")).await?;
  let p99 = format!("select percentile_cont(0.99) within group (order by {late})::bigint {early}");
  let p99 = rig.store().number(&p99).await?;
  ensure!(all >= AT_ONCE as i64, "{all} of {AT_ONCE} have started");
  report.value("fires at one instant", all as f64, "tasks");
  let last = last as f64 / 1e6;
  report.barred("at one instant, the last start", last, "s", Bar::AtMost(10.0), None);
  report.value("handed out before the instant", sent as f64, "tasks");
  report.barred("of these, late p99", p99 as f64 / 1000.0, "ms", Bar::AtMost(30.0), None);
  rig.store().execute("delete from sched_schedule where name like 'once-%'").await
}

/// How long tasks wait for their claim with more and more of history.
async fn history(rig: &mut Rig, most: usize, report: &mut Report) -> Result<()> {
  let job = rig.create_true_job().await?;
  let id = rig.store().id(job.0);
  let mut first = None;
  let sizes = (3..=7).map(|power| 10_usize.pow(power));
  for rows in sizes.filter(|rows| *rows <= most) {
    fill(rig.store(), &id, rows).await?;
    let p99 = claim_p99(rig, job).await?;
    report.value(&format!("claim p99 with {rows} finished"), p99, "ms");
    let base = *first.get_or_insert(p99);
    if rows == most {
      let share = 100.0 * p99 / base;
      report.barred("the same, to that with 1000", share, "%", Bar::AtMost(120.0), None);
    }
  }
  report.note(format!("history: up to {most} finished tasks, made by SQL (--tasks)"));
  Ok(())
}

/// Makes finished tasks of a job until there are so many.
async fn fill(store: &mut Store, job: &str, rows: usize) -> Result<()> {
  let have = format!("select count(*) from sched_task where job_id = {job}");
  let mut missing = rows as i64 - store.number(&have).await?;
  while missing > 0 {
    let some = missing.min(FILL);
    let sql = format!(
      "with t as (insert into sched_task (id, job_id, job_version, namespace_id, priority, \
         scheduled_at, trigger_source, created_at) \
       select gen_random_uuid(), {job}, 1, 'default', 0, now() - n * interval '1 s', 'manual', now() \
         from generate_series(1, {some}) n returning id, scheduled_at) \
       insert into sched_task_instance (id, task_id, job_id, namespace_id, attempt, fence, agent_id, \
         status, task_status, dispatched_at, started_at, completed_at, exit_code) \
       select gen_random_uuid(), id, {job}, 'default', 1, 1, 'agent-0', 'succeeded', 'succeeded', \
         scheduled_at, scheduled_at, scheduled_at, 0 from t"
    );
    store.execute(&sql).await?;
    missing -= some;
  }
  store.execute("analyze sched_task, sched_task_instance").await
}

/// The 99th part of a hundred of the time from a task's insert to its claim: the middle of three.
async fn claim_p99(rig: &Rig, job: JobId) -> Result<f64> {
  let mut found = Vec::new();
  for _ in 0..3 {
    found.push(claims(rig, job).await?.p99());
  }
  found.sort_by(f64::total_cmp);
  Ok(found[1])
}

/// A week of many schedules in virtual time, asked of the server.
async fn simulated_week(rig: &Rig, report: &mut Report) -> Result<()> {
  let jobs: Vec<_> = (0..SIMULATED)
    .map(|n| {
      let cron = match n % 10 {
        0 => format!("*/{} * * * *", 5 + n % 3 * 5),
        1..=5 => format!("{} * * * *", n % 60),
        _ => format!("{} {} * * *", n % 60, n % 24),
      };
      json!({ "name": format!("sim-{n}"), "config": { "command": "true" },
        "schedules": [{ "cron": cron, "timezone": "Europe/Berlin" }] })
    })
    .collect();
  let body = json!({ "jobs": jobs, "slots": 100 });
  let (mut best, mut fires) = (f64::MAX, 0);
  rig.api().post_ok("/jobs/apply", &json!({ "jobs": body["jobs"] })).await?;
  for _ in 0..3 {
    let began = Instant::now();
    let answer = rig.api().post_ok("/simulate", &json!({ "slots": 100 })).await?;
    best = best.min(began.elapsed().as_secs_f64());
    fires = answer["fires"].as_i64().context("fires")?;
  }
  report.barred("a simulated week of 1,000 schedules", best, "s", Bar::AtMost(1.0), None);
  report.value("its fires", fires as f64, "fires");
  rig.api().post_ok("/jobs/apply", &json!({ "jobs": [] })).await?;
  Ok(())
}

/// Waits until a count is reached.
async fn wait_until(store: &mut Store, sql: &str, wanted: i64) -> Result<()> {
  let began = Instant::now();
  loop {
    let found = store.number(sql).await?;
    if found >= wanted {
      return Ok(());
    }
    ensure!(began.elapsed() < LIMIT, "{found} of {wanted}: {sql}");
    tokio::time::sleep(Duration::from_millis(20)).await;
  }
}
