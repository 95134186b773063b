//! Processes that an executor before this one has started, and that it did not live to see end.
//!
//! They are told from strangers by number and start, never by number alone. They are no children
//! of ours, so their exit codes are nobody's to read, and their output has nowhere to go.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use hetuflow_core::TaskInstanceId;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::Instant;

use super::artifacts::Record;
use super::confine::{grip, over_limit};
use super::folder::{clear_one, run_folder};
use super::result_file::{Left, ResultFile};
use super::room::Shared;
use super::running::Control;
use super::stop::Stopping;
use super::supervise::take_artifacts;
use super::time_limit::TimeLimit;
use super::{Cause, Ended, Event, Hold, Identity, Pauses, Said, StopOrder};
use crate::process::{Grip, start_ticks, watch};

/// What became of a process that was started before.
#[derive(Debug)]
pub enum Found {
  /// It lives.
  Alive {
    /// Its number, which is also its group's.
    pid: Pid,
    /// Readable when it has ended.
    handle: OwnedFd,
    /// When it was started, in ticks since the boot.
    ticks: u64,
    /// When it was started.
    at_us: i64,
  },
  /// It does not.
  Gone,
  /// None was found, and one may be in the middle of its start: a process outlives its parent's
  /// death there, and has no environment of its own for a moment.
  Unsure,
}

/// An attempt that was started before, and what became of its process.
#[derive(Debug)]
pub struct Orphan {
  /// Which.
  pub identity: Identity,
  /// What became of it.
  pub found: Found,
  /// When it was frozen.
  pub pauses: Pauses,
}

/// How long a start may take whose parent has died.
const START_LIMIT: Duration = Duration::from_millis(300);

/// Looks for the process with this number that was started then.
pub fn look(pid: i32, ticks: u64, at_us: i64) -> Found {
  let Some(pid) = Pid::from_raw(pid) else { return Found::Gone };
  // The handle first: once we hold it, what it names cannot change behind the second question.
  match pidfd_open(pid, PidfdFlags::NONBLOCK) {
    Ok(handle) if start_ticks(pid) == Some(ticks) => Found::Alive { pid, handle, ticks, at_us },
    _ => Found::Gone,
  }
}

/// Looks for the process of an attempt of which nobody has noted the number, by what it was given.
pub fn find(instance_id: TaskInstanceId, now_us: i64) -> Found {
  let mark = format!("HETUFLOW_INSTANCE_ID={instance_id}");
  let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
  let marked = entries.filter_map(|entry| {
    let pid = entry.file_name().to_str()?.parse::<i32>().ok()?;
    let environ = std::fs::read(entry.path().join("environ")).ok()?;
    environ.split(|byte| *byte == 0).any(|word| word == mark.as_bytes()).then_some(pid)
  });
  // The first one leads the group; the others are its children.
  let first = marked.filter_map(|pid| Some((start_ticks(Pid::from_raw(pid)?)?, pid))).min();
  first.map_or(Found::Unsure, |(ticks, pid)| look(pid, ticks, now_us))
}

/// Follows it to its end, which is said then.
pub async fn follow(
  shared: Arc<Shared>,
  Orphan { identity, found, pauses }: Orphan,
  mut controls: UnboundedReceiver<Control>,
) {
  let instance_id = identity.instance_id;
  let found = match found {
    Found::Unsure => {
      tokio::time::sleep(START_LIMIT).await;
      find(instance_id, shared.clock.now_us())
    }
    sure => sure,
  };
  let cause = match found {
    Found::Gone | Found::Unsure => Cause::Unseen,
    Found::Alive { pid, handle, ticks, at_us } => {
      let number = u32::try_from(pid.as_raw_nonzero().get()).ok();
      if !pauses.is_frozen() {
        // What was frozen has been told to run long ago.
        shared.say(Event::Started { instance_id, pid: number, at_us });
      }
      match watch(handle) {
        Ok(watch) => {
          let time_limit = TimeLimit::after(at_us, identity.terms.time(), pauses);
          let orphan = (identity, pauses.is_frozen(), time_limit);
          wait(&shared, orphan, (pid, ticks, watch), &mut controls).await
        }
        Err(_) => Cause::Unseen,
      }
    }
  };
  let at_us = shared.clock.now_us();
  let said = leavings(&shared, identity).await;
  let ended = Ended { said, ..Ended::new(instance_id, cause, at_us) };
  shared.say(Event::Ended(Box::new(ended), Hold::default()));
}

