//! Windows of lists that people filter and sort: by SQL where it can decide, else by looking at each
//! row of a bounded part.

use std::collections::HashMap;

use hetuflow_core::{
  ErrorCode, ErrorResponse, FieldError, FilterField, FilterScope, JobEntity, NamespaceId, Ts,
};

use super::row_match::{Fields, Wanted};
use super::{SvcError, SvcResult};
use crate::infra::bmc::filter_sql::{Narrow, Reach};
use crate::infra::bmc::watch_jobs;
use crate::infra::bmc::watch_schedules::{self, FiringSchedule};
use crate::infra::bmc::watch_tasks::{self, ListedTask, Selection};
use crate::infra::db::Conn;

/// Rows that are looked at one by one.
const ROWS_MAX: u64 = 20_000;
/// Jobs whose names are held against an expression.
const JOBS_MAX: u64 = 50_000;
/// Jobs that one statement can name.
const JOBS_NAMED_MAX: usize = 2000;

/// Which rows of a list are wanted.
pub(super) struct Window<'a> {
  /// One namespace, or all.
  pub(super) namespace: Option<&'a NamespaceId>,
  /// First row.
  pub(super) from: u64,
  /// Rows.
  pub(super) len: u64,
  /// Now.
  pub(super) now: Ts,
}

/// Rows of a window; how many there are in all, where that is known already.
pub(super) struct Rows<R> {
  /// The rows.
  pub(super) rows: Vec<R>,
  /// Rows that the filter lets through, where they were looked at one by one or the window holds the
  /// last of them.
  pub(super) matched: Option<u64>,
}

/// Jobs by the expressions that their names fit.
pub(super) type JobsLike = HashMap<String, Vec<uuid::Uuid>>;

/// Finds the jobs that expressions in a filter mean.
///
/// # Errors
/// Any database error.
pub(super) async fn jobs_like(
  conn: &mut Conn,
  wanted: &Wanted,
  (namespace, scope): (Option<&NamespaceId>, FilterScope),
) -> SvcResult<JobsLike> {
  let field = if scope == FilterScope::Jobs { FilterField::Name } else { FilterField::Job };
  let expressions = wanted.expressions_of(&field);
  let mut like = JobsLike::new();
  if expressions.is_empty() {
    return Ok(like);
  }
  let names = watch_jobs::all_names(conn, namespace, JOBS_MAX).await?;
  if names.len() as u64 == JOBS_MAX {
    return Ok(like);
  }
  for (text, expression) in expressions {
    let fits = names.iter().filter(|(_, name)| expression.is_match(name));
    let ids: Vec<uuid::Uuid> = fits.map(|(id, _)| id.0).collect();
    if ids.len() <= JOBS_NAMED_MAX {
      like.insert(text.to_owned(), ids);
    }
  }
  Ok(like)
}

fn select<'a>(
  window: &Window<'a>,
  wanted: &'a Wanted,
  (jobs_like, from, len): (&'a JobsLike, u64, u64),
) -> Selection<'a> {
  let narrow = Narrow { filter: &wanted.filter, sort: &wanted.sort, now: window.now, jobs_like };
  Selection { namespace: window.namespace, from, len, narrow }
}

macro_rules! windowed {
  ($(#[$meta:meta])* $name:ident, $row:ty, $scope:expr, $list:path) => {
    $(#[$meta])*
    pub(super) async fn $name(
      conn: &mut Conn,
      window: &Window<'_>,
      wanted: &Wanted,
    ) -> SvcResult<Rows<$row>> {
      let like = jobs_like(conn, wanted, (window.namespace, $scope)).await?;
      let (rows, reach) = $list(conn, &select(window, wanted, (&like, window.from, window.len))).await?;
      if reach == Reach::Exact {
        let matched = up_to_the_last(window, rows.len() as u64);
        return Ok(Rows { rows, matched });
      }
      let (rows, _) = $list(conn, &select(window, wanted, (&like, 0, ROWS_MAX + 1))).await?;
      look_at(rows, window, wanted)
    }
  };
}

windowed! {
  /// A window of tasks, newest first where no order is given.
  ///
  /// # Errors
  /// `filter.too_wide` where too many rows would have to be looked at.
  tasks, ListedTask, FilterScope::Tasks, watch_tasks::list
}
windowed! {
  /// A window of jobs, by name where no order is given.
  ///
  /// # Errors
  /// `filter.too_wide` where too many rows would have to be looked at.
  jobs, JobEntity, FilterScope::Jobs, watch_jobs::list
}
windowed! {
  /// A window of schedules, newest first where no order is given.
  ///
  /// # Errors
  /// `filter.too_wide` where too many rows would have to be looked at.
  schedules, FiringSchedule, FilterScope::Schedules, watch_schedules::list
}

/// How many tasks SQL lets through.
///
/// # Errors
/// Any database error.
pub(super) async fn count_tasks(
  conn: &mut Conn,
  window: &Window<'_>,
  wanted: &Wanted,
) -> SvcResult<u64> {
  let like = jobs_like(conn, wanted, (window.namespace, FilterScope::Tasks)).await?;
  Ok(watch_tasks::matched(conn, &select(window, wanted, (&like, 0, 0))).await?)
}

/// How many jobs SQL lets through.
///
/// # Errors
/// Any database error.
pub(super) async fn count_jobs(
  conn: &mut Conn,
  window: &Window<'_>,
  wanted: &Wanted,
) -> SvcResult<u64> {
  let like = jobs_like(conn, wanted, (window.namespace, FilterScope::Jobs)).await?;
  Ok(watch_jobs::matched(conn, &select(window, wanted, (&like, 0, 0))).await?)
}

/// How many rows there are in all, where a window is not full: nothing comes after it.
fn up_to_the_last(window: &Window<'_>, found: u64) -> Option<u64> {
  let holds_the_last = found < window.len && (found > 0 || window.from == 0);
  holds_the_last.then(|| window.from + found)
}

/// Holds the filter against each row.
fn look_at<R: Fields>(
  mut rows: Vec<R>,
  window: &Window<'_>,
  wanted: &Wanted,
) -> SvcResult<Rows<R>> {
  if rows.len() as u64 > ROWS_MAX {
    return Err(too_wide());
  }
  rows.retain(|row| wanted.fits(row, window.now));
  let matched = rows.len() as u64;
  let from = usize::try_from(window.from).unwrap_or(usize::MAX);
  let len = usize::try_from(window.len).unwrap_or(usize::MAX);
  let rows = rows.into_iter().skip(from).take(len).collect();
  Ok(Rows { rows, matched: Some(matched) })
}

fn too_wide() -> SvcError {
  let message = format!("more than {ROWS_MAX} rows would have to be looked at one by one");
  let hint = "narrow it by state=, job= or since=, or write = with * in place of ~";
  let rule = FieldError::new("filter.too_wide", "filter", message).with_hint(hint);
  let rules = ErrorResponse::validation(vec![rule]);
  SvcError::refused(ErrorResponse { code: ErrorCode::ValidationError, ..rules })
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn a_window_that_is_not_full_knows_how_many_there_are() {
    let window = |from| Window { namespace: None, from, len: 3, now: Ts::now() };
    assert_eq!(up_to_the_last(&window(0), 0), Some(0));
    assert_eq!(up_to_the_last(&window(0), 2), Some(2));
    assert_eq!(up_to_the_last(&window(4), 2), Some(6));
    // More may follow, or the window is behind the last row.
    assert_eq!(up_to_the_last(&window(0), 3), None);
    assert_eq!(up_to_the_last(&window(4), 0), None);
  }
}
