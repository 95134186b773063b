//! Rows of the journal, newest first, with names instead of ids.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use hetuflow_core::{
  Change, EventRow, FilterScope, JobId, NamespaceId, ScheduleId, TaskId, Topic, Ts,
};

use super::answer::Found;
use super::hub::Counts;
use super::question::Question;
use super::words::{clip, end_words, progress_words};
use crate::infra::bmc::event_bmc::EventBatch;
use crate::infra::bmc::watch_events;
use crate::infra::db::Conn;
use crate::service::SvcResult;
use crate::service::row_match::Wanted;

/// Journal rows read in one go.
const BATCHES: u64 = 50;
/// Journal rows looked at for one window.
const BATCHES_MAX: u64 = 2000;
/// Changes that a filter looks at.
const FILTERED_MAX: usize = 20_000;
/// Names that one statement asks for.
const NAMES_PER_STATEMENT: usize = 1000;
/// Changes looked at for one window.
const CHANGES_MAX: usize = 50_000;

/// A window of events.
///
/// # Errors
/// Any database error.
pub(super) async fn find(
  conn: &mut Conn,
  question: &Question,
  (seq, now): (i64, Ts),
  counts: &mut Counts,
) -> SvcResult<Found> {
  let wanted = Wanted::read(&question.filter, &question.sort, FilterScope::Events)?;
  let namespace = question.namespace.as_ref();
  let most = usize::try_from(question.from + question.len).unwrap_or(usize::MAX);
  let (rows, matched) = if wanted.filter.is_empty() {
    (newest(conn, namespace, (seq, most), |_| true).await?, None)
  } else {
    filtered_rows(conn, namespace, (seq, now), &wanted).await?
  };
  let mut rows = question.cut(rows);
  name(conn, &mut rows).await?;
  let fresh = counts.fresh();
  let total = match fresh {
    Some((_, total)) => total,
    None => {
      let began = Instant::now();
      let total = watch_events::total(conn, namespace).await?;
      counts.keep((total, total), began);
      total
    }
  };
  let mut found = Found::rows(&rows).counted(matched.unwrap_or(total), total);
  found.ages = fresh.is_some() || wanted.filter.ages();
  Ok(found)
}

/// Rows of the newest part of the journal that a filter lets through, and how many. Names are put in
/// before a filter looks at them.
async fn filtered_rows(
  conn: &mut Conn,
  namespace: Option<&NamespaceId>,
  (seq, now): (i64, Ts),
  wanted: &Wanted,
) -> SvcResult<(Vec<EventRow>, Option<u64>)> {
  let mut rows = newest(conn, namespace, (seq, FILTERED_MAX), |_| true).await?;
  for part in rows.chunks_mut(NAMES_PER_STATEMENT) {
    name(conn, part).await?;
  }
  rows.retain(|row| wanted.fits(row, now));
  let matched = rows.len() as u64;
  Ok((rows, Some(matched)))
}

/// The newest changes that are wanted, newest first, from a bounded part of the journal; their names
/// are still ids.
///
/// # Errors
/// Any database error.
pub(super) async fn newest(
  conn: &mut Conn,
  namespace: Option<&NamespaceId>,
  (upto, most): (i64, usize),
  wanted: impl Fn(&EventRow) -> bool,
) -> SvcResult<Vec<EventRow>> {
  let (mut rows, mut upto) = (Vec::new(), upto);
  let (mut read, mut seen) = (0, 0);
  while rows.len() < most && read < BATCHES_MAX && seen < CHANGES_MAX {
    let batches = watch_events::list_before(conn, namespace, (upto, BATCHES)).await?;
    let Some(last) = batches.last() else { break };
    upto = last.seq - 1;
    read += batches.len() as u64;
    for batch in batches {
      seen += batch.changes.len();
      rows.extend(rows_of(batch).into_iter().filter(|row| wanted(row)));
    }
  }
  rows.truncate(most);
  Ok(rows)
}

/// The changes of one journal row, newest first.
fn rows_of(batch: EventBatch) -> Vec<EventRow> {
  let EventBatch { seq, namespace_id, changes } = batch;
  let rows = changes.into_iter().enumerate().rev().map(|(index, change)| EventRow {
    seq,
    index: u32::try_from(index).unwrap_or(u32::MAX),
    namespace_id: namespace_id.clone(),
    name: change.subject.id.clone(),
    detail: detail(&change),
    change,
  });
  rows.collect()
}

/// What a change says, in a few words.
fn detail(change: &Change) -> String {
  let data = &change.data;
  let text = |name: &str| data[name].as_str();
  if change.subject.kind == Topic::Task {
    let agent = text("agent_id").map(|agent| format!("on {agent}")).unwrap_or_default();
    let end = end_words(data["exit_code"].as_i64(), data["signal"].as_i64(), text("reason"), None);
    let far = progress_words(data["progress"].as_f64(), text("progress_note"));
    let words = [agent, far, end].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>();
    return clip(&words.join(": "));
  }
  let Some(fields) = data.as_object() else { return String::new() };
  let plain = fields.iter().filter(|(name, value)| {
    !name.ends_with("_id") && *name != "id" && (value.is_string() || value.is_number())
  });
  let words = plain.take(4).map(|(name, value)| match value.as_str() {
    Some(text) => format!("{name}={text}"),
    None => format!("{name}={value}"),
  });
  clip(&words.collect::<Vec<_>>().join(" "))
}

/// Puts names in the place of ids.
///
/// # Errors
/// Any database error.
pub(super) async fn name(conn: &mut Conn, rows: &mut [EventRow]) -> SvcResult<()> {
  let ids = |topic: Topic| -> HashSet<&str> {
    let of = rows.iter().filter(|row| row.change.subject.kind == topic);
    of.map(|row| row.change.subject.id.as_str()).collect()
  };
  let tasks: Vec<TaskId> = ids(Topic::Task).into_iter().filter_map(|id| id.parse().ok()).collect();
  let jobs: Vec<JobId> = ids(Topic::Job).into_iter().filter_map(|id| id.parse().ok()).collect();
  let schedules = ids(Topic::Schedule);
  let schedules: Vec<ScheduleId> = schedules.into_iter().filter_map(|id| id.parse().ok()).collect();
  let mut names: HashMap<String, String> = HashMap::new();
  if !tasks.is_empty() {
    for (id, job) in watch_events::job_names_of_tasks(conn, &tasks).await? {
      names.insert(id.to_string(), format!("{job}/{}", id.short()));
    }
  }
  if !jobs.is_empty() {
    let found = watch_events::job_names(conn, &jobs).await?;
    names.extend(found.into_iter().map(|(id, name)| (id.to_string(), name)));
  }
  if !schedules.is_empty() {
    let found = watch_events::schedule_names(conn, &schedules).await?;
    names.extend(found.into_iter().map(|(id, name)| (id.to_string(), name)));
  }
  for row in rows {
    let told = row.change.data["name"].as_str();
    if let Some(name) = names.get(&row.name).map(String::as_str).or(told) {
      row.name = name.to_owned();
    } else if let Ok(id) = row.name.parse::<TaskId>() {
      row.name = id.short();
    }
  }
  Ok(())
}
