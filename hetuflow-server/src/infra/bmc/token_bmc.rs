//! `sched_token`.

use hetuflow_core::{AgentId, Page, TokenEntity, TokenId, Ts};
use sea_query::{Expr, ExprTrait, Query, Value};

use super::page::{PageArgs, by_id};
use super::{is, text, text_option, ts, ts_option, uuid};
use crate::infra::db::{Conn, DbError, Row1};

const TABLE: &str = "sched_token";
const COLUMNS: [&str; 11] = [
  "id",
  "name",
  "prefix",
  "kind",
  "role",
  "namespace_id",
  "agent_id",
  "expires_at",
  "last_used_at",
  "revoked_at",
  "created_at",
];

/// Inserts a token with the hash of its secret.
///
/// # Errors
/// Any [`DbError`].
pub async fn create(conn: &mut Conn, token: &TokenEntity, hash: &[u8]) -> Result<(), DbError> {
  let mut insert = Query::insert();
  insert.into_table(TABLE).columns(COLUMNS.into_iter().chain(["hash"])).values_panic([
    uuid(token.id.0).into(),
    text(&token.name).into(),
    text(&token.prefix).into(),
    text(token.kind).into(),
    text(token.role).into(),
    text_option(token.namespace_id.as_ref().map(|id| id.as_str())).into(),
    text_option(token.agent_id.as_ref().map(AgentId::as_str)).into(),
    ts_option(token.expires_at).into(),
    ts_option(token.last_used_at).into(),
    ts_option(token.revoked_at).into(),
    ts(token.created_at).into(),
    Value::Bytes(Some(hash.to_vec())).into(),
  ]);
  conn.execute(&insert).await.map(drop)
}

/// Reads the token whose secret has this hash.
///
/// # Errors
/// Any [`DbError`].
pub async fn get_by_hash(conn: &mut Conn, hash: &[u8]) -> Result<Option<TokenEntity>, DbError> {
  let mut select = Query::select();
  select.columns(COLUMNS).from(TABLE).and_where(is("hash", Value::Bytes(Some(hash.to_vec()))));
  conn.fetch_optional(&select).await
}

/// Reads a page.
///
/// # Errors
/// Any [`DbError`].
pub async fn list(conn: &mut Conn, page: &PageArgs) -> Result<Page<TokenEntity>, DbError> {
  let mut select = Query::select();
  select.columns(COLUMNS).from(TABLE);
  by_id(conn, &mut select, page, |row: &TokenEntity| row.id.0).await
}

/// How many tokens there are.
///
/// # Errors
/// Any [`DbError`].
pub async fn count(conn: &mut Conn) -> Result<i64, DbError> {
  let rows: Vec<Row1<i64>> = conn.fetch_sql("select count(*) from sched_token", Vec::new()).await?;
  Ok(rows.first().map_or(0, |row| row.0))
}

/// Notes that tokens were used at `now`, where the last note is older than `before`. Returns how
/// many notes were made.
///
/// # Errors
/// Any [`DbError`].
pub async fn note_use(
  conn: &mut Conn,
  tokens: impl IntoIterator<Item = TokenId>,
  (now, before): (Ts, Ts),
) -> Result<u64, DbError> {
  let mut update = Query::update();
  update
    .table(TABLE)
    .value("last_used_at", ts(now))
    .and_where(Expr::col("id").is_in(tokens.into_iter().map(|id| uuid(id.0))))
    .and_where(Expr::col("last_used_at").is_null().or(Expr::col("last_used_at").lt(ts(before))));
  conn.execute(&update).await
}

/// Revokes a token; returns whether there was a valid one.
///
/// # Errors
/// Any [`DbError`].
pub async fn revoke(conn: &mut Conn, id: TokenId, now: Ts) -> Result<bool, DbError> {
  let mut update = Query::update();
  update
    .table(TABLE)
    .value("revoked_at", ts(now))
    .and_where(is("id", uuid(id.0)))
    .and_where(Expr::col("revoked_at").is_null());
  Ok(conn.execute(&update).await? == 1)
}

/// Binds a token to the first agent that presents it; returns whether it is that agent's.
///
/// # Errors
/// Any [`DbError`].
pub async fn bind_agent(conn: &mut Conn, id: TokenId, agent: &AgentId) -> Result<bool, DbError> {
  let sql = "update sched_token set agent_id = $1 \
    where id = $2 and (agent_id is null or agent_id = $1)";
  Ok(conn.execute_sql(sql, vec![text(agent), uuid(id.0)]).await? == 1)
}
