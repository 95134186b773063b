//! Calendars by name: set, listed, deleted. A change plans the schedules of the namespace anew.

use hetuflow_core::{
  CALENDARS_MAX, CalendarEntity, CalendarForPut, CalendarRules, NamespaceId, Page, Role,
  ScheduleId, Topic, check_calendar_name,
};
use serde_json::json;

use super::namespace_svc::require_namespace;
use super::store::{PageArgs, Store, Work};
use super::{Actor, SvcError, SvcResult};
use crate::infra::bmc::ahead_bmc::{self, Ahead};
use crate::infra::bmc::{calendar_bmc, freeze_bmc};

/// Schedules that a refusal names.
const USERS_MAX: i64 = 5;
/// Schedules that an answer names.
const USERS_TOLD_MAX: i64 = 100;

/// Use cases of calendars.
#[derive(Clone)]
pub struct CalendarSvc {
  pub(super) store: Store,
}

impl CalendarSvc {
  /// Over a store.
  pub fn new(store: Store) -> Self {
    Self { store }
  }

  /// Makes one, or sets what it is. What schedules that name it have planned ahead, of a blackout all
  /// of the namespace, is taken back where nobody has claimed it, and decided anew.
  ///
  /// # Errors
  /// 403 below editor; 404 for the namespace; the broken rules; 409 `calendar.too_many`.
  pub async fn put(
    &self,
    actor: &Actor,
    (namespace, name): (Option<&NamespaceId>, &str),
    put: CalendarForPut,
  ) -> SvcResult<CalendarEntity> {
    let namespace = actor.namespace(namespace);
    actor.require(Role::Editor, &namespace)?;
    let mut errors = Vec::new();
    let read = put.check(&mut errors);
    let name = match check_calendar_name(name, "/name") {
      Ok(name) => name,
      Err(error) => {
        errors.push(error);
        String::new()
      }
    };
    SvcError::check(errors)?;
    let mut work = self.store.work().await?;
    let outcome = keep(&mut work, actor, (&namespace, &name), (&put, read)).await;
    work.end(outcome).await
  }

  /// Reads one.
  ///
  /// # Errors
  /// 404; 403 below viewer.
  pub async fn get(
    &self,
    actor: &Actor,
    (namespace, name): (Option<&NamespaceId>, &str),
  ) -> SvcResult<CalendarEntity> {
    let namespace = actor.namespace(namespace);
    actor.require(Role::Viewer, &namespace)?;
    let mut conn = self.store.read().await?;
    let found = calendar_bmc::get(&mut conn, &namespace, name).await?;
    let found = found.ok_or_else(|| SvcError::not_found("calendar", name))?;
    let users = calendar_bmc::users(&mut conn, (&namespace, name), USERS_TOLD_MAX).await?;
    Ok(CalendarEntity { used_by: users.into_iter().map(|user| user.1).collect(), ..found })
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
  ) -> SvcResult<Page<CalendarEntity>> {
    let namespace = actor.namespace(namespace);
    actor.require(Role::Viewer, &namespace)?;
    let mut conn = self.store.read().await?;
    Ok(calendar_bmc::list(&mut conn, &namespace, page).await?)
  }

  /// Deletes one that no schedule names; what it held back as a blackout fires from now on.
  ///
  /// # Errors
  /// 404; 403 below editor; 409 `calendar.in_use` while a schedule names it.
  pub async fn delete(
    &self,
    actor: &Actor,
    (namespace, name): (Option<&NamespaceId>, &str),
  ) -> SvcResult<()> {
    let namespace = actor.namespace(namespace);
    actor.require(Role::Editor, &namespace)?;
    let mut work = self.store.work().await?;
    let outcome = remove(&mut work, (&namespace, name)).await;
    let data = json!({ "namespace_id": namespace, "by": actor.name });
    work.note(&namespace, (Topic::Audit, name.to_owned()), "calendar.deleted", data);
    work.replan();
    work.end(outcome).await
  }
}

async fn remove(work: &mut Work, which: (&NamespaceId, &str)) -> SvcResult<()> {
  // First the row: who is about to name it in a schedule has it, or comes too late.
  if !calendar_bmc::delete(&mut work.tx, which.0, which.1).await? {
    return Err(SvcError::not_found("calendar", which.1));
  }
  let users = calendar_bmc::users(&mut work.tx, which, USERS_MAX + 1).await?;
  if users.is_empty() {
    return Ok(());
  }
  let more = if users.len() > USERS_MAX as usize { " and others" } else { "" };
  let names: Vec<String> = users.into_iter().take(USERS_MAX as usize).map(|user| user.1).collect();
  let message = format!("it is named by {}{more}", names.join(", "));
  Err(SvcError::conflict("calendar.in_use", "/name", message))
}

async fn keep(
  work: &mut Work,
  actor: &Actor,
  (namespace, name): (&NamespaceId, &str),
  (put, read): (&CalendarForPut, CalendarRules),
) -> SvcResult<CalendarEntity> {
  require_namespace(work, namespace).await?;
  // Nobody plans in between by what was.
  freeze_bmc::lock_planning(&mut work.tx, true).await?;
  let before = calendar_bmc::get(&mut work.tx, namespace, name).await?;
  if before.is_none() && calendar_bmc::count(&mut work.tx, namespace).await? >= CALENDARS_MAX {
    let message = format!("{namespace} has {CALENDARS_MAX} calendars, no more are allowed");
    return Err(SvcError::conflict("calendar.too_many", "/name", message));
  }
  let calendar = CalendarEntity {
    namespace_id: namespace.clone(),
    name: name.to_owned(),
    description: put.description.clone(),
    timezone: put.zone().to_owned(),
    rules: read.rules,
    blackout: put.blackout,
    version: before.as_ref().map_or(1, |before| before.version.saturating_add(1)),
    updated_by: Some(actor.name.clone()),
    created_at: before.as_ref().map_or(work.now, |before| before.created_at),
    updated_at: work.now,
    left_out: Vec::new(),
    used_by: Vec::new(),
  };
  calendar_bmc::put(&mut work.tx, &calendar).await?;
  let users = calendar_bmc::users(&mut work.tx, (namespace, name), i64::MAX).await?;
  let ids: Vec<ScheduleId> = users.iter().map(|user| user.0).collect();
  let whose = if calendar.blackout { Ahead::Namespace(namespace) } else { Ahead::Schedules(&ids) };
  let taken = ahead_bmc::take_back(&mut work.tx, whose, work.now).await?;
  ahead_bmc::step_back(&mut work.tx, &taken).await?;
  work.replan();
  let data = json!({
    "namespace_id": namespace, "by": actor.name, "blackout": put.blackout,
    "rules": calendar.rules.len(), "timezone": calendar.timezone, "version": calendar.version,
  });
  work.note(namespace, (Topic::Audit, name.to_owned()), "calendar.set", data);
  Ok(CalendarEntity { left_out: read.left_out, ..calendar })
}
