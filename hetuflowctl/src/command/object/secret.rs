//! Setting secrets: the value comes from a file or stdin, never from the command line, where every
//! user of the host could read it.

use std::io::Read;
use std::path::Path;

use hetuflow_core::{SECRET_BYTES_MAX, SecretEntity, SecretForPut};

use super::kind::{Kind, bare};
use crate::cli::SecretSet;
use crate::client::{Call, CtlError, Exit};
use crate::command::session::Session;
use crate::output::{Outcome, View, read_secret};

/// Sets the value of a secret.
///
/// # Errors
/// When the value cannot be read, or what the server says.
pub async fn set(session: &Session, args: &SecretSet) -> Result<Outcome, CtlError> {
  let client = session.client()?;
  let value = match &args.from_file {
    Some(path) => of_file(path)?,
    None => of_stdin(session)?,
  };
  if value.is_empty() {
    return Err(CtlError::new(Exit::Invalid, "the value is empty").help(
      "pipe it in, or give --from-file:  hetuflowctl secret set NAME --from-file /path/to/value",
    ));
  }
  let call = Call::put(Kind::Secret.path_of(bare(Kind::Secret, &args.name)))
    .query("namespace_id", &client.place.namespace)
    .json(&SecretForPut::of(value));
  let secret: SecretEntity = client.fetch(call).await?;
  Ok(View::thing(&secret).into())
}

fn of_file(path: &Path) -> Result<Vec<u8>, CtlError> {
  let file = std::fs::File::open(path).map_err(|error| {
    CtlError::new(Exit::Invalid, format!("cannot read {}: {error}", path.display()))
  })?;
  bounded(file)
}

/// What is typed or piped; the line end that comes with it is no part of a password.
fn of_stdin(session: &Session) -> Result<Vec<u8>, CtlError> {
  if std::io::IsTerminal::is_terminal(&std::io::stdin()) {
    return Ok(read_secret(&session.look, "Value")?.into_bytes());
  }
  let mut value = bounded(std::io::stdin())?;
  if value.ends_with(b"\n") {
    value.pop();
    if value.ends_with(b"\r") {
      value.pop();
    }
  }
  Ok(value)
}

fn bounded(source: impl Read) -> Result<Vec<u8>, CtlError> {
  let mut value = Vec::new();
  // One more for the line end, and one to see that it is too much.
  source.take(SECRET_BYTES_MAX as u64 + 2).read_to_end(&mut value)?;
  if value.len() > SECRET_BYTES_MAX + 1 {
    let message = format!("the value is longer than {SECRET_BYTES_MAX} bytes");
    return Err(CtlError::new(Exit::Invalid, message));
  }
  Ok(value)
}
