//! Attempts that try to get away, and attempts that want too much: with version 2 of control
//! groups, with version 1, and with none.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use hetuflow_core::Stream;
use serde_json::{Value, json};

use super::tests::{Bench, Story, alive};
use super::*;
use crate::config::{CgroupChoice, ConfineSection, HostLimits};
use crate::process::{Cgroups, Limits};

const CHOICES: [CgroupChoice; 3] = [CgroupChoice::V2, CgroupChoice::V1, CgroupChoice::Off];

fn bench(cgroups: CgroupChoice) -> Bench {
  Bench::with(ConfineSection { cgroups, ..ConfineSection::default() })
}

async fn run(cgroups: CgroupChoice, config: Value) -> Story {
  let mut bench = bench(cgroups);
  bench.start(config);
  bench.story().await
}

fn reason(story: &Story) -> String {
  match &story.ended.cause {
    Cause::OverLimit { reason, message } => {
      assert!(!message.is_empty());
      reason.clone()
    }
    other => panic!("{other:?}, {:?}, {}", story.ended.exit, story.text(Stream::Stderr)),
  }
}

/// Waits for a file that a payload writes, and gives its words.
async fn words(path: &PathBuf, count: usize) -> Vec<String> {
  let until = Instant::now() + Duration::from_secs(20);
  loop {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    if words.len() >= count && text.ends_with('\n') {
      return words;
    }
    assert!(Instant::now() < until, "{count} words in {text:?}");
    tokio::time::sleep(Duration::from_millis(10)).await;
  }
}

