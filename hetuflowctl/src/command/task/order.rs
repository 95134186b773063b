//! What `run` asks a server to do.

use std::path::Path;

use hetuflow_core::{
  Broadcast, Dedup, DedupMode, Environment, ExecuteCommand, InputFile, NamespaceId, Seconds,
  TaskConfig, TaskForCreate, Ts, split_words,
};
use serde_json::{Map, Value};

use crate::cli::{RunArgs, RunOptions};
use crate::client::CtlError;

/// The task that was asked for, without job or command.
///
/// # Errors
/// When a parameter is no JSON where `:=` says so.
pub fn task(options: &RunOptions, namespace: NamespaceId) -> Result<TaskForCreate, CtlError> {
  let mut environment = match &options.env_file {
    Some(file) => environment_file(file)?,
    None => Environment::default(),
  };
  environment.extend(options.env.iter().cloned());
  let later = options.in_.map(|duration| Ts::now().plus(duration));
  Ok(TaskForCreate {
    namespace_id: Some(namespace),
    scheduled_at: options.at.or(later),
    priority: options.prio,
    parameters: parameters(options)?,
    environment: (!environment.is_empty()).then_some(environment),
    dedup: dedup(options)?,
    ..TaskForCreate::default()
  })
}

/// Which requests are to become one task.
fn dedup(options: &RunOptions) -> Result<Option<Dedup>, CtlError> {
  let (mode, window) = match (options.debounce, options.throttle) {
    (Some(window), _) => (DedupMode::Debounce, window),
    (None, Some(window)) => (DedupMode::Throttle, window),
    (None, None) if options.dedup_key.is_some() => {
      return Err(CtlError::usage("--dedup-key needs --debounce or --throttle"));
    }
    (None, None) => return Ok(None),
  };
  let (window_secs, key) = (Seconds(window), options.dedup_key.clone());
  Ok(Some(Dedup { mode, key, window_secs, max_wait_secs: options.max_wait.map(Seconds) }))
}

/// `K=V` per line; empty lines and lines that begin with # are left out.
fn environment_file(file: &Path) -> Result<Environment, CtlError> {
  let text = read(file, "--env-file")?;
  let mut environment = Environment::default();
  for (at, line) in text.lines().enumerate() {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
      continue;
    }
    let line = line.strip_prefix("export ").unwrap_or(line);
    let Some((key, value)) = line.split_once('=').filter(|(key, _)| !key.is_empty()) else {
      let place = format!("{}:{}", file.display(), at + 1);
      return Err(CtlError::usage(format!("{place}: no K=V")));
    };
    let quoted = ['"', '\'']
      .iter()
      .find_map(|quote| value.strip_prefix(*quote).and_then(|rest| rest.strip_suffix(*quote)));
    environment.insert(key.trim().to_owned(), quoted.unwrap_or(value).to_owned());
  }
  Ok(environment)
}

fn read(file: &Path, flag: &str) -> Result<String, CtlError> {
  let text = if file == Path::new("-") {
    std::io::read_to_string(std::io::stdin())
  } else {
    std::fs::read_to_string(file)
  };
  text.map_err(|error| CtlError::usage(format!("{flag} {}: {error}", file.display())))
}

fn parameters(options: &RunOptions) -> Result<Option<Value>, CtlError> {
  let pairs = &options.param;
  if pairs.is_empty() && options.param_file.is_none() {
    return Ok(None);
  }
  let mut fields = match &options.param_file {
    Some(file) => {
      let text = read(file, "--param-file")?;
      serde_saphyr::from_str::<Map<String, Value>>(&text).map_err(|error| {
        CtlError::usage(format!("--param-file {} is no object", file.display()))
          .fact(error.to_string())
      })?
    }
    None => Map::new(),
  };
  fields.extend(pairs_of(pairs)?);
  Ok(Some(Value::Object(fields)))
}

/// `K=V` and `K:=JSON` as fields.
///
/// # Errors
/// For a value that is no JSON.
pub fn pairs_of(pairs: &[(String, String)]) -> Result<Map<String, Value>, CtlError> {
  let mut fields = Map::new();
  for (key, text) in pairs {
    let (key, value) = match key.strip_suffix(':') {
      Some(key) => {
        let value = serde_json::from_str(text)
          .map_err(|error| CtlError::usage(format!("parameter {key}:= is no JSON: {error}")))?;
        (key, value)
      }
      None => (key.as_str(), Value::String(text.clone())),
    };
    fields.insert(key.to_owned(), value);
  }
  Ok(fields)
}

