//! The scheduler's loop and state.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hetuflow_core::{AcquireTaskRequest, TaskInstanceId, TaskInstanceStatus, Ts};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use super::agenda::Agenda;
use super::attempt::{Attempt, Phase};
use super::inputs::InputLimits;
use super::rate::Rate;
use super::seen::Seen;
use super::timer::Timer;
use super::unsure::Unsure;
use super::{Counters, Grant, InHand, Order, Report};
use crate::executor::{Command, DefaultLimits, Event, Held, SteadyClock};

/// Messages handled in one turn.
const TURN: usize = 1024;
/// An attempt that waits longer for a slot is acknowledged, so that the server does not take it back; a
/// rush is over before that, and costs neither the server nor the executor a word about what waited.
pub(super) const ACKNOWLEDGE_AFTER_US: i64 = 400_000;
/// One whose instant is further away is acknowledged at once: an agent after this one is to be on time.
pub(super) const KEEP_AHEAD_US: i64 = 100_000;

/// A loop that turns each second and did not for so long was stopped, or slept with its host.
const PAUSE_US: i64 = 5_000_000;

/// How the scheduler works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchedulerSettings {
  /// Processes at the same time.
  pub max_concurrent: u32,
  /// Most attempts that wait here for a slot.
  pub queue_depth_max: u32,
  /// What waited with an agent before this one starts without a server's word only after this.
  pub takeover_grace: Duration,
  /// How many bytes of files attempts may find, and how long they may wait for them.
  pub inputs: InputLimits,
}

/// What a [`Scheduler`] is made of.
pub struct Parts {
  /// How it works.
  pub settings: SchedulerSettings,
  /// Tells the time.
  pub clock: SteadyClock,
  /// From the server.
  pub orders: UnboundedReceiver<Order>,
  /// From the executor.
  pub events: UnboundedReceiver<Event>,
  /// To the executor.
  pub commands: UnboundedSender<Command>,
  /// To the server.
  pub reports: Box<dyn Fn(Report) + Send + Sync>,
  /// How much can be taken.
  pub grants: watch::Sender<Grant>,
  /// For the agent's health.
  pub counters: Arc<Counters>,
  /// What the executor has had in hand before this agent came.
  pub held: Vec<Held>,
}

/// Owns every attempt in hand.
///
/// Its queues have no limit of their own: tasks are bounded by what was granted, events by the
/// slots and the memory for output.
pub struct Scheduler {
  pub(super) settings: SchedulerSettings,
  pub(super) clock: SteadyClock,
  pub(super) offset_us: Option<i64>,
  pub(super) drift_ppm: Option<i64>,
  pub(super) limits: DefaultLimits,
  pub(super) attempts: HashMap<TaskInstanceId, Attempt>,
  pub(super) agenda: Agenda,
  pub(super) seen: Seen,
  pub(super) rate: Rate,
  pub(super) waiting: VecDeque<(i64, TaskInstanceId)>,
  pub(super) active: u32,
  /// Slots that those take.
  pub(super) taken: u32,
  pub(super) queued: u32,
  pub(super) connection_epoch: i64,
  pub(super) received: u64,
  pub(super) draining: bool,
  pub(super) leave_at: Option<Instant>,
  pub(super) leaving: bool,
  pub(super) leaves_tasks: bool,
  /// When it last worked, on the steady clock.
  pub(super) awake_us: i64,
  /// When a server was last in reach, as far as anybody has said.
  pub(super) contact_us: Option<i64>,
  /// What waited with an agent before this one, until a server has said what is to become of it.
  pub(super) unsure: Unsure,
  /// Which executor starts are meant for.
  pub(super) executor: u64,
  pub(super) commands: UnboundedSender<Command>,
  pub(super) reports: Box<dyn Fn(Report) + Send + Sync>,
  pub(super) counters: Arc<Counters>,
  orders: UnboundedReceiver<Order>,
  events: UnboundedReceiver<Event>,
  grants: watch::Sender<Grant>,
  timer: Timer,
}

