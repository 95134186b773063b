use std::sync::Arc;

use hetuflow_core::{Codec, Stream, TaskId};
use tokio::sync::Semaphore;

use super::*;

fn update(id: TaskInstanceId, status: TaskInstanceStatus) -> Box<TaskInstanceUpdate> {
  let mut update = TaskInstanceUpdate::new(id, TaskId::generate(), status, Ts::from_micros(1));
  if status == TaskInstanceStatus::Running {
    update.started_at_us = Some(77);
    update.start_skew_us = Some(5);
    update.pid = Some(4);
  }
  Box::new(update)
}

fn chunk(id: TaskInstanceId, memory: &Arc<Semaphore>) -> (Box<OutputFrame>, OnStored) {
  let frame = OutputFrame {
    instance_id: id,
    fence: 1,
    seq: 0,
    offset: 0,
    stream_offset: 0,
    at: Ts::from_micros(1),
    raw_len: 3,
    stream: Stream::Stdout,
    codec: Codec::Plain,
    data: b"abc".to_vec(),
  };
  let share = memory.clone().try_acquire_many_owned(3).expect("room");
  (Box::new(frame), OnStored::then(move || drop(share)))
}

/// Sends everything that may go; returns what went.
fn send_all(outbox: &mut Outbox, now: Instant) -> Vec<Next> {
  let mut sent = Vec::new();
  while let Some(next) = outbox.next(500, now) {
    let count = match &next {
      Next::Batch { count, .. } => *count,
      Next::Chunk { .. } => 1,
    };
    outbox.note_sent(count, now);
    sent.push(next);
  }
  sent
}

fn batch(seq_from: u64, count: usize) -> Next {
  Next::Batch { seq_from, count }
}

#[tokio::test]
async fn an_unsent_start_rides_in_the_end() {
  let (mut outbox, now, id) = (Outbox::default(), Instant::now(), TaskInstanceId::generate());
  outbox.update(update(id, TaskInstanceStatus::Dispatched), OnStored::nothing(), now);
  outbox.update(update(id, TaskInstanceStatus::Running), OnStored::nothing(), now);
  outbox.update(update(id, TaskInstanceStatus::Succeeded), OnStored::nothing(), now);
  assert_eq!(outbox.next(500, now), Some(batch(1, 1)));
  let only = outbox.unsent(1).next().expect("one");
  assert_eq!(only.status, TaskInstanceStatus::Succeeded);
  assert_eq!((only.started_at_us, only.start_skew_us, only.pid), (Some(77), Some(5), Some(4)));
}

#[tokio::test]
async fn a_start_goes_at_once_when_idle_and_waits_a_little_when_busy() {
  let (mut outbox, now) = (Outbox::default(), Instant::now());
  let (a, b) = (TaskInstanceId::generate(), TaskInstanceId::generate());
  outbox.update(update(a, TaskInstanceStatus::Running), OnStored::nothing(), now);
  assert_eq!(send_all(&mut outbox, now), [batch(1, 1)]);
  outbox.update(update(a, TaskInstanceStatus::Failed), OnStored::nothing(), now);
  outbox.update(update(b, TaskInstanceStatus::Running), OnStored::nothing(), now);
  assert_eq!(send_all(&mut outbox, now), [batch(2, 1)], "the start of b is held back");
  assert_eq!(outbox.next_wake(), Some(now + HOLD));
  assert!(!outbox.is_all_sent());
  assert_eq!(send_all(&mut outbox, now + HOLD), [batch(3, 1)]);
  assert!(outbox.is_all_sent() && !outbox.is_empty());
}

