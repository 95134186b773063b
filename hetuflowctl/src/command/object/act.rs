//! Small acts on things: enable, disable, pause, resume, cordon, uncordon, note.

use hetuflow_core::{AgentForUpdate, JobForUpdate, JobStatus};
use serde_json::{Value, json};

use super::kind::{Kind, bare};
use super::{list, picked::Picked};
use crate::cli::{Many, ManyJobs, NoteArgs};
use crate::client::{Call, CtlError};
use crate::command::bulk::{Deed, Failed, Item, agree, chosen_unseen, given, send, some_failed};
use crate::command::names::with_suggestion;
use crate::command::session::Session;
use crate::output::{Outcome, View};

/// Does one act to each of some things.
///
/// # Errors
/// When it fails for the only one; with several, each failure is told and the exit code is 11.
pub async fn run(
  session: &Session,
  kind: Kind,
  act: &'static str,
  args: &Many,
) -> Result<Outcome, CtlError> {
  on_many(session, kind, (act, &past(act)), args, |path| {
    Call::post(format!("{path}/{act}")).json(&json!({}))
  })
  .await
}

/// Switches jobs on or off; with a version only where it is still that one.
///
/// # Errors
/// As [`run`].
pub async fn switch(
  session: &Session,
  act: &'static str,
  args: &ManyJobs,
) -> Result<Outcome, CtlError> {
  let Some(version) = args.if_version else {
    return run(session, Kind::Job, act, &args.many).await;
  };
  let status = if act == "enable" { JobStatus::Enabled } else { JobStatus::Disabled };
  let change = JobForUpdate { status: Some(status), ..JobForUpdate::default() };
  on_many(session, Kind::Job, (act, &past(act)), &args.many, |path| {
    Call::patch(path).json(&change).if_version(version)
  })
  .await
}

/// One request per thing that is named or found.
///
/// # Errors
/// As [`run`].
pub async fn on_many(
  session: &Session,
  kind: Kind,
  (verb, done): (&str, &str),
  args: &Many,
  call: impl Fn(&str) -> Call,
) -> Result<Outcome, CtlError> {
  let command = format!("{} {verb}", kind.word());
  let deed = Deed { verb, command: &command, what: kind.word(), done };
  let things = picked(session, kind, args).await?;
  let found: Vec<_> = things.iter().map(Picked::record).collect();
  let unseen = chosen_unseen(session, &args.names.names)?;
  if let Some(end) = agree(session, deed, (unseen, args.bulk), &found)? {
    return Ok(end);
  }
  let mut items = Vec::new();
  for thing in things {
    let mut call = call(&kind.path_of(&thing.reference));
    if kind.in_namespace() {
      call = call.query("namespace_id", thing.namespace(session)?);
    }
    items.push(Item { name: thing.name, call });
  }
  each(session, kind, deed, items).await
}

/// The things that are meant.
///
/// # Errors
/// Usage, where nothing is named.
pub async fn picked(session: &Session, kind: Kind, args: &Many) -> Result<Vec<Picked>, CtlError> {
  let names = given(session, &args.names.names)?;
  let Some(filter) = session.filter()? else {
    return Ok(names.iter().map(|name| Picked::named(kind, bare(kind, name))).collect());
  };
  let mut call = Call::get(kind.path()).query("filter", filter);
  if kind.in_namespace() {
    call = call.query_some("namespace_id", session.list_namespace()?);
  }
  let found: Vec<Value> = list::at_most(session, call, args.bulk.limit).await?;
  Ok(found.into_iter().map(|value| Picked::found(kind, value)).collect())
}

/// Writes a note on an agent.
///
/// # Errors
/// What the server says.
pub async fn note(session: &Session, args: &NoteArgs) -> Result<Outcome, CtlError> {
  let change = AgentForUpdate { description: Some(args.text.clone()), ..AgentForUpdate::default() };
  let name = bare(Kind::Agent, &args.name).to_owned();
  let call = Call::patch(Kind::Agent.path_of(&name)).json(&change);
  let deed = Deed { verb: "note", command: "agent note", what: "agent", done: "noted" };
  each(session, Kind::Agent, deed, vec![Item { name, call }]).await
}

/// Sends one request per thing and tells how each went.
///
/// # Errors
/// When it fails for the only one.
pub async fn each(
  session: &Session,
  kind: Kind,
  deed: Deed<'_>,
  items: Vec<Item>,
) -> Result<Outcome, CtlError> {
  each_beside(session, (kind, deed), items, Vec::new()).await
}

/// As [`each`], beside those that failed before anything was sent.
///
/// # Errors
/// When it fails for the only one.
pub async fn each_beside(
  session: &Session,
  (kind, deed): (Kind, Deed<'_>),
  items: Vec<Item>,
  mut failed: Vec<Failed>,
) -> Result<Outcome, CtlError> {
  let total = items.len() + failed.len();
  if let ([one], true) = (failed.as_slice(), items.is_empty()) {
    return Err(one.error.clone());
  }
  let (mut text, mut names) = (String::new(), Vec::new());
  let mut results: Vec<Value> = failed.iter().map(Failed::value).collect();
  for (name, answer) in send(session, deed, items).await? {
    match answer {
      Ok(body) => {
        let answer: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        text.push_str(&format!("{}/{name} {}\n", kind.word(), deed.done));
        names.push(format!("{}/{name}", kind.word()));
        results.push(json!({ "name": name, "ok": true, "object": answer }));
      }
      Err(error) if total == 1 => return Err(with_suggestion(session, kind, &name, error).await),
      Err(error) => {
        let one = Failed { name, error };
        results.push(one.value());
        failed.push(one);
      }
    }
  }
  let outcome = Outcome::from(View::Text { text, value: json!(results), names });
  Ok(if failed.is_empty() { outcome } else { outcome.partial(some_failed(deed, total, &failed)) })
}

fn past(act: &str) -> String {
  if act.ends_with('e') { format!("{act}d") } else { format!("{act}ed") }
}
