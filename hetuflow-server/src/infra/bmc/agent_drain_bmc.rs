//! Drains of `sched_agent`: how one begins and ends.

use hetuflow_core::{AgentId, DrainThen, Ts};
use sea_query::Query;

use super::{is, text, text_option, ts, ts_option};
use crate::infra::db::{Conn, DbError};

const TABLE: &str = "sched_agent";

/// A drain, as it is begun.
#[derive(Debug, Clone, PartialEq)]
pub struct Drain {
  /// When it was asked for.
  pub since: Ts,
  /// Until when what runs may take.
  pub deadline: Option<Ts>,
  /// What becomes of it then.
  pub then: DrainThen,
  /// Why.
  pub reason: Option<String>,
}

/// Begins a drain, in place of an earlier one.
///
/// # Errors
/// Any [`DbError`].
pub async fn begin_drain(conn: &mut Conn, id: &AgentId, drain: &Drain) -> Result<bool, DbError> {
  let mut update = Query::update();
  update
    .table(TABLE)
    .value("cordoned", true)
    .value("drain_since", ts(drain.since))
    .value("drain_deadline", ts_option(drain.deadline))
    .value("drain_reason", text_option(drain.reason.as_deref()))
    .value("drain_then", text(drain.then))
    .value("drained_at", ts_option(None))
    .and_where(is("id", text(id)));
  Ok(conn.execute(&update).await? == 1)
}

/// A drain that is not over.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct OpenDrain {
  /// The agent.
  pub id: AgentId,
  /// When it was asked for.
  pub drain_since: Ts,
  /// Until when what runs may take.
  pub drain_deadline: Option<Ts>,
  /// What becomes of it then.
  pub drain_then: Option<DrainThen>,
}

/// The drains that are not over.
///
/// # Errors
/// Any [`DbError`].
pub async fn open_drains(conn: &mut Conn) -> Result<Vec<OpenDrain>, DbError> {
  let sql = "select id, drain_since, drain_deadline, drain_then from sched_agent \
    where drain_since is not null and drained_at is null order by id";
  conn.fetch_sql(sql, Vec::new()).await
}

/// Ends a drain, if it is still this one. Whoever is told `true` says so.
///
/// # Errors
/// Any [`DbError`].
pub async fn end_drain(conn: &mut Conn, drain: &OpenDrain, now: Ts) -> Result<bool, DbError> {
  let sql = "update sched_agent set drained_at = $1 \
    where id = $2 and drain_since = $3 and drained_at is null";
  let values = vec![ts(now), text(&drain.id), ts(drain.drain_since)];
  Ok(conn.execute_sql(sql, values).await? == 1)
}
