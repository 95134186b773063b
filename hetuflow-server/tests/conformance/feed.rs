//! The feed over a real journal: readers that are too slow, or come too late.

use std::sync::Arc;
use std::time::Duration;

use hetuflow_core::*;
use hetuflow_server::infra::bmc::event_bmc::{self, Journal};
use hetuflow_server::infra::bus::Bus;
use hetuflow_server::infra::db::DbError;
use hetuflow_server::service::{Actor, FeedItem, FeedReader, FeedSvc, Store};
use hetuflow_tests::wait;
use tokio_util::sync::CancellationToken;

use crate::engines::TestStore;

/// Longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(60);

struct Running {
  feed: Arc<FeedSvc>,
  bus: Arc<Bus>,
  stop: CancellationToken,
  run: tokio::task::JoinHandle<()>,
}

fn run(store: &TestStore) -> Running {
  let bus = Arc::new(Bus::default());
  let feed = FeedSvc::new(Store::new(store.db.clone(), bus.clone()), "epoch".to_owned());
  let stop = CancellationToken::new();
  let run = tokio::spawn(feed.clone().run(stop.clone()));
  Running { feed, bus, stop, run }
}

/// One row of the journal for each name; all in one transaction.
async fn append(store: &TestStore, names: impl Iterator<Item = String>) {
  let mut tx = store.db.begin().await.unwrap();
  for name in names {
    let mut journal = Journal::default();
    let subject = Subject { kind: Topic::Task, id: name };
    let event_type = "task.created".to_owned();
    let change = Change { at: Ts::now(), subject, event_type, data: serde_json::Value::Null };
    journal.push(&NamespaceId::default(), change);
    event_bmc::append(&mut tx, &journal, Ts::now()).await.unwrap();
  }
  tx.end::<_, DbError>(Ok(())).await.unwrap();
}

/// The next item that is no tick.
async fn next(reader: &mut FeedReader) -> FeedItem {
  let item = async {
    loop {
      match reader.next().await {
        FeedItem::Tick(_) => {}
        item => return item,
      }
    }
  };
  tokio::time::timeout(LIMIT, item).await.expect("an item")
}

/// The name in a frame, with its numbers.
fn told(item: FeedItem) -> (String, i64, i64) {
  match item {
    FeedItem::Frame(frame) => (frame.events[0].subject.id.clone(), frame.prev_seq, frame.seq),
    other => panic!("no frame: {other:?}"),
  }
}

async fn newest(store: &TestStore) -> i64 {
  let mut conn = store.db.read().await.unwrap();
  event_bmc::bounds(&mut conn).await.unwrap().1
}

pub async fn a_slow_reader_starts_anew(store: &TestStore) {
  let Running { feed, bus, stop, run } = run(store);
  let wish = Subscribe::default();
  let mut slow = feed.subscribe(&Actor::system(), &wish).await.unwrap();
  let mut quick = feed.subscribe(&Actor::system(), &wish).await.unwrap();
  append(store, std::iter::once("first".to_owned())).await;
  bus.events.notify_one();
  let (name, _, mut seq) = told(next(&mut quick).await);
  assert_eq!(name, "first");
  // More than a reader may be behind, while the quick one keeps up.
  for part in 0..15 {
    append(store, (0..100).map(|n| format!("{part}-{n}"))).await;
    bus.events.notify_one();
    for n in 0..100 {
      let (name, before, after) = told(next(&mut quick).await);
      assert_eq!((name, before), (format!("{part}-{n}"), seq));
      seq = after;
    }
  }
  let FeedItem::Resync(resync) = next(&mut slow).await else { panic!("it has missed nothing") };
  assert_eq!((resync.epoch.as_str(), resync.reason.as_str()), ("epoch", "too slow"));
  assert_eq!(resync.from_seq, newest(store).await);
  // From there on it hears everything, in one chain.
  append(store, ["a", "b"].map(str::to_owned).into_iter()).await;
  bus.events.notify_one();
  let mut seq = resync.from_seq;
  for wanted in ["a", "b"] {
    let (name, before, after) = told(next(&mut slow).await);
    assert_eq!((name.as_str(), before), (wanted, seq));
    seq = after;
  }
  stop.cancel();
  run.await.unwrap();
}

pub async fn a_journal_that_was_cut_is_told(store: &TestStore) {
  let Running { feed, bus, stop, run } = run(store);
  append(store, (0..10).map(|n| n.to_string())).await;
  let last = newest(store).await;
  // Kept: a reader that comes back gets all of it.
  let since = |seq| Subscribe { since_seq: Some(seq), ..Subscribe::default() };
  let mut back = feed.subscribe(&Actor::system(), &since(last - 3)).await.unwrap();
  for n in 7..10 {
    assert_eq!(told(next(&mut back).await).0, n.to_string());
  }
  // Dropped: it is told that there is a hole, and where to go on.
  let mut tx = store.db.begin().await.unwrap();
  let all = (Ts::from_micros(0), Ts::now().plus(Duration::from_secs(60)));
  let gone = event_bmc::delete_part(&mut tx, all).await;
  let (gone, rest) = tx.end::<_, DbError>(gone).await.unwrap();
  assert!(gone > 0 && rest.is_none(), "{gone} {rest:?}");
  append(store, std::iter::once("after".to_owned())).await;
  bus.events.notify_one();
  wait::until("the feed to see it", LIMIT, || {
    bus.events.notify_one();
    async { (newest(store).await > last).then_some(()) }
  })
  .await
  .unwrap();
  let mut late = feed.subscribe(&Actor::system(), &since(last - 5)).await.unwrap();
  let FeedItem::Resync(resync) = next(&mut late).await else { panic!("a hole is not told") };
  assert!(resync.reason.contains("reaches back"), "{resync:?}");
  // Not one number too many is given up: the newest row of then is still there, and follows.
  assert_eq!((resync.from_seq, resync.first_seq, resync.missed), (last - 1, Some(last), None));
  append(store, std::iter::once("new".to_owned())).await;
  bus.events.notify_one();
  let mut names = vec![told(next(&mut late).await).0];
  while names.last().is_some_and(|name| name != "new") {
    names.push(told(next(&mut late).await).0);
  }
  assert_eq!(names, ["9", "after", "new"]);
  stop.cancel();
  run.await.unwrap();
}
