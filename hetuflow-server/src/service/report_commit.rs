//! One group of reports in one transaction: fold, guard, write, and say what happened.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use hetuflow_core::{
  AgentId, FileFrame, InstanceEvent, OutputFrame, TaskId, TaskInstanceId, TaskInstanceStatus,
  TaskInstanceUpdate, TaskStatus, Ts, instance_transition,
};
use serde_json::json;

use super::attempt_end::{Ends, blank_end};
use super::report_clean::{clean_text, left_behind, progress_row};
use super::report_svc::{Group, Report};
use super::{JobCache, LiveAttempts, RefusedReport, RefusedReports, Store};
use crate::infra::bmc::hot::{self, DeadLetter, FinishedAttempt, HotRow, LiveRow};
use crate::infra::bmc::log_bmc::{self, LogChunk};
use crate::infra::bmc::{agent_bmc, artifact_content_bmc, event_bmc};
use crate::infra::db::{Conn, DbError};

/// Dead letters of one group at most; a hostile agent must not fill the store.
const DEAD_LETTERS_MAX: usize = 20;

/// What a commit needs.
pub(super) struct CommitContext {
  pub(super) store: Store,
  pub(super) jobs: Arc<JobCache>,
  pub(super) live: Arc<LiveAttempts>,
}

/// All that a group says of one attempt.
#[derive(Debug)]
struct Fold<'a> {
  agent: &'a AgentId,
  instance_id: TaskInstanceId,
  fence: i64,
  acknowledged: bool,
  started: Option<&'a TaskInstanceUpdate>,
  paused: Option<bool>,
  progress: Option<&'a TaskInstanceUpdate>,
  end: Option<&'a TaskInstanceUpdate>,
}

/// What a group says, sorted for writing.
#[derive(Default)]
struct Folded<'a> {
  tasks: BTreeMap<TaskId, Vec<Fold<'a>>>,
  chunks: Vec<LogChunk>,
  pieces: Vec<&'a FileFrame>,
  letters: Vec<DeadLetter>,
  refused: BTreeMap<&'a AgentId, RefusedReports>,
}

impl<'a> Folded<'a> {
  /// A report changes nothing: its agent is told.
  fn refuse(&mut self, code: &'static str, agent: &'a AgentId, update: &TaskInstanceUpdate) {
    let TaskInstanceUpdate { instance_id, task_id, fence, .. } = *update;
    let report = RefusedReport { code, instance_id, task_id, fence };
    self.refused.entry(agent).or_default().push(report);
  }

  /// As [`Folded::refuse`], and it is kept for people to look at.
  fn keep(&mut self, code: &'static str, agent: &'a AgentId, update: &TaskInstanceUpdate) {
    self.refuse(code, agent, update);
    if self.letters.len() < DEAD_LETTERS_MAX {
      self.letters.push(letter(code, agent, update));
    }
  }
}

/// Writes a group in one transaction and wakes whoever waits for it.
///
/// # Errors
/// Any [`DbError`]; then nothing is written.
pub(super) async fn commit(context: &CommitContext, group: &Group) -> Result<(), DbError> {
  let mut folded = fold(context, group);
  let grown: HashSet<TaskInstanceId> = folded.chunks.iter().map(|c| c.instance_id).collect();
  let mut tx = context.store.db.begin_hot().await?;
  let outcome = write(context, &mut tx, group, &mut folded).await;
  let ends = tx.end(outcome).await?;
  context.live.remove(ends.ended_attempts().iter().copied());
  context.store.bus.logs_grew(grown);
  ends.wake(&context.store);
  for (source, _) in group {
    if let Some(refused) = folded.refused.remove(&source.agent_id) {
      source.refused.add(refused);
    }
  }
  Ok(())
}

fn fold<'a>(context: &CommitContext, group: &'a Group) -> Folded<'a> {
  let mut folded = Folded::default();
  for (source, batches) in group {
    for item in batches.iter().flat_map(|batch| &batch.items) {
      match item {
        Report::Update(update) => fold_update(&mut folded, &source.agent_id, update),
        Report::Nothing => {}
        Report::File(frame) => folded.pieces.push(frame),
        Report::Chunk(frame) => {
          if context.live.belongs_to(frame.instance_id, &source.agent_id, frame.fence) {
            folded.chunks.push(chunk_row(frame));
          } else {
            tracing::debug!(instance.id = %frame.instance_id, agent.id = %source.agent_id,
              "output for an attempt that is not this agent's, or over");
          }
        }
      }
    }
  }
  folded
}

