//! Server and agents from the release folder, with one job on them.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use hetuflow_core::{
  BulkResponse, ExecuteCommand, JobForCreate, JobId, TaskBulkCreate, TaskConfig, TaskForCreate,
};
use reqwest::Method;

use super::report::Report;
use super::store::Store;
use super::target::{Fresh, Target};
use super::usage;
use crate::api::Api;
use crate::cluster::Cluster;

/// Most tasks in one bulk request.
const BULK: usize = hetuflow_core::BULK_MAX;

/// Connections that submit at the same time.
const SUBMITTERS: usize = 2;

/// Without any progress for so long a run has failed.
const STALL_LIMIT: Duration = Duration::from_secs(60);

/// The shortest and the longest pause between two looks at the database.
const LOOK_MIN: Duration = Duration::from_millis(10);
const LOOK_MAX: Duration = Duration::from_secs(1);

/// How a rig is set up.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
  /// How many agents.
  pub agents: usize,
  /// How many tasks each runs at a time.
  pub slots: u32,
  /// More settings of each agent, as TOML.
  pub agent_settings: &'static str,
}

/// A running system. Fields drop in order: processes first, then their database.
#[derive(Debug)]
pub struct Rig {
  cluster: Cluster,
  api: Api,
  store: Store,
  setup: Setup,
  postmaster: Option<u32>,
  _database: Option<Fresh>,
}

impl Rig {
  /// Starts everything and waits until all agents are ready.
  ///
  /// # Errors
  /// When a binary is missing or something does not start.
  pub async fn start(target: &Target, setup: Setup) -> Result<Self> {
    let mut builder = Cluster::builder().agents(setup.agents).slots(setup.slots);
    builder = builder.agent_settings(setup.agent_settings);
    let database = if target.is_postgres() { Some(target.fresh().await?) } else { None };
    if let Some(database) = &database {
      builder = builder.database_url(database.url());
    }
    let cluster = builder.start().await?;
    let mut store = Store::open(cluster.database_url()).await?;
    let mut postmaster = None;
    if target.is_postgres() {
      // A server elsewhere has no backend of this number and name here.
      let backend = store.number("select pg_backend_pid()::bigint").await?;
      postmaster = usage::parent_of(u32::try_from(backend)?, "postgres");
    }
    let api = cluster.api();
    Ok(Self { cluster, api, store, setup, postmaster, _database: database })
  }

  /// The cluster.
  pub fn cluster(&mut self) -> &mut Cluster {
    &mut self.cluster
  }

  /// The REST API.
  pub fn api(&self) -> &Api {
    &self.api
  }

  /// The database, from outside.
  pub fn store(&mut self) -> &mut Store {
    &mut self.store
  }

  /// Stops everything in order; what does not end well is a problem of the report.
  pub fn finish(self, report: &mut Report) {
    if let Err(error) = self.cluster.finish() {
      report.problem(format!("{error:#}"));
    }
  }

  /// Makes a job.
  ///
  /// # Errors
  /// When the server refuses.
  pub async fn create_job(&self, job: &JobForCreate) -> Result<JobId> {
    let made = self.api.post_ok("/jobs", &serde_json::to_value(job)?).await?;
    let id = made["id"].as_str().with_context(|| format!("a job without id: {made}"))?;
    Ok(id.parse()?)
  }

  /// Makes a job that runs `/bin/true`.
  ///
  /// # Errors
  /// When the server refuses.
  pub async fn create_true_job(&self) -> Result<JobId> {
    let config = TaskConfig {
      cmd: Some(ExecuteCommand::Exec),
      args: vec!["/bin/true".to_owned()],
      ..TaskConfig::default()
    };
    let job = JobForCreate { name: "true".to_owned(), config, ..JobForCreate::default() };
    self.create_job(&job).await
  }

  /// Submits so many tasks of a job in bulk, on two connections at the same time.
  ///
  /// # Errors
  /// When the server refuses one of them.
  pub async fn submit(&self, job: JobId, count: usize) -> Result<()> {
    let mut sizes: Vec<usize> = vec![BULK; count / BULK];
    sizes.extend(Some(count % BULK).filter(|rest| *rest > 0));
    let shares: Vec<Vec<usize>> = (0..SUBMITTERS)
      .map(|lane| sizes.iter().copied().skip(lane).step_by(SUBMITTERS).collect())
      .collect();
    let lanes = shares.into_iter().map(|share| {
      let api = self.api.clone();
      tokio::spawn(async move {
        for size in share {
          submit_bulk(&api, job, size).await?;
        }
        Ok(())
      })
    });
    for lane in lanes.collect::<Vec<_>>() {
      lane.await?.map_err(|error: anyhow::Error| error.context("submit in bulk"))?;
    }
    Ok(())
  }

