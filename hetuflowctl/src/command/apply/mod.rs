//! `apply`: manifests become jobs, all or none. Every problem of every file is told at once.

mod convert;
mod create;
mod files;
mod locate;
mod manifest;
mod plan;
mod plan_text;
mod problem;
mod read;
mod remove;
mod scalar;
mod tree;
mod vars;

pub use create::create;
use manifest::load;
pub use plan::{diff, run};
pub use remove::run as delete;

use crate::client::{Client, CtlError};

/// Applies texts that are part of the program, as `dev --demo` does; how many jobs.
///
/// # Errors
/// When a text is refused.
pub async fn apply_texts(client: &Client, texts: &[(&str, &str)]) -> Result<usize, CtlError> {
  let sources = texts.iter().map(|(name, text)| files::Source::new(*name, *text)).collect();
  let loaded = load(sources)?;
  plan::send(client, &loaded, &plan::Wish::default()).await.map(|plan| plan.changes.len())
}

/// Checks one text as `apply` would, without a server.
///
/// # Errors
/// When it is refused.
#[cfg(test)]
pub fn check_text(name: &str, text: &str) -> Result<usize, CtlError> {
  load(vec![files::Source::new(name, text)]).map(|loaded| loaded.jobs.len())
}
