//! The agent's program in place of itself: what it runs goes on in the executor.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use crate::executor::Launcher;

/// How long the program may take to look at its settings.
const CHECK_LIMIT: Duration = Duration::from_secs(5);
/// Longest part of its words that is passed on.
const WORDS_MAX: usize = 500;

/// Has the program that lies on the disk now, after an upgrade the new one, look at its settings.
///
/// # Errors
/// Words about why it would not start.
pub async fn try_program() -> Result<PathBuf, String> {
  let program = Launcher::this_program(Vec::new()).map_err(|error| error.to_string())?.program;
  let args = std::env::args_os().skip(1);
  let mut check = tokio::process::Command::new(&program);
  check.args(["config", "check"]).args(config_args(args));
  check.stdin(Stdio::null()).kill_on_drop(true);
  let checked = tokio::time::timeout(CHECK_LIMIT, check.output()).await;
  let shown = program.display();
  match checked {
    Err(_) => Err(format!("{shown} does not say within {CHECK_LIMIT:?} that it would start")),
    Ok(Err(error)) => Err(format!("{shown} cannot be started: {error}")),
    Ok(Ok(output)) if output.status.success() => Ok(program),
    Ok(Ok(output)) => {
      let words: String = String::from_utf8_lossy(&output.stderr).chars().take(WORDS_MAX).collect();
      Err(format!("{shown} would not start: {}", words.trim()))
    }
  }
}

/// The words that say where the settings are.
fn config_args(args: impl Iterator<Item = OsString>) -> Vec<OsString> {
  let mut found = Vec::new();
  let mut args = args.peekable();
  while let Some(arg) = args.next() {
    if arg == "--config" {
      found.push(arg);
      found.extend(args.next());
    } else if arg.to_string_lossy().starts_with("--config=") {
      found.push(arg);
    }
  }
  found
}

/// Becomes the program anew, with the words that this process was started with. Returns only the
/// reason why that was not possible.
pub fn become_anew() -> std::io::Error {
  match Launcher::this_program(std::env::args_os().skip(1).collect()) {
    Ok(launcher) => std::process::Command::new(launcher.program).args(launcher.args).exec(),
    Err(error) => error,
  }
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn the_place_of_the_settings_is_passed_on() {
    for (given, kept) in [
      (vec![], vec![]),
      (vec!["start", "--config", "a.toml"], vec!["--config", "a.toml"]),
      (vec!["--config=b.toml"], vec!["--config=b.toml"]),
    ] {
      assert_eq!(config_args(given.into_iter().map(OsString::from)), kept);
    }
  }
}
