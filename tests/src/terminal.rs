//! A program on a terminal of its own: a pty, a screen that understands what it gets, keys,
//! signals, sizes, and every byte that came.

use std::ffi::OsString;
use std::num::NonZeroU16;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use pty_process::{OwnedReadPty, OwnedWritePty, Pts, Size};
use rustix::process::{Pid, Signal};
use rustix::termios::tcgetattr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Child;
use tokio::task::JoinHandle;

use crate::wait;

/// Bytes that are kept to be looked at; all are counted.
const KEPT_BYTES_MAX: usize = 64 << 20;

/// What is started on a terminal.
#[derive(Debug, Clone)]
pub struct Recipe {
  /// The program.
  pub program: PathBuf,
  /// Its arguments.
  pub args: Vec<OsString>,
  /// Its environment, beside `PATH`, `TERM` and `LANG`.
  pub environment: Vec<(String, OsString)>,
  /// Its working directory, and its home.
  pub dir: PathBuf,
  /// Rows and columns.
  pub size: (u16, u16),
}

impl Recipe {
  /// A program on 24 rows of 80 columns.
  pub fn new(program: &Path, args: &[&str], dir: &Path) -> Self {
    let args = args.iter().map(OsString::from).collect();
    let (program, dir) = (program.to_owned(), dir.to_owned());
    Self { program, args, environment: Vec::new(), dir, size: (24, 80) }
  }

  /// Adds a variable.
  #[must_use]
  pub fn environment(mut self, name: &str, value: impl Into<OsString>) -> Self {
    self.environment.push((name.to_owned(), value.into()));
    self
  }

  /// Rows and columns.
  #[must_use]
  pub fn size(mut self, rows: u16, columns: u16) -> Self {
    self.size = (rows, columns);
    self
  }
}

struct Seen {
  parser: vt100::Parser,
  kept: Vec<u8>,
  count: u64,
  last_at: Instant,
}

/// A program on its terminal; killed when dropped.
pub struct Terminal {
  child: Child,
  pts: Pts,
  writer: Arc<tokio::sync::Mutex<OwnedWritePty>>,
  seen: Arc<Mutex<Seen>>,
  reader: JoinHandle<()>,
}

impl Terminal {
  /// Starts the program.
  ///
  /// # Errors
  /// When there is no pty, or the program does not start.
  pub fn spawn(recipe: &Recipe) -> Result<Self> {
    let (pty, pts) = pty_process::open().context("open a pty")?;
    let (rows, columns) = recipe.size;
    pty.resize(Size::new(rows, columns))?;
    let mut command = pty_process::Command::new(&recipe.program)
      .args(&recipe.args)
      .env_clear()
      .env("PATH", std::env::var_os("PATH").unwrap_or_default())
      .env("TERM", "xterm-256color")
      .env("LANG", "C.UTF-8")
      .env("HOME", &recipe.dir)
      .envs(recipe.environment.iter().map(|(name, value)| (name, value)))
      .current_dir(&recipe.dir)
      .kill_on_drop(true);
    let child = command
      .spawn_borrowed(&pts)
      .with_context(|| format!("start {} on a pty", recipe.program.display()))?;
    let (reader, writer) = pty.into_split();
    let parser = vt100::Parser::new(cells(rows), cells(columns), 0);
    let seen = Seen { parser, kept: Vec::new(), count: 0, last_at: Instant::now() };
    let (seen, writer) = (Arc::new(Mutex::new(seen)), Arc::new(tokio::sync::Mutex::new(writer)));
    let reader = tokio::spawn(read(reader, Arc::clone(&seen), Arc::clone(&writer)));
    Ok(Self { child, pts, writer, seen, reader })
  }

