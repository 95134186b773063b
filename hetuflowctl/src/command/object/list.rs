//! Lists, page by page.

use futures_util::stream;
use hetuflow_core::{
  AgentEntity, ArtifactEntity, CalendarEntity, FireEntity, NamespaceEntity, PAGE_LIMIT_MAX,
  Page as ServerPage, ScheduleEntity, Scope, SecretEntity, SemaphoreEntity, ServerEntity,
  TaskEntity, TaskInstanceEntity, TokenEntity,
};
use serde::de::DeserializeOwned;

use super::kind::{Kind, bare};
use super::{get, job_rows};
use crate::cli::{
  AgentList, AttemptList, FiresArgs, JobList, LsArgs, Name, Paging, ScheduleList, TaskList,
  Watching,
};
use crate::client::{Call, Client, CtlError, path_of};
use crate::command::filter_text::{combine, term, with_caret};
use crate::command::live::{self, Sight};
use crate::command::session::Session;
use crate::output::{Outcome, Page, Record, Rows, TableRow, View};

/// Lists that the server orders; the others are ordered here, as far as they are asked for.
const SORTED_BY_SERVER: [&str; 4] = ["/jobs", "/schedules", "/tasks", "/agents"];

/// Any kind, by its word.
///
/// # Errors
/// When the word is no kind.
pub fn any(session: &Session, args: &LsArgs) -> Result<Outcome, CtlError> {
  of_kind(session, Kind::read(&args.kind)?, (args.paging, &args.watching))
}

/// Everything of a kind.
///
/// # Errors
/// When there is no client.
pub fn of_kind(
  session: &Session,
  kind: Kind,
  (paging, watching): (Paging, &Watching),
) -> Result<Outcome, CtlError> {
  if watching.goes_on() {
    return watched(session, kind, Vec::new(), (paging, watching));
  }
  if matches!(kind, Kind::Secret | Kind::Semaphore | Kind::Calendar)
    && session.list_namespace()?.is_none()
  {
    let message = format!("{}s are listed namespace by namespace", kind.word());
    return Err(CtlError::usage(message).help("give -n NAME"));
  }
  let mut call = Call::get(kind.path());
  if kind.in_namespace() || matches!(kind, Kind::Attempt | Kind::Artifact) {
    call = call.query_some("namespace_id", session.list_namespace()?);
  }
  if SORTED_BY_SERVER.contains(&kind.path()) {
    call = narrowed(session, kind, call, Vec::new())?;
  } else if session.filter()?.is_some() {
    return Err(CtlError::usage(format!("{}s take no filter", kind.word())));
  }
  match kind {
    Kind::Job => job_rows::list(session, call, paging),
    Kind::Schedule => rows::<ScheduleEntity>(session, call, paging),
    Kind::Task => rows::<TaskEntity>(session, call, paging),
    Kind::Attempt => rows::<TaskInstanceEntity>(session, call, paging),
    Kind::Agent => rows::<AgentEntity>(session, call, paging),
    Kind::Namespace => rows::<NamespaceEntity>(session, call, paging),
    Kind::Token => rows::<TokenEntity>(session, call, paging),
    Kind::Artifact => rows::<ArtifactEntity>(session, call, paging),
    Kind::Secret => rows::<SecretEntity>(session, call, paging),
    Kind::Semaphore => rows::<SemaphoreEntity>(session, call, paging),
    Kind::Calendar => rows::<CalendarEntity>(session, call, paging),
    Kind::Server => rows::<ServerEntity>(session, call, paging),
  }
}

/// A list that goes on, where the server has a watch on it. `terms` are the command's own flags in
/// the filter language.
fn watched(
  session: &Session,
  kind: Kind,
  terms: Vec<Option<String>>,
  (paging, watching): (Paging, &Watching),
) -> Result<Outcome, CtlError> {
  let scope = match kind {
    Kind::Task => Scope::Tasks,
    Kind::Job => Scope::Jobs,
    Kind::Agent => Scope::Agents,
    Kind::Server => Scope::Servers,
    other => {
      let words = format!("{}s cannot be watched", other.word());
      return Err(CtlError::usage(words).help("hetuflowctl events -f"));
    }
  };
  let terms = terms.into_iter().flatten().collect();
  live::run(session, &Sight { scope, terms, limit: paging.limit }, watching)
}