fn fold_update<'a>(folded: &mut Folded<'a>, agent: &'a AgentId, update: &'a TaskInstanceUpdate) {
  let lawful = match update.status {
    TaskInstanceStatus::Dispatched | TaskInstanceStatus::Running | TaskInstanceStatus::Paused => {
      true
    }
    status => status.is_final() && status != TaskInstanceStatus::Lost,
  };
  if !lawful {
    folded.keep("transition", agent, update);
    return;
  }
  let folds = folded.tasks.entry(update.task_id).or_default();
  let known = folds.iter().position(|fold| {
    fold.instance_id == update.instance_id && fold.fence == update.fence && fold.agent == agent
  });
  let index = known.unwrap_or_else(|| {
    folds.push(Fold {
      agent,
      instance_id: update.instance_id,
      fence: update.fence,
      acknowledged: false,
      started: None,
      paused: None,
      progress: None,
      end: None,
    });
    folds.len() - 1
  });
  let fold = &mut folds[index];
  match update.status {
    TaskInstanceStatus::Dispatched => fold.acknowledged = true,
    // Not a move: it only says how far it is.
    TaskInstanceStatus::Running if update.progress.is_some() && update.started_at_us.is_none() => {
      fold.progress = Some(update);
    }
    TaskInstanceStatus::Running => {
      if fold.paused == Some(true) {
        fold.paused = Some(false);
      }
      fold.started.get_or_insert(update);
    }
    TaskInstanceStatus::Paused => fold.paused = Some(true),
    _ => {
      fold.end.get_or_insert(update);
    }
  }
}

fn letter(kind: &'static str, agent: &AgentId, update: &TaskInstanceUpdate) -> DeadLetter {
  let data = json!({
    "task_id": update.task_id, "status": update.status, "fence": update.fence,
    "attempt": update.attempt, "timestamp": update.timestamp, "reason": update.reason,
  });
  DeadLetter { kind, agent_id: agent.clone(), instance_id: update.instance_id, data }
}

fn chunk_row(frame: &OutputFrame) -> LogChunk {
  LogChunk {
    instance_id: frame.instance_id,
    log_offset: i64::try_from(frame.offset).unwrap_or(i64::MAX),
    stream: i64::from(frame.stream.number()),
    codec: i64::from(frame.codec.number()),
    stream_offset: i64::try_from(frame.stream_offset).unwrap_or(i64::MAX),
    raw_len: i64::from(frame.raw_len),
    at: frame.at,
    data: frame.data.clone(),
  }
}

async fn write(
  context: &CommitContext,
  tx: &mut Conn,
  group: &Group,
  folded: &mut Folded<'_>,
) -> Result<Ends, DbError> {
  let now = context.store.db.now();
  let mut ends = Ends::default();
  // Agents before their tasks, and in one order, as everybody takes them.
  let mut sources: Vec<_> = group.iter().collect();
  sources.sort_by(|(one, _), (other, _)| one.agent_id.cmp(&other.agent_id));
  for (source, batches) in sources {
    if let Some(last) = batches.last() {
      let seq = i64::try_from(last.seq_last).unwrap_or(i64::MAX);
      agent_bmc::set_acked(tx, &source.agent_id, source.agent_epoch, seq).await?;
    }
  }
  log_bmc::insert(tx, &folded.chunks).await?;
  artifact_content_bmc::insert_pieces(tx, &mut folded.pieces).await?;
  write_starts(context, tx, folded, &mut ends, now).await?;
  write_sure_ends(context, tx, folded, &mut ends).await?;
  write_other_ends(context, tx, folded, &mut ends).await?;
  ends.write(tx, now).await?;
  hot::insert_dead_letters(tx, &folded.letters, now).await?;
  event_bmc::append(tx, &ends.journal, now).await?;
  Ok(ends)
}

