//! What exists when somebody subscribes: the start that later changes build on. It is read after the
//! subscription began, so that a change is told twice rather than never.

use hetuflow_core::{
  AgentFilter, Change, JobFilter, NamespaceId, ScheduleFilter, Subject, Subscribe, TaskFilter,
  TaskStatus, Topic, Ts,
};
use serde::Serialize;

use super::{PageArgs, Store, SvcResult};
use crate::infra::bmc::{agent_bmc, job_bmc, schedule_bmc, task_bmc};

/// Things of one kind in a snapshot at most.
const THINGS_MAX: i64 = 1000;

/// Things by namespace, each as a change of type `KIND.snapshot` whose data is the whole thing.
type Things = Vec<(NamespaceId, Vec<Change>)>;

/// Reads what a subscriber wants to hear about: jobs, schedules, agents, and tasks that are not
/// final.
///
/// # Errors
/// Any database error.
pub(super) async fn read(
  store: &Store,
  wish: &Subscribe,
  namespace: Option<&NamespaceId>,
) -> SvcResult<Things> {
  let wants = |topic| wish.topics.is_empty() || wish.topics.contains(&topic);
  let page = PageArgs::first(THINGS_MAX);
  let mut things = Things::new();
  let mut conn = store.db.read().await?;
  if wants(Topic::Job) {
    let filter = JobFilter { namespace_id: namespace.cloned(), ..JobFilter::default() };
    for job in job_bmc::list(&mut conn, &filter, &page).await?.data {
      note(&mut things, &job.namespace_id, (Topic::Job, job.id.to_string()), &job);
    }
  }
  if wants(Topic::Schedule) {
    let filter = ScheduleFilter { namespace_id: namespace.cloned(), ..ScheduleFilter::default() };
    for one in schedule_bmc::list(&mut conn, &filter, &page).await?.data {
      note(&mut things, &one.namespace_id, (Topic::Schedule, one.id.to_string()), &one);
    }
  }
  if wants(Topic::Agent) {
    for agent in agent_bmc::list(&mut conn, &AgentFilter::default(), &page).await?.data {
      let home = NamespaceId::default();
      note(&mut things, &home, (Topic::Agent, agent.id.to_string()), &agent);
    }
  }
  if wants(Topic::Task) {
    let filter = TaskFilter { namespace_id: namespace.cloned(), ..TaskFilter::default() };
    let live: Vec<TaskStatus> =
      TaskStatus::ALL.iter().copied().filter(|status| !status.is_final()).collect();
    for task in task_bmc::list(&mut conn, &filter, None, &live, &page).await?.data {
      note(&mut things, &task.namespace_id, (Topic::Task, task.id.to_string()), &task);
    }
  }
  Ok(things)
}

fn note<T: Serialize>(
  things: &mut Things,
  namespace: &NamespaceId,
  (kind, id): (Topic, String),
  thing: &T,
) {
  let change = Change {
    at: Ts::now(),
    event_type: format!("{kind}.snapshot"),
    subject: Subject { kind, id },
    data: serde_json::to_value(thing).expect("models are plain data"),
  };
  match things.iter_mut().find(|(known, _)| known == namespace) {
    Some((_, changes)) => changes.push(change),
    None => things.push((namespace.clone(), vec![change])),
  }
}
