//! Keeps children running, and stops them all in the end.

use std::time::{Duration, Instant};

use futures_util::future::{join_all, select_all};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::child::{Recipe, Running};
use super::lines::Lines;
use crate::client::CtlError;
use crate::output::{Look, show_duration};

const BACK_OFF: Duration = Duration::from_millis(500);
const BACK_OFF_MAX: Duration = Duration::from_secs(5);
/// A child that ran this long has a fresh start.
const RAN_WELL: Duration = Duration::from_secs(30);
/// The server's own promise is 10 s.
const STOP_GRACE: Duration = Duration::from_secs(12);

/// The signals that end `dev`.
pub struct Signals {
  interrupt: Signal,
  terminate: Signal,
  hang_up: Signal,
}

impl Signals {
  /// From now on they come to us.
  ///
  /// # Errors
  /// When the kernel refuses.
  pub fn new() -> Result<Self, CtlError> {
    Ok(Self {
      interrupt: signal(SignalKind::interrupt())?,
      terminate: signal(SignalKind::terminate())?,
      hang_up: signal(SignalKind::hangup())?,
    })
  }

  /// The next one, as the exit code that it stands for.
  pub async fn next(&mut self) -> u8 {
    tokio::select! {
      _ = self.interrupt.recv() => 130,
      _ = self.terminate.recv() => 143,
      _ = self.hang_up.recv() => 129,
    }
  }
}

/// A child's place: the child, or the wait for its next start.
pub struct Slot {
  /// What to start.
  pub recipe: Recipe,
  /// What runs.
  pub running: Option<Running>,
  started: Instant,
  back_off: Duration,
}

/// Starts children again when they end, until `end` says with which exit code all is over.
pub async fn keep_running(
  lines: &Lines,
  slots: &mut [Slot],
  end: impl Future<Output = Result<u8, CtlError>>,
) -> Result<u8, CtlError> {
  tokio::pin!(end);
  loop {
    let waits = slots
      .iter_mut()
      .enumerate()
      .map(|(index, slot)| Box::pin(wait_or_restart(index, slot, lines)));
    let (index, told) = tokio::select! {
      exit = &mut end => return exit,
      ((index, told), ..) = select_all(waits) => (index, told),
    };
    let name = &slots[index].recipe.name;
    match told {
      Told::Ended(words) => {
        let again = show_duration(slots[index].back_off);
        lines.say(format!("{name} ended ({words}), starting it again in {again}"));
      }
      Told::Started => lines.say(format!("{name} was started again")),
      Told::Failed(error) => lines.say(format!("{name}: {error}")),
    }
  }
}

impl Slot {
  /// Starts a child in its place.
  ///
  /// # Errors
  /// When it cannot be started.
  pub fn start(recipe: Recipe, lines: &Lines) -> Result<Self, CtlError> {
    let running = Running::start(recipe.clone(), lines)?;
    Ok(Self { recipe, running: Some(running), started: Instant::now(), back_off: BACK_OFF })
  }
}

enum Told {
  Ended(String),
  Started,
  Failed(CtlError),
}

async fn wait_or_restart(index: usize, slot: &mut Slot, lines: &Lines) -> (usize, Told) {
  if let Some(running) = &mut slot.running {
    let words = match running.wait().await {
      Ok(status) => status.to_string(),
      Err(error) => error.to_string(),
    };
    slot.running = None;
    slot.back_off = if slot.started.elapsed() > RAN_WELL {
      BACK_OFF
    } else {
      (slot.back_off * 2).clamp(BACK_OFF, BACK_OFF_MAX)
    };
    slot.started = Instant::now();
    return (index, Told::Ended(words));
  }
  tokio::time::sleep(slot.back_off.saturating_sub(slot.started.elapsed())).await;
  match Running::start(slot.recipe.clone(), lines) {
    Ok(running) => {
      slot.running = Some(running);
      slot.started = Instant::now();
      (index, Told::Started)
    }
    Err(error) => {
      slot.started = Instant::now();
      (index, Told::Failed(error))
    }
  }
}

/// Agents first, so that they can say goodbye; a second signal stops all at once.
pub async fn stop(look: &Look, slots: Vec<Slot>, signals: &mut Signals) {
  look.say("stopping");
  let (server, agents): (Vec<_>, Vec<_>) = slots
    .into_iter()
    .filter_map(|slot| slot.running)
    .partition(|running| running.recipe.name == "server");
  let mut hurry = false;
  for group in [agents, server] {
    let pids: Vec<i32> = group.iter().filter_map(Running::pid).collect();
    let grace = if hurry { Duration::ZERO } else { STOP_GRACE };
    let stopped = join_all(group.into_iter().map(|running| running.stop(grace)));
    tokio::pin!(stopped);
    tokio::select! {
      _ = &mut stopped => continue,
      _ = signals.next() => hurry = true,
    }
    for pid in pids.into_iter().filter_map(rustix::process::Pid::from_raw) {
      let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
    }
    stopped.await;
  }
}
