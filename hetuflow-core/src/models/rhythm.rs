//! When a schedule is due: its expression or interval, zone, window and jitter in one pure rule.
//! Planner, previews and command line ask the same code.

use std::time::Duration;

use jiff::tz::TimeZone;

use super::schedule::ScheduleEntity;
use crate::types::{
  Calendar, CalendarGate, CalendarItem, ClockNote, CronError, CronExpression, CronZone,
  IntervalFrom, ScheduleId, ScheduleKind, Ts, count_intervals, format_duration, jitter_of,
  next_interval, parse_time_zone, previous_interval,
};

/// The seed of `H`, `~` and jitter: FNV-1a over the bytes of a schedule's id, the same on every
/// server and in every release.
pub fn cron_seed(id: ScheduleId) -> u64 {
  id.0.as_bytes().iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
    (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
  })
}

/// Instants that a search backwards passes because the calendar leaves them out.
const CLOSED_MAX: usize = 10_000;
/// Instants that are counted one by one, where a calendar leaves some out; more are told as so many.
pub const COUNTED_MAX: u64 = 5_000_000;

#[derive(Debug, Clone)]
enum Beat {
  Cron(Box<CronExpression>, CronZone),
  Interval(Ts, i64),
  /// First at an instant, then so many seconds after the end of each run.
  AfterEnd(Ts, i64),
  None,
}

/// A schedule's rule, read once and asked many times.
#[derive(Debug, Clone)]
pub struct Rhythm {
  beat: Beat,
  start: Option<Ts>,
  end: Option<Ts>,
  /// Added to every instant; window and calendar are for the instant without it.
  jitter: Duration,
  /// Closed on the days and hours that it leaves out.
  gate: Option<CalendarGate>,
  /// The one instant of a schedule that fires once, in its zone.
  once: Option<String>,
}

impl Rhythm {
  /// Reads the rule.
  ///
  /// # Errors
  /// When the expression or the zone cannot be read.
  pub fn of(schedule: &ScheduleEntity) -> Result<Self, CronError> {
    let seed = cron_seed(schedule.id);
    let beat = match (schedule.schedule_kind, &schedule.cron_expression, schedule.interval_secs) {
      (ScheduleKind::Cron, Some(text), _) => {
        let expression = CronExpression::parse(text, seed)?;
        let expression = expression.with_dst(schedule.dst_gap, schedule.dst_overlap);
        Beat::Cron(Box::new(expression), CronZone::named(&schedule.timezone)?)
      }
      (ScheduleKind::Interval, _, Some(secs)) if schedule.interval_from == IntervalFrom::End => {
        // Without a begin of its own the first run comes after one interval, as with a grid.
        let wait = Duration::from_secs(u64::try_from(secs).unwrap_or(0));
        let first = schedule.start_time.unwrap_or(schedule.anchor_at.plus(wait));
        Beat::AfterEnd(first, secs)
      }
      (ScheduleKind::Interval, _, Some(secs)) => Beat::Interval(schedule.anchor_at, secs),
      _ => Beat::None,
    };
    let jitter = jitter_of(seed, schedule.jitter_secs);
    let gate = own_gate(schedule)?;
    let once = once_at(schedule);
    Ok(Self { beat, start: schedule.start_time, end: schedule.end_time, jitter, gate, once })
  }

  /// The first instant strictly after `after`, inside the window, with a note where a change of the
  /// clocks moved it. `None`: there is none any more.
  pub fn next(&self, after: Ts) -> Option<(Ts, Option<ClockNote>)> {
    let after = after.minus(self.jitter);
    let (at, note) = match &self.gate {
      None => self.nominal(after)?,
      Some(gate) => {
        let mut note = None;
        let at = gate.next_open(after.instant(), |after| {
          let (at, told) = self.nominal(Ts::from(after))?;
          note = told;
          Some(at.instant())
        })?;
        (Ts::from(at), note)
      }
    };
    Some((at.plus(self.jitter), note))
  }

  /// The first instant of expression or interval inside the window.
  fn nominal(&self, after: Ts) -> Option<(Ts, Option<ClockNote>)> {
    // The start itself may fire.
    let before_start = self.start.map(|start| start.minus(Duration::from_micros(1)));
    let after = before_start.map_or(after, |start| start.max(after)).instant();
    let (at, note) = match &self.beat {
      Beat::Cron(expression, zone) => {
        let fire = expression.next_after(after, zone)?;
        (Ts::from(fire.at), fire.note)
      }
      Beat::Interval(anchor, secs) => {
        (Ts::from(next_interval(anchor.instant(), *secs, after)?), None)
      }
      // As if a run took no time: when one ends, the planner asks from there.
      Beat::AfterEnd(first, secs) => {
        let wait = Duration::from_secs(u64::try_from(*secs).ok().filter(|secs| *secs > 0)?);
        let after = Ts::from(after);
        (if after < *first { *first } else { after.plus(wait) }, None)
      }
      Beat::None => return None,
    };
    self.end.is_none_or(|end| at <= end).then_some((at, note))
  }

