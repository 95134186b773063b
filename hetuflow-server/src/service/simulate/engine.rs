//! The clock of a simulation: fires and ends in the order of time, slots in between. Pure.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, VecDeque};

use hetuflow_core::{Closings, Rhythm, ScheduleEntity, Ts, cron_seed};

use super::decider::{Verdict, decide_now};
use super::durations::Durations;
use super::tally::Tally;

/// Runs of one simulation; what fires more often is cut there.
pub const RUNS_MAX: usize = 3_000_000;

/// A schedule of the simulated world.
#[derive(Debug, Clone)]
pub struct Actor {
  /// The schedule.
  pub schedule: ScheduleEntity,
  /// Its job.
  pub job: String,
  /// How long its runs take.
  pub durations: Durations,
  /// Calendars that leave out some of its instants.
  pub closings: Closings,
  /// It is held up to then.
  pub held_until: Option<Ts>,
}

/// The world and its time.
#[derive(Debug, Clone)]
pub struct World {
  /// The schedules that fire.
  pub actors: Vec<Actor>,
  /// Runs at the same time; 0 is no limit.
  pub slots: i64,
  /// The first instant.
  pub from: Ts,
  /// The last instant.
  pub until: Ts,
  /// What draws the durations.
  pub seed: u64,
}

/// Where a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
  /// Behind an earlier run of its schedule.
  Queued,
  /// Waits for a slot.
  Ready,
  Running,
  Over,
}

struct Run {
  actor: u32,
  phase: Phase,
  scheduled_at: Ts,
  started_at: Ts,
}

/// A schedule in motion.
pub(super) struct Moving {
  pub(super) schedule: ScheduleEntity,
  /// None where it cannot be read: it stays in its place, and never fires.
  pub(super) rhythm: Option<Rhythm>,
  closings: Closings,
  hash: u64,
  durations: Durations,
  started: Vec<u32>,
  queued: VecDeque<u32>,
}

/// What happens next; ends before fires of the same instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
  End(u32),
  Fire(u32),
}

fn first((at, _): (Ts, Option<hetuflow_core::ClockNote>)) -> Ts {
  at
}

pub(super) struct Engine<'w> {
  world: &'w World,
  moving: Vec<Moving>,
  runs: Vec<Run>,
  events: BinaryHeap<Reverse<(i64, What)>>,
  /// By priority, instant and order of arrival.
  ready: BTreeSet<(Reverse<i64>, i64, u32)>,
  running: i64,
  pub(super) tally: Tally,
}

impl<'w> Engine<'w> {
  /// A world before its first instant; what cannot be read is left out, with the reason.
  pub(super) fn new(world: &'w World) -> Self {
    let mut tally = Tally::new(world);
    let mut moving = Vec::with_capacity(world.actors.len());
    let mut events = BinaryHeap::new();
    for (index, actor) in world.actors.iter().enumerate() {
      let mut schedule = actor.schedule.clone();
      let rhythm = match Rhythm::of(&schedule) {
        Ok(rhythm) => Some(rhythm),
        Err(error) => {
          tally.left_out.push(format!("{}: {error}", schedule.name));
          None
        }
      };
      let from = actor.held_until.map_or(world.from, |until| until.max(world.from));
      schedule.next_run_at = rhythm.as_ref().and_then(|rhythm| rhythm.next(from)).map(first);
      if let Some(at) = schedule.next_run_at.filter(|at| *at <= world.until) {
        events.push(Reverse((at.micros(), What::Fire(index as u32))));
      }
      let hash = cron_seed(schedule.id);
      let (started, queued) = (Vec::new(), VecDeque::new());
      let (durations, closings) = (actor.durations, actor.closings.clone());
      moving.push(Moving { schedule, rhythm, closings, hash, durations, started, queued });
    }
    let (runs, ready) = (Vec::new(), BTreeSet::new());
    Self { world, moving, runs, events, ready, running: 0, tally }
  }

  /// Lets the time pass.
  pub(super) fn run(mut self) -> Tally {
    while let Some(Reverse((at, what))) = self.events.pop() {
      let now = Ts::from_micros(at);
      if now > self.world.until {
        break;
      }
      match what {
        What::End(run) => self.end(run, now),
        What::Fire(actor) => self.fire(actor, now),
      }
      if self.runs.len() >= RUNS_MAX {
        self.tally.left_out.push(format!("everything after {now}: more than {RUNS_MAX} runs"));
        break;
      }
    }
    let over = self.runs.iter().filter(|run| run.phase == Phase::Over).count();
    self.tally.unfinished = (self.runs.len() - over) as i64;
    for run in self.runs.iter().filter(|run| run.phase == Phase::Running) {
      self.tally.busy(run.actor, self.world.until.since(run.started_at));
    }
    self.tally
  }

