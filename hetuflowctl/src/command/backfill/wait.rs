//! Waiting for the end of a backfill.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hetuflow_core::{BackfillEntity, BackfillState};

use super::one;
use crate::client::{CtlError, Exit};
use crate::command::session::Session;
use crate::output::{Outcome, View};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(300);

/// Waits until it is over and none of its tasks is alive.
///
/// # Errors
/// What the server says.
pub async fn run(session: &Session, row: &BackfillEntity) -> Result<Outcome, CtlError> {
  let id = row.id.to_string();
  session.goes_on("the backfill goes on");
  let done = AtomicU64::new(0);
  let wait = async {
    loop {
      let row = one(session, &id).await?;
      done.store(u64::try_from(row.succeeded + row.failed).unwrap_or(0), Ordering::Relaxed);
      if row.ended_at.is_some() {
        return Ok::<_, CtlError>(row);
      }
      tokio::time::sleep(LOOK).await;
    }
  };
  let words = format!("backfill of {}", row.schedule_name);
  let total = u64::try_from(row.total).unwrap_or(0);
  let row = session.progress().counted(&words, (&done, total), wait).await?;
  let exit = if row.state == BackfillState::Succeeded { 0 } else { Exit::TaskFailed as u8 };
  let mut outcome = Outcome::from(View::thing(&row)).exit(exit);
  if let Some(reason) = &row.reason {
    outcome = outcome.note(format!("{}: {reason}", row.state));
  }
  Ok(outcome)
}
