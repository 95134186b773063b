//! Process groups.

use rustix::process::{Pid, Signal, kill_process_group};

/// Sends a signal to every process of a group; false when the group is gone.
///
/// The caller holds the leader unreaped, so that its number cannot belong to a stranger.
pub fn signal_group(group: Pid, signal: i32) -> bool {
  let Some(signal) = Signal::from_named_raw(signal) else { return false };
  kill_process_group(group, signal).is_ok()
}
