//! The plan of an apply: asked for, shown, agreed to, done.

use std::time::Duration;

use hetuflow_core::{
  ApplyRequest, ApplyResponse, JobEntity, Labels, ScheduleEntity, ScheduleStatus,
};
use serde_json::json;

use super::files::read_all;
use super::locate::problems_of;
use super::manifest::{Loaded, load_with};
use super::namespaces;
use super::plan_text::{Shown, Tally};
use super::problem::refuse;
use super::vars::fill;
use crate::cli::{ApplyArgs, DiffArgs, DryRun, JobValidate, ManifestArgs};
use crate::client::{Call, Client, CtlError, Exit};
use crate::command::object::{Kind, create::namespace_id, get};
use crate::command::session::Session;
use crate::output::{Outcome, View, ask, ask_word};

const LOOK: Duration = Duration::from_millis(100);
/// Without `--timeout` a wait ends here.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// What is asked of the server beside the jobs.
#[derive(Debug, Clone, Default)]
pub struct Wish {
  /// Labels of all jobs.
  pub scope: Labels,
  /// Delete what is in no file.
  pub prune: bool,
  /// Change nothing.
  pub dry_run: bool,
}

/// Applies manifests.
///
/// # Errors
/// Invalid, with every problem; usage, where nobody says yes to a change.
pub async fn run(session: &Session, args: &ApplyArgs) -> Result<Outcome, CtlError> {
  let mut loaded = load_files(&args.manifests)?;
  if args.dry_run == Some(DryRun::Client) {
    return Ok(checked(&loaded));
  }
  let client = session.client()?;
  put_in_namespace(&mut loaded, &client.place.namespace)?;
  if args.dry_run.is_none() && !namespaces::settle(session, &loaded.namespaces).await? {
    return Ok(Outcome::from(View::Nothing).note("nothing was applied"));
  }
  if args.dry_run.is_some() {
    match super::fires::dry_run(session, &loaded, args).await {
      // An older server knows what would change, but not of fires.
      Err(error) if error.is_not_found() => {}
      answer => return answer,
    }
  }
  let mut wish =
    Wish { scope: args.scope.iter().cloned().collect(), prune: args.prune, dry_run: true };
  let asking = send(client, &loaded, &wish);
  let plan = session.progress().during("asking for a plan", asking).await?;
  let tally = Tally::of(&plan);
  let shown = Shown { loaded: &loaded, scope: &wish.scope, diff: args.diff };
  if args.dry_run.is_some() {
    let outcome = Outcome::from(view(&plan, &shown));
    let differs = args.exit_code && tally.any();
    return Ok(if differs { outcome.exit(Exit::Differences as u8) } else { outcome });
  }
  if !agreed(session, &plan, &shown)? {
    return Ok(Outcome::from(View::Nothing).note("nothing was applied"));
  }
  if !tally.any() {
    return Ok(view(&plan, &shown).into());
  }
  wish.dry_run = false;
  let done = session.progress().during("applying", send(client, &loaded, &wish)).await?;
  if args.wait {
    session.progress().during("waiting for the changes", settled(session, &done)).await?;
  }
  Ok(view(&done, &shown).into())
}

/// Plans, asks where something that is there would change, and sends; what is only new was asked
/// for by the command itself. `None`: nobody said yes.
///
/// # Errors
/// What the server says.
pub async fn ask_and_send(
  session: &Session,
  loaded: &Loaded,
) -> Result<Option<ApplyResponse>, CtlError> {
  let client = session.client()?;
  let mut wish = Wish { dry_run: true, ..Wish::default() };
  let plan = send(client, loaded, &wish).await?;
  let shown = Shown { loaded, scope: &wish.scope, diff: false };
  let tally = Tally::of(&plan);
  if tally.updates + tally.deletions > 0 && !agreed(session, &plan, &shown)? {
    return Ok(None);
  }
  wish.dry_run = false;
  send(client, loaded, &wish).await.map(Some)
}

/// `diff`: what an apply would change, in full; exit 10 where there is something.
///
/// # Errors
/// Invalid, with every problem.
pub async fn diff(session: &Session, args: &DiffArgs) -> Result<Outcome, CtlError> {
  let mut loaded = load_files(&args.manifests)?;
  let client = session.client()?;
  put_in_namespace(&mut loaded, &client.place.namespace)?;
  let wish = Wish { scope: args.scope.iter().cloned().collect(), prune: args.prune, dry_run: true };
  let asking = send(client, &loaded, &wish);
  let plan = session.progress().during("asking for a plan", asking).await?;
  let shown = Shown { loaded: &loaded, scope: &wish.scope, diff: true };
  let outcome = Outcome::from(view(&plan, &shown));
  let differs = Tally::of(&plan).any();
  Ok(if differs { outcome.exit(Exit::Differences as u8) } else { outcome })
}

/// `job validate`: the files alone, or also what the server says to them.
///
/// # Errors
/// Invalid, with every problem.
pub async fn validate(session: &Session, args: &JobValidate) -> Result<Outcome, CtlError> {
  let mut loaded = load_files(&args.manifests)?;
  if !args.server {
    return Ok(checked(&loaded));
  }
  let client = session.client()?;
  put_in_namespace(&mut loaded, &client.place.namespace)?;
  let wish = Wish { dry_run: true, ..Wish::default() };
  session.progress().during("asking the server", send(client, &loaded, &wish)).await?;
  let mut outcome = checked(&loaded);
  outcome.notes = vec![format!("{} job(s) would be accepted", loaded.jobs.len())];
  Ok(outcome)
}