  /// Waits until no task is live any more; all have been submitted before.
  ///
  /// Looks seldom while much is left, so that looking costs nothing that counts.
  ///
  /// # Errors
  /// When nothing moves for a minute.
  pub async fn wait_final(&mut self, submitted: usize, started: Instant) -> Result<()> {
    let (mut last, mut moved) = (usize::MAX, Instant::now());
    loop {
      let left = self.store.number("select count(*) from sched_task_hot").await?;
      let left = usize::try_from(left)?;
      if left == 0 {
        return Ok(());
      }
      if left != last {
        (last, moved) = (left, Instant::now());
      }
      if moved.elapsed() > STALL_LIMIT {
        bail!("{left} of {submitted} tasks are not final and nothing has moved for a minute");
      }
      let rate = submitted.saturating_sub(left) as f64 / started.elapsed().as_secs_f64();
      let third = Duration::try_from_secs_f64(left as f64 / rate / 3.0).unwrap_or(LOOK_MAX);
      tokio::time::sleep(third.clamp(LOOK_MIN, LOOK_MAX)).await;
    }
  }

  /// Checks that every task of the job succeeded, once; what did not is a problem of the report.
  ///
  /// # Errors
  /// When the database does not answer.
  pub async fn check(&mut self, job: JobId, submitted: usize, report: &mut Report) -> Result<()> {
    let expected = submitted as i64;
    for (what, sql) in checks(&self.store.id(job.0)) {
      let found = self.store.number(&sql).await?;
      if found != expected {
        report.problem(format!("{what}: {found} of {expected}"));
      }
    }
    Ok(())
  }

  /// CPU time so far by owner, in microseconds.
  ///
  /// # Errors
  /// When `/proc` is not there.
  pub fn cpu_us(&mut self) -> Result<Vec<(&'static str, u64)>> {
    let server = self.cluster.server(0).process().pid();
    let agents: Vec<u32> =
      (0..self.setup.agents).map(|i| self.cluster.agent(i).process().pid()).collect();
    let mut all = vec![("server", usage::tree_cpu_us(server))];
    all.push(("agents", agents.into_iter().map(usage::tree_cpu_us).sum()));
    all.push(("bench", usage::own_cpu_us()?));
    if let Some(postmaster) = self.postmaster {
      all.push(("database", usage::tree_cpu_us(postmaster)));
    }
    Ok(all)
  }

  /// Reports the CPU time since `before`, divided by `count`; the unit says by what that is.
  ///
  /// # Errors
  /// As [`Rig::cpu_us`].
  pub fn report_cpu(
    &mut self,
    before: &[(&'static str, u64)],
    (count, unit): (usize, &'static str),
    report: &mut Report,
  ) -> Result<()> {
    for ((owner, before), (_, now)) in before.iter().zip(self.cpu_us()?) {
      let each = now.saturating_sub(*before) as f64 / count as f64;
      report.cost(&format!("CPU of {owner}"), each, unit);
    }
    Ok(())
  }
}

/// What must be as many as were submitted; `id` is the job's id as SQL.
fn checks(id: &str) -> [(&'static str, String); 4] {
  let instance = format!("from sched_task_instance where job_id = {id}");
  [
    ("tasks stored", format!("select count(*) from sched_task where job_id = {id}")),
    ("attempts stored", format!("select count(*) {instance}")),
    ("tasks with an attempt", format!("select count(distinct task_id) {instance}")),
    (
      "tasks that succeeded at the first attempt",
      format!(
        "select count(*) {instance} and attempt = 1 and status = 'succeeded' \
          and task_status = 'succeeded' and exit_code = 0"
      ),
    ),
  ]
}

/// Submits one batch, which must be taken whole.
async fn submit_bulk(api: &Api, job: JobId, size: usize) -> Result<()> {
  let item = TaskForCreate { job_id: Some(job), ..TaskForCreate::default() };
  let body = TaskBulkCreate { items: vec![item; size] };
  let response = api.request(Method::POST, "/tasks/bulk").json(&body).send().await?;
  let status = response.status();
  let bytes = response.bytes().await?;
  ensure!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&bytes));
  let answer: BulkResponse = serde_json::from_slice(&bytes)?;
  let refused = answer.results.iter().find_map(|result| result.error.as_ref());
  ensure!(
    (answer.created, answer.failed) == (size, 0),
    "{} of {size} were taken; the first refusal: {refused:?}",
    answer.created
  );
  Ok(())
}

#[cfg(test)]
mod tests {
  use super::*;
  use crate::bench::Db;
  use crate::postgres;

  #[tokio::test]
  async fn both_engines_understand_the_questions() {
    let admin = postgres::shared().unwrap();
    for db in [Db::Sqlite, Db::Url(admin.url().to_owned())] {
      let fresh = Target::open(&db).unwrap().fresh().await.unwrap();
      let mut store = Store::open(fresh.url()).await.unwrap();
      store.migrate().await.unwrap();
      let id = store.id(JobId::generate().0);
      for (what, sql) in checks(&id) {
        assert_eq!(store.number(&sql).await.unwrap(), 0, "{what}");
      }
      let micros = format!("select {} from sched_namespace", store.micros("max(created_at)"));
      let made = store.number(&micros).await.unwrap();
      let age = hetuflow_core::Ts::now().micros() - made;
      assert!((0..600_000_000).contains(&age), "{age}");
    }
  }
}
