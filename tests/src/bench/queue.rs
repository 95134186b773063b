//! No-op tasks through the whole path: submitted in bulk, claimed, dispatched, reported, kept.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::args::Options;
use super::baselines;
use super::report::{Bar, Report};
use super::rig::{Rig, Setup};
use super::store::Store;
use super::target::Target;

/// How long PostgreSQL may take to publish its counters.
const COUNTERS_LIMIT: Duration = Duration::from_secs(15);

/// Tables that the path writes.
const TABLES: [&str; 5] =
  ["sched_task", "sched_task_hot", "sched_task_instance", "sched_log_chunk", "sched_event_batch"];

/// Measures tasks per second.
///
/// # Errors
/// When something does not start, answer or move.
pub async fn run(options: &Options, target: &Target, report: &mut Report) -> Result<()> {
  baselines::commits(target, report).await?;
  let bare = baselines::bare_queue(target, report).await?;
  let tasks = options.tasks.unwrap_or(if target.is_postgres() { 100_000 } else { 50_000 });
  let agents = options.agents.unwrap_or(2);
  let setup = Setup {
    agents,
    slots: 1000,
    agent_settings: "[agent.process]\nnoop = true\n[agent.polling]\nqueue_depth_max = 4000\n",
  };
  let mut rig = Rig::start(target, setup).await?;
  let job = rig.create_true_job().await?;
  report.note(format!("{tasks} tasks, {agents} agents without processes (noop)"));

  let url = rig.cluster().database_url().to_owned();
  let written = Written::read(rig.store(), &url).await?;
  let cpu = rig.cpu_us()?;
  let started = Instant::now();
  rig.submit(job, tasks).await?;
  let submitted = started.elapsed().as_secs_f64();
  rig.wait_final(tasks, started).await?;
  let seconds = started.elapsed().as_secs_f64();
  rig.report_cpu(&cpu, (tasks, "µs/task"), report)?;

  let rate = tasks as f64 / seconds;
  let bar = if target.is_postgres() { 10_000.0 } else { 5_000.0 };
  report.barred("whole path", rate, "/s", Bar::AtLeast(bar), Some(Bar::AtLeast(20_000.0)));
  report.value("share of the bare SQL path", 100.0 * rate / bare, "%");
  report.value("first submit to all final", seconds, "s");
  report.value("submitted in bulk, while they ran", tasks as f64 / submitted, "/s");
  written.report(rig.store(), &url, tasks, report).await?;
  rig.check(job, tasks, report).await?;
  rig.finish(report);
  Ok(())
}

/// What has been written at one moment.
#[derive(Debug)]
enum Written {
  /// Position in the log of writes, and (inserted, updated, deleted) of each table.
  Postgres { wal: i64, rows: Vec<(i64, i64, i64)> },
  /// Bytes of the files.
  Sqlite { bytes: u64 },
}

impl Written {
  /// Looks.
  async fn read(store: &mut Store, url: &str) -> Result<Self> {
    if matches!(store, Store::Sqlite(_)) {
      return Ok(Self::Sqlite { bytes: file_bytes(url) });
    }
    let wal = "select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint";
    let wal = store.number(wal).await?;
    let mut rows = Vec::new();
    for table in TABLES {
      rows.push(table_counters(store, table).await?);
    }
    Ok(Self::Postgres { wal, rows })
  }

  /// Reports the difference for each task.
  async fn report(
    self,
    store: &mut Store,
    url: &str,
    tasks: usize,
    report: &mut Report,
  ) -> Result<()> {
    match (self, Self::read(store, url).await?) {
      (Self::Postgres { wal, rows }, Self::Postgres { wal: now, .. }) => {
        report.cost("WAL", (now - wal) as f64 / tasks as f64, "B/task");
        let now = settled_counters(store, &rows, tasks).await?;
        for ((table, before), now) in TABLES.iter().zip(rows).zip(now) {
          let kinds = [
            ("inserted", now.0 - before.0),
            ("updated", now.1 - before.1),
            ("deleted", now.2 - before.2),
          ];
          for (kind, count) in kinds.into_iter().filter(|(_, count)| *count != 0) {
            report.cost(&format!("rows {kind}, {table}"), count as f64 / tasks as f64, "/task");
          }
        }
      }
      (Self::Sqlite { bytes }, Self::Sqlite { bytes: now }) => {
        let growth = now.saturating_sub(bytes) as f64 / tasks as f64;
        report.cost("growth of the files", growth, "B/task");
        for table in TABLES {
          let rows = store.number(&format!("select count(*) from {table}")).await?;
          report.cost(&format!("rows kept, {table}"), rows as f64 / tasks as f64, "/task");
        }
      }
      _ => {}
    }
    Ok(())
  }
}

/// The counters of all tables, once every backend has published its own.
async fn settled_counters(
  store: &mut Store,
  before: &[(i64, i64, i64)],
  tasks: usize,
) -> Result<Vec<(i64, i64, i64)>> {
  let started = Instant::now();
  let mut pause = Duration::from_millis(100);
  loop {
    let mut now = Vec::new();
    for table in TABLES {
      now.push(table_counters(store, table).await?);
    }
    let inserted = now.iter().zip(before).map(|(now, before)| now.0 - before.0);
    let settled = inserted.take(3).all(|inserted| inserted >= tasks as i64);
    if settled || started.elapsed() > COUNTERS_LIMIT {
      return Ok(now);
    }
    tokio::time::sleep(pause).await;
    pause = (pause * 2).min(Duration::from_secs(1));
  }
}

/// Inserted, updated and deleted rows of one table.
async fn table_counters(store: &mut Store, table: &str) -> Result<(i64, i64, i64)> {
  let sql = format!(
    "select n_tup_ins, n_tup_upd, n_tup_del from pg_stat_user_tables where relname = '{table}'"
  );
  // SQLite has no such view and is not asked.
  Ok(store.rows(&sql).await?.into_iter().next().unwrap_or_default())
}

/// Bytes of a SQLite database with its log.
fn file_bytes(url: &str) -> u64 {
  let path = url.trim_start_matches("sqlite:");
  let size = |suffix: &str| {
    std::fs::metadata(Path::new(&format!("{path}{suffix}"))).map_or(0, |meta| meta.len())
  };
  size("") + size("-wal")
}

#[cfg(test)]
mod tests {
  use super::*;
  use crate::bench::usage;
  use crate::postgres;

  #[tokio::test]
  async fn postgresql_tells_rows_log_and_process() {
    let database = postgres::shared().unwrap().create_database().await.unwrap();
    let mut store = Store::open(database.url()).await.unwrap();
    store.migrate().await.unwrap();
    let before = Written::read(&mut store, database.url()).await.unwrap();
    let insert = "insert into sched_event_batch \
      select n, 1, 'default', clock_timestamp(), 'x' from generate_series(1, 1000) n";
    store.execute(insert).await.unwrap();
    let after = Written::read(&mut store, database.url()).await.unwrap();
    let (Written::Postgres { wal, .. }, Written::Postgres { wal: now, rows }) = (before, after)
    else {
      panic!("this is PostgreSQL");
    };
    assert!((100_000..10_000_000).contains(&(now - wal)), "{}", now - wal);
    assert_eq!(rows.len(), TABLES.len());
    let backend = store.number("select pg_backend_pid()::bigint").await.unwrap();
    let postmaster = usage::parent_of(u32::try_from(backend).unwrap(), "postgres").unwrap();
    assert!(usage::tree_rss_bytes(postmaster) > 10 << 20);
  }
}
