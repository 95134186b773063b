//! What becomes of output for which there is no room for a while.

use std::time::Duration;

use hetuflow_core::Stream;
use serde_json::json;

use super::tests::{Bench, alive};
use super::{Command, Event};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_in_the_pipe_at_the_end_is_read_however_long_there_is_no_room() {
  let mut bench = Bench::new();
  let full = bench.take_memory().await;
  // The last of it is still in the pipe when it ends, and nobody else has the pipe.
  let id = bench.start(json!({ "command": "head -c 300000 /dev/zero" }));
  let pid = loop {
    if let Event::Started { pid: Some(pid), .. } = bench.event().await {
      break pid.to_string();
    }
  };
  while alive(&pid) {
    tokio::time::sleep(Duration::from_millis(20)).await;
  }
  // Longer than anybody else's hold on a pipe is waited for.
  tokio::time::sleep(Duration::from_millis(2500)).await;
  drop(full);
  let story = bench.story().await;
  assert_eq!((story.ended.instance_id, story.ended.log_bytes), (id, 300_000));
  assert_eq!(story.output(Stream::Stdout).len(), 300_000);
  assert_eq!(story.text(Stream::System), "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_memory_is_used_up_the_task_waits_and_nothing_is_lost() {
  let mut bench = Bench::new();
  let id = bench.start(json!({ "command": "head -c 8000000 /dev/urandom" }));
  let mut held = Vec::new();
  while bench.memory.available_permits() > 256 << 10 {
    if let Event::Output { frame, hold } = bench.event().await {
      held.push((frame, hold));
    }
  }
  // Orders are still followed while the output waits.
  bench.commands.send(Command::Pause(id)).expect("alive");
  let mut frozen = false;
  while !frozen {
    match bench.event().await {
      Event::Frozen { .. } => frozen = true,
      Event::Output { frame, hold } => held.push((frame, hold)),
      other => panic!("{other:?}"),
    }
  }
  bench.commands.send(Command::Resume(id)).expect("alive");
  let before: u64 = held.iter().map(|(frame, _)| u64::from(frame.raw_len)).sum();
  drop(held);
  let story = bench.story().await;
  let after: u64 = story.frames.iter().map(|frame| u64::from(frame.raw_len)).sum();
  assert_eq!(before + after, 8_000_000);
}
