//! The manifests of `examples/`, applied and run as a new user would.

use std::path::Path;
use std::process::Output;

use anyhow::{Context, Result, ensure};
use hetuflow_tests::cluster::{Cluster, Engine};
use hetuflow_tests::wait;
use serde_json::Value;

use crate::support::{LIMIT, all, output, text};

both_engines!(examples);

/// Standard output of a command that must succeed.
fn told(output: &Output) -> Result<String> {
  let error = String::from_utf8_lossy(&output.stderr);
  let text = String::from_utf8(output.stdout.clone())?;
  ensure!(output.status.success(), "{}\n{text}\n{error}", output.status);
  Ok(text)
}

/// What an apply says it did, one action per job.
async fn apply(cluster: &Cluster, dir: &str) -> Result<Vec<String>> {
  let answer = told(&cluster.ctl(&["apply", "-f", dir, "--yes", "-o", "json"]).await?)?;
  let answer: Value = serde_json::from_str(&answer).with_context(|| answer.clone())?;
  let changes = answer["changes"].as_array().or(answer["data"].as_array()).or(answer.as_array());
  let changes = changes.with_context(|| format!("no changes in {answer}"))?;
  changes.iter().map(|change| text(change, "action")).collect()
}

async fn examples(engine: Engine) -> Result<()> {
  let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").canonicalize()?;
  let dir = examples.to_string_lossy();
  let demo = tempfile::tempdir()?;
  let cluster = Cluster::builder().engine(engine).environment("DEMO_DIR", demo.path());
  let cluster = cluster.start().await?;
  let api = cluster.api();
  let plan = cluster.ctl(&["apply", "-f", &dir, "--dry-run", "--exit-code"]).await?;
  assert_eq!(plan.status.code(), Some(10));
  assert_eq!(all(&api, "/jobs").await?.len(), 0);
  assert_eq!(apply(&cluster, &dir).await?, ["create"; 7]);
  let jobs = all(&api, "/jobs").await?;
  assert_eq!(apply(&cluster, &dir).await?, ["unchanged"; 7]);
  assert_eq!(all(&api, "/jobs").await?, jobs);
  let plan = cluster.ctl(&["apply", "-f", &dir, "--dry-run", "--exit-code"]).await?;
  assert_eq!(plan.status.code(), Some(0));

  // What get prints is what apply takes: nothing differs.
  let folder = tempfile::tempdir()?;
  for job in &jobs {
    let name = text(job, "name")?;
    let yaml = told(&cluster.ctl(&["get", "job", &name, "-o", "yaml"]).await?)?;
    std::fs::write(folder.path().join(format!("{name}.yaml")), yaml)?;
  }
  let same = cluster.ctl(&["diff", "-f", &folder.path().to_string_lossy()]).await?;
  ensure!(same.status.code() == Some(0), "{}", String::from_utf8_lossy(&same.stdout));

  let next = cluster.ctl(&["schedule", "next", "every-10s", "--count", "5", "-o", "json"]).await?;
  let next = told(&next)?;
  assert_eq!(next.matches("0Z\"").count(), 5, "{next}");
  told(&cluster.ctl(&["schedule", "next", "heartbeat", "--count", "5"]).await?)?;

  let cert = format!("CERT_FILES={dir}/data/demo-cert.pem");
  let csv = format!("SALES_CSV={dir}/data/sales.csv");
  let mut runs = vec![
    ("backup", String::new(), ": OK"),
    ("cert-expiry", cert, "1 certificates checked, 0 need"),
    ("disk-usage", String::new(), "GiB free of"),
    ("log-cleanup", String::new(), "older than 14 days"),
    ("sales-report", csv, "112 rows of"),
  ];
  if engine == Engine::Postgres {
    told(&cluster.ctl(&["job", "enable", "pg-dump"]).await?)?;
    runs.push(("pg-dump", format!("DUMP_URL={}", cluster.database_url()), "entries"));
  }
  for (job, environment, word) in runs {
    let mut args = vec!["run", job, "--wait", "--logs"];
    if !environment.is_empty() {
      args.extend(["--env", &environment]);
    }
    let told = told(&cluster.ctl(&args).await?).with_context(|| job.to_owned())?;
    ensure!(told.contains(word), "{job} does not say {word}: {told}");
  }

  let fired = wait::until_ok("heartbeat to fire", LIMIT, || async {
    let path = "/tasks?job=heartbeat&status=succeeded";
    let tasks = all(&api, path).await.map_err(|error| format!("{error:#}"))?;
    tasks.into_iter().next().ok_or_else(|| "not yet".to_owned())
  })
  .await?;
  assert_eq!(fired["trigger_source"], "schedule");
  let line = String::from_utf8(output(&api, &text(&fired, "id")?, "").await?)?;
  ensure!(line.starts_with("heartbeat from ") && line.contains("attempt 1)"), "{line}");
  cluster.finish()
}
