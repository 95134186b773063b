//! Which instants of the past a backfill runs: those of the schedule's rule, sifted by what became
//! of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hetuflow_core::{
  BackfillEntity, BackfillOnly, BackfillOrder, Closings, ScheduleId, TaskId, TaskStatus, Ts,
};

use super::schedule_cursor::Rhythm;
use crate::infra::bmc::backfill_bmc;
use crate::infra::db::{Conn, DbError};

/// Instants that are sifted with one question to the store.
const CHUNK: usize = 500;
/// Instants that one count may look at.
pub(super) const LOOKED_AT_MAX: i64 = 1_000_000;
const MICRO: Duration = Duration::from_micros(1);

/// From where to where, in which order, and which.
#[derive(Debug, Clone)]
pub(super) struct Choice {
  pub(super) schedule_id: ScheduleId,
  pub(super) from: Ts,
  pub(super) to: Ts,
  pub(super) order: BackfillOrder,
  pub(super) only: BackfillOnly,
  /// Calendars whose instants are not run.
  pub(super) closings: Closings,
}

/// How many there are.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Tally {
  pub(super) in_range: i64,
  pub(super) total: i64,
  /// Those that calendars leave out.
  pub(super) excluded: i64,
  pub(super) first: Option<Ts>,
  pub(super) last: Option<Ts>,
}

/// The next instants to run.
#[derive(Debug, Default)]
pub(super) struct Picked {
  pub(super) instants: Vec<Ts>,
  /// How far the rule was followed.
  pub(super) cursor: Option<Ts>,
  /// There is nothing after it.
  pub(super) exhausted: bool,
}

impl Choice {
  /// That of a stored backfill.
  pub(super) fn of(row: &BackfillEntity, closings: Closings) -> Self {
    Self {
      schedule_id: row.schedule_id,
      from: row.from_at,
      to: row.to_at,
      order: row.order,
      only: row.only,
      closings,
    }
  }

  /// The next instants of the rule, in the order of the backfill.
  fn chunk(&self, rhythm: &Rhythm, cursor: Option<Ts>) -> Vec<Ts> {
    let mut chunk = Vec::new();
    let mut at = cursor.unwrap_or(match self.order {
      BackfillOrder::Forward => self.from.minus(MICRO),
      BackfillOrder::Backward => self.to.plus(MICRO),
    });
    while chunk.len() < CHUNK {
      let next = match self.order {
        BackfillOrder::Forward => rhythm.next(at).map(|(at, _)| at),
        BackfillOrder::Backward => rhythm.previous(at),
      };
      let Some(next) = next.filter(|at| (self.from..=self.to).contains(at)) else { break };
      chunk.push(next);
      at = next;
    }
    chunk
  }

  /// The next instants as far as calendars let them through, with the last one that was looked at and
  /// how many there were.
  fn open_chunk(&self, rhythm: &Rhythm, cursor: Option<Ts>) -> (Vec<Ts>, Option<Ts>, usize) {
    let mut chunk = self.chunk(rhythm, cursor);
    let (last, looked_at) = (chunk.last().copied(), chunk.len());
    chunk.retain(|at| !self.closings.is_closed(*at));
    (chunk, last, looked_at)
  }

  /// Those of some instants that are to be run, in their order.
  async fn sift(&self, conn: &mut Conn, instants: &[Ts]) -> Result<Vec<Ts>, DbError> {
    if self.only == BackfillOnly::All {
      return Ok(instants.to_vec());
    }
    let (Some(first), Some(last)) = (instants.iter().min(), instants.iter().max()) else {
      return Ok(Vec::new());
    };
    let span = (*first, *last);
    let mut newest: BTreeMap<Ts, (TaskId, TaskStatus)> = BTreeMap::new();
    for ran in backfill_bmc::ran_between(conn, self.schedule_id, span).await? {
      let known = newest.entry(ran.scheduled_at).or_insert((ran.id, ran.status));
      if known.0 < ran.id {
        *known = (ran.id, ran.status);
      }
    }
    let mut fired = BTreeSet::new();
    if self.only == BackfillOnly::Missing {
      // A task that nobody keeps any more has run all the same.
      fired.extend(backfill_bmc::fired_between(conn, self.schedule_id, span).await?);
    }
    let wanted = |at: &Ts| match (self.only, newest.get(at)) {
      (BackfillOnly::Failed, last) => last.is_some_and(|(_, status)| has_failed(*status)),
      (_, last) => last.is_none() && !fired.contains(at),
    };
    Ok(instants.iter().copied().filter(wanted).collect())
  }

  /// Counts, up to one more than `most`.
  ///
  /// # Errors
  /// Any [`DbError`].
  pub(super) async fn count(
    &self,
    conn: &mut Conn,
    rhythm: &Rhythm,
    most: i64,
  ) -> Result<Tally, DbError> {
    let (mut tally, mut cursor) = (Tally::default(), None);
    while tally.total <= most && tally.in_range <= LOOKED_AT_MAX {
      let (chunk, last, looked_at) = self.open_chunk(rhythm, cursor);
      let Some(last) = last else { break };
      cursor = Some(last);
      let chosen = self.sift(conn, &chunk).await?;
      tally.in_range += looked_at as i64;
      tally.excluded += (looked_at - chunk.len()) as i64;
      tally.total += chosen.len() as i64;
      for at in chosen {
        tally.first = Some(tally.first.map_or(at, |first| first.min(at)));
        tally.last = Some(tally.last.map_or(at, |last| last.max(at)));
      }
    }
    Ok(tally)
  }

  /// The next instants to run after the cursor, `count` at most; looks at a bounded number.
  ///
  /// # Errors
  /// Any [`DbError`].
  pub(super) async fn pick(
    &self,
    conn: &mut Conn,
    rhythm: &Rhythm,
    (cursor, count): (Option<Ts>, usize),
  ) -> Result<Picked, DbError> {
    let (chunk, last, looked_at) = self.open_chunk(rhythm, cursor);
    let mut chosen = self.sift(conn, &chunk).await?;
    let all = chosen.len() <= count;
    chosen.truncate(count);
    let cursor = match (all, chosen.last()) {
      (false, last) => last.copied().or(cursor),
      (true, _) => last.or(cursor),
    };
    Ok(Picked { instants: chosen, cursor, exhausted: all && looked_at < CHUNK })
  }
}

/// Ends that a backfill of what has failed repeats. What was cancelled or skipped was meant so.
fn has_failed(status: TaskStatus) -> bool {
  matches!(status, TaskStatus::Failed | TaskStatus::Lost | TaskStatus::Expired)
}
