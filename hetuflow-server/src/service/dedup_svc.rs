//! Many requests as one task, decided under a unique key in one transaction.

use hetuflow_core::{
  Change, DEBOUNCE_LIMIT, Dedup, DedupMode, FieldError, Gate, KeyTemplate, LimitDemand, Subject,
  TaskId, Topic, Ts,
};
use serde_json::json;

use super::submit_svc::{created, tell_of_new};
use super::task_svc::TaskSvc;
use super::{SvcError, SvcResult};
use crate::infra::bmc::dedup_bmc::{self, DedupRow};
use crate::infra::bmc::event_bmc::{self, Journal};
use crate::infra::bmc::hot::{self, JobGuards, NewTask};
use crate::infra::db::{Conn, DbError};

/// How often a request tries a key that is forgotten under it.
const TRIES_MAX: usize = 3;

/// The value of the key of a request.
///
/// # Errors
/// `dedup.key` where its parameters do not give it.
pub(super) fn key_of(dedup: &Dedup, task: &NewTask) -> SvcResult<String> {
  let Some(text) = &dedup.key else { return Ok(String::new()) };
  let rendered =
    KeyTemplate::parse(text).and_then(|template| template.render(task.parameters.as_ref()));
  rendered.map_err(|why| {
    let rule = FieldError::new("dedup.key", "/dedup/key", why);
    SvcError::invalid(vec![rule.with_hint("give it with the parameters")])
  })
}

/// What became of a request; `None` in place of it: try again.
struct Decided {
  task: TaskId,
  /// It made no task of its own.
  joined: bool,
  /// The task that was made.
  made: Option<NewTask>,
}

impl TaskSvc {
  /// Makes a task for a request, or lets it join the one that is there. Returns the task, and
  /// whether it was there.
  ///
  /// # Errors
  /// Any.
  pub(super) async fn submit_as_one(
    &self,
    task: &NewTask,
    (dedup, guards): (&Dedup, &JobGuards),
  ) -> SvcResult<(TaskId, bool)> {
    let key = key_of(dedup, task)?;
    let mut decided = None;
    for _ in 0..TRIES_MAX {
      if task.idempotency_key.is_some() {
        let mut conn = self.store.read().await?;
        if let Some(known) = self.task_of_key(&mut conn, task).await? {
          return Ok((known, true));
        }
      }
      let mut tx = self.store.db.begin().await?;
      let outcome = match hot::check_jobs(&mut tx, guards).await {
        Ok(()) => decide(&mut tx, task.clone(), (dedup, &key)).await,
        Err(error) => Err(error),
      };
      match tx.end::<_, DbError>(outcome).await {
        Err(error) if error.is_retry() => {}
        // Another request took the key of this one in this moment.
        Err(DbError::Unique { .. }) if task.idempotency_key.is_some() => {}
        outcome => decided = outcome?,
      }
      if decided.is_some() {
        break;
      }
    }
    let busy = || SvcError::unavailable("too many requests with this key at once; try again");
    let decided = decided.ok_or_else(busy)?;
    if let Some(made) = &decided.made {
      tell_of_new(&self.store, std::slice::from_ref(made));
    } else if dedup.mode == DedupMode::Debounce {
      self.store.bus.admit.notify_one();
    }
    self.store.bus.events.notify_one();
    Ok((decided.task, decided.joined))
  }
}

async fn decide(
  tx: &mut Conn,
  mut task: NewTask,
  (dedup, key): (&Dedup, &str),
) -> Result<Option<Decided>, DbError> {
  let now = tx.now().await?;
  let first = first_row(dedup, &mut task, (key, now));
  let place = (task.job_id, key);
  if dedup_bmc::take(tx, place, &first).await? {
    return make(tx, task, now).await.map(Some);
  }
  // It may be forgotten in this moment: then the key is free.
  let Some(there) = dedup_bmc::lock(tx, place).await? else { return Ok(None) };
  let joined = match dedup.mode {
    DedupMode::Throttle => there.until_at > now,
    DedupMode::Debounce => {
      let at = now.plus(dedup.window_secs.0).min(there.first_at.plus(dedup.max_wait().0));
      let moved = dedup_bmc::move_held(tx, there.task_id, (&task, at), now).await?;
      if moved {
        let data =
          json!({ "eligible_at": at, "parameters": task.parameters, "by": task.created_by });
        let subject = Subject { kind: Topic::Task, id: there.task_id.to_string() };
        let mut journal = Journal::default();
        let event_type = "task.debounced".to_owned();
        journal.push(&task.namespace_id, Change { at: now, subject, event_type, data });
        event_bmc::append(tx, &journal, now).await?;
      }
      moved
    }
  };
  if joined {
    return Ok(Some(Decided { task: there.task_id, joined: true, made: None }));
  }
  dedup_bmc::replace(tx, place, &first).await?;
  make(tx, task, now).await.map(Some)
}

/// The row of a request that makes a task; a debounced one is held back.
fn first_row(dedup: &Dedup, task: &mut NewTask, (key, now): (&str, Ts)) -> DedupRow {
  let until_at = match dedup.mode {
    DedupMode::Throttle => now.plus(dedup.window_secs.0),
    DedupMode::Debounce => {
      task.scheduled_at = now.plus(dedup.window_secs.0);
      let mut demands = task.gate.take().map(|gate| gate.0).unwrap_or_default();
      let limit = format!("{DEBOUNCE_LIMIT}{}/{key}", task.job_id);
      demands.push(LimitDemand { limit, slots: 1, cap: None, rate: None });
      task.gate = Some(Gate(demands));
      now.plus(dedup.max_wait().0)
    }
  };
  DedupRow { task_id: task.id, first_at: now, until_at }
}

async fn make(tx: &mut Conn, task: NewTask, now: Ts) -> Result<Decided, DbError> {
  if !hot::enqueue(tx, std::slice::from_ref(&task), now).await?.contains(&task.id) {
    return Err(DbError::Unique { constraint: "idempotency_key".to_owned() });
  }
  let mut journal = Journal::default();
  journal.push(&task.namespace_id, created(&task, now));
  event_bmc::append(tx, &journal, now).await?;
  Ok(Decided { task: task.id, joined: false, made: Some(task) })
}
