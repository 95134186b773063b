//! Events of Cronicle: the file of `control.sh export`, or the answer of `get_schedule`.

use std::collections::BTreeSet;
use std::time::Duration;

use hetuflow_core::{
  ExecuteCommand, JobStatus, MisfirePolicy, OverlapPolicy, Seconds, TaskConfig, parse_time_zone,
};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::found::{Found, FoundJob, FoundTime, Manners, name_of};
use super::spell::{spell, spell_both};
use super::wall::{Clocks, Pattern};

type Set = BTreeSet<i16>;

/// The events of a file; `None` where it is neither form.
pub fn events(text: &str) -> Option<Vec<Value>> {
  if let Ok(value) = serde_json::from_str::<Value>(text) {
    let rows = value.get("rows").or(value.get("events")).unwrap_or(&value);
    return rows.as_array().cloned();
  }
  // One record per line: KEY - JSON.
  let mut found = None;
  for line in text.lines() {
    let Some((key, json)) = line.split_once(" - ") else { continue };
    let page = key.strip_prefix("global/schedule/").is_some_and(|rest| rest.parse::<u32>().is_ok());
    if page && let Ok(value) = serde_json::from_str::<Value>(json) {
      let items = value.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
      found.get_or_insert_with(Vec::new).extend(items);
    }
  }
  found
}

/// Reads one event.
pub fn import(place: &str, event: &Value, zone: (&str, &TimeZone), found: &mut Found) {
  let title = event["title"].as_str().or(event["id"].as_str()).unwrap_or("event");
  let place = format!("{place} {title}");
  match job_of(&place, title, event, zone) {
    Ok(job) => found.jobs.push(job),
    Err(why) => found.leave(place, why),
  }
}

fn job_of(
  place: &str,
  title: &str,
  event: &Value,
  (zone_name, zone): (&str, &TimeZone),
) -> Result<FoundJob, String> {
  let plugin = event["plugin"].as_str().unwrap_or_default();
  let script = event["params"]["script"].as_str().filter(|_| plugin == "shellplug");
  let script =
    script.ok_or_else(|| format!("plugin \"{plugin}\": only shell scripts come along"))?;
  let number = |name: &str| event[name].as_u64().filter(|value| *value > 0);
  let seconds = |value: u64| Seconds(Duration::from_secs(value));
  let mut config = TaskConfig {
    timeout: number("timeout").map(seconds),
    max_retries: number("retries").and_then(|retries| i64::try_from(retries).ok()),
    retry_interval: number("retry_delay").map(seconds),
    ..TaskConfig::default()
  };
  let (first, rest) = script.split_once('\n').unwrap_or((script, ""));
  match first.strip_prefix("#!").map(str::trim) {
    // Another shell gets the script as it is.
    Some(shell) if !shell.ends_with("bash") && !shell.ends_with("env sh") => {
      config.cmd = Some(ExecuteCommand::Exec);
      config.args = shell.split_ascii_whitespace().map(str::to_owned).collect();
      let reads_stdin = shell.ends_with("sh");
      config.args.push(if reads_stdin { "-c".into() } else { "/dev/stdin".into() });
      if reads_stdin {
        config.args.push(rest.to_owned());
      } else {
        config.stdin = Some(script.to_owned());
      }
    }
    _ => {
      config.cmd = Some(ExecuteCommand::Bash);
      config.script = Some(script.to_owned());
    }
  }
  let mut job = FoundJob::new(place.to_owned(), &name_of(title), config);
  event["notes"].as_str().unwrap_or_default().clone_into(&mut job.job.description);
  if !is_on(&event["enabled"]) {
    job.job.status = Some(JobStatus::Disabled);
  }
  if event["target"].as_str().is_some_and(|target| target != "allgrp") {
    job.note(format!("ran on {}; give the job a selector", event["target"]));
  }
  if let Some(timing) = event["timing"].as_object() {
    let named = event["timezone"].as_str();
    let zone_name = named.unwrap_or(zone_name).to_owned();
    let zone = match named {
      Some(name) => parse_time_zone(name).map_err(|error| error.message)?,
      None => zone.clone(),
    };
    let timing = Timing::of(timing)?;
    let cron =
      timing.spelled().ok_or("no cron expression says these days and weekdays together")?;
    let manners = Manners {
      overlap: match event["max_children"].as_u64() {
        Some(1) => OverlapPolicy::Skip,
        _ => OverlapPolicy::AllowAll,
      },
      misfire: if is_on(&event["catch_up"]) { MisfirePolicy::FireAll } else { MisfirePolicy::Skip },
    };
    let theirs = Value::Object(event["timing"].as_object().cloned().unwrap_or_default());
    let time = FoundTime { theirs: theirs.to_string(), zone, pattern: Some(timing.pattern()) };
    job.add((cron, &zone_name), manners, time);
  } else {
    job.note("it has no timing: run it by hand");
  }
  Ok(job)
}

fn is_on(value: &Value) -> bool {
  value.as_bool().unwrap_or_else(|| value.as_u64() == Some(1))
}

/// Which minutes: an absent list is all of them, and all lists must match.
#[derive(Debug, Clone)]
struct Timing {
  years: Option<Set>,
  months: Set,
  days: Set,
  weekdays: Set,
  hours: Set,
  minutes: Set,
}

impl Timing {
  fn of(timing: &serde_json::Map<String, Value>) -> Result<Self, String> {
    let list = |name: &str, (min, max): (i16, i16)| -> Result<Set, String> {
      let Some(values) = timing.get(name).and_then(Value::as_array).filter(|list| !list.is_empty())
      else {
        return Ok((min..=max).collect());
      };
      values
        .iter()
        .map(|value| {
          let number = value.as_i64().and_then(|number| i16::try_from(number).ok());
          number
            .filter(|number| (min..=max).contains(number))
            .ok_or_else(|| format!("{name}: {value}"))
        })
        .collect()
    };
    let some_years =
      timing.get("years").and_then(Value::as_array).is_some_and(|list| !list.is_empty());
    Ok(Self {
      years: if some_years { Some(list("years", (1970, 2199))?) } else { None },
      months: list("months", (1, 12))?,
      days: list("days", (1, 31))?,
      weekdays: list("weekdays", (0, 6))?,
      hours: list("hours", (0, 23))?,
      minutes: list("minutes", (0, 59))?,
    })
  }

  fn spelled(&self) -> Option<String> {
    let (day, weekday) = spell_both(&self.days, &self.weekdays)?;
    let (minute, hour) = (spell(&self.minutes, (0, 59)), spell(&self.hours, (0, 23)));
    let five = format!("{minute} {hour} {day} {} {weekday}", spell(&self.months, (1, 12)));
    Some(match &self.years {
      None => five,
      Some(years) => {
        let years: Vec<String> = years.iter().map(ToString::to_string).collect();
        format!("0 {five} {}", years.join(","))
      }
    })
  }

  fn pattern(&self) -> Pattern {
    let small = |set: &Set| set.iter().filter_map(|value| i8::try_from(*value).ok()).collect();
    let own = self.clone();
    let days = move |date: Date| {
      own.days.contains(&i16::from(date.day()))
        && own.weekdays.contains(&i16::from(date.weekday().to_sunday_zero_offset()))
        && own.months.contains(&i16::from(date.month()))
        && own.years.as_ref().is_none_or(|years| years.contains(&date.year()))
    };
    Pattern {
      hours: small(&self.hours),
      minutes: small(&self.minutes),
      seconds: vec![0],
      days: Box::new(days),
      clocks: Clocks::EveryMinute,
    }
  }
}
