//! The agents connected here and the credits they granted.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hetuflow_core::{AgentId, Labels, NamespaceId, SelectorClass, TaskInstanceId, TaskTypes};
use tokio_util::sync::CancellationToken;

use super::AgentLink;
use crate::infra::bmc::hot::ClaimSlot;

/// Slots of one claim at most.
const SLOTS_MAX: usize = 1000;
/// How long a connection may take to end whose process is gone.
const END_LIMIT: Duration = Duration::from_millis(500);

/// An agent connected here.
#[derive(Clone)]
pub struct Member {
  /// Who.
  pub agent_id: AgentId,
  /// The start of its process.
  pub agent_epoch: i64,
  /// The connection.
  pub connection_epoch: i64,
  /// Labels that selectors match.
  pub labels: Labels,
  /// Namespaces it serves; none means all.
  pub namespaces: Vec<NamespaceId>,
  /// Task types it serves.
  pub task_types: TaskTypes,
  /// Takes nothing new.
  pub cordoned: bool,
  /// The connection.
  pub link: Arc<dyn AgentLink>,
  /// Cancelled when the connection has ended.
  pub ended: CancellationToken,
}

/// What an agent can take now: absolute, replaces every grant before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Grant {
  /// Tasks.
  pub available: u32,
  /// Of them, processes that could start at once.
  pub free_slots: u32,
  /// Tasks it has received on this connection.
  pub received: u64,
}

struct Seat {
  member: Member,
  sent: u64,
  credits: i64,
  free_slots: i64,
}

/// The agents connected here.
#[derive(Default)]
pub struct Roster {
  seats: Mutex<BTreeMap<AgentId, Seat>>,
}

