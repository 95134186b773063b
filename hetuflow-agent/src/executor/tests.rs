//! The executor against real processes, through its border: commands in, events out.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hetuflow_core::{
  Codec, InstanceHead, JobId, JobSpec, LogPolicy, OutputFrame, ScheduledTask, Stream, TaskHead,
  TaskId, Ts,
};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::task::TaskTracker;

use super::*;

/// Nothing here takes this long unless it hangs.
const LIMIT: Duration = Duration::from_secs(20);

pub(super) struct Bench {
  pub(super) commands: UnboundedSender<Command>,
  events: UnboundedReceiver<Event>,
  pub(super) memory: Arc<Semaphore>,
  shared: Arc<room::Shared>,
  dir: tempfile::TempDir,
}

/// What a whole attempt has said.
pub(super) struct Story {
  pid: Option<u32>,
  pub(super) frames: Vec<OutputFrame>,
  pub(super) ended: Ended,
}

impl Story {
  /// All bytes of a stream, from chunks and from the small log.
  pub(super) fn output(&self, stream: Stream) -> Vec<u8> {
    let mut bytes: Vec<u8> = self
      .frames
      .iter()
      .filter(|frame| frame.stream == stream)
      .flat_map(|frame| frame.unpack().expect("own frame"))
      .collect();
    if let Some(small) = &self.ended.output {
      let index = small.index.clone().unwrap_or_else(|| format!("o{}", small.bytes.len()));
      let (mut at, mut rest) = (0, index.as_str());
      // `o12e5` in pieces of one letter and its number.
      while !rest.is_empty() {
        let end = rest[1..].find(|c: char| c.is_ascii_alphabetic()).map_or(rest.len(), |i| i + 1);
        let length: usize = rest[1..end].parse().expect("a number");
        if rest.starts_with(stream.letter()) {
          bytes.extend_from_slice(&small.bytes[at..at + length]);
        }
        at += length;
        rest = &rest[end..];
      }
    }
    bytes
  }

  pub(super) fn text(&self, stream: Stream) -> String {
    String::from_utf8_lossy(&self.output(stream)).into_owned()
  }
}

impl Bench {
  pub(super) fn new() -> Self {
    Self::with(crate::config::ConfineSection::default())
  }

  pub(super) fn with(confine: crate::config::ConfineSection) -> Self {
    let dir = tempfile::tempdir().expect("dir");
    let (commands, to_executor) = unbounded_channel();
    let (sender, events) = unbounded_channel();
    let memory = Arc::new(Semaphore::new(1 << 20));
    let base = [("PATH", "/usr/local/bin:/usr/bin:/bin"), ("SECRET_OF", "x")];
    let tracker = TaskTracker::new();
    let surroundings = Surroundings {
      settings: ExecutorSettings {
        work_dir: dir.path().to_owned(),
        run_base_dir: dir.path().join("runs"),
        runtime_dir: dir.path().join("private/runs"),
        run_as_allow: Vec::new(),
        commands_allow: Vec::new(),
        allow_root_tasks: true,
        flush_interval: Duration::from_millis(50),
        task_types: BTreeMap::from([(
          "count".to_owned(),
          crate::config::TaskType { cmd: "wc".to_owned(), args: vec!["-c".to_owned()], cwd: None },
        )]),
        confine,
        journal_sync: false,
        log_policy: LogPolicy::Block,
        result_size_max: 1 << 10,
        mask_secrets: true,
        input_dir: dir.path().join("inputs"),
        artifact_dir: dir.path().join("artifacts"),
        artifact_size_max: 1 << 20,
        artifact_total_max: 1 << 20,
        noop: false,
      },
      base: BaseEnvironment::new(base.map(|(k, v)| (k.into(), v.into()))),
      output_buffer: 1 << 20,
    };
    let executor = Executor::new(room::Parts {
      surroundings,
      journal: None,
      clock: SteadyClock::start(),
      memory: Arc::clone(&memory),
      tracker: tracker.clone(),
      pieces: Arc::default(),
      events: sender,
    });
    let shared = Arc::clone(&executor.shared);
    tracker.spawn(executor.run(to_executor, Arc::default()));
    Self { commands, events, memory, shared, dir }
  }

  pub(super) fn start(&self, config: Value) -> TaskInstanceId {
    self.start_with(config, |_| {})
  }

