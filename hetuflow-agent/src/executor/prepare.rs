//! Everything about one attempt that must stand before its process can start.

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use hetuflow_core::{ExecuteCommand, SecretValue, TaskConfig, is_secret_name};

use super::allowed::Allowed;
use super::artifacts;
use super::command_line::{CommandLine, SCRIPT_PLACE, command_line};
use super::environment::{Own, search_path};
use super::folder::{Folder, Purpose, artifacts_beside, remove};
use super::inputs;
use super::result_file::ResultFile;
use super::run_as::account;
use super::{BaseEnvironment, Cause, ExecutorSettings, Start, effective};
use crate::process::{Account, Launch, SpawnError, find_program, is_disk, is_exhausted};

/// Names the file in which a task leaves its results.
const RESULT_VARIABLE: &str = "HETUFLOW_OUTPUT";
/// Names the folder in which it finds files.
const INPUTS_VARIABLE: &str = "HETUFLOW_INPUTS";
/// Names the folder in which it leaves files.
const ARTIFACTS_VARIABLE: &str = "HETUFLOW_ARTIFACTS";

/// A process that is ready to be started, and the folders to remove when it has ended.
#[derive(Debug)]
pub struct Prepared {
  /// For the system.
  pub launch: Launch,
  /// Removed at the end.
  pub folders: Vec<PathBuf>,
  /// Where it may leave its results.
  pub results: ResultFile,
  /// Where it may leave files.
  pub artifacts: artifacts::Places,
}

/// Builds the launch of an attempt; writes its files. Blocks on the disk.
///
/// # Errors
/// The cause with which the attempt ends without having been started.
pub fn prepare(
  start: &Start,
  config: &TaskConfig,
  settings: &ExecutorSettings,
  base: &BaseEnvironment,
) -> Result<Prepared, Cause> {
  let account = account(config, settings)?;
  let line = command_line(config, |name| settings.task_types.get(name))
    .map_err(|error| refused(error.to_string()))?;
  let given = config.working_directory.clone().or_else(|| line.directory.clone());
  let mut rooms = Rooms { home: account.as_ref().and_then(home_of), ..Rooms::default() };
  let for_whom = account.as_ref();
  let built = rooms
    .make(start, settings, (&line, for_whom))
    .and_then(|()| rooms.put_secrets(start, config, (settings, for_whom)))
    .and_then(|()| rooms.put_inputs(start, given.is_some(), (settings, for_whom)))
    .and_then(|()| {
      let payload = payload(start, config);
      let own = Own {
        payload: payload.as_deref(),
        account: for_whom,
        secrets_dir: rooms.secrets.as_ref().map(Folder::path),
      };
      let place = (rooms.folder.as_ref().map(Folder::path), settings.run_base_dir.as_path());
      let results = ResultFile::new(start.task.task_instance.id, place, settings.result_size_max);
      let mut environment = base.of_task(&start.task, &start.spec, &own);
      environment.push((RESULT_VARIABLE.into(), results.path().into()));
      if let Some(inputs) = &rooms.inputs {
        environment.push((INPUTS_VARIABLE.into(), inputs.into()));
      }
      let own = rooms.artifacts(start, settings);
      environment.push((ARTIFACTS_VARIABLE.into(), own.clone().into()));
      check_nul(&line, &environment, given.as_deref())?;
      let script = line.script.as_ref().map(|(file, _)| (*file).to_owned());
      let launch = launch(line, &rooms, given.as_deref(), settings)?;
      let places = artifacts::Places {
        ours: rooms.ours(script.as_deref(), &results, &own),
        own,
        work_dir: launch.directory.clone(),
        patterns: config.artifacts.as_ref().map_or_else(Vec::new, |wanted| wanted.out.clone()),
        owner: for_whom.map(|account| account.uid),
      };
      let launch = Launch {
        search: search_path(&environment).to_owned(),
        environment,
        stdin: config.stdin.clone().or(payload).map(String::into_bytes),
        capture: config.capture_output.unwrap_or(true),
        account: account.clone(),
        ..launch
      };
      let allowed = Allowed::by(&settings.commands_allow, base.search_path());
      let launch = find(launch, (start, config), allowed)?;
      Ok((launch, results, places))
    });
  let made = [rooms.folder, rooms.secrets].into_iter().flatten();
  let folders = made.map(|folder| folder.path().to_owned()).collect::<Vec<_>>();
  match built {
    Ok((launch, results, artifacts)) => Ok(Prepared { launch, folders, results, artifacts }),
    Err(cause) => {
      remove(&folders);
      Err(cause)
    }
  }
}

