//! A thin REST client: it sends, and hands back the status and the JSON, whatever they are.

use anyhow::{Context, Result, ensure};
use reqwest::{Client, Method, StatusCode};
use serde_json::Value;

/// A server's `/api/v1` with a bearer token.
#[derive(Debug, Clone)]
pub struct Api {
  client: Client,
  base: String,
  token: String,
}

impl Api {
  /// A client of `url` (`http://host:port`); an empty token sends no `Authorization` header.
  pub fn new(url: &str, token: &str) -> Self {
    let base = format!("{}/api/v1", url.trim_end_matches('/'));
    Self { client: Client::new(), base, token: token.to_owned() }
  }

  /// The same server with another token.
  pub fn with_token(&self, token: &str) -> Self {
    Self { token: token.to_owned(), ..self.clone() }
  }

  /// GET `path`, which starts with `/` and may carry a query.
  ///
  /// # Errors
  /// When no answer comes, or an answer that is not JSON.
  pub async fn get(&self, path: &str) -> Result<(StatusCode, Value)> {
    self.send(Method::GET, path, None).await
  }

  /// POST `body` to `path`.
  ///
  /// # Errors
  /// As [`Api::get`].
  pub async fn post(&self, path: &str, body: &Value) -> Result<(StatusCode, Value)> {
    self.send(Method::POST, path, Some(body)).await
  }

  /// PUT `body` to `path`.
  ///
  /// # Errors
  /// As [`Api::get`].
  pub async fn put(&self, path: &str, body: &Value) -> Result<(StatusCode, Value)> {
    self.send(Method::PUT, path, Some(body)).await
  }

  /// PATCH `path` with `body`.
  ///
  /// # Errors
  /// As [`Api::get`].
  pub async fn patch(&self, path: &str, body: &Value) -> Result<(StatusCode, Value)> {
    self.send(Method::PATCH, path, Some(body)).await
  }

  /// DELETE `path`.
  ///
  /// # Errors
  /// As [`Api::get`].
  pub async fn delete(&self, path: &str) -> Result<(StatusCode, Value)> {
    self.send(Method::DELETE, path, None).await
  }

  /// GET `path`, which must answer 2xx.
  ///
  /// # Errors
  /// As [`Api::get`], and for every other status, with the body.
  pub async fn get_ok(&self, path: &str) -> Result<Value> {
    ok(path, self.get(path).await?)
  }

  /// POST `body` to `path`, which must answer 2xx.
  ///
  /// # Errors
  /// As [`Api::get_ok`].
  pub async fn post_ok(&self, path: &str, body: &Value) -> Result<Value> {
    ok(path, self.post(path, body).await?)
  }

  /// GET `path` as bytes, exactly as sent: for logs and files.
  ///
  /// # Errors
  /// When no answer comes.
  pub async fn bytes(&self, path: &str) -> Result<(StatusCode, Vec<u8>)> {
    let response = self.request(Method::GET, path).send().await;
    let response = response.with_context(|| format!("GET {}{path}", self.base))?;
    let status = response.status();
    Ok((status, response.bytes().await?.to_vec()))
  }

  /// A request with the token, for what the verbs above do not cover (headers, raw bodies).
  pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
    let request = self.client.request(method, format!("{}{path}", self.base));
    match self.token.as_str() {
      "" => request,
      token => request.bearer_auth(token),
    }
  }

  /// Sends and reads the JSON of the answer; no body at all is `null`.
  async fn send(
    &self,
    method: Method,
    path: &str,
    body: Option<&Value>,
  ) -> Result<(StatusCode, Value)> {
    let mut request = self.request(method.clone(), path);
    if let Some(body) = body {
      request = request.json(body);
    }
    let what = || format!("{method} {}{path}", self.base);
    let response = request.send().await.with_context(what)?;
    let status = response.status();
    let bytes = response.bytes().await.with_context(what)?;
    if bytes.is_empty() {
      return Ok((status, Value::Null));
    }
    let value = serde_json::from_slice(&bytes).with_context(|| {
      format!("{}: {status} is not JSON: {}", what(), String::from_utf8_lossy(&bytes))
    })?;
    Ok((status, value))
  }
}

/// Turns every status but 2xx into an error with the body.
fn ok(path: &str, (status, value): (StatusCode, Value)) -> Result<Value> {
  ensure!(status.is_success(), "{path}: {status}: {value}");
  Ok(value)
}

#[cfg(test)]
mod tests {
  use tokio::io::{AsyncReadExt, AsyncWriteExt};

  use super::*;

  /// Answers one request with `answer` and gives back what was asked.
  async fn serve_once(answer: &'static str) -> (String, tokio::task::JoinHandle<String>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let asked = tokio::spawn(async move {
      let (mut socket, _) = listener.accept().await.unwrap();
      let mut buffer = vec![0; 4096];
      let length = socket.read(&mut buffer).await.unwrap();
      socket.write_all(answer.as_bytes()).await.unwrap();
      String::from_utf8_lossy(&buffer[..length]).into_owned()
    });
    (url, asked)
  }

  #[tokio::test]
  async fn sends_the_token_and_reads_status_and_json() {
    let answer = "HTTP/1.1 404 Not Found\r\ncontent-length: 20\r\n\r\n{\"code\":\"not_found\"}";
    let (url, asked) = serve_once(answer).await;
    let (status, body) = Api::new(&url, "secret").get("/jobs/x").await.unwrap();
    assert_eq!((status, body["code"].as_str()), (StatusCode::NOT_FOUND, Some("not_found")));
    let asked = asked.await.unwrap();
    assert!(asked.starts_with("GET /api/v1/jobs/x HTTP/1.1"), "{asked}");
    assert!(asked.to_lowercase().contains("authorization: bearer secret"), "{asked}");
  }

  #[tokio::test]
  async fn an_empty_body_is_null_and_a_refusal_shows_the_body() {
    let (url, _) = serve_once("HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n").await;
    let (status, body) = Api::new(&url, "").delete("/jobs/x").await.unwrap();
    assert_eq!((status, body), (StatusCode::NO_CONTENT, Value::Null));
    let (url, _) =
      serve_once("HTTP/1.1 409 Conflict\r\ncontent-length: 9\r\n\r\n\"because\"").await;
    let error = Api::new(&url, "").get_ok("/jobs/x").await.unwrap_err().to_string();
    assert!(error.contains("409") && error.contains("because"), "{error}");
  }
}
