//! Schedules that are held: by a person, for a while, ahead of time, or all of them at once.

use std::time::Duration;

use hetuflow_core::*;
use hetuflow_server::infra::bmc::{PageArgs, event_bmc, fire_bmc, schedule_bmc};
use hetuflow_server::service::{Actor, FreezeSvc, PlanSvc, ScheduleSvc};

use crate::engines::TestStore;
use crate::hot_path::stored_job;
use crate::planner::{every, fires, live, plan, service, stand_at};

use FireDecision::{Fired, SkippedPaused};

async fn read(store: &TestStore, row: &ScheduleEntity) -> ScheduleEntity {
  let mut conn = store.db.read().await.unwrap();
  schedule_bmc::get(&mut conn, row.id).await.unwrap().unwrap()
}

async fn reasons(store: &TestStore, row: &ScheduleEntity) -> Vec<String> {
  let mut conn = store.db.read().await.unwrap();
  let page = fire_bmc::list(&mut conn, row.id, &PageArgs::first(100)).await.unwrap();
  let skipped = page.data.into_iter().filter(|fire| fire.decision == SkippedPaused);
  skipped.filter_map(|fire| fire.reason).collect()
}

async fn events(store: &TestStore) -> Vec<String> {
  let mut conn = store.db.read().await.unwrap();
  let batches = event_bmc::list_after(&mut conn, 0, 1000).await.unwrap();
  batches.into_iter().flat_map(|batch| batch.changes).map(|change| change.event_type).collect()
}

fn pause(reason: &str, until: Option<Ts>) -> PauseRequest {
  PauseRequest { reason: Some(reason.to_owned()), until }
}

/// Who, why and until when; then it goes on by itself, and one row tells of what was held.
pub async fn a_pause_has_a_reason_and_an_end(store: &TestStore) {
  let job = stored_job(store).await;
  let schedules = ScheduleSvc::new(service(store));
  let actor = Actor::system();
  let row = every(store, &job, |_| {}).await;
  let id = row.id.to_string();
  // One instant is planned ahead and taken back.
  stand_at(store, &row, -10);
  let ahead = PlanSvc::new(service(store), Duration::from_secs(60));
  assert_eq!(ahead.run_once().await.unwrap().fired, 1);
  let past = pause("x", Some(Ts::from_millis(0)));
  assert!(schedules.pause(&actor, (None, &id), &past).await.is_err());
  let until = row.next_run_at.unwrap().plus(Duration::from_secs(250));
  let held = schedules.pause(&actor, (None, &id), &pause("disk", Some(until))).await.unwrap();
  assert_eq!(held.status, ScheduleStatus::Paused);
  assert_eq!(held.status_reason.as_deref(), Some("paused by system: disk"));
  assert_eq!(held.paused_by.as_deref(), Some("system"));
  assert_eq!((held.paused_reason.as_deref(), held.paused_until), (Some("disk"), Some(until)));
  assert_eq!((held.next_run_at, held.run_count), (row.next_run_at, 0), "nothing is forgotten");
  assert_eq!((fires(store, &row).await, live(store, &row).await), (vec![], vec![]));
  stand_at(store, &row, 249);
  assert_eq!(plan(store).await.fired, 0);
  stand_at(store, &row, 251);
  plan(store).await;
  let read = read(store, &row).await;
  assert_eq!(
    (read.status, read.paused_by, read.paused_until),
    (ScheduleStatus::Enabled, None, None)
  );
  assert_eq!(fires(store, &row).await, [(0, SkippedPaused, 3)]);
  assert_eq!(reasons(store, &row).await, ["paused by system: disk"]);
  stand_at(store, &row, 300);
  assert_eq!(plan(store).await.fired, 1);
}

/// Whoever resumes says what becomes of what was held.
pub async fn a_resume_says_what_is_made_up_for(store: &TestStore) {
  use MisfirePolicy as P;
  let job = stored_job(store).await;
  let schedules = ScheduleSvc::new(service(store));
  let actor = Actor::system();
  for (missed, runs) in [
    (None, 0),
    (Some(P::Skip), 0),
    (Some(P::FireLast), 1),
    (Some(P::FireOnce), 1),
    (Some(P::FireAll), 5),
  ] {
    let row = every(store, &job, |row| row.overlap_policy = OverlapPolicy::BufferAll).await;
    let id = row.id.to_string();
    stand_at(store, &row, -10);
    schedules.pause(&actor, (None, &id), &PauseRequest::default()).await.unwrap();
    stand_at(store, &row, 450);
    let request = ResumeRequest { missed };
    let row_after = schedules.resume(&actor, (None, &id), &request).await.unwrap();
    assert_eq!(row_after.status, ScheduleStatus::Enabled, "{missed:?}");
    let decided = fires(store, &row).await;
    let fired = decided.iter().filter(|fire| fire.1 == Fired).count();
    assert_eq!((fired, live(store, &row).await.len()), (runs, runs), "{missed:?}");
    assert_eq!(decided.iter().map(|fire| fire.2).sum::<i64>(), 5, "{missed:?}: {decided:?}");
    assert!(schedules.resume(&actor, (None, &id), &request).await.is_err(), "it is not paused");
    schedules.delete(&actor, (None, &id), None).await.unwrap();
  }
}

