//! The everyday half of hetuflowctl against a real server: exit codes, forms, output, waits.

use anyhow::{Context, Result, ensure};
use hetuflow_tests::cluster::{Cluster, Engine};
use serde_json::Value;

use crate::support::{ctl, well};

both_engines!(
  exit_codes_are_those_of_the_table,
  every_form_parses_also_on_errors,
  output_is_picked_and_merged,
  many_tasks_at_once,
  waits_and_events,
  versions_of_a_job,
  filters_choose_and_lists_go_on,
);

/// The forms that programs read.
const FORMS: [&str; 9] =
  ["table", "wide", "tsv", "json", "jsonl", "yaml", "name", "jsonpath=$.id", "template={{ id }}"];

async fn ends_with(cluster: &Cluster, rows: &[(&[&str], i32)]) -> Result<()> {
  for (args, exit) in rows {
    let told = ctl(cluster, args).await?;
    ensure!(told.exit == *exit, "{args:?}: {} not {exit}: {}{}", told.exit, told.out, told.err);
  }
  Ok(())
}

const JOB: &str = "apiVersion: hetuflow/v1\nkind: Job\nmetadata: { name: hello, labels: { tier: gold } }\nspec:\n  config: { command: 'echo hello' }\n";

async fn with_job(engine: Engine) -> Result<Cluster> {
  let cluster = Cluster::builder().engine(engine).slots(4).start().await?;
  std::fs::write(cluster.dir().join("hello.yaml"), JOB)?;
  well(&cluster, &["apply", "-f", "hello.yaml", "--yes"]).await?;
  Ok(cluster)
}

async fn exit_codes_are_those_of_the_table(engine: Engine) -> Result<()> {
  let cluster = with_job(engine).await?;
  std::fs::write(cluster.dir().join("bad.yaml"), JOB.replace("echo hello' }", "x', cpus: no }"))?;
  std::fs::write(cluster.dir().join("bad.token"), "hf_nobody\n")?;
  let version = ["job", "disable", "hello", "--if-version", "7"];
  ends_with(
    &cluster,
    &[
      (&["job", "get", "hello"], 0),
      (&["job", "get"], 2),
      (&["job", "list", "--nope"], 2),
      (&["cancel", "-F", "state=running", "x"], 2),
      (&["job", "get", "helo"], 3),
      (&["job", "list", "--token-file", "bad.token"], 4),
      (&["job", "disable", "hello", "--read-only"], 5),
      (&version, 6),
      (&["job", "list", "-s", "http://127.0.0.1:1"], 7),
      (&["apply", "-f", "bad.yaml"], 8),
      (&["wait", "hello@latest", "--for", "exit>x"], 8),
      (&["run", "--cmd", "exit 3", "--wait"], 3),
      (&["run", "--cmd", "kill -9 $$", "--wait"], 137),
      (&["run", "--cmd", "exit 3", "--wait", "--exit-status", "simple"], 12),
      (&["run", "--cmd", "/no/such/program", "--runtime", "exec", "--wait"], 127),
      (&["run", "--cmd", "sleep 60", "--timeout-task", "200ms", "--wait"], 123),
      (&["run", "--cmd", "sleep 60", "--wait", "--timeout", "300ms"], 124),
      (&["run", "hello", "--wait", "-s", "http://127.0.0.1:1"], 125),
      (&["cancel", "adhoc@latest"], 0),
      (&["wait", "adhoc@latest", "--exit-status", "task"], 121),
      (&["cancel", "adhoc@-1", "adhoc@-2"], 11),
      (&["job", "clone", "hello", "hello"], 6),
    ],
  )
  .await?;
  cluster.finish()
}

