//! Rows of §10.2 that need something to be there first: names, versions, keys, ended attempts.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hetuflow_tests::api::Api;
use hetuflow_tests::wait;
use reqwest::{Method, StatusCode, header};
use serde_json::{Value, json};

use crate::api::{House, check_refusal, quiet};

/// How long anything here may take.
const LIMIT: Duration = Duration::from_secs(30);

/// A refusal with this status, dotted code and field.
fn refused(answer: (StatusCode, Value), status: u16, code: &str, field: &str) -> Result<()> {
  let (found, body) = answer;
  ensure!(found.as_u16() == status, "{found}, not {status}: {body}");
  check_refusal(status, &body)?;
  if !code.is_empty() {
    let rules = body["errors"].as_array().context("no errors")?;
    let told = rules.iter().any(|rule| rule["code"] == code && rule["field"] == field);
    ensure!(told, "{code} at {field}: {body}");
  }
  Ok(())
}

/// Sends a body with headers of its own.
async fn send(
  api: &Api,
  (method, path): (Method, &str),
  headers: &[(&str, &str)],
  body: &Value,
) -> Result<(StatusCode, Value)> {
  let mut request = api.request(method, path).body(body.to_string());
  for (name, value) in headers {
    request = request.header(*name, *value);
  }
  let response = request.send().await?;
  Ok((response.status(), response.json().await?))
}

const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test]
async fn what_is_there_is_not_spoilt() -> Result<()> {
  let mut house = House::open(0).await?;
  let api = house.cluster.api();
  let post = || (Method::POST, "/jobs");
  let job = |name: &str| json!({ "name": name, "config": { "command": "x" } });

  // B036, B037: only plain JSON in UTF-8 is read.
  let before = house.counts().await?;
  for kind in ["text/plain", "application/json; charset=utf-16", "multipart/form-data"] {
    let answer = send(&api, post(), &[("content-type", kind)], &job("b036")).await?;
    refused(answer, 415, "content_type.unsupported", "")?;
  }
  let answer = send(&api, post(), &[], &job("b036")).await?;
  refused(answer, 415, "content_type.unsupported", "")?;
  let packed = send(&api, post(), &[JSON, ("content-encoding", "gzip")], &job("b037")).await?;
  refused(packed, 415, "encoding.unsupported", "")?;
  ensure!(house.counts().await? == before);

  // B040, B041: letters of any script; NFC is one name, case makes two; NULL is a name as any.
  for name in ["NULL", "caf\u{e9}", "Caf\u{e9}"] {
    api.post_ok("/jobs", &job(name)).await?;
  }
  refused(api.post("/jobs", &job("cafe\u{301}")).await?, 409, "name.taken", "/name")?;

  // B050: metacharacters are text.
  let text = "'; DROP TABLE jobs; -- \" \\ % _ $1 ? {} `x`";
  let body = json!({
    "name": "b050", "description": text, "owner": text, "labels": { "k": text },
    "environment": { "K": text }, "config": { "command": text },
  });
  api.post_ok("/jobs", &body).await?;
  let stored = api.get_ok("/jobs/b050").await?;
  for pointer in ["/description", "/owner", "/labels/k", "/environment/K", "/config/command"] {
    ensure!(stored.pointer(pointer) == Some(&json!(text)), "{pointer}: {stored}");
  }
  let query = reqwest::Url::parse_with_params("http://x/", [("name", "' OR 1=1 --")])?;
  let page = api.get_ok(&format!("/jobs?{}", query.query().unwrap_or_default())).await?;
  ensure!(page["data"] == json!([]), "{page}");

  // B051: what moved meanwhile is not overwritten, and the answer says where it stands.
  let (change, stale) = (json!({ "owner": "me" }), [JSON, ("if-match", "\"77\"")]);
  let (status, body) = send(&api, (Method::PATCH, "/jobs/b050"), &stale, &change).await?;
  ensure!(body["details"]["current_version"] == 1, "{body}");
  refused((status, body), 412, "revision.conflict", "/version")?;
  ensure!(api.get_ok("/jobs/b050").await?["owner"] == text);

  // B052: a key belongs to one request.
  let key = [JSON, ("idempotency-key", "k-1")];
  let task = |priority: i64| json!({ "job": "base", "priority": priority });
  let post = || (Method::POST, "/tasks");
  let (first, made) = send(&api, post(), &key, &task(1)).await?;
  ensure!(first == StatusCode::CREATED, "{made}");
  let (_, again) = send(&api, post(), &key, &task(1)).await?;
  ensure!(again["id"] == made["id"], "{again}");
  let other = send(&api, post(), &key, &task(2)).await?;
  refused(other, 409, "idempotency.mismatch", "/idempotency_key")?;

  // B055: what is switched off or gone is not run.
  api.post_ok("/jobs/b050/disable", &json!({})).await?;
  let before = house.counts().await?;
  let run = json!({ "job": "b050" });
  refused(api.post("/tasks", &run).await?, 409, "job.disabled", "/job")?;
  refused(api.post("/jobs/b050/run", &json!({})).await?, 409, "job.disabled", "/job")?;
  ensure!(house.counts().await? == before);
  ensure!(api.delete("/jobs/b050").await?.0 == StatusCode::NO_CONTENT);
  refused(api.post("/tasks", &run).await?, 404, "", "")?;
  refused(api.post("/jobs/b050/run", &json!({})).await?, 404, "", "")?;

  // B026: cancel_other and at_most_once say different things about the same task, and fit.
  let both = json!({
    "name": "b026", "config": { "command": "x", "delivery": "at_most_once" },
    "schedules": [{ "cron": "@daily", "overlap": "replace" }],
  });
  api.post_ok("/jobs", &both).await?;
  let stored = api.get_ok("/schedules/b026").await?;
  ensure!(stored["overlap_policy"] == "cancel_other", "{stored}");
  quiet(&mut house.cluster, 0)?;
  house.cluster.finish()
}

