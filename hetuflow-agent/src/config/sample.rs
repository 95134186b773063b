//! The shipped `resources/app.toml`, made from the defaults themselves.

use std::collections::HashMap;

use super::{Source, load};

/// Every key: what it is for, and an example where the default is nothing or depends on the host.
const KEYS: &[(&str, &str, Option<&str>)] = &[
  (
    "agent.agent_id",
    "Who this agent is; made at the first start and kept in state_dir.",
    Some("\"web-1\""),
  ),
  ("agent.name", "Its name for people; the host's name where empty.", None),
  ("agent.namespaces", "The namespaces it serves; the default one where empty.", None),
  ("agent.state_dir", "What it must not forget.", Some("\"/var/lib/hetuflow-agent\"")),
  (
    "agent.work_dir",
    "Folder of commands that name none.",
    Some("\"/var/lib/hetuflow-agent/work\""),
  ),
  ("agent.token", "Its credential; better in a file.", Some("\"hf_…\"")),
  ("agent.token_file", "The file with its credential.", Some("\"/etc/hetuflow/agent.token\"")),
  (
    "agent.allow_root_tasks",
    "Whether tasks may run as root where the agent itself is root; else each needs a run_as.",
    None,
  ),
  ("agent.run_as_allow", "Users as whom jobs may run (run_as), if the agent itself is root.", None),
  (
    "agent.commands_allow",
    "Programs that jobs may name: names, paths, folders that end with /; all where empty.",
    None,
  ),
  (
    "agent.tasks_on_stop",
    "What becomes of running tasks when it is asked to stop: keep (the next agent finds them) or stop.",
    None,
  ),
  ("agent.shutdown_grace", "How long running tasks may go on then, if they are stopped.", None),
  ("agent.connection.server_base_url", "Its server.", Some("\"http://127.0.0.1:8080\"")),
  (
    "agent.connection.servers",
    "Several servers, in place of server_base_url; tried one after the other.",
    None,
  ),
  ("agent.connection.connect_timeout", "Longest wait for a connection.", None),
  (
    "agent.connection.heartbeat_interval",
    "Time between heartbeats, unless the server says otherwise.",
    None,
  ),
  (
    "agent.connection.reconnect_base",
    "First wait before a new try; it doubles, with jitter.",
    None,
  ),
  ("agent.connection.reconnect_max", "No wait is longer; it tries for ever.", None),
  (
    "agent.connection.takeover_grace",
    "What waited with an agent before this one starts when a server has said that it still may; without a server after this.",
    None,
  ),
  ("agent.polling.max_concurrent_tasks", "Processes at the same time.", None),
  ("agent.polling.queue_depth_max", "Most short tasks that wait here for a slot.", None),
  (
    "agent.resources.cpu",
    "Processors for tasks that ask for them (requests.cpu); 0 is what is measured.",
    None,
  ),
  (
    "agent.resources.memory_mb",
    "Memory in MiB for tasks that ask for it (requests.memory_mb); 0 is what is measured.",
    None,
  ),
  (
    "agent.process.run_base_dir",
    "Below it each attempt with a script gets a folder.",
    Some("\"/var/lib/hetuflow-agent/runs\""),
  ),
  (
    "agent.process.runtime_dir",
    "Folders of attempts that hold secrets or belong to other users; best in memory.",
    Some("\"/run/hetuflow-agent\""),
  ),
  (
    "agent.process.output_buffer",
    "Bytes of output that may wait for the server; when full, log_policy says what happens.",
    None,
  ),
  (
    "agent.process.log_policy",
    "When output_buffer is full: block (tasks wait), head_tail (the middle is dropped), drop.",
    None,
  ),
  (
    "agent.process.result_size_max",
    "Most bytes of what a task writes to $HETUFLOW_OUTPUT, as JSON.",
    None,
  ),
  (
    "agent.process.mask_secrets",
    "Whether values of secrets, of 6 bytes and more, are written as *** in the output of their task.",
    None,
  ),
  ("agent.process.artifact_size_max", "Most bytes of one file that a task leaves.", None),
  (
    "agent.process.artifact_total_max",
    "Most bytes of all files that an attempt leaves; they are kept in state_dir until a server has them.",
    None,
  ),
  (
    "agent.process.input_size_max",
    "Most bytes of one file that a task finds when it starts.",
    None,
  ),
  ("agent.process.input_total_max", "Most bytes of all files that an attempt finds.", None),
  (
    "agent.process.input_cache_max",
    "Bytes of such files that are kept in state_dir for the next task that finds them.",
    None,
  ),
  (
    "agent.process.input_fetch_timeout",
    "Longest time that an attempt waits for its files; it takes no slot meanwhile.",
    None,
  ),
  ("agent.process.output_flush_interval", "Longest time that output waits to be sent.", None),
  (
    "agent.process.cgroups",
    "Control groups that hold tasks together: auto, v2, v1 or off; processes are searched for where none works.",
    None,
  ),
  ("agent.process.resource_monitor_interval", "Longest time between two measures of a task.", None),
  (
    "agent.process.journal_sync",
    "Whether each start is on the disk before it is made; only tells more after the host has died.",
    None,
  ),
  (
    "agent.process.noop",
    "Ends every task at once without a process; only in builds for benchmarks.",
    None,
  ),
  (
    "agent.process.limits.max_cpu_percent",
    "Processors that one attempt may use: 0.8 is 80 % of one; 0 is no limit.",
    None,
  ),
  (
    "agent.process.limits.max_memory_bytes",
    "Memory of one attempt, all its processes together; 0 is no limit.",
    None,
  ),
  (
    "agent.process.limits.max_processes",
    "Processes and threads of one attempt; 0 is no limit.",
    None,
  ),
  ("log.level", "What is worth a line: error, warn, info, debug.", None),
  ("log.format", "text or json.", None),
  ("log.dir", "Folder of daily log files.", Some("\"/var/lib/hetuflow-agent/log\"")),
  ("log.keep", "Log files that are kept.", None),
];

