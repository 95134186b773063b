-- hetuflow 0001: everything the first release stores.
-- Instants are timestamptz, enums are text with a CHECK, no arrays, no foreign keys on hot tables.

create table sched_meta (
  name text primary key,
  value text not null
);
insert into sched_meta (name, value) values ('epoch', gen_random_uuid()::text);

create table sched_namespace (
  id varchar(40) primary key,
  description text not null default '',
  weight bigint not null default 1 check (weight >= 0),
  created_at timestamptz not null,
  updated_at timestamptz not null
);
insert into sched_namespace (id, created_at, updated_at)
  values ('default', clock_timestamp(), clock_timestamp());

create table sched_server (
  id varchar(40) primary key,
  address text not null,
  status text not null check (status in ('draining', 'inactive', 'active')),
  version text not null,
  last_heartbeat_at timestamptz not null,
  started_at timestamptz not null
);

create table sched_agent (
  id varchar(40) primary key,
  description text not null default '',
  status text not null check (status in ('idle', 'busy', 'connecting', 'disconnecting', 'draining',
    'cordoned', 'offline', 'error', 'online')),
  capabilities jsonb not null,
  labels jsonb not null,
  given_labels jsonb not null default '{}',
  namespaces jsonb not null,
  statistics jsonb,
  hostname text not null default '',
  os_info text not null default '',
  version text not null default '',
  boot_id text not null default '',
  journal_id text not null default '',
  agent_epoch bigint not null default 0,
  connection_epoch bigint not null default 0,
  server_id varchar(40),
  acked_seq bigint not null default 0,
  clock_offset_ms double precision,
  cordoned boolean not null default false,
  drain_since timestamptz,
  drain_deadline timestamptz,
  drain_reason text,
  drain_then text check (drain_then in ('leave', 'kill')),
  drained_at timestamptz,
  last_heartbeat_at timestamptz,
  created_at timestamptz not null,
  updated_at timestamptz not null
);
create index sched_agent_status on sched_agent (status);
create index sched_agent_last_heartbeat on sched_agent (last_heartbeat_at);

-- Orders to agents as a whole, and their answers.
create table sched_agent_command (
  id uuid primary key,
  agent_id varchar(40) not null,
  command text not null,
  parameters jsonb not null,
  state text not null check (state in ('waiting', 'sent', 'done', 'refused', 'expired')),
  result jsonb,
  message text,
  created_by text not null,
  created_at timestamptz not null,
  expires_at timestamptz not null,
  finished_at timestamptz
);
create index sched_agent_command_open on sched_agent_command (agent_id) where state = 'waiting';
create index sched_agent_command_created on sched_agent_command (created_at);

create table sched_job (
  id uuid primary key,
  namespace_id varchar(40) not null references sched_namespace (id),
  name text not null,
  description text not null default '',
  environment jsonb not null,
  config jsonb not null,
  status text not null check (status in ('created', 'disabled', 'enabled')),
  labels jsonb not null,
  version bigint not null,
  owner text not null default '',
  tenant_id bigint default 0,
  created_by text,
  created_at timestamptz not null,
  updated_by text,
  updated_at timestamptz not null,
  logical_deletion timestamptz
);
create unique index sched_job_name on sched_job (namespace_id, name) where logical_deletion is null;
create index sched_job_status on sched_job (status);
create index sched_job_updated on sched_job (updated_at);

create table sched_job_version (
  job_id uuid not null references sched_job (id),
  version bigint not null,
  spec jsonb not null,
  created_by text,
  created_at timestamptz not null,
  primary key (job_id, version)
);

-- What decides who may run a task; the claim only ever sees the number.
create table sched_selector_class (
  id bigint primary key,
  spec jsonb not null
);

-- The agent that ran last what tasks stick to.
create table sched_sticky (
  namespace_id varchar(40) not null,
  sticky_key text not null,
  agent_id varchar(40) not null,
  updated_at timestamptz not null,
  primary key (namespace_id, sticky_key)
);

