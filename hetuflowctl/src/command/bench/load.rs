//! The load: a job of its own, many tasks, schedules that fire, a task that writes a lot.

use std::time::{Duration, Instant};

use hetuflow_core::{BULK_MAX, BulkResponse, JobEntity, Page, TaskEntity, TaskStatus};
use serde_json::{Value, json};

use super::report::{Figure, spread};
use crate::client::{Call, Client, CtlError, Exit, path_of};
use crate::command::object::list::everything;

/// Between two looks at what is left.
const LOOK: Duration = Duration::from_millis(100);
/// A part that takes longer has failed.
const PART_MAX: Duration = Duration::from_secs(600);
const MIB: f64 = 1_048_576.0;

/// A job that all load belongs to.
pub struct Bench<'a> {
  client: &'a Client,
  job: JobEntity,
}

impl<'a> Bench<'a> {
  /// Makes the job.
  ///
  /// # Errors
  /// What the server says.
  pub async fn begin(client: &'a Client) -> Result<Self, CtlError> {
    let id = uuid::Uuid::now_v7();
    let name = format!("bench-{}", hetuflow_core::short_id(&id));
    let job = json!({
      "namespace_id": client.place.namespace, "name": name, "description": "made by bench run",
      "config": { "command": "true" },
    });
    let job = client.fetch(Call::post("/jobs").json(&job)).await?;
    Ok(Self { client, job })
  }

  /// Deletes the job, with its schedules and whatever of it still waits.
  ///
  /// # Errors
  /// What the server says.
  pub async fn end(&self) -> Result<(), CtlError> {
    self.client.send(Call::delete(path_of(&["jobs", &self.job.id.to_string()]))).await
  }

  /// Many tasks that end at once.
  ///
  /// # Errors
  /// What the server says; when they do not all succeed in time.
  pub async fn tasks(&self, count: u32) -> Result<Vec<Figure>, CtlError> {
    let begin = Instant::now();
    let mut left = count as usize;
    while left > 0 {
      let part = left.min(BULK_MAX);
      let items = vec![json!({ "job_id": self.job.id }); part];
      let call = Call::post("/tasks/bulk").json(&json!({ "items": items }));
      let answer: BulkResponse = self.client.fetch(call).await?;
      if answer.failed > 0 {
        return Err(CtlError::failure(format!("{} tasks were refused", answer.failed)));
      }
      left -= part;
    }
    let taken = begin.elapsed().as_secs_f64();
    let tasks = self.ended(count as usize).await?;
    let took = span(&tasks).as_secs_f64().max(0.001);
    let mut figures = vec![
      Figure::new("tasks taken in", f64::from(count) / taken, "per s"),
      Figure::new("tasks run to their end", f64::from(count) / took, "per s"),
    ];
    figures.extend(spread("task taken in to started", delays(&tasks, |task| task.created_at)));
    Ok(figures)
  }

  /// Schedules that fire every second.
  ///
  /// # Errors
  /// What the server says; when a fire does not come.
  pub async fn fires(&self, schedules: u32, fires: u32) -> Result<Vec<Figure>, CtlError> {
    let before = self.all().await?.len();
    for number in 0..schedules {
      let schedule = json!({
        "job_id": self.job.id, "name": format!("{}-{number}", self.job.name),
        "schedule_kind": "interval", "interval_secs": 1, "max_count": fires,
        "overlap_policy": "allow",
      });
      self.client.send(Call::post("/schedules").json(&schedule)).await?;
    }
    let tasks = self.ended(before + (schedules * fires) as usize).await?;
    let fired: Vec<TaskEntity> =
      tasks.into_iter().filter(|task| task.schedule_id.is_some()).collect();
    let count = Figure::new("fires", fired.len() as f64, "in all");
    let late = spread("fire due to started", delays(&fired, |task| task.scheduled_at));
    Ok([count].into_iter().chain(late).collect())
  }

