//! One attempt from its start to its end: one task of the runtime, no thread of its own.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hetuflow_core::{ArtifactNote, Delivery, ExecuteCommand, Stream, TaskConfig, TaskInstanceId};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;

use super::artifacts;
use super::capture::{Bounds, Capture};
use super::confine::{grip, metrics, over_limit};
use super::folder::remove;
use super::mask::Masker;
use super::prepare::{Prepared, cannot_write, prepare, refused, spawn_failed};
use super::room::Shared;
use super::running::{Control, INLINE_CHANCE, Running};
use super::{Cause, Ended, Event, Exit, Hold, Identity, Start, effective};
use crate::process::{ReadOutcome, Ready, Spawned, spawn, start_ticks};

/// Attempts whose first moments are watched by threads of their own at the same time; beyond that
/// the runtime watches from the start.
const SHORT_LIVES_MAX: usize = 16;

/// So long only its end is waited for: most tasks end by then, and a look at each of their pipes on
/// the way there would cost more than many of them do. What they write waits in the pipe.
const QUIET: Duration = Duration::from_millis(4);

/// What became of an attempt in its first moments.
enum First {
  /// It has ended.
  Over(Box<Ended>, Rest),
  /// It lives on.
  Lives(Box<Running>, Rest),
}

/// What is still there when the process has ended.
struct Rest {
  folders: Vec<PathBuf>,
  artifacts: Option<artifacts::Places>,
}

/// Starts an attempt, follows it, and says how it ended. Ends only when nothing of it is left to
/// report.
pub async fn supervise(
  shared: Arc<Shared>,
  start: Box<Start>,
  mut controls: UnboundedReceiver<Control>,
) {
  let instance_id = start.task.task_instance.id;
  let config = effective(&start.spec.config, start.task.task.config.as_ref()).clone();
  // This thread starts the process itself: no other one has to be woken first. Loading a program
  // takes its time, so the runtime gives this thread's work to another one meanwhile.
  let first = tokio::task::block_in_place(|| begin(&shared, &start, &config));
  let (mut ended, mut rest) = match first {
    Ok(First::Over(ended, rest)) => (ended, rest),
    Ok(First::Lives(running, rest)) => (Box::new(running.follow(&mut controls).await), rest),
    Err(cause) => {
      let at_us = shared.clock.now_us();
      let rest = Rest { folders: Vec::new(), artifacts: None };
      (Box::new(Ended::new(instance_id, cause, at_us)), rest)
    }
  };
  if let Some(places) = rest.artifacts.take().filter(artifacts::Places::may_hold) {
    rest.folders.push(places.own.clone());
    ended.said.artifacts = take_artifacts(&shared, Identity::of(&start), places).await;
    ended.said.artifacts_keep_secs = keep_secs(&config);
  }
  if !rest.folders.is_empty() {
    let record = config.artifacts.is_some().then(|| shared.surroundings.get());
    let cleaning = shared.tracker.spawn_blocking(move || {
      if let Some(surroundings) = record {
        artifacts::Record::forget(&surroundings.settings.artifact_dir, instance_id);
      }
      remove(&rest.folders);
    });
    let _finished = cleaning.await;
  }
  shared.say(Event::Ended(ended, Hold::default()));
}

/// The executor that sees the end of an attempt may be another one; a job that says nothing of files
/// costs nothing.
fn write_down(
  shared: &Shared,
  (start, config): (&Start, &TaskConfig),
  places: &artifacts::Places,
) -> io::Result<()> {
  if config.artifacts.is_none() || shared.journal.is_none() {
    return Ok(());
  }
  let record = artifacts::Record { places: places.clone(), keep_secs: keep_secs(config) };
  let base = &shared.surroundings.get().settings.artifact_dir;
  record.write(base, start.task.task_instance.id).map(drop)
}

/// How long a job wants its files to be kept.
fn keep_secs(config: &TaskConfig) -> Option<u64> {
  let retention = config.artifacts.as_ref().and_then(|wanted| wanted.retention);
  retention.map(|time| time.0.as_secs().max(1))
}

/// The files are safe before the end is told: whoever hears of the end can see what there is.
pub(super) async fn take_artifacts(
  shared: &Arc<Shared>,
  Identity { task_id, instance_id, fence, .. }: Identity,
  places: artifacts::Places,
) -> Vec<ArtifactNote> {
  let whose = artifacts::Whose { task_id, instance_id, fence };
  let surroundings = shared.surroundings.get();
  let taking = shared.tracker.spawn_blocking(move || {
    let settings = &surroundings.settings;
    let limits =
      artifacts::Limits { file: settings.artifact_size_max, total: settings.artifact_total_max };
    artifacts::collect(&places, (&settings.artifact_dir, limits), whose)
  });
  taking.await.unwrap_or_default()
}

