//! Names that are nearly as long as one that was asked for.

use hetuflow_core::{ADHOC_JOB, NamespaceId};
use sea_query::Value;

use super::sql_text::SqlText;
use super::text;
use crate::infra::db::{Conn, DbError, Row1};

/// Names that one look reads.
const NAMES_MAX: u64 = 2000;
/// Names differ in length by no more than that.
const SLIPS: i64 = 2;

/// Things with names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
  /// Jobs of a namespace.
  Job,
  /// Schedules of a namespace.
  Schedule,
  /// Agents, which know no namespace.
  Agent,
}

impl Named {
  /// What people call it.
  pub fn word(self) -> &'static str {
    match self {
      Self::Job => "job",
      Self::Schedule => "schedule",
      Self::Agent => "agent",
    }
  }
}

/// Names of about this length, the newest things first.
///
/// # Errors
/// Any [`DbError`].
pub async fn alike(
  conn: &mut Conn,
  (kind, namespace): (Named, &NamespaceId),
  wanted: &str,
) -> Result<Vec<String>, DbError> {
  let mut sql = SqlText::new(match kind {
    Named::Job => "select name from sched_job where logical_deletion is null and namespace_id = ",
    Named::Schedule => "select name from sched_schedule where namespace_id = ",
    Named::Agent => "select id from sched_agent where ",
  });
  let column = match kind {
    Named::Agent => "id",
    Named::Job | Named::Schedule => {
      sql.bind(text(namespace)).push(" and ");
      "name"
    }
  };
  let length = i64::try_from(wanted.chars().count()).unwrap_or(i64::MAX - SLIPS);
  let number = |value: i64| Value::BigInt(Some(value));
  sql.push("length(").push(column).push(") between ").bind(number(length - SLIPS));
  sql.push(" and ").bind(number(length + SLIPS));
  sql.push(" and ").push(column).push(" <> ").bind(text(ADHOC_JOB));
  sql.push(" order by created_at desc").window(0, NAMES_MAX);
  let rows: Vec<Row1<String>> = sql.fetch(conn).await?;
  Ok(rows.into_iter().map(|row| row.0).collect())
}