/// The call of a list: by plain parameters, or with a filter or an order, by those alone. `terms` say
/// in the filter language what the plain parameters say.
///
/// # Errors
/// When there is no client, or `-l` cannot be read.
pub fn narrowed(
  session: &Session,
  kind: Kind,
  plain: Call,
  terms: Vec<Option<String>>,
) -> Result<Call, CtlError> {
  let (filter, sort) = (session.filter()?, session.global.sort.as_ref());
  if filter.is_none() && sort.is_none() {
    return Ok(plain);
  }
  let terms: Vec<String> = terms.into_iter().flatten().collect();
  let filter = combine(&terms, filter.as_deref());
  let namespace = if kind.in_namespace() { session.list_namespace()? } else { None };
  Ok(
    Call::get(kind.path())
      .query_some("namespace_id", namespace)
      .query_some("filter", (!filter.is_empty()).then_some(filter))
      .query_some("sort", sort),
  )
}

/// Jobs.
///
/// # Errors
/// When there is no client.
pub fn jobs(session: &Session, args: &JobList) -> Result<Outcome, CtlError> {
  let terms = vec![term("name", args.name.as_ref()), term("state", args.status)];
  if args.watching.goes_on() {
    return watched(session, Kind::Job, terms, (args.paging, &args.watching));
  }
  let call = Call::get("/jobs")
    .query_some("namespace_id", session.list_namespace()?)
    .query_some("name", args.name.as_ref())
    .query_some("status", args.status);
  job_rows::list(session, narrowed(session, Kind::Job, call, terms)?, args.paging)
}

/// Schedules.
///
/// # Errors
/// When there is no client, or the job is not there.
pub async fn schedules(session: &Session, args: &ScheduleList) -> Result<Outcome, CtlError> {
  let job = match &args.job {
    Some(name) => Some(get::job(session, name).await?.id),
    None => None,
  };
  let call = Call::get("/schedules")
    .query_some("namespace_id", session.list_namespace()?)
    .query_some("job_id", job)
    .query_some("name", args.name.as_ref())
    .query_some("status", args.status);
  let terms = vec![
    term("job", args.job.as_deref().map(|job| bare(Kind::Job, job))),
    term("name", args.name.as_ref()),
    term("state", args.status),
  ];
  rows::<ScheduleEntity>(session, narrowed(session, Kind::Schedule, call, terms)?, args.paging)
}

/// Tasks.
///
/// # Errors
/// When there is no client.
pub fn tasks(session: &Session, args: &TaskList) -> Result<Outcome, CtlError> {
  if let Some(parent) = &args.parent {
    if args.watching.goes_on() || session.filter()?.is_some() || session.global.sort.is_some() {
      return Err(CtlError::usage("--parent goes with neither --watch nor -F, -l or --sort"));
    }
    let call = Call::get("/tasks")
      .query_some("namespace_id", session.list_namespace()?)
      .query_some("parent_id", Some(parent));
    return rows::<TaskEntity>(session, call, args.paging);
  }
  let states = (!args.state.is_empty()).then(|| args.state.join(","));
  let job = args.job.as_deref().map(|job| bare(Kind::Job, job));
  let terms =
    vec![term("job", job), term("state", states.as_ref()), term("agent", args.agent.as_ref())];
  let narrows =
    args.watching.goes_on() || session.filter()?.is_some() || session.global.sort.is_some();
  if args.schedule.is_some() && narrows {
    return Err(CtlError::usage("--schedule goes with neither --watch nor -F, -l or --sort"));
  }
  if args.watching.goes_on() {
    return watched(session, Kind::Task, terms, (args.paging, &args.watching));
  }
  let call = Call::get("/tasks")
    .query_some("namespace_id", session.list_namespace()?)
    .query_some("job", args.job.as_deref().map(|job| bare(Kind::Job, job)))
    .query_some("schedule_id", args.schedule.as_ref())
    .query_some("status", states)
    .query_some("agent_id", args.agent.as_ref());
  rows::<TaskEntity>(session, narrowed(session, Kind::Task, call, terms)?, args.paging)
}

/// Agents.
///
/// # Errors
/// When there is no client.
pub fn agents(session: &Session, args: &AgentList) -> Result<Outcome, CtlError> {
  let terms = vec![term("state", args.status)];
  if args.watching.goes_on() {
    return watched(session, Kind::Agent, terms, (args.paging, &args.watching));
  }
  let call = Call::get("/agents").query_some("status", args.status);
  rows::<AgentEntity>(session, narrowed(session, Kind::Agent, call, terms)?, args.paging)
}

/// Attempts.
///
/// # Errors
/// When there is no client, or the task is not there.
pub async fn attempts(session: &Session, args: &AttemptList) -> Result<Outcome, CtlError> {
  let task = match &args.task {
    Some(task) => Some(get::task(session, task).await?.id),
    None => None,
  };
  let call = Call::get("/task-instances")
    .query_some("task_id", task)
    .query_some("job_id", args.job_id.as_ref())
    .query_some("agent_id", args.agent.as_ref());
  rows::<TaskInstanceEntity>(session, call, args.paging)
}

