//! Calendars that schedules name: what they leave out, how it is recorded, and how they change.

use std::sync::Arc;
use std::time::Duration;

use hetuflow_core::*;
use hetuflow_server::infra::bmc::{PageArgs, ahead_bmc, fire_bmc, schedule_bmc};
use hetuflow_server::service::{
  Actor, BackfillSvc, CalendarSvc, FreezeSvc, JobCache, PlanSvc, ScheduleSvc, SubmitSvc, SvcError,
  TaskSvc,
};
use serde_json::json;

use crate::engines::TestStore;
use crate::hot_path::stored_job;
use crate::planner::{end, every, fires, live, plan, service, stand_at};

use FireDecision::{Fired, SkippedMisfire, SkippedWindow};

/// A calendar that covers some instants of a schedule, counted from the first.
async fn covers(store: &TestStore, name: &str, (row, spans): (&ScheduleEntity, &[(i64, i64)])) {
  let rules = spans.iter().map(|(from, to)| {
    let at = |nth: i64| Ts::from_micros(row.next_run_at.unwrap().micros() + nth * 100_000_000);
    let second = Duration::from_secs(1);
    format!("{}..{}", at(*from).minus(second), at(*to).plus(second))
  });
  let put = CalendarForPut { rules: rules.collect(), ..CalendarForPut::default() };
  CalendarSvc::new(service(store)).put(&Actor::system(), (None, name), put).await.unwrap();
}

fn items(texts: &[&str]) -> Vec<CalendarItem> {
  texts.iter().map(|text| text.parse().unwrap()).collect()
}

async fn rows(store: &TestStore, row: &ScheduleEntity) -> Vec<FireEntity> {
  let mut conn = store.db.read().await.unwrap();
  let page = fire_bmc::list(&mut conn, row.id, &PageArgs::first(100)).await.unwrap();
  let mut found = page.data;
  found.sort_by_key(|fire| fire.fire_at);
  found
}

async fn read(store: &TestStore, row: &ScheduleEntity) -> ScheduleEntity {
  let mut conn = store.db.read().await.unwrap();
  schedule_bmc::get(&mut conn, row.id).await.unwrap().unwrap()
}

/// Decides each instant at its time.
async fn pass(store: &TestStore, row: &ScheduleEntity, nths: std::ops::RangeInclusive<i64>) {
  for nth in nths {
    stand_at(store, row, nth * 100 + 1);
    plan(store).await;
  }
}

/// A long stretch is one row that grows, with the calendar's name, and nothing of it is decided ahead;
/// intervals, one fire alone and the end of a run are no different.
pub async fn a_schedule_leaves_its_calendars_out(store: &TestStore) {
  let job = stored_job(store).await;
  let all = |row: &mut ScheduleEntity| row.overlap_policy = OverlapPolicy::AllowAll;
  let row = every(store, &job, |row| {
    all(row);
    row.exclude = items(&["closed"]);
  })
  .await;
  assert_eq!(read(store, &row).await.exclude, row.exclude);
  covers(store, "closed", (&row, &[(1, 4)])).await;
  covers(store, "open", (&row, &[(2, 3), (5, 5)])).await;
  let only = every(store, &job, |one| {
    all(one);
    (one.name, one.include) = ("only".to_owned(), items(&["open"]));
    (one.next_run_at, one.anchor_at) = (row.next_run_at, row.anchor_at);
  })
  .await;
  let once = every(store, &job, |one| {
    one.name = "once".to_owned();
    one.next_run_at = Some(row.next_run_at.unwrap().plus(Duration::from_secs(200)));
    (one.start_time, one.interval_secs) = (one.next_run_at, Some(366 * 86_400));
    one.anchor_at = one.next_run_at.unwrap();
    one.end_time = Some(one.anchor_at.plus(Duration::from_secs(1)));
    (one.max_count, one.exclude) = (Some(1), items(&["closed"]));
  })
  .await;
  let after_end = every(store, &job, |one| {
    (one.name, one.interval_from) = ("after".to_owned(), IntervalFrom::End);
    one.exclude = items(&["closed"]);
    one.next_run_at = Some(row.next_run_at.unwrap().plus(Duration::from_secs(100)));
    one.start_time = one.next_run_at;
  })
  .await;
  let ahead = PlanSvc::new(service(store), Duration::from_secs(150));
  stand_at(store, &row, 0);
  ahead.run_once().await.unwrap();
  assert_eq!(fires(store, &row).await, [(0, Fired, 1)], "what may change is not decided ahead");
  pass(store, &row, 1..=5).await;
  let decided = [(0, Fired, 1), (1, SkippedWindow, 4), (5, Fired, 1)];
  assert_eq!(fires(store, &row).await, decided);
  let closed = rows(store, &row).await.remove(1);
  assert_eq!(closed.reason.as_deref(), Some("left out by calendar closed"));
  let last = closed.fire_at.plus(Duration::from_secs(300));
  assert_eq!((closed.from_at, closed.to_at), (Some(closed.fire_at), Some(last)));
  let decided =
    [(0, SkippedWindow, 2), (2, Fired, 1), (3, Fired, 1), (4, SkippedWindow, 1), (5, Fired, 1)];
  assert_eq!(fires(store, &only).await, decided);
  let outside = rows(store, &only).await.remove(0);
  assert_eq!(outside.reason.as_deref(), Some("outside of calendar open"));
  assert_eq!(fires(store, &once).await, [(0, SkippedWindow, 1)]);
  assert_eq!(read(store, &once).await.status, ScheduleStatus::Expired);
  let decided = fires(store, &after_end).await;
  assert_eq!((decided.len(), decided[0].1, decided[1].1), (2, SkippedWindow, Fired), "{decided:?}");
  assert!(decided[0].2 >= 2, "each interval, then a run: {decided:?}");
  // By hand it runs at any time: the calendar is about its instants.
  end(store, &row).await;
  stand_at(store, &row, 250);
  let schedules = ScheduleSvc::new(service(store));
  let asked = TaskForCreate::default();
  let id = row.id.to_string();
  let answer = schedules.trigger(&Actor::system(), (None, &id), &asked).await.unwrap();
  assert_eq!(answer.decision, Fired);
}

