//! Labels that are given to an agent on the server.

use hetuflow_core::{AgentEntity, AgentForUpdate, LabelChanges};

use crate::cli::LabelArgs;
use crate::client::{Call, CtlError};
use crate::command::object::{Kind, bare};
use crate::command::session::Session;
use crate::output::{Outcome, View};

/// Gives labels and takes them back; all of it, or nothing.
///
/// # Errors
/// Usage, or what the server says.
pub async fn run(session: &Session, args: &LabelArgs) -> Result<Outcome, CtlError> {
  let labels = changes(&args.labels)?;
  let change = AgentForUpdate { labels: Some(labels), ..AgentForUpdate::default() };
  let path = Kind::Agent.path_of(bare(Kind::Agent, &args.name));
  let agent: AgentEntity = session.client()?.fetch(Call::patch(path).json(&change)).await?;
  let outcome = Outcome::from(View::thing(&agent));
  let brought = change
    .labels
    .unwrap_or_default()
    .into_iter()
    .filter(|(key, value)| value.is_none() && agent.labels.contains_key(key));
  Ok(brought.fold(outcome, |outcome, (key, _)| {
    outcome.note(format!("{key} is back to what the agent itself says"))
  }))
}

/// `KEY=VALUE` and `KEY-`.
fn changes(words: &[String]) -> Result<LabelChanges, CtlError> {
  words
    .iter()
    .map(|word| match (word.split_once('='), word.strip_suffix('-')) {
      (Some((key, value)), _) if !key.is_empty() => Ok((key.to_owned(), Some(value.to_owned()))),
      (None, Some(key)) if !key.is_empty() => Ok((key.to_owned(), None)),
      _ => Err(CtlError::usage(format!("\"{word}\" is neither KEY=VALUE nor KEY-"))),
    })
    .collect()
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn words_become_changes() {
    let read = |text: &str| changes(&text.split(' ').map(str::to_owned).collect::<Vec<_>>());
    let wanted = LabelChanges::from([
      ("zone".to_owned(), Some("a-".to_owned())),
      ("disk".to_owned(), None),
      ("x".to_owned(), Some(String::new())),
    ]);
    assert_eq!(read("zone=a- disk- x=").expect("fine"), wanted);
    for bad in ["zone", "-", "=a"] {
      assert_eq!(read(bad).expect_err(bad).exit, 2);
    }
  }
}
