//! Files: kept for their time, found once for each task, and never taken from a task that lives.

use std::sync::Arc;
use std::time::Duration;

use hetuflow_core::*;
use hetuflow_server::infra::bmc::artifact_bmc;
use hetuflow_server::infra::bmc::artifact_content_bmc as content_bmc;
use hetuflow_server::infra::bmc::hot::{self, ClaimedTask};
use hetuflow_server::infra::bus::Bus;
use hetuflow_server::service::{Actor, ArtifactForPut, ArtifactLimits, ArtifactSvc, Store};

use crate::engines::TestStore;
use crate::hot_path::{claim_as, end_of, enqueue, slots, stored_job, task};

const HOUR_US: i64 = 3_600_000_000;

fn service(store: &TestStore) -> ArtifactSvc {
  let limits = ArtifactLimits {
    file_bytes: 1 << 20,
    namespace_bytes: 200_000,
    kept_for: Duration::from_secs(24 * 3600),
  };
  ArtifactSvc::new(Store::new(store.db.clone(), Arc::new(Bus::default())), limits)
}

fn file(name: &str, bytes: &[u8], retention: Option<u64>) -> ArtifactForPut {
  ArtifactForPut {
    namespace_id: None,
    name: name.to_owned(),
    size: bytes.len() as u64,
    content_hash: None,
    retention: retention.map(Duration::from_secs),
  }
}

async fn put(files: &ArtifactSvc, put: ArtifactForPut, bytes: &[u8]) -> ArtifactEntity {
  let mut incoming = files.begin_put(&Actor::system(), put).await.unwrap();
  for part in bytes.chunks(10_007) {
    files.put_bytes(&mut incoming, part).await.unwrap();
  }
  files.end_put(incoming).await.unwrap()
}

async fn is_here(store: &TestStore, file: &ArtifactEntity) -> bool {
  let mut conn = store.db.read().await.unwrap();
  let hash = file.content_hash.as_deref().unwrap();
  content_bmc::whole(&mut conn, &file.namespace_id, hash).await.unwrap().is_some()
}

fn source(json: serde_json::Value) -> InputFile {
  serde_json::from_value(json).unwrap()
}

/// An attempt that has ended well and left a file of this content.
async fn leave(store: &TestStore, claimed: &ClaimedTask, (name, hash): (&str, ContentHash)) {
  let mut end = end_of(claimed, TaskInstanceStatus::Succeeded);
  end.left.artifacts =
    vec![ArtifactNote { name: name.to_owned(), size: 5, hash: Some(hash), reason: None }];
  let mut tx = store.db.begin_hot().await.unwrap();
  hot::delete_finished(&mut tx, &[(claimed.task_id, claimed.fence)]).await.unwrap();
  hot::insert_finished(&mut tx, std::slice::from_ref(&end)).await.unwrap();
  let inserted = artifact_bmc::insert_left(&mut tx, std::slice::from_ref(&end)).await;
  tx.end(inserted).await.unwrap();
}

pub async fn files_are_kept_for_their_time(store: &TestStore) {
  let files = service(store);
  let bytes: Vec<u8> = (0..70_000_u64).map(|at| (at * at / 7) as u8).collect();
  let short = put(&files, file("short", &bytes, Some(3600)), &bytes).await;
  let same = put(&files, file("same", &bytes, Some(7200)), &bytes).await;
  let long = put(&files, file("long", b"x", None), b"x").await;
  assert_eq!(short.content_hash, same.content_hash);
  assert_eq!(files.sweep().await.unwrap(), (0, 0));
  store.db.shift_clock(HOUR_US + 1_000_000);
  assert_eq!(files.sweep().await.unwrap(), (1, 0), "another file has its content");
  assert!(files.get(&Actor::system(), &short.id.to_string()).await.is_err());
  assert!(is_here(store, &same).await);
  store.db.shift_clock(2 * HOUR_US + 1_000_000);
  assert_eq!(files.sweep().await.unwrap(), (1, 1));
  assert!(!is_here(store, &same).await && is_here(store, &long).await);
  store.db.shift_clock(24 * HOUR_US + 1_000_000);
  assert_eq!(
    files.sweep().await.unwrap(),
    (1, 1),
    "the server's own time counts where none is said"
  );
  store.db.shift_clock(0);
}

