//! Jobs, schedules, manifests and tokens through the door.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use serde_json::{Value, json};

use super::House;

const GET: Method = Method::GET;
const POST: Method = Method::POST;
const PATCH: Method = Method::PATCH;

fn backup() -> Value {
  json!({
    "name": "backup",
    "config": { "command": "true" },
    "schedules": [{ "cron": "0 3 * * *" }, { "interval_secs": "90s" }, { "name": "own", "cron": "H H * * *" }],
  })
}

#[tokio::test]
async fn a_job_comes_with_its_schedules_and_versions() {
  let house = House::new().await;
  let admin = house.admin().await;
  let (status, job) = house.ask(&admin, (POST, "/api/v1/jobs"), backup()).await;
  assert_eq!((status.as_u16(), &job["version"]), (201, &json!(1)), "{job}");
  let (_, page) = house.ask(&admin, (GET, "/api/v1/schedules"), Value::Null).await;
  let mut names: Vec<_> =
    page["data"].as_array().expect("rows").iter().map(|row| row["name"].clone()).collect();
  names.sort_by_key(ToString::to_string);
  assert_eq!(names, [json!("backup"), json!("backup-2"), json!("own")]);
  assert!(page["data"].as_array().expect("rows").iter().all(|row| row["next_run_at"].is_string()));
  let (status, body) = house.ask(&admin, (POST, "/api/v1/jobs"), backup()).await;
  assert_eq!((status.as_u16(), &body["errors"][0]["code"]), (409, &json!("name.taken")));

  let change = json!({ "description": "x", "owner": "me", "update_mask": ["owner"] });
  let patch = |version: &str| {
    Request::patch("/api/v1/jobs/backup")
      .header(header::AUTHORIZATION, format!("Bearer {admin}"))
      .header(header::CONTENT_TYPE, "application/json")
      .header(header::IF_MATCH, version)
      .body(Body::from(change.to_string()))
      .expect("a request")
  };
  let (status, job) = house.send(patch("\"1\"")).await;
  assert_eq!(status.as_u16(), 200, "{job}");
  assert_eq!(
    (&job["owner"], &job["description"], &job["version"]),
    (&json!("me"), &json!(""), &json!(2))
  );
  let (status, body) = house.send(patch("\"1\"")).await;
  assert_eq!((status.as_u16(), &body["errors"][0]["code"]), (412, &json!("revision.conflict")));
  assert_eq!(body["details"]["current_version"], 2);
  let (_, versions) = house.ask(&admin, (GET, "/api/v1/jobs/backup/versions"), Value::Null).await;
  assert_eq!(versions.as_array().expect("a list").len(), 2);

  let (status, _) = house.ask(&admin, (Method::DELETE, "/api/v1/jobs/backup"), Value::Null).await;
  assert_eq!(status.as_u16(), 204);
  let (_, page) = house.ask(&admin, (GET, "/api/v1/schedules"), Value::Null).await;
  assert_eq!(page["data"], json!([]));
}

