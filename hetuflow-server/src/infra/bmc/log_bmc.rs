//! `sched_log_chunk`: output as it was sent, addressed by its offset in the merged log.

use hetuflow_core::{TaskInstanceId, Ts};
use sea_query::Value;
use uuid::Uuid;

use super::hot;
use super::uuid as id_value;
use crate::infra::db::{Conn, DbError};

/// One chunk as it is stored.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct LogChunk {
  /// The attempt.
  pub instance_id: TaskInstanceId,
  /// Where its raw bytes begin in the merged log.
  pub log_offset: i64,
  /// Which stream.
  pub stream: i64,
  /// How the data is packed.
  pub codec: i64,
  /// Where they begin in their own stream.
  pub stream_offset: i64,
  /// How many raw bytes.
  pub raw_len: i64,
  /// When the last of them was read.
  pub at: Ts,
  /// The packed bytes.
  pub data: Vec<u8>,
}

/// Inserts chunks; one that is there already, from a resend, stays as it is.
///
/// # Errors
/// Any [`DbError`].
pub async fn insert(conn: &mut Conn, chunks: &[LogChunk]) -> Result<(), DbError> {
  if chunks.is_empty() {
    return Ok(());
  }
  if conn.is_sqlite() {
    return insert_sqlite(conn, chunks).await;
  }
  let sql = "insert into sched_log_chunk (instance_id, log_offset, stream, codec, stream_offset, \
      raw_len, at, data) \
    select * from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], \
      $6::bigint[], $7::timestamptz[], $8::bytea[]) on conflict do nothing";
  let pg = conn.pg().ok_or_else(hot::wrong_engine)?;
  sqlx::query(sql)
    .bind(chunks.iter().map(|c| c.instance_id.0).collect::<Vec<Uuid>>())
    .bind(chunks.iter().map(|c| c.log_offset).collect::<Vec<i64>>())
    .bind(chunks.iter().map(|c| c.stream).collect::<Vec<i64>>())
    .bind(chunks.iter().map(|c| c.codec).collect::<Vec<i64>>())
    .bind(chunks.iter().map(|c| c.stream_offset).collect::<Vec<i64>>())
    .bind(chunks.iter().map(|c| c.raw_len).collect::<Vec<i64>>())
    .bind(chunks.iter().map(|c| c.at).collect::<Vec<Ts>>())
    .bind(chunks.iter().map(|c| c.data.as_slice()).collect::<Vec<&[u8]>>())
    .execute(pg)
    .await?;
  conn.done();
  Ok(())
}

async fn insert_sqlite(conn: &mut Conn, chunks: &[LogChunk]) -> Result<(), DbError> {
  let sql = "insert into sched_log_chunk (instance_id, log_offset, stream, codec, \
      stream_offset, raw_len, at, data) values ($1, $2, $3, $4, $5, $6, $7, $8) \
    on conflict do nothing";
  let sqlite = conn.sqlite().ok_or_else(hot::wrong_engine)?;
  for chunk in chunks {
    sqlx::query(sql)
      .bind(chunk.instance_id.0)
      .bind(chunk.log_offset)
      .bind(chunk.stream)
      .bind(chunk.codec)
      .bind(chunk.stream_offset)
      .bind(chunk.raw_len)
      .bind(chunk.at)
      .bind(chunk.data.as_slice())
      .execute(&mut *sqlite)
      .await?;
  }
  conn.done();
  Ok(())
}

/// Reads chunks of an attempt from the one that holds `offset` on, in order.
///
/// # Errors
/// Any [`DbError`].
pub async fn list_from(
  conn: &mut Conn,
  instance: TaskInstanceId,
  offset: i64,
  limit: i64,
) -> Result<Vec<LogChunk>, DbError> {
  let sql = "select instance_id, log_offset, stream, codec, stream_offset, raw_len, at, data \
    from sched_log_chunk where instance_id = $1 \
      and log_offset >= coalesce((select max(log_offset) from sched_log_chunk \
        where instance_id = $1 and log_offset <= $2), 0) \
      and log_offset + raw_len > $2 \
    order by log_offset limit $3";
  let values = vec![id_value(instance.0), Value::BigInt(Some(offset)), Value::BigInt(Some(limit))];
  conn.fetch_sql(sql, values).await
}

/// Reads chunks of an attempt that begin behind an offset, in order, whatever they hold.
///
/// # Errors
/// Any [`DbError`].
pub async fn list_behind(
  conn: &mut Conn,
  instance: TaskInstanceId,
  offset: i64,
  limit: i64,
) -> Result<Vec<LogChunk>, DbError> {
  let sql = "select instance_id, log_offset, stream, codec, stream_offset, raw_len, at, data \
    from sched_log_chunk where instance_id = $1 and log_offset > $2 order by log_offset limit $3";
  let values = vec![id_value(instance.0), Value::BigInt(Some(offset)), Value::BigInt(Some(limit))];
  conn.fetch_sql(sql, values).await
}

/// How many bytes of an attempt's output are stored as chunks.
///
/// # Errors
/// Any [`DbError`].
pub async fn stored_bytes(conn: &mut Conn, instance: TaskInstanceId) -> Result<i64, DbError> {
  let sql = "select log_offset + raw_len from sched_log_chunk where instance_id = $1 \
    order by log_offset desc limit 1";
  let rows: Vec<crate::infra::db::Row1<i64>> =
    conn.fetch_sql(sql, vec![id_value(instance.0)]).await?;
  Ok(rows.first().map_or(0, |row| row.0))
}

/// The whole log of an ended attempt, where it is small: bytes, index, and when it ended.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct SmallLog {
  /// The bytes.
  pub output_tail: Option<Vec<u8>>,
  /// Which of them came from which stream.
  pub output_index: Option<String>,
  /// When the attempt ended.
  pub completed_at: Option<Ts>,
  /// Bytes of output in all.
  pub log_bytes: i64,
}

/// Reads the small log of an attempt; `None` while it has not ended.
///
/// # Errors
/// Any [`DbError`].
pub async fn small_log(
  conn: &mut Conn,
  instance: TaskInstanceId,
) -> Result<Option<SmallLog>, DbError> {
  let sql = "select output_tail, output_index, completed_at, log_bytes \
    from sched_task_instance where id = $1";
  let rows: Vec<SmallLog> = conn.fetch_sql(sql, vec![id_value(instance.0)]).await?;
  Ok(rows.into_iter().next())
}
