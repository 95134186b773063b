//! Counters of the gateway.

use std::sync::atomic::{AtomicU64, Ordering};

use hetuflow_core::Ts;
use serde_json::{Value, json};

use crate::broker::Roster;

/// Counters since the server started.
#[derive(Debug, Default)]
pub struct GatewayStats {
  connections: AtomicU64,
  received: AtomicU64,
  sent: AtomicU64,
  refused: AtomicU64,
  refused_reports: AtomicU64,
}

impl GatewayStats {
  /// A connection was taken in.
  pub fn count_connection(&self) {
    self.connections.fetch_add(1, Ordering::Relaxed);
  }

  /// A frame came.
  pub fn count_received(&self) {
    self.received.fetch_add(1, Ordering::Relaxed);
  }

  /// A frame went.
  pub fn count_sent(&self) {
    self.sent.fetch_add(1, Ordering::Relaxed);
  }

  /// A message was refused.
  pub fn count_refused(&self) {
    self.refused.fetch_add(1, Ordering::Relaxed);
  }

  /// Reports changed nothing.
  pub fn count_refused_reports(&self, count: u64) {
    self.refused_reports.fetch_add(count, Ordering::Relaxed);
    self.refused.fetch_add(count, Ordering::Relaxed);
  }

  /// The counters as people read them.
  pub fn to_json(&self, roster: &Roster) -> Value {
    json!({
      "total_connections": self.connections.load(Ordering::Relaxed),
      "active_connections": roster.len(),
      "total_messages_received": self.received.load(Ordering::Relaxed),
      "total_messages_sent": self.sent.load(Ordering::Relaxed),
      "total_messages_refused": self.refused.load(Ordering::Relaxed),
      "total_reports_refused": self.refused_reports.load(Ordering::Relaxed),
      "timestamp": Ts::now(),
    })
  }
}
