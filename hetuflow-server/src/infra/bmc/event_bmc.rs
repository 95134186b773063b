//! `sched_event_batch`: the journal of changes, one row per namespace and commit.

use hetuflow_core::{Change, NamespaceId, Ts};
use sea_query::Value;

use super::{text, ts};
use crate::infra::db::{Conn, DbError, Row1};

/// Key of the advisory lock that makes `seq` order commit order (HOTPATH rule 5).
pub const EVENT_LOCK: i64 = 0x6865_7475_0001;

/// Namespace, number of changes, packed changes.
pub type PackedRow<'a> = (&'a NamespaceId, i64, Vec<u8>);

/// Changes of one commit, by namespace.
#[derive(Debug, Clone, Default)]
pub struct Journal {
  batches: Vec<(NamespaceId, Vec<Change>)>,
}

impl Journal {
  /// Notes a change.
  pub fn push(&mut self, namespace: &NamespaceId, change: Change) {
    match self.batches.iter_mut().find(|(known, _)| known == namespace) {
      Some((_, changes)) => changes.push(change),
      None => self.batches.push((namespace.clone(), vec![change])),
    }
  }

  /// Notes all that another one has.
  pub fn merge(&mut self, other: Self) {
    for (namespace, changes) in other.batches {
      for change in changes {
        self.push(&namespace, change);
      }
    }
  }

  /// The rows of the journal: namespace, number of changes, packed changes.
  ///
  /// # Errors
  /// [`DbError::BadData`] when a change cannot be written.
  pub fn packed(&self) -> Result<Vec<PackedRow<'_>>, DbError> {
    let rows = self.batches.iter();
    rows.map(|(namespace, changes)| Ok((namespace, changes.len() as i64, pack(changes)?))).collect()
  }

  /// Whether nothing changed.
  pub fn is_empty(&self) -> bool {
    self.batches.is_empty()
  }
}

/// Writes the changes, as the last thing before the commit: from here to the commit the event
/// lock is held, so that numbers and commits have one order.
///
/// # Errors
/// Any [`DbError`].
pub async fn append(conn: &mut Conn, journal: &Journal, now: Ts) -> Result<(), DbError> {
  if journal.is_empty() {
    return Ok(());
  }
  let packed = journal.packed()?;
  let sql = if conn.is_sqlite() {
    "insert into sched_event_batch (seq, n, namespace_id, at, data) \
      values ((select coalesce(max(seq), 0) + 1 from sched_event_batch), $1, $2, $3, $4)"
  } else {
    // The lock is taken in the subquery, which a volatile function keeps apart, so that the number
    // is drawn under it; neither reads a snapshot.
    "insert into sched_event_batch (seq, n, namespace_id, at, data) \
      select nextval('sched_event_seq'), $1, $2, $3, $4 \
      from (select pg_advisory_xact_lock($5) offset 0) locked"
  };
  let lock = (!conn.is_sqlite()).then_some(Value::BigInt(Some(EVENT_LOCK)));
  for (namespace, count, data) in packed {
    let mut values =
      vec![Value::BigInt(Some(count)), text(namespace), ts(now), Value::Bytes(Some(data))];
    values.extend(lock.clone());
    conn.execute_sql(sql, values).await?;
  }
  Ok(())
}

fn pack(changes: &[Change]) -> Result<Vec<u8>, DbError> {
  let json = serde_json::to_vec(changes)
    .map_err(|error| DbError::BadData(format!("event cannot be written: {error}")))?;
  zstd::bulk::compress(&json, 1)
    .map_err(|error| DbError::BadData(format!("event cannot be packed: {error}")))
}

/// Most bytes that one journal row unpacks to.
const BATCH_BYTES_MAX: usize = 64 << 20;

/// One row of the journal.
#[derive(Debug, Clone)]
pub struct EventBatch {
  /// Its number.
  pub seq: i64,
  /// The namespace.
  pub namespace_id: NamespaceId,
  /// The changes.
  pub changes: Vec<Change>,
}

/// Reads the journal after a number, in order.
///
/// # Errors
/// [`DbError::BadData`] when a row cannot be read.
pub async fn list_after(
  conn: &mut Conn,
  after: i64,
  limit: i64,
) -> Result<Vec<EventBatch>, DbError> {
  let sql = "select seq, namespace_id, data from sched_event_batch where seq > $1 \
    order by seq limit $2";
  let values = vec![Value::BigInt(Some(after)), Value::BigInt(Some(limit))];
  unpack_rows(conn.fetch_sql(sql, values).await?)
}

