//! What happened in each five seconds of the last quarter of an hour, counted from the journal as far
//! as it was not counted before. Nobody asks: nothing is counted.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use hetuflow_core::{Change, NamespaceId, RATE_BUCKET_SECS, Rates, Ts};

use crate::infra::bmc::event_bmc;
use crate::infra::bmc::watch_events;
use crate::infra::db::Conn;
use crate::service::SvcResult;

/// Buckets that are shown: 15 minutes.
const BUCKETS: i64 = 180;
const BUCKET_MICROS: i64 = RATE_BUCKET_SECS as i64 * 1_000_000;
const REACH: Duration = Duration::from_secs(15 * 60);
/// Counts that nobody looked at for so long are dropped.
const KEPT: Duration = Duration::from_secs(600);
/// Journal rows that one look reads; a long way is gone in several looks.
const BATCHES: i64 = 200;
const BATCHES_MAX: i64 = 2000;

/// Started, done, failed, retried.
type Counts = [u32; 4];

/// Counts by bucket and namespace.
#[derive(Debug, Default)]
pub(in crate::service) struct RateBook {
  upto: Option<i64>,
  buckets: BTreeMap<i64, HashMap<NamespaceId, Counts>>,
  looked: Option<Instant>,
}

impl RateBook {
  /// The rates of a namespace, or of all.
  ///
  /// # Errors
  /// Any database error.
  pub(super) async fn read(
    &mut self,
    conn: &mut Conn,
    namespace: Option<&NamespaceId>,
    now: Ts,
  ) -> SvcResult<Rates> {
    if self.looked.is_none_or(|looked| looked.elapsed() > KEPT) {
      *self = Self::default();
    }
    self.looked = Some(Instant::now());
    let mut upto = match self.upto {
      Some(upto) => upto,
      None => match watch_events::number_before(conn, now.minus(REACH)).await? {
        Some(upto) => upto,
        None => event_bmc::newest(conn).await?,
      },
    };
    let mut read = 0;
    while read < BATCHES_MAX {
      let batches = event_bmc::list_after(conn, upto, BATCHES).await?;
      let count = batches.len() as i64;
      for batch in batches {
        upto = batch.seq;
        for change in &batch.changes {
          self.count(&batch.namespace_id, change, now);
        }
      }
      self.upto = Some(upto);
      read += count;
      if count < BATCHES {
        break;
      }
    }
    self.upto = Some(upto);
    Ok(self.rates(namespace, now))
  }

  fn count(&mut self, namespace: &NamespaceId, change: &Change, now: Ts) {
    let adds = match change.event_type.as_str() {
      "task.running" => [1, 0, 0, 0],
      "task.waiting_retry" => [0, 0, 0, 1],
      "task.failed" | "task.lost" => [0, 1, 1, 0],
      "task.succeeded" | "task.cancelled" | "task.skipped" | "task.expired" => [0, 1, 0, 0],
      _ => return,
    };
    // Instants of agents may be ahead of this clock.
    let bucket = change.at.min(now).micros().div_euclid(BUCKET_MICROS);
    let of_all = self.buckets.entry(bucket).or_default();
    let counts = of_all.entry(namespace.clone()).or_default();
    for (count, add) in counts.iter_mut().zip(adds) {
      *count = count.saturating_add(add);
    }
  }

  fn rates(&mut self, namespace: Option<&NamespaceId>, now: Ts) -> Rates {
    let end = now.micros().div_euclid(BUCKET_MICROS);
    self.buckets = self.buckets.split_off(&(end - BUCKETS));
    let sum = |bucket: i64| {
      let mut sums = Counts::default();
      for (owner, counts) in self.buckets.get(&bucket).into_iter().flatten() {
        if namespace.is_none_or(|namespace| namespace == owner) {
          for (sum, count) in sums.iter_mut().zip(counts) {
            *sum = sum.saturating_add(*count);
          }
        }
      }
      sums
    };
    let all: Vec<Counts> = (end - BUCKETS..end).map(sum).collect();
    let column = |index: usize| all.iter().map(|counts| counts[index]).collect();
    Rates {
      until: Some(Ts::from_micros(end * BUCKET_MICROS)),
      started: column(0),
      done: column(1),
      failed: column(2),
      retried: column(3),
    }
  }
}

#[cfg(test)]
mod tests {
  use hetuflow_core::{Subject, Topic};

  use super::*;

  #[test]
  fn changes_fall_into_their_bucket_and_namespace() {
    let now: Ts = "2026-11-21T10:00:02Z".parse().expect("an instant");
    let change = |at: &str, what: &str| Change {
      at: at.parse().expect("an instant"),
      subject: Subject { kind: Topic::Task, id: "x".to_owned() },
      event_type: what.to_owned(),
      data: serde_json::Value::Null,
    };
    let (a, b) = (NamespaceId::default(), NamespaceId::new("b").expect("a name"));
    let mut book = RateBook::default();
    book.count(&a, &change("2026-11-21T09:59:56Z", "task.failed"), now);
    book.count(&b, &change("2026-11-21T09:59:59.9Z", "task.succeeded"), now);
    book.count(&b, &change("2026-11-21T09:59:54Z", "task.waiting_retry"), now);
    book.count(&b, &change("2026-11-21T10:00:01Z", "task.running"), now);
    book.count(&b, &change("2026-11-21T09:00:00Z", "task.running"), now);
    book.count(&b, &change("2026-11-21T09:59:59Z", "job.updated"), now);
    let all = book.rates(None, now);
    assert_eq!(all.until.expect("an end").to_string(), "2026-11-21T10:00:00Z");
    assert_eq!((all.done.len(), all.done[179], all.failed[179], all.retried[178]), (180, 2, 1, 1));
    assert_eq!(all.started.iter().sum::<u32>(), 0, "the bucket that is not whole is not shown");
    let one = book.rates(Some(&a), now);
    assert_eq!((one.done[179], one.failed[179]), (1, 1));
    assert_eq!(book.buckets.len(), 3, "what is too old is dropped");
  }
}