#[tokio::test]
async fn a_schedule_is_held_and_goes_on() {
  let house = House::new().await;
  let admin = house.admin().await;
  house.ask(&admin, (POST, "/api/v1/jobs"), backup()).await;
  let path = |verb: &str| format!("/api/v1/schedules/own/{verb}");
  let (status, row) = house.ask(&admin, (POST, &path("pause")), json!({ "reason": "night" })).await;
  assert_eq!((status.as_u16(), &row["status"]), (200, &json!("paused")), "{row}");
  assert_eq!(row["status_reason"], "paused by admin: night");
  let past = json!({ "until": "2020-01-01T00:00:00Z" });
  let (status, body) = house.ask(&admin, (POST, &path("pause")), past).await;
  assert_eq!((status.as_u16(), &body["errors"][0]["code"]), (422, &json!("pause.until")));
  let again = json!({ "reason": "day", "until": "2099-01-01T00:00:00Z" });
  let (status, row) = house.ask(&admin, (POST, &path("pause")), again).await;
  assert_eq!(
    (status.as_u16(), &row["paused_reason"]),
    (200, &json!("day")),
    "another reason and end"
  );
  assert_eq!(
    (&row["paused_by"], &row["paused_until"]),
    (&json!("admin"), &json!("2099-01-01T00:00:00Z"))
  );
  let (status, row) = house.ask(&admin, (POST, &path("skip-next")), json!({ "count": 2 })).await;
  assert_eq!((status.as_u16(), &row["skip_next"]), (200, &json!(2)), "{row}");
  let (_, row) = house.ask(&admin, (POST, &path("skip-next")), json!({ "count": 0 })).await;
  assert_eq!((&row["skip_next"], &row["skip_reason"]), (&json!(0), &Value::Null));
  let (status, row) = house.ask(&admin, (POST, &path("resume")), Value::Null).await;
  assert_eq!((status.as_u16(), &row["status"]), (200, &json!("enabled")), "{row}");
  assert_eq!(row["status_reason"], Value::Null);
  assert_eq!(house.ask(&admin, (POST, &path("resume")), Value::Null).await.0.as_u16(), 409);
  let system = |verb: &str| format!("/api/v1/system/{verb}");
  let (status, row) =
    house.ask(&admin, (POST, &system("pause")), json!({ "reason": "move" })).await;
  assert_eq!((status.as_u16(), &row["scope"]), (200, &json!("*")), "{row}");
  let (_, health) = house.ask(&admin, (GET, &system("health")), Value::Null).await;
  assert_eq!(health["paused"][0]["reason"], "move", "{health}");
  let (_, skipped) = house.ask(&admin, (POST, &path("trigger")), Value::Null).await;
  assert_eq!(skipped["decision"], "skipped_paused", "{skipped}");
  assert_eq!(house.ask(&admin, (POST, &system("resume")), Value::Null).await.0.as_u16(), 200);
  assert_eq!(house.ask(&admin, (POST, &system("resume")), Value::Null).await.0.as_u16(), 409);
  let (_, next) = house.ask(&admin, (GET, &path("next?count=3")), Value::Null).await;
  assert_eq!(next["next"].as_array().expect("a list").len(), 3, "{next}");
  let (_, own) = house.ask(&admin, (GET, "/api/v1/schedules/own"), Value::Null).await;
  assert_eq!(next["next"][0]["at"], own["next_run_at"], "preview and planner agree");
  let (status, body) = house
    .ask(&admin, (PATCH, "/api/v1/schedules/own"), json!({ "cron_expression": "61 * * * *" }))
    .await;
  assert_eq!((status.as_u16(), &body["errors"][0]["code"]), (422, &json!("cron.out_of_range")));
  let (_, row) =
    house.ask(&admin, (PATCH, "/api/v1/schedules/own"), json!({ "cron": "0 5 * * *" })).await;
  assert!(row["next_run_at"].as_str().is_some_and(|at| at.contains("T05:00:00")), "{row}");
}

