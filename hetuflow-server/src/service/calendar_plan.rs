//! What a change of a calendar would do to the fires to come: each schedule that it concerns, with the
//! calendars as they are beside the same with this one as it would be.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use hetuflow_core::{
  Calendar, CalendarForPut, CronZone, FieldError, FireCounts, FreezeEntity, JobEntity, JobId,
  JobPlan, NamedCalendar, NamespaceId, PLAN_DAYS_DEFAULT, PLAN_DAYS_MAX, Role, ScheduleEntity,
  ScheduleFilter, ScheduleId, Ts, calendar_rules, check_calendar_name,
};

use super::calendar_cache::CalendarBook;
use super::calendar_svc::CalendarSvc;
use super::fire_diff::Side;
use super::fire_plan::{Pair, add, notes, plan_of};
use super::schedule_outlook::Outlook;
use super::store::PageArgs;
use super::{Actor, SvcError, SvcResult};
use crate::infra::bmc::{calendar_bmc, freeze_bmc, job_bmc, schedule_bmc};
use crate::infra::db::Conn;

/// Schedules of a namespace that a blackout is compared for.
const SCHEDULES_MAX: i64 = 2000;

impl CalendarSvc {
  /// Says which fires a calendar would add and remove if it was set so. Changes nothing.
  ///
  /// # Errors
  /// As a change; 403 below viewer.
  pub async fn plan(
    &self,
    actor: &Actor,
    (namespace, name): (Option<&NamespaceId>, &str),
    (put, days): (CalendarForPut, Option<i64>),
  ) -> SvcResult<JobPlan> {
    let namespace = actor.namespace(namespace);
    actor.require(Role::Viewer, &namespace)?;
    let calendar = read(name, &put, days)?;
    let mut conn = self.store.read().await?;
    let from = conn.now().await?;
    let days = days.unwrap_or(PLAN_DAYS_DEFAULT).unsigned_abs();
    let until = from.plus(Duration::from_secs(86_400 * days));
    let before = calendar_bmc::get(&mut conn, &namespace, &calendar.name).await?;
    let everybody = calendar.blackout || before.is_some_and(|before| before.blackout);
    let schedules = concerned(&mut conn, (&namespace, &calendar.name), everybody).await?;
    let book = self.store.calendars.book(&mut conn, &schedules).await?;
    let mut after = self.store.calendars.book(&mut conn, &schedules).await?;
    after.replace(&namespace, calendar);
    let freezes = freeze_bmc::list(&mut conn).await?;
    let wanted: BTreeSet<JobId> = schedules.iter().map(|one| one.job_id).collect();
    let jobs = job_bmc::get_many(&mut conn, wanted).await?;
    let jobs: HashMap<JobId, JobEntity> = jobs.into_iter().map(|job| (job.id, job)).collect();
    drop(conn);
    let world = World { namespace, jobs, freezes, books: [book, after] };
    let thinking = move || world.compare(schedules, (from, until));
    let plan = tokio::task::spawn_blocking(thinking).await;
    plan.map_err(|_| SvcError::unavailable("the plan was given up"))
  }
}

/// The calendar as it would be.
fn read(name: &str, put: &CalendarForPut, days: Option<i64>) -> SvcResult<NamedCalendar> {
  let mut errors = Vec::new();
  let read = put.check(&mut errors);
  let name = check_calendar_name(name, "/name").unwrap_or_else(|error| {
    errors.push(error);
    String::new()
  });
  if days.is_some_and(|days| !(1..=PLAN_DAYS_MAX).contains(&days)) {
    let message = format!("days is 1 to {PLAN_DAYS_MAX}");
    errors.push(FieldError::new("number.range", "/days", message));
  }
  let zone = CronZone::named(put.zone());
  SvcError::check(errors)?;
  let zone = zone.map_err(|error| SvcError::unavailable(&error.message))?;
  let calendar = Calendar::new(calendar_rules(&read.rules), zone);
  Ok(NamedCalendar { name, blackout: put.blackout, calendar })
}

/// The schedules that name it, or all of the namespace.
async fn concerned(
  conn: &mut Conn,
  (namespace, name): (&NamespaceId, &str),
  everybody: bool,
) -> SvcResult<Vec<ScheduleEntity>> {
  let mut found: BTreeMap<ScheduleId, ScheduleEntity> = BTreeMap::new();
  if everybody {
    let filter =
      ScheduleFilter { namespace_id: Some(namespace.clone()), ..ScheduleFilter::default() };
    let page = schedule_bmc::list(conn, &filter, &PageArgs::first(SCHEDULES_MAX)).await?;
    found.extend(page.data.into_iter().map(|one| (one.id, one)));
  }
  for (id, _) in calendar_bmc::users(conn, (namespace, name), SCHEDULES_MAX).await? {
    if !found.contains_key(&id)
      && let Some(row) = schedule_bmc::get(conn, id).await?
    {
      found.insert(id, row);
    }
  }
  Ok(found.into_values().collect())
}

struct World {
  namespace: NamespaceId,
  jobs: HashMap<JobId, JobEntity>,
  freezes: Vec<FreezeEntity>,
  /// The calendars as they are, and as they would be.
  books: [CalendarBook; 2],
}

impl World {
  fn side(&self, (schedule, job): (&ScheduleEntity, &JobEntity), nth: usize, now: Ts) -> Side {
    let known = (&self.books[nth], self.freezes.as_slice());
    let outlook = Outlook::new((schedule, None), known, now).unwrap_or_default();
    Side { schedule: schedule.clone(), job_status: job.status, outlook }
  }

  fn compare(&self, schedules: Vec<ScheduleEntity>, (from, until): (Ts, Ts)) -> JobPlan {
    let (mut plans, mut unchanged, mut totals) = (Vec::new(), 0, FireCounts::default());
    for schedule in &schedules {
      let Some(job) = self.jobs.get(&schedule.job_id) else { continue };
      let pair = Pair {
        job: job.name.clone(),
        before: Some(self.side((schedule, job), 0, from)),
        after: Some(self.side((schedule, job), 1, from)),
      };
      let plan = plan_of(self.namespace.clone(), &pair, (from, until));
      if plan.counts.added + plan.counts.removed + plan.counts.moved == 0 && !plan.never_fires {
        unchanged += 1;
        continue;
      }
      add(&mut totals, &plan.counts);
      plans.push(plan);
    }
    JobPlan {
      applied: false,
      changes: Vec::new(),
      from,
      until,
      schedules: plans,
      unchanged,
      totals,
      herds: Vec::new(),
      notes: notes(&self.freezes, (&[&self.namespace], from)),
    }
  }
}
