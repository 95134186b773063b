//! The application: built from its settings, run until a signal, stopped in order.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hetuflow_core::{ServerForCreate, ServerForUpdate, ServerId, ServerStatus, TokenForCreate};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::background::Background;
use super::open_files::allow_open_files;
use super::parts::Parts;
use super::start_error::StartError;
use super::{identity, serve};
use crate::config::Config;
use crate::infra::bmc::server_bmc;
use crate::infra::bus::Bus;
use crate::infra::db::{self, Db, DbError, DbOptions, MigrationState};
use crate::service::{Actor, Store, TokenSvc};
use crate::{endpoint, gateway};

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
