//! `schedule check`: what never fires, unknown zones, nights on which the clocks change, and many
//! schedules that start in the same minute.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hetuflow_core::{
  Calendar, CalendarEntity, CalendarGate, CalendarItem, ClockNote, CronError, CronExpression,
  CronZone, DEFAULT_TIMEZONE, DstGap, DstOverlap, NamespaceId, ScheduleEntity, ScheduleStatus, Ts,
  calendar_items, calendar_rules, cron_seed,
};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::lines::answer_all;
use super::next::cron_error;
use crate::cli::{CheckArgs, ManifestArgs};
use crate::client::{Call, CtlError, Exit};
use crate::command::apply::load_files;
use crate::command::input_file::{INPUT_BYTES_MAX, read_text};
use crate::command::object::list::everything;
use crate::command::session::Session;
use crate::output::{Outcome, View, visible};

/// How far herds are looked for.
const HERD_SPAN: Duration = Duration::from_secs(7 * 86_400);
/// How far changes of the clocks are looked for.
const CLOCK_SPAN: Duration = Duration::from_secs(400 * 86_400);
/// Fires of one schedule that are looked at for herds.
const FIRES_MAX: usize = 2000;
/// The same for changes of the clocks: each minute of that time.
const CLOCK_FIRES_MAX: usize = 600_000;
/// Herds and names that are told.
const TOLD_MAX: usize = 10;
/// Schedules with this much jitter, in seconds, make no herd of one minute.
const SPREAD_SECS: u64 = 60;

/// Something about a schedule.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
  /// Stable dotted code.
  pub code: String,
  /// `error` or `warning`.
  pub level: &'static str,
  /// The schedules.
  pub schedules: Vec<String>,
  /// In words.
  pub message: String,
}

/// A schedule as far as its times go.
#[derive(Debug, Clone)]
pub struct Timed {
  /// What it is called.
  pub name: String,
  /// Its expression.
  pub cron: Option<String>,
  /// Its interval in seconds, and an instant of its grid.
  pub every: Option<(i64, Timestamp)>,
  /// Its zone.
  pub timezone: String,
  /// What it does at changes of the clocks.
  pub dst: (DstGap, DstOverlap),
  /// Where `H` and `~` stand; another one for each schedule.
  pub seed: u64,
  /// Its jitter keeps it out of herds.
  pub spread: bool,
  /// Days and hours in which alone it fires; a name that nobody knows here is always.
  pub include: Vec<CalendarItem>,
  /// Days and hours that it leaves out; a name that nobody knows here is never.
  pub exclude: Vec<CalendarItem>,
  /// The calendars that it names.
  pub calendars: BTreeMap<String, Calendar>,
}

impl Timed {
  /// An expression and nothing else.
  fn plain(text: &str, timezone: String, seed: u64) -> Self {
    Self {
      name: text.to_owned(),
      cron: Some(text.to_owned()),
      every: None,
      timezone,
      dst: (DstGap::Auto, DstOverlap::Auto),
      seed,
      spread: false,
      include: Vec::new(),
      exclude: Vec::new(),
      calendars: BTreeMap::new(),
    }
  }

  /// When it may fire.
  fn gate(&self, zone: &CronZone) -> CalendarGate {
    let read = |items: &[CalendarItem]| -> Vec<Calendar> {
      let rules: Vec<_> = items.iter().filter_map(CalendarItem::rule).cloned().collect();
      let own = (!rules.is_empty()).then(|| Calendar::new(rules, zone.clone()));
      let named = items.iter().filter_map(CalendarItem::name);
      named.filter_map(|name| self.calendars.get(name).cloned()).chain(own).collect()
    };
    let known =
      |item: &CalendarItem| item.name().is_none_or(|name| self.calendars.contains_key(name));
    let include = if self.include.iter().all(known) { read(&self.include) } else { Vec::new() };
    CalendarGate { include, exclude: read(&self.exclude) }
  }

  fn parse(&self, text: &str) -> Result<CronExpression, CronError> {
    Ok(CronExpression::parse(text, self.seed)?.with_dst(self.dst.0, self.dst.1))
  }
}