impl Scheduler {
  /// A scheduler with nothing in hand; only inside a runtime.
  ///
  /// # Errors
  /// When the kernel has no timer left.
  pub fn new(parts: Parts) -> io::Result<Self> {
    let Parts { settings, clock, orders, events, commands, reports, grants, counters, held } =
      parts;
    let mut scheduler = Self {
      settings,
      clock,
      offset_us: None,
      drift_ppm: None,
      limits: DefaultLimits::default(),
      attempts: HashMap::new(),
      agenda: Agenda::default(),
      seen: Seen::default(),
      rate: Rate::default(),
      waiting: VecDeque::new(),
      active: 0,
      taken: 0,
      queued: 0,
      connection_epoch: 0,
      received: 0,
      draining: false,
      leave_at: None,
      leaving: false,
      leaves_tasks: false,
      awake_us: clock.now_us(),
      contact_us: None,
      unsure: Unsure::default(),
      executor: 0,
      commands,
      reports,
      counters,
      orders,
      events,
      grants,
      timer: Timer::new(clock)?,
    };
    scheduler.unsure.begin(scheduler.settings.takeover_grace);
    scheduler.take_over(held);
    Ok(scheduler)
  }

  /// Works until it was told to leave, and nothing is in hand any more that it must see end.
  pub async fn run(mut self) {
    let mut orders = Vec::with_capacity(64);
    let mut events = Vec::with_capacity(TURN);
    let mut second = tokio::time::interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !(self.leaving && (self.leaves_tasks || self.attempts.is_empty())) {
      let leave_at = self.leave_at;
      tokio::select! {
        count = self.orders.recv_many(&mut orders, 64) => {
          if count == 0 {
            break;
          }
        }
        count = self.events.recv_many(&mut events, TURN) => {
          if count == 0 {
            break;
          }
        }
        () = self.timer.fired() => {}
        _ = second.tick() => {
          self.expire_waiting();
          self.expire_fetches();
          if self.unsure.is_over() {
            self.be_sure();
          }
        }
        () = tokio::time::sleep_until(leave_at.unwrap_or_else(Instant::now)), if leave_at.is_some() => {
          self.stop_the_rest();
        }
      }
      self.note_pause();
      orders.drain(..).for_each(|order| self.obey(order));
      self.hear(&mut events);
      self.turn();
    }
    self.publish_grant();
  }

  /// A process or host that stood still may wake long after a server has given up what waits here.
  fn note_pause(&mut self) {
    let now_us = self.clock.now_us();
    if now_us - std::mem::replace(&mut self.awake_us, now_us) >= PAUSE_US {
      tracing::warn!(
        "this process stood still: what waits is not started before a server has said what becomes of it"
      );
      self.doubt();
      // An answer to a sign of life says nothing about what waits; that to a registration does.
      (self.reports)(Report::Renew);
    }
  }

  fn doubt(&mut self) {
    self.unsure.begin(self.settings.takeover_grace);
  }

  fn obey(&mut self, order: Order) {
    match order {
      Order::Connected { connection_epoch, reply } => {
        self.connection_epoch = connection_epoch;
        self.received = 0;
        let in_hand = self.attempts.iter().filter(|(_, attempt)| !attempt.forgotten);
        let _asker_gone = reply.send(in_hand.map(|(id, one)| one.as_running(*id)).collect());
      }
      Order::Tasks { message_id, connection_epoch, answer } => {
        self.take(message_id, connection_epoch, answer);
      }
      Order::Unreadable { connection_epoch, update } => {
        self.refuse_unreadable(connection_epoch, update);
      }
      Order::Control { message_id, control } => self.control(message_id, control),
      Order::Reconcile(verdicts) => {
        verdicts.into_iter().for_each(|one| self.reconcile(&one));
        self.be_sure();
      }
      Order::Contact(at_us) => {
        self.contact_us = Some(at_us);
        self.command(Command::Contact(at_us));
      }
      Order::Doubt => self.doubt(),
      Order::Clock(offset_us) => self.offset_us = offset_us,
      Order::Drift(ppm) => self.drift_ppm = ppm,
      Order::Limits(limits) => self.limits = limits,
      Order::GiveBack => self.give_back("not_started(agent_drain)"),
      Order::Fetched { instance_id, content_hash, outcome } => {
        self.note_fetched(instance_id, content_hash, outcome);
      }
      Order::Slots(settings) => self.settings = settings,
      Order::InHand(reply) => {
        let attempts = self.attempts.keys().copied().collect();
        let inputs = self.inputs_in_use();
        let (running, waiting) = (self.active, self.queued);
        let _asker_gone = reply.send(InHand { attempts, running, waiting, inputs });
      }
      Order::Leave { grace } => self.leave(grace),
    }
  }

