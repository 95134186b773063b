//! Who asks: the credential behind a request, and what it may do.

use hetuflow_core::{AgentId, NamespaceId, Role, TokenId, TokenKind};

use super::{SvcError, SvcResult};

/// The credential behind a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
  /// The token; none in the server itself and in open mode.
  pub token_id: Option<TokenId>,
  /// What it is called.
  pub name: String,
  /// Whose it is.
  pub kind: TokenKind,
  /// What it may do.
  pub role: Role,
  /// In which namespace; none means all.
  pub namespace_id: Option<NamespaceId>,
  /// The agent that it is bound to.
  pub agent_id: Option<AgentId>,
}

impl Actor {
  /// The server itself.
  pub fn system() -> Self {
    Self {
      token_id: None,
      name: "system".to_owned(),
      kind: TokenKind::User,
      role: Role::Admin,
      namespace_id: None,
      agent_id: None,
    }
  }

  /// The role in this namespace, at least; agents' tokens have none.
  ///
  /// # Errors
  /// 404 for another namespace than the token's, as if it did not exist; 403 for too small a role.
  pub fn require(&self, role: Role, namespace: &NamespaceId) -> SvcResult<()> {
    if self.namespace_id.as_ref().is_some_and(|own| own != namespace) {
      return Err(SvcError::not_found("namespace", namespace.as_str()));
    }
    self.require_role(role)
  }

  /// The role, whatever the namespace.
  ///
  /// # Errors
  /// 403 names the role that is needed.
  pub fn require_role(&self, role: Role) -> SvcResult<()> {
    if self.kind == TokenKind::Agent {
      return Err(SvcError::forbidden("an agent's token serves agents only"));
    }
    if self.role < role {
      return Err(SvcError::forbidden(format!(
        "{} has the role {}; {role} is needed",
        self.name, self.role
      )));
    }
    Ok(())
  }

  /// The role over all namespaces.
  ///
  /// # Errors
  /// 403 for a token of one namespace or too small a role.
  pub fn require_everywhere(&self, role: Role) -> SvcResult<()> {
    if self.namespace_id.is_some() {
      return Err(SvcError::forbidden("a token of one namespace cannot do this"));
    }
    self.require_role(role)
  }

  /// The namespace that a request means: the one it names, else the token's, else the default.
  pub fn namespace(&self, named: Option<&NamespaceId>) -> NamespaceId {
    named.or(self.namespace_id.as_ref()).cloned().unwrap_or_default()
  }
}
