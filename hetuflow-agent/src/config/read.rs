//! Reading the settings key by key.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use hetuflow_core::config_text::{ConfigText, Problem};
use hetuflow_core::{
  AgentId, LogPolicy, NamespaceId, OUTPUTS_BYTES_MAX, check_labels, is_reserved_label,
};
use url::Url;

use super::confine::confine;
use super::lookup::Source;
use super::{
  AgentSettings, ConnectionSection, Loaded, LogSection, PollingSection, ProcessSection,
  ResourcesSection, Settings, TaskType, TasksOnStop,
};

const MILLI: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_secs(60);
/// Least memory for output: a few chunks must fit.
const OUTPUT_BUFFER_MIN: u64 = 1 << 20;

/// Reads everything.
pub fn read(source: Source) -> Result<Loaded, Vec<Problem>> {
  let state_dir = source.default_state_dir();
  let overrides = source.environment.clone().into_iter();
  let mut text = ConfigText::new(&source.file, &source.text, overrides);
  if let Some(server) = source.environment.get("SERVER_URL").filter(|url| !url.is_empty()) {
    text.set(
      "agent.connection.server_base_url",
      server.as_str(),
      "environment variable SERVER_URL",
    );
  }
  let agent = agent(&mut text, &state_dir);
  let state_dir = agent.state_dir.clone();
  let settings = Settings {
    agent,
    connection: connection(&mut text),
    polling: polling(&mut text),
    resources: resources(&mut text),
    process: process(&mut text, &state_dir, source.default_runtime_dir()),
    task_types: task_types(&mut text, &source.text),
    log: log(&mut text, &state_dir),
  };
  Ok(Loaded { settings, origins: text.finish()? })
}

fn agent(text: &mut ConfigText, state_dir: &std::path::Path) -> AgentSettings {
  let state_dir = path(text, "agent.state_dir", state_dir.to_owned());
  let work_dir = path(text, "agent.work_dir", state_dir.join("work"));
  let agent_id = text.optional_text("agent.agent_id").filter(|id| !id.is_empty());
  if let Some(Err(error)) = agent_id.as_deref().map(AgentId::new) {
    text.problem("agent.agent_id", error.to_string(), Some("\"web-1\""));
  }
  let namespaces = text.list("agent.namespaces");
  for name in &namespaces {
    if let Err(error) = NamespaceId::new(name.as_str()) {
      text.problem("agent.namespaces", error.to_string(), Some("[\"default\"]"));
    }
  }
  let labels = text.map("agent.labels");
  let mut errors = Vec::new();
  check_labels(&labels, "agent.labels", &mut errors);
  for key in labels.keys().filter(|key| is_reserved_label(key)) {
    let message = format!("\"{key}\" is told by the agent itself");
    text.problem("agent.labels", message, Some("another name"));
  }
  for error in errors {
    text.problem(&error.field.replace('/', "."), error.message, error.hint.as_deref());
  }
  AgentSettings {
    agent_id,
    name: text.text("agent.name", ""),
    namespaces,
    labels,
    metadata: text.map("agent.metadata"),
    work_dir,
    state_dir,
    token: token(text),
    allow_root_tasks: text.flag("agent.allow_root_tasks", false),
    run_as_allow: text.list("agent.run_as_allow"),
    commands_allow: commands_allow(text),
    tasks_on_stop: match text.text("agent.tasks_on_stop", "keep").as_str() {
      "keep" => TasksOnStop::Keep,
      "stop" => TasksOnStop::Stop,
      other => {
        text.problem(
          "agent.tasks_on_stop",
          format!("\"{other}\" is not known"),
          Some("\"keep\" or \"stop\""),
        );
        TasksOnStop::Keep
      }
    },
    shutdown_grace: text.duration(
      "agent.shutdown_grace",
      Duration::from_secs(5),
      Duration::ZERO..=60 * MINUTE,
    ),
  }
}

