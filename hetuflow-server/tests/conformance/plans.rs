//! Hot statements keep to their indexes, on an empty, a small and a filled store.

use hetuflow_core::Ts;
use hetuflow_server::infra::bmc::hot::{self, PG_CLAIM_SQL, SQLITE_DUE_SQL};
use hetuflow_server::infra::bmc::job_bmc;
use sqlx::Row;

use crate::engines::TestStore;
use crate::hot_path::task;
use crate::tables::job;

pub async fn hot_statements_use_their_indexes(store: &TestStore) {
  let job = job("plans");
  let mut tx = store.db.begin().await.unwrap();
  let made = job_bmc::create(&mut tx, &job).await;
  tx.end(made).await.unwrap();
  for rows in [0, 50, 20_000] {
    let mut left = rows;
    while left > 0 {
      let count = left.min(1000);
      let tasks: Vec<_> = (0..count).map(|_| task(&job, 0, Ts::now())).collect();
      let mut tx = store.db.begin_hot().await.unwrap();
      let made = hot::enqueue(&mut tx, &tasks, Ts::now()).await;
      tx.end(made).await.unwrap();
      left -= count;
    }
    if store.db.is_sqlite() { check_sqlite(store).await } else { check_pg(store, rows).await }
  }
}

async fn check_pg(store: &TestStore, rows: usize) {
  let mut tx = store.db.begin_hot().await.unwrap();
  let pg = tx.pg().unwrap();
  if rows > 0 {
    sqlx::raw_sql("analyze sched_task_hot").execute(&mut *pg).await.unwrap();
  }
  let finish = "delete from sched_task_hot h using unnest($1::uuid[], $2::bigint[]) \
    as r(task_id, fence) where h.task_id = r.task_id and h.fence = r.fence \
    and h.status in ('locked', 'dispatched', 'running', 'paused', 'cancelling')";
  let view = "select * from sched_task_view where id = $1";
  let claim = format!(
    "prepare c(bigint, bigint, float8, bigint, uuid[], text[], bigint[], \
    bigint[], text) as {PG_CLAIM_SQL}"
  );
  for (prepare, execute, deallocate) in [
    (claim, "explain execute c(42, 0, 5e6, 500, '{}', '{}', '{}', '{}', 's')", "deallocate c"),
    (
      format!("prepare f(uuid[], bigint[]) as {finish}"),
      "explain execute f('{}', '{}')",
      "deallocate f",
    ),
    (
      format!("prepare v(uuid) as {view}"),
      "explain execute v('00000000-0000-0000-0000-000000000000')",
      "deallocate v",
    ),
  ] {
    sqlx::raw_sql(sqlx::AssertSqlSafe(prepare)).execute(&mut *pg).await.unwrap();
    let plan = sqlx::raw_sql(execute).fetch_all(&mut *pg).await.unwrap();
    let plan: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
    let plan = plan.join("\n");
    for table in ["sched_task_hot", "sched_task", "sched_task_instance"] {
      assert!(!plan.contains(&format!("Seq Scan on {table} ")), "{rows} rows:\n{plan}");
    }
    // Not "all": the pool remembers statements of its own on this connection.
    sqlx::raw_sql(deallocate).execute(&mut *pg).await.unwrap();
  }
  tx.done();
  tx.end::<_, hetuflow_server::infra::db::DbError>(Ok(())).await.unwrap();
}

async fn check_sqlite(store: &TestStore) {
  let mut tx = store.db.begin_hot().await.unwrap();
  let sqlite = tx.sqlite().unwrap();
  let finish = "delete from sched_task_hot where (task_id, fence) in \
    (select unhex(value ->> 0), value ->> 1 from json_each($1)) and status in ('running')";
  let view = "select * from sched_task_view where id = $1";
  for sql in [SQLITE_DUE_SQL, finish, view] {
    let explain = format!("explain query plan {sql}");
    let rows = sqlx::raw_sql(sqlx::AssertSqlSafe(explain)).fetch_all(&mut *sqlite).await.unwrap();
    let plan: Vec<String> = rows.iter().map(|row| row.get::<String, _>(3)).collect();
    let plan = plan.join("\n");
    for table in ["sched_task_hot", "sched_task", "sched_task_instance", "h", "t", "i"] {
      assert!(!plan.contains(&format!("SCAN {table}\n")), "{sql}:\n{plan}");
      assert!(!plan.ends_with(&format!("SCAN {table}")), "{sql}:\n{plan}");
    }
  }
  tx.done();
  tx.end::<_, hetuflow_server::infra::db::DbError>(Ok(())).await.unwrap();
}
