//! Many agents lose their server at once; many schedules are due at once; three servers, their agents
//! and their database are cut from each other at random.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::{SinkExt, StreamExt};
use hetuflow_core::{AgentRegisterRequest, Envelope, MessageKind};
use hetuflow_tests::api::Api;
use hetuflow_tests::cluster::Cluster;
use hetuflow_tests::postgres::{self, Database};
use hetuflow_tests::proxy::Proxy;
use hetuflow_tests::truth::TruthLog;
use hetuflow_tests::wait;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};

use crate::support::{LIMIT, all, instant, submit, task, text, wait_all_succeeded, wait_status};

/// A generator of MMIX; its high bits are good enough for tests.
struct Dice(u64);

impl Dice {
  fn below(&mut self, end: usize) -> usize {
    self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (self.0 >> 33) as usize % end
  }
}

/// Sockets that register as agents and take nothing.
struct StandIns {
  connected: Arc<AtomicUsize>,
  tasks: tokio::task::JoinSet<()>,
}

impl StandIns {
  fn start(count: usize, server: &str, token: &str) -> Self {
    let connected = Arc::new(AtomicUsize::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..count {
      let (server, token) = (server.replace("http://", "ws://"), token.to_owned());
      let connected = Arc::clone(&connected);
      tasks.spawn(async move {
        let mut dice = Dice(number as u64);
        loop {
          // Whoever was cut off is back at once, and again a moment later.
          let _ended = live(&server, &token, number, &connected).await;
          tokio::time::sleep(Duration::from_millis(50 + dice.below(450) as u64)).await;
        }
      });
    }
    Self { connected, tasks }
  }

  async fn all_there(&self) -> Result<()> {
    wait::until_ok("every stand-in", LIMIT, || async {
      let there = self.connected.load(Ordering::SeqCst);
      if there == self.tasks.len() { Ok(()) } else { Err(there.to_string()) }
    })
    .await
  }
}

/// One connection of a stand-in, from its registration to its end.
async fn live(server: &str, token: &str, number: usize, there: &AtomicUsize) -> Result<()> {
  let id = format!("stand-in-{number}");
  let url = format!("{server}/api/v1/gateway/ws?agent_id={id}");
  let mut request = url.into_client_request()?;
  request.headers_mut().insert(AUTHORIZATION, format!("Bearer {token}").parse()?);
  request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, "hetuflow.v1".parse()?);
  let address = server.trim_start_matches("ws://");
  let tcp = tokio::net::TcpStream::connect(address).await?;
  let (mut socket, _) = tokio_tungstenite::client_async(request, tcp).await?;
  let register = AgentRegisterRequest {
    agent_id: id,
    agent_epoch: 1,
    protocol_version: 1,
    journal_id: format!("journal-{number}"),
    boot_id: "boot".to_owned(),
    ..AgentRegisterRequest::default()
  };
  let register = Envelope::new(MessageKind::AgentRegister, register);
  socket.send(Message::text(serde_json::to_string(&register)?)).await?;
  let answer = socket.next().await.context("closed")??;
  ensure!(answer.to_text()?.contains("\"success\":true"), "{answer}");
  there.fetch_add(1, Ordering::SeqCst);
  while let Some(Ok(_)) = socket.next().await {}
  there.fetch_sub(1, Ordering::SeqCst);
  Ok(())
}

