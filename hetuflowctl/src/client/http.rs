//! Requests: JSON in, JSON or a typed error out.

use std::io::Write as _;
use std::time::{Duration, Instant};

use hetuflow_core::{ErrorResponse, TaskEntity};
use reqwest::{Response, StatusCode, header};
use serde::de::DeserializeOwned;

use super::call::{Call, path_of};
use super::context::Place;
use super::error::{CtlError, Exit};
use super::retry::wait_before;

/// Most bytes of an answer that is no stream.
const BODY_BYTES_MAX: usize = 64 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection that rests for longer is not used again: a server ends it after 10 s, and nobody sees that
/// while a person is being asked.
const IDLE_MAX: Duration = Duration::from_secs(4);

/// A connection to one server.
#[derive(Debug, Clone)]
pub struct Client {
  http: reqwest::Client,
  /// Where we work.
  pub place: Place,
  token: Option<String>,
  request_timeout: Duration,
  verbose: u8,
}

impl Client {
  /// Prepares; sends nothing yet. Reads the token.
  ///
  /// # Errors
  /// When the token is there and of no use.
  pub fn new(place: Place, request_timeout: Duration, verbose: u8) -> Result<Self, CtlError> {
    let token = place.token()?;
    Self::with_token(place, token, request_timeout, verbose)
  }

  /// As [`Client::new`] with a token at hand.
  ///
  /// # Errors
  /// When the HTTP client cannot be built.
  pub fn with_token(
    place: Place,
    token: Option<String>,
    request_timeout: Duration,
    verbose: u8,
  ) -> Result<Self, CtlError> {
    let http = reqwest::Client::builder()
      .connect_timeout(CONNECT_TIMEOUT)
      .pool_idle_timeout(IDLE_MAX)
      .user_agent(concat!("hetuflowctl/", env!("CARGO_PKG_VERSION")))
      .build()
      .map_err(|error| CtlError::failure(format!("cannot make an HTTP client: {error}")))?;
    Ok(Self { http, place, token, request_timeout, verbose })
  }

  /// The token, for what is no plain request.
  pub(super) fn token(&self) -> Option<&str> {
    self.token.as_deref()
  }

  /// The answer as a value.
  ///
  /// # Errors
  /// What the server or the way to it says.
  pub async fn fetch<T: DeserializeOwned>(&self, call: Call) -> Result<T, CtlError> {
    let bytes = self.bytes(call).await?;
    serde_json::from_slice(&bytes).map_err(|error| {
      CtlError::failure(format!(
        "the answer of {} is not what was expected: {error}",
        self.place.server
      ))
      .help("hetuflowctl version --check-server")
    })
  }

  /// Sends, and only asks whether it went well.
  ///
  /// # Errors
  /// What the server or the way to it says.
  pub async fn send(&self, call: Call) -> Result<(), CtlError> {
    self.bytes(call).await.map(drop)
  }

  /// The body of the answer, within a bound.
  ///
  /// # Errors
  /// What the server or the way to it says.
  pub async fn bytes(&self, call: Call) -> Result<Vec<u8>, CtlError> {
    let mut response = self.open(call).await?;
    let mut bytes = Vec::new();
    while let Some(chunk) =
      response.chunk().await.map_err(|error| self.unreachable(&error, 1, None))?
    {
      if bytes.len() + chunk.len() > BODY_BYTES_MAX {
        return Err(CtlError::failure("the answer is longer than 64 MiB"));
      }
      bytes.extend_from_slice(&chunk);
    }
    if self.verbose >= 3 {
      let _ = writeln!(std::io::stderr(), "{}", String::from_utf8_lossy(&bytes).escape_debug());
    }
    Ok(bytes)
  }

