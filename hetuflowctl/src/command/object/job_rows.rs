//! Rows of jobs. As YAML each one stands with its schedules, so that `apply` of what was printed
//! changes nothing; a job without its schedules would lose them.

use std::collections::{BTreeSet, HashMap};

use futures_util::stream;
use hetuflow_core::{JobEntity, JobId, NamespaceId, ScheduleEntity};

use super::list::{begin_of, everything, rows};
use crate::cli::Paging;
use crate::client::{Call, Client, CtlError};
use crate::command::session::Session;
use crate::output::{Format, Look, Outcome, Page, Record, Rows, TableRow as _, View, job_manifest};

/// Up to so many jobs are asked for their schedules one by one; for more, all schedules of their
/// namespaces are read.
const ONE_BY_ONE_MAX: usize = 16;

/// A list of jobs, up to a limit.
///
/// # Errors
/// When there is no client.
pub fn list(session: &Session, call: Call, paging: Paging) -> Result<Outcome, CtlError> {
  if session.look.format != Format::Yaml {
    return rows::<JobEntity>(session, call, paging);
  }
  let client = session.client()?.clone();
  let page = async move {
    let (jobs, next) = begin_of::<JobEntity>(&client, call, paging.limit).await?;
    Ok::<_, CtlError>(Page { rows: with_schedules(&client, &jobs).await?, next })
  };
  Ok(View::List(Rows::paged(JobEntity::COLUMNS, stream::once(page))).into())
}

/// Jobs that were named.
///
/// # Errors
/// What the server says.
pub async fn things(session: &Session, jobs: &[JobEntity]) -> Result<View, CtlError> {
  Ok(View::Things(JobEntity::COLUMNS, records(session.client()?, &session.look, jobs).await?))
}

/// The rows of jobs, with their schedules where the form shows them.
async fn records(
  client: &Client,
  look: &Look,
  jobs: &[JobEntity],
) -> Result<Vec<Record>, CtlError> {
  match look.format {
    Format::Yaml => with_schedules(client, jobs).await,
    _ => Ok(jobs.iter().map(Record::of).collect()),
  }
}

/// The rows of jobs, each with its manifest.
///
/// # Errors
/// What the server says.
pub async fn with_schedules(client: &Client, jobs: &[JobEntity]) -> Result<Vec<Record>, CtlError> {
  let mut schedules = schedules_of(client, jobs).await?;
  let record = |job: &JobEntity| {
    let own = schedules.remove(&job.id).unwrap_or_default();
    Record { manifest: Some(job_manifest(job, &own)), ..Record::of(job) }
  };
  Ok(jobs.iter().map(record).collect())
}

async fn schedules_of(
  client: &Client,
  jobs: &[JobEntity],
) -> Result<HashMap<JobId, Vec<ScheduleEntity>>, CtlError> {
  let calls: Vec<Call> = if jobs.len() <= ONE_BY_ONE_MAX {
    jobs.iter().map(|job| Call::get("/schedules").query("job_id", job.id)).collect()
  } else {
    let namespaces: BTreeSet<&NamespaceId> = jobs.iter().map(|job| &job.namespace_id).collect();
    namespaces.iter().map(|one| Call::get("/schedules").query("namespace_id", one)).collect()
  };
  let mut all: HashMap<JobId, Vec<ScheduleEntity>> = HashMap::new();
  for call in calls {
    for schedule in everything::<ScheduleEntity>(client, call).await? {
      all.entry(schedule.job_id).or_default().push(schedule);
    }
  }
  Ok(all)
}
