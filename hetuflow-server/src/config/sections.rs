//! The sections of the config (WIRE §5), each with its defaults and bounds.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use hetuflow_core::config_text::ConfigText;
use hetuflow_core::{AgentChoice, ServerId, format_duration};

/// All settings.
#[derive(Debug, Clone)]
pub struct Config {
  /// `[server]`
  pub server: ServerConfig,
  /// `[database]`
  pub database: DatabaseConfig,
  /// `[auth]`
  pub auth: AuthConfig,
  /// `[secrets]`
  pub secrets: SecretsConfig,
  /// `[artifacts]`
  pub artifacts: ArtifactsConfig,
  /// `[agents]`
  pub agents: AgentsConfig,
  /// `[scheduler]`
  pub scheduler: SchedulerConfig,
  /// `[retention]`
  pub retention: RetentionConfig,
  /// `[compat]`
  pub compat: CompatConfig,
  /// `[log]`
  pub log: LogConfig,
}

/// Where the server listens and lives.
#[derive(Debug, Clone)]
pub struct ServerConfig {
  /// Address and port; port 0 takes a free one.
  pub bind_address: SocketAddr,
  /// Folder of its files: the SQLite store, the admin token, `server.json`.
  pub data_dir: PathBuf,
  /// Its id; made at the first start and kept in the data folder where none is given.
  pub server_id: Option<ServerId>,
  /// Threads; 0 is one per processor.
  pub workers: usize,
  /// Longest time for a stop.
  pub shutdown_grace: Duration,
  /// Refuse to listen beyond loopback without TLS.
  pub require_tls: bool,
}

/// Where state is kept.
#[derive(Debug, Clone)]
pub struct DatabaseConfig {
  /// `postgres://…` or `sqlite:PATH`; SQLite in the data folder where none is given.
  pub url: String,
  /// Most connections.
  pub max_connections: u32,
  /// Longest wait for one.
  pub acquire_timeout: Duration,
  /// Longest run of a statement.
  pub statement_timeout: Duration,
  /// Bring the store up to date at the start.
  pub migrate_on_start: bool,
}

/// Who may come in.
#[derive(Debug, Clone)]
pub struct AuthConfig {
  /// `token`, `strict` or `off`.
  pub mode: String,
}

/// How secrets are kept.
#[derive(Debug, Clone)]
pub struct SecretsConfig {
  /// The file of the key for which they are sealed; the same on every server.
  pub key_file: PathBuf,
}

/// Which files of attempts are taken, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct ArtifactsConfig {
  /// Bytes of the largest file.
  pub file_size_max: u64,
  /// Bytes of all contents of a namespace; 0 is unlimited.
  pub namespace_size_max: u64,
  /// How long they are kept, where their job does not say.
  pub retention: Duration,
}

/// How agents are treated.
#[derive(Debug, Clone)]
pub struct AgentsConfig {
  /// H: time between heartbeats.
  pub heartbeat_interval: Duration,
  /// U: silence after which an agent is unreachable.
  pub heartbeat_ttl: Duration,
  /// G: unreachable for this long is lost, where a job says nothing else.
  pub lost_after: Duration,
  /// Silence after which an agent with nothing in hand is forgotten; zero is never.
  pub overdue_ttl: Duration,
  /// Connections at the same time.
  pub max_connections: usize,
}

/// How work is planned and handed out.
#[derive(Debug, Clone)]
pub struct SchedulerConfig {
  /// How far ahead fires are made.
  pub plan_ahead: Duration,
  /// A: how early tasks are handed to agents.
  pub early_dispatch: Duration,
  /// P: time between looks without a wake.
  pub task_poll_interval: Duration,
  /// Most instants of one backfill.
  pub backfill_max: i64,
  /// In which order agents that fit are given tasks, where a job does not say.
  pub agent_choice: AgentChoice,
  /// How long a due task waits for an agent that it likes more while others have room.
  pub prefer_hold: Duration,
  /// A waiting task rises by one point of priority for each of these; zero is never.
  pub priority_ageing: Duration,
}

