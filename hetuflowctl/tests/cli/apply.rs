//! `apply`, `diff` and `delete -f`: plans, agreement, variables.

use super::*;

const MANIFEST: &str =
  "apiVersion: hetuflow/v1\nkind: Job\nmetadata: { name: a }\nspec: { config: { command: x } }\n";

fn change(action: &str) -> String {
  format!(
    r#"{{"index":0,"action":"{action}","namespace_id":"default","name":"a","fields":["config.timeout"],
    "differences":[{{"field":"config.timeout","before":300,"after":600}}],"version":2}}"#
  )
}

fn planned(actions: &[&str]) -> (Fake, Run) {
  let changes: Vec<String> = actions.iter().map(|action| change(action)).collect();
  let plan = format!(r#"{{"applied":false,"changes":[{}]}}"#, changes.join(","));
  let fake = Fake::default().json("POST /jobs/apply", 200, &plan);
  let run = Run::against(&fake);
  std::fs::write(run.home.path().join("a.yaml"), MANIFEST).expect("written");
  (fake, run)
}

#[test]
fn deletions_need_a_yes() {
  for (actions, args, exit, requests) in [
    (&["unchanged", "delete"][..], &[][..], 2, 1),
    (&["unchanged", "delete"], &["--yes"], 0, 2),
    (&["create", "unchanged"], &[], 2, 1),
    (&["create", "unchanged"], &["--yes"], 0, 2),
    (&["unchanged"], &[], 0, 1),
    (&["unchanged", "delete"], &["--dry-run", "--exit-code"], 10, 2),
    (&["unchanged"], &["--dry-run=server", "--exit-code"], 0, 2),
    (&["create"], &["--dry-run=client"], 0, 0),
  ] {
    let (fake, run) = planned(actions);
    let args = [&["apply", "-f", "a.yaml", "--prune", "--scope", "team=data"], args].concat();
    assert_eq!(run.code(&args), exit, "{args:?}");
    let seen = fake.requests();
    assert_eq!(seen.len(), requests, "{args:?}");
    for request in seen {
      assert!(request.contains(r#""scope":{"team":"data"}"#), "{request}");
      assert!(request.contains(r#""prune":true"#), "{request}");
    }
  }
  let (_, run) = planned(&["create"]);
  assert_eq!(run.code(&["apply", "-f", "a.yaml", "--prune"]), 2, "prune needs a scope");
}

#[test]
fn diff_shows_and_exits_10() {
  let (fake, run) = planned(&["update"]);
  let output = run.run(&["diff", "-f", "a.yaml"]);
  assert_eq!(output.status.code(), Some(10), "{}", text(&output.stderr));
  assert_eq!(
    text(&output.stdout),
    "  ~ job/a                  config.timeout\n      -300\n      +600\n"
  );
  assert!(fake.requests()[0].contains(r#""dry_run":true"#));
  let (_, run) = planned(&["unchanged"]);
  assert_eq!(run.code(&["diff", "-f", "a.yaml"]), 0);
}

#[test]
fn variables_are_filled_before_anything_is_sent() {
  let (fake, run) = planned(&["create"]);
  let manifest = MANIFEST.replace("command: x", "command: \"echo ${{ greeting }} ${HOME}\"");
  std::fs::write(run.home.path().join("a.yaml"), manifest).expect("written");
  let output = run.run(&["apply", "-f", "a.yaml"]);
  assert_eq!(output.status.code(), Some(8));
  assert!(text(&output.stderr).contains("a.yaml:4:"), "{}", text(&output.stderr));
  assert!(text(&output.stderr).contains("no value for greeting"), "{}", text(&output.stderr));
  assert!(fake.requests().is_empty());
  assert_eq!(run.code(&["apply", "-f", "a.yaml", "--var", "greeting=hello", "--yes"]), 0);
  assert!(fake.requests()[0].contains("echo hello ${HOME}"), "{:?}", fake.requests());
}

#[test]
fn delete_takes_what_files_describe() {
  let fake = Fake::default().json("GET /jobs/a", 200, "{}").json("DELETE /jobs/a", 204, "");
  let run = Run::against(&fake);
  let two = format!("{MANIFEST}---\n{}", MANIFEST.replace("name: a", "name: b"));
  std::fs::write(run.home.path().join("a.yaml"), two).expect("written");
  assert_eq!(run.code(&["delete", "-f", "a.yaml"]), 2, "nobody said yes");
  let output = run.run(&["delete", "-f", "a.yaml", "--yes"]);
  assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
  assert_eq!(text(&output.stdout), "job/a deleted\n");
  assert!(text(&output.stderr).contains("job/b is not there"), "{}", text(&output.stderr));
}