/// N09: the only server dies with 1,000 agents connected, and starts again.
#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_agents_lose_their_server() -> Result<()> {
  const MANY: usize = 1000;
  let settings = "[agents]\nmax_connections = 3000\nagent_heartbeat_interval = '10s'\n\
     agent_heartbeat_ttl = '60s'\n[database]\nmax_connections = 12";
  let database = postgres::shared()?.create_database().await?;
  let builder = Cluster::builder().database_url(database.url()).server_settings(settings);
  let quick = "[agent.connection]\nreconnect_base = '50ms'\nreconnect_max = '500ms'";
  let mut cluster = builder.agent_settings(quick).start().await?;
  let (api, truth) = (cluster.api(), TruthLog::new(cluster.dir().join("truth.log")));
  let gate = cluster.dir().join("gate");
  let body = format!("until [ -e '{}' ]; do sleep 0.1; done", gate.display());
  // The real one among them.
  let script = json!({ "script": truth.payload(&body), "selector": { "agent": "agent-0" } });
  let id = submit(&api, &json!({ "config": script })).await?;
  wait_status(&api, &id, &["running"]).await?;
  let url = cluster.server(0).url().to_owned();
  let crowd = StandIns::start(MANY, &url, cluster.token());
  crowd.all_there().await?;
  cluster.kill9_server(0)?;
  wait::until("nobody", LIMIT, || async {
    (crowd.connected.load(Ordering::SeqCst) == 0).then_some(())
  })
  .await?;
  let watched = most_connections(&database);
  cluster.restart_server(0).await?;
  let (there, most) = tokio::join!(crowd.all_there(), watched);
  there?;
  let most = most?;
  // Those of both pools, and one that listens.
  ensure!((1..=12 + 7 + 1).contains(&most), "{most} connections to the database");
  std::fs::write(&gate, "")?;
  wait_status(&api, &id, &["succeeded"]).await?;
  let agents = all(&api, "/agents").await?;
  let online = agents.iter().filter(|agent| agent["status"] != "offline").count();
  assert_eq!(online, MANY + 1);
  assert_eq!((truth.starts()?.len(), truth.started_twice()?), (1, Vec::new()));
  let next = json!({ "config": { "command": "echo next", "selector": { "agent": "agent-0" } } });
  let next = submit(&api, &next).await?;
  wait_status(&api, &next, &["succeeded"]).await?;
  drop(crowd);
  cluster.finish()
}

/// Most connections to a database over some seconds.
async fn most_connections(database: &Database) -> Result<i64> {
  let sql = format!(
    "select count(*) from pg_stat_activity where datname = '{}' and pid <> pg_backend_pid()",
    database.name()
  );
  let mut most = 0;
  for _ in 0..40 {
    most = most.max(database.count(&sql).await?);
    tokio::time::sleep(Duration::from_millis(100)).await;
  }
  Ok(most)
}

/// Three servers, a link between each of them and the database, and one before each for the agents.
struct Maze {
  cluster: Cluster,
  to_database: Vec<Proxy>,
  to_server: Vec<Proxy>,
  down: BTreeSet<usize>,
  dice: Dice,
  _database: Database,
}

impl Maze {
  async fn new(seed: u64) -> Result<Self> {
    let database = postgres::shared()?.create_database().await?;
    let (_, place) = database.url().split_once('@').context("a user in the URL")?;
    let (address, name) = place.split_once('/').context("a database in the URL")?;
    let (mut to_database, mut to_server, mut urls) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..3 {
      let proxy = Proxy::open().await?;
      let near = proxy.lead_to(&format!("http://{address}"))?.replace("http://", "");
      urls.push(format!("postgres://postgres@{near}/{name}"));
      to_database.push(proxy);
      to_server.push(Proxy::open().await?);
    }
    let settings = "[agents]\nagent_heartbeat_interval = '250ms'\nagent_heartbeat_ttl = '1500ms'\n\
       lost_after = '120s'\n[scheduler]\nplan_ahead = '3s'\nearly_dispatch = '2s'";
    let quick = "[agent.connection]\nheartbeat_interval = '250ms'\nreconnect_base = '50ms'\n\
       reconnect_max = '500ms'";
    let builder = Cluster::builder().database_links(urls).servers(3).agents(3).slots(4);
    let builder = builder.links(&to_server).agents_know_all_servers();
    let cluster = builder.server_settings(settings).agent_settings(quick).start().await?;
    let (down, dice) = (BTreeSet::new(), Dice(seed));
    Ok(Self { cluster, to_database, to_server, down, dice, _database: database })
  }

