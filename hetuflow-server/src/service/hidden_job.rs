//! Jobs that nobody made by hand: `adhoc`, which runs commands without a job, and `legacy/TYPE`,
//! which runs tasks that name a type only. Made when the first such task comes.

use hetuflow_core::{
  ADHOC_JOB, JobEntity, JobId, JobSpec, JobStatus, NamespaceId, TaskConfig, Ts, V0_JOB_PREFIX,
  v0_config,
};

use super::{Store, SvcError, SvcResult};
use crate::infra::bmc::job_bmc;
use crate::infra::db::{Conn, DbError};

/// A hidden job.
pub(super) struct HiddenJob {
  name: String,
  description: String,
  config: TaskConfig,
}

impl HiddenJob {
  /// The job of commands without a job.
  pub(super) fn adhoc() -> Self {
    Self {
      name: ADHOC_JOB.to_owned(),
      description: "commands without a job".to_owned(),
      config: TaskConfig::default(),
    }
  }

  /// The job of tasks that name a type only.
  pub(super) fn of_type(task_type: &str) -> Self {
    Self {
      name: format!("{V0_JOB_PREFIX}{task_type}"),
      description: format!("tasks of type {task_type}"),
      config: v0_config(task_type),
    }
  }

  /// Reads it, or makes it.
  ///
  /// # Errors
  /// 404 for a namespace that does not exist.
  pub(super) async fn find_or_make(
    self,
    store: &Store,
    conn: &mut Conn,
    namespace: &NamespaceId,
  ) -> SvcResult<JobEntity> {
    if let Some(job) = job_bmc::get_by_name(conn, namespace, &self.name).await? {
      return Ok(job);
    }
    let name = self.name.clone();
    let (job, spec) = self.rows(namespace);
    // From the other pool: whoever waits for a second connection while it holds one must not
    // wait for its own kind.
    let mut tx = store.db.begin_hot().await?;
    let made = async {
      job_bmc::create(&mut tx, &job).await?;
      job_bmc::create_version(&mut tx, &spec, None, job.created_at).await
    }
    .await;
    match tx.end(made).await {
      Ok(()) => Ok(job),
      // Somebody else made it in between, or the namespace does not exist.
      Err(DbError::Unique { .. }) => job_bmc::get_by_name(conn, namespace, &name)
        .await?
        .ok_or_else(|| SvcError::not_found("job", &name)),
      Err(DbError::Other(_)) => Err(SvcError::not_found("namespace", namespace.as_str())),
      Err(error) => Err(error.into()),
    }
  }

  fn rows(self, namespace: &NamespaceId) -> (JobEntity, JobSpec) {
    let now = Ts::now();
    let job = JobEntity {
      id: JobId::generate(),
      namespace_id: namespace.clone(),
      name: self.name,
      description: self.description,
      environment: Default::default(),
      config: self.config,
      status: JobStatus::Enabled,
      labels: Default::default(),
      version: 1,
      owner: String::new(),
      created_by: None,
      created_at: now,
      updated_by: None,
      updated_at: now,
    };
    let spec = JobSpec {
      job_id: job.id,
      job_version: 1,
      job_name: job.name.clone(),
      namespace_id: namespace.clone(),
      config: job.config.clone(),
      environment: Default::default(),
    };
    (job, spec)
  }
}