/// A program by its name, by its whole path, or the folder that it is in.
fn commands_allow(text: &mut ConfigText) -> Vec<String> {
  const KEY: &str = "agent.commands_allow";
  let list = text.list(KEY);
  let is_path = |entry: &str| entry.starts_with('/') && !entry.split('/').any(|part| part == "..");
  for entry in
    list.iter().filter(|entry| entry.is_empty() || entry.contains('/') && !is_path(entry))
  {
    let message = format!("\"{entry}\" is neither a name nor a whole path");
    text.problem(KEY, message, Some("[\"bash\", \"/usr/local/bin/backup\", \"/opt/jobs/\"]"));
  }
  list
}

fn token(text: &mut ConfigText) -> String {
  let token = text.optional_text("agent.token").unwrap_or_default();
  let file = text.optional_text("agent.token_file").filter(|file| !file.is_empty());
  let Some(file) = file else { return token };
  if !token.is_empty() {
    text.problem("agent.token_file", "stands beside agent.token", Some("give one of them"));
  }
  match std::fs::read_to_string(&file) {
    Ok(read) if !read.trim().is_empty() => read.trim().to_owned(),
    Ok(_) => {
      text.problem("agent.token_file", format!("{file} is empty"), None);
      String::new()
    }
    Err(error) => {
      text.problem("agent.token_file", format!("{file} cannot be read: {error}"), None);
      String::new()
    }
  }
}

fn connection(text: &mut ConfigText) -> ConnectionSection {
  const BASE: &str = "agent.connection.server_base_url";
  const MANY: &str = "agent.connection.servers";
  let many = text.list(MANY);
  let given = text.optional_text(BASE);
  if given.is_some() && !many.is_empty() {
    text.problem(MANY, "stands beside server_base_url", Some("give one of them"));
  }
  let key = if many.is_empty() { BASE } else { MANY };
  let urls =
    if many.is_empty() { vec![given.unwrap_or_else(|| DEFAULT_SERVER.to_owned())] } else { many };
  let mut servers = Vec::new();
  for url in urls {
    match Url::parse(&url) {
      Ok(url) if url.has_host() && matches!(url.scheme(), "http" | "ws") => servers.push(url),
      Ok(url) if matches!(url.scheme(), "https" | "wss") => {
        text.problem(key, "this build has no TLS", Some("\"http://HOST:8080\""));
      }
      _ => text.problem(key, format!("\"{url}\" is no server's URL"), Some("\"http://HOST:8080\"")),
    }
  }
  let waits: RangeInclusive<Duration> = MILLI..=10 * MINUTE;
  let secs = Duration::from_secs;
  let mut time = |name: &str, default| {
    text.duration(&format!("agent.connection.{name}"), default, waits.clone())
  };
  let section = ConnectionSection {
    servers,
    connect_timeout: time("connect_timeout", secs(10)),
    heartbeat_interval: time("heartbeat_interval", secs(5)),
    reconnect_base: time("reconnect_base", Duration::from_millis(500)),
    reconnect_max: time("reconnect_max", secs(15)),
    takeover_grace: time("takeover_grace", secs(15)),
  };
  if section.reconnect_max < section.reconnect_base {
    text.problem("agent.connection.reconnect_max", "is shorter than reconnect_base", None);
  }
  section
}

/// Where a server listens if nobody says.
const DEFAULT_SERVER: &str = "http://127.0.0.1:8080";

fn polling(text: &mut ConfigText) -> PollingSection {
  let count = |value: i64| u32::try_from(value).unwrap_or(u32::MAX);
  PollingSection {
    max_concurrent_tasks: count(text.integer(
      "agent.polling.max_concurrent_tasks",
      20,
      1..=100_000,
    )),
    queue_depth_max: count(text.integer("agent.polling.queue_depth_max", 2000, 0..=100_000)),
  }
}

fn resources(text: &mut ConfigText) -> ResourcesSection {
  ResourcesSection {
    cpu: text.integer("agent.resources.cpu", 0, 0..=100_000),
    memory_mb: text.integer("agent.resources.memory_mb", 0, 0..=1 << 40),
  }
}