#[tokio::test]
async fn prune_takes_only_what_carries_the_scope_and_the_mark() {
  let house = House::new().await;
  let admin = house.admin().await;
  let post = (POST, "/api/v1/jobs/apply");
  let job = |name: &str| json!({ "name": name, "config": { "command": "true" }, "schedules": [{ "name": "night", "cron": "@daily" }] });
  let plain =
    json!({ "name": "plain", "labels": { "team": "data" }, "config": { "command": "true" } });
  let apply = |jobs: Value, prune: bool, dry_run: bool| json!({ "jobs": jobs, "prune": prune, "dry_run": dry_run, "scope": { "team": "data" } });
  let (status, _) = house.ask(&admin, (POST, "/api/v1/jobs"), plain).await;
  assert_eq!(status.as_u16(), 201);
  let (_, done) = house.ask(&admin, post.clone(), apply(json!([job("a")]), false, false)).await;
  assert_eq!(done["changes"][0]["action"], "create", "{done}");
  let (_, kept) = house.ask(&admin, (GET, "/api/v1/jobs/a"), Value::Null).await;
  assert_eq!(kept["labels"], json!({ "team": "data", "managed-by": "apply" }));

  // The name of the schedule moves to the new job: what goes, goes first.
  let mut wanted = job("b");
  wanted["labels"] = json!({ "team": "data" });
  for dry_run in [true, false] {
    let body = apply(json!([wanted]), true, dry_run);
    let (status, plan) = house.ask(&admin, post.clone(), body).await;
    assert_eq!(status.as_u16(), 200, "{plan}");
    let told: Vec<_> = plan["changes"]
      .as_array()
      .expect("a list")
      .iter()
      .map(|c| (&c["action"], &c["name"]))
      .collect();
    assert_eq!(told, [(&json!("create"), &json!("b")), (&json!("delete"), &json!("a"))]);
  }
  for (name, status) in [("a", 404), ("b", 200), ("plain", 200)] {
    let (told, _) = house.ask(&admin, (GET, &format!("/api/v1/jobs/{name}")), Value::Null).await;
    assert_eq!(told.as_u16(), status, "{name}");
  }

  // Without a scope the mark stays; a broken job leaves everything as it was.
  let (_, same) = house.ask(&admin, post.clone(), json!({ "jobs": [wanted] })).await;
  assert_eq!(same["changes"][0]["action"], "unchanged", "{same}");
  let (status, _) = house
    .ask(&admin, post.clone(), apply(json!([{ "name": "c", "config": {} }]), true, false))
    .await;
  assert_eq!(status.as_u16(), 422);
  let (told, _) = house.ask(&admin, (GET, "/api/v1/jobs/b"), Value::Null).await;
  assert_eq!(told.as_u16(), 200);
  for broken in [
    json!({ "jobs": [wanted], "prune": true }),
    json!({ "jobs": [wanted], "scope": { "team": "other" } }),
  ] {
    let (status, body) = house.ask(&admin, post.clone(), broken).await;
    assert_eq!(
      (status.as_u16(), &body["errors"][0]["code"]),
      (422, &json!("apply.scope")),
      "{body}"
    );
  }
}

#[tokio::test]
async fn apply_is_all_or_nothing_and_says_what_differs() {
  let house = House::new().await;
  let admin = house.admin().await;
  let apply = |jobs: Value, dry_run: bool| json!({ "jobs": jobs, "dry_run": dry_run });
  let post = (POST, "/api/v1/jobs/apply");
  let broken = json!([backup(), { "name": "a/b", "config": {} }, { "name": "c", "namespace_id": "no", "config": { "command": "x" } }]);
  let (status, body) = house.ask(&admin, post.clone(), apply(broken, false)).await;
  assert_eq!(status.as_u16(), 422);
  let fields: Vec<_> =
    body["errors"].as_array().expect("a list").iter().map(|e| e["field"].clone()).collect();
  assert_eq!(
    fields,
    [json!("/jobs/1/name"), json!("/jobs/1/config"), json!("/jobs/2/namespace_id")]
  );

  let (status, plan) = house.ask(&admin, post.clone(), apply(json!([backup()]), true)).await;
  assert_eq!((status.as_u16(), &plan["applied"]), (200, &json!(false)), "{plan}");
  let (status, _) = house.ask(&admin, (GET, "/api/v1/jobs/backup"), Value::Null).await;
  assert_eq!(status.as_u16(), 404, "a dry run stores nothing");

  let (_, done) = house.ask(&admin, post.clone(), apply(json!([backup()]), false)).await;
  assert_eq!(done["changes"][0]["action"], "create");
  let (_, again) = house.ask(&admin, post.clone(), apply(json!([backup()]), false)).await;
  assert_eq!(
    (&again["changes"][0]["action"], &again["changes"][0]["version"]),
    (&json!("unchanged"), &json!(1)),
    "{again}"
  );

  let mut other = backup();
  other["config"]["timeout"] = json!("5m");
  other["schedules"] = json!([{ "cron": "0 4 * * *" }, { "name": "own", "cron": "H H * * *" }]);
  let (_, changed) = house.ask(&admin, post.clone(), apply(json!([other]), false)).await;
  let change = &changed["changes"][0];
  assert_eq!((&change["action"], &change["version"]), (&json!("update"), &json!(2)), "{changed}");
  assert_eq!(
    change["fields"],
    json!(["config.timeout", "schedules.backup-2", "schedules.backup.cron_expression"])
  );

  let foreign = json!([{ "name": "d", "config": { "command": "x" }, "schedules": [{ "name": "own", "cron": "@daily" }] }]);
  let (status, body) = house.ask(&admin, post, apply(foreign, false)).await;
  assert_eq!(
    (status.as_u16(), &body["errors"][0]["field"]),
    (422, &json!("/jobs/0/schedules/0/name"))
  );
}

