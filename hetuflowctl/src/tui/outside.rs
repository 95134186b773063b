//! Things outside: the clipboard, files, the pager, lists that are asked for once.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::client::{Call, Client, Place, TokenSource, path_of};

/// The sequence that puts a text into the terminal's clipboard, through tmux where we are in one.
pub fn clipboard(text: &str, tmux: bool) -> Vec<u8> {
  let coded = base64(text.as_bytes());
  let plain = format!("\x1b]52;c;{coded}\x07");
  if tmux {
    // tmux takes the plain one for its own buffer and passes the wrapped one on.
    return format!("{plain}\x1bPtmux;\x1b{plain}\x1b\\").into_bytes();
  }
  plain.into_bytes()
}

fn base64(bytes: &[u8]) -> String {
  const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
  for chunk in bytes.chunks(3) {
    let word = chunk.iter().fold(0_u32, |word, byte| (word << 8) | u32::from(*byte))
      << (8 * (3 - chunk.len()));
    for at in 0..4 {
      if at <= chunk.len() {
        out.push(char::from(DIGITS[(word >> (18 - 6 * at) & 63) as usize]));
      } else {
        out.push('=');
      }
    }
  }
  out
}

/// Writes a new file in the working folder; a number is added where the name is taken.
pub fn export(name: &str, text: &str) -> std::io::Result<PathBuf> {
  let (stem, end) = name.rsplit_once('.').unwrap_or((name, "txt"));
  for number in 0..1000 {
    let path = match number {
      0 => PathBuf::from(name),
      _ => PathBuf::from(format!("{stem}-{number}.{end}")),
    };
    let mut options = std::fs::OpenOptions::new();
    match options.write(true).create_new(true).mode(0o600).open(&path) {
      Ok(mut file) => {
        file.write_all(text.as_bytes())?;
        return Ok(path);
      }
      Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
      Err(error) => return Err(error),
    }
  }
  Err(std::io::ErrorKind::AlreadyExists.into())
}

/// Shows a text in `$PAGER` until a person leaves it.
pub fn pager(text: &str) -> std::io::Result<()> {
  let wanted = std::env::var("PAGER").ok().filter(|pager| !pager.trim().is_empty());
  let wanted = wanted.unwrap_or_else(|| "less -R".to_owned());
  let mut words = wanted.split_whitespace();
  let program = words.next().unwrap_or("less");
  let mut child = Command::new(program).args(words).stdin(Stdio::piped()).spawn()?;
  if let Some(mut input) = child.stdin.take() {
    // A pager that was left early does not read the rest.
    let _ = input.write_all(text.as_bytes());
  }
  child.wait().map(drop)
}

/// Waits until a person has read what a command left on the terminal.
pub fn wait_for_return() -> std::io::Result<()> {
  let mut out = std::io::stdout();
  out.write_all(b"\n-- Return goes back --\n")?;
  out.flush()?;
  std::io::stdin().read_line(&mut String::new()).map(drop)
}

/// Bytes of an answer that are shown.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// The command line, asked as a program of its own.
#[derive(Debug)]
pub struct Asking(tokio::process::Command);

impl Asking {
  /// The same place, no colours, no questions, and nothing may be changed.
  pub fn new(place: &Place, namespace: Option<&str>, words: &[String]) -> Self {
    let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("hetuflowctl"));
    let mut command = tokio::process::Command::new(program);
    command.args(["--read-only", "--no-input", "--color", "never", "--timeout", "20s"]);
    command.arg("--config").arg(&place.config);
    match &place.context {
      Some(context) => command.args(["--context", context]),
      None => command.args(["--server", place.server.as_str()]),
    };
    if let TokenSource::File(path) = &place.token {
      command.arg("--token-file").arg(path);
    }
    match namespace {
      Some(name) => command.args(["--namespace", name]),
      None => command.arg("--all-namespaces"),
    };
    command.args(["--output", "table"]).args(words);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    Self(command)
  }

  /// What it says: the answer, then words and errors.
  pub async fn answer(mut self) -> Vec<String> {
    let output = match self.0.output().await {
      Ok(output) => output,
      Err(error) => return vec![format!("that did not work: {error}")],
    };
    let mut lines = Vec::new();
    for bytes in [&output.stdout, &output.stderr] {
      let text = String::from_utf8_lossy(&bytes[..bytes.len().min(ANSWER_BYTES_MAX)]);
      lines.extend(text.lines().map(|line| line.replace('\t', "  ")));
      if bytes.len() > ANSWER_BYTES_MAX {
        lines.push("the rest is left out: use a shell".to_owned());
      }
    }
    if lines.is_empty() {
      lines.push("no answer, and no error".to_owned());
    }
    lines
  }
}

/// Why a task waits, as the server says it.
pub async fn why(client: &Client, task: &str) -> Option<Value> {
  client.fetch(Call::get(path_of(&["tasks", task, "why"]))).await.ok()
}

/// The names of the server's namespaces.
pub async fn namespaces(client: &Client) -> Option<Vec<String>> {
  let answer: Value = client.fetch(Call::get("/namespaces").query("limit", 200)).await.ok()?;
  let items = answer.get("items").and_then(Value::as_array)?;
  let name = |item: &Value| item.get("id").and_then(Value::as_str).map(str::to_owned);
  Some(items.iter().filter_map(name).collect())
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn the_clipboard_gets_base64() {
    assert_eq!(base64(b"7qk2m9xa"), "N3FrMm05eGE=");
    assert_eq!(
      (base64(b""), base64(b"a"), base64(b"ab")),
      (String::new(), "YQ==".into(), "YWI=".into())
    );
    assert_eq!(clipboard("ab", false), b"\x1b]52;c;YWI=\x07");
    assert!(clipboard("ab", true).windows(6).any(|part| part == b"Ptmux;"));
  }
}
