//! Open files: enough for every slot, or a word about it before the first task fails.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the agent itself needs: its socket, timers, logs, and what a start opens for a moment.
const FILES_MIN: u64 = 64;
/// What one running task holds: the pipes of its output, its process, and one to spare.
const FILES_PER_TASK: u64 = 4;

/// Why the agent cannot work here.
#[derive(Debug, thiserror::Error)]
#[error("{allowed} open files are allowed here (ulimit -n), the agent needs at least {FILES_MIN}")]
pub struct FilesError {
  allowed: u64,
}

/// How many tasks at once the open files are enough for that are allowed now.
pub fn tasks_allowed() -> u32 {
  let soft = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
  u32::try_from(soft.saturating_sub(FILES_MIN) / FILES_PER_TASK).unwrap_or(u32::MAX)
}

/// Raises the soft limit where it is too low for that many tasks at once; warns where the hard
/// limit forbids it. Tasks inherit the limit, so it is never raised further than needed.
///
/// # Errors
/// When not even the agent itself can work.
pub fn allow_open_files(tasks: u32) -> Result<(), FilesError> {
  let limit = getrlimit(Resource::Nofile);
  let soft = limit.current.unwrap_or(u64::MAX);
  let wanted = FILES_MIN + FILES_PER_TASK * u64::from(tasks);
  if soft >= wanted {
    return Ok(());
  }
  let raised = wanted.min(limit.maximum.unwrap_or(u64::MAX)).max(soft);
  let set = setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum: limit.maximum });
  let allowed = if set.is_ok() { raised } else { soft };
  if allowed < FILES_MIN {
    return Err(FilesError { allowed });
  }
  if allowed < wanted {
    let enough = (allowed - FILES_MIN) / FILES_PER_TASK;
    tracing::warn!(
      allowed,
      wanted,
      "{allowed} open files (ulimit -n) are enough for about {enough} tasks at once, not for {tasks}"
    );
  } else {
    tracing::info!(from = soft, to = allowed, "the limit of open files was raised");
  }
  Ok(())
}
