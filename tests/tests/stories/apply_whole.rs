//! A manifest with every field that there is goes through `apply` and `get` and back without a loss.
//! The fields are those of the server's own document: one that is added and not written down here,
//! or not carried by the terminal program, fails this story.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use hetuflow_tests::cluster::{Cluster, Engine};
use serde_json::{Value, json};

use crate::support::well;

both_engines!(every_field_comes_back);

/// Fields that a manifest does not keep, and why.
const NOT_KEPT: [(&str, &str); 3] = [
  ("schedules[].job_id", "the job is clear from the place"),
  ("schedules[].at", "short for an interval with room for one fire"),
  ("config.command", "short for bash -c"),
];

/// Every place of a schema that holds a value, as `config.retry.base_secs`.
fn places(schema: &Value, defs: &Value, at: &str, found: &mut BTreeSet<String>) -> Result<()> {
  if let Some(name) = schema["$ref"].as_str() {
    let name = name.rsplit('/').next().unwrap_or_default();
    let schema = defs.get(name).with_context(|| format!("no {name} for {at}"))?;
    return places(schema, defs, at, found);
  }
  for word in ["oneOf", "anyOf", "allOf"] {
    let parts = schema[word].as_array().into_iter().flatten();
    let parts: Vec<&Value> = parts.filter(|part| part["type"] != "null").collect();
    if let Some(part) = parts.first() {
      return places(part, defs, at, found);
    }
  }
  if let Some(fields) = schema["properties"].as_object() {
    for (name, field) in fields {
      let dot = if at.is_empty() { "" } else { "." };
      places(field, defs, &format!("{at}{dot}{name}"), found)?;
    }
    return Ok(());
  }
  if schema["items"].is_object() {
    let mut inner = BTreeSet::new();
    let within = format!("{at}[]");
    places(&schema["items"], defs, &within, &mut inner)?;
    // A list of plain values is one place.
    inner.remove(&within);
    if !inner.is_empty() {
      found.extend(inner);
      return Ok(());
    }
  }
  found.insert(at.to_owned());
  Ok(())
}

/// The places of the schema that a value fills.
fn filled(value: &Value, known: &BTreeSet<String>, at: &str, found: &mut BTreeSet<String>) {
  if known.contains(at) {
    found.insert(at.to_owned());
    return;
  }
  match value {
    Value::Object(fields) => {
      for (name, field) in fields {
        let dot = if at.is_empty() { "" } else { "." };
        filled(field, known, &format!("{at}{dot}{name}"), found);
      }
    }
    Value::Array(items) => {
      items.iter().for_each(|item| filled(item, known, &format!("{at}[]"), found));
    }
    _ => {}
  }
}

/// Values that are none of the defaults.
fn specs() -> Vec<(&'static str, Value)> {
  let limits = json!({ "max_memory_mb": 100, "max_cpu_percent": 0.5, "max_cpu_secs": 60,
    "max_execution_time_secs": 500, "max_output_size_bytes": 4000, "max_processes": 9,
    "max_file_mb": 3, "sustain_secs": 4 });
  let run = "0199b1c0-0000-7000-8000-000000000001";
  let inputs = json!([
    { "content_hash": "ab".repeat(32), "to": "a", "mode": "0755" },
    { "instance_id": run, "name": "x", "to": "b" },
    { "task_id": run, "name": "y", "to": "c" },
    { "job": "build", "name": "z", "to": "d" },
  ]);
  let config = json!({ "cmd": "bash", "args": ["-c", "true"], "stdin": "x",
    "working_directory": "/tmp", "timeout": 300, "total_timeout_secs": 3600, "max_retries": 3,
    "retry_interval": 5.5, "capture_output": false, "max_output_size": 1000, "log_policy": "drop",
    "retry": { "strategy": "linear", "base_secs": 2, "max_delay_secs": 50,
      "retry_on": ["timeout"], "no_retry_on": ["exit_code(2)"] },
    "start_deadline_secs": 100, "warn_after_secs": 50, "pause_after_failures": 4,
    "stop_signal": "INT", "stop_grace_secs": 7, "resource_limits": limits,
    "allow_background": false, "selector": { "zone": "eu" },
    "requests": { "cpu": 0.5, "memory_mb": 10, "slots": 2 }, "agent_choice": "round_robin",
    "prefer": [{ "selector": { "gpu": "*" }, "weight": 5 }],
    "sticky": { "by": "key:x", "require": true }, "delivery": "exclusive",
    "disconnect": { "lost_after": 90, "stop_after": 30, "replace": false,
      "reconcile": "keep_replacement" },
    "run_as": "nobody", "max_concurrent": 3, "rate_limit": { "rate": 2, "per_secs": 60 },
    "dedup": { "mode": "debounce", "key": "{{ params.a }}", "window_secs": 10,
      "max_wait_secs": 20 },
    "semaphores": [{ "name": "tapes", "slots": 2, "key": "{{ params.a }}" }],
    "secrets": ["pw"], "artifacts": { "in": inputs, "out": ["*.txt"], "retention": 3600 } });
  let schedule = json!({ "name": "whole-cron", "description": "when", "schedule_kind": "cron",
    "cron_expression": "5 4 * * MON", "timezone": "Europe/Berlin", "dst_gap": "skip",
    "dst_overlap": "both", "jitter_secs": 5, "include": ["03-01..12-30"], "exclude": ["12-25"],
    "start_time": "2090-01-01T00:00:00Z", "end_time": "2095-01-01T00:00:00Z", "max_count": 9,
    "status": "disabled", "overlap_policy": "buffer_all", "queue_max": 5,
    "misfire_policy": "skip", "misfire_grace_secs": 60, "catchup_max": 3, "max_concurrent": 2,
    "parameters": { "a": 1 }, "environment": { "E": "x" }, "priority": 5 });
  let interval = json!({ "name": "whole-interval", "interval_secs": 86_400,
    "interval_from": "end", "status": "disabled" });
  let spread = json!({ "cmd": "python", "script": "print(1)\n", "stagger_secs": 3,
    "broadcast": { "agents": 2, "success": "any" } });
  vec![
    (
      "whole",
      json!({ "description": "all of it", "environment": { "A": "b" }, "status": "disabled",
        "owner": "ops", "config": config, "schedules": [schedule, interval] }),
    ),
    ("whole-broadcast", json!({ "config": spread })),
    (
      "whole-handler",
      json!({ "config": { "cmd": "handler", "task_type": "mail", "pin": "agent-7" } }),
    ),
  ]
}

