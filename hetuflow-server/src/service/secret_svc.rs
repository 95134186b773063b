//! Secrets: set, listed without their values, deleted, and opened for the tasks that name them.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use hetuflow_core::{
  NamespaceId, Page, Role, SecretEntity, SecretForPut, SecretValue, Secrets, Topic, is_secret_name,
};
use serde_json::json;

use super::namespace_svc::require_namespace;
use super::secret_key::{Place, SealError, SecretKey};
use super::store::{PageArgs, Store, Work};
use super::{Actor, SvcError, SvcResult};
use crate::infra::bmc::secret_bmc;
use crate::infra::db::DbError;

/// Use cases of secrets.
pub struct SecretSvc {
  store: Store,
  key_file: PathBuf,
  key: Mutex<Option<Arc<SecretKey>>>,
}

impl SecretSvc {
  /// Over a store and the file of the key, which is made when the first secret is set.
  pub fn new(store: Store, key_file: PathBuf) -> Self {
    Self { store, key_file, key: Mutex::new(None) }
  }

  /// Keeps a value.
  ///
  /// # Errors
  /// 403 below editor; 404 for the namespace; the broken rules; 503 without a usable key.
  pub async fn put(
    &self,
    actor: &Actor,
    (namespace, name): (Option<&NamespaceId>, &str),
    put: SecretForPut,
  ) -> SvcResult<SecretEntity> {
    let namespace = actor.namespace(namespace);
    actor.require(Role::Editor, &namespace)?;
    let value = put.read(name).map_err(SvcError::invalid)?;
    let mut work = self.store.work().await?;
    let outcome = self.keep(&mut work, (actor, &namespace, name), &value).await;
    work.end(outcome).await
  }

  async fn keep(
    &self,
    work: &mut Work,
    (actor, namespace, name): (&Actor, &NamespaceId, &str),
    value: &SecretValue,
  ) -> SvcResult<SecretEntity> {
    require_namespace(work, namespace).await?;
    let key = self.key_to_seal(work).await?;
    let before = secret_bmc::get(&mut work.tx, namespace, name).await?;
    let secret = SecretEntity {
      namespace_id: namespace.clone(),
      name: name.to_owned(),
      version: before.as_ref().map_or(1, |before| before.version + 1),
      recipients: recipient(&key),
      updated_by: Some(actor.name.clone()),
      created_at: before.as_ref().map_or(work.now, |before| before.created_at),
      updated_at: work.now,
    };
    let place = Place { namespace, name, version: secret.version };
    let sealed = key.seal(&place, value).map_err(|error| unusable(&error))?;
    secret_bmc::put(&mut work.tx, &secret, &sealed).await?;
    let data = json!({ "namespace_id": namespace, "version": secret.version, "by": actor.name });
    work.note(namespace, (Topic::Audit, name.to_owned()), "secret.set", data);
    Ok(secret)
  }

  /// Reads one, without its value: nothing ever gives that back.
  ///
  /// # Errors
  /// 404; 403 below viewer.
  pub async fn get(
    &self,
    actor: &Actor,
    (namespace, name): (Option<&NamespaceId>, &str),
  ) -> SvcResult<SecretEntity> {
    let namespace = actor.namespace(namespace);
    actor.require(Role::Viewer, &namespace)?;
    let mut conn = self.store.read().await?;
    let found = match is_secret_name(name) {
      true => secret_bmc::get(&mut conn, &namespace, name).await?,
      false => None,
    };
    found.ok_or_else(|| SvcError::not_found("secret", name))
  }

  /// Reads a page of a namespace, without values.
  ///
  /// # Errors
  /// 404 for the namespace; 403 below viewer.
  pub async fn list(
    &self,
    actor: &Actor,
    namespace: Option<&NamespaceId>,
    page: &PageArgs,
  ) -> SvcResult<Page<SecretEntity>> {
    let namespace = actor.namespace(namespace);
    actor.require(Role::Viewer, &namespace)?;
    let mut conn = self.store.read().await?;
    Ok(secret_bmc::list(&mut conn, &namespace, page).await?)
  }

