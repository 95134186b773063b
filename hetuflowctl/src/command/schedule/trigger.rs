//! `schedule trigger`.

use hetuflow_core::{FireDecision, TaskForCreate, TriggerAnswer};
use serde_json::{Value, json};

use crate::cli::TriggerArgs;
use crate::client::{Call, CtlError, Exit};
use crate::command::names::expand;
use crate::command::object::{Kind, get};
use crate::command::session::Session;
use crate::command::task::order::pairs_of;
use crate::output::{Outcome, View};

/// Asks schedules for a run now and says what they decided.
///
/// # Errors
/// When one is not there, or may not run.
pub async fn run(session: &Session, args: &TriggerArgs) -> Result<Outcome, CtlError> {
  let parameters = pairs_of(&args.param)?;
  let order = TaskForCreate {
    parameters: (!parameters.is_empty()).then_some(Value::Object(parameters)),
    priority: args.prio,
    idempotency_key: args.key.clone(),
    ..TaskForCreate::default()
  };
  let (mut text, mut names, mut answers) = (String::new(), Vec::new(), Vec::new());
  let mut skipped = false;
  for name in expand(&args.names.names)? {
    let schedule = get::schedule(session, &name).await?;
    let path = format!("{}/trigger", Kind::Schedule.path_of(&schedule.id.to_string()));
    let mut call = Call::post(path).json(&order);
    if args.dry_run {
      call = call.query("dry_run", "true");
    }
    let answer: TriggerAnswer = session.client()?.fetch(call).await?;
    text.push_str(&line(&schedule.name, &answer, args.dry_run));
    names.extend(answer.task.as_ref().map(|task| format!("task/{}", task.id)));
    skipped |= answer.decision != FireDecision::Fired;
    answers.push(answer);
  }
  let outcome = Outcome::from(View::Text { text, value: json!(answers), names });
  Ok(if skipped { outcome.exit(Exit::Conflict as u8) } else { outcome })
}

fn line(name: &str, answer: &TriggerAnswer, dry: bool) -> String {
  let mut line = format!("{name}: {}", answer.decision);
  if let Some(task) = answer.task.as_ref().filter(|_| !dry) {
    line.push_str(&format!(", task {}", task.id.short()));
  }
  if let Some(reason) = &answer.reason {
    line.push_str(&format!(", {reason}"));
  }
  line.push('\n');
  line
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn the_decision_and_its_reason_are_said() {
    let mut answer = TriggerAnswer {
      decision: FireDecision::SkippedOverlap,
      reason: Some("an earlier run is alive".to_owned()),
      stopped: 0,
      duplicate: false,
      task: None,
    };
    assert_eq!(line("a", &answer, false), "a: skipped_overlap, an earlier run is alive\n");
    let task = crate::command::sample::task();
    let short = task.id.short();
    (answer.decision, answer.reason, answer.task) = (FireDecision::Fired, None, Some(task));
    assert_eq!(line("a", &answer, false), format!("a: fired, task {short}\n"));
    assert_eq!(line("a", &answer, true), "a: fired\n");
  }
}