  /// Breaks something.
  fn hurt(&mut self) -> Result<String> {
    let i = self.dice.below(3);
    let what = ["hold agents", "cut agents", "hold database", "cut database", "kill", "kill agent"];
    let which = self.dice.below(what.len());
    match which {
      0 => self.to_server[i].hold(true),
      1 => self.to_server[i].cut(),
      2 => self.to_database[i].hold(true),
      3 => self.to_database[i].cut(),
      4 if self.down.insert(i) => self.cluster.kill9_server(i)?,
      4 => {}
      _ => {
        self.cluster.kill9_agent(i)?;
        self.cluster.restart_agent(i)?;
      }
    }
    Ok(format!("{} {i}", what[which]))
  }

  async fn heal(&mut self) -> Result<()> {
    for proxy in self.to_server.iter().chain(&self.to_database) {
      proxy.hold(false);
    }
    while let Some(i) = self.down.pop_first() {
      self.cluster.restart_server(i).await?;
    }
    Ok(())
  }
}

/// A request that is made again, with the same key, until somebody answers it.
async fn submit_somewhere(apis: &[Api], task: &Value, first: usize) -> Result<String> {
  let next = AtomicUsize::new(first);
  wait::until_ok("an answer", LIMIT, || async {
    let api = &apis[next.fetch_add(1, Ordering::Relaxed) % apis.len()];
    let asked = tokio::time::timeout(Duration::from_secs(2), api.post("/tasks", task)).await;
    match asked {
      Ok(Ok((status, answer))) if status.is_success() => {
        text(&answer, "id").map_err(|error| format!("{error:#}"))
      }
      Ok(Ok((status, answer))) => Err(format!("{status} {answer}")),
      Ok(Err(error)) => Err(format!("{error:#}")),
      Err(_) => Err("no answer".to_owned()),
    }
  })
  .await
}

/// N12: random cuts among servers, agents and database, round after round.
#[tokio::test(flavor = "multi_thread")]
async fn random_cuts_among_three_servers() -> Result<()> {
  const ROUNDS: usize = 10;
  let seed = u64::from(std::process::id());
  println!("seed {seed}");
  let mut maze = Maze::new(seed).await?;
  let truth = TruthLog::new(maze.cluster.dir().join("truth.log"));
  let schedule = json!({ "name": "each-second", "cron_expression": "* * * * * *",
    "overlap_policy": "allow_all", "misfire_policy": "fire_all", "catchup_max": 100 });
  let config = json!({ "script": truth.payload("sleep 0.3") });
  let job = json!({ "name": "each-second", "config": config, "schedules": [schedule] });
  maze.cluster.api().post_ok("/jobs", &job).await?;
  let mut asked = Vec::new();
  for round in 0..ROUNDS {
    let hurts = [maze.hurt()?, maze.hurt()?];
    println!("round {round}: {hurts:?}");
    // Addresses are those of before: a server that is down does not answer.
    let apis: Vec<Api> = (0..3).map(|i| maze.cluster.api_of(i)).collect();
    for number in 0..6 {
      let task = json!({ "config": config, "idempotency_key": format!("k-{round}-{number}") });
      let first = maze.dice.below(3);
      asked.push(tokio::spawn({
        let apis = apis.clone();
        async move { submit_somewhere(&apis, &task, first).await }
      }));
    }
    tokio::time::sleep(Duration::from_millis(1000 + maze.dice.below(1500) as u64)).await;
    maze.heal().await?;
    tokio::time::sleep(Duration::from_millis(maze.dice.below(500) as u64)).await;
  }
  maze.heal().await?;
  let mut ids = BTreeSet::new();
  for one in asked {
    ids.insert(one.await??);
  }
  assert_eq!(ids.len(), ROUNDS * 6, "one key, one task");
  // Healed: all that was asked for has run, and time goes on.
  let apis: Vec<Api> = (0..3).map(|i| maze.cluster.api_of(i)).collect();
  let ids: Vec<String> = ids.into_iter().collect();
  wait_all_succeeded(&apis[0], &ids).await?;
  let before = truth.ends()?.len();
  wait::until_ok("more ends", LIMIT, || async {
    let now = truth.ends().map(|ends| ends.len()).unwrap_or_default();
    if now >= before + 3 { Ok(()) } else { Err(format!("{before} before, {now} now")) }
  })
  .await?;
  apis[0].post_ok("/schedules/each-second/disable", &json!({})).await?;
  check(&apis, &truth).await?;
  maze.cluster.finish()
}

