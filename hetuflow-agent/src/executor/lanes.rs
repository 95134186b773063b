//! Threads that start processes. Preparing and loading a program keeps a processor busy, so only a
//! few do that at the same time; waiting for the first end of one keeps nobody busy, so others go on
//! meanwhile. A thread that is done takes the next start without being woken, and no thread of the
//! runtime is blocked.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;

/// Threads at work for each processor: a start waits for the journal to be flushed, and for the kernel.
const AT_WORK_EACH: usize = 4;
/// Threads that may wait for processes beside those at work.
const WAITING_MAX: usize = 16;
/// A thread without work ends after this time.
const LINGER: Duration = Duration::from_secs(5);

/// What is to be done on such a thread.
type Job = Box<dyn FnOnce(&mut Turn<'_>) + Send>;

/// The threads; they end some time after this is dropped.
pub struct Lanes(Arc<Inner>);

struct Inner {
  state: Mutex<State>,
  more: Condvar,
  at_work_max: usize,
  runtime: Handle,
}

#[derive(Default)]
struct State {
  /// Bounded by the slots of the scheduler.
  queue: VecDeque<Job>,
  /// Threads in the busy part of a job.
  at_work: usize,
  /// Threads in the rest of one.
  waiting: usize,
  /// Threads without a job that nobody has called.
  idle: usize,
  /// Threads that were called and are not awake yet.
  called: usize,
  /// All threads.
  threads: usize,
  closed: bool,
}

/// A job that has begun: at work, and maybe only waiting later.
pub struct Turn<'a> {
  inner: &'a Arc<Inner>,
  waits: bool,
}

impl Lanes {
  /// One thread to begin with, which stays; each is inside `runtime`.
  pub fn new(runtime: Handle) -> Self {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let (state, more) = (Mutex::default(), Condvar::new());
    let inner = Arc::new(Inner { state, more, at_work_max: processors * AT_WORK_EACH, runtime });
    inner.add(inner.state());
    Self(inner)
  }

  /// Does it as soon as its turn comes.
  pub fn push(&self, job: impl FnOnce(&mut Turn<'_>) + Send + 'static) {
    let mut state = self.0.state();
    state.queue.push_back(Box::new(job));
    self.0.call(state);
  }
}

impl Drop for Lanes {
  fn drop(&mut self) {
    self.0.state().closed = true;
    self.0.more.notify_all();
  }
}

impl Turn<'_> {
  /// What follows is waiting, so the next job may begin. With `false` there are too many already that
  /// wait: the job is to end at once.
  #[must_use]
  pub fn rest(&mut self) -> bool {
    let mut state = self.inner.state();
    if !self.waits && state.waiting < WAITING_MAX {
      self.waits = true;
      state.waiting += 1;
      state.at_work -= 1;
      self.inner.call(state);
    }
    self.waits
  }
}

impl Drop for Turn<'_> {
  fn drop(&mut self) {
    let mut state = self.inner.state();
    match self.waits {
      true => state.waiting -= 1,
      false => state.at_work -= 1,
    }
  }
}

impl Inner {
  fn state(&self) -> MutexGuard<'_, State> {
    self.state.lock().unwrap_or_else(PoisonError::into_inner)
  }

  /// Somebody for the first job that waits, where one may begin.
  fn call(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
    if state.queue.is_empty() || state.at_work >= self.at_work_max {
      return;
    }
    if state.idle > 0 {
      state.idle -= 1;
      state.called += 1;
      drop(state);
      self.more.notify_one();
    } else if state.called == 0 && state.threads < self.at_work_max + WAITING_MAX {
      self.add(state);
    }
  }

  fn add(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
    state.threads += 1;
    drop(state);
    let inner = Arc::clone(self);
    let thread = std::thread::Builder::new().name("hf-start".to_owned());
    if let Err(error) = thread.spawn(move || inner.run()) {
      tracing::warn!(%error, "no more threads for starts: they go one after the other");
      self.state().threads -= 1;
    }
  }

  /// The life of a thread.
  fn run(self: Arc<Self>) {
    let _inside = self.runtime.enter();
    let mut state = self.state();
    loop {
      if state.at_work < self.at_work_max
        && let Some(job) = state.queue.pop_front()
      {
        state.at_work += 1;
        self.call(state);
        let mut turn = Turn { inner: &self, waits: false };
        // A job that panics has told so, and is no reason not to begin others.
        let _told = catch_unwind(AssertUnwindSafe(|| job(&mut turn)));
        drop(turn);
        state = self.state();
        continue;
      }
      state.idle += 1;
      let (mut awake, waited) =
        self.more.wait_timeout(state, LINGER).unwrap_or_else(PoisonError::into_inner);
      match awake.called.checked_sub(1) {
        Some(left) => awake.called = left,
        None => awake.idle -= 1,
      }
      let over = awake.closed || waited.timed_out() && awake.threads > 1;
      if over && awake.queue.is_empty() {
        awake.threads -= 1;
        return;
      }
      state = awake;
    }
  }
}

#[cfg(test)]
mod tests {
  use std::sync::atomic::{AtomicUsize, Ordering};
  use std::sync::mpsc::channel;

  use super::*;

  fn lanes() -> (tokio::runtime::Runtime, Lanes) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let lanes = Lanes::new(runtime.handle().clone());
    (runtime, lanes)
  }

  #[test]
  fn only_a_few_are_at_work_and_all_get_their_turn() {
    let (_runtime, lanes) = lanes();
    let (at_work, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (done, all) = channel();
    for number in 0..300 {
      let (at_work, most, done) = (Arc::clone(&at_work), Arc::clone(&most), done.clone());
      lanes.push(move |_| {
        most.fetch_max(at_work.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::yield_now();
        at_work.fetch_sub(1, Ordering::SeqCst);
        done.send(number).expect("somebody listens");
      });
    }
    let mut seen: Vec<i32> = all.iter().take(300).collect();
    seen.sort_unstable();
    assert_eq!(seen, (0..300).collect::<Vec<_>>());
    assert!(most.load(Ordering::SeqCst) <= lanes.0.at_work_max);
  }

  #[test]
  fn who_waits_lets_others_begin() {
    let (_runtime, lanes) = lanes();
    let count = lanes.0.at_work_max + WAITING_MAX;
    let (begun, all) = channel();
    let (_open, gate) = channel::<()>();
    let gate = Arc::new(Mutex::new(gate));
    for number in 0..count {
      let (begun, gate) = (begun.clone(), Arc::clone(&gate));
      lanes.push(move |turn| {
        let may_wait = turn.rest();
        begun.send((number, may_wait)).expect("somebody listens");
        // Ends with an error when the gate is gone.
        let _closed = gate.lock().map(|gate| gate.recv());
      });
    }
    let waiting = all.iter().take(count).filter(|(_, may_wait)| *may_wait).count();
    assert_eq!(waiting, WAITING_MAX, "all of them have begun, and so many may wait");
  }

  #[test]
  fn a_panic_costs_one_job() {
    let (_runtime, lanes) = lanes();
    let (done, all) = channel();
    for number in 0..40 {
      let done = done.clone();
      lanes.push(move |_| {
        assert!(number % 2 == 0, "as it is meant to");
        done.send(number).expect("somebody listens");
      });
    }
    assert_eq!(all.iter().take(20).count(), 20);
    // The last ones that panic may still be at it.
    while lanes.0.state().at_work > 0 {
      std::thread::yield_now();
    }
  }
}
