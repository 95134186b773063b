//! Tasks that ask for room: what agents carry is counted from live rows, whoever claims.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use hetuflow_core::*;
use hetuflow_server::broker::{
  AgentLink, Assignment, DispatchSettings, Dispatcher, Grant, Member, Roster,
};
use hetuflow_server::infra::bmc::hot::{self, ClaimedTask, NewTask};
use hetuflow_server::infra::bmc::{agent_bmc, job_bmc, sticky_bmc};
use hetuflow_server::infra::bus::Bus;
use hetuflow_server::service::{JobCache, LiveAttempts, Store};
use hetuflow_tests::wait;
use tokio_util::sync::CancellationToken;

use crate::engines::TestStore;
use crate::hot_path::{enqueue, stored_job, task};
use crate::tables::agent;

const LIMIT: Duration = Duration::from_secs(30);

/// A connection that takes everything.
#[derive(Default)]
struct Taker(Mutex<Vec<ClaimedTask>>);

impl AgentLink for Taker {
  fn dispatch(&self, tasks: Vec<Assignment>) -> bool {
    self.0.lock().unwrap().extend(tasks.into_iter().map(|one| one.task));
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

/// A server with agents that grant ten tasks each.
struct Server {
  bus: Arc<Bus>,
  stop: CancellationToken,
}

fn server(store: &TestStore, name: &str, agents: &[&AgentEntity]) -> Server {
  let (roster, jobs) = (Arc::new(Roster::default()), Arc::new(JobCache::default()));
  for agent in agents {
    roster.join(Member {
      agent_id: agent.id.clone(),
      agent_epoch: 1,
      connection_epoch: 1,
      labels: agent.labels.clone(),
      namespaces: Vec::new(),
      task_types: TaskTypes::Any,
      slots: agent.capabilities.max_concurrent_tasks,
      load_permille: 0,
      cordoned: false,
      link: Arc::new(Taker::default()),
      ended: CancellationToken::new(),
    });
    roster.grant(&agent.id, 1, Grant { available: 10, free_slots: 10, received: 0 });
  }
  let settings = DispatchSettings {
    early: Duration::from_secs(5),
    poll_interval: Duration::from_millis(20),
    choice: AgentChoice::MostFree,
    prefer_hold: Duration::from_millis(300),
    claim_lease: Duration::from_secs(600),
  };
  let bus = Arc::new(Bus::default());
  let service = Store::new(store.db.clone(), bus.clone());
  let caches = (jobs, Arc::new(LiveAttempts::default()), Arc::default());
  let id = ServerId::new(name).unwrap();
  let stop = CancellationToken::new();
  tokio::spawn(Dispatcher::new(service, roster, caches, id, settings).run(stop.clone()));
  Server { bus, stop }
}

async fn stored_agent(store: &TestStore, name: &str, cpus: i64) -> AgentEntity {
  let mut agent = agent(name, AgentStatus::Idle);
  agent.capabilities.max_concurrent_tasks = 10;
  agent.capabilities.resources.insert("cpu".to_owned(), cpus.into());
  agent.labels.insert("agent".to_owned(), name.to_owned());
  let mut tx = store.db.begin().await.unwrap();
  let made = agent_bmc::register(&mut tx, &agent).await;
  tx.end(made).await.unwrap();
  agent
}

/// A job with a version, and a class.
async fn classed(store: &TestStore, class: &SelectorClass) -> JobEntity {
  let job = stored_job(store).await;
  let spec = JobSpec {
    job_id: job.id,
    job_version: 1,
    job_name: job.name.clone(),
    namespace_id: job.namespace_id.clone(),
    config: job.config.clone(),
    environment: job.environment.clone(),
  };
  let mut tx = store.db.begin().await.unwrap();
  let made = async {
    job_bmc::create_version(&mut tx, &spec, None, Ts::now()).await?;
    job_bmc::ensure_class(&mut tx, class).await
  };
  let made = made.await;
  tx.end(made).await.unwrap();
  job
}

fn tasks(job: &JobEntity, class: &SelectorClass, count: usize) -> Vec<NewTask> {
  let one = || NewTask { class_id: class.class_id(), ..task(job, 0, Ts::now()) };
  (0..count).map(|_| one()).collect()
}

async fn carried(store: &TestStore, agent: &AgentEntity) -> Vec<hot::HotRow> {
  let mut conn = store.db.read().await.unwrap();
  hot::live_of_agent(&mut conn, &agent.id).await.unwrap()
}

async fn wait_carried(store: &TestStore, agent: &AgentEntity, count: usize) {
  wait::until(&format!("{count} on {}", agent.id), LIMIT, || async {
    (carried(store, agent).await.len() == count).then_some(())
  })
  .await
  .unwrap();
}

/// Two servers hold a connection of the same agents: together they never hand out more than fits;
/// what is out of reach still counts, what ended does not.
pub async fn needs_are_never_oversubscribed(store: &TestStore) {
  let (small, large) =
    (stored_agent(store, "small", 2).await, stored_agent(store, "large", 5).await);
  let need = Requests { cpu: Cpus(1500), ..Requests::default() };
  let class = SelectorClass { requests: Some(need), ..SelectorClass::any(NamespaceId::default()) };
  let job = classed(store, &class).await;
  enqueue(store, &tasks(&job, &class, 9)).await;
  let servers = [server(store, "s1", &[&small, &large]), server(store, "s2", &[&small, &large])];
  wait_carried(store, &small, 1).await;
  wait_carried(store, &large, 3).await;
  let mut tx = store.db.begin_hot().await.unwrap();
  let lost = hot::mark_unreachable(&mut tx, &large.id, Ts::now()).await;
  assert_eq!(tx.end(lost).await.unwrap(), 3);
  // Both have looked often by now.
  for _ in 0..20 {
    servers.iter().for_each(|one| one.bus.wake_all());
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!((carried(store, &small).await.len(), carried(store, &large).await.len()), (1, 3));
  }
  // One ends, and one that waits takes its room, five times.
  for _ in 0..5 {
    let row = carried(store, &small).await.remove(0);
    let mut tx = store.db.begin_hot().await.unwrap();
    let gone = hot::delete_finished(&mut tx, &[(row.task_id, row.fence.unwrap())]).await;
    tx.end(gone).await.unwrap();
    wait::until("the next one on the small agent", LIMIT, || async {
      let now = carried(store, &small).await;
      assert!(now.len() <= 1, "{now:?}");
      now.first().filter(|next| next.task_id != row.task_id).map(drop)
    })
    .await
    .unwrap();
  }
  servers.iter().for_each(|one| one.stop.cancel());
}

/// A task waits for the agent that it likes for a short time alone, and goes back to where it ran.
pub async fn liked_agents_come_first_for_a_while(store: &TestStore) {
  let (a, b) = (stored_agent(store, "a", 4).await, stored_agent(store, "b", 4).await);
  let like = Preference { selector: Selector::read("agent=a"), weight: 10 };
  let class = SelectorClass { prefer: vec![like], ..SelectorClass::any(NamespaceId::default()) };
  let job = classed(store, &class).await;
  // Twelve for the ten places of the liked one: the two that are left go to the other.
  enqueue(store, &tasks(&job, &class, 12)).await;
  let one = server(store, "s1", &[&a, &b]);
  wait_carried(store, &a, 10).await;
  wait_carried(store, &b, 2).await;
  one.stop.cancel();

  let to = StickyTo { key: "key:x".to_owned(), require: true };
  let bound = SelectorClass { sticky: Some(to), ..SelectorClass::any(NamespaceId::default()) };
  let mut tx = store.db.begin().await.unwrap();
  let made = async {
    job_bmc::ensure_class(&mut tx, &bound).await?;
    sticky_bmc::note(&mut tx, (&bound.namespace_id, "key:x"), &b.id, Ts::now()).await
  };
  let made = made.await;
  tx.end(made).await.unwrap();
  enqueue(store, &tasks(&job, &bound, 3)).await;
  let two = server(store, "s1", &[&a, &b]);
  wait_carried(store, &b, 5).await;
  assert_eq!(carried(store, &a).await.len(), 10);
  two.stop.cancel();
  let mut conn = store.db.read().await.unwrap();
  let last = sticky_bmc::last_agent(&mut conn, &bound.namespace_id, "key:x").await.unwrap();
  assert_eq!(last, Some(b.id));
}