/// Checks.
///
/// # Errors
/// When a source cannot be read; for one expression, what is wrong with it.
pub async fn run(session: &Session, args: &CheckArgs) -> Result<Outcome, CtlError> {
  let now = session.look.now;
  let zone = args.tz.clone();
  if args.stdin {
    return Ok(answer_all(move |question| {
      let zone = question.tz.clone().or_else(|| zone.clone());
      let one = expression(&question.expr, zone.as_deref())?;
      let findings = check(&[one], now, usize::MAX);
      Ok(json!({ "ok": findings.is_empty(), "warnings": findings }))
    }));
  }
  let all = match &args.expression {
    Some(text) => vec![expression(text, zone.as_deref())?],
    None if args.files.is_empty() => of_server(session).await?,
    None => of_files(args)?,
  };
  let findings = check(&all, now, args.herd);
  let text: String = findings
    .iter()
    .map(|one| format!("{}: {}\n", one.level, visible(&one.message)))
    .chain([format!("{} schedule(s) checked, {} finding(s)\n", all.len(), findings.len())])
    .collect();
  let bad =
    findings.iter().any(|one| one.level == "error") || (args.strict && !findings.is_empty());
  let value = json!({ "checked": all.len(), "findings": findings });
  let outcome = Outcome::from(View::text(text, value));
  Ok(if bad { outcome.exit(Exit::Failure as u8) } else { outcome })
}

/// One expression, which must be good at least.
fn expression(text: &str, zone: Option<&str>) -> Result<Timed, CtlError> {
  let timezone = zone.unwrap_or(DEFAULT_TIMEZONE).to_owned();
  CronZone::named(&timezone).map_err(|error| cron_error(&timezone, error))?;
  CronExpression::parse(text, 0).map_err(|error| cron_error(text, error))?;
  Ok(Timed::plain(text, timezone, 0))
}

/// The enabled schedules of a server.
///
/// # Errors
/// What the server says.
pub async fn of_server(session: &Session) -> Result<Vec<Timed>, CtlError> {
  let call = Call::get("/schedules").query_some("namespace_id", session.list_namespace()?);
  let all: Vec<ScheduleEntity> = everything(session.client()?, call).await?;
  let enabled = all.into_iter().filter(|one| one.status == ScheduleStatus::Enabled);
  let enabled: Vec<ScheduleEntity> = enabled.collect();
  let calendars = calendars_of(session, &enabled).await?;
  let known = |one: &ScheduleEntity| calendars.get(&one.namespace_id).cloned().unwrap_or_default();
  Ok(
    enabled
      .into_iter()
      .map(|one| Timed {
        calendars: known(&one),
        every: one.interval_secs.zip(one.next_run_at).map(|(secs, at)| (secs, at.instant())),
        seed: cron_seed(one.id),
        dst: (one.dst_gap, one.dst_overlap),
        spread: one.jitter_secs.unsigned_abs() >= SPREAD_SECS,
        include: one.include,
        exclude: one.exclude,
        name: one.name,
        cron: one.cron_expression,
        timezone: one.timezone,
      })
      .collect(),
  )
}

/// The calendars of the namespaces in which a schedule names one.
async fn calendars_of(
  session: &Session,
  schedules: &[ScheduleEntity],
) -> Result<BTreeMap<NamespaceId, BTreeMap<String, Calendar>>, CtlError> {
  let naming = schedules.iter().filter(|one| one.calendar_names().next().is_some());
  let namespaces: BTreeSet<&NamespaceId> = naming.map(|one| &one.namespace_id).collect();
  let mut found = BTreeMap::new();
  for namespace in namespaces {
    let call = Call::get("/calendars").query("namespace_id", namespace);
    let all: Vec<CalendarEntity> = everything(session.client()?, call).await?;
    let read = all.into_iter().filter_map(|one| {
      let zone = CronZone::named(&one.timezone).ok()?;
      Some((one.name, Calendar::new(calendar_rules(&one.rules), zone)))
    });
    found.insert(namespace.clone(), read.collect());
  }
  Ok(found)
}