async fn every_form_parses_also_on_errors(engine: Engine) -> Result<()> {
  let cluster = with_job(engine).await?;
  for _ in 0..3 {
    well(&cluster, &["run", "hello", "--wait"]).await?;
  }
  for form in FORMS {
    let told = ctl(&cluster, &["task", "list", "-o", form]).await?;
    ensure!(told.exit == 0 && !told.out.is_empty(), "{form}: {}{}", told.out, told.err);
    let lines = told.out.lines().count();
    match form {
      "json" => assert_eq!(told.json()?["items"].as_array().map(Vec::len), Some(3)),
      "jsonl" => {
        for line in told.out.lines() {
          serde_json::from_str::<Value>(line)?;
        }
        assert_eq!(lines, 3);
      }
      "yaml" => {
        for document in told.out.split("---\n") {
          serde_saphyr::from_str::<Value>(document).context("a document")?;
        }
      }
      "tsv" => assert!(told.out.lines().all(|line| line.split('\t').count() == 9), "{}", told.out),
      "name" => assert!(told.out.lines().all(|line| line.starts_with("task/")), "{}", told.out),
      "table" | "wide" => assert_eq!(lines, 4, "{}", told.out),
      _ => assert_eq!(lines, 3, "{}", told.out),
    }
    // An error leaves stdout empty, and is one object on stderr where programs read.
    let told = ctl(&cluster, &["task", "get", "nobody@latest", "-o", form]).await?;
    ensure!(told.exit == 3 && told.out.is_empty(), "{form}: {}{}", told.out, told.err);
    if form.starts_with("json") && !form.contains('=') {
      let error: Value = serde_json::from_str(&told.err).context(told.err.clone())?;
      assert_eq!(
        (&error["error"]["exit"], error["error"]["code"].as_str()),
        (&3.into(), Some("not_found"))
      );
      let told = ctl(&cluster, &["task", "list", "--nope", "-o", form]).await?;
      let error: Value = serde_json::from_str(&told.err).context(told.err.clone())?;
      assert_eq!((told.out.as_str(), &error["error"]["exit"]), ("", &2.into()));
    }
  }
  let path = well(&cluster, &["task", "list", "-o", "jsonpath=$.items[0].job_name"]).await?;
  assert_eq!(path, "hello");
  let columns = well(&cluster, &["task", "list", "--columns", "job,exit", "--no-header"]).await?;
  assert!(columns.lines().all(|line| line.split_whitespace().eq(["hello", "0"])), "{columns}");
  assert!(well(&cluster, &["task", "list", "--columns", "help"]).await?.contains("STATE"));
  assert_eq!(well(&cluster, &["task", "list", "-o", "none"]).await?, "");
  cluster.finish()
}

async fn output_is_picked_and_merged(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).slots(4).start().await?;
  // Between two pipes the order is that in which they are read: there is time for that.
  let script = "for i in 1 2 3 4 5; do echo line $i; done; sleep 1; echo 'WARN low' >&2; \
    sleep 1; echo end";
  let id = well(&cluster, &["run", "--cmd", script, "-o", "jsonpath=$.id"]).await?;
  well(&cluster, &["wait", &id, "-o", "none"]).await?;
  for (flags, wanted) in [
    (&["--tail", "2"][..], "WARN low\nend"),
    (&["--head", "2"], "line 1\nline 2"),
    (&["--grep", "LINE [24]", "-i"], "line 2\nline 4"),
    (&["--grep", "line 3", "-C", "1"], "line 2\nline 3\nline 4"),
    (&["--grep", "line", "--invert"], "WARN low\nend"),
    (&["--level", "warn", "--stream", "err"], "WARN low"),
    (&["--since", "1h", "--head", "1"], "line 1"),
    (&["--until", "1h"], ""),
    (&["--max-bytes", "6"], "line 1"),
  ] {
    let told = well(&cluster, &[&["logs", id.as_str()], flags].concat()).await?;
    assert_eq!(told, wanted, "{flags:?}");
  }
  let lines = well(&cluster, &["logs", &id, "-o", "jsonl", "--grep", "WARN"]).await?;
  let line: Value = serde_json::from_str(&lines)?;
  assert_eq!((&line["stream"], &line["attempt"]), (&"err".into(), &1.into()), "{line}");
  assert!(line["offset"].is_u64() && line["ts"].is_string(), "{line}");
  let whole = ctl(&cluster, &["logs", &id, "-o", "json"]).await?.json()?;
  assert_eq!(whole["items"].as_array().map(Vec::len), Some(7));

  let other = well(&cluster, &["run", "--cmd", "echo other", "-o", "name"]).await?;
  well(&cluster, &["wait", &other, "-o", "none"]).await?;
  let both = well(&cluster, &["logs", &other, &id]).await?;
  assert_eq!(both.lines().count(), 8, "{both}");
  assert!(both.lines().all(|line| line.starts_with("adhoc/") && line.contains(" │ ")), "{both}");
  // The later task was named first; its line comes last.
  assert!(both.lines().last().is_some_and(|line| line.ends_with("other")), "{both}");

  let waits = ["run", "--cmd", "echo x", "--in", "1h", "-o", "jsonpath=$.id"];
  let waits = well(&cluster, &waits).await?;
  let late = ctl(&cluster, &["logs", "-f", &waits, "--start-timeout", "100ms"]).await?;
  assert_eq!(late.exit, 124, "{}", late.err);
  well(&cluster, &["cancel", &waits]).await?;
  cluster.finish()
}