/// What an apply without a scope came to.
pub fn shown_after(done: &ApplyResponse, loaded: &Loaded) -> Outcome {
  view(done, &Shown { loaded, scope: &Labels::default(), diff: false }).into()
}

/// Reads and checks all files, with their variables filled in.
///
/// # Errors
/// Invalid, with every problem.
pub fn load_files(args: &ManifestArgs) -> Result<Loaded, CtlError> {
  let (mut sources, mut problems) = read_all(&args.files, args.recursive)?;
  problems.extend(fill(&mut sources, &args.var));
  load_with(sources, problems)
}

/// `--dry-run=client`: the files are good, and that is all that is known.
fn checked(loaded: &Loaded) -> Outcome {
  let names: Vec<String> = loaded.jobs.iter().map(|(job, _)| format!("job/{}", job.name)).collect();
  let text = names.iter().map(|name| format!("  . {name}\n")).collect::<String>();
  let jobs: Vec<_> = loaded.jobs.iter().map(|(job, _)| job).collect();
  let value = json!({ "applied": false, "checked_by": "client", "jobs": jobs, "namespaces": loaded.namespaces });
  let note = format!("{} job(s) are well formed; no server was asked", names.len());
  Outcome::from(View::Text { text, value, names }).note(note)
}

/// Whatever the plan would do is agreed to first: on a terminal by a yes, deletions by typing the
/// scope; elsewhere by `--yes`. A plan that does nothing needs no yes.
fn agreed(session: &Session, plan: &ApplyResponse, shown: &Shown<'_>) -> Result<bool, CtlError> {
  let look = &session.look;
  let tally = Tally::of(plan);
  if look.yes || !tally.any() {
    return Ok(true);
  }
  look.say(shown.text(plan).trim_end());
  let place = &session.client()?.place;
  let parts =
    [(tally.updates, "change"), (tally.additions, "addition"), (tally.deletions, "deletion")];
  let parts = parts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| match count {
    1 => format!("1 {word}"),
    _ => format!("{count} {word}s"),
  });
  let parts = parts.collect::<Vec<_>>().join(", ");
  let question = format!("Apply {parts} to {}/{}", place.title(), place.namespace);
  if tally.deletions > 0 {
    return Ok(ask_word(look, &question, &shown.scope_text())?);
  }
  Ok(ask(look, &question)?)
}

/// Jobs without a namespace go where we work.
pub fn put_in_namespace(loaded: &mut Loaded, namespace: &str) -> Result<(), CtlError> {
  let namespace = namespace_id(namespace)?;
  for (job, _) in &mut loaded.jobs {
    job.namespace_id.get_or_insert_with(|| namespace.clone());
  }
  Ok(())
}

/// Sends all jobs in one request.
///
/// # Errors
/// What the server says, at the places in the files.
pub async fn send(
  client: &Client,
  loaded: &Loaded,
  wish: &Wish,
) -> Result<ApplyResponse, CtlError> {
  if loaded.jobs.is_empty() {
    return Ok(ApplyResponse { applied: !wish.dry_run, changes: Vec::new() });
  }
  let jobs = loaded.jobs.iter().map(|(job, _)| job.clone()).collect();
  let Wish { scope, prune, dry_run } = wish.clone();
  let mut call = Call::post("/jobs/apply").json(&ApplyRequest { jobs, dry_run, scope, prune });
  if dry_run {
    call = call.harmless();
  }
  client.fetch(call).await.map_err(|error| in_files(error, loaded))
}

/// What a server refused, at the places in the files.
pub fn in_files(error: CtlError, loaded: &Loaded) -> CtlError {
  if error.fields.is_empty() || error.exit != Exit::Invalid as u8 {
    return error;
  }
  let mut told = refuse(problems_of(&error.fields, loaded), &loaded.sources);
  told.fields = error.fields.clone();
  told.request_id = error.request_id.clone();
  told
}

/// Waits until every changed job can be read as it is now and its schedules know their next fire:
/// another server than the one that wrote may be asked.
async fn settled(session: &Session, done: &ApplyResponse) -> Result<(), CtlError> {
  let client = session.client()?;
  let end = tokio::time::Instant::now() + session.global.timeout.unwrap_or(WAIT_MAX);
  for change in done.changes.iter().filter(|change| change.action != "delete") {
    let path = Kind::Job.path_of(&change.name);
    loop {
      let call = Call::get(&path).query("namespace_id", &change.namespace_id);
      let ready = match client.fetch::<JobEntity>(call).await {
        Ok(job) if job.version >= change.version => {
          let planned = |one: &ScheduleEntity| {
            one.status != ScheduleStatus::Enabled || one.next_run_at.is_some()
          };
          get::schedules_of(session, &job).await?.iter().all(planned)
        }
        Ok(_) => false,
        Err(error) if error.is_not_found() => false,
        Err(error) => return Err(error),
      };
      if ready {
        break;
      }
      if tokio::time::Instant::now() + LOOK >= end {
        let message = format!("job {} was applied, but is not planned yet", change.name);
        return Err(CtlError::new(Exit::Timeout, message));
      }
      tokio::time::sleep(LOOK).await;
    }
  }
  Ok(())
}

fn view(plan: &ApplyResponse, shown: &Shown<'_>) -> View {
  let names = plan.changes.iter().map(|change| format!("job/{}", change.name)).collect();
  View::Text { text: shown.text(plan), value: json!(plan), names }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
