//! `task count`.

use std::collections::BTreeMap;

use futures_util::stream;
use hetuflow_core::{PAGE_LIMIT_MAX, Page as ServerPage, TaskEntity};
use serde::Serialize;

use crate::cli::{CountArgs, CountBy};
use crate::client::{Call, CtlError};
use crate::command::filter_text::term;
use crate::command::object::{Kind, list};
use crate::command::session::Session;
use crate::output::{Cell, Column, Outcome, Page, Record, Rows, TableRow, View};

/// How many tasks share something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Count {
  key: String,
  count: u64,
}

impl TableRow for Count {
  const KIND: &'static str = "count";
  const COLUMNS: &'static [Column] = &[Column::new("KEY"), Column::new("COUNT")];
  fn reference(&self) -> String {
    self.key.clone()
  }
  fn cells(&self) -> Vec<Cell> {
    let count = i64::try_from(self.count).unwrap_or(i64::MAX);
    vec![Cell::State(self.key.clone()), Cell::Number(count)]
  }
}

/// Counts tasks, page by page.
///
/// # Errors
/// What the server says.
pub async fn run(session: &Session, args: &CountArgs) -> Result<Outcome, CtlError> {
  let call = Call::get("/tasks")
    .query_some("namespace_id", session.list_namespace()?)
    .query_some("job", args.job.as_ref());
  let call = list::narrowed(session, Kind::Task, call, vec![term("job", args.job.as_ref())])?;
  let counted = session.progress().during("counting tasks", count(session, args, call)).await?;
  let mut counts: Vec<Count> =
    counted.into_iter().map(|(key, count)| Count { key, count }).collect();
  counts.sort_by_key(|one| std::cmp::Reverse(one.count));
  let page = Page { rows: counts.iter().map(Record::of).collect(), next: None };
  let mut rows = Rows::paged::<CtlError>(Count::COLUMNS, stream::iter([Ok(page)]));
  rows.sort_here = true;
  Ok(View::List(rows).into())
}

async fn count(
  session: &Session,
  args: &CountArgs,
  call: Call,
) -> Result<BTreeMap<String, u64>, CtlError> {
  let mut counts = BTreeMap::new();
  let mut cursor = None;
  loop {
    let call = call.clone().query("limit", PAGE_LIMIT_MAX).query_some("cursor", cursor);
    let page: ServerPage<TaskEntity> = session.client()?.fetch(call).await?;
    for task in &page.data {
      // Newest first: everything after an older one is older.
      if args.since.is_some_and(|since| task.created_at < since) {
        return Ok(counts);
      }
      *counts.entry(key(task, args.by)).or_default() += 1;
    }
    cursor = page.page.next_cursor;
    if cursor.is_none() {
      return Ok(counts);
    }
  }
}

fn key(task: &TaskEntity, by: CountBy) -> String {
  let none = || "none".to_owned();
  match by {
    CountBy::Job => task.job_name.clone(),
    CountBy::State => task.status.to_string(),
    CountBy::Agent => task.agent_id.as_ref().map_or_else(none, ToString::to_string),
    CountBy::Exit => match (task.signal, task.exit_code) {
      (Some(signal), _) => format!("signal {signal}"),
      (None, Some(code)) => code.to_string(),
      (None, None) => none(),
    },
  }
}
