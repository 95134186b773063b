//! What every use case holds: the store and the wakes; and one transaction with what it makes
//! known.

use std::sync::Arc;

use hetuflow_core::{Change, FieldError, NamespaceId, Subject, Topic, Ts};
use serde_json::Value;

use super::calendar_cache::CalendarCache;
use super::{SvcError, SvcResult};
use crate::infra::bmc::event_bmc::{self, Journal};
use crate::infra::bmc::hot::NewTask;
pub use crate::infra::bmc::{Cursor, PageArgs};
use crate::infra::bus::Bus;
use crate::infra::db::{Conn, Db};

/// The store and the wakes of this server. Cheap to clone.
#[derive(Clone)]
pub struct Store {
  /// The database.
  pub db: Db,
  /// The wakes.
  pub bus: Arc<Bus>,
  /// Calendars that were read.
  pub(super) calendars: Arc<CalendarCache>,
  /// Transactions are tried and undone.
  dry: bool,
}

impl Store {
  /// Puts the two together.
  pub fn new(db: Db, bus: Arc<Bus>) -> Self {
    Self { db, bus, calendars: Arc::default(), dry: false }
  }

  /// The same store; with `true` its [`Work`] is done, answered and undone, so that the asker hears
  /// what would be and nothing is.
  #[must_use]
  pub fn dry(&self, dry: bool) -> Self {
    Self { dry, ..self.clone() }
  }

  /// A connection for reading.
  ///
  /// # Errors
  /// 503 when none is free in time.
  pub async fn read(&self) -> SvcResult<Conn> {
    Ok(self.db.read().await?)
  }

  /// Begins a transaction, on the clock that decides. Dropping it rolls back.
  ///
  /// # Errors
  /// 503 when no connection is free in time.
  pub async fn work(&self) -> SvcResult<Work> {
    let mut tx = self.db.begin().await?;
    let now = match tx.now().await {
      Ok(now) => now,
      Err(error) => return tx.end(Err(SvcError::from(error))).await,
    };
    let (bus, calendars) = (Arc::clone(&self.bus), Arc::clone(&self.calendars));
    let journal = Journal::default();
    let (due, dry) = (Vec::new(), self.dry);
    Ok(Work {
      tx,
      now,
      calendars,
      bus,
      journal,
      replans: false,
      readmits: false,
      stops: false,
      due,
      dry,
    })
  }
}

/// One transaction: its connection, its instant, and the changes that its commit makes known.
pub struct Work {
  /// The connection.
  pub tx: Conn,
  /// The instant of all that it writes.
  pub now: Ts,
  /// Calendars that were read.
  pub(super) calendars: Arc<CalendarCache>,
  bus: Arc<Bus>,
  journal: Journal,
  replans: bool,
  readmits: bool,
  stops: bool,
  due: Vec<((i64, i64), Ts)>,
  dry: bool,
}

impl Work {
  /// Notes a change; it is told after the commit.
  pub fn note(
    &mut self,
    namespace: &NamespaceId,
    (kind, id): (Topic, String),
    event_type: &str,
    data: Value,
  ) {
    let subject = Subject { kind, id };
    let change = Change { at: self.now, subject, event_type: event_type.to_owned(), data };
    self.journal.push(namespace, change);
  }

  /// Notes changes that somebody has put together.
  pub fn tell_all(&mut self, journal: Journal) {
    self.journal.merge(journal);
  }

  /// A task was made: somebody hands it out, or lets it through first.
  pub fn task_due(&mut self, task: &NewTask) {
    self.readmits |= task.gate.is_some();
    self.due.push(((task.class_id, task.priority), task.eligible_at()));
  }

  /// A stop of something on an agent was stored.
  pub fn stopped(&mut self) {
    self.stops = true;
  }

  /// The planner must look again after the commit.
  pub fn replan(&mut self) {
    self.replans = true;
  }

  /// Limits may allow more after the commit.
  pub fn readmit(&mut self) {
    self.readmits = true;
  }

  /// Commits on `Ok` and wakes whoever must know; rolls back on `Err`.
  ///
  /// # Errors
  /// The given error, or that of the commit.
  pub async fn end<T>(mut self, outcome: SvcResult<T>) -> SvcResult<T> {
    if self.dry {
      self.roll_back().await;
      return outcome;
    }
    let outcome = match outcome {
      Ok(value) => event_bmc::append(&mut self.tx, &self.journal, self.now)
        .await
        .map(|()| value)
        .map_err(SvcError::from),
      Err(error) => Err(error),
    };
    let value = self.tx.end(outcome).await?;
    if !self.journal.is_empty() {
      self.bus.events.notify_waiters();
      // And once more for a reader that is just on its way to the wait.
      self.bus.events.notify_one();
    }
    if self.readmits {
      self.bus.admit.notify_one();
    }
    if !self.due.is_empty() {
      self.bus.tasks_due(self.due);
    }
    if self.stops {
      self.bus.control.notify_one();
      self.bus.remote.notify_one();
    }
    if self.replans {
      self.bus.plan.notify_one();
    }
    Ok(value)
  }

  /// Undoes everything.
  pub async fn roll_back(self) {
    let undone: SvcResult<()> = self.tx.end(Err(SvcError::unavailable("rolled back"))).await;
    drop(undone);
  }
}

/// Refuses names in an update mask that are no fields of the thing.
pub(super) fn check_mask(
  mask: Option<&[String]>,
  known: &[&'static str],
  errors: &mut Vec<FieldError>,
) {
  for (index, name) in mask.unwrap_or_default().iter().enumerate() {
    if !known.contains(&name.as_str()) {
      let shown: String = name.chars().take(40).flat_map(char::escape_default).collect();
      errors.push(
        FieldError::new(
          "update_mask.unknown",
          format!("/update_mask/{index}"),
          format!("\"{shown}\" is not a field that can be changed"),
        )
        .with_hint(format!("one of {}", known.join(", "))),
      );
    }
  }
}

/// The same broken rules, seen from one level further out.
pub(super) fn under(error: SvcError, prefix: &str) -> SvcError {
  match error {
    SvcError::Refused(mut response) => {
      response.errors = response.errors.into_iter().map(|rule| rule.under(prefix)).collect();
      SvcError::Refused(response)
    }
    error => error,
  }
}
