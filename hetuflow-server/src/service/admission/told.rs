//! What limits say to those who ask: why a task waits, and who is in front of it.

use std::time::Duration;

use hetuflow_core::{
  DEBOUNCE_LIMIT, Gate, LimitDemand, LimitOf, LimitUse, TaskEntity, TaskWhy, Ts, WhyChange,
  WhyReason, WhyStep, format_duration,
};

use super::board::{Board, Lack};
use crate::infra::bmc::hot::{self, WaitingRow};
use crate::infra::bmc::limit_bmc;
use crate::infra::db::{Conn, DbError};

/// Holders that one limit names.
const HOLDERS_MAX: u64 = 20;

/// The limits of a gate with those who have slots of them.
///
/// # Errors
/// Any [`DbError`].
async fn limits_of(
  conn: &mut Conn,
  gate: &Gate,
  now: Ts,
) -> Result<(Board, Vec<LimitUse>), DbError> {
  let board = Board::load(conn, [gate], now).await?;
  let mut limits = Vec::with_capacity(gate.0.len());
  for demand in &gate.0 {
    let mut told = board.told(demand, now);
    told.holders = limit_bmc::holders(conn, &demand.limit, HOLDERS_MAX).await?;
    limits.push(told);
  }
  Ok((board, limits))
}

/// Says what limits have to do with a task's wait. Returns whether they hold it.
///
/// # Errors
/// Any [`DbError`].
pub(in crate::service) async fn tell_limits(
  conn: &mut Conn,
  why: &mut TaskWhy,
  (task, row): (&TaskEntity, &WaitingRow),
  now: Ts,
) -> Result<bool, DbError> {
  let Some(limits) = &row.limits else { return Ok(false) };
  let shared = limits.0.0.iter().filter(|demand| !demand.limit.starts_with(DEBOUNCE_LIMIT));
  let gate = &Gate(shared.cloned().collect());
  let (board, limits) = limits_of(conn, gate, now).await?;
  let lacking: Vec<String> = gate
    .0
    .iter()
    .zip(&limits)
    .filter_map(|(demand, told)| lack_text((demand, told), &board, task, now))
    .collect();
  why.limits = limits;
  if row.gate <= 0 || row.eligible_at > now {
    return Ok(false);
  }
  why.reason = WhyReason::Limit;
  why.earliest_at = earliest(gate, &board, now);
  why.ahead = hot::count_held_ahead(conn, row, now).await?;
  let waited = format_duration(Duration::from_secs(now.since(row.eligible_at).as_secs()));
  let what = if lacking.is_empty() {
    "its limits have room: it is about to be let through".to_owned()
  } else {
    format!("held by {}", lacking.join("; and by "))
  };
  let behind = match why.ahead {
    0 => String::new(),
    1 => "; 1 task comes first".to_owned(),
    n if n >= hot::AHEAD_MAX => format!("; {n} tasks or more come first"),
    n => format!("; {n} tasks come first"),
  };
  why.text = format!("due for {waited}, {what}{behind}");
  if why.ahead == 0 {
    why.changes = more_slots(gate, (&board, &why.limits), task, now);
  }
  Ok(true)
}

/// When limits alone let a task through: nobody knows when a slot is given back.
fn earliest(gate: &Gate, board: &Board, now: Ts) -> Option<Ts> {
  let mut at = now;
  for demand in &gate.0 {
    match board.lack(demand, now) {
      None => {}
      Some(Lack::Rate(next)) => at = at.max(next),
      Some(Lack::TooBig | Lack::Slots) => return None,
    }
  }
  Some(at)
}

/// The slots that would let the first of those that wait through at once.
fn more_slots(
  gate: &Gate,
  (board, limits): (&Board, &[LimitUse]),
  task: &TaskEntity,
  now: Ts,
) -> Vec<WhyChange> {
  let mut steps = Vec::new();
  for (demand, told) in gate.0.iter().zip(limits) {
    match board.lack(demand, now) {
      None => {}
      Some(Lack::Rate(_)) => return Vec::new(),
      Some(Lack::TooBig | Lack::Slots) => {
        let (slots, name) = (told.taken + demand.slots, name_of(&demand.limit, task));
        let command = match LimitOf::read(&demand.limit) {
          Some(LimitOf::Semaphore { name, .. }) if told.slots.is_some() => {
            Some(format!("hetuflowctl semaphore set {name} --slots {slots}"))
          }
          _ => None,
        };
        steps.push(WhyStep { text: format!("{slots} slots for {name}"), command });
      }
    }
  }
  if steps.is_empty() { Vec::new() } else { vec![WhyChange { agent_id: None, steps }] }
}

/// Why this demand is not met, for people.
fn lack_text(
  (demand, told): (&LimitDemand, &LimitUse),
  board: &Board,
  task: &TaskEntity,
  now: Ts,
) -> Option<String> {
  let name = name_of(&demand.limit, task);
  if board.limits.get(&demand.limit).is_some_and(|state| state.missing) {
    return Some(format!("{name}, which does not exist"));
  }
  let slots = told.slots.unwrap_or_default();
  Some(match board.lack(demand, now)? {
    Lack::TooBig if slots == 0 => format!("{name}, which has no slots: it is closed"),
    Lack::TooBig => format!("{name}, which has {slots} slots: it needs {}", demand.slots),
    Lack::Slots => {
      let by = told.holders.first().map_or_else(String::new, |holder| {
        let since = format_duration(Duration::from_secs(now.since(holder.taken_at).as_secs()));
        format!(", the longest by {} for {since}", holder.job_name)
      });
      let needs =
        if demand.slots == 1 { String::new() } else { format!(" and it needs {}", demand.slots) };
      format!("{name}: {} of {slots} taken{by}{needs}", told.taken)
    }
    Lack::Rate(at) => {
      let rate = told.rate?;
      let left = format_duration(Duration::from_secs(at.since(now).as_secs() + 1));
      let per = format_duration(rate.per_secs.0);
      format!("the rate of {name}: {} starts in {per}, the next in {left}", rate.rate)
    }
  })
}

/// A limit by the name that people know.
fn name_of(limit: &str, task: &TaskEntity) -> String {
  match LimitOf::read(limit) {
    Some(LimitOf::Job(_)) => format!("max_concurrent of job {}", task.job_name),
    Some(LimitOf::Schedule(_)) => "max_concurrent of its schedule".to_owned(),
    Some(LimitOf::Semaphore { name, key: Some(key), .. }) => format!("semaphore {name} for {key}"),
    Some(LimitOf::Semaphore { name, key: None, .. }) => format!("semaphore {name}"),
    None => limit.to_owned(),
  }
}
