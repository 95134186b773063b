//! Freezes: nothing of a namespace, or nothing at all, fires. What runs goes on; what is planned ahead
//! is taken back; afterwards each schedule's own rule for missed instants applies.

use hetuflow_core::{
  CLUSTER_SCOPE, FreezeEntity, NamespaceId, PauseRequest, ResumeRequest, Role, Topic,
};
use serde_json::json;

use super::namespace_svc::require_namespace;
use super::store::{Store, Work};
use super::{Actor, SvcError, SvcResult};
use crate::infra::bmc::ahead_bmc::{self, Ahead};
use crate::infra::bmc::freeze_bmc;

/// Use cases of freezes.
#[derive(Clone)]
pub struct FreezeSvc {
  store: Store,
}

impl FreezeSvc {
  /// Over a store.
  pub fn new(store: Store) -> Self {
    Self { store }
  }

  /// Freezes a namespace, or everything; one that lasts already gets another reason and end.
  ///
  /// # Errors
  /// 404, 403 without operation there, or without administration over all of it; the broken rules.
  pub async fn pause(
    &self,
    actor: &Actor,
    namespace: Option<&NamespaceId>,
    request: &PauseRequest,
  ) -> SvcResult<FreezeEntity> {
    may(actor, namespace)?;
    let mut work = self.store.work().await?;
    let outcome = freeze(&mut work, actor, (namespace, request)).await;
    work.end(outcome).await
  }

  /// Ends a freeze.
  ///
  /// # Errors
  /// 404, 403; 409 when nothing is frozen.
  pub async fn resume(
    &self,
    actor: &Actor,
    namespace: Option<&NamespaceId>,
    request: &ResumeRequest,
  ) -> SvcResult<FreezeEntity> {
    may(actor, namespace)?;
    let mut work = self.store.work().await?;
    let outcome = thaw(&mut work, actor, (namespace, request)).await;
    work.end(outcome).await
  }

  /// The freezes that last and that the asker may see.
  ///
  /// # Errors
  /// 403 for a token that reads nothing.
  pub async fn active(&self, actor: &Actor) -> SvcResult<Vec<FreezeEntity>> {
    actor.require_role(Role::Viewer)?;
    let mut conn = self.store.read().await?;
    let now = conn.now().await?;
    let mut all = freeze_bmc::list(&mut conn).await?;
    let own = actor.namespace_id.as_ref();
    all.retain(|one| one.is_active(now) && own.is_none_or(|own| one.covers(own)));
    Ok(all)
  }
}

fn may(actor: &Actor, namespace: Option<&NamespaceId>) -> SvcResult<()> {
  match namespace {
    Some(namespace) => actor.require(Role::Operator, namespace),
    None => actor.require_everywhere(Role::Admin),
  }
}

fn scope_of(namespace: Option<&NamespaceId>) -> &str {
  namespace.map_or(CLUSTER_SCOPE, NamespaceId::as_str)
}

async fn freeze(
  work: &mut Work,
  actor: &Actor,
  (namespace, request): (Option<&NamespaceId>, &PauseRequest),
) -> SvcResult<FreezeEntity> {
  let mut errors = Vec::new();
  request.check(work.now, &mut errors);
  SvcError::check(errors)?;
  if let Some(namespace) = namespace {
    require_namespace(work, namespace).await?;
  }
  freeze_bmc::lock_planning(&mut work.tx, true).await?;
  let scope = scope_of(namespace);
  let now = work.now;
  let before = freeze_bmc::list(&mut work.tx).await?;
  let before = before.into_iter().find(|one| one.scope == scope && one.is_active(now));
  let row = FreezeEntity {
    scope: scope.to_owned(),
    paused_by: actor.name.clone(),
    reason: request.reason.clone(),
    since: before.map_or(now, |before| before.since),
    until: request.until,
    ended_at: None,
    ended_by: None,
    missed: None,
  };
  freeze_bmc::put(&mut work.tx, &row).await?;
  let whose = namespace.map_or(Ahead::All, Ahead::Namespace);
  let taken = ahead_bmc::take_back(&mut work.tx, whose, now).await?;
  ahead_bmc::step_back(&mut work.tx, &taken).await?;
  if ahead_bmc::stop_claimed(&mut work.tx, whose, (now, &row.told())).await? > 0 {
    work.stopped();
  }
  let revoked: i64 = taken.iter().map(|one| one.runs).sum();
  tell(work, &row, ("paused", json!({ "revoked": revoked })));
  work.replan();
  Ok(row)
}

async fn thaw(
  work: &mut Work,
  actor: &Actor,
  (namespace, request): (Option<&NamespaceId>, &ResumeRequest),
) -> SvcResult<FreezeEntity> {
  if let Some(namespace) = namespace {
    require_namespace(work, namespace).await?;
  }
  let scope = scope_of(namespace);
  let now = work.now;
  let all = freeze_bmc::list(&mut work.tx).await?;
  let Some(row) = all.into_iter().find(|one| one.scope == scope && one.is_active(now)) else {
    let what = namespace.map_or("the cluster".to_owned(), |id| format!("namespace \"{id}\""));
    return Err(SvcError::conflict("pause.none", "/", format!("{what} is not paused")));
  };
  let missed = request.missed.map(hetuflow_core::MisfirePolicy::as_str);
  freeze_bmc::end(&mut work.tx, scope, (now, Some(&actor.name), missed)).await?;
  let row = FreezeEntity {
    ended_at: Some(now),
    ended_by: Some(actor.name.clone()),
    missed: request.missed,
    ..row
  };
  tell_end(work, &row);
  work.replan();
  Ok(row)
}

/// Tells that a freeze has ended.
pub(super) fn tell_end(work: &mut Work, row: &FreezeEntity) {
  tell(work, row, ("resumed", json!({})));
}

fn tell(work: &mut Work, row: &FreezeEntity, (what, mut data): (&str, serde_json::Value)) {
  for (key, value) in [
    ("scope", json!(row.scope)),
    ("paused_by", json!(row.paused_by)),
    ("reason", json!(row.reason)),
    ("until", json!(row.until)),
    ("ended_by", json!(row.ended_by)),
  ] {
    data[key] = value;
  }
  match NamespaceId::new(&row.scope) {
    Ok(namespace) => {
      let subject = (Topic::Namespace, namespace.to_string());
      work.note(&namespace, subject, &format!("namespace.{what}"), data);
    }
    Err(_) => {
      let subject = (Topic::Audit, row.scope.clone());
      work.note(&NamespaceId::default(), subject, &format!("system.{what}"), data);
    }
  }
}