create table sched_schedule (
  id uuid primary key,
  job_id uuid not null references sched_job (id) on delete cascade,
  namespace_id varchar(40) not null references sched_namespace (id),
  name text not null,
  description text not null default '',
  schedule_kind text not null
    check (schedule_kind in ('cron', 'interval', 'daemon', 'event', 'flow')),
  cron_expression text,
  interval_secs bigint check (interval_secs >= 1),
  interval_from text not null default 'start' check (interval_from in ('start', 'end')),
  timezone text not null,
  dst_gap text not null default 'auto' check (dst_gap in ('auto', 'skip', 'next', 'shift')),
  dst_overlap text not null default 'auto'
    check (dst_overlap in ('auto', 'first', 'both', 'last')),
  jitter_secs bigint not null default 0 check (jitter_secs between 0 and 86400),
  include jsonb not null default '[]',
  exclude jsonb not null default '[]',
  start_time timestamptz,
  end_time timestamptz,
  max_count bigint check (max_count >= 1),
  status text not null check (status in ('created', 'paused', 'expired', 'disabled', 'enabled')),
  status_reason text,
  paused_by text,
  paused_reason text,
  paused_until timestamptz,
  skip_next bigint not null default 0 check (skip_next >= 0),
  skip_reason text,
  overlap_policy text not null check (overlap_policy in ('skip', 'buffer_one', 'buffer_all',
    'cancel_other', 'terminate_other', 'allow_all', 'serial_priority')),
  queue_max bigint not null default 1000 check (queue_max >= 1),
  misfire_policy text not null
    check (misfire_policy in ('skip', 'fire_once', 'fire_last', 'fire_all')),
  misfire_grace_secs bigint not null,
  catchup_max bigint not null,
  max_concurrent bigint check (max_concurrent >= 1),
  parameters jsonb,
  environment jsonb not null,
  priority bigint not null,
  anchor_at timestamptz not null,
  next_run_at timestamptz,
  last_run_at timestamptz,
  run_count bigint not null default 0,
  rev bigint not null default 1,
  created_by text,
  created_at timestamptz not null,
  updated_by text,
  updated_at timestamptz not null
);
create unique index sched_schedule_name on sched_schedule (namespace_id, name);
create index sched_schedule_due on sched_schedule (status, next_run_at);
create index sched_schedule_job on sched_schedule (job_id);
create index sched_schedule_updated on sched_schedule (updated_at);

-- What holds back the schedules of a namespace, or of all ('*'): the freeze that lasts, or the last.
create table sched_freeze (
  scope text primary key,
  paused_by text not null,
  reason text,
  since timestamptz not null,
  until timestamptz,
  ended_at timestamptz,
  ended_by text,
  missed text check (missed in ('skip', 'fire_once', 'fire_last', 'fire_all'))
);

-- One row per due instant, whatever was decided: the unique key is the arbiter of firing.
create table sched_fire (
  id uuid primary key,
  schedule_id uuid not null,
  schedule_rev bigint not null,
  fire_at timestamptz not null,
  decision text not null check (decision in ('fired', 'skipped_misfire', 'skipped_overlap',
    'skipped_paused', 'skipped_window')),
  reason text,
  task_id uuid,
  count bigint not null default 1,
  from_at timestamptz,
  to_at timestamptz,
  unique (schedule_id, fire_at)
);

-- The spec of a task. Insert only.
create table sched_task (
  id uuid primary key,
  job_id uuid not null,
  job_version bigint not null,
  namespace_id varchar(40) not null,
  priority bigint not null,
  schedule_id uuid,
  scheduled_at timestamptz not null,
  trigger_source text not null check (trigger_source in ('schedule', 'manual', 'event', 'webhook',
    'flow', 'backfill', 'retry', 'catchup', 'sql', 'legacy')),
  parameters jsonb,
  environment jsonb,
  config jsonb,
  idempotency_key text,
  idempotency_hash bytea,
  tenant_id bigint default 0,
  created_by text,
  created_at timestamptz not null
);
create index sched_task_job on sched_task (job_id, scheduled_at desc);
create unique index sched_task_fire on sched_task (schedule_id, scheduled_at)
  where trigger_source in ('schedule', 'catchup');
create unique index sched_task_idempotency on sched_task (namespace_id, idempotency_key)
  where idempotency_key is not null;

