//! `cluster` and `namespace pause|resume`: nothing fires.

use hetuflow_core::{FreezeEntity, PauseRequest, ResumeRequest};
use serde_json::Value;

use crate::cli::{ClusterVerb, GoOnOptions, HoldOptions};
use crate::client::{Call, CtlError, path_of};
use crate::command::missed;
use crate::command::session::Session;
use crate::output::{Outcome, View};

/// Does one of the verbs.
///
/// # Errors
/// What the server says.
pub async fn run(session: &Session, verb: &ClusterVerb) -> Result<Outcome, CtlError> {
  match verb {
    ClusterVerb::Pause(hold) => pause(session, None, hold).await,
    ClusterVerb::Resume(go_on) => resume(session, None, go_on).await,
    ClusterVerb::Paused => {
      let health: Value = session.client()?.fetch(Call::get("/system/health")).await?;
      let all = freezes_in(&health);
      let text = if all.is_empty() {
        "nothing is paused\n".to_owned()
      } else {
        all.iter().map(|one| format!("{}\n", told(one))).collect()
      };
      Ok(View::text(text, serde_json::json!(all)).into())
    }
  }
}

/// Freezes a namespace, or everything.
///
/// # Errors
/// What the server says.
pub async fn pause(
  session: &Session,
  namespace: Option<&str>,
  hold: &HoldOptions,
) -> Result<Outcome, CtlError> {
  let request = PauseRequest { reason: hold.reason.clone(), until: hold.until };
  let call = Call::post(path(namespace, "pause")).json(&request);
  let freeze: FreezeEntity = session.client()?.fetch(call).await?;
  Ok(View::text(format!("{}\n", told(&freeze)), serde_json::json!(freeze)).into())
}

/// Ends a freeze.
///
/// # Errors
/// What the server says.
pub async fn resume(
  session: &Session,
  namespace: Option<&str>,
  go_on: &GoOnOptions,
) -> Result<Outcome, CtlError> {
  let missed = match go_on.missed {
    Some(missed) => Some(missed),
    None => missed::of_freeze(session)?,
  };
  let call = Call::post(path(namespace, "resume")).json(&ResumeRequest { missed });
  let freeze: FreezeEntity = session.client()?.fetch(call).await?;
  let what = namespace.map_or("cluster".to_owned(), |name| format!("namespace/{name}"));
  Ok(View::text(format!("{what} resumed\n"), serde_json::json!(freeze)).into())
}

fn path(namespace: Option<&str>, verb: &str) -> String {
  match namespace {
    Some(name) => path_of(&["namespaces", name, verb]),
    None => path_of(&["system", verb]),
  }
}

/// What the health of the server says is paused.
pub fn freezes_in(health: &Value) -> Vec<FreezeEntity> {
  let paused = health.get("paused").cloned().unwrap_or_default();
  serde_json::from_value(paused).unwrap_or_default()
}

/// A freeze in one line.
pub fn told(freeze: &FreezeEntity) -> String {
  let until = freeze.until.map(|until| format!(", until {until}")).unwrap_or_default();
  let line = format!("{}, since {}{until}", freeze.told(), freeze.since);
  crate::output::visible(&line).to_string()
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn a_freeze_is_told_in_one_line() {
    let health = serde_json::json!({ "paused": [{
      "scope": "*", "paused_by": "ann", "reason": "disk\u{1b}[2J", "since": "2026-01-01T00:00:00Z",
      "until": "2026-01-01T02:00:00Z", "ended_at": null, "ended_by": null, "missed": null,
    }] });
    let all = freezes_in(&health);
    let line = told(&all[0]);
    assert!(line.starts_with("the cluster was paused by ann: disk"), "{line}");
    assert!(line.ends_with("since 2026-01-01T00:00:00Z, until 2026-01-01T02:00:00Z"), "{line}");
    assert!(!line.contains('\u{1b}'));
    assert_eq!(freezes_in(&serde_json::json!({ "status": "healthy" })), []);
  }
}
