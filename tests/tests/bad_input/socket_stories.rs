//! Rows of §10.3 that need several frames, an ended attempt, or an agent that is already there.

use anyhow::{Context, Result, ensure};
use hetuflow_tests::wait;
use serde_json::{Value, json};

use crate::api::{House, quiet};
use crate::socket::{Heard, LIMIT, Socket, agent_token, frame, message};

/// A batch of reports.
fn batch(socket: &Socket, seq_from: u64, items: &Value) -> String {
  let payload = json!({ "agent_epoch": socket.epoch, "seq_from": seq_from, "items": items });
  message("task_report_batch", &payload)
}

/// The next thing is a farewell with this code and words.
async fn expect_close(socket: &mut Socket, code: u16, words: &str) -> Result<()> {
  match socket.hear().await? {
    Heard::Close(found, reason) => {
      ensure!(found == code && reason.contains(words), "{found} {reason}, not {code} {words}");
      Ok(())
    }
    other => anyhow::bail!("{other:?}, not {code} {words}"),
  }
}

#[tokio::test]
async fn b059_who_may_upgrade() -> Result<()> {
  let mut house = House::open(0).await?;
  let url = house.cluster.server(0).url().to_owned();
  let bearer = format!("Bearer {}", house.cluster.token());
  let gateway = "/api/v1/gateway/ws";
  let events = "/api/v1/events";
  type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);
  let cases: [Case<'_>; 11] = [
    (gateway, &[("authorization", "Bearer htf_nobody")], "401: "),
    (gateway, &[("authorization", "Basic YTpi")], "401: "),
    (gateway, &[("authorization", &bearer), ("origin", "http://evil.example")], "403: "),
    (gateway, &[("origin", "null")], "403: "),
    (gateway, &[("authorization", &bearer), ("sec-websocket-protocol", "hetuflow.v9")], "400: "),
    (gateway, &[("sec-websocket-protocol", "graphql-ws, soap")], "400: "),
    (gateway, &[("authorization", &bearer), ("sec-websocket-version", "7")], "426: "),
    (gateway, &[("sec-websocket-version", "x")], "426: "),
    (events, &[], "401: "),
    (events, &[("authorization", "Bearer htf_nobody")], "401: "),
    (events, &[("authorization", &bearer), ("origin", "http://evil.example")], "403: "),
  ];
  for (path, headers, status) in cases {
    let error =
      Socket::open(&url, path, headers).await.err().context(format!("{path}: upgraded"))?;
    ensure!(error.to_string().starts_with(status), "{path} {status}: {error}");
  }
  // What the address asks for is judged before the upgrade, too.
  let narrow = json!({ "name": "narrow", "role": "viewer", "namespace_id": "default" });
  let narrow = house.cluster.api().post_ok("/auth/tokens", &narrow).await?;
  let narrow = format!("Bearer {}", narrow["secret"].as_str().context("no secret")?);
  let (mine, theirs) = (format!("{events}?topics=task"), format!("{events}?namespace_id=other"));
  drop(Socket::open(&url, &mine, &[("authorization", &*narrow)]).await?);
  let refused = Socket::open(&url, &theirs, &[("authorization", &*narrow)]).await.err();
  let refused = refused.context("upgraded")?.to_string();
  ensure!(refused.starts_with("404: "), "{refused}");
  // One that is known among others is enough, and none at all is the plain one.
  let token = agent_token(&house).await?;
  let bearer = format!("Bearer {token}");
  let headers =
    [("authorization", &*bearer), ("sec-websocket-protocol", "hetuflow.v9, hetuflow.v1")];
  drop(Socket::open(&url, gateway, &headers).await?);
  drop(Socket::open(&url, gateway, &headers[..1]).await?);
  // 426 says which version is spoken.
  let upgrade = reqwest::Client::new().get(format!("{url}{gateway}")).headers(
    [("connection", "upgrade"), ("upgrade", "websocket"), ("sec-websocket-version", "7")]
      .into_iter()
      .map(|(name, value)| (name.parse().expect("name"), value.parse().expect("value")))
      .collect(),
  );
  let answer = upgrade.send().await?;
  ensure!(answer.headers().get("sec-websocket-version").is_some_and(|known| known == "13"));
  let (status, body) = (answer.status().as_u16(), answer.json::<Value>().await?);
  ensure!((status, &body["err_code"]) == (426, &json!(426)), "{body}");
  quiet(&mut house.cluster, 0)?;
  house.cluster.finish()
}

#[tokio::test]
async fn b060_nothing_is_said() -> Result<()> {
  let mut house = House::open(0).await?;
  let url = house.cluster.server(0).url().to_owned();
  let mut socket = Socket::agent(&url, &agent_token(&house).await?).await?;
  expect_close(&mut socket, 4008, "no registration").await?;
  quiet(&mut house.cluster, 0)?;
  house.cluster.finish()
}

