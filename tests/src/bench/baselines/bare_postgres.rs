//! The queue's SQL on PostgreSQL, in the shape of the hot path and on the real schema.
//!
//! One turn of one connection is three transactions: enqueue 500 (spec and hot row), claim 500,
//! final 500 (hot row deleted, attempt inserted, one event row under the event lock).

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use super::BATCH;
use crate::bench::store::Store;

/// How many connections take turns.
const LANES: usize = 2;

/// Planner settings of the server's hot connections.
const SETTINGS: &str = "set enable_seqscan = off; set enable_hashjoin = off; \
  set enable_mergejoin = off; set plan_cache_mode = force_generic_plan";

const ENQUEUE_TASK: &str = "insert into sched_task (id, job_id, job_version, namespace_id, \
  priority, scheduled_at, trigger_source, created_by, created_at) \
  select id, $2, 1, 'default', 0, clock_timestamp(), 'manual', 'bench', clock_timestamp() \
  from unnest($1::uuid[]) as id";

const ENQUEUE_HOT: &str = "insert into sched_task_hot (task_id, job_id, job_version, \
  namespace_id, class_id, priority, scheduled_at, eligible_at, status, updated_at) \
  select id, $2, 1, 'default', 1, 0, clock_timestamp(), clock_timestamp(), 'pending', \
  clock_timestamp() from unnest($1::uuid[]) as id";

const CLAIM: &str = "with due as (select task_id from sched_task_hot \
    where class_id = 1 and priority = 0 and status = 'pending' \
      and gate <= 0 and eligible_at <= (select clock_timestamp() + interval '5 seconds') \
    order by eligible_at limit $2 for update skip locked), \
  numbered as (select task_id, row_number() over () as n from due) \
  update sched_task_hot h set status = 'dispatched', attempt = attempt + 1, \
    fence = nextval('sched_fence'), instance_id = ($1::uuid[])[n.n], agent_id = 'agent-0', \
    agent_epoch = 1, server_id = 'server-0', locked_at = clock_timestamp(), \
    updated_at = clock_timestamp() \
  from numbered n where h.task_id = n.task_id returning h.task_id, h.fence";

const FINAL: &str = "with gone as (delete from sched_task_hot h \
    using unnest($1::uuid[], $2::bigint[]) as d (task_id, fence) \
    where h.task_id = d.task_id and h.fence = d.fence and h.status in ('dispatched', 'running') \
    returning h.*) \
  insert into sched_task_instance (id, task_id, job_id, namespace_id, attempt, fence, agent_id, \
    status, task_status, dispatched_at, started_at, completed_at, start_skew_us, pid, exit_code, \
    log_bytes) \
  select instance_id, task_id, job_id, namespace_id, attempt, fence, agent_id, 'succeeded', \
    'succeeded', locked_at, clock_timestamp(), clock_timestamp(), 100, 4711, 0, 0 from gone";

const EVENTS: &str = "insert into sched_event_batch (seq, n, namespace_id, at, data) \
  values (nextval('sched_event_seq'), $1, 'default', clock_timestamp(), $2)";

/// Tasks per second over all connections.
///
/// # Errors
/// When PostgreSQL refuses, or a task is lost or doubled.
pub(super) async fn rate(url: &str, span: Duration) -> Result<f64> {
  let mut store = Store::open(url).await?;
  store.migrate().await?;
  let mut lanes = Vec::new();
  for _ in 0..LANES {
    let mut conn = PgConnection::connect(url).await?;
    sqlx::raw_sql(SETTINGS).execute(&mut conn).await?;
    lanes.push(conn);
  }
  let started = Instant::now();
  let turns = lanes.into_iter().map(|conn| tokio::spawn(lane(conn, started + span)));
  let mut done = 0;
  for turn in turns.collect::<Vec<_>>() {
    done += turn.await??;
  }
  let seconds = started.elapsed().as_secs_f64();
  let stored = store.number("select count(*) from sched_task_instance").await?;
  ensure!(stored == done as i64, "the bare path ended {done} tasks, {stored} are stored");
  Ok(done as f64 / seconds)
}

/// Turns until the deadline; gives how many tasks became final.
async fn lane(mut conn: PgConnection, until: Instant) -> Result<usize> {
  let job = Uuid::now_v7();
  let mut done = 0;
  while Instant::now() < until {
    enqueue(&mut conn, job).await?;
    let claimed = claim(&mut conn).await?;
    done += claimed.len();
    finish(&mut conn, claimed).await?;
  }
  conn.close().await?;
  Ok(done)
}

/// Stores one batch of new tasks.
async fn enqueue(conn: &mut PgConnection, job: Uuid) -> Result<()> {
  let ids: Vec<Uuid> = (0..BATCH).map(|_| Uuid::now_v7()).collect();
  let mut tx = conn.begin().await?;
  sqlx::query(ENQUEUE_TASK).bind(&ids).bind(job).execute(&mut *tx).await?;
  sqlx::query(ENQUEUE_HOT).bind(&ids).bind(job).execute(&mut *tx).await?;
  Ok(tx.commit().await?)
}

/// Claims one batch: task and fence of each.
async fn claim(conn: &mut PgConnection) -> Result<Vec<(Uuid, i64)>> {
  let instances: Vec<Uuid> = (0..BATCH).map(|_| Uuid::now_v7()).collect();
  let mut tx = conn.begin().await?;
  let claimed =
    sqlx::query_as(CLAIM).bind(&instances).bind(BATCH as i64).fetch_all(&mut *tx).await?;
  tx.commit().await?;
  Ok(claimed)
}

/// Makes what was claimed final, with one event row.
async fn finish(conn: &mut PgConnection, mut claimed: Vec<(Uuid, i64)>) -> Result<()> {
  claimed.sort();
  let (ids, fences): (Vec<Uuid>, Vec<i64>) = claimed.into_iter().unzip();
  // As dense as real events after compression: two ids' worth of bytes for each task.
  let data: Vec<u8> =
    ids.iter().flat_map(|id| [*id, Uuid::now_v7()]).flat_map(Uuid::into_bytes).collect();
  let mut tx = conn.begin().await?;
  let stored = sqlx::query(FINAL).bind(&ids).bind(&fences).execute(&mut *tx).await?;
  ensure!(stored.rows_affected() == ids.len() as u64, "a claimed task was gone at its end");
  sqlx::query("select pg_advisory_xact_lock(4711)").execute(&mut *tx).await?;
  sqlx::query(EVENTS).bind(ids.len() as i64).bind(data).execute(&mut *tx).await?;
  Ok(tx.commit().await?)
}
