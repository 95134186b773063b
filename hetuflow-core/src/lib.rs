//! The words that every part of hetuflow shares: types, models and the protocol. No I/O.
//!
//! A message between an agent and a server is an [`Envelope`] whose payload is one of the types
//! in [`protocol`]:
//!
//! ```
//! use std::collections::HashMap;
//! use hetuflow_core::*;
//!
//! let request = AgentRegisterRequest {
//!   agent_id: "agent-001".to_owned(),
//!   namespace_id: "production".to_owned(),
//!   capabilities: AgentCapabilities { max_concurrent_tasks: 10, ..Default::default() },
//!   metadata: HashMap::default(),
//!   version: "0.1.0".to_owned(),
//!   hostname: "web-1".to_owned(),
//!   os_info: "linux".to_owned(),
//!   ..Default::default()
//! };
//! request.validate()?;
//! let message =
//!   WebSocketMessage::new(MessageKind::AgentRegister, serde_json::to_value(&request)?);
//! let text = message.to_json()?;
//!
//! let received = read_message(&text)?;
//! assert_eq!(received.message_kind, MessageKind::AgentRegister);
//! assert_eq!(received.read::<AgentRegisterRequest>()?, request);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod models;
pub mod protocol;
pub mod types;

pub use models::*;
pub use protocol::*;
pub use types::*;
