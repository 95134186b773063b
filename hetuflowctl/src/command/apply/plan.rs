//! The plan of an apply: asked for, shown, agreed to, done.

use hetuflow_core::{
  ApplyRequest, ApplyResponse, JobEntity, NamespaceEntity, NamespaceForUpdate, NamespaceId,
};
use serde_json::json;

use super::files::read_all;
use super::locate::problems_of;
use super::manifest::{Loaded, load_with};
use super::problem::refuse;
use crate::cli::{ApplyArgs, FileArgs};
use crate::client::{Call, Client, CtlError, Exit};
use crate::command::object::{Kind, create::namespace_id};
use crate::command::session::Session;
use crate::output::{Outcome, View, ask};

/// Applies manifests.
///
/// # Errors
/// Invalid, with every problem; usage, where nobody says yes to a change.
pub async fn run(session: &Session, args: &ApplyArgs) -> Result<Outcome, CtlError> {
  let (sources, problems) = read_all(&args.files)?;
  let mut loaded = load_with(sources, problems)?;
  let client = session.client()?;
  put_in_namespace(&mut loaded, &client.place.namespace)?;
  if !args.dry_run {
    namespaces(client, &loaded).await?;
  }
  let plan = session.progress().during("asking for a plan", send(client, &loaded, true)).await?;
  let updates = plan.changes.iter().filter(|change| change.action == "update").count();
  let additions = plan.changes.iter().filter(|change| change.action == "create").count();
  if args.dry_run {
    let outcome = Outcome::from(view(&plan, &loaded));
    return Ok(if args.exit_code && updates + additions > 0 {
      outcome.exit(Exit::Differences as u8)
    } else {
      outcome
    });
  }
  if updates > 0 && !session.look.yes {
    // New jobs take nothing away; changes of what is there are agreed to first.
    session.look.say(text(&plan, &loaded).trim_end());
    let question = format!(
      "Apply {updates} change(s), {additions} addition(s) to {}/{}",
      client.place.title(),
      client.place.namespace
    );
    if !ask(&session.look, &question)? {
      return Ok(Outcome::from(View::Nothing).note("nothing was applied"));
    }
  }
  if updates + additions == 0 {
    return Ok(view(&plan, &loaded).into());
  }
  let done = session.progress().during("applying", send(client, &loaded, false)).await?;
  Ok(view(&done, &loaded).into())
}

/// `job create -f`: one job that must not exist yet.
///
/// # Errors
/// Invalid, or conflict.
pub async fn create(session: &Session, args: &FileArgs) -> Result<Outcome, CtlError> {
  if args.file.is_dir() {
    return Err(
      CtlError::new(Exit::Invalid, format!("{} is a folder", args.file.display()))
        .help("hetuflowctl apply -f FOLDER"),
    );
  }
  let (sources, problems) = read_all(std::slice::from_ref(&args.file))?;
  let mut loaded = load_with(sources, problems)?;
  let client = session.client()?;
  put_in_namespace(&mut loaded, &client.place.namespace)?;
  let [(job, _)] = loaded.jobs.as_slice() else {
    return Err(
      CtlError::new(
        Exit::Invalid,
        format!("{} jobs in the file, one is wanted", loaded.jobs.len()),
      )
      .help("hetuflowctl apply -f FILE"),
    );
  };
  let made: Result<JobEntity, CtlError> = client.fetch(Call::post("/jobs").json(job)).await;
  match made {
    Ok(made) => Ok(View::thing(&made).into()),
    Err(mut error) => {
      for field in &mut error.fields {
        field.field = format!("/jobs/0{}", field.field);
      }
      Err(in_files(error, &loaded))
    }
  }
}

/// Jobs without a namespace go where we work.
fn put_in_namespace(loaded: &mut Loaded, namespace: &str) -> Result<(), CtlError> {
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
  dry_run: bool,
) -> Result<ApplyResponse, CtlError> {
  if loaded.jobs.is_empty() {
    return Ok(ApplyResponse { applied: !dry_run, changes: Vec::new() });
  }
  let jobs = loaded.jobs.iter().map(|(job, _)| job.clone()).collect();
  let mut call = Call::post("/jobs/apply").json(&ApplyRequest { jobs, dry_run });
  if dry_run {
    call = call.harmless();
  }
  client.fetch(call).await.map_err(|error| in_files(error, loaded))
}

fn in_files(error: CtlError, loaded: &Loaded) -> CtlError {
  if error.fields.is_empty() || error.exit != Exit::Invalid as u8 {
    return error;
  }
  let mut told = refuse(problems_of(&error.fields, loaded), &loaded.sources);
  told.fields = error.fields.clone();
  told.request_id = error.request_id.clone();
  told
}

/// Makes or changes namespaces, before the plan of the jobs that live in them. That is not part of
/// the jobs' transaction: a namespace without jobs harms nobody.
async fn namespaces(client: &Client, loaded: &Loaded) -> Result<(), CtlError> {
  for wanted in &loaded.namespaces {
    let path = Kind::Namespace.path_of(wanted.id.as_str());
    match client.fetch::<NamespaceEntity>(Call::get(&path)).await {
      Ok(known) if known.description == wanted.description => {}
      Ok(_) => {
        let change = NamespaceForUpdate {
          description: Some(wanted.description.clone()),
          ..Default::default()
        };
        client.send(Call::patch(&path).json(&change)).await?;
      }
      Err(error) if error.is_not_found() => {
        client.send(Call::post("/namespaces").json(wanted)).await?
      }
      Err(error) => return Err(error),
    }
  }
  Ok(())
}

fn view(plan: &ApplyResponse, loaded: &Loaded) -> View {
  let names = plan.changes.iter().map(|change| format!("job/{}", change.name)).collect();
  View::Text { text: text(plan, loaded), value: json!(plan), names }
}

fn text(plan: &ApplyResponse, loaded: &Loaded) -> String {
  let mut text = String::new();
  let mut unchanged = 0;
  for namespace in &loaded.namespaces {
    text.push_str(&format!("  . namespace/{}\n", namespace.id));
  }
  for change in &plan.changes {
    let place = if change.namespace_id == NamespaceId::default() {
      String::new()
    } else {
      format!(" ({})", change.namespace_id)
    };
    match change.action.as_str() {
      "create" => text.push_str(&format!("  + job/{}{place}\n", change.name)),
      "update" => {
        text.push_str(&format!(
          "  ~ job/{}{place}  v{}  {}\n",
          change.name,
          change.version,
          change.fields.join(", ")
        ));
      }
      _ => unchanged += 1,
    }
  }
  if unchanged > 0 {
    text.push_str(&format!("  = {unchanged} unchanged\n"));
  }
  text
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
