//! `import`: sample sources, what they come to, and what the proof says.

use serde_json::Value;

use super::*;

fn fixture(name: &str) -> String {
  format!("{}/tests/fixtures/import/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn import(source: &str, file: &str, exit: i32, more: &[&str]) -> Value {
  let run = Run::alone();
  let file = fixture(file);
  let tail = ["--tz", "Europe/Berlin", "--from", "2026-01-01", "-o", "json"];
  let args = [&["import", source, &file], &tail[..], more].concat();
  let output = run.run(&args);
  assert_eq!(output.status.code(), Some(exit), "{}", text(&output.stderr));
  serde_json::from_slice(&output.stdout).expect("JSON")
}

fn job<'v>(report: &'v Value, name: &str) -> &'v Value {
  let jobs = report["jobs"].as_array().expect("jobs");
  jobs.iter().find(|job| job["name"] == name).unwrap_or_else(|| panic!("no {name} in {report}"))
}

fn differences(job: &Value) -> Vec<(String, u64, u64)> {
  let schedules = job["schedules"].as_array().expect("schedules");
  let all = schedules.iter().flat_map(|one| one["differences"].as_array().expect("a list"));
  let count = |one: &Value, who: &str| one[who].as_u64().expect("a number");
  all
    .map(|one| {
      let local = one["local"].as_str().expect("text").to_owned();
      (local, count(one, "theirs"), count(one, "ours"))
    })
    .collect()
}

#[test]
fn a_crontab_with_its_proof() {
  let report = import("crontab", "crontab", 11, &[]);
  let left: Vec<&str> = report["left_out"]
    .as_array()
    .expect("a list")
    .iter()
    .filter_map(|one| one["reason"].as_str())
    .collect();
  assert_eq!(left.len(), 4, "{left:?}");
  assert!(left[0].starts_with("@reboot"), "{left:?}");
  assert!(left[2].contains("5/15"), "{left:?}");
  for name in ["backup", "poll", "echo", "echo-2", "mail", "run-daily"] {
    let job = job(&report, name);
    assert_eq!(differences(job), [], "{name}");
    assert_eq!(job["schedules"][0]["compared"], 1000, "{name}");
  }
  // Debian cron runs both times of the skipped hour, we fire once for the two.
  let twice = differences(job(&report, "twice"));
  assert_eq!(
    twice,
    [
      ("2026-03-29T03:00:00+02:00".to_owned(), 2, 1),
      ("2027-03-28T03:00:00+02:00".to_owned(), 2, 1)
    ]
  );
  let backup = &job(&report, "backup")["manifest"]["spec"];
  assert_eq!(
    backup["config"]["args"],
    serde_json::json!(["/bin/bash", "-c", "/opt/backup.sh --all >/dev/null 2>&1"])
  );
  assert_eq!(backup["environment"]["PATH"], "/usr/local/bin:/usr/bin:/bin");
  assert_eq!(backup["schedules"][0]["overlap_policy"], "allow_all");
  let mail = &job(&report, "mail")["manifest"]["spec"]["config"];
  assert_eq!(mail["stdin"], "Hello,\n100% done\n");
}

#[test]
fn a_system_crontab_has_users() {
  let report = import("crontab", "etc-crontab", 0, &["--system", "--disabled"]);
  let hourly = job(&report, "cron.hourly");
  assert!(hourly["notes"][0].as_str().expect("text").contains("root"), "{hourly}");
  assert_eq!(hourly["manifest"]["spec"]["status"], "disabled");
  assert_eq!(differences(job(&report, "cron.daily")), []);
}

#[test]
fn systemd_timers_with_their_services() {
  let report = import("systemd", "systemd", 11, &[]);
  let week = job(&report, "report");
  assert_eq!(week["schedules"][0]["ours"], "30 9-17 * * 1-5");
  assert_eq!(week["schedules"][1]["ours"], "0 18 * * 5L");
  assert_eq!(differences(week), []);
  let spec = &week["manifest"]["spec"];
  assert_eq!(
    spec["config"]["args"],
    serde_json::json!(["/usr/bin/report", "--title", "The week", "--send"])
  );
  assert_eq!(spec["config"]["timeout"], 5400);
  assert_eq!(spec["environment"], serde_json::json!({ "LANG": "C.UTF-8", "MODE": "week" }));
  assert_eq!(spec["schedules"][0]["misfire_policy"], "fire_once");
  // systemd leaves the night out on which 02:30 does not exist.
  let night = differences(job(&report, "night"));
  assert_eq!(
    night,
    [
      ("2026-03-29T03:00:00+02:00".to_owned(), 0, 1),
      ("2027-03-28T03:00:00+02:00".to_owned(), 0, 1),
      ("2028-03-26T03:00:00+02:00".to_owned(), 0, 1)
    ]
  );
  let script =
    job(&report, "night")["manifest"]["spec"]["config"]["script"].as_str().expect("a script");
  assert!(script.ends_with("/usr/bin/logger 'it'\\''s clean'\n"), "{script}");
  assert_eq!(report["left_out"].as_array().map(Vec::len), Some(3), "{}", report["left_out"]);
}

