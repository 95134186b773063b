//! Fixed things for tests.

use hetuflow_core::{
  AgentCapabilities, AgentEntity, AgentId, AgentStatus, JobEntity, JobId, JobStatus, Labels,
  MisfirePolicy, NamespaceId, OverlapPolicy, ScheduleEntity, ScheduleId, ScheduleKind,
  ScheduleStatus, TaskConfig, TaskEntity, TaskId, TaskInstanceEntity, TaskInstanceId,
  TaskInstanceStatus, TaskStatus, TriggerSource, Ts,
};
use url::Url;
use uuid::Uuid;

use crate::client::{Place, TokenSource};

/// An id that is always the same.
pub fn id(number: u128) -> Uuid {
  Uuid::from_u128(0x019a_a3e4_7c11_7c52_9d0e_0000_0000_0000 + number)
}

/// The instant of all samples.
pub fn at(seconds: i64) -> Ts {
  Ts::from_millis(1_763_733_600_000 + seconds * 1000)
}

/// A place without a token.
pub fn place(server: &str) -> Place {
  Place {
    context: None,
    server: Url::parse(server).expect("an address"),
    server_origin: "the test".into(),
    namespace: "default".into(),
    token: TokenSource::None,
    read_only: false,
    protected: false,
    config: "/nowhere/ctl.toml".into(),
  }
}

/// A job.
pub fn job() -> JobEntity {
  JobEntity {
    id: JobId(id(1)),
    namespace_id: NamespaceId::default(),
    name: "etl-daily".into(),
    description: "Loads the day".into(),
    environment: [("DAY".to_owned(), "1".to_owned())].into(),
    config: TaskConfig {
      script: Some("set -eu\necho \"no: yes\"\n".into()),
      ..TaskConfig::default()
    },
    status: JobStatus::Enabled,
    labels: [("tier".to_owned(), "gold".to_owned())].into(),
    version: 3,
    owner: "data".into(),
    created_by: None,
    created_at: at(-86_400),
    updated_by: None,
    updated_at: at(-3600),
  }
}

/// A schedule.
pub fn schedule() -> ScheduleEntity {
  ScheduleEntity {
    id: ScheduleId(id(2)),
    job_id: JobId(id(1)),
    namespace_id: NamespaceId::default(),
    name: "nightly".into(),
    description: String::new(),
    schedule_kind: ScheduleKind::Cron,
    cron_expression: Some("0 2 * * *".into()),
    interval_secs: None,
    interval_from: hetuflow_core::IntervalFrom::Start,
    timezone: "Europe/Berlin".into(),
    dst_gap: hetuflow_core::DstGap::Auto,
    dst_overlap: hetuflow_core::DstOverlap::Auto,
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
    queue_max: hetuflow_core::QUEUE_MAX_DEFAULT,
    misfire_policy: MisfirePolicy::FireLast,
    misfire_grace_secs: 3600,
    catchup_max: 10,
    max_concurrent: None,
    parameters: None,
    environment: Default::default(),
    priority: 0,
    anchor_at: at(0),
    next_run_at: Some(at(7200)),
    next_fire_at: Some(at(7200)),
    last_run_at: None,
    run_count: 0,
    rev: 1,
    created_by: None,
    created_at: at(0),
    updated_by: None,
    updated_at: at(0),
  }
}

/// A task.
pub fn task() -> TaskEntity {
  TaskEntity {
    id: TaskId(id(3)),
    job_id: JobId(id(1)),
    job_name: "etl-daily".into(),
    job_version: 3,
    namespace_id: NamespaceId::default(),
    status: TaskStatus::Failed,
    priority: 0,
    schedule_id: None,
    scheduled_at: at(-60),
    eligible_at: None,
    held_by: None,
    trigger_source: TriggerSource::Manual,
    parameters: None,
    environment: None,
    config: None,
    idempotency_key: None,
    attempt: 1,
    instance_id: Some(TaskInstanceId(id(4))),
    fence: Some(1),
    agent_id: AgentId::new("agent-1").ok(),
    started_at: Some(at(-60)),
    completed_at: Some(at(-58)),
    exit_code: Some(42),
    signal: None,
    reason: Some("exit_code(42)".into()),
    error_message: None,
    progress: None,
    progress_note: None,
    outputs: None,
    mark: None,
    unreachable_since: None,
    parent_id: None,
    created_by: None,
    created_at: at(-60),
  }
}

/// An attempt.
pub fn attempt() -> TaskInstanceEntity {
  TaskInstanceEntity {
    id: TaskInstanceId(id(4)),
    task_id: TaskId(id(3)),
    job_id: JobId(id(1)),
    namespace_id: NamespaceId::default(),
    attempt: 1,
    fence: 1,
    agent_id: AgentId::new("agent-1").ok(),
    status: TaskInstanceStatus::Failed,
    task_status: Some(TaskStatus::Failed),
    dispatched_at: Some(at(-60)),
    started_at: Some(at(-60)),
    completed_at: Some(at(-58)),
    start_skew_us: Some(850),
    pid: Some(4242),
    exit_code: Some(42),
    signal: None,
    reason: Some("exit_code(42)".into()),
    error_message: None,
    log_bytes: 8,
    log_hash: None,
    log_dropped: 0,
    progress: None,
    progress_note: None,
    outputs: None,
    metrics: None,
  }
}

/// An agent.
pub fn agent() -> AgentEntity {
  AgentEntity {
    id: AgentId::new("agent-1").expect("an id"),
    description: String::new(),
    status: AgentStatus::Idle,
    capabilities: AgentCapabilities { max_concurrent_tasks: 10, ..AgentCapabilities::default() },
    labels: [("zone".to_owned(), "a".to_owned())].into(),
    given_labels: Labels::new(),
    namespaces: vec![],
    statistics: None,
    hostname: "web-1".into(),
    os_info: "linux".into(),
    version: "0.1.0".into(),
    boot_id: String::new(),
    journal_id: String::new(),
    agent_epoch: 1,
    connection_epoch: 1,
    server_id: None,
    acked_seq: 0,
    clock_offset_ms: Some(0.4),
    cordoned: false,
    drain_since: None,
    drain_deadline: None,
    drain_reason: None,
    drain_then: None,
    drained_at: None,
    last_heartbeat_at: Some(at(-4)),
    created_at: at(-100),
    updated_at: at(-4),
    version_skew: None,
  }
}