/// Each instant has one row, each fire one task, each task one start and one end, and all servers say
/// the same.
async fn check(apis: &[Api], truth: &TruthLog) -> Result<()> {
  for task in all(&apis[1], "/tasks").await? {
    let id = text(&task, "id")?;
    // What was planned for later went with the schedule.
    wait_status(&apis[1], &id, &["succeeded", "skipped", "cancelled"]).await?;
  }
  let mut fires = all(&apis[2], "/schedules/each-second/fires").await?;
  fires.sort_by_key(|fire| fire["fire_at"].to_string());
  let mut next: Option<Timestamp> = None;
  for fire in &fires {
    let at = instant(fire, "fire_at")?;
    ensure!(next.is_none_or(|next| next == at), "{next:?} is missing before {fire}");
    let last = if fire["to_at"].is_string() { instant(fire, "to_at")? } else { at };
    next = Some(last + SignedDuration::from_secs(1));
  }
  assert_eq!(truth.started_twice()?, []);
  let mut starts: BTreeMap<String, usize> = BTreeMap::new();
  for ((id, _), count) in truth.starts()? {
    *starts.entry(id).or_default() += count;
  }
  let mut ran = 0;
  for one in all(&apis[0], "/tasks").await? {
    let id = text(&one, "id")?;
    let count = starts.remove(&id).unwrap_or_default();
    let wanted = usize::from(one["status"] == "succeeded");
    ensure!(count == wanted, "{count} starts of {one}");
    ran += wanted;
    assert_eq!(task(&apis[2], &id).await?["status"], one["status"]);
  }
  ensure!(starts.is_empty(), "started and unknown: {starts:?}");
  println!("{} fires, {ran} tasks ran", fires.len());
  Ok(())
}

/// L11: 4,000 schedules are due at one instant, and start a process each.
#[tokio::test(flavor = "multi_thread")]
async fn four_thousand_schedules_at_one_instant() -> Result<()> {
  const JOBS: usize = 40;
  const EACH: usize = 100;
  let cluster = Cluster::builder().postgres().agents(2).slots(16).start().await?;
  let api = cluster.api();
  // By then all of them are made, also on a busy machine.
  let at = Timestamp::from_second(Timestamp::now().as_second() + 60)?;
  for job in 0..JOBS {
    let schedules: Vec<Value> = (0..EACH)
      .map(|number| {
        json!({ "name": format!("s-{job}-{number}"), "at": at.to_string(),
        "overlap_policy": "allow_all" })
      })
      .collect();
    let body = json!({ "name": format!("job-{job}"), "config": { "command": "true" },
      "schedules": schedules });
    api.post_ok("/jobs", &body).await?;
  }
  let (done, mut seen) = (JOBS * EACH, 0);
  let until_then = Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default();
  ensure!(!until_then.is_zero(), "they were made too late to be due at one instant");
  wait::until_ok("all of them", until_then + LIMIT, || {
    let api = &api;
    async move {
      let open = api.get_ok("/tasks?limit=1000&status=pending,doing,waiting_retry,locked").await;
      let open = open.map_err(|error| format!("{error:#}"))?;
      let left = open["data"].as_array().map_or(0, Vec::len);
      let over = Timestamp::now() > at + SignedDuration::from_secs(5);
      if left == 0 && over { Ok(()) } else { Err(format!("{left} or more are open")) }
    }
  })
  .await?;
  let mut tasks = BTreeSet::new();
  for one in all(&api, "/tasks").await? {
    assert_eq!((&one["status"], &one["attempt"]), (&json!("succeeded"), &json!(1)), "{one}");
    ensure!(tasks.insert(text(&one, "schedule_id")?), "fired twice: {one}");
    ensure!(instant(&one, "scheduled_at")? == at, "{one}");
    seen += 1;
  }
  assert_eq!((seen, tasks.len()), (done, done));
  cluster.finish()
}