pub async fn what_is_put_is_checked(store: &TestStore) {
  let files = service(store);
  let actor = Actor::system();
  for (wrong, code) in [
    (file("../up", b"x", None), "path.invalid"),
    (file("fine", &[0; (1 << 20) + 1], None), "artifact.no_room"),
    (file("fine", &[0; 200_001], None), "artifact.no_room"),
    (file("fine", b"x", Some(0)), "duration.invalid"),
  ] {
    let refused = files.begin_put(&actor, wrong).await.err().unwrap().response();
    assert_eq!(refused.errors[0].code, code);
  }
  let wanted = file("fine", b"12345", None);
  let mut incoming = files.begin_put(&actor, wanted.clone()).await.unwrap();
  assert!(files.put_bytes(&mut incoming, b"123456").await.is_err(), "more than was said");
  files.drop_put(incoming.content()).await;
  let mut incoming = files.begin_put(&actor, wanted.clone()).await.unwrap();
  files.put_bytes(&mut incoming, b"1234").await.unwrap();
  let content = incoming.content();
  assert!(files.end_put(incoming).await.is_err(), "less than was said");
  files.drop_put(content).await;
  let other = ContentHasher::default().finish();
  let other = ArtifactForPut { content_hash: Some(other), ..wanted };
  let mut incoming = files.begin_put(&actor, other).await.unwrap();
  files.put_bytes(&mut incoming, b"12345").await.unwrap();
  let content = incoming.content();
  let refused = files.end_put(incoming).await.err().unwrap().response();
  assert_eq!(refused.errors[0].code, "hash.differs");
  files.drop_put(content).await;
  let mut conn = store.db.read().await.unwrap();
  assert_eq!(content_bmc::used_bytes(&mut conn, &NamespaceId::default()).await.unwrap(), 0);
}

pub async fn inputs_are_found_once_and_kept_while_the_task_lives(store: &TestStore) {
  let files = service(store);
  let job = stored_job(store).await;
  let namespace = NamespaceId::default();
  let old = put(&files, file("app", b"old", Some(60)), b"old").await;
  enqueue(store, &[task(&job, 0, Ts::now()), task(&job, 0, Ts::now())]).await;
  let mut claimed = claim_as(store, "s1", &slots(2, "a")).await;
  let (consumer, producer) = (claimed.remove(0), claimed.remove(0));
  let wanted = [
    source(serde_json::json!({ "name": "app" })),
    source(serde_json::json!({ "job": "hot", "name": "left", "to": "b", "mode": "0755" })),
  ];
  let place = (&namespace, consumer.task_id);
  let first = files.inputs(place, &wanted).await.unwrap();
  assert_eq!(first[0].content_hash.map(|hash| hash.to_string()), old.content_hash);
  assert_eq!((first[1].content_hash, first[1].mode), (None, 0o755));
  let why = first[1].reason.as_deref().unwrap();
  assert!(
    why.contains("\"left\" of a successful run of hot") && why.contains("no such file"),
    "{why}"
  );
  // The newest one now; the task stays with what it had, and looks again for what it had not.
  let new = put(&files, file("app", b"new", None), b"new").await;
  let mut hasher = ContentHasher::default();
  hasher.add(b"12345");
  let left = hasher.finish();
  leave(store, &producer, ("left", left)).await;
  let second = files.inputs(place, &wanted).await.unwrap();
  assert_eq!(second[0], first[0]);
  assert_eq!((second[1].content_hash, second[1].file_size), (Some(left), 5));
  let other = files.inputs((&namespace, TaskId::generate()), &wanted[..1]).await.unwrap();
  assert_eq!(other[0].content_hash.map(|hash| hash.to_string()), new.content_hash);
  // Its time is over; the task still has it.
  store.db.shift_clock(2 * HOUR_US);
  assert_eq!(files.sweep().await.unwrap(), (1, 0));
  assert!(is_here(store, &old).await);
  let question = FileDownload {
    task_id: consumer.task_id,
    instance_id: consumer.instance_id,
    fence: consumer.fence,
    content_hash: first[0].content_hash.unwrap(),
    offset: 0,
    pieces: 4,
  };
  let (status, pieces) = files.download(&consumer.agent_id, &question).await.unwrap();
  assert_eq!((status.status, status.file_size), (FileTransferState::Stored, 3));
  assert_eq!(pieces[0].unpack().unwrap(), b"old");
  let coming = FileDownload { content_hash: left, ..question.clone() };
  let (status, pieces) = files.download(&consumer.agent_id, &coming).await.unwrap();
  assert_eq!(
    (status.status, pieces.len()),
    (FileTransferState::Unknown, 0),
    "still with its agent"
  );
  // Nobody else may have it, and no other attempt.
  let stranger = AgentId::new("b").unwrap();
  for (agent, wrong) in [
    (&stranger, question.clone()),
    (&consumer.agent_id, FileDownload { fence: question.fence + 1, ..question.clone() }),
    (&consumer.agent_id, FileDownload { task_id: producer.task_id, ..question.clone() }),
  ] {
    let (status, pieces) = files.download(agent, &wrong).await.unwrap();
    assert_eq!((status.status, pieces.len()), (FileTransferState::Refused, 0));
  }
  let mut tx = store.db.begin_hot().await.unwrap();
  let gone = hot::delete_finished(&mut tx, &[(consumer.task_id, consumer.fence)]).await;
  tx.end(gone).await.unwrap();
  assert_eq!(files.sweep().await.unwrap(), (0, 1));
  assert!(!is_here(store, &old).await);
  store.db.shift_clock(0);
}
