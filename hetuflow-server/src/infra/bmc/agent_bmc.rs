//! `sched_agent`.

use hetuflow_core::{
  AgentCapabilities, AgentEntity, AgentFilter, AgentId, AgentStatus, Capacity, DrainThen, Labels,
  Page, ServerId, Ts,
};
use sea_query::{
  Expr, ExprTrait, LockType, OnConflict, Order, Query, SelectStatement, SimpleExpr, Value,
};
use serde_json::Value as Json;

use super::page::{PageArgs, by_name};
use super::sql_text::SqlText;
use super::{is, json, json_option, text, text_option, ts, ts_option};
use crate::infra::db::{Conn, DbError, Row1};

const TABLE: &str = "sched_agent";
const COLUMNS: [&str; 27] = [
  "id",
  "description",
  "status",
  "capabilities",
  "labels",
  "given_labels",
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
  "drain_since",
  "drain_deadline",
  "drain_reason",
  "drain_then",
  "drained_at",
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
      json(&row.given_labels).into(),
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
      ts_option(row.drain_since).into(),
      ts_option(row.drain_deadline).into(),
      text_option(row.drain_reason.as_deref()).into(),
      text_option(row.drain_then.map(DrainThen::as_str)).into(),
      ts_option(row.drained_at).into(),
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

/// Reads one and keeps others from changing it until this transaction is over.
///
/// # Errors
/// Any [`DbError`].
pub async fn lock(conn: &mut Conn, id: &AgentId) -> Result<Option<AgentEntity>, DbError> {
  let mut select = Query::select();
  select.columns(COLUMNS).from(TABLE).and_where(is("id", text(id)));
  hold(conn, &mut select);
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
    select.and_where(in_state(status));
  }
  by_name(conn, &mut select, page, "id", |row: &AgentEntity| row.id.to_string()).await
}

/// A state as people see it: what people did to an agent counts above what it does itself.
fn in_state(status: AgentStatus) -> SimpleExpr {
  let there =
    || Expr::col("status").is_not_in([text(AgentStatus::Offline), text(AgentStatus::Error)]);
  let drains = || Expr::col("drain_since").is_not_null().and(Expr::col("drained_at").is_null());
  match status {
    AgentStatus::Draining => there().and(drains()),
    AgentStatus::Cordoned => there().and(Expr::col("cordoned").eq(true)).and(drains().not()),
    AgentStatus::Online => {
      Expr::col("status").is_in([text(AgentStatus::Idle), text(AgentStatus::Busy)])
    }
    status => is("status", text(status)),
  }
}

/// A sign of life and what came with it.
#[derive(Debug, Clone, PartialEq)]
pub struct Heartbeat {
  /// The agent.
  pub id: AgentId,
  /// The epoch that it speaks for.
  pub agent_epoch: i64,
  /// The connection that it came over.
  pub connection_epoch: i64,
  /// What it is doing.
  pub status: AgentStatus,
  /// Load and health.
  pub statistics: Json,
  /// Its clock, where that can be believed.
  pub clock_offset_ms: Option<f64>,
  /// It has told a clock beyond belief, and nobody knows yet.
  pub clock_invalid: bool,
}

/// Notes a sign of life, if the agent is still in this epoch and on this connection.
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
    .and_where(is("agent_epoch", Value::BigInt(Some(beat.agent_epoch))))
    .and_where(is("connection_epoch", Value::BigInt(Some(beat.connection_epoch))))
    // The connection has ended since: what came over it before undoes nothing.
    .and_where(Expr::col("status").ne(text(AgentStatus::Disconnecting)));
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
  let mut select = Query::select();
  select
    .column("id")
    .from(TABLE)
    .and_where(Expr::col("status").ne(text(AgentStatus::Offline)))
    .and_where(Expr::col("last_heartbeat_at").lt(ts(before)));
  hold(conn, &mut select);
  let rows: Vec<Row1<AgentId>> = conn.fetch(&select).await?;
  let silent: Vec<AgentId> = rows.into_iter().map(|row| row.0).collect();
  if !silent.is_empty() {
    let mut update = Query::update();
    update
      .table(TABLE)
      .value("status", text(AgentStatus::Offline))
      .and_where(Expr::col("id").is_in(silent.iter().map(text)));
    conn.execute(&update).await?;
  }
  Ok(silent)
}

/// Keeps others from the rows of a select until the transaction is over; everybody takes them in
/// the same order.
fn hold(conn: &Conn, select: &mut SelectStatement) {
  // SQLite has one writer at a time anyway.
  if !conn.is_sqlite() {
    select.order_by("id", Order::Asc).lock(LockType::Update);
  }
}

/// Which of these agents are called offline; all of them keep their state until this transaction is
/// over, so that nobody calls one offline behind its back.
///
/// # Errors
/// Any [`DbError`].
pub async fn lock_offline(
  conn: &mut Conn,
  agents: impl IntoIterator<Item = &AgentId>,
) -> Result<Vec<AgentId>, DbError> {
  #[derive(sqlx::FromRow)]
  struct Row {
    id: AgentId,
    status: AgentStatus,
  }
  let mut select = Query::select();
  select.columns(["id", "status"]).from(TABLE);
  // All states are read, since a row is looked at again only where its first look has found it.
  select.and_where(Expr::col("id").is_in(agents.into_iter().map(text)));
  hold(conn, &mut select);
  let rows: Vec<Row> = conn.fetch(&select).await?;
  let offline = rows.into_iter().filter(|row| row.status == AgentStatus::Offline);
  Ok(offline.map(|row| row.id).collect())
}