/// The manifest of a job as the server has it, without what only the server knows.
async fn manifest(cluster: &Cluster, namespace: &str, job: &str) -> Result<Value> {
  let told = well(cluster, &["-n", namespace, "job", "export", job, "-o", "json"]).await?;
  let told: Value = serde_json::from_str(&told)?;
  let mut one = told.as_array().and_then(|all| all.first()).unwrap_or(&told).clone();
  let fields = one.as_object_mut().context("a manifest")?;
  fields.remove("status");
  fields
    .get_mut("metadata")
    .and_then(Value::as_object_mut)
    .context("metadata")?
    .remove("namespace");
  Ok(one)
}

async fn every_field_comes_back(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).agents(0).start().await?;
  let schema: Value = serde_json::from_str(&well(&cluster, &["schema", "job"]).await?)?;
  let mut known = BTreeSet::new();
  places(&schema["properties"]["spec"], &schema["$defs"], "", &mut known)?;
  ensure!(known.len() > 80 && known.contains("config.retry.base_secs"), "{known:?}");

  // Every field is written down above.
  let mut written = BTreeSet::new();
  specs().iter().for_each(|(_, spec)| filled(spec, &known, "", &mut written));
  written.extend(NOT_KEPT.iter().map(|(place, _)| (*place).to_owned()));
  let forgotten: Vec<&String> = known.difference(&written).collect();
  assert_eq!(forgotten, Vec::<&String>::new(), "fields without a value in this story");

  well(&cluster, &["namespace", "create", "other"]).await?;
  let folder = tempfile::tempdir()?;
  let dir = folder.path().to_string_lossy().into_owned();
  for namespace in ["default", "other"] {
    well(&cluster, &["-n", namespace, "semaphore", "set", "tapes", "--slots", "4"]).await?;
  }
  for (name, spec) in specs() {
    let labels = json!({ "team": "data" });
    let manifest = json!({ "apiVersion": "hetuflow/v1", "kind": "Job",
      "metadata": { "name": name, "labels": labels }, "spec": spec });
    std::fs::write(folder.path().join(format!("{name}.yaml")), manifest.to_string())?;
  }
  well(&cluster, &["apply", "-f", &dir, "--yes"]).await?;
  for (name, spec) in specs() {
    let kept = manifest(&cluster, "default", name).await?;
    let (mut asked, mut there) = (BTreeSet::new(), BTreeSet::new());
    filled(&spec, &known, "", &mut asked);
    filled(&kept["spec"], &known, "", &mut there);
    let lost: Vec<&String> = asked.difference(&there).collect();
    assert_eq!(lost, Vec::<&String>::new(), "{name}: {kept:#}");
    std::fs::write(folder.path().join(format!("{name}.yaml")), kept.to_string())?;
  }
  // What was printed is what there is, here and where it is new.
  let same = cluster.ctl(&["apply", "-f", &dir, "--dry-run", "--exit-code"]).await?;
  ensure!(same.status.code() == Some(0), "{}", String::from_utf8_lossy(&same.stdout));
  well(&cluster, &["-n", "other", "apply", "-f", &dir, "--yes"]).await?;
  for (name, _) in specs() {
    let (here, there) =
      (manifest(&cluster, "default", name).await?, manifest(&cluster, "other", name).await?);
    assert_eq!(here, there, "{name}");
  }
  cluster.finish()
}
