//! Windows of lists: the same rows in the same order on both engines, whatever the filter.

use std::collections::HashMap;
use std::time::Duration;

use hetuflow_core::*;
use hetuflow_server::infra::bmc::filter_sql::{Narrow, Reach};
use hetuflow_server::infra::bmc::hot::{self, FinishedAttempt, NewTask};
use hetuflow_server::infra::bmc::watch_tasks::Selection;
use hetuflow_server::infra::bmc::{
  event_bmc, job_bmc, schedule_bmc, watch_attempts, watch_events, watch_jobs, watch_schedules,
  watch_tasks,
};
use hetuflow_server::infra::db::{Conn, DbError};

use crate::engines::TestStore;
use crate::hot_path::task;
use crate::tables::{job, schedule};

/// An end of a task that this test makes up.
fn end(task: &NewTask, status: TaskStatus, agent: &str, code: i64) -> FinishedAttempt {
  let ended = task.scheduled_at.plus(Duration::from_secs(60));
  FinishedAttempt {
    id: TaskInstanceId::generate(),
    task_id: task.id,
    job_id: task.job_id,
    namespace_id: task.namespace_id.clone(),
    attempt: 2,
    fence: 1,
    agent_id: Some(AgentId::new(agent).unwrap()),
    status: if code == 0 { TaskInstanceStatus::Succeeded } else { TaskInstanceStatus::Failed },
    task_status: Some(status),
    dispatched_at: None,
    started_at: Some(task.scheduled_at.plus(Duration::from_secs(10))),
    completed_at: ended,
    start_skew_us: None,
    pid: None,
    exit_code: Some(code),
    signal: None,
    reason: (code != 0).then(|| format!("exit_code({code})")),
    error_message: (code != 0).then(|| "100%_Broken".to_owned()),
    log_bytes: 0,
    output_tail: None,
    output_index: None,
    left: hot::LeftBehind::default(),
  }
}

/// Four tasks, oldest first: `w` waits since 2 h, `f` failed, `s` succeeded, `n` waits since now.
struct Rows {
  now: Ts,
  ids: [(char, TaskId); 4],
  etl: JobEntity,
}

async fn fill(store: &TestStore) -> Rows {
  let (etl, mut backup) = (job("etl-daily"), job("backup[1]"));
  backup.labels.clear();
  let now = Ts::now();
  let ago = |mins: u64| now.minus(Duration::from_secs(mins * 60));
  let mut tasks = [
    task(&backup, 0, ago(120)),
    task(&etl, 5, ago(30)),
    task(&backup, -3, ago(20)),
    task(&etl, 0, now),
  ];
  tasks.sort_by_key(|task| task.scheduled_at);
  let mut ids: Vec<TaskId> = tasks.iter().map(|task| task.id).collect();
  ids.sort();
  for (task, id) in tasks.iter_mut().zip(ids) {
    task.id = id;
  }
  let mut tx = store.db.begin().await.unwrap();
  job_bmc::create(&mut tx, &etl).await.unwrap();
  job_bmc::create(&mut tx, &backup).await.unwrap();
  let hourly = schedule(&etl, "hourly", Some(now.plus(Duration::from_secs(60))));
  schedule_bmc::create(&mut tx, &hourly).await.unwrap();
  tx.end::<_, DbError>(Ok(())).await.unwrap();
  // Ended tasks have no live row: they go in as specs, and their ends beside them.
  let mut tx = store.db.begin_hot().await.unwrap();
  hot::enqueue(&mut tx, &tasks, now).await.unwrap();
  tx.end::<_, DbError>(Ok(())).await.unwrap();
  let mut tx = store.db.begin_hot().await.unwrap();
  let server = ServerId::new("s").unwrap();
  for (index, status, agent, code) in
    [(1, TaskStatus::Failed, "worker-1", 137), (2, TaskStatus::Succeeded, "Worker-2", 0)]
  {
    let slots = [hot::ClaimSlot {
      instance_id: TaskInstanceId::generate(),
      agent_id: AgentId::new(agent).unwrap(),
      agent_epoch: 1,
      connection_epoch: 1,
    }];
    let range = (42, tasks[index].priority);
    let claimed = hot::claim_due(&mut tx, range, &slots, &server, 0).await.unwrap();
    assert_eq!(claimed[0].task_id, tasks[index].id);
    hot::delete_finished(&mut tx, &[(tasks[index].id, claimed[0].fence)]).await.unwrap();
    hot::insert_finished(&mut tx, &[end(&tasks[index], status, agent, code)]).await.unwrap();
  }
  tx.end::<_, DbError>(Ok(())).await.unwrap();
  let ids = ['w', 'f', 's', 'n'].into_iter().zip(tasks.iter().map(|task| task.id));
  Rows { now, ids: ids.collect::<Vec<_>>().try_into().unwrap(), etl }
}