fn of_files(args: &CheckArgs) -> Result<Vec<Timed>, CtlError> {
  let (lists, files): (Vec<PathBuf>, Vec<PathBuf>) =
    args.files.iter().cloned().partition(|path| is_list(path));
  let zone = args.tz.as_deref().unwrap_or(DEFAULT_TIMEZONE);
  let mut all = Vec::new();
  for path in &lists {
    let text = read_text(path, INPUT_BYTES_MAX)?;
    all.extend(of_list(&text, zone));
  }
  if files.is_empty() {
    return Ok(all);
  }
  let manifests = ManifestArgs { files, recursive: true, var: Vec::new() };
  let loaded = load_files(&manifests)?;
  for (job, _) in &loaded.jobs {
    for schedule in &job.schedules {
      all.push(Timed {
        name: schedule.name.clone().unwrap_or_else(|| job.name.clone()),
        cron: schedule.cron_expression.clone(),
        // The grid of an interval begins when a server takes it.
        every: None,
        timezone: schedule.timezone.clone().unwrap_or_else(|| DEFAULT_TIMEZONE.to_owned()),
        dst: (
          schedule.dst_gap.unwrap_or(DstGap::Auto),
          schedule.dst_overlap.unwrap_or(DstOverlap::Auto),
        ),
        // The server will choose by ids that do not exist yet.
        seed: all.len() as u64,
        spread: schedule.jitter_secs.is_some_and(|jitter| jitter.0.as_secs() >= SPREAD_SECS),
        include: calendar_items(&schedule.include),
        exclude: calendar_items(&schedule.exclude),
        // They live in a server.
        calendars: BTreeMap::new(),
      });
    }
  }
  Ok(all)
}

/// A file that is not YAML or JSON holds one expression per line.
fn is_list(path: &Path) -> bool {
  let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
  let manifest = ["yaml", "yml", "json"].iter().any(|known| ending.eq_ignore_ascii_case(known));
  path != Path::new("-") && !manifest && !path.is_dir()
}

/// The expressions of a text, one per line; empty lines and those that begin with `#` are none.
fn of_list(text: &str, zone: &str) -> Vec<Timed> {
  let lines = text.lines().map(str::trim).enumerate();
  let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
  let timed = |(number, line): (usize, &str)| Timed {
    name: format!("line {}", number + 1),
    ..Timed::plain(line, zone.to_owned(), number as u64)
  };
  lines.map(timed).collect()
}

/// Everything about some schedules; `herd` is how many in one minute are too many.
pub fn check(all: &[Timed], now: Ts, herd: usize) -> Vec<Finding> {
  let mut findings = Vec::new();
  let mut minutes: BTreeMap<i64, BTreeSet<usize>> = BTreeMap::new();
  for (index, one) in all.iter().enumerate() {
    let finding = |code: &str, level, message| Finding {
      code: code.to_owned(),
      level,
      schedules: vec![one.name.clone()],
      message,
    };
    let zone = match CronZone::named(&one.timezone) {
      Ok(zone) => zone,
      Err(error) => {
        findings.push(finding(error.code, "error", format!("{}: {}", one.name, error.message)));
        continue;
      }
    };
    let gate = one.gate(&zone);
    let parsed = one.cron.as_ref().map(|text| one.parse(text));
    match parsed {
      Some(Err(error)) => {
        let text = one.cron.as_deref().unwrap_or_default();
        let message = format!("{} \"{text}\": {}", one.name, error.message);
        findings.push(finding(error.code, "error", message));
      }
      Some(Ok(cron)) => {
        let next = |after| cron.next_after(after, &zone).map(|fire| fire.at);
        if gate.next_open(now.instant(), next).is_none() {
          let message = format!("{} never fires again: \"{}\"", one.name, cron.as_str());
          findings.push(finding("cron.never_fires", "error", message));
        }
        findings.extend(
          clocks(&cron, (&zone, &gate), now)
            .map(|note| finding("schedule.clocks", "warning", format!("{}: {note}", one.name))),
        );
        let open = fires(&cron, &zone, now).filter(|at| !one.spread && gate.is_open(*at));
        for at in open {
          minutes.entry(at.as_second().div_euclid(60)).or_default().insert(index);
        }
      }
      None => {
        for at in
          one.every.filter(|_| !one.spread).into_iter().flat_map(|grid| grid_fires(grid, now))
        {
          if Timestamp::from_second(at).is_ok_and(|at| gate.is_open(at)) {
            minutes.entry(at.div_euclid(60)).or_default().insert(index);
          }
        }
      }
    }
  }
  findings.extend(herds(all, &minutes, herd));
  findings
}