/// Rows of number, namespace and packed changes.
pub(super) fn unpack_rows(
  rows: Vec<(i64, NamespaceId, Vec<u8>)>,
) -> Result<Vec<EventBatch>, DbError> {
  rows
    .into_iter()
    .map(|(seq, namespace_id, data)| {
      let bad = |error: &dyn std::fmt::Display| {
        DbError::BadData(format!("sched_event_batch.data of seq {seq}: {error}"))
      };
      let json = zstd::bulk::decompress(&data, BATCH_BYTES_MAX).map_err(|error| bad(&error))?;
      let changes = serde_json::from_slice(&json).map_err(|error| bad(&error))?;
      Ok(EventBatch { seq, namespace_id, changes })
    })
    .collect()
}

/// The newest number; zero for an empty journal.
///
/// # Errors
/// Any [`DbError`].
pub async fn newest(conn: &mut Conn) -> Result<i64, DbError> {
  let last: Vec<Row1<Option<i64>>> =
    conn.fetch_sql("select max(seq) from sched_event_batch", Vec::new()).await?;
  Ok(last.first().and_then(|row| row.0).unwrap_or(0))
}

/// The oldest and the newest number; zeros for an empty journal.
///
/// # Errors
/// Any [`DbError`].
pub async fn bounds(conn: &mut Conn) -> Result<(i64, i64), DbError> {
  let first: Vec<Row1<Option<i64>>> =
    conn.fetch_sql("select min(seq) from sched_event_batch", Vec::new()).await?;
  let last: Vec<Row1<Option<i64>>> =
    conn.fetch_sql("select max(seq) from sched_event_batch", Vec::new()).await?;
  let value = |rows: Vec<Row1<Option<i64>>>| rows.first().and_then(|row| row.0).unwrap_or(0);
  Ok((value(first), value(last)))
}

/// How many rows lie after one number and up to another, of one namespace or of all.
///
/// # Errors
/// Any [`DbError`].
pub async fn count_between(
  conn: &mut Conn,
  (after, until): (i64, i64),
  namespace: Option<&NamespaceId>,
) -> Result<i64, DbError> {
  let sql = "select count(*) from sched_event_batch where seq > $1 and seq <= $2 \
    and ($3 = '' or namespace_id = $3)";
  let namespace = namespace.map_or("", NamespaceId::as_str);
  let values = vec![Value::BigInt(Some(after)), Value::BigInt(Some(until)), super::text(namespace)];
  let rows: Vec<Row1<i64>> = conn.fetch_sql(sql, values).await?;
  Ok(rows.first().map_or(0, |row| row.0))
}

/// Rows that [`delete_part`] drops, more only where many are of one instant: a part that nobody has to
/// wait for.
const DELETED_AT_ONCE: i64 = 2_000;

const DELETE_UNTIL: &str = "delete from sched_event_batch where at >= $1 and at <= $2 \
  and seq < (select max(seq) from sched_event_batch)";
const DELETE_BEFORE: &str = "delete from sched_event_batch where at >= $1 and at < $2 \
  and seq < (select max(seq) from sched_event_batch)";

/// Drops a part of the journal from one instant on and before another, the oldest rows first; returns
/// how many went, and from where on the next part is, if there is one. The newest row always stays:
/// the numbers go on from it, and readers know by it how far the journal is.
///
/// # Errors
/// Any [`DbError`].
pub async fn delete_part(
  conn: &mut Conn,
  (from, before): (Ts, Ts),
) -> Result<(u64, Option<Ts>), DbError> {
  let sql = "select at from sched_event_batch where at >= $1 and at < $2 \
    order by at limit 1 offset $3";
  let values = vec![ts(from), ts(before), Value::BigInt(Some(DELETED_AT_ONCE))];
  let next: Vec<Row1<Ts>> = conn.fetch_sql(sql, values).await?;
  let next = next.into_iter().next().map(|row| row.0);
  // Those of the instant that the next part begins with go with this one: it has an end.
  let (sql, until) = match next {
    Some(next) => (DELETE_UNTIL, next),
    None => (DELETE_BEFORE, before),
  };
  let gone = conn.execute_sql(sql, vec![ts(from), ts(until)]).await?;
  Ok((gone, next))
}
