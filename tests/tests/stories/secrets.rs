//! Secrets reach their tasks, and nothing and nobody else.

use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use hetuflow_tests::cluster::{Cluster, Engine};
use hetuflow_tests::wait;
use serde_json::{Value, json};

use crate::support::{LIMIT, attempts, output, sql, submit, wait_status};

both_engines!(
  a_task_gets_its_secrets_and_nobody_else_does,
  a_start_with_secrets_that_waits_is_in_no_journal,
  a_killed_executor_leaves_no_secrets_behind,
  a_secret_that_is_missing_stops_the_start,
  a_secret_that_is_printed_is_masked,
);

const CANARY: &str = "canary-7c1fbe64-value";
/// The same in base64, as it travels.
const PACKED: &str = "Y2FuYXJ5LTdjMWZiZTY0LXZhbHVl";
/// Every word that anybody logs, and as whom else tasks run.
const LOUD: &str = "[agent]\nrun_as_allow = ['nobody']\n[log]\nlevel = 'trace'";
const LOUD_SERVER: &str = "[log]\nlevel = 'trace'";

async fn cluster(engine: Engine) -> Result<Cluster> {
  let builder = Cluster::builder().engine(engine).agent_settings(LOUD);
  builder.server_settings(LOUD_SERVER).start().await
}

async fn set(cluster: &Cluster, name: &str, value: &str) -> Result<Value> {
  let (status, answer) =
    cluster.api().put(&format!("/secrets/{name}"), &json!({ "value": value })).await?;
  ensure!(status.is_success(), "{status} {answer}");
  Ok(answer)
}

fn files(dir: &Path, found: &mut Vec<PathBuf>) {
  for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
    match entry.file_type() {
      Ok(kind) if kind.is_dir() => files(&entry.path(), found),
      Ok(kind) if kind.is_file() => found.push(entry.path()),
      _ => {}
    }
  }
}

/// Where the value can be found: as it is or in base64, in files below the cluster's folder (logs,
/// journals, the SQLite store) and in what every process of this host shows of itself.
fn seen(cluster: &Cluster) -> Vec<String> {
  let holds = |bytes: &[u8]| {
    [CANARY, PACKED]
      .iter()
      .any(|form| bytes.windows(form.len()).any(|part| part == form.as_bytes()))
  };
  let mut all = Vec::new();
  files(cluster.dir(), &mut all);
  for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
    if entry.file_name().to_string_lossy().bytes().all(|byte| byte.is_ascii_digit()) {
      all.extend(["cmdline", "environ"].map(|file| entry.path().join(file)));
    }
  }
  let found = all.into_iter().filter(|path| std::fs::read(path).is_ok_and(|bytes| holds(&bytes)));
  found.map(|path| path.display().to_string()).collect()
}

/// As `sha256sum` writes it; not by a shell, whose command line would show the value.
fn hash_of(text: &str) -> Result<String> {
  let piped = std::process::Stdio::piped;
  let mut child = std::process::Command::new("sha256sum").stdin(piped()).stdout(piped()).spawn()?;
  child.stdin.take().context("its stdin")?.write_all(text.as_bytes())?;
  Ok(String::from_utf8(child.wait_with_output()?.stdout)?.trim_end().to_owned())
}

/// Nothing in the database has the value as text; the SQLite store is looked through as a file, too.
async fn nothing_stored(cluster: &Cluster, engine: Engine) -> Result<()> {
  if engine == Engine::Postgres {
    // Fails where any row of any table holds the value.
    let affected = sql(
      cluster,
      "do $$ declare t record; n bigint; begin \
        for t in select table_name from information_schema.tables where table_schema = 'public' \
        loop \
          execute format('select count(*) from %I x where x::text like %L or x::text like %L', \
            t.table_name, '%canary-7c1fbe64%', '%' || encode('canary-7c1fbe64', 'hex') || '%') \
            into n; \
          if n > 0 then raise exception 'the value is in %', t.table_name; end if; \
        end loop; end $$",
    );
    affected.await.context("a table")?;
  }
  Ok(())
}