/// The letters of the rows that a filter lets through, in order; and that the count agrees.
async fn letters(conn: &mut Conn, rows: &Rows, filter: &str, sort: &str) -> String {
  let read = Filter::parse(filter, FilterScope::Tasks).unwrap();
  let sort = parse_sort(sort, FilterScope::Tasks).unwrap();
  let jobs_like = HashMap::from([("^etl".to_owned(), vec![rows.etl.id.0])]);
  let narrow = Narrow { filter: &read, sort: &sort, now: rows.now, jobs_like: &jobs_like };
  let home = NamespaceId::default();
  let selection = Selection { namespace: Some(&home), from: 0, len: 10, narrow };
  let (found, reach) = watch_tasks::list(conn, &selection).await.unwrap();
  assert_eq!(reach == Reach::Wider, filter.contains("reason~") || !filter.is_ascii(), "{filter}");
  assert_eq!(watch_tasks::matched(conn, &selection).await.unwrap(), found.len() as u64, "{filter}");
  let letter = |id: TaskId| rows.ids.iter().find(|(_, known)| *known == id).unwrap().0;
  found.iter().map(|task| letter(task.id)).collect()
}

pub async fn filters_mean_the_same(store: &TestStore) {
  let rows = fill(store).await;
  let mut conn = store.db.read().await.unwrap();
  let failed = rows.ids[1].1;
  let uuid = failed.to_string();
  for (filter, expected) in [
    ("", "nsfw"),
    ("state=pending", "nw"),
    ("state=failed,ok", "sf"),
    ("!state=live", "sf"),
    ("state=live job=etl-daily", "n"),
    ("state=failed | prio=-3", "sf"),
    ("job=etl*", "nf"),
    ("job=*[1]", "sw"),
    ("job=ETL*", ""),
    ("job~^etl", "nf"),
    ("!job~^etl", "sw"),
    ("agent=worker-*", "f"),
    ("agent!=worker-1", "nsw"),
    ("prio>=0", "nfw"),
    ("prio<0", "s"),
    ("exit=137", "f"),
    ("exit!=137", "nsw"),
    ("attempt>1", "sf"),
    ("age<10m", "n"),
    ("age>1h", "w"),
    ("age>=20m age<=30m", "sf"),
    ("run>30s", "sf"),
    ("run<=50s run>=50s", "sf"),
    ("wait<1m", "nsf"),
    ("wait>1h", "w"),
    ("since=25m", "sn"),
    ("until=25m", "fw"),
    ("label.tier=gold", "nf"),
    ("label.tier!=gold", "sw"),
    ("label.tier=g*d", "nf"),
    ("label.none=x", ""),
    ("trigger=manual", "nsfw"),
    ("reason=exit_code*", "f"),
    ("100%_bro", "f"),
    ("100__bro", ""),
    ("BACKUP", "sw"),
    ("!backup", "nf"),
    ("reason~^exit", "nsfw"),
    ("état", "nsfw"),
    ("\"'; drop table sched_task; --\"", ""),
    ("namespace=default", "nsfw"),
    ("namespace=other", ""),
  ] {
    let found = letters(&mut conn, &rows, filter, "").await;
    let mut sorted: Vec<char> = expected.chars().collect();
    sorted.sort_by_key(|c| "nsfw".find(*c));
    assert_eq!(found, sorted.into_iter().collect::<String>(), "{filter}");
  }
  for id in [uuid.clone(), uuid[..23].to_owned(), failed.short()] {
    assert!(letters(&mut conn, &rows, &format!("id={id}"), "").await.contains('f'), "{id}");
  }
  assert_eq!(letters(&mut conn, &rows, &format!("id={uuid}"), "").await, "f");
  assert_eq!(letters(&mut conn, &rows, "id=zz", "").await, "");
  for (sort, expected) in [
    ("age", "nsfw"),
    ("-age", "wfsn"),
    ("prio", "snwf"),
    ("-prio,age", "fnws"),
    ("exit", "sfnw"),
    ("-exit", "fsnw"),
    ("job,age", "swnf"),
    ("state,-age", "fwns"),
    ("-wait", "wsfn"),
    ("run,age", "sfnw"),
  ] {
    assert_eq!(letters(&mut conn, &rows, "", sort).await, expected, "{sort}");
  }
}

