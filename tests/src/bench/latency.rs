//! From just before the request that submits a task to the first instruction of its process.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hetuflow_core::{JobId, TaskForCreate};

use super::args::Options;
use super::payload::now_ns;
use super::report::{Bar, Report};
use super::rig::{Rig, Setup};
use super::sample::Sample;
use super::target::Target;
use super::{baselines, stamps};

/// Tasks before the measured ones.
const WARM_UP: usize = 10;

/// Rest between two tasks, so that each one meets an idle agent.
const REST: Duration = Duration::from_millis(20);

/// Measures the way from submit to start.
///
/// # Errors
/// When something does not start or answer.
pub async fn run(options: &Options, target: &Target, report: &mut Report) -> Result<()> {
  let commits = baselines::commits(target, report).await?;
  baselines::stamps(report)?;
  let setup = Setup { agents: options.agents.unwrap_or(1), slots: 4, agent_settings: "" };
  let mut rig = Rig::start(target, setup).await?;
  let file = rig.cluster().dir().join("stamps");
  let job = rig.create_job(&stamps::job("stamp", &file)?).await?;

  for _ in 0..WARM_UP {
    submit(&rig, job).await?;
  }
  let tasks = options.tasks.unwrap_or(200);
  let (mut sent, mut answers) = (HashMap::new(), Vec::new());
  for _ in 0..tasks {
    tokio::time::sleep(REST).await;
    let submitted = submit(&rig, job).await?;
    answers.push(submitted.answer_ms);
    sent.insert(submitted.id, submitted.sent_ns);
  }

  let mut starts: HashMap<String, Vec<i128>> = HashMap::new();
  for stamp in stamps::read(&file)? {
    starts.entry(stamp.task_id).or_default().push(stamp.at_ns);
  }
  let mut times = Vec::new();
  for (id, sent_ns) in sent {
    match starts.get(&id).map(Vec::as_slice) {
      Some([at_ns]) => times.push((at_ns - sent_ns) as f64 / 1e6),
      Some(several) => report.problem(format!("task {id} started {} times", several.len())),
      None => report.problem(format!("task {id} ended and never started")),
    }
  }
  show(&Sample::new(times), &commits, &Sample::new(answers), report);
  report.note(format!("{tasks} tasks, one at a time, {REST:?} of rest before each"));
  rig.check(job, tasks + WARM_UP, report).await?;
  rig.finish(report);
  Ok(())
}

/// Fills the report.
fn show(times: &Sample, commits: &Sample, answers: &Sample, report: &mut Report) {
  let p50 = Bar::AtMost(3.0 + 2.0 * commits.p50());
  let p99 = Bar::AtMost(10.0 + 2.0 * commits.p99());
  report.barred("submit to process start, p50", times.p50(), "ms", p50, Some(Bar::AtMost(2.0)));
  report.barred("submit to process start, p99", times.p99(), "ms", p99, Some(Bar::AtMost(6.0)));
  report.value("submit to process start, min", times.min(), "ms");
  report.value("submit to process start, max", times.max(), "ms");
  report.value("submit to answer (201), p50", answers.p50(), "ms");
  report.value("submit to answer (201), p99", answers.p99(), "ms");
}

/// One task that has run to its end.
struct Submitted {
  id: String,
  sent_ns: i128,
  answer_ms: f64,
}

/// Submits one task and waits for its end.
async fn submit(rig: &Rig, job: JobId) -> Result<Submitted> {
  let task = TaskForCreate { job_id: Some(job), ..TaskForCreate::default() };
  let body = serde_json::to_value(task)?;
  let (sent_ns, sent) = (now_ns(), Instant::now());
  let made = rig.api().post_ok("/tasks", &body).await?;
  let answer_ms = sent.elapsed().as_secs_f64() * 1e3;
  let id = made["id"].as_str().with_context(|| format!("a task without id: {made}"))?.to_owned();
  let task = rig.api().get_ok(&format!("/tasks/{id}?wait_secs=60")).await?;
  let status = task["status"].as_str();
  anyhow::ensure!(status == Some("succeeded"), "task {id} after a minute: {task}");
  Ok(Submitted { id, sent_ns, answer_ms })
}
