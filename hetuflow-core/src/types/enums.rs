//! The small enums of the wire (WIRE §1): kinds, policies, roles.

use crate::wire_enum;

wire_enum! {
  /// How a schedule decides when.
  pub enum ScheduleKind {
    /// A cron expression in a time zone.
    Cron = 1 => "cron",
    /// Every n seconds from an anchor.
    Interval = 2 => "interval" | "time" | "Time",
    /// One copy kept running.
    Daemon = 3 => "daemon",
    /// On an event.
    Event = 4 => "event",
    /// A node of a flow.
    Flow = 5 => "flow",
  }
}

wire_enum! {
  /// Whether a job may run.
  pub enum JobStatus {
    /// Made, never switched on.
    Created = 1 => "created",
    /// Switched off.
    Disabled = 99 => "disabled",
    /// Runs.
    Enabled = 100 => "enabled",
  }
}

wire_enum! {
  /// Whether a schedule fires.
  pub enum ScheduleStatus {
    /// Made, never switched on.
    Created = 1 => "created",
    /// Held by a person, with a reason.
    Paused = 50 => "paused",
    /// Its window or its count is used up, or it can never fire.
    Expired = 98 => "expired",
    /// Switched off.
    Disabled = 99 => "disabled",
    /// Fires.
    Enabled = 100 => "enabled",
  }
}

wire_enum! {
  /// What an agent is doing.
  pub enum AgentStatus {
    /// Connected with free slots.
    Idle = 10 => "idle",
    /// Connected, no free slot.
    Busy = 20 => "busy",
    /// On its way in.
    Connecting = 30 => "connecting",
    /// On its way out.
    Disconnecting = 31 => "disconnecting",
    /// Finishes what it has, takes nothing new, then leaves.
    Draining = 40 => "draining",
    /// Takes nothing new.
    Cordoned = 41 => "cordoned",
    /// Not heard of.
    Offline = 90 => "offline",
    /// Connected and broken.
    Error = 99 => "error",
    /// Connected, load unknown.
    Online = 100 => "online" | "active",
  }
}

wire_enum! {
  /// What a server is doing; leader or follower is separate.
  pub enum ServerStatus {
    /// Finishes what it has.
    Draining = 50 => "draining",
    /// Not heard of.
    Inactive = 99 => "inactive",
    /// Serves.
    Active = 100 => "active",
  }
}

wire_enum! {
  /// The program that runs a task.
  pub enum ExecuteCommand {
    /// `bash -c` or a bash script.
    Bash = 1 => "bash",
    /// `uv run`.
    Uv = 2 => "uv",
    /// A Python interpreter.
    Python = 3 => "python",
    /// Node.js.
    Node = 4 => "node",
    /// A program of an npm package.
    Npx = 5 => "npx",
    /// `cargo`.
    Cargo = 6 => "cargo",
    /// A Java virtual machine.
    Java = 7 => "java",
    /// Any program; the first argument names it.
    Exec = 8 => "exec",
    /// A task type that the agent's own config serves.
    Handler = 9 => "handler",
  }
}

wire_enum! {
  /// What to do with a running attempt.
  pub enum TaskControlKind {
    /// Signal, grace, kill of the group.
    Stop = 1 => "stop",
    /// Freeze.
    Pause = 2 => "pause",
    /// Thaw.
    Resume = 3 => "resume",
    /// Stop, then a new attempt.
    Restart = 4 => "restart",
    /// Stop and count it as skipped.
    Skip = 5 => "skip",
    /// Kill of the group at once.
    Kill = 9 => "kill",
    /// Send one signal.
    Signal = 10 => "signal",
  }
}

wire_enum! {
  /// Orders to an agent as a whole.
  pub enum CommandKind {
    /// Finish and exit.
    Shutdown = 1 => "shutdown",
    /// Take new settings.
    UpdateConfig = 2 => "update_config",
    /// Drop caches.
    ClearCache = 3 => "clear_cache",
    /// Report metrics now.
    FetchMetrics = 4 => "fetch_metrics",
    /// Answer to a registration.
    AgentRegistered = 5 => "agent_registered",
    /// Answer to a poll.
    TaskAcquired = 6 => "task_acquired",
    /// Stop a task.
    CancelTask = 7 => "cancel_task",
    /// Exit and be started again.
    Restart = 8 => "restart",
    /// Ask for the task list again.
    ReloadTasks = 9 => "reload_tasks",
    /// Report health now.
    HealthCheck = 10 => "health_check",
    /// Control a task.
    ControlTask = 11 => "control_task",
    /// Answer to a heartbeat.
    HeartbeatAck = 12 => "heartbeat_ack",
    /// A task for an older agent.
    TaskDispatch = 13 => "task_dispatch",
    /// Work may be waiting.
    TaskAvailable = 14 => "task_available",
    /// Log bytes are durable.
    LogAck = 15 => "log_ack",
    /// The list of tasks an agent must have.
    StateSync = 16 => "state_sync",
    /// Finish what runs, take nothing new.
    Drain = 17 => "drain",
    /// A file moves.
    FileTransfer = 18 => "file_transfer",
    /// Something was wrong.
    Error = 19 => "error",
    /// Durable.
    Ack = 20 => "ack",
  }
}