fn fires<'c>(
  cron: &'c CronExpression,
  zone: &'c CronZone,
  now: Ts,
) -> impl Iterator<Item = Timestamp> + 'c {
  let end = now.plus(HERD_SPAN).instant();
  let fires = cron.fires_after(now.instant(), zone).map(|fire| fire.at);
  fires.take_while(move |at| *at <= end).take(FIRES_MAX)
}

fn grid_fires((secs, first): (i64, Timestamp), now: Ts) -> impl Iterator<Item = i64> {
  let end = now.plus(HERD_SPAN).instant().as_second();
  let step = usize::try_from(secs.max(1)).unwrap_or(usize::MAX);
  (first.as_second()..=end).step_by(step).take(FIRES_MAX)
}

/// The first night in the coming year that changes a fire.
fn clocks(
  cron: &CronExpression,
  (zone, gate): (&CronZone, &CalendarGate),
  now: Ts,
) -> Option<String> {
  // Most schedules of many fires are patterns that do what patterns do: nothing to tell.
  if cron.is_pattern() && cron.dst() == (DstGap::Skip, DstOverlap::Both) {
    return None;
  }
  let end = now.plus(CLOCK_SPAN).instant();
  let fires = cron.fires_after(now.instant(), zone).take(CLOCK_FIRES_MAX);
  fires.take_while(|fire| fire.at <= end).find_map(|fire| {
    let note = fire.note.filter(|note| *note != ClockNote::SecondPass && gate.is_open(fire.at))?;
    Some(format!("{}: {note}", zone.local(fire.at).date()))
  })
}

/// Minutes of the day in which too many start, the fullest first.
fn herds(all: &[Timed], minutes: &BTreeMap<i64, BTreeSet<usize>>, herd: usize) -> Vec<Finding> {
  let mut of_day: BTreeMap<i64, (i64, &BTreeSet<usize>)> = BTreeMap::new();
  for (minute, members) in minutes.iter().filter(|(_, members)| members.len() >= herd) {
    let fullest = of_day.entry(minute.rem_euclid(1440)).or_insert((*minute, members));
    if members.len() > fullest.1.len() {
      *fullest = (*minute, members);
    }
  }
  let mut found: Vec<_> = of_day.into_values().collect();
  found.sort_by_key(|(minute, members)| (usize::MAX - members.len(), *minute));
  found.truncate(TOLD_MAX);
  found.into_iter().map(|(minute, members)| herd_of(all, minute, members)).collect()
}

fn herd_of(all: &[Timed], minute: i64, members: &BTreeSet<usize>) -> Finding {
  let names: Vec<String> = members.iter().map(|index| all[*index].name.clone()).collect();
  let first = members.first().map_or(DEFAULT_TIMEZONE, |index| all[*index].timezone.as_str());
  let zone = CronZone::named(first).unwrap_or_else(|_| CronZone::utc());
  let when = Timestamp::from_second(minute * 60).map(|at| zone.local(at));
  let when = when.map(|at| at.strftime("%H:%M").to_string()).unwrap_or_default();
  let more = if names.len() > TOLD_MAX { ", …" } else { "" };
  let shown = names.iter().take(TOLD_MAX).cloned().collect::<Vec<_>>().join(", ");
  Finding {
    code: "schedule.herd".to_owned(),
    level: "warning",
    message: format!("{} schedules start at {when} {first}: {shown}{more}", names.len()),
    schedules: names,
  }
}

