//! Cron jobs: a job with one cron schedule, made and changed together.

use hetuflow_core::{
  FieldError, JobEntity, JobForCreate, JobForUpdate, JobId, Labels, NamespaceId, Role,
  ScheduleEntity, ScheduleForCreate, ScheduleForUpdate, ScheduleId, ScheduleKind, ScheduleStatus,
  Topic, V0CronJob, V0CronJobForCreate, V0CronJobForUpdate, v0_config, v0_job_name,
};
use serde_json::{Value, json};

use super::V0Svc;
use crate::infra::bmc::{job_bmc, schedule_bmc};
use crate::infra::db::Conn;
use crate::service::job_change::find_job;
use crate::service::job_svc::{create_all, remove_job, update_one as update_job};
use crate::service::schedule_change::delete_schedule;
use crate::service::schedule_edit::{find_schedule, update_one as update_schedule};
use crate::service::store::{PageArgs, Work};
use crate::service::{Actor, SvcError, SvcResult};

/// The label of jobs that were made here.
const LABEL: (&str, &str) = ("legacy", "cron-job");
/// Rows that one list tells.
const ROWS_MAX: i64 = 1000;

impl V0Svc {
  /// Makes a job with its schedule, both or none.
  ///
  /// # Errors
  /// 403 below editor, 409 for a name in use, or the broken rules.
  pub async fn create_cron_job(
    &self,
    actor: &Actor,
    new: V0CronJobForCreate,
  ) -> SvcResult<V0CronJob> {
    let namespace = actor.namespace(None);
    actor.require(Role::Editor, &namespace)?;
    let mut errors = Vec::new();
    new.check(&mut errors);
    let mut job = job_of(new);
    job.check(&mut errors);
    SvcError::check(in_our_words(errors))?;
    let mut work = self.store.work().await?;
    let outcome = create_in(&mut work, actor, (&namespace, &job)).await;
    work.end(outcome).await
  }

  /// All cron schedules of the namespace with their jobs, newest first; at most 1,000.
  ///
  /// # Errors
  /// 403 for a token that reads nothing.
  pub async fn list_cron_jobs(&self, actor: &Actor) -> SvcResult<Vec<V0CronJob>> {
    let namespace = actor.namespace(None);
    actor.require(Role::Viewer, &namespace)?;
    let filter = hetuflow_core::ScheduleFilter {
      namespace_id: Some(namespace),
      ..hetuflow_core::ScheduleFilter::default()
    };
    let mut conn = self.store.read().await?;
    let page = schedule_bmc::list(&mut conn, &filter, &PageArgs::first(ROWS_MAX)).await?;
    let mut rows = Vec::new();
    for schedule in page.data.into_iter().filter(|row| row.schedule_kind == ScheduleKind::Cron) {
      if let Some(job) = job_bmc::get(&mut conn, schedule.job_id).await? {
        rows.push(shown(&job, &schedule));
      }
    }
    Ok(rows)
  }

  /// Reads one, by the id or name of the schedule or of the job.
  ///
  /// # Errors
  /// 404.
  pub async fn get_cron_job(&self, actor: &Actor, reference: &str) -> SvcResult<V0CronJob> {
    actor.require_role(Role::Viewer)?;
    let mut conn = self.store.read().await?;
    let (job, schedule) = find(&mut conn, actor, reference).await?;
    Ok(shown(&job, &schedule))
  }

  /// Changes one; what is absent stays.
  ///
  /// # Errors
  /// 403 below editor, 404, 409, or the broken rules.
  pub async fn update_cron_job(
    &self,
    actor: &Actor,
    reference: &str,
    change: V0CronJobForUpdate,
  ) -> SvcResult<V0CronJob> {
    let mut errors = Vec::new();
    change.check(&mut errors);
    SvcError::check(errors)?;
    let mut work = self.store.work().await?;
    let outcome = update_in(&mut work, actor, (reference, change)).await;
    work.end(outcome).await
  }

  /// Removes the schedule, and the job where it was made here and has no other.
  ///
  /// # Errors
  /// 403 below editor, 404.
  pub async fn delete_cron_job(&self, actor: &Actor, reference: &str) -> SvcResult<()> {
    let mut work = self.store.work().await?;
    let outcome = delete_in(&mut work, actor, reference).await;
    work.end(outcome).await
  }
}

fn job_of(new: V0CronJobForCreate) -> JobForCreate {
  let enabled = new.enabled.unwrap_or(true);
  let schedule = ScheduleForCreate {
    cron_expression: Some(new.cron_expression),
    timezone: new.timezone,
    parameters: (!new.payload.is_null()).then_some(new.payload),
    status: (!enabled).then_some(ScheduleStatus::Disabled),
    ..ScheduleForCreate::default()
  };
  JobForCreate {
    name: v0_job_name(&new.name),
    description: new.name,
    config: v0_config(&new.task_type),
    labels: Labels::from([(LABEL.0.to_owned(), LABEL.1.to_owned())]),
    schedules: vec![schedule],
    ..JobForCreate::default()
  }
}

/// Places of broken rules as the asker named them.
fn in_our_words(errors: Vec<FieldError>) -> Vec<FieldError> {
  let renamed = |mut error: FieldError| {
    if let Some(rest) = error.field.strip_prefix("/schedules/0/") {
      error.field = format!("/{rest}").replace("/parameters", "/payload");
    }
    if error.field == "/description" {
      error.field = "/name".to_owned();
    }
    error
  };
  errors.into_iter().map(renamed).collect()
}

