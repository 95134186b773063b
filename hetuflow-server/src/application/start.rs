//! The application: built from its settings, run until a signal, stopped in order.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hetuflow_core::{ServerForCreate, ServerForUpdate, ServerId, ServerStatus, TokenForCreate, Ts};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::background::Background;
use super::open_files::allow_open_files;
use super::{identity, serve};
use crate::broker::{
  DispatchSettings, Dispatcher, FleetRouter, IdleStart, Roster, StopRouter, Undelivered,
};
use crate::config::Config;
use crate::endpoint::{self, ApiState};
use crate::gateway::{self, AuthMode, GatewaySettings, GatewayState, GatewayStats};
use crate::infra::bmc::{agent_command_bmc, event_bmc, server_bmc};
use crate::infra::bus::Bus;
use crate::infra::db::{self, Db, DbError, DbOptions, MigrationState};
use crate::scheduler::{
  Backfiller, DeadlineSweep, Liveness, LivenessSettings, Planner, RemoteWake, TokenUses,
};
use crate::service::{
  Actor, AgentCommandSvc, AgentSvc, ApplySvc, BackfillSvc, FeedSvc, JobCache, JobSvc, ListSvc,
  LiveAttempts, LogSvc, NamespaceSvc, OwnFigures, PlanSvc, ReportSvc, ScheduleSvc, SecretSvc,
  SessionSvc, SimulateSvc, Store, SubmitSvc, SvcError, SystemSvc, TaskSvc, TokenSvc, V0Svc,
  WatchSvc,
};

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
  /// The data folder cannot be used.
  #[error("cannot use {path}")]
  DataDir {
    /// The folder or file.
    path: PathBuf,
    /// Why.
    #[source]
    source: std::io::Error,
  },
  /// The store cannot be used.
  #[error("cannot use the database {url}")]
  Database {
    /// Its URL without the password.
    url: String,
    /// Why.
    #[source]
    source: DbError,
  },
  /// The address cannot be had.
  #[error("cannot listen on {address}")]
  Bind {
    /// The address.
    address: SocketAddr,
    /// Why.
    #[source]
    source: std::io::Error,
  },
  /// Too few open files are allowed.
  #[error("{allowed} open files are allowed here (ulimit -n), the server needs at least {needed}")]
  OpenFiles {
    /// How many are.
    allowed: u64,
    /// How many it takes.
    needed: u64,
  },
  /// Something else that a use case refused.
  #[error("cannot start")]
  Service(#[from] SvcError),
}

impl StartError {
  /// Whether the settings are at fault rather than the world.
  pub fn is_config(&self) -> bool {
    matches!(self, Self::DataDir { .. } | Self::OpenFiles { .. })
      || matches!(self, Self::Database { source: DbError::Unusable(_), .. })
  }

  /// What to do about it.
  pub fn hint(&self) -> Option<&'static str> {
    match self {
      Self::DataDir { .. } => Some("set [server] data_dir to a folder that this user may write"),
      Self::Database { .. } => Some("set [database] url or DATABASE_URL; nothing set means SQLite"),
      Self::Bind { .. } => Some("stop what listens there, or choose another with --bind"),
      Self::OpenFiles { .. } => Some("raise the hard limit, as with LimitNOFILE= of systemd"),
      Self::Service(_) => None,
    }
  }
}

/// A running server.
pub struct Application {
  db: Db,
  server: ServerId,
  background: Background,
  grace: Duration,
  data_dir: PathBuf,
  address: SocketAddr,
}

impl Application {
  /// Opens the store and brings it up to date where told to.
  async fn open(config: &Config, migrate: bool) -> Result<Db, StartError> {
    let url = hetuflow_core::config_text::mask_url(&config.database.url);
    let failed = |source| StartError::Database { url: url.clone(), source };
    if config.database.url.starts_with("sqlite:") {
      identity::make_data_dir(&config.server.data_dir)?;
    }
    let options = DbOptions {
      url: config.database.url.clone(),
      max_connections: config.database.max_connections,
      acquire_timeout: config.database.acquire_timeout,
      statement_timeout: config.database.statement_timeout,
    };
    let db = Db::open(&options).await.map_err(failed)?;
    if migrate {
      db::migrate(&db).await.map_err(failed)?;
    }
    Ok(db)
  }

