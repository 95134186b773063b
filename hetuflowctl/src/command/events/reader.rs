//! Reads the log over the feed: goes on after a break, and finds where a hole ends.

use std::collections::VecDeque;
use std::time::Duration;

use hetuflow_core::{Change, FeedFrame};
use serde_json::{Value, json};

use super::line::Line;
use crate::cli::EventsArgs;
use crate::client::{Call, Client, CtlError, Exit, FeedItem, FeedStream};
use crate::command::expression::{Expression, glob};
use crate::command::session::Session;

const RECONNECT: Duration = Duration::from_secs(1);

/// A reader of the log.
pub struct Reader {
  client: Client,
  /// What is wanted.
  pub args: EventsArgs,
  namespace: Option<String>,
  /// The id that events must be about, or name as their job's.
  pub object: Option<String>,
  until: Option<Expression>,
  feed: Option<FeedStream>,
  last: Option<i64>,
  left: u64,
  ready: VecDeque<Line>,
  opened: bool,
  /// All is read.
  over: bool,
  /// How many are gone.
  pub gone: i64,
  /// Something is missing after `last`: up to here at most, and why.
  hole: Option<(i64, String)>,
}

impl Reader {
  /// Opens nothing yet.
  ///
  /// # Errors
  /// When there is no client, or `--until` cannot be read.
  pub fn new(session: &Session, args: &EventsArgs) -> Result<Self, CtlError> {
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
      over: false,
      gone: 0,
      hole: None,
    })
  }

  /// Some lines; none at the end.
  ///
  /// # Errors
  /// What the server says.
  pub async fn next(&mut self) -> Result<Vec<Line>, CtlError> {
    while self.ready.is_empty() && self.left > 0 && !self.over {
      if self.feed.is_none() && !self.connect().await? {
        continue;
      }
      let Some(feed) = &mut self.feed else { continue };
      match feed.next().await? {
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
          self.over = !self.args.follow;
        }
        // All that there was when we came; what comes meanwhile is for those who follow.
        Some(FeedItem::Tick(_)) if !self.args.follow => break,
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

  /// What `--strict` says of events that are gone.
  pub fn incomplete(&self) -> CtlError {
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
#[path = "tests.rs"]
mod tests;
