//! `--exclude` and `--exclude-ics`: days and hours on which a schedule does not fire.

use hetuflow_core::{DEFAULT_TIMEZONE, parse_time_zone, read_ics};

use super::next::cron_error;
use crate::cli::Timing;
use crate::client::{CtlError, Exit};
use crate::command::input_file::{INPUT_BYTES_MAX, read_text};

/// The rules that are named, then those of the files; and the events that cannot be rules.
///
/// # Errors
/// When a file cannot be read or is no iCalendar file. Rules are checked by the server.
pub fn rules(timing: &Timing) -> Result<(Vec<String>, Vec<String>), CtlError> {
  let (mut rules, mut left_out) = (timing.exclude.clone(), Vec::new());
  let name = timing.tz.as_deref().unwrap_or(DEFAULT_TIMEZONE);
  let zone = parse_time_zone(name).map_err(|error| cron_error(name, error))?;
  for path in &timing.exclude_ics {
    let text = read_text(path, INPUT_BYTES_MAX)?;
    let found = read_ics(&text, &zone).map_err(|error| {
      CtlError::new(Exit::Invalid, format!("{}: {}", path.display(), error.message))
    })?;
    rules.extend(found.rules.iter().map(ToString::to_string));
    left_out.extend(found.left_out);
  }
  Ok((rules, left_out))
}

/// What was left out, for people.
pub fn note(left_out: &[String]) -> Option<String> {
  let count = left_out.len();
  (count > 0).then(|| format!("{count} event(s) of the calendar left out: {}", left_out.join("; ")))
}

#[cfg(test)]
mod tests {
  use super::*;
  use crate::cli::Cli;
  use clap::Parser as _;

  #[test]
  fn rules_of_flags_and_files() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("x.ics");
    let text = "BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART;VALUE=DATE:20261225\nRRULE:FREQ=YEARLY\n\
      END:VEVENT\nBEGIN:VEVENT\nSUMMARY:odd\nEND:VEVENT\nEND:VCALENDAR\n";
    std::fs::write(&file, text).expect("written");
    let timing =
      Timing { exclude: vec!["SAT-SUN".into()], exclude_ics: vec![file], ..Timing::default() };
    let (rules, left_out) = rules(&timing).expect("read");
    assert_eq!(rules, ["SAT-SUN", "12-25"]);
    assert_eq!(
      note(&left_out).expect("told"),
      "1 event(s) of the calendar left out: odd: it has no begin"
    );
    let bad = Timing { exclude_ics: vec![dir.path().join("none.ics")], ..Timing::default() };
    assert_eq!(super::rules(&bad).expect_err("no file").exit, Exit::NotFound as u8);
    let words =
      ["hetuflowctl", "schedule", "create", "--job", "x", "--in", "1h", "--exclude", "12-25"];
    assert!(Cli::try_parse_from(words).is_ok());
  }
}