async fn many_tasks_at_once(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).slots(4).start().await?;
  let later = ["run", "--cmd", "true", "--in", "1h", "--count", "3", "-o", "jsonpath=$.ids[*]"];
  let ids = well(&cluster, &later).await?;
  let ids: Vec<&str> = ids.lines().collect();
  assert_eq!(ids.len(), 3);
  let dry = [&["cancel", "--dry-run"], &ids[..]].concat();
  assert_eq!(well(&cluster, &dry).await?.lines().count(), 3);
  let mut prio = vec!["task", "reprioritise", "--prio", "7", "-o", "jsonpath=$.priority"];
  prio.extend(&ids);
  assert_eq!(well(&cluster, &prio).await?, "7\n7\n7");
  let told = ctl(&cluster, &["cancel", ids[0], "00000000", ids[1], "-o", "json"]).await?;
  assert_eq!(told.exit, 11, "{}", told.err);
  let items = told.json()?;
  let well_done: Vec<_> =
    items["items"].as_array().context("items")?.iter().map(|one| one["ok"] == true).collect();
  assert_eq!(well_done, [true, true, false], "{items}");
  // Any unique end of an id names the task.
  let short = well(&cluster, &["task", "get", ids[2], "-o", "name"]).await?;
  let tail = &short[short.len() - 4..];
  assert_eq!(well(&cluster, &["task", "get", tail, "-o", "name"]).await?, short);
  // All ids of a minute begin alike: that is told with the candidates.
  let told = ctl(&cluster, &["task", "get", &ids[2][..6]]).await?;
  assert_eq!(told.exit, 6, "{}", told.err);
  assert!(told.err.contains(short.trim_start_matches("task/")), "{}", told.err);
  let counts = ctl(&cluster, &["task", "count", "--by", "state", "-o", "json"]).await?.json()?;
  assert_eq!(counts["items"][0]["key"], "cancelled", "{counts}");
  well(&cluster, &["cancel", ids[2]]).await?;
  cluster.finish()
}

async fn waits_and_events(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).slots(4).start().await?;
  let run = |text: &'static str| ["run", "--cmd", text, "-o", "jsonpath=$.id"];
  let good = well(&cluster, &run("sleep 0.2")).await?;
  let bad = well(&cluster, &run("sleep 0.1; exit 4")).await?;
  let long = well(&cluster, &run("sleep 60")).await?;
  ends_with(
    &cluster,
    &[
      (&["wait", &long, "--for", "running"], 0),
      (&["wait", &good, &bad], 12),
      (&["wait", &good, &long, "--any"], 0),
      (&["wait", &bad, "--for", "failed"], 0),
      (&["wait", &bad, "--for", "exit=4"], 0),
      (&["wait", &good, "--for", "state=failed"], 12),
      (&["wait", &bad, "--exit-status", "task"], 4),
      (&["wait", &long, "--timeout", "300ms"], 124),
      (&["task", "kill", &long], 0),
      (&["wait", &long, "--timeout", "60s"], 121),
    ],
  )
  .await?;
  let object = format!("task/{bad}");
  let of_task = ["events", "--object", &object, "--type", "task.*", "-o", "jsonpath=$.type"];
  let types = well(&cluster, &of_task).await?;
  assert_eq!(types, "task.created\ntask.running\ntask.failed");
  let all = well(&cluster, &["events", "-o", "jsonl", "--since", "1h"]).await?;
  let seqs: Vec<i64> = all
    .lines()
    .map(|line| Ok(serde_json::from_str::<Value>(line)?["seq"].as_i64().unwrap_or(-1)))
    .collect::<Result<_>>()?;
  let middle = seqs[seqs.len() / 2];
  let from = middle.to_string();
  let rest = ["events", "--from-seq", &from, "-o", "jsonpath=$.seq"];
  let rest = well(&cluster, &rest).await?;
  let wanted: Vec<String> =
    seqs.iter().filter(|seq| **seq > middle).map(ToString::to_string).collect();
  assert_eq!(rest.lines().collect::<Vec<_>>(), wanted);
  let until = ["events", "--from-seq", "0", "--until", "exit=4", "-o", "jsonpath=$.type"];
  let until = well(&cluster, &until).await?;
  assert_eq!(until.lines().last(), Some("task.failed"));
  cluster.finish()
}