impl Roster {
  fn seats(&self) -> std::sync::MutexGuard<'_, BTreeMap<AgentId, Seat>> {
    self.seats.lock().unwrap_or_else(PoisonError::into_inner)
  }

  /// Takes a connection in, in place of an older one of the same agent, which is returned.
  pub fn join(&self, member: Member) -> Option<Member> {
    let id = member.agent_id.clone();
    let seat = Seat { member, sent: 0, credits: 0, free_slots: 0 };
    self.seats().insert(id, seat).map(|old| old.member)
  }

  /// Lets a connection go, if it is still the agent's newest.
  pub fn leave(&self, agent: &AgentId, connection_epoch: i64) -> bool {
    let mut seats = self.seats();
    let newest =
      seats.get(agent).is_some_and(|seat| seat.member.connection_epoch == connection_epoch);
    if newest {
      seats.remove(agent);
    }
    newest
  }

  /// Whether no older process of an agent is connected here. One that has died is noticed in a
  /// moment; one that lives, or whose link is cut, is not waited for any longer.
  pub async fn is_without_older(&self, agent: &AgentId, agent_epoch: i64) -> bool {
    let Some(member) = self.get(agent) else { return true };
    let ended = tokio::time::timeout(END_LIMIT, member.ended.cancelled());
    member.agent_epoch >= agent_epoch || ended.await.is_ok()
  }

  /// Takes an agent's seat away before its next connection is judged: what was claimed for the
  /// old one and has not left by then goes back, since nobody would look for it any more.
  pub fn vacate(&self, agent: &AgentId) {
    if let Some(seat) = self.seats().remove(agent) {
      seat.member.link.close("a newer connection takes over");
    }
  }

  /// The connection that a slot was granted on, while it is the agent's newest.
  pub fn holder(&self, slot: &ClaimSlot) -> Option<Member> {
    let newest = |member: &Member| member.connection_epoch == slot.connection_epoch;
    self.get(&slot.agent_id).filter(newest)
  }

  /// Takes a grant; tasks that are on their way to the agent are counted against it.
  pub fn grant(&self, agent: &AgentId, connection_epoch: i64, grant: Grant) {
    let mut seats = self.seats();
    let Some(seat) = seats.get_mut(agent) else { return };
    if seat.member.connection_epoch != connection_epoch {
      return;
    }
    let on_their_way = seat.sent.saturating_sub(grant.received);
    let on_their_way = i64::try_from(on_their_way).unwrap_or(i64::MAX);
    seat.credits = i64::from(grant.available) - on_their_way;
    seat.free_slots = i64::from(grant.free_slots) - on_their_way;
  }

  /// Makes these agents take nothing new, and lets all others take.
  pub fn set_cordoned(&self, cordoned: &[AgentId]) {
    for (agent, seat) in self.seats().iter_mut() {
      seat.member.cordoned = cordoned.contains(agent);
    }
  }

  /// Takes over changed labels and task types.
  pub fn update(&self, agent: &AgentId, change: impl FnOnce(&mut Member)) {
    if let Some(seat) = self.seats().get_mut(agent) {
      change(&mut seat.member);
    }
  }

  /// Reserves slots for a class: those that could start at once first, then the queues, evenly.
  /// Every slot must be settled with [`Roster::settle`].
  pub fn reserve(&self, class: &SelectorClass) -> Vec<ClaimSlot> {
    let mut seats = self.seats();
    let mut open: Vec<&mut Seat> = seats
      .values_mut()
      .filter(|seat| seat.credits > 0 && !seat.member.cordoned)
      .filter(|seat| {
        let member = &seat.member;
        class.admits(&member.labels, &member.namespaces, &member.task_types)
      })
      .collect();
    // The agent with most free slots comes first, so that one task goes where most room is.
    open.sort_by_key(|seat| std::cmp::Reverse((seat.free_slots, seat.credits)));
    let mut slots = Vec::new();
    for queue in [false, true] {
      let mut progress = true;
      while progress && slots.len() < SLOTS_MAX {
        progress = false;
        for seat in &mut open {
          if slots.len() < SLOTS_MAX && seat.credits > 0 && (queue || seat.free_slots > 0) {
            seat.credits -= 1;
            seat.free_slots -= 1;
            slots.push(slot_of(&seat.member));
            progress = true;
          }
        }
      }
    }
    slots
  }

  /// Reserves one slot where a task of the class would start at once, on the agent with most room.
  /// It must be settled with [`Roster::settle`].
  pub fn reserve_free(&self, class: &SelectorClass) -> Option<ClaimSlot> {
    let mut seats = self.seats();
    let seat = seats
      .values_mut()
      .filter(|seat| seat.credits > 0 && seat.free_slots > 0 && !seat.member.cordoned)
      .filter(|seat| {
        let member = &seat.member;
        class.admits(&member.labels, &member.namespaces, &member.task_types)
      })
      .max_by_key(|seat| (seat.free_slots, seat.credits))?;
    seat.credits -= 1;
    seat.free_slots -= 1;
    Some(slot_of(&seat.member))
  }

  /// Settles reserved slots: `used` went out to their agents, the others are free again.
  pub fn settle(&self, slots: &[ClaimSlot], used: &BTreeMap<AgentId, usize>) {
    let mut seats = self.seats();
    for slot in slots {
      if let Some(seat) = seats.get_mut(&slot.agent_id)
        && seat.member.agent_epoch == slot.agent_epoch
      {
        seat.credits += 1;
        seat.free_slots += 1;
      }
    }
    for (agent, count) in used {
      if let Some(seat) = seats.get_mut(agent) {
        let taken = i64::try_from(*count).unwrap_or(i64::MAX);
        seat.credits -= taken;
        seat.free_slots -= taken;
      }
    }
  }

  /// Counts tasks as sent, before they go out, so that a grant that crosses them is right.
  pub fn count_sent(&self, agent: &AgentId, connection_epoch: i64, count: usize) {
    if let Some(seat) = self.seats().get_mut(agent)
      && seat.member.connection_epoch == connection_epoch
    {
      seat.sent += count as u64;
    }
  }

  /// The connection of an agent.
  pub fn get(&self, agent: &AgentId) -> Option<Member> {
    self.seats().get(agent).map(|seat| seat.member.clone())
  }

  /// All connections with their credits.
  pub fn list(&self) -> Vec<(Member, i64)> {
    self.seats().values().map(|seat| (seat.member.clone(), seat.credits)).collect()
  }

  /// How many agents are connected here.
  pub fn len(&self) -> usize {
    self.seats().len()
  }

  /// Whether none is.
  pub fn is_empty(&self) -> bool {
    self.seats().is_empty()
  }
}

fn slot_of(member: &Member) -> ClaimSlot {
  ClaimSlot {
    instance_id: TaskInstanceId::generate(),
    agent_id: member.agent_id.clone(),
    agent_epoch: member.agent_epoch,
    connection_epoch: member.connection_epoch,
  }
}