  /// Migrates, or only looks.
  ///
  /// # Errors
  /// When the store cannot be used.
  pub async fn migrate(config: &Config, apply: bool) -> Result<MigrationState, StartError> {
    let db = Self::open(config, apply).await?;
    let url = db.url().to_owned();
    let state = db::migration_state(&db).await;
    db.close().await;
    state.map_err(|source| StartError::Database { url, source })
  }

  /// Makes a token and returns its secret.
  ///
  /// # Errors
  /// When the store cannot be used or the token breaks a rule.
  pub async fn create_token(config: &Config, new: TokenForCreate) -> Result<String, StartError> {
    let db = Self::open(config, true).await?;
    let store = Store::new(db.clone(), Arc::new(Bus::default()));
    let made = TokenSvc::new(store).create(&Actor::system(), new).await;
    db.close().await;
    Ok(made?.secret)
  }

  /// Builds and starts everything.
  ///
  /// # Errors
  /// [`StartError`]; nothing is left running.
  pub async fn start(config: &Config) -> Result<Self, StartError> {
    let agents = u64::try_from(config.agents.max_connections).unwrap_or(u64::MAX / 4);
    allow_open_files(agents, u64::from(config.database.max_connections))?;
    let data_dir = config.server.data_dir.clone();
    identity::make_data_dir(&data_dir)?;
    let db = Self::open(config, config.database.migrate_on_start).await?;
    let failed = |source| StartError::Database { url: db.url().to_owned(), source };
    let server = identity::server_id(&data_dir, config.server.server_id.as_ref())?;
    let wanted = config.server.bind_address;
    let listener = TcpListener::bind(wanted)
      .await
      .map_err(|source| StartError::Bind { address: wanted, source })?;
    let address =
      listener.local_addr().map_err(|source| StartError::Bind { address: wanted, source })?;
    if !address.ip().is_loopback() {
      tracing::warn!(%address, "listening beyond loopback without TLS");
    }
    let epoch = note_start(&db, &server, address).await.map_err(failed)?;
    let background = Background::new();
    let parts = Parts::build(config, &db, &server, epoch, &background);
    announce_token(config, &parts.tokens).await?;
    parts.spawn_loops(config, &server, &background);
    let router = endpoint::router(parts.api).merge(gateway::router(parts.gateway));
    let grace = config.server.shutdown_grace;
    let tracker = background.tracker();
    let serving = serve::serve(listener, router, background.soft.clone(), (tracker, grace / 2));
    background.spawn("http", serving);
    identity::write_server_json(&data_dir, address)?;
    tracing::info!(%address, store = db.url(), server.id = %server, "server {server} is ready");
    Ok(Self { db, server, background, grace, data_dir, address })
  }

  /// Where it listens.
  pub fn address(&self) -> SocketAddr {
    self.address
  }

  /// Runs until SIGINT or SIGTERM, or until a part of it fails; then stops in order. Returns
  /// whether it was asked to stop.
  pub async fn run_until_signal(self) -> bool {
    let asked = tokio::select! {
      () = wait_for_signal() => true,
      () = self.background.soft.cancelled() => false,
    };
    tracing::info!("stopping");
    self.background.soft.cancel();
    let grace = self.grace;
    tokio::select! {
      () = self.stop() => {}
      () = async { tokio::time::sleep(grace).await; } => {
        tracing::warn!("some work did not end in time");
      }
      () = wait_for_signal() => tracing::warn!("second signal, ending at once"),
    }
    asked
  }

  /// Doors first, then the lanes behind them, then the store.
  async fn stop(&self) {
    // Requests and connections end by the soft token; what they left in the queues is written.
    tokio::time::sleep(Duration::from_millis(50)).await;
    self.background.drain.cancel();
    self.background.join(self.grace).await;
    if let Err(error) = note_stop(&self.db, &self.server).await {
      tracing::debug!(error = &error as &dyn std::error::Error, "cannot note the stop");
    }
    identity::remove_server_json(&self.data_dir);
    self.db.close().await;
  }
}

