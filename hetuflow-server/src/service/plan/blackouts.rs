//! Windows in which nothing of a namespace fires, read once in each transaction that decides.

use std::collections::{BTreeSet, HashMap};

use hetuflow_core::{Calendar, CronZone, NamespaceId, Ts, exclude_rules};

use crate::infra::bmc::calendar_bmc;
use crate::infra::db::{Conn, DbError};

/// The blackouts of some namespaces, each with its name.
#[derive(Default)]
pub(super) struct Blackouts(HashMap<String, Vec<(String, Calendar)>>);

impl Blackouts {
  /// Those of these namespaces. One that cannot be read holds nobody, and is told in the log.
  pub(super) async fn of<'a>(
    conn: &mut Conn,
    namespaces: impl IntoIterator<Item = &'a NamespaceId>,
  ) -> Result<Self, DbError> {
    let namespaces: BTreeSet<&str> = namespaces.into_iter().map(NamespaceId::as_str).collect();
    let mut found = Self::default();
    if namespaces.is_empty() {
      return Ok(found);
    }
    for (namespace, name, zone, rules) in calendar_bmc::blackouts(conn, &namespaces).await? {
      match read(&zone, &rules) {
        Ok(calendar) => found.0.entry(namespace).or_default().push((name, calendar)),
        Err(why) => tracing::warn!(
          namespace.id = namespace,
          calendar.name = name,
          "calendar {name} holds nobody, it cannot be read: {why}"
        ),
      }
    }
    Ok(found)
  }

  /// The windows of a namespace.
  pub(super) fn windows(&self, namespace: &NamespaceId) -> &[(String, Calendar)] {
    self.0.get(namespace.as_str()).map_or(&[], Vec::as_slice)
  }

  /// The window of a namespace that covers an instant.
  pub(super) fn at(&self, namespace: &NamespaceId, at: Ts) -> Option<&str> {
    let found = self.windows(namespace).iter().find(|(_, one)| one.covers(at.instant()));
    found.map(|(name, _)| name.as_str())
  }
}

/// Why nothing fires.
pub(super) fn told(name: &str) -> String {
  format!("nothing fires during {name}")
}

fn read(zone: &str, rules: &str) -> Result<Calendar, String> {
  let zone = CronZone::named(zone).map_err(|error| error.message)?;
  let rules: Vec<String> = serde_json::from_str(rules).map_err(|error| error.to_string())?;
  Ok(Calendar::new(exclude_rules(&rules), zone))
}
