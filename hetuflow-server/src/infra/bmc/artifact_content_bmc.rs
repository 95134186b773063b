//! `sched_artifact_content` and `sched_artifact_chunk`: the bytes of files, once for each content of
//! a namespace, in pieces of one length.

use hetuflow_core::{ContentHash, FileFrame, NamespaceId, Ts};
use sea_query::Value;
use uuid::Uuid;

use super::hot;
use super::{text, ts, uuid as id_value};
use crate::infra::db::{Conn, DbError, Row1};

/// A content.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct Content {
  /// Names it in frames.
  pub id: Uuid,
  /// Its bytes.
  pub size: i64,
  /// Since when it is whole.
  pub stored_at: Option<Ts>,
}

/// A piece of a content.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct Piece {
  /// Where it begins.
  pub file_offset: i64,
  /// How many raw bytes.
  pub raw_len: i64,
  /// How the data is packed.
  pub codec: i64,
  /// The packed bytes.
  pub data: Vec<u8>,
}

/// Where a piece lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct Extent {
  /// Where it begins.
  pub file_offset: i64,
  /// How many raw bytes.
  pub raw_len: i64,
}

/// Inserts pieces of contents that are open; what is there already stays as it is.
///
/// # Errors
/// Any [`DbError`].
pub async fn insert_pieces(conn: &mut Conn, pieces: &mut [&FileFrame]) -> Result<(), DbError> {
  if pieces.is_empty() {
    return Ok(());
  }
  // Two lanes with the same content must not wait for each other.
  pieces.sort_unstable_by_key(|piece| (piece.transfer_id, piece.offset));
  if conn.is_sqlite() {
    return insert_sqlite(conn, pieces).await;
  }
  let sql = "insert into sched_artifact_chunk (content_id, file_offset, raw_len, codec, data) \
    select n.* from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bytea[]) \
      as n (content_id, file_offset, raw_len, codec, data) \
    where exists (select 1 from sched_artifact_content c where c.id = n.content_id \
      and c.stored_at is null and n.file_offset + n.raw_len <= c.size) \
    on conflict do nothing";
  let pg = conn.pg().ok_or_else(hot::wrong_engine)?;
  sqlx::query(sql)
    .bind(pieces.iter().map(|piece| piece.transfer_id).collect::<Vec<Uuid>>())
    .bind(pieces.iter().map(|piece| offset_of(piece)).collect::<Vec<i64>>())
    .bind(pieces.iter().map(|piece| i64::from(piece.raw_len)).collect::<Vec<i64>>())
    .bind(pieces.iter().map(|piece| i64::from(piece.codec.number())).collect::<Vec<i64>>())
    .bind(pieces.iter().map(|piece| piece.data.as_slice()).collect::<Vec<&[u8]>>())
    .execute(pg)
    .await?;
  conn.done();
  Ok(())
}

async fn insert_sqlite(conn: &mut Conn, pieces: &[&FileFrame]) -> Result<(), DbError> {
  let sql = "insert into sched_artifact_chunk (content_id, file_offset, raw_len, codec, data) \
    select $1, $2, $3, $4, $5 where exists (select 1 from sched_artifact_content c \
      where c.id = $1 and c.stored_at is null and $2 + $3 <= c.size) \
    on conflict do nothing";
  let sqlite = conn.sqlite().ok_or_else(hot::wrong_engine)?;
  for piece in pieces {
    sqlx::query(sql)
      .bind(piece.transfer_id)
      .bind(offset_of(piece))
      .bind(i64::from(piece.raw_len))
      .bind(i64::from(piece.codec.number()))
      .bind(piece.data.as_slice())
      .execute(&mut *sqlite)
      .await?;
  }
  conn.done();
  Ok(())
}

fn offset_of(piece: &FileFrame) -> i64 {
  i64::try_from(piece.offset).unwrap_or(i64::MAX)
}

/// Finds a content of a namespace, and says that it was asked for now: it is not swept away then.
///
/// # Errors
/// Any [`DbError`].
pub async fn touch(
  conn: &mut Conn,
  (namespace, hash): (&NamespaceId, ContentHash),
  now: Ts,
) -> Result<Option<Content>, DbError> {
  let sql = "update sched_artifact_content set touched_at = $1 \
    where namespace_id = $2 and content_hash = $3 returning id, size, stored_at";
  let rows = conn.fetch_sql(sql, vec![ts(now), text(namespace), text(hash)]).await?;
  Ok(rows.into_iter().next())
}

/// Finds a content of a namespace that is whole.
///
/// # Errors
/// Any [`DbError`].
pub async fn whole(
  conn: &mut Conn,
  namespace: &NamespaceId,
  hash: &str,
) -> Result<Option<Content>, DbError> {
  let sql = "select id, size, stored_at from sched_artifact_content \
    where namespace_id = $1 and content_hash = $2 and stored_at is not null";
  let rows = conn.fetch_sql(sql, vec![text(namespace), text(hash)]).await?;
  Ok(rows.into_iter().next())
}