#[tokio::test]
async fn tokens_are_shown_once_and_end() {
  let house = House::new().await;
  let admin = house.admin().await;
  house.ask(&admin, (POST, "/api/v1/namespaces"), json!({ "id": "team" })).await;
  let new = json!({ "name": "ci", "role": "editor", "namespace_id": "team" });
  let (status, made) = house.ask(&admin, (POST, "/api/v1/auth/tokens"), new).await;
  assert_eq!(status.as_u16(), 201, "{made}");
  let secret = made["secret"].as_str().expect("a secret").to_owned();
  let (_, listed) = house.ask(&admin, (GET, "/api/v1/auth/tokens"), Value::Null).await;
  assert!(!listed.to_string().contains(&secret));
  let (status, job) = house.ask(&secret, (POST, "/api/v1/jobs"), backup()).await;
  assert_eq!((status.as_u16(), &job["namespace_id"]), (201, &json!("team")), "its own namespace");
  let elsewhere = format!("/api/v1/jobs/{}?namespace_id=default", job["id"].as_str().expect("id"));
  assert_eq!(house.ask(&secret, (GET, &elsewhere), Value::Null).await.0.as_u16(), 404);
  let (status, _) = house.ask(&secret, (GET, "/api/v1/auth/tokens"), Value::Null).await;
  assert_eq!(status.as_u16(), 403);
  let (status, body) =
    house.ask(&admin, (Method::DELETE, "/api/v1/namespaces/team"), Value::Null).await;
  assert_eq!((status.as_u16(), &body["errors"][0]["code"]), (409, &json!("namespace.in_use")));
  let path = format!("/api/v1/auth/tokens/{}", made["id"].as_str().expect("id"));
  assert_eq!(house.ask(&admin, (Method::DELETE, &path), Value::Null).await.0.as_u16(), 204);
  let (status, body) = house.ask(&secret, (GET, "/api/v1/auth/me"), Value::Null).await;
  assert_eq!((status.as_u16(), &body["errors"][0]["code"]), (401, &json!("auth.revoked")));
}

#[tokio::test]
async fn the_first_token_lies_in_a_file_of_its_owner() {
  use std::os::unix::fs::PermissionsExt;
  let house = House::new().await;
  let folder = tempfile::tempdir().expect("a folder");
  let path = house.tokens.ensure_admin_token(folder.path()).await.expect("made").expect("a path");
  let mode = std::fs::metadata(&path).expect("there").permissions().mode();
  assert_eq!(mode & 0o777, 0o600);
  let secret = std::fs::read_to_string(&path).expect("readable");
  let (status, me) = house.ask(secret.trim(), (GET, "/api/v1/auth/me"), Value::Null).await;
  assert_eq!((status.as_u16(), &me["role"]), (200, &json!("admin")));
  assert_eq!(house.tokens.ensure_admin_token(folder.path()).await.expect("fine"), None);
}

#[tokio::test]
async fn many_tasks_are_acted_on_each_by_itself_and_names_are_guessed() {
  let house = House::new().await;
  let admin = house.admin().await;
  let job = json!({ "name": "etl-daily", "config": { "cmd": "exec", "args": ["true"] } });
  let (status, body) = house.ask(&admin, (Method::POST, "/api/v1/jobs"), job).await;
  assert_eq!(status, StatusCode::CREATED, "{body}");
  let (status, body) =
    house.ask(&admin, (Method::GET, "/api/v1/jobs/etl-dialy"), Value::Null).await;
  assert_eq!(status, StatusCode::NOT_FOUND);
  assert_eq!(body["hint"], "did you mean etl-daily?", "{body}");
  let (_, body) = house.ask(&admin, (Method::GET, "/api/v1/jobs/other"), Value::Null).await;
  assert!(body["hint"].is_null(), "{body}");
  let (_, body) =
    house.ask(&admin, (Method::GET, "/api/v1/jobs?filter=name=etl*&sort=-age"), Value::Null).await;
  assert_eq!(body["data"][0]["name"], "etl-daily", "{body}");
  let path = "/api/v1/tasks/actions";
  let many = json!({ "action": "cancel", "ids": ["nobody", "etl-dialy@latest"], "reason": "x" });
  let (status, body) = house.ask(&admin, (Method::POST, path), many).await;
  assert_eq!((status, &body["done"], &body["failed"]), (StatusCode::OK, &json!(0), &json!(2)));
  assert_eq!(body["results"][0]["code"], "not_found", "{body}");
  assert_eq!(body["results"][1]["id"], "etl-dialy@latest");
  let none = json!({ "action": "retry", "ids": [] });
  let (status, body) = house.ask(&admin, (Method::POST, path), none).await;
  assert_eq!((status.as_u16(), &body["errors"][0]["code"]), (422, &json!("bulk.size")), "{body}");
}

