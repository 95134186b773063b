//! Progress on stderr: a spinner on a terminal after 300 ms, a line now and then elsewhere (R6).

use std::future::Future;
use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::look::Look;

const SHOW_AFTER: Duration = Duration::from_millis(300);
const LINE_AFTER: Duration = Duration::from_secs(2);
const LINE_EVERY: Duration = Duration::from_secs(30);

/// Shows that something goes on.
#[derive(Debug)]
pub struct Progress {
  tty: bool,
  quiet: bool,
}

impl Progress {
  /// Nothing is shown with `-q`.
  pub fn new(look: &Look) -> Self {
    Self { tty: look.err_tty, quiet: look.quiet }
  }

  /// Shows a bar of how many of `total` are done; off a terminal as [`Progress::during`].
  pub async fn counted<T>(
    &self,
    words: &str,
    (done, total): (&AtomicU64, u64),
    work: impl Future<Output = T>,
  ) -> T {
    if self.quiet || !self.tty {
      return self.during(words, work).await;
    }
    let bar = ProgressBar::new(total);
    let style = ProgressStyle::with_template("{msg}  {bar:30} {pos}/{len}  {elapsed}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_message(words.to_owned());
    let mut work = std::pin::pin!(work);
    loop {
      tokio::select! {
        biased;
        ended = &mut work => {
          bar.finish_and_clear();
          return ended;
        }
        () = tokio::time::sleep(SHOW_AFTER) => {
          bar.set_position(done.load(Ordering::Relaxed));
          bar.tick();
        }
      }
    }
  }

  /// Shows `words` for as long as the work takes; erased at the end.
  pub async fn during<T>(&self, words: &str, work: impl Future<Output = T>) -> T {
    if self.quiet {
      return work.await;
    }
    let mut work = std::pin::pin!(work);
    if self.tty {
      tokio::select! {
        biased;
        done = &mut work => return done,
        () = tokio::time::sleep(SHOW_AFTER) => {}
      }
      let bar = ProgressBar::new_spinner();
      let style = ProgressStyle::with_template("{spinner} {msg}  {elapsed}");
      bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
      bar.set_message(words.to_owned());
      bar.enable_steady_tick(Duration::from_millis(120));
      let done = work.await;
      bar.finish_and_clear();
      return done;
    }
    let begin = tokio::time::Instant::now();
    let mut next = LINE_AFTER;
    loop {
      tokio::select! {
        biased;
        done = &mut work => {
          if next > LINE_AFTER {
            let _ = writeln!(std::io::stderr(), "{words}: done after {} s", begin.elapsed().as_secs());
          }
          return done;
        }
        () = tokio::time::sleep_until(begin + next) => {
          let _ = writeln!(std::io::stderr(), "{words}: {} s", begin.elapsed().as_secs());
          next += LINE_EVERY;
        }
      }
    }
  }
}
