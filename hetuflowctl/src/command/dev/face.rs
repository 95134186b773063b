//! The full-screen face over what `dev` has started: a child that has the terminal.

use std::fs::File;
use std::io::IsTerminal as _;
use std::path::PathBuf;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use super::keep::Signals;
use super::lines::Lines;
use crate::client::CtlError;

/// Where the lines of all children go meanwhile, in the data folder.
const LOG: &str = "dev.log";

/// What opens a face.
#[derive(Debug)]
pub struct Face {
  /// The context of our server.
  pub context: &'static str,
  /// The data folder.
  pub folder: PathBuf,
}

impl Face {
  /// Whether somebody sits there who could look at it.
  pub fn is_possible() -> bool {
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
  }

  /// Has the terminal until somebody leaves the face, or a signal comes; gives the exit code.
  ///
  /// # Errors
  /// When it cannot be started.
  pub async fn open(self, lines: &Lines, signals: &mut Signals) -> Result<u8, CtlError> {
    let log = self.folder.join(LOG);
    lines.put_aside(Some(File::create(&log)?));
    let outcome = self.run(signals).await;
    lines.put_aside(None);
    lines.say(format!("meanwhile, server and agents wrote to {}", log.display()));
    outcome
  }

  async fn run(&self, signals: &mut Signals) -> Result<u8, CtlError> {
    let program = std::env::current_exe()?;
    let mut face =
      Command::new(program).args(["--context", self.context, "tui"]).kill_on_drop(true).spawn()?;
    tokio::select! {
      status = face.wait() => {
        let code = status?.code();
        Ok(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
      }
      exit = signals.next() => {
        leave(&mut face).await;
        Ok(exit)
      }
    }
  }
}

/// Asks it to give the terminal back as it was.
async fn leave(face: &mut Child) {
  let pid = face.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
  if let Some(pid) = pid {
    let _gone = kill_process(pid, Signal::TERM);
  }
  let _ended = face.wait().await;
}