/// What calendars left out of an outage is no misfire, and what they let through is made up for.
pub async fn an_outage_tells_calendars_apart(store: &TestStore) {
  let job = stored_job(store).await;
  let row = every(store, &job, |row| {
    (row.overlap_policy, row.misfire_policy) = (OverlapPolicy::AllowAll, MisfirePolicy::FireAll);
    (row.catchup_max, row.exclude) = (3, items(&["closed"]));
  })
  .await;
  covers(store, "closed", (&row, &[(2, 4), (8, 8)])).await;
  stand_at(store, &row, 1050);
  plan(store).await;
  let decided = [
    (0, SkippedMisfire, 2),
    (2, SkippedWindow, 3),
    (5, SkippedMisfire, 2),
    (7, Fired, 1),
    (8, SkippedWindow, 1),
    (9, Fired, 1),
    (10, Fired, 1),
  ];
  assert_eq!(fires(store, &row).await, decided);
  // While it covers the present nothing is made up for.
  covers(store, "closed", (&row, &[(14, 20)])).await;
  stand_at(store, &row, 1550);
  plan(store).await;
  let decided = fires(store, &row).await;
  assert_eq!(decided[7..], [(11, SkippedWindow, 5)], "{decided:?}");
}

fn told(error: &SvcError) -> Vec<(String, String)> {
  let refused = error.response();
  refused.errors.into_iter().map(|one| (one.code, one.field)).collect()
}

/// A schedule cannot name what is not there, a calendar that is named cannot go, and what leaves no
/// instant is refused.
pub async fn what_is_named_is_there_and_stays(store: &TestStore) {
  let job = stored_job(store).await;
  let (schedules, calendars) = (ScheduleSvc::new(service(store)), CalendarSvc::new(service(store)));
  let actor = Actor::system();
  let new = |extra: serde_json::Value| {
    let mut rule = json!({ "cron": "0 6 * * *", "name": "daily" });
    rule.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    serde_json::from_value::<ScheduleForCreate>(rule).unwrap()
  };
  let create = async |extra: serde_json::Value| {
    schedules.create(&actor, (None, Some(&job.name)), new(extra)).await
  };
  let refused = create(json!({ "include": ["12-25", "office"], "exclude": ["nobody"] })).await;
  let unknown = |field: &str| ("calendar.unknown".to_owned(), field.to_owned());
  assert_eq!(told(&refused.unwrap_err()), [unknown("/include/1"), unknown("/exclude/0")]);
  let refused = create(json!({ "exclude": ["12-35"] })).await.unwrap_err();
  assert_eq!(told(&refused), [("calendar.rule".to_owned(), "/exclude/0".to_owned())]);
  for name in ["easter", "MON-FRI", "12-25"] {
    let put = CalendarForPut { rules: vec!["12-25".to_owned()], ..CalendarForPut::default() };
    let refused = calendars.put(&actor, (None, name), put).await.unwrap_err();
    assert_eq!(told(&refused), [("calendar.name".to_owned(), "/name".to_owned())]);
  }
  let put = |rule: &str| CalendarForPut { rules: vec![rule.to_owned()], ..Default::default() };
  calendars.put(&actor, (None, "mornings"), put("05:00-07:00")).await.unwrap();
  let never = create(json!({ "exclude": ["mornings"] })).await.unwrap_err();
  assert_eq!(told(&never), [("calendar.never_open".to_owned(), "/exclude".to_owned())]);
  let made = create(json!({ "include": ["mornings"], "exclude": ["12-25"] })).await.unwrap();
  assert_eq!(made.include, items(&["mornings"]));
  let used = calendars.get(&actor, (None, "mornings")).await.unwrap();
  assert_eq!(used.used_by, ["daily"]);
  let refused = calendars.delete(&actor, (None, "mornings")).await.unwrap_err();
  assert_eq!(told(&refused), [("calendar.in_use".to_owned(), "/name".to_owned())]);
  assert!(refused.response().err_msg.contains("daily"), "{refused:?}");
  // A change that names none lets it go.
  let free = ScheduleForUpdate { include: Some(Vec::new()), ..ScheduleForUpdate::default() };
  let freed = schedules.update(&actor, (None, "daily"), free, None).await.unwrap();
  assert_eq!((freed.include.len(), freed.exclude.len()), (0, 1));
  let wrong = ScheduleForUpdate { exclude: Some(vec!["gone".to_owned()]), ..Default::default() };
  let refused = schedules.update(&actor, (None, "daily"), wrong, None).await.unwrap_err();
  assert_eq!(told(&refused), [unknown("/exclude/0")]);
  calendars.delete(&actor, (None, "mornings")).await.unwrap();
}

