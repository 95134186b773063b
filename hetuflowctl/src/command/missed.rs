//! What becomes of the instants that a hold kept back: asked for at a terminal, where nobody said.

use hetuflow_core::MisfirePolicy;

use crate::client::CtlError;
use crate::command::session::Session;
use crate::output::choose;

use MisfirePolicy::{FireAll, FireLast, FireOnce, Skip};

/// Asks what becomes of what one schedule, or some, have missed.
///
/// # Errors
/// When the terminal cannot be read.
pub fn of_schedules(session: &Session, question: &str) -> Result<MisfirePolicy, CtlError> {
  let choices = [
    ('s', "skip them", Skip),
    ('l', "run the last one now", FireLast),
    ('o', "run once now for all of them", FireOnce),
    ('a', "run all of them, the newest catchup_max at most", FireAll),
  ];
  Ok(choose(&session.look, question, &choices)?)
}

/// Asks what becomes of what a freeze kept back; `None` is what each schedule says itself.
///
/// # Errors
/// When the terminal cannot be read.
pub fn of_freeze(session: &Session) -> Result<Option<MisfirePolicy>, CtlError> {
  if session.look.yes || !session.look.interactive() {
    return Ok(None);
  }
  let choices = [
    ('e', "each schedule as it says itself (misfire_policy)", None),
    ('s', "skip them", Some(Skip)),
    ('l', "run the last one of each schedule", Some(FireLast)),
    ('o', "run each schedule once", Some(FireOnce)),
    ('a', "run all of them, the newest catchup_max of each at most", Some(FireAll)),
  ];
  Ok(choose(&session.look, "What becomes of the instants that were held back?", &choices)?)
}
