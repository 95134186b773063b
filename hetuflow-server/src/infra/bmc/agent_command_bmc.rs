//! `sched_agent_command`: orders to agents as a whole, carried by whichever server holds the
//! connection, and their answers.

use hetuflow_core::{AgentCommandEntity, AgentCommandState, AgentId, Ts};
use sea_query::Query;
use serde_json::Value as Json;
use uuid::Uuid;

use super::{is, json, json_option, text, text_option, ts, ts_option, uuid};
use crate::infra::db::{Conn, DbError};

const TABLE: &str = "sched_agent_command";
const COLUMNS: [&str; 11] = [
  "id",
  "agent_id",
  "command",
  "parameters",
  "state",
  "result",
  "message",
  "created_by",
  "created_at",
  "expires_at",
  "finished_at",
];

/// Commands that are carried in one turn.
const WAITING_MAX: u64 = 1000;

/// Inserts a command.
///
/// # Errors
/// Any [`DbError`].
pub async fn create(conn: &mut Conn, row: &AgentCommandEntity) -> Result<(), DbError> {
  let mut insert = Query::insert();
  insert.into_table(TABLE).columns(COLUMNS).values_panic([
    uuid(row.id).into(),
    text(&row.agent_id).into(),
    text(row.command).into(),
    json(&row.parameters).into(),
    text(row.state).into(),
    json_option(row.result.as_ref()).into(),
    text_option(row.message.as_deref()).into(),
    text(&row.created_by).into(),
    ts(row.created_at).into(),
    ts(row.expires_at).into(),
    ts_option(row.finished_at).into(),
  ]);
  conn.execute(&insert).await.map(drop)
}

/// Reads one.
///
/// # Errors
/// Any [`DbError`].
pub async fn get(conn: &mut Conn, id: Uuid) -> Result<Option<AgentCommandEntity>, DbError> {
  let mut select = Query::select();
  select.columns(COLUMNS).from(TABLE).and_where(is("id", uuid(id)));
  conn.fetch_optional(&select).await
}

/// Commands that wait to be sent, oldest first.
///
/// # Errors
/// Any [`DbError`].
pub async fn waiting(conn: &mut Conn) -> Result<Vec<AgentCommandEntity>, DbError> {
  let mut select = Query::select();
  select
    .columns(COLUMNS)
    .from(TABLE)
    .and_where(is("state", text(AgentCommandState::Waiting)))
    .order_by("id", sea_query::Order::Asc)
    .limit(WAITING_MAX);
  conn.fetch(&select).await
}

/// Takes a command that waits, so that it is sent once: whoever is told `true` sends it.
///
/// # Errors
/// Any [`DbError`].
pub async fn take(conn: &mut Conn, id: Uuid) -> Result<bool, DbError> {
  let sql = "update sched_agent_command set state = 'sent' where id = $1 and state = 'waiting'";
  Ok(conn.execute_sql(sql, vec![uuid(id)]).await? == 1)
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq)]
pub struct CommandEnd {
  /// The command.
  pub id: Uuid,
  /// How.
  pub state: AgentCommandState,
  /// What the agent answered.
  pub result: Option<Json>,
  /// Why it was not done.
  pub message: Option<String>,
}

/// Ends a command of this agent that has not ended. Returns whether it had not.
///
/// # Errors
/// Any [`DbError`].
pub async fn finish(
  conn: &mut Conn,
  agent: &AgentId,
  end: &CommandEnd,
  now: Ts,
) -> Result<bool, DbError> {
  let mut update = Query::update();
  update
    .table(TABLE)
    .value("state", text(end.state))
    .value("result", json_option(end.result.as_ref()))
    .value("message", text_option(end.message.as_deref()))
    .value("finished_at", ts(now))
    .and_where(is("id", uuid(end.id)))
    .and_where(is("agent_id", text(agent)))
    .and_where(sea_query::ExprTrait::is_null(sea_query::Expr::col("finished_at")));
  Ok(conn.execute(&update).await? == 1)
}

/// Drops commands that were asked for before an instant. Returns how many.
///
/// # Errors
/// Any [`DbError`].
pub async fn delete_before(conn: &mut Conn, before: Ts) -> Result<u64, DbError> {
  conn.execute_sql("delete from sched_agent_command where created_at < $1", vec![ts(before)]).await
}