async fn wait_for_signal() {
  let (Ok(mut term), Ok(mut int), Ok(mut hup)) = (
    signal(SignalKind::terminate()),
    signal(SignalKind::interrupt()),
    signal(SignalKind::hangup()),
  ) else {
    return std::future::pending().await;
  };
  loop {
    tokio::select! {
      _ = term.recv() => return,
      _ = int.recv() => return,
      _ = hup.recv() => tracing::warn!("settings are read at the start only; the old ones stay"),
    }
  }
}

async fn note_start(db: &Db, server: &ServerId, address: SocketAddr) -> Result<String, DbError> {
  let mut tx = db.begin().await?;
  let outcome = async {
    let now = tx.now().await?;
    let new = ServerForCreate {
      id: server.clone(),
      address: address.to_string(),
      version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    server_bmc::register(&mut tx, &new, now).await?;
    server_bmc::store_epoch(&mut tx).await
  }
  .await;
  tx.end(outcome).await
}

async fn note_stop(db: &Db, server: &ServerId) -> Result<(), DbError> {
  let mut tx = db.begin().await?;
  let outcome = async {
    let now = tx.now().await?;
    let change = ServerForUpdate { status: Some(ServerStatus::Inactive) };
    server_bmc::update(&mut tx, server, &change, now).await.map(drop)
  }
  .await;
  tx.end(outcome).await
}

async fn announce_token(config: &Config, tokens: &TokenSvc) -> Result<(), StartError> {
  if config.auth.mode == "off" {
    return Ok(());
  }
  if let Some(path) = tokens.ensure_admin_token(&config.server.data_dir).await? {
    tracing::info!(path = %path.display(), "a token for the first administrator was written");
    println!("admin token: {}", path.display());
    if std::io::IsTerminal::is_terminal(&std::io::stdout())
      && let Ok(secret) = std::fs::read_to_string(&path)
    {
      println!("{}", secret.trim());
    }
  }
  Ok(())
}

/// Every part, built once.
struct Parts {
  store: Store,
  roster: Arc<Roster>,
  jobs: Arc<JobCache>,
  live: Arc<LiveAttempts>,
  undelivered: Arc<Undelivered>,
  submit: Arc<SubmitSvc>,
  reports: Arc<ReportSvc>,
  sessions: Arc<SessionSvc>,
  tasks: Arc<TaskSvc>,
  tokens: Arc<TokenSvc>,
  secrets: Arc<SecretSvc>,
  feed: Arc<FeedSvc>,
  plan: Arc<PlanSvc>,
  backfills: Arc<BackfillSvc>,
  gateway: Arc<GatewayState>,
  api: Arc<ApiState>,
}

impl Parts {
  fn build(
    config: &Config,
    db: &Db,
    server: &ServerId,
    epoch: String,
    background: &Background,
  ) -> Self {
    let store = Store::new(db.clone(), Arc::new(Bus::default()));
    let (roster, jobs) = (Arc::new(Roster::default()), Arc::new(JobCache::default()));
    let live = Arc::new(LiveAttempts::default());
    let undelivered = Arc::new(Undelivered::default());
    let idle = IdleStart {
      bus: store.bus.clone(),
      roster: roster.clone(),
      jobs: jobs.clone(),
      live: live.clone(),
      server: server.clone(),
      undelivered: undelivered.clone(),
    };
    let submit = SubmitSvc::new(store.clone(), Some(Arc::new(idle)));
    let reports = ReportSvc::new(store.clone(), jobs.clone(), live.clone());
    let lost_after = config.agents.lost_after;
    let sessions = Arc::new(SessionSvc::new(
      store.clone(),
      jobs.clone(),
      live.clone(),
      server.clone(),
      lost_after,
    ));
    let tasks = Arc::new(TaskSvc::new(store.clone(), submit.clone(), jobs.clone()));
    let tokens = Arc::new(TokenSvc::new(store.clone()));
    let secrets = SecretSvc::new(store.clone(), config.secrets.key_file.clone());
    let secrets = Arc::new(secrets);
    let feed = FeedSvc::new(store.clone(), epoch);
    let plan = PlanSvc::new(store.clone(), config.scheduler.plan_ahead);
    let most = config.scheduler.backfill_max;
    let backfills = BackfillSvc::new(store.clone(), tasks.clone(), most);
    let auth = match config.auth.mode.as_str() {
      "off" => AuthMode::Off,
      "strict" => AuthMode::Strict,
      _ => AuthMode::Token,
    };
    let gateway = Arc::new(GatewayState {
      store: store.clone(),
      sessions: sessions.clone(),
      reports: reports.clone(),
      roster: roster.clone(),
      live: live.clone(),
      commands: AgentCommandSvc::new(store.clone(), AgentSvc::new(store.clone())),
      tokens: tokens.clone(),
      beats: Mutex::new(HashMap::new()),
      stats: Arc::new(GatewayStats::default()),
      server: server.clone(),
      settings: GatewaySettings {
        auth,
        heartbeat_interval: config.agents.heartbeat_interval,
        silence_max: config.agents.heartbeat_ttl.max(Duration::from_secs(1)) * 2,
        register_timeout: Duration::from_secs(10),
        connections_max: config.agents.max_connections,
      },
      tracker: background.tracker(),
      stop: background.soft.clone(),
    });
    let doors = (auth == AuthMode::Off, config.compat.v0_api);
    let api = api_state(
      (&store, server),
      doors,
      (&tasks, &tokens, &feed, &secrets),
      (&gateway, &backfills),
    );
    Self {
      store,
      roster,
      jobs,
      live,
      undelivered,
      submit,
      reports,
      sessions,
      tasks,
      tokens,
      secrets,
      feed,
      plan,
      backfills,
      gateway,
      api,
    }
  }

  fn spawn_loops(&self, config: &Config, server: &ServerId, background: &Background) {
    for name in ["submit-1", "submit-2"] {
      background.spawn(name, self.submit.clone().run_lane(background.drain.clone()));
    }
    for name in ["report-1", "report-2"] {
      background.spawn(name, self.reports.clone().run_lane(background.drain.clone()));
    }
    let soft = || background.soft.clone();
    let settings = DispatchSettings {
      early: config.scheduler.early_dispatch,
      poll_interval: config.scheduler.task_poll_interval,
      claim_lease: CLAIM_LEASE,
    };
    let caches = (self.jobs.clone(), self.live.clone(), self.undelivered.clone());
    let dispatcher =
      Dispatcher::new(self.store.clone(), self.roster.clone(), caches, server.clone(), settings)
        .with_secrets(self.secrets.clone());
    background.spawn("dispatcher", dispatcher.run(soft()));
    let router = StopRouter::new(self.store.clone(), self.roster.clone());
    background.spawn("stop-router", router.run(soft()));
    let commands = self.gateway.commands.clone();
    let fleet = FleetRouter::new(self.store.clone(), self.roster.clone(), commands);
    background.spawn("fleet-router", fleet.run(soft()));
    let planner = Planner::new(self.store.clone(), self.plan.clone());
    background.spawn("planner", planner.run(soft()));
    let backfiller = Backfiller::new(self.store.clone(), self.backfills.clone());
    background.spawn("backfiller", backfiller.run(soft()));
    let sweep = DeadlineSweep::new(self.store.clone(), self.tasks.clone());
    background.spawn("deadline-sweep", sweep.run(soft()));
    background.spawn("token-uses", TokenUses::new(self.tokens.clone()).run(soft()));
    let settings = LivenessSettings {
      unreachable_after: config.agents.heartbeat_ttl,
      forgotten_after: config.agents.overdue_ttl,
      turn: (config.agents.heartbeat_ttl / 15)
        .clamp(Duration::from_millis(50), Duration::from_secs(1)),
    };
    let gateway = self.gateway.clone();
    let take_beats = Box::new(move || gateway.take_beats());
    let (store, sessions) = (self.store.clone(), self.sessions.clone());
    let liveness = Liveness::new(store, sessions, server.clone(), settings, take_beats);
    background.spawn("liveness", liveness.run(soft()));
    background.spawn("feed", self.feed.clone().run(soft()));
    if !self.store.db.is_sqlite() {
      let remote = RemoteWake::new(self.store.clone(), server.clone());
      background.spawn("remote-notify", remote.clone().run_notify(soft()));
      background.spawn("remote-listen", remote.run_listen(soft()));
    }
    background.spawn(
      "journal-retention",
      retain(self.store.db.clone(), config.retention.events_ttl, soft()),
    );
  }
}

/// C: long enough that no claim that is on its way is taken for one that was never handed out.
const CLAIM_LEASE: Duration = Duration::from_secs(10);
/// Time between two looks at what is too old.
const RETENTION_LOOK: Duration = Duration::from_secs(600);

async fn retain(db: Db, ttl: Duration, stop: tokio_util::sync::CancellationToken) {
  loop {
    tokio::select! {
      () = tokio::time::sleep(RETENTION_LOOK) => {}
      () = stop.cancelled() => return,
    }
    let outcome = async {
      let mut tx = db.begin().await?;
      let before = Ts::now().minus(ttl);
      let gone = match event_bmc::delete_before(&mut tx, before).await {
        Ok(gone) => agent_command_bmc::delete_before(&mut tx, before).await.map(|_| gone),
        Err(error) => Err(error),
      };
      tx.end::<_, DbError>(gone).await
    }
    .await;
    match outcome {
      Ok(0) => {}
      Ok(rows) => tracing::info!(rows, "old events were dropped"),
      Err(error) => {
        tracing::warn!(error = &error as &dyn std::error::Error, "cannot drop old events")
      }
    }
  }
}

fn api_state(
  (store, server): (&Store, &ServerId),
  (open, v0_api): (bool, bool),
  (tasks, tokens, feed, secrets): (&Arc<TaskSvc>, &Arc<TokenSvc>, &Arc<FeedSvc>, &Arc<SecretSvc>),
  (gateway, backfills): (&Arc<GatewayState>, &Arc<BackfillSvc>),
) -> Arc<ApiState> {
  let started_at = Ts::now();
  let version = env!("CARGO_PKG_VERSION");
  let stats = gateway.clone();
  let connections = gateway.clone();
  Arc::new(ApiState {
    namespaces: NamespaceSvc::new(store.clone()),
    jobs: JobSvc::new(store.clone()),
    apply: ApplySvc::new(store.clone()),
    schedules: ScheduleSvc::new(store.clone(), tasks.clone()),
    backfills: backfills.clone(),
    tasks: tasks.clone(),
    logs: Arc::new(LogSvc::new(store.clone())),
    feed: feed.clone(),
    lists: ListSvc::new(store.clone()),
    watches: WatchSvc::new(store.clone(), feed.clone(), (server.clone(), own_figures(gateway))),
    agents: AgentSvc::new(store.clone()),
    agent_commands: gateway.commands.clone(),
    v0: V0Svc::new(store.clone(), tasks.clone()),
    v0_api,
    tokens: tokens.clone(),
    secrets: secrets.clone(),
    simulate: SimulateSvc::new(store.clone()),
    system: SystemSvc::new(store.clone(), (server.clone(), version), started_at),
    gateway_stats: Arc::new(move || stats.stats.to_json(&stats.roster)),
    gateway_connections: Arc::new(move || connections_json(&connections)),
    open,
    shutdown: gateway.stop.clone(),
    started_at,
    server_id: server.clone(),
    version,
  })
}

/// What this server counts, for its row in the list of servers.
fn own_figures(gateway: &Arc<GatewayState>) -> OwnFigures {
  let gateway = gateway.clone();
  Box::new(move || {
    let counters = gateway.stats.to_json(&gateway.roster);
    let fields = counters.as_object().into_iter().flatten();
    fields.filter_map(|(name, value)| Some((name.clone(), value.as_f64()?))).collect()
  })
}

fn connections_json(gateway: &GatewayState) -> serde_json::Value {
  let list: Vec<serde_json::Value> = gateway
    .roster
    .list()
    .into_iter()
    .map(|(member, credits)| {
      serde_json::json!({
        "agent_id": member.agent_id, "agent_epoch": member.agent_epoch,
        "connection_epoch": member.connection_epoch, "labels": member.labels,
        "cordoned": member.cordoned, "credits": credits,
      })
    })
    .collect();
  serde_json::Value::Array(list)
}
