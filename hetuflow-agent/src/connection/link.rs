//! Connects, and connects again, for ever.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use hetuflow_core::{AgentMetrics, full_jitter};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::dial::{dial, is_loopback};
use super::downloads::Downloads;
use super::drift::Drift;
use super::file_cache::FileCache;
use super::names::Names;
use super::outbox::Outbox;
use super::session::{End, live};
use super::uploads::Uploads;
use super::{Clock, ConnectionSettings, Grant, Introduction, Report, Tell};

/// Refusals are tried again, but at a walk.
const REFUSED_FACTOR: u32 = 4;
/// A connection that held for this long was a good one.
const GOOD: std::time::Duration = std::time::Duration::from_secs(10);

/// What a [`Connection`] is made of.
pub struct Parts {
  /// How the connection is made.
  pub settings: ConnectionSettings,
  /// Who this agent is.
  pub introduction: Introduction,
  /// Takes what the server says.
  pub tell: Tell,
  /// What goes to the server.
  pub reports: UnboundedReceiver<Report>,
  /// How much can be taken.
  pub grants: watch::Receiver<Grant>,
  /// Load and health.
  pub metrics: watch::Receiver<AgentMetrics>,
  /// Proof that the executor moves.
  pub tick: Arc<AtomicU64>,
  /// Tells the time.
  pub clock: Arc<dyn Clock>,
  /// Cancelled when the last report was made: send what is left, then leave.
  pub leave: CancellationToken,
}

/// What lives longer than one connection.
pub struct Link {
  pub(super) settings: ConnectionSettings,
  pub(super) introduction: Introduction,
  pub(super) tell: Arc<Tell>,
  pub(super) reports: UnboundedReceiver<Report>,
  pub(super) grants: watch::Receiver<Grant>,
  pub(super) metrics: watch::Receiver<AgentMetrics>,
  pub(super) tick: Arc<AtomicU64>,
  pub(super) clock: Arc<dyn Clock>,
  pub(super) leave: CancellationToken,
  pub(super) outbox: Outbox,
  pub(super) uploads: Uploads,
  pub(super) drift: Drift,
  /// What was told of it last.
  pub(super) drifts: bool,
  names: Names,
  pub(super) downloads: Downloads,
  pub(super) connection_epoch: i64,
}

/// Another process has this agent's place; what the server says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Superseded(pub String);

/// The agent's one connection.
pub struct Connection {
  link: Link,
}

impl Connection {
  /// A connection that is not made yet.
  pub fn new(parts: Parts) -> Self {
    let Parts { settings, introduction, tell, reports, grants, metrics, tick, clock, leave } =
      parts;
    let (tell, outbox) = (Arc::new(tell), Outbox::default());
    let uploads = Uploads::new(settings.artifact_dir.clone());
    let cache = FileCache::new(settings.input_dir.clone(), settings.input_cache_max);
    let downloads = Downloads::new(cache);
    let link = Link {
      settings,
      introduction,
      tell,
      reports,
      grants,
      metrics,
      tick,
      clock,
      leave,
      outbox,
      uploads,
      drift: Drift::default(),
      drifts: false,
      names: Names::default(),
      downloads,
      connection_epoch: 0,
    };
    Self { link }
  }

  /// Connects again and again until the agent leaves; says why where it must not go on.
  pub async fn run(mut self) -> Option<Superseded> {
    for server in &self.link.settings.servers {
      if !is_loopback(server) && matches!(server.scheme(), "http" | "ws") {
        tracing::warn!(%server, "not on this host and without TLS: token and output can be read on the way");
      }
    }
    let leave = self.link.leave.clone();
    let mut failures = 0_u32;
    let mut told = None;
    loop {
      let started = Instant::now();
      let server = {
        let servers = &self.link.settings.servers;
        servers[failures as usize % servers.len()].clone()
      };
      let (reason, factor) = match self.once(&server).await {
        End::Left => return None,
        End::Renewed => {
          (failures, told) = (0, None);
          continue;
        }
        End::Superseded(reason) => return Some(Superseded(reason)),
        End::Lost(reason) => (reason, 1),
        End::Refused(reason) => {
          (format!("the server refuses this agent: {reason}"), REFUSED_FACTOR)
        }
      };
      if started.elapsed() > GOOD {
        failures = 0;
        told = None;
      }
      // Once for each reason: an outage is one line, however long it lasts.
      if told.as_ref() == Some(&reason) {
        tracing::debug!(%server, %reason, failures, "still no connection");
      } else {
        tracing::warn!(%server, %reason, "no connection; trying again for ever");
        told = Some(reason);
      }
      let settings = &self.link.settings;
      let base = settings.reconnect_base * factor;
      let wait = full_jitter(base, settings.reconnect_max, failures, rand::random());
      failures = failures.saturating_add(1);
      tokio::select! {
        () = tokio::time::sleep(wait) => {}
        () = leave.cancelled() => return None,
      }
    }
  }

  async fn once(&mut self, server: &url::Url) -> End {
    let leave = self.link.leave.clone();
    let Link { settings, names, introduction, .. } = &mut self.link;
    let dialling = dial(settings, names, server, &introduction.agent_id);
    let dialled = tokio::select! {
      dialled = dialling => dialled,
      () = leave.cancelled() => return End::Left,
    };
    match dialled {
      Ok(dialled) => live(&mut self.link, dialled).await,
      Err(error) => End::Lost(error.to_string()),
    }
  }
}