#[tokio::test]
async fn changes_can_be_tried_and_need_what_was_seen() {
  let house = House::new().await;
  let admin = house.admin().await;
  // What would be refused is refused; what would be made is answered, and is not there.
  let (status, _) =
    house.ask(&admin, (POST, "/api/v1/jobs?dry_run=true"), json!({ "name": "a/b" })).await;
  assert_eq!(status.as_u16(), 422);
  let (status, job) = house.ask(&admin, (POST, "/api/v1/jobs?dry_run=true"), backup()).await;
  assert_eq!((status.as_u16(), &job["name"]), (201, &json!("backup")), "{job}");
  let (status, _) = house.ask(&admin, (GET, "/api/v1/jobs/backup"), Value::Null).await;
  assert_eq!(status.as_u16(), 404);
  house.ask(&admin, (POST, "/api/v1/jobs"), backup()).await;
  for (method, path, body) in [
    (PATCH, "/api/v1/jobs/backup?dry_run=true", json!({ "owner": "me" })),
    (POST, "/api/v1/jobs/backup/disable?dry_run=true", Value::Null),
    (Method::DELETE, "/api/v1/jobs/backup?dry_run=true", Value::Null),
    (POST, "/api/v1/schedules/own/pause?dry_run=true", Value::Null),
    (PATCH, "/api/v1/schedules/own?dry_run=true", json!({ "cron_expression": "0 1 * * *" })),
    (POST, "/api/v1/schedules?job=backup&dry_run=true", json!({ "name": "new", "cron": "@daily" })),
    (Method::DELETE, "/api/v1/schedules/own?dry_run=true", Value::Null),
  ] {
    let (status, answer) = house.ask(&admin, (method.clone(), path), body).await;
    assert!(status.is_success(), "{method} {path}: {status} {answer}");
  }
  let (_, job) = house.ask(&admin, (GET, "/api/v1/jobs/backup"), Value::Null).await;
  assert_eq!(
    (&job["owner"], &job["status"], &job["version"]),
    (&json!(""), &json!("enabled"), &json!(1))
  );
  let (_, page) = house.ask(&admin, (GET, "/api/v1/schedules"), Value::Null).await;
  assert_eq!(page["data"].as_array().map(Vec::len), Some(3));
  let (_, own) = house.ask(&admin, (GET, "/api/v1/schedules/own"), Value::Null).await;
  assert_eq!((&own["status"], &own["rev"]), (&json!("enabled"), &json!(1)));
  // Nobody removes or switches what somebody else has changed meanwhile.
  for (method, path) in [
    (Method::DELETE, "/api/v1/jobs/backup"),
    (POST, "/api/v1/jobs/backup/disable"),
    (Method::DELETE, "/api/v1/schedules/own"),
  ] {
    let seen = |version: &str| {
      Request::builder()
        .method(method.clone())
        .uri(path)
        .header(header::AUTHORIZATION, format!("Bearer {admin}"))
        .header(header::IF_MATCH, version)
        .body(Body::empty())
        .expect("a request")
    };
    let (status, body) = house.send(seen("\"7\"")).await;
    assert_eq!(status, StatusCode::PRECONDITION_FAILED, "{method} {path}: {body}");
  }
}
