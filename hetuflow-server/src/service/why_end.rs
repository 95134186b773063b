//! Why a task ended as it did: what happened, the facts behind it, and the setting that decides.

use std::time::Duration;

use hetuflow_core::{TaskConfig, TaskEntity, TaskStatus, TaskWhy, format_duration};

/// Fills in what is known about the end.
pub(super) fn tell_end(why: &mut TaskWhy, task: &TaskEntity, config: &TaskConfig) {
  if task.status == TaskStatus::Succeeded {
    return;
  }
  let reason = task.reason.as_deref().unwrap_or_default();
  let (text, knob) = cause(task, config, reason);
  if !text.is_empty() {
    why.text = format!("{}: {text}", why.text);
  }
  why.facts = facts(task, config);
  why.knob = knob;
}

fn inner(reason: &str) -> &str {
  reason.split_once('(').map_or("", |(_, rest)| rest.trim_end_matches(')'))
}

fn secs(limit: Option<Duration>) -> String {
  limit.map_or_else(|| "none".to_owned(), format_duration)
}

/// What happened, in words, and the setting that decides about it.
fn cause(task: &TaskEntity, config: &TaskConfig, reason: &str) -> (String, Option<String>) {
  let knob = |text: &str| Some(text.to_owned());
  let limits = config.resource_limits.as_ref();
  let name = reason.split('(').next().unwrap_or_default();
  match name {
    "exit_code" => {
      let code = inner(reason);
      let hint = match code {
        "126" => ", as a program that cannot be run does",
        "127" => ", as a command that was not found does",
        _ => "",
      };
      let text = format!("its process ended by itself with exit code {code}{hint}");
      (text, retries(config, reason))
    }
    "signal" => {
      (format!("its process was ended by signal {}", inner(reason)), retries(config, reason))
    }
    "timed_out" => {
      let limit = secs(config.time_limit());
      let text = format!("it ran for longer than its time limit of {limit}");
      (text, Some(format!("timeout (now {limit})")))
    }
    "oom_killed" => {
      let limit = limits.and_then(|limits| limits.max_memory_mb);
      let limit = limit.map_or_else(|| "the host's".to_owned(), |mb| format!("{mb} MiB"));
      let text = format!("the kernel killed it for want of memory; its limit is {limit}");
      (text, knob("resource_limits.max_memory_mb"))
    }
    "limit" => {
      let which = inner(reason);
      let key = match which {
        "memory" => "max_memory_mb",
        "pids" => "max_processes",
        "cpu" => "max_cpu_percent or max_cpu_secs",
        _ => "max_file_mb",
      };
      let text = format!("it went over its limit of {which}");
      (text, Some(format!("resource_limits.{key}, or the agent's [agent.process.limits]")))
    }
    "spawn_failed" => {
      let text = format!("its program could not be started ({})", inner(reason));
      (text, knob("cmd, args, working_directory and run_as of the job, or the host"))
    }
    "not_started" => match inner(reason) {
      "expired" => expired(config),
      "refused" => ("its agent refused it".to_owned(), knob("the agent's own settings")),
      "capacity" => (
        "its agent's host had no room for another process, again and again".to_owned(),
        knob("the host's limits of files and processes (ulimit -n, -u), max_concurrent_tasks"),
      ),
      "disk" => (
        "a disk of its agent's host was full, read-only or failing, again and again".to_owned(),
        knob("the disk of the agent's state_dir and work_dir"),
      ),
      "disconnected" => (
        "its agent had no server for as long as it may run without one, again and again".to_owned(),
        knob("disconnect.stop_after of the job, or the link of its agent"),
      ),
      "clock_drift" => (
        "its agent's clock does not run as fast as the server's".to_owned(),
        knob("the time service of the agent's host (exclusive delivery counts time on both)"),
      ),
      why if why.starts_with("input_") => (
        format!("it could not have a file that it is to find ({why})"),
        knob("artifacts.in of the job, and agent.process.input_* of the agent"),
      ),
      other => (format!("its agent did not start it ({other})"), retries(config, reason)),
    },
    "start deadline passed" => expired(config),
    "lost" => {
      let text = match inner(reason) {
        "unreachable" => "its agent was silent for too long",
        "host_reboot" => "its agent's host was started anew",
        "agent_data_lost" => "its agent came back without its memory",
        _ => "nobody knows whether it was started",
      };
      let text = format!("{text}; how it ended is not known");
      (text, knob("max_retries and delivery (another attempt), disconnect.lost_after"))
    }
    "broadcast" => {
      let text = format!("its rule was not met: {}", inner(reason));
      (text, knob("broadcast.success; hetuflowctl task tree names the tasks"))
    }
    "cancelled" | "skipped" => (format!("asked for by {}", inner(reason)), None),
    "exit_unknown" => ("its process ended, and its code could not be read".to_owned(), None),
    _ if task.status == TaskStatus::Expired => expired(config),
    _ => (reason.to_owned(), None),
  }
}

fn expired(config: &TaskConfig) -> (String, Option<String>) {
  let limit = secs(config.start_deadline_secs.map(|secs| secs.0));
  let text = format!("it had not started {limit} after its instant");
  (text, Some(format!("start_deadline_secs (now {limit}), or more room for it")))
}

fn retries(config: &TaskConfig, reason: &str) -> Option<String> {
  let told = format!("max_retries (now {})", config.retries());
  let unlisted = config.retry.as_ref().is_some_and(|policy| {
    policy.no_retry_on.iter().any(|one| one == reason)
      || !policy.retry_on.is_empty() && !policy.retry_on.iter().any(|one| one == reason)
  });
  Some(if unlisted {
    format!("{told}; retry.retry_on and no_retry_on leave {reason} out")
  } else {
    told
  })
}

fn facts(task: &TaskEntity, config: &TaskConfig) -> Vec<String> {
  let mut facts = Vec::new();
  if let Some(agent) = &task.agent_id {
    let took = match (task.started_at, task.completed_at) {
      (Some(from), Some(to)) => {
        let millis = to.since(from).as_millis() as u64;
        format!(", and ran for {}", format_duration(Duration::from_millis(millis)))
      }
      _ => ", and was not started".to_owned(),
    };
    facts.push(format!("it was on {agent}{took}"));
  }
  if task.attempt > 0 {
    facts.push(format!("attempt {} of {}", task.attempt, config.retries() + 1));
  }
  let message = task.error_message.as_deref().unwrap_or_default().trim();
  if !message.is_empty() {
    let line: String = message.lines().next_back().unwrap_or_default().chars().take(200).collect();
    facts.push(format!("it was told: {line}"));
  }
  facts
}
