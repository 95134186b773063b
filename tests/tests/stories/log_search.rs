//! Searching output on the server: bounded answers that go on until every line was looked at.

use anyhow::{Context, Result, ensure};
use hetuflow_tests::cluster::{Cluster, Engine};
use hetuflow_tests::wait;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::{LIMIT, submit, text, wait_status};

both_engines!(every_line_that_fits_is_found_once, what_still_grows_is_searched_on);

async fn every_line_that_fits_is_found_once(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).start().await?;
  let api = cluster.api();
  let command = "seq 1 300000; echo ERROR: disk full >&2; printf 'last error \\377 without end'";
  let id = submit(&api, &json!({ "config": { "command": command } })).await?;
  let instance = text(&wait_status(&api, &id, &["succeeded"]).await?, "instance_id")?;
  let logs = format!("/task-instances/{instance}/logs");
  // Page by page, all lines that end with 77: none is missing, none comes twice.
  let (mut found, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
  loop {
    let page = api.get_ok(&format!("{logs}?grep=77%24&limit=1000&stream=stdout{cursor}")).await?;
    for one in page["matches"].as_array().context("matches")? {
      found.push(one["line"]["text"].as_str().context("text")?.to_owned());
    }
    pages += 1;
    match page["cursor"].as_str() {
      Some(next) => cursor = format!("&cursor={next}"),
      None => break,
    }
  }
  let wanted: Vec<String> = (0..3000).map(|n| (n * 100 + 77).to_string()).collect();
  ensure!(found == wanted, "{} lines in {pages} pages, {:?}", found.len(), found.last());
  ensure!(pages > 3, "{pages} pages");
  // Both streams, with what stands around; what is not text comes as base64.
  let all = api.get_ok(&format!("{logs}?grep=error&ignore_case=true&context=1")).await?;
  let rows = all["matches"].as_array().context("matches")?;
  assert_eq!(rows.len(), 2, "{all}");
  let bad = rows.iter().find(|row| row["line"]["stream"] == "stderr").context("stderr")?;
  assert_eq!(bad["line"]["text"], "ERROR: disk full");
  let last = rows.iter().find(|row| row["line"]["stream"] == "stdout").context("stdout")?;
  assert_eq!(
    (&last["line"]["encoding"], &last["line"]["line_no"]),
    (&json!("base64"), &json!(300_002))
  );
  ensure!(last["before"].as_array().is_some_and(|before| before.len() == 1), "{last}");
  let offset = last["line"]["offset"].as_u64().context("an offset")?;
  let (_, bytes) = api.bytes(&format!("{logs}?from_offset={offset}&stream=stdout")).await?;
  assert_eq!(bytes, b"last error \xff without end");
  for (query, code) in [
    ("grep=(", "grep.pattern"),
    ("grep=x&context=21", "grep.context"),
    ("grep=x&limit=0", "grep.limit"),
    ("grep=x&cursor=1", "grep.cursor"),
  ] {
    let (status, error) = api.get(&format!("{logs}?{query}")).await?;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{query}: {error}");
    assert_eq!(error["errors"][0]["code"], code, "{query}");
  }
  cluster.finish()
}

async fn what_still_grows_is_searched_on(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).start().await?;
  let api = cluster.api();
  let command = "echo hit 1; while [ ! -e go ]; do sleep 0.05; done; printf 'hit '; echo 2";
  let id = submit(&api, &json!({ "config": { "command": command } })).await?;
  let instance = text(&wait_status(&api, &id, &["running"]).await?, "instance_id")?;
  let logs = format!("/task-instances/{instance}/logs?grep=hit");
  let first = wait::until_ok("the first line", LIMIT, || async {
    let page = api.get_ok(&logs).await.map_err(|error| format!("{error:#}"))?;
    if page["matches"][0].is_null() { Err(page.to_string()) } else { Ok(page) }
  })
  .await?;
  assert_eq!(
    (&first["at_end"], &first["matches"][0]["line"]["line_no"]),
    (&json!(true), &json!(1))
  );
  let cursor = text(&first, "cursor")?;
  let again: Value = api.get_ok(&format!("{logs}&cursor={cursor}")).await?;
  assert_eq!((&again["matches"], &again["cursor"]), (&json!([]), &json!(cursor)));
  std::fs::write(cluster.dir().join("agent-0/work/go"), "")?;
  wait_status(&api, &id, &["succeeded"]).await?;
  let rest = api.get_ok(&format!("{logs}&cursor={cursor}")).await?;
  let line = &rest["matches"][0]["line"];
  assert_eq!(
    (&line["text"], &line["line_no"], &line["offset"]),
    (&json!("hit 2"), &json!(2), &json!(6))
  );
  ensure!(rest["cursor"].is_null(), "{rest}");
  cluster.finish()
}