#[tokio::test]
async fn b047_what_is_not_yours_is_not_there() -> Result<()> {
  let mut house = House::open(0).await?;
  let api = house.cluster.api();
  api.post_ok("/namespaces", &json!({ "id": "team" })).await?;
  let token = json!({ "name": "t", "role": "editor", "namespace_id": "team" });
  let token = api.post_ok("/auth/tokens", &token).await?;
  let theirs = api.with_token(token["secret"].as_str().context("no secret")?);
  let schedule = json!({ "job_id": house.job, "cron": "@daily" });
  let schedule = api.post_ok("/schedules", &schedule).await?;
  let task = api.post_ok("/tasks", &json!({ "job": "base" })).await?;
  let nobody = "01a1fd4c-835d-70e2-99f7-95b846c3061c";
  let strip = |mut body: Value, id: &str| {
    for field in ["timestamp", "trace_id"] {
      body.as_object_mut().map(|body| body.remove(field));
    }
    body.to_string().replace(id, "ID")
  };
  for (kind, id) in [("jobs", &json!(house.job)), ("schedules", &schedule["id"])] {
    let id = id.as_str().context("no id")?;
    let (status, foreign) = theirs.get(&format!("/{kind}/{id}")).await?;
    ensure!(status == StatusCode::NOT_FOUND, "{kind}: {foreign}");
    let (_, absent) = theirs.get(&format!("/{kind}/{nobody}")).await?;
    ensure!(strip(foreign.clone(), id) == strip(absent.clone(), nobody), "{foreign} {absent}");
    let (status, _) = theirs.delete(&format!("/{kind}/{id}")).await?;
    ensure!(status.is_client_error(), "{kind}");
    api.get_ok(&format!("/{kind}/{id}")).await?;
  }
  // Tasks, their attempts and what can be done with them: absent and foreign are the same answer.
  let id = task["id"].as_str().context("no id")?;
  for (verb, rest) in
    [("GET", ""), ("GET", "/instances"), ("GET", "/logs"), ("POST", "/cancel"), ("POST", "/retry")]
  {
    let mut bodies = Vec::new();
    for id in [id, nobody] {
      let path = format!("/tasks/{id}{rest}");
      let (status, body) = match verb {
        "GET" => theirs.get(&path).await?,
        _ => theirs.post(&path, &json!({})).await?,
      };
      ensure!(status == StatusCode::NOT_FOUND, "{verb} {path}: {status} {body}");
      bodies.push(strip(body, id));
    }
    ensure!(bodies[0] == bodies[1], "{verb} {rest}: {bodies:?}");
  }
  ensure!(api.get_ok(&format!("/tasks/{id}")).await?["status"] == "pending");
  quiet(&mut house.cluster, 0)?;
  house.cluster.finish()
}

#[tokio::test]
async fn b048_a_cursor_is_of_one_list_and_filter() -> Result<()> {
  let mut house = House::open(0).await?;
  let api = house.cluster.api();
  for name in ["b", "c"] {
    api.post_ok("/jobs", &json!({ "name": name, "config": { "command": "x" } })).await?;
  }
  for id in ["n1", "n2"] {
    api.post_ok("/namespaces", &json!({ "id": id })).await?;
  }
  let cursor = async |path: &str| -> Result<String> {
    let page = api.get_ok(path).await?;
    let next = page["page"]["next_cursor"].as_str().context("no next page")?;
    Ok(
      reqwest::Url::parse_with_params("http://x/", [("cursor", next)])?
        .query()
        .unwrap_or("")
        .into(),
    )
  };
  let jobs = cursor("/jobs?limit=1").await?;
  let enabled = cursor("/jobs?status=enabled&limit=1").await?;
  let names = cursor("/namespaces?limit=1").await?;
  for path in [
    format!("/tasks?{jobs}"),
    format!("/jobs?{names}"),
    format!("/namespaces?{jobs}"),
    format!("/agents?{names}"),
    format!("/jobs?{enabled}"),
    format!("/jobs?status=disabled&{enabled}"),
    format!("/jobs?status=enabled&{jobs}"),
  ] {
    refused(api.get(&path).await?, 400, "page.cursor", "?cursor")?;
  }
  // In the body of a query as well; whoever goes on unchanged sees every row once.
  let query = json!({ "filter": {}, "limit": 1 });
  let page = api.post_ok("/jobs/query", &query).await?;
  let mut other = query.clone();
  other["cursor"] = page["page"]["next_cursor"].clone();
  ensure!(api.post_ok("/jobs/query", &other).await?["data"][0]["id"] != page["data"][0]["id"]);
  other["filter"] = json!({ "name": "b" });
  refused(api.post("/jobs/query", &other).await?, 400, "page.cursor", "?cursor")?;
  for (path, next) in [("/jobs?limit=2", &jobs), ("/jobs?status=enabled&limit=2", &enabled)] {
    let rest = api.get_ok(&format!("{path}&{next}")).await?;
    ensure!(rest["data"].as_array().is_some_and(|rows| rows.len() == 2), "{rest}");
    ensure!(rest["page"]["next_cursor"].is_null(), "{rest}");
  }
  let rest = api.get_ok(&format!("/namespaces?{names}")).await?;
  ensure!(rest["data"].as_array().is_some_and(|rows| rows.len() == 2), "{rest}");
  quiet(&mut house.cluster, 0)?;
  house.cluster.finish()
}

