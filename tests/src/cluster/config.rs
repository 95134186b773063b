//! The config files that a cluster writes.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use toml::{Table, Value};

/// What the config of one server says.
#[derive(Debug, Clone)]
pub(super) struct ServerFile {
  /// `host:port` to listen on; port 0 takes a free one.
  pub(super) bind_address: String,
  /// `sqlite:…` or `postgres://…`.
  pub(super) database_url: String,
  /// The server's data folder.
  pub(super) data_dir: PathBuf,
}

/// What the config of one agent says.
#[derive(Debug, Clone)]
pub(super) struct AgentFile {
  /// The agent's id.
  pub(super) agent_id: String,
  /// Its folder: state, work and token lie below.
  pub(super) dir: PathBuf,
  /// The servers to dial, in this order.
  pub(super) servers: Vec<String>,
  /// How many tasks it runs at a time.
  pub(super) slots: u32,
}

impl ServerFile {
  /// Writes the file, with the story's own settings on top.
  pub(super) fn write(&self, path: &Path, extra: &Table) -> Result<()> {
    let mut config = Table::new();
    set(&mut config, "auth.mode", "token");
    set(&mut config, "server.bind_address", self.bind_address.clone());
    set(&mut config, "server.data_dir", text(&self.data_dir));
    set(&mut config, "database.url", self.database_url.clone());
    write(path, config, extra)
  }
}

impl AgentFile {
  /// The file with the agent's token.
  pub(super) fn token_file(&self) -> PathBuf {
    self.dir.join("token")
  }

  /// Writes the file, with the story's own settings on top, and makes the folders it names.
  pub(super) fn write(&self, path: &Path, extra: &Table) -> Result<()> {
    let (state, work) = (self.dir.join("state"), self.dir.join("work"));
    for dir in [&state, &work] {
      std::fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
    }
    let mut config = Table::new();
    set(&mut config, "agent.agent_id", self.agent_id.clone());
    set(&mut config, "agent.token_file", text(&self.token_file()));
    set(&mut config, "agent.state_dir", text(&state));
    set(&mut config, "agent.work_dir", text(&work));
    match self.servers.as_slice() {
      [one] => set(&mut config, "agent.connection.server_base_url", one.clone()),
      many => set(&mut config, "agent.connection.servers", many.to_vec()),
    }
    set(&mut config, "agent.polling.max_concurrent_tasks", i64::from(self.slots));
    // A story ends without leftovers, unless it is about them.
    set(&mut config, "agent.tasks_on_stop", "stop");
    // Tests run as root in many places.
    set(&mut config, "agent.allow_root_tasks", true);
    write(path, config, extra)
  }
}

/// Parses a story's settings.
pub(super) fn parse(settings: &str) -> Result<Table> {
  settings.parse().with_context(|| format!("the story's settings are no TOML:\n{settings}"))
}

/// Lays `extra` over `config`, table by table.
pub(super) fn merge(config: &mut Table, extra: &Table) {
  for (key, value) in extra {
    match (config.get_mut(key), value) {
      (Some(Value::Table(below)), Value::Table(above)) => merge(below, above),
      _ => drop(config.insert(key.clone(), value.clone())),
    }
  }
}

/// Sets a dotted key.
fn set(config: &mut Table, key: &str, value: impl Into<Value>) {
  match key.split_once('.') {
    None => drop(config.insert(key.to_owned(), value.into())),
    Some((section, rest)) => {
      let mut below = Table::new();
      set(&mut below, rest, value);
      merge(config, &Table::from_iter([(section.to_owned(), Value::Table(below))]));
    }
  }
}

/// Writes the merged file.
fn write(path: &Path, mut config: Table, extra: &Table) -> Result<()> {
  merge(&mut config, extra);
  std::fs::write(path, toml::to_string(&config)?)
    .with_context(|| format!("write {}", path.display()))
}

/// A path as TOML text.
fn text(path: &Path) -> String {
  path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn a_storys_settings_lie_on_top() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.toml");
    let file = AgentFile {
      agent_id: "agent-0".to_owned(),
      dir: dir.path().to_owned(),
      servers: vec!["http://127.0.0.1:1".to_owned()],
      slots: 4,
    };
    let extra = parse("[agent.polling]\nmax_concurrent_tasks = 9\n[agent.labels]\nzone = 'a'");
    file.write(&path, &extra.unwrap()).unwrap();
    let config: Table = std::fs::read_to_string(&path).unwrap().parse().unwrap();
    let agent = &config["agent"];
    assert_eq!(agent["agent_id"].as_str(), Some("agent-0"));
    assert_eq!(agent["connection"]["server_base_url"].as_str(), Some("http://127.0.0.1:1"));
    assert_eq!(agent["polling"]["max_concurrent_tasks"].as_integer(), Some(9));
    assert_eq!(agent["labels"]["zone"].as_str(), Some("a"));
    assert!(dir.path().join("work").is_dir() && dir.path().join("state").is_dir());
  }

  #[test]
  fn the_server_file_has_the_three_sections() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("server.toml");
    let file = ServerFile {
      bind_address: "127.0.0.1:0".to_owned(),
      database_url: "sqlite:/x/y.db".to_owned(),
      data_dir: "/x".into(),
    };
    file.write(&path, &parse("").unwrap()).unwrap();
    let expected = "[server]\nbind_address = \"127.0.0.1:0\"\ndata_dir = \"/x\"\n\n\
      [database]\nurl = \"sqlite:/x/y.db\"\n\n[auth]\nmode = \"token\"\n";
    let config: Table = std::fs::read_to_string(&path).unwrap().parse().unwrap();
    assert_eq!(config, expected.parse().unwrap());
    assert!(parse("= nonsense").is_err());
  }
}
