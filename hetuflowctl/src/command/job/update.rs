//! `job update`: some settings of a job, without a manifest.

use hetuflow_core::{JobEntity, JobForUpdate};

use crate::cli::JobUpdate;
use crate::client::{Call, CtlError};
use crate::command::object::{Kind, get, job_rows};
use crate::command::session::Session;
use crate::output::Outcome;

/// Changes what is named, and leaves the rest.
///
/// # Errors
/// When the job is not there or moved meanwhile; usage, where nothing is named.
pub async fn run(session: &Session, args: &JobUpdate) -> Result<Outcome, CtlError> {
  if args.changes_nothing() {
    let error = CtlError::usage("what is to be changed?");
    return Err(
      error.help("hetuflowctl job update --help").help("everything: hetuflowctl job edit"),
    );
  }
  let job = get::job(session, &args.name).await?;
  let mut environment = job.environment.clone();
  environment.extend(args.env.iter().cloned());
  environment.retain(|name, _| !args.unset_env.contains(name));
  let mut labels = job.labels.clone();
  labels.extend(args.label.iter().cloned());
  labels.retain(|name, _| !args.unset_label.contains(name));
  let change = JobForUpdate {
    description: args.description.clone(),
    owner: args.owner.clone(),
    environment: (environment != job.environment).then_some(environment),
    labels: (labels != job.labels).then_some(labels),
    ..JobForUpdate::default()
  };
  // What was read is what is changed: a job that moved meanwhile is refused.
  let call = Call::patch(Kind::Job.path_of(&job.id.to_string()))
    .json(&change)
    .if_version(args.if_version.unwrap_or(job.version));
  let changed: JobEntity = session.client()?.fetch(call).await?;
  Ok(job_rows::things(session, &[changed]).await?.into())
}