#[tokio::test]
async fn b057_credentials_that_are_none() -> Result<()> {
  let mut house = House::open(0).await?;
  let (url, token) = (house.cluster.server(0).url().to_owned(), house.cluster.token().to_owned());
  let me = format!("{url}/api/v1/auth/me");
  let client = reqwest::Client::new();
  let long = format!("Bearer {}", "x".repeat(10_240));
  let wrong = [
    ("Basic YTpi", "auth.scheme"),
    ("Bearer", "auth.scheme"),
    ("Bearer a b", "auth.scheme"),
    (token.as_str(), "auth.scheme"),
    ("Bearer htf_nobody", "auth.invalid"),
    (long.as_str(), "auth.invalid"),
  ];
  for (value, code) in wrong {
    let response = client.get(&me).header(header::AUTHORIZATION, value).send().await?;
    let asks = response.headers().get(header::WWW_AUTHENTICATE).cloned();
    ensure!(asks.is_some_and(|value| value == "Bearer"), "{value:.20}");
    let answer = (response.status(), response.json::<Value>().await?);
    ensure!(!answer.1.to_string().contains(&token), "a secret is echoed");
    refused(answer, 401, code, "/authorization")?;
  }
  for parameter in ["token", "%74oken"] {
    let response = client.get(format!("{me}?{parameter}={token}")).send().await?;
    let answer = (response.status(), response.json::<Value>().await?);
    refused(answer, 400, "auth.token_in_url", "?token")?;
  }
  quiet(&mut house.cluster, 0)?;
  house.cluster.finish()
}

#[tokio::test]
async fn attempts_that_are_over() -> Result<()> {
  let mut house = House::open(1).await?;
  let api = house.cluster.api();
  let run = async |config: Value| -> Result<Value> {
    let task = api.post_ok("/tasks", &json!({ "config": config })).await?;
    let path = format!("/tasks/{}?wait_secs=20", task["id"].as_str().context("no id")?);
    wait::until("the end of the task", LIMIT, async || {
      let task = api.get_ok(&path).await.ok()?;
      task["completed_at"].is_string().then_some(task)
    })
    .await
  };
  // B044: a folder that is not there is found out at the start, and told.
  let task = run(json!({ "command": "true", "working_directory": "/nowhere/at/all" })).await?;
  ensure!(task["exit_code"].is_null() && task["status"] != "succeeded", "{task}");
  ensure!(task["reason"].as_str().is_some_and(|reason| reason.contains("spawn")), "{task}");
  // B042, B082: words are passed on as they are.
  let odd = json!({ "cmd": "exec", "args": ["/bin/echo", "@/etc/passwd", "$HOME", ""] });
  let task = run(odd).await?;
  ensure!(task["exit_code"] == 0, "{task}");
  let attempt = task["instance_id"].as_str().context("no attempt")?.to_owned();
  let log = format!("/task-instances/{attempt}/logs");
  ensure!(api.bytes(&log).await?.1 == b"@/etc/passwd $HOME \n");

  // B056: what is over is not stopped again.
  let id = task["id"].as_str().context("no id")?;
  for path in [format!("/tasks/{id}/cancel"), format!("/task-instances/{attempt}/cancel")] {
    let (status, body) = api.post(&path, &json!({})).await?;
    ensure!(body["err_msg"].as_str().is_some_and(|text| text.contains("succeeded")), "{body}");
    refused((status, body), 409, "attempt.terminal", "/")?;
  }
  ensure!(api.get_ok(&format!("/tasks/{id}")).await?["status"] == "succeeded");

  // B058: places that are not in the log.
  let beyond = api.get(&format!("{log}?from_offset=1000000")).await?;
  refused(beyond, 416, "log.range", "/from_offset")?;
  for (query, field) in
    [("from_offset=-1", "?from_offset"), ("tail_bytes=x", "?tail_bytes"), ("stream=7", "?stream")]
  {
    refused(api.get(&format!("{log}?{query}")).await?, 400, "filter.value", field)?;
  }
  quiet(&mut house.cluster, 1)?;
  house.cluster.finish()
}
