//! RELIABILITY B031 to B039: bodies that break a rule, and the one answer that each gets.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use axum::routing::post;
use hetuflow_core::{JobForCreate, TaskBulkCreate, TaskForCreate};
use serde_json::Value;
use tower::ServiceExt;

use crate::endpoint::json_body::{BODY_BYTES_MAX, BULK_BYTES_MAX, JsonBody, MaybeJson};

fn door() -> Router {
  Router::new()
    .route("/job", post(|JsonBody(_): JsonBody<JobForCreate>| async { StatusCode::NO_CONTENT }))
    .route(
      "/maybe",
      post(|MaybeJson(_): MaybeJson<TaskForCreate>| async { StatusCode::NO_CONTENT }),
    )
    .route(
      "/bulk",
      post(|JsonBody(_): JsonBody<TaskBulkCreate, BULK_BYTES_MAX>| async {
        StatusCode::NO_CONTENT
      }),
    )
}

async fn answer(request: Request<Body>) -> (u16, Value) {
  let response = door().oneshot(request).await.expect("infallible");
  let status = response.status().as_u16();
  let bytes = to_bytes(response.into_body(), 1 << 20).await.expect("a body");
  (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

fn json_request(path: &str, body: impl Into<Body>) -> Request<Body> {
  let request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
  request.body(body.into()).expect("a request")
}

/// Status, first code and field of an answer, and the code of the whole.
async fn refused(path: &str, body: impl Into<Body>) -> (u16, String, String) {
  let (status, body) = answer(json_request(path, body)).await;
  let first = &body["errors"][0];
  let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
  assert_eq!(body["err_code"], status, "{body}");
  assert!(!text(&body["err_msg"]).is_empty(), "{body}");
  (status, text(&first["code"]), text(&first["field"]))
}

#[tokio::test]
async fn bodies_that_break_a_rule() {
  let deep = "[".repeat(10_000);
  let deep_value = format!(r#"{{"name":"a","x":{}1{}}}"#, "[".repeat(40), "]".repeat(40));
  let schedule = |field: &str| format!(r#"{{"name":"a","schedules":[{{{field}}}]}}"#);
  let config = |field: &str| format!(r#"{{"name":"a","config":{{{field}}}}}"#);
  let rows: Vec<(&str, String, u16, &str, &str)> = vec![
    ("B031", String::new(), 400, "json.syntax", ""),
    ("B031", "  \n ".into(), 400, "json.syntax", ""),
    ("B031", "null".into(), 422, "json.type", ""),
    ("B031", "[]".into(), 422, "json.type", ""),
    ("B031", "\"x\"".into(), 422, "json.type", ""),
    ("B031", "{".into(), 400, "json.syntax", ""),
    ("B031", "{} x".into(), 400, "json.syntax", ""),
    ("B031", "{\"name\":\"a\",}".into(), 400, "json.syntax", ""),
    ("B031", "{}".into(), 422, "json.missing_field", "/name"),
    ("B031", config("\"args\":\"x\""), 422, "json.type", "/config/args"),
    ("B031", "{\"name\":\"a\",\"config\":[]}".into(), 422, "json.type", "/config"),
    ("B031", "{\"name\":7}".into(), 422, "json.type", "/name"),
    ("B032", config("\"comand\":\"x\""), 422, "json.unknown_field", "/config/comand"),
    ("B032", "{\"name\":\"a\",\"comand\":\"x\"}".into(), 422, "json.unknown_field", "/comand"),
    ("B033", "{\"name\":\"a\",\"name\":\"b\"}".into(), 400, "json.duplicate_key", "/name"),
    ("B033", config("\"env\":{\"a\":1,\"a\":2}"), 400, "json.duplicate_key", "/config/env/a"),
    ("B034", deep, 400, "json.depth", ""),
    ("B034", deep_value, 400, "json.depth", ""),
    ("B038", "{\"name\":\"\\ud800\"}".into(), 400, "json.utf8", "/name"),
    ("B038", "\u{feff}{\"name\":\"a\"}".into(), 400, "json.utf8", ""),
    ("B039", config("\"max_retries\":NaN"), 422, "number.range", "/config/max_retries"),
    ("B039", config("\"max_retries\":-Infinity"), 422, "number.range", "/config/max_retries"),
    ("B039", config("\"timeout\":1e999"), 422, "number.range", "/config/timeout"),
    ("B039", config("\"max_retries\":-0"), 422, "number.range", "/config/max_retries"),
    ("B039", config("\"max_retries\":1.0"), 422, "number.range", "/config/max_retries"),
    (
      "B039",
      config("\"max_retries\":9223372036854775808"),
      422,
      "number.range",
      "/config/max_retries",
    ),
    (
      "B039",
      config("\"max_retries\":9007199254740993"),
      422,
      "number.range",
      "/config/max_retries",
    ),
    (
      "B039",
      config("\"max_retries\":99999999999999999999"),
      422,
      "number.range",
      "/config/max_retries",
    ),
    ("B020", schedule("\"interval_secs\":-5"), 422, "interval.range", "/schedules/0/interval_secs"),
    (
      "B020",
      schedule("\"interval_secs\":\"5\""),
      422,
      "interval.range",
      "/schedules/0/interval_secs",
    ),
    (
      "B022",
      schedule("\"start_time\":\"tomorrow\""),
      422,
      "time.invalid",
      "/schedules/0/start_time",
    ),
    (
      "B022",
      schedule("\"start_time\":\"2025-02-30T00:00:00Z\""),
      422,
      "time.invalid",
      "/schedules/0/start_time",
    ),
    ("B028", config("\"timeout\":\"1 fortnight\""), 422, "duration.invalid", "/config/timeout"),
    ("B028", config("\"timeout\":-1"), 422, "duration.invalid", "/config/timeout"),
    (
      "B040",
      "{\"name\":\"a\",\"namespace_id\":\"a/b\"}".into(),
      422,
      "name.invalid",
      "/namespace_id",
    ),
  ];
  for (row, body, status, code, field) in rows {
    let shown: String = body.chars().take(80).collect();
    let found = refused("/job", body).await;
    assert_eq!(found, (status, code.to_owned(), field.to_owned()), "{row} {shown}");
  }
}

#[tokio::test]
async fn b031_and_b032_say_where_and_what_was_meant() {
  let (_, body) = answer(json_request("/job", "{\n  \"name\": }")).await;
  let message = body["err_msg"].as_str().expect("a message");
  assert!(message.contains("line 2, column 11"), "{message}");
  for (text, hint) in [
    (r#"{"name":"a","config":{"comand":"x"}}"#, "did you mean command?"),
    (r#"{"name":"a","comand":"x"}"#, "did you mean /config/command?"),
  ] {
    let (_, body) = answer(json_request("/job", text)).await;
    assert_eq!(body["errors"][0]["hint"], hint);
  }
}

#[tokio::test]
async fn b032_a_misspelt_name_is_told_beside_the_missing_one() {
  let (_, body) = answer(json_request("/job", "{\"nmae\":\"a\"}")).await;
  let fields: Vec<_> =
    body["errors"].as_array().expect("a list").iter().map(|e| e["field"].clone()).collect();
  assert_eq!(fields, ["/name", "/nmae"]);
  assert_eq!(body["errors"][1]["hint"], "did you mean name?");
}

#[tokio::test]
async fn b032_old_names_and_free_maps_are_no_unknown_fields() {
  let body = r#"{"name":"a","labels":{"any":"x"},"environment":{"ANY":1},"config":{"command":"x"},
    "schedules":[{"cron":"* * * * *","tz":"UTC","overlap":"forbid","parameters":{"n":9007199254740993}}]}"#;
  assert_eq!(answer(json_request("/job", body)).await.0, 204);
}

#[tokio::test]
async fn b034_ten_thousand_levels_do_no_harm() {
  for body in ["[".repeat(10_000), "{\"a\":".repeat(10_000)] {
    let text = format!("{{\"name\":\"a\",\"config\":{{\"env\":{body}");
    assert_eq!(refused("/job", text).await.1, "json.depth");
  }
}

#[tokio::test]
async fn b035_large_bodies_are_refused() {
  let large = |bytes: usize| format!("{{\"name\":\"{}\"}}", "a".repeat(bytes - 11));
  assert_eq!(answer(json_request("/job", large(BODY_BYTES_MAX))).await.0, 204);
  assert_eq!(refused("/job", large(BODY_BYTES_MAX + 1)).await.1, "body.too_large");
  let unknown_length = Body::from_stream(futures_util::stream::iter(
    (0..40).map(|_| Ok::<_, std::io::Error>(vec![b' '; 64 << 10])),
  ));
  let (status, code, _) = refused("/job", unknown_length).await;
  assert_eq!((status, code.as_str()), (413, "body.too_large"));
  let bulk = format!("{{\"items\":[]}}{}", " ".repeat(BODY_BYTES_MAX));
  assert_eq!(answer(json_request("/bulk", bulk)).await.0, 204);
}

#[tokio::test]
async fn b036_only_json_in_utf8_is_read() {
  for (kind, status) in [
    (None, 415),
    (Some("text/plain"), 415),
    (Some("application/x-www-form-urlencoded"), 415),
    (Some("application/json; charset=utf-16"), 415),
    (Some("application/json"), 204),
    (Some("Application/JSON; Charset=\"UTF-8\""), 204),
  ] {
    let mut request = Request::post("/job");
    if let Some(kind) = kind {
      request = request.header(header::CONTENT_TYPE, kind);
    }
    let request = request.body(Body::from("{\"name\":\"a\"}")).expect("a request");
    assert_eq!(answer(request).await.0, status, "{kind:?}");
  }
}

#[tokio::test]
async fn b037_packed_bodies_are_refused() {
  for (coding, status) in [("gzip", 415), ("br", 415), ("identity", 204)] {
    let request = Request::post("/job")
      .header(header::CONTENT_TYPE, "application/json")
      .header(header::CONTENT_ENCODING, coding)
      .body(Body::from("{\"name\":\"a\"}"))
      .expect("a request");
    let (found, body) = answer(request).await;
    assert_eq!(found, status, "{coding}");
    if status == 415 {
      assert_eq!(body["errors"][0]["code"], "encoding.unsupported");
    }
  }
}

#[tokio::test]
async fn b038_bytes_that_are_no_text() {
  let (status, code, _) = refused("/job", b"{\"name\":\"\xff\"}".to_vec()).await;
  assert_eq!((status, code.as_str()), (400, "json.utf8"));
}

#[tokio::test]
async fn a_body_may_be_left_out_where_nothing_must_be_said() {
  let empty = Request::post("/maybe").body(Body::empty()).expect("a request");
  assert_eq!(answer(empty).await.0, 204);
  assert_eq!(answer(json_request("/maybe", "{\"priority\":3}")).await.0, 204);
  assert_eq!(refused("/maybe", "{\"prio\":3}").await.1, "json.unknown_field");
}
