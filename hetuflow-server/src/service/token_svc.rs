//! Tokens: made with a secret that is shown once, kept as a hash, checked on every request.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hetuflow_core::{
  AgentId, ErrorCode, ErrorResponse, FieldError, NamespaceId, Page, Role, TokenCreated,
  TokenEntity, TokenForCreate, TokenId, TokenKind, Topic,
};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::namespace_svc::require_namespace;
use super::store::{PageArgs, Store, Work};
use super::token_cache::{SecretHash, TokenCache};
use super::{Actor, SvcError, SvcResult};
use crate::infra::bmc::token_bmc;

/// What every secret begins with, so that scanners find it.
pub const SECRET_PREFIX: &str = "htf_";
/// The file of the first token, in the data folder.
pub const ADMIN_TOKEN_FILE: &str = "admin.token";
/// Nothing longer is looked at.
const SECRET_BYTES_MAX: usize = 256;
/// Least time between two notes of a token's use.
const USE_EVERY: Duration = Duration::from_secs(60);
/// Characters that are kept to tell tokens apart.
const PREFIX_CHARS: usize = 12;

/// Use cases of tokens. Clones share what they know.
#[derive(Clone)]
pub struct TokenSvc {
  store: Store,
  cache: TokenCache,
}

impl TokenSvc {
  /// Over a store.
  pub fn new(store: Store) -> Self {
    Self { store, cache: TokenCache::default() }
  }

  /// Makes a token; the answer is the only place that ever holds its secret.
  ///
  /// # Errors
  /// 403 below administration; 404 for the namespace; the broken rules.
  pub async fn create(&self, actor: &Actor, mut new: TokenForCreate) -> SvcResult<TokenCreated> {
    match &new.namespace_id {
      Some(namespace) => actor.require(Role::Admin, namespace)?,
      None => actor.require_everywhere(Role::Admin)?,
    }
    let mut errors = Vec::new();
    new.check(&mut errors);
    SvcError::check(errors)?;
    let mut work = self.store.work().await?;
    let outcome = insert(&mut work, &new).await;
    work.end(outcome).await
  }

  /// Reads a page, without secrets.
  ///
  /// # Errors
  /// 403 without administration over all namespaces.
  pub async fn list(&self, actor: &Actor, page: &PageArgs) -> SvcResult<Page<TokenEntity>> {
    actor.require_everywhere(Role::Admin)?;
    let mut conn = self.store.read().await?;
    Ok(token_bmc::list(&mut conn, page).await?)
  }

  /// Revokes a token; everybody may revoke their own.
  ///
  /// # Errors
  /// 403; 404 when there is no such token that is still good.
  pub async fn revoke(&self, actor: &Actor, id: &str) -> SvcResult<()> {
    let missing = || SvcError::not_found("token", id);
    let token = id.parse::<TokenId>().ok();
    if token.is_none() || token != actor.token_id {
      actor.require_everywhere(Role::Admin)?;
    }
    let token = token.ok_or_else(missing)?;
    let mut work = self.store.work().await?;
    let outcome = match token_bmc::revoke(&mut work.tx, token, work.now).await {
      Ok(true) => Ok(()),
      Ok(false) => Err(missing()),
      Err(error) => Err(error.into()),
    };
    let subject = (Topic::Audit, token.to_string());
    let data = json!({ "by": actor.name });
    work.note(&NamespaceId::default(), subject, "token.revoked", data);
    work.end(outcome).await?;
    self.cache.clear();
    Ok(())
  }

  /// Who holds this secret.
  ///
  /// # Errors
  /// 401 for a secret that is unknown, revoked or expired; 503 when that cannot be looked up.
  pub async fn verify(&self, secret: &str) -> SvcResult<Actor> {
    if secret.len() > SECRET_BYTES_MAX || !secret.starts_with(SECRET_PREFIX) {
      return Err(unauthorized("auth.invalid", "the token is not one of ours"));
    }
    let hash = hash_of(secret);
    if let Some(actor) = self.cache.get(&hash) {
      return Ok(actor);
    }
    let mut conn = self.store.read().await?;
    let token = token_bmc::get_by_hash(&mut conn, &hash).await?;
    let token = token.ok_or_else(|| unauthorized("auth.invalid", "the token is not known"))?;
    if token.revoked_at.is_some() {
      return Err(unauthorized("auth.revoked", "the token was revoked"));
    }
    let mut life = None;
    if let Some(end) = token.expires_at {
      let now = conn.now().await?;
      if end <= now {
        return Err(unauthorized("auth.expired", "the token has expired"));
      }
      life = Some(end.since(now));
    }
    let actor = actor_of(token);
    self.cache.put(hash, &actor, life);
    Ok(actor)
  }

  /// Stores that tokens were used since the last call; of each at most once a minute.
  ///
  /// # Errors
  /// 503 while the store cannot be written; then those uses are not told.
  pub async fn store_uses(&self) -> SvcResult<()> {
    let used = self.cache.take_used();
    if used.is_empty() {
      return Ok(());
    }
    let work = self.store.work().await?;
    let (mut tx, now) = (work.tx, work.now);
    let noted = token_bmc::note_use(&mut tx, used, (now, now.minus(USE_EVERY))).await;
    Ok(tx.end(noted).await.map(drop)?)
  }

