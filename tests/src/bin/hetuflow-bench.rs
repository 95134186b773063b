//! `hetuflow-bench BENCH [--db URL] …`: see `hetuflow-bench --help`.
//!
//! Started as `stamp FILE` or `lines BYTES` it is the payload of its own benches.

use std::process::ExitCode;

use anyhow::{Context, Result};
use hetuflow_tests::bench::{self, Options, payload};

/// Measures; the payloads come first because their own start is what is measured.
fn main() -> ExitCode {
  let began_ns = payload::now_ns();
  let words: Vec<String> = std::env::args().skip(1).collect();
  let outcome = match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
    ["stamp", file] => payload::stamp(file.as_ref(), began_ns).map(|()| true),
    ["lines", bytes] => payload::lines(bytes).map(|()| true),
    [] | ["-h" | "--help" | "help", ..] => {
      println!("{}", bench::USAGE);
      Ok(!words.is_empty())
    }
    _ => measure(words),
  };
  match outcome {
    Ok(true) => ExitCode::SUCCESS,
    Ok(false) => ExitCode::from(1),
    Err(error) => {
      eprintln!("hetuflow-bench: {error:#}");
      ExitCode::from(2)
    }
  }
}

/// Runs a bench, prints its table and writes its JSON; false when work was lost or wrong.
fn measure(words: Vec<String>) -> Result<bool> {
  let options = Options::parse(words)?;
  let runtime =
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
  let report = runtime.block_on(bench::run(&options))?;
  println!("{}", report.table());
  if let Some(path) = &options.output {
    std::fs::write(path, report.json()?).with_context(|| format!("write {}", path.display()))?;
  }
  Ok(report.is_correct())
}
