//! `sched_agent`.

use hetuflow_core::{
  AgentEntity, AgentFilter, AgentForUpdate, AgentId, AgentStatus, Page, ServerId, Ts,
};
use sea_query::{Expr, ExprTrait, OnConflict, Query, Value};
use serde_json::Value as Json;

use super::page::{PageArgs, by_name};
use super::{FieldMask, is, json, json_option, text, text_option, ts, ts_option};
use crate::infra::db::{Conn, DbError, Row1};

const TABLE: &str = "sched_agent";
const COLUMNS: [&str; 21] = [
  "id",
  "description",
  "status",
  "capabilities",
  "labels",
  "namespaces",
  "statistics",
  "hostname",
  "os_info",
  "version",
  "boot_id",
  "journal_id",
  "agent_epoch",
  "connection_epoch",
  "server_id",
  "acked_seq",
  "clock_offset_ms",
  "cordoned",
  "last_heartbeat_at",
  "created_at",
  "updated_at",
];

/// Inserts an agent, or takes over what it says of itself on each registration.
///
/// # Errors
/// Any [`DbError`].
pub async fn register(conn: &mut Conn, row: &AgentEntity) -> Result<(), DbError> {
  let mut insert = Query::insert();
  insert
    .into_table(TABLE)
    .columns(COLUMNS)
    .values_panic([
      text(&row.id).into(),
      text(&row.description).into(),
      text(row.status).into(),
      json(&row.capabilities).into(),
      json(&row.labels).into(),
      json(&row.namespaces).into(),
      json_option(row.statistics.as_ref()).into(),
      text(&row.hostname).into(),
      text(&row.os_info).into(),
      text(&row.version).into(),
      text(&row.boot_id).into(),
      text(&row.journal_id).into(),
      row.agent_epoch.into(),
      row.connection_epoch.into(),
      text_option(row.server_id.as_ref().map(ServerId::as_str)).into(),
      row.acked_seq.into(),
      Value::Double(row.clock_offset_ms).into(),
      row.cordoned.into(),
      ts_option(row.last_heartbeat_at).into(),
      ts(row.created_at).into(),
      ts(row.updated_at).into(),
    ])
    .on_conflict(
      OnConflict::column("id")
        .update_columns([
          "status",
          "capabilities",
          "labels",
          "namespaces",
          "hostname",
          "os_info",
          "version",
          "boot_id",
          "journal_id",
          "agent_epoch",
          "connection_epoch",
          "server_id",
          "acked_seq",
          "last_heartbeat_at",
          "updated_at",
        ])
        .to_owned(),
    );
  conn.execute(&insert).await.map(drop)
}

/// Reads one.
///
/// # Errors
/// Any [`DbError`].
pub async fn get(conn: &mut Conn, id: &AgentId) -> Result<Option<AgentEntity>, DbError> {
  let mut select = Query::select();
  select.columns(COLUMNS).from(TABLE).and_where(is("id", text(id)));
  conn.fetch_optional(&select).await
}

/// Reads a page.
///
/// # Errors
/// Any [`DbError`].
pub async fn list(
  conn: &mut Conn,
  filter: &AgentFilter,
  page: &PageArgs,
) -> Result<Page<AgentEntity>, DbError> {
  let mut select = Query::select();
  select.columns(COLUMNS).from(TABLE);
  if let Some(status) = filter.status {
    select.and_where(is("status", text(status)));
  }
  by_name(conn, &mut select, page, "id", |row: &AgentEntity| row.id.to_string()).await
}

/// A sign of life and what came with it.
#[derive(Debug, Clone, PartialEq)]
pub struct Heartbeat {
  /// The agent.
  pub id: AgentId,
  /// The epoch that it speaks for.
  pub agent_epoch: i64,
  /// What it is doing.
  pub status: AgentStatus,
  /// Load and health.
  pub statistics: Json,
  /// Its clock, where that can be believed.
  pub clock_offset_ms: Option<f64>,
  /// It has told a clock beyond belief, and nobody knows yet.
  pub clock_invalid: bool,
}

/// Notes a sign of life, if the agent is still in this epoch.
///
/// # Errors
/// Any [`DbError`].
pub async fn heartbeat(
  conn: &mut Conn,
  beat: &Heartbeat,
  server: &ServerId,
  now: Ts,
) -> Result<bool, DbError> {
  let mut update = Query::update();
  update
    .table(TABLE)
    .value("status", text(beat.status))
    .value("statistics", json(&beat.statistics))
    .value("server_id", text(server))
    .value("last_heartbeat_at", ts(now))
    .and_where(is("id", text(&beat.id)))
    .and_where(is("agent_epoch", Value::BigInt(Some(beat.agent_epoch))));
  if let Some(offset) = beat.clock_offset_ms {
    update.value("clock_offset_ms", offset);
  }
  Ok(conn.execute(&update).await? == 1)
}