#[test]
fn cron_jobs_of_kubernetes() {
  let report = import("cronjob", "kubernetes", 11, &[]);
  let hello = job(&report, "hello");
  assert_eq!(hello["schedules"][0]["ours"], "0 0 1-31/10 * 1");
  assert_eq!(differences(hello), [], "a stepped star is a list of days there");
  let manifest = &hello["manifest"];
  assert_eq!(
    manifest["metadata"]["labels"],
    serde_json::json!({ "app": "hello", "imported-from": "kubernetes" })
  );
  assert_eq!(manifest["spec"]["config"]["max_retries"], 2);
  assert_eq!(manifest["spec"]["schedules"][0]["misfire_grace_secs"], 200);
  let night = job(&report, "night");
  assert_eq!(night["manifest"]["spec"]["status"], "disabled");
  // Skipped in spring, twice in autumn.
  assert_eq!(
    differences(night)[..2],
    [
      ("2026-03-29T03:00:00+02:00".to_owned(), 0, 1),
      ("2026-10-25T02:30:00+01:00".to_owned(), 1, 0)
    ]
  );
  assert_eq!(report["left_out"].as_array().map(Vec::len), Some(3), "{}", report["left_out"]);
}

#[test]
fn an_export_of_cronicle() {
  let report = import("cronicle", "cronicle.txt", 11, &[]);
  let load = job(&report, "Load-Sales");
  assert_eq!(load["schedules"][0]["ours"], "30 2 * * *");
  assert_eq!(differences(load)[0], ("2026-03-29T03:00:00+02:00".to_owned(), 0, 1));
  assert_eq!(load["manifest"]["spec"]["schedules"][0]["misfire_policy"], "fire_all");
  assert_eq!(load["manifest"]["spec"]["config"]["retry_interval"], 60);
  let ten = job(&report, "Every-Ten");
  assert_eq!(ten["schedules"][0]["ours"], "*/10 * */31,2-7 * 1-5");
  assert_eq!(differences(ten), []);
  assert_eq!(
    ten["manifest"]["spec"]["config"]["args"],
    serde_json::json!(["/usr/bin/perl", "/dev/stdin"])
  );
  assert_eq!(job(&report, "By-Hand")["schedules"], serde_json::json!([]));
  assert_eq!(report["left_out"].as_array().map(Vec::len), Some(2), "{}", report["left_out"]);
}

#[test]
fn what_is_written_is_what_apply_takes() {
  let run = Run::alone();
  for (source, file) in [
    ("crontab", "crontab"),
    ("systemd", "systemd"),
    ("cronjob", "kubernetes"),
    ("cronicle", "cronicle.txt"),
  ] {
    let args = ["import", source, &fixture(file), "--tz", "Europe/Berlin", "--count", "50"];
    assert_eq!(run.code(&[&args[..], &["--write", source]].concat()), 11, "{source}");
    assert_eq!(run.code(&[&args[..], &["--write", source]].concat()), 11, "again, the same files");
    assert_eq!(run.code(&["apply", "-f", source, "--dry-run=client"]), 0, "{source}");
    let yaml = run.run(&[&args[..], &["-o", "yaml"]].concat()).stdout;
    std::fs::write(run.home.path().join("all.yaml"), yaml).expect("written");
    assert_eq!(run.code(&["apply", "-f", "all.yaml", "--dry-run=client"]), 0, "{source}");
  }
  let path = run.home.path().join("crontab/backup.yaml");
  std::fs::write(path, "mine").expect("written");
  let args = ["import", "crontab", &fixture("crontab"), "--write", "crontab"];
  assert_eq!(run.code(&args), 6, "a changed file is left alone");
}

#[test]
fn a_table_for_people() {
  let run = Run::alone();
  let args =
    ["import", "crontab", &fixture("crontab"), "--tz", "Europe/Berlin", "--from", "2026-01-01"];
  let output = run.run(&args);
  let told = text(&output.stdout);
  assert!(
    told.contains("2026-03-29T03:00:00+02:00  there 2 times, here once   02:00 and other times"),
    "{told}"
  );
  assert!(told.contains("7 job(s), 7 schedule(s), 1 with differences, 4 left out"), "{told}");
  assert!(text(&output.stderr).contains("nothing was stored"), "{}", text(&output.stderr));
}
