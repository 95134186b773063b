//! Calendars, read once and kept while they stay as they are: whoever decides instants asks the store
//! which there are, in one small statement, and reads the rules of those alone that are new or changed.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use hetuflow_core::{
  Calendar, Closings, CronZone, NamedCalendar, NamespaceId, ScheduleEntity, Ts, calendar_rules,
};

use crate::infra::bmc::calendar_bmc::{self, CalendarHead};
use crate::infra::db::{Conn, DbError};

/// Calendars that are kept; beyond that the cache begins anew.
const KEPT_MAX: usize = 10_000;

/// A calendar, or why it cannot be read.
type Read = Result<Arc<NamedCalendar>, Arc<str>>;

/// A calendar with the version and the instant that it was read at.
type Kept = ((i64, Ts), Read);

/// The calendars that this server has read, by namespace and name, with the version of each.
#[derive(Debug, Default)]
pub struct CalendarCache(Mutex<HashMap<(String, String), Kept>>);

/// The calendars that some schedules need, as they are in one transaction.
#[derive(Debug, Default)]
pub(super) struct CalendarBook(HashMap<String, Vec<(String, bool, Read)>>);

impl CalendarCache {
  /// The blackouts of the namespaces of these schedules, and the calendars that they name. One that
  /// cannot be read is told in the log: as a blackout it holds nobody.
  ///
  /// # Errors
  /// Any [`DbError`].
  pub(super) async fn book(
    &self,
    conn: &mut Conn,
    schedules: impl IntoIterator<Item = &ScheduleEntity>,
  ) -> Result<CalendarBook, DbError> {
    let (mut namespaces, mut names) = (BTreeSet::new(), BTreeSet::new());
    for schedule in schedules {
      namespaces.insert(schedule.namespace_id.as_str());
      names.extend(schedule.calendar_names());
    }
    self.read(conn, (&namespaces, &names)).await
  }

  /// The blackouts of one namespace.
  ///
  /// # Errors
  /// Any [`DbError`].
  pub(super) async fn blackouts(
    &self,
    conn: &mut Conn,
    namespace: &NamespaceId,
  ) -> Result<Closings, DbError> {
    let namespaces = BTreeSet::from([namespace.as_str()]);
    let book = self.read(conn, (&namespaces, &BTreeSet::new())).await?;
    Ok(Closings::blackouts(book.blackouts(namespace)))
  }

  async fn read(
    &self,
    conn: &mut Conn,
    wanted: (&BTreeSet<&str>, &BTreeSet<&str>),
  ) -> Result<CalendarBook, DbError> {
    let mut book = CalendarBook::default();
    if wanted.0.is_empty() {
      return Ok(book);
    }
    let heads = calendar_bmc::heads(conn, wanted).await?;
    let (known, new) = self.known(heads);
    let fresh = if new.is_empty() { Vec::new() } else { self.keep(conn, new).await? };
    for (head, read) in known.into_iter().chain(fresh) {
      book.0.entry(head.namespace_id).or_default().push((head.name, head.blackout, read));
    }
    Ok(book)
  }

  /// Those that are as they were read, and the others.
  fn known(&self, heads: Vec<CalendarHead>) -> (Vec<(CalendarHead, Read)>, Vec<CalendarHead>) {
    let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
    let (mut known, mut new) = (Vec::new(), Vec::new());
    for head in heads {
      let key = (head.namespace_id.clone(), head.name.clone());
      match kept.get(&key).filter(|(at, _)| *at == (head.version, head.updated_at)) {
        Some((_, read)) => known.push((head, read.clone())),
        None => new.push(head),
      }
    }
    (known, new)
  }

  async fn keep(
    &self,
    conn: &mut Conn,
    new: Vec<CalendarHead>,
  ) -> Result<Vec<(CalendarHead, Read)>, DbError> {
    let mut found = Vec::with_capacity(new.len());
    for head in new {
      let text = calendar_bmc::rules(conn, (&head.namespace_id, &head.name)).await?;
      let read = match text {
        Some((zone, rules)) => read(&head, &zone, &rules),
        None => Err("it is gone".into()),
      };
      if let Err(why) = &read {
        let name = &head.name;
        tracing::warn!(
          namespace.id = head.namespace_id,
          calendar.name = name,
          "calendar {name} holds nobody, it cannot be read: {why}"
        );
      }
      found.push((head, read));
    }
    let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
    if kept.len() + found.len() > KEPT_MAX {
      kept.clear();
    }
    for (head, read) in &found {
      let key = (head.namespace_id.clone(), head.name.clone());
      kept.insert(key, ((head.version, head.updated_at), read.clone()));
    }
    drop(kept);
    Ok(found)
  }
}

impl CalendarBook {
  /// What leaves out instants of a schedule.
  ///
  /// # Errors
  /// Why a calendar that it names cannot be asked, for people.
  pub(super) fn closings(&self, schedule: &ScheduleEntity) -> Result<Closings, String> {
    let all = self.of(&schedule.namespace_id);
    Closings::of(schedule, self.blackouts(&schedule.namespace_id), |name| {
      match all.iter().find(|one| one.0 == name) {
        Some((_, _, Ok(calendar))) => Ok(Arc::clone(calendar)),
        Some((_, _, Err(why))) => Err(format!("calendar {name} cannot be read: {why}")),
        None => Err(format!("there is no calendar {name}")),
      }
    })
  }

  fn of(&self, namespace: &NamespaceId) -> &[(String, bool, Read)] {
    self.0.get(namespace.as_str()).map_or(&[], Vec::as_slice)
  }

  fn blackouts(&self, namespace: &NamespaceId) -> Vec<Arc<NamedCalendar>> {
    let blackouts = self.of(namespace).iter().filter(|one| one.1);
    blackouts.filter_map(|one| one.2.as_ref().ok().cloned()).collect()
  }

  /// Puts a calendar in the place of the one of its name, to see what would be.
  pub(super) fn replace(&mut self, namespace: &NamespaceId, calendar: NamedCalendar) {
    let all = self.0.entry(namespace.to_string()).or_default();
    all.retain(|one| one.0 != calendar.name);
    all.push((calendar.name.clone(), calendar.blackout, Ok(Arc::new(calendar))));
  }
}

fn read(head: &CalendarHead, zone: &str, rules: &str) -> Read {
  let zone = CronZone::named(zone).map_err(|error| Arc::from(error.message))?;
  let rules: Vec<String> =
    serde_json::from_str(rules).map_err(|error| Arc::from(error.to_string()))?;
  let calendar = Calendar::new(calendar_rules(&rules), zone);
  Ok(Arc::new(NamedCalendar { name: head.name.clone(), blackout: head.blackout, calendar }))
}
