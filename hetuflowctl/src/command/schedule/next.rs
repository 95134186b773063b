//! `schedule next`: offline for an expression, by the server for a schedule or a job.

use hetuflow_core::{
  CronError, CronExpression, CronZone, DstGap, DstOverlap, NextFire, SchedulePreview, Ts,
  cron::cron_fields, parse_time_zone,
};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde_json::{Value, json};

use super::lines::{Question, answer_all};
use crate::cli::{NextArgs, read_from};
use crate::client::{Call, CtlError, Exit};
use crate::command::object::{Kind, get};
use crate::command::session::Session;
use crate::output::{Format, Outcome, View, relative, visible};

/// Most fires of one answer.
const COUNT_MAX: u32 = 10_000;

/// Shows the next fires.
///
/// # Errors
/// When the expression is invalid or the name is not there.
pub async fn run(session: &Session, args: &NextArgs) -> Result<Outcome, CtlError> {
  let Some(what) = &args.what else {
    let flags = args.clone();
    return Ok(answer_all(move |question| answer(&flags, question)));
  };
  let lines = session.look.format == Format::Jsonl;
  if is_expression(what) {
    let preview = match offline(what, args) {
      // Batches want one JSON line per expression, good or bad.
      Err(error) if lines && error.exit == Exit::Invalid as u8 => {
        let value = json!({ "error": { "code": error.code, "message": error.message } });
        return Ok(Outcome::from(View::text("", value)).exit(error.exit));
      }
      other => other?,
    };
    return Ok(show(&[(String::new(), preview)], session));
  }
  if args.tz.is_some() || args.dst_gap.is_some() || args.dst_overlap.is_some() {
    let message = "--tz and --dst-… are for expressions; a schedule has its own zone and rules";
    return Err(CtlError::usage(message));
  }
  let previews = online(session, what, args).await?;
  Ok(show(&previews, session))
}

/// A name has no blanks, and does not begin with @.
fn is_expression(what: &str) -> bool {
  what.trim().contains(char::is_whitespace) || what.starts_with('@')
}

/// The answer to one line of stdin: the instants, or what is wrong.
fn answer(flags: &NextArgs, question: &Question) -> Result<Value, CtlError> {
  let count = question.count.unwrap_or(i64::from(flags.count));
  let Some(count) = u32::try_from(count).ok().filter(|count| (1..=COUNT_MAX).contains(count))
  else {
    let mut error = CtlError::new(Exit::Invalid, format!("count is 1 to {COUNT_MAX}"));
    error.code = "number.range".to_owned();
    return Err(error);
  };
  let args = NextArgs {
    what: None,
    tz: question.tz.clone().or_else(|| flags.tz.clone()),
    dst_gap: question.dst_gap.or(flags.dst_gap),
    dst_overlap: question.dst_overlap.or(flags.dst_overlap),
    from: question.from.clone().or_else(|| flags.from.clone()),
    count,
    stdin: true,
  };
  let asked = Asked::read(&question.expr, &args)?;
  let fires = asked.expression.fires_after(asked.from, &asked.zone).take(count as usize);
  let next: Vec<String> = fires.map(|fire| rfc3339(&asked.zone.local(fire.at))).collect();
  Ok(json!({ "next": next }))
}

/// A question about an expression, read.
struct Asked {
  expression: CronExpression,
  zone: CronZone,
  zone_name: String,
  from: Timestamp,
}

impl Asked {
  fn read(what: &str, args: &NextArgs) -> Result<Self, CtlError> {
    let zone_name = args.tz.as_deref().unwrap_or(hetuflow_core::DEFAULT_TIMEZONE);
    let zone = CronZone::named(zone_name).map_err(|error| cron_error(zone_name, error))?;
    let expression = CronExpression::parse(what, 0)
      .map_err(|error| cron_error(what, error))?
      .with_dst(args.dst_gap.unwrap_or(DstGap::Auto), args.dst_overlap.unwrap_or(DstOverlap::Auto));
    let from = from_of(args, zone.time_zone())?.unwrap_or_else(Ts::now).instant();
    Ok(Self { expression, zone, zone_name: zone_name.to_owned(), from })
  }
}

