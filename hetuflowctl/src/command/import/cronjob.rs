//! CronJobs of Kubernetes.

use std::time::Duration;

use hetuflow_core::{
  ExecuteCommand, JobStatus, MisfirePolicy, OverlapPolicy, ScheduleForCreate, Seconds, TaskConfig,
  parse_duration, parse_time_zone,
};
use jiff::tz::TimeZone;
use serde_json::Value;

use super::cron_rule::{Dialect, ours, read};
use super::found::{Found, FoundJob, FoundTime, Manners, name_of};

/// Reads one document; anything that is no CronJob is left behind.
pub fn import(place: &str, document: &Value, zone: (&str, &TimeZone), found: &mut Found) {
  if let Some(items) = document.get("items").and_then(Value::as_array) {
    for item in items {
      import(place, item, zone, found);
    }
    return;
  }
  let name = document.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("job");
  let place = format!("{place} {name}");
  if document.get("kind").and_then(Value::as_str) != Some("CronJob") {
    return found.leave(place, "no CronJob");
  }
  match cron_job(&place, name, &document["spec"], zone) {
    Ok(mut job) => {
      if let Some(labels) = document.pointer("/metadata/labels").and_then(Value::as_object) {
        let plain = |key: &str| !key.contains('/');
        let labels = labels.iter().filter(|(key, _)| plain(key));
        job
          .job
          .labels
          .extend(labels.filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))));
      }
      found.jobs.push(job);
    }
    Err(why) => found.leave(place, why),
  }
}

fn cron_job(
  place: &str,
  name: &str,
  spec: &Value,
  (zone_name, zone): (&str, &TimeZone),
) -> Result<FoundJob, String> {
  let text = spec["schedule"].as_str().ok_or("it has no schedule")?;
  let template = &spec["jobTemplate"]["spec"];
  let pod = &template["template"]["spec"];
  let containers = pod["containers"].as_array().map(Vec::as_slice).unwrap_or_default();
  let [container] = containers else {
    return Err(format!("{} containers; one is wanted", containers.len()));
  };
  let image = container["image"].as_str().unwrap_or("?");
  let strings = |value: &Value| -> Vec<String> {
    let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(|one| one.as_str().map(str::to_owned)).collect()
  };
  let mut args = strings(&container["command"]);
  if args.is_empty() {
    return Err(format!("the command is inside the image {image}; write it into the manifest"));
  }
  args.extend(strings(&container["args"]));
  let seconds = |value: &Value| value.as_u64().map(|secs| Seconds(Duration::from_secs(secs)));
  let config = TaskConfig {
    cmd: Some(ExecuteCommand::Exec),
    args,
    working_directory: container["workingDir"].as_str().map(str::to_owned),
    timeout: seconds(&template["activeDeadlineSeconds"]),
    max_retries: Some(template["backoffLimit"].as_i64().unwrap_or(6)),
    ..TaskConfig::default()
  };
  let mut job = FoundJob::new(place.to_owned(), &name_of(name), config);
  job.note(format!("ran in the image {image}; here it runs on an agent as it is"));
  for variable in container["env"].as_array().map(Vec::as_slice).unwrap_or_default() {
    let key = variable["name"].as_str().unwrap_or_default();
    match variable.get("value") {
      Some(Value::String(value)) => {
        job.job.environment.insert(key.to_owned(), value.clone());
      }
      _ => job.note(format!("the value of {key} comes from the cluster and was left out")),
    }
  }
  if container.get("envFrom").is_some() {
    job.note("envFrom was left out");
  }
  if spec["suspend"].as_bool() == Some(true) {
    job.job.status = Some(JobStatus::Disabled);
  }
  let manners = Manners {
    overlap: match spec["concurrencyPolicy"].as_str() {
      Some("Forbid") => OverlapPolicy::Skip,
      Some("Replace") => OverlapPolicy::TerminateOther,
      _ => OverlapPolicy::AllowAll,
    },
    // The controller starts the latest missed run when it comes back.
    misfire: MisfirePolicy::FireLast,
  };
  let zone_name = spec["timeZone"].as_str().unwrap_or(zone_name).to_owned();
  let zone = match spec["timeZone"].as_str() {
    Some(name) => parse_time_zone(name).map_err(|error| error.message)?,
    None => zone.clone(),
  };
  if let Some(every) = text.strip_prefix("@every ") {
    let every = parse_duration(every.trim()).map_err(|error| error.to_string())?;
    job.job.schedules.push(ScheduleForCreate {
      interval_secs: Some(Seconds(every)),
      overlap_policy: Some(manners.overlap),
      misfire_policy: Some(manners.misfire),
      ..ScheduleForCreate::default()
    });
    job.times.push(FoundTime { theirs: text.to_owned(), zone, pattern: None });
  } else {
    let pattern = read(text, Dialect::Kubernetes)
      .ok_or_else(|| format!("Kubernetes itself refuses the schedule \"{text}\""))?;
    let time = FoundTime { theirs: text.to_owned(), zone, pattern: Some(pattern) };
    job.add((ours(text, Dialect::Kubernetes), &zone_name), manners, time);
  }
  if let Some(deadline) = seconds(&spec["startingDeadlineSeconds"]) {
    job.job.schedules[0].misfire_grace_secs = Some(deadline);
  }
  Ok(job)
}
