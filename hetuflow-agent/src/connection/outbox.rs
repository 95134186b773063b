//! Reports between their making and the server's ack: nothing is lost, nothing is out of order.
//!
//! A report gets its number when it is first sent. Numbered reports are kept until they are acked
//! and go out again, under the same numbers, on a new connection. Starts and acknowledgements
//! wait apart from the rest for as long as nothing forces them out, so that a task which ends
//! quickly costs one report and not two. Output waits apart, too, with the end of its own attempt
//! behind it: what became of other attempts overtakes it.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use hetuflow_core::{
  FILE_HEADER_BYTES, FileFrame, OUTPUT_HEADER_BYTES, OutputFrame, RunningInstance, TaskInstanceId,
  TaskInstanceStatus, TaskInstanceUpdate, Ts,
};
use tokio::time::Instant;

use super::OnStored;
use super::frames::artifacts_weight;
use super::window::Window;

/// Batches that may be on their way without an ack: more would only make each smaller.
const BATCHES_IN_FLIGHT: usize = 4;
/// Ends that were this recent say that tasks are short.
const BUSY: Duration = Duration::from_millis(50);
/// Updates are put into one batch up to this many bytes.
const BATCH_BYTES: usize = 512 << 10;
/// An update without what it carries.
const UPDATE_BYTES: usize = 512;
/// How long a start waits for its end while tasks are short.
const HOLD: Duration = Duration::from_millis(5);
/// Ends that follow each other this closely are a rush.
const RUSH: Duration = Duration::from_millis(4);
/// How long an end waits for company in a rush: one commit for many costs the database little more
/// than one for each.
const GATHER: Duration = Duration::from_millis(8);
/// Reports that have gathered wait no longer once there are this many.
const GATHER_MAX: usize = 64;

/// A numbered report.
#[derive(Debug)]
pub enum Item {
  /// An attempt moved.
  Update(Box<TaskInstanceUpdate>, OnStored),
  /// Output.
  Output(Box<OutputFrame>, OnStored),
  /// A piece of a file; read again from the disk if it is lost.
  Piece(Box<FileFrame>),
}

/// What to send next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
  /// This many updates, the first with this number.
  Batch {
    /// Number of the first.
    seq_from: u64,
    /// How many.
    count: usize,
  },
  /// One chunk of output.
  Chunk {
    /// Its number.
    seq: u64,
  },
}

/// All reports that are not acked.
#[derive(Debug)]
pub struct Outbox {
  /// Numbered; the first has number `first_seq`.
  log: VecDeque<Item>,
  first_seq: u64,
  /// How many of `log` were sent on this connection.
  sent: usize,
  /// Not numbered yet.
  pending: VecDeque<Item>,
  /// Not numbered yet: output, and what comes after output of its own attempt.
  outputs: VecDeque<Item>,
  /// How much of each attempt is in `outputs`.
  waiting_outputs: HashMap<TaskInstanceId, usize>,
  /// Not numbered yet, and replaced by whatever comes after it.
  states: HashMap<TaskInstanceId, Box<TaskInstanceUpdate>>,
  state_order: VecDeque<(Instant, TaskInstanceId)>,
  /// How far attempts are: not numbered yet, only the last word of each counts.
  progress: HashMap<TaskInstanceId, Box<TaskInstanceUpdate>>,
  batches: VecDeque<u64>,
  window: Window,
  last_end: Option<Instant>,
  /// Until then `pending` gathers; only in a rush.
  gather_until: Option<Instant>,
  /// Attempts whose end is stored and that have left files.
  filed: Vec<TaskInstanceId>,
}

impl Default for Outbox {
  fn default() -> Self {
    Self {
      log: VecDeque::new(),
      first_seq: 1,
      sent: 0,
      pending: VecDeque::new(),
      outputs: VecDeque::new(),
      waiting_outputs: HashMap::new(),
      states: HashMap::new(),
      state_order: VecDeque::new(),
      progress: HashMap::new(),
      batches: VecDeque::new(),
      window: Window::default(),
      last_end: None,
      gather_until: None,
      filed: Vec::new(),
    }
  }
}

impl Outbox {
  /// Takes an update in.
  pub fn update(&mut self, mut update: Box<TaskInstanceUpdate>, on_stored: OnStored, now: Instant) {
    use TaskInstanceStatus::{Dispatched, Running};
    let id = update.instance_id;
    let is_start = update.status == Running && update.started_at_us.is_some();
    if update.status == Dispatched || is_start {
      let busy = is_start && self.last_end.is_some_and(|end| now < end + BUSY);
      self.state_order.push_back((if busy { now + HOLD } else { now }, id));
      self.states.insert(id, update);
      return;
    }
    if update.status == Running && update.progress.is_some() {
      self.release(id);
      self.progress.insert(id, update);
      return;
    }
    if update.status.is_final() {
      self.progress.remove(&id);
      let rush = self.last_end.replace(now).is_some_and(|end| now < end + RUSH);
      if rush && self.pending.is_empty() {
        self.gather_until = Some(now + GATHER);
      }
      // Only a start is told by its end as well; that it waited here is of no interest any more.
      if let Some(start) = self.states.remove(&id).filter(|state| state.started_at_us.is_some()) {
        update.started_at_us = start.started_at_us;
        update.start_skew_us = start.start_skew_us;
        update.pid = start.pid;
      }
    } else {
      self.release(id);
    }
    let item = Item::Update(update, on_stored);
    if let Some(waiting) = self.waiting_outputs.get_mut(&id) {
      *waiting += 1;
      self.outputs.push_back(item);
    } else {
      self.pending.push_back(item);
    }
  }

