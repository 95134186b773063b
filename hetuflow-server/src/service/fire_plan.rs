//! What manifests would do to the fires to come: the apply is tried and undone, and each schedule as
//! it is stands beside the same as it would be.

use std::collections::BTreeMap;
use std::time::Duration;

use hetuflow_core::{
  ApplyChange, ApplyRequest, Closings, FireCounts, FirePlan, FreezeEntity, HERD_DEFAULT, JobPlan,
  JobPlanRequest, NamespaceId, PLAN_DAYS_DEFAULT, ScheduleEntity, ScheduleFilter, ScheduleId,
  ScheduleStatus, Ts,
};

use super::apply_svc::{ApplySvc, tried};
use super::calendar_cache::CalendarCache;
use super::fire_diff::{Side, compare, same_rule};
use super::fire_herds::herds;
use super::schedule_cursor::Rhythm;
use super::schedule_outlook::Outlook;
use super::store::PageArgs;
use super::{Actor, SvcError, SvcResult};
use crate::infra::bmc::{freeze_bmc, job_bmc, schedule_bmc};
use crate::infra::db::Conn;

/// Schedules around those of the plan that are looked at for herds.
const AROUND_MAX: i64 = 2000;

/// A schedule by where it is: its name may change hands between jobs.
type Place = (NamespaceId, String, ScheduleId);

/// One schedule on both sides.
pub(super) struct Pair {
  pub(super) job: String,
  pub(super) before: Option<Side>,
  pub(super) after: Option<Side>,
}

impl ApplySvc {
  /// Says which fires manifests would add, remove and move. Changes nothing.
  ///
  /// # Errors
  /// As an apply: every broken rule of every job.
  pub async fn fires(&self, actor: &Actor, request: JobPlanRequest) -> SvcResult<JobPlan> {
    let mut errors = Vec::new();
    request.check(&mut errors);
    SvcError::check(errors)?;
    let days = request.days.unwrap_or(PLAN_DAYS_DEFAULT).unsigned_abs();
    let herd = request.herd.unwrap_or(HERD_DEFAULT);
    let JobPlanRequest { jobs, scope, prune, from, .. } = request;
    let apply = ApplyRequest { jobs, dry_run: true, scope, prune };
    // Once to see which jobs it touches, and once more to read what it leaves there.
    let (mut work, changes) = tried(self.store(), actor, apply.clone()).await?;
    let from = from.unwrap_or(work.now);
    let cache = &self.store().calendars;
    let now = work.now;
    let after = sides(&mut work.tx, (cache, now), &changes).await;
    let around = around(&mut work.tx, cache, &changes).await;
    work.roll_back().await;
    let (after, around) = (after?, around?);
    let mut conn = self.store().read().await?;
    let before = sides(&mut conn, (cache, now), &changes).await?;
    let freezes = freeze_bmc::list(&mut conn).await?;
    drop(conn);
    let until = from.plus(Duration::from_secs(86_400 * days));
    let namespaces: Vec<NamespaceId> =
      changes.iter().map(|change| change.namespace_id.clone()).collect();
    let notes = notes(&freezes, (&namespaces.iter().collect::<Vec<_>>(), now));
    let thinking =
      move || JobPlan { notes, ..think(changes, (before, after, around), (from, until, herd)) };
    let plan = tokio::task::spawn_blocking(thinking).await;
    plan.map_err(|_| SvcError::unavailable("the plan was given up"))
  }
}

/// The schedules of the jobs that a plan touches, as this connection sees them.
async fn sides(
  conn: &mut Conn,
  (cache, now): (&CalendarCache, Ts),
  changes: &[ApplyChange],
) -> SvcResult<BTreeMap<Place, (String, Side)>> {
  let mut found = BTreeMap::new();
  let freezes = freeze_bmc::list(conn).await?;
  for change in changes {
    let job = job_bmc::get_by_name(conn, &change.namespace_id, &change.name).await?;
    let Some(job) = job else { continue };
    let schedules = schedule_bmc::list_of_job(conn, job.id).await?;
    let book = cache.book(conn, &schedules).await?;
    for schedule in schedules {
      // What cannot be asked leaves nothing out.
      let known = (&book, freezes.as_slice());
      let outlook = Outlook::new((&schedule, None), known, now).unwrap_or_default();
      let place = (job.namespace_id.clone(), job.name.clone(), schedule.id);
      found.insert(place, (job.name.clone(), Side { schedule, job_status: job.status, outlook }));
    }
  }
  Ok(found)
}

/// Freezes of these namespaces that nobody knows the end of.
pub(super) fn notes(
  freezes: &[FreezeEntity],
  (namespaces, now): (&[&NamespaceId], Ts),
) -> Vec<String> {
  let endless = |one: &&FreezeEntity| {
    one.until.is_none() && namespaces.iter().any(|namespace| one.holds(namespace, now))
  };
  freezes.iter().filter(endless).map(FreezeEntity::told).collect()
}