async fn create_in(
  work: &mut Work,
  actor: &Actor,
  (namespace, new): (&NamespaceId, &JobForCreate),
) -> SvcResult<V0CronJob> {
  let job = create_all(work, actor, namespace, new).await?;
  let schedules = schedule_bmc::list_of_job(&mut work.tx, job.id).await?;
  let schedule = schedules.first().ok_or_else(|| SvcError::not_found("schedule", &job.name))?;
  audit(work, actor, (&job, "cron_job.created"));
  Ok(shown(&job, schedule))
}

async fn update_in(
  work: &mut Work,
  actor: &Actor,
  (reference, change): (&str, V0CronJobForUpdate),
) -> SvcResult<V0CronJob> {
  actor.require_role(Role::Viewer)?;
  let (job, schedule) = find(&mut work.tx, actor, reference).await?;
  actor.require(Role::Editor, &job.namespace_id)?;
  if change.name.is_some() || change.task_type.is_some() {
    let config = change.task_type.map(|task_type| {
      let mut config = job.config.clone();
      (config.cmd, config.task_type) = (v0_config(&task_type).cmd, Some(task_type));
      config
    });
    let mut update = JobForUpdate {
      name: change.name.as_deref().map(v0_job_name),
      description: change.name,
      config,
      ..JobForUpdate::default()
    };
    let id = job.id.to_string();
    update_job(work, actor, (Some(&job.namespace_id), &id), (&mut update, None)).await?;
  }
  let status = change.enabled.map(|on| match on {
    true => ScheduleStatus::Enabled,
    false => ScheduleStatus::Disabled,
  });
  let update = ScheduleForUpdate {
    cron_expression: change.cron_expression,
    timezone: change.timezone,
    parameters: change.payload,
    status,
    ..ScheduleForUpdate::default()
  };
  let id = schedule.id.to_string();
  let which = (Some(&job.namespace_id), id.as_str());
  update_schedule(work, actor, which, (update, None)).await?;
  let (job, schedule) = find(&mut work.tx, actor, &id).await?;
  audit(work, actor, (&job, "cron_job.updated"));
  Ok(shown(&job, &schedule))
}

async fn delete_in(work: &mut Work, actor: &Actor, reference: &str) -> SvcResult<()> {
  actor.require_role(Role::Viewer)?;
  let (job, schedule) = find(&mut work.tx, actor, reference).await?;
  actor.require(Role::Editor, &job.namespace_id)?;
  let made_here = job.labels.get(LABEL.0).is_some_and(|value| value == LABEL.1);
  let only_one = schedule_bmc::list_of_job(&mut work.tx, job.id).await?.len() == 1;
  if made_here && only_one {
    remove_job(work, &job).await?;
  } else {
    delete_schedule(work, &schedule).await?;
  }
  audit(work, actor, (&job, "cron_job.deleted"));
  Ok(())
}

fn audit(work: &mut Work, actor: &Actor, (job, event): (&JobEntity, &str)) {
  let data = json!({ "source": "legacy", "by": actor.name, "job_id": job.id, "name": job.name });
  work.note(&job.namespace_id, (Topic::Audit, job.id.to_string()), event, data);
}

/// The schedule that is meant, with its job.
async fn find(
  conn: &mut Conn,
  actor: &Actor,
  reference: &str,
) -> SvcResult<(JobEntity, ScheduleEntity)> {
  let missing = || SvcError::not_found("cron job", reference);
  let job_id = reference.parse::<JobId>().ok();
  let job = match job_id {
    Some(id) => job_bmc::get(conn, id).await?,
    None => None,
  };
  if job.is_none() && (reference.parse::<ScheduleId>().is_ok() || job_id.is_none()) {
    let found = find_schedule(conn, actor, (None, reference)).await;
    if let Ok(schedule) = found
      && schedule.schedule_kind == ScheduleKind::Cron
    {
      let job = job_bmc::get(conn, schedule.job_id).await?.ok_or_else(missing)?;
      return Ok((job, schedule));
    }
  }
  let job = find_job(conn, actor, None, reference).await.map_err(|error| match error {
    SvcError::Refused(_) => missing(),
    error => error,
  })?;
  let schedules = schedule_bmc::list_of_job(conn, job.id).await?;
  let cron = schedules.into_iter().find(|row| row.schedule_kind == ScheduleKind::Cron);
  Ok((job, cron.ok_or_else(missing)?))
}

fn shown(job: &JobEntity, schedule: &ScheduleEntity) -> V0CronJob {
  let made_here = job.labels.get(LABEL.0).is_some_and(|value| value == LABEL.1);
  let named = made_here && !job.description.is_empty();
  V0CronJob {
    id: schedule.id,
    job_id: job.id,
    schedule_id: schedule.id,
    name: if named { job.description.clone() } else { job.name.clone() },
    cron_expression: schedule.cron_expression.clone().unwrap_or_default(),
    timezone: schedule.timezone.clone(),
    task_type: job.config.task_type.clone().unwrap_or_default(),
    payload: schedule.parameters.clone().unwrap_or(Value::Null),
    enabled: schedule.status == ScheduleStatus::Enabled,
    next_run_at: schedule.next_run_at,
    last_run_at: schedule.last_run_at,
    created_at: schedule.created_at,
  }
}
