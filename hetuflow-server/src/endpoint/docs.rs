//! `/docs`: the document of all routes, and a page that shows it without fetching anything from
//! elsewhere.

use std::sync::{Arc, OnceLock};

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::openapi::document;
use super::operation::{Door, Operation};
use super::router::operations as all_operations;
use super::state::ApiState;

/// Nothing but our own two files, and nobody may frame the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
  connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const PAGE: &str = include_str!("docs_page.html");
const SCRIPT: &str = include_str!("docs_page.js");
const STYLE: &str = include_str!("docs_page.css");

/// The routes of the documentation.
pub(super) fn operations() -> Vec<Operation> {
  let one = |operation: Operation| operation.door(Door::Public);
  vec![
    one(Operation::get("/docs", page).summary("All routes, as a page").answers_bytes("text/html")),
    one(Operation::get("/docs/page.js", script))
      .summary("The page's script")
      .answers_bytes("text/javascript"),
    one(Operation::get("/docs/page.css", style))
      .summary("The page's style")
      .answers_bytes("text/css"),
    one(Operation::get("/docs/openapi.json", openapi))
      .summary("All routes, as an OpenAPI document")
      .answers_object(),
  ]
}

fn file(content: &'static str, body: impl IntoResponse) -> Response {
  let headers = [
    (header::CONTENT_TYPE, content),
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-cache"),
  ];
  (headers, body).into_response()
}

async fn page() -> Response {
  file("text/html; charset=utf-8", PAGE)
}

async fn script() -> Response {
  file("text/javascript; charset=utf-8", SCRIPT)
}

async fn style() -> Response {
  file("text/css; charset=utf-8", STYLE)
}

async fn openapi(State(api): State<Arc<ApiState>>) -> Response {
  static TEXT: OnceLock<String> = OnceLock::new();
  let text = TEXT.get_or_init(|| document(&all_operations(), api.version).to_string());
  file("application/json", text.as_str())
}