#[tokio::test]
async fn b061_one_token_one_agent_one_connection() -> Result<()> {
  let mut house = House::open(0).await?;
  let (url, token) = (house.cluster.server(0).url().to_owned(), agent_token(&house).await?);
  let mut old = Socket::registered(&url, &token, "probe").await?;
  let mut thief = Socket::agent(&url, &token).await?;
  let first = thief.registration("other", &json!({}));
  thief.say(&first).await?;
  expect_close(&mut thief, 4003, "token belongs to agent").await?;
  ensure!(house.cluster.api().get("/agents/other").await?.0 == 404, "it was stored");
  let mut new = Socket::registered(&url, &token, "probe").await?;
  expect_close(&mut old, 4010, "newer connection").await?;
  new.lives().await?;
  quiet(&mut house.cluster, 0)?;
  house.cluster.finish()
}

#[tokio::test]
async fn b066_reports_are_numbered() -> Result<()> {
  let mut house = House::open(0).await?;
  let (url, token) = (house.cluster.server(0).url().to_owned(), agent_token(&house).await?);
  let update = json!([{ "update": {
    "instance_id": uuid::Uuid::now_v7(), "task_id": uuid::Uuid::now_v7(),
    "status": "succeeded", "timestamp": 1, "fence": 1,
  } }]);
  for (seq, words) in [(5, "5 came, 1 was due"), (u64::MAX, "18446744073709551615 came, 1 was due")]
  {
    let mut socket = Socket::registered(&url, &token, "probe").await?;
    let text = batch(&socket, seq, &update);
    socket.say(&text).await?;
    expect_close(&mut socket, 4002, words).await?;
  }
  // Back, zero, and the same again: known already, and dropped.
  let mut socket = Socket::registered(&url, &token, "probe").await?;
  for seq in [1, 1, 0] {
    let text = batch(&socket, seq, &update);
    socket.say(&text).await?;
    // The first is told to be stale, at some time; the others are not looked at.
    let told = socket.lives().await?;
    ensure!(told.iter().all(|one| one["payload"]["code"] == "stale"), "{seq}: {told:?}");
  }
  // The reports of another process of this agent.
  socket.epoch += 1;
  let text = batch(&socket, 2, &update);
  socket.say(&text).await?;
  expect_close(&mut socket, 4002, "another process").await?;
  quiet(&mut house.cluster, 0)?;
  house.cluster.finish()
}

#[tokio::test]
async fn b068_reports_that_are_not_ones_own() -> Result<()> {
  let mut house = House::open(1).await?;
  let api = house.cluster.api();
  let task = api.post_ok("/tasks", &json!({ "config": { "command": "exit 3" } })).await?;
  let path = format!("/tasks/{}?wait_secs=20", task["id"].as_str().context("no id")?);
  let ended = wait::until("the end of the task", LIMIT, async || {
    let task = api.get_ok(&path).await.ok()?;
    task["completed_at"].is_string().then_some(task)
  })
  .await?;
  let (url, token) = (house.cluster.server(0).url().to_owned(), agent_token(&house).await?);
  let mut socket = Socket::registered(&url, &token, "probe").await?;
  let before = house.counts().await?;
  let nobody = json!(uuid::Uuid::now_v7());
  let attempts = [(&ended["instance_id"], &ended["fence"]), (&ended["instance_id"], &json!(99))];
  let mut seq = 0;
  for (instance, fence) in attempts.into_iter().chain([(&nobody, &json!(1))]) {
    for status in ["running", "succeeded"] {
      seq += 1;
      let items = json!([{ "update": {
        "instance_id": instance, "task_id": ended["id"], "status": status, "timestamp": 1,
        "fence": fence, "attempt": 1, "exit_code": 0, "output": "stolen", "log_bytes": 6,
      } }]);
      let text = batch(&socket, seq, &items);
      socket.say(&text).await?;
    }
  }
  // B070: output for it, and for nobody.
  for instance in [&ended["instance_id"], &nobody] {
    seq += 1;
    let instance: uuid::Uuid = serde_json::from_value(instance.clone())?;
    let mut bytes = vec![1];
    bytes.extend(instance.as_bytes());
    for word in [ended["fence"].as_u64().unwrap_or(1), seq, 0, 0, 0] {
      bytes.extend(word.to_le_bytes());
    }
    bytes.extend(6_u32.to_le_bytes());
    bytes.extend([1, 0]);
    bytes.extend(b"stolen");
    socket.raw(&frame(0x82, bytes.len() as u64, &bytes)).await?;
  }
  // Each of the three attempts is answered, once or for each report, and the connection lives.
  let mut told = std::collections::BTreeSet::new();
  while told.len() < 3 {
    let Heard::Message(answer) = socket.hear().await? else { anyhow::bail!("it ended: {told:?}") };
    let error = &answer["payload"];
    ensure!(answer["message_kind"] == "error" && error["code"] == "stale", "{answer}");
    ensure!(error["err_code"] == 409, "{answer}");
    told
      .insert(error["details"]["instance_id"].to_string() + &error["details"]["fence"].to_string());
  }
  socket.lives().await?;
  let figures = api.get_ok("/gateway/stats").await?;
  for name in ["total_reports_refused", "total_messages_refused"] {
    ensure!(figures[name].as_u64().is_some_and(|count| (3..=6).contains(&count)), "{figures}");
  }
  // An order that comes after all of them has been settled.
  let again = Socket::registered(&url, &token, "probe").await?;
  drop(again);
  ensure!(api.get_ok(&path).await? == ended, "a foreign report changed the task");
  let log = format!("/task-instances/{}/logs", ended["instance_id"].as_str().unwrap_or_default());
  ensure!(api.bytes(&log).await?.1.is_empty(), "foreign output was stored");
  ensure!(house.counts().await? == before);
  let log = house.cluster.server(0).process().log();
  ensure!(log.matches("reports of agent probe changed nothing").count() == 1, "{log}");
  quiet(&mut house.cluster, 1)?;
  house.cluster.finish()
}

