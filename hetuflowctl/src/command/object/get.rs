//! One or several things by name.

use hetuflow_core::{
  AgentEntity, ArtifactEntity, JobEntity, NamespaceEntity, ScheduleEntity, SecretEntity,
  SemaphoreEntity, ServerEntity, TaskEntity, TaskInstanceEntity, TokenEntity,
};
use serde::de::DeserializeOwned;

use super::kind::{Kind, bare};
use super::list::everything;
use super::{job_rows, short_ref};
use crate::cli::GetArgs;
use crate::client::{Call, CtlError, Exit, path_of};
use crate::command::names::{expand, with_suggestion};
use crate::command::session::Session;
use crate::output::{Outcome, Record, TableRow, View};

/// Reads `KIND NAME…` or `KIND/NAME…`.
///
/// # Errors
/// Usage, where no name is given or kinds are mixed.
pub fn words(words: &[String]) -> Result<(Kind, Vec<String>), CtlError> {
  if let Some((kind, _)) = words[0].split_once('/') {
    let kind = Kind::read(kind)?;
    let names: Option<Vec<String>> = words
      .iter()
      .map(|word| {
        let (other, name) = word.split_once('/')?;
        (Kind::read(other).ok()? == kind && !name.is_empty()).then(|| name.to_owned())
      })
      .collect();
    return names
      .map(|names| (kind, names))
      .ok_or_else(|| CtlError::usage("give names of one kind, as job/a job/b"));
  }
  let kind = Kind::read(&words[0])?;
  if words.len() == 1 {
    let word = kind.word();
    return Err(CtlError::usage(format!("which {word}?")).help(format!("hetuflowctl ls {word}")));
  }
  Ok((kind, words[1..].to_vec()))
}

/// Any kind, by its word.
///
/// # Errors
/// When a thing is not there.
pub async fn any(session: &Session, args: &GetArgs) -> Result<Outcome, CtlError> {
  let (kind, names) = words(&args.words)?;
  run(session, kind, &names).await
}

/// Things of one kind.
///
/// # Errors
/// When a thing is not there.
pub async fn run(session: &Session, kind: Kind, names: &[String]) -> Result<Outcome, CtlError> {
  let names = expand(names)?;
  Ok(
    match kind {
      Kind::Job => {
        let mut jobs = Vec::new();
        for name in &names {
          jobs.push(job(session, name).await?);
        }
        job_rows::things(session, &jobs).await?
      }
      Kind::Schedule => each::<ScheduleEntity>(session, kind, &names).await?,
      Kind::Task => {
        let mut tasks = Vec::new();
        for name in &names {
          tasks.push(task(session, name).await?);
        }
        View::things(&tasks)
      }
      Kind::Attempt => {
        let mut attempts = Vec::new();
        for name in &names {
          attempts.push(attempt(session, name).await?);
        }
        View::things(&attempts)
      }
      Kind::Agent => each::<AgentEntity>(session, kind, &names).await?,
      Kind::Namespace => each::<NamespaceEntity>(session, kind, &names).await?,
      Kind::Artifact => each::<ArtifactEntity>(session, kind, &names).await?,
      Kind::Secret => each::<SecretEntity>(session, kind, &names).await?,
      Kind::Semaphore => each::<SemaphoreEntity>(session, kind, &names).await?,
      Kind::Token => {
        let all = everything::<TokenEntity>(session.client()?, Call::get(kind.path())).await?;
        chosen(session, kind, &names, all, |one, name| {
          one.name == name || one.id.to_string() == name
        })
        .await?
      }
      Kind::Server => {
        let all = everything::<ServerEntity>(session.client()?, Call::get(kind.path())).await?;
        chosen(session, kind, &names, all, |one, name| one.id.as_str() == name).await?
      }
    }
    .into(),
  )
}

async fn each<T: TableRow + DeserializeOwned>(
  session: &Session,
  kind: Kind,
  names: &[String],
) -> Result<View, CtlError> {
  let mut things = Vec::new();
  for name in names {
    things.push(one::<T>(session, kind, name).await?);
  }
  Ok(View::things(&things))
}

