//! systemd timers with the services that they start.

use std::path::Path;
use std::time::Duration;

use hetuflow_core::{
  DEFAULT_TIMEZONE, ExecuteCommand, MisfirePolicy, OverlapPolicy, ScheduleForCreate, Seconds,
  TaskConfig, parse_time_zone,
};
use jiff::tz::TimeZone;

use super::calendar::Calendar;
use super::found::{Found, FoundJob, FoundTime, Manners, name_of};
use super::unit_file::{UnitFile, is_yes, span_secs, words};

/// Reads one timer; `service` reads the unit file that it starts.
pub fn import(
  path: &Path,
  text: &str,
  (zone_name, zone): (&str, &TimeZone),
  service: impl Fn(&Path) -> Option<String>,
  found: &mut Found,
) {
  let place = path.display().to_string();
  let timer = UnitFile::read(text);
  let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
  let unit = timer.last("Timer", "Unit").map_or(format!("{stem}.service"), str::to_owned);
  let beside = path.with_file_name(&unit);
  let Some(text) = service(&beside) else {
    return found.leave(place, format!("it starts {unit}, and there is no {}", beside.display()));
  };
  let service = UnitFile::read(&text);
  let mut job = FoundJob::new(place.clone(), &name_of(&stem), TaskConfig::default());
  if let Err(why) = fill(&mut job, &service) {
    return found.leave(place, why);
  }
  if let Some(words) = timer.last("Unit", "Description").or(service.last("Unit", "Description")) {
    words.clone_into(&mut job.job.description);
  }
  times(&timer, (zone_name, zone), &mut job, found);
  if job.job.schedules.is_empty() {
    return found.leave(place, "no OnCalendar= and no OnUnitActiveSec= that our schedules can say");
  }
  for (key, what) in [
    ("RandomizedDelaySec", "spread by RandomizedDelaySec there; here it fires on the instant"),
    ("OnBootSec", "OnBootSec: nothing here starts with a machine"),
    ("OnStartupSec", "OnStartupSec: nothing here starts with a machine"),
  ] {
    if timer.last("Timer", key).is_some_and(|value| value != "0") {
      job.note(what);
    }
  }
  found.jobs.push(job);
}

fn times(
  timer: &UnitFile,
  (zone_name, zone): (&str, &TimeZone),
  job: &mut FoundJob,
  found: &mut Found,
) {
  let persistent = timer.last("Timer", "Persistent").is_some_and(is_yes);
  // A service that still runs is not started again.
  let manners = Manners {
    overlap: OverlapPolicy::Skip,
    misfire: if persistent { MisfirePolicy::FireOnce } else { MisfirePolicy::Skip },
  };
  for text in timer.all("Timer", "OnCalendar") {
    let Some(calendar) = Calendar::read(text) else {
      found.leave(&job.place, format!("OnCalendar={text}: not understood"));
      continue;
    };
    let Some(cron) = calendar.spelled() else {
      found.leave(&job.place, format!("OnCalendar={text}: no cron expression says that"));
      continue;
    };
    let name = calendar.zone.as_deref().unwrap_or(zone_name).to_owned();
    let own = calendar.zone.as_ref().and_then(|name| parse_time_zone(name).ok());
    let pattern = Some(calendar.pattern());
    let time =
      FoundTime { theirs: text.to_owned(), zone: own.unwrap_or_else(|| zone.clone()), pattern };
    job.add((cron, &name), manners, time);
  }
  let every =
    timer.last("Timer", "OnUnitActiveSec").and_then(span_secs).filter(|secs| *secs >= 1.0);
  if let Some(secs) = every {
    job.job.schedules.push(ScheduleForCreate {
      interval_secs: Some(Seconds(Duration::from_secs(secs.round() as u64))),
      timezone: Some(DEFAULT_TIMEZONE.to_owned()),
      overlap_policy: Some(manners.overlap),
      misfire_policy: Some(manners.misfire),
      ..ScheduleForCreate::default()
    });
    let theirs = format!("OnUnitActiveSec={secs}s");
    job.times.push(FoundTime { theirs, zone: TimeZone::UTC, pattern: None });
    job.note("OnUnitActiveSec counts from the last start there; here the grid is steady");
  }
}

/// What the service runs.
fn fill(job: &mut FoundJob, service: &UnitFile) -> Result<(), String> {
  let commands: Vec<&str> = service.all("Service", "ExecStart").collect();
  let lines: Vec<Vec<String>> = commands.iter().map(|text| command_of(text)).collect();
  let mut config = TaskConfig { cmd: Some(ExecuteCommand::Exec), ..TaskConfig::default() };
  match lines.as_slice() {
    [] => return Err("its service has no ExecStart=".to_owned()),
    [one] if one.is_empty() => return Err("its ExecStart= is empty".to_owned()),
    [one] => config.args.clone_from(one),
    many => {
      config.cmd = Some(ExecuteCommand::Bash);
      let quoted =
        many.iter().map(|line| line.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" "));
      config.script = Some(format!("set -e\n{}\n", quoted.collect::<Vec<_>>().join("\n")));
    }
  }
  if commands.iter().any(|text| text.replace("%%", "").contains('%')) {
    job.note("% in ExecStart is filled in by systemd only: look at the arguments");
  }
  if commands.iter().any(|text| text.starts_with('-')) {
    job.note("a failure was ignored there (ExecStart=-…); here it counts");
  }
  if commands.iter().any(|text| text.contains('$')) {
    job.note("$ in ExecStart is filled in by systemd only: look at the arguments");
  }
  let directory = service.last("Service", "WorkingDirectory");
  config.working_directory = directory.filter(|dir| dir.starts_with('/')).map(str::to_owned);
  let limit =
    service.last("Service", "TimeoutStartSec").or(service.last("Service", "RuntimeMaxSec"));
  config.timeout = limit
    .and_then(span_secs)
    .filter(|secs| *secs >= 1.0)
    .map(|secs| Seconds(Duration::from_secs(secs.round() as u64)));
  for line in service.all("Service", "Environment") {
    for word in words(line) {
      if let Some((key, value)) = word.split_once('=') {
        job.job.environment.insert(key.to_owned(), value.to_owned());
      }
    }
  }
  for (key, what) in [
    ("EnvironmentFile", "EnvironmentFile was not read"),
    ("ExecStartPre", "ExecStartPre was left out"),
    ("ExecStartPost", "ExecStartPost was left out"),
  ] {
    if service.last("Service", key).is_some() {
      job.note(what);
    }
  }
  if let Some(user) = service.last("Service", "User") {
    job.note(format!("ran as {user}; here it runs as the user of the agent"));
  }
  job.job.config = config;
  Ok(())
}

/// The command without the marks that only systemd knows.
fn command_of(text: &str) -> Vec<String> {
  let bare = text.trim_start_matches(['-', '+', '!', ':', '|']);
  let (renamed, bare) = match bare.strip_prefix('@') {
    Some(rest) => (true, rest),
    None => (false, bare),
  };
  let mut words = words(&bare.replace("%%", "%").replace("$$", "$"));
  if renamed && words.len() > 1 {
    // The second word is only the name that the process shows.
    words.remove(1);
  }
  words
}

fn quote(word: &str) -> String {
  let plain = |c: char| c.is_ascii_alphanumeric() || "/._-=:,+@%".contains(c);
  if !word.is_empty() && word.chars().all(plain) {
    return word.to_owned();
  }
  format!("'{}'", word.replace('\'', r"'\''"))
}
