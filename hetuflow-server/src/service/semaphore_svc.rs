//! Semaphores: named limits of a namespace, set, seen in use, deleted.

use hetuflow_core::{
  FieldError, LimitUse, NamespaceId, Page, Role, SemaphoreEntity, SemaphoreForPut, SemaphoreUsage,
  TaskConfig, Topic, check_name,
};
use serde_json::json;

use super::admission::key_of;
use super::namespace_svc::require_namespace;
use super::store::{PageArgs, Store, Work};
use super::{Actor, SvcError, SvcResult};
use crate::infra::bmc::{limit_bmc, semaphore_bmc};
use crate::infra::db::Conn;

/// Keys that one answer names.
const KEYS_MAX: u64 = 100;
/// Holders that each of them names.
const HOLDERS_MAX: u64 = 20;
/// Jobs that a refusal names.
const JOBS_MAX: i64 = 5;

/// Use cases of semaphores.
#[derive(Clone)]
pub struct SemaphoreSvc {
  store: Store,
}

impl SemaphoreSvc {
  /// Over a store.
  pub fn new(store: Store) -> Self {
    Self { store }
  }

  /// Makes one, or sets what it is. Fewer slots than are taken stop nobody: nothing more starts
  /// until enough of them are free.
  ///
  /// # Errors
  /// 403 below editor; 404 for the namespace; the broken rules.
  pub async fn put(
    &self,
    actor: &Actor,
    (namespace, name): (Option<&NamespaceId>, &str),
    put: SemaphoreForPut,
  ) -> SvcResult<SemaphoreEntity> {
    let namespace = actor.namespace(namespace);
    actor.require(Role::Editor, &namespace)?;
    let mut errors = Vec::new();
    put.check(&mut errors);
    let name = match check_name(name, "/name") {
      Ok(name) => name,
      Err(error) => {
        errors.push(error);
        String::new()
      }
    };
    SvcError::check(errors)?;
    let mut work = self.store.work().await?;
    let outcome = keep(&mut work, actor, (&namespace, &name), &put).await;
    let kept = work.end(outcome).await?;
    self.store.bus.admit.notify_one();
    Ok(kept)
  }

  /// Reads one.
  ///
  /// # Errors
  /// 404; 403 below viewer.
  pub async fn get(
    &self,
    actor: &Actor,
    (namespace, name): (Option<&NamespaceId>, &str),
  ) -> SvcResult<SemaphoreEntity> {
    let namespace = actor.namespace(namespace);
    actor.require(Role::Viewer, &namespace)?;
    let mut conn = self.store.read().await?;
    let found = semaphore_bmc::get(&mut conn, &namespace, name).await?;
    found.ok_or_else(|| SvcError::not_found("semaphore", name))
  }

  /// Reads one and who has slots of it.
  ///
  /// # Errors
  /// 404; 403 below viewer.
  pub async fn usage(
    &self,
    actor: &Actor,
    which: (Option<&NamespaceId>, &str),
  ) -> SvcResult<SemaphoreUsage> {
    let semaphore = self.get(actor, which).await?;
    let mut conn = self.store.read().await?;
    let now = conn.now().await?;
    let limit = limit_of(&semaphore.namespace_id, &semaphore.name);
    let mut keys = Vec::new();
    for (limit, taken) in limit_bmc::taken_under(&mut conn, &limit, KEYS_MAX).await? {
      let rate = semaphore.rate_limit();
      let starts = match rate {
        Some(rate) => {
          let since = now.minus(rate.per_secs.0);
          limit_bmc::starts_since(&mut conn, &[(limit.as_str(), since)]).await?
        }
        None => Vec::new(),
      };
      keys.push(LimitUse {
        key: key_of(&limit),
        slots: semaphore.slots,
        taken,
        rate,
        started: starts.iter().map(|(_, _, starts)| starts).sum(),
        holders: limit_bmc::holders(&mut conn, &limit, HOLDERS_MAX).await?,
        limit,
      });
    }
    Ok(SemaphoreUsage { taken: keys.iter().map(|key| key.taken).sum(), semaphore, keys })
  }

  /// Reads a page of a namespace.
  ///
  /// # Errors
  /// 403 below viewer.
  pub async fn list(
    &self,
    actor: &Actor,
    namespace: Option<&NamespaceId>,
    page: &PageArgs,
  ) -> SvcResult<Page<SemaphoreEntity>> {
    let namespace = actor.namespace(namespace);
    actor.require(Role::Viewer, &namespace)?;
    let mut conn = self.store.read().await?;
    Ok(semaphore_bmc::list(&mut conn, &namespace, page).await?)
  }

