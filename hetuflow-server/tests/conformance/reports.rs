//! Reports on their way into the store: each keeps the connection that it came over.

use std::sync::Arc;

use hetuflow_core::*;
use hetuflow_server::infra::bmc::agent_bmc;
use hetuflow_server::infra::bus::Bus;
use hetuflow_server::infra::db::DbError;
use hetuflow_server::service::{
  JobCache, LiveAttempts, RefusedInbox, Report, ReportBatch, ReportSource, ReportSvc, Store,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::engines::TestStore;
use crate::tables::agent;

/// No group takes anything behind so many bytes.
const LARGE: usize = 9 << 20;

fn source(agent: &AgentEntity, agent_epoch: i64) -> (ReportSource, watch::Receiver<u64>) {
  let (acked, acks) = watch::channel(0);
  let source = ReportSource {
    agent_id: agent.id.clone(),
    agent_epoch,
    acked: Arc::new(acked),
    refused: Arc::new(RefusedInbox::default()),
  };
  (source, acks)
}

/// The socket of an old process is still read while its successor reports: each is told its own
/// numbers, and only those of the process that is known now are stored.
pub async fn processes_of_an_agent_count_for_themselves(store: &TestStore) {
  let row = agent("a-1", AgentStatus::Idle);
  let mut tx = store.db.begin().await.unwrap();
  agent_bmc::register(&mut tx, &row).await.unwrap();
  tx.end::<_, DbError>(Ok(())).await.unwrap();
  let (jobs, live) = (Arc::new(JobCache::default()), Arc::new(LiveAttempts::default()));
  let reports = ReportSvc::new(Store::new(store.db.clone(), Arc::new(Bus::default())), jobs, live);
  let (old, old_acks) = source(&row, row.agent_epoch - 1);
  let (new, new_acks) = source(&row, row.agent_epoch);
  for (from, seq_last, bytes) in
    [(&old, 4000, LARGE), (&new, 1, 1), (&new, 2, 1), (&old, 4001, 1), (&new, 3, 1)]
  {
    let items = vec![Report::Nothing];
    reports.push(from, ReportBatch { items, seq_last, bytes }).await;
  }
  let stop = CancellationToken::new();
  let lane = tokio::spawn(Arc::clone(&reports).run_lane(stop.clone()));
  reports.settle(&row.id).await;
  stop.cancel();
  lane.await.unwrap();
  assert_eq!((*old_acks.borrow(), *new_acks.borrow()), (4001, 3));
  let mut conn = store.db.read().await.unwrap();
  let read = agent_bmc::get(&mut conn, &row.id).await.unwrap().unwrap();
  assert_eq!(read.acked_seq, 3);
}
