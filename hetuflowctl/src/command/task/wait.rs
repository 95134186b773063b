//! `wait`: until tasks end, start, or are something else. One subscription serves all targets.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use hetuflow_core::{TaskEntity, TaskStatus};
use serde_json::json;

use super::{chosen, exit_code, sentence};
use crate::cli::{ExitStatus, Until, WaitArgs};
use crate::client::{Call, Client, CtlError, Exit, FeedItem, FeedStream};
use crate::command::expression::Expression;
use crate::command::names::with_suggestion;
use crate::command::object::Kind;
use crate::command::session::Session;
use crate::output::{Outcome, View};

/// One long poll; under the server's 60 s and under common proxy limits.
const POLL: Duration = Duration::from_secs(30);
/// A server that is away is looked for again after this.
const AWAY: Duration = Duration::from_secs(1);
/// A feed that ended is opened again after this.
const ENDED: Duration = Duration::from_millis(250);
/// Most tasks that a filter may choose.
const TARGETS_MAX: u32 = 1000;
/// Tasks that are read at the same time.
const AT_ONCE: usize = 16;

/// Waits.
///
/// # Errors
/// When a task is not there or the server refuses.
pub async fn run(session: &Session, args: &WaitArgs) -> Result<Outcome, CtlError> {
  let outcome = waited(session, args).await;
  match args.exit_status {
    Some(ExitStatus::Task) => outcome.map_err(CtlError::beside_a_task),
    _ => outcome,
  }
}

/// Whose exit code is handed back where nobody says: the task's own for one task that is waited for
/// to its end.
fn which(args: &WaitArgs, tasks: usize) -> ExitStatus {
  let own = tasks == 1 && !args.any && args.until == Until::Done;
  args.exit_status.unwrap_or(if own { ExitStatus::Task } else { ExitStatus::Simple })
}

async fn waited(session: &Session, args: &WaitArgs) -> Result<Outcome, CtlError> {
  let goal = Goal::new(&args.until)?;
  let tasks = chosen::tasks(session, &args.targets.targets, TARGETS_MAX).await?.tasks;
  let which = which(args, tasks.len());
  if which == ExitStatus::Task && tasks.len() > 1 {
    return Err(CtlError::usage("--exit-status task needs one target"));
  }
  if tasks.is_empty() {
    return Ok(Outcome::from(View::Nothing).note("nothing found"));
  }
  let words = match tasks.as_slice() {
    [one] => format!("waiting for task {}", one.id.short()),
    many => format!("waiting for {} tasks", many.len()),
  };
  session.goes_on("the tasks go on");
  let watch = Watch { client: session.client()?, goal, any: args.any, tasks };
  let tasks = session.progress().during(&words, watch.run()).await?;
  let exit = match which {
    ExitStatus::Task => exit_code(&tasks[0], which).exit,
    ExitStatus::Simple if args.any && tasks.iter().any(|task| as_wanted(task, &args.until)) => 0,
    ExitStatus::Simple if tasks.iter().all(|task| as_wanted(task, &args.until)) => 0,
    ExitStatus::Simple => Exit::TaskFailed as u8,
  };
  let mut outcome = Outcome::from(View::things(&tasks)).exit(exit);
  if let [one] = tasks.as_slice() {
    outcome = outcome.note(sentence(one));
  }
  Ok(outcome)
}

/// What each task must be; an end always ends the wait for it.
struct Goal {
  until: Until,
  expression: Option<Expression>,
}

impl Goal {
  fn new(until: &Until) -> Result<Self, CtlError> {
    let expression = match until {
      Until::Matches(text) => Some(Expression::parse(text)?),
      _ => None,
    };
    Ok(Self { until: until.clone(), expression })
  }

  fn is_met(&self, task: &TaskEntity) -> bool {
    let matched = || self.expression.as_ref().is_some_and(|wanted| wanted.matches(&json!(task)));
    task.status.is_final()
      || (self.until == Until::Running && task.started_at.is_some())
      || matched()
  }
}

struct Watch<'a> {
  client: &'a Client,
  goal: Goal,
  any: bool,
  tasks: Vec<TaskEntity>,
}

