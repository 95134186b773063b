//! `events`: the event log, read or followed; a hole is told, never hidden.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::stream;
use hetuflow_core::{Change, FeedFrame, NamespaceId};
use serde::Serialize;
use serde_json::{Value, json};

use super::expression::{Expression, glob};
use super::object::{Kind, get};
use super::session::Session;
use crate::cli::EventsArgs;
use crate::client::{Call, Client, CtlError, Exit, FeedItem, FeedStream};
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
  /// The id that events must be about, or name as their job's.
  object: Option<String>,
  until: Option<Expression>,
  feed: Option<FeedStream>,
  last: Option<i64>,
  left: u64,
  ready: VecDeque<Line>,
  opened: bool,
  gone: i64,
  /// Something is missing after `last`: up to here at most, and why.
  hole: Option<(i64, String)>,
}

/// The newest events that the server still has, of the namespaces that lists show.
///
/// # Errors
/// What the server says.
pub async fn newest(session: &Session, count: usize) -> Result<Vec<Value>, CtlError> {
  let args = EventsArgs { from_seq: Some(0), ..EventsArgs::default() };
  let mut reader = Reader::new(session, &args)?;
  let mut kept = VecDeque::new();
  loop {
    let lines = reader.next().await?;
    if lines.is_empty() {
      return Ok(kept.into());
    }
    kept.extend(lines.iter().map(|line| json!(line)));
    kept.drain(..kept.len().saturating_sub(count));
  }
}

/// Reads or follows.
///
/// # Errors
/// What the server says.
pub async fn run(session: &Session, args: &EventsArgs) -> Result<Outcome, CtlError> {
  let mut reader = Reader::new(session, args)?;
  if let Some(text) = &args.object {
    reader.object = Some(object_id(session, text).await?);
  }
  let pages = stream::try_unfold(reader, |mut reader| async move {
    let lines = reader.next().await?;
    if lines.is_empty() {
      return if args_strict(&reader) { Err(reader.incomplete()) } else { Ok(None) };
    }
    let rows = lines.iter().map(Record::of).collect();
    Ok(Some((Page { rows, next: None }, reader)))
  });
  Ok(View::List(Rows::paged::<CtlError>(Line::COLUMNS, pages)).into())
}

fn args_strict(reader: &Reader) -> bool {
  reader.args.strict && reader.gone > 0
}

/// The id of `job/NAME`, `task/ID`, `agent/ID` …
async fn object_id(session: &Session, text: &str) -> Result<String, CtlError> {
  let Some((kind, name)) = text.split_once('/') else {
    return Err(
      CtlError::usage(format!("--object: \"{}\" has no kind", text.escape_debug()))
        .help("write  --object job/etl-daily"),
    );
  };
  Ok(match Kind::read(kind)? {
    Kind::Job => get::job(session, name).await?.id.to_string(),
    Kind::Schedule => get::schedule(session, name).await?.id.to_string(),
    Kind::Task => get::task(session, name).await?.id.to_string(),
    _ => name.to_owned(),
  })
}

impl Reader {
  fn new(session: &Session, args: &EventsArgs) -> Result<Self, CtlError> {
    Ok(Self {
      client: session.client()?.clone(),
      args: args.clone(),
      namespace: session.list_namespace()?,
      object: None,
      until: args.until.as_deref().map(Expression::parse).transpose()?,
      feed: None,
      last: args.from_seq.or_else(|| args.since.map(|_| 0)),
      left: args.count.unwrap_or(u64::MAX),
      ready: VecDeque::new(),
      opened: false,
      gone: 0,
      hole: None,
    })
  }

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
        // The server goes on at its newest event. What it still has before that is read from its
        // begin: only then is it known where the hole ends.
        Some(FeedItem::Resync(resync)) if self.last.is_some() => {
          self.hole = Some((resync.from_seq, resync.reason));
          self.feed = None;
        }
        Some(FeedItem::Resync(resync)) => self.last = Some(resync.from_seq),
        Some(FeedItem::Tick(_)) if self.hole.is_some() => {
          let (to, reason) = self.hole.take().expect("it was just seen");
          self.gap(self.last.map_or(0, |last| last + 1), to, Some(reason));
          self.last = self.last.max(Some(to));
        }
        Some(FeedItem::Tick(tick))
          if !self.args.follow && self.last.is_none_or(|last| tick.seq <= last) =>
        {
          break;
        }
        // Where nothing was seen yet, a break goes on from here.
        Some(FeedItem::Tick(tick)) => {
          self.last.get_or_insert(tick.seq);
        }
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
    let since = match &self.hole {
      Some(_) => Some(0),
      None => self.last.or((!self.args.follow).then_some(0)),
    };
    let call = Call::get("/events")
      .query_some("topics", (!topics.is_empty()).then(|| topics.join(",")))
      .query_some("since_seq", since)
      .query_some("namespace_id", self.namespace.as_ref());
    match FeedStream::open(&self.client, call).await {
      Ok(feed) => {
        self.feed = Some(feed);
        self.opened = true;
        Ok(true)
      }
      // Only who follows waits for a server that is away.
      Err(error) if self.opened && error.is_unreachable() => {
        tokio::time::sleep(RECONNECT).await;
        Ok(false)
      }
      Err(error) => Err(error),
    }
  }

  fn take(&mut self, frame: FeedFrame) {
    match (self.last, self.hole.take()) {
      // The journal reaches back to what was seen: nothing is gone.
      (Some(last), _) if frame.seq <= last => return,
      (Some(last), Some((_, reason))) => {
        self.gap(last + 1, frame.prev_seq.max(frame.seq - 1), Some(reason));
      }
      // With one namespace or some topics, numbers are missing by intent: prev_seq tells.
      (Some(last), None) if frame.prev_seq > last => self.gap(last + 1, frame.prev_seq, None),
      _ => {}
    }
    self.last = Some(frame.seq);
    for change in frame.events {
      if !self.is_wanted(&change) {
        continue;
      }
      let (epoch, namespace_id) = (frame.epoch.clone(), frame.namespace_id.clone());
      let line = Line::Event { seq: frame.seq, epoch, namespace_id, change };
      let ends = self.until.as_ref().is_some_and(|until| until.matches(&json!(line)));
      self.ready.push_back(line);
      if ends {
        self.left = self.left.min(self.ready.len() as u64);
        return;
      }
    }
  }

  fn is_wanted(&self, change: &Change) -> bool {
    let of_object = |id: &String| {
      change.subject.id == *id || change.data.get("job_id").and_then(Value::as_str) == Some(id)
    };
    wanted(&self.args.types, &change.event_type)
      && self.args.since.is_none_or(|since| change.at >= since)
      && self.object.as_ref().is_none_or(of_object)
  }

  fn incomplete(&self) -> CtlError {
    CtlError::new(Exit::Incomplete, format!("{} events are no longer kept", self.gone))
  }

  fn gap(&mut self, from: i64, to: i64, reason: Option<String>) {
    if to >= from {
      self.gone += to - from + 1;
      self.ready.push_back(Line::Gap { kind: "gap", from, to, reason });
    }
  }
}

/// `agent.*` is every type that begins so.
fn wanted(types: &[String], event_type: &str) -> bool {
  types.is_empty() || types.iter().any(|wanted| glob(wanted, event_type))
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
}