  /// What follows from whatever has happened: starts, acknowledgements, the grant, the timer.
  fn turn(&mut self) {
    let offset = self.offset();
    let server_now = self.clock.now_us() + offset;
    self.agenda.advance(server_now);
    self.start_ready(Ts::from_micros(server_now));
    self.acknowledge_waiting(server_now);
    self.counters.active.store(u64::from(self.active), Ordering::Relaxed);
    self.publish_grant();
    let due = self.agenda.next_due().map(|due_us| due_us.saturating_sub(offset));
    let acknowledge = self.waiting.front().map(|(since, _)| since + ACKNOWLEDGE_AFTER_US - offset);
    self.timer.arm([due, acknowledge].into_iter().flatten().min());
  }

  /// The server's clock minus the steady clock.
  pub(super) fn offset(&self) -> i64 {
    self.offset_us.unwrap_or_else(|| self.clock.wall_delta_us())
  }

  /// The server's time of an instant of the steady clock.
  pub(super) fn server_time(&self, steady_us: i64) -> Ts {
    Ts::from_micros(steady_us + self.offset())
  }

  fn start_ready(&mut self, server_now: Ts) {
    while self.taken < self.settings.max_concurrent && !self.leaving {
      let Some(instance_id) = self.agenda.pop() else { return };
      // A cancelled one is still on the agenda.
      let Some(attempt) = self.attempts.get_mut(&instance_id) else { continue };
      if self.unsure.keeps(instance_id) {
        continue;
      }
      if attempt.is_expired(server_now) {
        self.expire(instance_id, server_now);
        continue;
      }
      if let Some(ppm) = self.drift_ppm
        && attempt.is_exclusive()
      {
        self.refuse_drifting(instance_id, server_now, ppm);
        continue;
      }
      // What asks for more slots than there are has them all; the one that is next waits for its
      // slots, so that smaller ones behind it do not keep it from them for ever.
      let slots = attempt.slots.min(self.settings.max_concurrent);
      if self.taken + slots > self.settings.max_concurrent {
        self.agenda.put_back(instance_id);
        return;
      }
      attempt.slots = slots;
      let Phase::Queued(mut start) = std::mem::replace(&mut attempt.phase, Phase::Starting) else {
        continue;
      };
      self.queued -= 1;
      self.active += 1;
      self.taken += slots;
      start.limits = self.limits;
      start.executor = self.executor;
      let _executor_gone = self.commands.send(Command::Start(start));
    }
  }

  /// Ends an attempt whose start deadline has passed.
  pub(super) fn expire(&mut self, instance_id: TaskInstanceId, at: Ts) {
    self.end_queued(instance_id, TaskInstanceStatus::NotStarted, at, |update| {
      update.reason = Some("not_started(expired)".to_owned());
      update.error_message = Some("its start deadline passed before a slot was free".to_owned());
    });
  }

  /// Exclusive delivery counts the same time here and on the server; that would not be true.
  fn refuse_drifting(&mut self, instance_id: TaskInstanceId, at: Ts, ppm: i64) {
    self.end_queued(instance_id, TaskInstanceStatus::NotStarted, at, |update| {
      update.reason = Some("not_started(clock_drift)".to_owned());
      update.error_message = Some(format!(
        "the clock of this host runs {ppm} parts per million too fast: exclusive delivery cannot \
         count on it"
      ));
    });
  }

  /// Also without a free slot a deadline is a deadline.
  fn expire_waiting(&mut self) {
    let now = self.server_time(self.clock.now_us());
    let over = self.attempts.iter().filter(|(_, a)| a.is_queued() && a.is_expired(now));
    let over: Vec<_> = over.map(|(id, _)| *id).collect();
    over.into_iter().for_each(|id| self.expire(id, now));
  }

  fn publish_grant(&mut self) {
    let free = self.settings.max_concurrent.saturating_sub(self.taken);
    let depth = self.rate.depth(self.clock.now_us(), self.settings.queue_depth_max);
    let capacity = if self.draining { 0 } else { (free + depth).saturating_sub(self.queued) };
    let poll = AcquireTaskRequest {
      available_capacity: capacity,
      free_slots: if self.draining { 0 } else { free.saturating_sub(self.queued) },
      received_tasks: self.received,
      ..AcquireTaskRequest::default()
    };
    let grant = Grant { connection_epoch: self.connection_epoch, poll };
    self.grants.send_if_modified(|last| {
      let changed = *last != grant;
      if changed {
        *last = grant;
      }
      changed
    });
  }
}