  pub(super) fn start_with(
    &self,
    config: Value,
    change: impl FnOnce(&mut ScheduledTask),
  ) -> TaskInstanceId {
    let spec = JobSpec {
      job_id: JobId::generate(),
      job_version: 1,
      job_name: "nightly".to_owned(),
      namespace_id: "default".parse().expect("valid"),
      config: serde_json::from_value(config).expect("config"),
      environment: BTreeMap::from([("FROM_JOB".to_owned(), "job".to_owned())]),
    };
    let id = TaskInstanceId::generate();
    let mut task = ScheduledTask {
      task_instance: InstanceHead { id },
      task: TaskHead {
        id: TaskId::generate(),
        spec: 0,
        scheduled_at: Ts::from_millis(1_700_000_000_000),
        eligible_at: None,
        trigger_source: hetuflow_core::TriggerSource::Manual,
        timezone: None,
        prev_success_at: None,
        parameters: None,
        config: None,
        environment: None,
      },
      fence: 9,
      attempt: 2,
      deadline_at: None,
      secrets: BTreeMap::new(),
      inputs: Vec::new(),
    };
    change(&mut task);
    let start = Start { task, spec: Arc::new(spec), limits: DefaultLimits::default(), executor: 0 };
    self.commands.send(Command::Start(Box::new(start))).expect("alive");
    id
  }

  pub(super) fn run_base_dir(&self) -> std::path::PathBuf {
    self.dir.path().join("runs")
  }

  /// No output has room until this is dropped.
  pub(super) async fn take_memory(&self) -> tokio::sync::OwnedSemaphorePermit {
    Arc::clone(&self.memory).acquire_many_owned(1 << 20).await.expect("open")
  }

  pub(super) async fn event(&mut self) -> Event {
    tokio::time::timeout(LIMIT, self.events.recv()).await.expect("in time").expect("alive")
  }

  /// Everything until the end of the one attempt that runs.
  pub(super) async fn story(&mut self) -> Story {
    let (mut pid, mut frames) = (None, Vec::new());
    loop {
      match self.event().await {
        Event::Started { pid: started, .. } => pid = started,
        Event::Output { frame, .. } => frames.push(*frame),
        Event::Frozen { .. } | Event::Attached { .. } | Event::Progress { .. } => {}
        Event::Ended(ended, _) => {
          let pid = pid.or_else(|| ended.started.and_then(|(pid, _)| pid));
          return Story { pid, frames, ended: *ended };
        }
      }
    }
  }

  pub(super) async fn run(config: Value) -> Story {
    let mut bench = Self::new();
    bench.start(config);
    let story = bench.story().await;
    assert_eq!(bench.memory.available_permits(), 1 << 20, "all memory is given back");
    story
  }
}

