//! One row of the table of routes: how it is served, who may come in, and what it says of itself.

use std::sync::Arc;

use axum::handler::Handler;
use axum::http::Method;
use axum::routing::{MethodFilter, MethodRouter, on};
use serde_json::{Value, json};
use utoipa::openapi::path::ParameterIn;
use utoipa::{IntoParams, ToSchema};

use super::openapi::Described;
use super::state::ApiState;

/// Who may come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
  /// Everybody.
  Public,
  /// A token in the header.
  Token,
  /// The same, or a token in the address of an upgrade or an event stream.
  Stream,
}

/// One route and method.
pub(super) struct Operation {
  /// The method.
  pub(super) method: Method,
  /// The path.
  pub(super) path: &'static str,
  /// What serves it.
  pub(super) handler: MethodRouter<Arc<ApiState>>,
  /// Who may come in; a token is needed where nothing else was said.
  pub(super) door: Door,
  /// What it does.
  pub(super) summary: &'static str,
  /// The kind of thing.
  pub(super) tag: &'static str,
  /// Query and header parameters.
  pub(super) parameters: Vec<Value>,
  /// What it reads.
  pub(super) body: Option<Described>,
  /// The form of what it reads.
  pub(super) body_content: &'static str,
  /// Whether that must be there.
  pub(super) body_required: bool,
  /// What it answers.
  pub(super) answer: Option<Described>,
  /// The form of the answer.
  pub(super) content: &'static str,
  /// The status of the answer.
  pub(super) status: u16,
  /// It belongs to the older interface.
  pub(super) older: bool,
}

/// The kind of thing that a path is about.
fn tag_of(path: &'static str) -> &'static str {
  let rest = path.strip_prefix("/api/v1/").unwrap_or_else(|| path.trim_start_matches('/'));
  rest.split('/').next().unwrap_or_default()
}

impl Operation {
  fn new<H, T>(method: (Method, MethodFilter), path: &'static str, handler: H) -> Self
  where
    H: Handler<T, Arc<ApiState>>,
    T: 'static,
  {
    Self {
      method: method.0,
      path,
      handler: on(method.1, handler),
      door: Door::Token,
      summary: "",
      tag: tag_of(path),
      parameters: Vec::new(),
      body: None,
      body_content: "application/json",
      body_required: true,
      answer: None,
      content: "application/json",
      status: 200,
      older: false,
    }
  }

  /// A GET.
  pub(super) fn get<H: Handler<T, Arc<ApiState>>, T: 'static>(path: &'static str, h: H) -> Self {
    Self::new((Method::GET, MethodFilter::GET), path, h)
  }

  /// A POST.
  pub(super) fn post<H: Handler<T, Arc<ApiState>>, T: 'static>(path: &'static str, h: H) -> Self {
    Self::new((Method::POST, MethodFilter::POST), path, h)
  }

  /// A PATCH.
  pub(super) fn patch<H: Handler<T, Arc<ApiState>>, T: 'static>(path: &'static str, h: H) -> Self {
    Self::new((Method::PATCH, MethodFilter::PATCH), path, h)
  }

  /// A PUT.
  pub(super) fn put<H: Handler<T, Arc<ApiState>>, T: 'static>(path: &'static str, h: H) -> Self {
    Self::new((Method::PUT, MethodFilter::PUT), path, h)
  }

  /// A DELETE, which answers 204.
  pub(super) fn delete<H: Handler<T, Arc<ApiState>>, T: 'static>(path: &'static str, h: H) -> Self {
    Self::new((Method::DELETE, MethodFilter::DELETE), path, h).status(204)
  }

  /// It belongs to the older interface.
  pub(super) fn older(mut self) -> Self {
    self.older = true;
    self.tag = "older";
    self
  }

  /// What it does, in one line.
  pub(super) fn summary(mut self, summary: &'static str) -> Self {
    self.summary = summary;
    self
  }

  /// Who may come in, where that is not everybody with a token.
  pub(super) fn door(mut self, door: Door) -> Self {
    self.door = door;
    self
  }

  /// The status of the good answer.
  pub(super) fn status(mut self, status: u16) -> Self {
    self.status = status;
    self
  }

  /// What it reads.
  pub(super) fn body<T: ToSchema>(mut self) -> Self {
    self.body = Some(Described::of::<T>());
    self
  }

  /// It reads bytes.
  pub(super) fn takes_bytes(mut self) -> Self {
    self.body_content = "application/octet-stream";
    self.body = Some(Described::text());
    self
  }

  /// What it reads, where anything is sent.
  pub(super) fn optional_body<T: ToSchema>(mut self) -> Self {
    self.body_required = false;
    self.body::<T>()
  }

  /// What it answers.
  pub(super) fn answers<T: ToSchema>(mut self) -> Self {
    self.answer = Some(Described::of::<T>());
    self
  }

  /// It answers with a list.
  pub(super) fn answers_list(mut self, described: Described) -> Self {
    self.answer = Some(described.list());
    self
  }

  /// It answers with a page of these.
  pub(super) fn answers_page<T: ToSchema>(mut self) -> Self {
    self.answer = Some(Described::of::<T>().page());
    self
  }

  /// It answers with an object of its own.
  pub(super) fn answers_object(mut self) -> Self {
    self.answer = Some(Described::object());
    self
  }

  /// It answers with something else than JSON.
  pub(super) fn answers_bytes(mut self, content: &'static str) -> Self {
    self.content = content;
    self.answer = Some(Described::text());
    self
  }

  /// It can be tried: done, answered and undone.
  pub(super) fn dry_runs(self) -> Self {
    self.query("dry_run", "boolean", "true: answer what would be, and change nothing")
  }

  /// One query parameter.
  pub(super) fn query(mut self, name: &str, kind: &str, description: &str) -> Self {
    self.parameters.push(json!({
      "name": name, "in": "query", "required": false, "description": description,
      "schema": { "type": kind },
    }));
    self
  }

  /// One header.
  pub(super) fn header(mut self, name: &str, description: &str) -> Self {
    self.parameters.push(json!({
      "name": name, "in": "header", "required": false, "description": description,
      "schema": { "type": "string" },
    }));
    self
  }

  /// The fields of a filter as query parameters.
  pub(super) fn filter<F: IntoParams>(mut self) -> Self {
    let parameters = F::into_params(|| Some(ParameterIn::Query));
    self.parameters.extend(parameters.iter().filter_map(|one| serde_json::to_value(one).ok()));
    self
  }

  /// The parameters of a filter and an order.
  pub(super) fn narrowed(self) -> Self {
    let filter = "a filter, as state=failed age<1h; then no other parameter but namespace_id";
    self.query("filter", "string", filter).query(
      "sort",
      "string",
      "fields, separated by commas; - before one turns it around",
    )
  }

  /// The parameters of pages.
  pub(super) fn paged(self) -> Self {
    self.query("limit", "integer", "at most so many rows, 1 to 1,000").query(
      "cursor",
      "string",
      "go on after the page that gave this text",
    )
  }

  /// The parameter beside a name.
  pub(super) fn in_namespace(self) -> Self {
    self.query("namespace_id", "string", "the namespace of a name; the token's or the default one")
  }
}
