//! `schedule backfill`: the count comes first, then one question, then the work.

use hetuflow_core::{
  BackfillEntity, BackfillForCreate, BackfillOnly, BackfillOrder, ScheduleEntity, parse_time_zone,
};
use jiff::tz::TimeZone;

use super::wait;
use crate::cli::{BackfillArgs, read_begin, read_end};
use crate::client::{Call, CtlError, Exit};
use crate::command::object::{Kind, get};
use crate::command::session::Session;
use crate::output::{Outcome, View, ask};

/// Backfills a schedule.
///
/// # Errors
/// When there is nothing to run, or nobody says yes.
pub async fn run(session: &Session, args: &BackfillArgs) -> Result<Outcome, CtlError> {
  match get::schedule(session, &args.name).await {
    Ok(schedule) => begin(session, args, &schedule).await,
    Err(error) if error.is_not_found() => match get::job(session, &args.name).await {
      Ok(_) => of_job(session, args).await,
      Err(_) => Err(error),
    },
    Err(error) => Err(error),
  }
}

/// Backfills the only schedule of a job.
///
/// # Errors
/// As [`run`]; usage, where the job has none or several.
pub async fn of_job(session: &Session, args: &BackfillArgs) -> Result<Outcome, CtlError> {
  let job = get::job(session, &args.name).await?;
  let schedules = get::schedules_of(session, &job).await?;
  match schedules.as_slice() {
    [] => Err(CtlError::new(Exit::NotFound, format!("job {} has no schedule", job.name))),
    [one] => begin(session, args, one).await,
    many => {
      let names: Vec<&str> = many.iter().map(|one| one.name.as_str()).collect();
      let words = format!("job {} has {} schedules: {}", job.name, many.len(), names.join(", "));
      let again = format!("hetuflowctl schedule backfill {} …", names[0]);
      Err(CtlError::usage(words).help(again))
    }
  }
}

async fn begin(
  session: &Session,
  args: &BackfillArgs,
  schedule: &ScheduleEntity,
) -> Result<Outcome, CtlError> {
  let zone = parse_time_zone(&schedule.timezone).unwrap_or(TimeZone::UTC);
  let wrong = |flag: &str, why: String| CtlError::usage(format!("{flag}: {why}"));
  let wish = BackfillForCreate {
    from: read_begin(&args.from, &zone).map_err(|why| wrong("--from", why))?,
    to: read_end(&args.to, &zone).map_err(|why| wrong("--to", why))?,
    order: Some(args.order),
    parallelism: Some(args.parallelism),
    only: Some(args.only),
    with_excluded: args.with_excluded,
    dry_run: true,
  };
  let client = session.client()?;
  let path = format!("{}/backfill", Kind::Schedule.path_of(&schedule.id.to_string()));
  let counting = client.fetch(Call::post(&path).json(&wish).harmless());
  let plan: BackfillEntity = session.progress().during("counting instants", counting).await?;
  let words = sentence(&plan, &zone);
  if args.dry_run {
    let outcome = Outcome::from(View::text(format!("{words}\n"), serde_json::json!(plan)));
    return Ok(outcome.note("dry run: nothing was begun"));
  }
  session.look.say(&words);
  let question = format!("Run {} on {}", instants(plan.total), client.place.title());
  if !ask(&session.look, &question)? {
    return Ok(Outcome::from(View::Nothing).note("nothing was begun"));
  }
  let wish = BackfillForCreate { dry_run: false, ..wish };
  let row: BackfillEntity = client.fetch(Call::post(&path).json(&wish)).await?;
  if args.wait {
    return wait::run(session, &row).await;
  }
  let note = format!("see how far it is:  hetuflowctl backfill get {}", row.id.short());
  Ok(Outcome::from(View::thing(&row)).note(note))
}

fn instants(count: i64) -> String {
  if count == 1 { "1 instant".to_owned() } else { format!("{count} instants") }
}

/// What would be run, in two lines.
fn sentence(plan: &BackfillEntity, zone: &TimeZone) -> String {
  let local = |at: hetuflow_core::Ts| {
    at.instant().to_zoned(zone.clone()).strftime("%a %Y-%m-%d %H:%M:%S %:z").to_string()
  };
  let which = match plan.only {
    BackfillOnly::Missing => "that have not run",
    BackfillOnly::Failed => "whose last run has failed",
    BackfillOnly::All => "run or not",
  };
  let order = match plan.order {
    BackfillOrder::Forward => "oldest first",
    BackfillOrder::Backward => "newest first",
  };
  let at_once = match plan.parallelism {
    1 => "one at a time".to_owned(),
    count => format!("{count} at a time"),
  };
  let (total, name) = (instants(plan.total), &plan.schedule_name);
  let mut text = format!("{total} of {name} {which}, {order}, {at_once}");
  if plan.total < plan.in_range {
    let out = match plan.excluded {
      0 => String::new(),
      count if plan.with_excluded => format!(", {count} of them left out by calendars"),
      count => format!(", {count} left out by calendars"),
    };
    text.push_str(&format!(" ({} in the range{out})", plan.in_range));
  }
  match plan.total {
    1 => text.push_str(&format!("\n  {}", local(plan.first_at))),
    _ => text.push_str(&format!("\n  {}  to  {}", local(plan.first_at), local(plan.last_at))),
  }
  text
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn the_count_in_words() {
    let mut plan = super::super::row::sample();
    let zone = TimeZone::get("Europe/Berlin").expect("a zone");
    insta::assert_snapshot!(sentence(&plan, &zone), @r"
    30 instants of nightly that have not run, oldest first, 4 at a time (31 in the range)
      Thu 2026-01-01 02:00:00 +01:00  to  Sat 2026-01-31 02:00:00 +01:00
    ");
    (plan.total, plan.in_range, plan.parallelism) = (1, 1, 1);
    (plan.only, plan.order) = (BackfillOnly::Failed, BackfillOrder::Backward);
    insta::assert_snapshot!(sentence(&plan, &zone), @r"
    1 instant of nightly whose last run has failed, newest first, one at a time
      Thu 2026-01-01 02:00:00 +01:00
    ");
  }
}
