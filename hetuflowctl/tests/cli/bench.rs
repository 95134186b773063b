//! `bench`: a load asks first; reports are kept and shown side by side.

use serde_json::Value;

use super::*;

fn report(value: f64) -> String {
  format!(
    r#"{{"version":1,"server":"0.1.0","at":"2025-11-21T14:00:00Z",
    "figures":[{{"name":"tasks taken in","value":{value},"unit":"per s"}}]}}"#
  )
}

#[test]
fn reports_side_by_side() {
  let run = Run::alone();
  std::fs::write(run.home.path().join("a.json"), report(10.0)).expect("written");
  std::fs::write(run.home.path().join("b.json"), report(20.0)).expect("written");
  let output = run.run(&["bench", "report", "a.json", "b.json", "-o", "json"]);
  let shown: Value = serde_json::from_slice(&output.stdout).expect("JSON");
  assert_eq!(shown["items"][0]["value"].as_f64(), Some(10.0));
  assert_eq!(shown["items"][0]["other"].as_f64(), Some(20.0));
  assert_eq!(run.code(&["bench", "report", "none.json"]), 3);
  std::fs::write(run.home.path().join("bad.json"), "{}").expect("written");
  assert_eq!(run.code(&["bench", "report", "bad.json"]), 8);
}

#[test]
fn a_load_asks_first() {
  let fake = Fake::default();
  let run = Run::against(&fake);
  let output = run.run(&["bench", "run"]);
  assert_eq!(output.status.code(), Some(2));
  assert!(text(&output.stderr).contains("1000 tasks, 100 fires and 8 MiB"));
  assert!(fake.requests().is_empty(), "nothing is sent before a yes");
}