/// The agents that are called offline; none of them comes back until this transaction is over.
///
/// # Errors
/// Any [`DbError`].
pub async fn lock_all_offline(conn: &mut Conn) -> Result<Vec<AgentId>, DbError> {
  let mut select = Query::select();
  select.column("id").from(TABLE).and_where(is("status", text(AgentStatus::Offline)));
  hold(conn, &mut select);
  let rows: Vec<Row1<AgentId>> = conn.fetch(&select).await?;
  Ok(rows.into_iter().map(|row| row.0).collect())
}

/// What people may change of an agent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AgentChange {
  /// Its note.
  pub description: Option<String>,
  /// The labels given to it, and what follows from them for selectors.
  pub labels: Option<(Labels, Labels)>,
}

/// Changes what a person may change.
///
/// # Errors
/// Any [`DbError`].
pub async fn update(
  conn: &mut Conn,
  id: &AgentId,
  change: &AgentChange,
  now: Ts,
) -> Result<bool, DbError> {
  let mut update = Query::update();
  update.table(TABLE).value("updated_at", ts(now)).and_where(is("id", text(id)));
  if let Some(description) = &change.description {
    update.value("description", text(description));
  }
  if let Some((given, effective)) = &change.labels {
    update.value("given_labels", json(given)).value("labels", json(effective));
  }
  Ok(conn.execute(&update).await? == 1)
}

/// Takes over what an agent says of itself between registrations.
///
/// # Errors
/// Any [`DbError`].
pub async fn set_capabilities(
  conn: &mut Conn,
  id: &AgentId,
  (capabilities, effective): (&AgentCapabilities, &Labels),
  now: Ts,
) -> Result<(), DbError> {
  let mut update = Query::update();
  update
    .table(TABLE)
    .value("capabilities", json(capabilities))
    .value("labels", json(effective))
    .value("updated_at", ts(now))
    .and_where(is("id", text(id)));
  conn.execute(&update).await.map(drop)
}

/// The labels of agents that were changed at or after this instant.
///
/// # Errors
/// Any [`DbError`].
pub async fn labels_since(conn: &mut Conn, since: Ts) -> Result<Vec<(AgentId, Labels)>, DbError> {
  #[derive(sqlx::FromRow)]
  struct Row {
    id: AgentId,
    #[sqlx(json)]
    labels: Labels,
  }
  let mut select = Query::select();
  select.columns(["id", "labels"]).from(TABLE).and_where(Expr::col("updated_at").gte(ts(since)));
  let rows: Vec<Row> = conn.fetch(&select).await?;
  Ok(rows.into_iter().map(|row| (row.id, row.labels)).collect())
}

/// What agents have in all, for tasks that ask for room; keeps others from asking until this
/// transaction is over.
///
/// # Errors
/// Any [`DbError`].
pub async fn lock_capacities(
  conn: &mut Conn,
  agents: &[&AgentId],
) -> Result<Vec<(AgentId, Capacity)>, DbError> {
  #[derive(sqlx::FromRow)]
  struct Row {
    id: AgentId,
    #[sqlx(json)]
    capabilities: AgentCapabilities,
    #[sqlx(json)]
    labels: Labels,
  }
  let mut sql = SqlText::new("select id, capabilities, labels from sched_agent where id in ");
  sql.bind_list(agents.iter().map(text)).push(" order by id");
  // SQLite has one writer at a time anyway.
  if !conn.is_sqlite() {
    sql.push(" for update");
  }
  let rows: Vec<Row> = sql.fetch(conn).await?;
  Ok(rows.into_iter().map(|row| (row.id, row.capabilities.capacity(&row.labels))).collect())
}

/// Makes an agent take nothing new, or lets it take again, which also ends a drain.
///
/// # Errors
/// Any [`DbError`].
pub async fn set_cordoned(conn: &mut Conn, id: &AgentId, cordoned: bool) -> Result<bool, DbError> {
  let mut update = Query::update();
  update.table(TABLE).value("cordoned", cordoned).and_where(is("id", text(id)));
  if !cordoned {
    update
      .value("drain_since", ts_option(None))
      .value("drain_deadline", ts_option(None))
      .value("drain_reason", text_option(None))
      .value("drain_then", text_option(None))
      .value("drained_at", ts_option(None));
  }
  Ok(conn.execute(&update).await? == 1)
}

/// Agents that were last heard of before an instant, are called offline and have nothing in hand.
///
/// # Errors
/// Any [`DbError`].
pub async fn list_forgotten(conn: &mut Conn, before: Ts) -> Result<Vec<AgentEntity>, DbError> {
  let columns = COLUMNS.join(", ");
  let sql = format!(
    "select {columns} from sched_agent where status = 'offline' \
      and coalesce(last_heartbeat_at, created_at) < $1 \
      and id not in (select agent_id from sched_task_hot where agent_id is not null) \
    order by id limit 1000"
  );
  conn.fetch_text(sql, vec![ts(before)]).await
}

/// Forgets an agent that is still as [`list_forgotten`] has found it.
///
/// # Errors
/// Any [`DbError`].
pub async fn delete_forgotten(conn: &mut Conn, id: &AgentId, before: Ts) -> Result<bool, DbError> {
  let sql = "delete from sched_agent where id = $1 and status = 'offline' \
    and coalesce(last_heartbeat_at, created_at) < $2 \
    and not exists (select 1 from sched_task_hot h where h.agent_id = $1)";
  Ok(conn.execute_sql(sql, vec![text(id), ts(before)]).await? == 1)
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