async fn versions_of_a_job(engine: Engine) -> Result<()> {
  let cluster = with_job(engine).await?;
  std::fs::write(cluster.dir().join("hello.yaml"), JOB.replace("echo hello", "echo changed"))?;
  well(&cluster, &["apply", "-f", "hello.yaml", "--yes"]).await?;
  let diff = ctl(&cluster, &["job", "diff", "hello", "1"]).await?;
  assert_eq!(diff.exit, 10, "{}", diff.err);
  assert!(diff.out.contains("-") && diff.out.contains("echo changed"), "{}", diff.out);
  let old = ["run", "hello", "--version", "1", "--logs"];
  assert_eq!(well(&cluster, &old).await?, "hello");
  well(&cluster, &["job", "rollback", "hello", "1"]).await?;
  assert_eq!(well(&cluster, &["run", "hello", "--logs"]).await?, "hello");
  let versions = well(&cluster, &["job", "versions", "hello", "-o", "jsonpath=$.job_version"]);
  assert_eq!(versions.await?, "3\n2\n1");
  well(&cluster, &["job", "clone", "hello", "copy"]).await?;
  well(&cluster, &["job", "rename", "copy", "other"]).await?;
  let exported = well(&cluster, &["job", "export", "other"]).await?;
  std::fs::write(cluster.dir().join("other.yaml"), exported)?;
  ends_with(
    &cluster,
    &[
      (&["apply", "-f", "other.yaml", "--dry-run", "--exit-code"], 0),
      (&["job", "diff", "hello", "9"], 3),
    ],
  )
  .await?;
  let stats = ctl(&cluster, &["job", "stats", "hello", "-o", "json"]).await?.json()?;
  assert_eq!((&stats["runs"], &stats["success_rate"]), (&2.into(), &1.0.into()), "{stats}");
  cluster.finish()
}

async fn filters_choose_and_lists_go_on(engine: Engine) -> Result<()> {
  let cluster = with_job(engine).await?;
  let good = well(&cluster, &["run", "hello", "-o", "jsonpath=$.id"]).await?;
  let bad = well(&cluster, &["run", "--cmd", "exit 4", "-o", "jsonpath=$.id"]).await?;
  ends_with(&cluster, &[(&["wait", &good, &bad], 12)]).await?;
  let ids = |flags: &[&'static str]| {
    let flags = [&["task", "list", "-o", "jsonpath=$.id"], flags].concat();
    let cluster = &cluster;
    async move { well(cluster, &flags).await }
  };
  assert_eq!(ids(&["-F", "state=failed"]).await?, bad);
  assert_eq!(ids(&["-F", "exit=4 | exit=5", "--state", "failed"]).await?, bad);
  assert_eq!(ids(&["--job", "hello", "-F", "!state=failed"]).await?, good);
  assert_eq!(ids(&["-l", "tier=gold"]).await?, good);
  assert_eq!(ids(&["--sort", "-exit"]).await?, format!("{bad}\n{good}"));
  let refused = ctl(&cluster, &["task", "list", "-F", "stat=failed"]).await?;
  assert_eq!(refused.exit, 8, "{}", refused.err);
  ends_with(&cluster, &[(&["retry", "-F", "state=failed"], 2)]).await?;
  let dry = well(&cluster, &["retry", "-F", "state=failed", "--dry-run", "-o", "name"]).await?;
  assert_eq!(dry, format!("task/{}", &short(&cluster, &bad).await?));
  let again = ["retry", "-F", "state=failed", "--yes", "-o", "jsonpath=$.trigger_source"];
  assert_eq!(well(&cluster, &again).await?, "retry");

  let watch = ["task", "list", "-w", "--until", "exit=5", "--timeout", "90s"];
  let run = ["run", "--cmd", "exit 5", "-o", "none"];
  let (watched, run) = tokio::join!(ctl(&cluster, &watch), ctl(&cluster, &run));
  let (watched, run) = (watched?, run?);
  ensure!(watched.exit == 0 && run.exit == 0, "{}{}", watched.err, run.err);
  let changes: Vec<Value> = watched
    .out
    .lines()
    .map(|line| serde_json::from_str(line).context(line.to_owned()))
    .collect::<Result<_>>()?;
  assert!(changes.iter().any(|change| change["op"] == "sync"), "{}", watched.out);
  let last = changes.iter().rfind(|change| change["object"]["exit_code"] == 5);
  assert!(last.is_some_and(|change| change["seq"].is_i64()), "{}", watched.out);
  let top = ctl(&cluster, &["top", "agents", "--once", "-o", "json"]).await?.json()?;
  assert_eq!(top["items"].as_array().map(Vec::len), Some(1), "{top}");
  cluster.finish()
}

async fn short(cluster: &Cluster, id: &str) -> Result<String> {
  let name = well(cluster, &["task", "get", id, "-o", "name"]).await?;
  Ok(name.trim_start_matches("task/").to_owned())
}
