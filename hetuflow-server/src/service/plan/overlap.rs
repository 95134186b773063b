//! What an earlier run means for a new one: the seven policies, in one place, for planned fires, for
//! those that are made up for, and for what a person triggers.

use hetuflow_core::{OverlapPolicy, ScheduleEntity, TaskControlKind};

/// The runs of a schedule that are not final.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Live {
  /// Those that may run, or do: an agent has them or may take them.
  pub started: i64,
  /// Those that wait for an earlier one.
  pub waiting: i64,
}

/// Whether a new run may begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
  /// At once.
  Start,
  /// After the earlier ones; why.
  Wait(String),
  /// After the earlier ones were stopped in this way; why.
  Replace(TaskControlKind, String),
  /// Not at all; why.
  Refuse(String),
}

/// The policy of one schedule, and its runs as the decisions add to them.
#[derive(Debug, Clone, Copy)]
pub struct Overlap {
  policy: OverlapPolicy,
  queue_max: i64,
  live: Live,
}

impl Overlap {
  /// For a schedule with these runs.
  pub fn of(schedule: &ScheduleEntity, live: Live) -> Self {
    Self { policy: schedule.overlap_policy, queue_max: schedule.queue_max.max(1), live }
  }

  /// Nothing can hold back a new run, now or later.
  pub fn is_free(&self) -> bool {
    self.policy == OverlapPolicy::AllowAll || self.live == Live::default()
  }

  /// A new run takes the place of earlier ones.
  pub fn replaces(&self) -> bool {
    matches!(self.policy, OverlapPolicy::CancelOther | OverlapPolicy::TerminateOther)
  }

  /// How many more runs it would take in all.
  pub fn room(&self) -> usize {
    let idle = i64::from(self.live == Live::default());
    let room = match self.policy {
      OverlapPolicy::AllowAll => i64::MAX,
      OverlapPolicy::Skip => idle,
      OverlapPolicy::CancelOther | OverlapPolicy::TerminateOther => 1,
      OverlapPolicy::BufferOne => 1 + idle - self.live.waiting,
      OverlapPolicy::BufferAll | OverlapPolicy::SerialPriority => {
        self.queue_max.saturating_add(idle).saturating_sub(self.live.waiting)
      }
    };
    usize::try_from(room).unwrap_or(0)
  }

  /// Takes in one more run, as the policy wants it.
  pub fn admit(&mut self) -> Admission {
    let waits = |what: &str| Admission::Wait(format!("waits for an earlier run ({what})"));
    let alive = if self.live.started + self.live.waiting == 1 {
      "an earlier run is alive".to_owned()
    } else {
      format!("{} earlier runs are alive", self.live.started + self.live.waiting)
    };
    let admission = if self.is_free() {
      Admission::Start
    } else {
      match self.policy {
        OverlapPolicy::AllowAll => Admission::Start,
        OverlapPolicy::Skip => Admission::Refuse(alive),
        OverlapPolicy::BufferOne if self.live.waiting > 0 => {
          Admission::Refuse("one run waits already".to_owned())
        }
        OverlapPolicy::BufferAll | OverlapPolicy::SerialPriority
          if self.live.waiting >= self.queue_max =>
        {
          let waiting = self.live.waiting;
          Admission::Refuse(format!("the queue is full: {waiting} runs wait (queue_max)"))
        }
        OverlapPolicy::BufferOne => waits("buffer_one"),
        OverlapPolicy::BufferAll => waits("buffer_all"),
        OverlapPolicy::SerialPriority => waits("serial_priority"),
        OverlapPolicy::CancelOther => {
          Admission::Replace(TaskControlKind::Stop, format!("{alive} and asked to stop"))
        }
        OverlapPolicy::TerminateOther => {
          Admission::Replace(TaskControlKind::Kill, format!("{alive} and killed"))
        }
      }
    };
    match admission {
      Admission::Start => self.live.started += 1,
      Admission::Wait(_) => self.live.waiting += 1,
      // Those that wait give way too.
      Admission::Replace(..) => self.live.waiting = 1,
      Admission::Refuse(_) => {}
    }
    admission
  }
}

#[cfg(test)]
mod tests {
  use super::*;

  fn overlap(policy: OverlapPolicy, started: i64, waiting: i64) -> Overlap {
    Overlap { policy, queue_max: 3, live: Live { started, waiting } }
  }

  /// How many start, wait, replace and are refused out of ten.
  fn ten(mut overlap: Overlap) -> [usize; 4] {
    let room = overlap.room();
    let mut found = [0; 4];
    for _ in 0..10 {
      let kind = match overlap.admit() {
        Admission::Start => 0,
        Admission::Wait(_) => 1,
        Admission::Replace(..) => 2,
        Admission::Refuse(_) => 3,
      };
      found[kind] += 1;
    }
    if found[2] == 0 {
      assert_eq!(room.min(10), found[0] + found[1], "room is what is let in");
    }
    found
  }

  #[test]
  fn every_policy_lets_in_what_it_says() {
    use OverlapPolicy as P;
    for (policy, idle, busy, queued) in [
      (P::Skip, [1, 0, 0, 9], [0, 0, 0, 10], [0, 0, 0, 10]),
      (P::BufferOne, [1, 1, 0, 8], [0, 1, 0, 9], [0, 0, 0, 10]),
      (P::BufferAll, [1, 3, 0, 6], [0, 3, 0, 7], [0, 1, 0, 9]),
      (P::SerialPriority, [1, 3, 0, 6], [0, 3, 0, 7], [0, 1, 0, 9]),
      (P::CancelOther, [1, 0, 9, 0], [0, 0, 10, 0], [0, 0, 10, 0]),
      (P::TerminateOther, [1, 0, 9, 0], [0, 0, 10, 0], [0, 0, 10, 0]),
      (P::AllowAll, [10, 0, 0, 0], [10, 0, 0, 0], [10, 0, 0, 0]),
    ] {
      assert_eq!(ten(overlap(policy, 0, 0)), idle, "{policy}, idle");
      assert_eq!(ten(overlap(policy, 1, 0)), busy, "{policy}, busy");
      assert_eq!(ten(overlap(policy, 1, 2)), queued, "{policy}, queued");
    }
  }
}
