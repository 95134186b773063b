//! Asking a running server.

use std::time::Duration;

use hetuflow_core::ErrorResponse;
use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::ServerArgs;
use crate::config::Config;

/// Longest time for an answer.
const TIME_MAX: Duration = Duration::from_secs(30);

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum VerbError {
  /// The token cannot be read.
  #[error("cannot read the token in {path}")]
  Token {
    /// The file.
    path: std::path::PathBuf,
    /// Why.
    #[source]
    source: std::io::Error,
  },
  /// No server answers.
  #[error("cannot reach the server {server}")]
  Unreachable {
    /// Its URL.
    server: String,
    /// Why.
    #[source]
    source: reqwest::Error,
  },
  /// It said no.
  #[error("{}", .0.err_msg)]
  Refused(Box<ErrorResponse>),
  /// It said something that is no answer.
  #[error("the server answers strangely: {0}")]
  Strange(String),
}

impl VerbError {
  /// An answer that cannot be read.
  pub(super) fn strange(error: impl ToString) -> Self {
    Self::Strange(error.to_string())
  }

  /// Whether no server was there to say anything.
  pub fn is_unreachable(&self) -> bool {
    matches!(self, Self::Unreachable { .. })
  }

  /// What to do about it.
  pub fn hint(&self) -> Option<String> {
    match self {
      Self::Token { .. } => Some("set HETUFLOW_TOKEN or give --token-file".to_owned()),
      Self::Unreachable { .. } => {
        Some("start it with: hetuflow-server start; or name another with --server".to_owned())
      }
      Self::Refused(response) if response.err_code == 401 => {
        Some("set HETUFLOW_TOKEN or give --token-file".to_owned())
      }
      Self::Refused(response) => response.hint.clone(),
      Self::Strange(_) => None,
    }
  }

  /// The broken rules, one line each.
  pub fn rules(&self) -> Vec<String> {
    let Self::Refused(response) = self else { return Vec::new() };
    response.errors.iter().map(|rule| format!("{}: {}", rule.field, rule.message)).collect()
  }
}

/// A server and who asks.
pub(super) struct Client {
  http: reqwest::Client,
  server: String,
  token: Option<String>,
}

impl Client {
  /// For the server and the token that were named.
  pub(super) fn new(at: &ServerArgs, config: &Config) -> Result<Self, VerbError> {
    let http = reqwest::Client::builder().timeout(TIME_MAX).build();
    let http = http.map_err(VerbError::strange)?;
    let server = at.server.trim_end_matches('/').to_owned();
    Ok(Self { http, server, token: token(at, config)? })
  }

  /// Reads.
  pub(super) async fn get<T: DeserializeOwned>(
    &self,
    path: &str,
    query: &[(&str, String)],
  ) -> Result<T, VerbError> {
    self.send(self.http.request(Method::GET, self.url(path)).query(query)).await
  }

  /// Makes.
  pub(super) async fn post<T: DeserializeOwned>(
    &self,
    path: &str,
    body: &impl Serialize,
  ) -> Result<T, VerbError> {
    self.send(self.http.request(Method::POST, self.url(path)).json(body)).await
  }

  fn url(&self, path: &str) -> String {
    format!("{}{path}", self.server)
  }

  async fn send<T: DeserializeOwned>(
    &self,
    request: reqwest::RequestBuilder,
  ) -> Result<T, VerbError> {
    let request = match &self.token {
      Some(token) => request.bearer_auth(token),
      None => request,
    };
    let unreachable =
      |source: reqwest::Error| VerbError::Unreachable { server: self.server.clone(), source };
    let response = request.send().await.map_err(unreachable)?;
    let status = response.status();
    let bytes = response.bytes().await.map_err(unreachable)?;
    if status.is_success() {
      return serde_json::from_slice(&bytes).map_err(VerbError::strange);
    }
    match serde_json::from_slice::<ErrorResponse>(&bytes) {
      Ok(response) => Err(VerbError::Refused(Box::new(response))),
      Err(_) if status == StatusCode::NOT_FOUND => {
        Err(VerbError::strange("404: no such route; is this a hetuflow server?"))
      }
      Err(_) => Err(VerbError::strange(status)),
    }
  }
}

/// The token: of the environment, of the named file, or of the data folder of a server here.
fn token(at: &ServerArgs, config: &Config) -> Result<Option<String>, VerbError> {
  let set = std::env::var("HETUFLOW_TOKEN").ok().filter(|token| !token.trim().is_empty());
  if let Some(token) = set {
    return Ok(Some(token.trim().to_owned()));
  }
  let (path, named) = match &at.token_file {
    Some(path) => (path.clone(), true),
    None => (config.server.data_dir.join("admin.token"), false),
  };
  match std::fs::read_to_string(&path) {
    Ok(text) => Ok(Some(text.trim().to_owned())),
    Err(_) if !named => Ok(None),
    Err(source) => Err(VerbError::Token { path, source }),
  }
}
