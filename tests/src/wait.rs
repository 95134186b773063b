//! Waiting for conditions: never for a guessed time, always with a deadline and a last status.

use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// The first pause between two looks; it doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(2);

/// The longest pause between two looks.
const PAUSE_MAX: Duration = Duration::from_millis(50);

/// Calls `probe` until it gives a value.
///
/// # Errors
/// When `limit` has passed; the text names `what` was waited for.
pub async fn until<T, F, Fut>(what: &str, limit: Duration, mut probe: F) -> Result<T>
where
  F: FnMut() -> Fut,
  Fut: Future<Output = Option<T>>,
{
  until_ok(what, limit, || {
    let turn = probe();
    async { turn.await.ok_or_else(String::new) }
  })
  .await
}

/// Calls `probe` until it gives `Ok`; the last `Err` is the status that a time-out reports.
///
/// # Errors
/// When `limit` has passed; the text names `what` was waited for and how things stood last. A
/// probe that hangs is cut off at the limit as well.
pub async fn until_ok<T, E, F, Fut>(what: &str, limit: Duration, mut probe: F) -> Result<T>
where
  E: std::fmt::Display,
  F: FnMut() -> Fut,
  Fut: Future<Output = Result<T, E>>,
{
  let started = Instant::now();
  let mut pause = PAUSE_MIN;
  let mut last = String::from("the first look did not return");
  loop {
    let left = limit.saturating_sub(started.elapsed());
    match tokio::time::timeout(left, probe()).await {
      Ok(Ok(value)) => return Ok(value),
      Ok(Err(status)) => last = status.to_string(),
      Err(_) => bail!("{}", late(what, limit, &last)),
    }
    if started.elapsed() >= limit {
      bail!("{}", late(what, limit, &last));
    }
    tokio::time::sleep(pause).await;
    pause = (pause * 2).min(PAUSE_MAX);
  }
}

/// The same as [`until_ok`] for code that cannot await (`Drop`, process control).
///
/// # Errors
/// As [`until_ok`]; a `probe` that hangs is not cut off.
pub fn until_blocking<T, E, F>(what: &str, limit: Duration, mut probe: F) -> Result<T>
where
  E: std::fmt::Display,
  F: FnMut() -> Result<T, E>,
{
  let started = Instant::now();
  let mut pause = PAUSE_MIN;
  loop {
    let last = match probe() {
      Ok(value) => return Ok(value),
      Err(status) => status.to_string(),
    };
    if started.elapsed() >= limit {
      bail!("{}", late(what, limit, &last));
    }
    std::thread::sleep(pause);
    pause = (pause * 2).min(PAUSE_MAX);
  }
}

/// The text of a time-out.
fn late(what: &str, limit: Duration, last: &str) -> String {
  match last {
    "" => format!("waited {limit:?} for {what}, in vain"),
    _ => format!("waited {limit:?} for {what}, in vain; last status: {last}"),
  }
}

#[cfg(test)]
mod tests {
  use super::*;

  #[tokio::test]
  async fn gives_the_first_value() {
    let mut turn = 0;
    let value = until("the third turn", Duration::from_secs(5), || {
      turn += 1;
      let seen = turn;
      async move { (seen == 3).then_some(seen) }
    })
    .await;
    assert_eq!(value.unwrap(), 3);
  }

  #[tokio::test]
  async fn names_what_was_missing_and_the_last_status() {
    let limit = Duration::from_millis(20);
    let error =
      until_ok("a moon", limit, || async { Err::<(), _>("still dark") }).await.unwrap_err();
    assert_eq!(error.to_string(), "waited 20ms for a moon, in vain; last status: still dark");
  }

  #[tokio::test]
  async fn a_hanging_probe_is_cut_off() {
    let limit = Duration::from_millis(20);
    let error =
      until_ok("an answer", limit, std::future::pending::<Result<(), String>>).await.unwrap_err();
    assert!(error.to_string().contains("did not return"), "{error}");
  }

  #[test]
  fn the_blocking_form_says_the_same() {
    let limit = Duration::from_millis(20);
    let error = until_blocking("a moon", limit, || Err::<(), _>("dark")).unwrap_err();
    assert_eq!(error.to_string(), "waited 20ms for a moon, in vain; last status: dark");
  }
}
