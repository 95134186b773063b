//! All SQL: one file per table, functions that take a connection, no decisions.

pub mod agent_bmc;
pub mod agent_command_bmc;
pub mod agent_drain_bmc;
pub mod ahead_bmc;
pub mod artifact_bmc;
pub mod artifact_content_bmc;
pub mod backfill_bmc;
pub mod broadcast_bmc;
pub mod calendar_bmc;
pub mod dedup_bmc;
pub mod event_bmc;
pub mod filter_sql;
pub mod fire_bmc;
pub mod freeze_bmc;
pub mod hot;
pub mod job_bmc;
pub mod limit_bmc;
pub mod log_bmc;
pub mod namespace_bmc;
mod page;
pub mod plan_bmc;
pub mod schedule_bmc;
pub mod secret_bmc;
pub mod semaphore_bmc;
pub mod server_bmc;
mod sql_text;
pub mod sticky_bmc;
pub mod task_bmc;
pub mod task_input_bmc;
pub mod task_instance_bmc;
pub mod task_mark_bmc;
pub mod token_bmc;
pub mod warning_bmc;
pub mod watch_agents;
pub mod watch_attempts;
pub mod watch_events;
pub mod watch_jobs;
pub mod watch_names;
pub mod watch_schedules;
pub mod watch_tasks;

pub use page::{Cursor, PageArgs};

use hetuflow_core::Ts;
use sea_query::{Expr, ExprTrait, SimpleExpr, UpdateStatement, Value};
use serde::Serialize;

/// A JSON parameter.
fn json<T: Serialize>(value: &T) -> Value {
  let value = serde_json::to_value(value).expect("models are plain data");
  Value::Json(Some(Box::new(value)))
}

/// A JSON parameter that may be null.
fn json_option<T: Serialize>(value: Option<&T>) -> Value {
  value.map_or(Value::Json(None), json)
}

/// An instant as a parameter.
fn ts(value: Ts) -> Value {
  Value::JiffTimestamp(Some(Box::new(value.instant())))
}

/// An instant that may be null.
fn ts_option(value: Option<Ts>) -> Value {
  Value::JiffTimestamp(value.map(|value| Box::new(value.instant())))
}

fn text(value: impl ToString) -> Value {
  Value::String(Some(value.to_string()))
}

fn text_option(value: Option<&str>) -> Value {
  Value::String(value.map(str::to_owned))
}

fn uuid(value: uuid::Uuid) -> Value {
  Value::Uuid(Some(value))
}

/// The fields of a partial update: what is given, and named by the mask where there is one.
struct FieldMask<'a> {
  statement: &'a mut UpdateStatement,
  mask: Option<&'a [String]>,
  changed: usize,
}

impl<'a> FieldMask<'a> {
  fn new(statement: &'a mut UpdateStatement, mask: Option<&'a [String]>) -> Self {
    Self { statement, mask, changed: 0 }
  }

  fn set(&mut self, column: &'static str, value: Option<Value>) -> &mut Self {
    let named = self.mask.is_none_or(|mask| mask.iter().any(|name| name == column));
    if let Some(value) = value
      && named
    {
      self.statement.value(column, value);
      self.changed += 1;
    }
    self
  }
}

/// `column = $n`.
fn is(column: &'static str, value: Value) -> SimpleExpr {
  Expr::col(column).eq(value)
}
