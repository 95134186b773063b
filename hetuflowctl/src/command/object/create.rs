//! Namespaces and tokens.

use hetuflow_core::{
  NamespaceEntity, NamespaceForCreate, NamespaceForUpdate, NamespaceId, Seconds, TokenCreated,
  TokenForCreate,
};

use super::kind::Kind;
use crate::cli::{NamespaceCreate, NamespaceUpdate, TokenCreate};
use crate::client::{Call, CtlError, Exit};
use crate::command::names::with_suggestion;
use crate::command::session::Session;
use crate::output::{Outcome, View};

/// Reads the name of a namespace.
///
/// # Errors
/// Invalid, with the pattern.
pub fn namespace_id(name: &str) -> Result<NamespaceId, CtlError> {
  NamespaceId::new(name).map_err(|error| CtlError::new(Exit::Invalid, error.to_string()))
}

/// Makes a namespace.
///
/// # Errors
/// What the server says.
pub async fn namespace(session: &Session, args: &NamespaceCreate) -> Result<Outcome, CtlError> {
  let new =
    NamespaceForCreate { id: namespace_id(&args.name)?, description: args.description.clone() };
  let made: NamespaceEntity = session.client()?.fetch(Call::post("/namespaces").json(&new)).await?;
  Ok(View::thing(&made).into())
}

/// Changes a namespace.
///
/// # Errors
/// What the server says.
pub async fn change_namespace(
  session: &Session,
  args: &NamespaceUpdate,
) -> Result<Outcome, CtlError> {
  if args.description.is_none() && args.weight.is_none() {
    return Err(CtlError::usage("nothing to change").help("give --description or --weight"));
  }
  let change = NamespaceForUpdate {
    description: args.description.clone(),
    weight: args.weight,
    update_mask: None,
  };
  let call = Call::patch(Kind::Namespace.path_of(&args.name)).json(&change);
  match session.client()?.fetch::<NamespaceEntity>(call).await {
    Ok(changed) => Ok(View::thing(&changed).into()),
    Err(error) => Err(with_suggestion(session, Kind::Namespace, &args.name, error).await),
  }
}

/// Makes a token.
///
/// # Errors
/// What the server says.
pub async fn token(session: &Session, args: &TokenCreate) -> Result<Outcome, CtlError> {
  let client = session.client()?;
  let namespace = args.this_namespace.then(|| namespace_id(&client.place.namespace)).transpose()?;
  let new = TokenForCreate {
    name: args.name.clone(),
    kind: args.kind,
    role: args.role,
    namespace_id: namespace,
    ttl: args.ttl.map(Seconds),
  };
  let made: TokenCreated = client.fetch(Call::post("/auth/tokens").json(&new)).await?;
  Ok(Outcome::from(View::thing(&made)).note("the secret is shown this once"))
}
