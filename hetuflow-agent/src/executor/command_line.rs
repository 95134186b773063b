//! From a task's config to the words of its command line. Pure.

use hetuflow_core::{ExecuteCommand, TaskConfig};

use crate::config::TaskType;

/// What to run, before anything is looked up on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
  /// The program, by name or path.
  pub program: String,
  /// Its arguments; [`SCRIPT_PLACE`] stands for the script's path.
  pub args: Vec<String>,
  /// The inline script: the file's name, and its text.
  pub script: Option<(&'static str, String)>,
  /// Where it runs, if the command says so.
  pub directory: Option<String>,
}

/// Stands for the path of the script's file, which is known when it is written; no argument of a
/// task can be equal, since none holds a NUL byte.
pub const SCRIPT_PLACE: &str = "\0script";

/// Why there is nothing to run.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
  /// Neither command nor script nor arguments.
  #[error("nothing to run")]
  Empty,
  /// The task type is not in this agent's config.
  #[error("task type {0} is not served here")]
  UnknownTaskType(String),
  /// The program takes no inline script.
  #[error("{0} takes no inline script")]
  NoScript(ExecuteCommand),
}

/// Builds the command line; `find` knows the agent's task types.
///
/// # Errors
/// [`CommandError`] when the config names nothing that can run here.
pub fn command_line<'a>(
  config: &TaskConfig,
  find: impl Fn(&str) -> Option<&'a TaskType>,
) -> Result<CommandLine, CommandError> {
  if let Some(command) = &config.command {
    let args = vec!["-c".to_owned(), command.clone()];
    return Ok(CommandLine { program: "bash".to_owned(), args, script: None, directory: None });
  }
  let runtime = config.program();
  if runtime == ExecuteCommand::Handler {
    return handler(config, find);
  }
  if let Some(script) = &config.script {
    return scripted(runtime, script, &config.args);
  }
  let (program, args) = match (runtime, config.args.split_first()) {
    (_, None) => return Err(CommandError::Empty),
    (ExecuteCommand::Exec, Some((program, args))) => (program.clone(), args.to_vec()),
    (ExecuteCommand::Uv, Some(_)) => {
      let run = std::iter::once("run".to_owned());
      ("uv".to_owned(), run.chain(config.args.iter().cloned()).collect())
    }
    (runtime, Some(_)) => (program_of(runtime).to_owned(), config.args.clone()),
  };
  Ok(CommandLine { program, args, script: None, directory: None })
}

fn handler<'a>(
  config: &TaskConfig,
  find: impl Fn(&str) -> Option<&'a TaskType>,
) -> Result<CommandLine, CommandError> {
  let name = config.task_type.as_deref().unwrap_or_default();
  let found = find(name).ok_or_else(|| CommandError::UnknownTaskType(name.to_owned()))?;
  Ok(CommandLine {
    program: found.cmd.clone(),
    args: found.args.iter().chain(&config.args).cloned().collect(),
    script: None,
    directory: found.cwd.clone(),
  })
}

fn scripted(
  runtime: ExecuteCommand,
  script: &str,
  more: &[String],
) -> Result<CommandLine, CommandError> {
  let (file, before): (_, &[&str]) = match runtime {
    ExecuteCommand::Bash => ("script.sh", &[]),
    ExecuteCommand::Python => ("script.py", &[]),
    ExecuteCommand::Node => ("script.js", &[]),
    ExecuteCommand::Uv => ("script.py", &["run"]),
    other => return Err(CommandError::NoScript(other)),
  };
  let words = before.iter().copied().chain([SCRIPT_PLACE]).map(str::to_owned);
  Ok(CommandLine {
    program: program_of(runtime).to_owned(),
    args: words.chain(more.iter().cloned()).collect(),
    script: Some((file, script.to_owned())),
    directory: None,
  })
}

/// The program's name; `exec` and `handler` bring their own.
const fn program_of(runtime: ExecuteCommand) -> &'static str {
  match runtime {
    ExecuteCommand::Python => "python3",
    other => other.as_str(),
  }
}

#[cfg(test)]
mod tests {
  use super::*;

  fn words(json: &str) -> Result<String, CommandError> {
    let config: TaskConfig = serde_json::from_str(json).expect("config");
    let mail = TaskType {
      cmd: "/opt/mail".to_owned(),
      args: vec!["--fast".to_owned()],
      cwd: Some("/opt".to_owned()),
    };
    let line = command_line(&config, |name| (name == "mail").then_some(&mail))?;
    let script = line.script.map(|(file, _)| file).unwrap_or_default();
    let words: Vec<String> = line
      .args
      .iter()
      .map(|arg| if arg == SCRIPT_PLACE { script.to_owned() } else { arg.clone() })
      .collect();
    Ok(format!("{}|{}", line.program, words.join("|")))
  }

  #[test]
  fn each_runtime_has_its_form() {
    for (json, expected) in [
      (r#"{"command":"echo 'a b' | wc"}"#, "bash|-c|echo 'a b' | wc"),
      (r#"{"args":["-ec","true"]}"#, "bash|-ec|true"),
      (r#"{"cmd":"bash","script":"exit 3","args":["x"]}"#, "bash|script.sh|x"),
      (r#"{"cmd":"python","args":["-m","http.server"]}"#, "python3|-m|http.server"),
      (r#"{"cmd":"python","script":"print()"}"#, "python3|script.py"),
      (r#"{"cmd":"node","script":"1","args":["a"]}"#, "node|script.js|a"),
      (r#"{"cmd":"node","args":["index.js"]}"#, "node|index.js"),
      (r#"{"cmd":"uv","args":["--with","rich","x.py"]}"#, "uv|run|--with|rich|x.py"),
      (r#"{"cmd":"uv","script":"print()"}"#, "uv|run|script.py"),
      (r#"{"cmd":"npx","args":["cowsay","hi"]}"#, "npx|cowsay|hi"),
      (r#"{"cmd":"cargo","args":["--version"]}"#, "cargo|--version"),
      (r#"{"cmd":"java","args":["-jar","a.jar"]}"#, "java|-jar|a.jar"),
      (r#"{"cmd":"exec","args":["/bin/true"]}"#, "/bin/true|"),
      (r#"{"cmd":"handler","task_type":"mail","args":["x"]}"#, "/opt/mail|--fast|x"),
    ] {
      assert_eq!(words(json).as_deref(), Ok(expected), "{json}");
    }
  }

  #[test]
  fn what_cannot_run_is_named() {
    assert_eq!(words("{}"), Err(CommandError::Empty));
    assert_eq!(words(r#"{"cmd":"exec"}"#), Err(CommandError::Empty));
    let unknown = CommandError::UnknownTaskType("fax".to_owned());
    assert_eq!(words(r#"{"cmd":"handler","task_type":"fax"}"#), Err(unknown));
    let java = CommandError::NoScript(ExecuteCommand::Java);
    assert_eq!(words(r#"{"cmd":"java","script":"x"}"#), Err(java));
  }
}