/// What a handler gets: the parameters of its run.
fn payload(start: &Start, config: &TaskConfig) -> Option<String> {
  let parameters = start.task.task.parameters.as_ref();
  is_handled(config).then(|| parameters.map_or_else(|| "null".to_owned(), ToString::to_string))
}

/// Whether it is run by what this host has for its type.
pub fn is_handled(config: &TaskConfig) -> bool {
  config.program() == ExecuteCommand::Handler && config.command.is_none()
}

/// Where an attempt may be, and where its secrets are.
#[derive(Debug, Default)]
struct Rooms {
  folder: Option<Folder>,
  secrets: Option<Folder>,
  /// Where its files are that it finds.
  inputs: Option<PathBuf>,
  home: Option<PathBuf>,
  /// It runs in its own folder where its job names no other: what it makes there is its own.
  is_place: bool,
}

impl Rooms {
  /// Makes a folder for what needs one.
  fn make(
    &mut self,
    start: &Start,
    settings: &ExecutorSettings,
    (line, account): (&CommandLine, Option<&Account>),
  ) -> Result<(), Cause> {
    let config = effective(&start.spec.config, start.task.task.config.as_ref());
    self.is_place = config.artifacts.is_some();
    // Another user can write results nowhere else.
    if line.script.is_some() || account.is_some() || self.is_place {
      let made = Folder::make(settings, start.task.task_instance.id, (Purpose::Run, account));
      let folder = self.folder.insert(made.map_err(|error| spawn_failed(&error))?);
      if self.is_place {
        folder.folder(artifacts::NAME).map_err(|error| spawn_failed(&error))?;
      }
    }
    Ok(())
  }

  /// Puts the files where the attempt finds them: where it runs, or beside it where its job names
  /// the folder, which may be another attempt's as well.
  fn put_inputs(
    &mut self,
    start: &Start,
    runs_elsewhere: bool,
    (settings, account): (&ExecutorSettings, Option<&Account>),
  ) -> Result<(), Cause> {
    let files = &start.task.inputs;
    let Some(folder) = self.folder.as_ref().filter(|_| !files.is_empty()) else { return Ok(()) };
    let root = match runs_elsewhere {
      true => folder.folder(inputs::NAME).map_err(|error| spawn_failed(&error))?,
      false => folder.path().to_owned(),
    };
    inputs::place(&root, files, (&settings.input_dir, account))?;
    self.inputs = Some(root);
    Ok(())
  }

  /// The folder for files that the attempt is told; made here only where its job speaks of files.
  fn artifacts(&self, start: &Start, settings: &ExecutorSettings) -> PathBuf {
    match &self.folder {
      Some(folder) => folder.path().join(artifacts::NAME),
      None => artifacts_beside(settings, start.task.task_instance.id),
    }
  }

  /// What lies where the attempt runs and is not its own.
  fn ours(&self, script: Option<&str>, results: &ResultFile, artifacts: &Path) -> Vec<PathBuf> {
    let script = self.folder.as_ref().zip(script).map(|(folder, name)| folder.path().join(name));
    let others = [results.path().to_owned(), artifacts.to_owned()];
    script.into_iter().chain(others).collect()
  }

  /// Writes each secret into a file that only the task's user reads.
  fn put_secrets(
    &mut self,
    start: &Start,
    config: &TaskConfig,
    (settings, account): (&ExecutorSettings, Option<&Account>),
  ) -> Result<(), Cause> {
    if config.secrets.is_empty() {
      return Ok(());
    }
    let values = &start.task.secrets;
    if let Some(name) = config.secrets.iter().find(|name| !values.contains_key(*name)) {
      let namespace = &start.spec.namespace_id;
      return Err(refused(format!(
        "the server has no usable secret {name:?} in the namespace {namespace}: set it with \
         hetuflowctl secret set {name} --namespace {namespace}; the server's log says more where \
         it is there and does not open"
      )));
    }
    let made = Folder::make(settings, start.task.task_instance.id, (Purpose::Secrets, account));
    let folder = self.secrets.insert(made.map_err(|error| spawn_failed(&error))?);
    for name in config.secrets.iter().filter(|name| is_secret_name(name)) {
      let value = values.get(name).map(SecretValue::expose).unwrap_or_default();
      folder.file(name, value, 0o400).map_err(|error| spawn_failed(&error))?;
    }
    folder.open_to_user().map_err(|error| spawn_failed(&error))
  }
}

