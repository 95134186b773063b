//! One attempt from its start to its end: a thread starts it and sees whether it ends at once; from
//! then on it is one task of the runtime.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use hetuflow_core::{ArtifactNote, Delivery, Stream, TaskConfig, TaskInstanceId};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;

use super::artifacts;
use super::capture::{Bounds, Capture};
use super::confine::{grip, metrics, over_limit};
use super::folder::remove;
use super::lanes::Turn;
use super::mask::Masker;
use super::orphan;
use super::prepare::{Prepared, cannot_write, is_handled, prepare, refused, spawn_failed};
use super::room::Shared;
use super::running::{Control, INLINE_CHANCE, Running};
use super::{Cause, Ended, Event, Exit, Hold, Identity, Start, SteadyClock, effective};
use crate::process::{Launch, ReadOutcome, Ready, SpawnError, Spawned, spawn, start_ticks};

/// Where too many are waited for already, one keeps the thread of its start from the next one for so
/// long: most of those that end soon keep a processor busy till then.
const AT_WORK: Duration = Duration::from_millis(1);
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

impl Rest {
  fn may_hold_artifacts(&self) -> bool {
    self.artifacts.as_ref().is_some_and(artifacts::Places::may_hold)
  }
}

/// Starts an attempt and says how it ended, on a thread for that; one that lives on is followed in the
/// runtime. Calls `done` when nothing of it is left to report. A fault of ours costs this attempt and
/// nothing else: it ends as one that nobody has seen the end of.
pub fn supervise(
  shared: Arc<Shared>,
  start: Box<Start>,
  controls: UnboundedReceiver<Control>,
  (turn, done): (&mut Turn<'_>, impl FnOnce() + Send + 'static),
) {
  let identity = Identity::of(&start);
  let config = effective(&start.spec.config, start.task.task.config.as_ref()).clone();
  let first = catch_unwind(AssertUnwindSafe(|| {
    match first_moments(&shared, (identity, &start, &config), turn) {
      First::Over(ended, rest) if !rest.may_hold_artifacts() => {
        Cleaned::of(&start, &config).clean(&shared, &rest.folders);
        shared.say(Event::Ended(ended, Hold::default()));
        None
      }
      first => Some(first),
    }
  }));
  let first = match first {
    Ok(None) => return done(),
    Ok(Some(first)) => Ok(first),
    Err(fault) => Err(fault),
  };
  let inside = Arc::clone(&shared);
  shared.tracker.spawn(async move {
    let followed = match first {
      Ok(first) => {
        let following = finish(Arc::clone(&inside), (identity, &start, &config), controls, first);
        AssertUnwindSafe(following).catch_unwind().await
      }
      Err(fault) => Err(fault),
    };
    if followed.is_err() {
      let instance_id = identity.instance_id;
      tracing::error!(instance.id = %instance_id, "a fault of the executor; the attempt is killed");
      let telling = orphan::end(Arc::clone(&inside), identity);
      if AssertUnwindSafe(telling).catch_unwind().await.is_err() {
        let ended = Ended::new(instance_id, Cause::Unseen, inside.clock.now_us());
        inside.say(Event::Ended(Box::new(ended), Hold::default()));
      }
    }
    done();
  });
}

/// The first moments of an attempt, or why there are none.
fn first_moments(
  shared: &Arc<Shared>,
  (identity, start, config): (Identity, &Start, &TaskConfig),
  turn: &mut Turn<'_>,
) -> First {
  begin(shared, (identity, start, config), turn).unwrap_or_else(|cause| {
    let ended = Ended::new(identity.instance_id, cause, shared.clock.now_us());
    First::Over(Box::new(ended), Rest { folders: Vec::new(), artifacts: None })
  })
}

/// Follows what lives on to its end, and takes the files that it leaves.
async fn finish(
  shared: Arc<Shared>,
  (identity, start, config): (Identity, &Start, &TaskConfig),
  mut controls: UnboundedReceiver<Control>,
  first: First,
) {
  let (mut ended, mut rest) = match first {
    First::Over(ended, rest) => (ended, rest),
    First::Lives(running, rest) => (Box::new(running.follow(&mut controls).await), rest),
  };
  if let Some(places) = rest.artifacts.take().filter(artifacts::Places::may_hold) {
    rest.folders.push(places.own.clone());
    ended.said.artifacts = take_artifacts(&shared, identity, places).await;
    ended.said.artifacts_keep_secs = keep_secs(config);
  }
  if !rest.folders.is_empty() {
    let (inside, whose) = (Arc::clone(&shared), Cleaned::of(start, config));
    let cleaning = shared.tracker.spawn_blocking(move || whose.clean(&inside, &rest.folders));
    let _finished = cleaning.await;
  }
  shared.say(Event::Ended(ended, Hold::default()));
}