async fn a_task_gets_its_secrets_and_nobody_else_does(engine: Engine) -> Result<()> {
  let mut cluster = cluster(engine).await?;
  let made = set(&cluster, "db_password", CANARY).await?;
  assert_eq!((&made["version"], made.get("value")), (&json!(1), None));
  set(&cluster, "other", "not asked for").await?;
  let api = cluster.api();
  let users: &[Value] = if rustix::process::geteuid().is_root() {
    &[Value::Null, json!("nobody")]
  } else {
    &[Value::Null]
  };
  for user in users {
    // Hashes only: what a task prints is its own affair, and would be found in its log.
    let command = "cd $HETUFLOW_SECRETS_DIR; ls | tr '\\n' ' '; stat -c '%a %U' . db_password; \
      sha256sum < db_password; test \"$(id -un)\" = \"$(stat -c %U db_password)\" || echo stranger; \
      echo $PWD; sleep 0.5";
    let config = json!({ "command": command, "secrets": ["db_password"], "run_as": user });
    let id = submit(&api, &json!({ "config": config })).await?;
    wait_status(&api, &id, &["running", "succeeded"]).await?;
    let found = seen(&cluster);
    wait_status(&api, &id, &["succeeded"]).await?;
    assert_eq!(found, Vec::<String>::new(), "while it ran");
    let text = String::from_utf8(output(&api, &id, "").await?)?;
    let lines: Vec<&str> = text.lines().collect();
    let user = user.as_str().unwrap_or_else(|| lines[1].rsplit(' ').next().unwrap_or_default());
    assert_eq!(lines[0], format!("db_password 700 {user}"), "{text}");
    assert_eq!(lines[1], format!("400 {user}"), "{text}");
    assert_eq!(lines[2], hash_of(CANARY)?, "{text}");
    ensure!(!Path::new(lines[3]).exists(), "the files are gone: {text}");
  }

  // Whatever the API and the tool say, it is not the value.
  for path in ["/secrets", "/secrets/db_password", "/jobs"] {
    ensure!(!api.get_ok(path).await?.to_string().contains(CANARY), "{path}");
  }
  let wrong = json!({ "value": [CANARY] });
  let (status, answer) = api.put("/secrets/db_password", &wrong).await?;
  ensure!(status.is_client_error() && !answer.to_string().contains(CANARY), "{status} {answer}");
  let listed = cluster.ctl(&["secret", "list", "-o", "json"]).await?;
  let text = String::from_utf8(listed.stdout)?;
  ensure!(text.contains("db_password") && !text.contains(CANARY), "{text}");
  cluster.stop_agent(0)?;
  assert_eq!(seen(&cluster), Vec::<String>::new());
  nothing_stored(&cluster, engine).await?;

  let key = cluster.server(0).data_dir().join("secret.key");
  assert_eq!(std::fs::metadata(&key)?.mode() & 0o777, 0o600);
  cluster.restart_agent(0)?;
  cluster.wait_agent(0).await?;
  let (status, _) = api.delete("/secrets/db_password").await?;
  assert_eq!(status.as_u16(), 204);
  cluster.finish()
}

/// It waits for a slot on its agent; when both processes there are killed, the server hands it out
/// again, with the value of that time.
async fn a_start_with_secrets_that_waits_is_in_no_journal(engine: Engine) -> Result<()> {
  let builder = Cluster::builder().engine(engine).agent_settings(LOUD).slots(1);
  // Early enough for both to be killed before the instant, also on a busy machine.
  let settings = format!("{LOUD_SERVER}\n[scheduler]\nearly_dispatch = '30s'");
  let mut cluster = builder.server_settings(&settings).start().await?;
  set(&cluster, "db_password", CANARY).await?;
  let api = cluster.api();
  let at = jiff::Timestamp::now() + std::time::Duration::from_secs(20);
  let config = json!({ "command": "wc -c < $HETUFLOW_SECRETS_DIR/db_password",
    "secrets": ["db_password"] });
  let body = json!({ "config": config, "scheduled_at": at.to_string() });
  let id = submit(&api, &body).await?;
  // Handed out early: it waits on the agent for its instant.
  wait_status(&api, &id, &["dispatched"]).await?;
  assert_eq!(seen(&cluster), Vec::<String>::new());
  cluster.agent(0).kill9_executor()?;
  cluster.kill9_agent(0)?;
  set(&cluster, "db_password", "changed").await?;
  cluster.restart_agent(0)?;
  wait_status(&api, &id, &["succeeded"]).await?;
  let text = String::from_utf8(output(&api, &id, "").await?)?;
  assert_eq!(text, "7\n", "the value of the second time");
  assert_eq!(seen(&cluster), Vec::<String>::new());
  cluster.finish()
}

