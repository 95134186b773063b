//! The feed: one reader follows the journal for all subscribers of this server and shares what it
//! read. Nobody who is slow holds anybody up: who falls behind is told to start anew.

use std::sync::Arc;
use std::time::Duration;

use hetuflow_core::{Change, FeedFrame, NamespaceId, Resync, Subscribe, Tick, Topic, Ts};
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;

use super::{Actor, Store, SvcResult, feed_snapshot};
use crate::infra::bmc::event_bmc::{self, EventBatch};

/// Journal rows that a subscriber may be behind.
const BACKLOG_MAX: usize = 1024;
/// Journal rows read in one go.
const BATCH_MAX: i64 = 200;
/// How often the journal is read without a wake.
const POLL: Duration = Duration::from_secs(1);
/// Shortest time between two looks at the journal's number where nobody reads the journal itself.
const PULSE_GAP: Duration = Duration::from_millis(40);
/// How often a quiet feed says that it lives.
const TICK: Duration = Duration::from_secs(5);

/// What a subscriber gets.
#[derive(Debug, Clone)]
pub enum FeedItem {
  /// Changes.
  Frame(FeedFrame),
  /// Nothing happened for a while.
  Tick(Tick),
  /// Changes are gone for this subscriber.
  Resync(Resync),
  /// The feed is over, and why.
  Closed(String),
}

/// The feed of one server.
pub struct FeedSvc {
  store: Store,
  epoch: String,
  frames: broadcast::Sender<Arc<EventBatch>>,
  position: watch::Sender<Option<i64>>,
  /// The newest number of the journal, while anybody wants to know.
  pulse: watch::Sender<i64>,
}

impl FeedSvc {
  /// A feed over a store whose journal has this epoch.
  pub fn new(store: Store, epoch: String) -> Arc<Self> {
    let frames = broadcast::channel(BACKLOG_MAX).0;
    Arc::new(Self {
      store,
      epoch,
      frames,
      position: watch::channel(None).0,
      pulse: watch::channel(0).0,
    })
  }

  /// The journal's epoch.
  pub fn epoch(&self) -> &str {
    &self.epoch
  }

  /// Follows the journal while anybody listens.
  pub async fn run(self: Arc<Self>, stop: CancellationToken) {
    loop {
      tokio::select! {
        () = self.store.bus.events.notified() => {}
        () = tokio::time::sleep(POLL) => {}
        () = stop.cancelled() => return,
      }
      let followed = if self.frames.receiver_count() == 0 {
        self.position.send_replace(None);
        self.beat().await
      } else {
        self.follow().await
      };
      if let Err(error) = followed {
        tracing::warn!(error = &error as &dyn std::error::Error, "cannot read the journal");
      }
    }
  }

  /// Hears the journal's newest number grow.
  pub(super) fn pulse(&self) -> watch::Receiver<i64> {
    let pulse = self.pulse.subscribe();
    self.store.bus.events.notify_one();
    pulse
  }

  /// Looks at the journal's number alone, where somebody wants to know no more.
  async fn beat(&self) -> Result<(), crate::infra::db::DbError> {
    if self.pulse.receiver_count() == 0 {
      return Ok(());
    }
    let mut conn = self.store.db.read().await?;
    let newest = event_bmc::newest(&mut conn).await?;
    drop(conn);
    self.tell_pulse(newest);
    tokio::time::sleep(PULSE_GAP).await;
    Ok(())
  }

  fn tell_pulse(&self, newest: i64) {
    self.pulse.send_if_modified(|known| std::mem::replace(known, newest) != newest);
  }

  async fn follow(&self) -> Result<(), crate::infra::db::DbError> {
    let mut conn = self.store.db.read().await?;
    let position = *self.position.borrow();
    let mut at = match position {
      Some(at) => at,
      None => {
        let newest = event_bmc::bounds(&mut conn).await?.1;
        self.position.send_replace(Some(newest));
        self.tell_pulse(newest);
        newest
      }
    };
    loop {
      let batches = event_bmc::list_after(&mut conn, at, BATCH_MAX).await?;
      let Some(last) = batches.last() else { return Ok(()) };
      at = last.seq;
      for batch in batches {
        // Before it is sent: whoever starts anew meanwhile goes on behind it, and must not be
        // told a place from which it would miss it.
        self.position.send_replace(Some(batch.seq));
        // Nobody listening any more is fine.
        let _listeners = self.frames.send(Arc::new(batch));
      }
      self.tell_pulse(at);
    }
  }

  /// Subscribes; with `since_seq` what was missed comes first.
  ///
  /// # Errors
  /// 403 or 404 for a namespace that the actor may not see.
  pub async fn subscribe(
    self: &Arc<Self>,
    actor: &Actor,
    wish: &Subscribe,
  ) -> SvcResult<FeedReader> {
    let namespace = wish.namespace_id.clone().or_else(|| actor.namespace_id.clone());
    match &namespace {
      Some(namespace) => actor.require(hetuflow_core::Role::Viewer, namespace)?,
      None => actor.require_role(hetuflow_core::Role::Viewer)?,
    }
    let frames = self.frames.subscribe();
    self.store.bus.events.notify_one();
    let mut position = self.position.subscribe();
    let newest = event_bmc::bounds(&mut self.store.db.read().await?).await?.1;
    let live_from = loop {
      if let Some(at) = *position.borrow_and_update() {
        break at;
      }
      if tokio::time::timeout(POLL * 3, position.changed()).await.is_err() {
        let mut conn = self.store.db.read().await?;
        break event_bmc::bounds(&mut conn).await?.1;
      }
    };
    let first = if wish.snapshot {
      feed_snapshot::read(&self.store, wish, namespace.as_ref()).await?
    } else {
      Vec::new()
    };
    Ok(FeedReader {
      first,
      feed: Arc::clone(self),
      topics: wish.topics.clone(),
      namespace,
      cursor: wish.since_seq.unwrap_or(live_from),
      live_from,
      newest: Some(newest),
      told: wish.since_seq.unwrap_or(live_from),
      replay: Vec::new(),
      frames,
    })
  }
}

