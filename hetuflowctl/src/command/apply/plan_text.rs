//! How a plan reads: `~` changes, `+` additions, `-` deletions, `=` the rest.

use hetuflow_core::{
  ApplyChange, ApplyDifference, ApplyResponse, CronExpression, CronZone, DEFAULT_TIMEZONE,
  JobForCreate, Labels, NamespaceId, ScheduleForCreate, Ts, format_duration,
};
use serde_json::Value;
use similar::TextDiff;

use super::manifest::Loaded;
use crate::output::visible;

/// Longest value on a line of a plan, in characters.
const VALUE_CHARS: usize = 40;
/// Cells of the names' column.
const NAME_CELLS: usize = 22;

/// How many of each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
  /// Jobs that change.
  pub updates: usize,
  /// Jobs that are new.
  pub additions: usize,
  /// Jobs that go.
  pub deletions: usize,
}

impl Tally {
  /// Counts.
  pub fn of(plan: &ApplyResponse) -> Self {
    let count = |action: &str| plan.changes.iter().filter(|one| one.action == action).count();
    Self { updates: count("update"), additions: count("create"), deletions: count("delete") }
  }

  /// Whether there is anything to do.
  pub fn any(self) -> bool {
    self != Self::default()
  }
}

/// What a plan is shown with.
#[derive(Debug)]
pub struct Shown<'a> {
  /// The files.
  pub loaded: &'a Loaded,
  /// The scope.
  pub scope: &'a Labels,
  /// Old and new text in full.
  pub diff: bool,
}

impl Shown<'_> {
  /// The scope as it is typed.
  pub fn scope_text(&self) -> String {
    let pairs: Vec<String> =
      self.scope.iter().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.join(",")
  }

  /// The plan for people; deletions stand apart, at the end.
  pub fn text(&self, plan: &ApplyResponse) -> String {
    let mut text = String::new();
    for namespace in &self.loaded.namespaces {
      text.push_str(&format!("  . namespace/{}\n", namespace.id));
    }
    for change in &plan.changes {
      match change.action.as_str() {
        "create" => self.addition(change, &mut text),
        "update" => self.change(change, &mut text),
        _ => {}
      }
    }
    let of = |action: &'static str| plan.changes.iter().filter(move |one| one.action == action);
    for change in of("delete") {
      let why = format!("not in files (scope {})", self.scope_text());
      text.push_str(&line('-', change, &why));
    }
    let unchanged = of("unchanged").count();
    if unchanged > 0 {
      text.push_str(&format!("  = {unchanged} unchanged\n"));
    }
    text
  }

  fn addition(&self, change: &ApplyChange, text: &mut String) {
    let job = self.loaded.jobs.get(change.index).map(|(job, _)| job);
    let mut words = job.into_iter().flat_map(|job| fires(job, Ts::now()));
    text.push_str(&line('+', change, &words.next().unwrap_or_default()));
    for more in words {
      text.push_str(&format!("    {:NAME_CELLS$} {more}\n", ""));
    }
  }

  fn change(&self, change: &ApplyChange, text: &mut String) {
    if change.differences.is_empty() {
      let what = format!("v{}  {}", change.version, change.fields.join(", "));
      text.push_str(&line('~', change, &what));
      return;
    }
    let width = change.differences.iter().map(|one| one.field.chars().count()).max().unwrap_or(0);
    for (index, one) in change.differences.iter().enumerate() {
      let field = visible(&one.field);
      let what = if self.diff {
        field
      } else {
        format!("{field:width$}   {} → {}", short(&one.before), short(&one.after))
      };
      if index == 0 {
        text.push_str(&line('~', change, &what));
      } else {
        text.push_str(&format!("    {:NAME_CELLS$} {what}\n", ""));
      }
      if self.diff {
        text.push_str(&full(one));
      }
    }
  }
}

fn line(sign: char, change: &ApplyChange, what: &str) -> String {
  let place = if change.namespace_id == NamespaceId::default() {
    String::new()
  } else {
    format!(" ({})", change.namespace_id)
  };
  let name = format!("job/{}{place}", change.name);
  format!("  {sign} {}\n", format!("{name:NAME_CELLS$} {what}").trim_end())
}

/// When a new job fires, one line per schedule.
fn fires(job: &JobForCreate, now: Ts) -> Vec<String> {
  job.schedules.iter().map(|schedule| fire(schedule, now)).collect()
}