#[cfg(test)]
mod tests {
  use hetuflow_core::TaskControl;

  use super::super::Assignment;
  use super::*;

  struct NoLink;
  impl AgentLink for NoLink {
    fn dispatch(&self, _tasks: Vec<Assignment>) -> bool {
      true
    }
    fn control(&self, _control: TaskControl) -> bool {
      true
    }
    fn close(&self, _reason: &str) {}
  }

  fn member(name: &str) -> Member {
    Member {
      agent_id: AgentId::new(name).unwrap(),
      agent_epoch: 1,
      connection_epoch: 1,
      labels: Labels::new(),
      namespaces: Vec::new(),
      task_types: TaskTypes::Any,
      cordoned: false,
      link: Arc::new(NoLink),
      ended: CancellationToken::new(),
    }
  }

  fn class() -> SelectorClass {
    SelectorClass {
      namespace_id: NamespaceId::default(),
      selector: Default::default(),
      task_type: None,
    }
  }

  fn grant(available: u32, free_slots: u32, received: u64) -> Grant {
    Grant { available, free_slots, received }
  }

  #[tokio::test]
  async fn an_older_process_is_gone_when_its_connection_has_ended() {
    let (roster, id) = (Roster::default(), AgentId::new("a").unwrap());
    assert!(roster.is_without_older(&id, 2).await);
    let member = member("a");
    let ended = member.ended.clone();
    roster.join(member);
    assert!(roster.is_without_older(&id, 1).await, "the same process over another connection");
    assert!(!roster.is_without_older(&id, 2).await, "a copy that lives");
    let (gone, ()) = tokio::join!(roster.is_without_older(&id, 2), async {
      tokio::time::sleep(END_LIMIT / 2).await;
      ended.cancel();
    });
    assert!(gone);
  }

  #[test]
  fn free_slots_are_used_before_queues_and_evenly() {
    let roster = Roster::default();
    for (name, available, free) in [("a", 6, 1), ("b", 4, 3)] {
      roster.join(member(name));
      roster.grant(&AgentId::new(name).unwrap(), 1, grant(available, free, 0));
    }
    let order: Vec<String> =
      roster.reserve(&class()).iter().map(|slot| slot.agent_id.to_string()).collect();
    assert_eq!(order[..4], ["b", "a", "b", "b"]);
    assert_eq!(order.len(), 10);
    assert!(roster.reserve(&class()).is_empty());
  }

  #[test]
  fn a_grant_that_crosses_tasks_on_their_way_counts_them() {
    let roster = Roster::default();
    let id = AgentId::new("a").unwrap();
    roster.join(member("a"));
    roster.grant(&id, 1, grant(10, 10, 0));
    let slots = roster.reserve(&class());
    roster.count_sent(&id, 1, 4);
    roster.settle(&slots, &BTreeMap::from([(id.clone(), 4)]));
    assert_eq!(roster.list()[0].1, 6);
    roster.grant(&id, 1, grant(10, 10, 0));
    assert_eq!(roster.list()[0].1, 6, "the four are not received yet");
    roster.grant(&id, 1, grant(8, 8, 4));
    assert_eq!(roster.list()[0].1, 8);
  }

  #[test]
  fn a_slot_is_good_for_its_own_connection_alone() {
    let roster = Roster::default();
    let id = AgentId::new("a").unwrap();
    roster.join(member("a"));
    roster.grant(&id, 1, grant(1, 1, 0));
    let slot = roster.reserve_free(&class()).expect("one is free");
    assert!(roster.holder(&slot).is_some());
    roster.vacate(&id);
    assert!(roster.holder(&slot).is_none(), "nobody is there");
    roster.join(Member { connection_epoch: 2, ..member("a") });
    assert!(roster.holder(&slot).is_none(), "the next one was judged without this claim");
  }

  #[test]
  fn an_old_connection_cannot_remove_a_newer_one() {
    let roster = Roster::default();
    let id = AgentId::new("a").unwrap();
    roster.join(member("a"));
    let old = roster.join(Member { connection_epoch: 2, ..member("a") });
    assert_eq!(old.map(|m| m.connection_epoch), Some(1));
    assert!(!roster.leave(&id, 1));
    assert!(roster.leave(&id, 2));
  }
}