/// How long things are kept.
#[derive(Debug, Clone)]
pub struct RetentionConfig {
  /// The journal of events.
  pub events_ttl: Duration,
}

/// What is kept for older programs.
#[derive(Debug, Clone)]
pub struct CompatConfig {
  /// Serve the routes without a version: `/api/tasks`, `/api/agents`, `/api/cron-jobs`.
  pub v0_api: bool,
}

/// What the server says about itself.
#[derive(Debug, Clone)]
pub struct LogConfig {
  /// `error`, `warn`, `info`, `debug`, `trace`, or a filter.
  pub level: String,
  /// `text` or `json`.
  pub format: String,
}

const MS: Duration = Duration::from_millis(1);
const SEC: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

impl Config {
  /// Reads every section; problems gather in the text.
  pub fn read(text: &mut ConfigText) -> Self {
    let server = ServerConfig::read(text);
    let database = DatabaseConfig::read(text, &server);
    let key_file = text.optional_text("secrets.key_file").filter(|file| !file.is_empty());
    let key_file = key_file.map_or_else(|| server.data_dir.join("secret.key"), PathBuf::from);
    let config = Self {
      server,
      database,
      auth: AuthConfig { mode: text.text("auth.mode", "token") },
      secrets: SecretsConfig { key_file },
      artifacts: ArtifactsConfig {
        file_size_max: text.size("artifacts.file_size_max", 256 << 20),
        namespace_size_max: text.size("artifacts.namespace_size_max", 10 << 30),
        retention: text.duration("artifacts.retention", DAY * 30, SEC..=DAY * 3660),
      },
      agents: AgentsConfig::read(text),
      scheduler: SchedulerConfig::read(text),
      retention: RetentionConfig {
        events_ttl: text.duration("retention.events_ttl", DAY * 7, SEC..=DAY * 3660),
      },
      compat: CompatConfig { v0_api: text.flag("compat.v0_api", true) },
      log: LogConfig {
        level: text.text("log.level", "info"),
        format: text.text("log.format", "text"),
      },
    };
    config.check(text);
    config
  }

  fn check(&self, text: &mut ConfigText) {
    if !matches!(self.auth.mode.as_str(), "token" | "strict" | "off") {
      text.problem(
        "auth.mode",
        format!("\"{}\" is unknown", self.auth.mode),
        Some("token, strict or off"),
      );
    }
    if self.auth.mode == "off" && !self.server.bind_address.ip().is_loopback() {
      let message = format!("off needs a loopback address, not {}", self.server.bind_address);
      text.problem("auth.mode", message, Some("token"));
    }
    if !matches!(self.log.format.as_str(), "text" | "json") {
      text.problem(
        "log.format",
        format!("\"{}\" is unknown", self.log.format),
        Some("text or json"),
      );
    }
    let (h, u) = (self.agents.heartbeat_interval, self.agents.heartbeat_ttl);
    if h * 3 > u {
      let message = format!(
        "heartbeat_interval {} must be at most a third of heartbeat_ttl {}",
        format_duration(h),
        format_duration(u)
      );
      text.problem("agents.agent_heartbeat_interval", message, Some("5s and 15s"));
    }
    let forgotten = self.agents.overdue_ttl;
    if !forgotten.is_zero() && forgotten < u {
      let message = format!(
        "agent_overdue_ttl {} must not be shorter than heartbeat_ttl {}",
        format_duration(forgotten),
        format_duration(u)
      );
      text.problem("agents.agent_overdue_ttl", message, Some("30d, or 0s for never"));
    }
    if self.scheduler.early_dispatch > self.scheduler.plan_ahead {
      let message = format!(
        "early_dispatch {} must not be longer than plan_ahead {}",
        format_duration(self.scheduler.early_dispatch),
        format_duration(self.scheduler.plan_ahead)
      );
      text.problem("scheduler.early_dispatch", message, Some("5s and 60s"));
    }
    if self.server.require_tls && !self.server.bind_address.ip().is_loopback() {
      let message = format!("TLS is required and not configured for {}", self.server.bind_address);
      text.problem("server.require_tls", message, Some("a loopback bind_address behind a proxy"));
    }
  }
}

