//! Everything about one attempt that must stand before its process can start.

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use hetuflow_core::{ExecuteCommand, TaskConfig};

use super::command_line::{CommandLine, SCRIPT_PLACE, command_line};
use super::environment::search_path;
use super::result_file::ResultFile;
use super::{BaseEnvironment, Cause, ExecutorSettings, Start};
use crate::process::{Launch, SpawnError, find_program};

/// Names the file in which a task leaves its results.
const RESULT_VARIABLE: &str = "HETUFLOW_OUTPUT";

/// A process that is ready to be started, and the folder to remove when it has ended.
#[derive(Debug)]
pub struct Prepared {
  /// For the system.
  pub launch: Launch,
  /// Removed at the end.
  pub run_dir: Option<PathBuf>,
  /// Where it may leave its results.
  pub results: ResultFile,
}

/// Builds the launch of an attempt; writes its script's file. Blocks on the disk.
///
/// # Errors
/// The cause with which the attempt ends without having been started.
pub fn prepare(
  start: &Start,
  config: &TaskConfig,
  settings: &ExecutorSettings,
  base: &BaseEnvironment,
) -> Result<Prepared, Cause> {
  let line = command_line(config, |name| settings.task_types.get(name))
    .map_err(|error| refused(error.to_string()))?;
  let payload =
    (config.program() == ExecuteCommand::Handler && config.command.is_none()).then(|| {
      start.task.task.parameters.as_ref().map_or_else(|| "null".to_owned(), ToString::to_string)
    });
  let mut environment = base.of_task(&start.task, &start.spec, payload.as_deref());
  let given = config.working_directory.as_deref().or(line.directory.as_deref());
  check_nul(&line, &environment, given)?;

  let run_dir = line
    .script
    .is_some()
    .then(|| settings.run_base_dir.join(start.task.task_instance.id.to_string()));
  let place = (run_dir.as_deref(), settings.run_base_dir.as_path());
  let results = ResultFile::new(start.task.task_instance.id, place, settings.result_size_max);
  environment.push((RESULT_VARIABLE.into(), results.path().into()));
  let directory = match (given, &run_dir) {
    (Some(given), _) => PathBuf::from(given),
    (None, Some(run_dir)) => run_dir.clone(),
    (None, None) => settings.work_dir.clone(),
  };
  let script = match (&line.script, &run_dir) {
    (Some((file, text)), Some(run_dir)) => Some(write_script(run_dir, file, text)?),
    _ => None,
  };
  let path = search_path(&environment);
  let found = find_program(line.program.as_ref(), path, &directory);
  let program = match found {
    Ok(program) => program,
    Err(error) => {
      remove(run_dir.as_deref());
      return Err(spawn_failed(&error));
    }
  };
  let word = |arg: String| match &script {
    Some(path) if arg == SCRIPT_PLACE => path.clone().into_os_string(),
    _ => OsString::from(arg),
  };
  let launch = Launch {
    name: line.program.into(),
    program,
    args: line.args.into_iter().map(word).collect(),
    environment,
    directory,
    stdin: config.stdin.clone().or(payload).map(String::into_bytes),
    capture: config.capture_output.unwrap_or(true),
  };
  Ok(Prepared { launch, run_dir, results })
}

/// Not allowed, or not possible to express: the system was not even asked.
pub fn refused(message: impl Into<String>) -> Cause {
  Cause::NotStarted { reason: "not_started(refused)".to_owned(), message: message.into() }
}

/// The system said no.
pub fn spawn_failed(error: &SpawnError) -> Cause {
  Cause::NotStarted {
    reason: format!("spawn_failed({}, {})", error.errno_name(), error.path),
    message: format!("{error}: {}", error.source),
  }
}

/// Removes the folder of an attempt that has ended.
pub fn remove(run_dir: Option<&Path>) {
  if let Some(dir) = run_dir
    && let Err(error) = std::fs::remove_dir_all(dir)
  {
    tracing::warn!(path = %dir.display(), %error, "cannot remove the folder of an ended attempt");
  }
}

fn check_nul(
  line: &CommandLine,
  environment: &[(OsString, OsString)],
  directory: Option<&str>,
) -> Result<(), Cause> {
  let nul = |text: &str| text.contains('\0');
  let bad_arg = line.args.iter().any(|arg| nul(arg) && arg != SCRIPT_PLACE);
  if nul(&line.program) || bad_arg || directory.is_some_and(nul) {
    return Err(refused("the command holds a NUL byte"));
  }
  let odd = |text: &OsString| text.as_encoded_bytes().contains(&0);
  match environment.iter().find(|(name, value)| {
    odd(name) || odd(value) || name.is_empty() || name.as_encoded_bytes().contains(&b'=')
  }) {
    Some((name, _)) => Err(refused(format!("environment variable {name:?} cannot be passed on"))),
    None => Ok(()),
  }
}

fn write_script(run_dir: &Path, file: &str, text: &str) -> Result<PathBuf, Cause> {
  let path = run_dir.join(file);
  let written =
    std::fs::DirBuilder::new().mode(0o700).recursive(true).create(run_dir).and_then(|()| {
      let mut options = std::fs::OpenOptions::new();
      options.write(true).create(true).truncate(true).mode(0o600);
      options.open(&path)?.write_all(text.as_bytes())
    });
  match written {
    Ok(()) => Ok(path),
    Err(source) => {
      let error = SpawnError { path: path.display().to_string(), source };
      Err(spawn_failed(&error))
    }
  }
}
