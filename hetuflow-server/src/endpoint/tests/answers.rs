//! Plans and simulations through the door: they answer, and change nothing.

use axum::http::Method;
use serde_json::{Value, json};

use super::House;

const GET: Method = Method::GET;
const POST: Method = Method::POST;

fn job(name: &str, schedules: Value) -> Value {
  json!({ "name": name, "config": { "command": "true" }, "schedules": schedules })
}

#[tokio::test]
async fn a_plan_says_which_fires_change() {
  let house = House::new().await;
  let admin = house.admin().await;
  let daily = |tz: &str| json!([{ "name": "night", "cron": "0 2 * * *", "timezone": tz }]);
  house.ask(&admin, (POST, "/api/v1/jobs"), job("report", daily("Etc/GMT-1"))).await;
  let hourly = json!([{ "name": "tick", "cron": "0 * * * *" }]);
  house.ask(&admin, (POST, "/api/v1/jobs"), job("same", hourly.clone())).await;
  let (_, stored) = house.ask(&admin, (GET, "/api/v1/schedules"), Value::Null).await;

  // Another zone, one more schedule, one that goes, one that stays as it is.
  let mut wanted = daily("Europe/Berlin");
  wanted.as_array_mut().expect("a list").push(json!({ "name": "yearly", "cron": "0 0 1 1 *" }));
  let request = json!({
    "jobs": [job("report", wanted), job("same", hourly), job("new", json!([{ "cron": "0 2 * * *" }]))],
    "from": "2026-02-28T12:00:00Z", "herd": 2,
  });
  let ask = (POST, "/api/v1/jobs/plan");
  let (status, plan) = house.ask(&admin, ask.clone(), request.clone()).await;
  assert_eq!(status.as_u16(), 200, "{plan}");
  assert_eq!((&plan["applied"], &plan["unchanged"]), (&json!(false), &json!(1)));
  assert_eq!(plan["until"], "2026-05-29T12:00:00Z");
  let of = |name: &str| {
    let all = plan["schedules"].as_array().expect("a list");
    all.iter().find(|one| one["schedule"] == name).cloned().expect("a schedule of that name")
  };
  let night = of("night");
  assert_eq!(
    (&night["action"], &night["before"], &night["moved"]),
    (&json!("update"), &json!(90), &json!(61))
  );
  assert_eq!(night["differences"][0]["before"]["local"], "2026-03-30T03:00:00+02:00");
  assert_eq!(night["differences"][0]["after"]["local"], "2026-03-30T02:00:00+02:00");
  assert_eq!((&of("yearly")["never_fires"], &of("yearly")["after"]), (&json!(true), &json!(0)));
  assert_eq!((&of("new")["action"], &of("new")["added"]), (&json!("create"), &json!(90)));
  let totals = json!({ "before": 90, "after": 180, "added": 90, "removed": 0, "moved": 61 });
  assert_eq!(plan["totals"], totals);
  let herd = &plan["herds"][0];
  assert_eq!((&herd["schedules"], &herd["changed"]), (&json!(2), &json!(1)), "{}", plan["herds"]);

  let (_, after) = house.ask(&admin, (GET, "/api/v1/schedules"), Value::Null).await;
  assert_eq!(after, stored, "nothing has changed");
  let (_, jobs) = house.ask(&admin, (GET, "/api/v1/jobs"), Value::Null).await;
  assert_eq!(jobs["data"].as_array().expect("rows").len(), 2);

  // What is wrong is told as an apply would.
  let bad = json!({ "jobs": [job("x", json!([{ "cron": "0 0 30 2 *" }]))], "days": 0 });
  let (status, body) = house.ask(&admin, ask.clone(), bad).await;
  assert_eq!((status.as_u16(), &body["errors"][0]["field"]), (422, &json!("/days")));
  let bad = json!({ "jobs": [job("x", json!([{ "cron": "0 0 30 2 *" }]))] });
  let (status, body) = house.ask(&admin, ask, bad).await;
  assert_eq!((status.as_u16(), &body["errors"][0]["code"]), (422, &json!("cron.never_fires")));
}

#[tokio::test]
async fn a_plan_knows_what_a_prune_takes() {
  let house = House::new().await;
  let admin = house.admin().await;
  let scope = json!({ "team": "data" });
  let apply =
    json!({ "jobs": [job("gone", json!([{ "name": "n", "cron": "@daily" }]))], "scope": scope });
  house.ask(&admin, (POST, "/api/v1/jobs/apply"), apply).await;
  let jobs = json!([job("other", json!([{ "name": "n", "cron": "@hourly" }]))]);
  let request = json!({ "jobs": jobs, "scope": scope, "prune": true, "days": 10 });
  let (status, plan) = house.ask(&admin, (POST, "/api/v1/jobs/plan"), request).await;
  assert_eq!(status.as_u16(), 200, "{plan}");
  assert_eq!(
    plan["totals"],
    json!({ "before": 10, "after": 240, "added": 240, "removed": 10, "moved": 0 })
  );
}

#[tokio::test]
async fn a_simulation_answers_for_what_is_and_for_what_would_be() {
  let house = House::new().await;
  let admin = house.admin().await;
  let often = json!([{ "name": "often", "cron": "*/5 * * * *" }]);
  house.ask(&admin, (POST, "/api/v1/jobs"), job("report", often)).await;
  let viewer = house.token(json!({ "name": "v", "role": "viewer" })).await;
  let ask = (POST, "/api/v1/simulate");
  // Runs of seven minutes, every five: each second one is left out.
  let request = json!({ "from": "2026-01-01T00:00:00Z", "duration": "1h", "run": "7m" });
  let (status, report) = house.ask(&viewer, ask.clone(), request).await;
  assert_eq!(status.as_u16(), 200, "{report}");
  assert_eq!(
    (&report["fires"], &report["runs"], &report["skipped"]),
    (&json!(12), &json!(6), &json!(6))
  );
  assert_eq!((&report["slots"], &report["agents"]), (&json!(0), &json!(0)), "no agent, no limit");
  assert_eq!(report["load"]["started"].as_array().map(Vec::len), Some(61));

  let wanted = json!([{ "name": "often", "cron": "*/5 * * * *", "overlap": "allow_all" }]);
  let request = json!({
    "from": "2026-01-01T00:00:00Z", "duration": "1h", "run": "7m", "slots": 1,
    "jobs": [job("report", wanted)],
  });
  let (_, refused) = house.ask(&viewer, ask.clone(), request.clone()).await;
  assert_eq!(refused["code"], "forbidden", "{refused}");
  let (status, report) = house.ask(&admin, ask.clone(), request).await;
  assert_eq!(status.as_u16(), 200, "{report}");
  assert_eq!(
    (&report["fires"], &report["runs"], &report["skipped"]),
    (&json!(12), &json!(8), &json!(0))
  );
  assert!(report["late"]["max"].as_f64().is_some_and(|late| late > 60_000.0), "{}", report["late"]);
  let (_, row) = house.ask(&admin, (GET, "/api/v1/schedules/often"), Value::Null).await;
  assert_eq!(row["overlap_policy"], "skip", "nothing has changed");

  let bad = json!({ "duration": "32d", "slots": -1 });
  let (status, body) = house.ask(&admin, ask, bad).await;
  assert_eq!((status.as_u16(), body["errors"].as_array().map(Vec::len)), (422, Some(2)), "{body}");
}
