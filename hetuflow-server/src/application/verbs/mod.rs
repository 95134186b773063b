//! The older commands of the server's program: they ask a running server and print what it says.

mod client;
mod table;

use std::time::Duration;

use clap::{Args, Subcommand};
use hetuflow_core::{
  TaskStatus, V0Agent, V0CronJob, V0CronJobForCreate, V0Priority, V0Task, V0TaskForCreate,
};
use serde_json::Value;

use crate::config::Config;
use client::Client;
use table::Table;

pub use client::VerbError;

/// Which server, and who asks.
#[derive(Debug, Clone, Args)]
pub struct ServerArgs {
  /// The server to ask
  #[arg(
    long,
    env = "HETUFLOW_SERVER",
    value_name = "URL",
    default_value = "http://127.0.0.1:8080"
  )]
  pub server: String,
  /// File with the token; `admin.token` in the data folder where nothing is said and
  /// `$HETUFLOW_TOKEN` is not set
  #[arg(long, env = "HETUFLOW_TOKEN_FILE", value_name = "FILE")]
  pub token_file: Option<std::path::PathBuf>,
}

/// How lists are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
  /// Columns.
  Table,
  /// JSON as it came.
  Json,
}

/// The older commands.
#[derive(Debug, Clone, Subcommand)]
pub enum Verb {
  /// Make a task by its type
  CreateTask {
    /// The task.
    #[command(flatten)]
    task: NewTask,
    /// What people call it
    #[arg(long)]
    name: String,
  },
  /// List tasks, newest first
  ListTasks {
    /// The server.
    #[command(flatten)]
    at: ServerArgs,
    /// In these states, separated by commas
    #[arg(long)]
    status: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 50)]
    limit: u64,
    /// How
    #[arg(short, long, value_enum, default_value = "table")]
    output: Form,
  },
  /// Make a job with a cron schedule
  CreateCronJob {
    /// The server.
    #[command(flatten)]
    at: ServerArgs,
    /// What people call it
    #[arg(long)]
    name: String,
    /// When: five fields
    #[arg(long)]
    cron_expression: String,
    /// Which handler of an agent runs it
    #[arg(long)]
    task_type: String,
    /// What the handler reads: a JSON object
    #[arg(long, value_parser = json, default_value = "null")]
    payload: Value,
    /// It does not fire yet
    #[arg(long)]
    disabled: bool,
    /// The zone of the expression; UTC where not said
    #[arg(long)]
    timezone: Option<String>,
  },
  /// List agents
  ListAgents {
    /// The server.
    #[command(flatten)]
    at: ServerArgs,
    /// Only those that are connected
    #[arg(long)]
    online: bool,
    /// How
    #[arg(short, long, value_enum, default_value = "table")]
    output: Form,
  },
  /// Make a task that is due now, for an agent that is capable of all that is named
  DispatchTask {
    /// The task.
    #[command(flatten)]
    task: NewTask,
    /// What people call it; the type where not said
    #[arg(long)]
    name: Option<String>,
    /// What the agent must be capable of
    #[arg(long, num_args = 1.., value_delimiter = ',', required = true)]
    capabilities: Vec<String>,
    /// Wait for its end; exits with 1 unless it succeeds
    #[arg(long)]
    wait: bool,
  },
}

/// What tasks have in common.
#[derive(Debug, Clone, Args)]
pub struct NewTask {
  #[command(flatten)]
  at: ServerArgs,
  /// Which handler of an agent runs it
  #[arg(long)]
  task_type: String,
  /// low, normal, high, critical or a number
  #[arg(long, default_value = "normal", allow_hyphen_values = true)]
  priority: V0Priority,
  /// What the handler reads: any JSON
  #[arg(long, value_parser = json, default_value = "null")]
  payload: Value,
}

fn json(text: &str) -> Result<Value, String> {
  serde_json::from_str(text).map_err(|error| format!("no JSON: {error}"))
}

