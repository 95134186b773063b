//! Starting an executor as a process of its own.

use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::time::Instant;

use super::Place;

/// How long a new executor may take to listen.
const START_LIMIT: Duration = Duration::from_secs(10);
/// Between two looks at a socket that is about to be there.
const LOOK: Duration = Duration::from_millis(5);

/// How an executor is started.
#[derive(Debug)]
pub struct Launcher {
  /// The program.
  pub program: PathBuf,
  /// The words that make it an executor.
  pub args: Vec<std::ffi::OsString>,
}

impl Launcher {
  /// This program itself, as it lies on the disk now: after an upgrade that is the new one.
  ///
  /// # Errors
  /// When the system does not say which it is.
  pub fn this_program(args: Vec<std::ffi::OsString>) -> io::Result<Self> {
    let program = std::env::current_exe()?;
    let text = program.to_string_lossy();
    let program = text.strip_suffix(" (deleted)").map(PathBuf::from).unwrap_or(program.clone());
    Ok(Self { program, args })
  }

  /// The executor that listens, or a new one where none does.
  ///
  /// # Errors
  /// When it cannot be started, or does not listen in time.
  pub async fn reach(&self, place: &Place) -> io::Result<UnixStream> {
    let begun = Instant::now();
    let mut child: Option<Child> = None;
    loop {
      let refused = match place.dial().await {
        Ok(stream) => {
          // Reaped by the runtime when it ends; it is not ours to stop.
          drop(child);
          return Ok(stream);
        }
        Err(error) => error,
      };
      match &mut child {
        None => child = Some(self.start(place)?),
        Some(running) => {
          // One that has ended at once met another one that is just leaving.
          if let Some(status) = running.try_wait()? {
            if begun.elapsed() > START_LIMIT {
              return Err(io::Error::other(format!("the executor does not start: {status}")));
            }
            child = None;
            tokio::time::sleep(LOOK * 10).await;
          }
        }
      }
      if begun.elapsed() > START_LIMIT {
        return Err(io::Error::other(format!("the executor does not listen: {refused}")));
      }
      tokio::time::sleep(LOOK).await;
    }
  }

  fn start(&self, place: &Place) -> io::Result<Child> {
    Command::new(&self.program)
      .args(&self.args)
      .current_dir("/")
      .stdin(Stdio::null())
      .stdout(Stdio::null())
      // What it says before its log is open, and last words.
      .stderr(log_file(place)?)
      .kill_on_drop(false)
      .spawn()
  }
}

fn log_file(place: &Place) -> io::Result<std::fs::File> {
  use std::os::unix::fs::OpenOptionsExt;
  let path = place.folder().join("executor.err");
  std::fs::OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}