-- Schedules that are run for instants that lie in the past; the rule is the schedule as it was then.
create table sched_backfill (
  id uuid primary key,
  namespace_id varchar(40) not null,
  schedule_id uuid not null,
  schedule_name text not null,
  job_id uuid not null,
  rule jsonb not null,
  from_at timestamptz not null,
  to_at timestamptz not null,
  direction text not null check (direction in ('forward', 'backward')),
  selection text not null check (selection in ('missing', 'failed', 'all')),
  parallelism bigint not null check (parallelism between 1 and 100),
  state text not null
    check (state in ('running', 'paused', 'cancelled', 'failed', 'succeeded')),
  reason text,
  with_excluded boolean not null,
  in_range bigint not null,
  excluded bigint not null,
  total bigint not null,
  first_at timestamptz not null,
  last_at timestamptz not null,
  made bigint not null default 0,
  succeeded bigint not null default 0,
  failed bigint not null default 0,
  cursor_at timestamptz,
  rev bigint not null default 1,
  created_by text,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  ended_at timestamptz
);
create index sched_backfill_open on sched_backfill (id) where ended_at is null;

-- The tasks of backfills: an instant is run once by each. No status: not known to have ended.
create table sched_backfill_task (
  backfill_id uuid not null,
  scheduled_at timestamptz not null,
  schedule_id uuid not null,
  task_id uuid not null,
  status text check (status in ('failed', 'lost', 'skipped', 'expired', 'cancelled',
    'succeeded')),
  primary key (backfill_id, scheduled_at)
);
create index sched_backfill_task_open on sched_backfill_task (backfill_id) where status is null;
create index sched_backfill_task_instant on sched_backfill_task (schedule_id, scheduled_at);

