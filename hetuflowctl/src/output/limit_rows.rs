//! How limits stand in a table: semaphores, and who has slots of them.

use std::time::Duration;

use hetuflow_core::{LimitHolder, LimitUse, SemaphoreEntity, TaskId, Ts, format_duration};
use serde::Serialize;

use super::cell::Cell;
use super::view::{Column, TableRow};

impl TableRow for SemaphoreEntity {
  const KIND: &'static str = "semaphore";
  const COLUMNS: &'static [Column] = &[
    Column::new("SEMAPHORE"),
    Column::new("SLOTS"),
    Column::new("RATE"),
    Column::new("SET"),
    Column::new("BY"),
    Column::new("DESCRIPTION"),
    Column::wide("CREATED"),
    Column::wide("NAMESPACE"),
  ];
  fn reference(&self) -> String {
    self.name.clone()
  }
  fn cells(&self) -> Vec<Cell> {
    let rate = self.rate.zip(self.per_secs).map(|(rate, per)| {
      let per = Duration::try_from_secs_f64(per).unwrap_or_default();
      format!("{rate}/{}", format_duration(per))
    });
    vec![
      Cell::text(&self.name),
      Cell::maybe(self.slots, Cell::Number),
      Cell::maybe(rate, Cell::text),
      Cell::At(self.updated_at),
      Cell::maybe(self.updated_by.as_ref(), Cell::text),
      Cell::text(&self.description),
      Cell::At(self.created_at),
      Cell::text(self.namespace_id.as_str()),
    ]
  }
}

/// A task that has slots of a semaphore.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Holder {
  /// The value of the key.
  pub key: Option<String>,
  /// The task.
  pub task_id: TaskId,
  /// Its job's name.
  pub job_name: String,
  /// How many slots.
  pub slots: i64,
  /// Since when.
  pub taken_at: Ts,
}

impl Holder {
  /// One of those that a limit names.
  pub fn of(limit: &LimitUse, holder: &LimitHolder) -> Self {
    let LimitHolder { task_id, job_name, slots, taken_at } = holder.clone();
    Self { key: limit.key.clone(), task_id, job_name, slots, taken_at }
  }
}

impl TableRow for Holder {
  const KIND: &'static str = "task";
  const COLUMNS: &'static [Column] = &[
    Column::new("TASK"),
    Column::new("JOB"),
    Column::new("KEY"),
    Column::new("SLOTS"),
    Column::new("SINCE"),
  ];
  fn reference(&self) -> String {
    self.task_id.to_string()
  }
  fn cells(&self) -> Vec<Cell> {
    vec![
      Cell::text(self.task_id.short()),
      Cell::text(&self.job_name),
      Cell::maybe(self.key.as_ref(), Cell::text),
      Cell::Number(self.slots),
      Cell::At(self.taken_at),
    ]
  }
}
