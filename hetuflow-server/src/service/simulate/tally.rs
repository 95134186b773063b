//! What a simulation counts.

use std::time::Duration;

use hetuflow_core::{Quantiles, SimulatedLoad, SimulatedPeak, SimulatedSchedule, Simulation, Ts};

use super::engine::World;

const MINUTE_US: i64 = 60_000_000;

/// Counts of one schedule.
#[derive(Debug, Default, Clone)]
struct Counts {
  fires: i64,
  runs: i64,
  skipped: i64,
  queued: i64,
  stopped: i64,
  busy: Duration,
  /// Milliseconds.
  late: Vec<f32>,
}

/// All counts.
pub(super) struct Tally {
  from: i64,
  per_actor: Vec<Counts>,
  load: SimulatedLoad,
  /// The minute that levels are noted for, and the levels since.
  at: usize,
  running: i64,
  waiting: i64,
  peak_running: SimulatedPeak,
  peak_waiting: SimulatedPeak,
  pub(super) unfinished: i64,
  pub(super) left_out: Vec<String>,
}

impl Tally {
  pub(super) fn new(world: &World) -> Self {
    let span = world.until.micros() - world.from.micros();
    let minutes = usize::try_from(span.div_euclid(MINUTE_US) + 1).unwrap_or(1);
    let zeros = || vec![0_u32; minutes];
    Self {
      from: world.from.micros(),
      per_actor: vec![Counts::default(); world.actors.len()],
      load: SimulatedLoad { started: zeros(), running: zeros(), waiting: zeros() },
      at: 0,
      running: 0,
      waiting: 0,
      peak_running: SimulatedPeak::default(),
      peak_waiting: SimulatedPeak::default(),
      unfinished: 0,
      left_out: Vec::new(),
    }
  }

  fn minute(&self, at: Ts) -> usize {
    let minute = (at.micros() - self.from).div_euclid(MINUTE_US);
    usize::try_from(minute).unwrap_or(0).min(self.load.started.len() - 1)
  }

  /// How many run and wait from now on.
  pub(super) fn note(&mut self, now: Ts, (running, waiting): (i64, i64)) {
    self.carry(self.minute(now));
    (self.running, self.waiting) = (running, waiting);
    self.mark(self.at);
    for (peak, level) in [(&mut self.peak_running, running), (&mut self.peak_waiting, waiting)] {
      if level > peak.count {
        *peak = SimulatedPeak { count: level, at: Some(now) };
      }
    }
  }

  /// The levels hold until this minute.
  fn carry(&mut self, until: usize) {
    while self.at < until {
      self.at += 1;
      self.mark(self.at);
    }
  }

  fn mark(&mut self, minute: usize) {
    let level = |value: i64| u32::try_from(value).unwrap_or(u32::MAX);
    let (running, waiting) = (level(self.running), level(self.waiting));
    let load = &mut self.load;
    load.running[minute] = load.running[minute].max(running);
    load.waiting[minute] = load.waiting[minute].max(waiting);
  }

  pub(super) fn fired(&mut self, actor: u32) {
    self.per_actor[actor as usize].fires += 1;
  }

  pub(super) fn skip(&mut self, actor: u32, count: i64) {
    let counts = &mut self.per_actor[actor as usize];
    counts.fires += count;
    counts.skipped += count;
  }

  pub(super) fn queue(&mut self, actor: u32) {
    self.per_actor[actor as usize].queued += 1;
  }

  pub(super) fn stop(&mut self, actor: u32) {
    self.per_actor[actor as usize].stopped += 1;
  }

  pub(super) fn started(&mut self, actor: u32, now: Ts, late: Duration) {
    let counts = &mut self.per_actor[actor as usize];
    counts.runs += 1;
    counts.late.push((late.as_secs_f64() * 1000.0) as f32);
    let minute = self.minute(now);
    self.load.started[minute] = self.load.started[minute].saturating_add(1);
  }

  pub(super) fn busy(&mut self, actor: u32, took: Duration) {
    self.per_actor[actor as usize].busy += took;
  }

  /// The answer.
  pub(super) fn into_report(mut self, world: &World) -> Simulation {
    self.carry(self.load.started.len() - 1);
    let mut all = Vec::new();
    let mut sums = Counts::default();
    let mut schedules = Vec::with_capacity(world.actors.len());
    for (actor, counts) in world.actors.iter().zip(&mut self.per_actor) {
      all.extend_from_slice(&counts.late);
      sums.fires += counts.fires;
      sums.runs += counts.runs;
      sums.skipped += counts.skipped;
      sums.queued += counts.queued;
      sums.stopped += counts.stopped;
      sums.busy += counts.busy;
      schedules.push(SimulatedSchedule {
        schedule: actor.schedule.name.clone(),
        job: actor.job.clone(),
        overlap_policy: actor.schedule.overlap_policy.to_string(),
        p50_secs: actor.durations.p50 / 1e6,
        p95_secs: actor.durations.p95 / 1e6,
        learned_from: actor.durations.learned_from,
        fires: counts.fires,
        runs: counts.runs,
        skipped: counts.skipped,
        queued: counts.queued,
        stopped: counts.stopped,
        late: quantiles(&mut counts.late),
        busy_secs: counts.busy.as_secs_f64(),
      });
    }
    let trouble = |one: &SimulatedSchedule| one.skipped + one.queued + one.stopped;
    schedules.sort_by(|a, b| {
      let late = b.late.p95.total_cmp(&a.late.p95);
      let busy = b.busy_secs.total_cmp(&a.busy_secs);
      let names = (&a.job, &a.schedule).cmp(&(&b.job, &b.schedule));
      trouble(b).cmp(&trouble(a)).then(late).then(busy).then(names)
    });
    let span = world.until.since(world.from).as_secs_f64();
    Simulation {
      from: world.from,
      until: world.until,
      seed: world.seed,
      slots: world.slots,
      agents: None,
      fires: sums.fires,
      runs: sums.runs,
      skipped: sums.skipped,
      queued: sums.queued,
      stopped: sums.stopped,
      unfinished: self.unfinished,
      peak_running: self.peak_running,
      peak_waiting: self.peak_waiting,
      in_use: (world.slots > 0).then(|| sums.busy.as_secs_f64() / (span * world.slots as f64)),
      late: quantiles(&mut all),
      load: self.load,
      schedules,
      left_out: self.left_out,
    }
  }
}

/// Quantiles by the nearest rank, in linear time; zeros for none.
fn quantiles(millis: &mut [f32]) -> Quantiles {
  let n = millis.len();
  if n == 0 {
    return Quantiles::default();
  }
  let mut rank = |percent: usize| {
    let nth = (n * percent).div_ceil(100).max(1) - 1;
    f64::from(*millis.select_nth_unstable_by(nth, f32::total_cmp).1)
  };
  let (p50, p95, p99, max) = (rank(50), rank(95), rank(99), rank(100));
  Quantiles { n: u32::try_from(n).unwrap_or(u32::MAX), p50, p95, p99, max }
}