/// Whether the job's own settings must be changed for this run.
pub fn changes_settings(options: &RunOptions) -> bool {
  options.retries.is_some()
    || options.timeout_task.is_some()
    || options.dir.is_some()
    || options.run_as.is_some()
    || !options.secrets.is_empty()
    || !options.files.is_empty()
    || options.agent.is_some()
    || options.broadcast.is_some()
    || !options.require.is_empty()
    || options.job_version.is_some()
}

/// The job's settings with this run's changes.
pub fn changed(config: &TaskConfig, options: &RunOptions) -> TaskConfig {
  let mut config = config.clone();
  change(&mut config, options);
  config
}

fn change(config: &mut TaskConfig, options: &RunOptions) {
  if let Some(retries) = options.retries {
    config.max_retries = Some(i64::from(retries));
  }
  if let Some(timeout) = options.timeout_task {
    config.timeout = Some(Seconds(timeout));
  }
  if let Some(agent) = &options.agent {
    config.selector.insert("agent", agent.clone());
  }
  for selector in &options.require {
    config.selector.replace(selector.clone());
  }
  if let Some(broadcast) = options.broadcast {
    let success = options.success.unwrap_or(broadcast.success);
    config.broadcast = Some(Broadcast { success, ..broadcast });
    config.stagger_secs = options.stagger.map(Seconds).or(config.stagger_secs);
  }
  if let Some(dir) = &options.dir {
    config.working_directory = Some(dir.clone());
  }
  if let Some(user) = &options.run_as {
    config.run_as = Some(user.clone());
  }
  let more = options.secrets.iter().filter(|name| !config.secrets.contains(name));
  let more: Vec<String> = more.cloned().collect();
  config.secrets.extend(more);
}

/// Files of this run; one that has the place of a file of the job stands in its place.
pub fn give_files(config: &mut TaskConfig, files: Vec<InputFile>) {
  if files.is_empty() {
    return;
  }
  let inputs = &mut config.artifacts.get_or_insert_default().inputs;
  inputs.retain(|own| files.iter().all(|file| file.target() != own.target()));
  inputs.extend(files);
}

/// The settings of a command without a job.
///
/// # Errors
/// When the text cannot be cut into words.
pub fn command(text: &str, args: &RunArgs) -> Result<TaskConfig, CtlError> {
  let runtime = args.options.runtime.unwrap_or(ExecuteCommand::Bash);
  let mut config = TaskConfig::default();
  match runtime {
    ExecuteCommand::Bash if args.args.is_empty() => config.command = Some(text.to_owned()),
    ExecuteCommand::Bash | ExecuteCommand::Python | ExecuteCommand::Node | ExecuteCommand::Uv => {
      config.cmd = Some(runtime);
      config.script = Some(text.to_owned());
      config.args = args.args.clone();
    }
    other => {
      config.cmd = Some(other);
      config.args = split_words(text).map_err(|error| CtlError::usage(format!("--cmd {error}")))?;
      config.args.extend(args.args.iter().cloned());
    }
  }
  change(&mut config, &args.options);
  Ok(config)
}

#[cfg(test)]
mod tests {
  use super::*;

  fn of(pairs: &[(String, String)]) -> RunOptions {
    RunOptions { param: pairs.to_vec(), ..RunOptions::default() }
  }

  #[test]
  fn many_requests_as_one_need_a_window() {
    let key = Some("{{ params.who }}".to_owned());
    let alone = RunOptions { dedup_key: key.clone(), ..RunOptions::default() };
    assert_eq!(dedup(&alone).expect_err("no window").exit, 2);
    let minute = std::time::Duration::from_secs(60);
    let both =
      RunOptions { throttle: Some(minute), dedup_key: key.clone(), ..RunOptions::default() };
    let wanted =
      Dedup { mode: DedupMode::Throttle, key, window_secs: Seconds(minute), max_wait_secs: None };
    assert_eq!(dedup(&both).expect("fine"), Some(wanted));
  }

  #[test]
  fn parameters_are_text_unless_they_say_json() {
    let pairs = [("a".to_owned(), "7".to_owned()), ("b:".to_owned(), "7".to_owned())];
    assert_eq!(
      parameters(&of(&pairs)).expect("fine"),
      Some(serde_json::json!({ "a": "7", "b": 7 }))
    );
    assert_eq!(parameters(&of(&[("b:".to_owned(), "x".to_owned())])).expect_err("no JSON").exit, 2);
  }
}