impl Watch<'_> {
  /// The tasks as they were when each met the goal; with `any` only those that did.
  async fn run(mut self) -> Result<Vec<TaskEntity>, CtlError> {
    while !self.is_over() {
      // What happens from here on is heard; what happened before is read.
      let mut feed = match self.subscribe().await {
        Ok(feed) => feed,
        Err(error) if is_passing(&error) => {
          tokio::time::sleep(AWAY).await;
          continue;
        }
        Err(error) => return Err(error),
      };
      let open: BTreeSet<String> = self.open().collect();
      if !self.refresh(&open).await? {
        continue;
      }
      while !self.is_over() {
        let changed = match feed.next().await? {
          Some(FeedItem::Frame(frame)) => {
            let open: BTreeSet<String> = self.open().collect();
            let ids = frame.events.into_iter().map(|change| change.subject.id);
            ids.filter(|id| open.contains(id)).collect()
          }
          Some(FeedItem::Tick(_)) => continue,
          Some(FeedItem::Resync(_)) => self.open().collect(),
          None => {
            tokio::time::sleep(ENDED).await;
            break;
          }
        };
        if !self.refresh(&changed).await? {
          break;
        }
      }
    }
    let goal = self.goal;
    let any = self.any;
    Ok(self.tasks.into_iter().filter(|task| !any || goal.is_met(task)).collect())
  }

  async fn subscribe(&self) -> Result<FeedStream, CtlError> {
    let first = &self.tasks[0].namespace_id;
    let one_namespace = self.tasks.iter().all(|task| task.namespace_id == *first);
    let call = Call::get("/events")
      .query("topics", "task")
      .query_some("namespace_id", one_namespace.then_some(first));
    FeedStream::open(self.client, call).await
  }

  fn is_over(&self) -> bool {
    let mut met = self.tasks.iter().map(|task| self.goal.is_met(task));
    if self.any { met.any(|met| met) } else { met.all(|met| met) }
  }

  /// The ids of those that have not met the goal.
  fn open(&self) -> impl Iterator<Item = String> {
    self.tasks.iter().filter(|task| !self.goal.is_met(task)).map(|task| task.id.to_string())
  }

  /// Reads some tasks again; `false` when the server is away.
  async fn refresh(&mut self, ids: &BTreeSet<String>) -> Result<bool, CtlError> {
    let client = self.client;
    let read = stream::iter(ids.iter().cloned())
      .map(|id| async move { client.task(&id, None).await })
      .buffer_unordered(AT_ONCE)
      .collect::<Vec<_>>()
      .await;
    for task in read {
      match task {
        Ok(task) => {
          if let Some(known) = self.tasks.iter_mut().find(|known| known.id == task.id) {
            *known = task;
          }
        }
        Err(error) if is_passing(&error) => {
          tokio::time::sleep(AWAY).await;
          return Ok(false);
        }
        Err(error) => return Err(error),
      }
    }
    Ok(true)
  }
}

fn is_passing(error: &CtlError) -> bool {
  error.is_unreachable() || error.exit == Exit::Overloaded as u8
}

fn as_wanted(task: &TaskEntity, until: &Until) -> bool {
  match until {
    // The default: any end ends the wait, and only success is 0.
    Until::Done | Until::Succeeded => task.status == TaskStatus::Succeeded,
    Until::Failed => task.status.is_final() && task.status != TaskStatus::Succeeded,
    Until::Running => task.started_at.is_some(),
    Until::Matches(text) => {
      Expression::parse(text).is_ok_and(|wanted| wanted.matches(&json!(task)))
    }
  }
}

/// Waits for the end of a task.
///
/// # Errors
/// When it is not there or the server stays away.
pub async fn until_final(session: &Session, target: &str) -> Result<TaskEntity, CtlError> {
  let client = session.client()?;
  // The first look settles which task is meant: job@latest may be another one later.
  let task = match client.task(target, None).await {
    Ok(task) => task,
    Err(error) => return Err(with_suggestion(session, Kind::Task, target, error).await),
  };
  if task.status.is_final() {
    return Ok(task);
  }
  poll_final(client, &task.id.to_string()).await
}

/// Polls until a task has ended; a server that is away for a while is waited for.
///
/// # Errors
/// When the task is not there, or the server refuses.
pub async fn poll_final(client: &Client, id: &str) -> Result<TaskEntity, CtlError> {
  loop {
    match client.task(id, Some(POLL)).await {
      Ok(task) if task.status.is_final() => return Ok(task),
      Ok(_) => tokio::time::sleep(Duration::from_millis(20)).await,
      Err(error) if is_passing(&error) => tokio::time::sleep(AWAY).await,
      Err(error) => return Err(error),
    }
  }
}