  fn fire(&mut self, actor: u32, now: Ts) {
    let moving = &mut self.moving[actor as usize];
    let live = (moving.started.len(), moving.queued.len());
    let Some(rhythm) = &moving.rhythm else { return };
    let rule = (rhythm, &moving.closings);
    let verdicts = decide_now(&mut moving.schedule, rule, live, now);
    if let Some(next) = moving.schedule.next_run_at.filter(|at| *at > now) {
      self.events.push(Reverse((next.micros(), What::Fire(actor))));
    }
    for verdict in verdicts {
      match verdict {
        Verdict::Skip(count) => self.tally.skip(actor, count),
        Verdict::Start => {
          let run = self.new_run(actor, Phase::Ready, now);
          self.moving[actor as usize].started.push(run);
          self.make_ready(run);
        }
        Verdict::Queue => {
          let run = self.new_run(actor, Phase::Queued, now);
          self.moving[actor as usize].queued.push_back(run);
          self.tally.queue(actor);
        }
        Verdict::StopOthers => self.stop_others(actor, now),
      }
    }
    self.fill(now);
  }

  fn new_run(&mut self, actor: u32, phase: Phase, now: Ts) -> u32 {
    let id = self.runs.len() as u32;
    self.runs.push(Run { actor, phase, scheduled_at: now, started_at: now });
    self.tally.fired(actor);
    id
  }

  fn make_ready(&mut self, run: u32) {
    let Run { actor, scheduled_at, .. } = self.runs[run as usize];
    self.runs[run as usize].phase = Phase::Ready;
    let priority = self.moving[actor as usize].schedule.priority;
    self.ready.insert((Reverse(priority), scheduled_at.micros(), run));
  }

  /// Starts as many as there are slots.
  fn fill(&mut self, now: Ts) {
    while (self.world.slots == 0 || self.running < self.world.slots)
      && let Some((_, _, id)) = self.ready.pop_first()
    {
      let run = &mut self.runs[id as usize];
      (run.phase, run.started_at) = (Phase::Running, now);
      let (actor, scheduled_at) = (run.actor, run.scheduled_at);
      let moving = &self.moving[actor as usize];
      let took = moving.durations.draw(self.world.seed, moving.hash, scheduled_at);
      self.events.push(Reverse((now.micros().saturating_add(took), What::End(id))));
      self.running += 1;
      self.tally.started(actor, now, now.since(scheduled_at));
    }
    self.tally.note(now, (self.running, self.ready.len() as i64));
  }

  fn end(&mut self, id: u32, now: Ts) {
    // It was stopped before.
    if self.runs[id as usize].phase != Phase::Running {
      return;
    }
    self.leave(id, now);
    self.release(self.runs[id as usize].actor, now);
    self.fill(now);
  }

  /// A run gives its slot back.
  fn leave(&mut self, id: u32, now: Ts) {
    let run = &mut self.runs[id as usize];
    run.phase = Phase::Over;
    let (actor, took) = (run.actor, now.since(run.started_at));
    self.running -= 1;
    self.moving[actor as usize].started.retain(|one| *one != id);
    self.tally.busy(actor, took);
    self.tally.note(now, (self.running, self.ready.len() as i64));
  }

  /// The next one of the schedule may start when none is alive.
  fn release(&mut self, actor: u32, now: Ts) {
    let moving = &mut self.moving[actor as usize];
    if !moving.started.is_empty() {
      return;
    }
    if let Some(next) = moving.queued.pop_front() {
      moving.started.push(next);
      self.make_ready(next);
      return;
    }
    // An interval that counts from the end of a run knows its next instant now.
    let Some(rhythm) = moving.rhythm.as_ref().filter(|rhythm| rhythm.waits_for_end()) else {
      return;
    };
    let used_up = moving.schedule.max_count.is_some_and(|most| moving.schedule.run_count >= most);
    if moving.schedule.next_run_at.is_none() && !used_up {
      moving.schedule.next_run_at = rhythm.next(now).map(first);
      if let Some(next) = moving.schedule.next_run_at.filter(|at| *at <= self.world.until) {
        self.events.push(Reverse((next.micros(), What::Fire(actor))));
      }
    }
  }

  fn stop_others(&mut self, actor: u32, now: Ts) {
    for id in std::mem::take(&mut self.moving[actor as usize].started) {
      let run = &self.runs[id as usize];
      if run.phase == Phase::Running {
        self.leave(id, now);
      } else {
        let key =
          (Reverse(self.moving[actor as usize].schedule.priority), run.scheduled_at.micros(), id);
        self.ready.remove(&key);
        self.runs[id as usize].phase = Phase::Over;
      }
      self.tally.stop(actor);
    }
    // What waited behind them is replaced too; the newest comes after this.
    for id in std::mem::take(&mut self.moving[actor as usize].queued) {
      self.runs[id as usize].phase = Phase::Over;
      self.tally.stop(actor);
    }
  }
}