/// Makes room for a content whose bytes are to come.
///
/// # Errors
/// Any [`DbError`]; a conflict where another one was quicker.
pub async fn open(
  conn: &mut Conn,
  (namespace, hash): (&NamespaceId, &str),
  size: i64,
  now: Ts,
) -> Result<Content, DbError> {
  let id = Uuid::now_v7();
  let sql = "insert into sched_artifact_content \
    (id, namespace_id, content_hash, size, touched_at) values ($1, $2, $3, $4, $5)";
  let values = vec![id_value(id), text(namespace), text(hash), Value::BigInt(Some(size)), ts(now)];
  conn.execute_sql(sql, values).await?;
  Ok(Content { id, size, stored_at: None })
}

/// Bytes of all contents of a namespace.
///
/// # Errors
/// Any [`DbError`].
pub async fn used_bytes(conn: &mut Conn, namespace: &NamespaceId) -> Result<i64, DbError> {
  let sql = "select cast(coalesce(sum(size), 0) as bigint) from sched_artifact_content \
    where namespace_id = $1";
  let rows: Vec<Row1<i64>> = conn.fetch_sql(sql, vec![text(namespace)]).await?;
  Ok(rows.first().map_or(0, |row| row.0))
}

/// Where the pieces of a content lie, in order.
///
/// # Errors
/// Any [`DbError`].
pub async fn extents(conn: &mut Conn, content: Uuid) -> Result<Vec<Extent>, DbError> {
  let sql = "select file_offset, raw_len from sched_artifact_chunk where content_id = $1 \
    order by file_offset";
  conn.fetch_sql(sql, vec![id_value(content)]).await
}

/// Reads pieces of a content from the one that begins at `offset` on, in order.
///
/// # Errors
/// Any [`DbError`].
pub async fn pieces_from(
  conn: &mut Conn,
  content: Uuid,
  offset: i64,
  limit: i64,
) -> Result<Vec<Piece>, DbError> {
  let sql = "select file_offset, raw_len, codec, data from sched_artifact_chunk \
    where content_id = $1 and file_offset >= $2 order by file_offset limit $3";
  let values = vec![id_value(content), Value::BigInt(Some(offset)), Value::BigInt(Some(limit))];
  conn.fetch_sql(sql, values).await
}

/// A content is whole, and what it should be.
///
/// # Errors
/// Any [`DbError`].
pub async fn set_stored(conn: &mut Conn, content: Uuid, now: Ts) -> Result<(), DbError> {
  let sql = "update sched_artifact_content set stored_at = $1, touched_at = $1 \
    where id = $2 and stored_at is null";
  conn.execute_sql(sql, vec![ts(now), id_value(content)]).await.map(drop)
}

/// Deletes what has come of a content that is not whole.
///
/// # Errors
/// Any [`DbError`].
pub async fn clear(conn: &mut Conn, content: Uuid) -> Result<(), DbError> {
  let sql = "delete from sched_artifact_chunk where content_id = $1 and exists \
    (select 1 from sched_artifact_content c where c.id = $1 and c.stored_at is null)";
  conn.execute_sql(sql, vec![id_value(content)]).await.map(drop)
}

/// A content that was put there gets its true name, once all of it is here.
///
/// # Errors
/// Any [`DbError`]; a conflict where another one has it.
pub async fn rename(
  conn: &mut Conn,
  content: Uuid,
  hash: ContentHash,
  now: Ts,
) -> Result<(), DbError> {
  let sql = "update sched_artifact_content set content_hash = $1, stored_at = $2, touched_at = $2 \
    where id = $3";
  conn.execute_sql(sql, vec![text(hash), ts(now), id_value(content)]).await.map(drop)
}

/// Deletes a content with its pieces.
///
/// # Errors
/// Any [`DbError`].
pub async fn delete(conn: &mut Conn, content: Uuid) -> Result<(), DbError> {
  for sql in [
    "delete from sched_artifact_chunk where content_id = $1",
    "delete from sched_artifact_content where id = $1",
  ] {
    conn.execute_sql(sql, vec![id_value(content)]).await?;
  }
  Ok(())
}

/// Deletes a few contents that no file has, that no task waits for or runs with, and that nobody has
/// asked for since; returns how many.
///
/// # Errors
/// Any [`DbError`].
pub async fn delete_orphans(conn: &mut Conn, before: Ts, limit: i64) -> Result<usize, DbError> {
  let sql = "delete from sched_artifact_content where id in (select c.id \
      from sched_artifact_content c where c.touched_at < $1 and not exists (select 1 \
        from sched_artifact a where a.namespace_id = c.namespace_id \
          and a.content_hash = c.content_hash) \
        and not exists (select 1 from sched_task_input i \
          join sched_task_hot h on h.task_id = i.task_id \
          where i.namespace_id = c.namespace_id and i.content_hash = c.content_hash) limit $2) \
      and touched_at < $1 returning id";
  let values = vec![ts(before), Value::BigInt(Some(limit))];
  let gone: Vec<Row1<Uuid>> = conn.fetch_sql(sql, values).await?;
  for content in &gone {
    let sql = "delete from sched_artifact_chunk where content_id = $1";
    conn.execute_sql(sql, vec![id_value(content.0)]).await?;
  }
  Ok(gone.len())
}
