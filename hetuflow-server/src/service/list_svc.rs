//! Lists by a filter and an order, in pages that are cut by row number.

use std::collections::HashMap;

use hetuflow_core::{
  AgentEntity, AgentId, FilterScope, JobEntity, NamespaceId, Page, PageInfo, Role, ScheduleEntity,
  TaskEntity, TaskId, Ts,
};

use super::agent_svc::{note_skew, serves};
use super::filtered::{self, Window};
use super::row_match::Wanted;
use super::watch::agent_rows;
use super::{Actor, Store, SvcResult};
use crate::infra::bmc::{task_bmc, watch_agents};

/// Which rows of a list, and in which order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ListWish {
  /// The namespace that is named.
  pub namespace_id: Option<NamespaceId>,
  /// The filter.
  pub filter: String,
  /// The order.
  pub sort: String,
  /// First row.
  pub from: u64,
  /// Rows.
  pub limit: i64,
}

impl ListWish {
  /// One more row than is shown tells whether there are more.
  fn window<'a>(&self, namespace: Option<&'a NamespaceId>, now: Ts) -> Window<'a> {
    Window { namespace, from: self.from, len: self.limit.unsigned_abs() + 1, now }
  }

  fn page<T>(&self, mut data: Vec<T>) -> Page<T> {
    let limit = usize::try_from(self.limit).unwrap_or(1).max(1);
    let more = data.len() > limit;
    data.truncate(limit);
    let next_cursor = more.then(|| (self.from + limit as u64).to_string());
    Page { data, page: PageInfo { page_size: self.limit, next_cursor } }
  }
}

/// Use cases of filtered lists.
#[derive(Clone)]
pub struct ListSvc {
  store: Store,
}

impl ListSvc {
  /// Over a store.
  pub fn new(store: Store) -> Self {
    Self { store }
  }

  /// Tasks of one namespace, newest first where no order is given.
  ///
  /// # Errors
  /// 422 for a filter or an order that cannot be read; 403, 404.
  pub async fn tasks(&self, actor: &Actor, wish: &ListWish) -> SvcResult<Page<TaskEntity>> {
    let namespace = actor.namespace(wish.namespace_id.as_ref());
    actor.require(Role::Viewer, &namespace)?;
    let wanted = Wanted::read(&wish.filter, &wish.sort, FilterScope::Tasks)?;
    let mut conn = self.store.read().await?;
    let now = conn.now().await?;
    let rows = filtered::tasks(&mut conn, &wish.window(Some(&namespace), now), &wanted).await?.rows;
    let ids: Vec<TaskId> = rows.iter().map(|row| row.id).collect();
    let tasks = task_bmc::get_many(&mut conn, &ids).await?;
    let mut tasks: HashMap<TaskId, TaskEntity> =
      tasks.into_iter().map(|task| (task.id, task)).collect();
    Ok(wish.page(ids.iter().filter_map(|id| tasks.remove(id)).collect()))
  }

  /// Jobs, by name where no order is given.
  ///
  /// # Errors
  /// 422 for a filter or an order that cannot be read; 403, 404.
  pub async fn jobs(&self, actor: &Actor, wish: &ListWish) -> SvcResult<Page<JobEntity>> {
    let namespace = seen(actor, wish)?;
    let wanted = Wanted::read(&wish.filter, &wish.sort, FilterScope::Jobs)?;
    let mut conn = self.store.read().await?;
    let now = conn.now().await?;
    let window = wish.window(namespace.as_ref(), now);
    Ok(wish.page(filtered::jobs(&mut conn, &window, &wanted).await?.rows))
  }

  /// Schedules, newest first where no order is given.
  ///
  /// # Errors
  /// 422 for a filter or an order that cannot be read; 403, 404.
  pub async fn schedules(&self, actor: &Actor, wish: &ListWish) -> SvcResult<Page<ScheduleEntity>> {
    let namespace = seen(actor, wish)?;
    let wanted = Wanted::read(&wish.filter, &wish.sort, FilterScope::Schedules)?;
    let mut conn = self.store.read().await?;
    let now = conn.now().await?;
    let window = wish.window(namespace.as_ref(), now);
    let rows = filtered::schedules(&mut conn, &window, &wanted).await?.rows;
    Ok(wish.page(rows.into_iter().map(|row| row.schedule).collect()))
  }

  /// Agents that the asker may know of, by name where no order is given.
  ///
  /// # Errors
  /// 422 for a filter or an order that cannot be read; 403.
  pub async fn agents(&self, actor: &Actor, wish: &ListWish) -> SvcResult<Page<AgentEntity>> {
    actor.require_role(Role::Viewer)?;
    let wanted = Wanted::read(&wish.filter, &wish.sort, FilterScope::Agents)?;
    let mut conn = self.store.read().await?;
    let now = conn.now().await?;
    let own = actor.namespace_id.as_ref();
    let mut rows = agent_rows(&mut conn, own).await?;
    rows.retain(|row| wanted.fits(row, now));
    wanted.order(&mut rows, now);
    let all = watch_agents::all(&mut conn).await?;
    let mut all: HashMap<AgentId, AgentEntity> = all
      .into_iter()
      .filter(|agent| serves(agent, own))
      .map(|mut agent| {
        note_skew(&mut agent);
        (agent.id.clone(), agent)
      })
      .collect();
    let window = wish.window(None, now);
    let from = usize::try_from(window.from).unwrap_or(usize::MAX);
    let len = usize::try_from(window.len).unwrap_or(usize::MAX);
    let shown = rows.iter().skip(from).take(len);
    Ok(wish.page(shown.filter_map(|row| all.remove(&row.id)).collect()))
  }
}

/// The namespace that is listed: the one that is named, else the token's, else all.
fn seen(actor: &Actor, wish: &ListWish) -> SvcResult<Option<NamespaceId>> {
  let namespace = wish.namespace_id.clone().or_else(|| actor.namespace_id.clone());
  match &namespace {
    Some(namespace) => actor.require(Role::Viewer, namespace)?,
    None => actor.require_role(Role::Viewer)?,
  }
  Ok(namespace)
}
