//! Readers and the answers that they share.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use hetuflow_core::{ErrorCode, Scope, ServerId, Ts, WATCH_HZ_MAX, Watch, WatchError, WatchFrame};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::answer::{Answer, Found, frame};
use super::question::Question;
use super::rates::RateBook;
use super::{agents, events, fires, jobs, overview, servers, task_detail, tasks};
use crate::infra::bmc::event_bmc;
use crate::infra::db::Conn;
use crate::service::{Actor, FeedSvc, Store, SvcError, SvcResult};

/// Frames a second where none are said.
const HZ_DEFAULT: u8 = 4;
/// How often answers that age are asked again.
const AGE_MAX: Duration = Duration::from_millis(1500);
/// How long a question that failed is left alone.
const REST_AFTER_ERROR: Duration = Duration::from_secs(1);
/// A question may keep the database busy for one part in so many of the time.
const REST_PER_COST: u32 = 3;
/// Counts that took longer are not made with every answer.
const COUNT_COST_FREE: Duration = Duration::from_millis(5);
/// Counts may keep the database busy for one part in so many of the time.
const REST_PER_COUNT: u32 = 20;

/// Figures of this server, for its row in the list of servers.
pub type OwnFigures = Box<dyn Fn() -> BTreeMap<String, f64> + Send + Sync>;

/// Watches of one server.
pub struct WatchSvc {
  pub(super) store: Store,
  feed: Arc<FeedSvc>,
  /// This server.
  pub(super) server: ServerId,
  /// Its figures.
  pub(super) figures: OwnFigures,
  /// What happened in the last minutes.
  pub(super) rates: tokio::sync::Mutex<RateBook>,
  shared: Mutex<HashMap<Question, Weak<Shared>>>,
}

/// The one answer to a question, for all who ask it.
pub(super) struct Shared {
  question: Question,
  state: tokio::sync::Mutex<State>,
}

#[derive(Default)]
struct State {
  answer: Option<Arc<Answer>>,
  asked: Option<Instant>,
  counts: Counts,
}

/// Counts that are kept for a while, because they cost more than a window.
#[derive(Default)]
pub(super) struct Counts {
  known: Option<(u64, u64)>,
  cost: Duration,
  at: Option<Instant>,
}

impl Counts {
  /// The counts, where they need not be made again yet.
  pub(super) fn fresh(&self) -> Option<(u64, u64)> {
    let rest =
      if self.cost > COUNT_COST_FREE { self.cost * REST_PER_COUNT } else { Duration::ZERO };
    self.known.filter(|_| self.at.is_some_and(|at| at.elapsed() < rest))
  }

  /// Keeps what was counted since `began`.
  pub(super) fn keep(&mut self, counts: (u64, u64), began: Instant) {
    (self.known, self.cost, self.at) = (Some(counts), began.elapsed(), Some(Instant::now()));
  }
}

impl WatchSvc {
  /// Watches over a store, woken by the feed that follows its journal.
  pub fn new(
    store: Store,
    feed: Arc<FeedSvc>,
    (server, figures): (ServerId, OwnFigures),
  ) -> Arc<Self> {
    Arc::new(Self {
      store,
      feed,
      server,
      figures,
      rates: Default::default(),
      shared: Mutex::default(),
    })
  }

  /// The journal's epoch.
  pub fn epoch(&self) -> &str {
    self.feed.epoch()
  }

  /// Begins a watch.
  ///
  /// # Errors
  /// 403 or 404 for what the asker may not see.
  pub fn watch(self: &Arc<Self>, actor: &Actor, watch: &Watch) -> SvcResult<WatchReader> {
    let question = Question::of(actor, watch)?;
    let hz = if watch.max_hz == 0 { HZ_DEFAULT } else { watch.max_hz.min(WATCH_HZ_MAX) };
    let pulse = self.feed.pulse();
    Ok(WatchReader {
      id: watch.id.clone(),
      covered: Arc::new(AtomicI64::new(0)),
      shared: self.shared(question),
      hub: Arc::clone(self),
      stop: CancellationToken::new(),
      pulse,
      last: None,
      told: 0,
      gap: Duration::from_secs(1) / u32::from(hz),
      next_at: Instant::now(),
    })
  }

  /// The whole window once.
  ///
  /// # Errors
  /// What the asker may not see, or what is wrong with the question.
  pub async fn snapshot(self: &Arc<Self>, actor: &Actor, watch: &Watch) -> SvcResult<WatchFrame> {
    let question = Question::of(actor, watch)?;
    let shared = self.shared(question);
    let mut state = shared.state.lock().await;
    let answer = self.ask(&shared.question, &mut state).await?;
    let whole = frame((&watch.id, self.epoch()), None, &answer);
    Ok(whole.expect("a first frame is never empty"))
  }

  fn shared(&self, question: Question) -> Arc<Shared> {
    let mut all = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = all.get(&question).and_then(Weak::upgrade) {
      return known;
    }
    all.retain(|_, shared| shared.strong_count() > 0);
    let shared = Arc::new(Shared { question: question.clone(), state: Default::default() });
    all.insert(question, Arc::downgrade(&shared));
    shared
  }

  /// Questions that somebody asks now.
  pub fn open_questions(&self) -> usize {
    let all = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
    all.values().filter(|shared| shared.strong_count() > 0).count()
  }