#[tokio::test]
async fn a_chunk_forces_the_start_out_and_splits_the_batch() {
  let memory = Arc::new(Semaphore::new(100));
  let (mut outbox, now) = (Outbox::default(), Instant::now());
  let (a, b) = (TaskInstanceId::generate(), TaskInstanceId::generate());
  outbox.update(update(b, TaskInstanceStatus::Failed), OnStored::nothing(), now);
  outbox.update(update(a, TaskInstanceStatus::Running), OnStored::nothing(), now);
  let (frame, hold) = chunk(a, &memory);
  outbox.output(frame, hold);
  outbox.update(update(a, TaskInstanceStatus::Succeeded), OnStored::nothing(), now);
  let sent = send_all(&mut outbox, now);
  assert_eq!(sent, [batch(1, 2), Next::Chunk { seq: 3 }, batch(4, 1)]);
  assert_eq!(memory.available_permits(), 97);
  assert!(outbox.ack(3, now));
  assert_eq!(memory.available_permits(), 100, "acked output frees its memory");
  assert!(!outbox.is_empty());
  assert!(outbox.ack(4, now));
  assert!(outbox.is_empty());
}

#[tokio::test]
async fn at_most_four_batches_are_in_flight() {
  let (mut outbox, mut now) = (Outbox::default(), Instant::now());
  for _ in 0..6 {
    now += RUSH;
    outbox.update(
      update(TaskInstanceId::generate(), TaskInstanceStatus::Failed),
      OnStored::nothing(),
      now,
    );
    send_all(&mut outbox, now);
  }
  assert!(!outbox.is_all_sent());
  assert!(outbox.ack(1, now));
  assert_eq!(send_all(&mut outbox, now), [batch(5, 2)], "what waited goes as one");
  assert!(!outbox.ack(7, now), "an ack of what was never sent changes nothing");
}

#[test]
fn ends_in_a_rush_gather_into_one_batch() {
  let (mut outbox, start) = (Outbox::default(), Instant::now());
  let end = || update(TaskInstanceId::generate(), TaskInstanceStatus::Failed);
  outbox.update(end(), OnStored::nothing(), start);
  assert_eq!(send_all(&mut outbox, start), [batch(1, 1)], "a lone end goes at once");
  let ms = Duration::from_millis(1);
  for step in 1..4 {
    outbox.update(end(), OnStored::nothing(), start + ms * step);
    assert_eq!(send_all(&mut outbox, start + ms * step), [], "those behind it gather");
  }
  let due = outbox.next_wake().expect("they are not kept for ever");
  assert_eq!(due, start + ms + GATHER);
  assert_eq!(send_all(&mut outbox, due), [batch(2, 3)]);
  for _ in 0..GATHER_MAX {
    outbox.update(end(), OnStored::nothing(), due);
  }
  assert_eq!(send_all(&mut outbox, due), [batch(5, GATHER_MAX)], "enough to go");
}

#[tokio::test]
async fn a_new_connection_sends_again_under_the_same_numbers() {
  let memory = Arc::new(Semaphore::new(100));
  let (mut outbox, mut now) = (Outbox::default(), Instant::now());
  let a = TaskInstanceId::generate();
  outbox.update(
    update(TaskInstanceId::generate(), TaskInstanceStatus::Failed),
    OnStored::nothing(),
    now,
  );
  now += RUSH;
  let (frame, hold) = chunk(a, &memory);
  outbox.output(frame, hold);
  outbox.update(update(a, TaskInstanceStatus::Failed), OnStored::nothing(), now);
  assert_eq!(send_all(&mut outbox, now).len(), 3);
  assert_eq!(outbox.untold_ends().count(), 2);
  outbox.resume(1);
  now += RUSH;
  outbox.update(
    update(TaskInstanceId::generate(), TaskInstanceStatus::Failed),
    OnStored::nothing(),
    now,
  );
  assert_eq!(outbox.chunk().map(|bytes| OutputFrame::decode(&bytes).expect("own").seq), Some(2));
  assert_eq!(send_all(&mut outbox, now), [Next::Chunk { seq: 2 }, batch(3, 2)]);
  outbox.resume(99);
  assert!(outbox.is_empty(), "a server that knows more than was sent is believed");
  now += RUSH;
  outbox.update(
    update(TaskInstanceId::generate(), TaskInstanceStatus::Failed),
    OnStored::nothing(),
    now,
  );
  assert_eq!(send_all(&mut outbox, now), [batch(5, 1)]);
}

