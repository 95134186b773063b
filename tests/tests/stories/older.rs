//! The older interface, as its users know it: the routes without a version and the commands of the
//! server's program, against a real server and an agent that serves a type.

use std::process::Output;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hetuflow_tests::binaries::Binaries;
use hetuflow_tests::cluster::{Cluster, Engine};
use hetuflow_tests::process::{Process, Recipe};
use hetuflow_tests::wait;
use reqwest::{Client, Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::support::{LIMIT, text, wait_status};

both_engines!(
  tasks_without_a_version,
  agents_and_cron_jobs_without_a_version,
  commands_of_the_servers_program,
  a_type_that_nobody_serves_waits,
);

/// An agent that echoes what it reads, and is capable of e-mail and templates.
const AGENT: &str = "[agent.labels]\n\"cap.email\" = \"true\"\n\"cap.template\" = \"true\"\n\
  [agent.task_types.send_email]\ncmd = \"sh\"\nargs = [\"-c\", \"echo working; cat; echo\"]\n\
  [agent.task_types.slow]\ncmd = \"sleep\"\nargs = [\"600\"]\n";

/// A client of the routes without a version.
struct Older {
  http: Client,
  url: String,
  token: String,
}

impl Older {
  fn of(cluster: &mut Cluster) -> Self {
    let token = cluster.token().to_owned();
    Self { http: Client::new(), url: cluster.server(0).url().to_owned(), token }
  }

  async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Result<Response> {
    let request = self.http.request(method, format!("{}{path}", self.url));
    let request = request.bearer_auth(&self.token);
    let response = match body {
      Some(body) => request.json(&body).send().await?,
      None => request.send().await?,
    };
    ensure!(response.headers()["deprecation"] == "true", "{path} does not say that it is old");
    Ok(response)
  }

  async fn ask(&self, method: Method, path: &str, body: Value) -> Result<(StatusCode, Value)> {
    let response = self.send(method, path, Some(body).filter(|body| !body.is_null())).await?;
    let status = response.status();
    let bytes = response.bytes().await?;
    if bytes.is_empty() {
      return Ok((status, Value::Null));
    }
    Ok((status, serde_json::from_slice(&bytes).with_context(|| format!("{path}: {status}"))?))
  }

  async fn get(&self, path: &str) -> Result<Value> {
    let (status, value) = self.ask(Method::GET, path, Value::Null).await?;
    ensure!(status == StatusCode::OK, "{path}: {status} {value}");
    Ok(value)
  }
}

async fn start(engine: Engine) -> Result<Cluster> {
  Cluster::builder().engine(engine).agent_settings(AGENT).start().await
}

fn email(priority: Value, payload: Value) -> Value {
  json!({ "name": "welcome mail", "task_type": "send_email", "priority": priority, "payload": payload })
}

async fn tasks_without_a_version(engine: Engine) -> Result<()> {
  let mut cluster = start(engine).await?;
  let older = Older::of(&mut cluster);
  // 002-19: make.
  let payload = json!({ "to": "user@example.com", "subject": "hi" });
  let new = email(json!("high"), payload.clone());
  let (status, made) = older.ask(Method::POST, "/api/tasks", new).await?;
  ensure!(status == StatusCode::CREATED, "{status} {made}");
  assert_eq!((&made["id"], &made["name"]), (&made["task_id"], &json!("welcome mail")));
  assert_eq!((&made["priority"], &made["payload"]), (&json!("high"), &payload));
  assert_eq!((&made["task_type"], &made["status"]), (&json!("send_email"), &json!("pending")));
  ensure!(made["created_at"].is_string(), "{made}");
  // 002-21: read, with what the handler gave.
  let id = text(&made, "id")?;
  let task = wait_status(&cluster.api(), &id, &["succeeded"]).await?;
  assert_eq!((&task["trigger_source"], &task["priority"]), (&json!("legacy"), &json!(10)));
  assert_eq!(task["job_name"], "legacy/send_email");
  let ended = older.get(&format!("/api/tasks/{id}")).await?;
  assert_eq!((&ended["result"], &ended["error"]), (&payload, &Value::Null));
  assert_eq!(ended["agent_id"], "agent-0");
  ensure!(ended["started_at"].is_string() && ended["completed_at"].is_string(), "{ended}");
  // Any JSON is a payload, and a number is a priority.
  let (_, list) = older.ask(Method::POST, "/api/tasks", email(json!(7), json!([1, "x"]))).await?;
  assert_eq!((&list["priority"], &list["payload"]), (&json!(7), &json!([1, "x"])));
  wait_status(&cluster.api(), &text(&list, "id")?, &["succeeded"]).await?;
  let (status, error) =
    older.ask(Method::POST, "/api/tasks", email(json!("soon"), json!({}))).await?;
  assert_eq!((status.as_u16(), &error["code"]), (422, &json!("validation_error")));
  // 002-22: DELETE cancels.
  let slow = json!({ "name": "s", "task_type": "slow", "payload": null });
  let (_, slow) = older.ask(Method::POST, "/api/tasks", slow).await?;
  let slow = text(&slow, "id")?;
  wait_status(&cluster.api(), &slow, &["running"]).await?;
  let path = format!("/api/tasks/{slow}");
  let (status, answer) = older.ask(Method::DELETE, &path, Value::Null).await?;
  ensure!(status == StatusCode::ACCEPTED || answer["status"] == "cancelled", "{status} {answer}");
  assert_eq!(answer["id"], json!(slow));
  wait_status(&cluster.api(), &slow, &["cancelled"]).await?;
  let (status, _) = older.ask(Method::DELETE, &path, Value::Null).await?;
  assert_eq!(status, StatusCode::CONFLICT);
  let (status, error) = older.ask(Method::GET, "/api/tasks/nobody", Value::Null).await?;
  assert_eq!((status.as_u16(), &error["code"]), (404, &json!("not_found")));
  // 002-20: an array, with the number of all in a header.
  let response = older.send(Method::GET, "/api/tasks?limit=2", None).await?;
  assert_eq!(response.headers()["x-total-count"], "3");
  assert_eq!(response.headers()["link"], "</api/tasks?limit=2&offset=2>; rel=\"next\"");
  let rows: Vec<Value> = serde_json::from_slice(&response.bytes().await?)?;
  assert_eq!(rows.iter().map(|row| &row["task_type"]).collect::<Vec<_>>(), ["slow", "send_email"]);
  let mails = older.get("/api/tasks?task_type=send_email&status=succeeded").await?;
  assert_eq!(mails.as_array().map(Vec::len), Some(2), "{mails}");
  assert_eq!(older.get("/api/tasks?task_type=fax").await?, json!([]));
  cluster.finish()
}

async fn agents_and_cron_jobs_without_a_version(engine: Engine) -> Result<()> {
  let mut cluster = start(engine).await?;
  let older = Older::of(&mut cluster);
  // 002-24: an agent is made known before it connects.
  let new = json!({ "name": "worker-9", "capabilities": ["gpu", "cuda"], "status": "active" });
  let (status, made) = older.ask(Method::POST, "/api/agents", new.clone()).await?;
  assert_eq!((status, &made["id"]), (StatusCode::CREATED, &json!("worker-9")));
  assert_eq!(made["capabilities"], json!(["cuda", "gpu"]));
  let (status, error) = older.ask(Method::POST, "/api/agents", new).await?;
  assert_eq!((status.as_u16(), &error["errors"][0]["code"]), (409, &json!("name.taken")));
  // 002-23: all of them, or those that are connected.
  let all = older.get("/api/agents").await?;
  assert_eq!(all.as_array().map(Vec::len), Some(2), "{all}");
  assert_eq!((&all[1]["name"], &all[1]["status"]), (&json!("worker-9"), &json!("inactive")));
  let online = older.get("/api/agents?online=true").await?;
  assert_eq!((online.as_array().map(Vec::len), &online[0]["status"]), (Some(1), &json!("active")));
  assert_eq!(online[0]["capabilities"], json!(["email", "send_email", "slow", "template"]));
  ensure!(online[0]["last_heartbeat"].is_string(), "{online}");
  // 002-25: a cron job.
  let new = json!({
    "name": "Daily Report", "cron_expression": "0 9 * * *", "task_type": "send_email",
    "payload": { "to": "boss" }, "enabled": true,
  });
  let (status, made) = older.ask(Method::POST, "/api/cron-jobs", new.clone()).await?;
  ensure!(status == StatusCode::CREATED, "{status} {made}");
  assert_eq!((&made["id"], &made["name"]), (&made["schedule_id"], &json!("Daily Report")));
  ensure!(made["next_run_at"].as_str().is_some_and(|at| at.contains("T09:00:00")), "{made}");
  let job = cluster.api().get_ok("/jobs/Daily-Report").await?;
  assert_eq!((&job["id"], &job["config"]["task_type"]), (&made["job_id"], &json!("send_email")));
  let (status, _) = older.ask(Method::POST, "/api/cron-jobs", new).await?;
  assert_eq!(status, StatusCode::CONFLICT);
  let bad = json!({ "name": "x", "cron_expression": "61 * * * *", "task_type": "t" });
  let (status, error) = older.ask(Method::POST, "/api/cron-jobs", bad).await?;
  assert_eq!((status.as_u16(), &error["errors"][0]["field"]), (422, &json!("/cron_expression")));
  // It fires like any other schedule.
  let path = format!("/api/cron-jobs/{}", text(&made, "id")?);
  let change = json!({ "cron_expression": "* * * * * *" });
  let (status, changed) = older.ask(Method::PATCH, &path, change).await?;
  ensure!(status == StatusCode::OK, "{status} {changed}");
  let fired = wait::until_ok("the cron job to fire", LIMIT, || async {
    let rows = older.get("/api/tasks?task_type=send_email&status=succeeded").await;
    let rows = rows.map_err(|error| format!("{error:#}"))?;
    rows.get(0).cloned().ok_or_else(|| rows.to_string())
  })
  .await?;
  assert_eq!(fired["payload"], json!({ "to": "boss" }));
  let (_, off) = older.ask(Method::PATCH, &path, json!({ "enabled": false })).await?;
  assert_eq!((&off["enabled"], &off["next_run_at"]), (&json!(false), &Value::Null));
  assert_eq!(older.get("/api/cron-jobs").await?[0]["enabled"], false);
  let (status, _) = older.ask(Method::DELETE, &path, Value::Null).await?;
  assert_eq!(status, StatusCode::NO_CONTENT);
  assert_eq!(older.get("/api/cron-jobs").await?, json!([]));
  assert_eq!(cluster.api().get("/jobs/Daily-Report").await?.0, StatusCode::NOT_FOUND);
  cluster.finish()
}

/// Runs the server's program against the cluster's server.
async fn verb(cluster: &mut Cluster, args: &[&str]) -> Result<Output> {
  let url = cluster.server(0).url().to_owned();
  let output = tokio::process::Command::new(Binaries::find()?.server)
    .args(args)
    .env_clear()
    .env("HETUFLOW_SERVER", url)
    .env("HETUFLOW_TOKEN", cluster.token())
    .current_dir(cluster.dir())
    .output()
    .await?;
  Ok(output)
}

async fn well(cluster: &mut Cluster, args: &[&str]) -> Result<String> {
  let output = verb(cluster, args).await?;
  let told = String::from_utf8_lossy(&output.stderr).into_owned();
  ensure!(output.status.success(), "{args:?}: {}: {told}", output.status);
  Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
}

async fn commands_of_the_servers_program(engine: Engine) -> Result<()> {
  let mut cluster = start(engine).await?;
  // 002-14
  let create = [
    "create-task",
    "--name",
    "welcome",
    "--task-type",
    "send_email",
    "--priority",
    "high",
    "--payload",
    "{\"to\":\"user@example.com\"}",
  ];
  let id = well(&mut cluster, &create).await?;
  wait_status(&cluster.api(), &id, &["succeeded"]).await?;
  // 002-15
  let rows = well(&mut cluster, &["list-tasks"]).await?;
  let row = rows.lines().nth(1).context("a row")?;
  ensure!(row.starts_with(&id) && row.contains("succeeded") && row.contains("high"), "{rows}");
  let rows: Value =
    serde_json::from_str(&well(&mut cluster, &["list-tasks", "-o", "json"]).await?)?;
  assert_eq!(rows[0]["payload"], json!({ "to": "user@example.com" }));
  // 002-16
  let cron = [
    "create-cron-job",
    "--name",
    "nightly",
    "--cron-expression",
    "0 2 * * *",
    "--task-type",
    "send_email",
    "--payload",
    "{\"days\":30}",
  ];
  let made = well(&mut cluster, &cron).await?;
  ensure!(made.contains("next run ") && made.contains("T02:00:00"), "{made}");
  // 002-17
  let agents = well(&mut cluster, &["list-agents", "--online"]).await?;
  ensure!(agents.lines().count() == 2 && agents.contains("agent-0  active"), "{agents}");
  // 002-18: a list with spaces, and one with commas.
  for capabilities in [&["email", "template"][..], &["email,template"][..]] {
    let mut args = vec!["dispatch-task", "--task-type", "send_email", "--payload", "{\"n\":1}"];
    args.extend(["--wait", "--capabilities"]);
    args.extend(capabilities);
    let ended = well(&mut cluster, &args).await?;
    ensure!(ended.ends_with(" succeeded"), "{ended}");
  }
  let id =
    well(&mut cluster, &["dispatch-task", "--task-type", "send_email", "--capabilities", "gpu"]);
  let task = cluster_task(&id.await?, &cluster).await?;
  assert_eq!(task["config"]["selector"], json!({ "cap.gpu": "true" }));
  // Mistakes are told with the rule that they break.
  let output = verb(&mut cluster, &["create-task", "--name", "x", "--task-type", "a/b"]).await?;
  let told = String::from_utf8_lossy(&output.stderr).into_owned();
  ensure!(!output.status.success() && told.contains("/task_type"), "{told}");
  let nobody = ["list-tasks", "--server", "http://127.0.0.1:1"];
  assert_eq!(verb(&mut cluster, &nobody).await?.status.code(), Some(69));
  cluster.finish()
}

async fn cluster_task(id: &str, cluster: &Cluster) -> Result<Value> {
  cluster.api().get_ok(&format!("/tasks/{id}")).await
}

async fn a_type_that_nobody_serves_waits(engine: Engine) -> Result<()> {
  let mut cluster = start(engine).await?;
  let older = Older::of(&mut cluster);
  let fax = json!({ "name": "fax", "task_type": "fax", "payload": {} });
  let (_, fax) = older.ask(Method::POST, "/api/tasks", fax).await?;
  let id = text(&fax, "id")?;
  // Work that came later is done: the agent is not held up, and the task is not given to it.
  let (_, mail) = older.ask(Method::POST, "/api/tasks", email(json!("low"), json!({}))).await?;
  wait_status(&cluster.api(), &text(&mail, "id")?, &["succeeded"]).await?;
  let (status, task) = older.ask(Method::GET, &format!("/api/tasks/{id}"), Value::Null).await?;
  assert_eq!((status, &task["status"]), (StatusCode::OK, &json!("pending")));
  let (status, answer) =
    older.ask(Method::DELETE, &format!("/api/tasks/{id}"), Value::Null).await?;
  assert_eq!((status, &answer["status"]), (StatusCode::OK, &json!("cancelled")));
  cluster.finish()
}

/// 002-12, 002-13: `start --bind`, and the same without the word.
#[tokio::test(flavor = "multi_thread")]
async fn the_server_starts_with_or_without_the_word() -> Result<()> {
  for words in [&["start"][..], &[][..]] {
    let folder = tempfile::tempdir()?;
    let dir = folder.path().to_owned();
    let args = words.iter().chain(&["--bind", "127.0.0.1:0"]);
    let mut server = Process::spawn(Recipe {
      name: "server".to_owned(),
      program: Binaries::find()?.server,
      args: args.map(Into::into).collect(),
      environment: vec![("HOME".to_owned(), dir.clone().into())],
      log: dir.join("server.log"),
      dir: dir.clone(),
    })?;
    let file = dir.join("hetuflow-data/server.json");
    wait::until_ok("the server to be ready", LIMIT, || async {
      std::fs::metadata(&file).map(drop).map_err(|error| error.to_string())
    })
    .await?;
    ensure!(server.stop(Duration::from_secs(20))?.success(), "{}", server.log());
  }
  Ok(())
}
