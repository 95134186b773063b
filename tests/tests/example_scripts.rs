//! The bodies of `examples/*.yaml`, run directly: they must work on any machine, in a folder of
//! their own, and fail for the reason that they check.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use hetuflow_core::JobForCreate;
use hetuflow_tests::postgres;
use serde_json::Value;

/// The folder of the examples.
fn examples() -> PathBuf {
  Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

/// One manifest.
fn manifest(name: &str) -> Result<Value> {
  let path = examples().join(format!("{name}.yaml"));
  let text = std::fs::read_to_string(&path)?;
  serde_saphyr::from_str(&text).with_context(|| format!("parse {}", path.display()))
}

/// Runs a manifest's script with its own environment, then `environment`, in `dir`.
fn run(name: &str, dir: &Path, environment: &[(&str, &str)]) -> Result<Output> {
  let manifest = manifest(name)?;
  let config = &manifest["spec"]["config"];
  let script = config["script"].as_str().context("script")?;
  let program = match config["cmd"].as_str() {
    Some("bash") => "bash",
    Some("python") => "python3",
    other => anyhow::bail!("{name}: unknown cmd {other:?}"),
  };
  let mut command = Command::new(program);
  command.args(["-c", script]).current_dir("/").env("DEMO_DIR", dir);
  for (key, value) in manifest["spec"]["environment"].as_object().into_iter().flatten() {
    command.env(key, value.as_str().map_or_else(|| value.to_string(), str::to_owned));
  }
  Ok(command.envs(environment.iter().copied()).output()?)
}

/// Runs a script that must succeed, and gives its standard output.
fn succeeds(name: &str, dir: &Path, environment: &[(&str, &str)]) -> Result<String> {
  let output = run(name, dir, environment)?;
  ensure!(output.status.success(), "{name}: {output:?}");
  Ok(String::from_utf8(output.stdout)?)
}

/// Runs a script that must fail with `code`, and gives both streams.
fn fails(name: &str, dir: &Path, environment: &[(&str, &str)], code: i32) -> Result<String> {
  let output = run(name, dir, environment)?;
  ensure!(output.status.code() == Some(code), "{name}: {output:?}");
  Ok(String::from_utf8([output.stdout, output.stderr].concat())?)
}

/// The sorted names in a folder that end with `suffix`.
fn names(dir: &Path, suffix: &str) -> Result<Vec<String>> {
  let mut names = Vec::new();
  for entry in std::fs::read_dir(dir)? {
    names.push(entry?.file_name().to_string_lossy().into_owned());
  }
  names.retain(|name| name.ends_with(suffix));
  names.sort();
  Ok(names)
}

#[test]
fn every_manifest_has_the_envelope_and_a_schedule() -> Result<()> {
  let files = names(&examples(), ".yaml")?;
  assert_eq!(files.len(), 7);
  for file in files {
    let name = file.trim_end_matches(".yaml");
    let manifest = manifest(name)?;
    assert_eq!(manifest["apiVersion"], "hetuflow/v1", "{name}");
    assert_eq!(manifest["kind"], "Job", "{name}");
    assert_eq!(manifest["metadata"]["name"], name);
    let status = if name == "pg-dump" { "disabled" } else { "enabled" };
    assert_eq!(manifest["spec"]["status"], status, "{name}");
    assert!(manifest["spec"]["description"].is_string(), "{name}");
    let schedule = &manifest["spec"]["schedules"][0];
    let timing = match schedule["schedule_kind"].as_str() {
      Some("cron") => &schedule["cron_expression"],
      _ => &schedule["interval_secs"],
    };
    assert!(timing.is_string() || timing.is_u64(), "{name}");
  }
  Ok(())
}

#[test]
fn every_manifest_is_a_job_without_a_complaint() -> Result<()> {
  for file in names(&examples(), ".yaml")? {
    let manifest = manifest(file.trim_end_matches(".yaml"))?;
    let mut job = manifest["spec"].clone();
    job["name"] = manifest["metadata"]["name"].clone();
    job["namespace_id"] = manifest["metadata"]["namespace"].clone();
    job["labels"] = manifest["metadata"]["labels"].clone();
    let given: Vec<&String> = job["config"].as_object().context("config")?.keys().collect();
    let mut parsed: JobForCreate =
      serde_json::from_value(job.clone()).with_context(|| file.clone())?;
    let mut errors = Vec::new();
    parsed.check(&mut errors);
    assert!(errors.is_empty(), "{file}: {errors:?}");
    // Nothing that a file says may be lost on the way.
    let back = serde_json::to_value(&parsed)?;
    for key in given {
      assert!(!back["config"][key].is_null(), "{file}: config.{key} was dropped");
    }
  }
  Ok(())
}

#[test]
fn heartbeat_and_disk_usage_report() -> Result<()> {
  let dir = tempfile::tempdir()?;
  let told = succeeds("heartbeat", dir.path(), &[("HETUFLOW_ATTEMPT", "2")])?;
  assert!(told.contains("heartbeat from") && told.contains("attempt 2"), "{told}");
  let told = succeeds("disk-usage", dir.path(), &[])?;
  assert!(told.contains("GiB free of"), "{told}");
  let told = fails("disk-usage", dir.path(), &[("DISK_FAIL_PERCENT", "0")], 1)?;
  assert!(told.contains("at or over 0%"), "{told}");
  Ok(())
}

#[test]
fn log_cleanup_deletes_old_logs_and_nothing_else() -> Result<()> {
  let dir = tempfile::tempdir()?;
  let told = succeeds("log-cleanup", dir.path(), &[("LOG_DRY_RUN", "1")])?;
  assert!(told.contains("1 files older than 14 days (kept: dry run)"), "{told}");
  let logs = dir.path().join("logs");
  assert_eq!(names(&logs, "")?, ["new.log", "old.log"]);
  succeeds("log-cleanup", dir.path(), &[])?;
  assert_eq!(names(&logs, "")?, ["new.log"]);

  let own = dir.path().join("own dir");
  std::fs::create_dir(&own)?;
  let touch = "touch -d '9 days ago' a.log a.log.1 keep.txt; touch -d '2 days ago' b.log";
  assert!(Command::new("sh").args(["-c", touch]).current_dir(&own).status()?.success());
  let own_text = own.to_string_lossy();
  let settings = [("LOG_DIR", own_text.as_ref()), ("LOG_KEEP_DAYS", "7")];
  succeeds("log-cleanup", dir.path(), &settings)?;
  assert_eq!(names(&own, "")?, ["b.log", "keep.txt"]);

  for (key, value) in
    [("LOG_DIR", "/"), ("LOG_DIR", "here"), ("LOG_DIR", "/.."), ("LOG_KEEP_DAYS", "x")]
  {
    fails("log-cleanup", dir.path(), &[(key, value)], 2)?;
  }
  Ok(())
}

#[test]
fn cert_expiry_tells_good_from_soon_and_broken() -> Result<()> {
  let dir = tempfile::tempdir()?;
  let cert = examples().join("data/demo-cert.pem");
  let files = cert.to_string_lossy();
  let told = succeeds("cert-expiry", dir.path(), &[("CERT_FILES", &files)])?;
  assert!(told.contains("ok ") && told.contains("1 certificates checked, 0 need"), "{told}");
  let far = [("CERT_FILES", files.as_ref()), ("CERT_WARN_DAYS", "40000")];
  let told = fails("cert-expiry", dir.path(), &far, 1)?;
  assert!(told.contains("SOON"), "{told}");
  std::fs::write(dir.path().join("bad.pem"), "-----BEGIN CERTIFICATE-----\nxx\n")?;
  std::fs::write(dir.path().join("key.pem"), "-----BEGIN PRIVATE KEY-----\n")?;
  let pattern = format!("{}/*.pem /nowhere/*.pem", dir.path().display());
  let told = fails("cert-expiry", dir.path(), &[("CERT_FILES", &pattern)], 1)?;
  assert!(told.contains("not a readable certificate"), "{told}");
  assert!(told.contains("1 certificates checked, 1 need"), "{told}");
  let told = succeeds("cert-expiry", dir.path(), &[("CERT_FILES", "/nowhere/*.pem")])?;
  assert!(told.contains("0 certificates checked"), "{told}");
  Ok(())
}

#[test]
fn sales_report_sums_the_csv_and_refuses_bad_lines() -> Result<()> {
  let dir = tempfile::tempdir()?;
  let report = dir.path().join("sales-report.json");
  assert!(succeeds("sales-report", dir.path(), &[])?.contains("3 rows of the built-in sample"));
  let json: Value = serde_json::from_slice(&std::fs::read(&report)?)?;
  assert_eq!(json["north"], serde_json::json!({ "units": 5, "revenue": "557.70" }));

  let csv = examples().join("data/sales.csv");
  let told = succeeds("sales-report", dir.path(), &[("SALES_CSV", &csv.to_string_lossy())])?;
  assert!(told.starts_with("112 rows of"), "{told}");

  let bad = dir.path().join("bad.csv");
  std::fs::write(&bad, "region,units,unit_price\nnorth,1,2\nsouth,many,2\n")?;
  let before = std::fs::read(&report)?;
  let told = fails("sales-report", dir.path(), &[("SALES_CSV", &bad.to_string_lossy())], 1)?;
  assert!(told.contains("unreadable lines [3]"), "{told}");
  assert_eq!(std::fs::read(&report)?, before);
  Ok(())
}

#[test]
fn backup_verifies_and_rotates() -> Result<()> {
  let dir = tempfile::tempdir()?;
  let target = dir.path().join("backups");
  for i in 0..4 {
    let id = format!("t{i}");
    let settings = [("BACKUP_KEEP", "2"), ("HETUFLOW_TASK_ID", id.as_str())];
    let told = succeeds("backup", dir.path(), &settings)?;
    assert!(told.contains(": OK") && told.contains("2 entries"), "{told}");
  }
  let kept = names(&target, ".tar.gz")?;
  assert_eq!(kept.len(), 2);
  assert!(kept[0].ends_with("-t2.tar.gz") && kept[1].ends_with("-t3.tar.gz"), "{kept:?}");
  assert_eq!(names(&target, "")?.len(), 4);
  fails("backup", dir.path(), &[("BACKUP_SOURCE", "/nowhere")], 2)?;
  fails("backup", dir.path(), &[("BACKUP_KEEP", "0")], 2)?;
  Ok(())
}

#[tokio::test]
async fn pg_dump_dumps_a_real_database_and_leaves_no_half_dump() -> Result<()> {
  let dir = tempfile::tempdir()?;
  let told = fails("pg-dump", dir.path(), &[], 2)?;
  assert!(told.contains("DUMP_URL is empty"), "{told}");
  let database = postgres::shared()?.create_database().await?;
  database.execute("CREATE TABLE t (x int); INSERT INTO t SELECT generate_series(1, 100)").await?;
  for i in 0..3 {
    let id = format!("t{i}");
    let settings =
      [("DUMP_URL", database.url()), ("DUMP_KEEP", "2"), ("HETUFLOW_TASK_ID", id.as_str())];
    let told = succeeds("pg-dump", dir.path(), &settings)?;
    assert!(told.contains("2 entries"), "{told}");
  }
  let target = dir.path().join("pg-dump");
  assert_eq!(names(&target, "")?.len(), 2);
  let gone = database.url().replace("/t_", "/nosuch_");
  fails("pg-dump", dir.path(), &[("DUMP_URL", gone.as_str())], 1)?;
  assert_eq!(names(&target, "")?.len(), 2);
  Ok(())
}
