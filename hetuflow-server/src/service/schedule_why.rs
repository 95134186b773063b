//! Why a schedule does not fire now, and when it will: the rules that the planner decides by, asked about
//! the next instant.

use hetuflow_core::{
  CLUSTER_SCOPE, FreezeEntity, HoldRule, HoldWhy, JobStatus, Rhythm, Role, ScheduleEntity,
  ScheduleStatus, ScheduleWhy, TaskEntity, Ts, cron_field_error,
};

use super::calendar_cache::CalendarCache;
use super::plan::{Admission, Live, Overlap};
use super::schedule_edit::{ScheduleRef, find_schedule};
use super::schedule_outlook::Outlook;
use super::schedule_svc::ScheduleSvc;
use super::store::PageArgs;
use super::{Actor, SvcError, SvcResult};
use crate::infra::bmc::{fire_bmc, freeze_bmc, job_bmc, plan_bmc, schedule_bmc};
use crate::infra::db::Conn;

/// Decisions that an answer shows.
const NEWEST_MAX: i64 = 5;
/// Stretches that are looked over for the next fire.
const STRETCHES_MAX: usize = 1000;

impl ScheduleSvc {
  /// Says what holds the next instant of a schedule back, rule by rule, and when it fires.
  ///
  /// # Errors
  /// 404; 422 for a stored rule that cannot be read.
  pub async fn why(&self, actor: &Actor, which: ScheduleRef<'_>) -> SvcResult<ScheduleWhy> {
    actor.require_role(Role::Viewer)?;
    let mut conn = self.store().read().await?;
    let row = find_schedule(&mut conn, actor, which).await?;
    let now = conn.now().await?;
    let job = job_bmc::get(&mut conn, row.job_id).await?;
    let job_status = job.as_ref().map(|job| job.status);
    let freezes = freeze_bmc::list(&mut conn).await?;
    let book = self.store().calendars.book(&mut conn, [&row]).await?;
    let outlook = Outlook::new((&row, job_status), (&book, &freezes), now)?;
    let live = plan_bmc::live_counts(&mut conn, &[row.id]).await?;
    let live =
      live.first().map(|(_, waiting, started)| Live { waiting: *waiting, started: *started });
    let newest = fire_bmc::list(&mut conn, row.id, &PageArgs::first(NEWEST_MAX)).await?.data;
    drop(conn);
    let rhythm = Rhythm::of(&row)
      .map_err(|error| SvcError::invalid(vec![cron_field_error(error, "/cron_expression")]))?;
    let next = row.next_run_at.or_else(|| rhythm.next(now).map(|(at, _)| at));
    let look = Look { row: &row, outlook: &outlook, freezes: &freezes, now, next };
    let rules = look.rules(job_status, live.unwrap_or_default());
    let (earliest_at, note) = look.earliest(&rhythm);
    Ok(ScheduleWhy {
      schedule_id: row.id,
      name: row.name.clone(),
      status: row.status,
      text: look.text(&rules, earliest_at),
      next_at: next,
      earliest_at,
      note,
      rules,
      newest,
    })
  }
}

/// What is looked at.
struct Look<'a> {
  row: &'a ScheduleEntity,
  outlook: &'a Outlook,
  freezes: &'a [FreezeEntity],
  now: Ts,
  next: Option<Ts>,
}

fn rule(rule: HoldRule, holds: bool, text: impl Into<String>) -> HoldWhy {
  HoldWhy { rule, holds, text: text.into(), until: None, command: None }
}

