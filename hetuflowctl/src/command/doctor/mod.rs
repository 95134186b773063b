//! `doctor`: one line per check, then what to do about the bad ones.

mod bundle;
mod check;
mod local;
mod mask;
mod server;
mod tar;
mod work;

use serde_json::json;

use crate::cli::DoctorArgs;
use crate::client::{CtlError, Exit};
use crate::command::session::Session;
use crate::output::{Outcome, View, visible};
use bundle::Bundle;
use check::{Check, Checks, Status};

/// Looks at everything that can be looked at. What is broken is an answer, not an error.
///
/// # Errors
/// Not found, where one agent was asked for and is not there.
pub async fn run(session: &Session, args: &DoctorArgs) -> Result<Outcome, CtlError> {
  let bundle = args.bundle.as_deref().map(Bundle::new).transpose()?;
  let mut checks = Checks::default();
  let mut reached = None;
  if args.agent.is_none() {
    local::look(session, &mut checks);
  }
  if !args.local {
    let looking = async {
      if let Some(client) = server::look(session, &mut checks, args.agent.is_some()).await {
        let looked = work::look(session, &client, args.agent.as_deref(), &mut checks).await;
        reached = Some(client);
        looked
      } else {
        Ok(())
      }
    };
    session.progress().during("looking", looking).await?;
  }
  let checks = checks.all;
  let count = |status: Status| checks.iter().filter(|one| one.status == status).count();
  let (warnings, failures) = (count(Status::Warn), count(Status::Fail));
  let mut text: String = checks.iter().map(line).collect();
  let fixes = checks.iter().filter_map(|one| Some((one, one.fix.as_ref()?)));
  for (one, fix) in fixes {
    text.push_str(&format!("fix {}: {}\n", one.id, visible(fix)));
  }
  text
    .push_str(&format!("{} checks, {warnings} warning(s), {failures} failure(s)\n", checks.len()));
  let value = json!(checks);
  let note = match &bundle {
    Some(bundle) => {
      let writing = bundle.write(session, (reached.as_ref(), &value));
      Some(session.progress().during("collecting", writing).await?)
    }
    None => None,
  };
  let mut outcome = Outcome::from(View::text(text, value));
  outcome.notes.extend(note);
  let bad = failures > 0 || (args.strict && warnings > 0);
  Ok(if bad { outcome.exit(Exit::Failure as u8) } else { outcome })
}

fn line(one: &Check) -> String {
  let word = match one.status {
    Status::Ok => "ok",
    Status::Warn => "warn",
    Status::Fail => "FAIL",
  };
  format!("{word:<5} {:<20} {}\n", one.id, visible(&one.detail))
}
