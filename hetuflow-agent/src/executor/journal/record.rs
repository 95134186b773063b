//! One record of the journal, and its bytes: length, checksum, JSON.

use hetuflow_core::TaskInstanceId;
use serde::{Deserialize, Serialize};

use crate::executor::{Ended, Identity, Pauses, StopWhy};

/// Length and checksum in front of each record.
const HEAD_BYTES: usize = 8;
/// No record is longer; a length beyond it is no length.
const RECORD_BYTES_MAX: usize = 64 << 20;

/// What can be written.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
  /// The first one of each file.
  Head {
    /// Names the memory.
    id: String,
    /// Under which boot it is written.
    boot_id: String,
    /// The clock of its times.
    shift_us: i64,
  },
  /// Attempts that are over.
  Seen {
    /// Which, the oldest first.
    instances: Vec<TaskInstanceId>,
  },
  /// An attempt waits: its whole start, as JSON in JSON, so that a part that cannot be read in a
  /// later version spoils nothing else.
  Waiting {
    /// The start.
    start: String,
  },
  /// An attempt is about to be started.
  Starting {
    /// Which.
    identity: Identity,
  },
  /// Its process lives.
  Started {
    /// Which.
    instance_id: TaskInstanceId,
    /// Its number.
    pid: i32,
    /// When it was started, in ticks since the boot.
    ticks: u64,
    /// When it was started, on the steady clock.
    at_us: i64,
  },
  /// It was asked to end.
  Stopping {
    /// Which.
    instance_id: TaskInstanceId,
    /// Why.
    why: StopWhy,
  },
  /// It was frozen or thawed.
  Frozen {
    /// Which.
    instance_id: TaskInstanceId,
    /// How it stands since.
    pauses: Pauses,
  },
  /// A server was in reach.
  Contact {
    /// When, on the steady clock.
    at_us: i64,
  },
  /// It has ended.
  Exited {
    /// How.
    ended: Box<Ended>,
  },
  /// Its end is stored.
  Settled {
    /// Which.
    instance_id: TaskInstanceId,
  },
}

impl Record {
  /// Adds its bytes to `out`.
  ///
  /// # Errors
  /// When it cannot be written as JSON, which none of ours is.
  pub fn put(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
    let start = out.len();
    out.extend_from_slice(&[0; HEAD_BYTES]);
    if let Err(error) = serde_json::to_writer(&mut *out, self) {
      out.truncate(start);
      return Err(error);
    }
    let body = &out[start + HEAD_BYTES..];
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes();
    let sum = crc32fast::hash(body).to_le_bytes();
    out[start..start + 4].copy_from_slice(&length);
    out[start + 4..start + HEAD_BYTES].copy_from_slice(&sum);
    Ok(())
  }

  /// The first record of some bytes, and how many it takes; `None` where there is none that is
  /// whole and true.
  pub fn take(bytes: &[u8]) -> Option<(Self, usize)> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length) as usize;
    if length == 0 || length > RECORD_BYTES_MAX {
      return None;
    }
    let body = rest.get(..length)?;
    if crc32fast::hash(body) != u32::from_le_bytes(*sum) {
      return None;
    }
    Some((serde_json::from_slice(body).ok()?, HEAD_BYTES + length))
  }
}