/// With the offset of its zone: `2027-03-28T03:00:00+02:00`.
fn rfc3339(at: &Zoned) -> String {
  at.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

fn offline(what: &str, args: &NextArgs) -> Result<SchedulePreview, CtlError> {
  let Asked { expression, zone, zone_name, from } = Asked::read(what, args)?;
  let next: Vec<NextFire> = expression
    .fires_after(from, &zone)
    .take(args.count as usize)
    .map(|fire| NextFire {
      at: Ts::from(fire.at),
      local: rfc3339(&zone.local(fire.at)),
      note: fire.note.map(|note| note.to_string()),
      skipped: None,
      count: None,
      to: None,
    })
    .collect();
  if next.is_empty() {
    let after = rfc3339(&zone.local(from));
    let message = format!("never fires after {after} in {zone_name}: {}", expression.describe());
    let mut error = CtlError::new(Exit::Invalid, message);
    error.code = "cron.never_fires".to_owned();
    return Err(error);
  }
  Ok(SchedulePreview { description: expression.describe(), timezone: zone_name, held: None, next })
}

fn from_of(args: &NextArgs, zone: &TimeZone) -> Result<Option<Ts>, CtlError> {
  let text = args.from.as_deref();
  text
    .map(|text| read_from(text, zone))
    .transpose()
    .map_err(|error| CtlError::usage(format!("--from: {error}")))
}

async fn online(
  session: &Session,
  what: &str,
  args: &NextArgs,
) -> Result<Vec<(String, SchedulePreview)>, CtlError> {
  // A schedule's name goes before a job's; heartbeat may be either.
  let schedules = match get::schedule(session, what).await {
    Ok(schedule) => vec![schedule],
    Err(error) if error.is_not_found() => match get::job(session, what).await {
      Ok(job) => get::schedules_of(session, &job).await?,
      Err(_) => {
        let mut error = error;
        error.message = format!("no schedule and no job \"{}\"", what);
        return Err(error);
      }
    },
    Err(error) => return Err(error),
  };
  if schedules.is_empty() {
    return Err(CtlError::new(Exit::NotFound, format!("job {} has no schedule", what)));
  }
  let mut previews = Vec::new();
  for schedule in schedules {
    let zone = parse_time_zone(&schedule.timezone).unwrap_or(TimeZone::UTC);
    let call = Call::get(format!("{}/next", Kind::Schedule.path_of(&schedule.id.to_string())))
      .query("count", args.count)
      .query_some("from", from_of(args, &zone)?);
    previews.push((schedule.name, session.client()?.fetch(call).await?));
  }
  Ok(previews)
}

fn show(previews: &[(String, SchedulePreview)], session: &Session) -> Outcome {
  let now = session.look.now;
  let many = previews.len() > 1;
  let mut text = String::new();
  for (name, preview) in previews {
    if many {
      text.push_str(&format!("{name}: "));
    }
    text.push_str(&page(preview, now));
  }
  let values: Vec<Value> = previews.iter().map(|(_, preview)| json!(preview)).collect();
  let value = match <[Value; 1]>::try_from(values) {
    Ok([one]) => one,
    Err(values) => json!(values),
  };
  View::text(text, value).into()
}

/// The layout of TERMINAL B7.
fn page(preview: &SchedulePreview, now: Ts) -> String {
  let mut text = format!("{}, {}\n", preview.description, preview.timezone);
  if let Some(held) = &preview.held {
    text.push_str(&format!("  nothing fires now: {}; then\n", visible(held)));
  }
  if preview.next.is_empty() {
    text.push_str("  never again\n");
  }
  let zone = parse_time_zone(&preview.timezone).unwrap_or(TimeZone::UTC);
  let local =
    |at: Ts| at.instant().to_zoned(zone.clone()).strftime("%a %Y-%m-%d %H:%M:%S %:z").to_string();
  let first = preview.next.iter().position(|fire| fire.skipped.is_none());
  for (index, fire) in preview.next.iter().enumerate() {
    let words = match (&fire.skipped, &fire.note) {
      (Some(why), _) => skipped(why, fire, local),
      (None, Some(note)) => visible(note),
      (None, None) if first == Some(index) && preview.held.is_none() => relative(fire.at, now),
      _ => String::new(),
    };
    let mark = if fire.skipped.is_some() { '-' } else { ' ' };
    text.push_str(format!("{mark} {}   {words}", local(fire.at)).trim_end());
    text.push('\n');
  }
  text
}

/// Why instants do not fire, how many and up to when.
fn skipped(why: &str, fire: &NextFire, local: impl Fn(Ts) -> String) -> String {
  let why = visible(why);
  match (fire.count, fire.to) {
    (Some(count), Some(to)) => format!("{why}: {count} instants, to {}", local(to)),
    _ => why,
  }
}

/// A refused expression with a caret under what is wrong.
pub fn cron_error(text: &str, error: CronError) -> CtlError {
  let mut told = CtlError::new(Exit::Invalid, error.message);
  told.code = error.code.to_owned();
  if let Some(span) = error.span
    && !text.contains('\n')
  {
    let before = text.get(..span.start).map_or(0, |head| head.chars().count());
    let width = text.get(span).map_or(1, |part| part.chars().count().max(1));
    told.facts.push(format!("{text}\n{}{}", " ".repeat(before), "^".repeat(width)));
  }
  let fields: Vec<String> =
    cron_fields(text).into_iter().map(|(name, value)| format!("{name}={value}")).collect();
  if !fields.is_empty() {
    told.facts.push(fields.join("  "));
  }
  told.help.extend(error.hint);
  told
}

#[cfg(test)]
mod tests {
  use super::*;

  fn offline(args: &NextArgs) -> Result<SchedulePreview, CtlError> {
    super::offline(args.what.as_deref().unwrap_or_default(), args)
  }

  fn args(what: &str, tz: &str, from: &str, count: u32) -> NextArgs {
    NextArgs {
      what: Some(what.into()),
      tz: Some(tz.into()),
      dst_gap: None,
      dst_overlap: None,
      count,
      from: Some(from.into()),
      stdin: false,
    }
  }

  #[test]
  fn the_layout() {
    let preview = offline(&args("30 2 * * *", "Europe/Berlin", "2026-03-28", 3)).expect("valid");
    let now = "2025-11-21T14:00:00Z".parse().expect("an instant");
    insta::assert_snapshot!(page(&preview, now));
  }

  #[test]
  fn what_is_skipped_is_marked() {
    let mut preview = offline(&args("0 2 * * *", "UTC", "2026-12-23", 3)).expect("valid");
    preview.next[1].skipped = Some("left out by calendar holidays".into());
    preview.next[1].count = Some(2);
    preview.next[1].to = Some("2026-12-26T02:00:00Z".parse().expect("an instant"));
    let now = "2026-12-20T14:00:00Z".parse().expect("an instant");
    let once = page(&preview, now);
    preview.held = Some("the cluster was paused by ann: \u{1b}[31mmoving".into());
    preview.next[0].skipped = Some("left out by ops".into());
    insta::assert_snapshot!(format!("{once}{}", page(&preview, now)));
  }

  #[test]
  fn a_caret_under_the_field() {
    let error = offline(&args("0 25 * * 1-5", "Asia/Shanghai", "today", 1)).expect_err("hour 25");
    assert_eq!(error.exit, 8);
    insta::assert_snapshot!(crate::output::show_error(
      &crate::output::Failure::from(error.clone()),
      &crate::output::Look::sample(Format::Table, false)
    ));
    assert_eq!(offline(&args("* * * * *", "Mars/Base", "today", 1)).expect_err("no zone").exit, 8);
    assert_eq!(offline(&args("* * * * *", "UTC", "someday", 1)).expect_err("no day").exit, 2);
  }
}
