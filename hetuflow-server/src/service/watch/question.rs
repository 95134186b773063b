//! What a watch asks, apart from who asks and how often it wants to hear.

use hetuflow_core::{NamespaceId, Role, Scope, Ts, WATCH_WINDOW_MAX, Watch};

use crate::service::filtered::Window;
use crate::service::{Actor, SvcResult};

/// Rows in a window where none is said.
const WINDOW_DEFAULT: u32 = 100;

/// The question behind a watch: equal questions have equal answers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Question {
  /// What it shows.
  pub(super) scope: Scope,
  /// One namespace; none means all.
  pub(super) namespace: Option<NamespaceId>,
  /// The namespace that the asker's token is bound to.
  pub(super) own: Option<NamespaceId>,
  /// The filter's text.
  pub(super) filter: String,
  /// The order's text.
  pub(super) sort: String,
  /// First row.
  pub(super) from: u64,
  /// Rows.
  pub(super) len: u64,
  /// The one thing that it is about.
  pub(super) target: String,
}

impl Question {
  /// What the watch asks for this asker.
  ///
  /// # Errors
  /// 403 or 404 for what the asker may not see.
  pub(super) fn of(actor: &Actor, watch: &Watch) -> SvcResult<Self> {
    let namespace = watch.namespace_id.clone().or_else(|| actor.namespace_id.clone());
    match &namespace {
      Some(namespace) => actor.require(Role::Viewer, namespace)?,
      None => actor.require_role(Role::Viewer)?,
    }
    let len = if watch.len == 0 { WINDOW_DEFAULT } else { watch.len.min(WATCH_WINDOW_MAX) };
    Ok(Self {
      scope: watch.scope,
      namespace,
      own: actor.namespace_id.clone(),
      filter: watch.filter.trim().to_owned(),
      sort: watch.sort.trim().to_owned(),
      from: watch.from.min(u64::from(u32::MAX)),
      len: u64::from(len),
      target: watch.target.clone().unwrap_or_default(),
    })
  }

  /// The namespace that names are looked up in.
  pub(super) fn home(&self) -> NamespaceId {
    self.namespace.clone().unwrap_or_default()
  }

  /// The window over a list.
  pub(super) fn window(&self, now: Ts) -> Window<'_> {
    Window { namespace: self.namespace.as_ref(), from: self.from, len: self.len, now }
  }

  /// The part of a list that the window shows.
  pub(super) fn cut<T>(&self, rows: Vec<T>) -> Vec<T> {
    let from = usize::try_from(self.from).unwrap_or(usize::MAX);
    let len = usize::try_from(self.len).unwrap_or(usize::MAX);
    rows.into_iter().skip(from).take(len).collect()
  }
}