/// Every way out that a payload has: a session of its own, a double fork, nohup, deaf to TERM. Some
/// take it at once, some when the attempt is in its group already.
fn escapes(pids: &str) -> String {
  let deaf = format!("trap \"\" TERM HUP INT; echo $$ >> {pids}; while :; do sleep 0.05; done");
  let ways = format!(
    "setsid bash -c '{deaf}' & \
     (setsid bash -c '{deaf}' &) ; \
     (nohup bash -c '{deaf}' >/dev/null 2>&1 &) ; \
     (setsid setsid nohup bash -c '{deaf}' >/dev/null 2>&1 < /dev/null &) ; "
  );
  format!("trap '' TERM; {ways} sleep 0.3; {ways} while :; do sleep 0.05; done")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payload_that_escapes_is_dead_after_a_stop() {
  for choice in CHOICES {
    let mut bench = bench(choice);
    let dir = tempfile::tempdir().expect("dir");
    let path = dir.path().join("pids");
    let id = bench.start(json!({ "command": escapes(&path.display().to_string()) }));
    let pids = words(&path, 8).await;
    assert!(pids.iter().all(|pid| alive(pid)), "{choice}: they have got away");
    let grace = Some(Duration::from_millis(200));
    let asked = Instant::now();
    let stop = Command::Stop(id, StopOrder { grace, ..StopOrder::default() });
    bench.commands.send(stop).expect("alive");
    let story = bench.story().await;
    assert_eq!(story.ended.cause, Cause::Stopped, "{choice}");
    let left: Vec<_> = pids.iter().filter(|pid| alive(pid)).collect();
    assert!(left.is_empty(), "{choice}: {left:?} are alive after the end was told");
    assert!(asked.elapsed() < Duration::from_secs(5), "{choice}: {:?}", asked.elapsed());
  }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_freezes_the_whole_tree_and_its_time_limit() {
  for choice in CHOICES {
    let mut bench = bench(choice);
    let dir = tempfile::tempdir().expect("dir");
    let count = |name: &str| std::fs::read(dir.path().join(name)).map_or(0, |text| text.len());
    let tick = |name: &str| {
      format!("while :; do echo -n x >> {}; sleep 0.01; done", dir.path().join(name).display())
    };
    let command = format!("(setsid bash -c '{}' &); {}", tick("away"), tick("here"));
    let id = bench.start(json!({ "command": command, "timeout": 4, "stop_grace_secs": 0.2 }));
    let both = || count("away").min(count("here"));
    let until = Instant::now() + Duration::from_secs(10);
    // Few are enough to see that it runs: its time is being counted.
    while both() < 3 {
      assert!(Instant::now() < until, "{choice}: it does not run");
      tokio::time::sleep(Duration::from_millis(10)).await;
    }
    bench.commands.send(Command::Pause(id)).expect("alive");
    while !matches!(bench.event().await, Event::Frozen { frozen: true, .. }) {}
    // A freeze of a group is asked for and then happens.
    let until = Instant::now() + Duration::from_secs(10);
    let frozen = loop {
      let before = (count("away"), count("here"));
      tokio::time::sleep(Duration::from_millis(200)).await;
      if (count("away"), count("here")) == before {
        break before;
      }
      assert!(Instant::now() < until, "{choice}: it does not stand still");
    };
    tokio::time::sleep(Duration::from_millis(4200)).await;
    assert_eq!((count("away"), count("here")), frozen, "{choice}: something of it goes on");
    bench.commands.send(Command::Resume(id)).expect("alive");
    while !matches!(bench.event().await, Event::Frozen { frozen: false, .. }) {}
    let until = Instant::now() + Duration::from_secs(10);
    while count("away") <= frozen.0 || count("here") <= frozen.1 {
      assert!(Instant::now() < until, "{choice}: it does not go on");
      tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(bench.story().await.ended.cause, Cause::TimedOut, "{choice}: frozen time is free");
  }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_tree_can_be_killed() {
  for choice in CHOICES {
    let mut bench = bench(choice);
    let id = bench.start(json!({ "command": "sleep 60 & sleep 61" }));
    tokio::time::sleep(Duration::from_millis(100)).await;
    bench.commands.send(Command::Pause(id)).expect("alive");
    while !matches!(bench.event().await, Event::Frozen { .. }) {}
    bench.commands.send(Command::KillAll).expect("alive");
    let story = bench.story().await;
    assert_eq!((&story.ended.cause, story.ended.exit), (&Cause::Stopped, Some(Exit::Signal(9))));
  }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fork_bomb_ends_at_its_limit() {
  for choice in CHOICES {
    let begun = Instant::now();
    // It doubles as a bomb does, and still cannot hurt this host where the limit fails.
    let command = "b() { if [ $1 -gt 0 ]; then b $(($1-1)) & b $(($1-1)) & fi; sleep 20; }; b 6";
    let config = json!({ "command": command, "resource_limits": { "max_processes": 60 } });
    let story = run(choice, config).await;
    assert_eq!(reason(&story), "limit(pids)", "{choice}");
    assert!(begun.elapsed() < Duration::from_secs(15), "{choice}: {:?}", begun.elapsed());
  }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_over_the_limit_is_the_end_of_the_tree() {
  for choice in CHOICES {
    // `tail` keeps what has no line end; the shell would go on without it.
    // What it takes in its very first moment is counted elsewhere: it begins in its group.
    let command = "sleep 0.1; head -c 3000000000 /dev/zero | tail; sleep 30";
    let config = json!({ "command": command, "resource_limits": { "max_memory_mb": 64 } });
    let begun = Instant::now();
    let story = run(choice, config).await;
    let reason = reason(&story);
    let kernel = Cgroups::open(choice).in_force().limits.contains(&"memory");
    assert_eq!(reason, if kernel { "oom_killed" } else { "limit(memory)" }, "{choice}");
    assert!(begun.elapsed() < Duration::from_secs(15), "{choice}: the rest does not go on");
    let peak = story.ended.metrics.expect("measured").memory_peak;
    assert!(peak > 32 << 20, "{choice}: {peak} bytes");
    assert!(!kernel || peak < 80 << 20, "{choice}: {peak} bytes");
  }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_left_of_a_tree_that_lacked_memory_dies_too() {
  let dir = tempfile::tempdir().expect("dir");
  let path = dir.path().join("pids");
  let command = format!("sleep 0.1; sleep 300 & echo $! > {}; exec tail /dev/zero", path.display());
  let config = json!({ "command": command, "resource_limits": { "max_memory_mb": 64 } });
  let story = run(CgroupChoice::Auto, config).await;
  let kernel = Cgroups::open(CgroupChoice::Auto).in_force().limits.contains(&"memory");
  assert_eq!(reason(&story), if kernel { "oom_killed" } else { "limit(memory)" });
  assert!(!alive(&words(&path, 1).await[0]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_over_the_limit_is_the_end_of_its_writer() {
  let dir = tempfile::tempdir().expect("dir");
  let path = dir.path().join("big");
  let command = format!("sleep 0.1; exec head -c 5000000 /dev/zero > {}", path.display());
  let config = json!({ "command": command, "resource_limits": { "max_file_mb": 1 } });
  assert_eq!(reason(&run(CgroupChoice::Off, config).await), "limit(file_size)");
  assert_eq!(std::fs::metadata(&path).expect("written").len(), 1 << 20);
  let config =
    json!({ "command": "head -c 500 /dev/zero", "resource_limits": { "max_file_mb": 1 } });
  assert_eq!(run(CgroupChoice::Off, config).await.ended.cause, Cause::Itself);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processor_time_is_limited_in_all_and_by_share() {
  let spin = "while :; do :; done";
  let config = json!({ "command": spin, "resource_limits": { "max_cpu_secs": 0.5 } });
  let story = run(CgroupChoice::Auto, config).await;
  assert_eq!(reason(&story), "limit(cpu)");
  let cpu = story.ended.metrics.expect("measured").cpu_time;
  assert!((0.4..3.0).contains(&cpu), "{cpu} s");
  let limits = json!({ "max_cpu_percent": 0.1, "sustain_secs": 0.3 });
  let config = json!({ "command": spin, "resource_limits": limits });
  assert_eq!(reason(&run(CgroupChoice::Off, config).await), "limit(cpu)");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_kernel_slows_down_what_wants_too_many_processors() {
  if !Cgroups::open(CgroupChoice::Auto).in_force().limits.contains(&"cpu") {
    return;
  }
  let config = json!({ "command": "while :; do :; done", "timeout": 1.5, "stop_grace_secs": 0,
    "resource_limits": { "max_cpu_percent": 0.2, "sustain_secs": 0 } });
  let story = run(CgroupChoice::Auto, config).await;
  assert_eq!(story.ended.cause, Cause::TimedOut);
  let cpu = story.ended.metrics.expect("measured").cpu_time;
  assert!((0.05..0.7).contains(&cpu), "{cpu} s of 1.5 s");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_it_has_used_is_told() {
  for choice in CHOICES {
    let command = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; sleep 0.3";
    let metrics = run(choice, json!({ "command": command })).await.ended.metrics.expect("measured");
    assert!((0.05..10.0).contains(&metrics.cpu_time), "{choice}: {} s", metrics.cpu_time);
    assert!((1 << 20..1 << 30).contains(&metrics.memory_peak), "{choice}: {metrics:?}");
  }
  let short = run(CgroupChoice::Auto, json!({ "cmd": "exec", "args": ["/bin/true"] })).await;
  let cpu = short.ended.metrics.expect("measured").cpu_time;
  assert!(cpu > 0.0 && cpu < 0.5, "{cpu} s");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_background_may_be_forbidden() {
  for choice in CHOICES {
    for wait in ["", "sleep 0.2; "] {
      let dir = tempfile::tempdir().expect("dir");
      let path = dir.path().join("pids");
      let command = format!("{wait}(setsid sleep 300 & echo $! > {}); exit 7", path.display());
      let begun = Instant::now();
      let story = run(choice, json!({ "command": command, "allow_background": false })).await;
      assert_eq!((&story.ended.cause, story.ended.exit), (&Cause::Itself, Some(Exit::Code(7))));
      assert!(begun.elapsed() < Duration::from_secs(3), "{choice}: its pipes are not waited for");
      assert!(!alive(&words(&path, 1).await[0]), "{choice}");
    }
  }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orphans_are_reaped_and_their_groups_removed() {
  for choice in CHOICES {
    let mut bench = bench(choice);
    // It outlives its attempt, which is in a group, and ends soon after.
    let command = "(sleep 5 >/dev/null 2>&1 & echo $!); sleep 0.2";
    bench.start(json!({ "command": command }));
    let story = bench.story().await;
    assert_eq!(story.ended.cause, Cause::Itself);
    let pid = story.text(Stream::Stdout).trim().to_owned();
    assert!(alive(&pid), "{choice}: it is let go");
    let until = Instant::now() + Duration::from_secs(20);
    while std::fs::exists(format!("/proc/{pid}")).expect("proc") || !groups().is_empty() {
      assert!(Instant::now() < until, "{choice}: {pid} is not reaped, or {:?}", groups());
      tokio::time::sleep(Duration::from_millis(50)).await;
    }
  }
}

/// Groups of attempts that this process has made and not removed.
fn groups() -> Vec<PathBuf> {
  let own = format!("hetuflow-{}-", std::process::id());
  let mut found = Vec::new();
  let mut queue = vec![(PathBuf::from("/sys/fs/cgroup"), 0)];
  while let Some((folder, depth)) = queue.pop() {
    for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
      if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
        continue;
      }
      let inside = folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&own));
      if inside {
        found.push(entry.path());
      } else if depth < 6 {
        queue.push((entry.path(), depth + 1));
      }
    }
  }
  found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_short_starts_leave_nothing_behind() {
  let mut bench = bench(CgroupChoice::Auto);
  let zombies = || {
    let children = std::fs::read_dir("/proc").expect("proc").flatten().filter_map(|entry| {
      let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
      let rest = stat.rsplit(") ").next()?.to_owned();
      let mut words = rest.split(' ');
      let (state, parent) = (words.next()?.to_owned(), words.next()?.parse::<u32>().ok()?);
      (state == "Z" && parent == std::process::id()).then_some(())
    });
    children.count()
  };
  let descriptors = || std::fs::read_dir("/proc/self/fd").expect("fds").count();
  let before = descriptors();
  for round in 0..40 {
    for number in 0..50 {
      // Some of them with a group.
      let limits = if number == 0 { json!({ "max_processes": 20 }) } else { json!({}) };
      bench.start(json!({ "cmd": "exec", "args": ["/bin/true"], "resource_limits": limits }));
    }
    for _ in 0..50 {
      let story = bench.story().await;
      assert_eq!(story.ended.exit, Some(Exit::Code(0)), "round {round}");
    }
  }
  assert_eq!((zombies(), groups()), (0, Vec::new()));
  assert!(descriptors() <= before + 4, "{} descriptors, {before} before", descriptors());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_hosts_limits_are_for_every_attempt() {
  let limits = HostLimits { processes: Some(30), ..HostLimits::default() };
  let mut bench = Bench::with(ConfineSection { limits, ..ConfineSection::default() });
  bench.start(json!({ "command": "for i in $(seq 60); do sleep 10 & done; wait" }));
  assert_eq!(reason(&bench.story().await), "limit(pids)");
}

#[test]
fn a_group_that_cannot_be_made_is_no_obstacle() {
  let groups = Cgroups::open(CgroupChoice::Off);
  assert!(groups.cell("x", &Limits::default()).is_none());
  assert_eq!(groups.in_force().words(), "memory:sampled,pids:sampled,cpu:sampled,file_size:rlimit");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exclusive_attempts_need_what_holds_a_tree_together() {
  let config =
    json!({ "command": "true", "delivery": "exclusive", "disconnect": { "stop_after": 60 } });
  let story = run(CgroupChoice::Off, config.clone()).await;
  let Cause::NotStarted { reason, message } = &story.ended.cause else { panic!("it was started") };
  assert_eq!(reason, "not_started(refused)");
  assert!(message.contains("control groups"), "{message}");
  let story = run(CgroupChoice::Auto, config).await;
  let held = crate::process::in_force_here(CgroupChoice::Auto).keeper != "none";
  assert_eq!(story.ended.exit == Some(Exit::Code(0)), held, "{:?}", story.ended.cause);
}
