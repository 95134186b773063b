//! The config file: looked at, changed, edited; aliases and plugins.

mod alias;
mod edit;
mod outside;
mod view;

pub use alias::run as alias;
pub use outside::{Outside, outside, plugins};

use crate::cli::ConfigVerb;
use crate::client::CtlError;
use crate::command::session::Session;
use crate::output::Outcome;

/// Does a verb.
///
/// # Errors
/// When the file is broken, or the key is none.
pub fn run(session: &Session, verb: &ConfigVerb) -> Result<Outcome, CtlError> {
  match verb {
    ConfigVerb::View { show_origin } => view::view(session, *show_origin),
    ConfigVerb::Get { key } => edit::get(session, key),
    ConfigVerb::Set { key, value } => edit::set(session, key, value),
    ConfigVerb::Unset { key } => edit::unset(session, key),
    ConfigVerb::Edit => edit::edit(session),
    ConfigVerb::Path => view::path(session),
  }
}