/// Kinds that the server only lists.
async fn chosen<T: TableRow>(
  session: &Session,
  kind: Kind,
  names: &[String],
  all: Vec<T>,
  is: impl Fn(&T, &str) -> bool,
) -> Result<View, CtlError> {
  let mut records = Vec::new();
  for name in names {
    match all.iter().find(|one| is(one, bare(kind, name))) {
      Some(one) => records.push(Record::of(one)),
      None => {
        let error = CtlError::new(Exit::NotFound, format!("no {} \"{name}\"", kind.word()));
        return Err(with_suggestion(session, kind, bare(kind, name), error).await);
      }
    }
  }
  Ok(View::Things(T::COLUMNS, records))
}

/// One thing, with the nearest name where it is not there.
///
/// # Errors
/// What the server says.
pub async fn one<T: DeserializeOwned>(
  session: &Session,
  kind: Kind,
  name: &str,
) -> Result<T, CtlError> {
  let client = session.client()?;
  let name = bare(kind, name);
  let mut call = Call::get(kind.path_of(name));
  if kind.in_namespace() {
    call = call.query("namespace_id", &client.place.namespace);
  }
  match client.fetch(call).await {
    Ok(thing) => Ok(thing),
    Err(error) => Err(with_suggestion(session, kind, name, error).await),
  }
}

/// A job.
///
/// # Errors
/// What the server says.
pub async fn job(session: &Session, name: &str) -> Result<JobEntity, CtlError> {
  one(session, Kind::Job, name).await
}

/// A schedule.
///
/// # Errors
/// What the server says.
pub async fn schedule(session: &Session, name: &str) -> Result<ScheduleEntity, CtlError> {
  one(session, Kind::Schedule, name).await
}

/// The schedules of a job.
///
/// # Errors
/// What the server says.
pub async fn schedules_of(
  session: &Session,
  job: &JobEntity,
) -> Result<Vec<ScheduleEntity>, CtlError> {
  let call = Call::get("/schedules").query("job_id", job.id);
  everything(session.client()?, call).await
}

/// A task by id, short id or selector.
///
/// # Errors
/// What the server says.
pub async fn task(session: &Session, name: &str) -> Result<TaskEntity, CtlError> {
  let client = session.client()?;
  match client.task(name, None).await {
    Ok(task) => Ok(task),
    Err(error) if error.is_not_found() => {
      match short_ref::find(client, bare(Kind::Task, name)).await? {
        Some(task) => Ok(task),
        None => Err(with_suggestion(session, Kind::Task, name, error).await),
      }
    }
    Err(error) => Err(error),
  }
}

/// The attempts of a task, oldest first.
///
/// # Errors
/// What the server says.
pub async fn attempts(
  session: &Session,
  task: &TaskEntity,
) -> Result<Vec<TaskInstanceEntity>, CtlError> {
  let call = Call::get(path_of(&["tasks", &task.id.to_string(), "instances"]));
  let mut all: Vec<TaskInstanceEntity> = everything(session.client()?, call).await?;
  all.sort_by_key(|one| one.attempt);
  Ok(all)
}

/// An attempt by id, or as `TASK#N`.
///
/// # Errors
/// What the server says.
pub async fn attempt(session: &Session, name: &str) -> Result<TaskInstanceEntity, CtlError> {
  let name = bare(Kind::Attempt, name);
  let Some((task_name, number)) = name.rsplit_once('#') else {
    return one(session, Kind::Attempt, name).await;
  };
  let number: i64 = number
    .parse()
    .map_err(|_| CtlError::usage(format!("\"{number}\" is not the number of an attempt")))?;
  let task = task(session, task_name).await?;
  let all = attempts(session, &task).await?;
  let last = all.last().map_or(0, |one| one.attempt);
  all.into_iter().find(|one| one.attempt == number).ok_or_else(|| {
    CtlError::new(Exit::NotFound, format!("task {} has no attempt {number}", task.id.short()))
      .fact(format!("its newest attempt is {last}"))
  })
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn words_of_get() {
    let read = |text: &str| words(&text.split(' ').map(str::to_owned).collect::<Vec<_>>());
    assert_eq!(read("job a b").expect("fine"), (Kind::Job, vec!["a".into(), "b".into()]));
    assert_eq!(read("tasks/x task/y").expect("fine"), (Kind::Task, vec!["x".into(), "y".into()]));
    for bad in ["job", "jbo a", "job/a task/b", "job/"] {
      assert_eq!(read(bad).expect_err(bad).exit, 2);
    }
    assert!(read("jbo a").expect_err("unknown").help[0].contains("job"));
  }
}
