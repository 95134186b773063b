//! Verbs that every kind has: list, get, describe, create, delete, and small acts.

pub mod act;
pub mod artifact;
pub mod artifact_put;
pub mod calendar;
pub mod create;
pub mod delete;
pub mod describe;
pub mod get;
pub mod job_rows;
mod kind;
pub mod list;
mod picked;
pub mod secret;
pub mod semaphore;
mod short_ref;

pub use kind::{Kind, bare};
