//! Which free places a class of tasks is offered, and in which order.

use std::cmp::Reverse;

use hetuflow_core::{AgentChoice, AgentId, STICKY_WEIGHT, SelectorClass};

use super::roster::{Member, Roster, Seat, slot_of};
use crate::infra::bmc::hot::ClaimSlot;

/// Slots of one claim at most.
const SLOTS_MAX: usize = 1000;

/// A class that wants places.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
  /// Its demands.
  pub class: &'a SelectorClass,
  /// The order of agents where the class names none.
  pub choice: AgentChoice,
  /// The agent that ran it last, for a class that sticks to it.
  pub last: Option<&'a AgentId>,
  /// How much the best agent is liked that is connected elsewhere.
  pub elsewhere: Option<i64>,
}

impl<'a> Wish<'a> {
  /// A class that sticks to nothing.
  pub fn plain(class: &'a SelectorClass, choice: AgentChoice) -> Self {
    Self { class, choice, last: None, elsewhere: None }
  }

  fn choice(&self) -> AgentChoice {
    self.class.agent_choice.unwrap_or(self.choice)
  }

  fn admits(&self, member: &Member) -> bool {
    let here = self.class.admits(&member.labels, &member.namespaces, &member.task_types);
    here && !(self.requires_last() && self.last.is_some_and(|last| *last != member.agent_id))
  }

  fn requires_last(&self) -> bool {
    self.class.sticky.as_ref().is_some_and(|sticky| sticky.require)
  }

  /// How much an agent is liked.
  fn weight(&self, member: &Member) -> i64 {
    let sticky = if self.last == Some(&member.agent_id) { STICKY_WEIGHT } else { 0 };
    sticky + self.class.liking(&member.labels)
  }
}

/// Places that are held for a class.
#[derive(Debug, Default)]
pub struct Reserved {
  /// Those that may be used at once.
  pub first: Vec<ClaimSlot>,
  /// Those for tasks that have waited for a better one long enough.
  pub rest: Vec<ClaimSlot>,
}

impl Roster {
  /// Reserves slots for a class: those that could start at once first, then the queues, evenly.
  /// A class that likes some agents more gets the free slots of the best ones first; all others,
  /// and all queues, are for tasks that have waited. Every slot must be settled with
  /// [`Roster::settle`].
  pub fn reserve(&self, wish: &Wish<'_>) -> Reserved {
    let mut seats = self.seats();
    let mut open: Vec<(i64, &mut Seat)> = seats
      .values_mut()
      .filter(|seat| !seat.member.cordoned && wish.admits(&seat.member))
      .map(|seat| (wish.weight(&seat.member), seat))
      .collect();
    let best = open.iter().map(|(weight, _)| *weight).chain(wish.elsewhere).max();
    let Some(best) = best else { return Reserved::default() };
    let alike = open.iter().all(|(weight, _)| *weight == best);
    let choice = wish.choice();
    open.retain(|(_, seat)| seat.credits > 0);
    open.sort_by_cached_key(|(weight, seat)| (Reverse(*weight), rank(seat, choice)));
    let mut reserved = Reserved::default();
    if alike {
      for queue in [false, true] {
        deal(&mut open, (queue, choice), &mut reserved.first);
      }
      return reserved;
    }
    for queue in [false, true] {
      for tier in open.chunk_by_mut(|a, b| a.0 == b.0) {
        let first = !queue && tier[0].0 == best;
        let slots = if first { &mut reserved.first } else { &mut reserved.rest };
        deal(tier, (queue, choice), slots);
      }
    }
    reserved
  }

  /// Reserves one slot where a task of the class would start at once, on the agent that comes
  /// first. It must be settled with [`Roster::settle`].
  pub fn reserve_free(&self, wish: &Wish<'_>) -> Option<ClaimSlot> {
    let mut seats = self.seats();
    let choice = wish.choice();
    let seat = seats
      .values_mut()
      .filter(|seat| seat.credits > 0 && seat.free_slots > 0 && !seat.member.cordoned)
      .filter(|seat| wish.admits(&seat.member))
      .min_by_key(|seat| rank(seat, choice))?;
    Some(take(seat))
  }
}

fn take(seat: &mut Seat) -> ClaimSlot {
  seat.credits -= 1;
  seat.free_slots -= 1;
  slot_of(&seat.member)
}

/// Who comes first: the smallest.
fn rank(seat: &Seat, choice: AgentChoice) -> (i64, i64) {
  let in_hand = seat.in_hand();
  match choice {
    AgentChoice::MostFree => (-seat.free_slots, -seat.credits),
    AgentChoice::RoundRobin => (i64::try_from(seat.served).unwrap_or(i64::MAX), 0),
    AgentChoice::LeastTasks => (in_hand, -seat.free_slots),
    AgentChoice::Resource => (seat.member.load_permille, in_hand),
    AgentChoice::Capability => (seat.member.specialities(), -seat.free_slots),
  }
}

/// Deals the slots of some agents round by round: those that could start at once, or the queues.
fn deal(
  open: &mut [(i64, &mut Seat)],
  (queue, choice): (bool, AgentChoice),
  slots: &mut Vec<ClaimSlot>,
) {
  let can = |seat: &Seat| seat.credits > 0 && (queue || seat.free_slots > 0);
  loop {
    // With the fewest tasks first, only those at the lowest level take part in a round.
    let levels = open.iter().filter(|(_, seat)| can(seat)).map(|(_, seat)| seat.in_hand());
    let Some(lowest) = levels.min() else { return };
    for (_, seat) in open.iter_mut() {
      let takes_part = choice != AgentChoice::LeastTasks || seat.in_hand() <= lowest;
      if slots.len() >= SLOTS_MAX {
        return;
      }
      if takes_part && can(seat) {
        slots.push(take(seat));
      }
    }
  }
}