#[tokio::test]
async fn an_end_keeps_its_own_start_when_only_the_waiting_was_not_sent() {
  let (mut outbox, now, id) = (Outbox::default(), Instant::now(), TaskInstanceId::generate());
  outbox.update(update(id, TaskInstanceStatus::Dispatched), OnStored::nothing(), now);
  let mut end = update(id, TaskInstanceStatus::Succeeded);
  end.started_at_us = Some(5);
  outbox.update(end, OnStored::nothing(), now);
  assert_eq!(outbox.next(500, now), Some(batch(1, 1)));
  assert_eq!(outbox.unsent(1).next().expect("one").started_at_us, Some(5));
}

#[tokio::test]
async fn only_the_last_progress_of_an_attempt_is_told() {
  let (mut outbox, now, id) = (Outbox::default(), Instant::now(), TaskInstanceId::generate());
  let progress = |share: f64| {
    let mut update = update(id, TaskInstanceStatus::Running);
    (update.started_at_us, update.progress) = (None, Some(share));
    update
  };
  outbox.update(update(id, TaskInstanceStatus::Running), OnStored::nothing(), now);
  for share in [0.1, 0.2, 0.3] {
    outbox.update(progress(share), OnStored::nothing(), now);
  }
  assert!(!outbox.is_all_sent());
  assert_eq!(outbox.next(500, now), Some(batch(1, 2)));
  let told: Vec<_> = outbox.unsent(2).map(|one| (one.started_at_us, one.progress)).collect();
  assert_eq!(told, [(Some(77), None), (None, Some(0.3))], "after its start");
  outbox.note_sent(2, now);
  outbox.update(progress(0.4), OnStored::nothing(), now);
  outbox.update(update(id, TaskInstanceStatus::Succeeded), OnStored::nothing(), now);
  assert_eq!(send_all(&mut outbox, now), [batch(3, 1)], "its end says it as well");
  assert!(outbox.is_all_sent());
}

#[tokio::test]
async fn a_batch_fits_into_a_frame() {
  let (mut outbox, now) = (Outbox::default(), Instant::now());
  for _ in 0..10 {
    let mut end = update(TaskInstanceId::generate(), TaskInstanceStatus::Succeeded);
    end.outputs = Some(serde_json::json!({ "text": "x".repeat(200 << 10) }));
    outbox.update(end, OnStored::nothing(), now);
  }
  let later = now + std::time::Duration::from_secs(1);
  assert_eq!(send_all(&mut outbox, later), [batch(1, 3), batch(4, 3), batch(7, 3), batch(10, 1)]);
}

#[tokio::test]
async fn what_became_of_others_overtakes_output_that_waits() {
  let (mut outbox, now) = (Outbox::default(), Instant::now());
  let (loud, other) = (TaskInstanceId::generate(), TaskInstanceId::generate());
  let frame = |n: u8| {
    let memory = Arc::new(Semaphore::new(100));
    let (mut frame, hold) = chunk(loud, &memory);
    frame.data = vec![n; 100 << 10];
    (frame, hold)
  };
  for n in 0..3 {
    let (frame, hold) = frame(n);
    outbox.output(frame, hold);
  }
  outbox.update(update(loud, TaskInstanceStatus::Succeeded), OnStored::nothing(), now);
  outbox.update(update(other, TaskInstanceStatus::Running), OnStored::nothing(), now);
  let later = now + BUSY;
  assert_eq!(send_all(&mut outbox, later), [batch(1, 1), Next::Chunk { seq: 2 }]);
  outbox.update(update(other, TaskInstanceStatus::Failed), OnStored::nothing(), later);
  let later = later + RUSH + GATHER;
  assert_eq!(send_all(&mut outbox, later), [batch(3, 1)], "no ack is needed");
  assert_eq!(outbox.untold_ends().count(), 2);
  assert!(!outbox.is_all_sent());
  // The link is quick: all the rest goes, and the loud one's end stays behind its output.
  assert!(outbox.ack(3, later));
  assert_eq!(
    send_all(&mut outbox, later),
    [Next::Chunk { seq: 4 }, Next::Chunk { seq: 5 }, batch(6, 1)]
  );
  assert!(outbox.is_all_sent() && outbox.ack(6, later) && outbox.is_empty());
}
