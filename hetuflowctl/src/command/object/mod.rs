//! Verbs that every kind has: list, get, describe, create, delete, and small acts.

pub mod act;
pub mod create;
pub mod delete;
pub mod describe;
pub mod get;
mod kind;
pub mod list;

pub use kind::{Kind, bare};
