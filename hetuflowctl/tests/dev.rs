//! `dev` with stand-ins for server and agent: ready, restarted, and nothing left behind.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A program that is being written cannot be executed, and a fork elsewhere holds it open: tests
/// of this file write and fork one at a time.
static FORKS: Mutex<()> = Mutex::new(());
const PATIENCE: Duration = Duration::from_secs(20);

/// The stand-in for the server: this program again, run by a script with the config's name.
#[test]
fn stand_in_server() {
  let Ok(config) = std::env::var("STAND_IN_CONFIG") else { return };
  let text = std::fs::read_to_string(config).expect("a config");
  let table: toml::Table = text.parse().expect("TOML");
  let word = |section: &str, key: &str| table[section][key].as_str().expect("text").to_owned();
  let (bind, data) = (word("server", "bind_address"), PathBuf::from(word("server", "data_dir")));
  let listener = TcpListener::bind(&bind).expect("the port");
  std::fs::write(data.join("admin.token"), "hf_dev\n").expect("written");
  std::fs::set_permissions(data.join("admin.token"), PermissionsExt::from_mode(0o600))
    .expect("set");
  let told = format!(r#"{{"pid":{},"bind":"{bind}","url":"http://{bind}"}}"#, std::process::id());
  std::fs::write(data.join("server.json"), told).expect("written");
  println!("listening on {bind} with {}", word("database", "url"));
  for mut stream in listener.incoming().flatten() {
    let mut reader = BufReader::new(stream.try_clone().expect("a socket"));
    let mut head = String::new();
    while reader.read_line(&mut head).is_ok_and(|read| read > 2) {}
    let length = head
      .lines()
      .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let _ = reader.read_exact(&mut vec![0; length.unwrap_or(0)]);
    let body = if head.contains("/jobs/apply") {
      r#"{"applied":true,"changes":[]}"#
    } else if head.contains("/auth/me") || head.contains("/ready") {
      r#"{"status":"ready"}"#
    } else {
      r#"{"data":[],"page":{"page_size":50}}"#
    };
    let _ = write!(
      stream,
      "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
      body.len()
    );
  }
}

struct Dev {
  home: tempfile::TempDir,
  child: Child,
}

impl Dev {
  fn start(args: &[&str]) -> Self {
    let _alone = FORKS.lock().unwrap_or_else(PoisonError::into_inner);
    let home = tempfile::tempdir().expect("a folder");
    let bin = home.path().join("bin");
    std::fs::create_dir(&bin).expect("made");
    std::fs::copy(env!("CARGO_BIN_EXE_hetuflowctl"), bin.join("hetuflowctl")).expect("copied");
    let own = std::env::current_exe().expect("this test").display().to_string();
    script(
      &bin.join("hetuflow-server"),
      &format!("STAND_IN_CONFIG=$3 exec '{own}' --exact stand_in_server --nocapture"),
    );
    // A child of the child shows that the whole group goes.
    script(&bin.join("hetuflow-agent"), "sleep 1000 & echo agent up; wait");
    let child = Command::new(bin.join("hetuflowctl"))
      .args(["dev", "--headless", "--port", "0"])
      .args(args)
      .env_clear()
      .env("HOME", home.path())
      .env("PATH", std::env::var_os("PATH").unwrap_or_default())
      .current_dir(home.path())
      .stdin(Stdio::null())
      .stdout(Stdio::piped())
      .stderr(std::fs::File::create(home.path().join("stderr")).expect("a file"))
      .spawn()
      .expect("it runs");
    Self { home, child }
  }

  /// The text on stdout that says that all is ready, up to its last line.
  fn ready(&mut self) -> String {
    let mut reader = BufReader::new(self.child.stdout.as_mut().expect("piped"));
    let mut text = String::new();
    while !text.contains("  try ") {
      let read = reader.read_line(&mut text).expect("text");
      assert!(read > 0, "dev ended: {text}\n{}", self.stderr());
    }
    text
  }

  fn stderr(&self) -> String {
    std::fs::read_to_string(self.home.path().join("stderr")).unwrap_or_default()
  }

  fn signal(&self, name: &str, pid: u32) {
    let _alone = FORKS.lock().unwrap_or_else(PoisonError::into_inner);
    let done =
      Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().expect("kill");
    assert!(done.success());
  }

  /// None while the file is being written.
  fn server_pid(&self) -> Option<u32> {
    let path = self.home.path().join(".local/share/hetuflow/dev/server/server.json");
    let text = std::fs::read_to_string(path).ok()?;
    let digits: String =
      text.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
  }

  /// Processes that still mention our folder.
  fn left(&self) -> Vec<String> {
    let home = self.home.path().display().to_string();
    let mut left = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("proc").flatten() {
      if entry.file_name().to_string_lossy().parse::<u32>().is_err() {
        continue;
      }
      let Ok(environment) = std::fs::read(entry.path().join("environ")) else { continue };
      if String::from_utf8_lossy(&environment).contains(&home) {
        let words = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        left.push(String::from_utf8_lossy(&words).replace('\0', " "));
      }
    }
    left
  }

  fn wait_until(&self, what: &str, is: impl Fn() -> bool) {
    let begin = Instant::now();
    while !is() {
      assert!(
        begin.elapsed() < PATIENCE,
        "never: {what}\nleft: {:?}\n{}",
        self.left(),
        self.stderr()
      );
      std::thread::sleep(Duration::from_millis(20));
    }
  }
}

impl Drop for Dev {
  fn drop(&mut self) {
    let _ = self.child.kill();
    let _ = self.child.wait();
  }
}

fn script(path: &Path, body: &str) {
  std::fs::write(path, format!("#!/bin/sh\n{body}\n")).expect("written");
  std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).expect("set");
}

