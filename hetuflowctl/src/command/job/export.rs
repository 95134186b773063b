//! `job export`: jobs with their schedules, as `apply -f` takes them.

use hetuflow_core::JobEntity;

use crate::cli::JobExport;
use crate::client::{Call, CtlError};
use crate::command::object::{get, job_rows, list};
use crate::command::session::Session;
use crate::output::{Format, Outcome, Record, TableRow as _, View};

/// Writes manifests; `-o json` gives the same documents as JSON.
///
/// # Errors
/// When a job is not there.
pub async fn run(session: &Session, args: &JobExport) -> Result<Outcome, CtlError> {
  let jobs = if args.names.is_empty() {
    let call = Call::get("/jobs")
      .query_some("namespace_id", session.list_namespace()?)
      .query_some("filter", session.filter()?);
    list::at_most::<JobEntity>(session, call, 0).await?
  } else {
    let mut jobs = Vec::new();
    for name in &args.names {
      jobs.push(get::job(session, name).await?);
    }
    jobs
  };
  let mut records = job_rows::with_schedules(session.client()?, &jobs).await?;
  for record in &mut records {
    if let Some(manifest) = &record.manifest {
      record.value.clone_from(manifest);
    }
  }
  if session.look.format == Format::Table {
    let text: Result<Vec<String>, CtlError> = records.iter().map(yaml).collect();
    let names = records.iter().map(|record| record.name.clone()).collect();
    let value = records.into_iter().map(|record| record.value).collect();
    let text = text?.join("---\n");
    return Ok(View::Text { text, value: serde_json::Value::Array(value), names }.into());
  }
  Ok(View::Things(JobEntity::COLUMNS, records).into())
}

fn yaml(record: &Record) -> Result<String, CtlError> {
  serde_saphyr::to_string(&record.value)
    .map_err(|error| CtlError::failure(format!("cannot write YAML: {error}")))
}
