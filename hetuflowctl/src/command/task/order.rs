//! What `run` asks a server to do.

use hetuflow_core::{
  Environment, ExecuteCommand, JobEntity, NamespaceId, Seconds, TaskConfig, TaskForCreate, Ts,
};
use serde_json::{Map, Value};

use crate::cli::{RunArgs, RunOptions};
use crate::client::CtlError;

/// The task that was asked for, without job or command.
///
/// # Errors
/// When a parameter is no JSON where `:=` says so.
pub fn task(options: &RunOptions, namespace: NamespaceId) -> Result<TaskForCreate, CtlError> {
  let environment: Environment = options.env.iter().cloned().collect();
  let later = options.in_.map(|duration| Ts::now().plus(duration));
  Ok(TaskForCreate {
    namespace_id: Some(namespace),
    scheduled_at: options.at.or(later),
    priority: options.prio,
    parameters: parameters(&options.param)?,
    environment: (!environment.is_empty()).then_some(environment),
    ..TaskForCreate::default()
  })
}

fn parameters(pairs: &[(String, String)]) -> Result<Option<Value>, CtlError> {
  if pairs.is_empty() {
    return Ok(None);
  }
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
  Ok(Some(Value::Object(fields)))
}

/// Whether the job's own settings must be changed for this run.
pub fn changes_settings(options: &RunOptions) -> bool {
  options.retries.is_some() || options.timeout_task.is_some() || options.dir.is_some()
}

/// The job's settings with this run's changes.
pub fn changed(job: &JobEntity, options: &RunOptions) -> TaskConfig {
  let mut config = job.config.clone();
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
  if let Some(dir) = &options.dir {
    config.working_directory = Some(dir.clone());
  }
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
      config.args = words(text)?;
      config.args.extend(args.args.iter().cloned());
    }
  }
  change(&mut config, &args.options);
  Ok(config)
}

/// Cuts a text into words as a shell would: quotes and backslashes, no expansion.
///
/// # Errors
/// Usage, where a quote is open.
pub fn words(text: &str) -> Result<Vec<String>, CtlError> {
  let (mut all, mut word, mut quote) = (Vec::new(), None::<String>, None::<char>);
  let mut chars = text.chars();
  while let Some(c) = chars.next() {
    match (quote, c) {
      (Some(open), c) if c == open => quote = None,
      (None, '\'' | '"') => {
        quote = Some(c);
        word.get_or_insert_default();
      }
      (None | Some('"'), '\\') => {
        let Some(next) = chars.next() else {
          return Err(CtlError::usage("--cmd ends with a backslash"));
        };
        word.get_or_insert_default().push(next);
      }
      (None, c) if c.is_whitespace() => all.extend(word.take()),
      (_, c) => word.get_or_insert_default().push(c),
    }
  }
  if quote.is_some() {
    return Err(CtlError::usage("--cmd has a quote that is not closed"));
  }
  all.extend(word);
  Ok(all)
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn words_as_a_shell_cuts_them() {
    for (text, expected) in [
      ("a b  c", &["a", "b", "c"][..]),
      ("a 'b c' \"d \\\" e\" f\\ g", &["a", "b c", "d \" e", "f g"]),
      ("'' x", &["", "x"]),
      ("@/etc/passwd $HOME *", &["@/etc/passwd", "$HOME", "*"]),
      ("", &[]),
    ] {
      assert_eq!(words(text).expect(text), expected, "{text}");
    }
    assert!(words("'a").is_err());
  }

  #[test]
  fn parameters_are_text_unless_they_say_json() {
    let pairs = [("a".to_owned(), "7".to_owned()), ("b:".to_owned(), "7".to_owned())];
    assert_eq!(parameters(&pairs).expect("fine"), Some(serde_json::json!({ "a": "7", "b": 7 })));
    assert_eq!(parameters(&[("b:".to_owned(), "x".to_owned())]).expect_err("no JSON").exit, 2);
  }
}
