//! One request: method, path, query, body, and whether it may be repeated.

use std::fs::File;
use std::sync::Arc;

use reqwest::Method;
use serde::Serialize;
use serde_json::Value;

/// One request.
#[derive(Debug, Clone)]
pub struct Call {
  pub(super) method: Method,
  pub(super) path: String,
  pub(super) query: Vec<(String, String)>,
  pub(super) body: Option<Value>,
  pub(super) file: Option<(Arc<File>, u64)>,
  pub(super) key: Option<String>,
  pub(super) if_version: Option<i64>,
  pub(super) accept: &'static str,
  pub(super) open_ended: bool,
  pub(super) harmless: bool,
  pub(super) extra_secs: u64,
}

impl Call {
  fn new(method: Method, path: impl Into<String>) -> Self {
    let harmless = method == Method::GET;
    Self {
      method,
      path: path.into(),
      query: Vec::new(),
      body: None,
      file: None,
      key: None,
      if_version: None,
      accept: "application/json",
      open_ended: false,
      harmless,
      extra_secs: 0,
    }
  }

  /// Reads.
  pub fn get(path: impl Into<String>) -> Self {
    Self::new(Method::GET, path)
  }

  /// Makes or does.
  pub fn post(path: impl Into<String>) -> Self {
    Self::new(Method::POST, path)
  }

  /// Changes.
  pub fn patch(path: impl Into<String>) -> Self {
    Self::new(Method::PATCH, path)
  }

  /// Puts a thing in its place.
  pub fn put(path: impl Into<String>) -> Self {
    Self::new(Method::PUT, path)
  }

  /// Removes.
  pub fn delete(path: impl Into<String>) -> Self {
    Self::new(Method::DELETE, path)
  }

  /// Any method.
  pub fn any(method: &str, path: impl Into<String>) -> Self {
    let method = Method::from_bytes(method.to_ascii_uppercase().as_bytes()).unwrap_or(Method::GET);
    Self::new(method, path)
  }

  /// The path after `/api/v1`.
  pub fn path(&self) -> &str {
    &self.path
  }

  /// The text of a query parameter.
  pub fn query_text(&self, name: &str) -> Option<&str> {
    self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
  }

  /// Adds a query parameter.
  #[must_use]
  pub fn query(mut self, name: &str, value: impl ToString) -> Self {
    self.query.push((name.to_owned(), value.to_string()));
    self
  }

  /// Adds a query parameter where there is a value.
  #[must_use]
  pub fn query_some(self, name: &str, value: Option<impl ToString>) -> Self {
    match value {
      Some(value) => self.query(name, value),
      None => self,
    }
  }

  /// Sends a body.
  #[must_use]
  pub fn json(mut self, body: &impl Serialize) -> Self {
    self.body = Some(serde_json::to_value(body).expect("our own types are JSON"));
    self
  }

  /// Sends the bytes of a file, which may take as long as they like.
  #[must_use]
  pub fn file(mut self, file: File, bytes: u64) -> Self {
    self.file = Some((Arc::new(file), bytes));
    self.open_ended = true;
    self
  }

  /// Makes a repeat harmless.
  #[must_use]
  pub fn idempotency_key(mut self, key: &str) -> Self {
    self.key = Some(key.to_owned());
    self
  }

  /// Only where the thing still has this version; else the server refuses.
  #[must_use]
  pub fn if_version(mut self, version: i64) -> Self {
    self.if_version = Some(version);
    self
  }

  /// The server may take so much longer than other requests may.
  #[must_use]
  pub fn slow(mut self, extra: std::time::Duration) -> Self {
    self.extra_secs = extra.as_secs() + 1;
    self
  }

  /// A POST that changes nothing.
  #[must_use]
  pub fn harmless(mut self) -> Self {
    self.harmless = true;
    self
  }

  /// Asks for another form of answer, one that does not end soon.
  #[must_use]
  pub fn stream(mut self, accept: &'static str) -> Self {
    self.accept = accept;
    self.open_ended = true;
    self
  }

  /// Whether sending it twice does no more than sending it once.
  pub(super) fn repeatable(&self) -> bool {
    self.harmless || self.key.is_some() || matches!(self.method, Method::DELETE | Method::PUT)
  }
}

/// A path of escaped segments: `/jobs/naïve%20name`.
pub fn path_of(segments: &[&str]) -> String {
  let mut url = url::Url::parse("http://x/").expect("our own address is one");
  url.path_segments_mut().expect("http addresses have paths").clear().extend(segments);
  url.path().to_owned()
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn paths_are_escaped() {
    assert_eq!(path_of(&["jobs", "a b/c?d"]), "/jobs/a%20b%2Fc%3Fd");
    assert_eq!(path_of(&["tasks", "etl@latest"]), "/tasks/etl@latest");
  }
}