-- The live state of tasks that are not final: small, and the only thing a claim looks at.
-- gate: 0 = no limit concerns it, above 0 = it waits for its limits under this number, below 0 = its
-- limits have admitted it. aged: how much of the priority came by waiting.
create table sched_task_hot (
  task_id uuid primary key,
  job_id uuid not null,
  job_version bigint not null,
  namespace_id varchar(40) not null,
  schedule_id uuid,
  instance_id uuid,
  class_id bigint not null,
  priority bigint not null,
  aged bigint not null default 0,
  gate bigint not null default 0,
  limits jsonb,
  scheduled_at timestamptz not null,
  eligible_at timestamptz not null,
  start_deadline_at timestamptz,
  status text not null check (status in ('pending', 'blocked', 'locked', 'dispatched',
    'waiting_retry', 'running', 'paused', 'cancelling')),
  attempt bigint not null default 0,
  fence bigint,
  agent_id varchar(40),
  agent_epoch bigint,
  server_id varchar(40),
  locked_at timestamptz,
  started_at timestamptz,
  unreachable_since timestamptz,
  stop_kind text,
  stop_reason text,
  stop_grace_ms bigint,
  progress double precision,
  progress_note text,
  updated_at timestamptz not null
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
create index sched_task_hot_claim on sched_task_hot (class_id, priority desc, eligible_at)
  where status in ('pending', 'waiting_retry') and gate <= 0;
create index sched_task_hot_held on sched_task_hot (gate, priority desc, eligible_at)
  where status in ('pending', 'waiting_retry') and gate > 0;
create index sched_task_hot_schedule on sched_task_hot (schedule_id)
  where schedule_id is not null;
-- Classes with needs have numbers below zero: what agents carry of them is counted at a claim.
create index sched_task_hot_needs on sched_task_hot (agent_id)
  where class_id < 0 and agent_id is not null;
create index sched_task_hot_blocked on sched_task_hot (schedule_id)
  where status = 'blocked';
create index sched_task_hot_deadline on sched_task_hot (start_deadline_at)
  where start_deadline_at is not null;

-- Calendars by name; where one is a blackout, no schedule of its namespace fires while it covers.
create table sched_calendar (
  namespace_id varchar(40) not null references sched_namespace (id),
  name text not null,
  description text not null default '',
  timezone text not null,
  rules jsonb not null,
  blackout boolean not null,
  version bigint not null,
  updated_by text,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  primary key (namespace_id, name)
);

-- Named limits that tasks share.
create table sched_semaphore (
  namespace_id varchar(40) not null references sched_namespace (id),
  name text not null,
  description text not null default '',
  slots bigint check (slots >= 0),
  rate bigint check (rate > 0),
  per_secs double precision check (per_secs > 0),
  updated_by text,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  primary key (namespace_id, name)
);

-- Who was given slots of a limit. A row counts only while its task has a live row whose gate is
-- below 0, so that nothing has to be given back; what no longer counts is swept away.
create table sched_limit_lease (
  limit_key text not null,
  task_id uuid not null,
  slots bigint not null,
  taken_at timestamptz not null,
  primary key (limit_key, task_id)
);

-- Starts that a rate counts, kept for the span of the rate.
create table sched_limit_start (
  limit_key text not null,
  at timestamptz not null,
  starts bigint not null
);
create index sched_limit_start_at on sched_limit_start (limit_key, at);

-- Tasks that run as the tasks that they made, one per agent; a row goes when it is over.
create table sched_broadcast (
  task_id uuid primary key,
  success text not null check (success in ('all', 'any', 'quorum')),
  away jsonb not null,
  created_at timestamptz not null
);

-- Which tasks a broadcast made. Insert only.
create table sched_task_child (
  task_id uuid primary key,
  parent_id uuid not null,
  agent_id varchar(40) not null
);
create index sched_task_child_parent on sched_task_child (parent_id);

-- One row per attempt, inserted once, when it ends.
create table sched_task_instance (
  id uuid primary key,
  task_id uuid not null,
  job_id uuid not null,
  namespace_id varchar(40) not null,
  attempt bigint not null,
  fence bigint not null,
  agent_id varchar(40),
  status text not null check (status in ('timeout', 'skipped', 'lost', 'not_started', 'failed',
    'cancelled', 'succeeded')),
  task_status text check (task_status in ('failed', 'lost', 'skipped', 'expired', 'cancelled',
    'succeeded')),
  dispatched_at timestamptz,
  started_at timestamptz,
  completed_at timestamptz,
  start_skew_us bigint,
  pid bigint,
  exit_code bigint,
  signal bigint,
  reason text,
  error_message text,
  log_bytes bigint not null default 0,
  output_tail bytea,
  output_index text,
  metrics jsonb,
  log_hash text,
  log_dropped bigint not null default 0,
  progress double precision,
  progress_note text,
  outputs jsonb
);
create unique index sched_task_instance_attempt on sched_task_instance (task_id, attempt);
create index sched_task_instance_bad on sched_task_instance (job_id, completed_at)
  where status <> 'succeeded';

-- What was said about attempts that run for too long: once each.
create table sched_attempt_warning (
  instance_id uuid not null,
  kind text not null check (kind in ('warn_after', 'slow')),
  at timestamptz not null,
  primary key (instance_id, kind)
);
create index sched_attempt_warning_at on sched_attempt_warning (at);

create table sched_log_chunk (
  instance_id uuid not null,
  log_offset bigint not null,
  stream bigint not null,
  codec bigint not null,
  stream_offset bigint not null,
  raw_len bigint not null,
  at timestamptz not null,
  data bytea not null,
  primary key (instance_id, log_offset)
);
alter table sched_log_chunk alter column data set storage external;

-- Files that attempts leave, or that were put there by hand (then without a job): a name and a state
-- here, the bytes once for each content of a namespace.
create table sched_artifact (
  id uuid primary key,
  namespace_id varchar(40) not null,
  job_id uuid,
  task_id uuid,
  instance_id uuid,
  agent_id varchar(40),
  created_by text,
  name text not null,
  size bigint not null check (size >= 0),
  content_hash text,
  state text not null check (state in ('uploading', 'stored', 'refused', 'lost')),
  reason text,
  created_at timestamptz not null,
  expires_at timestamptz
);
create unique index sched_artifact_name on sched_artifact (instance_id, name);
create index sched_artifact_job on sched_artifact (job_id, id);
create index sched_artifact_task on sched_artifact (task_id);
create index sched_artifact_named on sched_artifact (namespace_id, name, id);
create index sched_artifact_content_hash on sched_artifact (namespace_id, content_hash);

create table sched_artifact_content (
  id uuid primary key,
  namespace_id varchar(40) not null,
  content_hash text not null,
  size bigint not null check (size >= 0),
  stored_at timestamptz,
  touched_at timestamptz not null
);
create unique index sched_artifact_content_hash_key
  on sched_artifact_content (namespace_id, content_hash);

create table sched_artifact_chunk (
  content_id uuid not null,
  file_offset bigint not null,
  raw_len bigint not null,
  codec bigint not null,
  data bytea not null,
  primary key (content_id, file_offset)
);
alter table sched_artifact_chunk alter column data set storage external;

-- Files that tasks find when they start: what their sources were when the task was first handed out.
create table sched_task_input (
  task_id uuid not null,
  target text not null,
  namespace_id varchar(40) not null,
  content_hash text not null,
  size bigint not null check (size >= 0),
  artifact_id uuid,
  created_at timestamptz not null,
  primary key (task_id, target)
);
create index sched_task_input_content on sched_task_input (namespace_id, content_hash);

-- The journal of changes: one row per namespace and commit; seq order is commit order.
create sequence sched_event_seq cache 1;
create table sched_event_batch (
  seq bigint primary key,
  n bigint not null,
  namespace_id varchar(40) not null,
  at timestamptz not null,
  data bytea not null
);
alter table sched_event_batch alter column data set storage external;
create index sched_event_batch_at on sched_event_batch (at);

create sequence sched_fence cache 1;

create table sched_secret (
  namespace_id varchar(40) not null references sched_namespace (id),
  name text not null,
  version bigint not null check (version > 0),
  recipients text not null,
  sealed bytea not null,
  updated_by text,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  primary key (namespace_id, name)
);

create table sched_token (
  id uuid primary key,
  name text not null,
  prefix text not null,
  hash bytea not null unique,
  kind text not null check (kind in ('user', 'agent', 'ci')),
  role text not null check (role in ('viewer', 'operator', 'editor', 'admin')),
  namespace_id varchar(40),
  agent_id varchar(40),
  expires_at timestamptz,
  last_used_at timestamptz,
  revoked_at timestamptz,
  created_at timestamptz not null
);

-- Reports that came late or from the wrong place: kept as evidence, never as state.
create table sched_dead_letter (
  id uuid primary key,
  at timestamptz not null,
  kind text not null,
  agent_id varchar(40),
  instance_id uuid,
  data jsonb not null
);
create index sched_dead_letter_at on sched_dead_letter (at);

-- The newest task of each kind of requests that become one.
create table sched_dedup (
  job_id uuid not null,
  dedup_key text not null,
  task_id uuid not null,
  first_at timestamptz not null,
  until_at timestamptz not null,
  primary key (job_id, dedup_key)
);
create index sched_dedup_until on sched_dedup (until_at);

-- What people say about the ends of tasks; the ends themselves stay what they are.
create table sched_task_mark (
  task_id uuid primary key,
  mark jsonb not null,
  at timestamptz not null
);

create view sched_task_view as
select t.id, t.job_id, j.name as job_name, t.job_version, t.namespace_id,
  coalesce(h.status, i.task_status, 'lost') as status,
  coalesce(h.priority, t.priority) as priority, t.schedule_id, t.scheduled_at, h.eligible_at,
  case when h.gate > 0 then h.limits end as held_by,
  t.trigger_source, t.parameters, t.environment, t.config, t.idempotency_key,
  coalesce(h.attempt, i.attempt, 0) as attempt,
  coalesce(h.instance_id, i.id) as instance_id,
  coalesce(h.fence, i.fence) as fence,
  coalesce(h.agent_id, i.agent_id) as agent_id,
  coalesce(h.started_at, i.started_at) as started_at,
  i.completed_at, i.exit_code, i.signal, coalesce(i.reason, h.stop_reason) as reason,
  i.error_message, coalesce(h.progress, i.progress) as progress,
  coalesce(h.progress_note, i.progress_note) as progress_note, i.outputs,
  m.mark, h.unreachable_since,
  (select c.parent_id from sched_task_child c where c.task_id = t.id) as parent_id,
  t.created_by, t.created_at
from sched_task t
join sched_job j on j.id = t.job_id
left join sched_task_hot h on h.task_id = t.id
left join sched_task_instance i on i.task_id = t.id and i.task_status is not null
left join sched_task_mark m on m.task_id = t.id;

create view sched_task_instance_view as
select id, task_id, job_id, namespace_id, attempt, fence, agent_id, status, task_status,
  dispatched_at, started_at, completed_at, start_skew_us, pid, exit_code, signal, reason,
  error_message, log_bytes, log_hash, log_dropped, progress, progress_note, outputs, metrics
from sched_task_instance
union all
select h.instance_id, h.task_id, h.job_id, h.namespace_id, h.attempt, coalesce(h.fence, 0),
  h.agent_id,
  case when h.unreachable_since is not null then 'unreachable'
    when h.status in ('locked', 'dispatched') then 'dispatched' else h.status end,
  null, h.locked_at, h.started_at, null, null, null, null, null, h.stop_reason, null, 0, null, 0,
  h.progress, h.progress_note, null, null::jsonb
from sched_task_hot h
where h.instance_id is not null;