async fn a_killed_executor_leaves_no_secrets_behind(engine: Engine) -> Result<()> {
  let mut cluster = cluster(engine).await?;
  set(&cluster, "db_password", CANARY).await?;
  let api = cluster.api();
  let command = "trap '' PIPE; echo $HETUFLOW_SECRETS_DIR; \
    until [ -e \"$GATE\" ]; do sleep 0.1; done; \
    test -f $HETUFLOW_SECRETS_DIR/db_password && touch \"$STILL\"";
  let (gate, still) = (cluster.dir().join("gate"), cluster.dir().join("still.there"));
  let config = json!({ "command": command, "secrets": ["db_password"] });
  let body = json!({ "config": config, "environment": { "STILL": still, "GATE": gate } });
  let id = submit(&api, &body).await?;
  wait_status(&api, &id, &["running"]).await?;
  let dir = wait::until("the folder's name", LIMIT, || async {
    let text = String::from_utf8(output(&api, &id, "").await.ok()?).ok()?;
    text.ends_with('\n').then(|| PathBuf::from(text.trim()))
  })
  .await?;
  ensure!(dir.join("db_password").exists(), "{}", dir.display());
  cluster.agent(0).kill9_executor()?;
  std::fs::write(&gate, "")?;
  wait_status(&api, &id, &["failed"]).await?;
  ensure!(still.exists(), "it has kept its secrets to its end");
  wait::until("the folder to be gone", LIMIT, || async { (!dir.exists()).then_some(()) }).await?;
  assert_eq!(seen(&cluster), Vec::<String>::new());
  let next = json!({ "command": "cat $HETUFLOW_SECRETS_DIR/db_password | wc -c",
    "secrets": ["db_password"] });
  let next = submit(&api, &json!({ "config": next })).await?;
  wait_status(&api, &next, &["succeeded"]).await?;
  cluster.finish()
}

async fn a_secret_that_is_missing_stops_the_start(engine: Engine) -> Result<()> {
  let cluster = cluster(engine).await?;
  let api = cluster.api();
  let config = json!({ "command": "true", "secrets": ["nowhere"] });
  let id = submit(&api, &json!({ "config": config })).await?;
  wait_status(&api, &id, &["failed"]).await?;
  let attempts = attempts(&api, &id).await?;
  let last = attempts.last().context("an attempt")?;
  assert_eq!(
    (&last["status"], &last["reason"]),
    (&json!("not_started"), &json!("not_started(refused)"))
  );
  let message = last["error_message"].as_str().unwrap_or_default();
  ensure!(message.contains("hetuflowctl secret set nowhere"), "{message}");
  for name in ["../x", ".hidden", "a b"] {
    let body = json!({ "config": { "command": "true", "secrets": [name] } });
    let (status, answer) = api.post("/tasks", &body).await?;
    ensure!(status.is_client_error() && answer.to_string().contains("secret.name"), "{answer}");
  }
  let (status, _) = api.put("/secrets/%2E%2E%2Fx", &json!({ "value": "x" })).await?;
  ensure!(status.is_client_error(), "{status}");
  let (status, _) = api.get("/secrets/nowhere").await?;
  assert_eq!(status.as_u16(), 404);
  cluster.finish()
}

async fn a_secret_that_is_printed_is_masked(engine: Engine) -> Result<()> {
  let cluster = cluster(engine).await?;
  set(&cluster, "db_password", CANARY).await?;
  let api = cluster.api();
  let command = "cd $HETUFLOW_SECRETS_DIR; i=0; while [ $i -lt 2000 ]; do \
      echo \"$i $(cat db_password) $i\"; i=$((i+1)); done; \
    head -c 10 db_password; sleep 0.3; tail -c +11 db_password; base64 db_password >&2; \
    echo left=$(cat db_password) > $HETUFLOW_OUTPUT";
  let config = json!({ "command": command, "secrets": ["db_password"] });
  let id = submit(&api, &json!({ "config": config })).await?;
  let done = wait_status(&api, &id, &["succeeded"]).await?;
  let lines: String = (0..2000).map(|i| format!("{i} *** {i}\n")).collect();
  assert_eq!(String::from_utf8(output(&api, &id, "stdout").await?)?, format!("{lines}***"));
  assert_eq!(output(&api, &id, "stderr").await?, b"***\n");
  let words = String::from_utf8(output(&api, &id, "system").await?)?;
  assert_eq!(words, "hetuflow: 2002 values of secrets in this output were masked\n");
  assert_eq!(done["outputs"], json!({ "left": "***" }));
  let proof = cluster.ctl(&["logs", &id, "--verify"]).await?;
  ensure!(proof.status.success(), "what is stored is what was hashed: {proof:?}");
  assert_eq!(seen(&cluster), Vec::<String>::new());
  nothing_stored(&cluster, engine).await?;
  cluster.finish()
}
