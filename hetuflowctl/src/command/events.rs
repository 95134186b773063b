//! `events`: the event log, read or followed; a hole is told, never hidden.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::stream;
use hetuflow_core::{Change, FeedFrame, NamespaceId};
use serde::Serialize;

use crate::cli::EventsArgs;
use crate::client::{Call, Client, CtlError, FeedItem, FeedStream};
use crate::command::session::Session;
use crate::output::{Cell, Column, Outcome, Page, Record, Rows, TableRow, View};

/// Without --follow: this long without an event means that all is read.
const IDLE: Duration = Duration::from_millis(1500);
const RECONNECT: Duration = Duration::from_secs(1);

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
enum Line {
  Event {
    seq: i64,
    epoch: String,
    namespace_id: NamespaceId,
    #[serde(flatten)]
    change: Change,
  },
  Gap {
    #[serde(rename = "type")]
    kind: &'static str,
    from: i64,
    to: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
  },
}

impl TableRow for Line {
  const KIND: &'static str = "event";
  const COLUMNS: &'static [Column] = &[
    Column::new("SEQ"),
    Column::new("TIME"),
    Column::new("TYPE"),
    Column::new("OBJECT"),
    Column::wide("NAMESPACE"),
    Column::new("DETAIL"),
  ];
  fn reference(&self) -> String {
    match self {
      Self::Event { seq, .. } => seq.to_string(),
      Self::Gap { from, to, .. } => format!("{from}-{to}"),
    }
  }
  fn cells(&self) -> Vec<Cell> {
    match self {
      Self::Event { seq, namespace_id, change, .. } => vec![
        Cell::Number(*seq),
        Cell::At(change.at),
        Cell::text(&change.event_type),
        Cell::text(object(change)),
        Cell::text(namespace_id.as_str()),
        Cell::text(if change.data.is_null() { String::new() } else { change.data.to_string() }),
      ],
      Self::Gap { from, to, reason, .. } => vec![
        Cell::Number(*from),
        Cell::Empty,
        Cell::text("gap"),
        Cell::Empty,
        Cell::Empty,
        Cell::text(format!(
          "events {from} to {to} are gone {}",
          reason.as_deref().unwrap_or_default()
        )),
      ],
    }
  }
}

/// Tasks and attempts by the short id that people see elsewhere.
fn object(change: &Change) -> String {
  let id = &change.subject.id;
  let short =
    uuid::Uuid::parse_str(id).map_or_else(|_| id.clone(), |id| hetuflow_core::short_id(&id));
  format!("{}/{short}", change.subject.kind)
}

struct Reader {
  client: Client,
  args: EventsArgs,
  namespace: Option<String>,
  feed: Option<FeedStream>,
  last: Option<i64>,
  left: u64,
  ready: VecDeque<Line>,
  opened: bool,
}

/// Reads or follows.
///
/// # Errors
/// What the server says.
pub async fn run(session: &Session, args: &EventsArgs) -> Result<Outcome, CtlError> {
  let reader = Reader {
    client: session.client()?.clone(),
    args: args.clone(),
    namespace: session.list_namespace()?,
    feed: None,
    last: args.since_seq,
    left: args.count.unwrap_or(u64::MAX),
    ready: VecDeque::new(),
    opened: false,
  };
  let pages = stream::try_unfold(reader, |mut reader| async move {
    let lines = reader.next().await?;
    Ok(
      (!lines.is_empty())
        .then(|| (Page { rows: lines.iter().map(Record::of).collect(), next: None }, reader)),
    )
  });
  Ok(View::List(Rows::paged::<CtlError>(Line::COLUMNS, pages)).into())
}

impl Reader {
  /// Some lines; none at the end.
  async fn next(&mut self) -> Result<Vec<Line>, CtlError> {
    while self.ready.is_empty() && self.left > 0 {
      if self.feed.is_none() && !self.connect().await? {
        continue;
      }
      let Some(feed) = &mut self.feed else { continue };
      let item = if self.args.follow {
        feed.next().await?
      } else {
        match tokio::time::timeout(IDLE, feed.next()).await {
          Ok(item) => item?,
          Err(_) => break,
        }
      };
      match item {
        Some(FeedItem::Frame(frame)) => self.take(frame),
        Some(FeedItem::Resync(resync)) => {
          let from = self.last.map_or(0, |last| last + 1);
          self.gap(from, resync.from_seq, Some(resync.reason));
          self.last = Some(resync.from_seq);
        }
        Some(FeedItem::Tick(tick))
          if !self.args.follow && self.last.is_none_or(|last| tick.seq <= last) =>
        {
          break;
        }
        Some(FeedItem::Tick(_)) => {}
        None if self.args.follow => self.feed = None,
        None => break,
      }
    }
    let lines: Vec<Line> =
      self.ready.drain(..).take(usize::try_from(self.left).unwrap_or(usize::MAX)).collect();
    self.left -= lines.len() as u64;
    Ok(lines)
  }

  /// Opens the feed after the last event; a server that is away is waited for when following.
  async fn connect(&mut self) -> Result<bool, CtlError> {
    let topics: Vec<&str> = self.args.topic.iter().map(|topic| topic.as_str()).collect();
    let call = Call::get("/events")
      .query_some("topics", (!topics.is_empty()).then(|| topics.join(",")))
      .query_some("since_seq", self.last.or((!self.args.follow).then_some(0)))
      .query_some("namespace_id", self.namespace.as_ref());
    match FeedStream::open(&self.client, call).await {
      Ok(feed) => {
        self.feed = Some(feed);
        self.opened = true;
        Ok(true)
      }
      Err(error) if self.opened && error.is_unreachable() => {
        tokio::time::sleep(RECONNECT).await;
        Ok(false)
      }
      Err(error) => Err(error),
    }
  }

  fn take(&mut self, frame: FeedFrame) {
    match self.last {
      Some(last) if frame.seq <= last => return,
      // With one namespace or some topics, numbers are missing by intent: prev_seq tells.
      Some(last) if frame.prev_seq > last => self.gap(last + 1, frame.prev_seq, None),
      _ => {}
    }
    self.last = Some(frame.seq);
    for change in frame.events {
      if wanted(&self.args.types, &change.event_type) {
        let (epoch, namespace_id) = (frame.epoch.clone(), frame.namespace_id.clone());
        self.ready.push_back(Line::Event { seq: frame.seq, epoch, namespace_id, change });
      }
    }
  }

  fn gap(&mut self, from: i64, to: i64, reason: Option<String>) {
    if to >= from {
      self.ready.push_back(Line::Gap { kind: "gap", from, to, reason });
    }
  }
}

/// `agent.*` is every type that begins so.
fn wanted(types: &[String], event_type: &str) -> bool {
  types.is_empty()
    || types.iter().any(|wanted| match wanted.strip_suffix('*') {
      Some(head) => event_type.starts_with(head),
      None => event_type == wanted,
    })
}

#[cfg(test)]
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

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn a_hole_is_told() {
    let place = crate::command::sample::place("http://127.0.0.1:1");
    let args = EventsArgs {
      follow: true,
      since_seq: None,
      topic: vec![],
      types: vec!["task.*".into()],
      count: None,
    };
    let client = Client::with_token(place, None, Duration::from_secs(1), 0).expect("a client");
    let mut reader = Reader {
      client,
      args,
      namespace: None,
      feed: None,
      last: Some(1),
      left: 9,
      ready: VecDeque::new(),
      opened: false,
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
  }
}