/// What is planned ahead and not claimed is decided anew; what was decided stays.
pub async fn a_change_is_for_what_comes(store: &TestStore) {
  let job = stored_job(store).await;
  let row = every(store, &job, |row| {
    (row.overlap_policy, row.exclude) = (OverlapPolicy::AllowAll, items(&["closed"]));
  })
  .await;
  let other = every(store, &job, |other| {
    (other.name, other.overlap_policy) = ("other".to_owned(), OverlapPolicy::AllowAll);
    (other.next_run_at, other.anchor_at) = (row.next_run_at, row.anchor_at);
  })
  .await;
  covers(store, "closed", (&row, &[(1, 1)])).await;
  pass(store, &row, 0..=1).await;
  let ahead = PlanSvc::new(service(store), Duration::from_secs(250));
  ahead.run_once().await.unwrap();
  assert_eq!(live(store, &row).await.len(), 3, "0, 2 and 3");
  covers(store, "closed", (&row, &[(0, 0), (2, 2)])).await;
  assert_eq!(live(store, &row).await.iter().map(|one| one.0).collect::<Vec<_>>(), [0]);
  assert_eq!(live(store, &other).await.len(), 4, "nobody else is touched");
  pass(store, &row, 2..=3).await;
  let decided = [(0, Fired, 1), (1, SkippedWindow, 1), (2, SkippedWindow, 1), (3, Fired, 1)];
  assert_eq!(fires(store, &row).await, decided);
  // Taken back by many at once and by none.
  let mut tx = store.db.begin().await.unwrap();
  let none = ahead_bmc::take_back(&mut tx, ahead_bmc::Ahead::Schedules(&[]), Ts::from_micros(0));
  let none = none.await;
  assert_eq!(tx.end(none).await.unwrap(), []);
}

/// A row that a person cannot write: the schedule is switched off with the reason, others go on.
pub async fn a_calendar_that_is_gone_stops_its_schedule_alone(store: &TestStore) {
  let job = stored_job(store).await;
  let lost = every(store, &job, |row| row.exclude = items(&["lost"])).await;
  let broken = every(store, &job, |row| {
    (row.name, row.include) = ("broken".to_owned(), items(&["broken"]));
  })
  .await;
  let good = every(store, &job, |row| row.name = "good".to_owned()).await;
  covers(store, "broken", (&good, &[(0, 9)])).await;
  let mut tx = store.db.begin().await.unwrap();
  let sql = "update sched_calendar set timezone = 'Mars/Phobos'";
  let written = tx.execute_sql(sql, Vec::new()).await;
  assert_eq!(tx.end(written).await.unwrap(), 1);
  stand_at(store, &good, 1);
  plan(store).await;
  assert_eq!(live(store, &good).await.len(), 1);
  for (row, why) in [(&lost, "there is no calendar lost"), (&broken, "cannot be read")] {
    let now = read(store, row).await;
    assert_eq!(now.status, ScheduleStatus::Disabled);
    let reason = now.status_reason.unwrap();
    assert!(reason.starts_with("invalid: ") && reason.contains(why), "{reason}");
  }
}