/// Notes up to which report an epoch is committed; never goes back.
///
/// # Errors
/// Any [`DbError`].
pub async fn set_acked(
  conn: &mut Conn,
  id: &AgentId,
  agent_epoch: i64,
  seq: i64,
) -> Result<(), DbError> {
  let sql = "update sched_agent set acked_seq = $1 \
    where id = $2 and agent_epoch = $3 and acked_seq < $1";
  let values = vec![Value::BigInt(Some(seq)), text(id), Value::BigInt(Some(agent_epoch))];
  conn.execute_sql(sql, values).await.map(drop)
}

/// Sets the state of an agent that is in this epoch.
///
/// # Errors
/// Any [`DbError`].
pub async fn set_status(
  conn: &mut Conn,
  id: &AgentId,
  connection_epoch: i64,
  status: AgentStatus,
) -> Result<bool, DbError> {
  let mut update = Query::update();
  update
    .table(TABLE)
    .value("status", text(status))
    .and_where(is("id", text(id)))
    .and_where(is("connection_epoch", Value::BigInt(Some(connection_epoch))));
  Ok(conn.execute(&update).await? == 1)
}

/// Marks those not heard of since `before` as offline, and names them.
///
/// # Errors
/// Any [`DbError`].
pub async fn mark_silent(conn: &mut Conn, before: Ts) -> Result<Vec<AgentId>, DbError> {
  let mut update = Query::update();
  update
    .table(TABLE)
    .value("status", text(AgentStatus::Offline))
    .and_where(Expr::col("status").ne(text(AgentStatus::Offline)))
    .and_where(Expr::col("last_heartbeat_at").lt(ts(before)))
    .returning_col("id");
  let rows: Vec<Row1<AgentId>> = conn.fetch(&update).await?;
  Ok(rows.into_iter().map(|row| row.0).collect())
}

/// The agents that are called offline.
///
/// # Errors
/// Any [`DbError`].
pub async fn list_offline(conn: &mut Conn) -> Result<Vec<AgentId>, DbError> {
  let mut select = Query::select();
  select.column("id").from(TABLE).and_where(is("status", text(AgentStatus::Offline)));
  let rows: Vec<Row1<AgentId>> = conn.fetch(&select).await?;
  Ok(rows.into_iter().map(|row| row.0).collect())
}

/// Changes what a person may change.
///
/// # Errors
/// Any [`DbError`].
pub async fn update(
  conn: &mut Conn,
  id: &AgentId,
  change: &AgentForUpdate,
  now: Ts,
) -> Result<bool, DbError> {
  let mut update = Query::update();
  update.table(TABLE).value("updated_at", ts(now)).and_where(is("id", text(id)));
  FieldMask::new(&mut update, change.update_mask.as_deref())
    .set("description", change.description.as_ref().map(text));
  Ok(conn.execute(&update).await? == 1)
}

/// Makes an agent take nothing new, or lets it take again.
///
/// # Errors
/// Any [`DbError`].
pub async fn set_cordoned(conn: &mut Conn, id: &AgentId, cordoned: bool) -> Result<bool, DbError> {
  let mut update = Query::update();
  update.table(TABLE).value("cordoned", cordoned).and_where(is("id", text(id)));
  Ok(conn.execute(&update).await? == 1)
}

/// The agents that take nothing new.
///
/// # Errors
/// Any [`DbError`].
pub async fn list_cordoned(conn: &mut Conn) -> Result<Vec<AgentId>, DbError> {
  let mut select = Query::select();
  select.column("id").from(TABLE).and_where(Expr::col("cordoned").eq(true));
  let rows: Vec<Row1<AgentId>> = conn.fetch(&select).await?;
  Ok(rows.into_iter().map(|row| row.0).collect())
}

/// Forgets an agent.
///
/// # Errors
/// Any [`DbError`].
pub async fn delete(conn: &mut Conn, id: &AgentId) -> Result<bool, DbError> {
  let mut delete = Query::delete();
  delete.from_table(TABLE).and_where(is("id", text(id)));
  Ok(conn.execute(&delete).await? == 1)
}