impl ServerConfig {
  fn read(text: &mut ConfigText) -> Self {
    let bind = SocketAddr::from(([127, 0, 0, 1], 8080));
    let server_id = text.optional_text("server.server_id");
    let server_id = server_id.and_then(|id| match ServerId::new(id) {
      Ok(id) => Some(id),
      Err(error) => {
        text.problem("server.server_id", error.to_string(), Some("server-1"));
        None
      }
    });
    Self {
      bind_address: text.parsed("server.bind_address", bind, "127.0.0.1:8080"),
      data_dir: PathBuf::from(text.text("server.data_dir", "./hetuflow-data")),
      server_id,
      workers: text.integer("server.workers", 0, 0..=512) as usize,
      shutdown_grace: text.duration("server.shutdown_grace", SEC * 8, MS * 50..=SEC * 60),
      require_tls: text.flag("server.require_tls", false),
    }
  }
}

impl DatabaseConfig {
  fn read(text: &mut ConfigText, server: &ServerConfig) -> Self {
    let url = match text.optional_text("database.url") {
      Some(url) if !url.trim().is_empty() => url,
      Some(_) => {
        text.problem("database.url", "is empty", Some("postgres://user@host/name"));
        String::new()
      }
      None => match url_of_parts(text) {
        Some(url) => url,
        None => format!("sqlite:{}", server.data_dir.join("hetuflow.db").display()),
      },
    };
    let known = ["postgres://", "postgresql://", "sqlite:"];
    if !url.is_empty() && !known.iter().any(|scheme| url.starts_with(scheme)) {
      let shown = hetuflow_core::config_text::mask_url(&url);
      let example = "postgres://user@host/name or sqlite:/path/to/file";
      text.problem("database.url", format!("\"{shown}\" is not a database URL"), Some(example));
    }
    Self {
      url,
      max_connections: text.integer("database.max_connections", 20, 4..=1000) as u32,
      acquire_timeout: text.duration("database.acquire_timeout", SEC * 10, MS * 50..=SEC * 300),
      statement_timeout: text.duration("database.statement_timeout", SEC * 30, MS * 50..=DAY),
      migrate_on_start: text.flag("database.migrate_on_start", true),
    }
  }
}

/// The URL from host, port, database, user and password, where a host is given.
fn url_of_parts(text: &mut ConfigText) -> Option<String> {
  let kind = text.text("database.type", "postgres");
  if kind != "postgres" {
    text.problem("database.type", format!("\"{kind}\" is unknown"), Some("postgres"));
  }
  let host = text.optional_text("database.host");
  let port = text.integer("database.port", 5432, 1..=65_535);
  let name = text.text("database.database", "hetuflow");
  let user = text.text("database.user", "hetuflow");
  let password = text.optional_text("database.password");
  let host = host?;
  let login = match password {
    Some(password) => format!("{user}:{}", escape_password(&password)),
    None => user,
  };
  Some(format!("postgres://{login}@{host}:{port}/{name}"))
}

/// A password as a URL can carry it.
fn escape_password(password: &str) -> String {
  password
    .bytes()
    .map(|byte| match byte {
      b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
        char::from(byte).to_string()
      }
      other => format!("%{other:02X}"),
    })
    .collect()
}