  /// The answer with its body still on the way.
  ///
  /// # Errors
  /// What the server or the way to it says.
  pub async fn open(&self, call: Call) -> Result<Response, CtlError> {
    if self.place.read_only && !call.harmless {
      return Err(
        CtlError::new(
          Exit::Forbidden,
          format!("{} is read-only here: {} is refused", self.place.title(), call.method),
        )
        .help("the refusal comes from --read-only, HETUFLOW_READ_ONLY or the context"),
      );
    }
    if self.place.protected && !call.harmless {
      let name = self.place.title();
      return Err(
        CtlError::usage(format!("{name} is protected: {} needs its name", call.method))
          .help(format!("if you mean it, add  --confirm {name}")),
      );
    }
    let begin = Instant::now();
    let mut tried = 0;
    loop {
      tried += 1;
      let outcome = self.once(&call).await;
      let (error, retry_after) = match outcome {
        Ok(response) if response.status().is_success() => return Ok(response),
        Ok(response) => {
          let retry_after = retry_after(&response);
          let again = matches!(response.status().as_u16(), 429 | 502 | 503 | 504);
          let error = self.refusal(response).await;
          if !again {
            return Err(error);
          }
          (error, retry_after)
        }
        Err(error) => (self.unreachable(&error, tried, Some(begin.elapsed())), None),
      };
      // A request that may have been done is repeated only when a repeat is harmless.
      let wait = call.repeatable().then(|| wait_before(tried, retry_after)).flatten();
      match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => return Err(error),
      }
    }
  }

  async fn once(&self, call: &Call) -> Result<Response, reqwest::Error> {
    let base = self.place.server.as_str().trim_end_matches('/');
    // What is not part of the API's first version has its whole path.
    let prefix = if call.path.starts_with("/docs/") || call.path.starts_with("/api/") {
      ""
    } else {
      "/api/v1"
    };
    let url = format!("{base}{prefix}{}", call.path);
    let mut request =
      self.http.request(call.method.clone(), &url).header(header::ACCEPT, call.accept);
    if !call.query.is_empty() {
      request = request.query(&call.query);
    }
    if let Some(token) = &self.token {
      request = request.bearer_auth(token);
    }
    if let Some(key) = &call.key {
      request = request.header("Idempotency-Key", key);
    }
    if let Some(version) = call.if_version {
      request = request.header(header::IF_MATCH, format!("\"{version}\""));
    }
    if let Some(body) = &call.body {
      request = request.json(body);
    }
    if let Some((file, bytes)) = &call.file {
      // A handle that cannot be doubled leaves an empty body, which the server refuses by its length.
      let body = file.try_clone().map(|file| reqwest::Body::from(tokio::fs::File::from_std(file)));
      request = request
        .header(header::CONTENT_TYPE, "application/octet-stream")
        .header(header::CONTENT_LENGTH, *bytes)
        .body(body.unwrap_or_default());
    }
    let begin = Instant::now();
    let response = if call.open_ended {
      // The body may take as long as it likes; a connection is bounded by its own limit.
      request.send().await
    } else {
      let long_poll = call.query.iter().find(|(name, _)| name == "wait_secs");
      let extra = long_poll.and_then(|(_, secs)| secs.parse().ok()).unwrap_or(0) + call.extra_secs;
      request.timeout(self.request_timeout + Duration::from_secs(extra)).send().await
    };
    if self.verbose > 0 {
      self.name_request(call, response.as_ref().ok(), begin.elapsed());
    }
    response
  }

  fn name_request(&self, call: &Call, response: Option<&Response>, took: Duration) {
    let status =
      response.map_or("no answer".to_owned(), |response| response.status().as_u16().to_string());
    let id = response.and_then(request_id).unwrap_or_default();
    let _ = writeln!(
      std::io::stderr(),
      "> {} {} {status} {} ms {id}",
      call.method,
      call.path,
      took.as_millis()
    );
    if self.verbose >= 2 {
      let token = if self.token.is_some() { "***" } else { "none" };
      let _ = writeln!(
        std::io::stderr(),
        ">   accept: {}  token: {token}  query: {:?}",
        call.accept,
        call.query
      );
      for (name, value) in response.iter().flat_map(|response| response.headers()) {
        let _ = writeln!(std::io::stderr(), "<   {name}: {}", value.to_str().unwrap_or("…"));
      }
    }
  }

  /// What an answer that is no success says.
  async fn refusal(&self, mut response: Response) -> CtlError {
    let status = response.status();
    let id = request_id(&response);
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
      body.extend_from_slice(&chunk);
      if body.len() > 1 << 20 {
        break;
      }
    }
    let mut error = match serde_json::from_slice::<ErrorResponse>(&body) {
      Ok(answer) => CtlError::of_response(answer, id),
      Err(_) => self.foreign(status, &body),
    };
    if error.exit == Exit::Unauthorized as u8 {
      error.message =
        format!("{} does not accept your token: {}", self.place.title(), error.message);
      error.facts.push(self.place.token_origin());
      let name = self.place.context.as_deref().unwrap_or(self.place.server.as_str());
      error.help.push(format!("hetuflowctl login {name}"));
      error.help.push(format!(
        "in CI: set HETUFLOW_TOKEN_FILE, or pipe it to  hetuflowctl login {name} --token-stdin"
      ));
    }
    error
  }

  /// An answer that no hetuflow server gave: a proxy's page is not shown.
  fn foreign(&self, status: StatusCode, body: &[u8]) -> CtlError {
    let exit = match status.as_u16() {
      401 => Exit::Unauthorized,
      403 => Exit::Forbidden,
      429 | 503 => Exit::Overloaded,
      _ => Exit::Unreachable,
    };
    CtlError::new(
      exit,
      format!("what answers at {} is no hetuflow server, or a proxy before it", self.place.server),
    )
    .fact(format!("HTTP {status}, {} bytes that are not an error of ours", body.len()))
    .fact(format!("the address comes from {}", self.place.server_origin))
  }

  fn unreachable(&self, error: &reqwest::Error, tried: usize, took: Option<Duration>) -> CtlError {
    let place = self.place.server.as_str().trim_end_matches('/');
    let context =
      self.place.context.as_ref().map(|name| format!(" (context {name})")).unwrap_or_default();
    let mut told =
      CtlError::new(Exit::Unreachable, format!("no hetuflow server answers at {place}{context}"));
    let cause = if self.place.server.scheme() == "https" && error.is_builder() {
      "this build of hetuflowctl talks http only".to_owned()
    } else if error.is_timeout() {
      "no answer in time".to_owned()
    } else {
      root_cause(error)
    };
    told = told.fact(match took {
      Some(took) if tried > 1 => {
        format!("{cause}, tried {tried} times in {:.1} s", took.as_secs_f64())
      }
      _ => cause,
    });
    told
      .fact(format!("the address comes from {}", self.place.server_origin))
      .help("nothing running yet? hetuflowctl dev")
      .help("use another one:     hetuflowctl -c CONTEXT … ; hetuflowctl context list")
  }

  /// A task by id, short id or selector. `wait` makes it a long poll for the end.
  ///
  /// # Errors
  /// What the server or the way to it says.
  pub async fn task(&self, target: &str, wait: Option<Duration>) -> Result<TaskEntity, CtlError> {
    let target = target.strip_prefix("task/").unwrap_or(target);
    let target = match target.strip_prefix("job/") {
      Some(job) => format!("{job}@latest"),
      None => target.to_owned(),
    };
    let call = Call::get(path_of(&["tasks", &target])).query("namespace_id", &self.place.namespace);
    self.fetch(call.query_some("wait_secs", wait.map(|wait| wait.as_secs()))).await
  }
}

fn request_id(response: &Response) -> Option<String> {
  response.headers().get("x-request-id")?.to_str().ok().map(str::to_owned)
}

fn retry_after(response: &Response) -> Option<Duration> {
  let text = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?;
  text.parse().ok().map(Duration::from_secs)
}

fn root_cause(error: &dyn std::error::Error) -> String {
  let mut cause = error;
  while let Some(next) = cause.source() {
    cause = next;
  }
  let text = cause.to_string();
  match text.split_once(" (os error") {
    Some((words, _)) => words.to_lowercase(),
    None => text,
  }
}
