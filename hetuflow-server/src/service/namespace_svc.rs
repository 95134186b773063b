//! Namespaces: made, changed and removed by administrators, seen by whoever may see inside.

use hetuflow_core::{FieldError, JobFilter};
use hetuflow_core::{
  NamespaceEntity, NamespaceForCreate, NamespaceForUpdate, NamespaceId, Page, PageInfo, Role, Topic,
};
use serde_json::json;

use super::store::{PageArgs, Store, Work, check_mask};
use super::{Actor, SvcError, SvcResult};
use crate::infra::bmc::{job_bmc, namespace_bmc};
use crate::infra::db::DbError;

/// Longest description, in bytes.
const DESCRIPTION_BYTES_MAX: usize = 16 << 10;
/// Largest share of planning work.
const WEIGHT_MAX: i64 = 1000;

/// Use cases of namespaces.
#[derive(Clone)]
pub struct NamespaceSvc {
  store: Store,
}

impl NamespaceSvc {
  /// Over a store.
  pub fn new(store: Store) -> Self {
    Self { store }
  }

  /// Makes one.
  ///
  /// # Errors
  /// 403 without administration over all namespaces; 409 when the id is taken.
  pub async fn create(&self, actor: &Actor, new: NamespaceForCreate) -> SvcResult<NamespaceEntity> {
    actor.require_everywhere(Role::Admin)?;
    let mut errors = Vec::new();
    check_description(&new.description, &mut errors);
    SvcError::check(errors)?;
    let mut work = self.store.work().await?;
    let outcome = insert(&mut work, &new).await;
    work.end(outcome).await
  }

  /// Reads one.
  ///
  /// # Errors
  /// 404 when there is none that the asker may see.
  pub async fn get(&self, actor: &Actor, id: &str) -> SvcResult<NamespaceEntity> {
    let missing = || SvcError::not_found("namespace", id);
    let name = NamespaceId::new(id).map_err(|_| missing())?;
    actor.require(Role::Viewer, &name)?;
    let mut conn = self.store.read().await?;
    namespace_bmc::get(&mut conn, &name).await?.ok_or_else(missing)
  }

  /// Reads a page; a token of one namespace sees that one.
  ///
  /// # Errors
  /// 403 for a token that reads nothing.
  pub async fn list(&self, actor: &Actor, page: &PageArgs) -> SvcResult<Page<NamespaceEntity>> {
    actor.require_role(Role::Viewer)?;
    let mut conn = self.store.read().await?;
    if let Some(own) = &actor.namespace_id {
      let data = namespace_bmc::get(&mut conn, own).await?.into_iter().collect();
      return Ok(Page { data, page: PageInfo { page_size: page.limit, next_cursor: None } });
    }
    Ok(namespace_bmc::list(&mut conn, page).await?)
  }

  /// Changes one.
  ///
  /// # Errors
  /// 404, 403, or the broken rules.
  pub async fn update(
    &self,
    actor: &Actor,
    id: &str,
    change: &NamespaceForUpdate,
  ) -> SvcResult<NamespaceEntity> {
    let current = self.get(actor, id).await?;
    actor.require(Role::Admin, &current.id)?;
    let mut errors = Vec::new();
    check_description(change.description.as_deref().unwrap_or_default(), &mut errors);
    check_mask(change.update_mask.as_deref(), &["description", "weight"], &mut errors);
    if change.weight.is_some_and(|weight| !(0..=WEIGHT_MAX).contains(&weight)) {
      let message = format!("weight is 0 to {WEIGHT_MAX}");
      errors.push(FieldError::new("number.range", "/weight", message));
    }
    SvcError::check(errors)?;
    let mut work = self.store.work().await?;
    let outcome = change_row(&mut work, &current.id, change).await;
    work.end(outcome).await
  }

  /// Removes an empty one.
  ///
  /// # Errors
  /// 409 while it has jobs, and always for the default one.
  pub async fn delete(&self, actor: &Actor, id: &str) -> SvcResult<()> {
    actor.require_everywhere(Role::Admin)?;
    let current = self.get(actor, id).await?;
    let mut work = self.store.work().await?;
    let outcome = remove(&mut work, &current.id).await;
    work.end(outcome).await
  }
}

fn check_description(text: &str, errors: &mut Vec<FieldError>) {
  if text.len() > DESCRIPTION_BYTES_MAX {
    let message = format!("{} bytes, at most {DESCRIPTION_BYTES_MAX} are allowed", text.len());
    errors.push(FieldError::new("text.too_long", "/description", message));
  }
  if text.contains('\0') {
    let message = "a NUL byte cannot be stored in text";
    errors.push(FieldError::new("text.nul", "/description", message));
  }
}

async fn insert(work: &mut Work, new: &NamespaceForCreate) -> SvcResult<NamespaceEntity> {
  match namespace_bmc::create(&mut work.tx, new, work.now).await {
    Err(DbError::Unique { .. }) => {
      let message = format!("namespace \"{}\" exists", new.id);
      return Err(SvcError::conflict("name.taken", "/id", message));
    }
    outcome => outcome?,
  }
  let subject = (Topic::Namespace, new.id.to_string());
  work.note(&new.id, subject, "namespace.created", json!({ "description": new.description }));
  read_back(work, &new.id).await
}

async fn change_row(
  work: &mut Work,
  id: &NamespaceId,
  change: &NamespaceForUpdate,
) -> SvcResult<NamespaceEntity> {
  if !namespace_bmc::update(&mut work.tx, id, change, work.now).await? {
    return Err(SvcError::not_found("namespace", id.as_str()));
  }
  let row = read_back(work, id).await?;
  let data = json!({ "description": row.description, "weight": row.weight });
  work.note(id, (Topic::Namespace, id.to_string()), "namespace.updated", data);
  Ok(row)
}

async fn remove(work: &mut Work, id: &NamespaceId) -> SvcResult<()> {
  if *id == NamespaceId::default() {
    let message = "the default namespace stays";
    return Err(SvcError::conflict("namespace.default", "/id", message));
  }
  let in_use = || {
    let message = format!("namespace \"{id}\" has jobs, secrets or semaphores");
    SvcError::conflict("namespace.in_use", "/id", message)
  };
  let filter = JobFilter { namespace_id: Some(id.clone()), ..JobFilter::default() };
  if !job_bmc::list(&mut work.tx, &filter, &PageArgs::first(1)).await?.data.is_empty() {
    return Err(in_use());
  }
  // Deleted jobs keep their rows, and with them the namespace: the foreign key says so.
  match namespace_bmc::delete(&mut work.tx, id).await {
    Ok(true) => {}
    Ok(false) => return Err(SvcError::not_found("namespace", id.as_str())),
    Err(DbError::Other(_)) => return Err(in_use()),
    Err(error) => return Err(error.into()),
  }
  work.note(id, (Topic::Namespace, id.to_string()), "namespace.deleted", json!(null));
  Ok(())
}

async fn read_back(work: &mut Work, id: &NamespaceId) -> SvcResult<NamespaceEntity> {
  let row = namespace_bmc::get(&mut work.tx, id).await?;
  row.ok_or_else(|| SvcError::not_found("namespace", id.as_str()))
}

/// The namespace must exist before something is put into it.
pub(super) async fn require_namespace(work: &mut Work, id: &NamespaceId) -> SvcResult<()> {
  read_back(work, id).await.map(drop)
}
