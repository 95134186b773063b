//! Describing and starting a cluster.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use toml::Table;

use super::config::{self, AgentFile, ServerFile};
use super::guard::Guard;
use super::{AgentNode, Cluster, ServerNode};
use crate::api::Api;
use crate::binaries::Binaries;
use crate::net::Host;
use crate::postgres::{self, Database};
use crate::process::Recipe;
use crate::proxy::Proxy;

/// What runs below the servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
  /// A file in the cluster's folder; one server.
  Sqlite,
  /// A fresh database of the shared throw-away cluster.
  Postgres,
}

/// A cluster to be started.
#[derive(Debug, Clone)]
pub struct ClusterBuilder {
  engine: Engine,
  database_url: Option<String>,
  servers: usize,
  agents: usize,
  slots: u32,
  server_settings: String,
  agent_settings: String,
  environment: Vec<(String, OsString)>,
  binaries: Option<Binaries>,
  proxy: Option<Proxy>,
  near_address: Option<String>,
  agent_words: Vec<String>,
  server_words: BTreeMap<usize, Vec<String>>,
  database_links: Vec<String>,
  links: Vec<Proxy>,
  server_name: Option<String>,
  all_servers: bool,
}

impl Default for ClusterBuilder {
  /// One server on SQLite, one agent with four slots.
  fn default() -> Self {
    Self {
      engine: Engine::Sqlite,
      database_url: None,
      servers: 1,
      agents: 1,
      slots: 4,
      server_settings: String::new(),
      agent_settings: String::new(),
      environment: Vec::new(),
      binaries: None,
      proxy: None,
      near_address: None,
      agent_words: Vec::new(),
      server_words: BTreeMap::new(),
      database_links: Vec::new(),
      links: Vec::new(),
      server_name: None,
      all_servers: false,
    }
  }
}

impl ClusterBuilder {
  /// On SQLite.
  pub fn sqlite(self) -> Self {
    self.engine(Engine::Sqlite)
  }

  /// On PostgreSQL, in a fresh database.
  pub fn postgres(self) -> Self {
    self.engine(Engine::Postgres)
  }

  /// On either, for stories that run on both.
  pub fn engine(mut self, engine: Engine) -> Self {
    self.engine = engine;
    self
  }

  /// On this database, which the story owns: for crash stories of PostgreSQL itself.
  pub fn database_url(mut self, url: &str) -> Self {
    self.database_url = Some(url.to_owned());
    self
  }

  /// How many servers; more than one needs PostgreSQL.
  pub fn servers(mut self, count: usize) -> Self {
    self.servers = count;
    self
  }

  /// How many agents, `agent-0` and so on; the i-th dials server i modulo the servers.
  pub fn agents(mut self, count: usize) -> Self {
    self.agents = count;
    self
  }

  /// How many tasks each agent runs at a time.
  pub fn slots(mut self, count: u32) -> Self {
    self.slots = count;
    self
  }

  /// Settings (TOML) that are laid over each server's config.
  pub fn server_settings(mut self, toml: &str) -> Self {
    self.server_settings = toml.to_owned();
    self
  }

  /// Settings (TOML) that are laid over each agent's config.
  pub fn agent_settings(mut self, toml: &str) -> Self {
    self.agent_settings = toml.to_owned();
    self
  }

  /// A variable in the environment of every process.
  pub fn environment(mut self, name: &str, value: impl Into<OsString>) -> Self {
    self.environment.push((name.to_owned(), value.into()));
    self
  }

  /// Other binaries than those of the running test's target folder.
  pub fn binaries(mut self, binaries: Binaries) -> Self {
    self.binaries = Some(binaries);
    self
  }

  /// A link between all agents and the first server that the story can break.
  pub fn proxy(mut self, proxy: &Proxy) -> Self {
    self.proxy = Some(proxy.clone());
    self
  }

  /// All agents live on this host, and the servers listen where it can reach them.
  pub fn agents_on(mut self, host: &Host) -> Self {
    self.near_address = Some(host.near_address());
    self.agents_through(host.enter())
  }

  /// Agents are started through another program, which takes their place: its words come first.
  pub fn agents_through(mut self, words: Vec<String>) -> Self {
    self.agent_words = words;
    self
  }

  /// The i-th server is started through another program, which takes its place.
  pub fn server_through(mut self, i: usize, words: Vec<String>) -> Self {
    self.server_words.insert(i, words);
    self
  }

  /// The i-th server reaches the database by the i-th URL; the story owns the database.
  pub fn database_links(mut self, urls: Vec<String>) -> Self {
    self.database_url = urls.first().cloned();
    self.database_links = urls;
    self
  }

  /// Between all agents and the i-th server is the i-th link, which the story can break.
  pub fn links(mut self, links: &[Proxy]) -> Self {
    self.links = links.to_vec();
    self
  }

  /// Agents know their server by this name, not by its address.
  pub fn server_name(mut self, name: &str) -> Self {
    self.server_name = Some(name.to_owned());
    self
  }

  /// Every agent knows all servers; the i-th begins with server i modulo the servers.
  pub fn agents_know_all_servers(mut self) -> Self {
    self.all_servers = true;
    self
  }

