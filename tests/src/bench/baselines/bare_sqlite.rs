//! The queue's SQL on SQLite: as on PostgreSQL, on the one connection that may write.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use sqlx::{AssertSqlSafe, QueryBuilder, Sqlite, SqliteConnection};
use uuid::Uuid;

use super::BATCH;
use crate::bench::store::Store;

const NOW: &str = "cast(unixepoch('subsec') * 1000000 as integer)";

/// Tasks per second.
///
/// # Errors
/// When SQLite refuses, or a task is lost.
pub(super) async fn rate(url: &str, span: Duration) -> Result<f64> {
  let mut store = Store::open(url).await?;
  store.migrate().await?;
  let Store::Sqlite(conn) = &mut store else { bail!("{url} is not SQLite") };
  let job = Uuid::now_v7();
  let started = Instant::now();
  let mut done = 0;
  while started.elapsed() < span {
    enqueue(conn, job).await?;
    let claimed = claim(conn, done as i64).await?;
    finish(conn, &claimed).await?;
    done += claimed.len();
  }
  let seconds = started.elapsed().as_secs_f64();
  let stored = store.number("select count(*) from sched_task_instance").await?;
  ensure!(stored == done as i64, "the bare path ended {done} tasks, {stored} are stored");
  Ok(done as f64 / seconds)
}

/// Runs one statement without arguments.
async fn run(conn: &mut SqliteConnection, sql: &'static str) -> Result<()> {
  sqlx::query(sql).execute(conn).await?;
  Ok(())
}

/// Stores one batch of new tasks.
async fn enqueue(conn: &mut SqliteConnection, job: Uuid) -> Result<()> {
  let ids: Vec<Uuid> = (0..BATCH).map(|_| Uuid::now_v7()).collect();
  run(conn, "begin immediate").await?;
  let task = "insert into sched_task (id, job_id, job_version, namespace_id, priority, \
    scheduled_at, trigger_source, created_by, created_at) ";
  let values = format!(", 1, 'default', 0, {NOW}, 'manual', 'bench', {NOW}");
  insert(conn, task, &values, &ids, job).await?;
  let hot = "insert into sched_task_hot (task_id, job_id, job_version, namespace_id, class_id, \
    priority, scheduled_at, eligible_at, status, updated_at) ";
  let values = format!(", 1, 'default', 1, 0, {NOW}, {NOW}, 'pending', {NOW}");
  insert(conn, hot, &values, &ids, job).await?;
  run(conn, "commit").await
}

/// Inserts one row for each id; `rest` follows id and job in every row.
async fn insert(
  conn: &mut SqliteConnection,
  head: &'static str,
  rest: &str,
  ids: &[Uuid],
  job: Uuid,
) -> Result<()> {
  let mut sql = QueryBuilder::<Sqlite>::new(head);
  sql.push_values(ids, |mut row, id| {
    row.push_bind(*id).push_bind(job).push_unseparated(rest);
  });
  sql.build().execute(conn).await?;
  Ok(())
}

/// Claims one batch.
async fn claim(conn: &mut SqliteConnection, fence: i64) -> Result<Vec<Uuid>> {
  let sql = format!(
    "update sched_task_hot set status = 'dispatched', attempt = attempt + 1, fence = $1, \
      instance_id = randomblob(16), agent_id = 'agent-0', agent_epoch = 1, \
      server_id = 'server-0', locked_at = {NOW}, updated_at = {NOW} \
    where task_id in (select task_id from sched_task_hot \
      where class_id = 1 and priority = 0 and status = 'pending' and gate <= 0 and eligible_at <= {NOW} + 5000000 \
      order by eligible_at limit {BATCH}) returning task_id"
  );
  run(conn, "begin immediate").await?;
  let claimed =
    sqlx::query_scalar(AssertSqlSafe(sql)).bind(fence + 1).fetch_all(&mut *conn).await?;
  run(conn, "update sched_sequence set value = value + 500 where name = 'sched_fence'").await?;
  run(conn, "commit").await?;
  Ok(claimed)
}

/// Makes what was claimed final, with one event row.
async fn finish(conn: &mut SqliteConnection, claimed: &[Uuid]) -> Result<()> {
  run(conn, "begin immediate").await?;
  let head = format!(
    "insert into sched_task_instance (id, task_id, job_id, namespace_id, attempt, fence, agent_id, \
      status, task_status, dispatched_at, started_at, completed_at, start_skew_us, pid, exit_code, \
      log_bytes) \
    select instance_id, task_id, job_id, namespace_id, attempt, fence, agent_id, 'succeeded', \
      'succeeded', locked_at, {NOW}, {NOW}, 100, 4711, 0, 0 \
    from sched_task_hot where task_id in ("
  );
  let stored = with_ids(conn, head, claimed).await?;
  let head = "delete from sched_task_hot where task_id in (".to_owned();
  let deleted = with_ids(conn, head, claimed).await?;
  ensure!(
    (stored, deleted) == (claimed.len() as u64, stored),
    "a claimed task was gone at its end"
  );
  run(conn, "update sched_sequence set value = value + 1 where name = 'sched_event_seq'").await?;
  let data: Vec<u8> =
    claimed.iter().flat_map(|id| [*id, Uuid::now_v7()]).flat_map(Uuid::into_bytes).collect();
  let events = format!(
    "insert into sched_event_batch (seq, n, namespace_id, at, data) \
    select value, $1, 'default', {NOW}, $2 from sched_sequence where name = 'sched_event_seq'"
  );
  let events = sqlx::query(AssertSqlSafe(events)).bind(claimed.len() as i64).bind(data);
  events.execute(&mut *conn).await?;
  run(conn, "commit").await
}

/// Runs a statement that ends with a list of ids; gives how many rows it touched.
async fn with_ids(conn: &mut SqliteConnection, head: String, ids: &[Uuid]) -> Result<u64> {
  let mut sql = QueryBuilder::<Sqlite>::new(head);
  let mut list = sql.separated(", ");
  for id in ids {
    list.push_bind(*id);
  }
  sql.push(")");
  Ok(sql.build().execute(conn).await?.rows_affected())
}
