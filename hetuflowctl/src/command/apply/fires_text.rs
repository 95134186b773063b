//! How the fires of a plan read, in 80 columns.

use hetuflow_core::{FireChange, FireDifference, FirePlan, Herd, JobPlan, NextFire, Ts};

use crate::output::visible;

/// Differences of one schedule that are shown.
const SHOWN_MAX: usize = 5;
/// Cells of a rule in words.
const RULE_CELLS: usize = 44;
/// Cells of the names in a herd.
const NAMES_CELLS: usize = 60;

/// The fires that change, schedule by schedule; then the herds.
pub fn fires_text(plan: &JobPlan) -> String {
  let days = plan.until.since(plan.from).as_secs() / 86_400;
  let mut text = format!("Fires of {days} days, from {}:\n", day(plan.from));
  for one in &plan.notes {
    text.push_str(&format!("  ! {}: shown as if it went on\n", visible(one)));
  }
  for one in &plan.schedules {
    schedule(one, &mut text);
  }
  if plan.unchanged > 0 {
    text.push_str(&format!("  = {} fire as before\n", count(plan.unchanged, "schedule")));
  }
  let totals = &plan.totals;
  let sums = [(totals.added, "added"), (totals.removed, "removed"), (totals.moved, "moved")];
  let sums: Vec<String> = sums.iter().map(|(count, word)| format!("{count} {word}")).collect();
  text.push_str(&format!("  {} fires of {}\n", sums.join(", "), totals.before.max(totals.after)));
  if !plan.herds.is_empty() {
    text.push_str("Many at once:\n");
  }
  for one in &plan.herds {
    herd(one, &mut text);
  }
  text
}

fn schedule(one: &FirePlan, text: &mut String) {
  let sign = match one.action.as_str() {
    "create" => '+',
    "delete" => '-',
    _ => '~',
  };
  let name = if one.job == one.schedule {
    visible(&one.schedule)
  } else {
    format!("{} of {}", visible(&one.schedule), visible(&one.job))
  };
  text.push_str(&format!("  {sign} {name}  {} → {}", one.counts.before, one.counts.after));
  for (count, word) in
    [(one.counts.added, "added"), (one.counts.removed, "removed"), (one.counts.moved, "moved")]
  {
    if count > 0 {
      text.push_str(&format!(", {count} {word}"));
    }
  }
  let rule: String = visible(&one.description).chars().take(RULE_CELLS).collect();
  text.push_str(&format!("\n      {rule}, {}\n", visible(&one.timezone)));
  if one.never_fires {
    text.push_str("      ! it never fires in this time\n");
  }
  if one.approximate {
    text.push_str("      its instants are drawn by an id that it has not got yet\n");
  }
  if let Some(at) = one.compared_until {
    text.push_str(&format!("      compared up to {} only, it fires that often\n", day(at)));
  }
  let shown = one.differences.len().min(SHOWN_MAX);
  for difference in &one.differences[..shown] {
    text.push_str(&format!("      {}\n", line(difference)));
  }
  let all = one.counts.added + one.counts.removed + one.counts.moved;
  let more = all - shown as i64;
  if more > 0 {
    text.push_str(&format!("      … and {more} more\n"));
  }
}

fn line(one: &FireDifference) -> String {
  match (&one.change, &one.before, &one.after) {
    (FireChange::Moved, Some(before), Some(after)) => {
      format!("{}  →  {}", instant(&before.local), noted(after))
    }
    (FireChange::Removed, Some(before), _) => format!("- {}", noted(before)),
    (_, _, Some(after)) => format!("+ {}", noted(after)),
    _ => String::new(),
  }
}

/// `2026-03-29T02:00:00+02:00` with the day of the week, and without a T.
fn instant(local: &str) -> String {
  let date: Option<jiff::civil::Date> = local.get(..10).and_then(|day| day.parse().ok());
  let day = date.map_or(String::new(), |date| date.strftime("%a ").to_string());
  format!("{day}{}", visible(&local.replacen('T', " ", 1)))
}

fn noted(fire: &NextFire) -> String {
  match &fire.note {
    Some(note) => format!("{}  {}", instant(&fire.local), visible(note)),
    None => instant(&fire.local),
  }
}

fn herd(one: &Herd, text: &mut String) {
  let when = instant(&one.local);
  let (all, changed) = (count(one.schedules, "schedule"), one.changed);
  text.push_str(&format!("  ! {all} start at {when}, {changed} of this plan\n"));
  let names: Vec<String> = one.names.iter().map(|name| visible(name)).collect();
  let mut names: String = names.join(", ").chars().take(NAMES_CELLS).collect();
  if one.schedules > one.names.len() as i64 {
    names.push_str(", …");
  }
  text.push_str(&format!("      {names}\n"));
}

fn count(count: i64, what: &str) -> String {
  if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn day(at: Ts) -> String {
  at.instant().to_zoned(jiff::tz::TimeZone::UTC).strftime("%a %Y-%m-%d %H:%M UTC").to_string()
}

#[cfg(test)]
mod tests {
  use serde_json::json;

  use super::*;

  #[test]
  fn a_plan_in_80_columns() {
    let fire = |local: &str| json!({ "at": "2026-03-29T01:00:00Z", "local": local });
    let zeros = json!({ "before": 0, "after": 0, "added": 0, "removed": 0, "moved": 0 });
    let mut plan = json!({
      "applied": false, "changes": [], "from": "2026-03-01T00:00:00Z",
      "until": "2026-05-30T00:00:00Z", "unchanged": 3, "totals": zeros, "schedules": [
        { "namespace_id": "default", "job": "report", "schedule": "night", "action": "update",
          "description": "at 02:00 every day", "timezone": "Europe/Berlin", "before": 90,
          "after": 90, "added": 0, "removed": 0, "moved": 61, "never_fires": false,
          "approximate": false, "differences": [
            { "change": "moved", "before": fire("2026-03-30T03:00:00+02:00"),
              "after": fire("2026-03-30T02:00:00+02:00") } ] },
        { "namespace_id": "default", "job": "tick", "schedule": "tick", "action": "create",
          "description": "every 1s", "timezone": "UTC", "before": 0, "after": 200_000,
          "added": 200_000, "removed": 0, "moved": 0, "never_fires": false, "approximate": true,
          "compared_until": "2026-03-03T07:33:20Z", "differences": [
            { "change": "added", "after": fire("2026-03-01T00:00:01+00:00") } ] },
        { "namespace_id": "default", "job": "old\u{1b}[2J", "schedule": "old", "action": "delete",
          "description": "at 00:00 on January 1", "timezone": "UTC", "before": 0, "after": 0,
          "added": 0, "removed": 0, "moved": 0, "never_fires": true, "approximate": false,
          "differences": [] },
      ],
      "herds": [{ "at": "2026-03-02T01:00:00Z", "local": "2026-03-02T02:00:00+01:00",
        "schedules": 12, "changed": 2, "names": ["night", "a", "b"] }],
    });
    plan["totals"] =
      json!({ "before": 90, "after": 200_090, "added": 200_000, "removed": 0, "moved": 61 });
    let plan: JobPlan = serde_json::from_value(plan).expect("a plan");
    let text = fires_text(&plan);
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    insta::assert_snapshot!(text);
  }
}
