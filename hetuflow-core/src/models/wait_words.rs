//! What keeps a task that waits from the agents, in a few words. What only the agents keep it
//! from is the matter of `why`.

use std::time::Duration;

use super::limit::{DEBOUNCE_LIMIT, Gate, LimitOf};
use super::task::TaskEntity;
use crate::types::{TaskStatus, Ts, format_duration};

impl Gate {
  /// The limits by the names that people know, as `semaphore tapes, a limit of its job`.
  pub fn words(&self) -> String {
    let names = self.0.iter().map(|demand| match LimitOf::read(&demand.limit) {
      Some(LimitOf::Job(_)) => "a limit of its job".to_owned(),
      Some(LimitOf::Schedule(_)) => "a limit of its schedule".to_owned(),
      Some(LimitOf::Semaphore { name, key: Some(key), .. }) => {
        format!("semaphore {name} for {key}")
      }
      Some(LimitOf::Semaphore { name, key: None, .. }) => format!("semaphore {name}"),
      None if demand.limit.starts_with(DEBOUNCE_LIMIT) => "its debounce".to_owned(),
      None => demand.limit.clone(),
    });
    names.collect::<Vec<_>>().join(", ")
  }

  /// Whether more requests may still put the task off.
  pub fn is_debounced(&self) -> bool {
    self.0.iter().any(|demand| demand.limit.starts_with(DEBOUNCE_LIMIT))
  }
}

/// What a task in this state waits for; `None` where it waits for nothing but an agent.
pub fn wait_words(
  status: TaskStatus,
  eligible_at: Option<Ts>,
  held_by: Option<&Gate>,
  now: Ts,
) -> Option<String> {
  let later = eligible_at.filter(|at| *at > now).map(|at| {
    // A wait that is told as over must be over.
    format_duration(Duration::from_secs(at.since(now).as_secs() + 1))
  });
  match (status, later, held_by) {
    (TaskStatus::Blocked, ..) => Some("blocked by an earlier run".to_owned()),
    (TaskStatus::WaitingRetry, Some(later), _) => Some(format!("retry in {later}")),
    (TaskStatus::Pending, Some(later), Some(gate)) if gate.is_debounced() => {
      Some(format!("debounced, {later} left"))
    }
    (TaskStatus::Pending, Some(later), _) => Some(format!("due in {later}")),
    (TaskStatus::Pending | TaskStatus::WaitingRetry, None, Some(gate)) => {
      Some(format!("held by {}", gate.words()))
    }
    _ => None,
  }
}

impl TaskEntity {
  /// What it waits for; `None` where it waits for nothing but an agent, or not at all.
  pub fn waits_for(&self, now: Ts) -> Option<String> {
    wait_words(self.status, self.eligible_at, self.held_by.as_ref(), now)
  }
}

#[cfg(test)]
mod tests {
  use super::*;
  use crate::models::limit::LimitDemand;

  fn gate(limits: &[&str]) -> Gate {
    let demand =
      |limit: &&str| LimitDemand { limit: (*limit).to_owned(), slots: 1, cap: None, rate: None };
    Gate(limits.iter().map(demand).collect())
  }

  #[test]
  fn each_wait_has_its_words() {
    use TaskStatus::{Blocked, Pending, Running, WaitingRetry};
    let now = Ts::from_millis(1_700_000_000_000);
    let (past, soon) = (now.minus(Duration::from_secs(9)), now.plus(Duration::from_secs(89)));
    let job = "job:0199b1c0-0000-7000-8000-000000000001";
    let held = gate(&["semaphore:default/tapes", "semaphore:default/customer/acme/eu", job]);
    let debounced = gate(&["debounce:a", "semaphore:default/tapes"]);
    let words =
      |status, at, gate: Option<&Gate>| wait_words(status, Some(at), gate, now).unwrap_or_default();
    for (told, wanted) in [
      (words(Blocked, past, None), "blocked by an earlier run"),
      (words(WaitingRetry, soon, Some(&held)), "retry in 1m30s"),
      (words(WaitingRetry, past, None), ""),
      (words(Pending, soon, Some(&held)), "due in 1m30s"),
      (words(Pending, soon, Some(&debounced)), "debounced, 1m30s left"),
      (
        words(Pending, past, Some(&held)),
        "held by semaphore tapes, semaphore customer for acme/eu, a limit of its job",
      ),
      (words(Pending, past, None), ""),
      (words(Running, past, Some(&held)), ""),
    ] {
      assert_eq!(told, wanted);
    }
  }
}