pub async fn figures_of_lists_are_read(store: &TestStore) {
  let rows = fill(store).await;
  let mut conn = store.db.read().await.unwrap();
  let home = NamespaceId::default();
  let home = Some(&home);
  let now = rows.now.plus(Duration::from_secs(1));
  let none = HashMap::new();
  let all = |filter| Narrow { filter, sort: &[], now, jobs_like: &none };
  let select = |filter, len| Selection { namespace: home, from: 0, len, narrow: all(filter) };

  let gold = Filter::parse("label.tier=gold age<1h", FilterScope::Jobs).unwrap();
  let (jobs, reach) = watch_jobs::list(&mut conn, &select(&gold, 10)).await.unwrap();
  assert_eq!((jobs.len(), jobs[0].id, reach), (1, rows.etl.id, Reach::Exact));
  assert_eq!(watch_jobs::matched(&mut conn, &select(&gold, 0)).await.unwrap(), 1);
  assert_eq!(watch_jobs::total(&mut conn, home).await.unwrap(), 2);
  assert_eq!(watch_jobs::by_status(&mut conn, home).await.unwrap(), [("enabled".to_owned(), 2)]);
  let ids = [rows.etl.id, JobId::generate()];
  assert_eq!(watch_jobs::live(&mut conn, &ids).await.unwrap(), [(rows.etl.id, 1)]);
  let recent = watch_jobs::recent(&mut conn, &ids, (now, 8)).await.unwrap();
  let states: Vec<TaskStatus> = recent.iter().map(|run| run.status).collect();
  assert_eq!(states, [TaskStatus::Pending, TaskStatus::Failed]);
  let days = watch_jobs::days(&mut conn, rows.etl.id, now.minus(Duration::from_secs(86_400)));
  let days = days.await.unwrap();
  assert_eq!((days.len(), days[0].1, days[0].2), (1, 1, 1));

  let counts = watch_tasks::live_counts(&mut conn, home).await.unwrap();
  assert_eq!(counts, [(TaskStatus::Pending, 2)]);
  assert_eq!(watch_tasks::total(&mut conn, home).await.unwrap(), 4);
  let due = watch_tasks::due_classes(&mut conn, home, now).await.unwrap();
  assert_eq!((due.len(), due[0].class_id, due[0].tasks), (1, 42, 2));
  assert_eq!(watch_tasks::oldest_due(&mut conn, home, now).await.unwrap(), Some(due[0].oldest));
  assert_eq!(watch_tasks::longest_running(&mut conn, home, 5).await.unwrap(), []);

  let times = watch_attempts::newest_times(&mut conn, home, 1000).await.unwrap();
  assert_eq!(times.len(), 2);
  let hour = Duration::from_secs(3600);
  let ends = watch_attempts::ends_since(&mut conn, home, (now.minus(hour), hour)).await.unwrap();
  assert_eq!(ends.len(), 2);
  let failures = watch_attempts::failures_since(&mut conn, home, (now.minus(hour), 10));
  let failures = failures.await.unwrap();
  assert_eq!((failures.len(), failures[0].job_name.as_str()), (1, "etl-daily"));

  let cron = Filter::parse("kind=cron job=etl* tz=Europe/*", FilterScope::Schedules).unwrap();
  let (found, _) = watch_schedules::list(&mut conn, &select(&cron, 10)).await.unwrap();
  assert_eq!(found[0].schedule.name, "hourly");
  assert_eq!(watch_schedules::firing(&mut conn, home, now).await.unwrap(), found);
  assert_eq!(watch_schedules::broken(&mut conn, home).await.unwrap(), []);
  drop(conn);

  let mut journal = event_bmc::Journal::default();
  for word in ["a", "b"] {
    let subject = Subject { kind: Topic::Task, id: rows.ids[0].1.to_string() };
    let data = serde_json::Value::Null;
    let change = Change { at: now, subject, event_type: word.to_owned(), data };
    journal.push(&NamespaceId::default(), change);
  }
  let mut tx = store.db.begin().await.unwrap();
  let before = event_bmc::newest(&mut tx).await.unwrap();
  event_bmc::append(&mut tx, &journal, now).await.unwrap();
  tx.end::<_, DbError>(Ok(())).await.unwrap();
  let mut conn = store.db.read().await.unwrap();
  let newest = event_bmc::newest(&mut conn).await.unwrap();
  assert_eq!(newest, before + 1);
  let read = watch_events::list_before(&mut conn, home, (newest, 5)).await.unwrap();
  assert_eq!(read[0].changes.len(), 2);
  assert!(watch_events::total(&mut conn, home).await.unwrap() >= 2);
  assert_eq!(watch_events::number_before(&mut conn, now).await.unwrap(), Some(before));
  let names = watch_events::job_names_of_tasks(&mut conn, &[rows.ids[0].1]).await.unwrap();
  assert_eq!(names[0].1, "backup[1]");
}
