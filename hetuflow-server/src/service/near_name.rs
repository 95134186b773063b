//! What was probably meant by a name that does not exist.

use hetuflow_core::filter::nearest;
use hetuflow_core::{ErrorResponse, NamespaceId};

use super::SvcError;
use crate::infra::bmc::watch_names::{self, Named};
use crate::infra::db::Conn;

/// Adds `did you mean` to an answer about a name that does not exist. Names are sought in one
/// namespace, and only as far as a bounded look reaches; a look that fails says nothing.
pub(super) async fn missing(
  conn: &mut Conn,
  (kind, namespace): (Named, &NamespaceId),
  reference: &str,
) -> SvcError {
  let error = SvcError::not_found(kind.word(), reference);
  let Ok(names) = watch_names::alike(conn, (kind, namespace), reference).await else {
    return error;
  };
  match (nearest(reference, names.iter().map(String::as_str)), error) {
    (Some(name), SvcError::Refused(response)) => {
      let hint = Some(format!("did you mean {name}?"));
      SvcError::refused(ErrorResponse { hint, ..*response })
    }
    (_, error) => error,
  }
}