  /// Binds an agent's token to the first agent that presents it. People's tokens may register any
  /// agent, if they are administrators'.
  ///
  /// # Errors
  /// 403 when the token belongs to another agent, or is a person's without administration.
  pub async fn bind(&self, actor: &Actor, agent: &AgentId) -> SvcResult<()> {
    let Some(id) = actor.token_id.filter(|_| actor.kind == TokenKind::Agent) else {
      return actor.require_role(Role::Admin);
    };
    match &actor.agent_id {
      Some(own) if own == agent => return Ok(()),
      Some(own) => {
        let message = format!("the token belongs to agent \"{own}\"");
        return Err(SvcError::forbidden(message));
      }
      None => {}
    }
    let mut work = self.store.work().await?;
    let outcome = match token_bmc::bind_agent(&mut work.tx, id, agent).await {
      Ok(true) => Ok(()),
      Ok(false) => Err(SvcError::forbidden("the token belongs to another agent")),
      Err(error) => Err(error.into()),
    };
    let subject = (Topic::Audit, id.to_string());
    let namespace = actor.namespace_id.clone().unwrap_or_default();
    work.note(&namespace, subject, "token.bound", json!({ "agent_id": agent }));
    work.end(outcome).await?;
    self.cache.clear();
    Ok(())
  }

  /// Makes the first token of a store that has none, and leaves it in a file that only the
  /// server's user reads. Returns the file where it made one.
  ///
  /// # Errors
  /// When the store or the file cannot be written.
  pub async fn ensure_admin_token(&self, data_dir: &Path) -> SvcResult<Option<PathBuf>> {
    let mut work = self.store.work().await?;
    let outcome = first_token(&mut work, data_dir).await;
    work.end(outcome).await
  }
}

async fn first_token(work: &mut Work, data_dir: &Path) -> SvcResult<Option<PathBuf>> {
  if token_bmc::count(&mut work.tx).await? > 0 {
    return Ok(None);
  }
  let new = TokenForCreate {
    name: "admin".to_owned(),
    kind: TokenKind::User,
    role: Role::Admin,
    namespace_id: None,
    ttl: None,
  };
  let created = insert(work, &new).await?;
  // Before the commit: a token that is stored and in no file would lock everybody out.
  let path = data_dir.join(ADMIN_TOKEN_FILE);
  write_secret(&path, &created.secret)
    .map_err(|error| SvcError::unavailable(format!("cannot write {}: {error}", path.display())))?;
  Ok(Some(path))
}

/// Writes whole or not at all, readable by its owner only.
fn write_secret(path: &Path, secret: &str) -> io::Result<()> {
  let beside = path.with_extension(format!("token.{}", std::process::id()));
  let _none_there = fs::remove_file(&beside);
  let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
  file.write_all(format!("{secret}\n").as_bytes())?;
  file.sync_all()?;
  fs::rename(&beside, path)?;
  match path.parent() {
    Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
    _ => Ok(()),
  }
}

async fn insert(work: &mut Work, new: &TokenForCreate) -> SvcResult<TokenCreated> {
  if let Some(namespace) = &new.namespace_id {
    require_namespace(work, namespace).await?;
  }
  let mut random = [0_u8; 32];
  rand::fill(&mut random);
  let secret = format!("{SECRET_PREFIX}{}", URL_SAFE_NO_PAD.encode(random));
  let token = TokenEntity {
    id: TokenId::generate(),
    name: new.name.clone(),
    prefix: secret.chars().take(PREFIX_CHARS).collect(),
    kind: new.kind,
    role: new.role,
    namespace_id: new.namespace_id.clone(),
    agent_id: None,
    expires_at: new.ttl.map(|ttl| work.now.plus(ttl.0)),
    last_used_at: None,
    revoked_at: None,
    created_at: work.now,
  };
  token_bmc::create(&mut work.tx, &token, &hash_of(&secret)).await?;
  let namespace = new.namespace_id.clone().unwrap_or_default();
  let data = json!({ "name": token.name, "kind": token.kind, "role": token.role });
  work.note(&namespace, (Topic::Audit, token.id.to_string()), "token.created", data);
  Ok(TokenCreated { token, secret })
}

fn hash_of(secret: &str) -> SecretHash {
  Sha256::digest(secret.as_bytes()).into()
}

fn actor_of(token: TokenEntity) -> Actor {
  Actor {
    token_id: Some(token.id),
    name: token.name,
    kind: token.kind,
    role: token.role,
    namespace_id: token.namespace_id,
    agent_id: token.agent_id,
  }
}

fn unauthorized(code: &str, message: &str) -> SvcError {
  let mut response = ErrorResponse::new(ErrorCode::Unauthorized, message);
  response.errors.push(FieldError::new(code, "/authorization", message));
  SvcError::refused(response)
}