/// Prepares, spawns and watches the first moments, on this thread.
fn begin(shared: &Arc<Shared>, start: &Start, config: &TaskConfig) -> Result<First, Cause> {
  let surroundings = shared.surroundings.get();
  if config.delivery() == Delivery::Exclusive && shared.cgroups.in_force().keeper == "none" {
    let why = "exclusive delivery needs control groups, and none can be made here: what escapes \
      from a stop would live on beside the next attempt";
    return Err(refused(why));
  }
  let prepared = prepare(start, config, &surroundings.settings, &surroundings.base)?;
  let Prepared { launch, folders, results, artifacts } = prepared;
  let instance_id = start.task.task_instance.id;
  if let Err(error) = write_down(shared, (start, config), &artifacts) {
    remove(&folders);
    return Err(cannot_write("where it leaves files cannot be written down", &error));
  }
  if let Some(journal) = &shared.journal
    && let Err(error) = journal.starting(Identity::of(start), surroundings.settings.journal_sync)
  {
    remove(&folders);
    return Err(cannot_write("its start cannot be written down, so it is not made", &error));
  }
  let grip = grip(&shared.cgroups, &surroundings.settings.confine, (instance_id, config));
  let ready = grip.prepare();
  let begun_us = shared.clock.now_us();
  let mut spawned = match spawn(&launch) {
    Ok(spawned) => spawned,
    Err(error) if error.has_begun() => {
      let ended = unwatched(instance_id, (None, begun_us), &error.source);
      return Ok(First::Over(Box::new(ended), Rest { folders, artifacts: None }));
    }
    Err(error) => {
      remove(&folders);
      return Err(spawn_failed(&error));
    }
  };
  let mut confined = ready.start(spawned.pid);
  let pid = u32::try_from(spawned.pid.as_raw_nonzero().get()).ok();
  let bytes = config.output_limit().unwrap_or(start.limits.output_bytes);
  let policy = config.log_policy.unwrap_or(surroundings.settings.log_policy);
  let bounds = Bounds { limit: bytes, policy };
  let mut capture = Capture::new(instance_id, start.task.fence, bounds);
  let is_handler = config.program() == ExecuteCommand::Handler && config.command.is_none();
  capture.expect_results(results, is_handler);
  if surroundings.settings.mask_secrets && !config.secrets.is_empty() {
    capture.mask(Masker::of(start, config));
  }
  let exit = watch_shortly(shared, &mut spawned, &mut capture);
  // What is left in the background is looked for only where it may not be.
  let closed =
    spawned.stdout.is_none() && spawned.stderr.is_none() && config.allow_background != Some(false);
  if let Some((exit, at_us)) = exit.filter(|_| closed) {
    capture.close();
    if capture.is_empty() || capture.is_small() {
      let (usage, over) = confined.note_end(Some(exit), || spawned.reap());
      let log_bytes = capture.total();
      let output = capture.take_small();
      let cause = over.map_or(Cause::Itself, over_limit);
      let started = Some((pid, begun_us));
      let (exit, metrics) = (Some(exit), Some(metrics(&usage)));
      let (log, said) = (capture.end(), capture.said());
      let ended =
        Ended { instance_id, cause, started, exit, at_us, output, log_bytes, log, said, metrics };
      let rest = Rest { folders, artifacts: Some(artifacts) };
      return Ok(First::Over(Box::new(ended), rest));
    }
  }
  // What lives on is worth a word, to the journal and to everybody else.
  if let (Some(journal), Some(ticks)) = (&shared.journal, start_ticks(spawned.pid)) {
    journal.started(instance_id, spawned.pid.as_raw_nonzero().get(), ticks, begun_us);
  }
  shared.say(Event::Started { instance_id, pid, at_us: begun_us });
  match Running::new(shared, (start, config), (spawned, confined, capture), (begun_us, exit)) {
    Ok(running) => {
      let rest = Rest { folders, artifacts: Some(artifacts) };
      Ok(First::Lives(Box::new(running), rest))
    }
    Err(error) => {
      let ended = unwatched(instance_id, (pid, begun_us), &error);
      Ok(First::Over(Box::new(ended), Rest { folders, artifacts: None }))
    }
  }
}

/// The end of a process that nobody could have watched: it was killed, and has run until then.
fn unwatched(instance_id: TaskInstanceId, started: (Option<u32>, i64), why: &io::Error) -> Ended {
  let cause = Cause::OverLimit {
    reason: "exit_unknown".to_owned(),
    message: format!(
      "it was killed right after its start: this host has no room to watch it: {why}"
    ),
  };
  Ended { started: Some(started), ..Ended::new(instance_id, cause, started.1) }
}

/// Watches a process for as long as its output may ride in its final report.
fn watch_shortly(
  shared: &Shared,
  spawned: &mut Spawned,
  capture: &mut Capture,
) -> Option<(Exit, i64)> {
  let mut exit = None;
  if shared.short_lives.fetch_add(1, Ordering::Relaxed) < SHORT_LIVES_MAX {
    let until = Instant::now() + INLINE_CHANCE;
    if spawned.wait_end(QUIET) {
      exit = spawned.exit().map(|exit| (exit, shared.clock.now_us()));
    }
    let mut at_end = exit.is_some();
    while exit.is_none() || spawned.stdout.is_some() || spawned.stderr.is_some() {
      let left = until.saturating_duration_since(Instant::now());
      if left.is_zero() || capture.is_full() {
        break;
      }
      // What was written before the end is there already.
      let ready = match std::mem::take(&mut at_end) {
        true => Ready::CLOSED,
        false => spawned.wait(exit.is_some(), left),
      };
      for (is_ready, stream, pipe) in [
        (ready.stdout, Stream::Stdout, &mut spawned.stdout),
        (ready.stderr, Stream::Stderr, &mut spawned.stderr),
      ] {
        // A read without room would look like the end of the pipe.
        if !is_ready || capture.is_full() {
          continue;
        }
        let (buffer, room) = capture.space();
        if let ReadOutcome::Bytes(count) = Spawned::read(pipe, buffer, room) {
          capture.added(stream, count);
        }
      }
      if ready.ended {
        exit = spawned.exit().map(|exit| (exit, shared.clock.now_us()));
      }
    }
  }
  shared.short_lives.fetch_sub(1, Ordering::Relaxed);
  exit
}
