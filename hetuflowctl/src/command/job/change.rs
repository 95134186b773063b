//! `job clone`, `job rename`.

use hetuflow_core::{JobEntity, JobForCreate, JobForUpdate};

use crate::cli::{JobClone, JobRename};
use crate::client::{Call, CtlError};
use crate::command::object::{Kind, get, job_rows};
use crate::command::session::Session;
use crate::output::Outcome;

/// Makes a job like another one, without its schedules: two jobs that fire at the same instants
/// are seldom what is wanted.
///
/// # Errors
/// When the job is not there, or the new name is taken.
pub async fn clone(session: &Session, args: &JobClone) -> Result<Outcome, CtlError> {
  let job = get::job(session, &args.from).await?;
  let new = JobForCreate {
    namespace_id: Some(job.namespace_id),
    name: args.to.clone(),
    description: job.description,
    environment: job.environment,
    config: job.config,
    status: Some(job.status),
    labels: job.labels,
    owner: job.owner,
    schedules: Vec::new(),
  };
  let made: JobEntity = session.client()?.fetch(Call::post("/jobs").json(&new)).await?;
  let note = format!("its schedules: hetuflowctl schedule create --job {} --cron …", made.name);
  Ok(Outcome::from(job_rows::things(session, &[made]).await?).note(note))
}

/// Gives a job another name.
///
/// # Errors
/// When the job is not there or moved, or the new name is taken.
pub async fn rename(session: &Session, args: &JobRename) -> Result<Outcome, CtlError> {
  let job = get::job(session, &args.from).await?;
  let change = JobForUpdate { name: Some(args.to.clone()), ..JobForUpdate::default() };
  let mut call = Call::patch(Kind::Job.path_of(&job.id.to_string())).json(&change);
  if let Some(version) = args.if_version {
    call = call.if_version(version);
  }
  let changed: JobEntity = session.client()?.fetch(call).await?;
  Ok(job_rows::things(session, &[changed]).await?.into())
}
