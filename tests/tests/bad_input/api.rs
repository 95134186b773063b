//! JSON bodies and addresses: how a case is sent, and what every refusal must look like.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use hetuflow_tests::cluster::Cluster;
use reqwest::{Method, header};
use serde_json::{Value, json};

use crate::{body_cases, cron_cases};

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(20);

/// Where an input goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
  /// `POST /schedules`; the input is the fields beside `job_id`.
  Schedule,
  /// `POST /jobs`; the input is the fields beside `name`.
  Job,
  /// `POST /jobs`; the input is the whole body.
  JobBody,
  /// `POST /tasks`; the input is the fields beside `job`.
  Task,
  /// `GET`; the input is the path.
  Get,
}

/// One input and its answer.
#[derive(Debug, Clone)]
pub struct Case {
  /// The row.
  pub row: &'static str,
  /// Where it goes.
  pub door: Door,
  /// What is sent.
  pub input: Vec<u8>,
  /// The status.
  pub status: u16,
  /// The dotted code; empty where the answer names no rule.
  pub code: &'static str,
  /// The field.
  pub field: &'static str,
  /// Words of message or hint.
  pub says: &'static str,
}

impl Case {
  /// What is sent, shortened, for messages.
  pub fn shown(&self) -> String {
    let text: String = String::from_utf8_lossy(&self.input).chars().take(90).collect();
    format!("{} {:?} {text:?}", self.row, self.door)
  }
}

/// A running cluster with a job that schedules and tasks can name.
pub struct House {
  /// The cluster.
  pub cluster: Cluster,
  /// The job's id.
  pub job: String,
}

impl House {
  /// One server on SQLite, so many agents, one job called `base`.
  pub async fn open(agents: usize) -> Result<Self> {
    let cluster = Cluster::builder().agents(agents).start().await?;
    let body = json!({ "name": "base", "config": { "command": "true" } });
    let job = cluster.api().post_ok("/jobs", &body).await?;
    let job = job["id"].as_str().context("the job has no id")?.to_owned();
    Ok(Self { cluster, job })
  }

  /// How many there are of every kind that a request can make.
  pub async fn counts(&self) -> Result<Vec<usize>> {
    let api = self.cluster.api();
    let mut counts = Vec::new();
    for kind in ["/jobs", "/schedules", "/tasks", "/namespaces", "/agents", "/auth/tokens"] {
      let page = api.get_ok(&format!("{kind}?limit=1000")).await?;
      let rows = page["data"].as_array().or_else(|| page.as_array());
      counts.push(rows.with_context(|| format!("{kind} is no list: {page}"))?.len());
    }
    Ok(counts)
  }

  /// Sends a case and holds the answer against it.
  async fn run(&self, case: &Case) -> Result<()> {
    let input = &case.input;
    let around = |before: String| [before.as_bytes(), input, b"}"].concat();
    let (method, path, body) = match case.door {
      Door::Schedule => {
        (Method::POST, "/schedules", around(format!("{{\"job_id\":\"{}\",", self.job)))
      }
      Door::Job => (Method::POST, "/jobs", around("{\"name\":\"probe\",".to_owned())),
      Door::JobBody => (Method::POST, "/jobs", input.clone()),
      Door::Task => (Method::POST, "/tasks", around("{\"job\":\"base\",".to_owned())),
      Door::Get => (Method::GET, std::str::from_utf8(input)?, Vec::new()),
    };
    let mut request = self.cluster.api().request(method.clone(), path);
    if method == Method::POST {
      request = request.header(header::CONTENT_TYPE, "application/json").body(body);
    }
    let response = request.send().await?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let bytes = response.bytes().await?;
    let body: Value = serde_json::from_slice(&bytes).context("the answer is no JSON")?;
    ensure!(status == case.status, "{status}: {body}");
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    ensure!(kind == Some("application/json"), "content type {kind:?}");
    check_refusal(status, &body)?;
    let id = headers.get("x-request-id").and_then(|id| id.to_str().ok());
    ensure!(id.is_some() && body["trace_id"].as_str() == id, "{id:?}: {body}");
    check_rule(case, &body)
  }
}

/// The rule that a case names is told, with its field and words.
fn check_rule(case: &Case, body: &Value) -> Result<()> {
  if case.code.is_empty() {
    return Ok(());
  }
  let errors = body["errors"].as_array().context("no errors in the answer")?;
  let rule = errors.iter().find(|e| e["code"] == case.code && e["field"] == case.field);
  let rule = rule.with_context(|| format!("{} at {:?}: {body}", case.code, case.field))?;
  let said = format!("{} | {}", rule["message"], rule["hint"]);
  ensure!(said.contains(case.says), "{:?} is not said: {said}", case.says);
  Ok(())
}

/// What holds for every refusal: its number, one harmless line, short, with words.
pub fn check_refusal(status: u16, body: &Value) -> Result<()> {
  ensure!((400..500).contains(&status), "{status}: {body}");
  ensure!(body["err_code"] == status, "err_code: {body}");
  ensure!(body["code"].is_string(), "code: {body}");
  let texts = [&body["err_msg"], &body["hint"]];
  let rules = body["errors"].as_array().into_iter().flatten();
  let inner = rules.flat_map(|rule| [&rule["message"], &rule["hint"], &rule["field"]]);
  for text in texts.into_iter().chain(inner).filter_map(Value::as_str) {
    one_line(text)?;
    ensure!(text.len() <= 600, "{} bytes: {text}", text.len());
  }
  ensure!(body["err_msg"].as_str().is_some_and(|text| !text.is_empty()), "no words: {body}");
  ensure!(!body.to_string().contains("panicked"), "{body}");
  Ok(())
}

/// One line, without control and direction characters.
pub fn one_line(text: &str) -> Result<()> {
  let hidden = |c: char| {
    c.is_control()
      || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
  };
  ensure!(!text.contains(hidden), "not one harmless line: {text:?}");
  Ok(())
}

/// Nothing of this cluster panicked, and no log shows its token.
pub fn quiet(cluster: &mut Cluster, agents: usize) -> Result<()> {
  let token = cluster.token().to_owned();
  let mut logs = vec![cluster.server(0).process().log()];
  logs.extend((0..agents).map(|i| cluster.agent(i).process().log()));
  for log in logs {
    ensure!(!log.contains("panicked"), "a panic in\n{log}");
    ensure!(!log.contains(&token), "the token in\n{log}");
  }
  Ok(())
}

/// Every case of bodies and addresses.
pub fn cases() -> Vec<Case> {
  [cron_cases::cases(), body_cases::cases()].concat()
}

#[tokio::test]
async fn every_case_is_refused_and_changes_nothing() -> Result<()> {
  let mut house = House::open(0).await?;
  let before = house.counts().await?;
  let mut wrong = Vec::new();
  for case in cases() {
    let checked = tokio::time::timeout(LIMIT, house.run(&case)).await;
    if let Err(error) = checked.unwrap_or_else(|_| Err(anyhow!("no answer in {LIMIT:?}"))) {
      wrong.push(format!("{}: {error:#}", case.shown()));
    }
    let after = house.counts().await?;
    if after != before {
      wrong.push(format!("{}: left {after:?} where {before:?} was", case.shown()));
      break;
    }
  }
  quiet(&mut house.cluster, 0)?;
  house.cluster.finish()?;
  ensure!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
  Ok(())
}