fn process(
  text: &mut ConfigText,
  state_dir: &std::path::Path,
  runtime_dir: Option<PathBuf>,
) -> ProcessSection {
  let run_base_dir = path(text, "agent.process.run_base_dir", state_dir.join("runs"));
  // Several agents may share it, and each clears what it has left behind.
  let own = format!("{:08x}", crc32fast::hash(state_dir.as_os_str().as_encoded_bytes()));
  let runtime_dir = runtime_dir.unwrap_or_else(|| state_dir.join("private"));
  let section = ProcessSection {
    run_base_dir,
    runtime_dir: path(text, "agent.process.runtime_dir", runtime_dir).join(own),
    output_buffer: text.size("agent.process.output_buffer", 64 << 20),
    log_policy: log_policy(text),
    result_size_max: text.size("agent.process.result_size_max", 64 << 10),
    mask_secrets: text.flag("agent.process.mask_secrets", true),
    artifact_size_max: text.size("agent.process.artifact_size_max", 256 << 20),
    artifact_total_max: text.size("agent.process.artifact_total_max", 1 << 30),
    input_size_max: text.size("agent.process.input_size_max", 256 << 20),
    input_total_max: text.size("agent.process.input_total_max", 1 << 30),
    input_cache_max: text.size("agent.process.input_cache_max", 1 << 30),
    input_fetch_timeout: text.duration(
      "agent.process.input_fetch_timeout",
      Duration::from_secs(600),
      Duration::from_secs(1)..=Duration::from_secs(86_400),
    ),
    output_flush_interval: text.duration(
      "agent.process.output_flush_interval",
      Duration::from_millis(50),
      MILLI..=Duration::from_secs(10),
    ),
    confine: confine(text),
    journal_sync: text.flag("agent.process.journal_sync", false),
    noop: text.flag("agent.process.noop", false),
  };
  if !(OUTPUT_BUFFER_MIN..=1 << 40).contains(&section.output_buffer) {
    text.problem("agent.process.output_buffer", "is out of range", Some("\"1MiB\" or more"));
  }
  if section.result_size_max > OUTPUTS_BYTES_MAX as u64 {
    text.problem("agent.process.result_size_max", "is out of range", Some("\"256KiB\" or less"));
  }
  if section.noop && !cfg!(feature = "bench") {
    text.problem("agent.process.noop", "this build has no no-op executor", Some("false"));
  }
  section
}

fn log_policy(text: &mut ConfigText) -> LogPolicy {
  const KEY: &str = "agent.process.log_policy";
  let given = text.text(KEY, LogPolicy::default().as_str());
  given.parse().unwrap_or_else(|_| {
    text.problem(
      KEY,
      format!("\"{given}\" is not known"),
      Some("\"block\", \"head_tail\" or \"drop\""),
    );
    LogPolicy::default()
  })
}

fn task_types(text: &mut ConfigText, source: &str) -> BTreeMap<String, TaskType> {
  // The names are data, so they are looked up in the text itself.
  let table: toml::Table = source.parse().unwrap_or_default();
  let found = table.get("agent").and_then(|agent| agent.get("task_types"));
  let names = found.and_then(toml::Value::as_table).into_iter().flat_map(toml::Table::keys);
  let mut types = BTreeMap::new();
  for name in names {
    let key = |field: &str| format!("agent.task_types.{name}.{field}");
    let cmd = text.text(&key("cmd"), "");
    if cmd.is_empty() {
      text.problem(&key("cmd"), "names no program", Some("\"/usr/local/bin/handler\""));
    }
    if cmd.contains('/') && !cmd.starts_with('/') {
      // A job may name the folder that it runs in.
      let message = format!("\"{cmd}\" is neither a name nor a whole path");
      text.problem(&key("cmd"), message, Some("\"/usr/local/bin/handler\""));
    }
    let args = text.list(&key("args"));
    let cwd = text.optional_text(&key("cwd"));
    types.insert(name.clone(), TaskType { cmd, args, cwd });
  }
  types
}

fn log(text: &mut ConfigText, state_dir: &std::path::Path) -> LogSection {
  let level = text.text("log.level", "info");
  if let Err(error) = level.parse::<tracing_subscriber::filter::Targets>() {
    text.problem("log.level", error.to_string(), Some("\"info\" or \"debug\""));
  }
  let format = text.text("log.format", "text");
  if !matches!(format.as_str(), "text" | "json") {
    text.problem("log.format", format!("\"{format}\" is not known"), Some("\"text\" or \"json\""));
  }
  LogSection {
    level,
    json: format == "json",
    dir: path(text, "log.dir", state_dir.join("log")),
    keep: usize::try_from(text.integer("log.keep", 7, 1..=1000)).unwrap_or(7),
    name: "hetuflow-agent",
    stderr: true,
  }
}

