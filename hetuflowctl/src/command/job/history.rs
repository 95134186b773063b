//! `job history`.

use hetuflow_core::TaskEntity;

use crate::cli::{JobHistory, Paging};
use crate::client::{Call, CtlError, path_of};
use crate::command::object::{get, list};
use crate::command::session::Session;
use crate::output::Outcome;

/// The newest runs of a job.
///
/// # Errors
/// When the job is not there.
pub async fn run(session: &Session, args: &JobHistory) -> Result<Outcome, CtlError> {
  let job = get::job(session, &args.name).await?;
  let call = Call::get(path_of(&["jobs", &job.id.to_string(), "tasks"]))
    .query_some("status", args.state.as_ref());
  list::rows::<TaskEntity>(session, call, Paging { limit: args.limit })
}
