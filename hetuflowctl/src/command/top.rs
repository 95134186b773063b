//! `top`: what is going on, live.

use hetuflow_core::Scope;

use super::live::{self, Sight};
use super::session::Session;
use crate::cli::{TopArgs, TopWhat, Watching};
use crate::client::CtlError;
use crate::output::Outcome;

/// Shows the list and what changes in it; with `--once` only as it is now.
///
/// # Errors
/// What the server says.
pub async fn run(session: &Session, args: &TopArgs) -> Result<Outcome, CtlError> {
  let (scope, terms) = match args.what {
    // Without a filter of their own people want to see what has not ended.
    TopWhat::Tasks if session.filter()?.is_none() => {
      let live = "state=running,cancelling,paused,dispatched,locked,waiting_retry,pending,blocked";
      (Scope::Tasks, vec![live.to_owned()])
    }
    TopWhat::Tasks => (Scope::Tasks, Vec::new()),
    TopWhat::Jobs => (Scope::Jobs, Vec::new()),
    TopWhat::Agents => (Scope::Agents, Vec::new()),
    TopWhat::Servers => (Scope::Servers, Vec::new()),
    TopWhat::Fires => (Scope::Fires, Vec::new()),
    TopWhat::Events => (Scope::Events, Vec::new()),
  };
  let sight = Sight { scope, terms, limit: args.limit };
  if args.once {
    return live::once(session, &sight).await;
  }
  let flags = Watching { watch: true, watch_only: false, until: args.until.until.clone() };
  live::run(session, &sight, &flags)
}
