//! What is sent about the agent as a whole: registration, heartbeat, leave.

use hetuflow_core::{
  AgentCapabilities, AgentMetrics, AgentStatus, AgentUnregister, HeartbeatRequest, MessageKind,
  RunningInstance,
};
use tokio_tungstenite::tungstenite::Message;

use super::frames::message;
use super::{Grant, Introduction};

/// Attempts in one registration: more would not fit into a frame. The rest is named by their
/// reports, which follow.
const RUNNING_MAX: usize = 3_000;

/// The first message of a connection.
pub fn registration(
  introduction: &Introduction,
  connection_epoch: i64,
  mut running: Vec<RunningInstance>,
  zstd: bool,
) -> Option<Message> {
  if running.len() > RUNNING_MAX {
    tracing::warn!(attempts = running.len(), "too many attempts in hand to name all of them");
    running.truncate(RUNNING_MAX);
  }
  let request = Introduction { connection_epoch, running, ..introduction.clone() };
  message(MessageKind::AgentRegister, request, zstd)
}

/// "I live", stamped as late as possible.
pub fn heartbeat(
  agent_id: &str,
  grant: &Grant,
  metrics: AgentMetrics,
  tick: u64,
  steady_us: i64,
) -> Option<Message> {
  let free = grant.poll.free_slots;
  let request = HeartbeatRequest {
    agent_id: agent_id.to_owned(),
    timestamp: steady_us / 1000,
    status: if free > 0 { AgentStatus::Idle } else { AgentStatus::Busy },
    running_tasks: Vec::new(),
    metrics,
    capacity: free,
    executor_tick: tick,
    sent_at_us: steady_us,
  };
  message(MessageKind::AgentHeartbeat, request, false)
}

/// "This is what I can do now."
pub fn capabilities_update(capabilities: &AgentCapabilities) -> Option<Message> {
  #[derive(serde::Serialize)]
  struct Update<'a> {
    capabilities: &'a AgentCapabilities,
  }
  message(MessageKind::CapabilitiesUpdate, Update { capabilities }, false)
}

/// "I leave."
pub fn farewell(reason: &str, drain_done: bool) -> Option<Message> {
  let leave = AgentUnregister { reason: reason.to_owned(), drain_done };
  message(MessageKind::AgentUnregister, leave, false)
}
