//! A server of a few lines, and the program in a home of its own.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

pub const TASK: &str = "019aa3e4-7c11-7c52-9d0e-000000000003";
pub const INSTANCE: &str = "019aa3e4-7c11-7c52-9d0e-000000000004";

/// An answer: status, content type, body.
pub type Answer = (u16, &'static str, Vec<u8>);

/// Routes by `METHOD /path`; each answer is given once, the last one for ever.
#[derive(Clone, Default)]
pub struct Fake {
  pub routes: Arc<Mutex<HashMap<String, Vec<Answer>>>>,
  seen: Arc<Mutex<Vec<String>>>,
}

impl Fake {
  pub fn json(self, route: &str, status: u16, body: &str) -> Self {
    self.bytes(route, status, "application/json", body.as_bytes())
  }

  pub fn bytes(self, route: &str, status: u16, kind: &'static str, body: &[u8]) -> Self {
    let mut routes = self.routes.lock().expect("not poisoned");
    routes.entry(route.to_owned()).or_default().push((status, kind, body.to_vec()));
    drop(routes);
    self
  }

  /// Serves until the test ends; the address.
  pub fn serve(&self) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let fake = self.clone();
    std::thread::spawn(move || {
      for stream in listener.incoming().flatten() {
        let fake = fake.clone();
        std::thread::spawn(move || fake.answer(stream));
      }
    });
    url
  }

  fn answer(&self, mut stream: TcpStream) {
    let mut reader = BufReader::new(stream.try_clone().expect("a socket"));
    let mut head = String::new();
    while reader.read_line(&mut head).is_ok_and(|read| read > 2) {}
    let length = head.lines().find_map(|line| {
      line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok()
    });
    let mut body = vec![0; length.unwrap_or(0)];
    if reader.read_exact(&mut body).is_err() {
      return;
    }
    let mut words = head.split(' ');
    let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let path = target.split('?').next().unwrap_or("").trim_start_matches("/api/v1");
    self
      .seen
      .lock()
      .expect("not poisoned")
      .push(format!("{method} {target} {}\n{head}", String::from_utf8_lossy(&body)));
    let mut routes = self.routes.lock().expect("not poisoned");
    let answer = match routes.get_mut(&format!("{method} {path}")) {
      Some(answers) if answers.len() > 1 => answers.remove(0),
      Some(answers) => answers[0].clone(),
      None => {
        (404, "application/json", error("not_found", 404, &format!("no {path}")).into_bytes())
      }
    };
    drop(routes);
    let (status, kind, body) = answer;
    let head = format!(
      "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
      body.len()
    );
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
  }

  pub fn requests(&self) -> Vec<String> {
    self.seen.lock().expect("not poisoned").clone()
  }
}

pub fn error(code: &str, number: u16, message: &str) -> String {
  format!(
    r#"{{"err_code":{number},"code":"{code}","err_msg":"{message}","timestamp":"2025-11-21T14:00:00Z"}}"#
  )
}

pub fn task(status: &str, more: &str) -> String {
  format!(
    r#"{{"id":"{TASK}","job_id":"{TASK}","job_name":"adhoc","job_version":1,"namespace_id":"default",
    "status":"{status}","priority":0,"schedule_id":null,"scheduled_at":"2025-11-21T14:00:00Z","eligible_at":null,
    "trigger_source":"manual","parameters":null,"environment":null,"config":null,"idempotency_key":null,
    "attempt":1,"instance_id":"{INSTANCE}","fence":1,"agent_id":"agent-1","started_at":"2025-11-21T14:00:00Z",
    "completed_at":"2025-11-21T14:00:01Z","exit_code":null,"signal":null,"reason":null,"error_message":null,
    "unreachable_since":null,"created_by":null,"created_at":"2025-11-21T14:00:00Z"}}"#
  )
  .replace(r#""exit_code":null"#, &given(more, "exit_code"))
  .replace(r#""signal":null"#, &given(more, "signal"))
  .replace(r#""reason":null"#, &given(more, "reason"))
}

/// A field that `more` gives stands once, where serde expects it.
pub fn given(more: &str, name: &str) -> String {
  let found = more.split(",\"").find_map(|part| {
    let (key, value) = part.split_once("\":")?;
    (key.trim_start_matches('"') == name).then(|| value.to_owned())
  });
  format!("\"{name}\":{}", found.unwrap_or_else(|| "null".to_owned()))
}

pub struct Run {
  pub home: tempfile::TempDir,
  pub server: Option<String>,
}

impl Run {
  pub fn against(fake: &Fake) -> Self {
    Self { home: tempfile::tempdir().expect("a folder"), server: Some(fake.serve()) }
  }

  pub fn alone() -> Self {
    Self { home: tempfile::tempdir().expect("a folder"), server: None }
  }

  pub fn command(&self, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hetuflowctl"));
    command.args(args).env_clear().env("HOME", self.home.path()).current_dir(self.home.path());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(server) = &self.server {
      command.env("HETUFLOW_SERVER", server);
    }
    command
  }

  pub fn run(&self, args: &[&str]) -> Output {
    self.command(args).output().expect("it runs")
  }

  pub fn code(&self, args: &[&str]) -> i32 {
    let output = self.run(args);
    output.status.code().unwrap_or_else(|| panic!("{args:?} was killed"))
  }
}

pub fn text(bytes: &[u8]) -> String {
  String::from_utf8_lossy(bytes).into_owned()
}