/// Schedules of the same namespaces that fire.
async fn around(
  conn: &mut Conn,
  cache: &CalendarCache,
  changes: &[ApplyChange],
) -> SvcResult<Vec<(ScheduleEntity, Closings)>> {
  let mut namespaces: Vec<&NamespaceId> = changes.iter().map(|one| &one.namespace_id).collect();
  namespaces.sort_unstable();
  namespaces.dedup();
  let mut found = Vec::new();
  for namespace in namespaces {
    let filter = ScheduleFilter {
      namespace_id: Some(namespace.clone()),
      status: Some(ScheduleStatus::Enabled),
      ..ScheduleFilter::default()
    };
    let rows = schedule_bmc::list(conn, &filter, &PageArgs::first(AROUND_MAX)).await?.data;
    let book = cache.book(conn, &rows).await?;
    found.extend(rows.into_iter().map(|row| {
      let closings = book.closings(&row).unwrap_or_default();
      (row, closings)
    }));
  }
  Ok(found)
}

type Known = BTreeMap<Place, (String, Side)>;

/// Pure: the plan.
fn think(
  changes: Vec<ApplyChange>,
  (before, after, around): (Known, Known, Vec<(ScheduleEntity, Closings)>),
  (from, until, herd): (Ts, Ts, i64),
) -> JobPlan {
  let (mut schedules, mut unchanged) = (Vec::new(), 0);
  let (mut totals, mut changed) = (FireCounts::default(), Vec::new());
  for ((namespace, ..), pair) in pairs(before, after) {
    if let (Some(a), Some(b)) = (&pair.before, &pair.after)
      && same_rule(a, b)
    {
      unchanged += 1;
      continue;
    }
    if let Some(side) = pair.after.as_ref().filter(|side| side.is_on()) {
      changed.push((side.schedule.clone(), side.outlook.closings.clone()));
    }
    let plan = plan_of(namespace, &pair, (from, until));
    add(&mut totals, &plan.counts);
    schedules.push(plan);
  }
  let is_changed = |row: &ScheduleEntity| changed.iter().any(|one| one.0.id == row.id);
  let others: Vec<_> = around.into_iter().filter(|one| !is_changed(&one.0)).collect();
  let herds = herds(&changed, &others, (from, herd));
  let notes = Vec::new();
  JobPlan { applied: false, changes, from, until, schedules, unchanged, totals, herds, notes }
}

fn pairs(before: Known, after: Known) -> BTreeMap<Place, Pair> {
  let mut pairs: BTreeMap<Place, Pair> = BTreeMap::new();
  for (place, (job, side)) in before {
    pairs.insert(place, Pair { job, before: Some(side), after: None });
  }
  for (place, (job, side)) in after {
    let pair = pairs.entry(place).or_insert(Pair { job, before: None, after: None });
    pair.after = Some(side);
  }
  pairs
}

pub(super) fn plan_of(namespace_id: NamespaceId, pair: &Pair, span: (Ts, Ts)) -> FirePlan {
  let (before, after) = (pair.before.as_ref(), pair.after.as_ref());
  let row = after.or(before).map(|side| &side.schedule);
  let rhythm = row.map(Rhythm::of);
  // What is stored may be broken; then it has no fires, and that is told.
  let diff =
    compare(before, after, span).or_else(|_| compare(None, after, span)).unwrap_or_default();
  let description = match &rhythm {
    Some(Ok(rhythm)) => rhythm.describe(),
    Some(Err(error)) => format!("invalid: {error}"),
    None => String::new(),
  };
  let hashed = row.is_some_and(|row| {
    row.jitter_secs > 0
      || row
        .cron_expression
        .as_deref()
        .is_some_and(|text| text.contains(['H', '~']) && hashes(text))
  });
  let action = match (before, after) {
    (None, _) => "create",
    (_, None) => "delete",
    _ => "update",
  };
  FirePlan {
    namespace_id,
    job: pair.job.clone(),
    schedule: row.map(|row| row.name.clone()).unwrap_or_default(),
    action: action.to_owned(),
    description,
    timezone: row.map(|row| row.timezone.clone()).unwrap_or_default(),
    never_fires: after.is_some_and(Side::is_on) && diff.counts.after == 0,
    approximate: before.is_none() && hashed,
    counts: diff.counts,
    differences: diff.differences,
    compared_until: diff.compared_until,
  }
}

/// Whether an expression draws values by the schedule's id; MARCH and THU do not.
fn hashes(text: &str) -> bool {
  let names = text
    .split([' ', ',', '-'])
    .any(|part| part == "H" || part.starts_with("H/") || part.starts_with("H("));
  names || text.contains('~')
}

pub(super) fn add(totals: &mut FireCounts, counts: &FireCounts) {
  totals.before += counts.before;
  totals.after += counts.after;
  totals.added += counts.added;
  totals.removed += counts.removed;
  totals.moved += counts.moved;
}
