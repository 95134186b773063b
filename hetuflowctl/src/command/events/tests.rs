//! Frames with numbers missing.

use hetuflow_core::NamespaceId;

use super::*;

fn sample(seq: i64, prev_seq: i64) -> FeedFrame {
  let subject = hetuflow_core::Subject { kind: hetuflow_core::Topic::Task, id: "x".into() };
  let change = Change {
    at: hetuflow_core::Ts::from_millis(0),
    subject,
    event_type: "task.failed".into(),
    data: serde_json::Value::Null,
  };
  FeedFrame {
    epoch: "e".into(),
    prev_seq,
    seq,
    namespace_id: NamespaceId::default(),
    events: vec![change],
  }
}

#[test]
fn a_hole_is_told() {
  let place = crate::command::sample::place("http://127.0.0.1:1");
  let args = EventsArgs {
    follow: true,
    since: None,
    from_seq: None,
    topic: vec![],
    types: vec!["task.*".into()],
    object: None,
    count: None,
    until: Some("type=task.failed".into()),
    strict: false,
  };
  let client = Client::with_token(place, None, Duration::from_secs(1), 0).expect("a client");
  let mut reader = Reader {
    client,
    args,
    namespace: None,
    object: None,
    until: None,
    feed: None,
    last: Some(1),
    left: 9,
    ready: VecDeque::new(),
    opened: false,
    over: false,
    gone: 0,
    hole: None,
  };
  for frame in [sample(2, 1), sample(2, 1), sample(7, 5)] {
    reader.take(frame);
  }
  let lines: Vec<String> =
    reader.ready.iter().map(|line| serde_json::to_string(line).expect("JSON")).collect();
  assert_eq!(lines.len(), 3);
  assert_eq!(lines[1], r#"{"type":"gap","from":3,"to":5}"#);
  assert!(
    lines[2].contains("\"seq\":7") && lines[2].contains("\"type\":\"task.failed\""),
    "{}",
    lines[2]
  );
  assert_eq!((reader.gone, reader.incomplete().exit), (3, 13));
  // The server no longer had what follows 7; what it still has begins at 20.
  reader.hole = Some((30, "trimmed".into()));
  reader.take(sample(20, 0));
  let line = serde_json::to_string(&reader.ready[3]).expect("JSON");
  assert_eq!(line, r#"{"type":"gap","from":8,"to":19,"reason":"trimmed"}"#);
  // It has all that was missed: no hole.
  reader.hole = Some((30, "too slow".into()));
  reader.take(sample(20, 0));
  reader.take(sample(21, 20));
  assert_eq!((reader.ready.len(), reader.gone), (6, 15));
  // The event that was waited for is the last one.
  reader.until = Some(Expression::parse("type=task.failed").expect("fine"));
  reader.take(sample(22, 21));
  assert_eq!((reader.ready.len(), reader.left), (7, 7));
}