impl AgentsConfig {
  fn read(text: &mut ConfigText) -> Self {
    let interval = "agents.agent_heartbeat_interval";
    Self {
      heartbeat_interval: text.duration(interval, SEC * 5, MS * 50..=SEC * 3600),
      heartbeat_ttl: text.duration("agents.agent_heartbeat_ttl", SEC * 15, MS * 150..=DAY),
      lost_after: text.duration("agents.lost_after", SEC * 60, MS * 50..=DAY * 366),
      overdue_ttl: text.duration("agents.agent_overdue_ttl", DAY * 30, Duration::ZERO..=DAY * 3660),
      max_connections: text.integer("agents.max_connections", 1000, 1..=1_000_000) as usize,
    }
  }
}

impl SchedulerConfig {
  fn read(text: &mut ConfigText) -> Self {
    Self {
      plan_ahead: text.duration("scheduler.plan_ahead", SEC * 60, MS * 50..=SEC * 3600),
      early_dispatch: text.duration(
        "scheduler.early_dispatch",
        SEC * 5,
        Duration::ZERO..=SEC * 600,
      ),
      task_poll_interval: text.duration("scheduler.task_poll_interval", SEC, MS * 50..=SEC * 60),
      backfill_max: text.integer("scheduler.backfill_max", 10_000, 1..=1_000_000),
      agent_choice: agent_choice(text),
      prefer_hold: text.duration("scheduler.prefer_hold", SEC * 2, Duration::ZERO..=SEC * 600),
      priority_ageing: text.duration(
        "scheduler.priority_ageing",
        SEC * 300,
        Duration::ZERO..=DAY * 366,
      ),
    }
  }
}

fn agent_choice(text: &mut ConfigText) -> AgentChoice {
  const KEY: &str = "scheduler.agent_choice";
  let given = text.text(KEY, AgentChoice::MostFree.as_str());
  given.parse().unwrap_or_else(|_| {
    let known = "most_free, round_robin, least_tasks, resource or capability";
    text.problem(KEY, format!("\"{given}\" is unknown"), Some(known));
    AgentChoice::MostFree
  })
}

/// The defaults as a file, `resources/app.toml`.
pub fn default_text() -> String {
  let mut text = ConfigText::new("", "", []);
  Config::read(&mut text);
  let settings = text.finish().unwrap_or_default();
  let mut file = String::from(
    "# hetuflow-server: every setting with its default. Times need a unit: 250ms, 30s, 5m, 7d.\n\
     # HETUFLOW__SECTION__KEY in the environment overrides a key; DATABASE_URL overrides\n\
     # database.url.\n",
  );
  let mut section = "";
  for setting in &settings {
    let (name, key) = setting.key.split_once('.').unwrap_or(("", &setting.key));
    if name != section {
      file.push_str(&format!("\n[{name}]\n"));
      section = name;
    }
    let plain =
      setting.value.parse::<i64>().is_ok() || matches!(setting.value.as_str(), "true" | "false");
    let value = if plain { setting.value.clone() } else { format!("\"{}\"", setting.value) };
    file.push_str(&format!("{key} = {value}\n"));
  }
  file
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn the_shipped_file_is_the_defaults() {
    let shipped = include_str!("../../resources/app.toml");
    assert_eq!(shipped, default_text(), "write it with: hetuflow-server config default");
    let mut text = ConfigText::new("app.toml", shipped, []);
    Config::read(&mut text);
    text.finish().expect("the shipped file is valid");
  }

  #[test]
  fn inequalities_are_printed_with_both_sides() {
    let file = "[agents]\nagent_heartbeat_interval = \"10s\"\n[auth]\nmode = \"open\"\n\
      [database]\nurl = \"mysql://u:secret@h/d\"\n";
    let mut text = ConfigText::new("a.toml", file, []);
    Config::read(&mut text);
    let problems = text.finish().expect_err("three problems");
    let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(shown.len(), 3, "{shown:?}");
    assert!(shown.iter().any(|p| p.contains("10s must be at most a third of heartbeat_ttl 15s")));
    assert!(shown.iter().all(|p| !p.contains("secret")), "{shown:?}");
  }
}