impl Verb {
  /// Asks, and gives what is to be printed and whether all went well.
  ///
  /// # Errors
  /// [`VerbError`] with what the server says, or why it cannot be reached.
  pub async fn run(self, config: &Config) -> Result<(String, bool), VerbError> {
    match self {
      Self::CreateTask { task, name } => {
        let made = create(config, task, (name, Vec::new())).await?.1;
        Ok((made.id.to_string(), true))
      }
      Self::DispatchTask { task, name, capabilities, wait } => {
        let name = name.unwrap_or_else(|| task.task_type.clone());
        let (client, made) = create(config, task, (name, capabilities)).await?;
        let status = if wait { wait_for(&client, &made).await? } else { made.status };
        let shown = if wait { format!("{} {status}", made.id) } else { made.id.to_string() };
        Ok((shown, !wait || status == TaskStatus::Succeeded))
      }
      Self::CreateCronJob { at, name, cron_expression, task_type, payload, disabled, timezone } => {
        let client = Client::new(&at, config)?;
        let enabled = Some(!disabled);
        let new =
          V0CronJobForCreate { name, cron_expression, task_type, payload, enabled, timezone };
        let made: V0CronJob = client.post("/api/cron-jobs", &new).await?;
        let next = made.next_run_at.map_or("never".to_owned(), |at| at.to_string());
        Ok((format!("{} next run {next}", made.id), true))
      }
      Self::ListTasks { at, status, limit, output } => {
        let mut query = vec![("limit", limit.to_string())];
        query.extend(status.map(|status| ("status", status)));
        let rows: Value = Client::new(&at, config)?.get("/api/tasks", &query).await?;
        Ok((shown(&rows, output, tasks_table)?, true))
      }
      Self::ListAgents { at, online, output } => {
        let query: &[(&str, String)] = if online { &[("online", "true".to_owned())] } else { &[] };
        let rows: Value = Client::new(&at, config)?.get("/api/agents", query).await?;
        Ok((shown(&rows, output, agents_table)?, true))
      }
    }
  }
}

async fn create(
  config: &Config,
  task: NewTask,
  (name, capabilities): (String, Vec<String>),
) -> Result<(Client, V0Task), VerbError> {
  let client = Client::new(&task.at, config)?;
  let new = V0TaskForCreate {
    name,
    task_type: task.task_type,
    priority: task.priority,
    payload: task.payload,
    capabilities,
    ..V0TaskForCreate::default()
  };
  let made = client.post("/api/tasks", &new).await?;
  Ok((client, made))
}

/// The end of a task, however long it takes.
async fn wait_for(client: &Client, task: &V0Task) -> Result<TaskStatus, VerbError> {
  let path = format!("/api/tasks/{}", task.id);
  loop {
    let now: V0Task = client.get(&path, &[]).await?;
    if now.status.is_final() {
      return Ok(now.status);
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
  }
}

fn shown<T: serde::de::DeserializeOwned>(
  rows: &Value,
  form: Form,
  table: fn(&[T]) -> Table,
) -> Result<String, VerbError> {
  if form == Form::Json {
    return Ok(format!("{rows:#}"));
  }
  let rows: Vec<T> = serde_json::from_value(rows.clone()).map_err(VerbError::strange)?;
  Ok(table(&rows).to_string())
}

fn tasks_table(rows: &[V0Task]) -> Table {
  let mut table = Table::new(&["ID", "NAME", "TYPE", "PRIORITY", "STATUS", "AGENT", "CREATED"]);
  for task in rows {
    let priority = serde_json::to_value(task.priority).unwrap_or_default();
    table.row([
      task.id.to_string(),
      task.name.clone(),
      task.task_type.clone(),
      priority.as_str().map_or_else(|| priority.to_string(), str::to_owned),
      task.status.to_string(),
      task.agent_id.as_ref().map(ToString::to_string).unwrap_or_default(),
      task.created_at.to_string(),
    ]);
  }
  table
}

fn agents_table(rows: &[V0Agent]) -> Table {
  let mut table = Table::new(&["ID", "STATUS", "CAPABILITIES", "LAST HEARTBEAT"]);
  for agent in rows {
    table.row([
      agent.id.to_string(),
      agent.status.clone(),
      agent.capabilities.join(","),
      agent.last_heartbeat.map_or("never".to_owned(), |at| at.to_string()),
    ]);
  }
  table
}
