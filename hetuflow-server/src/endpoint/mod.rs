//! The HTTP door: what people and scripts ask for, read strictly and handed to the services.
//!
//! One table of [`operation::Operation`]s makes the router and the document at
//! `/docs/openapi.json`, so that neither can know a route that the other does not. Handlers are
//! thin: who may do what is decided in the services. Knows no SQL.

mod agents;
mod artifact_put;
mod artifacts;
mod auth;
mod backfills;
mod calendars;
mod control;
mod docs;
mod error;
mod events;
mod events_socket;
mod events_watches;
mod gateway_figures;
mod jobs;
mod json_body;
mod json_scan;
mod json_shape;
mod logs;
mod middleware;
mod namespaces;
mod openapi;
mod operation;
mod query;
mod router;
mod schedules;
mod secrets;
mod semaphores;
mod simulate;
mod state;
mod system;
mod task_instances;
mod tasks;
mod tokens;
mod v0;
mod version_header;

#[cfg(test)]
mod tests;

pub use router::router;
pub use state::{ApiState, Figures};