/// The name of the first design for [`CommandKind`].
pub type AgentCommandKind = CommandKind;

wire_enum! {
  /// How the wait before a retry grows.
  pub enum BackoffStrategy {
    /// Always the base.
    Fixed = 1 => "fixed",
    /// Base times the number of the retry.
    Linear = 2 => "linear",
    /// Base, doubled each time.
    Exponential = 3 => "exponential" | "exp",
    /// A random part of the exponential wait, so that failures do not march in step.
    ExponentialWithJitter = 4 => "exponential_with_jitter",
  }
}

wire_enum! {
  /// What to do with a fire while an earlier run of the schedule lives.
  pub enum OverlapPolicy {
    /// Skip the new one.
    Skip = 1 => "skip" | "forbid",
    /// Keep one waiting.
    BufferOne = 2 => "buffer_one" | "queue_one",
    /// Keep all waiting.
    BufferAll = 3 => "buffer_all",
    /// Ask the old one to stop, then start.
    CancelOther = 4 => "cancel_other" | "replace",
    /// Kill the old one, then start.
    TerminateOther = 5 => "terminate_other",
    /// Run side by side.
    AllowAll = 6 => "allow_all" | "allow",
    /// One at a time, most urgent first.
    SerialPriority = 7 => "serial_priority",
  }
}

wire_enum! {
  /// What an interval is counted from.
  #[derive(Default)]
  pub enum IntervalFrom {
    /// A fixed instant: no run moves the next one.
    #[default]
    Start = 1 => "start",
    /// The end of the run before.
    End = 2 => "end",
  }
}

wire_enum! {
  /// What to do with instants that passed while nobody could fire.
  pub enum MisfirePolicy {
    /// Record them, run none.
    Skip = 1 => "skip" | "none",
    /// One run now for all of them.
    FireOnce = 2 => "fire_once",
    /// The latest missed instant, kept as `scheduled_at`.
    FireLast = 3 => "fire_last" | "latest",
    /// All of them, capped.
    FireAll = 4 => "fire_all" | "all",
  }
}

wire_enum! {
  /// What made a task.
  pub enum TriggerSource {
    /// A schedule, on time.
    Schedule = 1 => "schedule",
    /// A person or a script.
    Manual = 2 => "manual",
    /// An event.
    Event = 3 => "event",
    /// An inbound webhook.
    Webhook = 4 => "webhook",
    /// A flow.
    Flow = 5 => "flow",
    /// A backfill.
    Backfill = 6 => "backfill",
    /// A repeat that a person asked for.
    Retry = 7 => "retry",
    /// A schedule, late.
    Catchup = 8 => "catchup",
    /// SQL.
    Sql = 9 => "sql",
    /// The older interface.
    Legacy = 10 => "legacy",
  }
}

wire_enum! {
  /// The one decision a fire row carries.
  pub enum FireDecision {
    /// A task was made.
    Fired = 1 => "fired",
    /// The instant was past its window.
    SkippedMisfire = 2 => "skipped_misfire",
    /// An earlier run was alive.
    SkippedOverlap = 3 => "skipped_overlap",
    /// The schedule was paused.
    SkippedPaused = 4 => "skipped_paused",
    /// A calendar or a window forbade it.
    SkippedWindow = 5 => "skipped_window",
  }
}

wire_enum! {
  /// What is promised about starts when things go wrong.
  pub enum Delivery {
    /// A task starts at most one process.
    AtMostOnce = 1 => "at_most_once",
    /// A task is tried again when an attempt is lost.
    AtLeastOnce = 2 => "at_least_once",
    /// At least once, and never two alive together.
    Exclusive = 3 => "exclusive",
  }
}

wire_enum! {
  /// What becomes of output for which no room is left.
  #[derive(Default)]
  pub enum LogPolicy {
    /// The task waits in its writes; nothing is lost.
    #[default]
    Block = 1 => "block",
    /// The middle is dropped: the beginning and the end are kept.
    HeadTail = 2 => "head_tail",
    /// What comes while there is no room is dropped.
    Drop = 3 => "drop",
  }
}