  /// Forgets one.
  ///
  /// # Errors
  /// 404; 403 below editor.
  pub async fn delete(
    &self,
    actor: &Actor,
    (namespace, name): (Option<&NamespaceId>, &str),
  ) -> SvcResult<()> {
    let namespace = actor.namespace(namespace);
    actor.require(Role::Editor, &namespace)?;
    let missing = || SvcError::not_found("secret", name);
    if !is_secret_name(name) {
      return Err(missing());
    }
    let mut work = self.store.work().await?;
    let outcome = match secret_bmc::delete(&mut work.tx, &namespace, name).await {
      Ok(true) => Ok(()),
      Ok(false) => Err(missing()),
      Err(error) => Err(error.into()),
    };
    let data = json!({ "namespace_id": namespace, "by": actor.name });
    work.note(&namespace, (Topic::Audit, name.to_owned()), "secret.deleted", data);
    work.end(outcome).await
  }

  /// The values that a task names. One that is missing or does not open is left out: the agent
  /// refuses to start the task and says which.
  ///
  /// # Errors
  /// When the database cannot be asked.
  pub async fn values(
    &self,
    namespace: &NamespaceId,
    names: &[String],
  ) -> Result<Secrets, DbError> {
    let mut conn = self.store.db.read().await?;
    let found = secret_bmc::sealed(&mut conn, namespace, names).await?;
    drop(conn);
    let mut values = Secrets::new();
    for secret in found {
      let place = Place { namespace, name: &secret.name, version: secret.version };
      let opened = self.known_key().and_then(|key| match key {
        Some(key) => key.open(&place, &secret.sealed),
        None => Err(SealError::NoKey { path: self.key_file.clone() }),
      });
      match opened {
        Ok(value) => _ = values.insert(secret.name, value),
        Err(error) => tracing::error!(
          secret = secret.name, namespace.id = %namespace, sealed_for = secret.recipients,
          key_file = %self.key_file.display(), error = &error as &dyn std::error::Error,
          "secret {} cannot be opened; its tasks are refused", secret.name
        ),
      }
    }
    Ok(values)
  }

  fn known_key(&self) -> Result<Option<Arc<SecretKey>>, SealError> {
    let mut known = self.key.lock().unwrap_or_else(PoisonError::into_inner);
    if known.is_none() {
      *known = SecretKey::read(&self.key_file)?.map(Arc::new);
    }
    Ok(known.clone())
  }

  /// The key; made where there is none, unless secrets of another key wait for theirs.
  async fn key_to_seal(&self, work: &mut Work) -> SvcResult<Arc<SecretKey>> {
    let known = self.known_key().map_err(|error| unusable(&error))?;
    let own = known.as_deref().map(recipient).unwrap_or_default();
    if let Some(other) = secret_bmc::other_recipient(&mut work.tx, &own).await? {
      let file = self.key_file.display();
      return Err(SvcError::unavailable(format!(
        "there are secrets that were sealed for {other}, and this server has {}: copy that key \
         file of the other server to {file} (mode 600), or delete those secrets",
        if own.is_empty() { "no key" } else { &own }
      )));
    }
    if let Some(key) = known {
      return Ok(key);
    }
    let made = SecretKey::make(&self.key_file).map_err(|error| unusable(&error))?;
    tracing::warn!(path = %self.key_file.display(),
      "a key for secrets was made; keep a copy apart from the database, and give it to all servers");
    let made = Arc::new(made);
    *self.key.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&made));
    Ok(made)
  }
}

/// How a key is named beside what is sealed for it.
fn recipient(key: &SecretKey) -> String {
  format!("server:{}", key.id())
}

fn unusable(error: &SealError) -> SvcError {
  let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
  SvcError::unavailable(format!("{error}{}", cause.unwrap_or_default()))
}
