//! Connections of agents: WebSocket in, [`AgentLink`](crate::broker::AgentLink) out.
//!
//! Each connection has a reader that feeds reports and grants in, and a writer that alone touches
//! the socket's other half. A slow store holds back the reader, never the writer.

mod answers;
mod beats;
mod codec;
mod door;
mod files;
mod link;
mod refused_reports;
mod registration;
mod session;
mod stats;
mod upgrade;
mod writer;

pub use beats::PendingBeats;
pub use door::AgentDoor;
pub use stats::GatewayStats;
pub use upgrade::{AuthMode, GatewaySettings, GatewayState, router};
