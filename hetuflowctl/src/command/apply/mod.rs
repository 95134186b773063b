//! `apply`: manifests become jobs, all or none. Every problem of every file is told at once.

mod convert;
mod create;
mod edit;
mod files;
mod fires;
mod fires_text;
mod locate;
mod manifest;
mod namespaces;
mod plan;
mod plan_text;
mod problem;
mod read;
mod remove;
mod scalar;
mod tree;
mod vars;

pub use create::create;
pub use edit::run as edit;
pub use fires::run as plan_fires;
pub use fires_text::fires_text;
use manifest::load;
pub use plan::{diff, load_files, run, validate};
pub use remove::run as delete;

use hetuflow_core::{ApplyResponse, JobForCreate};
use serde_json::Value;

use crate::cli::ManifestArgs;
use crate::client::{Client, CtlError};
use crate::command::session::Session;

/// Applies texts that are part of the program, as `dev --demo` does; how many jobs.
///
/// # Errors
/// When a text is refused.
pub async fn apply_texts(client: &Client, texts: &[(&str, &str)]) -> Result<usize, CtlError> {
  let sources = texts.iter().map(|(name, text)| files::Source::new(*name, *text)).collect();
  let loaded = load(sources)?;
  plan::send(client, &loaded, &plan::Wish::default()).await.map(|plan| plan.changes.len())
}

/// Applies texts that were made by the program, and asks first where something is there already.
/// `None`: nobody said yes.
///
/// # Errors
/// When a text is refused.
pub async fn apply_with_consent(
  session: &Session,
  texts: &[(String, String)],
) -> Result<Option<ApplyResponse>, CtlError> {
  let sources = texts.iter().map(|(name, text)| files::Source::new(name, text)).collect();
  let mut loaded = load(sources)?;
  plan::put_in_namespace(&mut loaded, &session.client()?.place.namespace)?;
  plan::ask_and_send(session, &loaded).await
}

/// The jobs of manifests, those without a namespace in this one.
///
/// # Errors
/// Invalid, with every problem.
pub fn load_for(args: &ManifestArgs, namespace: &str) -> Result<Vec<JobForCreate>, CtlError> {
  let mut loaded = load_files(args)?;
  plan::put_in_namespace(&mut loaded, namespace)?;
  Ok(loaded.jobs.into_iter().map(|(job, _)| job).collect())
}

/// The documents of a YAML or JSON text, as values.
///
/// # Errors
/// Invalid, with the place of each problem.
pub fn read_documents(name: &str, text: &str) -> Result<Vec<Value>, CtlError> {
  let source = files::Source::new(name, text);
  match tree::read(&source) {
    Ok(nodes) => Ok(nodes.iter().map(tree::Node::value).collect()),
    Err(problems) => Err(problem::refuse(problems, &[source])),
  }
}

/// Checks one text as `apply` would, without a server.
///
/// # Errors
/// When it is refused.
#[cfg(test)]
pub fn check_text(name: &str, text: &str) -> Result<usize, CtlError> {
  load(vec![files::Source::new(name, text)]).map(|loaded| loaded.jobs.len())
}
