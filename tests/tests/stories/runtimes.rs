//! Every kind of program that a task can name, run for real.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use hetuflow_tests::cluster::{Cluster, Engine};
use serde_json::{Value, json};

use crate::support::{attempts, output, submit, text, wait_status};

both_engines!(programs_of_the_machine, what_cannot_start_says_why);

/// Runs a task that must succeed, and gives its standard output.
async fn run(cluster: &Cluster, task: Value) -> Result<String> {
  let api = cluster.api();
  let id = submit(&api, &task).await?;
  let ended = wait_status(&api, &id, &["succeeded", "failed"]).await?;
  let told = String::from_utf8_lossy(&output(&api, &id, "").await?).into_owned();
  ensure!(ended["status"] == "succeeded", "{task}: {ended}\n{told}");
  Ok(String::from_utf8(output(&api, &id, "stdout").await?)?)
}

async fn programs_of_the_machine(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).start().await?;
  let dir = cluster.dir().join("it's a folder");
  std::fs::create_dir(&dir)?;
  let place = dir.to_string_lossy().into_owned();
  let table = [
    (json!({ "command": "echo $((6 * 7)) $GREETING" }), "42 hello\n".to_owned()),
    (
      json!({ "cmd": "bash", "script": "read a; echo \"$1-$a\"", "args": ["x y"], "stdin": "in\n" }),
      "x y-in\n".to_owned(),
    ),
    (json!({ "script": "pwd", "working_directory": place }), format!("{place}\n")),
    (
      json!({ "cmd": "exec", "args": ["printf", "%s|", "a b", "$HOME", "*"] }),
      "a b|$HOME|*|".to_owned(),
    ),
    (
      json!({ "cmd": "python", "script": "import os, sys\nprint(os.environ['GREETING'], sys.argv[1:])",
      "args": ["1", "zwei ü"] }),
      "hello ['1', 'zwei ü']\n".to_owned(),
    ),
    (json!({ "cmd": "python", "args": ["-c", "print(sum(range(10)))"] }), "45\n".to_owned()),
    (
      json!({ "cmd": "node", "script": "console.log(process.env.GREETING, process.argv.slice(2))",
      "args": ["x"] }),
      "hello [ 'x' ]\n".to_owned(),
    ),
    (json!({ "cmd": "node", "args": ["-e", "console.log(1 + 1)"] }), "2\n".to_owned()),
    (json!({ "command": "echo $HETUFLOW_ATTEMPT ${#HETUFLOW_TASK_ID}" }), "1 36\n".to_owned()),
  ];
  for (config, wanted) in table {
    let task = json!({ "config": config, "environment": { "GREETING": "hello" } });
    assert_eq!(run(&cluster, task.clone()).await?, wanted, "{task}");
  }
  let told = run(&cluster, json!({ "config": { "cmd": "cargo", "args": ["--version"] } })).await?;
  ensure!(told.starts_with("cargo 1."), "{told}");
  let told = run(&cluster, npx(&dir)?).await?;
  assert_eq!(told, "a local package says [ 'hi' ]\n");
  cluster.finish()
}

/// A package in `dir` and the task that runs its program.
fn npx(dir: &Path) -> Result<Value> {
  let package = dir.join("node_modules/hetuflow-says");
  let bin = dir.join("node_modules/.bin");
  std::fs::create_dir_all(&package)?;
  std::fs::create_dir_all(&bin)?;
  let about = json!({ "name": "hetuflow-says", "version": "1.0.0", "bin": "says.js" });
  std::fs::write(package.join("package.json"), about.to_string())?;
  let program = package.join("says.js");
  let source = "#!/usr/bin/env node\nconsole.log('a local package says', process.argv.slice(2));\n";
  std::fs::write(&program, source)?;
  ensure!(Command::new("chmod").arg("+x").arg(&program).status()?.success(), "chmod");
  std::os::unix::fs::symlink("../hetuflow-says/says.js", bin.join("hetuflow-says"))?;
  let args = ["--no-install", "hetuflow-says", "hi"];
  Ok(json!({ "config": { "cmd": "npx", "args": args, "working_directory": dir } }))
}