fn fire(schedule: &ScheduleForCreate, now: Ts) -> String {
  if let Some(every) = schedule.interval_secs {
    return format!("every {}", format_duration(every.0));
  }
  let text = schedule.cron_expression.as_deref().unwrap_or_default();
  let zone = schedule.timezone.as_deref().unwrap_or(DEFAULT_TIMEZONE);
  let next = CronExpression::parse(text, 0).ok().zip(CronZone::named(zone).ok()).and_then(
    |(expression, zone)| {
      let fire = expression.next_after(now.instant(), &zone)?;
      Some(zone.local(fire.at).strftime("%a %Y-%m-%d %H:%M (%:z)").to_string())
    },
  );
  format!("cron {text}  next {}", next.unwrap_or_else(|| "never".to_owned()))
}

/// A value on one line.
fn short(value: &Value) -> String {
  let text = plain(value);
  let lines = text.lines().count();
  if lines > 1 {
    return format!("{lines} lines");
  }
  let text = visible(&text);
  if text.chars().count() <= VALUE_CHARS {
    return text;
  }
  text.chars().take(VALUE_CHARS - 1).chain(['…']).collect()
}

fn plain(value: &Value) -> String {
  match value {
    Value::Null => "none".to_owned(),
    Value::String(text) if text.is_empty() => "\"\"".to_owned(),
    Value::String(text) => text.clone(),
    other => other.to_string(),
  }
}

/// Old and new text, line by line.
fn full(one: &ApplyDifference) -> String {
  let text = |value: &Value| match value {
    Value::Null => String::new(),
    Value::String(text) => format!("{}\n", text.trim_end_matches('\n')),
    other => format!("{}\n", serde_json::to_string_pretty(other).unwrap_or_default()),
  };
  let (before, after) = (text(&one.before), text(&one.after));
  let diff = TextDiff::from_lines(&before, &after);
  let mut out = String::new();
  for change in diff.iter_all_changes() {
    let line = visible(change.value().trim_end_matches('\n'));
    out.push_str(&format!("      {}{line}\n", change.tag()));
  }
  out
}

#[cfg(test)]
mod tests {
  use serde_json::json;

  use super::super::files::Source;
  use super::super::manifest::load;
  use super::*;

  fn plan() -> ApplyResponse {
    serde_json::from_value(json!({ "applied": false, "changes": [
      { "index": 0, "action": "create", "namespace_id": "default", "name": "new", "fields": [], "version": 1 },
      { "index": 1, "action": "update", "namespace_id": "etl", "name": "old", "version": 2,
        "fields": ["config.script", "config.timeout"], "differences": [
          { "field": "config.script", "before": "one\ntwo\n", "after": "one\n2\u{1b}[31m\n" },
          { "field": "config.timeout", "before": 300, "after": null } ] },
      { "index": 2, "action": "unchanged", "namespace_id": "default", "name": "same", "fields": [], "version": 1 },
      { "index": 3, "action": "delete", "namespace_id": "default", "name": "gone", "fields": [], "version": 4 },
    ]}))
    .expect("a plan")
  }

  #[test]
  fn signs_and_values() {
    let text = "apiVersion: hetuflow/v1\nkind: Job\nmetadata: { name: new }\nspec:\n  config: { command: x }\n  schedules: [{ interval_secs: 90s }]\n";
    let loaded = load(vec![Source::new("a.yaml", text)]).expect("good");
    let scope = Labels::from([("team".to_owned(), "data".to_owned())]);
    let brief = Shown { loaded: &loaded, scope: &scope, diff: false }.text(&plan());
    let full = Shown { loaded: &loaded, scope: &scope, diff: true }.text(&plan());
    insta::assert_snapshot!(format!("{brief}---\n{full}"));
    let tally = Tally::of(&plan());
    assert_eq!((tally.updates, tally.additions, tally.deletions), (1, 1, 1));
  }

  #[test]
  fn a_new_cron_says_when_it_fires() {
    let schedule = ScheduleForCreate {
      cron_expression: Some("0 2 * * *".into()),
      timezone: Some("Asia/Shanghai".into()),
      ..ScheduleForCreate::default()
    };
    let now = "2025-11-21T14:00:00Z".parse().expect("an instant");
    assert_eq!(fire(&schedule, now), "cron 0 2 * * *  next Sat 2025-11-22 02:00 (+08:00)");
  }
}