  /// Deletes one that nothing needs.
  ///
  /// # Errors
  /// 404; 403 below editor; 409 `semaphore.in_use` while a job or a live task needs it.
  pub async fn delete(
    &self,
    actor: &Actor,
    (namespace, name): (Option<&NamespaceId>, &str),
  ) -> SvcResult<()> {
    let namespace = actor.namespace(namespace);
    actor.require(Role::Editor, &namespace)?;
    let mut work = self.store.work().await?;
    let outcome = remove(&mut work, &namespace, name).await;
    let data = json!({ "namespace_id": namespace, "by": actor.name });
    work.note(&namespace, (Topic::Audit, name.to_owned()), "semaphore.deleted", data);
    work.end(outcome).await
  }
}

/// The name of the limit that a semaphore without a key is.
fn limit_of(namespace: &NamespaceId, name: &str) -> String {
  format!("semaphore:{namespace}/{name}")
}

async fn keep(
  work: &mut Work,
  actor: &Actor,
  (namespace, name): (&NamespaceId, &str),
  put: &SemaphoreForPut,
) -> SvcResult<SemaphoreEntity> {
  require_namespace(work, namespace).await?;
  let before = semaphore_bmc::get(&mut work.tx, namespace, name).await?;
  let semaphore = SemaphoreEntity {
    namespace_id: namespace.clone(),
    name: name.to_owned(),
    description: put.description.clone(),
    slots: put.slots,
    rate: put.rate,
    per_secs: put.per_secs.map(|secs| secs.0.as_secs_f64()),
    updated_by: Some(actor.name.clone()),
    created_at: before.as_ref().map_or(work.now, |before| before.created_at),
    updated_at: work.now,
  };
  semaphore_bmc::put(&mut work.tx, &semaphore).await?;
  let data = json!({
    "namespace_id": namespace, "by": actor.name, "slots": put.slots, "rate": put.rate,
    "per_secs": semaphore.per_secs, "slots_before": before.and_then(|before| before.slots),
  });
  work.note(namespace, (Topic::Audit, name.to_owned()), "semaphore.set", data);
  Ok(semaphore)
}

async fn remove(work: &mut Work, namespace: &NamespaceId, name: &str) -> SvcResult<()> {
  let jobs = semaphore_bmc::jobs_that_need(&mut work.tx, (namespace, name), JOBS_MAX).await?;
  let mut by = jobs.join(", ");
  if jobs.is_empty() && limit_bmc::is_needed(&mut work.tx, &limit_of(namespace, name)).await? {
    by = "tasks that are not over".to_owned();
  }
  if !by.is_empty() {
    let message = format!("it is needed by {by}");
    return Err(SvcError::conflict("semaphore.in_use", "/name", message));
  }
  if !semaphore_bmc::delete(&mut work.tx, namespace, name).await? {
    return Err(SvcError::not_found("semaphore", name));
  }
  Ok(())
}

/// Names each semaphore of a config that does not exist, or has fewer slots than are asked for.
///
/// # Errors
/// `semaphore.unknown`, `semaphore.too_few`, under `field`.
pub(super) async fn check_semaphores(
  conn: &mut Conn,
  namespace: &NamespaceId,
  (config, field): (&TaskConfig, &str),
) -> SvcResult<()> {
  if config.semaphores.is_empty() {
    return Ok(());
  }
  let wanted: Vec<(&str, &str)> =
    config.semaphores.iter().map(|one| (namespace.as_str(), one.name.as_str())).collect();
  let known = semaphore_bmc::get_all(conn, &wanted).await?;
  let mut errors = Vec::new();
  for (index, wish) in config.semaphores.iter().enumerate() {
    let here = format!("{field}/semaphores/{index}");
    match known.iter().find(|one| one.name == wish.name) {
      None => {
        let message = format!("there is no semaphore {} in {namespace}", wish.name);
        let rule = FieldError::new("semaphore.unknown", format!("{here}/name"), message);
        let hint = format!("hetuflowctl semaphore set {} --slots 1", wish.name);
        errors.push(rule.with_hint(hint));
      }
      Some(one) if one.slots.is_some_and(|slots| slots > 0 && slots < wish.slots) => {
        let has = one.slots.unwrap_or_default();
        let message = format!("it needs {} slots, {} has {has}", wish.slots, one.name);
        errors.push(FieldError::new("semaphore.too_few", format!("{here}/slots"), message));
      }
      Some(_) => {}
    }
  }
  SvcError::check(errors)
}
