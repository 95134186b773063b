//! Drains as they go on: what is left, what the deadline does, and when one is over. All of it is
//! in the store, so that any server goes on with what another one began.

use hetuflow_core::{AgentId, Change, DrainThen, NamespaceId, Subject, Topic, Ts};
use serde_json::{Value, json};

use super::attempt_end::Ends;
use super::{Store, SvcResult};
use crate::infra::bmc::agent_drain_bmc::{self, OpenDrain};
use crate::infra::bmc::event_bmc;
use crate::infra::bmc::hot;
use crate::infra::db::{Conn, DbError};

/// Drains that are not over.
#[derive(Clone)]
pub struct DrainSvc {
  store: Store,
}

/// What one look at the drains has found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct DrainTurn {
  /// Drains that are not over.
  pub open: usize,
  /// Agents with attempts that have not started: they are to be given back.
  pub give_back: Vec<AgentId>,
}

impl DrainSvc {
  /// Over a store.
  pub fn new(store: Store) -> Self {
    Self { store }
  }

  /// Looks at every drain that is not over, ends what is empty, and does what deadlines ask for.
  ///
  /// # Errors
  /// Any database error.
  pub async fn turn(&self) -> SvcResult<DrainTurn> {
    let mut conn = self.store.db.read().await?;
    let drains = agent_drain_bmc::open_drains(&mut conn).await?;
    drop(conn);
    let mut turn = DrainTurn::default();
    for drain in drains {
      self.look(&drain, &mut turn).await?;
    }
    Ok(turn)
  }

  async fn look(&self, drain: &OpenDrain, turn: &mut DrainTurn) -> SvcResult<()> {
    let mut tx = self.store.db.begin().await?;
    let outcome = self.look_in(&mut tx, drain).await;
    let found = tx.end::<_, DbError>(outcome).await?;
    if found.waiting > 0 {
      turn.give_back.push(drain.id.clone());
    }
    turn.open += usize::from(!found.over);
    if found.stopped {
      self.store.bus.control.notify_one();
      self.store.bus.remote.notify_one();
    }
    if found.over || found.stopped {
      self.store.bus.events.notify_one();
    }
    Ok(())
  }

  async fn look_in(&self, tx: &mut Conn, drain: &OpenDrain) -> Result<Found, DbError> {
    let now = tx.now().await?;
    let (left, waiting) = hot::in_hand(tx, &drain.id).await?;
    let late = drain.drain_deadline.is_some_and(|deadline| deadline <= now);
    let kills = drain.drain_then == Some(DrainThen::Kill);
    let mut ends = Ends::default();
    let mut found = Found { waiting, ..Found::default() };
    if left == 0 || late && !kills {
      found.over = true;
      if agent_drain_bmc::end_drain(tx, drain, now).await? {
        let data = json!({ "left": left, "deadline_passed": late });
        ends.journal.push(&NamespaceId::default(), change(&drain.id, "agent.drained", data, now));
      }
    } else if late {
      let stopped = hot::request_drain_stops(tx, &drain.id, now).await?;
      found.stopped = !stopped.is_empty();
      for (task, namespace) in &stopped {
        let data = json!({ "status": "cancelling", "reason": "drain", "agent_id": drain.id });
        ends.note(namespace, *task, "task.cancelling", data, now);
      }
      if found.stopped {
        let data = json!({ "stopped": stopped.len() });
        let told = change(&drain.id, "agent.drain_deadline", data, now);
        ends.journal.push(&NamespaceId::default(), told);
      }
    }
    event_bmc::append(tx, &ends.journal, now).await?;
    Ok(found)
  }
}

#[derive(Default)]
struct Found {
  over: bool,
  stopped: bool,
  waiting: i64,
}

fn change(id: &AgentId, event_type: &str, data: Value, at: Ts) -> Change {
  let subject = Subject { kind: Topic::Agent, id: id.to_string() };
  Change { at, subject, event_type: event_type.to_owned(), data }
}