  /// Starts everything and waits until all servers listen and all agents are ready.
  ///
  /// # Errors
  /// When a binary is missing, PostgreSQL is missing, or something does not start; with logs.
  pub async fn start(self) -> Result<Cluster> {
    ensure!(self.servers > 0, "a cluster has at least one server");
    ensure!(
      self.servers == 1 || self.engine == Engine::Postgres || self.database_url.is_some(),
      "several servers need PostgreSQL"
    );
    let binaries = self.binaries.clone().map_or_else(Binaries::find, Ok)?;
    let database = self.database().await?;
    let guard = Guard::new()?;
    let environment = base_environment(&guard, &self.environment);
    let database_url = match (&self.database_url, &database) {
      (Some(url), _) => url.clone(),
      (None, Some(database)) => database.url().to_owned(),
      (None, None) => format!("sqlite:{}", guard.dir().join("hetuflow.db").display()),
    };
    let mut cluster = Cluster {
      agents: Vec::new(),
      servers: Vec::new(),
      guard,
      binaries,
      environment,
      token: String::new(),
      database_url,
      finished: false,
      _database: database,
    };
    self.start_servers(&mut cluster).await?;
    self.start_agents(&mut cluster).await?;
    Ok(cluster)
  }

  /// The database to make, if any.
  async fn database(&self) -> Result<Option<Database>> {
    if self.database_url.is_some() || self.engine == Engine::Sqlite {
      return Ok(None);
    }
    Ok(Some(postgres::shared()?.create_database().await?))
  }

  /// Starts the servers one after the other; the first one migrates and writes the token.
  async fn start_servers(&self, cluster: &mut Cluster) -> Result<()> {
    let extra = config::parse(&self.server_settings)?;
    for i in 0..self.servers {
      let mut recipe = recipe(cluster, &cluster.binaries.server, &format!("server-{i}"));
      if let Some(words) = self.server_words.get(&i) {
        recipe.enter(words);
      }
      let file = ServerFile {
        bind_address: format!("{}:0", self.near_address.as_deref().unwrap_or("127.0.0.1")),
        database_url: self.database_links.get(i).unwrap_or(&cluster.database_url).clone(),
        data_dir: cluster.dir().join(format!("server-{i}")),
      };
      let server = ServerNode::start(recipe, file, extra.clone()).await?;
      if i == 0 {
        let path = server.data_dir().join("admin.token");
        let token = std::fs::read_to_string(&path);
        let token = token.with_context(|| format!("read {}", path.display()))?;
        std::fs::copy(&path, cluster.dir().join("admin.token"))?;
        cluster.token = token.trim().to_owned();
      }
      cluster.servers.push(server);
    }
    Ok(())
  }

  /// Starts all agents, then waits for all.
  async fn start_agents(&self, cluster: &mut Cluster) -> Result<()> {
    let extra: Table = config::parse(&self.agent_settings)?;
    let ways = self.ways(cluster)?;
    for i in 0..self.agents {
      let name = format!("agent-{i}");
      let server = &cluster.servers[i % cluster.servers.len()];
      let api = Api::new(server.url(), &cluster.token);
      let mut servers = match &self.proxy {
        Some(proxy) => vec![proxy.lead_to(server.url())?],
        None => vec![ways[i % ways.len()].clone()],
      };
      if self.all_servers {
        servers.extend(ways.iter().cycle().skip(i + 1).take(ways.len() - 1).cloned());
      }
      let file = AgentFile {
        agent_id: name.clone(),
        dir: cluster.dir().join(&name),
        servers,
        slots: self.slots,
      };
      let mut recipe = recipe(cluster, &cluster.binaries.agent, &name);
      recipe.enter(&self.agent_words);
      cluster.agents.push(AgentNode::start(recipe, file, &extra, &api).await?);
    }
    for i in 0..self.agents {
      cluster.wait_agent(i).await?;
    }
    Ok(())
  }
}

impl ClusterBuilder {
  /// How agents reach each server.
  fn ways(&self, cluster: &Cluster) -> Result<Vec<String>> {
    let way = |(i, server): (usize, &ServerNode)| match (self.links.get(i), &self.server_name) {
      (Some(link), _) => link.lead_to(server.url()),
      (None, Some(name)) => {
        let port = server.url().rsplit_once(':').context("a port")?.1;
        Ok(format!("http://{name}:{port}"))
      }
      (None, None) => Ok(server.url().to_owned()),
    };
    cluster.servers.iter().enumerate().map(way).collect()
  }
}

/// `PROGRAM start --config <dir>/NAME.toml`, logging to `<dir>/NAME.log`.
fn recipe(cluster: &Cluster, program: &Path, name: &str) -> Recipe {
  let dir = cluster.dir().to_owned();
  let config = dir.join(format!("{name}.toml"));
  Recipe {
    name: name.to_owned(),
    program: program.to_owned(),
    args: vec!["start".into(), "--config".into(), config.into()],
    environment: cluster.environment.clone(),
    log: dir.join(format!("{name}.log")),
    dir,
  }
}

/// The environment of every process: nothing of the caller's hetuflow settings, a home in the
/// cluster's folder, and the mark by which leftovers are found.
fn base_environment(guard: &Guard, extra: &[(String, OsString)]) -> Vec<(String, OsString)> {
  let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/".into()));
  let or_home = |name: &str, below: &str| {
    let value = std::env::var_os(name).unwrap_or_else(|| home.join(below).into());
    (name.to_owned(), value)
  };
  let passed = ["PATH", "LANG", "RUST_LOG", "RUST_BACKTRACE", "JAVA_HOME"];
  let mut environment: Vec<(String, OsString)> =
    passed.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var_os(name)?))).collect();
  environment.push(("HOME".to_owned(), guard.dir().into()));
  // Tasks that run cargo find the tool chain and the registry that the tests were built with.
  environment.push(or_home("CARGO_HOME", ".cargo"));
  environment.push(or_home("RUSTUP_HOME", ".rustup"));
  let (name, value) = guard.marker();
  environment.push((name, value.into()));
  environment.extend(extra.iter().cloned());
  environment
}
