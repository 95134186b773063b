//! The agents connected here and the credits they granted.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hetuflow_core::{AgentId, Labels, NamespaceId, TaskInstanceId, TaskTypes, is_reserved_label};
use tokio_util::sync::CancellationToken;

use super::AgentLink;
use crate::infra::bmc::hot::ClaimSlot;

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
  /// Processes at the same time.
  pub slots: u32,
  /// How loaded its host is, in thousandths, by its last heartbeat.
  pub load_permille: i64,
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

pub(super) struct Seat {
  pub(super) member: Member,
  sent: u64,
  pub(super) credits: i64,
  pub(super) free_slots: i64,
  /// Counts up with every task that goes out; whose is lowest was given nothing for longest.
  pub(super) served: u64,
}

impl Seat {
  /// Tasks that it has, or that are on their way.
  pub(super) fn in_hand(&self) -> i64 {
    i64::from(self.member.slots) - self.free_slots
  }
}

impl Member {
  /// Labels and task types that not every agent has.
  pub(super) fn specialities(&self) -> i64 {
    let own = self.labels.keys().filter(|key| !is_reserved_label(key)).count();
    let types = match &self.task_types {
      TaskTypes::Any => 0,
      TaskTypes::These(types) => types.len(),
    };
    i64::try_from(own + types).unwrap_or(i64::MAX)
  }
}

/// The agents connected here.
#[derive(Default)]
pub struct Roster {
  seats: Mutex<BTreeMap<AgentId, Seat>>,
  /// Tasks that went out.
  turns: AtomicU64,
}

