//! What stored rows say of the fields of a filter: the same as their columns say in SQL.

use std::borrow::Cow;

use hetuflow_core::{FilterField, JobEntity, Ts};

use super::row_match::{Cell, Fields};
use crate::infra::bmc::watch_schedules::FiringSchedule;
use crate::infra::bmc::watch_tasks::ListedTask;

fn text(text: &str) -> Cell<'_> {
  Cell::Text(Cow::Borrowed(text))
}

fn some(value: Option<&str>) -> Cell<'_> {
  value.map_or(Cell::None, text)
}

fn number(value: Option<i64>) -> Cell<'static> {
  value.map_or(Cell::None, |value| Cell::Number(value as f64))
}

fn between(from: Ts, to: Ts) -> Cell<'static> {
  Cell::Micros(to.micros().saturating_sub(from.micros()))
}

fn all<'a>(texts: &[&'a str]) -> Vec<Cow<'a, str>> {
  texts.iter().map(|text| Cow::Borrowed(*text)).collect()
}

impl Fields for ListedTask {
  fn cell(&self, field: &FilterField, now: Ts) -> Cell<'_> {
    match field {
      FilterField::State => text(self.status.as_str()),
      FilterField::Job => text(&self.job_name),
      FilterField::Agent => some(self.agent_id.as_ref().map(|id| id.as_str())),
      FilterField::Namespace => text(self.namespace_id.as_str()),
      FilterField::Priority => number(Some(self.priority)),
      FilterField::Age => Cell::At(self.scheduled_at),
      FilterField::Run => match self.started_at {
        Some(started) => between(started, self.completed_at.unwrap_or(now)),
        None => Cell::None,
      },
      FilterField::Wait => {
        between(self.scheduled_at, self.started_at.or(self.completed_at).unwrap_or(now))
      }
      FilterField::Exit => number(self.exit_code),
      FilterField::Signal => number(self.signal),
      FilterField::Reason => some(self.reason.as_deref()),
      FilterField::Attempt => number(Some(self.attempt)),
      FilterField::Trigger => text(self.trigger_source.as_str()),
      FilterField::Id => Cell::Id(self.id.0),
      FilterField::Since | FilterField::Until => {
        Cell::At(self.completed_at.or(self.started_at).unwrap_or(self.scheduled_at))
      }
      FilterField::Label(key) => some(self.labels.get(key).map(String::as_str)),
      _ => Cell::None,
    }
  }

  fn texts(&self) -> Vec<Cow<'_, str>> {
    all(&[
      &self.job_name,
      self.agent_id.as_ref().map_or("", |id| id.as_str()),
      self.reason.as_deref().unwrap_or_default(),
      self.error_message.as_deref().unwrap_or_default(),
      self.status.as_str(),
    ])
  }
}

impl Fields for JobEntity {
  fn cell(&self, field: &FilterField, _now: Ts) -> Cell<'_> {
    match field {
      FilterField::State => text(self.status.as_str()),
      FilterField::Name => text(&self.name),
      FilterField::Namespace => text(self.namespace_id.as_str()),
      FilterField::Owner => text(&self.owner),
      FilterField::By => some(self.updated_by.as_deref().or(self.created_by.as_deref())),
      FilterField::Version => number(Some(self.version)),
      FilterField::Age | FilterField::Since | FilterField::Until => Cell::At(self.updated_at),
      FilterField::Id => Cell::Id(self.id.0),
      FilterField::Label(key) => some(self.labels.get(key).map(String::as_str)),
      _ => Cell::None,
    }
  }

  fn texts(&self) -> Vec<Cow<'_, str>> {
    all(&[&self.name, &self.description, &self.owner])
  }
}

impl Fields for FiringSchedule {
  fn cell(&self, field: &FilterField, _now: Ts) -> Cell<'_> {
    let row = &self.schedule;
    match field {
      FilterField::State => text(row.status.as_str()),
      FilterField::Name => text(&row.name),
      FilterField::Job => text(&self.job_name),
      FilterField::Namespace => text(row.namespace_id.as_str()),
      FilterField::Kind => text(row.schedule_kind.as_str()),
      FilterField::Timezone => text(&row.timezone),
      FilterField::Priority => number(Some(row.priority)),
      FilterField::By => some(row.updated_by.as_deref().or(row.created_by.as_deref())),
      FilterField::Reason => some(row.status_reason.as_deref()),
      FilterField::Age | FilterField::Since | FilterField::Until => Cell::At(row.updated_at),
      FilterField::Next => row.next_run_at.map_or(Cell::None, Cell::At),
      FilterField::Id => Cell::Id(row.id.0),
      _ => Cell::None,
    }
  }

  fn texts(&self) -> Vec<Cow<'_, str>> {
    let row = &self.schedule;
    all(&[
      &row.name,
      &row.description,
      &self.job_name,
      row.status_reason.as_deref().unwrap_or_default(),
    ])
  }
}