/// An attempt of which nothing is to stay.
struct Cleaned {
  instance_id: TaskInstanceId,
  has_record: bool,
}

impl Cleaned {
  fn of(start: &Start, config: &TaskConfig) -> Self {
    Self { instance_id: start.task.task_instance.id, has_record: config.artifacts.is_some() }
  }

  /// Removes what nobody needs any more. Blocks on the disk.
  fn clean(&self, shared: &Shared, folders: &[PathBuf]) {
    if folders.is_empty() {
      return;
    }
    if self.has_record {
      let base = &shared.surroundings.get().settings.artifact_dir;
      artifacts::Record::forget(base, self.instance_id);
    }
    remove(folders);
  }
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
fn begin(
  shared: &Arc<Shared>,
  (identity, start, config): (Identity, &Start, &TaskConfig),
  turn: &mut Turn<'_>,
) -> Result<First, Cause> {
  let surroundings = shared.surroundings.get();
  if config.delivery() == Delivery::Exclusive && shared.cgroups.in_force().keeper == "none" {
    let why = "exclusive delivery needs control groups, and none can be made here: what escapes \
      from a stop would live on beside the next attempt";
    return Err(refused(why));
  }
  let prepared = prepare(start, config, &surroundings.settings, &surroundings.base)?;
  let Prepared { launch, folders, results, artifacts } = prepared;
  let instance_id = identity.instance_id;
  if let Err(error) = write_down(shared, (start, config), &artifacts) {
    remove(&folders);
    return Err(cannot_write("where it leaves files cannot be written down", &error));
  }
  if let Some(journal) = &shared.journal
    && let Err(error) = journal.starting(identity, surroundings.settings.journal_sync)
  {
    remove(&folders);
    return Err(cannot_write("its start cannot be written down, so it is not made", &error));
  }
  let terms = identity.terms;
  let grip = grip(&shared.cgroups, &surroundings.settings.confine, (instance_id, &terms));
  let ready = grip.prepare();
  let begun_us = shared.clock.now_us();
  let mut spawned = match spawn(&launch) {
    Ok(spawned) => spawned,
    Err(error) => {
      remove(&folders);
      return Err(spawn_failed(&error));
    }
  };
  // Until its program is loaded it has our memory: a group that is out of memory would end both.
  if ready.has_group()
    && let Err(error) = spawned.loaded(&launch)
  {
    remove(&folders);
    return Err(spawn_failed(&error));
  }
  let mut confined = ready.start(spawned.pid);
  let pid = u32::try_from(spawned.pid.as_raw_nonzero().get()).ok();
  let bytes = config.output_limit().unwrap_or(start.limits.output_bytes);
  let policy = config.log_policy.unwrap_or(surroundings.settings.log_policy);
  let bounds = Bounds { limit: bytes, policy };
  let mut capture = Capture::new(instance_id, start.task.fence, bounds);
  capture.expect_results(results, is_handled(config));
  if surroundings.settings.mask_secrets && !config.secrets.is_empty() {
    capture.mask(Masker::of(start, config));
  }
  let watched = watch_shortly(&shared.clock, (&mut spawned, &launch), (&mut capture, turn));
  let exit = match watched {
    Ok(exit) => exit,
    Err(error) => {
      remove(&folders);
      return Err(spawn_failed(&error));
    }
  };
  // What is left in the background is looked for only where it may not be.
  let closed = spawned.stdout.is_none() && spawned.stderr.is_none() && !terms.ends_whole();
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
  match Running::new(shared, identity, (spawned, confined, capture), (begun_us, exit)) {
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
///
/// # Errors
/// When its program could not be loaded; nothing of it is left then.
fn watch_shortly(
  clock: &SteadyClock,
  (spawned, launch): (&mut Spawned, &Launch),
  (capture, turn): (&mut Capture, &mut Turn<'_>),
) -> Result<Option<(Exit, i64)>, SpawnError> {
  let until = Instant::now() + INLINE_CHANCE;
  let mut exit = None;
  let mut at_end = spawned.wait_end(if turn.rest() { QUIET } else { AT_WORK });
  // Most have ended by now, so this is no wait.
  spawned.loaded(launch)?;
  if !at_end && !turn.rest() {
    return Ok(None);
  }
  if at_end {
    exit = spawned.exit().map(|exit| (exit, clock.now_us()));
  }
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
      exit = spawned.exit().map(|exit| (exit, clock.now_us()));
    }
  }
  Ok(exit)
}