  fn seen(&self) -> MutexGuard<'_, Seen> {
    self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
  }

  /// Types bytes.
  ///
  /// # Errors
  /// When the terminal is gone.
  pub async fn keys(&self, keys: impl AsRef<[u8]>) -> Result<()> {
    Ok(self.writer.lock().await.write_all(keys.as_ref()).await?)
  }

  /// Types bytes and waits for the next bytes of the program; how long that took.
  ///
  /// # Errors
  /// When none come within the limit.
  pub async fn answered_keys(&self, keys: impl AsRef<[u8]>, limit: Duration) -> Result<Duration> {
    let (before, begun) = (self.count(), Instant::now());
    self.keys(keys).await?;
    wait::until("bytes after a key", limit, || async { (self.count() > before).then_some(()) })
      .await?;
    Ok(self.last_at().saturating_duration_since(begun))
  }

  /// What stands on the screen, one line per row, without blanks at the ends.
  pub fn screen(&self) -> String {
    self.seen().parser.screen().contents()
  }

  /// Whether the program shows its own screen and not that of the shell.
  pub fn is_full_screen(&self) -> bool {
    self.seen().parser.screen().alternate_screen()
  }

  /// Bytes that came so far.
  pub fn count(&self) -> u64 {
    self.seen().count
  }

  /// When the last bytes came.
  pub fn last_at(&self) -> Instant {
    self.seen().last_at
  }

  /// The bytes that came, from the n-th of those that are kept.
  pub fn bytes_from(&self, from: usize) -> Vec<u8> {
    self.seen().kept.get(from..).unwrap_or_default().to_vec()
  }

  /// Waits until the screen is as wished.
  ///
  /// # Errors
  /// When the limit has passed; the text shows the screen.
  pub async fn wait_for(
    &self,
    what: &str,
    limit: Duration,
    wish: impl Fn(&str) -> bool,
  ) -> Result<()> {
    wait::until_ok(what, limit, || async {
      let screen = self.screen();
      if wish(&screen) { Ok(()) } else { Err(format!("the screen:\n{screen}")) }
    })
    .await
  }

  /// Waits until the screen has this text.
  ///
  /// # Errors
  /// As [`Terminal::wait_for`].
  pub async fn wait_text(&self, text: &str, limit: Duration) -> Result<()> {
    self.wait_for(&format!("{text:?} on the screen"), limit, |screen| screen.contains(text)).await
  }

  /// Gives the terminal another size.
  ///
  /// # Errors
  /// When the terminal is gone.
  pub async fn resize(&self, rows: u16, columns: u16) -> Result<()> {
    self.seen().parser.set_size(cells(rows), cells(columns));
    Ok(self.writer.lock().await.resize(Size::new(rows, columns))?)
  }

  /// The process.
  ///
  /// # Errors
  /// When it has ended.
  pub fn pid(&self) -> Result<u32> {
    self.child.id().context("it has ended")
  }

  /// Sends a signal.
  ///
  /// # Errors
  /// When it has ended.
  pub fn signal(&self, signal: Signal) -> Result<()> {
    let pid = i32::try_from(self.pid()?).ok().and_then(Pid::from_raw).context("pid")?;
    Ok(rustix::process::kill_process(pid, signal)?)
  }

  /// Waits for its end.
  ///
  /// # Errors
  /// When the limit has passed; the text shows the screen.
  pub async fn wait_end(&mut self, limit: Duration) -> Result<ExitStatus> {
    match tokio::time::timeout(limit, self.child.wait()).await {
      Ok(status) => Ok(status?),
      Err(_) => bail!("it has not ended after {limit:?}; the screen:\n{}", self.screen()),
    }
  }

  /// The settings of the terminal, as `stty -a` reads them.
  ///
  /// # Errors
  /// When the terminal is gone.
  pub fn settings(&self) -> Result<String> {
    let settings = tcgetattr(self.pts.as_fd())?;
    Ok(format!("{settings:?}"))
  }
}

impl Drop for Terminal {
  fn drop(&mut self) {
    self.reader.abort();
  }
}