impl Look<'_> {
  fn rules(&self, job: Option<JobStatus>, live: Live) -> Vec<HoldWhy> {
    let mut all = vec![self.job(job), self.schedule()];
    all.extend(self.freezes());
    all.extend(self.calendars());
    if self.row.skip_next > 0 {
      let why = self.row.skip_reason.as_deref().unwrap_or("it is to be left out");
      let text = format!("the next {} instant(s): {why}", self.row.skip_next);
      let command = format!("hetuflowctl schedule skip-next {} 0", self.row.name);
      all.push(HoldWhy { command: Some(command), ..rule(HoldRule::SkipNext, true, text) });
    }
    all.push(self.overlap(live));
    all
  }

  fn job(&self, status: Option<JobStatus>) -> HoldWhy {
    let on = status == Some(JobStatus::Enabled);
    let told = status.map_or("gone".to_owned(), |status| status.to_string());
    let command = (!on).then(|| format!("hetuflowctl job get {}", self.row.job_id));
    HoldWhy { command, ..rule(HoldRule::Job, !on, format!("the job is {told}")) }
  }

  fn schedule(&self) -> HoldWhy {
    let (row, name) = (self.row, &self.row.name);
    let told = match &row.status_reason {
      Some(reason) => reason.clone(),
      None => format!("the schedule is {}", row.status),
    };
    let on = row.status == ScheduleStatus::Enabled;
    let (until, verb) = match row.status {
      ScheduleStatus::Paused => (row.paused_until, Some("resume")),
      ScheduleStatus::Enabled | ScheduleStatus::Expired => (None, None),
      _ => (None, Some("enable")),
    };
    let command = verb.map(|verb| format!("hetuflowctl schedule {verb} {name}"));
    HoldWhy { until, command, ..rule(HoldRule::Schedule, !on, told) }
  }

  fn freezes(&self) -> Vec<HoldWhy> {
    let active = self.freezes.iter().filter(|one| one.holds(&self.row.namespace_id, self.now));
    let told = |one: &FreezeEntity| {
      let command = match one.scope.as_str() {
        CLUSTER_SCOPE => "hetuflowctl cluster resume".to_owned(),
        scope => format!("hetuflowctl namespace resume {scope}"),
      };
      let (until, command) = (one.until, Some(command));
      HoldWhy { until, command, ..rule(HoldRule::Freeze, true, one.told()) }
    };
    let found: Vec<HoldWhy> = active.map(told).collect();
    if found.is_empty() { vec![rule(HoldRule::Freeze, false, "nothing is paused")] } else { found }
  }

  fn calendars(&self) -> Vec<HoldWhy> {
    let closings = &self.outlook.closings;
    let all = [
      (HoldRule::Blackout, closings.only_blackouts(), "no blackout covers the next instant"),
      (HoldRule::Calendar, closings.without_blackouts(), "its calendars let the next one through"),
    ];
    let has_say = all.into_iter().filter(|(_, closings, _)| !closings.is_empty());
    let told = has_say.map(|(which, closings, open)| {
      match self.next.and_then(|next| closings.stretch(next)) {
        None => rule(which, false, open),
        Some((reason, until)) => {
          let command = Some("hetuflowctl calendar list".to_owned());
          HoldWhy { until: Some(until), command, ..rule(which, true, reason) }
        }
      }
    });
    told.collect()
  }

  fn overlap(&self, live: Live) -> HoldWhy {
    let alive = live.started + live.waiting;
    let policy = self.row.overlap_policy;
    if alive == 0 {
      return rule(HoldRule::Overlap, false, "no earlier run is alive");
    }
    let runs = format!("{alive} earlier run(s) alive, overlap is {policy}");
    match Overlap::of(self.row, live).admit() {
      Admission::Refuse(why) => rule(HoldRule::Overlap, true, format!("{why}; {runs}")),
      Admission::Wait(_) => rule(HoldRule::Overlap, false, format!("{runs}: the next one waits")),
      Admission::Start | Admission::Replace(..) => rule(HoldRule::Overlap, false, runs),
    }
  }

  /// The first instant to come that nothing which is known holds back.
  fn earliest(&self, rhythm: &Rhythm) -> (Option<Ts>, Option<String>) {
    let used_up = self.row.max_count.is_some_and(|most| self.row.run_count >= most);
    if self.outlook.endless().is_some() || used_up {
      return (None, None);
    }
    let just_before = self.now.minus(std::time::Duration::from_micros(1));
    let (mut after, mut skips) = (just_before, self.row.skip_next);
    for _ in 0..STRETCHES_MAX {
      let Some((at, note)) = rhythm.next(after) else { break };
      after = match self.outlook.stretch(at) {
        Some((_, until)) => until.minus(std::time::Duration::from_micros(1)).max(at),
        None if skips > 0 => {
          skips -= 1;
          at
        }
        None => return (Some(at), note.map(|note| note.to_string())),
      };
    }
    (None, None)
  }

  fn text(&self, rules: &[HoldWhy], earliest: Option<Ts>) -> String {
    let held = rules.iter().find(|rule| rule.holds && rule.rule != HoldRule::Overlap);
    match (held, earliest) {
      (Some(held), Some(at)) => format!("{}; it fires at {at}", held.text),
      (Some(held), None) => format!("{}; nobody can say when it fires", held.text),
      (None, Some(at)) => format!("nothing holds it: it fires at {at}"),
      (None, None) => "it has no instant to come".to_owned(),
    }
  }
}

/// What is in force about the instants of schedules while a run waits: none of it holds the run itself,
/// which was decided, and somebody who looks for the cause should know.
///
/// # Errors
/// When the database fails.
pub(super) async fn beside_a_run(
  conn: &mut Conn,
  cache: &CalendarCache,
  (task, now): (&TaskEntity, Ts),
) -> SvcResult<Vec<HoldWhy>> {
  let freezes = freeze_bmc::list(conn).await?;
  let row = match task.schedule_id {
    Some(id) => schedule_bmc::get(conn, id).await?,
    None => None,
  };
  let mut rules: Vec<HoldWhy> = freezes
    .iter()
    .filter(|one| one.holds(&task.namespace_id, now))
    .map(|one| HoldWhy { until: one.until, ..rule(HoldRule::Freeze, false, one.told()) })
    .collect();
  if let Some(row) = &row {
    let book = cache.book(conn, [row]).await?;
    let outlook = Outlook::new((row, None), (&book, &freezes), now).unwrap_or_default();
    let look = Look { row, outlook: &outlook, freezes: &freezes, now, next: Some(now) };
    rules.extend(Some(look.schedule()).filter(|rule| rule.holds));
    rules.extend(look.calendars().into_iter().filter(|rule| rule.holds));
  }
  for rule in &mut rules {
    (rule.holds, rule.command) = (false, None);
    rule.text.push_str(": that is about instants to come, not about this run");
  }
  Ok(rules)
}
