//! The plan of an apply with the fires that it would change, asked of the server.

use hetuflow_core::{ApplyResponse, JobPlan, JobPlanRequest, Labels};
use serde_json::json;

use super::fires_text::fires_text;
use super::manifest::Loaded;
use super::plan::{in_files, load_files, put_in_namespace};
use super::plan_text::{Shown, Tally};
use crate::cli::{ApplyArgs, JobPlanArgs};
use crate::client::{Call, CtlError, Exit};
use crate::command::session::Session;
use crate::output::{Outcome, View};

/// `job plan`: the fires that manifests would add, remove and move.
///
/// # Errors
/// Invalid, with every problem.
pub async fn run(session: &Session, args: &JobPlanArgs) -> Result<Outcome, CtlError> {
  let mut loaded = load_files(&args.manifests)?;
  put_in_namespace(&mut loaded, &session.client()?.place.namespace)?;
  let scope: Labels = args.scope.iter().cloned().collect();
  let request = JobPlanRequest {
    prune: args.prune,
    days: Some(args.days),
    from: args.from,
    herd: Some(args.herd),
    ..request_of(&loaded, &scope)
  };
  let plan = ask_plan(session, &loaded, request).await?;
  let changes = plan.totals.added + plan.totals.removed + plan.totals.moved;
  let differs = args.exit_code && changes > 0;
  let value = json!(plan);
  let outcome = Outcome::from(View::text(fires_text(&plan), value));
  Ok(if differs { outcome.exit(Exit::Differences as u8) } else { outcome })
}

/// `apply --dry-run`: what would change, and the fires of it.
///
/// # Errors
/// Invalid, with every problem.
pub(super) async fn dry_run(
  session: &Session,
  loaded: &Loaded,
  args: &ApplyArgs,
) -> Result<Outcome, CtlError> {
  let scope: Labels = args.scope.iter().cloned().collect();
  let request = JobPlanRequest { prune: args.prune, ..request_of(loaded, &scope) };
  let plan = ask_plan(session, loaded, request).await?;
  let changes = ApplyResponse { applied: false, changes: plan.changes.clone() };
  let shown = Shown { loaded, scope: &scope, diff: args.diff };
  let mut text = shown.text(&changes);
  if !plan.schedules.is_empty() {
    text.push_str(&fires_text(&plan));
  }
  let names = changes.changes.iter().map(|change| format!("job/{}", change.name)).collect();
  let outcome = Outcome::from(View::Text { text, value: json!(plan), names });
  let differs = args.exit_code && Tally::of(&changes).any();
  Ok(if differs { outcome.exit(Exit::Differences as u8) } else { outcome })
}

fn request_of(loaded: &Loaded, scope: &Labels) -> JobPlanRequest {
  let jobs = loaded.jobs.iter().map(|(job, _)| job.clone()).collect();
  JobPlanRequest { jobs, scope: scope.clone(), ..JobPlanRequest::default() }
}

async fn ask_plan(
  session: &Session,
  loaded: &Loaded,
  request: JobPlanRequest,
) -> Result<JobPlan, CtlError> {
  let client = session.client()?;
  let call = Call::post("/jobs/plan").json(&request).harmless();
  let asking = client.fetch(call);
  let plan = session.progress().during("asking for a plan", asking).await;
  plan.map_err(|error| in_files(error, loaded))
}
