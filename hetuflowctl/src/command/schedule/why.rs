//! `schedule why`: what holds the next instant back, rule by rule, and when it fires.

use hetuflow_core::{FireEntity, HoldWhy, ScheduleEntity, ScheduleWhy, Ts, parse_time_zone};
use jiff::tz::TimeZone;

use crate::cli::Name;
use crate::client::{Call, CtlError};
use crate::command::object::{Kind, get};
use crate::command::session::Session;
use crate::output::{Outcome, View, relative, visible};

/// Says why.
///
/// # Errors
/// When it is not there.
pub async fn run(session: &Session, args: &Name) -> Result<Outcome, CtlError> {
  let schedule = get::schedule(session, &args.name).await?;
  let path = format!("{}/why", Kind::Schedule.path_of(&schedule.id.to_string()));
  let why: ScheduleWhy = session.client()?.fetch(Call::get(path)).await?;
  let text = told((&why, &schedule), session.look.now);
  Ok(View::text(text, serde_json::json!(why)).into())
}

fn told((why, schedule): (&ScheduleWhy, &ScheduleEntity), now: Ts) -> String {
  let zone = parse_time_zone(&schedule.timezone).unwrap_or(TimeZone::UTC);
  let local =
    |at: Ts| at.instant().to_zoned(zone.clone()).strftime("%a %Y-%m-%d %H:%M:%S %:z").to_string();
  let when = |at: Ts| format!("{}  {}", local(at), relative(at, now));
  let mut lines = vec![format!("schedule {}  {}", why.name, why.status)];
  lines.extend(why.next_at.map(|at| format!("next   {}", when(at))));
  lines.push(match why.earliest_at {
    Some(at) => format!("fires  {}", when(at)),
    None => "fires  nobody can say when".to_owned(),
  });
  lines.extend(why.note.iter().map(|note| format!("       {note}")));
  lines.push(String::new());
  lines.extend(why.rules.iter().flat_map(|rule| rule_lines(rule, &local)));
  if !why.newest.is_empty() {
    lines.push(String::new());
    lines.extend(why.newest.iter().map(|fire| decided(fire, &local)));
  }
  lines.iter().map(|line| format!("{}\n", visible(line.trim_end()))).collect()
}

fn rule_lines(rule: &HoldWhy, local: &impl Fn(Ts) -> String) -> Vec<String> {
  let mark = if rule.holds { 'x' } else { '+' };
  let until = rule.until.filter(|_| rule.holds).map(local);
  let until = until.map(|until| format!(", until {until}")).unwrap_or_default();
  let mut lines = vec![format!("{mark} {:<10} {}{until}", rule.rule, rule.text)];
  let command = rule.command.as_ref().filter(|_| rule.holds);
  lines.extend(command.map(|command| format!("               {command}")));
  lines
}

fn decided(fire: &FireEntity, local: &impl Fn(Ts) -> String) -> String {
  let many = match fire.to_at.filter(|_| fire.count > 1) {
    Some(to) => format!("  {} instants, to {}", fire.count, local(to)),
    None => String::new(),
  };
  let why = fire.reason.as_ref().map(|why| format!("  {why}")).unwrap_or_default();
  format!("  {}  {}{why}{many}", local(fire.fire_at), fire.decision)
}

#[cfg(test)]
mod tests {
  use serde_json::json;

  use super::*;

  #[test]
  fn the_layout() {
    let schedule = crate::command::sample::schedule();
    let why: ScheduleWhy = serde_json::from_value(json!({
      "schedule_id": schedule.id, "name": "nightly", "status": "paused",
      "text": "paused by ann: moving; it fires at 2026-12-29T01:00:00Z",
      "next_at": "2026-12-25T01:00:00Z", "earliest_at": "2026-12-29T01:00:00Z",
      "rules": [
        { "rule": "job", "holds": false, "text": "the job is enabled" },
        { "rule": "schedule", "holds": true, "text": "paused by ann: moving \u{1b}[2J",
          "until": "2026-12-24T12:00:00Z", "command": "hetuflowctl schedule resume nightly" },
        { "rule": "calendar", "holds": true, "text": "left out by calendar holidays",
          "until": "2026-12-26T23:00:00Z", "command": "hetuflowctl calendar list" },
      ],
      "newest": [{ "id": uuid::Uuid::nil(), "schedule_id": schedule.id, "schedule_rev": 1,
        "fire_at": "2026-12-19T01:00:00Z", "decision": "skipped_window", "count": 2,
        "reason": "left out by calendar weekend", "task_id": null,
        "from_at": "2026-12-19T01:00:00Z", "to_at": "2026-12-20T01:00:00Z" }],
    }))
    .expect("an answer");
    let now = "2026-12-24T01:00:00Z".parse().expect("an instant");
    insta::assert_snapshot!(told((&why, &schedule), now));
  }
}
