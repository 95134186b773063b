//! Backfills: counted, agreed to, begun, waited for; and what is done to those that go on.

mod create;
mod row;
mod wait;

pub use create::{of_job, run as create};

use hetuflow_core::{BackfillCancel, BackfillEntity};
use serde_json::json;

use crate::cli::{BackfillList, BackfillVerb};
use crate::client::{Call, CtlError, path_of};
use crate::command::object::{get, list};
use crate::command::session::Session;
use crate::output::{Outcome, View};

/// Does what a verb says.
///
/// # Errors
/// What the server says.
pub async fn run(session: &Session, verb: &BackfillVerb) -> Result<Outcome, CtlError> {
  match verb {
    BackfillVerb::List(args) => listed(session, args).await,
    BackfillVerb::Get(args) => Ok(View::thing(&one(session, &args.id).await?).into()),
    BackfillVerb::Wait(args) => {
      let row = one(session, &args.id).await?;
      wait::run(session, &row).await
    }
    BackfillVerb::Cancel(args) => {
      let (reason, keep_running) = (args.reason.clone(), args.keep_running);
      let body = json!(BackfillCancel { reason, keep_running });
      each(session, ("cancel", &body), &args.which.ids).await
    }
    BackfillVerb::Pause(args) => {
      each(session, ("pause", &json!({ "reason": args.reason })), &args.which.ids).await
    }
    BackfillVerb::Resume(args) => each(session, ("resume", &json!({})), &args.ids).await,
  }
}

/// One, by its id or the end of it.
///
/// # Errors
/// When it is not there.
async fn one(session: &Session, id: &str) -> Result<BackfillEntity, CtlError> {
  let found = session.client()?.fetch(Call::get(path_of(&["backfills", id]))).await;
  found.map_err(|error: CtlError| match error.is_not_found() {
    true => error.help("hetuflowctl backfill list"),
    false => error,
  })
}

async fn listed(session: &Session, args: &BackfillList) -> Result<Outcome, CtlError> {
  let schedule = match &args.schedule {
    Some(name) => Some(get::schedule(session, name).await?.id),
    None => None,
  };
  let call = Call::get("/backfills")
    .query_some("namespace_id", session.list_namespace()?)
    .query_some("schedule_id", schedule)
    .query_some("state", args.state);
  list::rows::<BackfillEntity>(session, call, args.paging)
}

async fn each(
  session: &Session,
  (act, body): (&str, &serde_json::Value),
  ids: &[String],
) -> Result<Outcome, CtlError> {
  let mut rows: Vec<BackfillEntity> = Vec::new();
  for id in ids {
    let call = Call::post(path_of(&["backfills", id, act])).json(body);
    rows.push(session.client()?.fetch(call).await?);
  }
  Ok(View::things(&rows).into())
}
