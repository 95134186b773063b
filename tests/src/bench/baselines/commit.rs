//! Durable commits of one row, one after the other.

use std::time::Instant;

use anyhow::Result;
use sqlx::Connection;

use super::SPAN;
use crate::bench::report::Report;
use crate::bench::sample::Sample;
use crate::bench::store::Store;
use crate::bench::target::Target;

/// Commits before the measured ones.
const WARM_UP: usize = 50;

/// Commits one row after the other on one connection; gives their times in milliseconds.
///
/// # Errors
/// When the database refuses.
pub async fn commits(target: &Target, report: &mut Report) -> Result<Sample> {
  let fresh = target.fresh().await?;
  let mut store = Store::open(fresh.url()).await?;
  store.execute("create table bench_commit (id bigint primary key, text text not null)").await?;
  let mut times = Vec::new();
  let mut started = Instant::now();
  for id in 0_i64.. {
    if times.len() == WARM_UP && id == WARM_UP as i64 {
      times.clear();
      started = Instant::now();
    }
    let before = Instant::now();
    insert(&mut store, id).await?;
    times.push(before.elapsed().as_secs_f64() * 1e3);
    if started.elapsed() >= SPAN {
      break;
    }
  }
  let rate = times.len() as f64 / started.elapsed().as_secs_f64();
  let times = Sample::new(times);
  report.limit("commits of one row, one connection", rate, "/s");
  report.limit("commit p50", times.p50(), "ms");
  report.limit("commit p99", times.p99(), "ms");
  match store {
    Store::Postgres(conn) => conn.close().await?,
    Store::Sqlite(conn) => conn.close().await?,
  }
  Ok(times)
}

/// One row, committed.
async fn insert(store: &mut Store, id: i64) -> Result<()> {
  const SQL: &str = "insert into bench_commit (id, text) values ($1, 'a row of the usual size')";
  match store {
    Store::Postgres(conn) => sqlx::query(SQL).bind(id).execute(conn).await.map(drop)?,
    Store::Sqlite(conn) => sqlx::query(SQL).bind(id).execute(conn).await.map(drop)?,
  }
  Ok(())
}
