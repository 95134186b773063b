//! The tables that people change: create, read, list, change, delete, conflict.

use std::sync::Arc;

use hetuflow_core::*;
use hetuflow_server::infra::bmc::event_bmc::{self, Journal};
use hetuflow_server::infra::bmc::log_bmc::{self, LogChunk};
use hetuflow_server::infra::bmc::schedule_bmc::ScheduleCursor;
use hetuflow_server::infra::bmc::{
  Cursor, PageArgs, agent_bmc, fire_bmc, job_bmc, namespace_bmc, plan_bmc, schedule_bmc,
  server_bmc, token_bmc,
};
use hetuflow_server::infra::bus::Bus;
use hetuflow_server::infra::db::{DbError, migrate, migration_state, revert};
use hetuflow_server::service::{Actor, Store, TokenSvc};

use crate::engines::TestStore;

/// A job that runs nothing in particular.
pub fn job(name: &str) -> JobEntity {
  let now = Ts::now();
  JobEntity {
    id: JobId::generate(),
    namespace_id: NamespaceId::default(),
    name: name.to_owned(),
    description: "'; drop table sched_job; --".to_owned(),
    environment: Environment::from([("A".to_owned(), "1".to_owned())]),
    config: serde_json::from_str(r#"{"cmd":"exec","args":["/bin/true"],"timeout":5}"#).unwrap(),
    status: JobStatus::Enabled,
    labels: Labels::from([("tier".to_owned(), "gold".to_owned())]),
    version: 1,
    owner: "data".to_owned(),
    created_by: Some("tester".to_owned()),
    created_at: now,
    updated_by: None,
    updated_at: now,
  }
}

/// A schedule of a job, every minute.
pub fn schedule(job: &JobEntity, name: &str, next: Option<Ts>) -> ScheduleEntity {
  let now = Ts::now();
  ScheduleEntity {
    id: ScheduleId::generate(),
    job_id: job.id,
    namespace_id: job.namespace_id.clone(),
    name: name.to_owned(),
    description: String::new(),
    schedule_kind: ScheduleKind::Cron,
    cron_expression: Some("* * * * *".to_owned()),
    interval_secs: None,
    interval_from: IntervalFrom::Start,
    timezone: "Europe/Berlin".to_owned(),
    dst_gap: DstGap::Auto,
    dst_overlap: DstOverlap::Auto,
    jitter_secs: 0,
    include: Vec::new(),
    exclude: Vec::new(),
    start_time: None,
    end_time: None,
    max_count: None,
    status: ScheduleStatus::Enabled,
    status_reason: None,
    paused_by: None,
    paused_reason: None,
    paused_until: None,
    skip_next: 0,
    skip_reason: None,
    overlap_policy: OverlapPolicy::Skip,
    queue_max: QUEUE_MAX_DEFAULT,
    misfire_policy: MisfirePolicy::FireLast,
    misfire_grace_secs: 3600,
    catchup_max: 10,
    max_concurrent: None,
    parameters: Some(serde_json::json!({"day": "today"})),
    environment: Environment::new(),
    priority: 0,
    anchor_at: now,
    next_run_at: next,
    next_fire_at: None,
    last_run_at: None,
    run_count: 0,
    rev: 1,
    created_by: None,
    created_at: now,
    updated_by: None,
    updated_at: now,
  }
}

/// An agent that was here a moment ago.
pub fn agent(id: &str, status: AgentStatus) -> AgentEntity {
  let now = Ts::now();
  AgentEntity {
    id: AgentId::new(id).unwrap(),
    description: String::new(),
    status,
    capabilities: AgentCapabilities { max_concurrent_tasks: 4, ..AgentCapabilities::default() },
    labels: Labels::from([("zone".to_owned(), "eu".to_owned())]),
    given_labels: Labels::new(),
    namespaces: vec!["default".to_owned()],
    statistics: None,
    hostname: "h".to_owned(),
    os_info: "linux".to_owned(),
    version: "0".to_owned(),
    boot_id: "b".to_owned(),
    journal_id: "j-1".to_owned(),
    agent_epoch: 5,
    connection_epoch: 1,
    server_id: Some(ServerId::new("s1").unwrap()),
    acked_seq: 0,
    clock_offset_ms: None,
    cordoned: false,
    drain_since: None,
    drain_deadline: None,
    drain_reason: None,
    drain_then: None,
    drained_at: None,
    last_heartbeat_at: Some(now),
    created_at: now,
    updated_at: now,
    version_skew: None,
  }
}

pub async fn namespaces_are_kept_and_unique(store: &TestStore) {
  let mut tx = store.db.begin().await.unwrap();
  let id = NamespaceId::new("etl").unwrap();
  let new = NamespaceForCreate { id: id.clone(), description: "loads".to_owned() };
  namespace_bmc::create(&mut tx, &new, Ts::now()).await.unwrap();
  let change = NamespaceForUpdate {
    description: Some("changed".to_owned()),
    weight: Some(5),
    update_mask: Some(vec!["weight".to_owned()]),
  };
  assert!(namespace_bmc::update(&mut tx, &id, &change, Ts::now()).await.unwrap());
  let read = namespace_bmc::get(&mut tx, &id).await.unwrap().unwrap();
  assert_eq!((read.description.as_str(), read.weight), ("loads", 5));
  tx.end::<_, DbError>(Ok(())).await.unwrap();

  let mut tx = store.db.begin().await.unwrap();
  let taken = namespace_bmc::create(&mut tx, &new, Ts::now()).await;
  assert!(matches!(taken, Err(DbError::Unique { .. })), "{taken:?}");
  let taken = tx.end(taken).await;
  assert!(taken.is_err());
  let mut tx = store.db.begin().await.unwrap();
  assert!(namespace_bmc::delete(&mut tx, &id).await.unwrap());
  assert!(!namespace_bmc::delete(&mut tx, &id).await.unwrap());
  assert_eq!(namespace_bmc::get(&mut tx, &id).await.unwrap(), None);
}

pub async fn jobs_change_by_mask_and_version(store: &TestStore) {
  let mut tx = store.db.begin().await.unwrap();
  let job = job("backup");
  job_bmc::create(&mut tx, &job).await.unwrap();
  assert_eq!(job_bmc::get(&mut tx, job.id).await.unwrap().as_ref(), Some(&job));
  let by_name = job_bmc::get_by_name(&mut tx, &job.namespace_id, "backup").await.unwrap();
  assert_eq!(by_name.as_ref(), Some(&job));
  let change = JobForUpdate {
    description: Some("new".to_owned()),
    owner: Some("ops".to_owned()),
    update_mask: Some(vec!["owner".to_owned()]),
    ..JobForUpdate::default()
  };
  let by = (Some("editor"), Ts::now());
  assert!(job_bmc::update_if_version(&mut tx, job.id, 1, &change, by).await.unwrap());
  assert!(!job_bmc::update_if_version(&mut tx, job.id, 1, &change, by).await.unwrap());
  let read = job_bmc::get(&mut tx, job.id).await.unwrap().unwrap();
  assert_eq!((read.version, read.owner.as_str()), (2, "ops"));
  assert_eq!(read.description, job.description, "the mask left it out");

  let spec = JobSpec {
    job_id: job.id,
    job_version: 2,
    job_name: job.name.clone(),
    namespace_id: job.namespace_id.clone(),
    config: job.config.clone(),
    environment: job.environment.clone(),
  };
  job_bmc::create_version(&mut tx, &spec, None, Ts::now()).await.unwrap();
  assert_eq!(job_bmc::get_version(&mut tx, job.id, 2).await.unwrap(), Some(spec));
  assert_eq!(job_bmc::get_version(&mut tx, job.id, 3).await.unwrap(), None);
}

pub async fn deleted_names_are_free_again(store: &TestStore) {
  let mut tx = store.db.begin().await.unwrap();
  let first = job("nightly");
  job_bmc::create(&mut tx, &first).await.unwrap();
  assert!(job_bmc::delete(&mut tx, first.id, Ts::now()).await.unwrap());
  assert!(!job_bmc::delete(&mut tx, first.id, Ts::now()).await.unwrap());
  assert_eq!(job_bmc::get(&mut tx, first.id).await.unwrap(), None);
  job_bmc::create(&mut tx, &job("nightly")).await.unwrap();
  let taken = job_bmc::create(&mut tx, &job("nightly")).await;
  assert!(matches!(&taken, Err(DbError::Unique { constraint }) if constraint.contains("name")));
}

pub async fn pages_hold_every_row_once(store: &TestStore) {
  let mut tx = store.db.begin().await.unwrap();
  for number in 0..25 {
    job_bmc::create(&mut tx, &job(&format!("job-{number}"))).await.unwrap();
  }
  let (mut seen, mut page) = (Vec::new(), PageArgs::first(10));
  loop {
    let part = job_bmc::list(&mut tx, &JobFilter::default(), &page).await.unwrap();
    seen.extend(part.data.iter().map(|row| row.id));
    match part.page.next_cursor {
      Some(cursor) => page.after = Some(Cursor::Id(cursor.parse().unwrap())),
      None => break,
    }
  }
  let mut sorted = seen.clone();
  sorted.sort_unstable();
  sorted.reverse();
  sorted.dedup();
  assert_eq!(seen.len(), 25);
  assert_eq!(seen, sorted, "newest first, each once");
  let filter = JobFilter { status: Some(JobStatus::Disabled), ..JobFilter::default() };
  let none = job_bmc::list(&mut tx, &filter, &PageArgs::first(10)).await.unwrap();
  assert!(none.data.is_empty());
}

pub async fn schedules_move_only_from_where_they_were_read(store: &TestStore) {
  let mut tx = store.db.begin().await.unwrap();
  let job = job("clock");
  job_bmc::create(&mut tx, &job).await.unwrap();
  let at = Ts::from_millis(1_800_000_000_000);
  let row = schedule(&job, "clock", Some(at));
  schedule_bmc::create(&mut tx, &row).await.unwrap();
  assert_eq!(schedule_bmc::get(&mut tx, row.id).await.unwrap().as_ref(), Some(&row));
  assert_eq!(plan_bmc::due_ids(&mut tx, (at, at), 10).await.unwrap(), [row.id]);
  let early = at.minus(std::time::Duration::from_micros(1));
  assert!(plan_bmc::due_ids(&mut tx, (early, early), 10).await.unwrap().is_empty());
  let cursor = ScheduleCursor {
    status: ScheduleStatus::Enabled,
    status_reason: None,
    next_run_at: Some(Ts::from_millis(1_800_000_060_000)),
    last_run_at: Some(at),
    run_count: 1,
    skip_next: 0,
  };
  assert!(schedule_bmc::advance_if_at(&mut tx, &row, &cursor).await.unwrap());
  assert!(!schedule_bmc::advance_if_at(&mut tx, &row, &cursor).await.unwrap(), "it has moved");
  let change = ScheduleForUpdate {
    priority: Some(7),
    environment: Some(Environment::from([("B".to_owned(), "2".to_owned())])),
    ..ScheduleForUpdate::default()
  };
  assert!(schedule_bmc::update(&mut tx, row.id, &change, (None, Ts::now())).await.unwrap());
  let read = schedule_bmc::get(&mut tx, row.id).await.unwrap().unwrap();
  assert_eq!((read.rev, read.priority, read.run_count), (2, 7, 1));
  let taken = schedule_bmc::create(&mut tx, &schedule(&job, "clock", None)).await;
  assert!(matches!(taken, Err(DbError::Unique { .. })));
}

pub async fn an_instant_is_decided_once(store: &TestStore) {
  let at = Ts::from_millis(1_800_000_000_000);
  let schedule_id = ScheduleId::generate();
  let fire = |reason: &str| FireEntity {
    id: FireId::generate(),
    schedule_id,
    schedule_rev: 1,
    fire_at: at,
    decision: FireDecision::Fired,
    reason: Some(reason.to_owned()),
    task_id: Some(TaskId::generate()),
    count: 1,
    from_at: None,
    to_at: None,
  };
  let mut tx = store.db.begin().await.unwrap();
  assert!(fire_bmc::create_once(&mut tx, &fire("first")).await.unwrap());
  tx.end::<_, DbError>(Ok(())).await.unwrap();
  let mut tx = store.db.begin().await.unwrap();
  assert!(!fire_bmc::create_once(&mut tx, &fire("second")).await.unwrap());
  let rows = fire_bmc::list(&mut tx, schedule_id, &PageArgs::first(10)).await.unwrap();
  assert_eq!(rows.data.len(), 1);
  assert_eq!(rows.data[0].reason.as_deref(), Some("first"));
}

pub async fn agents_servers_and_tokens(store: &TestStore) {
  let mut tx = store.db.begin().await.unwrap();
  let now = tx.now().await.unwrap();
  let mut agent = agent("agent-1", AgentStatus::Idle);
  agent_bmc::register(&mut tx, &agent).await.unwrap();
  assert!(agent_bmc::set_cordoned(&mut tx, &agent.id, true).await.unwrap());
  agent.connection_epoch = 2;
  agent_bmc::register(&mut tx, &agent).await.unwrap();
  let read = agent_bmc::get(&mut tx, &agent.id).await.unwrap().unwrap();
  assert_eq!((read.connection_epoch, read.cordoned), (2, true), "a return keeps the cordon");
  assert_eq!(agent_bmc::list_cordoned(&mut tx).await.unwrap(), [agent.id.clone()]);
  agent_bmc::set_acked(&mut tx, &agent.id, 5, 10).await.unwrap();
  agent_bmc::set_acked(&mut tx, &agent.id, 5, 7).await.unwrap();
  agent_bmc::set_acked(&mut tx, &agent.id, 4, 99).await.unwrap();
  assert_eq!(agent_bmc::get(&mut tx, &agent.id).await.unwrap().unwrap().acked_seq, 10);
  let silent = agent_bmc::mark_silent(&mut tx, now).await.unwrap();
  assert!(silent.is_empty(), "heard at that very instant");
  let later = now.plus(std::time::Duration::from_secs(1));
  assert_eq!(agent_bmc::mark_silent(&mut tx, later).await.unwrap(), [agent.id.clone()]);
  assert!(agent_bmc::mark_silent(&mut tx, later).await.unwrap().is_empty(), "told once");

  let server = ServerId::new("server-1").unwrap();
  let new =
    ServerForCreate { id: server.clone(), address: "a:1".to_owned(), version: "0".to_owned() };
  server_bmc::register(&mut tx, &new, now).await.unwrap();
  let change = ServerForUpdate { status: Some(ServerStatus::Inactive) };
  assert!(server_bmc::update(&mut tx, &server, &change, now).await.unwrap());
  let read = server_bmc::get(&mut tx, &server).await.unwrap().unwrap();
  assert_eq!(read.status, ServerStatus::Inactive);
  assert_eq!(server_bmc::list(&mut tx, &PageArgs::first(5)).await.unwrap().data.len(), 1);
  assert!(!server_bmc::store_epoch(&mut tx).await.unwrap().is_empty());

  let token = TokenEntity {
    id: TokenId::generate(),
    name: "ci".to_owned(),
    prefix: "htf_abcd".to_owned(),
    kind: TokenKind::Agent,
    role: Role::Viewer,
    namespace_id: None,
    agent_id: None,
    expires_at: None,
    last_used_at: None,
    revoked_at: None,
    created_at: now,
  };
  token_bmc::create(&mut tx, &token, &[1, 2, 3]).await.unwrap();
  assert_eq!(token_bmc::get_by_hash(&mut tx, &[1, 2, 3]).await.unwrap(), Some(token.clone()));
  assert_eq!(token_bmc::get_by_hash(&mut tx, &[1, 2]).await.unwrap(), None);
  assert!(token_bmc::bind_agent(&mut tx, token.id, &agent.id).await.unwrap());
  assert!(token_bmc::bind_agent(&mut tx, token.id, &agent.id).await.unwrap());
  let other = AgentId::new("agent-2").unwrap();
  assert!(!token_bmc::bind_agent(&mut tx, token.id, &other).await.unwrap());
  assert!(token_bmc::revoke(&mut tx, token.id, now).await.unwrap());
  assert!(!token_bmc::revoke(&mut tx, token.id, now).await.unwrap());
  assert_eq!(token_bmc::count(&mut tx).await.unwrap(), 1);
}

pub async fn a_tokens_last_use_is_stored_once_a_minute(store: &TestStore) {
  let service = Store::new(store.db.clone(), Arc::new(Bus::default()));
  let tokens = TokenSvc::new(service.clone());
  let new = TokenForCreate {
    name: "t".to_owned(),
    kind: TokenKind::User,
    role: Role::Viewer,
    namespace_id: None,
    ttl: None,
  };
  let [used, unused] = [
    tokens.create(&Actor::system(), new.clone()).await.unwrap(),
    tokens.create(&Actor::system(), new).await.unwrap(),
  ];
  let last_use = async |id: TokenId| {
    let page = tokens.list(&Actor::system(), &PageArgs::first(10)).await.unwrap();
    page.data.iter().find(|token| token.id == id).unwrap().last_used_at
  };
  tokens.store_uses().await.unwrap();
  assert_eq!(last_use(used.token.id).await, None);
  for _ in 0..3 {
    tokens.verify(&used.secret).await.unwrap();
  }
  tokens.store_uses().await.unwrap();
  let first = last_use(used.token.id).await.expect("a use");
  // Another server sees it a moment later: the minute is not over.
  let other = TokenSvc::new(service);
  other.verify(&used.secret).await.unwrap();
  other.store_uses().await.unwrap();
  assert_eq!(last_use(used.token.id).await, Some(first));
  assert_eq!(last_use(unused.token.id).await, None);
  let later = first.plus(std::time::Duration::from_secs(61));
  let mut tx = store.db.begin().await.unwrap();
  let minute = (later, later.minus(std::time::Duration::from_secs(60)));
  let noted = token_bmc::note_use(&mut tx, [used.token.id, unused.token.id], minute).await;
  assert_eq!(tx.end(noted).await.unwrap(), 2);
  assert_eq!(last_use(used.token.id).await, Some(later));
}

pub async fn the_journal_is_in_commit_order(store: &TestStore) {
  let append = |name: String| {
    let db = store.db.clone();
    async move {
      let mut tx = db.begin().await.unwrap();
      let mut journal = Journal::default();
      journal.push(
        &NamespaceId::default(),
        Change {
          at: Ts::now(),
          subject: Subject { kind: Topic::Job, id: name },
          event_type: "job.created".to_owned(),
          data: serde_json::json!({"x": 1}),
        },
      );
      let written = event_bmc::append(&mut tx, &journal, Ts::now()).await;
      tx.end(written).await.unwrap();
    }
  };
  let writers: Vec<_> = (0..20).map(|n| tokio::spawn(append(n.to_string()))).collect();
  let mut last = 0;
  let mut seen = 0;
  // A reader that follows while they write never finds a number below the one it has read.
  while seen < 20 {
    let mut conn = store.db.read().await.unwrap();
    for batch in event_bmc::list_after(&mut conn, last, 100).await.unwrap() {
      assert!(batch.seq > last);
      last = batch.seq;
      seen += batch.changes.len();
    }
    tokio::task::yield_now().await;
  }
  for writer in writers {
    writer.await.unwrap();
  }
  let mut conn = store.db.read().await.unwrap();
  let all = event_bmc::list_after(&mut conn, 0, 100).await.unwrap();
  assert_eq!(all.len(), 20, "the follower skipped none");
  assert_eq!(event_bmc::bounds(&mut conn).await.unwrap().1, last);
}

pub async fn output_is_addressed_by_its_offset(store: &TestStore) {
  let instance_id = TaskInstanceId::generate();
  let chunk = |offset: i64, text: &[u8]| LogChunk {
    instance_id,
    log_offset: offset,
    stream: 1,
    codec: 0,
    stream_offset: offset,
    raw_len: text.len() as i64,
    at: Ts::now(),
    data: text.to_vec(),
  };
  let mut tx = store.db.begin().await.unwrap();
  let chunks = [chunk(0, b"0123"), chunk(4, b"\xff\x00ab"), chunk(8, b"end")];
  log_bmc::insert(&mut tx, &chunks).await.unwrap();
  log_bmc::insert(&mut tx, &[chunk(4, b"XXXX")]).await.unwrap();
  let all = log_bmc::list_from(&mut tx, instance_id, 0, 10).await.unwrap();
  assert_eq!(all, chunks, "a resend changes nothing");
  let from_middle = log_bmc::list_from(&mut tx, instance_id, 5, 10).await.unwrap();
  assert_eq!(from_middle.iter().map(|c| c.log_offset).collect::<Vec<_>>(), [4, 8]);
  assert!(log_bmc::list_from(&mut tx, instance_id, 11, 10).await.unwrap().is_empty());
  assert_eq!(log_bmc::stored_bytes(&mut tx, instance_id).await.unwrap(), 11);
  assert_eq!(log_bmc::small_log(&mut tx, instance_id).await.unwrap(), None);
}

pub async fn migrations_go_down_and_up_again(store: &TestStore) {
  let state = migration_state(&store.db).await.unwrap();
  assert!(state.pending().is_empty());
  revert(&store.db, 0).await.unwrap();
  assert_eq!(migration_state(&store.db).await.unwrap().pending(), state.known);
  migrate(&store.db).await.unwrap();
  assert!(migration_state(&store.db).await.unwrap().pending().is_empty());
}