#[tokio::test]
async fn uv_from_its_python_package() -> Result<()> {
  let bin = uv()?;
  let mut path = OsString::from(bin);
  path.push(":");
  path.push(std::env::var_os("PATH").context("PATH")?);
  let builder = Cluster::builder().environment("PATH", path);
  let builder = builder.environment("UV_OFFLINE", "1").environment("UV_PYTHON_DOWNLOADS", "never");
  let cluster = builder.start().await?;
  let script = "import sys\nprint('uv runs', sys.argv[1:])";
  let config = json!({ "cmd": "uv", "script": script, "args": ["this"] });
  assert_eq!(run(&cluster, json!({ "config": config })).await?, "uv runs ['this']\n");
  let config = json!({ "cmd": "uv", "args": ["python", "-c", "print(7 * 6)"] });
  assert_eq!(run(&cluster, json!({ "config": config })).await?, "42\n");
  cluster.finish()
}

/// The folder of `uv`: installed with pip into a venv that later runs find again.
fn uv() -> Result<PathBuf> {
  let venv = Path::new(env!("CARGO_TARGET_TMPDIR")).join("uv-venv");
  let bin = venv.join("bin");
  if !bin.join("uv").is_file() {
    let made = Command::new("python3").args(["-m", "venv"]).arg(&venv).output()?;
    ensure!(made.status.success(), "python3 -m venv: {}", String::from_utf8_lossy(&made.stderr));
    let pip = Command::new(bin.join("pip")).args(["install", "--quiet", "uv"]).output()?;
    ensure!(pip.status.success(), "pip install uv: {}", String::from_utf8_lossy(&pip.stderr));
  }
  Ok(bin)
}

#[tokio::test]
async fn java_or_a_stand_in() -> Result<()> {
  let real = Command::new("java").arg("-version").output().is_ok_and(|told| told.status.success());
  let mut builder = Cluster::builder();
  let stand_in = tempfile::tempdir()?;
  if !real {
    let program = stand_in.path().join("java");
    std::fs::write(&program, "#!/bin/sh\nshift\necho \"java got $*\"\n")?;
    ensure!(Command::new("chmod").arg("+x").arg(&program).status()?.success(), "chmod");
    let path = std::env::var("PATH")?;
    builder = builder.environment("PATH", format!("{}:{path}", stand_in.path().display()));
  }
  let cluster = builder.start().await?;
  let source = cluster.dir().join("Says.java");
  let text = r#"public class Says { public static void main(String[] a) {
    System.out.println("java got " + String.join(" ", a)); } }"#;
  std::fs::write(&source, text)?;
  let config = json!({ "cmd": "java", "args": [source, "one", "two"] });
  assert_eq!(run(&cluster, json!({ "config": config })).await?, "java got one two\n");
  cluster.finish()
}

async fn what_cannot_start_says_why(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).start().await?;
  let api = cluster.api();
  let data = cluster.dir().join("data.txt");
  std::fs::write(&data, "no program")?;
  let table = [
    (json!({ "cmd": "exec", "args": ["/no/such/program"] }), "/no/such/program"),
    (json!({ "cmd": "exec", "args": [data] }), "data.txt"),
    (json!({ "command": "true", "working_directory": "/no/such/folder" }), "/no/such/folder"),
  ];
  for (config, word) in table {
    let id = submit(&api, &json!({ "config": config })).await?;
    let task = wait_status(&api, &id, &["failed"]).await?;
    ensure!(text(&task, "reason")?.starts_with("spawn_failed("), "{task}");
    let told = format!("{} {}", task["reason"], task["error_message"]);
    ensure!(told.contains(word), "{word} is not named: {task}");
    assert_eq!(attempts(&api, &id).await?[0]["status"], "not_started", "{task}");
  }
  cluster.finish()
}