/// A folder; it must be absolute, since tasks are started elsewhere.
fn path(text: &mut ConfigText, key: &str, default: PathBuf) -> PathBuf {
  let given = PathBuf::from(text.text(key, &default.to_string_lossy()));
  if given.is_absolute() {
    return given;
  }
  std::path::absolute(&given).unwrap_or_else(|_| {
    text.problem(key, "is no usable path", Some("\"/var/lib/hetuflow-agent\""));
    default
  })
}

#[cfg(test)]
mod tests {
  use super::*;
  use crate::config::load;

  fn source(text: &str) -> Source {
    let environment = [("HOME", "/home/x")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    Source { file: "a.toml".to_owned(), text: text.to_owned(), environment: environment.into() }
  }

  #[test]
  fn defaults_need_no_file() {
    let settings = load(source("")).expect("defaults").settings;
    assert_eq!(settings.connection.servers[0].as_str(), "http://127.0.0.1:8080/");
    assert_eq!(settings.agent.state_dir, PathBuf::from("/home/x/.hetuflow/agent"));
    assert_eq!(settings.process.run_base_dir, PathBuf::from("/home/x/.hetuflow/agent/runs"));
    assert_eq!(settings.polling.max_concurrent_tasks, 20);
  }

  #[test]
  fn every_problem_is_told_at_once() {
    let text = "[agent]\nagent_id = \"a b\"\nlables = 1\n[agent.connection]\n\
      servers = [\"https://h\"]\nconnect_timeout = 5\n[agent.polling]\nmax_concurrent_tasks = 0\n\
      [agent.task_types.mail]\nargs = [\"x\"]\n[log]\nformat = \"xml\"\n";
    let problems = load(source(text)).expect_err("problems");
    let mut keys: Vec<_> = problems.iter().map(|problem| problem.key.as_str()).collect();
    keys.sort_unstable();
    assert_eq!(
      keys,
      [
        "agent.agent_id",
        "agent.connection.connect_timeout",
        "agent.connection.servers",
        "agent.lables",
        "agent.polling.max_concurrent_tasks",
        "agent.task_types.mail.cmd",
        "log.format",
      ]
    );
    assert!(problems.iter().any(|problem| problem.place.starts_with("a.toml:2:")), "{problems:?}");
  }

  #[test]
  fn the_environment_wins() {
    let mut source = source("[agent]\nagent_id = \"file\"\n[agent.labels]\nzone = \"a\"\n");
    for (key, value) in [("HETUFLOW__AGENT__AGENT_ID", "env"), ("SERVER_URL", "http://h:1")] {
      source.environment.insert(key.to_owned(), value.to_owned());
    }
    let loaded = load(source).expect("valid");
    assert_eq!(loaded.settings.agent.agent_id.as_deref(), Some("env"));
    assert_eq!(loaded.settings.connection.servers[0].as_str(), "http://h:1/");
    assert_eq!(loaded.settings.agent.labels["zone"], "a");
    let origin = loaded.origins.iter().find(|one| one.key == "agent.agent_id").expect("shown");
    assert!(origin.origin.contains("HETUFLOW__AGENT__AGENT_ID"));
  }

  #[test]
  fn task_types_are_read() {
    let text =
      "[agent.task_types.\"mail.send\"]\ncmd = \"/opt/m\"\nargs = [\"-x\"]\ncwd = \"/opt\"\n";
    let types = load(source(text)).expect("valid").settings.task_types;
    assert_eq!(types["mail.send"].args, ["-x"]);
  }

  #[test]
  fn the_token_is_read_from_its_file_and_never_shown() {
    let dir = tempfile::tempdir().expect("dir");
    let file = dir.path().join("token");
    std::fs::write(&file, "hf_secret\n").expect("written");
    let text = format!("[agent]\ntoken_file = \"{}\"\n", file.display());
    let loaded = load(source(&text)).expect("valid");
    assert_eq!(loaded.settings.agent.token, "hf_secret");
    assert!(!format!("{loaded:?}").contains("hf_secret"));
  }
}