/// Attempts that began and did not end in this group. Beginnings of those that did end are only
/// told in the journal.
async fn write_starts(
  context: &CommitContext,
  tx: &mut Conn,
  folded: &mut Folded<'_>,
  ends: &mut Ends,
  now: Ts,
) -> Result<(), DbError> {
  let mut rows = Vec::new();
  let mut stale = Vec::new();
  let mut holds = Vec::new();
  let mut progress = Vec::new();
  for (task_id, folds) in &folded.tasks {
    for fold in folds.iter().filter(|fold| fold.end.is_none()) {
      if !context.live.belongs_to(fold.instance_id, fold.agent, fold.fence) {
        stale.extend(fold.started.map(|update| (fold.agent, update)));
        continue;
      }
      if let Some(update) = fold.started {
        let started_at = started_at(update).unwrap_or(now);
        rows.push(LiveRow { task_id: *task_id, fence: fold.fence, started_at });
      } else if fold.acknowledged && fold.paused.is_none() {
        hot::mark_acknowledged(tx, *task_id, fold.fence, now).await?;
      }
      progress.extend(fold.progress.and_then(|update| progress_row(*task_id, update)));
      if fold.paused == Some(true) {
        holds.push((*task_id, fold.fence, fold.instance_id));
      }
    }
  }
  let moved = hot::mark_running(tx, &rows, now).await?;
  for row in &moved {
    note_start(ends, row, row.started_at.unwrap_or(now));
  }
  rows.retain(|row| !moved.iter().any(|moved| moved.task_id == row.task_id));
  write_holds(tx, ends, (&rows, &holds), now).await?;
  for told in hot::note_progress(tx, &progress, now).await? {
    let data = json!({
      "instance_id": told.instance_id, "progress": told.progress,
      "progress_note": told.progress_note,
    });
    ends.note(&told.namespace_id, told.task_id, "task.progress", data, now);
  }
  stale.into_iter().for_each(|(agent, update)| folded.refuse("stale", agent, update));
  Ok(())
}

/// Attempts that go on, `resumed`, and attempts that are held.
async fn write_holds(
  tx: &mut Conn,
  ends: &mut Ends,
  (resumed, held): (&[LiveRow], &[(TaskId, i64, TaskInstanceId)]),
  now: Ts,
) -> Result<(), DbError> {
  for row in resumed {
    if hot::mark_resumed(tx, row.task_id, row.fence, now).await? {
      let locked = hot::lock_rows(tx, &[row.task_id]).await?;
      if let Some(row) = locked.first() {
        let data = json!({"status": "running", "instance_id": row.instance_id});
        ends.note(&row.namespace_id, row.task_id, "task.resumed", data, now);
      }
    }
  }
  for (task_id, fence, instance_id) in held {
    if hot::mark_paused(tx, *task_id, *fence, now).await? {
      let locked = hot::lock_rows(tx, &[*task_id]).await?;
      if let Some(row) = locked.first() {
        let data =
          json!({"status": "paused", "instance_id": instance_id, "reason": row.stop_reason});
        ends.note(&row.namespace_id, *task_id, "task.paused", data, now);
      }
    }
  }
  Ok(())
}

fn note_start(ends: &mut Ends, row: &HotRow, started_at: Ts) {
  let data = json!({
    "status": "running", "job_id": row.job_id, "attempt": row.attempt,
    "instance_id": row.instance_id, "agent_id": row.agent_id, "started_at": started_at,
  });
  ends.note(&row.namespace_id, row.task_id, "task.running", data, started_at);
}

fn started_at(update: &TaskInstanceUpdate) -> Option<Ts> {
  if let Some(us) = update.started_at_us {
    return Some(Ts::from_micros(us));
  }
  (update.status == TaskInstanceStatus::Running).then(|| update.at())
}

/// Successes whose start is known: the live row is deleted under its guard, no decision is needed.
async fn write_sure_ends(
  context: &CommitContext,
  tx: &mut Conn,
  folded: &mut Folded<'_>,
  ends: &mut Ends,
) -> Result<(), DbError> {
  let mut sure = Vec::new();
  for (task_id, folds) in &folded.tasks {
    for fold in folds {
      let Some(end) = fold.end else { continue };
      let begun = end.started_at_us.is_some() || fold.started.is_some();
      if end.status == TaskInstanceStatus::Succeeded
        && begun
        && context.live.belongs_to(fold.instance_id, fold.agent, fold.fence)
      {
        sure.push((*task_id, fold.fence));
      }
    }
  }
  let gone = hot::delete_finished(tx, &sure).await?;
  for row in gone {
    let Some(folds) = folded.tasks.get_mut(&row.task_id) else { continue };
    let Some(at) = folds.iter().position(|fold| Some(fold.fence) == row.fence) else { continue };
    let fold = folds.swap_remove(at);
    if let Some(end) = finished(&row, &fold) {
      if matches!(row.status, TaskStatus::Locked | TaskStatus::Dispatched) {
        note_start(ends, &row, end.started_at.unwrap_or(end.completed_at));
      }
      ends.add_deleted(&row, end);
    }
  }
  Ok(())
}