  /// One task that writes so many MiB, which are read back.
  ///
  /// # Errors
  /// What the server says; when bytes are missing.
  pub async fn output(&self, mib: u32) -> Result<Vec<Figure>, CtlError> {
    let script = format!("yes 0123456789abcdef0123456789abcdef | head -c {mib}M");
    let order = json!({ "job_id": self.job.id, "config": { "cmd": "bash", "script": script } });
    let task: TaskEntity = self.client.fetch(Call::post("/tasks").json(&order)).await?;
    let end = Instant::now() + PART_MAX;
    let task = loop {
      let call = Call::get(path_of(&["tasks", &task.id.to_string()]));
      let task: TaskEntity = self.client.fetch(call).await?;
      if task.status.is_final() {
        break task;
      }
      wait(end).await?;
    };
    let Some(instance) = task.instance_id.filter(|_| task.status == TaskStatus::Succeeded) else {
      return Err(bad_end(&task));
    };
    let written = task.completed_at.zip(task.started_at).map(|(end, begin)| end.since(begin));
    let begin = Instant::now();
    let path = path_of(&["task-instances", &instance.to_string(), "logs"]);
    let mut response = self.client.open(Call::get(path).stream("application/octet-stream")).await?;
    let mut bytes = 0_u64;
    while let Some(chunk) =
      response.chunk().await.map_err(|error| CtlError::failure(error.to_string()))?
    {
      bytes += chunk.len() as u64;
    }
    if bytes != u64::from(mib) << 20 {
      return Err(CtlError::failure(format!("{bytes} bytes came back of {mib} MiB")));
    }
    let rate = |took: Duration| f64::from(mib) / took.as_secs_f64().max(0.001);
    let mut figures = vec![Figure::new("output read back", rate(begin.elapsed()), "MiB/s")];
    figures.extend(written.map(|took| Figure::new("output written", rate(took), "MiB/s")));
    figures.push(Figure::new("output, all bytes there", bytes as f64 / MIB, "MiB"));
    Ok(figures)
  }

  /// Waits until there are so many tasks, all ended well.
  async fn ended(&self, count: usize) -> Result<Vec<TaskEntity>, CtlError> {
    let end = Instant::now() + PART_MAX;
    loop {
      let open = "pending,blocked,locked,dispatched,waiting_retry,running,paused,cancelling";
      let call =
        Call::get("/tasks").query("job_id", self.job.id).query("status", open).query("limit", 1);
      let left: Page<Value> = self.client.fetch(call).await?;
      if left.data.is_empty() {
        let all = self.all().await?;
        if let Some(task) = all.iter().find(|task| task.status != TaskStatus::Succeeded) {
          return Err(bad_end(task));
        }
        if all.len() >= count {
          return Ok(all);
        }
      }
      wait(end).await?;
    }
  }

  async fn all(&self) -> Result<Vec<TaskEntity>, CtlError> {
    everything(self.client, Call::get("/tasks").query("job_id", self.job.id)).await
  }
}

async fn wait(end: Instant) -> Result<(), CtlError> {
  if Instant::now() >= end {
    let error = CtlError::new(Exit::Timeout, "the load was not done within 10 min");
    return Err(error.help("hetuflowctl doctor"));
  }
  tokio::time::sleep(LOOK).await;
  Ok(())
}

fn bad_end(task: &TaskEntity) -> CtlError {
  let reason = task.reason.as_deref().unwrap_or("no reason given");
  CtlError::failure(format!("task {} ended as {}: {reason}", task.id.short(), task.status))
    .help(format!("hetuflowctl logs {}", task.id.short()))
}

fn span(tasks: &[TaskEntity]) -> Duration {
  let first = tasks.iter().map(|task| task.created_at).min();
  let last = tasks.iter().filter_map(|task| task.completed_at).max();
  last.zip(first).map_or(Duration::ZERO, |(last, first)| last.since(first))
}

fn delays(tasks: &[TaskEntity], from: impl Fn(&TaskEntity) -> hetuflow_core::Ts) -> Vec<Duration> {
  tasks.iter().filter_map(|task| Some(task.started_at?.since(from(task)))).collect()
}