pub(super) fn alive(pid: &str) -> bool {
  std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()))
    .is_ok_and(|stat| !stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" Z")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exit_codes_and_signals_are_told_truly() {
  for (command, exit) in [
    ("true", Exit::Code(0)),
    ("exit 42", Exit::Code(42)),
    ("kill -SEGV $$", Exit::Signal(11)),
    ("kill -KILL $$", Exit::Signal(9)),
  ] {
    let story = Bench::run(json!({ "command": command })).await;
    assert_eq!((story.ended.exit, &story.ended.cause), (Some(exit), &Cause::Itself), "{command}");
    assert!(story.pid.is_some());
  }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_output_rides_in_the_end_with_its_streams() {
  let config = json!({ "command": "echo out; echo err >&2; printf 'a\\0\\xff'" });
  let until = Instant::now() + LIMIT;
  loop {
    let story = Bench::run(config.clone()).await;
    assert_eq!(story.text(Stream::Stderr), "err\n");
    assert_eq!(story.output(Stream::Stdout), b"out\na\0\xff");
    assert_eq!(story.ended.log_bytes, 11);
    if story.frames.is_empty() {
      return;
    }
    // One that a busy machine keeps from its end for longer than `INLINE_CHANCE` sends chunks.
    assert!(Instant::now() < until, "it never rides in the end: {:?}", story.frames);
  }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_megabyte_without_a_line_end_is_exact() {
  let command = "head -c 1000000 /dev/zero | tr '\\0' x; head -c 300000 /dev/zero >&2";
  let story = Bench::run(json!({ "command": command })).await;
  assert_eq!(story.output(Stream::Stdout), vec![b'x'; 1_000_000]);
  assert_eq!(story.output(Stream::Stderr), vec![0; 300_000]);
  assert_eq!(story.ended.log_bytes, 1_300_000);
  let mut offset = 0;
  for frame in &story.frames {
    assert_eq!(frame.offset, offset, "chunks tile the log");
    assert_eq!((frame.fence, frame.codec), (9, Codec::Zstd));
    offset += u64::from(frame.raw_len);
  }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_bytes_of_a_long_task_come_soon() {
  let mut bench = Bench::new();
  let begun = Instant::now();
  let id = bench.start(json!({ "command": "echo hello; sleep 30" }));
  loop {
    if let Event::Output { frame, .. } = bench.event().await {
      assert_eq!(frame.unpack().expect("own"), b"hello\n");
      break;
    }
  }
  assert!(begun.elapsed() < Duration::from_secs(5));
  bench.commands.send(Command::Stop(id, StopOrder::default())).expect("alive");
  let story = bench.story().await;
  assert_eq!(story.ended.cause, Cause::Stopped);
  assert_eq!(story.ended.log_bytes, 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grandchild_that_ignores_the_signal_is_killed_with_its_group() {
  let mut bench = Bench::new();
  let command = "trap 'exit 0' TERM; \
    (trap '' TERM; echo $BASHPID; while :; do sleep 0.1; done) & \
    while :; do sleep 0.1; done";
  let id = bench.start(json!({ "command": command }));
  let pid = loop {
    if let Event::Output { frame, .. } = bench.event().await {
      break String::from_utf8(frame.unpack().expect("own")).expect("a number");
    }
  };
  assert!(alive(&pid));
  let grace = Some(Duration::from_millis(300));
  let order = StopOrder { grace, ..StopOrder::default() };
  bench.commands.send(Command::Stop(id, order)).expect("alive");
  let story = bench.story().await;
  assert_eq!(story.ended.cause, Cause::Stopped);
  assert!(!alive(&pid), "the end is told only when nothing of the group lives");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_time_limit_ends_the_attempt() {
  // Long enough for a shell to begin and to set its trap, also on a busy machine.
  let config = json!({ "command": "trap '' TERM; while :; do sleep 0.05; done",
    "timeout": 2, "stop_grace_secs": 0.1 });
  let story = Bench::run(config).await;
  assert_eq!((story.ended.cause, story.ended.exit), (Cause::TimedOut, Some(Exit::Signal(9))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_uses_the_jobs_signal_and_a_frozen_task_can_obey() {
  let mut bench = Bench::new();
  let id = bench.start(json!({
    "command": "trap 'echo got INT; exit 3' INT; echo ready; while :; do sleep 0.02; done",
    "stop_signal": "INT"
  }));
  loop {
    if let Event::Output { .. } = bench.event().await {
      break;
    }
  }
  bench.commands.send(Command::Pause(id)).expect("alive");
  assert!(matches!(bench.event().await, Event::Frozen { frozen: true, .. }));
  bench.commands.send(Command::Stop(id, StopOrder::default())).expect("alive");
  let story = bench.story().await;
  assert_eq!((&story.ended.cause, story.ended.exit), (&Cause::Stopped, Some(Exit::Code(3))));
  assert!(story.text(Stream::Stdout).contains("got INT"), "{:?}", story.text(Stream::Stdout));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_start_says_why() {
  for (config, reason) in [
    (json!({"cmd":"exec","args":["no-such-program"]}), "spawn_failed(ENOENT, no-such-program)"),
    (json!({"cmd":"exec","args":["/etc/passwd"]}), "spawn_failed(EACCES, /etc/passwd)"),
    (json!({"command":"true","working_directory":"/no/where"}), "spawn_failed(ENOENT, /no/where)"),
    (json!({"cmd":"exec","args":["a\0b"]}), "not_started(refused)"),
    (json!({"cmd":"handler","task_type":"fax"}), "not_started(refused)"),
    (json!({}), "not_started(refused)"),
  ] {
    let story = Bench::run(config.clone()).await;
    match story.ended.cause {
      Cause::NotStarted { reason: told, message } => {
        assert_eq!(told, reason, "{config}");
        assert!(!message.is_empty());
      }
      other => panic!("{config}: {other:?}"),
    }
    assert_eq!(story.pid, None);
  }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scripts_run_from_a_private_file_that_is_removed() {
  let mut bench = Bench::new();
  bench.start(json!({ "script": "stat -c %a \"$0\"; pwd; echo \"$1\"; cat", "args": ["a b"],
    "stdin": "from stdin" }));
  let story = bench.story().await;
  let text = story.text(Stream::Stdout);
  let lines: Vec<_> = text.lines().collect();
  assert_eq!((lines[0], lines[2], lines[3]), ("600", "a b", "from stdin"), "{text}");
  assert!(lines[1].contains("/runs/"));
  let left = std::fs::read_dir(bench.dir.path().join("runs")).expect("dir").count();
  assert_eq!(left, 0, "the run's folder is gone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_runs_if_it_is_there() {
  let story = Bench::run(json!({ "cmd": "python", "script": "import sys; sys.exit(7)" })).await;
  let missing =
    matches!(&story.ended.cause, Cause::NotStarted { reason, .. } if reason.contains("python3"));
  assert!(missing || story.ended.exit == Some(Exit::Code(7)), "{:?}", story.ended);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_environment_is_the_contract_and_nothing_of_ours() {
  let mut bench = Bench::new();
  bench.start_with(json!({ "command": "env" }), |task| {
    task.task.parameters = Some(json!({ "max-age": 7, "who": "bob" }));
    task.task.environment =
      Some([("FROM_JOB", "run"), ("EMPTY", "")].map(|(k, v)| (k.into(), v.into())).into());
  });
  let text = bench.story().await.text(Stream::Stdout);
  for line in [
    "HETUFLOW_JOB_NAME=nightly",
    "HETUFLOW_NAMESPACE=default",
    "HETUFLOW_ATTEMPT=2",
    "HETUFLOW_FENCE=9",
    "HETUFLOW_TRIGGER=manual",
    "HETUFLOW_SCHEDULED_AT=2023-11-14T22:13:20Z",
    "HETUFLOW_PARAM_MAX_AGE=7",
    "HETUFLOW_PARAM_WHO=bob",
    "HETUFLOW_PARAMETERS={\"max-age\":7,\"who\":\"bob\"}",
    "FROM_JOB=run",
    "EMPTY=",
  ] {
    assert!(text.lines().any(|one| one == line), "{line} is not in\n{text}");
  }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_gets_its_payload() {
  let mut bench = Bench::new();
  bench.start_with(json!({ "cmd": "handler", "task_type": "count" }), |task| {
    task.task.parameters = Some(json!({ "a": 1 }));
  });
  assert_eq!(bench.story().await.text(Stream::Stdout).trim(), "7");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orphans_that_hold_the_pipes_do_not_hold_the_end() {
  let mut bench = Bench::new();
  let begun = Instant::now();
  bench.start(json!({ "command": "sleep 25 & echo $!" }));
  let story = bench.story().await;
  assert_eq!((&story.ended.cause, story.ended.exit), (&Cause::Itself, Some(Exit::Code(0))));
  assert!(begun.elapsed() < Duration::from_secs(10));
  assert!(story.text(Stream::System).contains("holding its output"));
  let orphan: i32 = story.text(Stream::Stdout).trim().parse().expect("a pid");
  let pid = rustix::process::Pid::from_raw(orphan).expect("a pid");
  rustix::process::kill_process(pid, rustix::process::Signal::KILL)
    .expect("left alone, as a daemon");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn output_can_be_switched_off_or_limited() {
  let story = Bench::run(json!({ "command": "echo x", "capture_output": false })).await;
  assert_eq!((story.ended.log_bytes, story.ended.output), (0, None));
  let story =
    Bench::run(json!({ "command": "head -c 500000 /dev/zero", "max_output_size": 100000 })).await;
  assert_eq!(story.output(Stream::Stdout), vec![0; 100_000]);
  assert!(story.text(Stream::System).contains("400000 bytes dropped"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_leave_nothing_behind() {
  let mut bench = Bench::new();
  let descriptors = || std::fs::read_dir("/proc/self/fd").expect("fds").count();
  for _ in 0..64 {
    bench.start(json!({ "cmd": "exec", "args": ["/bin/true"] }));
  }
  for _ in 0..64 {
    assert_eq!(bench.story().await.ended.exit, Some(Exit::Code(0)));
  }
  // Other tests of this process have descriptors of their own; these 64 would show.
  assert!(descriptors() < 200, "{} descriptors", descriptors());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_fault_of_ours_an_end_is_told_all_the_same() {
  let mut bench = Bench::new();
  let identity = Identity {
    instance_id: TaskInstanceId::generate(),
    task_id: TaskId::generate(),
    number: 2,
    fence: 9,
    due_us: 0,
    stop_after_us: None,
    terms: Terms::default(),
  };
  orphan::end(Arc::clone(&bench.shared), identity).await;
  let Event::Ended(ended, _) = bench.event().await else { panic!("nothing else is told") };
  assert_eq!((ended.instance_id, ended.cause), (identity.instance_id, Cause::Unseen));
}
