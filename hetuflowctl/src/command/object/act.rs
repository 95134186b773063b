//! Small acts on things: enable, disable, pause, resume, cordon, uncordon, note.

use hetuflow_core::AgentForUpdate;
use serde_json::{Value, json};

use super::kind::{Kind, bare};
use crate::cli::{Names, NoteArgs};
use crate::client::{Call, CtlError, Exit};
use crate::command::names::{expand, with_suggestion};
use crate::command::session::Session;
use crate::output::{Outcome, View};

/// Does one act to each of some things.
///
/// # Errors
/// When it fails for the only one; with several, each failure is told and the exit code is 11.
pub async fn run(
  session: &Session,
  kind: Kind,
  act: &str,
  args: &Names,
) -> Result<Outcome, CtlError> {
  let calls = expand(&args.names)?.into_iter().map(|name| {
    let name = bare(kind, &name).to_owned();
    let mut call = Call::post(format!("{}/{act}", kind.path_of(&name)));
    if kind.in_namespace() {
      call = call.query_some(
        "namespace_id",
        session.client().ok().map(|client| client.place.namespace.clone()),
      );
    }
    (name, call.json(&json!({})))
  });
  each(session, kind, &past(act), calls.collect()).await
}

/// Writes a note on an agent.
///
/// # Errors
/// What the server says.
pub async fn note(session: &Session, args: &NoteArgs) -> Result<Outcome, CtlError> {
  let change = AgentForUpdate { description: Some(args.text.clone()), ..AgentForUpdate::default() };
  let name = bare(Kind::Agent, &args.name).to_owned();
  let call = Call::patch(Kind::Agent.path_of(&name)).json(&change);
  each(session, Kind::Agent, "noted", vec![(name, call)]).await
}

/// Sends one request per thing and tells how each went.
///
/// # Errors
/// When it fails for the only one.
pub async fn each(
  session: &Session,
  kind: Kind,
  done: &str,
  calls: Vec<(String, Call)>,
) -> Result<Outcome, CtlError> {
  let client = session.client()?;
  let single = calls.len() == 1;
  let total = calls.len();
  let (mut text, mut names, mut results, mut failures) =
    (String::new(), Vec::new(), Vec::new(), Vec::new());
  for (name, call) in calls {
    match client.bytes(call).await {
      Ok(body) => {
        let answer: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        text.push_str(&format!("{}/{name} {done}\n", kind.word()));
        names.push(format!("{}/{name}", kind.word()));
        results.push(json!({ "name": name, "ok": true, "object": answer }));
      }
      Err(error) if single => return Err(with_suggestion(session, kind, &name, error).await),
      Err(error) => {
        results.push(json!({ "name": name, "ok": false, "error": error.message }));
        failures.push(format!("{name}  not {done}: {}", error.message));
      }
    }
  }
  let view = View::Text { text, value: json!(results), names };
  if failures.is_empty() {
    return Ok(view.into());
  }
  let mut outcome = Outcome::from(view).exit(Exit::SomeFailed as u8);
  outcome.notes.push(format!("error: {done} {} of {total}", total - failures.len()));
  outcome.notes.extend(failures.into_iter().map(|failure| format!("  {failure}")));
  Ok(outcome)
}

fn past(act: &str) -> String {
  if act.ends_with('e') { format!("{act}d") } else { format!("{act}ed") }
}
