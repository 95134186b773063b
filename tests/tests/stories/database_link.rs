//! The link between server and PostgreSQL breaks while tasks run: the agents' work goes on, no
//! task starts again, nobody is taken for lost, and no output is missing.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use hetuflow_tests::cluster::{Cluster, ClusterBuilder};
use hetuflow_tests::postgres::{self, Database};
use hetuflow_tests::proxy::Proxy;
use hetuflow_tests::truth::TruthLog;
use hetuflow_tests::wait;
use serde_json::json;

use crate::support::{LIMIT, all, output, runs_again, submit_all, wait_all_succeeded};

/// A database behind a link that can be broken, and a cluster that will use it.
async fn behind_a_link() -> Result<(Database, Proxy, ClusterBuilder)> {
  let database = postgres::shared()?.create_database().await?;
  let proxy = Proxy::open().await?;
  let (_, place) = database.url().split_once('@').context("a user in the URL")?;
  let (address, name) = place.split_once('/').context("a database in the URL")?;
  let near = proxy.lead_to(&format!("http://{address}"))?.replace("http://", "");
  let builder = Cluster::builder().database_url(&format!("postgres://postgres@{near}/{name}"));
  let settings = "[agents]\nagent_heartbeat_interval = '250ms'\nagent_heartbeat_ttl = '1500ms'\n\
     lost_after = '1500ms'";
  let agent = "[agent.connection]\nheartbeat_interval = '250ms'";
  Ok((database, proxy, builder.server_settings(settings).agent_settings(agent)))
}

/// Every task has succeeded with one start, and its output is whole.
async fn check(cluster: &Cluster, truth: &TruthLog, ids: &[String], wanted: &str) -> Result<()> {
  let api = cluster.api();
  wait_all_succeeded(&api, ids).await?;
  let once: BTreeMap<_, _> = ids.iter().map(|id| ((id.clone(), "1".to_owned()), 1)).collect();
  assert_eq!(truth.starts()?, once);
  assert_eq!(all(&api, "/task-instances").await?.len(), ids.len());
  for id in ids {
    assert_eq!(String::from_utf8(output(&api, id, "").await?)?, wanted);
  }
  Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_database_links_start_nothing_twice() -> Result<()> {
  let (_database, proxy, builder) = behind_a_link().await?;
  let cluster = builder.slots(8).start().await?;
  let truth = TruthLog::new(cluster.dir().join("truth.log"));
  let item = json!({ "config": { "script": truth.payload("seq 1 100; sleep 0.02; echo end") } });
  let ids = submit_all(&cluster.api(), &vec![item; 300]).await?;
  for round in 1..=10 {
    wait::until_ok("starts", LIMIT, || async {
      let seen = truth.starts().map(|starts| starts.len()).unwrap_or_default();
      if seen >= round * 25 { Ok(()) } else { Err(seen.to_string()) }
    })
    .await?;
    proxy.cut();
  }
  let wanted: String = (1..=100).map(|n| format!("{n}\n")).chain(["end\n".into()]).collect();
  check(&cluster, &truth, &ids, &wanted).await?;
  runs_again(&cluster).await?;
  cluster.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_does_not_answer_loses_nobody() -> Result<()> {
  let (_database, proxy, builder) = behind_a_link().await?;
  let cluster = builder.slots(8).start().await?;
  let truth = TruthLog::new(cluster.dir().join("truth.log"));
  // Longer than silence and loss together would take, were the agent to blame.
  let item = json!({ "config": { "script": truth.payload("echo before; sleep 6; echo after") } });
  let ids = submit_all(&cluster.api(), &vec![item; 12]).await?;
  let started = |count| {
    let truth = truth.clone();
    wait::until("starts", LIMIT, move || {
      let enough = truth.starts().is_ok_and(|starts| starts.len() >= count);
      std::future::ready(enough.then_some(()))
    })
  };
  started(8).await?;
  proxy.hold(true);
  wait::until("eight ends", LIMIT, || async { (truth.ends().ok()?.len() >= 8).then_some(()) })
    .await?;
  proxy.hold(false);
  check(&cluster, &truth, &ids, "before\nafter\n").await?;
  runs_again(&cluster).await?;
  cluster.finish()
}

/// Submits while the link breaks again and again: whoever got an answer has exactly one task, and
/// what is stored beyond that was answered with "not now", never with an error of ours.
#[tokio::test(flavor = "multi_thread")]
async fn submits_over_a_link_that_breaks_are_made_once() -> Result<()> {
  let (_database, proxy, builder) = behind_a_link().await?;
  let cluster = builder.agents(0).start().await?;
  let api = cluster.api();
  let cutting = tokio::spawn({
    let proxy = proxy.clone();
    async move {
      loop {
        tokio::time::sleep(std::time::Duration::from_millis(60)).await;
        proxy.cut();
      }
    }
  });
  let body = json!({ "config": { "command": "true" } });
  let one = async || {
    let (mut made, mut refused) = (Vec::new(), 0);
    for _ in 0..40 {
      let (status, answer) = api.post("/tasks", &body).await?;
      match status.as_u16() {
        201 => made.push(answer["id"].as_str().context("id")?.to_owned()),
        503 => refused += 1,
        _ => anyhow::bail!("{status}: {answer}"),
      }
    }
    Ok((made, refused))
  };
  let outcomes = futures_util::future::try_join_all((0..6).map(|_| one())).await;
  cutting.abort();
  let (mut made, mut refused) = (std::collections::BTreeSet::new(), 0);
  for (ids, missed) in outcomes? {
    let count = ids.len() + made.len();
    made.extend(ids);
    assert_eq!(made.len(), count, "one id for two");
    refused += missed;
  }
  assert_eq!(made.len() + refused, 240);
  let stored = wait::until_ok("the list", LIMIT, || async { all(&api, "/tasks").await }).await?;
  let stored: std::collections::BTreeSet<String> =
    stored.iter().filter_map(|task| Some(task["id"].as_str()?.to_owned())).collect();
  assert!(made.is_subset(&stored), "answered and not stored");
  let unanswered = stored.len() - made.len();
  anyhow::ensure!(unanswered <= refused, "{unanswered} stored, {refused} refused");
  cluster.finish()
}
