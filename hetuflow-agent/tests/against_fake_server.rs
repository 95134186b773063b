//! The real agent against a server made of a few lines: what goes over the wire, and when.

mod fake_server;

use std::time::{Duration, Instant};

use fake_server::{FakeServer, LIMIT, Said, task};
use hetuflow_core::*;
use serde_json::json;

fn control(task: &ScheduledTask, kind: TaskControlKind) -> TaskControl {
  TaskControl {
    task_id: task.task.id,
    instance_id: task.task_instance.id,
    control_type: kind,
    reason: Some("bob".to_owned()),
    force: false,
    signal: None,
    grace_secs: Some(0.2),
    fence: task.fence,
  }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn register_grant_run_report_ack_leave() {
  let (server, dir) = (FakeServer::new().await, tempfile::tempdir().unwrap());
  let agent = server
    .agent(dir.path(), "agent.labels.zone = 'a'\nagent.polling.max_concurrent_tasks = 3")
    .await;
  let mut link = server.accept().await;
  assert_eq!(link.request.uri().to_string(), "/api/v1/gateway/ws?agent_id=agent-x");
  assert_eq!(link.request.headers()["Authorization"], "Bearer s3cret");
  let register = link.registration().await;
  register.validate().unwrap();
  assert_eq!((register.agent_id.as_str(), register.connection_epoch), ("agent-x", 1));
  assert_eq!(register.capabilities.labels["zone"], "a");
  assert!(register.agent_epoch > 1_700_000_000_000_000 && register.running.is_empty());
  assert!(!register.boot_id.is_empty() && !register.hostname.is_empty());
  link.welcome(0, Vec::new()).await;

  let poll = link.poll().await;
  assert_eq!((poll.available_capacity, poll.free_slots, poll.received_tasks), (3, 3, 0));

  let one = task(0);
  link.dispatch(json!({ "command": "echo hi; echo err >&2; exit 3" }), vec![one.clone()]).await;
  // What is said rides in the end, or comes before it in chunks where the machine is busy.
  let mut in_chunks = 0;
  let ended = async {
    loop {
      match link.next().await {
        Said::Chunk(frame) => in_chunks += u64::from(frame.raw_len),
        Said::Update(seq, update) if update.status.is_final() => return (seq, update),
        _ => {}
      }
    }
  };
  let (seq, end) = tokio::time::timeout(LIMIT, ended).await.expect("an end");
  assert_eq!((end.instance_id, end.fence, end.attempt), (one.task_instance.id, 11, 1));
  assert_eq!((end.status, end.exit_code), (TaskInstanceStatus::Failed, Some(3)));
  assert_eq!(end.reason.as_deref(), Some("exit_code(3)"));
  let in_the_end = end.output_bytes().unwrap().map_or(0, |bytes| bytes.len() as u64);
  assert_eq!((in_chunks + in_the_end, end.log_bytes), (7, Some(7)));
  link.ack(seq).await;
  let poll = loop {
    let poll = link.poll().await;
    if poll.received_tasks == 1 && poll.free_slots == 3 {
      break poll;
    }
  };
  assert!(poll.available_capacity >= 3);

  let leaving = agent.leave();
  let goodbye = async {
    loop {
      if let Said::Other(MessageKind::AgentUnregister, payload) = link.next().await {
        return payload;
      }
    }
  };
  let ((), goodbye) = tokio::join!(leaving, goodbye);
  assert_eq!(goodbye["drain_done"], true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_is_never_early_and_is_announced() {
  let (server, dir) = (FakeServer::new().await, tempfile::tempdir().unwrap());
  let _agent = server.agent(dir.path(), "").await;
  let (mut link, _) = server.accept_registered(0).await;
  // Far enough off for the hand-out to be told before the start, also on a busy machine.
  let later = task(2000);
  let due = later.task.scheduled_at.micros();
  link.dispatch(json!({ "command": "sleep 0.2" }), vec![later]).await;
  let (_, update) = link.update().await;
  assert_eq!(update.status, TaskInstanceStatus::Dispatched);
  let (_, update) = link.update().await;
  assert_eq!(update.status, TaskInstanceStatus::Running);
  assert!(update.pid.is_some());
  let skew = update.start_skew_us.unwrap();
  assert!(skew >= 0, "started {skew} µs after its instant");
  assert_eq!(update.started_at_us.unwrap(), due + skew);
  let (_, end) = link.end().await;
  assert_eq!(end.status, TaskInstanceStatus::Succeeded);
  assert_eq!(end.started_at_us, update.started_at_us, "the end repeats what is known of the start");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_connection_gets_what_was_not_acked_under_the_same_numbers() {
  let (server, dir) = (FakeServer::new().await, tempfile::tempdir().unwrap());
  let _agent = server.agent(dir.path(), "").await;
  let (mut link, first) = server.accept_registered(0).await;
  let (quick, noisy, long) = (task(0), task(0), task(0));
  link.dispatch(json!({ "command": "true" }), vec![quick.clone()]).await;
  let (quick_seq, _) = link.end().await;
  link.ack(quick_seq).await;
  // As much as may go without an ack.
  let noise = "head -c 12000 /dev/urandom; sleep 0.5; head -c 12000 /dev/urandom";
  link.dispatch(json!({ "command": noise }), vec![noisy.clone()]).await;
  link.dispatch(json!({ "command": "sleep 30" }), vec![long.clone()]).await;
  let (mut seen, mut running, mut noisy_end) = (Vec::new(), false, None);
  while !running || noisy_end.is_none() {
    match link.next().await {
      Said::Chunk(frame) => seen.push(frame),
      Said::Update(_, update) if update.instance_id == long.task_instance.id => running = true,
      Said::Update(seq, update) if update.status.is_final() => noisy_end = Some(seq),
      _ => {}
    }
  }
  drop(link);

  let mut link = server.accept().await;
  let register = link.registration().await;
  assert_eq!((register.agent_epoch, register.connection_epoch), (first.agent_epoch, 2));
  let in_hand =
    |id| register.running.iter().find(|one| one.instance_id == id).map(|one| one.status);
  assert_eq!(in_hand(long.task_instance.id), Some(TaskInstanceStatus::Running));
  assert_eq!(in_hand(noisy.task_instance.id), Some(TaskInstanceStatus::Succeeded), "not acked yet");
  let stop = Reconcile { instance_id: long.task_instance.id, action: ReconcileAction::Stop };
  link.welcome(quick_seq, vec![stop]).await;

  let (mut again, mut stopped, mut numbers) = (Vec::new(), None, Vec::new());
  while stopped.is_none() {
    match link.next().await {
      Said::Chunk(frame) => {
        numbers.push(frame.seq);
        again.push(frame);
      }
      Said::Update(seq, update) => {
        numbers.push(seq);
        assert_ne!(update.instance_id, quick.task_instance.id, "acked reports do not come again");
        if update.instance_id == long.task_instance.id && update.status.is_final() {
          stopped = Some(update);
        }
      }
      _ => {}
    }
  }
  assert_eq!(again, seen, "the same bytes under the same numbers");
  let expected: Vec<u64> = (quick_seq + 1..).take(numbers.len()).collect();
  assert_eq!(numbers, expected, "without holes");
  let stopped = stopped.unwrap();
  assert_eq!(stopped.status, TaskInstanceStatus::Cancelled);
  assert_eq!(stopped.reason.as_deref(), Some("cancelled(reconcile)"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_are_followed_once_and_for_the_right_fence() {
  let (server, dir) = (FakeServer::new().await, tempfile::tempdir().unwrap());
  let _agent = server.agent(dir.path(), "agent.polling.max_concurrent_tasks = 1").await;
  let (mut link, _) = server.accept_registered(0).await;
  let (running, queued) = (task(0), task(0));
  link.dispatch(json!({ "command": "sleep 30" }), vec![running.clone(), queued.clone()]).await;
  let (_, update) = link.update().await;
  assert_eq!(update.status, TaskInstanceStatus::Running);
  let (_, update) = link.update().await;
  assert_eq!(update.status, TaskInstanceStatus::Dispatched, "it waits for the slot");
  assert_eq!(update.instance_id, queued.task_instance.id);

  let wrong = TaskControl { fence: 10, ..control(&running, TaskControlKind::Kill) };
  link.send(MessageKind::TaskControl, wrong).await;
  assert_eq!(link.refusal().await, "stale");
  link.send(MessageKind::TaskControl, control(&task(0), TaskControlKind::Stop)).await;
  assert_eq!(link.refusal().await, "unknown");

  link.send(MessageKind::TaskControl, control(&queued, TaskControlKind::Stop)).await;
  let (_, end) = link.end().await;
  assert_eq!(
    (end.status, end.reason.as_deref()),
    (TaskInstanceStatus::Cancelled, Some("cancelled(bob)"))
  );
  assert_eq!(end.started_at_us, None);

  link.send(MessageKind::TaskControl, control(&running, TaskControlKind::Skip)).await;
  let (_, end) = link.end().await;
  assert_eq!(
    (end.status, end.reason.as_deref()),
    (TaskInstanceStatus::Skipped, Some("skipped(bob)"))
  );
  assert_eq!(end.signal, Some(15));

  // The same attempt again, and an older one of the same task: neither is started.
  link.dispatch(json!({ "command": "true" }), vec![running.clone()]).await;
  let older = ScheduledTask { fence: 3, ..running };
  link.dispatch(json!({ "command": "true" }), vec![older]).await;
  assert_eq!(link.refusal().await, "stale");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_a_server_sends_ends_the_agent() {
  let (server, dir) = (FakeServer::new().await, tempfile::tempdir().unwrap());
  let _agent = server.agent(dir.path(), "").await;
  let (mut link, _) = server.accept_registered(0).await;
  link.send_text("{]").await;
  assert_eq!(link.refusal().await, "invalid");
  let id = uuid::Uuid::now_v7();
  link
    .send_text(&format!(
      r#"{{"message_id":"{id}","timestamp":1,"message_kind":"make_coffee","payload":{{}}}}"#
    ))
    .await;
  assert_eq!(link.refusal().await, "unsupported");
  link.send(MessageKind::AgentRegister, json!({})).await;
  assert_eq!(link.refusal().await, "unsupported");
  link.send(MessageKind::TaskControl, json!({ "task_id": 5 })).await;
  assert_eq!(link.refusal().await, "invalid");
  let command = json!({ "command_id": id, "command_type": "cancel_task" });
  link.send(MessageKind::AgentCommand, command).await;
  assert_eq!(link.refusal().await, "unsupported");
  link.ack(u64::MAX).await;

  // A broken task does not spoil its neighbours.
  let [good, nul, when, spec] = [(); 4].map(|()| task(0));
  let mut answer = json!({ "specs": [], "tasks": [{ "fence": "?" }, when, nul, spec, good] });
  answer["specs"] = json!([{ "job_id": 5 }, { "job_id": JobId::generate(), "job_version": 1,
    "job_name": "j", "namespace_id": "default", "config": { "command": "true" } }]);
  for index in [1, 2, 4] {
    answer["tasks"][index]["task"]["spec"] = json!(1);
  }
  answer["tasks"][1]["task"]["scheduled_at"] = json!("yesterday");
  answer["tasks"][2]["task"]["config"] = json!({ "cmd": "exec", "args": ["a\u{0}b"] });
  link.send(MessageKind::TaskPollResponse, answer).await;
  let mut ends = std::collections::HashMap::new();
  while ends.len() < 4 {
    let (seq, end) = link.end().await;
    link.ack(seq).await;
    assert_eq!((end.fence, end.attempt), (11, 1));
    assert!(end.timestamp > 1_700_000_000_000, "{end:?}");
    ends.insert(end.instance_id, (end.status, end.reason.unwrap_or_default()));
  }
  let end = |task: &ScheduledTask| &ends[&task.task_instance.id];
  assert_eq!(end(&good).0, TaskInstanceStatus::Succeeded);
  for (task, reason) in [(&nul, "refused"), (&when, "unreadable"), (&spec, "unreadable")] {
    let reason = format!("not_started({reason})");
    assert_eq!(*end(task), (TaskInstanceStatus::NotStarted, reason));
  }

  // The year 1 is over; a deadline there, too; and a spec that was not sent.
  let mut old = task(0);
  old.task.scheduled_at = "0001-01-01T00:00:00Z".parse().unwrap();
  let (mut expired, mut unknown) = (task(0), task(0));
  expired.deadline_at = Some(old.task.scheduled_at);
  unknown.task.spec = 7;
  link.dispatch(json!({ "command": "true" }), vec![old, expired, unknown]).await;
  let mut reasons: Vec<_> = Vec::new();
  for _ in 0..3 {
    reasons.push(link.end().await.1.reason.unwrap_or_default());
  }
  reasons.sort_unstable();
  assert_eq!(reasons, ["", "not_started(expired)", "not_started(refused)"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leaving_agent_gives_back_what_waits_and_ends_what_runs() {
  let (server, dir) = (FakeServer::new().await, tempfile::tempdir().unwrap());
  let agent = server.agent(dir.path(), "agent.polling.max_concurrent_tasks = 1").await;
  let (mut link, _) = server.accept_registered(0).await;
  let (running, queued) = (task(0), task(0));
  link.dispatch(json!({ "command": "sleep 30" }), vec![running.clone(), queued.clone()]).await;
  let (_, update) = link.update().await;
  assert_eq!(update.status, TaskInstanceStatus::Running);
  let begun = Instant::now();
  let ends = async {
    let mut ends = Vec::new();
    loop {
      match link.next().await {
        Said::Update(seq, update) => {
          link.ack(seq).await;
          if update.status.is_final() {
            ends.push((update.instance_id, update.reason.unwrap_or_default()));
          }
        }
        Said::Other(MessageKind::AgentUnregister, _) => return ends,
        _ => {}
      }
    }
  };
  let ((), ends) = tokio::join!(agent.leave(), ends);
  assert!(begun.elapsed() < Duration::from_secs(8));
  let expected = [
    (queued.task_instance.id, "not_started(agent_shutdown)".to_owned()),
    (running.task_instance.id, "cancelled(agent_shutdown)".to_owned()),
  ];
  assert_eq!(ends, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_or_silent_server_is_tried_again() {
  let (server, dir) = (FakeServer::new().await, tempfile::tempdir().unwrap());
  let _agent = server.agent(dir.path(), "").await;
  let mut link = server.accept().await;
  link.registration().await;
  let no = AgentRegisterResponse { message: "superseded".to_owned(), ..Default::default() };
  link.send(MessageKind::AgentRegisterResponse, no).await;
  // In, and then silent: no heartbeat is answered.
  let mut link = server.accept().await;
  assert_eq!(link.registration().await.connection_epoch, 2);
  link.welcome(0, Vec::new()).await;
  let (_third, register) = server.accept_registered(0).await;
  assert_eq!(register.connection_epoch, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_are_answered_and_what_waits_is_given_back() {
  let (server, dir) = (FakeServer::new().await, tempfile::tempdir().unwrap());
  let toml = "agent.polling.max_concurrent_tasks = 1\nagent.labels.zone = 'a'";
  let _agent = server.agent(dir.path(), toml).await;
  let (mut link, register) = server.accept_registered(0).await;
  assert_eq!(register.capabilities.labels["sys_os"], std::env::consts::OS);
  let health = link.order("health_check", json!({})).await;
  let told: serde_json::Value = serde_json::from_str(&health.details.unwrap()).unwrap();
  assert_eq!((health.status, &told["healthy"]), (AckStatus::Ok, &json!(true)), "{told}");
  // Its tasks would not outlive it here.
  let restart = link.order("restart", json!({})).await;
  assert_eq!(restart.status, AckStatus::Rejected);
  assert!(restart.details.unwrap().contains("would not outlive it"));
  let wrong = link.order("update_config", json!({ "agent.work_dir": "/" })).await;
  assert!(wrong.details.unwrap().contains("is read at the start only"));
  let labels = json!({ "agent.labels": { "zone": "b" } });
  assert_eq!(link.order("update_config", labels).await.status, AckStatus::Ok);

  let (running, queued) = (task(0), task(0));
  link.dispatch(json!({ "command": "sleep 30" }), vec![running.clone(), queued.clone()]).await;
  let (_, update) = link.update().await;
  assert_eq!((update.instance_id, update.status.is_final()), (running.task_instance.id, false));
  let drain = json!({ "command_id": uuid::Uuid::now_v7(), "command_type": "drain" });
  link.send(MessageKind::AgentCommand, drain).await;
  let (seq, update) = link.end().await;
  link.ack(seq).await;
  assert_eq!(update.instance_id, queued.task_instance.id);
  assert_eq!(update.reason.as_deref(), Some("not_started(agent_drain)"));
  // A new registration says what is in hand, and the labels as they are now.
  assert_eq!(link.order("reload_tasks", json!({})).await.status, AckStatus::Ok);
  let (_link, again) = server.accept_registered(seq).await;
  assert_eq!(again.capabilities.labels["zone"], "b");
  assert_eq!(again.running.len(), 1, "{:?}", again.running);
  assert_eq!(again.agent_epoch, register.agent_epoch);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_whose_protocol_is_not_spoken_goes_on_trying() {
  let (server, dir) = (FakeServer::new().await, tempfile::tempdir().unwrap());
  let _agent = server.agent(dir.path(), "").await;
  for _ in 0..2 {
    let mut link = server.accept().await;
    assert_eq!(link.registration().await.protocol_version, PROTOCOL_VERSION);
    link.close(4026, "the agent speaks 1, this server at least 2: upgrade the agent").await;
  }
  let (mut link, _) = server.accept_registered(0).await;
  link.dispatch(json!({ "command": "true" }), vec![task(0)]).await;
  assert_eq!(link.end().await.1.status, TaskInstanceStatus::Succeeded);
}
