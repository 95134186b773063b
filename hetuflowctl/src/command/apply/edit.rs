//! `job edit`: a job with its schedules in an editor, then applied. What is refused comes back into
//! the editor with the reasons above it; nothing that was typed is lost.

use hetuflow_core::JobEntity;

use super::files::Source;
use super::manifest::load;
use super::plan::{ask_and_send, in_files, put_in_namespace, shown_after};
use crate::cli::JobEdit;
use crate::client::{CtlError, Exit};
use crate::command::editor;
use crate::command::object::{get, job_rows};
use crate::command::session::Session;
use crate::output::{Outcome, View};

/// Edits a job.
///
/// # Errors
/// When the job is not there or moved meanwhile; the last reason, where the text was left as it was
/// refused.
pub async fn run(session: &Session, args: &JobEdit) -> Result<Outcome, CtlError> {
  let job = get::job(session, &args.name).await?;
  if let Some(version) = args.if_version.filter(|version| *version != job.version) {
    return Err(moved(&job, version));
  }
  let mut text = manifest(session, &job).await?;
  let mut refused: Option<CtlError> = None;
  loop {
    let draft = match &refused {
      Some(error) => format!("{}{text}", reasons(error)),
      None => text.clone(),
    };
    let Some(after) = editor::edit(session, &draft, ".yaml")? else {
      // Left as it was refused, or not touched at all.
      return match refused {
        Some(error) => Err(error),
        None => Ok(Outcome::from(View::Nothing).note("nothing was changed")),
      };
    };
    text = without_reasons(&after);
    match apply(session, &job, &text).await {
      Err(error) if error.exit == Exit::Invalid as u8 => refused = Some(error),
      other => return other,
    }
  }
}

async fn manifest(session: &Session, job: &JobEntity) -> Result<String, CtlError> {
  let record =
    job_rows::with_schedules(session.client()?, std::slice::from_ref(job)).await?.remove(0);
  let mut manifest = record.manifest.unwrap_or_default();
  // What only the server knows cannot be changed.
  if let Some(fields) = manifest.as_object_mut() {
    fields.remove("status");
  }
  serde_saphyr::to_string(&manifest)
    .map_err(|error| CtlError::failure(format!("cannot write YAML: {error}")))
}

async fn apply(session: &Session, job: &JobEntity, text: &str) -> Result<Outcome, CtlError> {
  let mut loaded = load(vec![Source::new(format!("job {}", job.name), text)])?;
  put_in_namespace(&mut loaded, job.namespace_id.as_str())?;
  let same = |(one, _): &(hetuflow_core::JobForCreate, _)| {
    one.name == job.name && one.namespace_id.as_ref() == Some(&job.namespace_id)
  };
  if !matches!(loaded.jobs.as_slice(), [one] if same(one)) {
    let error = CtlError::new(Exit::Invalid, format!("that is no longer job {}", job.name));
    return Err(error.help("another name: hetuflowctl job rename; another job: hetuflowctl apply"));
  }
  let now = get::job(session, &job.id.to_string()).await?;
  if now.version != job.version {
    return Err(moved(&now, job.version));
  }
  match ask_and_send(session, &loaded).await.map_err(|error| in_files(error, &loaded))? {
    Some(done) => Ok(shown_after(&done, &loaded)),
    None => Ok(Outcome::from(View::Nothing).note("nothing was applied")),
  }
}

fn moved(job: &JobEntity, wanted: i64) -> CtlError {
  let words = format!("job {} has version {} now, not {wanted}", job.name, job.version);
  CtlError::new(Exit::Conflict, words).help(format!("hetuflowctl job edit {}", job.name))
}

/// The reasons as comments.
fn reasons(error: &CtlError) -> String {
  let lines = [error.message.as_str()].into_iter().chain(error.facts.iter().map(String::as_str));
  let lines = lines.flat_map(str::lines).map(|line| format!("#! {line}\n"));
  lines.collect()
}

fn without_reasons(text: &str) -> String {
  text.split_inclusive('\n').filter(|line| !line.starts_with("#! ")).collect()
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn reasons_come_and_go() {
    let error = CtlError::new(Exit::Invalid, "1 problem").fact("a.yaml:3\n  ^^ hour 25");
    let text = "# mine\nkind: Job\n";
    let draft = format!("{}{text}", reasons(&error));
    assert_eq!(draft.lines().next(), Some("#! 1 problem"));
    assert_eq!(draft.lines().filter(|line| line.starts_with("#! ")).count(), 3);
    assert_eq!(without_reasons(&draft), text);
  }
}
