//! `job create -f`: one job that must not exist yet.

use hetuflow_core::JobEntity;

use super::files::read_all;
use super::manifest::load_with;
use super::plan::{in_files, put_in_namespace};
use crate::cli::FileArgs;
use crate::client::{Call, CtlError, Exit};
use crate::command::object::job_rows;
use crate::command::session::Session;
use crate::output::Outcome;

/// Makes the one job of a file.
///
/// # Errors
/// Invalid, or conflict.
pub async fn create(session: &Session, args: &FileArgs) -> Result<Outcome, CtlError> {
  if args.file.is_dir() {
    return Err(
      CtlError::new(Exit::Invalid, format!("{} is a folder", args.file.display()))
        .help("hetuflowctl apply -f FOLDER"),
    );
  }
  let (sources, problems) = read_all(std::slice::from_ref(&args.file), false)?;
  let mut loaded = load_with(sources, problems)?;
  let client = session.client()?;
  put_in_namespace(&mut loaded, &client.place.namespace)?;
  let [(job, _)] = loaded.jobs.as_slice() else {
    return Err(
      CtlError::new(
        Exit::Invalid,
        format!("{} jobs in the file, one is wanted", loaded.jobs.len()),
      )
      .help("hetuflowctl apply -f FILE"),
    );
  };
  let made: Result<JobEntity, CtlError> = client.fetch(Call::post("/jobs").json(job)).await;
  match made {
    Ok(made) => Ok(job_rows::things(session, &[made]).await?.into()),
    Err(mut error) => {
      for field in &mut error.fields {
        field.field = format!("/jobs/0{}", field.field);
      }
      Err(in_files(error, &loaded))
    }
  }
}