/// Says of an attempt that was killed after a fault of ours that its end was not seen.
pub async fn end(shared: Arc<Shared>, identity: Identity) {
  let (_nobody, controls) = unbounded_channel();
  let (found, pauses) = (Found::Gone, Pauses::default());
  follow(shared, Orphan { identity, found, pauses }, controls).await;
}

/// What it has left on the disk is not lost: its results and its files; its folder goes.
async fn leavings(shared: &Arc<Shared>, identity: Identity) -> Said {
  let id = identity.instance_id;
  let surroundings = shared.surroundings.get();
  let settings = &surroundings.settings;
  let Record { places, keep_secs } = Record::of_orphan(settings, id);
  let mut said = Said::default();
  if places.may_hold() {
    said.artifacts = take_artifacts(shared, identity, places).await;
    said.artifacts_keep_secs = keep_secs;
  }
  let run_dir = run_folder(settings, id);
  let place = (run_dir.as_deref(), settings.run_base_dir.as_path());
  if let Left::Values(values, _) = ResultFile::new(id, place, settings.result_size_max).take() {
    said.outputs = Some(values);
  }
  Record::forget(&settings.artifact_dir, id);
  clear_one(settings, id);
  said
}

/// Waits for its end; its job's terms hold as they did.
async fn wait(
  shared: &Shared,
  (identity, frozen, mut time_limit): (Identity, bool, TimeLimit),
  (pid, ticks, watch): (Pid, u64, AsyncFd<OwnedFd>),
  controls: &mut UnboundedReceiver<Control>,
) -> Cause {
  let Identity { instance_id, terms, .. } = identity;
  let section = shared.surroundings.get().settings.confine.clone();
  let held =
    Grip { orphan_since: Some(ticks), ..grip(&shared.cgroups, &section, (instance_id, &terms)) };
  let mut confined = held.prepare().start(pid);
  confined.settle();
  let mut is_frozen = frozen;
  if is_frozen {
    // The group that held it was another one.
    confined.freeze(true);
  }
  let mut stopping: Option<Stopping> = None;
  let mut ended = false;
  let mut listening = true;
  loop {
    if ended && stopping.is_none() && terms.ends_whole() {
      let order = StopOrder { force: true, ..StopOrder::default() };
      stopping = Some(Stopping::begin(&mut confined, Cause::Unseen, &order, is_frozen));
    }
    if ended && stopping.as_mut().is_none_or(|stopping| stopping.all_is_gone(&mut confined)) {
      return stopping.map_or(Cause::Unseen, |stopping| stopping.cause);
    }
    let goes_on = !ended && stopping.is_none();
    let left = goes_on.then(|| time_limit.left(shared.clock.now_us())).flatten();
    let time = left.and_then(|left| Instant::now().checked_add(left));
    // Timers sleep while the host sleeps: the looks find out that the time limit is over.
    let look = goes_on.then(|| confined.next_look().into());
    let stop = stopping.as_ref().and_then(Stopping::next_wake);
    let wake = [time, look, stop].into_iter().flatten().min();
    tokio::select! {
      _ = watch.readable(), if !ended => ended = true,
      () = tokio::time::sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {
        if let Some(stopping) = &mut stopping {
          stopping.tick(&mut confined);
        } else if time_limit.is_over(shared.clock.now_us()) {
          let order = terms.stop_order();
          stopping = Some(Stopping::begin(&mut confined, Cause::TimedOut, &order, is_frozen));
        } else if Instant::now() >= confined.next_look().into()
          && let Some(over) = confined.look()
        {
          let order = StopOrder { force: true, ..StopOrder::default() };
          stopping = Some(Stopping::begin(&mut confined, over_limit(over), &order, is_frozen));
        }
      }
      control = controls.recv(), if listening => match control {
        None => listening = false,
        Some(_) if ended => {}
        Some(Control::Signal(signal)) => _ = confined.signal(signal),
        Some(Control::Freeze(frozen)) => {
          if stopping.is_none() && confined.freeze(frozen) {
            let at_us = shared.clock.now_us();
            time_limit.freeze(at_us, frozen);
            is_frozen = frozen;
            shared.say(Event::Frozen { instance_id, frozen, at_us });
          }
        }
        Some(Control::Stop(order)) => {
          let order = terms.stop_order().with(order);
          match &mut stopping {
            Some(stopping) => stopping.hurry(&mut confined, &order),
            None => {
              let begun = Stopping::begin(&mut confined, Cause::Stopped, &order, is_frozen);
              stopping = Some(begun);
            }
          }
        }
      },
    }
  }
}
