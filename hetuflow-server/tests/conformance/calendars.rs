//! Calendars by name, and windows in which nothing of their namespace fires.

use std::time::Duration;

use hetuflow_core::*;
use hetuflow_server::infra::bmc::{PageArgs, fire_bmc};
use hetuflow_server::service::{Actor, CalendarSvc, PlanSvc, ScheduleSvc};

use crate::engines::TestStore;
use crate::hot_path::stored_job;
use crate::planner::{end, every, fires, live, plan, service, stand_at};

use FireDecision::{Fired, SkippedWindow};

/// From just before a schedule's first instant to so many seconds after it.
fn window(row: &ScheduleEntity, secs: u64) -> CalendarForPut {
  let first = row.next_run_at.unwrap();
  let from = first.minus(Duration::from_secs(1));
  let rules = vec![format!("{from}..{}", first.plus(Duration::from_secs(secs)))];
  CalendarForPut { rules, blackout: true, ..CalendarForPut::default() }
}

async fn reasons(store: &TestStore, row: &ScheduleEntity) -> Vec<String> {
  let mut conn = store.db.read().await.unwrap();
  let page = fire_bmc::list(&mut conn, row.id, &PageArgs::first(100)).await.unwrap();
  let skipped = page.data.into_iter().filter(|fire| fire.decision == SkippedWindow);
  skipped.filter_map(|fire| fire.reason).collect()
}

/// What is planned ahead is taken back, the instant leaves a row and no task; what the window does
/// not cover any more fires.
pub async fn nothing_fires_in_a_blackout(store: &TestStore) {
  let job = stored_job(store).await;
  let calendars = CalendarSvc::new(service(store));
  let actor = Actor::system();
  let row = every(store, &job, |_| {}).await;
  let ahead = PlanSvc::new(service(store), Duration::from_secs(60));
  stand_at(store, &row, -10);
  assert_eq!(ahead.run_once().await.unwrap().fired, 1);
  let wide = window(&row, 450);
  let kept = calendars.put(&actor, (None, "move"), wide.clone()).await.unwrap();
  assert_eq!((kept.version, kept.blackout), (1, true));
  assert_eq!((fires(store, &row).await, live(store, &row).await), (vec![], vec![]));
  assert_eq!(ahead.run_once().await.unwrap().fired, 0, "it is decided when it comes");
  stand_at(store, &row, 1);
  assert_eq!(plan(store).await.fired, 0);
  assert_eq!(fires(store, &row).await, [(0, SkippedWindow, 1)]);
  assert_eq!(reasons(store, &row).await, ["nothing fires during move"]);
  assert_eq!(live(store, &row).await, []);
  let schedules = ScheduleSvc::new(service(store));
  let id = row.id.to_string();
  let asked = schedules.trigger(&actor, (None, &id), &TaskForCreate::default()).await.unwrap();
  assert_eq!((asked.decision, asked.task), (SkippedWindow, None));
  // A shorter window lets the next one through, and so does one that is no blackout.
  let kept = calendars.put(&actor, (None, "move"), window(&row, 50)).await.unwrap();
  assert_eq!(kept.version, 2);
  stand_at(store, &row, 101);
  assert_eq!(plan(store).await.fired, 1);
  end(store, &row).await;
  let off = CalendarForPut { blackout: false, ..wide.clone() };
  calendars.put(&actor, (None, "move"), off).await.unwrap();
  stand_at(store, &row, 201);
  assert_eq!(plan(store).await.fired, 1);
  end(store, &row).await;
  // A row that nobody can read holds nobody.
  calendars.put(&actor, (None, "move"), wide).await.unwrap();
  let mut tx = store.db.begin().await.unwrap();
  let broken = "update sched_calendar set timezone = 'Mars/Phobos'";
  let written = tx.execute_sql(broken, Vec::new()).await;
  assert_eq!(tx.end(written).await.unwrap(), 1);
  stand_at(store, &row, 301);
  assert_eq!(plan(store).await.fired, 1);
  let decided = [(0, SkippedWindow, 1), (1, Fired, 1), (2, Fired, 1), (3, Fired, 1)];
  assert_eq!(fires(store, &row).await, decided);
}

/// Rules and files are checked, each mistake is named; what cannot be read of a file is told.
pub async fn calendars_are_checked_and_kept(store: &TestStore) {
  let calendars = CalendarSvc::new(service(store));
  let actor = Actor::system();
  for (put, expected) in [
    (
      serde_json::json!({ "rules": ["easter", "never"], "timezone": "Mars/Phobos" }),
      vec![("calendar.rule", "/rules/1"), ("tz.unknown", "/timezone")],
    ),
    (serde_json::json!({ "ics": "hello" }), vec![("calendar.ics", "/ics")]),
    (serde_json::json!({ "blackout": true }), vec![("calendar.empty", "/rules")]),
  ] {
    let put: CalendarForPut = serde_json::from_value(put).unwrap();
    let refused = calendars.put(&actor, (None, "a"), put).await.unwrap_err().response();
    let told: Vec<_> =
      refused.errors.iter().map(|one| (one.code.as_str(), one.field.as_str())).collect();
    assert_eq!(told, expected);
  }
  let ics = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nDTSTART;VALUE=DATE:20261224\r\nEND:VEVENT\r\n\
    BEGIN:VEVENT\r\nSUMMARY:odd\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
  let put = CalendarForPut {
    description: "closed".to_owned(),
    timezone: Some("Europe/Berlin".to_owned()),
    rules: vec!["sat-sun".to_owned(), "SAT,SUN".to_owned()],
    ics: Some(ics.to_owned()),
    blackout: false,
  };
  let kept = calendars.put(&actor, (None, "holidays"), put).await.unwrap();
  assert_eq!(kept.rules, ["SAT,SUN", "2026-12-24"]);
  assert_eq!(kept.left_out, ["odd: it has no begin"]);
  let read = calendars.get(&actor, (None, "holidays")).await.unwrap();
  assert_eq!(read, CalendarEntity { left_out: Vec::new(), ..kept });
  let listed = calendars.list(&actor, None, &PageArgs::first(10)).await.unwrap();
  assert_eq!(listed.data, [read]);
  calendars.delete(&actor, (None, "holidays")).await.unwrap();
  let gone = calendars.delete(&actor, (None, "holidays")).await.unwrap_err().response();
  assert_eq!(gone.code, ErrorCode::NotFound);
}
