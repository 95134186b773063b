//! Ends every task at once without a process: measures everything but the process.

use super::room::Shared;
use super::{Cause, Ended, Event, Exit, Hold, Start};

/// Says that the attempt was started and has succeeded.
pub fn run(shared: &Shared, start: &Start) {
  let instance_id = start.task.task_instance.id;
  let at_us = shared.clock.now_us();
  let ended = Ended {
    started: Some((None, at_us)),
    exit: Some(Exit::Code(0)),
    ..Ended::new(instance_id, Cause::Itself, at_us)
  };
  shared.say(Event::Ended(Box::new(ended), Hold::default()));
}
