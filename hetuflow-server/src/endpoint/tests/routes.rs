//! Every route of the document is served, asks for a token, and knows who may do what.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use serde_json::{Value, json};

use super::House;

/// Routes that everybody may ask.
const OPEN: [&str; 7] = [
  "/api/v1/system/live",
  "/api/v1/system/ready",
  "/api/v1/system/version",
  "/docs",
  "/docs/page.js",
  "/docs/page.css",
  "/docs/openapi.json",
];

async fn document(house: &House) -> Value {
  let (status, document) = house.ask("", (Method::GET, "/docs/openapi.json"), Value::Null).await;
  assert_eq!(status, StatusCode::OK);
  document
}

/// Method and path of every operation, with something in the place of names.
fn operations(document: &Value) -> Vec<(Method, String, Value)> {
  let mut all = Vec::new();
  for (path, item) in document["paths"].as_object().expect("paths") {
    for (method, operation) in item.as_object().expect("operations") {
      let method: Method = method.to_uppercase().parse().expect("a method");
      let place = path.replace("{ref}", "x").replace("{id}", "x");
      all.push((method, place, operation.clone()));
    }
  }
  all
}

#[tokio::test]
async fn every_route_asks_for_a_token() {
  let house = House::new().await;
  let document = document(&house).await;
  let mut open = BTreeSet::new();
  for (method, path, operation) in operations(&document) {
    for secret in ["", "garbage", "htf_garbage"] {
      let (status, body) = house.ask(secret, (method.clone(), &path), json!({})).await;
      if operation["security"] == json!([]) {
        open.insert(path.clone());
        assert!(status.is_success(), "{method} {path}: {status}");
      } else {
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{method} {path} with {secret:?}: {body}");
        assert_eq!(body["code"], "unauthorized", "{method} {path}");
      }
    }
  }
  assert_eq!(open, OPEN.map(str::to_owned).into());
}

#[tokio::test]
async fn every_route_of_the_document_is_served() {
  let house = House::new().await;
  let admin = house.admin().await;
  house.stop.cancel();
  let document = document(&house).await;
  let all = operations(&document);
  assert!(all.len() > 70, "{}", all.len());
  let mut ids = BTreeSet::new();
  for (method, path, operation) in all {
    let id = operation["operationId"].as_str().expect("an id").to_owned();
    assert!(ids.insert(id.clone()), "{id} stands twice");
    assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{id}");
    if path.starts_with("/api/v1/events") {
      continue;
    }
    let (status, body) = house.ask(&admin, (method.clone(), &path), Value::Null).await;
    assert_ne!(status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
    assert_ne!(body["err_msg"], "no such route", "{method} {path}");
    assert_ne!(status, StatusCode::INTERNAL_SERVER_ERROR, "{method} {path}: {body}");
  }
}

#[tokio::test]
async fn every_pointer_of_the_document_points_somewhere() {
  let house = House::new().await;
  let document = document(&house).await;
  let mut open = vec![&document];
  let mut pointers = 0;
  while let Some(value) = open.pop() {
    if let Some(pointer) = value["$ref"].as_str() {
      pointers += 1;
      let target = pointer.trim_start_matches('#');
      assert!(document.pointer(target).is_some(), "{pointer}");
    }
    match value {
      Value::Object(map) => open.extend(map.values()),
      Value::Array(list) => open.extend(list),
      _ => {}
    }
  }
  assert!(pointers > 100);
}

#[tokio::test]
async fn tokens_that_may_not_change_anything_change_nothing() {
  let house = House::new().await;
  let viewer = house.token(json!({ "name": "v", "role": "viewer" })).await;
  let agent = house.token(json!({ "name": "a", "role": "admin", "kind": "agent" })).await;
  let document = document(&house).await;
  for (method, path, operation) in operations(&document) {
    if operation["security"] == json!([]) || path.starts_with("/api/v1/events") {
      continue;
    }
    let asks = ["/query", "/preview", "/simulate"];
    let reads = method == Method::GET || asks.iter().any(|end| path.ends_with(end));
    let (status, body) = house.ask(&agent, (method.clone(), &path), json!({})).await;
    // An agent's token may at most be told that its request is wrong, and who it is.
    let fine = status.is_client_error() || path.ends_with("/auth/me");
    assert!(fine, "{method} {path}: {status} {body}");
    if !reads {
      let (status, body) = house.ask(&viewer, (method.clone(), &path), json!({})).await;
      assert!(status.is_client_error(), "{method} {path}: {status} {body}");
    }
  }
}

#[tokio::test]
async fn b057_credentials_that_are_none() {
  let house = House::new().await;
  let admin = house.admin().await;
  let long = "x".repeat(10_240);
  for value in ["Basic YTpi", "Bearer", "Bearer ", "bearer", "Bearer a b", &admin, &long] {
    let request = Request::get("/api/v1/auth/me").header(header::AUTHORIZATION, value);
    let (status, body) = house.send(request.body(Body::empty()).expect("a request")).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "{value:.20}");
    assert_eq!(body["errors"][0]["code"], "auth.scheme", "{value:.20}");
    assert!(body["trace_id"].is_string());
  }
  for path in ["/api/v1/auth/me?token=", "/api/v1/jobs?limit=1&%74oken=", "/api/v1/events?token="] {
    let (status, body) =
      house.ask(&admin, (Method::GET, &format!("{path}{admin}")), Value::Null).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{path}");
    assert_eq!(body["errors"][0]["code"], "auth.token_in_url");
    assert!(!body.to_string().contains(&admin));
  }
}

