//! `queue`: what waits, and why.

use std::time::Duration;

use hetuflow_core::{Overview, Page, TaskEntity, TaskStatus, Ts};
use serde_json::json;

use super::filter_text::term;
use super::live;
use super::object::{Kind, list};
use super::session::Session;
use crate::cli::{QueueStuck, QueueVerb};
use crate::client::{Call, CtlError, Exit};
use crate::output::{
  Outcome, Page as Part, Record, Rows, TableRow as _, View, relative, show_duration,
};

/// Waiting tasks that are looked through for the oldest ones.
const LOOKED_AT: u32 = 20_000;

/// Runs a verb.
///
/// # Errors
/// What the server says.
pub async fn run(session: &Session, verb: &QueueVerb) -> Result<Outcome, CtlError> {
  match verb {
    QueueVerb::Status => status(session).await,
    QueueVerb::Pending(paging) => {
      let call = waiting(session)?;
      list::rows::<TaskEntity>(session, call, *paging)
    }
    QueueVerb::Stuck(args) => stuck(session, args).await,
    QueueVerb::Oldest(paging) => {
      let limit = if paging.limit == 0 { usize::MAX } else { paging.limit as usize };
      let mut tasks = oldest_first(session).await?;
      tasks.truncate(limit);
      Ok(shown(&tasks))
    }
  }
}

fn waiting(session: &Session) -> Result<Call, CtlError> {
  let states = "pending,blocked,waiting_retry";
  let call = Call::get("/tasks")
    .query_some("namespace_id", session.list_namespace()?)
    .query("status", states);
  list::narrowed(session, Kind::Task, call, vec![term("state", Some(states))])
}

fn shown(tasks: &[TaskEntity]) -> Outcome {
  let page = Part { rows: tasks.iter().map(Record::of).collect(), next: None };
  let pages = futures_util::stream::iter([Ok::<_, CtlError>(page)]);
  let mut rows = Rows::paged(TaskEntity::COLUMNS, pages);
  rows.sort_here = true;
  View::List(rows).into()
}

/// Tasks that are due, the longest waiting first.
async fn oldest_first(session: &Session) -> Result<Vec<TaskEntity>, CtlError> {
  let call = waiting(session)?;
  let mut tasks: Vec<TaskEntity> = list::at_most(session, call, LOOKED_AT).await?;
  if tasks.len() == LOOKED_AT as usize {
    session.look.warn(format!("only the newest {LOOKED_AT} waiting tasks were looked at"));
  }
  let now = Ts::now();
  tasks.retain(|task| due(task) <= now);
  tasks.sort_by_key(due);
  Ok(tasks)
}

fn due(task: &TaskEntity) -> Ts {
  task.eligible_at.unwrap_or(task.scheduled_at).max(task.created_at)
}

/// Tasks that have been due for long.
async fn stuck(session: &Session, args: &QueueStuck) -> Result<Outcome, CtlError> {
  let limit = Ts::now().minus(args.after);
  let mut tasks = oldest_first(session).await?;
  tasks.retain(|task| task.status != TaskStatus::Blocked && due(task) <= limit);
  if tasks.is_empty() {
    let words = hetuflow_core::format_duration(args.after);
    return Ok(shown(&tasks).note(format!("nothing has waited longer than {words}")));
  }
  let outcome = shown(&tasks);
  Ok(if args.exit_code { outcome.exit(Exit::Failure as u8) } else { outcome })
}

async fn status(session: &Session) -> Result<Outcome, CtlError> {
  let client = session.client()?;
  let mut counts = Vec::new();
  for state in ["pending", "blocked", "waiting_retry", "doing"] {
    let call = Call::get("/tasks")
      .query_some("namespace_id", session.list_namespace()?)
      .query("status", state)
      .query("limit", 1000);
    let page: Page<TaskEntity> = client.fetch(call).await?;
    counts.push((state, page.data.len(), page.page.next_cursor.is_some()));
  }
  let oldest = oldest_first(session).await?.into_iter().next();
  let mut text = String::new();
  for (state, count, more) in &counts {
    text.push_str(&format!("{count:>7}{} {state}\n", if *more { "+" } else { " " }));
  }
  if let Some(task) = &oldest {
    let (id, since) = (task.id.short(), relative(due(task), session.look.now));
    text.push_str(&format!("oldest due task: {id} of {}, due {since}\n", task.job_name));
  }
  let overview = overview(session).await;
  if let Some(overview) = &overview {
    let (used, all) = (overview.slots_used, overview.slots);
    text.push_str(&format!("slots: {used} of {all} in use\n"));
    let wait = Duration::from_secs_f64(overview.wait.p95.max(0.0) / 1e3);
    text.push_str(&format!("wait p95: {}\n", show_duration(wait)));
    for one in overview.attention.iter().filter(|one| one.code.contains("queue")) {
      text.push_str(&format!("{}: {}\n", one.severity, crate::output::visible(&one.message)));
    }
  }
  let counts: serde_json::Map<_, _> =
    counts.iter().map(|(state, count, _)| ((*state).to_owned(), json!(count))).collect();
  let value = json!({
    "counts": counts, "oldest": oldest,
    "slots_used": overview.as_ref().map(|all| all.slots_used),
    "slots": overview.as_ref().map(|all| all.slots),
    "wait_ms": overview.as_ref().map(|all| all.wait),
  });
  Ok(View::text(text, value).into())
}

/// The first screen, where the server has one.
async fn overview(session: &Session) -> Option<Overview> {
  let frame = live::overview(session).await.ok()?;
  serde_json::from_value(frame.object?).ok()
}