/// Tables whose keys are the user's own.
const TAIL: &str = r#"
# What selectors match.
# [agent.labels]
# zone = "a"

# Anything else about this agent.
# [agent.metadata]
# rack = "12"

# A program that serves a task type: parameters as JSON on stdin and in HETUFLOW_PAYLOAD.
# [agent.task_types."mail"]
# cmd = "/usr/local/bin/mail-task"
# args = []
# cwd = "/srv"
"#;

/// Whether a key is a setting of the agent.
pub fn is_setting(key: &str) -> bool {
  KEYS.iter().any(|(known, ..)| *known == key)
    || ["agent.labels", "agent.metadata", "agent.task_types"].iter().any(|table| {
      key.strip_prefix(table).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}

/// The text of `resources/app.toml`.
pub fn sample() -> String {
  let source = Source { environment: HashMap::new(), ..Source::default() };
  let defaults = load(source).map(|loaded| loaded.origins).unwrap_or_default();
  let mut text = String::from(
    "# Settings of hetuflow-agent, with their defaults. Every key can be set by an environment\n\
     # variable: HETUFLOW__AGENT__POLLING__MAX_CONCURRENT_TASKS=4.\n",
  );
  let mut section = "";
  for (key, comment, example) in KEYS {
    let (table, name) = key.rsplit_once('.').unwrap_or(("", key));
    if table != section {
      section = table;
      text.push_str(&format!("\n[{table}]\n"));
    }
    text.push_str(&format!("# {comment}\n"));
    let default = defaults.iter().find(|setting| setting.key == *key);
    match (example, default) {
      (Some(example), _) => text.push_str(&format!("# {name} = {example}\n")),
      (None, Some(setting)) => {
        text.push_str(&format!("{name} = {}\n", literal(key, &setting.value)))
      }
      (None, None) => text.push_str(&format!("# {name} =\n")),
    }
  }
  text + TAIL
}

/// A default as TOML.
fn literal(key: &str, value: &str) -> String {
  let is_list = matches!(
    key,
    "agent.namespaces" | "agent.run_as_allow" | "agent.commands_allow" | "agent.connection.servers"
  );
  let is_bare = value == "true" || value == "false" || value.parse::<i64>().is_ok();
  match (is_list, is_bare) {
    (true, _) => "[]".to_owned(),
    (_, true) => value.to_owned(),
    _ => format!("\"{value}\""),
  }
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn the_shipped_file_is_what_the_defaults_say() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/resources/app.toml");
    if std::env::var_os("HETUFLOW_TEST_BLESS").is_some() {
      std::fs::write(path, sample()).expect("written");
    }
    let shipped = std::fs::read_to_string(path).expect("resources/app.toml is there");
    assert_eq!(shipped, sample(), "run the test with HETUFLOW_TEST_BLESS=1 and look at the change");
  }

  #[test]
  fn the_sample_reads_back_as_the_defaults() {
    let source = Source { text: sample(), ..Source::default() };
    let loaded = load(source).expect("valid");
    let defaults = load(Source::default()).expect("valid");
    assert_eq!(loaded.settings, defaults.settings);
    for setting in defaults.origins {
      assert!(KEYS.iter().any(|(key, _, _)| *key == setting.key), "{} is not in it", setting.key);
    }
  }
}