#[tokio::test]
async fn streams_take_a_token_in_the_address_and_end_with_the_server() {
  let house = House::new().await;
  let admin = house.admin().await;
  house.stop.cancel();
  let request = Request::get(format!("/api/v1/events?token={admin}&topics=job"))
    .header(header::ACCEPT, "text/event-stream");
  let (status, _) = house.send(request.body(Body::empty()).expect("a request")).await;
  assert_eq!(status, StatusCode::OK);
  let foreign = Request::get("/api/v1/events")
    .header(header::AUTHORIZATION, format!("Bearer {admin}"))
    .header(header::HOST, "here:8080")
    .header(header::ORIGIN, "http://elsewhere");
  let (status, body) = house.send(foreign.body(Body::empty()).expect("a request")).await;
  assert_eq!((status, &body["errors"][0]["code"]), (StatusCode::FORBIDDEN, &json!("auth.origin")));
}

#[tokio::test]
async fn b048_b049_b053_addresses_that_are_wrong() {
  let house = House::new().await;
  let admin = house.admin().await;
  for (path, status, code) in [
    ("/api/v1/jobs?limit=0", 400, "page.limit"),
    ("/api/v1/jobs?limit=-1", 400, "page.limit"),
    ("/api/v1/jobs?limit=1e9", 400, "page.limit"),
    ("/api/v1/jobs?limit=1001", 400, "page.limit"),
    ("/api/v1/jobs?cursor=garbage", 400, "page.cursor"),
    ("/api/v1/namespaces?cursor=%00", 400, "page.cursor"),
    ("/api/v1/tasks?status=runnning", 400, "filter.value"),
    ("/api/v1/jobs?status=on", 400, "filter.value"),
    ("/api/v1/jobs?sort=;drop%20table", 422, "sort.field"),
    ("/api/v1/jobs?filter=nmae=x", 422, "filter.field"),
    ("/api/v1/tasks?filter=state=faild", 422, "filter.value"),
    ("/api/v1/tasks?filter=job~(", 422, "filter.regex"),
    ("/api/v1/tasks?filter=state=failed&status=failed", 400, "query.unknown"),
    ("/api/v1/agents?filter=x&cursor=y", 400, "page.cursor"),
    ("/api/v1/schedules?filter=kind=cron|", 422, "filter.syntax"),
    ("/api/v1/events/snapshot?scope=tasks&filter=zz=1", 422, "filter.field"),
    ("/api/v1/events/snapshot", 400, "filter.value"),
    ("/api/v1/events/snapshot?scope=job&target=nobody", 404, ""),
    ("/api/v1/jobs?limit=1&limit=2", 400, "filter.value"),
    ("/api/v1/jobs/nobody", 404, ""),
    ("/api/v1/jobs/%2e%2e", 404, ""),
    ("/api/v1/jobs/%00", 404, ""),
    ("/api/v1/jobs/%ff", 404, ""),
    ("/api/v1/jobs/00000000-0000-0000-0000-000000000000", 404, ""),
    ("/api/v1/task-instances/x", 404, ""),
    ("/api/v1//jobs", 404, ""),
    ("/api/v1/jobs/", 404, ""),
    ("/API/v1/jobs", 404, ""),
  ] {
    let (found, body) = house.ask(&admin, (Method::GET, path), Value::Null).await;
    assert_eq!(found.as_u16(), status, "{path}: {body}");
    assert_eq!(body["errors"][0]["code"].as_str().unwrap_or_default(), code, "{path}");
  }
  let (status, body) = house.ask(&admin, (Method::PUT, "/api/v1/jobs"), Value::Null).await;
  assert_eq!((status.as_u16(), &body["code"]), (405, &json!("method_not_allowed")));
  let long = format!("/api/v1/jobs?name={}", "a".repeat(20 << 10));
  assert_eq!(house.ask(&admin, (Method::GET, &long), Value::Null).await.0.as_u16(), 414);
}