  /// The last instant strictly before `before`, inside the window.
  pub fn previous(&self, before: Ts) -> Option<Ts> {
    let mut at = self.nominal_before(before.minus(self.jitter))?;
    if let Some(gate) = &self.gate {
      let mut steps = 0;
      while !gate.is_open(at.instant()) {
        steps += 1;
        at = self.nominal_before(at).filter(|_| steps < CLOSED_MAX)?;
      }
    }
    Some(at.plus(self.jitter))
  }

  /// The last instant of expression or interval inside the window.
  fn nominal_before(&self, before: Ts) -> Option<Ts> {
    let after_end = self.end.map(|end| end.plus(Duration::from_micros(1)));
    let before = after_end.map_or(before, |end| end.min(before)).instant();
    let at = match &self.beat {
      Beat::Cron(expression, zone) => expression.previous_before(before, zone)?.at,
      Beat::Interval(anchor, secs) => previous_interval(anchor.instant(), *secs, before)?,
      Beat::AfterEnd(..) | Beat::None => return None,
    };
    let at = Ts::from(at);
    self.start.is_none_or(|start| at >= start).then_some(at)
  }

  /// How many instants lie from one to another, both included. Asks for each only where a calendar
  /// leaves some out, and then for [`COUNTED_MAX`] at most.
  pub fn count(&self, first: Ts, last: Ts) -> u64 {
    if self.gate.is_some() {
      let just_before = first.minus(Duration::from_micros(1));
      let mut next = self.next(just_before);
      let mut count = 0;
      while let Some((at, _)) = next.filter(|(at, _)| *at <= last && count < COUNTED_MAX) {
        count += 1;
        next = self.next(at);
      }
      return count;
    }
    let from = self.start.map_or(first.minus(self.jitter), |s| s.max(first.minus(self.jitter)));
    let to = self.end.map_or(last.minus(self.jitter), |e| e.min(last.minus(self.jitter)));
    if to < from {
      return 0;
    }
    match &self.beat {
      Beat::Cron(expression, zone) => {
        let just_before = from.minus(Duration::from_micros(1));
        expression.count_between(just_before.instant(), to.instant(), zone)
      }
      Beat::Interval(anchor, secs) => {
        count_intervals(anchor.instant(), *secs, (from.instant(), to.instant()))
      }
      // The next one is not known before this one has run.
      Beat::AfterEnd(..) => 1,
      Beat::None => 0,
    }
  }

  /// Whether each instant depends on the end of the run before.
  pub fn waits_for_end(&self) -> bool {
    matches!(self.beat, Beat::AfterEnd(..))
  }

  /// The rule in words.
  pub fn describe(&self) -> String {
    if let Some(once) = &self.once {
      return format!("once at {once}");
    }
    match &self.beat {
      Beat::Cron(expression, _) => expression.describe(),
      Beat::Interval(_, secs) => {
        let secs = u64::try_from(*secs).unwrap_or(0);
        format!("every {}", format_duration(Duration::from_secs(secs)))
      }
      Beat::AfterEnd(_, secs) => {
        let secs = u64::try_from(*secs).unwrap_or(0);
        let wait = format_duration(Duration::from_secs(secs));
        format!("{wait} after the end of the run before")
      }
      Beat::None => "never by itself".to_owned(),
    }
  }

  /// The zone that local times are shown in; `name` is that of the schedule.
  pub fn zone(&self, name: &str) -> TimeZone {
    match &self.beat {
      Beat::Cron(_, zone) => zone.time_zone().clone(),
      _ => parse_time_zone(name).unwrap_or(TimeZone::UTC),
    }
  }
}

/// The rules that a schedule brings along. Calendars by name are no part of its rule: what they leave
/// out was an instant all the same, and rules beside them are asked together with them.
fn own_gate(schedule: &ScheduleEntity) -> Result<Option<CalendarGate>, CronError> {
  let own = |items: &[CalendarItem]| -> Result<Vec<Calendar>, CronError> {
    let rules: Vec<_> = items.iter().filter_map(CalendarItem::rule).cloned().collect();
    if rules.is_empty() {
      return Ok(Vec::new());
    }
    Ok(vec![Calendar::new(rules, CronZone::named(&schedule.timezone)?)])
  };
  let named = schedule.include.iter().any(|item| item.name().is_some());
  let include = if named { Vec::new() } else { own(&schedule.include)? };
  let exclude = own(&schedule.exclude)?;
  let none = include.is_empty() && exclude.is_empty();
  Ok((!none).then_some(CalendarGate { include, exclude }))
}

/// The instant of a schedule with room for one fire, as its clock shows it.
fn once_at(schedule: &ScheduleEntity) -> Option<String> {
  let (start, end) = (schedule.start_time?, schedule.end_time?);
  let secs = u64::try_from(schedule.interval_secs?).ok()?;
  if end >= start.plus(Duration::from_secs(secs)) {
    return None;
  }
  let zone = parse_time_zone(&schedule.timezone).ok()?;
  Some(start.instant().to_zoned(zone).strftime("%Y-%m-%d %H:%M:%S%:z").to_string())
}
