//! Bad manifests, row by row of RELIABILITY §10.5; exit codes by TERMINAL B3.

use std::time::{Duration, Instant};

use hetuflow_core::FieldError;

use super::super::files::Source;
use super::super::manifest::load;
use super::*;
use crate::output::{Format, Look, show_error};

const GOOD: &str = "\
apiVersion: hetuflow/v1
kind: Job
metadata: { name: etl-daily, namespace: etl, labels: { tier: gold } }
spec:
  environment:
    VERSION: 1.10
    FLAG: no
    COUNT: 7
  config:
    command: echo hello
    timeout: 30m
  schedules:
    - { cron: \"0 2 * * *\", tz: Asia/Shanghai }
";

fn told(text: &str) -> String {
  told_of(vec![Source::new("jobs.yaml", text)])
}

fn told_of(sources: Vec<Source>) -> String {
  let error = load(sources).expect_err("refused");
  assert_eq!(error.exit, 8);
  show_error(&crate::output::Failure::from(error.clone()), &Look::sample(Format::Table, false))
}

#[test]
fn a_good_manifest_keeps_text_as_it_stands() {
  let loaded = load(vec![Source::new("a.yaml", GOOD)]).expect("good");
  let job = &loaded.jobs[0].0;
  assert_eq!(job.name, "etl-daily");
  assert_eq!(job.environment["VERSION"], "1.10");
  assert_eq!(job.environment["FLAG"], "no");
  assert_eq!(job.environment["COUNT"], "7");
  assert_eq!(job.schedules[0].cron_expression.as_deref(), Some("0 2 * * *"));
  let crlf = format!("\u{feff}{}", GOOD.replace('\n', "\r\n"));
  assert_eq!(load(vec![Source::new("a.yaml", crlf)]).expect("B092").jobs[0].0, *job);
}

#[test]
fn all_problems_of_all_files_at_once() {
  let one = GOOD
    .replace("0 2 * * *", "0 25 * * 1-5")
    .replace("timeout: 30m", "timeuot: 30m")
    .replace("command: echo hello", "command: no");
  let two = "apiVersion: hetuflow/v1\nkind: Jbo\nmetadata: { name: x }\n---\nkind: Job\n";
  insta::assert_snapshot!(told_of(vec![
    Source::new("jobs/a.yaml", one),
    Source::new("jobs/b.yaml", two)
  ]));
}

/// One row of bad input: id, text, what the error must say.
type Row = (&'static str, String, &'static [&'static str]);

fn rows() -> Vec<Row> {
  let with = |from: &str, to: &str| GOOD.replace(from, to);
  vec![
    (
      "B088 tabs",
      with("  config:", "\tconfig:"),
      &["yaml.syntax", "jobs.yaml:9:", "spaces, not tabs"],
    ),
    ("B088 quote", with("\"0 2 * * *\"", "\"0 2 * * *"), &["yaml.syntax"]),
    ("B088 second document", format!("{GOOD}---\n[\n"), &["yaml.syntax"]),
    ("B089 deep", "[".repeat(10_000), &["yaml.too_deep"]),
    ("B089 laughs", laughs(), &["yaml.alias_limit"]),
    (
      "B089 anchors",
      (0..1000).map(|n| format!("a{n}: &x{n} 1\n")).collect(),
      &["yaml.alias_limit"],
    ),
    ("B090 no", with("name: etl-daily", "name: no"), &["expected string, got boolean; quote it"]),
    ("B090 on", with("tier: gold", "tier: on"), &["expected string, got boolean; quote it"]),
    ("B090 octal", with("echo hello", "0o17"), &["expected string, got number; quote it"]),
    ("B090 grouped", with("echo hello", "1_000"), &["expected string, got number; quote it"]),
    ("B090 time", with("echo hello", "12:30:45"), &["expected string, got number; quote it"]),
    ("B090 null", with("name: etl-daily", "name: ~"), &["expected string, got null; quote it"]),
    (
      "B091 twice",
      format!("{GOOD}kind: Job\n"),
      &["yaml.duplicate_key", "kind stands twice; the first is on line 2"],
    ),
    ("B091 merge", with("  config:", "  <<: { a: b }\n  config:"), &["yaml.merge", "<<"]),
    (
      "B091 python",
      with("echo hello", "!!python/object:os.system x"),
      &["yaml.tag", "python/object"],
    ),
    ("B091 ref", with("echo hello", "!Ref x"), &["yaml.tag", "!Ref"]),
    ("B092 empty", String::new(), &["nothing to apply"]),
    ("B092 comments", "# nothing\n---\n# here\n".into(), &["nothing to apply"]),
    (
      "B093 kind",
      with("kind: Job", "kind: Jbo"),
      &["unknown kind Jbo", "did you mean  Job ?", "Namespace"],
    ),
    (
      "B093 no version",
      with("apiVersion: hetuflow/v1\n", ""),
      &["apiVersion is missing", "hetuflow/v1"],
    ),
    ("B093 newer", with("hetuflow/v1", "hetuflow/v2"), &["apiVersion hetuflow/v2 is not known"]),
    (
      "B094 stars",
      with("\"0 2 * * *\", tz: Asia/Shanghai }", "* * * * * }"),
      &["quote the cron expression"],
    ),
    (
      "B094 steps",
      with("{ cron: \"0 2 * * *\", tz: Asia/Shanghai }", "cron: */10 * * * *"),
      &["quote the cron expression"],
    ),
    (
      "B095",
      format!("{GOOD}---\n{GOOD}"),
      &["jobs.yaml:17:19", "job etl-daily stands twice", "jobs.yaml:3"],
    ),
    ("unknown field", with("timeout", "timeuot"), &["unknown field", "did you mean  timeout ?"]),
    ("cron", with("0 2 * * *", "0 25 * * *"), &["jobs.yaml:13:18", "hour", "hour=25"]),
    ("no name", with("name: etl-daily, ", ""), &["missing field `name`", "jobs.yaml:3:11"]),
    ("a list", "- a\n".into(), &["a manifest is a mapping"]),
  ]
}

fn laughs() -> String {
  let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
  for n in 1..20 {
    let before = vec![format!("*a{}", n - 1); 10].join(", ");
    text.push_str(&format!("a{n}: &a{n} [{before}]\n"));
  }
  text
}

#[test]
fn rows_of_bad_input() {
  for (row, text, expected) in rows() {
    let begin = Instant::now();
    let error = load(vec![Source::new("jobs.yaml", &*text)]).expect_err(row);
    // 50 ms in the promise; the tests run unoptimised and side by side.
    assert!(begin.elapsed() < Duration::from_millis(500), "{row} took {:?}", begin.elapsed());
    assert_eq!(error.exit, 8, "{row}");
    let shown = format!(
      "{} {}",
      error.code,
      show_error(&crate::output::Failure::from(error.clone()), &Look::sample(Format::Table, false))
    );
    for words in expected {
      assert!(shown.contains(words), "{row}: {words:?} is not in\n{shown}");
    }
  }
}

#[test]
fn what_the_server_says_is_shown_in_the_file() {
  let loaded = load(vec![Source::new("jobs.yaml", GOOD)]).expect("good");
  let mut error = FieldError::new(
    "cron.out_of_range",
    "/jobs/0/schedules/0/cron_expression",
    "hour is 0-23, got 2",
  );
  error.span = Some((2, 3));
  let other =
    FieldError::new("labels.value", "/jobs/0/labels/tier", "no gold today").with_hint("silver");
  let gone =
    FieldError::new("x", "/jobs/0/config/max_retries", "not in the file: shown at its parent");
  let error = refuse(problems_of(&[error, other, gone], &loaded), &loaded.sources);
  insta::assert_snapshot!(show_error(
    &crate::output::Failure::from(error.clone()),
    &Look::sample(Format::Table, false)
  ));
}

#[test]
fn what_get_writes_is_what_apply_reads() {
  use crate::command::sample;
  let manifest = crate::output::job_manifest(&sample::job(), &[sample::schedule()]);
  let yaml = serde_saphyr::to_string(&manifest).expect("YAML");
  let loaded = load(vec![Source::new("job.yaml", &*yaml)]).unwrap_or_else(|error| {
    panic!(
      "{}\n{yaml}",
      show_error(&crate::output::Failure::from(error.clone()), &Look::sample(Format::Table, false))
    )
  });
  let (job, _) = &loaded.jobs[0];
  assert_eq!(job.config, sample::job().config);
  assert_eq!(job.labels, sample::job().labels);
  assert_eq!(job.schedules[0].cron_expression, sample::schedule().cron_expression);
}

#[test]
fn nothing_is_told_of_a_file_without_problems() {
  assert!(
    told(&GOOD.replace("echo hello", "yes"))
      .starts_with("error: 1 problem in jobs.yaml, nothing was applied")
  );
}
