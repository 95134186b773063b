//! `bench`: what a server and its agents do under load, measured from outside through the API. The
//! figures are of the whole way: this machine, the network, the server, its database, the agents.

mod load;
mod report;

use serde_json::json;

use crate::cli::{BenchRun, BenchVerb};
use crate::client::{Call, CtlError, write_private};
use crate::command::session::Session;
use crate::output::{Outcome, Rows, View, ask};
use load::Bench;
use report::{Figure, Report};

/// Does a verb.
///
/// # Errors
/// What the server says; when a part does not end within `--timeout`.
pub async fn run(session: &Session, verb: &BenchVerb) -> Result<Outcome, CtlError> {
  match verb {
    BenchVerb::Run(args) => measure(session, args).await,
    BenchVerb::Report(args) => report::show(args),
  }
}

async fn measure(session: &Session, args: &BenchRun) -> Result<Outcome, CtlError> {
  let client = session.client()?;
  let question = format!(
    "Load {} with {} tasks, {} fires and {} MiB of output",
    client.place.title(),
    args.tasks,
    args.schedules * args.fires,
    args.output_mib
  );
  if !ask(&session.look, &question)? {
    return Ok(Outcome::from(View::Nothing).note("nothing was done"));
  }
  let bench = Bench::begin(client).await?;
  let measured = parts(session, &bench, args).await;
  // What was made goes away again, also where a part failed.
  let ended = bench.end().await;
  let figures = measured?;
  ended?;
  let version: serde_json::Value = client.fetch(Call::get("/system/version")).await?;
  let server = version.get("version").and_then(|one| one.as_str()).unwrap_or("?").to_owned();
  let report = Report { version: 1, server, at: session.look.now, figures };
  if let Some(path) = &args.out {
    let text = serde_json::to_vec_pretty(&json!(report)).unwrap_or_default();
    write_private(path, &text)?;
  }
  Ok(View::List(Rows::ready(&report.figures)).into())
}

async fn parts(
  session: &Session,
  bench: &Bench<'_>,
  args: &BenchRun,
) -> Result<Vec<Figure>, CtlError> {
  let mut figures = Vec::new();
  if args.tasks > 0 {
    figures.extend(session.progress().during("tasks", bench.tasks(args.tasks)).await?);
  }
  if args.schedules > 0 {
    let fires = bench.fires(args.schedules, args.fires);
    figures.extend(session.progress().during("fires", fires).await?);
  }
  if args.output_mib > 0 {
    figures.extend(session.progress().during("output", bench.output(args.output_mib)).await?);
  }
  Ok(figures)
}