impl Roster {
  pub(super) fn seats(&self) -> std::sync::MutexGuard<'_, BTreeMap<AgentId, Seat>> {
    self.seats.lock().unwrap_or_else(PoisonError::into_inner)
  }

  /// Takes a connection in, in place of an older one of the same agent, which is returned.
  pub fn join(&self, member: Member) -> Option<Member> {
    let id = member.agent_id.clone();
    let served = self.turns.load(Ordering::Relaxed);
    let seat = Seat { member, sent: 0, credits: 0, free_slots: 0, served };
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

  /// Takes over labels that were changed in the store.
  pub fn set_labels(&self, changed: Vec<(AgentId, Labels)>) {
    let mut seats = self.seats();
    for (agent, labels) in changed {
      if let Some(seat) = seats.get_mut(&agent) {
        seat.member.labels = labels;
      }
    }
  }

  /// Takes over changed labels and task types.
  pub fn update(&self, agent: &AgentId, change: impl FnOnce(&mut Member)) {
    if let Some(seat) = self.seats().get_mut(agent) {
      change(&mut seat.member);
    }
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
        seat.served = self.turns.fetch_add(1, Ordering::Relaxed) + 1;
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

pub(super) fn slot_of(member: &Member) -> ClaimSlot {
  ClaimSlot {
    instance_id: TaskInstanceId::generate(),
    agent_id: member.agent_id.clone(),
    agent_epoch: member.agent_epoch,
    connection_epoch: member.connection_epoch,
  }
}

#[cfg(test)]
mod tests {
  use hetuflow_core::{
    AgentChoice, AgentCommand, Preference, Selector, SelectorClass, TaskControl,
  };

  use super::super::{Assignment, Wish};
  use super::*;

  struct NoLink;
  impl AgentLink for NoLink {
    fn dispatch(&self, _tasks: Vec<Assignment>) -> bool {
      true
    }
    fn control(&self, _control: TaskControl) -> bool {
      true
    }
    fn command(&self, _command: AgentCommand) -> bool {
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
      slots: 4,
      load_permille: 0,
      cordoned: false,
      link: Arc::new(NoLink),
      ended: CancellationToken::new(),
    }
  }

  fn class() -> SelectorClass {
    SelectorClass::any(NamespaceId::default())
  }

  fn reserve(roster: &Roster, class: &SelectorClass, choice: AgentChoice) -> Vec<ClaimSlot> {
    let reserved = roster.reserve(&Wish::plain(class, choice));
    assert!(reserved.rest.is_empty());
    reserved.first
  }

  fn names(slots: &[ClaimSlot]) -> Vec<&str> {
    slots.iter().map(|slot| slot.agent_id.as_str()).collect()
  }

  fn labelled(name: &str, pairs: &[(&str, &str)]) -> Member {
    let mut labels: Labels =
      pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    labels.insert("agent".to_owned(), name.to_owned());
    Member { labels, ..member(name) }
  }

  fn seat(roster: &Roster, member: Member, granted: Grant) {
    let id = member.agent_id.clone();
    roster.join(member);
    roster.grant(&id, 1, granted);
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
    let mut asked = std::pin::pin!(roster.is_without_older(&id, 2));
    tokio::select! {
      biased;
      told = &mut asked => panic!("{told} while it lives"),
      () = std::future::ready(()) => {}
    }
    ended.cancel();
    assert!(asked.await, "one whose connection ends while it is waited for");
  }

  #[test]
  fn free_slots_are_used_before_queues_and_evenly() {
    let roster = Roster::default();
    for (name, available, free) in [("a", 6, 1), ("b", 4, 3)] {
      seat(&roster, member(name), grant(available, free, 0));
    }
    let slots = reserve(&roster, &class(), AgentChoice::MostFree);
    assert_eq!(names(&slots)[..4], ["b", "a", "b", "b"]);
    assert_eq!(slots.len(), 10);
    assert!(reserve(&roster, &class(), AgentChoice::MostFree).is_empty());
  }

  #[test]
  fn each_choice_has_its_order() {
    let roster = Roster::default();
    let gpu = [("gpu", "a100"), ("zone", "eu")];
    seat(&roster, Member { load_permille: 900, ..member("a") }, grant(4, 4, 0));
    seat(&roster, Member { load_permille: 100, ..labelled("b", &gpu) }, grant(4, 2, 0));
    let many = Member { slots: 9, load_permille: 500, ..labelled("c", &gpu[..1]) };
    seat(&roster, many, grant(9, 6, 0));
    for (choice, order) in [
      (AgentChoice::MostFree, ["c", "a", "b", "c", "a", "b"]),
      (AgentChoice::RoundRobin, ["a", "b", "c", "a", "b", "c"]),
      // Empty, two and three in hand: the lowest is filled up first.
      (AgentChoice::LeastTasks, ["a", "a", "a", "b", "a", "b"]),
      (AgentChoice::Resource, ["b", "c", "a", "b", "c", "a"]),
      (AgentChoice::Capability, ["a", "c", "b", "a", "c", "b"]),
    ] {
      let slots = reserve(&roster, &class(), choice);
      assert_eq!(names(&slots)[..6], order, "{choice}");
      roster.settle(&slots, &BTreeMap::new());
    }
    // One after the other, each goes to whoever was given nothing for longest.
    let turns: Vec<String> = (0..6)
      .map(|_| {
        let slots = reserve(&roster, &class(), AgentChoice::RoundRobin);
        let agent = slots[0].agent_id.clone();
        roster.settle(&slots, &BTreeMap::from([(agent.clone(), 1)]));
        agent.to_string()
      })
      .collect();
    assert_eq!(turns, ["a", "b", "c", "a", "b", "c"]);
  }

  #[test]
  fn the_best_agents_come_first_and_the_others_are_held() {
    let roster = Roster::default();
    seat(&roster, labelled("a", &[("zone", "eu")]), grant(5, 1, 0));
    seat(&roster, labelled("b", &[("zone", "us")]), grant(3, 2, 0));
    seat(&roster, labelled("c", &[("zone", "us"), ("spot", "yes")]), grant(1, 1, 0));
    let like = |text: &str, weight| Preference { selector: Selector::read(text), weight };
    let class = SelectorClass { prefer: vec![like("zone=eu", 10), like("spot", -5)], ..class() };
    let wish = Wish::plain(&class, AgentChoice::MostFree);
    let reserved = roster.reserve(&wish);
    assert_eq!(names(&reserved.first), ["a"]);
    assert_eq!(names(&reserved.rest), ["b", "b", "c", "a", "a", "a", "a", "b"]);
    roster.settle(&[reserved.first, reserved.rest].concat(), &BTreeMap::new());
    // A better one is connected to another server: all of ours are for those that have waited.
    let reserved = roster.reserve(&Wish { elsewhere: Some(11), ..wish });
    assert_eq!((reserved.first.len(), reserved.rest.len()), (0, 9));
    roster.settle(&reserved.rest, &BTreeMap::new());
    // Where it ran last weighs more than all preferences; one that is away holds nobody.
    let b = AgentId::new("b").unwrap();
    let reserved = roster.reserve(&Wish { last: Some(&b), ..wish });
    assert_eq!(names(&reserved.first), ["b", "b"]);
    roster.settle(&[reserved.first, reserved.rest].concat(), &BTreeMap::new());
    roster.vacate(&AgentId::new("a").unwrap());
    assert_eq!(names(&roster.reserve(&wish).first), ["b", "b"]);
  }

  #[test]
  fn pinned_and_bound_tasks_have_one_agent() {
    let roster = Roster::default();
    for name in ["a", "b"] {
      seat(&roster, labelled(name, &[]), grant(1, 1, 0));
    }
    let b = AgentId::new("b").unwrap();
    let pinned = SelectorClass { pin: Some(b.clone()), ..class() };
    let slots = reserve(&roster, &pinned, AgentChoice::MostFree);
    assert_eq!(names(&slots), ["b"]);
    let to = hetuflow_core::StickyTo { key: "key:x".to_owned(), require: true };
    let bound = SelectorClass { sticky: Some(to), ..class() };
    let wish = Wish::plain(&bound, AgentChoice::MostFree);
    let reserved = roster.reserve(&Wish { last: Some(&b), ..wish });
    assert!(reserved.first.is_empty() && reserved.rest.is_empty(), "b is full");
    roster.settle(&slots, &BTreeMap::new());
    let reserved = roster.reserve(&Wish { last: Some(&b), ..wish });
    assert_eq!((names(&reserved.first), reserved.rest.len()), (vec!["b"], 0));
    roster.settle(&reserved.first, &BTreeMap::new());
    assert_eq!(reserve(&roster, &bound, AgentChoice::MostFree).len(), 2, "it never ran");
  }

  #[test]
  fn a_grant_that_crosses_tasks_on_their_way_counts_them() {
    let roster = Roster::default();
    let id = AgentId::new("a").unwrap();
    roster.join(member("a"));
    roster.grant(&id, 1, grant(10, 10, 0));
    let slots = reserve(&roster, &class(), AgentChoice::MostFree);
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
    let slot =
      roster.reserve_free(&Wish::plain(&class(), AgentChoice::MostFree)).expect("one is free");
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