/// All other ends: the live rows are locked and read first, then the tables decide.
async fn write_other_ends(
  context: &CommitContext,
  tx: &mut Conn,
  folded: &mut Folded<'_>,
  ends: &mut Ends,
) -> Result<(), DbError> {
  let tasks: Vec<TaskId> = folded
    .tasks
    .iter()
    .filter(|(_, folds)| folds.iter().any(|fold| fold.end.is_some()))
    .map(|(task, _)| *task)
    .collect();
  if tasks.is_empty() {
    return Ok(());
  }
  let rows: HashMap<TaskId, HotRow> =
    hot::lock_rows(tx, &tasks).await?.into_iter().map(|row| (row.task_id, row)).collect();
  let mut late = Vec::new();
  for task_id in tasks {
    for fold in folded.tasks.remove(&task_id).unwrap_or_default() {
      let Some(update) = fold.end else { continue };
      let Some(row) = rows.get(&task_id).filter(|row| row.fence == Some(fold.fence)) else {
        late.push((fold.agent, update));
        continue;
      };
      if row.agent_id.as_ref() != Some(fold.agent) {
        folded.keep("foreign", fold.agent, update);
        continue;
      }
      let Some(status) = lawful_end(row, &fold, update) else {
        folded.keep("transition", fold.agent, update);
        continue;
      };
      if let Some(mut end) = finished(row, &fold) {
        end.status = status;
        let waited = matches!(row.status, TaskStatus::Locked | TaskStatus::Dispatched);
        if let Some(started_at) = end.started_at.filter(|_| waited) {
          note_start(ends, row, started_at);
        }
        ends.add_locked(tx, &context.jobs, row, end).await?;
      }
    }
  }
  note_late(tx, late, folded).await
}

/// The end that the tables allow from where the attempt stands; `None` for an unlawful report.
///
/// An agent that stops because it was told to reports a cancel that nobody asked of the task
/// (`cancelled(agent_shutdown)`). Here alone it is known that nobody asked: for the task it is a
/// failure like any other, tried again where its job allows.
fn lawful_end(
  row: &HotRow,
  fold: &Fold<'_>,
  update: &TaskInstanceUpdate,
) -> Option<TaskInstanceStatus> {
  let mut at = match row.status {
    TaskStatus::Locked | TaskStatus::Dispatched => TaskInstanceStatus::Dispatched,
    TaskStatus::Running => TaskInstanceStatus::Running,
    TaskStatus::Paused => TaskInstanceStatus::Paused,
    _ => TaskInstanceStatus::Cancelling,
  };
  // What has ended by itself was started, whether or not somebody lived to tell when.
  let by_itself = matches!(
    update.status,
    TaskInstanceStatus::Succeeded | TaskInstanceStatus::Failed | TaskInstanceStatus::Timeout
  );
  let begun = by_itself || fold.started.is_some() || update.started_at_us.is_some();
  if at == TaskInstanceStatus::Dispatched && begun {
    at = TaskInstanceStatus::Running;
  }
  let reported = match update.status {
    TaskInstanceStatus::Cancelled if at == TaskInstanceStatus::Dispatched => {
      TaskInstanceStatus::NotStarted
    }
    TaskInstanceStatus::Cancelled if at != TaskInstanceStatus::Cancelling => {
      TaskInstanceStatus::Failed
    }
    status => status,
  };
  instance_transition(at, InstanceEvent::of_report(reported)?)
}

fn finished(row: &HotRow, fold: &Fold<'_>) -> Option<FinishedAttempt> {
  let update = fold.end?;
  let start = fold.started;
  let mut end = blank_end(row, fold.instance_id, update.status, update.at());
  end.started_at = started_at(update).or_else(|| start.and_then(started_at)).or(row.started_at);
  end.start_skew_us = update.start_skew_us.or(start.and_then(|update| update.start_skew_us));
  end.pid = update.pid.or(start.and_then(|update| update.pid)).map(i64::from);
  end.exit_code = update.exit_code.map(i64::from);
  end.signal = update.signal.map(i64::from);
  end.reason = update.reason.as_deref().map(clean_text);
  end.error_message = update.error_message.as_deref().map(clean_text);
  end.output_index = update.output_index.clone();
  end.metrics = update.metrics.as_ref().and_then(|used| serde_json::to_value(used).ok());
  end.output_tail = update.output_bytes().ok().flatten();
  let inline = end.output_tail.as_ref().map_or(0, Vec::len) as u64;
  end.log_bytes = i64::try_from(update.log_bytes.unwrap_or(inline)).unwrap_or(i64::MAX);
  end.left = left_behind(update);
  Some(end)
}

/// Tells resends of what is stored from reports that come too late, and keeps the latter.
async fn note_late<'a>(
  tx: &mut Conn,
  late: Vec<(&'a AgentId, &TaskInstanceUpdate)>,
  folded: &mut Folded<'a>,
) -> Result<(), DbError> {
  for (agent, update) in late {
    if !hot::attempt_is_stored(tx, update.instance_id, update.status).await? {
      folded.keep("stale", agent, update);
    }
  }
  Ok(())
}