/// The command, in its place, with its script.
fn launch(
  line: CommandLine,
  rooms: &Rooms,
  given: Option<&str>,
  settings: &ExecutorSettings,
) -> Result<Launch, Cause> {
  let folder = rooms.folder.as_ref();
  let of_script = folder.filter(|_| line.script.is_some() || rooms.is_place);
  let directory = match (given, of_script, &rooms.home, folder) {
    (Some(given), ..) => PathBuf::from(given),
    (_, Some(folder), ..) => folder.path().to_owned(),
    (_, _, Some(home), _) => home.clone(),
    (_, _, _, Some(folder)) => folder.path().to_owned(),
    _ => settings.work_dir.clone(),
  };
  let script = match (&line.script, folder) {
    (Some((file, text)), Some(folder)) => {
      let written = folder.file(file, text.as_bytes(), 0o600);
      Some(written.map_err(|error| match error.source.kind() {
        io::ErrorKind::AlreadyExists => inputs::in_the_way(file),
        _ => spawn_failed(&error),
      })?)
    }
    _ => None,
  };
  if let Some(folder) = folder {
    folder.open_to_user().map_err(|error| spawn_failed(&error))?;
  }
  let word = |arg: String| match &script {
    Some(path) if arg == SCRIPT_PLACE => path.clone().into_os_string(),
    _ => OsString::from(arg),
  };
  Ok(Launch {
    name: line.program.into(),
    args: line.args.into_iter().map(word).collect(),
    directory,
    ..Launch::default()
  })
}

/// Finds the program; another user's is searched for with that user's rights, later, where the host
/// does not care which it is.
fn find(
  launch: Launch,
  (start, config): (&Start, &TaskConfig),
  allowed: Option<Allowed<'_>>,
) -> Result<Launch, Cause> {
  if let Some(allowed) = allowed {
    let given = start.task.task.environment.iter().flatten();
    allowed.environment(start.spec.environment.iter().chain(given).map(|(name, _)| name))?;
    // What handles a type of tasks is named by the host itself.
    if !is_handled(config) {
      return allowed.program(launch);
    }
  }
  if launch.account.is_some() {
    return Ok(launch);
  }
  match find_program(&launch.name, &launch.search, &launch.directory) {
    Ok(program) => Ok(Launch { program, ..launch }),
    Err(error) => Err(spawn_failed(&error)),
  }
}

/// The folder of a user, where there is one that is its own.
fn home_of(account: &Account) -> Option<PathBuf> {
  let meta = std::fs::metadata(&account.home).ok()?;
  (meta.is_dir() && meta.uid() == account.uid).then(|| account.home.clone())
}

/// Not allowed, or not possible to express: the system was not even asked.
pub fn refused(message: impl Into<String>) -> Cause {
  Cause::NotStarted { reason: "not_started(refused)".to_owned(), message: message.into() }
}

/// What must be on the disk before a start cannot be written.
pub fn cannot_write(what: &str, error: &io::Error) -> Cause {
  let words = format!("{what}: {error}");
  match error {
    error if is_exhausted(error) => no_capacity(words),
    error if is_disk(error) => no_disk(words),
    _ => refused(words),
  }
}

/// A disk of this host does not take what a start has to write: somebody else's may, or this one later.
pub fn no_disk(words: impl std::fmt::Display) -> Cause {
  Cause::NotStarted {
    reason: "not_started(disk)".to_owned(),
    message: format!("a disk of this host is full, read-only or failing: {words}"),
  }
}

/// This host has no room for another process, whichever; somebody else may have, or it later.
pub fn no_capacity(message: impl std::fmt::Display) -> Cause {
  Cause::NotStarted {
    reason: "not_started(capacity)".to_owned(),
    message: format!("this host has no room for another task (ulimit -n, ulimit -u): {message}"),
  }
}

/// The system said no: to this task, or to any more of them at the moment.
pub fn spawn_failed(error: &SpawnError) -> Cause {
  if is_exhausted(&error.source) {
    let name = error.errno_name();
    return no_capacity(format!("{name} for {}: {}", error.path, error.source));
  }
  if is_disk(&error.source) {
    let name = error.errno_name();
    return no_disk(format!("{name} for {}: {}", error.path, error.source));
  }
  Cause::NotStarted {
    reason: format!("spawn_failed({}, {})", error.errno_name(), error.path),
    message: format!("{error}: {}", error.source),
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