#[test]
fn a_child_that_dies_is_started_again_and_all_end_with_us() {
  let mut dev = Dev::start(&["--agents", "0", "--demo"]);
  let text = dev.ready();
  assert!(text.starts_with("ready in ") && text.contains("http://127.0.0.1:"), "{text}");
  dev.wait_until("words of the server", || dev.stderr().contains("server | listening on"));
  let first = dev.server_pid().expect("a process id");
  dev.signal("KILL", first);
  dev.wait_until("another server", || dev.server_pid().is_some_and(|pid| pid != first));
  dev.signal("INT", dev.child.id());
  let status = dev.child.wait().expect("it ends");
  assert_eq!(status.code(), Some(0), "{}", dev.stderr());
  dev.wait_until("no process is left", || dev.left().is_empty());
  let context =
    std::fs::read_to_string(dev.home.path().join(".config/hetuflow/ctl.toml")).expect("a context");
  assert!(context.contains("[contexts.local]"), "{context}");
}

#[test]
fn a_kill_of_dev_is_the_end_of_its_children() {
  let mut dev = Dev::start(&["--agents", "0"]);
  dev.ready();
  dev.signal("KILL", dev.child.id());
  let _ = dev.child.wait();
  dev.wait_until("no process is left", || dev.left().is_empty());
}

#[test]
fn a_server_that_does_not_start_is_told_with_its_last_words() {
  let mut dev = Dev::start(&["--agents", "0", "--db", "postgres://u:secret@h/d"]);
  // Before the stand-in is there, the script is replaced by one that fails.
  let _ = dev.child.kill();
  let _ = dev.child.wait();
  let alone = FORKS.lock().unwrap_or_else(PoisonError::into_inner);
  script(
    &dev.home.path().join("bin/hetuflow-server"),
    "echo cannot reach the database >&2; exit 78",
  );
  let output = Command::new(dev.home.path().join("bin/hetuflowctl"))
    .args(["dev", "--port", "0"])
    .env_clear()
    .env("HOME", dev.home.path())
    .env("PATH", std::env::var_os("PATH").unwrap_or_default())
    .output()
    .expect("it runs");
  drop(alone);
  assert_eq!(output.status.code(), Some(1));
  let text = String::from_utf8_lossy(&output.stderr).into_owned();
  assert!(
    text.contains("server did not start") && text.contains("cannot reach the database"),
    "{text}"
  );
}

#[test]
fn groups_end_whole() {
  let mut dev = Dev::start(&["--agents", "2"]);
  // The stand-in server knows no agents, so dev waits for them; TERM ends it meanwhile.
  dev.wait_until("both agents", || dev.stderr().matches("agent up").count() == 2);
  dev.signal("TERM", dev.child.id());
  let status = dev.child.wait().expect("it ends");
  assert_eq!(status.code(), Some(0), "{}", dev.stderr());
  dev.wait_until("no process is left", || dev.left().is_empty());
}