  /// Takes output in.
  pub fn output(&mut self, frame: Box<OutputFrame>, on_stored: OnStored) {
    self.release(frame.instance_id);
    *self.waiting_outputs.entry(frame.instance_id).or_default() += 1;
    self.outputs.push_back(Item::Output(frame, on_stored));
  }

  /// Something of the attempt follows: its start goes first.
  fn release(&mut self, id: TaskInstanceId) {
    if let Some(state) = self.states.remove(&id) {
      self.pending.push_back(Item::Update(state, OnStored::nothing()));
    }
  }

  /// When what is held back must go, at the latest.
  ///
  /// `None` while nothing can go before an ack comes: waking then would be a busy wait.
  pub fn next_wake(&self) -> Option<Instant> {
    if self.batches.len() >= BATCHES_IN_FLIGHT {
      return None;
    }
    self.gather_until.or_else(|| self.state_order.front().map(|(at, _)| *at))
  }

  /// What can be sent now; [`Self::note_sent`] must follow.
  pub fn next(&mut self, most: usize, now: Instant) -> Option<Next> {
    self.number(most, now);
    let seq_from = self.first_seq + self.sent as u64;
    match self.log.get(self.sent)? {
      Item::Output(..) | Item::Piece(_) => Some(Next::Chunk { seq: seq_from }),
      Item::Update(..) if self.batches.len() >= BATCHES_IN_FLIGHT => None,
      Item::Update(..) => {
        let rest = self.log.range(self.sent..).take(most);
        // One frame holds 1 MiB: a batch ends where another update might not fit.
        let mut bytes = 0;
        let count = rest
          .take_while(|item| {
            let fits = bytes < BATCH_BYTES;
            bytes += match item {
              Item::Update(update, _) => update_weight(update),
              Item::Output(..) | Item::Piece(_) => return false,
            };
            fits
          })
          .count();
        Some(Next::Batch { seq_from, count })
      }
    }
  }

  /// Numbers what may go now, so that at most `most` numbered reports are unsent.
  fn number(&mut self, most: usize, now: Instant) {
    let gathers = self.gather_until.is_some_and(|until| now < until);
    if gathers && self.outputs.is_empty() && self.pending.len() < GATHER_MAX {
      return;
    }
    self.gather_until = None;
    self.number_states(most, now);
    while self.log.len() - self.sent < most {
      let waits = |item: &mut Item| matches!(item, Item::Output(..)) && !self.window.has_room();
      let Some(item) = self.outputs.pop_front_if(|item| !waits(item)) else { return };
      let id = match &item {
        Item::Output(frame, _) => {
          self.window.take(weight(frame));
          frame.instance_id
        }
        Item::Update(update, _) => update.instance_id,
        // Pieces never wait here.
        Item::Piece(_) => return,
      };
      if let Some(waiting) = self.waiting_outputs.get_mut(&id) {
        *waiting -= 1;
        if *waiting == 0 {
          self.waiting_outputs.remove(&id);
        }
      }
      self.log.push_back(item);
    }
  }

  fn number_states(&mut self, most: usize, now: Instant) {
    while self.log.len() - self.sent < most {
      match self.state_order.front() {
        Some((at, id)) if *at <= now || !self.states.contains_key(id) => {
          let state = self.states.remove(id);
          self.state_order.pop_front();
          self.log.extend(state.map(|state| Item::Update(state, OnStored::nothing())));
        }
        _ => match self.pending.pop_front().or_else(|| self.take_progress()) {
          Some(item) => self.log.push_back(item),
          None => return,
        },
      }
    }
  }

  fn take_progress(&mut self) -> Option<Item> {
    let id = *self.progress.keys().next()?;
    self.progress.remove(&id).map(|update| Item::Update(update, OnStored::nothing()))
  }

  /// The unsent updates, in order.
  pub fn unsent(&self, count: usize) -> impl Iterator<Item = &TaskInstanceUpdate> {
    self.log.range(self.sent..).take(count).filter_map(|item| match item {
      Item::Update(update, _) => Some(update.as_ref()),
      Item::Output(..) | Item::Piece(_) => None,
    })
  }

  /// Whether a piece of a file may go now: behind everything else, and only where the link has room.
  pub fn takes_piece(&self) -> bool {
    self.outputs.is_empty() && self.sent == self.log.len() && self.window.has_room()
  }

