//! The hot path's statements (HOTPATH.md): enqueue, claim, report. Each exists twice, once per
//! engine, with one meaning; the conformance suite keeps them equal.
//!
//! Rules that every writer here keeps: hot rows are locked in the order of their ids, hot rows
//! before instances before the event lock, every stored move guarded by fence and status.

mod ageing;
mod born_sqlite;
mod carried;
mod claim;
mod control;
mod enqueue;
mod finish;
mod force;
mod gate;
mod live;
mod marks;
mod progress;
mod waiting;

pub use ageing::{AGED_AT_ONCE, AGED_MAX, AgeingRange, age_waiting};
pub use born_sqlite::enqueue_born;
pub use carried::carried;
pub use claim::{ClaimSlot, ClaimedTask, PG_CLAIM_SQL, SQLITE_DUE_SQL, claim_due, claim_new};
pub use control::{
  StopIntent, StopMark, in_hand, mark_paused, mark_resumed, pending_stops, request_drain_stops,
  request_hold, request_signal, request_stop, take_signal,
};
pub use enqueue::{
  Birth, JobGuards, NewTask, StartGate, cannot_collide, check_jobs, enqueue, enqueue_plain,
  is_plain, stored_tasks,
};
pub use finish::{
  DeadLetter, FinishedAttempt, HotRow, LeftBehind, attempt_is_stored, delete_finished,
  insert_dead_letters, insert_finished, lock_rows, reschedule_retry,
};
pub use force::force_if_held;
pub use gate::{
  Held, HeldRange, Stuck, admit_rows, any_held, held_due, held_ranges, stuck_claims,
  take_back_slots,
};
pub use live::{
  LiveRow, LostCandidate, OpenClaim, Unstarted, any_orphans, clear_unreachable, count_live,
  finish_broadcast, finish_unstarted, live_of_agent, mark_acknowledged, mark_orphans,
  mark_row_unreachable, mark_running, mark_unreachable, open_claims, reprioritise_if_waiting,
  return_claims, unreachable_before, waiting_past_deadline,
};
pub use marks::due_marks;
pub use progress::{ProgressRow, ProgressTold, note_progress};
pub use waiting::{AHEAD_MAX, WaitingRow, count_ahead, count_held_ahead, waiting_row};

use uuid::Uuid;

/// Uuids as one JSON text for SQLite: `["hex", …]`.
fn hex_list(ids: impl IntoIterator<Item = Uuid>) -> String {
  let mut text = String::from("[");
  for (index, id) in ids.into_iter().enumerate() {
    if index > 0 {
      text.push(',');
    }
    text.push('"');
    text.push_str(&id.simple().to_string());
    text.push('"');
  }
  text.push(']');
  text
}

/// A uuid as hex, for rows of JSON.
fn hex(id: Uuid) -> String {
  id.simple().to_string()
}

/// The error of a branch that the engine rules out.
pub(super) fn wrong_engine() -> crate::infra::db::DbError {
  crate::infra::db::DbError::Unusable("statement is for the other engine".to_owned())
}