/// The attempts of a task.
///
/// # Errors
/// When the task is not there.
pub async fn attempts_of(session: &Session, task: &str) -> Result<Outcome, CtlError> {
  let task = get::task(session, task).await?;
  let call = Call::get(path_of(&["tasks", &task.id.to_string(), "instances"]));
  rows::<TaskInstanceEntity>(session, call, Paging { limit: 0 })
}

/// What a schedule has fired and skipped.
///
/// # Errors
/// When there is no client.
pub async fn fires(session: &Session, args: &FiresArgs) -> Result<Outcome, CtlError> {
  let schedule = get::schedule(session, &args.name.name).await?;
  let call = Call::get(path_of(&["schedules", &schedule.id.to_string(), "fires"]));
  rows::<FireEntity>(session, call, args.paging)
}

/// What an agent has.
///
/// # Errors
/// When there is no client.
pub fn agent_tasks(session: &Session, args: &Name) -> Result<Outcome, CtlError> {
  let call = Call::get(path_of(&["agents", bare(Kind::Agent, &args.name), "tasks"]));
  rows::<TaskEntity>(session, call, Paging { limit: 0 })
}

/// All of a list, up to a limit; pages are asked for as they are wanted.
///
/// # Errors
/// When there is no client.
pub fn rows<T>(session: &Session, call: Call, paging: Paging) -> Result<Outcome, CtlError>
where
  T: TableRow + DeserializeOwned + Send + 'static,
{
  let client = session.client()?.clone();
  let sorts_here = !SORTED_BY_SERVER.contains(&call.path());
  let left = if paging.limit == 0 { i64::MAX } else { i64::from(paging.limit) };
  let pages = stream::try_unfold(Some((client, call, None, left)), |state| async move {
    let Some((client, call, cursor, left)) = state else { return Ok(None) };
    let page = page::<T>(&client, &call, cursor, left).await?;
    let left = left - page.data.len() as i64;
    let rows = page.data.iter().map(Record::of).collect();
    let next = page.page.next_cursor;
    if left <= 0 || next.is_none() {
      return Ok(Some((Page { rows, next }, None)));
    }
    Ok(Some((Page { rows, next: None }, Some((client, call, next, left)))))
  });
  let mut rows = Rows::paged::<CtlError>(T::COLUMNS, pages);
  rows.sort_here = sorts_here;
  Ok(View::List(rows).into())
}

async fn page<T: DeserializeOwned>(
  client: &Client,
  call: &Call,
  cursor: Option<String>,
  left: i64,
) -> Result<ServerPage<T>, CtlError> {
  let next = call.clone().query("limit", left.min(PAGE_LIMIT_MAX)).query_some("cursor", cursor);
  client.fetch(next).await.map_err(|error| match call.query_text("filter") {
    Some(filter) => with_caret(call.path(), filter, error),
    None => error,
  })
}

/// The begin of a list in memory; 0 is all.
///
/// # Errors
/// What the server says.
pub async fn at_most<T: DeserializeOwned>(
  session: &Session,
  call: Call,
  limit: u32,
) -> Result<Vec<T>, CtlError> {
  begin_of(session.client()?, call, limit).await.map(|(all, _)| all)
}

/// The begin of a list in memory, and the cursor of what follows.
///
/// # Errors
/// What the server says.
pub async fn begin_of<T: DeserializeOwned>(
  client: &Client,
  call: Call,
  limit: u32,
) -> Result<(Vec<T>, Option<String>), CtlError> {
  let (mut all, mut cursor) = (Vec::new(), None);
  let mut left = if limit == 0 { i64::MAX } else { i64::from(limit) };
  while left > 0 {
    let part: ServerPage<T> = page(client, &call, cursor, left).await?;
    left -= part.data.len() as i64;
    all.extend(part.data);
    cursor = part.page.next_cursor;
    if cursor.is_none() {
      break;
    }
  }
  Ok((all, cursor))
}

/// All of a list in memory, for commands that need the whole.
///
/// # Errors
/// What the server says.
pub async fn everything<T: DeserializeOwned>(
  client: &Client,
  call: Call,
) -> Result<Vec<T>, CtlError> {
  let (mut all, mut cursor) = (Vec::new(), None);
  loop {
    let part: ServerPage<T> = page(client, &call, cursor, PAGE_LIMIT_MAX).await?;
    all.extend(part.data);
    cursor = part.page.next_cursor;
    if cursor.is_none() {
      return Ok(all);
    }
  }
}
