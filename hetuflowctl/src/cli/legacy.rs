//! `legacy`: the commands of the first version, as a thin client of its routes without a version.

use clap::{Args, Subcommand};
use serde_json::Value;

/// Commands of the first version.
#[derive(Debug, Subcommand)]
pub enum LegacyVerb {
  /// Make a task of a type that some agent knows; prints its id
  CreateTask(LegacyTask),
  /// List tasks, newest first
  ListTasks(LegacyTasks),
  /// Make a job that a cron expression starts; prints its id
  CreateCronJob(LegacyCronJob),
  /// List agents
  ListAgents(LegacyAgents),
  /// Make a task that is due now, for agents with certain capabilities; prints its id
  DispatchTask(LegacyDispatch),
}

/// A task.
#[derive(Debug, Clone, Args)]
pub struct LegacyTask {
  /// Its name
  #[arg(long)]
  pub name: String,
  /// What agents call this kind of work
  #[arg(long)]
  pub task_type: String,
  /// low, normal, high, critical, or a number; higher is claimed first
  #[arg(long, default_value = "normal", value_name = "PRIORITY", allow_hyphen_values = true, value_parser = read_priority)]
  pub priority: Value,
  /// What the work is given
  #[arg(long, default_value = "{}", value_name = "JSON", value_parser = read_json)]
  pub payload: Value,
}

/// Which tasks.
#[derive(Debug, Clone, Args)]
pub struct LegacyTasks {
  /// In this state
  #[arg(long)]
  pub status: Option<String>,
  /// Of this type
  #[arg(long)]
  pub task_type: Option<String>,
  /// At most so many rows
  #[arg(long, value_name = "N", default_value_t = 50)]
  pub limit: u32,
}

/// A job with its schedule.
#[derive(Debug, Clone, Args)]
pub struct LegacyCronJob {
  /// Its name
  #[arg(long)]
  pub name: String,
  /// Five fields: minute, hour, day, month, weekday
  #[arg(long)]
  pub cron_expression: String,
  /// What agents call this kind of work
  #[arg(long)]
  pub task_type: String,
  /// What the work is given
  #[arg(long, default_value = "{}", value_name = "JSON", value_parser = read_json)]
  pub payload: Value,
  /// Made, but not started by its schedule
  #[arg(long)]
  pub disabled: bool,
  /// The zone of the expression; UTC where not said
  #[arg(long, value_name = "ZONE")]
  pub timezone: Option<String>,
}

/// Which agents.
#[derive(Debug, Clone, Args)]
pub struct LegacyAgents {
  /// Only those that are connected
  #[arg(long)]
  pub online: bool,
}

/// A task for whoever has what it needs.
#[derive(Debug, Clone, Args)]
pub struct LegacyDispatch {
  /// What agents call this kind of work
  #[arg(long)]
  pub task_type: String,
  /// Its name; the type where not said
  #[arg(long)]
  pub name: Option<String>,
  /// What the work is given
  #[arg(long, default_value = "{}", value_name = "JSON", value_parser = read_json)]
  pub payload: Value,
  /// What an agent must be able to do, all of it: A B, or A,B, or said again
  #[arg(long, value_name = "NAME", num_args = 1.., value_delimiter = ',', required = true)]
  pub capabilities: Vec<String>,
  /// Wait until it ends; exit 0 or 12
  #[arg(long)]
  pub wait: bool,
}

fn read_json(text: &str) -> Result<Value, String> {
  serde_json::from_str(text).map_err(|error| format!("no JSON: {error}; write it as '{{\"a\":1}}'"))
}

fn read_priority(text: &str) -> Result<Value, String> {
  match text {
    "low" | "normal" | "high" | "critical" => Ok(text.into()),
    _ => text
      .parse::<i64>()
      .map(Value::from)
      .map_err(|_| "low, normal, high, critical, or a whole number".to_owned()),
  }
}
