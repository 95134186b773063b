//! The scheduler through its border: orders and events in, commands and reports out.

use std::sync::Arc;
use std::time::Duration;

use hetuflow_core::{
  AcquireTaskResponse, TaskControl, TaskControlKind, TaskId, TaskInstanceId, TaskInstanceStatus, Ts,
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;

use super::*;
use crate::executor::{Command, Event, Held, HeldPhase, Identity, Start, SteadyClock, a_start};

/// Nothing here takes this long unless it hangs.
const LIMIT: Duration = Duration::from_secs(20);

struct Bench {
  orders: UnboundedSender<Order>,
  events: UnboundedSender<Event>,
  commands: UnboundedReceiver<Command>,
  reports: UnboundedReceiver<Report>,
}

impl Bench {
  /// A scheduler that a server has told that nothing is in hand.
  fn new() -> Self {
    let (orders, from_server) = unbounded_channel();
    let (events, from_executor) = unbounded_channel();
    let (to_executor, commands) = unbounded_channel();
    let (to_server, reports) = unbounded_channel();
    let inputs = InputLimits { file_bytes: 0, total_bytes: 0, wait: LIMIT };
    let settings = SchedulerSettings {
      max_concurrent: 4,
      queue_depth_max: 8,
      takeover_grace: Duration::from_secs(3600),
      inputs,
    };
    let scheduler = Scheduler::new(Parts {
      settings,
      clock: SteadyClock::start(),
      orders: from_server,
      events: from_executor,
      commands: to_executor,
      reports: Box::new(move |report| _ = to_server.send(report)),
      grants: watch::channel(Grant::default()).0,
      counters: Arc::default(),
      held: Vec::new(),
    });
    tokio::spawn(scheduler.expect("a timer").run());
    let bench = Self { orders, events, commands, reports };
    bench.order(Order::Reconcile(Vec::new()));
    bench
  }

  fn order(&self, order: Order) {
    self.orders.send(order).expect("it lives");
  }

  /// Another executor comes, with this in hand.
  fn attach(&self, executor: u64, held: Vec<Held>) {
    self.events.send(Event::Attached { executor, held }).expect("it lives");
  }

  async fn command(&mut self) -> Command {
    let next = tokio::time::timeout(LIMIT, self.commands.recv()).await;
    next.expect("a command in time").expect("it lives")
  }

  async fn end(&mut self) -> (TaskInstanceStatus, String) {
    loop {
      let next = tokio::time::timeout(LIMIT, self.reports.recv()).await;
      if let Report::Update(update) = next.expect("a report in time").expect("it lives")
        && update.status.is_final()
      {
        return (update.status, update.reason.unwrap_or_default());
      }
    }
  }
}

/// A task that is due in so many seconds.
fn task(secs: i64) -> AcquireTaskResponse {
  let Start { mut task, spec, .. } = a_start();
  task.task.scheduled_at = Ts::from_micros(Ts::now().micros() + secs * 1_000_000);
  let (specs, tasks) = (vec![spec.as_ref().clone()], vec![task]);
  AcquireTaskResponse { specs, tasks, ..AcquireTaskResponse::default() }
}

fn sent(answer: AcquireTaskResponse) -> Order {
  Order::Tasks { message_id: uuid::Uuid::now_v7(), connection_epoch: 0, answer }
}

/// As the journal of an executor has it that was told to keep it.
fn waiting(start: Start) -> Held {
  let identity = Identity::of(&start);
  Held { identity, phase: HeldPhase::Waiting(Box::new(start)), stop: None }
}

fn stop(id: TaskInstanceId) -> Order {
  let control = TaskControl {
    task_id: TaskId::generate(),
    instance_id: id,
    control_type: TaskControlKind::Stop,
    reason: None,
    force: false,
    signal: None,
    grace_secs: None,
    fence: a_start().task.fence,
  };
  Order::Control { message_id: uuid::Uuid::now_v7(), control }
}

#[tokio::test]
async fn what_ended_while_there_was_no_executor_is_not_started_by_the_next_one() {
  let mut bench = Bench::new();
  bench.order(sent(task(3600)));
  let Command::Keep(start) = bench.command().await else { panic!("it waits for its instant") };
  let id = start.task.task_instance.id;
  // The executor that has written it down is dead, and so nobody hears the `Forget`.
  bench.order(stop(id));
  assert_eq!(bench.end().await.0, TaskInstanceStatus::Cancelled);
  let Command::Forget(forgotten) = bench.command().await else { panic!("it is over") };
  assert_eq!(forgotten, id);
  let mut due = *start;
  due.task.task.scheduled_at = Ts::from_micros(1);
  bench.attach(1, vec![waiting(due)]);
  let Command::Forget(forgotten) = bench.command().await else { panic!("it must not start") };
  assert_eq!(forgotten, id);
  // What comes next is what comes next.
  bench.order(sent(task(-1)));
  let Command::Start(other) = bench.command().await else { panic!("a start") };
  assert_ne!(other.task.task_instance.id, id);
}

#[tokio::test]
async fn a_start_that_its_executor_did_not_live_to_hear_is_told_to_the_next_one() {
  let mut bench = Bench::new();
  bench.order(sent(task(1)));
  let Command::Keep(kept) = bench.command().await else { panic!("it waits for its instant") };
  let Command::Start(start) = bench.command().await else { panic!("its instant has come") };
  assert_eq!(start.executor, 0);
  bench.attach(1, vec![waiting(*kept)]);
  let Command::Start(again) = bench.command().await else { panic!("it was never started") };
  assert_eq!((again.task.task_instance.id, again.executor), (start.task.task_instance.id, 1));
}

#[tokio::test]
async fn in_doubt_nothing_that_waits_is_started() {
  let mut bench = Bench::new();
  bench.order(Order::Doubt);
  bench.order(sent(task(-1)));
  let (reply, in_hand) = tokio::sync::oneshot::channel();
  bench.order(Order::InHand(reply));
  assert_eq!(in_hand.await.expect("an answer").waiting, 1);
  assert!(bench.commands.try_recv().is_err(), "nobody knows whose it is");
  bench.order(Order::Reconcile(Vec::new()));
  let Command::Start(_) = bench.command().await else { panic!("a server has answered") };
}