  /// Takes a piece of a file in; returns its number.
  pub fn piece(&mut self, piece: Box<FileFrame>) -> u64 {
    self.window.take(piece_weight(&piece));
    self.log.push_back(Item::Piece(piece));
    self.first_seq + self.log.len() as u64 - 1
  }

  /// Everything up to this number is durable.
  pub fn is_acked(&self, seq: u64) -> bool {
    seq < self.first_seq
  }

  /// Attempts that have left files and whose ends were stored since the last call.
  pub fn take_filed(&mut self) -> Vec<TaskInstanceId> {
    std::mem::take(&mut self.filed)
  }

  /// The bytes of the chunk that is next.
  pub fn chunk(&mut self) -> Option<Vec<u8>> {
    let seq = self.first_seq + self.sent as u64;
    match self.log.get_mut(self.sent)? {
      Item::Output(frame, _) => {
        frame.seq = seq;
        Some(frame.encode())
      }
      Item::Piece(frame) => {
        frame.seq = seq;
        Some(frame.encode())
      }
      Item::Update(..) => None,
    }
  }

  /// The next `count` reports are on their way.
  pub fn note_sent(&mut self, count: usize, now: Instant) {
    let mut updates = false;
    for (seq, item) in (self.first_seq..).zip(&self.log).skip(self.sent).take(count) {
      match item {
        Item::Update(..) => updates = true,
        Item::Output(frame, _) => self.window.note_sent(seq, weight(frame), now),
        Item::Piece(frame) => self.window.note_sent(seq, piece_weight(frame), now),
      }
    }
    self.sent += count;
    if updates {
      self.batches.push_back(self.first_seq + self.sent as u64 - 1);
    }
  }

  /// Everything up to `seq` is durable. A number that was never sent changes nothing.
  pub fn ack(&mut self, seq: u64, now: Instant) -> bool {
    if seq >= self.first_seq + self.sent as u64 {
      return false;
    }
    while self.first_seq <= seq {
      match self.log.pop_front() {
        Some(Item::Output(frame, on_stored)) => {
          self.window.give_back(weight(&frame));
          on_stored.call();
        }
        Some(Item::Piece(frame)) => self.window.give_back(piece_weight(&frame)),
        Some(Item::Update(update, on_stored)) => {
          if !update.artifacts.is_empty() {
            self.filed.push(update.instance_id);
          }
          on_stored.call();
        }
        None => {}
      }
      self.first_seq += 1;
      self.sent -= 1;
    }
    while self.batches.front().is_some_and(|last| *last <= seq) {
      self.batches.pop_front();
    }
    self.window.acked(seq, now);
    true
  }

  /// A new connection: what is not acked goes out again.
  pub fn resume(&mut self, acked_seq: u64) {
    self.window.restart();
    self.sent = self.log.len();
    let now = Instant::now();
    if !self.ack(acked_seq, now) && acked_seq >= self.first_seq {
      let last = self.first_seq + self.log.len() as u64 - 1;
      tracing::warn!(acked_seq, last, "the server has acked reports that were never made");
      self.ack(last, now);
    }
    self.sent = 0;
    self.batches.clear();
  }

  /// Nothing is left to send or to be acked.
  pub fn is_empty(&self) -> bool {
    self.log.is_empty() && self.is_all_sent()
  }

  /// Nothing waits to be sent.
  pub fn is_all_sent(&self) -> bool {
    let waits = !(self.pending.is_empty() && self.outputs.is_empty() && self.states.is_empty());
    self.sent == self.log.len() && !waits && self.progress.is_empty()
  }

  /// Attempts that have ended and whose end the server does not know yet: it must not take their
  /// absence among the running ones for a loss.
  pub fn untold_ends(&self) -> impl Iterator<Item = RunningInstance> {
    self.log.iter().chain(&self.pending).chain(&self.outputs).filter_map(|item| match item {
      Item::Update(update, _) if update.status.is_final() => Some(RunningInstance {
        instance_id: update.instance_id,
        task_id: update.task_id,
        attempt: update.attempt,
        fence: update.fence,
        status: update.status,
        pid: None,
        started_at: update.started_at_us.map(Ts::from_micros),
      }),
      _ => None,
    })
  }
}

/// Bytes of an update, about: what rides in it, and as much again for what escapes it.
fn update_weight(update: &TaskInstanceUpdate) -> usize {
  let output = update.output.as_ref().map_or(0, |text| text.len() * 2);
  let outputs = update.outputs.as_ref().map_or(0, |values| values.to_string().len());
  UPDATE_BYTES + output + outputs + artifacts_weight(update)
}

fn piece_weight(frame: &FileFrame) -> usize {
  frame.data.len() + FILE_HEADER_BYTES
}

fn weight(frame: &OutputFrame) -> usize {
  frame.data.len() + OUTPUT_HEADER_BYTES
}

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;
