//! `simulate`: a namespace in virtual time, by the server.

mod text;

use hetuflow_core::{Seconds, SimulateRequest, Simulation};
use serde_json::json;

use crate::cli::{ManifestArgs, SimulateArgs};
use crate::client::{Call, CtlError};
use crate::command::apply::load_for;
use crate::command::object::create::namespace_id;
use crate::command::session::Session;
use crate::output::{Outcome, View};

/// Simulates.
///
/// # Errors
/// What the server says; invalid, with every problem of the files.
pub async fn run(session: &Session, args: &SimulateArgs) -> Result<Outcome, CtlError> {
  let client = session.client()?;
  let mut jobs = Vec::new();
  if !args.files.is_empty() {
    let (files, recursive, var) = (args.files.clone(), args.recursive, args.var.clone());
    let manifests = ManifestArgs { files, recursive, var };
    jobs = load_for(&manifests, &client.place.namespace)?;
  }
  let request = SimulateRequest {
    namespace_id: Some(namespace_id(&client.place.namespace)?),
    jobs,
    from: args.from,
    duration: Some(Seconds(args.span)),
    slots: args.slots,
    run: Some(Seconds(args.run)),
    seed: Some(args.seed),
    ..SimulateRequest::default()
  };
  let asking = client.fetch(Call::post("/simulate").json(&request).harmless());
  let report: Simulation = session.progress().during("simulating", asking).await?;
  let text = text::page(&report, args.limit);
  Ok(View::text(text, json!(report)).into())
}