#[cfg(test)]
mod tests {
  use super::*;

  fn timed(name: &str, cron: &str, zone: &str) -> Timed {
    Timed { name: name.into(), ..Timed::plain(cron, zone.into(), 0) }
  }

  #[test]
  fn never_herds_zones_and_clocks() {
    let now: Ts = "2025-11-21T14:00:00Z".parse().expect("an instant");
    let mut all: Vec<Timed> =
      (0..4).map(|n| timed(&format!("s{n}"), "0 2 * * *", "Asia/Shanghai")).collect();
    all.push(timed("old", "0 3 31 2 *", "UTC"));
    all.push(timed("past", "0 0 3 1 1 * 2020", "UTC"));
    all.push(timed("mars", "@daily", "Mars/Base"));
    all.push(timed("night", "30 2 * * *", "Europe/Berlin"));
    let grid = (86_400, "2025-11-21T18:00:00Z".parse().expect("an instant"));
    all.push(Timed { cron: None, every: Some(grid), ..timed("grid", "", "UTC") });
    let findings = check(&all, now, 5);
    let told: Vec<(&str, &str)> =
      findings.iter().map(|one| (one.code.as_str(), one.schedules[0].as_str())).collect();
    assert_eq!(
      told,
      [
        ("cron.never_fires", "old"),
        ("cron.never_fires", "past"),
        ("tz.unknown", "mars"),
        ("schedule.clocks", "night"),
        ("schedule.herd", "s0"),
      ]
    );
    assert!(
      findings[4].message.starts_with("5 schedules start at 02:00 Asia/Shanghai"),
      "{findings:?}"
    );
    assert!(findings[3].message.contains("2026-03-29"), "{findings:?}");
    assert_eq!(check(&all[..4], now, 5), []);
    // With a minute of jitter they do not start together.
    let spread: Vec<Timed> =
      all[..4].iter().cloned().map(|one| Timed { spread: true, ..one }).collect();
    assert_eq!(check(&spread, now, 4), []);
    assert_eq!(check(&all[..4], now, 4).len(), 1);
  }

  #[test]
  fn what_is_left_out_is_no_herd_and_no_night() {
    let now: Ts = "2025-11-21T14:00:00Z".parse().expect("an instant");
    let exclude = |rule: &str, one: Timed| Timed { exclude: calendar_items(&[rule.into()]), ..one };
    let never = exclude("02:00-03:00", timed("never", "30 2 * * *", "UTC"));
    let codes = |all: &[Timed], herd| -> Vec<String> {
      check(all, now, herd).into_iter().map(|one| one.code).collect()
    };
    assert_eq!(codes(&[never], 9), ["cron.never_fires"]);
    let nights = timed("night", "30 2 * * *", "Europe/Berlin");
    assert_eq!(codes(std::slice::from_ref(&nights), 9), ["schedule.clocks"]);
    assert_eq!(codes(&[exclude("SUN", nights)], 9), Vec::<String>::new());
    let at = |name: &str| timed(name, "0 12 * * *", "UTC");
    assert_eq!(codes(&[at("a"), at("b")], 2).len(), 1);
    assert_eq!(codes(&[at("a"), exclude("MON-SUN 11:00-12:30", at("b"))], 2), ["cron.never_fires"]);
  }

  #[test]
  fn lists_of_expressions() {
    let all = of_list("# night jobs\n0 2 * * *\n\n  0 0 30 2 *\n30 2 * * *\n", "Europe/Berlin");
    let names: Vec<&str> = all.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["line 2", "line 4", "line 5"]);
    let now: Ts = "2025-11-21T14:00:00Z".parse().expect("an instant");
    let told: Vec<String> = check(&all, now, 10).into_iter().map(|one| one.code).collect();
    assert_eq!(told, ["schedule.clocks", "cron.never_fires", "schedule.clocks"]);
    assert!(is_list(Path::new("x/crons.txt")) && is_list(Path::new("crons")));
    assert!(!is_list(Path::new("jobs.yaml")) && !is_list(Path::new("-")));
  }
}