#[tokio::test]
async fn b071_a_clock_beyond_belief_is_told_and_not_kept() -> Result<()> {
  let mut house = House::open(0).await?;
  let (url, token) = (house.cluster.server(0).url().to_owned(), agent_token(&house).await?);
  let api = house.cluster.api();
  let beat = |offset: f64| {
    let metrics = json!({ "clock_offset_ms": offset });
    let payload =
      json!({ "agent_id": "probe", "timestamp": 1, "status": "idle", "metrics": metrics });
    message("agent_heartbeat", &payload)
  };
  let mut socket = Socket::registered(&url, &token, "probe").await?;
  let offset_is = async |wanted: f64| {
    wait::until_ok("the offset to be stored", LIMIT, async || {
      let agent = api.get_ok("/agents/probe").await.map_err(|error| error.to_string())?;
      let fits = agent["clock_offset_ms"].as_f64() == Some(wanted);
      if fits { Ok(()) } else { Err(agent["clock_offset_ms"].to_string()) }
    })
    .await
  };
  socket.say(&beat(-1500.5)).await?;
  offset_is(-1500.5).await?;
  for nonsense in [-9e15, 9e15, 1e300, -1e13] {
    socket.say(&beat(nonsense)).await?;
    socket.lives().await?;
  }
  let mut feed =
    api.request(reqwest::Method::GET, "/events?topics=agent&since_seq=0").send().await?;
  let mut heard = String::new();
  while !heard.contains("agent.clock_invalid") {
    let next = tokio::time::timeout(LIMIT, feed.chunk()).await.context("no event came")??;
    heard.push_str(&String::from_utf8_lossy(&next.context("the feed ended")?));
  }
  drop(feed);
  // A clock that is wrong, as that of a host without a battery, is a clock.
  socket.say(&beat(-1.7e12)).await?;
  offset_is(-1.7e12).await?;
  let log = house.cluster.server(0).process().log();
  ensure!(log.matches("beyond belief").count() == 1, "{log}");
  quiet(&mut house.cluster, 0)?;
  house.cluster.finish()
}

#[tokio::test]
async fn b072_floods_end_the_one_and_spare_the_others() -> Result<()> {
  let mut house = House::open(1).await?;
  let (url, token) = (house.cluster.server(0).url().to_owned(), agent_token(&house).await?);
  let mut socket = Socket::registered(&url, &token, "probe").await?;
  // A hundred refusals in a row are the end; 0.3 s of junk is enough.
  for _ in 0..200 {
    if socket.say("junk").await.is_err() {
      break;
    }
  }
  let end = loop {
    match socket.hear().await? {
      Heard::Message(message) => ensure!(message["message_kind"] == "error", "{message}"),
      other => break other,
    }
  };
  ensure!(matches!(end, Heard::Close(4029, _) | Heard::End), "{end:?}");
  // Pings harm nobody; there is no limit on them yet.
  let mut socket = Socket::registered(&url, &token, "probe").await?;
  let pings = frame(0x89, 1, b"x").repeat(1000);
  for _ in 0..20 {
    socket.raw(&pings).await?;
    socket.lives().await?;
  }
  let api = house.cluster.api();
  let task = api.post_ok("/tasks", &json!({ "config": { "command": "true" } })).await?;
  let path = format!("/tasks/{}?wait_secs=20", task["id"].as_str().context("no id")?);
  ensure!(api.get_ok(&path).await?["status"] == "succeeded");
  quiet(&mut house.cluster, 1)?;
  house.cluster.finish()
}
