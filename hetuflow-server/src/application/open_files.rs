//! Open files: one per connection, or a word about it before connections are refused.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::start_error::StartError;

/// What the server itself needs beside its database: listener, logs, timers, a few requests.
const FILES_MIN: u64 = 64;

/// Raises the soft limit to what `connections` of agents and `database` connections need; warns
/// where the hard limit forbids it.
///
/// # Errors
/// When not even the server itself can work.
pub(super) fn allow_open_files(connections: u64, database: u64) -> Result<(), StartError> {
  let limit = getrlimit(Resource::Nofile);
  let soft = limit.current.unwrap_or(u64::MAX);
  let needed = FILES_MIN + database;
  // As many again for requests and readers.
  let wanted = needed + 2 * connections;
  if soft >= wanted {
    return Ok(());
  }
  let raised = wanted.min(limit.maximum.unwrap_or(u64::MAX)).max(soft);
  let set = setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum: limit.maximum });
  let allowed = if set.is_ok() { raised } else { soft };
  if allowed < needed {
    return Err(StartError::OpenFiles { allowed, needed });
  }
  if allowed < wanted {
    tracing::warn!(
      allowed,
      wanted,
      "{allowed} open files (ulimit -n) are too few for {connections} agents; raise the hard limit"
    );
  }
  Ok(())
}
