//! How calendars stand in a table.

use hetuflow_core::CalendarEntity;

use super::cell::Cell;
use super::view::{Column, TableRow};

/// Rules that a table names.
const RULES_SHOWN: usize = 3;

impl TableRow for CalendarEntity {
  const KIND: &'static str = "calendar";
  const COLUMNS: &'static [Column] = &[
    Column::new("CALENDAR"),
    Column::new("BLACKOUT"),
    Column::new("RULES"),
    Column::new("ZONE"),
    Column::new("SET"),
    Column::new("BY"),
    Column::new("DESCRIPTION"),
    Column::wide("CREATED"),
    Column::wide("NAMESPACE"),
  ];
  fn reference(&self) -> String {
    self.name.clone()
  }
  fn cells(&self) -> Vec<Cell> {
    let shown: Vec<&str> = self.rules.iter().take(RULES_SHOWN).map(String::as_str).collect();
    let more = self.rules.len() - shown.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    vec![
      Cell::text(&self.name),
      Cell::text(if self.blackout { "yes" } else { "no" }),
      Cell::text(format!("{}{more}", shown.join(", "))),
      Cell::text(&self.timezone),
      Cell::At(self.updated_at),
      Cell::maybe(self.updated_by.as_ref(), Cell::text),
      Cell::text(&self.description),
      Cell::At(self.created_at),
      Cell::text(self.namespace_id.as_str()),
    ]
  }
}