wire_enum! {
  /// What a person may do in a namespace.
  pub enum Role {
    /// Reads.
    Viewer = 1 => "viewer",
    /// Runs, cancels, pauses.
    Operator = 2 => "operator",
    /// Changes jobs and schedules: remote code execution.
    Editor = 3 => "editor",
    /// Everything, tokens and agents included.
    Admin = 4 => "admin",
  }
}

wire_enum! {
  /// Where a file is that an attempt has left.
  pub enum ArtifactState {
    /// On its agent, and on its way.
    Uploading = 1 => "uploading",
    /// Here, and what it was.
    Stored = 2 => "stored",
    /// Not taken; the reason says why.
    Refused = 3 => "refused",
    /// Its agent has it no more.
    Lost = 4 => "lost",
  }
}

wire_enum! {
  /// What becomes of a file on its way between an agent and a server.
  pub enum FileTransferState {
    /// Its bytes are wanted.
    Wanted = 1 => "wanted",
    /// It is stored.
    Stored = 2 => "stored",
    /// It is not taken.
    Refused = 3 => "refused",
    /// Nobody has told of it yet.
    Unknown = 4 => "unknown",
    /// Whoever had it has it no more.
    Lost = 5 => "lost",
  }
}

wire_enum! {
  /// Whose token it is.
  pub enum TokenKind {
    /// A person.
    User = 1 => "user",
    /// An agent: it may register and nothing else.
    Agent = 2 => "agent",
    /// A pipeline.
    Ci = 3 => "ci",
  }
}

wire_enum! {
  /// Where output bytes came from.
  pub enum LogKind {
    /// Standard output.
    Stdout = 1 => "stdout" | "out",
    /// Standard error.
    Stderr = 2 => "stderr" | "err",
    /// A word of the agent itself.
    System = 3 => "system",
  }
}

wire_enum! {
  /// Life of a process on an agent.
  pub enum ProcessStatus {
    /// Being started.
    Starting = 1 => "starting",
    /// Alive.
    Running = 2 => "running",
    /// Exit code 0.
    Succeed = 3 => "succeed",
    /// Another exit code.
    Failed = 4 => "failed",
    /// Ended by a signal.
    Killed = 5 => "killed",
    /// Ended by its time limit.
    Timeout = 6 => "timeout",
    /// Ended, not reaped.
    Zombie = 7 => "zombie",
  }
}

wire_enum! {
  /// What happened to a process.
  pub enum ProcessEventKind {
    /// It runs.
    Running = 1 => "running",
    /// It ended.
    Exited = 2 => "exited",
    /// It was asked to stop.
    Sigterm = 3 => "sigterm",
    /// It was killed.
    Sigkill = 4 => "sigkill",
    /// It broke a limit.
    ResourceViolation = 5 => "resource_violation",
    /// It ended and was not reaped.
    BecameZombie = 6 => "became_zombie",
  }
}

wire_enum! {
  /// Which limit was broken.
  pub enum ResourceViolationType {
    /// Memory.
    MemoryExceeded = 1 => "memory_exceeded",
    /// Processor time.
    CpuExceeded = 2 => "cpu_exceeded",
    /// Run time.
    TimeoutExceeded = 3 => "timeout_exceeded",
    /// Bytes of output.
    OutputSizeExceeded = 4 => "output_size_exceeded",
  }
}

wire_enum! {
  /// What went wrong with a connection.
  pub enum WebSocketError {
    /// The link broke.
    ConnectionError = 1 => "connection_error",
    /// A message broke a rule.
    MessageError = 2 => "message_error",
    /// A message could not be read.
    SerializationError = 3 => "serialization_error",
    /// The token was refused.
    AuthenticationError = 4 => "authentication_error",
    /// Nothing came in time.
    TimeoutError = 5 => "timeout_error",
    /// Anything else.
    UnknownError = 6 => "unknown_error",
  }
}

wire_enum! {
  /// What becomes of two attempts of a task when the agent of the lost one is back.
  pub enum DisconnectReconcile {
    /// The later one goes on, the earlier one is stopped.
    KeepReplacement = 1 => "keep_replacement" | "keep_newest",
    /// The earlier one goes on.
    KeepOriginal = 2 => "keep_original" | "keep_oldest",
    /// The one on the agent that is liked more.
    BestScore = 3 => "best_score",
    /// The one that has run for longer.
    LongestRunning = 4 => "longest_running",
  }
}

wire_enum! {
  /// What a server tells a returning agent to do with an attempt.
  pub enum ReconcileAction {
    /// Go on.
    Keep = 1 => "keep",
    /// Stop it.
    Stop = 2 => "stop",
    /// Go on under the new fence.
    Adopt = 3 => "adopt",
    /// Drop what you keep of it.
    Forget = 4 => "forget",
  }
}
