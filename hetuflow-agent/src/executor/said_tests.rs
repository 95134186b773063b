//! What tasks leave beside their output: digest, results, progress. Against real processes.

use hetuflow_core::{LogHasher, Stream};
use serde_json::{Value, json};

use super::tests::Bench;
use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_digest_is_that_of_the_merged_log() {
  let story =
    Bench::run(json!({ "command": "echo out; echo err >&2; sleep 0.1; echo more" })).await;
  let mut hasher = LogHasher::default();
  for frame in &story.frames {
    hasher.add(frame.stream, &frame.unpack().expect("own"));
  }
  assert_eq!(story.ended.log.digest, Some(hasher.finish()));
  let flood = Bench::run(json!({ "command": "seq 1 300000" })).await;
  let mut hasher = LogHasher::default();
  hasher.add(Stream::Stdout, &flood.output(Stream::Stdout));
  assert_eq!(flood.ended.log.digest, Some(hasher.finish()));
  let silent = Bench::run(json!({ "command": "true" })).await;
  assert_eq!(silent.ended.log, LogEnd::default());
}

/// The results of a task, and the words of the agent; nothing of the file may stay.
async fn results(config: Value) -> (Option<Value>, String) {
  let mut bench = Bench::new();
  std::fs::create_dir_all(bench.run_base_dir()).expect("a folder");
  bench.start(config);
  let story = bench.story().await;
  let left: Vec<_> = std::fs::read_dir(bench.run_base_dir()).expect("there").flatten().collect();
  assert!(left.is_empty(), "{left:?}");
  (story.ended.said.outputs.clone().map(Value::Object), story.text(Stream::System))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn results_are_what_the_file_says() {
  let lines = "echo rows=12 >> $HETUFLOW_OUTPUT; echo 'words=a = b' >> \"$HETUFLOW_OUTPUT\"";
  let expected = Some(json!({"rows": "12", "words": "a = b"}));
  assert_eq!(results(json!({ "command": lines })).await, (expected.clone(), String::new()));
  assert_eq!(results(json!({ "script": lines })).await.0, expected, "in its own folder");
  let slow = format!("{lines}; echo said; sleep 0.2; exit 3");
  assert_eq!(results(json!({ "command": slow })).await.0, expected, "also of a failure");
  let object = "echo '{\"a\": [1, null]}' > $HETUFLOW_OUTPUT";
  assert_eq!(results(json!({ "command": object })).await.0, Some(json!({"a": [1, null]})));
  assert_eq!(results(json!({ "command": "true" })).await, (None, String::new()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_results_are_a_word_in_the_log() {
  let (outputs, words) = results(json!({ "command": "seq 1 2000 > $HETUFLOW_OUTPUT" })).await;
  assert_eq!((outputs, words.contains("too large")), (None, true), "{words}");
  let (outputs, words) = results(json!({ "command": "echo '{x' > $HETUFLOW_OUTPUT" })).await;
  assert_eq!((outputs, words.contains("1 lines of the result file")), (None, true), "{words}");
  for odd in
    ["ln -s /etc/passwd $HETUFLOW_OUTPUT", "mkfifo $HETUFLOW_OUTPUT", "mkdir $HETUFLOW_OUTPUT"]
  {
    let (outputs, words) = results(json!({ "command": odd })).await;
    assert_eq!((outputs, words.contains("cannot be read")), (None, true), "{odd}: {words}");
  }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_prints_or_writes_its_result() {
  let mut bench = Bench::new();
  let config = json!({ "cmd": "handler", "task_type": "count" });
  bench.start_with(config, |task| task.task.parameters = Some(json!({"a": 1})));
  let story = bench.story().await;
  assert_eq!(story.ended.said.outputs.map(Value::Object), Some(json!({"result": 7})));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn progress_is_told_and_stays_in_the_log() {
  let mut bench = Bench::new();
  let command = "echo ::hetuflow progress 0.25 quarter; sleep 0.3; for i in $(seq 30 99); do \
    echo ::hetuflow progress $i%; done; echo ::hetuflow metric rows=3; sleep 1.5; \
    echo ::hetuflow progress 1";
  bench.start(json!({ "command": command }));
  let (mut told, mut bytes) = (Vec::new(), 0);
  let ended = loop {
    match bench.event().await {
      Event::Progress { progress, .. } => told.push(progress),
      Event::Output { frame, .. } => bytes += u64::from(frame.raw_len),
      Event::Ended(ended, _) => break ended,
      _ => {}
    }
  };
  let first = Progress { share: 0.25, note: Some("quarter".to_owned()) };
  assert_eq!(told.first(), Some(&first));
  assert_eq!(told.get(1).map(|one| one.share), Some(0.99), "the last one of a burst: {told:?}");
  assert!(told.len() <= 3, "{told:?}");
  assert_eq!(ended.said.progress.expect("said").share, 1.0);
  assert_eq!(ended.said.metrics["rows"], 3.0);
  let inline = ended.output.map_or(0, |output| output.bytes.len() as u64);
  assert_eq!(bytes + inline, ended.log_bytes, "nothing is taken out");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_of_secrets_are_masked_in_all_that_is_told() {
  let value = hetuflow_core::SecretValue::new(b"hunter2-and-more\n".to_vec());
  let command = "cd $HETUFLOW_SECRETS_DIR; cat p; printf hunter2; sleep 0.1; printf -- -and-more; \
    base64 p >&2; echo word=$(cat p)! > $HETUFLOW_OUTPUT; exit 7";
  let mut bench = Bench::new();
  std::fs::create_dir_all(bench.run_base_dir()).expect("a folder");
  bench.start_with(json!({ "command": command, "secrets": ["p"] }), |task| {
    task.secrets.insert("p".to_owned(), value);
  });
  let story = bench.story().await;
  assert_eq!(story.ended.exit, Some(Exit::Code(7)));
  assert_eq!(story.text(Stream::Stdout), "***\n***");
  assert_eq!(story.text(Stream::Stderr), "***\n");
  let words = "hetuflow: 3 values of secrets in this output were masked\n";
  assert_eq!(story.text(Stream::System), words);
  let outputs = story.ended.said.outputs.clone().map(Value::Object);
  assert_eq!(outputs, Some(json!({ "word": "***!" })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_drops_output_does_not_wait_to_say_the_last_of_it() {
  for policy in ["drop", "head_tail"] {
    let mut bench = Bench::new();
    let _all = bench.take_memory().await;
    let command = "seq 1 200000; echo the end; exit 3";
    bench.start(json!({ "command": command, "log_policy": policy }));
    let story = bench.story().await;
    assert_eq!(story.ended.exit, Some(Exit::Code(3)), "{policy}");
    let said = story.text(Stream::Stdout);
    assert!(said.starts_with("1\n2\n"), "{policy}");
    assert_eq!(said.ends_with("the end\n"), policy == "head_tail", "{policy}");
    assert!(story.text(Stream::System).contains("no room was left"), "{policy}");
    assert!(story.ended.log.dropped > 0, "{policy}");
  }
}