  /// An answer that covers the journal up to `seq` and is no older than it may be.
  async fn answer(&self, shared: &Shared, seq: i64) -> Arc<Answer> {
    let mut state = shared.state.lock().await;
    let age = state.asked.map(|asked| asked.elapsed());
    if let (Some(answer), Some(age)) = (&state.answer, age) {
      let young = !answer.found.ages || age < AGE_MAX / 2;
      let rests = answer.found.error.is_some() && age < REST_AFTER_ERROR;
      if (answer.seq >= seq && young) || rests {
        return Arc::clone(answer);
      }
    }
    let began = Instant::now();
    match self.ask(&shared.question, &mut state).await {
      Ok(answer) => answer,
      Err(error) => {
        // The last picture stays; the reader is told why it does not move.
        let before = state.answer.as_deref();
        let mut found = before.map(|answer| answer.found.clone()).unwrap_or_default();
        found.error = Some(told(&error));
        found.ages = true;
        let seq = before.map_or(0, |answer| answer.seq);
        let answer = Answer { seq, at: Ts::now(), cost: began.elapsed(), found };
        let answer = Arc::new(answer);
        state.answer = Some(Arc::clone(&answer));
        state.asked = Some(Instant::now());
        answer
      }
    }
  }

  /// Asks the database. The journal's number is read first, so that the answer holds at least
  /// everything up to it.
  async fn ask(&self, question: &Question, state: &mut State) -> SvcResult<Arc<Answer>> {
    let began = Instant::now();
    let mut conn = self.store.read().await?;
    let seq = event_bmc::newest(&mut conn).await?;
    let now = conn.now().await?;
    let found = self.find(&mut conn, question, (now, seq), &mut state.counts).await?;
    let answer = Arc::new(Answer { seq, at: now, cost: began.elapsed(), found });
    state.answer = Some(Arc::clone(&answer));
    state.asked = Some(Instant::now());
    Ok(answer)
  }

  async fn find(
    &self,
    conn: &mut Conn,
    question: &Question,
    (now, seq): (Ts, i64),
    counts: &mut Counts,
  ) -> SvcResult<Found> {
    match question.scope {
      Scope::Overview => overview::find(self, conn, question, (now, seq)).await,
      Scope::Tasks => tasks::find(conn, question, now, counts).await,
      Scope::Jobs => jobs::find(self, conn, question, now).await,
      Scope::Agents => agents::find(conn, question, now).await,
      Scope::Events => events::find(conn, question, (seq, now), counts).await,
      Scope::Servers => servers::find(self, conn, question, now).await,
      Scope::Fires => fires::find(self, conn, question, now).await,
      Scope::Task => task_detail::find(conn, question).await,
      Scope::Job => jobs::find_one(self, conn, question, now).await,
    }
  }
}

/// What a reader is told of an error.
fn told(error: &SvcError) -> WatchError {
  let response = error.response();
  if matches!(response.code, ErrorCode::InternalError) {
    tracing::error!(error = error as &dyn std::error::Error, "a watch could not be answered");
  }
  let details = response.details.as_ref();
  let column = details.and_then(|details| details["column"].as_u64());
  let code = response.errors.first().map(|rule| rule.code.clone());
  WatchError {
    code: code.unwrap_or_else(|| response.code.to_string()),
    message: response.err_msg,
    column: column.and_then(|column| u32::try_from(column).ok()),
    hint: response.hint.unwrap_or_default(),
  }
}

/// One watch of one reader.
pub struct WatchReader {
  id: String,
  covered: Arc<AtomicI64>,
  shared: Arc<Shared>,
  hub: Arc<WatchSvc>,
  stop: CancellationToken,
  pulse: watch::Receiver<i64>,
  last: Option<Arc<Answer>>,
  told: i64,
  gap: Duration,
  next_at: Instant,
}

impl WatchReader {
  /// The reader's name for it.
  pub fn id(&self) -> &str {
    &self.id
  }

  /// The journal's number up to which the reader knows everything of this watch; it moves also
  /// where nothing of the watch changed.
  pub fn covered(&self) -> Arc<AtomicI64> {
    Arc::clone(&self.covered)
  }

  /// Ends the watch at its next wait, so that no question is broken off.
  pub fn stopper(&self) -> CancellationToken {
    self.stop.clone()
  }

  /// The next frame; `None` once it was stopped. Cancelling it loses nothing.
  pub async fn next(&mut self) -> Option<WatchFrame> {
    loop {
      let waited = async {
        tokio::time::sleep_until(self.next_at.into()).await;
        if let Some(last) = &self.last {
          wait_for_news(&mut self.pulse, last).await;
        }
      };
      tokio::select! {
        () = self.stop.cancelled() => return None,
        () = waited => {}
      }
      let wanted = *self.pulse.borrow_and_update();
      let answer = self.hub.answer(&self.shared, wanted).await;
      if self.stop.is_cancelled() {
        // Another watch may have its name by now.
        return None;
      }
      self.next_at = Instant::now() + self.gap.max(answer.cost * REST_PER_COST);
      let before = self.last.as_deref().map(|last| (self.told, last));
      let frame = frame((&self.id, self.hub.epoch()), before, &answer);
      self.covered.fetch_max(answer.seq, Ordering::Relaxed);
      self.last = Some(answer);
      if let Some(frame) = frame {
        self.told = frame.seq;
        return Some(frame);
      }
    }
  }
}

/// Waits until the journal is past an answer, or the answer is too old.
async fn wait_for_news(pulse: &mut watch::Receiver<i64>, last: &Answer) {
  let moved = async {
    // A pulse that is gone never beats again: the server stops.
    if pulse.wait_for(|seq| *seq > last.seq).await.is_err() {
      std::future::pending::<()>().await;
    }
  };
  if last.found.ages {
    let _moved_or_old = tokio::time::timeout(AGE_MAX, moved).await;
  } else {
    moved.await;
  }
}
