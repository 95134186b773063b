//! Real processes: `/bin/true` with captured output and a stored exit code, two at a time.

use std::time::Instant;

use anyhow::Result;

use super::args::Options;
use super::baselines;
use super::report::{Bar, Report};
use super::rig::{Rig, Setup};
use super::target::Target;

/// Measures processes per second, from the first start to the last end.
///
/// # Errors
/// When something does not start, answer or move.
pub async fn run(options: &Options, target: &Target, report: &mut Report) -> Result<()> {
  let bare = baselines::spawns(report)?;
  let tasks = options.tasks.unwrap_or(3000);
  let setup = Setup { agents: 1, slots: 2, agent_settings: "" };
  let mut rig = Rig::start(target, setup).await?;
  let job = rig.create_true_job().await?;
  // Everything is queued before the agent comes back, so that submitting takes none of its time.
  rig.cluster().stop_agent(0)?;
  rig.submit(job, tasks).await?;
  let started = Instant::now();
  rig.cluster().restart_agent(0)?;
  let cpu = rig.cpu_us()?;
  rig.wait_final(tasks, started).await?;
  let wall = started.elapsed().as_secs_f64();
  rig.report_cpu(&cpu, (tasks, "µs/task"), report)?;

  let span = span(&mut rig).await?;
  let rate = tasks as f64 / span;
  let share = 100.0 * rate / bare.two_at_a_time;
  report.value("processes", rate, "/s");
  let (bar, goal) = (Bar::AtLeast(50.0), Some(Bar::AtLeast(90.0)));
  report.barred("share of the bare loop, two at a time", share, "%", bar, goal);
  report.value("share of the bare loop, one thread", 100.0 * rate / bare.sequential, "%");
  report.value("first start to last end", span, "s");
  report.value("agent started to all final in the database", wall, "s");
  report.note(format!("{tasks} tasks, one agent, max_concurrent_tasks 2"));
  rig.check(job, tasks, report).await?;
  rig.finish(report);
  Ok(())
}

/// Seconds from the first start to the last end, as stored.
async fn span(rig: &mut Rig) -> Result<f64> {
  let first = rig.store().micros("min(started_at)");
  let last = rig.store().micros("max(completed_at)");
  let sql = format!("select {last} - {first} from sched_task_instance");
  Ok(rig.store().number(&sql).await? as f64 / 1e6)
}