fn cells(number: u16) -> NonZeroU16 {
  NonZeroU16::new(number).unwrap_or(NonZeroU16::MIN)
}

/// Reads for ever, and answers what a terminal answers.
async fn read(
  mut pty: OwnedReadPty,
  seen: Arc<Mutex<Seen>>,
  writer: Arc<tokio::sync::Mutex<OwnedWritePty>>,
) {
  let mut buffer = vec![0; 64 << 10];
  while let Ok(count @ 1..) = pty.read(&mut buffer).await {
    let bytes = &buffer[..count];
    let answer = {
      let mut seen = seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
      seen.parser.process(bytes);
      seen.count += count as u64;
      seen.last_at = Instant::now();
      if seen.kept.len() + count <= KEPT_BYTES_MAX {
        seen.kept.extend_from_slice(bytes);
      }
      answer(bytes, seen.parser.screen().cursor_position())
    };
    if !answer.is_empty() && writer.lock().await.write_all(&answer).await.is_err() {
      return;
    }
  }
}

/// What a terminal says when it is asked: where the cursor is, what it is, its ground.
fn answer(bytes: &[u8], (row, column): (u16, u16)) -> Vec<u8> {
  let asks = |question: &[u8]| bytes.windows(question.len()).any(|part| part == question);
  let mut answer = String::new();
  if asks(b"\x1b[6n") {
    answer.push_str(&format!("\x1b[{};{}R", row + 1, column + 1));
  }
  if asks(b"\x1b[c") || asks(b"\x1b[0c") {
    answer.push_str("\x1b[?62;22c");
  }
  if asks(b"\x1b]11;?") {
    answer.push_str("\x1b]11;rgb:0000/0000/0000\x1b\\");
  }
  answer.into_bytes()
}

#[cfg(test)]
mod tests {
  use super::*;

  const LIMIT: Duration = Duration::from_secs(20);

  fn shell(script: &str) -> Terminal {
    let recipe = Recipe::new(Path::new("/bin/sh"), &["-c", script], Path::new("/"));
    Terminal::spawn(&recipe).unwrap()
  }

  #[tokio::test]
  async fn keys_screen_size_and_end() {
    let script = "trap 'stty size' WINCH; read x; printf \"\\033[31mgot $x\\033[m\\n\"; \
      until [ \"$y\" = end ]; do read y; done; exit 7";
    let mut terminal = shell(script);
    terminal.keys("进度\n").await.unwrap();
    terminal.wait_text("got 进度", LIMIT).await.unwrap();
    terminal.resize(30, 100).await.unwrap();
    terminal.wait_text("30 100", LIMIT).await.unwrap();
    terminal.keys("end\n").await.unwrap();
    assert_eq!(terminal.wait_end(LIMIT).await.unwrap().code(), Some(7));
    assert!(terminal.count() > 20 && !terminal.is_full_screen());
  }

  #[tokio::test]
  async fn settings_show_what_was_not_put_back() {
    let mut terminal = shell("read x; stty raw -echo; exit 0");
    let before = terminal.settings().unwrap();
    assert_eq!(terminal.settings().unwrap(), before);
    terminal.keys("x\n").await.unwrap();
    terminal.wait_end(LIMIT).await.unwrap();
    assert_ne!(terminal.settings().unwrap(), before);
  }

  #[tokio::test]
  async fn it_answers_like_a_terminal_and_says_what_is_missing() {
    let script =
      "stty raw -echo min 0 time 50; printf '\\033[6n'; dd bs=6 count=1 2>/dev/null | od -c";
    let mut terminal = shell(script);
    terminal.wait_end(LIMIT).await.unwrap();
    terminal.wait_text("033   [   1   ;   1   R", LIMIT).await.unwrap();
    let error = terminal.wait_text("moon", Duration::from_millis(20)).await.unwrap_err();
    assert!(error.to_string().contains("033   ["), "{error}");
  }
}