/// Stretches that calendars leave out are lines of their own, and so are holds with an end; a hold
/// without one stands above.
pub async fn previews_mark_what_is_left_out(store: &TestStore) {
  let job = stored_job(store).await;
  let row = every(store, &job, |row| row.exclude = items(&["closed"])).await;
  covers(store, "closed", (&row, &[(2, 4)])).await;
  let (schedules, actor) = (ScheduleSvc::new(service(store)), Actor::system());
  let id = row.id.to_string();
  let from = row.next_run_at.unwrap().minus(Duration::from_micros(1));
  let next = async |count: i64| {
    let preview = schedules.next(&actor, (None, &id), (count, Some(from))).await.unwrap();
    let line = |one: &NextFire| {
      let nth = (one.at.micros() - from.micros()) / 100_000_000;
      (nth, one.skipped.clone().unwrap_or_default(), one.count.unwrap_or(1))
    };
    (preview.held.clone().unwrap_or_default(), preview.next.iter().map(line).collect::<Vec<_>>())
  };
  let fire = |nth: i64| (nth, String::new(), 1);
  let closed = (2, "left out by calendar closed".to_owned(), 3);
  let expected = vec![fire(0), fire(1), closed.clone(), fire(5), fire(6)];
  assert_eq!(next(4).await, (String::new(), expected));
  let until = Some(row.next_run_at.unwrap().plus(Duration::from_secs(50)));
  stand_at(store, &row, -10);
  let hold = PauseRequest { reason: Some("moving".to_owned()), until };
  schedules.pause(&actor, (None, &id), &hold).await.unwrap();
  let (held, lines) = next(2).await;
  assert_eq!(held, "");
  assert_eq!(lines[0], (0, format!("paused by {}: moving", actor.name), 1));
  assert_eq!(lines[1..], [fire(1), closed.clone(), fire(5)]);
  schedules.resume(&actor, (None, &id), &ResumeRequest::default()).await.unwrap();
  let freezes = FreezeSvc::new(service(store));
  freezes.pause(&actor, None, &PauseRequest::default()).await.unwrap();
  let (held, lines) = next(2).await;
  assert_eq!(held, format!("the cluster was paused by {}", actor.name));
  assert_eq!(lines, [fire(0), fire(1)]);
  let wish: ScheduleForCreate =
    serde_json::from_value(json!({ "interval": 100, "interval_secs": 100, "include": ["closed"] }))
      .unwrap();
  let preview = schedules.preview(&actor, (None, wish), (1, Some(from))).await.unwrap();
  assert_eq!(preview.next.iter().filter(|one| one.skipped.is_none()).count(), 1);
}

/// Instants that calendars leave out are counted and not run, unless somebody wants them.
pub async fn a_backfill_leaves_calendars_alone(store: &TestStore) {
  let job = stored_job(store).await;
  let row = every(store, &job, |row| row.exclude = items(&["closed"])).await;
  covers(store, "closed", (&row, &[(2, 4)])).await;
  let store_of = service(store);
  let tasks = TaskSvc::new(
    store_of.clone(),
    SubmitSvc::new(store_of.clone(), None),
    Arc::new(JobCache::default()),
  );
  let backfills = BackfillSvc::new(store_of, Arc::new(tasks), 50);
  let at = |nth: u64| row.next_run_at.unwrap().plus(Duration::from_secs(100 * nth));
  stand_at(store, &row, 950);
  plan(store).await;
  let wish = |(from, to): (u64, u64), with_excluded: bool| BackfillForCreate {
    from: at(from),
    to: at(to),
    order: None,
    parallelism: Some(10),
    only: None,
    with_excluded,
    dry_run: false,
  };
  let (actor, id) = (Actor::system(), row.id.to_string());
  let which = (None, id.as_str());
  let refused = backfills.create(&actor, which, &wish((2, 4), false)).await.unwrap_err();
  assert_eq!(told(&refused), [("backfill.empty".to_owned(), "/from".to_owned())]);
  assert!(refused.response().errors[0].message.contains("calendars leave out 3"));
  let made = backfills.create(&actor, which, &wish((0, 6), false)).await.unwrap();
  assert_eq!((made.in_range, made.total, made.excluded), (7, 4, 3));
  backfills.run_once().await.unwrap();
  let read = backfills.get(&actor, &made.id.to_string()).await.unwrap();
  assert_eq!((read.made, read.with_excluded, read.excluded), (4, false, 3));
  let all = backfills.create(&actor, which, &wish((2, 4), true)).await.unwrap();
  assert_eq!((all.total, all.excluded, all.with_excluded), (3, 0, true));
}
