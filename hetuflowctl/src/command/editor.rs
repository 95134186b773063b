//! A text in the editor of whoever sits here.

use std::process::Command;

use super::session::Session;
use crate::client::CtlError;

/// The text as it was left; `None` where it is as it was.
///
/// # Errors
/// Usage, where nobody sits here; when the editor cannot be started or ends with an error.
pub fn edit(session: &Session, before: &str, suffix: &str) -> Result<Option<String>, CtlError> {
  if !session.look.interactive() {
    return Err(CtlError::usage("there is no terminal to edit in"));
  }
  let draft = tempfile::Builder::new().prefix("hetuflowctl-").suffix(suffix).tempfile()?;
  std::fs::write(draft.path(), before)?;
  let editor = ["VISUAL", "EDITOR"]
    .iter()
    .find_map(|name| std::env::var(name).ok().filter(|one| !one.trim().is_empty()));
  let editor = editor.unwrap_or_else(|| "vi".to_owned());
  let mut words = editor.split_ascii_whitespace();
  let program = words.next().unwrap_or("vi");
  let status = Command::new(program)
    .args(words)
    .arg(draft.path())
    .status()
    .map_err(|error| CtlError::failure(format!("cannot start {program}: {error}")))?;
  if !status.success() {
    return Err(CtlError::failure(format!("{program} ended with {status}, nothing was changed")));
  }
  let after = std::fs::read_to_string(draft.path())?;
  Ok((after != before).then_some(after))
}