/// The next instants are left out by wish, each with its row.
pub async fn the_next_instants_can_be_left_out(store: &TestStore) {
  let job = stored_job(store).await;
  let schedules = ScheduleSvc::new(service(store));
  let actor = Actor::system();
  let row = every(store, &job, |row| row.overlap_policy = OverlapPolicy::AllowAll).await;
  let id = row.id.to_string();
  stand_at(store, &row, -50);
  let ahead = PlanSvc::new(service(store), Duration::from_secs(500));
  assert_eq!(ahead.run_once().await.unwrap().fired, 5);
  let wish = SkipNextRequest { count: Some(2), reason: Some("moving".to_owned()) };
  let after = schedules.skip_next(&actor, (None, &id), &wish).await.unwrap();
  assert_eq!((after.skip_next, after.next_run_at, after.run_count), (2, row.next_run_at, 0));
  let preview = schedules
    .next(&actor, (None, &id), (3, after.next_run_at.map(|at| at.minus(Duration::from_secs(1)))))
    .await
    .unwrap();
  let skipped: Vec<_> = preview.next.iter().map(|next| next.skipped.is_some()).collect();
  assert_eq!(skipped, [true, true, false, false, false], "three fires, and what comes before them");
  assert_eq!(ahead.run_once().await.unwrap().fired, 0, "they are left out at their time");
  stand_at(store, &row, 150);
  ahead.run_once().await.unwrap();
  let decided = fires(store, &row).await;
  assert_eq!(decided[..3], [(0, SkippedPaused, 1), (1, SkippedPaused, 1), (2, Fired, 1)]);
  assert_eq!(reasons(store, &row).await, ["left out by system: moving"; 2]);
  assert_eq!(read(store, &row).await.skip_next, 0);
  let too_many = SkipNextRequest { count: Some(SKIP_NEXT_MAX + 1), reason: None };
  assert!(schedules.skip_next(&actor, (None, &id), &too_many).await.is_err());
}

/// Nothing of a namespace, or nothing at all, fires; afterwards each schedule's own rule applies.
pub async fn a_freeze_holds_everything(store: &TestStore) {
  let job = stored_job(store).await;
  let freezes = FreezeSvc::new(service(store));
  let schedules = ScheduleSvc::new(service(store));
  let actor = Actor::system();
  let namespace = NamespaceId::default();
  for (scope, told) in [(None, "the cluster"), (Some(&namespace), "namespace default")] {
    let row = every(store, &job, |row| row.name = "last".into()).await;
    let none = every(store, &job, |row| {
      (row.name, row.misfire_policy) = ("none".into(), MisfirePolicy::Skip);
      row.next_run_at = row.next_run_at.map(|at| at.plus(Duration::from_millis(1)));
      row.anchor_at = row.next_run_at.unwrap();
    })
    .await;
    stand_at(store, &row, -10);
    let ahead = PlanSvc::new(service(store), Duration::from_secs(60));
    assert_eq!(ahead.run_once().await.unwrap().fired, 2);
    freezes.pause(&actor, scope, &pause("move", None)).await.unwrap();
    assert_eq!(live(store, &row).await, [], "{told}: what is planned is taken back");
    let active = freezes.active(&actor).await.unwrap();
    assert_eq!(active.len(), 1);
    assert_eq!(active[0].told(), format!("{told} was paused by system: move"));
    let id = row.id.to_string();
    let asked = schedules.trigger(&actor, (None, &id), &TaskForCreate::default()).await.unwrap();
    assert_eq!((asked.decision, asked.task), (SkippedPaused, None));
    stand_at(store, &row, 450);
    assert_eq!(plan(store).await.fired, 0, "{told}");
    freezes.resume(&actor, scope, &ResumeRequest::default()).await.unwrap();
    assert!(freezes.resume(&actor, scope, &ResumeRequest::default()).await.is_err());
    assert!(freezes.active(&actor).await.unwrap().is_empty());
    assert_eq!(plan(store).await.fired, 1, "{told}: by their own rules");
    assert_eq!(fires(store, &row).await, [(0, SkippedPaused, 4), (4, Fired, 1)], "{told}");
    assert_eq!(fires(store, &none).await, [(0, SkippedPaused, 5)], "{told}");
    assert_eq!(reasons(store, &row).await, [format!("{told} was paused by system: move")]);
    for row in [&row, &none] {
      schedules.delete(&actor, (None, &row.id.to_string()), None).await.unwrap();
    }
    let mut tx = store.db.begin().await.unwrap();
    let all = tx.execute_sql("delete from sched_task_hot", Vec::new()).await;
    tx.end(all).await.unwrap();
  }
  let told = events(store).await;
  for event in ["system.paused", "system.resumed", "namespace.paused", "namespace.resumed"] {
    assert_eq!(told.iter().filter(|one| *one == event).count(), 1, "{event}");
  }
}

/// A freeze with an end goes by itself.
pub async fn a_freeze_ends_at_its_time(store: &TestStore) {
  let job = stored_job(store).await;
  let freezes = FreezeSvc::new(service(store));
  let row = every(store, &job, |row| row.misfire_policy = MisfirePolicy::Skip).await;
  stand_at(store, &row, -10);
  let until = row.next_run_at.unwrap().plus(Duration::from_secs(150));
  freezes.pause(&Actor::system(), None, &pause("night", Some(until))).await.unwrap();
  stand_at(store, &row, 149);
  plan(store).await;
  assert_eq!(fires(store, &row).await, []);
  stand_at(store, &row, 151);
  plan(store).await;
  assert_eq!(fires(store, &row).await, [(0, SkippedPaused, 2)]);
  stand_at(store, &row, 200);
  assert_eq!(plan(store).await.fired, 1);
  assert_eq!(events(store).await.iter().filter(|one| *one == "system.resumed").count(), 1);
}