/// One subscription.
pub struct FeedReader {
  /// What existed, by namespace, told before any change.
  first: Vec<(NamespaceId, Vec<Change>)>,
  feed: Arc<FeedSvc>,
  topics: Vec<Topic>,
  namespace: Option<NamespaceId>,
  /// Everything up to here was read.
  cursor: i64,
  /// From here on the shared reader brings everything.
  live_from: i64,
  /// The newest number when the subscriber came, until it was told that it has come so far.
  newest: Option<i64>,
  /// The last number that the subscriber was told.
  told: i64,
  replay: Vec<EventBatch>,
  frames: broadcast::Receiver<Arc<EventBatch>>,
}

impl FeedReader {
  /// The number up to which the subscriber has all that it wants.
  pub fn covered(&self) -> i64 {
    self.cursor.max(self.told)
  }

  /// The next item. Cancelling it loses nothing.
  pub async fn next(&mut self) -> FeedItem {
    if let Some((namespace_id, events)) = self.first.pop() {
      let (epoch, seq) = (self.feed.epoch.clone(), self.told);
      return FeedItem::Frame(FeedFrame { epoch, prev_seq: seq, seq, namespace_id, events });
    }
    loop {
      if let Some(batch) = self.replay.pop() {
        self.cursor = batch.seq;
        if let Some(item) = self.select(&batch) {
          return item;
        }
        continue;
      }
      if self.cursor < self.live_from {
        match self.read_replay().await {
          Ok(None) => continue,
          Ok(Some(item)) => return item,
          Err(error) => return FeedItem::Closed(error.to_string()),
        }
      }
      if self.newest.take_if(|newest| *newest <= self.cursor).is_some() {
        return self.tick();
      }
      match tokio::time::timeout(TICK, self.frames.recv()).await {
        Err(_quiet) => return self.tick(),
        Ok(Ok(batch)) if batch.seq <= self.cursor => {}
        Ok(Ok(batch)) => {
          self.cursor = batch.seq;
          if let Some(item) = self.select(&batch) {
            return item;
          }
        }
        Ok(Err(broadcast::error::RecvError::Lagged(_))) => return self.resync_when_slow().await,
        Ok(Err(broadcast::error::RecvError::Closed)) => {
          return FeedItem::Closed("the server stops".to_owned());
        }
      }
    }
  }

  /// Tells how far it has come. What a frame calls the number before it stays that of a frame.
  fn tick(&self) -> FeedItem {
    FeedItem::Tick(Tick { epoch: self.feed.epoch.clone(), seq: self.covered(), at: Ts::now() })
  }

  async fn read_replay(&mut self) -> Result<Option<FeedItem>, crate::infra::db::DbError> {
    let mut conn = self.feed.store.db.read().await?;
    let oldest = event_bmc::bounds(&mut conn).await?.0;
    if self.cursor > 0 && oldest > self.cursor + 1 && self.told < oldest - 1 {
      return Ok(Some(self.resync_at_cut(oldest)));
    }
    let mut batches = event_bmc::list_after(&mut conn, self.cursor, BATCH_MAX).await?;
    batches.retain(|batch| batch.seq <= self.live_from);
    if batches.is_empty() {
      self.cursor = self.live_from;
    }
    batches.reverse();
    self.replay = batches;
    Ok(None)
  }

  /// The journal was cut: what is left of it follows.
  fn resync_at_cut(&mut self, oldest: i64) -> FeedItem {
    self.cursor = oldest - 1;
    self.told = self.cursor;
    let reason = "the journal no longer reaches back that far".to_owned();
    let epoch = self.feed.epoch.clone();
    let from_seq = self.cursor;
    FeedItem::Resync(Resync { epoch, from_seq, reason, first_seq: Some(oldest), missed: None })
  }

  /// The reader fell behind: it goes on with what comes now.
  async fn resync_when_slow(&mut self) -> FeedItem {
    self.frames = self.frames.resubscribe();
    let from_seq = (*self.feed.position.borrow()).unwrap_or(self.cursor).max(self.cursor);
    let missed = self.count_missed(from_seq).await.ok();
    self.cursor = from_seq;
    self.told = from_seq;
    let (epoch, reason) = (self.feed.epoch.clone(), "too slow".to_owned());
    FeedItem::Resync(Resync { epoch, from_seq, reason, first_seq: None, missed })
  }

  async fn count_missed(&self, until: i64) -> Result<i64, crate::infra::db::DbError> {
    let mut conn = self.feed.store.db.read().await?;
    event_bmc::count_between(&mut conn, (self.cursor, until), self.namespace.as_ref()).await
  }

  fn select(&mut self, batch: &EventBatch) -> Option<FeedItem> {
    if self.namespace.as_ref().is_some_and(|wanted| *wanted != batch.namespace_id) {
      return None;
    }
    let wanted =
      |change: &&Change| self.topics.is_empty() || self.topics.contains(&change.subject.kind);
    let events: Vec<Change> = batch.changes.iter().filter(wanted).cloned().collect();
    if events.is_empty() {
      return None;
    }
    let prev_seq = std::mem::replace(&mut self.told, batch.seq);
    Some(FeedItem::Frame(FeedFrame {
      epoch: self.feed.epoch.clone(),
      prev_seq,
      seq: batch.seq,
      namespace_id: batch.namespace_id.clone(),
      events,
    }))
  }
}
