//! A task that waits says why, with the server's words or without.

use std::time::Duration;

use hetuflow_core::{Scope, WatchFrame};
use serde_json::json;

use super::{data, picture};
use crate::tui::link::LinkNews;
use crate::tui::model::{Model, Screen};
use crate::tui::update::{Effect, Msg, update};
use data::Stage;

/// The task screen of a task that waits; agents are known.
fn waiting(config: &serde_json::Value, scheduled_at: &str) -> (Model, Vec<Effect>) {
  let mut model = data::model(Screen::Task(data::id(4)), Stage::Full);
  let mut task = data::task_json(4, "etl-daily", "pending");
  (task["attempt"], task["scheduled_at"]) = (json!(0), json!(scheduled_at));
  let mut frame: WatchFrame = data::answer("task", Scope::Task, Stage::Full, 950);
  frame.id = model.store.view("task").expect("asked").wire_id();
  frame.object =
    Some(json!({ "task": task, "config": config, "attempts": [], "created_at": scheduled_at }));
  let now = model.now;
  let effects = update(&mut model, Msg::Link(LinkNews::Frame(Box::new(frame))), now);
  let agents = effects.iter().filter_map(|effect| match effect {
    Effect::Watch(watch) => Some(Effect::Watch(watch.clone())),
    _ => None,
  });
  let agents = agents.collect();
  data::serve(&mut model, agents, Stage::Full, now);
  (model, effects)
}

fn asks(effects: &[Effect]) -> bool {
  effects.iter().any(|effect| matches!(effect, Effect::Why(id) if *id == data::id(4)))
}

#[test]
fn what_the_server_says_is_shown_and_asked_for_again() {
  let (mut model, effects) = waiting(&json!({}), "2025-11-21T14:02:00Z");
  assert!(asks(&effects));
  let answer = json!({ "waiting": true, "since": "2025-11-21T14:02:00Z", "reason": "no_free_slot",
    "text": "both agents that fit are full", "ahead": 1204, "eligible_at": "2025-11-21T14:02:00Z",
    "changes": [{ "agent_id": "gpu-01", "steps": [{ "text": "uncordon gpu-01" }] }],
    "start_deadline_at": "2025-11-21T14:07:31Z", "agents_total": 3, "status": "pending", "agents": [
      { "agent_id": "worker-01", "fits": true, "rule": "no_free_slot", "text": "40 of 40 slots are taken" },
      { "agent_id": "worker-02", "fits": true, "rule": "free", "text": "it is next" },
      { "agent_id": "gpu-01", "fits": false, "rule": "selector", "text": "it has no zone" }] });
  let now = model.now;
  update(&mut model, Msg::Why(data::id(4), Some(answer)), now);
  let text = picture(&mut model, 80, 24);
  for words in [
    "why  both agents that fit are full · 1,204 before it · would start: uncordon",
    "· worker-01  40 of 40 slots",
    "✓ worker-02  it is next",
    "✗ gpu-01     it has no zone",
  ] {
    assert!(text.contains(words), "{words}\n{text}");
  }
  assert!(model.next_wake().is_some_and(|at| at <= now + Duration::from_secs(5)));
  let effects = update(&mut model, Msg::Tick, now + Duration::from_secs(6));
  assert!(asks(&effects));
}

#[test]
fn a_server_that_cannot_say_it_is_not_asked_again_and_the_agents_tell() {
  let config = json!({ "cmd": "true", "selector": { "zone": "moon" } });
  let (mut model, _) = waiting(&config, "2025-11-21T14:02:00Z");
  let now = model.now;
  update(&mut model, Msg::Why(data::id(4), None), now);
  assert!(!asks(&update(&mut model, Msg::Tick, now + Duration::from_secs(60))));
  let text = picture(&mut model, 100, 24);
  assert!(text.contains("why  no agent fits: zone=moon is wanted"), "{text}");
  assert!(text.contains("✗ gpu-01     zone=moon is wanted, it has zone=a"), "{text}");
  let (mut model, _) = waiting(&json!({}), "2025-11-21T14:02:00Z");
  let text = picture(&mut model, 100, 24);
  assert!(text.contains("cordoned: it takes nothing new") && text.contains("offline"), "{text}");
  let (mut model, _) = waiting(&json!({}), "2025-11-21T15:02:31Z");
  assert!(picture(&mut model, 80, 24).contains("why  not due yet: it begins in 1h"));
}

#[test]
fn a_task_that_runs_is_not_asked_about() {
  let mut model = data::model(Screen::Task(data::id(2)), Stage::Full);
  let now = model.now + Duration::from_secs(20);
  assert!(!update(&mut model, Msg::Tick, now).iter().any(|it| matches!(it, Effect::Why(_))));
  assert!(!picture(&mut model, 80, 24).contains("why  "));
}
