//! Claims for tasks that ask for room: what agents carry is counted from their live rows, in the
//! transaction of the claim, while their rows are locked.

use std::collections::{BTreeSet, HashMap};

use hetuflow_core::{AgentId, Capacity, Requests};

use crate::infra::bmc::agent_bmc;
use crate::infra::bmc::hot::{self, ClaimSlot};
use crate::infra::db::{Conn, DbError};
use crate::service::JobCache;

/// The slots that tasks with these needs may fill beside what their agents carry already, in the
/// same order. Keeps others from claiming for these agents until the transaction is over.
///
/// # Errors
/// Any [`DbError`].
pub(super) async fn fitting(
  conn: &mut Conn,
  jobs: &JobCache,
  (need, slots): (&Requests, &[ClaimSlot]),
) -> Result<Vec<ClaimSlot>, DbError> {
  let agents: BTreeSet<&AgentId> = slots.iter().map(|slot| &slot.agent_id).collect();
  let agents: Vec<&AgentId> = agents.into_iter().collect();
  let told: HashMap<AgentId, Capacity> =
    agent_bmc::lock_capacities(conn, &agents).await?.into_iter().collect();
  let mut carried: HashMap<AgentId, Requests> = HashMap::new();
  for (agent, class, count) in hot::carried(conn, &agents).await? {
    let each = jobs.class(conn, class).await?.requests.unwrap_or_default();
    let sum = carried.entry(agent).or_insert(Requests::none());
    *sum = sum.carried(&each, count);
  }
  let mut room: HashMap<&AgentId, i64> = agents
    .into_iter()
    .filter_map(|agent| {
      let carried = carried.get(agent).copied().unwrap_or(Requests::none());
      Some((agent, told.get(agent)?.room_for(need, &carried)))
    })
    .collect();
  let fits = |slot: &&ClaimSlot| match room.get_mut(&slot.agent_id) {
    Some(left) if *left > 0 => {
      *left -= 1;
      true
    }
    _ => false,
  };
  Ok(slots.iter().filter(fits).cloned().collect())
}
