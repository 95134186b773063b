//! Names that do not resolve, or resolve to another address: the agent has a host of its own with a
//! table of names that a story writes.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use hetuflow_tests::cluster::{Cluster, Engine};
use hetuflow_tests::truth::TruthLog;
use hetuflow_tests::wait;
use serde_json::json;

use crate::support::{LIMIT, attempts, output, submit, wait_offline, wait_online, wait_status};

both_engines!(a_name_that_moves_and_vanishes);

const NAME: &str = "hetuflow.test";

/// The table of names of the agent's host.
struct Names(PathBuf);

impl Names {
  fn say(&self, address: Option<&str>) -> Result<()> {
    let line = address.map(|address| format!("{address} {NAME}\n")).unwrap_or_default();
    // In place, since another file would not be seen by the agent.
    Ok(std::fs::write(&self.0, line)?)
  }
}

/// Waits until the agent's log says this once more than before.
async fn says(cluster: &mut Cluster, words: &str, before: usize) -> Result<()> {
  let process = cluster.agent(0).process();
  wait::until_ok(words, LIMIT, || {
    let log = process.log();
    let seen = log.matches(words).count();
    std::future::ready(if seen > before { Ok(()) } else { Err(log) })
  })
  .await
}

/// N11: the names fail, then point elsewhere, then to the server again.
async fn a_name_that_moves_and_vanishes(engine: Engine) -> Result<()> {
  let guard = tempfile::tempdir()?;
  let names = Names(guard.path().join("hosts"));
  names.say(Some("127.0.0.1"))?;
  let order = guard.path().join("nsswitch");
  std::fs::write(&order, "hosts: files\n")?;
  let script = format!(
    "mount --bind '{}' /etc/hosts; mount --bind '{}' /etc/nsswitch.conf; exec \"$0\" \"$@\"",
    names.0.display(),
    order.display()
  );
  let words = ["/usr/bin/unshare", "--mount", "/bin/sh", "-c", &script];
  let words = words.iter().map(|word| (*word).to_owned()).collect();
  let settings = "[agents]\nagent_heartbeat_interval = '250ms'\nagent_heartbeat_ttl = '1500ms'\n\
     lost_after = '600s'";
  let agent = "[agent.connection]\nheartbeat_interval = '250ms'\nreconnect_base = '50ms'\n\
     reconnect_max = '500ms'";
  let builder = Cluster::builder().engine(engine).agents_through(words).server_name(NAME);
  let mut cluster = builder.server_settings(settings).agent_settings(agent).start().await?;
  let (api, truth) = (cluster.api(), TruthLog::new(cluster.dir().join("truth.log")));
  let gate = cluster.dir().join("gate");
  let body =
    format!("echo before; until [ -e '{}' ]; do sleep 0.1; done; echo after", gate.display());
  let id = submit(&api, &json!({ "config": { "script": truth.payload(&body) } })).await?;
  wait_status(&api, &id, &["running"]).await?;

  // No answer: the address that was good is good enough.
  names.say(None)?;
  cluster.kill9_server(0)?;
  cluster.restart_server(0).await?;
  wait_online(&api, "agent-0").await?;
  says(&mut cluster, "its last known address is used", 0).await?;

  // Another answer: it counts, at each try.
  names.say(Some("127.0.0.9"))?;
  cluster.kill9_server(0)?;
  cluster.restart_server(0).await?;
  wait_offline(&api, "agent-0").await?;
  says(&mut cluster, &format!("no connection to {NAME}"), 0).await?;
  names.say(Some("127.0.0.1"))?;
  wait_online(&api, "agent-0").await?;

  // An agent that has never known an address says what is wrong, and does not give up.
  cluster.kill9_agent(0)?;
  names.say(None)?;
  cluster.restart_agent(0)?;
  says(&mut cluster, &format!("the server's name {NAME} cannot be resolved"), 0).await?;
  std::fs::write(&gate, "")?;
  names.say(Some("127.0.0.1"))?;
  wait_status(&api, &id, &["succeeded"]).await?;
  assert_eq!(attempts(&api, &id).await?.len(), 1);
  assert_eq!(output(&api, &id, "").await?, b"before\nafter\n");
  assert_eq!((truth.starts()?.len(), truth.started_twice()?), (1, Vec::new()));
  assert_eq!(truth.ends()?, truth.starts()?);
  let log = cluster.agent(0).process().log();
  ensure!(log.matches("its last known address is used").count() <= 3, "one line an outage: {log}");
  let next = submit(&api, &json!({ "config": { "command": "echo next" } })).await?;
  wait_status(&api, &next, &["succeeded"]).await?;
  cluster.finish()
}
