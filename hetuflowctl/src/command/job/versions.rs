//! `job versions`, `job diff`, `job rollback`.

use hetuflow_core::{JobEntity, JobForUpdate, JobSpec};
use serde_json::{Value, json};
use similar::{ChangeTag, TextDiff};

use crate::cli::{JobDiff, JobRollback, Name};
use crate::client::{Call, CtlError, Exit, path_of};
use crate::command::object::{Kind, get, job_rows};
use crate::command::session::Session;
use crate::output::{Cell, Column, Outcome, Rows, TableRow, View, visible};

impl TableRow for JobSpec {
  const KIND: &'static str = "version";
  const COLUMNS: &'static [Column] = &[
    Column::new("VERSION"),
    Column::new("JOB"),
    Column::new("RUNS"),
    Column::new("COMMAND"),
    Column::wide("ENVIRONMENT"),
  ];
  fn reference(&self) -> String {
    format!("{}@{}", self.job_name, self.job_version)
  }
  fn cells(&self) -> Vec<Cell> {
    let command = self.config.command.clone().or_else(|| self.config.script.clone());
    let command = command.unwrap_or_else(|| self.config.args.join(" "));
    // A script is told by its first line that does something.
    let first =
      command.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
    let names: Vec<&str> = self.environment.keys().map(String::as_str).collect();
    vec![
      Cell::Number(self.job_version),
      Cell::text(&self.job_name),
      Cell::text(self.config.program().as_str()),
      Cell::text(first.unwrap_or_default()),
      Cell::text(names.join(" ")),
    ]
  }
}

/// The versions of a job, newest first.
///
/// # Errors
/// When the job is not there.
pub async fn list(session: &Session, args: &Name) -> Result<Outcome, CtlError> {
  let job = get::job(session, &args.name).await?;
  Ok(View::List(Rows::ready(&all(session, &job).await?)).into())
}

async fn all(session: &Session, job: &JobEntity) -> Result<Vec<JobSpec>, CtlError> {
  let call = Call::get(path_of(&["jobs", &job.id.to_string(), "versions"]));
  let value: Value = session.client()?.fetch(call).await?;
  let list = value.get("data").cloned().unwrap_or(value);
  serde_json::from_value(list)
    .map_err(|error| CtlError::failure(format!("the versions cannot be read: {error}")))
}

/// One version of a job.
///
/// # Errors
/// Not found, with those that there are.
pub async fn one(session: &Session, job: &JobEntity, version: i64) -> Result<JobSpec, CtlError> {
  let mut all = all(session, job).await?;
  let known: Vec<String> = all.iter().map(|spec| spec.job_version.to_string()).collect();
  match all.iter().position(|spec| spec.job_version == version) {
    Some(at) => Ok(all.swap_remove(at)),
    None => Err(
      CtlError::new(Exit::NotFound, format!("job {} has no version {version}", job.name))
        .fact(format!("versions: {}", known.join(", "))),
    ),
  }
}

/// What differs between two versions; exit 10 where something does.
///
/// # Errors
/// When the job or a version is not there.
pub async fn diff(session: &Session, args: &JobDiff) -> Result<Outcome, CtlError> {
  let job = get::job(session, &args.name).await?;
  let from = one(session, &job, args.from).await?;
  let to = one(session, &job, args.to.unwrap_or(job.version)).await?;
  Ok(compared(session, &from, &to))
}

fn compared(session: &Session, from: &JobSpec, to: &JobSpec) -> Outcome {
  let (old, new) = (page(from), page(to));
  let value = json!({ "from": from, "to": to, "equal": old == new });
  if old == new {
    return Outcome::from(View::text("", value)).note("no difference");
  }
  let color = session.look.color;
  let mut text = format!("--- version {}\n+++ version {}\n", from.job_version, to.job_version);
  for group in TextDiff::from_lines(&old, &new).grouped_ops(3) {
    for change in group.iter().flat_map(|op| {
      TextDiff::from_lines(&old, &new)
        .iter_changes(op)
        .map(|change| (change.tag(), change.value().to_owned()))
        .collect::<Vec<_>>()
    }) {
      let (sign, paint) = match change.0 {
        ChangeTag::Delete => ('-', "\x1b[31m"),
        ChangeTag::Insert => ('+', "\x1b[32m"),
        ChangeTag::Equal => (' ', ""),
      };
      let line = visible(change.1.trim_end_matches('\n'));
      if color && !paint.is_empty() {
        text.push_str(&format!("{paint}{sign}{line}\x1b[0m\n"));
      } else {
        text.push_str(&format!("{sign}{line}\n"));
      }
    }
  }
  Outcome::from(View::text(text, value)).exit(Exit::Differences as u8)
}

/// A version as text, field by field.
fn page(spec: &JobSpec) -> String {
  let value = json!({
    "name": spec.job_name, "config": spec.config, "environment": spec.environment,
  });
  serde_saphyr::to_string(&value).unwrap_or_else(|_| value.to_string())
}

/// Makes an earlier version the newest: what it runs and with which environment.
///
/// # Errors
/// When the job or the version is not there, or the job moved meanwhile.
pub async fn rollback(session: &Session, args: &JobRollback) -> Result<Outcome, CtlError> {
  let job = get::job(session, &args.name).await?;
  let spec = one(session, &job, args.version).await?;
  if args.dry_run {
    let now = one(session, &job, job.version).await?;
    let outcome = compared(session, &now, &spec).exit(0);
    return Ok(outcome.note("dry run: nothing was done"));
  }
  let change = JobForUpdate {
    config: Some(spec.config),
    environment: Some(spec.environment),
    ..JobForUpdate::default()
  };
  // What was compared is what is changed: a job that moved meanwhile is refused.
  let call = Call::patch(Kind::Job.path_of(&job.id.to_string()))
    .json(&change)
    .if_version(args.if_version.unwrap_or(job.version));
  let changed: JobEntity = session.client()?.fetch(call).await?;
  let note = format!("version {} has what version {} had", changed.version, args.version);
  Ok(Outcome::from(job_rows::things(session, &[changed]).await?).note(note))
}
